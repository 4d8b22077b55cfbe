"""What faces do in a loop: closed in time, at rest at the wrap, within the eye, and what clauses make of it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from skimage import data

from loopanimate.motion.faces import FIELD, LEVELS
from loopanimate.scene.bends import CHEST, DEPTH, FRONT, HEAD, SEEN, Bender
from loopanimate.scene.expressions import Act, Actor, can_move_eyes, form_face
from loopanimate.scene.faces import FacePoints, find_faces
from loopanimate.scene.finder import Finder
from loopanimate.scene.plan import plan
from loopanimate.staging import set_apart
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
    assert lids == pytest.approx(1.0, abs=0.02) if kind in ("blink", "wink", "close", "live") else lids == 0


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
        ("she turns her head slowly", ["face: it turns its head to either side."], ["turn-head"]),
        ("her head tilts to the left", ["face: it tilts its head to the left."], ["tilt-head"]),
        ("the woman nods and raises her eyebrows", ["face: it nods.", "face: it raises its brows."], ["nod", "raise-brows"]),
        ("the portrait comes alive", ["face: it blinks, breathes and looks about a little."], ["blink", "breathe", "gaze"]),
    ],
)
def test_clauses_have_faces_act(prompt, said, acts):
    scene, outcomes = plan(read_clauses(prompt), Finder(Image.fromarray(data.astronaut())))
    assert scene is None
    assert [outcome.said for outcome in outcomes] == said
    assert [act.kind for outcome in outcomes for _, act in outcome.acts] == acts


def test_a_face_that_comes_alive_is_said_to_do_what_it_can(astronaut):
    picture = data.astronaut().copy()
    for eye in astronaut.eyes:
        x, y = eye.iris.astype(int)
        picture[y - 14 : y + 14, x - 20 : x + 20] = (10, 10, 12)  # glasses
    finder = Finder(Image.fromarray(picture))
    finder.__dict__["faces"] = [astronaut]
    (outcome,) = plan(read_clauses("the portrait comes alive"), finder)[1]
    assert outcome.said == "face: it breathes." and [act.kind for _, act in outcome.acts] == ["breathe"]
    assert plan(read_clauses("his head tilts up"), finder)[1][0].said == "face: it tilts its head."


def test_a_face_that_is_not_there_is_said_plainly():
    _, outcomes = plan(read_clauses("she blinks"), Finder(Image.fromarray(data.coffee())))
    assert "no face was found" in outcomes[0].said and not outcomes[0].acts and not outcomes[0].name


@pytest.mark.parametrize("prompt, kind", [("the cup's head turns", "turn"), ("the statue nods its head", "rock")])
def test_what_has_no_face_moves_as_any_thing(prompt, kind):
    clause = read_clauses(prompt)[0]
    finder = Finder(
        Image.fromarray(data.coffee()), {clause.thing: np.pad(np.ones((80, 80), np.float32), ((60, 260), (200, 320)))}
    )
    _, outcomes = plan([clause], finder)
    assert outcomes[0].moves and outcomes[0].clause.kind == kind and not outcomes[0].acts


@pytest.mark.parametrize("axis, place, sign", [(0, 0, 1), (1, 1, 1), (0, 1, -1)])
def test_a_head_is_turned_by_the_angle_that_was_asked(astronaut, axis, place, sign):
    bender = Bender(astronaut, SHORT, (1.0, 1.0))
    degrees = 8.0 * sign
    bend = bender.bend(bender.box(FRONT), [bender.rotate(axis, degrees)])
    moved = astronaut.mesh / SHORT
    inner = moved[[1, 4, 5, 6, 33, 263, 133, 362, 61, 291, 0, 17]]  # nose, eyes, mouth
    pose = bender.pose
    x, y, z = pose.axes[axis]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) * np.radians(SEEN * degrees)
    expected = (inner * [1, 1, DEPTH] - pose.centre * [1, 1, DEPTH]) @ cross.T
    left, top, right, bottom = bend.box
    for point, goes in zip(inner, expected):
        shown = (point[:2] + goes[:2] - (left, top)) / (right - left, bottom - top) * (FIELD - 1)
        got = bend.fields[0][:, round(shown[1]), round(shown[0])]
        assert np.abs(got - goes[:2]).max() < 0.25 * np.abs(expected[:, :2]).max()


def test_a_head_that_tilts_leaves_the_shoulders_and_a_chest_that_breathes_the_face(astronaut):
    bender = Bender(astronaut, SHORT, (1.0, 1.0))
    chin, nose = astronaut.mesh[152, :2] / SHORT, astronaut.mesh[1, :2] / SHORT
    below = chin + (chin - nose) * 1.8

    def goes(bend, place) -> float:
        left, top, right, bottom = bend.box
        x, y = np.clip(np.rint((place - (left, top)) / (right - left, bottom - top) * (FIELD - 1)), 0, FIELD - 1).astype(int)
        return float(np.hypot(*bend.fields[0][:, y, x]))

    tilt = bender.bend(bender.box(HEAD), [bender.tilt(6.0)])
    breath = bender.bend(bender.box(CHEST), [bender.breathe])
    assert goes(tilt, nose) > 0.01 and goes(tilt, below) < 0.2 * goes(tilt, nose)
    assert goes(breath, nose) == 0 < goes(breath, below)


@pytest.mark.parametrize("kind", FACE_KINDS)
def test_no_bend_folds(astronaut, kind):
    for bend in form_face(astronaut, (True, True), [Act(kind, amount=2.0)], (SHORT, SHORT), 4.25, 0).bends:
        steps = (np.array(bend.box[2:]) - bend.box[:2]) / (FIELD - 1)
        for field in bend.fields:
            assert np.diff(field[0], axis=1).max() < steps[0] and np.diff(field[1], axis=0).max() < steps[1]


def test_a_face_that_is_seen_from_the_side_is_not_turned(astronaut):
    finder = Finder(Image.fromarray(data.astronaut()))
    turn = np.radians(50)
    turned = astronaut.mesh @ [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    finder.faces = [replace(astronaut, mesh=turned)]
    for prompt, drawn in (("she turns her head", False), ("she shakes her head", False), ("she nods", True)):
        _, (outcome,) = plan(read_clauses(prompt), finder)
        assert bool(outcome.acts) == drawn and ("seen from the side" in outcome.said) != drawn


def test_who_tilts_the_head_is_a_layer_and_who_turns_it_is_none(astronaut):
    finder, size = Finder(Image.fromarray(data.astronaut())), (SHORT, SHORT)
    for kind, layers in (("tilt-head", 2), ("turn-head", None)):
        scene = set_apart(None, finder, [Actor(astronaut, size, (True, True), (Act(kind),))])
        assert (scene and len(scene.layers)) == layers


def test_a_close_up_does_not_breathe(astronaut):
    left, top, right, bottom = (int(edge) for edge in astronaut.box)
    close = Image.fromarray(data.astronaut()[top - 20 : bottom + 15, left - 40 : right + 40]).resize((400, 400))
    _, (outcome,) = plan(read_clauses("she breathes"), Finder(close))
    assert not outcome.acts and "no shoulders" in outcome.said
    _, (outcome,) = plan(read_clauses("she breathes"), Finder(Image.fromarray(data.astronaut())))
    assert outcome.acts
