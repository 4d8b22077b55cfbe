"""ALSS, the Asymmetric Loop Sampling Strategy (train/METHOD.md §2, eq. 3-4), drawn exactly uniformly."""

import random
from functools import cache

STRIDE = 6  # s, source-video frames between forward samples
BACKWARD_STEPS = (2, 4, 6, 8)


@cache
def count_sequences(steps: int, total: int) -> int:
    """Count the sequences of `steps` steps out of {2, 4, 6, 8} that sum to `total`."""
    if steps == 0:
        return int(total == 0)
    return sum(count_sequences(steps - 1, total - step) for step in BACKWARD_STEPS if step <= total)


def loop_indices(f: int, rng: random.Random, stride: int = STRIDE) -> list[int]:
    """Draw the source-frame indices of one loop of N = 2f - 1 frames: forward by `stride`, back by random steps.

    The first and the last index are 0; the one in the middle is the far end, stride * (f - 1). The way back is drawn uniformly
    among *all* step sequences that lead to 0: each step is weighted by the number of ways to finish after it.

    Raises ValueError for less than 2 forward frames and for a stride from which the steps cannot return.
    """
    if f < 2:
        raise ValueError(f"expected at least 2 forward frames, got {f}")
    position = stride * (f - 1)
    indices = list(range(0, position + 1, stride))
    for left in range(f - 2, -1, -1):
        weights = [count_sequences(left, position - step) if step <= position else 0 for step in BACKWARD_STEPS]
        if not any(weights):
            raise ValueError(f"expected a stride that steps of {BACKWARD_STEPS} can return, got {stride}")
        position -= rng.choices(BACKWARD_STEPS, weights)[0]
        indices.append(position)
    return indices
