"""Cameras, measured on the field as it is rendered, between native frames too."""

import base64

import cv2
import numpy as np
import pytest
from skimage import data

from loopanimate.files.living import PARALLAX, motion_of
from loopanimate.metrics import seam
from loopanimate.motion.border import ALL_BORDERS, border_fade, border_reach
from loopanimate.motion.camera import MOST, OPEN, Camera, Shot, film
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import unfolded
from loopanimate.motion.field import Field
from loopanimate.motion.spline import spline_matrix
from loopanimate.render.renderer import Renderer
from tests.files.test_living import decode, upsample
from tests.motion.motions import circle

CAMERAS = [Camera(move, heading) for move in ("slide", "orbit") for heading in (0.0, 90.0, 180.0, 225.0)]
CAMERAS += [Camera("in"), Camera("in", centre=(0.2, 0.7)), Camera("out"), Camera("shake"), Camera("in", cycles=2)]
SHAPES = [(24, 44), (36, 24)]
UPRIGHT, FAR, GROUND = range(3)


def shot_of(*cameras: Camera, shape=(24, 44)) -> Shot:
    """A thing that stands, one far away, and ground below a sky."""
    ground = np.clip(np.linspace(-1, 1, shape[0]), 0, 1)[:, None] * np.ones(shape[1])
    return Shot(cameras, np.stack([np.full(shape, 0.8), np.full(shape, 0.2), ground]).astype(np.float32))


def still(frames: int = 9) -> Motion:
    return Motion(np.zeros((frames, 3, 2, 12, 12), np.float32), np.zeros((3, 2, 12, 12), np.float32))


