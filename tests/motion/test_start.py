import numpy as np
import pytest

from loopanimate.motion.start import TRIES, candidates, choose_start
from tests.motion.motions import circle, of_ring

ALL = np.stack([np.ones((12, 12), np.float32), np.zeros((12, 12), np.float32)])
ANGLE = 2 * np.pi * np.arange(35) / 34


def along_x(path: np.ndarray, drift: float = 0.0):
    ring = np.zeros((35, 2, 12, 12), np.float32)
    ring[:, 0] = (path - path[0])[:, None, None]
    ring[-1] = ring[0]
    return of_ring(ring, np.array([drift, 0.0])[:, None, None])


def start(motion, headings=(None, None), **options):
    return choose_start(motion, lambda shown: shown, ALL, headings, **options)


def test_a_loop_begins_where_it_neither_rests_nor_jerks():
    resting = along_x(0.02 * np.cos(ANGLE))  # frame 0 is its end, where it turns back
    begun = start(resting)
    path = begun.ring[:, 0, 0, 0, 0]
    steps = np.abs(np.diff(path))
    assert steps[-1] > np.quantile(steps, 0.05) and path.min() < -path.max()  # to the left, as before
    moved = resting.ring[:-1, 0, 0, 0, 0]
    shifts = [np.roll(moved, -first) - moved[first] for first in range(34)]
    assert min(np.abs(shift - path[:-1]).max() for shift in shifts) < 1e-6  # the same curve
    passing = along_x(0.02 * np.sin(2 * ANGLE + 0.4), drift=0.1)
    assert np.array_equal(start(passing).ring, passing.ring)


@pytest.mark.parametrize("heading, sign", [(0.0, 1), (180.0, -1)])
def test_a_loop_first_goes_where_words_say(heading, sign):
    both = 0.02 * (np.sin(ANGLE) + 0.3 * np.sin(2 * ANGLE))  # as far to the right as to the left
    path = sign * start(along_x(both), (heading, None)).ring[:, 0, 0, 0, 0]
    assert path.max() > 2 * -path.min() and np.ptp(path) == pytest.approx(np.ptp(both), abs=1e-4)
    steps = np.abs(np.diff(path))
    assert steps[-1] > np.quantile(steps, 0.05)


def test_candidates_are_tried_until_one_is_proved():
    motion, seen = circle(shape=(12, 12)), []

    def third(shown):
        seen.append(shown)
        return len(seen) == 3

    begun = start(motion, proves=third)
    assert begun is seen[2] and len(seen) == 3
    seen.clear()
    best = start(motion, proves=lambda shown: seen.append(shown))  # none passes: the best, unproved
    assert 3 < len(seen) <= TRIES and np.array_equal(best.ring, seen[0].ring)


def test_the_choice_is_made_on_what_will_be_shown():
    """The hidden layer's motion must not decide: shown, it rests."""
    front, hidden = along_x(0.02 * np.cos(ANGLE)), 0.5 * np.sin(3 * ANGLE)[:, None, None, None]
    motion = front.replace(1, np.broadcast_to(hidden - hidden[0], (35, 2, 12, 12)) * (np.arange(35) < 34)[:, None, None, None])
    half = np.full_like(ALL, 0.5)
    shown = choose_start(motion, lambda each: each.replace(1, 0, 0), half, (None, None))
    alone = choose_start(front, lambda each: each, half, (None, None))
    assert np.array_equal(shown.ring[:, 0], alone.ring[:, 0])


def test_short_loops_and_hops_may_begin_at_their_first_frame():
    assert candidates(circle(frames=5, shape=(12, 12)), ALL, (None, None)) == [0]
    ranked = candidates(circle(shape=(12, 12)), ALL, (270.0, None), hops=True)
    assert 0 in ranked and len(set(ranked)) == len(ranked)
