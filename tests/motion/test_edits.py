import cv2
import numpy as np
import pytest

from loopanimate.motion.border import ALL_BORDERS
from loopanimate.motion.edits import (
    MIN_DETERMINANT,
    apply,
    drop_drift,
    drop_residue,
    edits_from_words,
    edits_to_show,
    hold,
    hop,
    keep_in_place,
    limit,
    pace,
    rest,
    scale,
    steer,
    stiffen,
    unfolded,
)
from loopanimate.words.intent import Intent
from tests.motion.motions import circle, of_ring

ALL = np.ones((12, 16), np.float32)
Y, X = (np.mgrid[0:12, 0:16] + 0.5) / 12
BOX = cv2.resize(np.pad(np.ones((56, 48), np.float32), ((24, 16), (40, 40))), (16, 12), interpolation=cv2.INTER_AREA)
INSIDE = BOX > 0.5  # 3 to 10 of 12 rows, 5 to 11 of 16 columns
ONCE = np.sin(np.linspace(0, 2 * np.pi, 35))[:, None, None]


def rotation(centre: complex, angle: np.ndarray) -> np.ndarray:
    """Displacements (N, 2, 12, 16) that turn everything about a centre by angles (N, 1, 1)."""
    shift = (X + 1j * Y - centre) * (1 - np.exp(-1j * angle))
    return np.stack([shift.real, shift.imag], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    "degrees, drift, expected",
    [(10, 0, 10), (50, 0, 20), (-80, 0, -20), (150, 0, -20), (10, 0.2, 10), (50, 0.2, 20), (150, 0.2, 20)],
)
def test_steer_brings_a_course_to_within_twenty_degrees(degrees, drift, expected):  # an axis has two directions
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = circle(reach=0.03).ring[:, 0] * np.array([1, 0.2])[:, None, None]
    motion = of_ring(np.einsum("cd,ndhw->nchw", matrix, flat), drift * matrix[:, :1, None])
    turned = steer(motion, 0, ALL, 0.0)
    x, y = turned.winding[0, :, 5, 5] if drift else turned.ring[17, 0, :, 5, 5] * np.sign(turned.ring[17, 0, 0, 5, 5])
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(expected, abs=2)
    assert np.allclose(np.linalg.norm(turned.ring, axis=2), np.linalg.norm(motion.ring, axis=2), atol=1e-6)


def test_pace_brings_a_stream_near_the_speed_that_words_name():
    half = ALL * (np.arange(16) < 8)
    for drift, expected in ((0.06, 0.16), (0.2, 0.2), (0.8, 0.25)):
        paced = pace(of_ring(0 * circle().ring[:, 0], drift / 2**0.5), 0, half, 0.2)
        assert np.allclose(np.linalg.norm(paced.winding[0], axis=0), expected)
    uneven = np.stack([0.1 * ALL, 0 * ALL])
    uneven[0, 3, 3] = 3.0
    assert np.linalg.norm(pace(of_ring(0 * circle().ring[:, 0], uneven), 0, half, 0.2).winding, axis=1).max() <= 0.4 + 1e-6
    assert not pace(circle(), 0, half, 0.2).winding.any()


@pytest.mark.parametrize("hops, counts", [((0.4, 0.65), {2, 3}), ((0.22, 0.32), {1}), ((0.95, 1.35), {4, 5, 6})])
def test_hops_are_parabolas_from_the_ground(hops, counts):
    motion = circle(reach=0.03)
    edits = edits_from_words([Intent(hops=hops), Intent()], np.stack([ALL, 0 * ALL]), motion.period)
    path = apply(motion, edits).ring[:, 0].mean((-2, -1))
    height = path[:-1, 1].max() - path[:-1, 1]
    near = height < 0.25 * height.max()  # the ground
    assert int((near & ~np.roll(near, 1)).sum()) in counts and height.max() == pytest.approx(0.03, rel=0.1)
    # above half its own height a parabola spends 71 % of its time, a sine half of it
    contacts = np.flatnonzero((height < np.roll(height, 1)) & (height <= np.roll(height, -1)))
    hops = [part for part in np.split(np.roll(height, -contacts[0]), contacts[1:] - contacts[0])]
    assert np.mean([(hop > 0.5 * hop.max()).mean() for hop in hops]) > 0.6 and height[contacts].max() < 0.25 * height.max()
    assert np.abs(path[:, 0]).max() < 1e-5 and not path[0].any()


def test_keep_in_place_leaves_a_swelling_where_it_is():
    swelling = 0.1 * ONCE[:, None] * np.stack([X - 0.67, Y - 0.54])
    moved = swelling + rotation(0.67 + 0.54j, 0.1 * ONCE) + circle().ring[:, 0]
    kept = keep_in_place(of_ring(moved), 0, BOX).ring[:, 0]
    assert np.abs(kept - swelling)[:, :, INSIDE].max() < 0.1 * np.abs(swelling[:, :, INSIDE]).max()
    assert np.abs((BOX * kept).sum((-2, -1)) / BOX.sum()).max() < 1e-5


