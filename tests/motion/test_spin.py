"""Wheels that turn on and on."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from loopanimate.motion.border import ALL_BORDERS
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import edits_to_show, limit
from loopanimate.motion.spin import Spin, is_clear, moments, spin, spins_of
from loopanimate.words.intent import STILL, Intent

FREE = ((False, False), (False, False))
TURNS = Intent(frozenset({"turn"}), rounds=0.25)


def oval(axes=(120, 70), angle=25.0, middle=(290, 210), size=(400, 600)) -> np.ndarray:
    """A wheel seen askew, (H, W) in [0, 1]."""
    mask, fine = np.zeros(size, np.uint8), 8
    cv2.ellipse(mask, *(tuple(fine * number for number in pair) for pair in (middle, axes)), angle, 0, 360, 255, -1, shift=3)
    return cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 1)


def sampled(period=34) -> Motion:
    ring = np.random.default_rng(0).normal(0, 0.01, (period + 1, 2, 2, 12, 18)).astype(np.float32)
    ring[[0, -1]] = 0
    return Motion(ring, np.zeros(ring.shape[1:], np.float32))


def moved(motion: Motion, points: np.ndarray, size=(400, 600)) -> np.ndarray:
    """Displacement (N, 2, P) of layer 0 in pixels at points (P, 2) in pixels; the field of a turn is a plane."""
    rows, columns = motion.winding.shape[-2:]
    y, x = np.mgrid[0:rows, 0:columns]
    x, y = (x.ravel() + 0.5) * size[1] / columns, (y.ravel() + 0.5) * size[0] / rows
    flat = motion.ring[:, 0].reshape(-1, rows * columns).T.astype(np.float64) * min(size)
    plane, rest, *_ = np.linalg.lstsq(np.stack([x, y, np.ones_like(x)], axis=1), flat, rcond=None)
    assert rest.max(initial=0) < 1e-3
    return (np.c_[points, np.ones(len(points))] @ plane).T.reshape(-1, 2, len(points))


def test_moments_are_of_what_a_mask_shows():
    middle, spread = moments(oval())
    turn = np.deg2rad(25)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    assert np.allclose(middle, (290.5, 210.5), atol=0.1)
    assert np.allclose(spread, axes @ np.diag([120**2, 70**2]) / 4 @ axes.T, rtol=0.02)


@pytest.mark.parametrize("rounds", [1, -1, 2, -3])
def test_a_rim_turns_on_itself_and_comes_round(rounds):
    (how, none) = spins_of((replace(TURNS, rounds=rounds / 4.25), STILL), [oval()], 34)
    assert how.rounds == rounds and none is None
    motion = spin(sampled(), 0, how)
    assert not motion.ring[[0, -1], 0].any() and not motion.winding.any()
    assert np.array_equal(motion.ring[:, 1], sampled().ring[:, 1])
    along = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    turn = np.deg2rad(25)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([120.0, 70.0])

    def rim(angles):
        return (axes @ np.stack([np.cos(angles), np.sin(angles)])).T + 290.5 - np.array([0, 80])

    stood = rim(along)[None] - moved(motion, rim(along)).transpose(0, 2, 1)  # where what a frame shows there stood
    for frame, points in enumerate(stood):
        assert np.abs(points - rim(along - 2 * np.pi * rounds * frame / 34)).max() < 1.5


def test_only_what_is_whole_and_moves_turns():
    masks, intents = [oval()], (TURNS, STILL)
    assert spins_of(intents, masks, 34)[0].rounds == 1
    assert spins_of((STILL, TURNS), masks, 34) == [None, None]  # the background has no rim
    assert spins_of(intents, masks, 34, strength=0) == spins_of(intents, masks, 34, turns=lambda layer: False) == [None, None]
    assert spins_of(intents, masks, 4)[0] is None  # too few frames for a round
    assert spins_of((replace(TURNS, rounds=9.0), STILL), masks, 34)[0].rounds == 4
    assert is_clear(oval()) and not is_clear(oval(middle=(40, 210))) and not is_clear(oval(middle=(290, 105)))


def test_strength_and_folds_leave_a_turn_whole():
    how = Spin(1, np.array([0.7, 0.5]), np.eye(2) / 10, np.array([1.5, 1.0]))
    weights = np.ones((2, 12, 18), np.float32)
    whole = spin(sampled(), 0, how).ring[:, 0]
    for strength in (0.3, 2.0):
        motion = sampled()
        for edit in edits_to_show((TURNS, STILL), weights, strength, [how, None]):
            motion = edit(motion)
        assert np.array_equal(limit(motion, [FREE, ALL_BORDERS], [how, None]).ring[:, 0], whole)
