"""Wheels that turn on and on: whole rounds a loop about the middle of their mask, as seen askew where that is an ellipse.

A wheel seen askew is the shadow of a circle, and which one follows from its mask's second moments: with their square root A, a
turn by an angle carries the middle's surroundings by A R A^-1, R the rotation. All of the field turns: what lies beyond the rim
is not seen, and would come in if it were held back.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from loopanimate.motion.border import TOUCHING
from loopanimate.motion.curve import Motion
from loopanimate.presets import NATIVE_FPS
from loopanimate.words.intent import Intent

LEAST = 8  # native frames of a round
ROUND = 0.88  # overlap with an ellipse from which a mask is one; a square has 0.86
EVEN = 0.5  # least reach over the largest from which what is painted is one wheel, whatever it leaves out
MARGIN = 1 / 12  # short sides: a cell of the coarsest grid


@dataclass(frozen=True)
class Spin:
    """How one layer turns; lengths are short sides of the picture."""

    rounds: int  # a loop, clockwise
    middle: np.ndarray  # (2,), x then y
    shape: np.ndarray  # (2, 2), from a circle's points about zero to the wheel's about its middle
    sides: np.ndarray  # (2,), of the picture


def moments(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle (2,) and covariance (2, 2) of what a mask (H, W) in [0, 1] shows, in pixels, x then y."""
    rows, columns = mask.sum(1, dtype=np.float64), mask.sum(0, dtype=np.float64)
    whole, (height, width) = max(rows.sum(), 1e-9), mask.shape
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    middle = np.array([columns @ x, rows @ y]) / whole
    x, y = x - middle[0], y - middle[1]
    across = y @ (mask @ x)
    return middle, np.array([[columns @ x**2, across], [across, rows @ y**2]]) / whole


def is_clear(mask: np.ndarray) -> bool:
    """Whether a wheel's mask (H, W) keeps clear of the picture's borders.

    What one cuts cannot turn, as what would come in is not there. Nor can what comes as near as a cell of the motion's grid:
    past the middle of the outermost cell a displacement is constant, and would show a piece of the wheel again.
    """
    shown, margin = mask > TOUCHING, math.ceil(MARGIN * min(mask.shape))
    return not any(part[:margin].any() or part[-margin:].any() for part in (shown, shown.T))


def is_even(mask: np.ndarray) -> bool:
    """Whether a mask (H, W) reaches about its middle to all sides: four sails do, a bar or two wheels side by side do not."""
    least, most = np.linalg.eigvalsh(moments(mask)[1])
    return bool(least > EVEN**2 * most)


def is_round(mask: np.ndarray) -> bool:
    """Whether a mask (H, W) fills an ellipse, the one with its middle and its second moments."""
    middle, spread = moments(mask)
    if np.linalg.det(spread) < 1:  # square pixels
        return False
    x, y = (np.arange(side) + 0.5 - at for side, at in zip(mask.shape[::-1], middle))
    (xx, xy), (_, yy) = np.linalg.inv(spread)
    inside = xx * x**2 + 2 * xy * np.multiply.outer(y, x) + (yy * y**2)[:, None] <= 4  # a disc's radius is two deviations
    return bool(np.minimum(mask, inside).sum() > ROUND * np.maximum(mask, inside).sum())


def is_held(mask: np.ndarray, points: Iterable[Sequence[float]], frozen: np.ndarray | None) -> bool:
    """Whether a hand is on a wheel: points in fractions of the picture, x and y first, or a place that stays, as large as it."""
    height, width = mask.shape
    touched = any(mask[int(y * (height - 1)), int(x * (width - 1))] > 0.5 for x, y, *_ in points)
    return touched or frozen is not None and float((mask * frozen).max()) >= 0.5


def spins_of(
    intents: Sequence[Intent],
    masks: Sequence[np.ndarray],
    period: int,
    strength: float = 1.0,
    turns: Callable[[int], bool] = lambda layer: True,
) -> list[Spin | None]:
    """How each layer turns in a loop of `period` native frames, by the masks of all but the last; None for what does not.

    turns: which layers may, as nothing else holds or cuts them.
    """
    spins: list[Spin | None] = [None] * len(intents)
    most = period // LEAST if strength > 0 else 0
    for layer, (intent, mask) in enumerate(zip(intents, masks)):
        if not most or not intent.rounds or not turns(layer):
            continue
        count = min(max(1, round(abs(intent.rounds) * period / NATIVE_FPS)), most)
        (middle, spread), short = moments(mask), min(mask.shape)
        size, axes = np.linalg.eigh(spread)
        shape = axes * np.sqrt(np.maximum(size, 1e-6))
        shape *= [1, np.sign(np.linalg.det(shape))]  # a mirrored circle would turn the other way
        sides = np.array(mask.shape[::-1]) / short
        spins[layer] = Spin(int(math.copysign(count, intent.rounds)), middle / short, shape / short, sides)
    return spins


def spin(motion: Motion, layer: int, how: Spin) -> Motion:
    """Turn a layer round and round; what was sampled of it is left out."""
    rows, columns = motion.winding.shape[-2:]
    x, y = ((np.arange(count) + 0.5) / count * side for count, side in zip((columns, rows), how.sides))
    offset = np.stack(np.meshgrid(x, y)) - how.middle[:, None, None]
    place = np.tensordot((1, 1j), np.tensordot(np.linalg.inv(how.shape), offset, 1), 1)
    angles = 2 * np.pi * how.rounds * (np.arange(len(motion.ring)) % motion.period) / motion.period
    moved = place - np.exp(-1j * angles)[:, None, None] * place  # at p stands what stood at p - moved
    moved = np.einsum("cd,ndhw->nchw", how.shape, np.stack([moved.real, moved.imag], axis=1))
    return motion.replace(layer, moved.astype(motion.ring.dtype), 0)