@pytest.mark.parametrize("waving", [False, True])
def test_hold_stills_the_fixed_end_and_leaves_the_far_one(waving):
    wide = cv2.resize(np.pad(np.ones((32, 80), np.float32), ((32, 32), (24, 24))), (16, 12), interpolation=cv2.INTER_AREA)
    angle = np.linspace(0, 2 * np.pi, 35)[:, None, None]
    wave = np.sin(angle - 4 * X) - np.sin(-4 * X)
    ripples = np.stack([0.003 * wave, 0.01 * wave], axis=1).astype(np.float32)
    held = hold(of_ring(ripples), 0, wide, waving)
    fixed, free = ((slice(4, 8), 3), (slice(4, 8), 12)) if waving else ((7, slice(3, 13)), (4, slice(3, 13)))
    down, before = held.ring[:, 0, 1], ripples[:, 1]
    assert not held.ring[0].any()
    assert np.abs(down[(slice(None), *fixed)]).max() < 0.05 * np.abs(before[(slice(None), *fixed)]).max()
    assert np.allclose(down[(slice(None), *free)], before[(slice(None), *free)], atol=0.1 * np.abs(before).max())
    assert (
        np.abs(hold(held, 0, wide, waving).ring - held.ring).max() < 0.2 * np.abs(ripples).max()
    )  # little is left to take off


def test_stiffen_is_the_nearest_rigid_motion():
    bends = np.stack([0.1 * ONCE * (Y - 1) ** 2, 0.05 * ONCE * X], axis=1).astype(np.float32)
    motion = of_ring(bends)
    stiff = stiffen(motion, 0, BOX)

    def lengths(ring):  # between the cells of the box, (N, cells, cells)
        source = (X - ring[:, 0] + 1j * (Y - ring[:, 1]))[:, INSIDE]
        return np.abs(source[:, :, None] - source[:, None])

    assert np.abs(lengths(stiff.ring[:, 0]) - lengths(stiff.ring[:1, 0])).max() < 1e-5
    assert np.ptp(lengths(bends), axis=0).max() > 0.02
    assert np.allclose((BOX * (stiff.ring[:, 0] - bends)).sum((-2, -1)), 0, atol=1e-4)  # least squares: the mean stays
    assert not stiff.ring[0].any() and np.array_equal(stiff.ring[:, 1], motion.ring[:, 1])
    turned = rotation(0.7 + 0.5j, 0.4 * ONCE)
    assert np.allclose(stiffen(of_ring(turned), 0, BOX).ring[:, 0][:, :, INSIDE], turned[:, :, INSIDE], atol=1e-5)


def test_a_hinge_turns_about_one_point():
    swings = rotation(0.7 + 0.3j, 0.2 * ONCE)
    assert np.allclose(stiffen(of_ring(swings), 0, BOX, (0, 1)).ring[:, 0][:, :, INSIDE], swings[:, :, INSIDE], atol=3e-4)
    bob = 0.03 * np.sin(np.linspace(0, 4 * np.pi, 35) + 1)[:, None, None, None] - 0.03 * np.sin(1)  # a hinge allows none of it
    swayed = (swings + np.array([0, 1])[:, None, None] * bob).astype(np.float32)
    assert np.abs(stiffen(of_ring(swayed), 0, BOX, (0, 1)).ring[:, 0] - swings)[:, :, INSIDE].max() < 0.4 * np.abs(bob).max()
    # a mere shift says nothing of the hinge, which then is in the middle of its range: here, at the base
    slid = np.broadcast_to(np.stack([0.06 * ONCE, 0 * ONCE], axis=1), swings.shape).astype(np.float32)
    slides = stiffen(of_ring(slid), 0, BOX, (0.9, 1.1)).ring[:, 0]
    across = (BOX * slides[:, 0]).sum((-2, -1)) / BOX.sum()
    assert (across * slid[:, 0, 0, 0]).sum() > 0.5 * (slid[:, 0, 0, 0] ** 2).sum()
    assert np.abs(slides[:, :, 9, 7]).max() < 0.2 * np.abs(slides[:, :, 3, 7]).max()


def test_a_stream_is_neither_held_nor_stiffened_nor_made_to_hop():
    stream = circle(drift=0.2)
    for edited in (
        hold(stream, 0, BOX),
        stiffen(stream, 0, BOX),
        keep_in_place(stream, 0, BOX),
        hop(stream, 0, BOX, range(1, 3)),
    ):
        assert edited is stream


def test_drift_is_dropped_unless_words_ask_for_a_stream():
    assert not drop_drift(circle(drift=0.03), [False, False]).winding.any()
    assert drop_drift(circle(drift=0.03), [True, False]).streams(0)
    assert drop_drift(circle(drift=0.05), [False, False]).streams(0)
    flows = edits_from_words([Intent(speed=0.045), Intent()], np.stack([ALL, 0 * ALL]), 34)
    winding = apply(circle(reach=0.001, drift=0.02), flows).winding[0]
    assert np.linalg.norm(winding, axis=0).mean() == pytest.approx(0.045 * 34 / 8 / 1.25, rel=0.02)


