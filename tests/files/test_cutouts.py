import numpy as np
import pytest
from PIL import Image

from loopanimate.files.cutouts import fill_clear, open_alpha, over_white, premultiply, put_behind, straighten
from loopanimate.files.pictures import open_picture
from loopanimate.metrics import psnr
from loopanimate.render.renderer import Renderer
from loopanimate.scene.layers import cover_rim
from tests.fields import random_field


@pytest.fixture
def cut_out(tmp_path):
    """A textured disc with a soft rim, as a file, and its alpha."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:96, :128]
    waves = sum(np.sin(x * rng.uniform(0.05, 0.3) + y * rng.uniform(0.05, 0.3)) for _ in range(6))
    colours = np.clip(90 + 20 * waves[..., None] + np.array([30, 0, -30]), 0, 255)
    alpha = np.clip((34 - np.hypot(x - 64, y - 48)) / 4 + 0.5, 0, 1) * 255
    pixels = np.dstack([colours, alpha]).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    return tmp_path / "cut.png", pixels


def test_alpha_is_read_only_where_something_is_clear(cut_out, tmp_path):
    path, pixels = cut_out
    assert np.array_equal(open_alpha(path), pixels[..., 3])
    Image.fromarray(pixels[..., :3]).save(tmp_path / "plain.png")
    Image.fromarray(np.dstack([pixels[..., :3], np.full_like(pixels[..., 3], 255)])).save(tmp_path / "opaque.png")
    assert open_alpha(tmp_path / "plain.png") is None and open_alpha(tmp_path / "opaque.png") is None


def test_colours_come_back_from_the_picture_over_white(cut_out):
    path, pixels = cut_out
    planes = premultiply(np.asarray(open_picture(path)), open_alpha(path))
    assert np.array_equal(over_white(planes), np.asarray(open_picture(path)))
    seen = pixels[..., 3] > 64
    assert np.abs(straighten(planes)[seen].astype(int) - pixels[seen]).max() <= 4
    behind = np.asarray(put_behind(open_picture(path), open_alpha(path), "#204060"))
    wanted = pixels[..., :3] * (pixels[..., 3:] / 255) + np.array([32, 64, 96]) * (1 - pixels[..., 3:] / 255)
    assert np.abs(behind - wanted).max() <= 1.5
    with pytest.raises(ValueError, match="a background such as"):
        put_behind(open_picture(path), open_alpha(path), "nocolour")


def test_clear_places_take_the_colour_of_what_is_near(cut_out):
    pixels = cut_out[1].copy()
    pixels[..., :3] = (200, 100, 50)
    pixels[pixels[..., 3] == 0] = 0
    filled = fill_clear(pixels)
    assert np.abs(filled[..., :3].astype(int) - (200, 100, 50)).max() <= 1 and np.array_equal(filled[..., 3], pixels[..., 3])


def test_alpha_moves_with_its_layer(cut_out):
    path, _ = cut_out
    white, alpha = np.asarray(open_picture(path)), open_alpha(path)
    field = random_field(3, (12, 16), reach=0.04, resting=(1,))
    mask = (alpha / 255).astype(np.float32)
    renderer = Renderer(premultiply(white, alpha), [cover_rim(mask, alpha)], field)
    assert np.array_equal(renderer.frame(0), premultiply(white, alpha))
    usual = Renderer(white, [cover_rim(mask, alpha)], field)
    for time in (9.5, 20):
        shown = renderer.frame(time)
        assert (shown[..., :3].max(2).astype(int) - shown[..., 3]).max() <= 24  # the sharpening of samples overshoots a little
        assert psnr(over_white(shown), usual.frame(time)) > 38
        assert np.abs(shown[..., 3].astype(float) - alpha).mean() > 0.5  # it has moved
        assert abs(shown[..., 3].mean() / alpha.mean() - 1) < 0.05  # and nothing of it stays behind
