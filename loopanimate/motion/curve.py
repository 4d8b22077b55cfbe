"""A loop's motion: how the layers of a picture move, as a closed curve plus what flows on for ever.

Displacement is how content moves: what is shown at p stood at p - d(p). It is in short sides of the picture. A *stream* is
a layer that never turns back: besides its ring it has a *winding*, how far it travels in one loop.
"""

from dataclasses import dataclass, replace

import numpy as np

from loopanimate.motion.spline import latent_grid, spline_at, spline_matrix


@dataclass(frozen=True)
class Motion:
    """Layers front to back, the background last; arrays are float32 and are never written to."""

    ring: np.ndarray  # (N, L, 2, h, w), zero at the first and the last of N frames
    winding: np.ndarray  # (L, 2, h, w), zero for what comes back

    @property
    def period(self) -> int:
        """Native frames in one loop, N - 1."""
        return len(self.ring) - 1

    @property
    def num_layers(self) -> int:
        return len(self.winding)

    def streams(self, layer: int) -> bool:
        return bool(self.winding[layer].any())

    def replace(self, layer: int, ring: np.ndarray | None = None, winding: np.ndarray | None = None) -> "Motion":
        """The motion with one layer's ring (N, 2, h, w), winding (2, h, w) or both replaced."""
        changed = {}
        if ring is not None:
            changed["ring"] = self.ring.copy()
            changed["ring"][:, layer] = ring
        if winding is not None:
            changed["winding"] = self.winding.copy()
            changed["winding"][layer] = winding
        return replace(self, **changed)

    def unrolled(self) -> np.ndarray:
        """Displacement (N, L, 2, h, w) from frame 0, streams carried along."""
        ramp = np.linspace(0, 1, len(self.ring), dtype=np.float32)
        return self.ring + ramp[:, None, None, None, None] * self.winding

    def begin_at(self, first: int) -> "Motion":
        """The same closed curve, displacement counted from frame `first`, which becomes frame 0."""
        rolled = np.roll(self.ring[:-1], -first, axis=0) - self.ring[first]
        return replace(self, ring=np.concatenate([rolled, rolled[:1]]))

    def flip(self) -> "Motion":
        """The motion of the picture upside down."""
        upright = np.array([1, -1], np.float32)[:, None, None]
        return Motion(self.ring[..., ::-1, :] * upright, self.winding[..., ::-1, :] * upright)

    def refine(self, factor: int) -> "Motion":
        """The same motion on a grid of `factor` times as many cells each way."""
        rows, columns = (spline_matrix(cells, factor * cells) for cells in self.winding.shape[-2:])
        return Motion(*(rows @ values @ columns.T for values in (self.ring, self.winding)))

    def crop(self, part: tuple[float, float, float, float], size: tuple[int, int]) -> "Motion":
        """The motion of a part of the picture on a grid of its own, in short sides of the part.

        part: left, top, right, bottom in fractions of the picture. size: (width, height) of the part as it is shown.
        """
        if part == (0, 0, 1, 1):
            return self
        left, top, right, bottom = part
        height, width = latent_grid(size[1], size[0], min(self.winding.shape[-2:]))
        rows = spline_at(self.winding.shape[-2], top + (bottom - top) * (np.arange(height) + 0.5) / height)
        columns = spline_at(self.winding.shape[-1], left + (right - left) * (np.arange(width) + 0.5) / width)
        scale = min(size[0] / (right - left), size[1] / (bottom - top)) / min(size)  # short side of the whole over the part's
        return Motion(*(np.float32(scale) * (rows @ values @ columns.T) for values in (self.ring, self.winding)))
