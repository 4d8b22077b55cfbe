import av
import cv2
import numpy as np
import pytest
import torch
from skimage import data

from loopanimate.metrics import psnr, seam
from loopanimate.motion.field import ALL_BORDERS, LoopField, border_fade, spline_matrix, touched
from loopanimate.render.renderer import Renderer
from loopanimate.render.torch_renderer import TorchRenderer
from loopanimate.scene.layers import fill_plate, solve
from tests.fields import random_field


def curve(frames=35, shape=(12, 16), layer=0, reach=0.02, drift=0.0):
    """A layer that circles once, with a drift at its end."""
    turn = 2 * np.pi * np.arange(frames) / (frames - 1)
    displacement = np.zeros((frames, 4, *shape), np.float32)
    displacement[:, 2 * layer] = (reach * (1 - np.cos(turn)) / 2 + drift * np.arange(frames) / (frames - 1))[:, None, None]
    displacement[:, 2 * layer + 1] = (reach * np.sin(turn) / 2)[:, None, None]
    return displacement


def test_zero_displacement_is_the_exact_picture_soft_edges_included(blob):
    image, mask = blob
    soft = np.clip(mask * 0.8 + 0.1, 0, 1)
    soft[40:60, :] = np.linspace(0, 1, 128)
    field = LoopField(curve())
    renderer = Renderer(image, soft, field)
    assert np.array_equal(renderer.frame(0), image)
    assert np.array_equal(renderer.frame(34.0), image)
    assert np.array_equal(renderer.frame(1e-6), image)  # composited, from layers that hardly moved


def test_layers_composite_to_the_exact_picture_over_any_plate():
    random = np.random.default_rng(0)
    image, plate = random.integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    alpha = random.integers(0, 256, (64, 96), dtype=np.uint8)
    alpha[:20], alpha[20:40] = 0, 255
    layers = solve(image, alpha, plate)
    under = [cv2.multiply(channel, 255 - alpha, scale=1 / 255) for channel in cv2.split(layers.plate)]
    assert np.array_equal(layers.colour.astype(int) + np.dstack(under), image)
    assert np.array_equal(layers.plate[:20], image[:20]) and not layers.colour[:20].any()


def test_planes_for_video_show_what_the_picture_shows(blob):
    image, mask = blob
    image, mask = cv2.resize(image, (259, 193)), cv2.resize(mask, (259, 193))  # odd: the last of each is cut
    field = LoopField(curve(reach=0.05) + curve(layer=1, reach=0.02))
    flat, coloured = Renderer(image, mask, field, planar=True), Renderer(image, mask, field)
    for time in (0.0, 1e-6, 7.3, 20.1):
        planes = av.VideoFrame.from_ndarray(flat.frame(time), format="yuv420p")
        planes.colorspace, planes.color_range = 1, 1
        shown = planes.reformat(format="rgb24", src_colorspace="ITU709", src_color_range="MPEG").to_ndarray()
        assert shown.shape == (192, 258, 3)
        assert psnr(shown, coloured.frame(time)[:192, :258]) > 36  # bytes of half-size colour lose that much at rest, too
    assert np.array_equal(flat.frame(1e-6), flat.frame(0.0))


def test_a_moved_picture_stays_nearer_than_bicubic_samples_and_as_sharp_as_lanczos():
    image = data.astronaut()[:160, :160]
    field = LoopField(curve(shape=(12, 12), reach=0.02))
    renderer = Renderer(image, np.ones((160, 160), np.float32), field)
    y, x = np.mgrid[0:160, 0:160].astype(np.float32)
    inner = np.s_[40:120, 40:120]
    ours, cubic, detail = [], [], []
    for time in np.linspace(3, 30, 10):
        dx, dy = field.at(time)[0][:2, 0, 0] * 160
        turn = np.exp(-2j * np.pi * (dx * np.fft.fftfreq(160)[None] + dy * np.fft.fftfreq(160)[:, None]))
        exact = np.clip(np.fft.ifft2(np.fft.fft2(image[..., 1]) * turn).real, 0, 255)[inner].round().astype(np.uint8)
        ours.append(psnr(renderer.frame(time)[inner][..., 1], exact))
        cubic.append(psnr(cv2.remap(image[..., 1], x - dx, y - dy, cv2.INTER_CUBIC)[inner], exact))
        lanczos = cv2.remap(image[..., 1], x - dx, y - dy, cv2.INTER_LANCZOS4)
        shown = renderer.frame(time)[..., 1]
        detail.append(np.divide(*(cv2.Laplacian(part, cv2.CV_32F)[inner].var() for part in (shown, lanczos))))
    assert np.mean(ours) > np.mean(cubic) + 1
    assert np.mean(detail) > 0.95


