"""What a codec is, and the VAE codec of the 512 preset.

The pipeline samples latents (B, 4, N, h, w); what they mean is the codec's business.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook

from loopanimate.motion.hands import Directions
from loopanimate.render.interpolation import Ring

APPEARANCE = "expected a motion strength of 1 (latents are appearance, not motion), got {}"
CHUNK_PIXELS = 4 * 512 * 512  # pixels of one call of the VAE, which bounds memory; frames are independent


class FrameCodec(Protocol):
    """What a preset's latents mean."""

    holds_last: bool  # whether the last frame's latents are the first one's, to be kept while sampling
    is_motion: bool  # whether latents say how the picture moves: they can be directed, scaled, and shown while sampling

    def picture_size(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) at which a picture of this size is animated."""

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of the latents of a picture of `picture_size`."""

    def encode(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Clip (B, 3, N, H, W) in [-1, 1], mask (B, 1, H, W) → latents (B, 4, N, h, w)."""

    def static_code(self, image: torch.Tensor) -> torch.Tensor:
        """E(F0), the code of a picture for both ends of Z_SD: (B, 3, H, W) in [-1, 1] → (B, 4, h, w)."""

    def noise(self, white: torch.Tensor, text_tokens: torch.Tensor, latent_mask: torch.Tensor) -> torch.Tensor:
        """White noise (B, 4, N, h, w), text tokens (B, L, width) and mask (B, 1, h, w) → the noise that the network removes."""

    def constrain(self, clean: torch.Tensor) -> torch.Tensor:
        """The nearest latents to an estimate (B, 4, N, h, w) that this codec can decode; sampling goes on from these."""

    def as_asked(
        self,
        latents: torch.Tensor,
        latent_mask: torch.Tensor,
        prompts: list[str],
        shown: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Sampled latents (B, 4, N, h, w) of masks (B, 1, h, w), edited so that they do what prompts say.

        shown: pictures (B, 3, H, W) in [-1, 1] and masks (B, 1, H, W) on which the loops will be seen.
        """

    def part(self, latents: torch.Tensor, part: tuple[float, float, float, float], size: tuple[int, int]) -> torch.Tensor:
        """Latents of a part of a loop (4, N, h, w): left, top, right, bottom as fractions of its picture.

        size: (width, height) at which the part is shown. Latents of appearance are for one size and stay as they are.
        """

    def decode(
        self, latents: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, motion_strength: float = 1.0
    ) -> torch.Tensor:
        """Latents of pictures (B, 3, H, W) with masks (B, 1, H, W) → clips (B, 3, N, H, W) in [0, 1]."""

    def frames(
        self,
        latents: torch.Tensor,
        image: np.ndarray,
        mask: np.ndarray,
        times: list[float],
        motion_strength: float = 1.0,
        directions: Directions | None = None,
        planar: bool = False,
    ) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 of one loop (4, N, h, w) at `times` in native frames, one after the other.

        planar: for a video file: a codec that can make its planes directly gives those, (3H/2, W) I420.
        """


class VAECodec(ModelMixin, ConfigMixin):
    """Latents are the VAE's times its scaling factor: appearance at an eighth of the size."""

    holds_last = True
    is_motion = False

    @register_to_config
    def __init__(self, vae_config: dict, short_side: int = 64):
        super().__init__()
        self.vae = AutoencoderKL(**vae_config)

    @classmethod
    def from_vae(cls, vae: AutoencoderKL, short_side: int = 64) -> "VAECodec":
        codec = cls({key: value for key, value in vae.config.items() if not key.startswith("_")}, short_side)
        codec.vae.load_state_dict(vae.state_dict())
        return codec.to(vae.dtype)

    @property
    def factor(self) -> int:
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def picture_size(self, height: int, width: int) -> tuple[int, int]:
        scale = self.config.short_side / min(height, width)  # cells a pixel
        return tuple(self.factor * 8 * max(1, round(side * scale / 8)) for side in (height, width))

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        return height // self.factor, width // self.factor

    def _chunk(self, height: int, width: int) -> int:
        return max(1, CHUNK_PIXELS // (height * width))

    @torch.no_grad()
    @apply_forward_hook
    def encode(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        batch, _, count, height, width = frames.shape
        flat = frames.transpose(1, 2).reshape(batch * count, 3, height, width)  # (B·N, 3, H, W)
        parts = flat.to(self.dtype).split(self._chunk(height, width))
        latents = torch.cat([self.vae.encode(part).latent_dist.mode() for part in parts])
        latents = latents.unflatten(0, (batch, count)).transpose(1, 2)  # (B, 4, N, h, w)
        return latents * self.vae.config.scaling_factor

    def static_code(self, image: torch.Tensor) -> torch.Tensor:
        return self.encode(image[:, :, None])[:, :, 0]

    def noise(self, white: torch.Tensor, text_tokens: torch.Tensor, latent_mask: torch.Tensor) -> torch.Tensor:
        return white

    def constrain(self, clean: torch.Tensor) -> torch.Tensor:
        return clean

    def as_asked(
        self,
        latents: torch.Tensor,
        latent_mask: torch.Tensor,
        prompts: list[str],
        shown: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        return latents

    def part(self, latents: torch.Tensor, part: tuple[float, float, float, float], size: tuple[int, int]) -> torch.Tensor:
        return latents

    def decode(
        self, latents: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, motion_strength: float = 1.0
    ) -> torch.Tensor:
        if motion_strength != 1:
            raise ValueError(APPEARANCE.format(motion_strength))
        flat = latents.transpose(1, 2).flatten(0, 1)  # (B·N, 4, h, w)
        frames = torch.cat([self._pixels(part) for part in self._parts(flat)])
        return frames.unflatten(0, latents.shape[:1] + latents.shape[2:3]).transpose(1, 2)

    def frames(
        self,
        latents: torch.Tensor,
        image: np.ndarray,
        mask: np.ndarray,
        times: list[float],
        motion_strength: float = 1.0,
        directions: Directions | None = None,
        planar: bool = False,
    ) -> Iterator[np.ndarray]:
        if directions is not None:
            raise ValueError("expected no arrows, pins or frozen places: this preset's latents are appearance, not motion")
        if motion_strength != 1:
            raise ValueError(APPEARANCE.format(motion_strength))
        decoded, following = [], self.native_frames(latents)

        def frame(index: int) -> np.ndarray:
            while len(decoded) <= index:
                decoded.append(next(following))
            return decoded[index]

        ring = Ring(frame, latents.shape[1] - 1)
        for time in times:
            yield ring.at(time)

    def native_frames(self, latents: torch.Tensor) -> Iterator[np.ndarray]:
        """The N-1 frames (H, W, 3) uint8 of one loop (4, N, h, w); the next are decoded while the caller uses the last."""
        with ThreadPoolExecutor(1) as pool:
            parts = self._parts(latents.transpose(0, 1)[:-1])
            following = pool.submit(self._bytes, parts[0])
            for part in [*parts[1:], None]:
                frames = following.result()
                following = part is not None and pool.submit(self._bytes, part)
                yield from frames

    def _parts(self, latents: torch.Tensor) -> tuple[torch.Tensor, ...]:
        height, width = (side * self.factor for side in latents.shape[-2:])
        return latents.split(self._chunk(height, width))

    @torch.no_grad()
    @apply_forward_hook
    def _pixels(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (n, 4, h, w) → pixels (n, 3, H, W) in [0, 1]."""
        pixels = self.vae.decode((latents / self.vae.config.scaling_factor).to(self.dtype)).sample
        return (pixels.float() / 2 + 0.5).clamp(0, 1)

    def _bytes(self, latents: torch.Tensor) -> np.ndarray:
        return (self._pixels(latents) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
