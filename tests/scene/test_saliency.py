import hashlib

import numpy as np
import pytest
from PIL import Image

from loopanimate.presets import ASSETS
from loopanimate.scene.saliency import automatic_mask, edit


def test_the_bundled_network_is_the_authors():
    content = (ASSETS / "saliency" / "u2netp.onnx").read_bytes()
    assert hashlib.md5(content).hexdigest() == "8e83ca70e441ab06c318d82300c84806"


def test_objects_are_found(photos):
    inside = {"astronaut": (220, 400), "chelsea": (200, 120), "coffee": (300, 180), "flower": (300, 220)}
    for name, (x, y) in inside.items():
        mask, found = automatic_mask(photos[name])
        assert found and mask.shape == photos[name].size[::-1]
        assert mask[y, x] > 0.7 and np.median(mask[:20, -20:]) < 0.3, name


@pytest.mark.parametrize("kind", ["flat", "gradient", "gravel"])
def test_a_picture_without_an_object_is_recognised(kind):
    from skimage import data

    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    arrays = {"flat": np.full((256, 256), 128, np.uint8), "gradient": np.tile(ramp[:, None], (1, 256)), "gravel": data.gravel()}
    mask, found = automatic_mask(Image.fromarray(arrays[kind]).convert("RGB"))
    assert not found and (mask == 1).all()


def test_edits(blob):
    _, mask = blob
    assert edit(mask, grow=5).sum() > mask.sum() > edit(mask, grow=-5).sum()
    assert np.allclose(edit(mask, invert=True), 1 - mask)
    soft = edit(mask, feather=3)
    assert abs(soft.sum() - mask.sum()) < 0.02 * mask.sum() and len(np.unique(soft)) > 20
    assert np.array_equal(edit(mask), mask)
