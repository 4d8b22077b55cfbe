"""Faces as the renderers draw them: all alike, at rest the very picture, and nothing beyond their boxes."""

from dataclasses import replace

import numpy as np
import pytest

from loopanimate.motion.border import borders_of
from loopanimate.motion.curve import Motion
from loopanimate.motion.faces import ENDS, FIELD, KNOTS, LEVELS, Bend, Eye, Face, shift_eye
from loopanimate.motion.field import Field
from loopanimate.render.reference import draw
from loopanimate.render.renderer import Renderer
from loopanimate.render.torch_renderer import TorchRenderer
from loopanimate.scene.layers import separate
from tests.motion.motions import circle

SIDE = 128


def eye(side: int = 0, corner=(0.3, 0.42), along=(0.25, 0.03)) -> Eye:
    u = np.linspace(*ENDS, KNOTS)
    arch = np.maximum(4 * u * (1 - u), 0)
    upper, lower = -0.22 * arch, 0.15 * arch
    lids = np.stack([upper - 0.5, upper, lower, lower + 0.4, 0.86 * (lower - upper), -0.14 * (lower - upper)])
    return Eye(side, corner, along, lids.astype(np.float32), (0.5, -0.02, 0.18))


def face(**changes) -> Face:
    edge = np.linspace(0, 1, FIELD)
    bump = np.outer(np.sin(np.pi * edge) ** 2, np.sin(np.pi * edge) ** 2)
    fields = np.stack([0.03 * bump, -0.02 * bump])[None].astype(np.float32)
    bends = Bend((0.1, 0.15, 0.9, 0.9), -0.5 * fields), Bend((0.2, 0.2, 0.8, 0.85), fields)
    phase = np.arange(LEVELS) / LEVELS
    closed, gone = np.clip(1.5 * np.sin(np.pi * phase), 0, 1), np.sin(2 * np.pi * phase)
    curve = np.stack([closed, 0 * closed, 0.03 * gone, 0.01 * gone, abs(gone), gone], 1).astype(np.float32)
    return replace(Face((0.2, 0.2, 0.8, 0.85), (eye(), eye(1, (0.62, 0.7), (0.16, 0.0))), bends, curve, (0,)), **changes)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE // 8, SIDE // 8 + 2, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


def field_of(*faces: Face, moves: bool = False, flows: bool = False) -> Field:
    motion = circle(9, (8, 9)) if moves else Motion(np.zeros((9, 2, 2, 8, 8), np.float32), np.zeros((2, 2, 8, 8), np.float32))
    if flows:
        motion = motion.replace(0, winding=np.full((2, 8, 8), 0.02, np.float32))
    return Field(motion, borders_of([np.ones((8, 8))] * (motion.num_layers - 1)), faces=faces)


def mask() -> np.ndarray:
    ramp = np.zeros((SIDE, SIDE + 16), np.float32)
    ramp[8:118, 8:130] = 1
    return ramp


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("moves, bends", [(False, True), (False, False), (True, True)])
def test_the_renderers_draw_what_the_definition_says(image, moves, bends, planar):
    given = face() if bends else face(bends=(), curve=face().curve[:, :4])
    field = field_of(given, moves=moves)
    ours, theirs = Renderer(image, [mask()], field, planar), TorchRenderer(image, [mask()], field, planar, "cpu")
    for share in (0.2, 0.37, 0.5, 0.8):
        time = share * field.period
        expected = draw(image, [mask()], field, time, planar).astype(int)
        for renderer in (ours, theirs):
            apart = np.abs(renderer.frame(time).astype(int) - expected)[28:100, 28:100]  # within the layer's rim
            # bends are known every few pixels, linear between, which hard edges show
            assert np.percentile(apart, 98) <= 8 and apart.mean() < 0.4
        still = draw(image, [mask()], field_of(moves=moves), time, planar)
        assert np.abs(expected - still).mean() > 0.2


def test_eyes_close_in_what_flows(image):
    given = face(bends=(), curve=face().curve[:, :4])
    field, time = field_of(given, flows=True), 3.5
    expected = draw(image, [mask()], field, time).astype(int)
    for renderer in (Renderer(image, [mask()], field), TorchRenderer(image, [mask()], field, False, "cpu")):
        apart = np.abs(renderer.frame(time).astype(int) - expected)[28:100, 28:100]
        assert np.percentile(apart, 98) <= 8 and apart.mean() < 0.6
    assert np.abs(expected - draw(image, [mask()], field_of(flows=True), time)).mean() > 0.2


def test_at_rest_it_is_the_very_picture(image):
    renderer = Renderer(image, [mask()], field_of(face()))
    assert np.array_equal(renderer.frame(0), image)
    renderer.frame(3)
    assert np.array_equal(renderer.frame(0), image) and np.array_equal(renderer.frame(renderer.field.period), image)