def test_content_moves_where_the_displacement_points(blob):
    image, mask = blob
    field = LoopField(curve(reach=0.05))
    renderer = Renderer(image, mask, field)
    frame = renderer.frame(17).astype(int)  # half-way: 0.05 short sides = 4.8 pixels to the right
    shifted = np.roll(image, 5, axis=1).astype(int)
    inside = np.s_[40:56, 56:76]
    assert np.abs(frame[inside] - shifted[inside]).mean() < 0.5 * np.abs(image[inside].astype(int) - shifted[inside]).mean()
    far = np.hypot(*(np.mgrid[0:96, 0:128] - np.array([48, 64])[:, None, None])) > 40
    assert np.array_equal(frame[far], image[far].astype(int))


def test_drift_is_closed_and_a_stream_is_kept():
    drifted = LoopField(curve(drift=0.01))
    assert not drifted.winding.any()
    assert np.allclose(drifted.ring[-1], drifted.ring[0])
    streaming = LoopField(curve(layer=1, drift=0.1))
    assert streaming.turns == [1, 2] and not streaming.winding[:2].any()
    travelled = 2 * streaming.winding[2] / streaming.strength[1]
    assert np.allclose(travelled, 0.1, atol=1e-6)


def test_a_small_thing_streams_too():
    displacement = np.zeros((35, 4, 12, 16), np.float32)
    displacement[:, 0, 3:9, 7] = 0.1 * np.arange(35)[:, None] / 34
    assert LoopField(displacement).winding[0, 3:9, 7].all()


def test_a_fast_stream_is_cross_faded_more_often_and_stays_continuous():
    field = LoopField(curve(layer=1, reach=0.0, drift=0.29))
    assert field.turns[1] == 5 and field.reach <= 0.061
    before, phase = field.at(34 / 5 - 1e-4)
    after, restarted = field.at(34 / 5 + 1e-4)
    assert phase[1] > 0.999 and restarted[1] < 0.001
    assert np.allclose(before - field.winding, after, atol=1e-4)  # what has all the weight then is what comes next


def test_time_is_periodic_and_has_no_pause():
    field = LoopField(curve())
    assert np.allclose(field.at(3.3)[0], field.at(37.3)[0], atol=1e-6)
    fine = np.array([field.at(t)[0][:2, 0, 0] for t in np.arange(0, 34, 0.25)])
    speed = np.linalg.norm(np.diff(np.vstack([fine, fine[:1]]), axis=0), axis=1)
    assert speed.max() / speed.min() < 1.1  # a circle runs at one speed, through the wrap too


@pytest.mark.parametrize("drift", [0.0, 0.1])
def test_the_ring_has_no_seam(blob, drift):
    image, mask = blob
    layer = 1 if drift else 0
    renderer = Renderer(image, mask, LoopField(curve(layer=layer, reach=0.05, drift=drift)))
    for count in (34, 102):
        measures = seam(np.stack([renderer.frame(34 * k / count) for k in range(count)]))
        assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25 and measures["pause"] >= 1


