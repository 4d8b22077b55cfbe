"""Regions of a picture: what a click selects."""

import cv2
import numpy as np
from PIL import Image

SIDE, SUPERPIXELS = 320, 250  # pixels on the long side of the copy that is searched; parts that it is divided into
ALIKE, UNLIKE = 14.0, 30.0  # distances in CIELAB up to which superpixels are one thing, and from which surely two


def select(picture: Image.Image, x: float, y: float) -> np.ndarray:
    """Select the thing at a point, x and y in fractions of the picture: a mask (H, W) float32 in [0, 1].

    The clicked superpixel and all of its colour that are connected with it seed GrabCut, which finds the thing's edge.
    """
    from skimage.color import rgb2lab
    from skimage.segmentation import slic

    scale = min(1.0, SIDE / max(picture.size))
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    pixels = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
    segments = slic(pixels, n_segments=SUPERPIXELS, compactness=10, start_label=0)
    lab = rgb2lab(pixels)
    count = np.bincount(segments.ravel())
    colours = np.stack([np.bincount(segments.ravel(), lab[..., c].ravel()) / count for c in range(3)], axis=1)
    row, column = min(int(y * size[1]), size[1] - 1), min(int(x * size[0]), size[0] - 1)
    distance = np.linalg.norm(colours - colours[segments[row, column]], axis=1)
    labels = cv2.connectedComponents((distance < ALIKE)[segments].astype(np.uint8), connectivity=4)[1]
    seed = labels == labels[row, column]
    trimap = np.where(distance[segments] < UNLIKE, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
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
