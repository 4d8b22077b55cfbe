import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from loopanimate.render import kernels as sampling

STEP = 8


def places(height, width, swing):
    """Known places (2, rows, columns) of a frame, displaced by up to `swing` pixels, smooth and one third of a pixel off."""
    x, y = (STEP * (np.arange(-1, -(-side // STEP) + 1) + 0.5) - 0.5 for side in (width, height))
    away = np.sin(y / 31)[:, None] + np.cos(x / 43)
    return np.stack([x + swing * away + 1 / 3, y[:, None] - swing * away + 1 / 3]).astype(np.float32)


def fine(known, step, ratio, top, bottom, left, right):
    """The same places of every pixel of a box of planes, by OpenCV, in pixels of the doubled plane."""
    near = (slice(start // step, -(-stop // step) + 2) for start, stop in ((top, bottom), (left, right)))
    for part in known[(slice(None), *near)]:
        part = (part - (ratio - 1) / 2) * (2 / ratio)
        part = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        yield part[step : step + bottom - top, step : step + right - left].astype(np.float32)


@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("swing", [0, 7, 60])  # of 60, much is sampled beyond the border
def test_samples_are_linear(ratio, swing):
    height, width = 120, 184
    random = np.random.default_rng(0)
    source = sampling.planes(3, 2 * height // ratio, 2 * width // ratio)
    source[:] = random.integers(0, 256, source.shape)
    known = places(height, width, swing)
    box = top, bottom, left, right = 32, 112 // ratio, 48, 176 // ratio
    target = np.full((2, 120, 200), 7, np.uint8)
    sampling.sample(source, known, STEP, ratio, target, *box, 5, 3)
    maps = list(fine(known, STEP // ratio, ratio, *box))
    for plane, drawn in zip(source, target):
        expected = map_coordinates(plane.astype(np.float32), [maps[1], maps[0]], order=1, mode="nearest")
        assert np.abs(drawn[top - 5 : bottom - 5, left - 3 : right - 3] - expected).max() < 0.52
    target[:, top - 5 : bottom - 5, left - 3 : right - 3] = 7
    assert (target == 7).all()  # nothing is drawn beside the box


def test_the_compiled_places_are_the_product():
    random = np.random.default_rng(1)
    down, across, fade = (random.normal(size=size).astype(np.float32) for size in ((2, 9, 5), (5, 11), (9, 11)))
    x, y = np.arange(11, dtype=np.float32), np.arange(9, dtype=np.float32)
    out = np.empty((2, 9, 11), np.float32)
    sampling.places(down, across, fade, x, y, out)
    moved = down @ across * fade
    assert out == pytest.approx(np.stack([x - moved[0], y[:, None] - moved[1]]), abs=1e-5)


@pytest.mark.parametrize("where", [(0, 0), (40, 70), (119, 183)])
def test_no_alpha_that_shows_is_missed(where):
    """Of a single pixel, moved about: the bounds hold wherever it is seen, and do not where it is far."""
    alpha = np.zeros((120, 184), np.uint8)
    alpha[where] = 255
    spread = sampling.spread(alpha)
    known = places(120, 184, 12)
    x, y = fine(known, STEP, 1, 0, 120, 0, 184)
    seen = np.hypot(x / 2 - where[1], y / 2 - where[0]) < 4
    told = np.zeros_like(seen)
    for top in range(0, 120, STEP):
        for left in range(0, 184, STEP):
            least, most = sampling.alphas(known, STEP, top, top + STEP, left, left + STEP, *spread)
            told[top : top + STEP, left : left + STEP] = most
            assert least == 0
    assert not (seen & ~told).any()
    assert told.mean() < 0.2
