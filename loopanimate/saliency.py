"""The automatic mask: what stands out in a picture, and edits of a mask."""

import os
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from loopanimate.presets import ASSETS

CLEAR = 0.5  # raw saliency of what is surely the object
MIN_AREA, MAX_AREA = 0.003, 0.9  # of the picture
MIN_CERTAINTY = 0.45  # clear pixels among all that are not clearly background
FLOOR = 0.1  # raw saliency of what is surely background


@lru_cache(maxsize=1)
def session():
    """rembg's u2netp session over the bundled weights."""
    os.environ["U2NET_HOME"] = str(ASSETS / "saliency")
    # rembg imports PyMatting, whose kernels numba would compile for a minute; a mask needs none of them
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    from rembg import new_session

    return new_session("u2netp", providers=["CPUExecutionProvider"])


def saliency(picture: Image.Image) -> np.ndarray:
    """Raw saliency (H, W) float32 in [0, 1], before any normalisation."""
    network = session()
    inputs = network.normalize(picture, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (320, 320))
    raw = network.inner_session.run(None, inputs)[0][0, 0]
    return np.clip(cv2.resize(raw, picture.size, interpolation=cv2.INTER_CUBIC), 0, 1)


def automatic_mask(picture: Image.Image) -> tuple[np.ndarray, bool]:
    """The salient object's mask (H, W) float32 in [0, 1], and whether there is a clear object.

    Without one the whole picture is offered: ones everywhere, False. The raw saliency is judged, since something is
    always the most salient: the object must be clear, not tiny, not everything, and most of what is salient at all.
    """
    raw = saliency(picture)
    clear = float((raw > CLEAR).mean())
    certainty = clear / max(float((raw > FLOOR).mean()), 1e-6)
    if not (MIN_AREA <= clear <= MAX_AREA and certainty >= MIN_CERTAINTY):
        return np.ones_like(raw), False
    return np.clip((raw - FLOOR) / (raw.max() - FLOOR), 0, 1), True


def edit(mask: np.ndarray, grow: float = 0.0, feather: float = 0.0, invert: bool = False) -> np.ndarray:
    """A mask grown (shrunk where negative), feathered and inverted, in that order.

    Args:
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
