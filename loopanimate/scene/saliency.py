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
SELECT_SIDE, SUPERPIXELS = 320, 250  # of a click's selection: pixels on the long side, and how many parts
ALIKE, UNLIKE = 14.0, 30.0  # distances in CIELAB between superpixels: of one thing, and surely of another


@lru_cache(maxsize=1)
def session():
    """rembg's u2netp session over the bundled weights."""
    import numba

    import loopanimate.render.kernels  # noqa: F401  is compiled before anything is not

    os.environ["U2NET_HOME"] = str(ASSETS / "saliency")
    # rembg imports PyMatting, whose kernels numba would compile for a minute; a mask needs none of them
    compiles, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 1
    try:
        from rembg import new_session
    finally:
        numba.config.DISABLE_JIT = compiles
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


def select(picture: Image.Image, x: float, y: float) -> np.ndarray:
    """What is around a click: (H, W) float32 of 0 and 1, of `picture`, a small copy; x, y in fractions.

    Superpixels of the clicked one's colour that hang together with it seed GrabCut, which finds their edge.
    """
    from skimage.color import rgb2lab
    from skimage.segmentation import slic

    scale = min(1.0, SELECT_SIDE / max(picture.size))
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    pixels = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
    segments = slic(pixels, n_segments=SUPERPIXELS, compactness=10, start_label=0)
    lab = rgb2lab(pixels)
    count = np.bincount(segments.ravel())
    colours = np.stack([np.bincount(segments.ravel(), lab[..., c].ravel()) / count for c in range(3)], axis=1)
    row, column = min(int(y * size[1]), size[1] - 1), min(int(x * size[0]), size[0] - 1)
    near = np.linalg.norm(colours - colours[segments[row, column]], axis=1)
    labels = cv2.connectedComponents((near < ALIKE)[segments].astype(np.uint8), connectivity=4)[1]
    seed = labels == labels[row, column]
    trimap = np.where(near[segments] < UNLIKE, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    reach = cv2.dilate(seed.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    trimap[~reach] = cv2.GC_BGD
    trimap[seed] = cv2.GC_PR_FGD
    trimap[cv2.erode(seed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = cv2.GC_FGD
    trimap[segments == segments[row, column]] = cv2.GC_FGD
    if (trimap == cv2.GC_BGD).any():
        cv2.grabCut(pixels[..., ::-1].copy(), trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    chosen = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    labels = cv2.connectedComponents(chosen, connectivity=4)[1]
    chosen = (labels == labels[row, column]).astype(np.float32)
    return np.clip(cv2.resize(chosen, picture.size, interpolation=cv2.INTER_LINEAR), 0, 1)
