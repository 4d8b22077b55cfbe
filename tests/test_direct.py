"""Arrows, pins and frozen places, measured on the field as it is rendered."""

import cv2
import numpy as np
import pytest

from loopanimate.motion.field import LoopField, border_fade, border_reach, held, in_one_piece, spline_at
from loopanimate.motion.hands import Directions
from loopanimate.render.renderer import Renderer
from loopanimate.words.intent import Manner
from tests.fields import curve

HEIGHT, WIDTH = 96, 128


def directed(arrows=(), pins=(), freeze=None, mask=None, displacement=None, strength=1.0) -> LoopField:
    mask = np.ones((HEIGHT, WIDTH), np.float32) if mask is None else mask
    displacement = curve(shape=(12, 16), reach=0.02) if displacement is None else displacement
    return LoopField(displacement, strength, Directions(tuple(arrows), tuple(pins), freeze, mask))


def shown(field: LoopField, x: float, y: float, layer: int = 0) -> np.ndarray:
    """Displacement (times, 2) in short sides at a point in fractions, border included, as the renderer takes it."""
    times = np.arange(0, field.period, 0.25)
    moved = np.stack([field.at(time)[0] for time in times])[:, 2 * layer : 2 * layer + 2]
    height, width = moved.shape[-2:]
    values = np.einsum("h,nchw,w->nc", spline_at(height, np.array([y]))[0], moved, spline_at(width, np.array([x]))[0])
    fade = border_fade(HEIGHT, WIDTH, border_reach(field.reach))
    return values * fade[int(y * HEIGHT), int(x * WIDTH)]


@pytest.mark.parametrize("strength", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("head", [(0.56, 0.5), (0.5, 0.38), (0.45, 0.56)])
def test_the_content_reaches_the_head_and_returns(head, strength):
    field = directed(arrows=[(0.5, 0.5, *head)], strength=strength)
    wanted = (np.array(head) - 0.5) * (WIDTH / HEIGHT, 1)
    moved = shown(field, *head)
    farthest = moved[np.argmax(moved @ wanted)]
    assert np.linalg.norm(farthest - wanted) < 0.03 * np.linalg.norm(wanted)
    assert np.abs(field.at(0)[0]).max() == 0 and np.abs(field.ring[-1] - field.ring[0]).max() < 1e-6
    assert field.strength[0] >= strength * 0.999  # nothing folded, so nothing was held back


def test_an_arrow_moves_the_layer_that_its_tail_lies_on():
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, :64] = 1
    still = curve(shape=(12, 16), reach=0.0)
    left, right = (directed(arrows=[(x, 0.5, x, 0.4)], mask=mask, displacement=still) for x in (0.3, 0.7))
    assert left.moves == (True, False) and right.moves == (False, True)


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
    field = directed(arrows=[(0.5, 0.5, 0.5, 0.3)], displacement=curve(shape=(12, 16), reach=0.0, drift=0.25))
    height, width = field.winding.shape[-2:]
    whole = field.winding[:2] * field.turns[0]
    at_head = np.einsum("h,chw,w->c", spline_at(height, np.array([0.3]))[0], whole, spline_at(width, np.array([0.5]))[0])
    assert field.winding[:2].any() and at_head[1] < -0.15 and abs(at_head[0]) < 0.02


def test_a_frozen_place_is_still_in_the_frames():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    freeze = np.zeros((HEIGHT, WIDTH), np.float32)
    freeze[30:60, 40:80] = 1
    mask = np.ones_like(freeze)
    moved = [Renderer(image, mask, field).frame(8).astype(int) for field in (directed(), directed(freeze=freeze))]
    change = [np.abs(frame - image)[30:60, 40:80].mean() for frame in moved]
    assert change[0] > 10 and change[1] < 0.02 * change[0]
    assert np.abs(moved[1] - image)[10:86, 100:118].mean() > 5


def test_nothing_folds():
    field = directed(arrows=[(0.5, 0.5, 0.75, 0.5), (0.52, 0.5, 0.3, 0.5)], pins=[(0.7, 0.45)])
    assert field.headroom(1.0)[0] == 1.0  # the determinant stays above its least at full strength


def test_what_is_rigid_moves_in_one_piece():
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[24:80, 40:88] = 1
    inside = cv2.resize(mask, (16, 12), interpolation=cv2.INTER_AREA) > 0.5
    y, x = (np.mgrid[0:12, 0:16] + 0.5) / 12
    turn = np.sin(np.linspace(0, 2 * np.pi, 35))[:, None, None]
    bends = np.stack([0.1 * turn * (y - 1) ** 2, 0.05 * turn * x, 0.01 * turn + 0 * x, 0 * turn + 0 * x], axis=1)
    bends = bends.astype(np.float32)
    bends[[0, -1]] = 0
    field = LoopField(bends, 1.0, Directions((), (), None, mask, Manner(rigid=True)))
    source = (x - field.ring[:, 0] + 1j * (y - field.ring[:, 1]))[:, inside]  # (N, cells)
    apart = np.abs(source[:, :, None] - source[:, None])
    assert np.abs(apart - apart[0]).max() < 1e-5
    bent = (x - bends[:, 0] + 1j * (y - bends[:, 1]))[:, inside]
    assert np.ptp(np.abs(bent[:, :, None] - bent[:, None]), axis=0).max() > 0.02
    weight = cv2.resize(mask, (16, 12), interpolation=cv2.INTER_AREA)
    for axis in range(2):  # least squares: the mean stays
        assert np.allclose((weight * (field.ring - bends)[:, axis]).sum((-2, -1)), 0, atol=1e-4)
    assert np.array_equal(field.ring[:, 2:], LoopField(bends).ring[:, 2:]) and not field.ring[0].any()
    assert field.strength[0] == 1  # nothing folds, however far it turns
    angle = 0.4 * turn[:, 0, 0]  # a rotation is kept as it is
    turned = (x + 1j * y - 0.7 - 0.5j) * (1 - np.exp(-1j * angle))[:, None, None]
    rotation = np.stack([turned.real, turned.imag], axis=1).astype(np.float32)
    assert np.allclose(in_one_piece(rotation, weight)[:, :, inside], rotation[:, :, inside], atol=1e-5)


