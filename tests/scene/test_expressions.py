"""What faces do in a loop: closed in time, at rest at the wrap, within the eye, and what clauses make of it."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from loopanimate.motion.faces import FIELD, LEVELS
from loopanimate.scene.expressions import Act, can_move_eyes, form_face
from loopanimate.scene.faces import FacePoints, find_faces
from loopanimate.scene.finder import Finder
from loopanimate.scene.plan import plan
from loopanimate.words.clauses import read_clauses
from loopanimate.words.kinds import FACE_KINDS

SHORT = 512


@pytest.fixture(scope="module")
def astronaut() -> FacePoints:
    return find_faces(Image.fromarray(data.astronaut()))[0]


@pytest.mark.parametrize("kind", FACE_KINDS)
@pytest.mark.parametrize("seconds", [0.25, 1.0, 4.25])
def test_every_kind_moves_and_rests_at_the_wrap(astronaut, kind, seconds):
    for seed in range(8):
        curve = form_face(astronaut, (True, True), [Act(kind)], (SHORT, SHORT), seconds, seed).curve
        wrap = max(1, round(0.04 * LEVELS))
        assert not curve[:wrap].any() and not curve[-wrap:].any()
        assert np.abs(curve).max() > 0
    lids = curve[:, :2].max()
    assert lids == pytest.approx(1.0, abs=0.02) if kind in ("blink", "wink", "close") else lids == 0


def test_blinks_are_irregular_and_sometimes_doubled(astronaut):
    def starts(seed: int) -> list[int]:
        closed = form_face(astronaut, (True, True), [Act("blink")], (SHORT, SHORT), 4.25, seed).curve[:, 0] > 0.9
        return np.flatnonzero(closed[1:] & ~closed[:-1]).tolist()

    times = [starts(seed) for seed in range(40)]
    assert {len(each) for each in times} >= {2, 3}
    assert len({each[0] for each in times}) > 15


def test_one_eye_winks_and_the_other_stays(astronaut):
    for side in (0, 1):
        curve = form_face(astronaut, (True, True), [Act("wink", side=side)], (SHORT, SHORT), 4.25, 0).curve
        assert curve[:, side].max() > 0.98 and not curve[:, 1 - side].any()


@pytest.mark.parametrize("heading", [0.0, 90.0, 180.0, 270.0])
def test_irises_go_where_they_look_and_stay_in_their_eyes(astronaut, heading):
    face = form_face(astronaut, (True, True), [Act("gaze", heading, amount=2.0)], (SHORT, SHORT), 4.25, 0)
    x, y = face.curve[LEVELS // 2, 2:4]
    angle = np.degrees(np.arctan2(y, x)) % 360
    assert min(abs(angle - heading), 360 - abs(angle - heading)) < 1e-3 and np.hypot(x, y) > 0
    for eye in face.eyes:
        along = np.array(eye.along)
        assert 0 < eye.iris[0] + (x * along[0] + y * along[1]) / (along @ along) < 1


def test_a_smile_lifts_the_corners_of_the_mouth_and_nothing_beyond_the_face(astronaut):
    face = form_face(astronaut, (True, True), [Act("smile")], (SHORT, SHORT), 4.25, 0)
    _, [(_, field)] = face.at(0.5)
    left, top, right, bottom = face.box

    def at(point: int) -> np.ndarray:
        x, y = astronaut.mesh[point, :2] / SHORT
        return field[:, round((y - top) / (bottom - top) * (FIELD - 1)), round((x - left) / (right - left) * (FIELD - 1))]

    assert at(61)[0] < 0 < at(291)[0] and at(61)[1] < 0 and at(291)[1] < 0
    assert np.abs(at(1)).max() < 0.25 * np.abs(at(61)).max()  # the tip of the nose
    assert not field[:, [0, -1]].any() and not field[:, :, [0, -1]].any()


def test_closed_and_covered_eyes_are_not_moved(astronaut):
    pixels = data.astronaut()
    assert can_move_eyes(astronaut, pixels) == [True, True]
    dark = pixels.copy()
    for eye in astronaut.eyes:
        x, y = eye.iris.astype(int)
        dark[y - 14 : y + 14, x - 20 : x + 20] = (10, 10, 12)  # glasses
    assert can_move_eyes(astronaut, dark) == [False, False]


@pytest.mark.parametrize(
    "prompt, said, acts",
    [
        ("she blinks and smiles a little", ["face: it blinks.", "face: it smiles."], ["blink", "smile"]),
        ("the woman looks to the left", ["face: it looks to the left."], ["gaze"]),
        ("her eyes close", ["face: it closes its eyes for a while."], ["close"]),
        ("she winks", ["face: it winks."], ["wink"]),
    ],
)
def test_clauses_have_faces_act(prompt, said, acts):
    scene, outcomes = plan(read_clauses(prompt), Finder(Image.fromarray(data.astronaut())))
    assert scene is None
    assert [outcome.said for outcome in outcomes] == said
    assert [act.kind for outcome in outcomes for _, act in outcome.acts] == acts


def test_a_face_that_is_not_there_is_said_plainly():
    _, outcomes = plan(read_clauses("she blinks"), Finder(Image.fromarray(data.coffee())))
    assert "no face was found" in outcomes[0].said and not outcomes[0].acts and not outcomes[0].name
