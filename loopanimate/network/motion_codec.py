"""The motion codec: a clip is how two layers of its first picture move (DESIGN.md §2)."""

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from loopanimate.metrics import is_seamless, seam
from loopanimate.motion.field import LoopField, close, held, hopping, in_place, paced, spline_at, streams, touched, turned, warp
from loopanimate.motion.hands import Directions
from loopanimate.network.noise import NoisePrior
from loopanimate.presets import NATIVE_FPS
from loopanimate.render.renderer import Renderer
from loopanimate.render.torch_renderer import TorchRenderer
from loopanimate.words.intent import form_intents
from loopanimate.words.parse import clauses, is_rigid

# Displacements span two orders of magnitude, from "barely" to a stream's progress. Latents are their inverse hyperbolic
# sine: linear below the knee, logarithmic above, so that an error is absolute in what is nearly still and relative in
# what goes far.
KNEE = 0.012  # short sides, of what comes back
STREAM_KNEE = 0.08  # short sides, of the winding
# Standard deviation of the procedural training set's latents before division by it: x, y of both layers.
STANDARD_DEVIATION = (0.62, 0.62, 0.43, 0.40)

REFERENCE = 0.02  # short sides a second, of the stream by whose progress loops of unlike length are compared

# Hertz: motion up to the first is shown whole, beyond the second not at all. While sampling, a checkpoint may keep to less:
# hops, which are made afterwards, need these harmonics to touch the ground.
PASSED = (1.7, 2.5)
PASSING = (0.03, 0.97)  # of a loop's steps, by size: those between which a wrap may lie
PASSING_JERK = 0.8  # of its jerks; frames show them larger than latents do
SAME_WAY = 0.7  # cosine
TOWARDS = 0.85  # of where it goes and what words name ...
BACK = 0.05  # of how far it goes there: what it goes the other way counts in steps of so much
PROVED_SIDE = 256  # pixels on the short side, at most, of the frames on which a wrap is proved to be no seam (`metrics.seam`)
TRIES = 12  # of beginnings, until one is proved
MAX_LATENT = 8.0  # beyond it is no motion but an overflow

Flow = Callable[[torch.Tensor], torch.Tensor]  # a clip (3, N, H, W) in [-1, 1] → dense flow (N-1, 2, H, W): see `dis_flow`


def dis_flow(clip: torch.Tensor) -> torch.Tensor:
    """Dense optical flow from each later frame of a clip (3, N, H, W) in [-1, 1] to its first, (N-1, 2, H, W) in pixels.

    frame(p) = first(p + flow). By OpenCV's dense inverse search (Kroeger et al., 2016).
    """
    first, *later = ((clip.float().mean(0) + 1) * 127.5).round().byte().cpu().numpy()
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flows = np.stack([estimator.calc(frame, first, None) for frame in later])  # (N-1, H, W, 2)
    return torch.from_numpy(flows).permute(0, 3, 1, 2).to(clip.device)


def latent_grid(height: int, width: int, short: int) -> tuple[int, int]:
    """(h, w) of a picture of that aspect: `short` cells on the short side, each side a multiple of 4."""
    long = max(short, 4 * round(short * max(width, height) / min(width, height) / 4))
    return (short, long) if width >= height else (long, short)


