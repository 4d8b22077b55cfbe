"""The field that is drawn: a loop's motion at any time, as a spline through its frames and cross-fades of its streams."""

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline

from loopanimate.motion.border import Borders, smoothstep
from loopanimate.motion.curve import Motion
from loopanimate.motion.faces import Face

MAX_WINDING = 0.06  # short sides between the two phases that are cross-faded: more would ghost, or fold at rims
EVEN = 4  # native frames; a cross-fade that is shorter grows evenly, a longer one eases in and out the more, the longer it is
MEAN_SIGMA = 40  # short sides over the deviation of the blur that gives a stream's local mean
ALIKE = 2.0  # the rest of a photograph, beside its local mean, correlates by exp(-2 r) at a distance of r such deviations


def turns_of(winding: np.ndarray) -> int:
    """Cross-fades in one loop of a layer whose winding is (2, h, w): the winding of each stays below MAX_WINDING."""
    return max(1, int(np.ceil(np.hypot(*winding).max() / MAX_WINDING)))


class Field:
    """A motion as it is drawn, edits applied.

    A stream shows its picture twice, moved by its displacement d and by d - winding, and cross-fades from the one to the
    other `turns[layer]` times a loop, so often that the winding of one turn stays below MAX_WINDING.

    Attributes, all in short sides: winding (L, 2, h, w) of one turn; turns, even, reaches, borders, spins (whether it
    turns round and round, so that a part of its displacement is no motion), moves_itself (whether its own motion moves it) and
    moves (whether that or a face in it does): one item a layer; reach: the farthest that a motion goes; curve: the ring as a
    periodic spline over native frames; near: inverse depth of the layers (L, h, w) in [0, 1], where it is known; faces: what
    faces do within their layers, before these move.
    """

    def __init__(
        self,
        motion: Motion,
        borders: Sequence[Borders],
        near: np.ndarray | None = None,
        faces: Sequence[Face] = (),
        spins: Sequence[bool] = (),
    ):
        self.near, self.faces = near, tuple(faces)
        self.borders, self.period, self.layers = tuple(borders), motion.period, motion.num_layers
        self.spins = list(spins) or [False] * self.layers
        self.turns = [turns_of(winding) for winding in motion.winding]
        self.even = [min(1.0, EVEN * turns / self.period) for turns in self.turns]
        self.winding = motion.winding / np.array(self.turns, np.float32)[:, None, None, None]
        self.ring = motion.ring
        self.curve = CubicSpline(np.arange(len(motion.ring)), motion.ring, axis=0, bc_type="periodic")
        ends = np.concatenate([motion.ring + self.winding, motion.ring - self.winding])
        self.reaches = [float(reach) for reach in np.linalg.norm(ends, axis=2).max((0, 2, 3))]
        self.reach = max(self.reaches)
        self.moves_itself = [reach > 1e-5 for reach in self.reaches]
        self.moves = [
            itself or any(layer in face.layers for face in self.faces) for layer, itself in enumerate(self.moves_itself)
        ]

    def streams(self, layer: int) -> bool:
        return bool(self.winding[layer].any())

    def at(self, time: float) -> tuple[np.ndarray, tuple[float, ...]]:
        """Displacement d (L, 2, h, w) at `time` in native frames, and each layer's weight in [0, 1] of its second phase.

        The second phase of a stream is the picture moved by d - winding.
        The weight grows from none to all in each turn. Growing evenly changes frames evenly but shows where it turns
        around, the more the longer a turn is: so it eases in and out, except for the share `even`.
        """
        share = (time / self.period) % 1.0
        phases = [(share * turns) % 1.0 for turns in self.turns]
        weights = tuple(even * phase + (1 - even) * smoothstep(phase) for phase, even in zip(phases, self.even))
        if share == 0:
            return np.zeros_like(self.winding), weights
        passed = np.array(phases)[:, None, None, None] * self.winding
        return (self.curve(share * self.period) + passed).astype(np.float32), weights