def test_what_is_hinged_turns_about_one_point():
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[24:80, 40:88] = 1  # 3 to 10 of 12 rows, 5 to 11 of 16 columns
    weight = cv2.resize(mask, (16, 12), interpolation=cv2.INTER_AREA)
    inside = weight > 0.5
    y, x = (np.mgrid[0:12, 0:16] + 0.5) / 12
    angle = 0.2 * np.sin(np.linspace(0, 2 * np.pi, 35))[:, None, None]

    def turned(hinge, angle):
        shift = (x + 1j * y - hinge) * (1 - np.exp(-1j * angle))
        return np.stack([shift.real, shift.imag], axis=1).astype(np.float32)

    swings = turned(0.7 + 0.3j, angle)
    assert np.allclose(in_one_piece(swings, weight, (0, 1))[:, :, inside], swings[:, :, inside], atol=3e-4)
    bob = 0.03 * np.sin(np.linspace(0, 4 * np.pi, 35) + 1)[:, None, None, None] - 0.03 * np.sin(1)  # what a hinge does not let
    swayed = (swings + np.array([0, 1])[:, None, None] * bob).astype(np.float32)
    field = LoopField(
        np.concatenate([swayed, 0 * swayed], axis=1), 1.0, Directions((), (), None, mask, Manner(rigid=True, hinge=(0, 1)))
    ).ring
    assert np.abs(field[:, :2] - swings)[:, :, inside].max() < 0.4 * np.abs(bob).max() and not field[0].any()
    # of what slides all alike the hinge is in the middle of where it may be: here, at the base
    slid = np.broadcast_to(np.stack([0.3 * angle, 0 * angle], axis=1), swings.shape).astype(np.float32)
    slides = in_one_piece(slid, weight, (0.9, 1.1))
    across = (weight * slides[:, 0]).sum((-2, -1)) / weight.sum()
    assert (across * slid[:, 0, 0, 0]).sum() > 0.5 * (slid[:, 0, 0, 0] ** 2).sum()
    assert np.abs(slides[:, :, 9, 7]).max() < 0.2 * np.abs(slides[:, :, 3, 7]).max()


@pytest.mark.parametrize("rests", [(True, False), (False, True), (True, True)])
def test_what_words_leave_at_rest_does_not_move_but_by_hand(rests):
    moved = curve(shape=(12, 16), reach=0.02) + curve(layer=1, shape=(12, 16), reach=0.02, drift=0.1)
    mask = np.ones((HEIGHT, WIDTH), np.float32)
    field = LoopField(moved, 1.0, Directions((), (), None, mask, Manner(rests=rests)))
    assert tuple(not moves for moves in field.moves) == rests
    field = LoopField(moved, 1.0, Directions(((0.5, 0.5, 0.6, 0.5),), (), None, mask, Manner(rests=rests)))
    assert field.moves[0]


@pytest.mark.parametrize("waving", [False, True])
def test_what_is_fixed_stays_where_it_is_and_its_far_end_moves_as_before(waving):
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[32:64, 24:104] = 1  # 4 to 8 of 12 rows, 3 to 13 of 16 columns: wide, so cloth is fixed at its left
    weight = cv2.resize(mask, (16, 12), interpolation=cv2.INTER_AREA)
    turn = np.linspace(0, 2 * np.pi, 35)[:, None, None]
    x, y = (np.mgrid[0:16, 0:12].transpose(0, 2, 1) + 0.5) / 12
    wave = np.sin(turn - 4 * x) - np.sin(-4 * x)
    ripples = np.stack([0.003 * wave, 0.01 * wave], axis=1).astype(np.float32)
    field = held(ripples, weight, waving)
    fixed, free = ((slice(4, 8), 3), (slice(4, 8), 12)) if waving else ((7, slice(3, 13)), (4, slice(3, 13)))
    assert not field[0].any()
    assert np.abs(field[:, 1][(slice(None), *fixed)]).max() < 0.05 * np.abs(ripples[:, 1][(slice(None), *fixed)]).max()
    assert np.allclose(field[:, 1][(slice(None), *free)], ripples[:, 1][(slice(None), *free)], atol=0.1 * np.abs(ripples).max())
    again = held(field, weight, waving)  # there is little left to take off
    assert np.abs(again - field).max() < 0.2 * np.abs(ripples).max()


def test_a_layer_rests_beside_what_is_seen_to_move_far():
    turn = 2 * np.pi * np.arange(35) / 34
    moved = np.zeros((35, 4, 12, 12), np.float32)
    moved[:, 0] = (0.002 * np.sin(turn))[:, None, None]
    moved[:, 2] = (0.014 * np.sin(turn))[:, None, None]
    still = Directions((), (), None, np.ones((96, 96), np.float32), Manner(rests=(False, True)))
    assert LoopField(moved).strength[0] < 0.5  # it may be what sampling left over
    assert LoopField(moved, 1.0, still).strength == [1, 0]
    moved[:, 2] = 0.1 * moved[:, 2] + 0.2 * np.linspace(0, 1, 35)[:, None, None]
    assert LoopField(moved).strength[0] == 0  # beside a stream, too
