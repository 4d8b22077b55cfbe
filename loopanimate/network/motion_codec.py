"""The motion codec: a clip is how two layers of its first picture move (loopanimate/README.md)."""

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from loopanimate.motion.curve import Motion
from loopanimate.motion.grid import warp
from loopanimate.motion.spline import latent_grid
from loopanimate.network.noise import NoisePrior
from loopanimate.presets import NATIVE_FPS

# Displacements span two orders of magnitude, from "barely" to a stream's progress. Latents are their inverse hyperbolic
# sine: linear below the knee, logarithmic above, so that an error is absolute in what is nearly still and relative in
# what goes far.
KNEE = 0.012  # short sides, of what comes back
STREAM_KNEE = 0.08  # short sides, of the winding
# Standard deviation of the procedural training set's latents before division by it: x, y of both layers.
STANDARD_DEVIATION = (0.62, 0.62, 0.43, 0.40)

REFERENCE = 0.02  # short sides a second, of the stream by whose progress loops of unlike length are compared
# Hertz: motion is shown whole up to the first and not at all beyond the second. A checkpoint's `passed`, which its sampling
# keeps to, may be narrower.
PASSED = (1.7, 2.5)
MAX_LATENT = 8.0  # a larger latent is no motion but an overflow

Flow = Callable[[torch.Tensor], torch.Tensor]  # a clip (3, N, H, W) in [-1, 1] → dense flow (N-1, 2, H, W): see `dis_flow`


def dis_flow(clip: torch.Tensor) -> torch.Tensor:
    """Dense optical flow from each later frame of a clip (3, N, H, W) in [-1, 1] to its first, (N-1, 2, H, W) in pixels.

    frame(p) = first(p + flow). By OpenCV's dense inverse search (Kroeger et al., 2016).
    """
    first, *later = ((clip.float().mean(0) + 1) * 127.5).round().byte().cpu().numpy()
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flows = np.stack([estimator.calc(frame, first, None) for frame in later])  # (N-1, H, W, 2)
    return torch.from_numpy(flows).permute(0, 3, 1, 2).to(clip.device)


