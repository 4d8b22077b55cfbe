import av
import cv2
import numpy as np
import pytest
from skimage import data

from loopanimate.metrics import psnr, seam
from loopanimate.motion.border import touched_borders
from loopanimate.render import reference, renderer
from loopanimate.render.renderer import Renderer
from loopanimate.render.torch_renderer import TorchRenderer
from tests.fields import curve, field_of, random_field

DISCS = (0.3, 0.4, 0.2), (0.45, 0.55, 0.25), (0.7, 0.5, 0.3)  # middle in shares of the sides, radius in heights


def discs(height: int, width: int, layers: int) -> list[np.ndarray]:
    """Masks that overlap, with soft rims, of all layers but the background."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    shapes = DISCS[: layers - 1]
    return [np.clip((r * height - np.hypot(x - left * width, y - top * height)) / 3, 0, 1) for left, top, r in shapes]


def texture() -> np.ndarray:
    noise = np.random.default_rng(0).normal(128, 400, (240, 320, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 3).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def coffee(photos):
    return np.asarray(photos["coffee"].resize((321, 215)))  # odd sides: planes for video cut the last row and column


def check(frame: np.ndarray, defined: np.ndarray):
    """Levels that linear displacement between the points of a grid may cost, and rounding each plane."""
    assert frame.shape == defined.shape and frame.dtype == np.uint8
    apart = np.abs(frame.astype(int) - defined)
    assert apart.max() <= 12 and (apart > 1).mean() < 0.015 and (apart > 3).mean() < 0.001


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("layers", "streams", "resting"),
    [(1, (), ()), (1, (0,), ()), (2, (), ()), (2, (1,), (0,)), (3, (), (1,)), (3, (0, 2), ()), (4, (1,), (3,)), (4, (), ())],
)
def test_both_renderers_draw_what_the_reference_defines(coffee, planar, layers, streams, resting):
    masks, field = discs(215, 321, layers), random_field(3, (12, 20), streams, layers=layers, resting=resting)
    assert field.moves == [layer not in resting for layer in range(layers)]
    ours, theirs = Renderer(coffee, masks, field, planar), TorchRenderer(coffee, masks, field, planar, "cpu")
    for time in (5, 17.3):
        defined = reference.draw(coffee, masks, field, time, planar)
        check(ours.frame(time), defined)
        check(theirs.frame(time), defined)
    at_rest = reference.draw(coffee, masks, field, 0, planar)
    assert planar or np.array_equal(at_rest, coffee)
    for time in (0, 34.0, 1e-6):  # after zero it is composited, from layers that hardly moved
        assert np.array_equal(ours.frame(time), at_rest)
    assert np.array_equal(theirs.frame(0), at_rest)


def test_large_pictures_and_places_beyond_the_border_are_drawn_as_defined_too(coffee, monkeypatch):
    monkeypatch.setattr(renderer, "LARGE", 200)
    displacement = curve(shape=(5, 8), reach=0.15) + curve(shape=(5, 8), layer=1, reach=0.02)
    field = field_of(displacement, ((False, False), (False, False)))
    masks = discs(215, 321, 2)
    masks[0][:60, :100] = 1  # touches two borders, and moves by 32 pixels
    ours = Renderer(coffee, masks, field)
    assert ours.step == 8
    for time in (8, 20):
        check(ours.frame(time), reference.draw(coffee, masks, field, time))


def test_zero_displacement_is_the_exact_picture_soft_edges_included(blob):
    image, mask = blob
    soft = np.clip(mask * 0.8 + 0.1, 0, 1)
    soft[40:60, :] = np.linspace(0, 1, 128)
    ours = Renderer(image, [soft], field_of(curve()))
    for time in (0, 34.0, 1e-6):
        assert np.array_equal(ours.frame(time), image)


def test_planes_for_video_show_what_the_picture_shows(blob):
    image, mask = (cv2.resize(part, (259, 193)) for part in blob)
    field = field_of(curve(reach=0.05) + curve(layer=1, reach=0.02))
    flat, coloured = Renderer(image, [mask], field, planar=True), Renderer(image, [mask], field)
    for time in (0.0, 7.3, 20.1):
        planes = av.VideoFrame.from_ndarray(flat.frame(time), format="yuv420p")
        planes.colorspace, planes.color_range = 1, 1
        shown = planes.reformat(format="rgb24", src_colorspace="ITU709", src_color_range="MPEG").to_ndarray()
        assert shown.shape == (192, 258, 3)
        assert psnr(shown, coloured.frame(time)[:192, :258]) > 36  # bytes of half-size colour lose that much at rest, too


def test_a_moved_picture_stays_nearer_than_bicubic_samples_and_as_sharp_as_lanczos():
    image = data.astronaut()[:160, :160]
    field = field_of(curve(shape=(12, 12), reach=0.02))
    ours = Renderer(image, [np.ones((160, 160), np.float32)], field)
    y, x = np.mgrid[0:160, 0:160].astype(np.float32)
    inner = np.s_[40:120, 40:120]
    errors, cubic, detail = [], [], []
    for time in np.linspace(3, 30, 10):
        dx, dy = field.at(time)[0][0, :, 0, 0] * 160
        turn = np.exp(-2j * np.pi * (dx * np.fft.fftfreq(160)[None] + dy * np.fft.fftfreq(160)[:, None]))
        exact = np.clip(np.fft.ifft2(np.fft.fft2(image[..., 1]) * turn).real, 0, 255)[inner].round().astype(np.uint8)
        shown = ours.frame(time)[..., 1]
        errors.append(psnr(shown[inner], exact))
        cubic.append(psnr(cv2.remap(image[..., 1], x - dx, y - dy, cv2.INTER_CUBIC)[inner], exact))
        lanczos = cv2.remap(image[..., 1], x - dx, y - dy, cv2.INTER_LANCZOS4)
        detail.append(np.divide(*(cv2.Laplacian(part, cv2.CV_32F)[inner].var() for part in (shown, lanczos))))
    assert np.mean(errors) > np.mean(cubic) + 1
    assert np.mean(detail) > 0.95


def test_content_moves_where_the_displacement_points(blob):
    image, mask = blob
    frame = Renderer(image, [mask], field_of(curve(reach=0.05))).frame(17).astype(int)  # half-way: 4.8 pixels to the right
    shifted = np.roll(image, 5, axis=1).astype(int)
    inside = np.s_[40:56, 56:76]
    assert np.abs(frame[inside] - shifted[inside]).mean() < 0.5 * np.abs(image[inside].astype(int) - shifted[inside]).mean()
    far = np.hypot(*(np.mgrid[0:96, 0:128] - np.array([48, 64])[:, None, None])) > 40
    assert np.array_equal(frame[far], image[far].astype(int))


def test_layers_move_apart_in_their_order():
    """Four squares one behind the other, and a background; each moves on its own, in front of those behind it."""
    image, masks = np.full((96, 160, 3), 40, np.uint8), np.zeros((4, 96, 160), np.float32)
    for layer, mask in reversed(list(enumerate(masks))):
        mask[24:72, 30 + 16 * layer : 78 + 16 * layer] = 1
        image[mask > 0] = 90 + 40 * layer
    displacement = np.zeros((5, 10, 12, 20), np.float32)
    displacement[2, 4] = -10 / 96  # the third, ten pixels to the left, behind the first two
    frame = Renderer(image, list(masks), field_of(displacement)).frame(2)[48, :, 0]
    nearest = np.abs(frame[:, None] - np.array([90.0, 130, 170, 210, 40])).argmin(1)
    # of the third, six pixels come out from under the second; the fourth continues where the third was
    assert np.array_equal(nearest, np.repeat([4, 0, 1, 2, 3, 4], [30, 48, 16, 6, 26, 34]))


@pytest.mark.parametrize("drift", [0.0, 0.1])
def test_the_ring_has_no_seam(blob, drift):
    image, mask = blob
    ours = Renderer(image, [mask], field_of(curve(layer=1 if drift else 0, reach=0.05, drift=drift)))
    for count in (34, 102):
        measures = seam(np.stack([ours.frame(34 * k / count) for k in range(count)]))
        assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25 and measures["pause"] >= 1


def test_a_fast_stream_changes_evenly():
    image = texture()
    ours = Renderer(image, [np.zeros(image.shape[:2], np.float32)], field_of(curve(layer=1, reach=0.0, drift=0.4)))
    assert ours.field.turns[1] == 7
    frames = np.stack([ours.frame(time) for time in range(34)]).astype(float)
    changes = np.abs(np.roll(frames, -1, axis=0) - frames).mean((1, 2, 3))
    assert changes.std() < 0.06 * changes.mean()


def test_a_stream_ends_in_the_untouched_picture_and_keeps_its_contrast(blob):
    image, mask = blob
    ours = Renderer(image, [mask], field_of(curve(layer=1, drift=0.1)))
    assert psnr(ours.frame(33.9999), image) > 40
    background = mask == 0
    assert ours.frame(17).astype(float)[background].std() > 0.8 * image[background].std()


def test_where_a_stream_stands_still_its_contrast_does_not_pulse():
    image = texture()
    ours = Renderer(image, [np.zeros(image.shape[:2], np.float32)], field_of(curve(layer=1, drift=0.1)))
    halfway = ours.frame(34 / ours.field.turns[1] / 2).astype(float)  # both phases have half of the weight
    rim, middle = (slice(0, 1), slice(40, 280)), (slice(90, 150), slice(100, 220))
    assert image[rim].std() > 30 and np.abs(halfway[rim] - image[rim]).max() <= 3
    assert halfway[middle].std() == pytest.approx(image[middle].std(), rel=0.15)


def test_a_layer_that_touches_no_border_moves_up_to_it_unbent():
    image, mask = np.full((96, 128, 3), 90, np.uint8), np.zeros((96, 128), np.float32)
    image[40:56, 6:22], mask[40:56, 6:22] = (250, 200, 40), 1
    displacement = np.zeros((5, 4, 12, 16), np.float32)
    displacement[2, 0] = -4 / 96  # pixels to the left
    held, free = (Renderer(image, [mask], field_of(displacement, *given)).frame(2) for given in ((), (touched_borders(mask),)))
    columns = [np.flatnonzero(frame[48, :, 0] > 170) for frame in (held, free)]
    assert (columns[1][0], len(columns[1])) == (2, 16)
    assert columns[0][0] > 3  # bent by the border's fade
    behind = field_of(np.roll(displacement, 2, axis=1), touched_borders(mask))
    assert np.array_equal(Renderer(image, [mask], behind).frame(2)[:, 0], image[:, 0])  # the background always is held
