"""Measures of a loop (PAPER.md §6): the seam and motion. All take the exported ring, without the duplicate frame."""

import numpy as np


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures, in dB; infinite where equal."""
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def seam(frames: np.ndarray) -> dict[str, float]:
    """Seam step, seam jerk and seam pause of a ring of frames (K, H, W, 3).

    Step is the change into frame 0 and jerk the second differences that span the wrap, the larger of the two, each
    mean absolute and over the 95th percentile of all other places: at most 1.25 is no seam. Pause is the step over
    the 5th percentile: below 1 the loop stops there.
    """
    ring = frames.astype(np.float32)
    count = len(ring)
    steps = np.array([np.abs(ring[(k + 1) % count] - ring[k]).mean() for k in range(count)])
    # the second difference at k spans k-1, k, k+1: the wrap lies inside those at the last frame and at frame 0
    jerks = np.array([np.abs(ring[(k + 1) % count] - 2 * ring[k] + ring[k - 1]).mean() for k in range(count)])
    tiny = 1e-6
    return {
        "step": float(steps[-1] / max(np.percentile(steps[:-1], 95), tiny)),
        "jerk": float(max(jerks[0], jerks[-1]) / max(np.percentile(jerks[1:-1], 95), tiny)),
        "pause": float(steps[-1] / max(np.percentile(steps[:-1], 5), tiny)),
    }
