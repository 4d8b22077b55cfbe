"""Pixel art: squares of one colour, whole steps, and no colour that the picture has not."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageSequence

from loopanimate.files.cutouts import open_alpha
from loopanimate.files.formats import Coding, write_loop
from loopanimate.files.pictures import open_picture
from loopanimate.files.sizes import centre_of, whole_pixels
from loopanimate.render.pixels import PixelRenderer, is_pixel_art, pixel_side, square_pixels
from tests.fields import random_field


def art(height=24, width=32) -> np.ndarray:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (12, 3), dtype=np.uint8)
    return palette[rng.integers(0, 12, (height, width))]


@pytest.mark.parametrize("side", [1, 3, 8])
def test_the_side_of_a_pixel_is_found(side):
    image = art().repeat(side, axis=0).repeat(side, axis=1)
    assert pixel_side(image) == side and is_pixel_art(image) == (side > 1)


def test_what_is_no_art_is_not_taken_for_it():
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert not is_pixel_art(noise.repeat(2, axis=0).repeat(2, axis=1))  # more colours than art has
    assert not is_pixel_art(np.full((40, 60, 3), 7, np.uint8))  # two squares


@pytest.mark.parametrize("streams", [(), (0, 1)])
def test_whole_pixels_of_the_pictures_own_colours_move(streams):
    image, own = art(), {tuple(colour) for colour in art().reshape(-1, 3)}
    mask = np.zeros(image.shape[:2], np.float32)
    mask[6:18, 8:24] = 1
    field = random_field(0, (12, 16), reach=0.08, streams=streams)
    renderer = PixelRenderer(image, [mask], field)
    assert np.array_equal(renderer.frame(0), image) and np.array_equal(renderer.frame(field.period), image)
    frames = [renderer.frame(time) for time in np.linspace(0.4, field.period, 9, endpoint=False)]
    assert all({tuple(colour) for colour in frame.reshape(-1, 3)} <= own for frame in frames)
    assert sum((frame != image).any() for frame in frames) > 5


def test_what_moves_less_than_a_pixel_moves_one():
    image = art()
    renderer = PixelRenderer(image, [], random_field(1, (12, 16), reach=0.004, layers=1))
    assert any((renderer.frame(time) != image).any() for time in range(renderer.field.period))


def test_squares_are_whole_and_fill_the_frame():
    drawn = square_pixels(art(), 5, (160, 100))  # 120 rows, of which ten are cut on each side
    assert drawn.shape == (100, 160, 3) and np.array_equal(drawn, art().repeat(5, 0).repeat(5, 1)[10:110])
    padded = square_pixels(np.dstack([art(), np.full((24, 32), 255, np.uint8)]), 2, (70, 60))
    assert padded.shape == (60, 70, 4) and not padded[:6].any() and padded[6:54, 3:67, 3].all()
    assert (whole_pixels((1920, 1080), (320, 200), False), whole_pixels((1920, 1080), (320, 200), True)) == (6, 5)
    with pytest.raises(ValueError, match="at least the pixel art's own 320 x 200"):
        whole_pixels((160, 100), (320, 200), False)


def test_the_centre_of_a_mask_in_pixels_of_the_art():
    mask = np.zeros((60, 90), np.float32)
    mask[:, 75:85] = 1
    assert centre_of(mask, (900, 600)) == [800, 300] and centre_of(0 * mask, (900, 600)) == [450, 300]


def test_a_gif_has_every_colour_of_the_art(tmp_path):
    rare = art(180, 320)
    rare[100, 100] = (1, 2, 3)
    frames = [np.roll(rare, step, axis=1) for step in range(6)]
    write_loop(tmp_path / "art.gif", iter(frames), 6, Coding(Fraction(10), exact=True))
    with Image.open(tmp_path / "art.gif") as file:
        assert all(np.array_equal(frame.convert("RGB"), drawn) for frame, drawn in zip(ImageSequence.Iterator(file), frames))


def test_a_webp_of_few_colours_is_exact(tmp_path):
    sprite = np.dstack([art(), np.full((24, 32), 255, np.uint8)])
    sprite[:6, :6] = 0
    frames = [np.roll(sprite, step, axis=1) for step in range(3)]
    write_loop(tmp_path / "art.webp", iter(frames), 3, Coding(Fraction(10), exact=True))
    with Image.open(tmp_path / "art.webp") as file:
        assert all(np.array_equal(frame.convert("RGBA"), drawn) for frame, drawn in zip(ImageSequence.Iterator(file), frames))


def test_a_sprite_and_its_alpha_are_enlarged_alike(tmp_path):
    pixels = np.dstack([art(16, 16), np.full((16, 16), 255, np.uint8)])
    pixels[:4, :4, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "sprite.png")
    assert open_picture(tmp_path / "sprite.png").size == (32, 32)
    assert np.array_equal(open_alpha(tmp_path / "sprite.png"), pixels[..., 3].repeat(2, 0).repeat(2, 1))