def static_code(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The picture at latent size: luma, two chroma differences, local contrast.

    image (B, 3, H, W) in [-1, 1] → (B, 4, h, w), each about unit variance over photographs.
    """
    height, width = size
    image = F.interpolate(image, size=(8 * height, 8 * width), mode="area")  # so that contrast is of the same detail anywhere
    red, green, blue = image.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    channels = torch.stack([luma, (blue - luma) / 1.772, (red - luma) / 1.402], dim=1)
    code = F.avg_pool2d(channels, 8)
    contrast = (F.avg_pool2d(luma[:, None] ** 2, 8) - code[:, :1] ** 2).clamp(min=0).sqrt()
    gain = torch.tensor([2.0, 6.0, 6.0, 6.0], device=image.device, dtype=image.dtype).view(1, 4, 1, 1)
    return torch.cat([code, contrast], dim=1) * gain


class MotionCodec(ModelMixin, ConfigMixin):
    """Latents (B, 4, N, h, w): salient dx, dy, background dx, dy, compressed and divided by `standard_deviation`.

    With w = d(N-1) the winding and u the share of the loop that has passed, a latent after frame 0 is
    (asinh((d - u w) / knee) + asinh(w / stream_knee)) / standard_deviation: a stream says in every frame how far the loop
    carries it, which a network learns long before it learns a ramp. Frame 0 is zero by definition; the last frame is the
    winding alone, so only the first is held while sampling.

    Motion is smooth: half of its variance lies in one of a grid's 144 spatial modes, and next to none above 2 Hz. White
    noise would bury the other modes while that one is still plain to see, and all that words ask for would be decided in
    the first few timesteps. So noise, in training and in sampling, is drawn from `prior`, a Gaussian of motion that fits
    the words and the mask.
    """

    holds_last = False
    is_motion = True

    @register_to_config
    def __init__(
        self,
        short_side: int = 12,
        knee: float = KNEE,
        stream_knee: float = STREAM_KNEE,
        standard_deviation: tuple[float, ...] = STANDARD_DEVIATION,
        passed: tuple[float, float] = PASSED,
        text_width: int = 384,
    ):
        super().__init__()
        self.prior = NoisePrior(text_width)

    def compress(self, displacement: torch.Tensor) -> torch.Tensor:
        """Displacement in short sides → latents, both (B, 4, N, h, w)."""
        winding = displacement[:, :, -1:]
        ring = torch.asinh((displacement - _ramp(displacement) * winding) / self.config.knee)
        return (ring + (_ramp(ring) > 0) * torch.asinh(winding / self.config.stream_knee)) / self._scale(ring)

    def expand(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents (B, 4, N, h, w) → ring, the same shape, and winding (B, 4, 1, h, w), in short sides."""
        latents = latents * self._scale(latents)
        winding = latents[:, :, -1:]
        ring = torch.sinh(latents - (_ramp(latents) > 0) * winding) * self.config.knee
        return ring, torch.sinh(winding) * self.config.stream_knee

    def _scale(self, like: torch.Tensor) -> torch.Tensor:
        # not a buffer: on ZeroGPU loops are decoded where their latents lie, which is not where the networks are
        return like.new_tensor(self.config.standard_deviation).view(1, 4, 1, 1, 1)

    def picture_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        return latent_grid(height, width, self.config.short_side)

    def encode(self, frames: torch.Tensor, mask: torch.Tensor | None = None, flow: Flow = dis_flow) -> torch.Tensor:
        """Displacements of a clip, by dense optical flow to its first frame, layer by layer."""
        batch, _, count, height, width = frames.shape
        size = self.latent_size(height, width)
        displacement = torch.zeros(batch, 4, count, *size, device=frames.device)
        if count == 1:
            return displacement
        masks = (frames.new_ones(batch, 1, height, width) if mask is None else mask).float()
        for clip, grey, moves in zip(frames, masks, displacement):
            moved = -flow(clip) / min(height, width)  # (N-1, 2, H, W)
            inside = warp(grey.expand(count - 1, -1, -1, -1), moved)
            layers = [_pool(moved, weight, size) for weight in (inside, 1 - inside)]
            moves[:, 1:] = torch.cat(layers, dim=1).transpose(0, 1)
        return self.compress(displacement)

    def static_code(self, image: torch.Tensor) -> torch.Tensor:
        return static_code(image.float(), self.latent_size(*image.shape[-2:]))

    def progress(self, num_frames: int) -> float:
        """Latent of the reference stream's winding after so many frames, before division by the standard deviation."""
        return math.asinh(REFERENCE * (num_frames - 1) / NATIVE_FPS / self.config.stream_knee)

    def noise(self, white: torch.Tensor, text_tokens: torch.Tensor, latent_mask: torch.Tensor) -> torch.Tensor:
        return self.prior(text_tokens, latent_mask).sample(white, self.progress(white.shape[2]))

    def constrain(self, clean: torch.Tensor) -> torch.Tensor:
        """Bring an estimate to the nearest that can be motion: zero at frame 0, no harmonics above `passed`."""
        ring, winding = self._filtered(clean, self.config.passed)
        return self.compress(ring + _ramp(ring) * winding)

    def decode_motion(self, latents: torch.Tensor) -> Motion:
        """The motion of one loop's latents (4, N, h, w), filtered once. Nothing goes back into latents afterwards.

        Windings are as they were sampled: `motion.edits.drop_drift` tells streams from drift.
        """
        ring, winding = self._filtered(latents[None].float(), PASSED, order=2)
        ring, winding = (part[0].transpose(0, 1).unflatten(1, (2, 2)).cpu().numpy() for part in (ring, winding))
        return Motion(ring - ring[:1], winding[0])

    def _filtered(self, latents: torch.Tensor, passed: tuple[float, float], order: int = 1) -> tuple[torch.Tensor, ...]:
        """Latents (B, 4, N, h, w) → ring and winding in short sides, the ring without its quick harmonics.

        Up to the first frequency of `passed`, in hertz, all passes, beyond the second nothing; between, the gain falls as a
        raised cosine to the power `order`. Frame 0 counts as zero, as sampling holds it.
        """
        ring, winding = self.expand(latents.clamp(-MAX_LATENT, MAX_LATENT))
        ring = torch.cat([torch.zeros_like(ring[:, :, :1]), ring[:, :, 1:]], dim=2)
        period = ring.shape[2] - 1
        spectrum = torch.fft.rfft(ring[:, :, :-1], dim=2)
        frequency = torch.arange(spectrum.shape[2], device=ring.device) * NATIVE_FPS / period  # hertz
        low, high = passed
        gain = 0.5 + 0.5 * torch.cos(torch.pi * ((frequency - low) / (high - low)).clamp(0, 1))
        gain[:2] = 1  # one round of the loop passes, however short the loop
        ring = torch.fft.irfft(spectrum * gain.view(1, 1, -1, 1, 1) ** order, n=period, dim=2)
        return torch.cat([ring, ring[:, :, :1]], dim=2), winding


def _ramp(clip: torch.Tensor) -> torch.Tensor:
    """The share of a clip (B, C, N, h, w) that has passed at each of its frames, (1, 1, N, 1, 1)."""
    return torch.linspace(0, 1, clip.shape[2], device=clip.device, dtype=clip.dtype).view(1, 1, -1, 1, 1)


def _pool(field: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Weighted mean of fields (B, 2, H, W) in each latent cell; cells without weight take their neighbours'."""
    total, mass = F.interpolate(field * weight, size=size, mode="area"), F.interpolate(weight, size=size, mode="area")
    for _ in range(sum(size)):  # as far as a weight anywhere has to spread
        empty = mass <= 1e-3
        if not empty.any():
            break
        total, mass = (torch.where(empty, F.avg_pool2d(part, 3, stride=1, padding=1), part) for part in (total, mass))
    return total / mass.clamp(min=1e-6)
