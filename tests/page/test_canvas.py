import json

import numpy as np
import pytest
from PIL import Image

from loopanimate.files.recipe import open_small_png
from loopanimate.page.canvas import Painting, shrink, url


def test_what_is_painted_is_read_back():
    y, x = np.mgrid[0:60, 0:80]
    mask = np.clip((x - 20) / 30, 0, 1).astype(np.float32)
    freeze = ((y > 40) & (x > 30)).astype(np.float32)
    drawn = Painting(
        "a.png", mask, 1 - mask, (("sea", freeze),), freeze, ((0.2, 0.3, 0.45, 0.3),), ((0.5, 0.123),), mask, (0.25, 0.75)
    )
    back = Painting.read(drawn.write("gradio_api/file=a.png"))
    assert (back.path, back.arrows, back.pins) == (drawn.path, drawn.arrows, drawn.pins)
    assert np.abs(back.automatic - mask).max() < 0.002 and np.abs(back.mask - (1 - mask)).max() < 0.002
    assert back.parts[0][0] == "sea" and np.array_equal(back.parts[0][1], freeze) and np.array_equal(back.freeze, freeze)
    assert np.array_equal(open_small_png(back.freeze_png()), freeze)


def test_nothing_is_painted_before_anybody_paints():
    back = Painting.read(Painting("a.png", np.ones((8, 8), np.float32)).write("a.png"))
    assert back.mask is None and back.freeze is None and back.freeze_png() is None and not back.parts and not back.arrows
    assert Painting.read("") is None and Painting.read(None) is None


@pytest.mark.parametrize("change", [{"automatic": "data:,x"}, {"arrows": [["x"]]}, {"parts": 3}, {"freeze": 7}, {"mask": "@"}])
def test_what_no_page_wrote_is_refused(change):
    given = json.loads(Painting("a.png", np.ones((8, 8), np.float32)).write("a.png")) | change
    with pytest.raises(ValueError, match="^expected what is painted"):
        Painting.read(json.dumps(given))
    with pytest.raises(ValueError, match="^expected what is painted"):
        Painting.read("[")


def test_a_picture_is_painted_on_small_and_a_mask_is_not_made_smaller():
    assert max(shrink(Image.new("RGB", (1200, 800))).size) == 640
    mask = np.random.default_rng(0).random((427, 640)).astype(np.float32)
    assert Painting.read(Painting("a", mask).write("a")).automatic.shape == mask.shape and url(None) is None
