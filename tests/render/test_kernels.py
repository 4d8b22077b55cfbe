import numpy as np
import pytest

from loopanimate.render import kernels

STEP = 8


def move(x, y):
    """Smooth places, up to 24 pixels away, in pixels of a frame of 120 x 184."""
    away = 12 * (np.sin(y / 31) - np.sin(x / 43))
    return x + away + 1 / 3, y - away + 1 / 3


@pytest.mark.parametrize("where", [(0, 0), (40, 70), (119, 183)])
def test_the_bounds_of_alpha_miss_no_pixel_and_exclude_most_tiles(where):
    alpha = np.zeros((120, 184), np.uint8)
    alpha[where] = 255
    y, x = (STEP * (np.arange(-1, -(-side // STEP) + 1) + 0.5) - 0.5 for side in alpha.shape)
    known = np.stack(move(*np.meshgrid(x, y))).astype(np.float32)
    y, x = np.mgrid[:120, :184]
    source_x, source_y = move(x, y)
    seen = np.hypot(source_x.clip(0, 183) - where[1], source_y.clip(0, 119) - where[0]) < 4
    assert seen.any()
    bounds = np.zeros((2, *alpha.shape), np.uint8)
    for top in range(0, 120, STEP):
        for left in range(0, 184, STEP):
            box = np.s_[:, top : top + STEP, left : left + STEP]
            limits = top, top + STEP, left, left + STEP
            bounds[box] = np.reshape(kernels.bound_alpha(known, STEP, *limits, *kernels.spread(alpha)), (2, 1, 1))
    assert not bounds[0].any()
    assert (bounds[1][seen] == 255).all() and (bounds[1] > 0).mean() < 0.2
