import numpy as np
import pytest
from PIL import Image

from loopanimate.files.recipe import small_png
from loopanimate.page.canvas import Painting, draw_layer, is_same_freeze, read_directions, read_layers, write_directions


def test_what_is_painted_is_read_back():
    y, x = np.mgrid[0:60, 0:80]
    mask = np.clip((x - 20) / 30, 0, 1).astype(np.float32)
    freeze = ((y > 40) & (x > 30)).astype(np.float32)
    picture = Image.new("RGB", (80, 60))
    back = Painting.read(Painting(picture, mask).editor())
    assert back.picture.size == (80, 60) and np.abs(back.mask - mask).max() < 0.01 and back.freeze is None
    back = Painting.read(Painting(picture, mask, freeze).editor())
    assert np.array_equal(back.freeze, freeze)
    assert np.abs(back.mask - mask)[freeze == 0].max() < 0.01 and np.array_equal(
        back.mask[freeze == 1], (mask > 0.5)[freeze == 1]
    )
    assert Painting.read(None) is None and Painting.read({"background": None, "layers": [], "composite": None}) is None


def test_a_stroke_over_a_stroke_is_still_the_mask():
    layer = draw_layer(np.ones((8, 8), np.float32))
    twice = Image.alpha_composite(layer, layer)
    assert np.array_equal(read_layers([twice])[0], np.ones((8, 8)))


def test_directions_are_read_as_they_are_written():
    arrows, pins = ((0.2, 0.3, 0.45, 0.3),), ((0.5, 0.123),)
    assert read_directions(write_directions("arrow", arrows) + write_directions("pin", pins)) == (arrows, pins)
    assert read_directions(["ARROW 20,30 → 45,30"]) == (((0.2, 0.3, 0.45, 0.3),), ())


@pytest.mark.parametrize("text", ["", "arrow", "arrow 1 2 3", "pin 1 x", "go 1 2"])
def test_other_words_are_refused(text):
    with pytest.raises(ValueError, match="^expected"):
        read_directions([text])


def test_the_board_shows_an_arrow_from_its_tail_to_its_head_and_a_pin():
    painting = Painting(Image.new("RGB", (200, 100), "green"), np.zeros((100, 200), np.float32))
    drawn = np.asarray(painting.board(["arrow 20 50 60 50", "pin 90 20"], tail=(0.1, 0.9))).astype(int)
    changed = (drawn != (0, 128, 0)).any(-1)
    assert changed[50, 40:120].all() and not changed[50, :34].any() and not changed[50, 128:].any()
    assert not drawn[20, 180].any() and drawn[90, 20].tolist() == [255, 64, 64]


def test_a_frozen_place_is_the_same_but_for_its_edge_and_a_dot_more_is_another():
    y, x = np.mgrid[0:430, 0:640]
    place = (np.hypot(x - 300, y - 200) < 80).astype(np.float32)
    redrawn = (np.hypot(x - 300, y - 200) < 80.1).astype(np.float32)
    dotted = np.maximum(place, np.hypot(x - 500, y - 300) < 8)
    one, again, more = (small_png(freeze) for freeze in (place, redrawn, dotted))
    assert is_same_freeze(one, again) and is_same_freeze(None, None)
    assert not any(is_same_freeze(*pair) for pair in ((one, more), (one, None), (None, one)))
