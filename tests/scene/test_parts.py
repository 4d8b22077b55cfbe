"""Parts as layers: their order, their weights, what moves, and what each layer's row of the batch is."""

import cv2
import numpy as np
import pytest

from loopanimate.motion.curve import Motion
from loopanimate.scene.parts import FAR, Part, compose, single, stack, weigh
from loopanimate.words.intent import STILL, Intent
from tests.motion.motions import circle

SIZE = 60, 90


def block(top, bottom, left=0, right=90):
    mask = np.zeros(SIZE, np.float32)
    mask[top:bottom, left:right] = 1
    return mask


SKY, SEA, BOAT = block(0, 30), block(30, 60), block(25, 40, 30, 50)


def moved(size: float) -> Motion:
    ring = np.zeros((5, 2, 2, 4, 6), np.float32)
    ring[1:4, 0], ring[1:4, 1] = size, -size
    return Motion(ring, np.zeros((2, 2, 4, 6), np.float32))


def scene():
    return stack(
        [Part("it rocks", Intent(), BOAT), Part("it flows", Intent(), SEA, True), Part("it flows", Intent(), SKY, True)]
    )


def test_what_is_still_stands_before_what_moves_behind_it():
    built = scene()
    assert [layer.row for layer in built.layers] == [0, None, 1, 2] and built.intents[1] is STILL
    boat, still, sea = built.masks
    assert (boat == BOAT).all() and (sea == SEA).all() and still.max() == 0  # sea and sky fill the picture
    assert [layer.settled for layer in built.layers] == [False, False, True, False]
    plain = stack([Part("it rocks", Intent(), BOAT)])
    assert [layer.row for layer in plain.layers] == [0, None] and len(plain.masks) == 1


def test_each_cell_is_shared_out_among_the_layers():
    weights = weigh(scene().masks, moved(1))
    assert weights.shape == (4, 4, 6) and np.allclose(weights.sum(0), 1)
    assert weights[0].sum() == pytest.approx(BOAT.mean() * 24, rel=1e-5)
    assert weights[3, 0].min() == 1 and weights[2, 3].min() > 0.9  # sky on top, sea below


def test_layers_take_their_rows_and_come_to_rest_at_the_horizon():
    built, motions = scene(), [moved(1), moved(2), moved(3)]
    motion = compose(built, motions, weigh(built.masks, motions[0]))
    assert motion.num_layers == 4 and not motion.ring[:, 1].any()
    assert (motion.ring[2, 0] == 1).all() and (motion.ring[2, 3] == 3).all()
    sea = motion.ring[2, 2, 0]
    assert not sea[1:3].any() and 0 < sea[3].min() and sea[3].max() <= 2


def test_what_moves_does_not_rest_along_what_stands_before_it():
    shore = block(0, 38)  # which shares a row of cells with the sea; the sky is in a corner
    built = stack([Part("it flows", Intent(), block(38, 60), True), Part("it flows", Intent(), block(0, 8, 0, 10), True)])
    weights = weigh(built.masks, moved(1))
    assert (
        np.allclose(weights[0].sum(), (shore.sum() - 80) / 225, rtol=1e-4) and weights[2, 1:].max() < 0.05
    )  # the shore ends amid a piece
    motion = compose(built, [moved(2), moved(3)], weights)
    assert (motion.ring[2, 1, 0, 2:] == 2).all()


def test_soft_rims_of_two_layers_show_no_third():
    soft = cv2.blur(SEA, (1, 21))  # a shore of which nobody is sure; the sky is in a corner
    built = stack([Part("it flows", Intent(), soft, True), Part("it flows", Intent(), block(0, 8, 0, 10), True)])
    assert weigh(built.masks, moved(1))[2, 1:].max() < 0.05


def test_blades_move_before_the_sky():
    built = stack([Part("it sways", Intent(), SEA, True, rooted=True), Part("it flows", Intent(), SKY, True)])
    motion = compose(built, [moved(2), moved(3)], weigh(built.masks, moved(1)))
    assert (motion.ring[2, 1] == 2).all() and (motion.ring[2, 2] == 3).all()


def test_one_object_is_what_it_was():
    built, motion = single(Part("it sways", Intent(), BOAT), STILL), moved(2)
    whole = compose(built, [motion], weigh(built.masks, motion))
    assert (whole.ring == motion.ring).all() and (whole.winding == motion.winding).all() and (built.moving == BOAT).all()


@pytest.mark.parametrize(
    "recedes, rows, faster", [("up", (4, 12), -1), ("down", (0, 8), 0), ("up", (0, 12), None), ("", (4, 12), None)]
)
def test_what_recedes_moves_less_far_away_and_as_much_in_the_mean(recedes, rows, faster):
    mask = np.zeros((96, 128), np.float32)
    mask[8 * rows[0] : 8 * rows[1]] = 1
    part = Part("it ripples", Intent(), mask, behind=True, recedes=recedes)
    scene, motion = stack([part]), circle(9, reach=0.02)
    sizes = np.ptp(compose(scene, [motion], weigh(scene.masks, motion)).ring[:, -1, 0], axis=0).mean(1)[slice(*rows)]
    assert sizes.mean() == pytest.approx(0.02, rel=0.02)
    if faster is None:
        assert np.ptp(sizes) == 0
    else:
        assert sizes[faster] == pytest.approx(sizes[-1 - faster] / FAR, rel=0.1) and sizes[faster] == sizes.max()
