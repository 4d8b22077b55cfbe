"""Depth from what is known: where ground, sky and what stands are, on grids of classes made by hand."""

import numpy as np
import pytest
from PIL import Image

from loopanimate.motion.border import ALL_BORDERS
from loopanimate.motion.camera import SHIFTS, Camera, Shot, film
from loopanimate.motion.curve import Motion
from loopanimate.scene.depth import CUT_OFF, HORIZON, fathom, find_horizon, read_camera, set_up
from loopanimate.scene.finder import Finder
from loopanimate.scene.parts import MAX_LAYERS, Layer, Part, Scene, stack, stand
from loopanimate.scene.regions import CLASSES
from loopanimate.words.clauses import read_clauses
from loopanimate.words.intent import STILL, Intent

SIZE = 90, 160


def likely_of(**boxes) -> np.ndarray:
    """Likelihoods of classes by boxes (top, bottom, left, right), sky above and grass from row 45 on where none is."""
    likely = np.zeros((len(CLASSES), *SIZE), np.float32)
    likely[CLASSES.index("sky"), :45] = likely[CLASSES.index("grass"), 45:] = 1
    for name, (top, bottom, left, right) in boxes.items():
        likely[:, top:bottom, left:right] = 0
        likely[CLASSES.index(name.strip("_")), top:bottom, left:right] = 1
    return likely


def box(top, bottom, left, right) -> np.ndarray:
    mask = np.zeros(SIZE, np.float32)
    mask[top:bottom, left:right] = 1
    return mask


def finder_of(likely: np.ndarray, mask: np.ndarray, found: bool = True, **given) -> Finder:
    finder = Finder(Image.new("RGB", SIZE[::-1]), given)
    finder.likely, finder.salient = likely, (mask, found)
    return finder


WHOLE = stand(None, [])


def test_the_sky_is_far_and_the_ground_comes_nearer_evenly():
    (near,) = fathom(WHOLE, likely_of())
    assert near.shape == (24, 44) and near.dtype == np.float32 and 0 <= near.min() and near.max() <= 1
    assert near[:8].max() < 0.1 and near[-1].min() > 0.85
    assert np.diff(near[14:-3], 2, axis=0) == pytest.approx(0, abs=0.01)  # a level ground: lines on it stay straight
    assert find_horizon(likely_of(), np.ones(SIZE)) == pytest.approx(0.51, abs=0.02)


def test_what_stands_has_one_depth_that_of_its_foot():
    (near,) = fathom(WHOLE, likely_of(tree=(20, 70, 60, 90)))
    tree = near[7:17, 18:23]
    foot = HORIZON + (1 - HORIZON) * (70 / 90 - 0.5) / 0.5
    assert tree == pytest.approx(foot, abs=0.05)
    assert near[18, 20] == pytest.approx(near[18, 2], abs=0.08)  # and meets the ground there
    still = Motion(np.zeros((9, 1, 2, 12, 22), np.float32), np.zeros((1, 2, 12, 22), np.float32))
    moved = film(still, Shot((Camera("slide"),), near[None]), [ALL_BORDERS])[0].ring[4, 0, 0, 7:17, 18:23]
    # upright lines stay straight within 1 % of the short side
    assert np.ptp(moved, axis=0).max() < 0.01 and moved.mean() < -SHIFTS[0]


def test_a_street_comes_nearer_along_its_houses_and_a_city_from_above_is_the_ground():
    likely = likely_of()
    for column in range(160):  # a row of houses that ends higher and higher
        foot = 85 - column // 5
        likely[:, 5:foot, column] = 0
        likely[CLASSES.index("building"), 5:foot, column] = 1
    (near,) = fathom(WHOLE, likely)
    facade = near[8, 4:-4]
    assert (np.diff(facade) < 0.005).all() and facade[0] - facade[-1] > 0.3
    (near,) = fathom(WHOLE, likely_of(building=(30, 90, 0, 160)))
    assert near[-1].min() > 0.9 and near[9].max() < 0.3 and np.diff(near[10:-1], 2, axis=0) == pytest.approx(0, abs=0.02)


def test_layers_that_stand_are_as_near_as_what_they_lie_in_and_what_is_cut_off_is_before_the_ground():
    person, hair = box(10, 90, 60, 100), box(10, 30, 65, 95)
    likely = likely_of(person=(10, 90, 60, 100))
    scene = stand(stack([Part("it sways", Intent(), hair)]), [person])
    assert [layer.stands for layer in scene.layers] == [True, True, False] and scene.layers[0].parent == 1
    near = fathom(scene, likely)
    assert near[0] == pytest.approx(1, abs=0.01) and near[1] == pytest.approx(1, abs=0.01)
    assert near[2, -1, 2] == pytest.approx(CUT_OFF, abs=0.08)
    assert near[2, 18:, 21].max() < CUT_OFF + 0.05  # nothing of the person is left behind her
    alone = stand(None, [box(50, 72, 20, 40), box(50, 88, 100, 120)])
    assert fathom(alone, likely_of())[1, -1, 0] > fathom(alone, likely_of())[0, -1, 0] + 0.2


def test_what_gets_a_layer_of_its_own():
    cat = (30, 75, 60, 100)
    scene, taken = set_up(None, finder_of(likely_of(animal=cat), box(*cat)), [Camera("in")])
    assert len(scene.layers) == 2 and np.array_equal(scene.masks[0], box(*cat)) and taken.near.shape == (2, 24, 44)
    assert not scene.parts and taken.cameras == (Camera("in"),) and 0.5 < taken.around < 1
    half = set_up(None, finder_of(likely_of(building=(10, 80, 40, 120)), box(10, 80, 40, 70)), [Camera("in")])[0]
    assert len(half.layers) == 1  # a tower is not torn from its castle
    vague = finder_of(likely_of(), box(*cat) * 0.5)
    assert len(set_up(None, vague, [Camera("in")])[0].layers) == 1
    painted = finder_of(likely_of(), np.ones(SIZE, np.float32), False, camera=box(10, 80, 40, 70))
    assert np.array_equal(set_up(None, painted, [Camera("in")])[0].masks[0], box(10, 80, 40, 70))


def test_no_more_layers_than_a_page_can_draw_and_no_thing_twice():
    cat = (30, 75, 60, 100)
    finder = finder_of(likely_of(animal=cat), box(*cat))
    moving = Scene((), tuple(Layer(STILL, None, stands=place < 7) for place in range(8)), (box(80, 90, 0, 20),) * 7)
    assert len(set_up(moving, finder, [Camera("in")])[0].layers) == MAX_LAYERS
    named = stack([Part("it sways", Intent(), box(*cat))])
    assert len(set_up(named, finder, [Camera("in")])[0].layers) == 2


@pytest.mark.parametrize(
    "prompt, wanted",
    [
        ("the camera moves in slowly", Camera("in", amount=0.6)),
        ("zoom out", Camera("out")),
        ("pan right", Camera("slide", 0)),
        ("the camera pans to the left", Camera("slide", 180)),
        ("the camera rises", Camera("slide", 270)),
        ("the camera sinks", Camera("slide", 90)),
        ("camera orbits around her", Camera("orbit")),
        ("the camera drifts", Camera("orbit")),
        ("dolly in quickly", Camera("in", cycles=2)),
        ("the camera shakes", Camera("shake")),
    ],
)
def test_words_of_a_camera(prompt, wanted):
    (clause,) = read_clauses(prompt)
    assert read_camera(clause) == wanted and wanted.said.startswith("The camera ")