@pytest.mark.parametrize("rests", [(True, False), (False, True), (True, True)])
def test_words_bring_layers_to_rest(rests):
    moved = circle()
    moved = moved.replace(1, circle(layer=1, drift=0.1).ring[:, 1], 0.1)
    edits = edits_from_words([Intent(rests=rest) for rest in rests], np.stack([ALL, ALL]), moved.period)
    rested = apply(moved, edits)
    for layer in range(2):
        assert (rested.ring[:, layer].any() or rested.winding[layer].any()) == (not rests[layer])
    assert not rest(moved, 0).ring[:, 0].any()


def test_a_layer_that_hardly_moves_rests_beside_one_that_does():
    little = scale(circle(reach=0.004), [1, 1])
    beside = little.replace(1, circle(layer=1, reach=0.03).ring[:, 1])
    assert np.abs(drop_residue(beside).ring[:, 0]).max() < 0.5 * np.abs(little.ring).max()
    assert np.array_equal(drop_residue(beside).ring[:, 1], beside.ring[:, 1])
    assert np.array_equal(drop_residue(little).ring, little.ring)  # alone, it is all the motion there is
    assert not drop_residue(little.replace(1, winding=0.2)).ring[:, 0].any()


def test_nothing_folds_at_any_strength():
    steep = of_ring((np.stack([0.2 * ONCE * np.sin(9 * X), 0 * ONCE * X], axis=1)).astype(np.float32))
    assert unfolded(steep.ring[:, 0], steep.winding[0], ALL_BORDERS) < 1
    held = limit(scale(steep, 2.0), [ALL_BORDERS] * 2)
    assert unfolded(held.ring[:, 0], held.winding[0], ALL_BORDERS) == 1 and 0.3 > MIN_DETERMINANT
    gentle = circle(drift=0.3)
    assert limit(gentle, [ALL_BORDERS] * 2) is gentle
    streams = limit(of_ring(steep.ring[:, 0], 0.3), [ALL_BORDERS] * 2)
    assert streams.streams(0) and unfolded(streams.ring[:, 0], streams.winding[0] / 5, ALL_BORDERS) > 0.9


def test_strength_comes_before_stiffness():
    """Twice a rotation's displacement is no rotation: what is rigid has to be rigid at every strength."""
    stiff = apply(
        of_ring(rotation(0.67 + 0.54j, 0.3 * ONCE)),
        edits_to_show([Intent(rigid=True), Intent()], np.stack([BOX, 1 - BOX]), 2.0),
    )
    source = (X - stiff.ring[:, 0, 0] + 1j * (Y - stiff.ring[:, 0, 1]))[:, INSIDE]
    apart = np.abs(source[:, :, None] - source[:, None])
    assert np.abs(apart - apart[0]).max() < 1e-5 and np.abs(stiff.ring[:, 0]).max() > 0.1


def test_what_hangs_is_held_at_its_top():
    sideways = 0.03 * ONCE[..., None] * np.array([1, 0])[:, None, None] * np.ones((12, 16))
    stands, hangs = (hold(of_ring(sideways), 0, BOX, hangs=hanging).ring[9, 0, 0] for hanging in (False, True))
    assert abs(stands[3, 8]) > 0.02 > abs(stands[10, 8]) and abs(hangs[10, 8]) > 0.02 > abs(hangs[3, 8])
    motion = of_ring(sideways * np.linspace(0, 1, 12)[:, None])
    assert np.allclose(hold(motion.flip(), 0, BOX[::-1].copy(), hangs=True).ring, hold(motion, 0, BOX).flip().ring, atol=1e-6)
    assert (motion.flip().flip().ring == motion.ring).all()


def test_what_the_border_cuts_off_stands_below_it():
    """A bust leans from the waist, which is not in the picture; a tree whose trunk ends at the border stands there."""
    bends = 0.03 * ONCE[..., None] * np.array([1, 0])[:, None, None] * np.ones((12, 16))
    bust, tree = np.zeros((2, 12, 16), np.float32)
    bust[3:, 4:12], tree[3:8, 4:12], tree[8:, 7:9] = 1, 1, 1
    leaning, standing = (np.abs(hold(of_ring(bends), 0, weight).ring[9, 0, 0]) for weight in (bust, tree))
    assert standing[11, 8] < 0.0015 and leaning[11, 8] > 0.006
    assert np.allclose(leaning[3, 8], standing[3, 8], rtol=0.1) and (np.diff(leaning[3:, 8]) <= 1e-6).all()
    hanging = np.abs(hold(of_ring(bends), 0, bust[::-1].copy(), hangs=True).ring[9, 0, 0])
    assert np.allclose(hanging, leaning[::-1], atol=1e-6)
