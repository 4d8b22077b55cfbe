import numpy as np
import pytest
from PIL import Image, ImageOps

from loopanimate.presets import ASSETS
from loopanimate.scene import regions
from loopanimate.scene.finder import Finder
from loopanimate.scene.regions import Selector


@pytest.mark.parametrize("upright", [False, True])
def test_a_panorama_is_seen_in_pieces(upright, monkeypatch):
    """Each as a picture of its own, so that what is said of a place hardly depends on how far the panorama goes on."""
    seen = []

    def see(pixels):
        seen.append(pixels.shape[:2])
        return np.stack([pixels[::4, ::4, 0]] * len(regions.CLASSES))

    monkeypatch.setattr(regions, "_see", see)
    wide = np.random.default_rng(0).random((320, 2048, 3), np.float32)
    found = regions._see_pieces(wide.transpose(1, 0, 2) if upright else wide)[0]
    assert np.allclose(found.T if upright else found, wide[::4, ::4, 0])
    assert len(seen) == 6 and {*seen} == {(640, 320) if upright else (320, 640)}


def test_the_sky_of_a_panorama_is_found():
    with Image.open(ASSETS / "examples" / "lake" / "picture.jpg") as file:
        lake = file.convert("RGB").resize((534, 400))
    panorama = Image.new("RGB", (6000, 400))
    for place in range(12):
        panorama.paste(ImageOps.mirror(lake) if place % 2 else lake, (534 * place, 0))
    sky = Finder(panorama).find("sky")
    assert sky is not None and sky.mask[:20].mean() > 0.9 and sky.mask[-20:].mean() < 0.05


def test_a_click_selects_the_connected_region_under_it():
    rng = np.random.default_rng(0)
    pixels = np.full((240, 320, 3), (90, 150, 230), np.uint8)
    pixels[150:] = (60, 110, 50)
    y, x = np.mgrid[0:240, 0:320]
    pixels[np.hypot(x - 160, y - 120) < 60] = (200, 60, 40)
    picture = Image.fromarray(np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8))
    selector = Selector(picture)
    for colour, point in (((90, 150, 230), (0.1, 0.1)), ((200, 60, 40), (0.5, 0.5))):
        region, chosen = (pixels == colour).all(-1), selector.select(*point) > 0.5
        assert (chosen & region).sum() / (chosen | region).sum() > 0.95