@pytest.mark.parametrize("moves", [False, True])
def test_nothing_moves_beyond_the_face(image, moves):
    layers = separate(image, [mask()], 24)  # what lies behind a rim is filled as far as what moves there reaches
    fields = (field_of(*faces, moves=moves) for faces in ((face(),), ()))
    with_face, without = (Renderer(image, [mask()], field, layers=layers) for field in fields)
    changed = np.zeros(image.shape[:2], bool)
    for time in (1, 3, 5, 1.7):
        changed |= (with_face.frame(time) != without.frame(time)).any(2)
    y, x = (np.nonzero(changed)[axis] / SIDE for axis in (0, 1))
    reach = without.field.reach + 2 / SIDE
    assert len(x) > 500
    assert min(x) > 0.1 - reach and max(x) < 0.9 + reach and min(y) > 0.15 - reach and max(y) < 0.9 + reach


def test_what_is_drawn_does_not_depend_on_what_was_drawn_before(image):
    some, other = (Renderer(image, [mask()], field_of(face())) for _ in range(2))
    for time in (1, 4, 0, 6):
        some.frame(time)
    assert np.array_equal(some.frame(2.5), other.frame(2.5))


def test_a_closed_eye_shows_lids_alone_and_meets_along_its_curve():
    shut = eye()
    u = np.linspace(0.05, 0.95, 40)[:, None] + np.zeros((1, 200))
    v = np.linspace(-0.4, 0.4, 200)[None] + np.zeros((40, 1))
    sources, (lower, upper) = shift_eye(shut, (1.0, 0.0, 0.0), u, v, 0.001)
    assert np.maximum(lower, upper).min() > 0.95
    inside = (upper > 0.5) & (np.abs(sources[2][1] - v) > 0.02)
    above = sources[2][1][inside] <= np.interp(u[inside], np.linspace(*ENDS, KNOTS), shut.lids[1]) + 0.06
    assert above.all()  # the upper lid is covered by its own skin, and by nothing of the eye


def test_the_iris_moves_in_one_piece_and_stays_in_its_eye():
    gaze, here = (0.1, 0.03), eye()
    middle, height, radius = here.iris
    angle = np.linspace(0, 2 * np.pi, 60)
    u, v = middle + gaze[0] + 0.9 * radius * np.cos(angle), height + gaze[1] + 0.5 * radius * np.sin(angle)
    (ball, *_), _ = shift_eye(here, (0.0, *gaze), u, v, 0.001)
    assert np.allclose(ball[0], u - gaze[0], atol=1e-6)
    line = np.linspace(0.02, 0.98, 300)
    (ball, *_), _ = shift_eye(here, (0.0, *gaze), line, np.zeros(300), 0.001)
    assert (np.diff(ball[0]) >= -1e-9).all()  # nothing of the eye is shown twice


def test_strength_counts_up_to_one():
    for strength, expected in ((0.5, 0.5), (1.0, 1.0), (2.0, 1.0)):
        eyes, bends = face(strength=strength).at(0.25)
        whole, grids = face().at(0.25)
        assert eyes[0][1] == pytest.approx([expected * value for value in whole[0][1]])
        assert len(bends) == 2
        assert all(np.allclose(field, expected * grid) for (_, field), (_, grid) in zip(bends, grids))


def test_a_crop_shows_the_same(image):
    part, sides = (0.1, 0.1, 0.9, 0.95), ((SIDE + 16) / SIDE, 1.0)
    cropped = face().crop(part, sides)
    scale = 1 / min((np.array(part[2:]) - part[:2]) * sides)
    assert np.allclose(np.array(cropped.eyes[0].corner), (np.array((0.3, 0.42)) - np.array(part[:2]) * sides) * scale)
    assert np.allclose(cropped.at(0.3)[0][0][1], face().at(0.3)[0][0][1])  # in lengths of the eye
    assert cropped.eye_reach == pytest.approx(face().eye_reach * scale)
    assert cropped.bend_reach == pytest.approx(face().bend_reach * scale)


def test_a_head_carries_the_layers_before_it_that_are_parts_of_it():
    whole, hair, far = (np.zeros((SIDE, SIDE), np.float32) for _ in range(3))
    whole[:], hair[15:40, 20:110], far[100:, :20] = 1, 1, 1
    given = face(layers=(2,))
    carried = given.carry([hair, far, whole])
    assert carried.layers == (0,) and not carried.eyes
    assert [box for box, _ in carried.at(0.25)[1]] == [given.bends[0].box]  # the head's, not the features'
    assert (
        face(layers=(0,)).carry([whole]) is None and face(layers=(2,), bends=given.bends[1:]).carry([hair, far, whole]) is None
    )