def test_a_fast_stream_changes_evenly_and_a_slow_one_eases():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.normal(128, 400, (240, 320, 3)).astype(np.float32), (0, 0), 3).clip(0, 255).astype(np.uint8)
    renderer = Renderer(image, np.zeros(image.shape[:2], np.float32), LoopField(curve(layer=1, reach=0.0, drift=0.4)))
    assert renderer.field.turns[1] == 7 and renderer.field.even[1] > 0.8
    frames = np.stack([renderer.frame(time) for time in range(34)]).astype(float)
    changes = np.abs(np.roll(frames, -1, axis=0) - frames).mean((1, 2, 3))
    assert changes.std() < 0.06 * changes.mean()
    assert LoopField(curve(layer=1, drift=0.1)).even[1] < 0.3


def test_a_stream_ends_in_the_untouched_picture_and_keeps_its_contrast(blob):
    image, mask = blob
    renderer = Renderer(image, mask, LoopField(curve(layer=1, drift=0.1)))
    assert psnr(renderer.frame(33.9999), image) > 40
    background = mask == 0
    halfway = renderer.frame(17).astype(float)
    assert halfway[background].std() > 0.8 * image[background].std()


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("streams", [(), (1,), (0, 1)])
def test_torch_draws_the_same_frames(photos, blob, planar, streams):
    image = np.asarray(photos["coffee"].resize((321, 214)))
    mask = cv2.resize(blob[1], (321, 214))
    field = random_field(3, (12, 20), streams)
    ours, theirs = Renderer(image, mask, field, planar), TorchRenderer(image, mask, field, planar, torch.device("cpu"))
    for time in (0, 5, 17.3, 30):
        one, other = ours.frame(time), theirs.frame(time)
        assert one.shape == other.shape and one.dtype == other.dtype
        assert psnr(one, other) > (99 if time == 0 else 44)


def test_where_a_stream_stands_still_its_contrast_does_not_pulse():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.normal(128, 400, (240, 320, 3)).astype(np.float32), (0, 0), 3).clip(0, 255).astype(np.uint8)
    renderer = Renderer(image, np.zeros(image.shape[:2], np.float32), LoopField(curve(layer=1, drift=0.1)))
    turns = renderer.field.turns[1]
    halfway = renderer.frame(34 / turns / 2).astype(float)  # of its phases
    rim, middle = (slice(0, 1), slice(40, 280)), (slice(90, 150), slice(100, 220))
    assert image[rim].std() > 30 and np.abs(halfway[rim] - image[rim]).max() <= 3
    assert halfway[middle].std() == pytest.approx(image[middle].std(), rel=0.15)


def test_no_cell_folds_however_strong():
    displacement = curve(shape=(12, 12))
    displacement[:, 0] *= np.linspace(-12, 12, 12)[None, None, :]
    field = LoopField(displacement, strength=4.0)
    assert 0 < field.strength[0] < 4.0
    cell = 1 / 12
    by_x = np.gradient(field.ring[:, 0], cell, axis=-1)
    assert (1 - by_x).min() >= 0.2


def test_strength_scales_displacement():
    weak, strong = LoopField(curve(), 0.5), LoopField(curve(), 1.0)
    assert np.allclose(2 * weak.at(9.5)[0], strong.at(9.5)[0], atol=1e-6)


def test_upsampling_keeps_straight_lines():
    rows = spline_matrix(12, 300)
    centres = np.arange(12) + 0.5
    inner = slice(13, 287)
    assert np.allclose((rows @ centres)[inner], ((np.arange(300) + 0.5) * 12 / 300)[inner], atol=1e-4)
    assert np.allclose(rows.sum(1), 1, atol=1e-5)


def test_motion_fades_at_the_border():
    fade = border_fade(60, 90, 0.1)
    assert fade[0].max() < 0.05 and fade[:, -1].max() < 0.05 and fade[30, 45] == 1


