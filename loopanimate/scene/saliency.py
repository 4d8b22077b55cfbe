"""The automatic mask: the salient object of a picture; and edits of a mask."""

import os
import sys
from functools import lru_cache
from importlib.util import find_spec, module_from_spec

import cv2
import numpy as np
from PIL import Image

from loopanimate.presets import ASSETS

CLEAR = 0.5  # raw saliency from which a pixel surely is the object
MIN_AREA, MAX_AREA = 0.003, 0.9  # shares of the picture that a clear object has
MIN_CERTAINTY = 0.45  # share of clear pixels among those above FLOOR
FLOOR = 0.1  # raw saliency up to which a pixel surely is background


@lru_cache(maxsize=1)
def session():
    """Open rembg's u2netp session over the bundled weights."""
    os.environ["U2NET_HOME"] = str(ASSETS / "saliency")
    # `import rembg` also imports PyMatting, whose functions numba then compiles for a minute, and no mask needs them. So stand
    # an empty module in for the package while its session is imported: its __init__, which asks for PyMatting, does not run.
    given = sys.modules.get("rembg")
    sys.modules["rembg"] = given or module_from_spec(find_spec("rembg"))
    try:
        from rembg.session_factory import new_session
    finally:
        if given is None:
            del sys.modules["rembg"]
    return new_session("u2netp", providers=["CPUExecutionProvider"])


def saliency(picture: Image.Image) -> np.ndarray:
    """Raw saliency (H, W) float32 in [0, 1], before any normalisation."""
    network = session()
    inputs = network.normalize(picture, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (320, 320))
    raw = network.inner_session.run(None, inputs)[0][0, 0]
    return np.clip(cv2.resize(raw, picture.size, interpolation=cv2.INTER_CUBIC), 0, 1)


def automatic_mask(picture: Image.Image) -> tuple[np.ndarray, bool]:
    """Find the salient object: its mask (H, W) float32 in [0, 1], and whether there is a clear one.

    Without a clear object the mask is ones everywhere. Raw saliency is judged, because something always is the most salient:
    a clear object is neither tiny nor everything, and makes up most of what is salient at all.
    """
    raw = saliency(picture)
    clear = float((raw > CLEAR).mean())
    certainty = clear / max(float((raw > FLOOR).mean()), 1e-6)
    if not (MIN_AREA <= clear <= MAX_AREA and certainty >= MIN_CERTAINTY):
        return np.ones_like(raw), False
    return np.clip((raw - FLOOR) / (raw.max() - FLOOR), 0, 1), True


def edit(mask: np.ndarray, grow: float = 0.0, feather: float = 0.0, invert: bool = False) -> np.ndarray:
    """Grow (shrink where negative), feather and invert a mask (H, W), in that order.

    grow, feather: in percent of the short side; feather is the standard deviation of the blur.
    """
    unit = min(mask.shape) / 100
    radius = round(abs(grow) * unit)
    if radius:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
        mask = (cv2.dilate if grow > 0 else cv2.erode)(mask, disc)
    if feather * unit > 0.1:
        mask = cv2.GaussianBlur(mask, (0, 0), feather * unit)
    return 1 - mask if invert else mask
