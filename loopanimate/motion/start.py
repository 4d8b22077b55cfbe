"""Where a loop begins: a closed curve may be cut at any frame, and the cut must be a place like any other.

The wrap must be neither a pause nor a jerk, and from it the motion should go first where words say. Displacement alone
cannot tell what a picture's contrast will show: so the best places are tried in turn until one is proved on frames.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from loopanimate.motion.curve import Motion

PASSING = (0.03, 0.97)  # quantiles of a loop's steps, by size, between which the step at the wrap has to lie
PASSING_JERK = 0.8  # quantile of its jerks that the wrap may not exceed; frames show jerks larger than displacement does
SAME_WAY = 0.7  # cosine above which two directions count as one
TOWARDS = 0.85  # cosine above which the farthest point lies in the direction that words name
BACK = 0.05  # bucket width for backward travel, as a share of forward travel; starts in one bucket count as equal
TRIES = 12  # candidates that are proved; if none passes, the best one is taken unproved


def choose_start(
    motion: Motion,
    show: Callable[[Motion], Motion],
    weights: np.ndarray,
    headings: Sequence[float | None],
    hops: bool = False,
    proves: Callable[[Motion], bool] | None = None,
) -> Motion:
    """The motion, begun at the best frame.

    Args:
        show: applies the edits between a loop and its showing: the choice is made on what will be shown.
        weights: (L, h, w) in [0, 1], how much of each cell shows each layer.
        headings: degrees in which words say that each layer leaves and comes back; None: they do not say.
        hops: the loop hops. It may begin on the ground, though every hop jerks there.
        proves: judges the wrap of a shown motion on its frames; None takes the best candidate.
    """
    shown = show(motion)
    firsts = candidates(shown, weights, headings, hops)
    if proves and motion.period > 4 and (shown.ring.any() or shown.winding.any()):
        for begun in map(motion.begin_at, firsts[:TRIES]):
            if proves(show(begun)):
                return begun
    return motion.begin_at(firsts[0])


def candidates(motion: Motion, weights: np.ndarray, headings: Sequence[float | None], hops: bool = False) -> list[int]:
    """Rank the frames that a loop may begin at, the best first; arguments as in `choose_start`. Frame 0 is always among them."""
    curve = motion.ring[:-1]  # (n, L, 2, h, w)
    if len(curve) <= 4:  # one harmonic: all its places are alike
        return [0]

    def size(change: np.ndarray) -> np.ndarray:
        return (np.linalg.norm(change, axis=2) * weights).sum((1, 2, 3))  # (n,)

    steps = size(curve - np.roll(curve, 1, axis=0) + motion.winding / motion.period)  # from k - 1 to k
    jerks = size(np.roll(curve, -1, axis=0) - 2 * curve + np.roll(curve, 1, axis=0))  # around k
    slow, fast = np.quantile(steps, PASSING)
    jerky = 1.001 * np.quantile(jerks, PASSING_JERK)  # the quantile of few frames is one of them
    fair = (slow <= steps) & (steps <= fast) & (np.maximum(np.roll(jerks, 1), jerks) <= jerky)
    fair |= hops

    mean = (curve * weights[:, None]).sum((-2, -1))  # (n, L, 2)
    both = mean.sum(1)
    sampled = both - both[0]
    sampled = sampled[np.linalg.norm(sampled, axis=1).argmax()]  # where the loop goes as it was sampled
    wishes = [_travel(both, sampled / max(np.linalg.norm(sampled), 1e-9))[0] > SAME_WAY]
    named = [(layer, math.radians(angle)) for layer, angle in enumerate(headings) if angle is not None]
    back = np.zeros(len(curve))
    if named:
        found = [_travel(mean[:, layer], np.array([math.cos(angle), math.sin(angle)])) for layer, angle in named]
        cosine, back = np.min([each[0] for each in found], axis=0), np.max([each[1] for each in found], axis=0)
        wishes = [cosine > TOWARDS, cosine > SAME_WAY, *wishes]
    else:
        wishes.append(fair)
    away = np.minimum(np.arange(len(curve)), len(curve) - np.arange(len(curve)))  # frames from frame 0, either way
    ranked = [
        int(first)
        for wish in wishes
        for first in sorted(np.flatnonzero(fair & wish), key=lambda first: (back[first] // BACK, away[first]))
    ]
    return list(dict.fromkeys([*ranked, 0]))


def _travel(places: np.ndarray, heading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Judge paths (n, 2) that begin at each of their n frames against a heading (2,), both (n,).

    The cosine to the heading where the path is farthest from its start, and its backward travel over its forward travel.
    """
    away = places - places[:, None]  # (first, n, 2)
    along, size = away @ heading, np.linalg.norm(away, axis=-1)
    cosine = np.take_along_axis(along / np.maximum(size, 1e-9), size.argmax(1)[:, None], axis=1)[:, 0]
    return cosine, -along.min(1) / np.maximum(along.max(1), 1e-9)