def test_what_touches_no_border_moves_as_one_up_to_it():
    image, mask = np.full((96, 128, 3), 90, np.uint8), np.zeros((96, 128), np.float32)
    image[40:56, 6:22], mask[40:56, 6:22] = (250, 200, 40), 1
    assert touched(mask) == ((False, False), (False, False)) and touched(mask[40:]) == ((True, False), (False, False))
    assert touched(mask[:, 6:22]) == ((False, False), (True, True)) and touched(0.2 + 0 * mask) == touched(mask)
    displacement = np.zeros((5, 4, 12, 16), np.float32)
    displacement[2, 0] = -4 / 96  # pixels to the left
    held, free = (
        Renderer(image, mask, LoopField(displacement, borders=borders)).frame(2) for borders in (ALL_BORDERS, touched(mask))
    )
    columns = [np.flatnonzero(frame[48, :, 0] > 170) for frame in (held, free)]
    assert [(part[0], len(part)) for part in columns][1] == (2, 16)
    assert columns[0][0] > 3  # bent by the border's fade
    free = Renderer(image, mask, LoopField(np.roll(displacement, 2, axis=1), borders=touched(mask))).frame(2)
    assert np.array_equal(free[:, 0], image[:, 0])  # the background always is held


def test_plate_is_the_picture_outside_the_layer_and_hides_the_layer_inside(blob):
    image, mask = blob
    plate = fill_plate(image, mask, band=12)
    outside = np.hypot(*(np.mgrid[0:96, 0:128] - np.array([48, 64])[:, None, None])) > 30
    assert np.allclose(plate[outside], image[outside])
    rim = (np.hypot(*(np.mgrid[0:96, 0:128] - np.array([48, 64])[:, None, None])) < 22) & (mask > 0)
    around = image[(mask == 0)].mean()
    assert abs(plate[rim].mean() - around) < abs(image[rim].mean() - around)


@pytest.mark.parametrize("size", [1, 8])
def test_plate_goes_on_with_what_is_around_and_with_nothing_of_the_layer(size):
    grass = cv2.resize(data.grass(), (192, 192), interpolation=cv2.INTER_AREA)
    grass = np.tile(grass, (size, size))  # of one grain, however large the picture
    away = np.hypot(*(np.mgrid[0 : 192 * size, 0 : 192 * size] - 96 * size)) / size
    image = np.where(away[..., None] < 50, [250, 20, 20], grass[..., None].repeat(3, 2)).astype(np.uint8)
    alpha = np.clip(size * (50 - away) - 0.5, 0, 1).astype(np.float32)  # a mask a little too small
    plate = fill_plate(image, alpha, band=20 * size).astype(np.float32)
    band, around = (away < 46) & (away > 32), (away > 60) & (away < 90)
    red = plate[..., 0] - plate[..., 1]
    assert red[band].mean() < 3

    def roughness(where):
        grey = plate.mean(2)
        return sum((np.diff(grey, axis=axis, append=0)[where] ** 2).mean() for axis in (0, 1))

    assert 0.5 < roughness(band) / roughness(around) < 2  # Telea's alone has a tenth


def test_residue_beside_real_motion_is_put_to_rest_and_faint_motion_alone_is_not():
    displacement = curve(layer=0, reach=0.02) + curve(layer=1, reach=0.003)
    beside = LoopField(displacement)
    assert beside.moves == (True, False) and beside.strength == [1.0, 0.0]
    alone = LoopField(curve(layer=0, reach=0.004) + curve(layer=1, reach=0.001))
    assert alone.strength[0] == 1.0
    both = LoopField(curve(layer=0, reach=0.02) + curve(layer=1, reach=0.012))
    assert both.strength == [1.0, 1.0]


def test_headroom_is_where_the_strength_would_be_held_back():
    displacement = curve(shape=(12, 12))
    displacement[:, 0] *= np.linspace(-8, 8, 12)[None, None, :]
    gentle, strongest = LoopField(displacement), 4.0
    limit = gentle.headroom(strongest)[0]
    assert 1 < limit < strongest and gentle.headroom(strongest)[1] == strongest
    assert LoopField(displacement, strongest).strength[0] == pytest.approx(limit * gentle.strength[0], rel=1e-4)
