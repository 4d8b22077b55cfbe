"""The codec of the 512 preset: what its latents mean.

The motion preset's has the same methods, but decodes to a motion: `MotionCodec.decode_motion`.
"""

import torch
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook

CHUNK_PIXELS = 4 * 512 * 512  # pixels of one call of the VAE, which bounds memory; frames are independent


class VAECodec(ModelMixin, ConfigMixin):
    """Latents are the VAE's times its scaling factor: appearance at an eighth of the size."""

    holds_last = True  # the last frame's latents are the first one's, to be kept while sampling
    is_motion = False  # latents do not say how the picture moves

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
        """(H, W) at which a picture of this size is animated."""
        scale = self.config.short_side / min(height, width)  # cells a pixel
        return tuple(self.factor * 8 * max(1, round(side * scale / 8)) for side in (height, width))

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of the latents of a picture of `picture_size`."""
        return height // self.factor, width // self.factor

    def _split(self, tensors: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, ...]:
        """Pieces of tensors (B·N, C, ...) that stand for frames of that size, each for one call of the VAE."""
        return tensors.to(self.dtype).split(max(1, CHUNK_PIXELS // (height * width)))

    @torch.no_grad()
    @apply_forward_hook
    def encode(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Clip (B, 3, N, H, W) in [-1, 1], mask (B, 1, H, W) → latents (B, 4, N, h, w)."""
        batch, _, count, height, width = frames.shape
        flat = frames.transpose(1, 2).reshape(batch * count, 3, height, width)  # (B·N, 3, H, W)
        latents = torch.cat([self.vae.encode(part).latent_dist.mode() for part in self._split(flat, height, width)])
        latents = latents.unflatten(0, (batch, count)).transpose(1, 2)  # (B, 4, N, h, w)
        return latents * self.vae.config.scaling_factor

    def static_code(self, image: torch.Tensor) -> torch.Tensor:
        """E(F0), the code of a picture for both ends of Z_SD: (B, 3, H, W) in [-1, 1] → (B, 4, h, w)."""
        return self.encode(image[:, :, None])[:, :, 0]

    def noise(self, white: torch.Tensor, text_tokens: torch.Tensor, latent_mask: torch.Tensor) -> torch.Tensor:
        """White noise (B, 4, N, h, w), text tokens (B, L, width), mask (B, 1, h, w) → the noise that the network removes."""
        return white

    def constrain(self, clean: torch.Tensor) -> torch.Tensor:
        """The nearest latents to an estimate (B, 4, N, h, w) that can be decoded; sampling goes on from these."""
        return clean

    @torch.no_grad()
    @apply_forward_hook
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, 4, N, h, w) → clips (B, 3, N, H, W) in [0, 1]."""
        flat = latents.transpose(1, 2).flatten(0, 1) / self.vae.config.scaling_factor  # (B·N, 4, h, w)
        parts = self._split(flat, *(side * self.factor for side in latents.shape[-2:]))
        frames = [(self.vae.decode(part).sample.float() / 2 + 0.5).clamp(0, 1) for part in parts]  # (n, 3, H, W) each
        return torch.cat(frames).unflatten(0, (len(latents), -1)).transpose(1, 2)
