"""Can the wrap of a loop be told from its other places? Measures over many loops, with controls (train/METHOD.md §6)."""

from collections.abc import Callable

import cv2
import numpy as np
from scipy import stats

from loopanimate.metrics import is_seamless, seam
from train.sample import Sample


def flows(frames: np.ndarray) -> np.ndarray:
    """Mean size of optical flow from each frame of a ring (K, H, W, 3) to the next, in pixels, (K,).

    At every pixel: coarser flow takes a cross-fade of two phases, which moves as fast as either, for half as fast.
    """
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setFinestScale(0)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.array([np.linalg.norm(estimator.calc(a, b, None), axis=2).mean() for a, b in zip(grey, grey[1:] + grey[:1])])


def changes(frames: np.ndarray) -> np.ndarray:
    """Mean absolute change from each frame of a ring (K, H, W, 3) to the next, (K,); the last one is the wrap's."""
    ring = frames.astype(np.float32)
    return np.abs(np.roll(ring, -1, axis=0) - ring).mean((1, 2, 3))


def unpaused(steps: np.ndarray) -> np.ndarray:
    """Judge each change (K,) as if it were the wrap's: is it no pause? About 95 % of places like any other are none."""
    others = np.stack([np.delete(steps, place) for place in range(len(steps))])
    return steps >= np.percentile(others, 5, axis=1)


def uniformity(rings: list[np.ndarray]) -> float:
    """Kolmogorov-Smirnov distance to uniform of the last value's rank in its ring, over rings (K,)."""
    return float(stats.kstest([((ring[:-1] < ring[-1]).sum() + 0.5) / len(ring) for ring in rings], "uniform").statistic)


def cut(ring: np.ndarray) -> np.ndarray:
    """Cut a ring where it is farthest from its start; cut in half, a motion of two rounds would close again."""
    return ring[: max(6, 1 + int(np.abs(ring.astype(np.float32) - ring[0]).mean((1, 2, 3)).argmax()))]


def ease(ring: np.ndarray) -> np.ndarray:
    """Play a ring so that it slows to a stop at its wrap."""
    time = np.linspace(0, 1, len(ring), endpoint=False)
    return ring[np.round(len(ring) * (time - np.sin(2 * np.pi * time) / (2 * np.pi))).astype(int) % len(ring)]


# A ring → the ring with one fault, and: is the faulty ring, measured second, worse than the loop itself?
CONTROLS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[dict, dict], bool]]] = {
    "hard cut": (cut, lambda own, faulty: faulty["step"] > own["step"]),
    "doubled frame": (lambda ring: np.concatenate([ring, ring[:1]]), lambda own, faulty: faulty["pause"] < own["pause"]),
    "frozen": (lambda ring: np.repeat(ring[:1], len(ring), axis=0), lambda own, faulty: faulty["most"] < own["least"]),
    "eased to a stop": (ease, lambda own, faulty: faulty["pause"] < own["pause"]),
}


def measure(frames: np.ndarray) -> dict[str, float]:
    """`metrics.seam` of a ring, with its least and its largest change."""
    steps = changes(frames)
    return {**seam(frames), "least": float(steps.min()), "most": float(steps.max())}


def table(moving: list[Sample], periodic: list[Sample]) -> dict:
    """Rows about the seam, over loops that move, and about reversal, over those of them that come back."""
    own = [measure(sample.frames) for sample in moving]
    worse = {
        name: percent(judge(ours, measure(spoil(sample.frames))) for ours, sample in zip(own, moving))
        for name, (spoil, judge) in CONTROLS.items()
    }
    steps = [changes(sample.frames) for sample in moving]
    reversals = [sample.reversal() for sample in periodic]
    return {
        "seam step and jerk at most 1.25, no pause: percent of loops": percent(map(is_seamless, own)),
        "no pause at any other place": percent(np.concatenate([unpaused(ring)[:-1] for ring in steps])),
        "seam rank by frame change, distance to uniform": uniformity(steps),
        "seam rank by flow, distance to uniform": uniformity([flows(sample.frames) for sample in moving]),
        "reversal correlation below 0.8, percent": percent(value < 0.8 for value in reversals),
        "median reversal correlation": float(np.median(reversals)),
        "controls worse than their loop, percent": worse,
    }


def percent(verdicts) -> float:
    return 100 * float(np.mean(list(verdicts)))
