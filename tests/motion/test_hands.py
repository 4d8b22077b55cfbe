"""Arrows, pins and frozen places, measured on the field as it is rendered."""

import numpy as np
import pytest

from loopanimate.motion.border import ALL_BORDERS, border_fade, border_reach, touched_borders
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import limit, scale, unfolded
from loopanimate.motion.field import Field
from loopanimate.motion.hands import direct, freeze
from loopanimate.motion.spline import spline_at
from loopanimate.render.renderer import Renderer
from tests.motion.motions import circle

HEIGHT, WIDTH = 96, 128


def directed(arrows=(), pins=(), frozen=None, mask=None, motion: Motion | None = None, strength: float = 1.0) -> Field:
    mask = np.ones((HEIGHT, WIDTH), np.float32) if mask is None else mask
    borders = [touched_borders(mask), ALL_BORDERS]
    motion = direct(scale(motion or circle(), strength), arrows, pins, [mask], borders)
    return Field(limit(freeze(motion, frozen) if frozen is not None else motion, borders), borders)


def shown(field: Field, x: float, y: float, layer: int = 0) -> np.ndarray:
    """Displacement (times, 2) in short sides at a point in fractions, border included, as the renderer takes it."""
    moved = np.stack([field.at(time)[0][layer] for time in np.arange(0, field.period, 0.25)])
    height, width = moved.shape[-2:]
    values = np.einsum("h,nchw,w->nc", spline_at(height, np.array([y]))[0], moved, spline_at(width, np.array([x]))[0])
    return values * border_fade(HEIGHT, WIDTH, border_reach(field.reach))[int(y * HEIGHT), int(x * WIDTH)]


@pytest.mark.parametrize("strength", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("head", [(0.56, 0.5), (0.5, 0.38), (0.45, 0.56)])
def test_the_content_reaches_the_head_and_returns(head, strength):
    field = directed(arrows=[(0.5, 0.5, *head)], strength=strength)
    wanted = (np.array(head) - 0.5) * (WIDTH / HEIGHT, 1)
    moved = shown(field, *head)
    farthest = moved[np.argmax(moved @ wanted)]
    assert np.linalg.norm(farthest - wanted) < 0.03 * np.linalg.norm(wanted)
    assert np.abs(field.at(0)[0]).max() == 0 and np.abs(field.ring[-1] - field.ring[0]).max() < 1e-6


def test_an_arrow_moves_the_layer_that_its_tail_lies_on():
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, :64] = 1
    still = circle(reach=0.0)
    left, right = (directed(arrows=[(x, 0.5, x, 0.4)], mask=mask, motion=still) for x in (0.3, 0.7))
    assert left.moves == [True, False] and right.moves == [False, True]


def test_a_pin_stops_its_point_and_far_places_keep_their_motion():
    plain, pinned = directed(), directed(pins=[(0.5, 0.5)])
    assert np.abs(shown(pinned, 0.5, 0.5)).max() < 1e-6
    far = shown(plain, 0.85, 0.5)
    assert np.abs(far).max() > 0.005 and np.allclose(shown(pinned, 0.85, 0.5), far, atol=0.1 * np.abs(far).max())


def test_a_pin_beside_an_arrow_holds_while_the_head_is_reached():
    field = directed(arrows=[(0.35, 0.5, 0.39, 0.5)], pins=[(0.6, 0.5), (0.5, 0.75)])
    assert np.abs(shown(field, 0.6, 0.5)).max() < 1e-6 and np.abs(shown(field, 0.5, 0.75)).max() < 1e-6
    assert shown(field, 0.39, 0.5)[:, 0].max() == pytest.approx(0.04 * WIDTH / HEIGHT, rel=0.05)


def test_a_stream_flows_to_the_head():
    field = directed(arrows=[(0.5, 0.5, 0.5, 0.3)], motion=circle(reach=0.0, drift=0.25))
    height, width = field.winding.shape[-2:]
    whole = field.winding[0] * field.turns[0]
    at_head = np.einsum("h,chw,w->c", spline_at(height, np.array([0.3]))[0], whole, spline_at(width, np.array([0.5]))[0])
    assert field.streams(0) and at_head[1] < -0.15 and abs(at_head[0]) < 0.02


def test_a_frozen_place_is_still_in_the_frames():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    frozen = np.zeros((HEIGHT, WIDTH), np.float32)
    frozen[30:60, 40:80] = 1
    moved = [
        Renderer(image, [np.ones_like(frozen)], field).frame(8).astype(int) for field in (directed(), directed(frozen=frozen))
    ]
    change = [np.abs(frame - image)[30:60, 40:80].mean() for frame in moved]
    assert change[0] > 10 and change[1] < 0.02 * change[0]
    assert np.abs(moved[1] - image)[10:86, 100:118].mean() > 5


def test_nothing_folds():
    field = directed(arrows=[(0.5, 0.5, 0.75, 0.5), (0.52, 0.5, 0.3, 0.5)], pins=[(0.7, 0.45)])
    assert unfolded(field.ring[:, 0], field.winding[0], field.borders[0]) == 1


def test_hands_move_what_words_left_at_rest():
    still = circle(reach=0.0)
    assert directed(arrows=[(0.5, 0.5, 0.6, 0.5)], motion=still).moves == [True, False]


def test_a_frozen_place_is_no_wider_for_what_another_layer_does():
    ring, winding = np.zeros((9, 2, 2, 12, 12), np.float32), np.zeros((2, 2, 12, 12), np.float32)
    ring[1:-1, 0], winding[1, 0] = 0.01, 0.4  # the sea ripples, the clouds pass
    frozen = np.zeros((120, 120), np.float32)
    frozen[50:70, 50:70] = 1
    held = freeze(Motion(ring, winding), frozen)
    assert not held.ring[:, 0, :, 22:26, 22:26].any()
    assert np.allclose(held.ring[4, 0, :, 24, :12], 0.01) and np.allclose(held.ring[4, 0, :, 24, 36:], 0.01)