def static_code(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The picture at latent size: luma, two chroma differences, local contrast.

    image (B, 3, H, W) in [-1, 1] → (B, 4, h, w), each about unit variance over photographs.
    """
    height, width = size
    image = F.interpolate(image, size=(8 * height, 8 * width), mode="area")  # contrast is of the same detail anywhere
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
        return (ring + _begun(displacement) * torch.asinh(winding / self.config.stream_knee)) / self._scale(ring)

    def _scale(self, like: torch.Tensor) -> torch.Tensor:
        # no buffer: loops are drawn where they lie, which on ZeroGPU is not where the networks are
        return like.new_tensor(self.config.standard_deviation).view(1, 4, 1, 1, 1)

    def expand(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents (B, 4, N, h, w) → what comes back, the same shape, and the winding (B, 4, 1, h, w), in short sides."""
        latents = latents * self._scale(latents)
        winding = latents[:, :, -1:]
        ring = torch.sinh(latents - _begun(latents) * winding) * self.config.knee
        return ring, torch.sinh(winding) * self.config.stream_knee

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
        mask = frames.new_ones(batch, 1, height, width) if mask is None else mask
        for item in range(batch):
            moved = -flow(frames[item]) / min(height, width)  # (N-1, 2, H, W)
            inside = warp(mask[item : item + 1].float().expand(count - 1, -1, -1, -1), moved)
            layers = [_pool(moved, weight, size) for weight in (inside, 1 - inside)]
            displacement[item, :, 1:] = torch.cat(layers, dim=1).transpose(0, 1)
        return self.compress(displacement)

    def static_code(self, image: torch.Tensor) -> torch.Tensor:
        return static_code(image.float(), self.latent_size(*image.shape[-2:]))

    def progress(self, num_frames: int) -> float:
        """How far the reference stream's winding gets in so many frames, in latents before their division."""
        return math.asinh(REFERENCE * (num_frames - 1) / NATIVE_FPS / self.config.stream_knee)

    def noise(self, white: torch.Tensor, text_tokens: torch.Tensor, latent_mask: torch.Tensor) -> torch.Tensor:
        return self.prior(text_tokens, latent_mask).shaped(white, self.progress(white.shape[2]))

    def constrain(self, clean: torch.Tensor) -> torch.Tensor:
        """Curves through zero at frame 0 without harmonics above what words ask for: what is quicker is sampling noise."""
        return self.compress(self._displacement(clean, self.config.passed))

    def as_asked(
        self,
        latents: torch.Tensor,
        latent_mask: torch.Tensor,
        prompts: list[str],
        shown: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """The same curves, as words have them: turned to where they say, streams as fast as they say, held where fixed, well begun.

        A closed curve may begin anywhere: its displacement is counted from where it begins. That is a frame at which its wrap
        is no pause and no jerk, from which on it goes where words say and least the other way, or is the nearest to the first.
        With `shown`, pictures (B, 3, H, W) in [-1, 1] and masks (B, 1, H, W), that is proved on rendered frames.
        """
        asked = []
        small = [None] * len(prompts) if shown is None else zip(*map(_small, shown))
        for clip, mask, prompt, picture in zip(latents, latent_mask, prompts, small, strict=True):
            grey = mask[0].float().cpu().numpy()
            layers = np.stack([grey, 1 - grey])
            moved = self.displacement(clip)
            ring, winding = close(moved)
            seconds = (len(ring) - 1) / NATIVE_FPS
            intents = form_intents(clauses(prompt), is_rigid(prompt))
            for layer, weight, course in zip((slice(0, 2), slice(2, 4)), layers, intents, strict=True):
                if course.speed is not None:  # however little of it was sampled
                    winding[layer] = moved[-1, layer]
                if course.heading is not None:
                    ring[:, layer], winding[layer] = turned(ring[:, layer], winding[layer], weight, course.heading)
                if course.speed is not None:
                    winding[layer] = paced(winding[layer], weight, course.speed * seconds)
            how = intents[0]
            if not winding[:2].any():
                if how.hold:
                    ring[:, :2] = held(ring[:, :2], grey, how.waving)
                if how.in_place:
                    ring[:, :2] = in_place(ring[:, :2], grey)
                if how.hops is not None:
                    least, most = (max(1, round(rate * seconds)) for rate in how.hops)
                    ring[:, :2] = hopping(ring[:, :2], grey, range(least, most + 1))
            ramp = np.linspace(0, 1, len(ring), dtype=np.float32)[:, None, None, None]
            directions = Directions((), (), None, grey, intents)

            def begun(first: int) -> tuple[torch.Tensor, LoopField]:  # and as it will be shown
                rolled = np.roll(ring[:-1], -first, axis=0) - ring[first]
                moved = np.concatenate([rolled, rolled[:1]]) + ramp * winding  # (N, 4, h, w)
                clip = self.compress(torch.from_numpy(moved).transpose(0, 1)[None])[0]
                return clip, LoopField(self.displacement(clip), 1.0, directions, touched(grey))

            _, field = begun(0)
            firsts = _beginnings(field, layers, tuple(intent.way for intent in intents), how.hops is not None)
            tries = map(begun, firsts[:TRIES] if picture and any(field.moves) and field.period > 4 else [])
            asked.append(next((clip for clip, field in tries if _is_seamless(field, *picture)), begun(firsts[0])[0]))
        return torch.stack(asked).to(latents)

    def part(self, latents: torch.Tensor, part: tuple[float, float, float, float], size: tuple[int, int]) -> torch.Tensor:
        if part == (0, 0, 1, 1):
            return latents
        left, top, right, bottom = part
        height, width = self.latent_size(size[1], size[0])
        rows = spline_at(latents.shape[-2], top + (bottom - top) * (np.arange(height) + 0.5) / height)
        columns = spline_at(latents.shape[-1], left + (right - left) * (np.arange(width) + 0.5) / width)
        shorts = min(size[0] / (right - left), size[1] / (bottom - top)) / min(size)  # the whole's short side in the part's
        ring, winding = self.expand(latents[None])
        for layer in winding.split(2, dim=1):  # what has drifted may not stream in a part's larger short sides
            layer *= streams(layer[0, :, 0].cpu().numpy())
        moved = torch.from_numpy(shorts * rows).to(ring) @ (ring + _ramp(ring) * winding) @ torch.from_numpy(columns.T).to(ring)
        return self.compress(moved)[0]

    def _displacement(self, latents: torch.Tensor, passed: tuple[float, float]) -> torch.Tensor:
        """Latents → displacement in short sides, both (B, 4, N, h, w), constrained; frame 0 counts as zero, as it is held."""
        ring, winding = self.expand(latents.clamp(-MAX_LATENT, MAX_LATENT))
        ring = torch.cat([torch.zeros_like(ring[:, :, :1]), ring[:, :, 1:]], dim=2)
        frames = ring.shape[2]
        spectrum = torch.fft.rfft(ring[:, :, :-1], dim=2)
        frequency = torch.arange(spectrum.shape[2], device=ring.device) * NATIVE_FPS / (frames - 1)  # hertz
        low, high = passed
        gain = 0.5 + 0.5 * torch.cos(torch.pi * ((frequency - low) / (high - low)).clamp(0, 1))
        gain[:2] = 1  # one turn of the loop passes, however short the loop
        ring = torch.fft.irfft(spectrum * gain.view(1, 1, -1, 1, 1), n=frames - 1, dim=2)
        ring = torch.cat([ring, ring[:, :, :1]], dim=2)
        return ring + _ramp(ring) * winding

    def displacement(self, latents: torch.Tensor) -> np.ndarray:
        """Latents (4, N, h, w) of one loop → displacement (N, 4, h, w) in short sides, frame 0 all zeros."""
        moved = self._displacement(latents[None].float(), PASSED)[0].transpose(0, 1)
        return (moved - moved[:1]).cpu().numpy()

    def decode(
        self, latents: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, motion_strength: float = 1.0
    ) -> torch.Tensor:
        times = list(range(latents.shape[2]))
        clips = []
        for clip, picture, layer in zip(latents, image, mask):
            pixels = ((picture.float() / 2 + 0.5) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
            frames = self.frames(clip, pixels, layer[0].float().cpu().numpy(), times, motion_strength)
            clips.append(torch.from_numpy(np.stack(list(frames))).permute(3, 0, 1, 2))  # (3, N, H, W)
        return torch.stack(clips).to(image.device).float() / 255

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
        field = LoopField(self.displacement(latents), motion_strength, directions, touched(mask))
        on_gpu = latents.device.type == "cuda"
        renderer = TorchRenderer(image, mask, field, planar, latents.device) if on_gpu else Renderer(image, mask, field, planar)
        return map(renderer.frame, times)


def _small(values: torch.Tensor) -> np.ndarray:
    """(B, C, H, W) at PROVED_SIDE, (B, h, w, C)."""
    scale = min(1.0, PROVED_SIDE / min(values.shape[-2:]))
    small = F.interpolate(values.float(), scale_factor=scale, mode="area") if scale < 1 else values.float()
    return small.permute(0, 2, 3, 1).cpu().numpy()


def _is_seamless(field: LoopField, picture: np.ndarray, mask: np.ndarray) -> bool:
    """Is the wrap of a loop of a picture (h, w, 3) in [-1, 1] and a mask (h, w, 1) like its other places?"""
    renderer = Renderer(np.rint((picture + 1) * 127.5).astype(np.uint8), mask[..., 0], field)
    return is_seamless(seam(np.stack([renderer.frame(time) for time in range(field.period)])))


def _beginnings(field: LoopField, layers: np.ndarray, headings: tuple[float | None, ...], hops: bool = False) -> list[int]:
    """The frames from which on a loop's wrap is like any other place, the best first.

    layers: (2, h, w), how much of each is seen. headings: where words say that each goes and comes back from, in degrees.
    What hops may begin on the ground, where every hop jerks.
    """
    curve = field.ring[:-1]  # (n, 4, h, w)
    if len(curve) <= 4:  # one harmonic: its places are alike
        return [0]
    onward = np.repeat(field.turns, 2)[:, None, None] * field.winding / field.period

    def size(change: np.ndarray) -> np.ndarray:
        return (np.hypot(change[:, 0::2], change[:, 1::2]) * layers).sum((1, 2, 3))  # (n,)

    steps = size(curve - np.roll(curve, 1, axis=0) + onward)  # from k - 1 to k
    jerks = size(np.roll(curve, -1, axis=0) - 2 * curve + np.roll(curve, 1, axis=0))  # around k
    slow, fast = np.quantile(steps, PASSING)
    jerky = 1.001 * np.quantile(jerks, PASSING_JERK)  # the quantile of few frames is one of them
    fair = (slow <= steps) & (steps <= fast) & (np.maximum(np.roll(jerks, 1), jerks) <= jerky)
    fair |= hops

    def course(places: np.ndarray, heading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of ways (n, 2) from each frame, (n,): where they are farthest, the cosine to a heading (2,); how far back they go."""
        away = places - places[:, None]  # (first, n, 2)
        along, size = away @ heading, np.linalg.norm(away, axis=-1)
        cosine = np.take_along_axis(along / np.maximum(size, 1e-9), size.argmax(1)[:, None], axis=1)[:, 0]
        return cosine, -along.min(1) / np.maximum(along.max(1), 1e-9)

    seen = (curve.reshape(len(curve), 2, 2, *layers.shape[1:]) * layers[:, None]).sum((-2, -1))  # (n, layer, 2)
    both = seen.sum(1)
    drawn = both - both[0]
    drawn = drawn[np.linalg.norm(drawn, axis=1).argmax()]
    near = np.minimum(np.arange(len(curve)), len(curve) - np.arange(len(curve)))
    wishes, back = [course(both, drawn / max(np.linalg.norm(drawn), 1e-9))[0] > SAME_WAY], np.zeros(len(curve))
    named = [(layer, math.radians(angle)) for layer, angle in enumerate(headings) if angle is not None]
    if named:
        found = [course(seen[:, layer], np.array([math.cos(angle), math.sin(angle)])) for layer, angle in named]
        cosine, back = np.min([each[0] for each in found], axis=0), np.max([each[1] for each in found], axis=0)
        wishes = [cosine > TOWARDS, cosine > SAME_WAY, *wishes]
    else:
        wishes.append(fair)
    ranked = [
        first
        for wish in wishes
        for first in sorted(np.flatnonzero(fair & wish), key=lambda first: (back[first] // BACK, near[first]))
    ]
    return list(dict.fromkeys([*map(int, ranked), 0]))


def _ramp(clip: torch.Tensor) -> torch.Tensor:
    """The share of a clip (B, C, N, h, w) that has passed at each of its frames, (1, 1, N, 1, 1)."""
    return torch.linspace(0, 1, clip.shape[2], device=clip.device, dtype=clip.dtype).view(1, 1, -1, 1, 1)


def _begun(clip: torch.Tensor) -> torch.Tensor:
    """1 in each frame of a clip (B, C, N, h, w) after the first, (1, 1, N, 1, 1)."""
    return (torch.arange(clip.shape[2], device=clip.device) > 0).to(clip.dtype).view(1, 1, -1, 1, 1)


def _pool(field: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Weighted mean of fields (B, 2, H, W) in each latent cell; cells without weight take their neighbours'."""
    total, mass = F.interpolate(field * weight, size=size, mode="area"), F.interpolate(weight, size=size, mode="area")
    for _ in range(sum(size)):
        if (mass > 1e-3).all():
            break
        spread = [F.avg_pool2d(part, 3, stride=1, padding=1) for part in (total, mass)]
        empty = mass <= 1e-3
        total, mass = torch.where(empty, spread[0], total), torch.where(empty, spread[1], mass)
    return total / mass.clamp(min=1e-6)
