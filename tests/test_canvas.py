import numpy as np
import pytest
from PIL import Image

from loopanimate.page import canvas


def test_a_painted_layer_is_read_back():
    y, x = np.mgrid[0:60, 0:80]
    mask = np.clip((x - 20) / 30, 0, 1).astype(np.float32)
    freeze = ((y > 40) & (x > 30)).astype(np.float32)
    back, frozen = canvas.read([canvas.layer(mask)])
    assert np.abs(back - mask).max() < 0.01 and frozen is None
    back, frozen = canvas.read([canvas.layer(mask, freeze)])
    assert np.array_equal(frozen, freeze)
    assert np.abs(back - mask)[freeze == 0].max() < 0.01 and np.array_equal(back[freeze == 1], (mask > 0.5)[freeze == 1])


def test_a_stroke_over_a_stroke_is_still_the_mask():
    layer = canvas.layer(np.ones((8, 8), np.float32))
    twice = Image.alpha_composite(layer, layer)
    assert np.array_equal(canvas.read([twice])[0], np.ones((8, 8)))


def test_directions_are_read_as_they_are_written():
    arrows, pins = ((0.2, 0.3, 0.45, 0.3),), ((0.5, 0.123),)
    assert canvas.directions(canvas.texts(arrows, pins)) == (arrows, pins)
    assert canvas.directions(["ARROW 20,30 → 45,30"]) == (((0.2, 0.3, 0.45, 0.3),), ())


@pytest.mark.parametrize("text", ["", "arrow", "arrow 1 2 3", "pin 1 x", "go 1 2"])
def test_other_words_are_refused(text):
    with pytest.raises(ValueError, match="^expected"):
        canvas.directions([text])
