import numpy as np
from PIL import Image

from loopanimate.scene.regions import Selector


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
