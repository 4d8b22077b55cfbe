"""One sampled loop and what can be measured of it: its displacement as sampled and as shown, and its frames."""

from functools import cached_property

import cv2
import numpy as np
from PIL import Image

from loopanimate.loop import MotionLoop
from loopanimate.motion.border import border_fade, border_reach
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import drop_drift
from loopanimate.motion.spline import spline_matrix

SMOOTH_HARMONICS = 7  # of a curve; what quicker ones add is jitter


class Movement:
    """How a loop moves: displacement (N, L, 2, h, w) in short sides, and its means over layers, by `weights` (L, h, w)."""

    def __init__(self, motion: Motion, weights: np.ndarray):
        self.displacement = motion.unrolled()
        self.share = weights / np.maximum(weights.sum((-2, -1), keepdims=True), 1e-6)
        self.mean = (self.displacement * self.share[:, None]).sum((-2, -1))  # (N, L, xy)
        self.size = self._mean_size(self.displacement)

    def _mean_size(self, displacement: np.ndarray) -> np.ndarray:
        return (np.linalg.norm(displacement, axis=2) * self.share).sum((-2, -1))  # (N, L)

    def peak(self, layer: int = 0) -> float:
        """Mean size of a layer's displacement where it is largest."""
        return float(self.size[:, layer].max())

    def jitter(self, layer: int) -> float:
        """Mean size of a layer's displacement beyond its first harmonics."""
        ring = self.displacement[:-1] - np.linspace(0, 1, len(self.size))[:-1, None, None, None, None] * self.displacement[-1]
        spectrum = np.fft.rfft(ring, axis=0)
        spectrum[:SMOOTH_HARMONICS] = 0
        return float(self._mean_size(np.fft.irfft(spectrum, n=len(ring), axis=0))[:, layer].mean())

    def crossings(self) -> int:
        """How often the salient layer's mean displacement, along its main axis, crosses its own mean."""
        centred = self.mean[:-1, 0] - self.mean[:-1, 0].mean(0)
        curve = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        return int((np.sign(curve) != np.sign(np.roll(curve, 1))).sum())


class Sample:
    """A loop, as the motion that was sampled for it (`sampled`) and as the motion that is shown, after all edits (`shown`)."""

    def __init__(self, loop: MotionLoop, sampled: Motion):
        self.loop, self.field = loop, loop.field(loop.view())
        turns = np.array(self.field.turns, np.float32)[:, None, None, None]
        inside = cv2.resize(loop.mask, self.field.ring.shape[:-3:-1], interpolation=cv2.INTER_AREA)
        self.inside = inside.astype(np.float32)  # (h, w), how much of each cell the mask fills
        weights = np.stack([self.inside, 1 - self.inside])
        self.sampled = Movement(drop_drift(sampled, keep=(False, False)), weights)
        self.shown = Movement(Motion(self.field.ring, self.field.winding * turns), weights)

    @cached_property
    def frames(self) -> np.ndarray:
        """The ring at the native rate, (N-1, H, W, 3) uint8."""
        return np.stack(list(self.loop.frames(range(self.field.period))))

    @property
    def core(self) -> np.ndarray:
        """(h, w) bool: cells that the mask mostly fills; where it is thinner than a cell, the cells that it fills most."""
        return self.inside > 0.5 * self.inside.max()

    def reversal(self) -> float:
        """Correlation of the salient layer's motion with itself played backwards: 1 is a ping-pong."""
        inside = self.shown.displacement[:, 0][..., self.core]  # (N, 2, cells)
        centred = inside - inside.mean(0)
        return float((centred * centred[::-1]).sum() / max((centred**2).sum(), 1e-12))

    def taking_part(self) -> float:
        """Share of the mask's cells that move at least a fifth of what the layer does on average."""
        sizes = np.linalg.norm(self.shown.displacement[:, 0], axis=1).max(0)[self.core]
        return float((sizes > 0.2 * sizes.mean()).mean())

    def sharpness(self) -> float:
        """Detail inside the mask in the frame that moves most, over that of a Lanczos warp of the picture by the same field."""
        mask, picture = self.loop.mask, np.asarray(self.loop.picture)
        time = int(self.shown.size[:-1, 0].argmax())
        rows, columns = (spline_matrix(cells, pixels) for cells, pixels in zip(self.inside.shape, mask.shape))
        fade = border_fade(*mask.shape, border_reach(self.field.reach), self.field.borders[0]) * min(mask.shape)  # to pixels
        across, down = (rows @ axis @ columns.T * fade for axis in self.field.at(time)[0][0])
        y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
        options = {"interpolation": cv2.INTER_LANCZOS4, "borderMode": cv2.BORDER_REPLICATE}
        warped = cv2.remap(picture, x - across.astype(np.float32), y - down.astype(np.float32), **options)
        deep = cv2.erode((mask > 0.9).astype(np.uint8), np.ones((9, 9))) > 0
        ours, theirs = (
            cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[deep].var()
            for frame in (self.frames[time], warped)
        )
        return float(ours / theirs)

    def sheet(self) -> Image.Image:
        """Eight frames with the prompt, and below them a row of pixels over time, for two rounds of the loop."""
        frames = self.frames
        shown = [cv2.resize(frames[len(frames) * k // 8], None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA) for k in range(8)]
        sheet = np.concatenate([np.concatenate(shown[:4], axis=1), np.concatenate(shown[4:], axis=1)])
        rows = np.flatnonzero(self.core.any(1))
        row = int((rows.mean() + 0.5) / self.core.shape[0] * frames.shape[1])
        slices = np.concatenate([frames[:, row], frames[:, row]])  # (2 (N-1), W, 3), time downwards
        slices = cv2.resize(slices, (sheet.shape[1], 4 * len(frames)), interpolation=cv2.INTER_NEAREST)
        title = np.full((26, sheet.shape[1], 3), 255, np.uint8)
        prompt = self.loop.settings.request.prompt[:90]
        cv2.putText(title, prompt, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        return Image.fromarray(np.concatenate([title, sheet, slices]))