def sources(field: Field, time: float, pixels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Where each layer is sampled (L, 2, H, W) in short sides, and the sides of the picture (2,)."""
    height, width = (side * pixels for side in field.winding.shape[-2:])
    short = min(height, width)
    rows, columns = spline_matrix(height // pixels, height), spline_matrix(width // pixels, width)
    places = np.stack(np.meshgrid((np.arange(width) + 0.5) / short, (np.arange(height) + 0.5) / short))
    return places - rows @ field.at(time)[0] @ columns.T, np.array([width, height]) / short


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("camera", CAMERAS, ids=str)
def test_a_path_closes_and_asks_for_nothing_outside_the_picture(camera, shape):
    for strength in (1.0, MOST):
        motion, borders = film(still(), shot_of(camera, shape=shape), [ALL_BORDERS] * 3, strength)
        assert not motion.ring[0].any() and np.array_equal(motion.ring[-1], motion.ring[0])
        field = Field(motion, borders)
        assert max(field.reaches) > 0.003 and borders == [OPEN] * 3
        for time in np.arange(0, 8, 0.5):
            at, sides = sources(field, time)
            # pixel centres lie half a pixel within the sides; a tenth of one of 1080 is not seen
            assert at.min() > -1e-4 and (at < sides[:, None, None] + 1e-4).all(), (time, at.min((0, 2, 3)), at.max((0, 2, 3)))


@pytest.mark.parametrize("camera", CAMERAS, ids=str)
def test_what_stands_moves_as_one_similarity_and_no_cell_folds(camera):
    motion, borders = film(still(), shot_of(camera), [ALL_BORDERS] * 3)
    for layer in range(3):
        assert unfolded(motion.ring[:, layer], motion.winding[layer], OPEN) == 1
    field = Field(motion, borders)
    inner = slice(2, -2)  # the spline is constant in the outer half of a grid's first cell
    for time in (1, 2.5, 4, 6):
        at, _ = sources(field, time)
        place, _ = sources(field, 0)
        for layer in (UPRIGHT, FAR):
            here, there = (part[layer, :, inner, inner].reshape(2, -1) for part in (place, at))
            terms = np.stack([here[0], here[1], np.ones(here.shape[1])], 1)
            fit, *_ = np.linalg.lstsq(terms, there.T, rcond=None)
            assert np.abs(terms @ fit - there.T).max() < 1e-4  # straight lines stay straight
            assert abs(fit[0, 0] - fit[1, 1]) + abs(fit[0, 1] + fit[1, 0]) < 1e-4  # and keep their angles


@pytest.mark.parametrize("camera", [Camera("in"), Camera("out"), Camera("slide", 0), Camera("slide", 270)], ids=str)
def test_the_nearer_moves_more_and_the_strength_scales_it(camera):
    once, twice, never = (film(still(), shot_of(camera), [ALL_BORDERS] * 3, strength)[0].ring for strength in (1, 2, 0))
    sizes = np.linalg.norm(once, axis=2).mean((2, 3)).max(0)
    assert sizes[UPRIGHT] > 1.5 * sizes[FAR] > 0
    low, high = (np.linalg.norm(once[:, GROUND, :, row], axis=1).mean(1).max() for row in (-4, 12))
    assert low > 1.5 * high
    assert 1.7 < np.linalg.norm(twice, axis=2).mean() / np.linalg.norm(once, axis=2).mean() < 2.1
    assert not never.any()


def test_headings_and_ways():
    right, up = (film(still(), shot_of(Camera("slide", way)), [ALL_BORDERS] * 3)[0].ring[4] for way in (0, 270))
    assert right[UPRIGHT, 0].mean() < -0.02 and up[UPRIGHT, 1].mean() > 0.02  # what is shown goes the other way
    outward = film(still(35), shot_of(Camera("out")), [ALL_BORDERS] * 3)[0].ring[:, UPRIGHT, 0, :, -1].mean(1)
    assert outward[0] == 0 and 8 < outward.argmax() < 14  # a third of the loop in, the rest out
    assert (np.diff(outward[14:]) < 0).all()


def test_a_camera_that_goes_round_turns_at_the_wrap_as_at_its_other_end():
    ring = film(still(35), shot_of(Camera("orbit")), [ALL_BORDERS] * 3)[0].ring[..., 12, 22]
    ring = ring[:, UPRIGHT] - ring[:, FAR]  # parallax, without the zoom that both share
    start, other = (np.linalg.norm(ring[at + 4] - ring[at]) for at in (0, 17))
    assert start == pytest.approx(other, rel=0.15) and np.linalg.norm(ring[17]) > 0.025
    assert abs(ring[8, 0] * ring[17, 1] - ring[8, 1] * ring[17, 0]) > 1e-5  # on the way it bows


def test_what_moves_goes_on_moving_before_a_camera_and_still_fades_at_the_border():
    motion = circle(shape=(12, 22), reach=0.03, drift=0.05)
    borders = [ALL_BORDERS, ALL_BORDERS]
    near = np.zeros((2, 24, 44), np.float32)
    plain, _ = film(motion, Shot((Camera("in", amount=0.0),), near), borders)
    fade = border_fade(24, 44, border_reach(float(np.hypot(0.08, 0.015))))
    rows, columns = spline_matrix(12, 24), spline_matrix(22, 44)
    assert np.allclose(plain.ring, (rows @ motion.ring @ columns.T) * fade, atol=2e-3)
    moved, _ = film(motion, Shot((Camera("in"),), near), borders)
    camera, _ = film(scaled(motion, 0), Shot((Camera("in"),), near), borders)
    assert np.allclose((moved.ring - camera.ring)[:, 0, :, 12, 22], plain.ring[:, 0, :, 12, 22], atol=1e-3)
    assert moved.streams(0) and not moved.streams(1)


def scaled(motion: Motion, factor: float) -> Motion:
    return Motion(motion.ring * factor, motion.winding * factor)


def test_a_cut_has_a_camera_of_its_own():
    whole = shot_of(Camera("in", centre=(0.25, 0.5)))
    cut = whole.crop((0.25, 0, 0.75, 1), (36, 24))
    assert cut.near.shape == (3, 36, 24) and cut.cameras[0].centre == (0.2, 0.5)
    assert np.allclose(cut.near[UPRIGHT], 0.8, atol=1e-5) and cut.near[GROUND, -1] == pytest.approx(1, abs=0.05)
    assert np.allclose(whole.crop((0, 0, 1, 1), (24, 44)).near, whole.near, atol=1e-5)


@pytest.mark.parametrize(
    "camera", [Camera("in"), Camera("out"), Camera("slide", 180), Camera("orbit"), Camera("shake")], ids=str
)
def test_a_rendered_camera_has_no_seam_and_the_page_draws_it(camera):
    pixels = cv2.resize(data.coffee(), (176, 96), interpolation=cv2.INTER_AREA)
    mask = np.zeros((96, 176), np.float32)
    mask[30:90, 50:110] = 1
    shot = Shot((camera,), shot_of().near[[UPRIGHT, GROUND]])
    motion = Motion(np.zeros((35, 2, 2, 12, 22), np.float32), np.zeros((2, 2, 12, 22), np.float32))
    field = Field(*film(motion, shot, [OPEN, OPEN]), shot.near)
    renderer = Renderer(pixels, [mask], field)
    frames = np.stack([renderer.frame(time) for time in range(34)])
    measures = seam(frames)
    assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25
    assert np.array_equal(frames[0], pixels) and np.array_equal(renderer.frame(34), pixels)
    page = motion_of([field])
    rows, columns = spline_matrix(24, 96), spline_matrix(44, 176)
    nudge = np.frombuffer(base64.b64decode(page["nudge"]["data"]), np.int8).reshape(2, 24, 44) * page["nudge"]["step"]
    middle = nudge[:, 8:-8, 8:-8]
    assert middle[0] == pytest.approx(PARALLAX[1] + 0.8 * (PARALLAX[0] - PARALLAX[1]), abs=1e-4)  # by depth, like the camera
    assert middle[1, 0].mean() < middle[1, -1].mean() and np.abs(nudge[:, :, 0]).max() < 0.1 * PARALLAX[0]
    for time in (0.2, 0.5, 0.9):
        exact = rows @ field.at(time * 34)[0] @ columns.T
        assert np.abs(upsample(decode(page["loops"][0], (2, 24, 44), time), (96, 176)) - exact).max() < 3e-4
