import itertools
import random
from collections import Counter

import pytest

from train.loop_sampling import BACKWARD_STEPS, count_sequences, loop_indices


@pytest.mark.parametrize("f", [8, 11, 18])
def test_meets_equation_4(f):
    for seed in range(50):
        indices = loop_indices(f, random.Random(seed))
        steps = [a - b for a, b in zip(indices[f - 1 :], indices[f:])]
        assert indices[:f] == list(range(0, 6 * f, 6))
        assert len(indices) == 2 * f - 1 and indices[-1] == 0
        assert set(steps) <= set(BACKWARD_STEPS) and sum(steps) == 6 * (f - 1)


def test_counts_all_sequences():
    for steps, total in ((3, 18), (4, 24), (5, 16)):
        brute = sum(sum(steps_) == total for steps_ in itertools.product(BACKWARD_STEPS, repeat=steps))
        assert count_sequences(steps, total) == brute


def test_draws_are_uniform():
    rng = random.Random(0)
    sequences = [s for s in itertools.product(BACKWARD_STEPS, repeat=4) if sum(s) == 24]
    draws = 400 * len(sequences)
    seen = Counter(tuple(a - b for a, b in itertools.pairwise(i[4:])) for i in (loop_indices(5, rng) for _ in range(draws)))
    assert set(seen) == set(sequences)
    chi_square = sum((seen[s] - 400) ** 2 / 400 for s in sequences)
    freedom = len(sequences) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


def test_refuses_what_cannot_return():
    with pytest.raises(ValueError, match="stride"):
        loop_indices(5, random.Random(0), stride=9)
