"""Soft edges: the share in [0, 1] that a layer has of each pixel at its rim.

Alpha is the closed-form matte of Levin, Lischinski and Weiss (2008), solved only in a narrow band around the mask's edge. That
takes a second; PyMatting's solver covers the whole picture, and numba compiles it for a minute at its first use.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg

SIDE = 512  # pixels on the short side at which the matte is solved; guided upsampling brings it to the picture's size
BAND = 0.02  # short sides on each side of the mask's edge in which alpha is unknown
SOFT = (0.1, 0.9)  # mask values between which alpha is unknown too
MAX_BAND = 0.35  # share of the picture; a mask that is soft over more was made so on purpose and is taken as it is
EPSILON = 1e-7  # variance of colours, of 1, below which a window counts as flat
PRIOR = 1e-4  # pull of unknown pixels to the mask, weak beside the picture's own edges
KNOWN = 100.0  # pull of known pixels to the mask


def matte(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Refine a first guess of alpha (H, W) in [0, 1] along the edges of a picture (H, W, 3) uint8; (H, W) float32."""
    scale = min(1.0, SIDE / min(alpha.shape))
    size = tuple(max(3, round(side * scale)) for side in alpha.shape[::-1])
    small, guess = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (image, alpha.astype(np.float32)))
    reach = max(1, round(BAND * min(size)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    unknown = (cv2.erode(guess, kernel) < SOFT[1]) & (cv2.dilate(guess, kernel) > SOFT[0])
    if not unknown.any() or unknown.mean() > MAX_BAND:
        return alpha.astype(np.float32)
    solved = _solve(size, *(part.tobytes() for part in (small, guess, unknown)))
    if scale == 1:
        return solved.copy()
    return _upsample(image, small.astype(np.float32) / 255, solved, unknown, alpha)


@lru_cache(maxsize=8)
def _solve(size: tuple[int, int], pixels: bytes, guess: bytes, unknown: bytes) -> np.ndarray:
    """Solve the closed-form matte (h, w) float32 of an RGB image where the guess (h, w) float32 is unknown, bool.

    It is kept, as the preview, the film and the files of a picture ask for the same.

    Within each window of 3 x 3 pixels alpha is assumed linear in colour: that gives every two pixels of a window an
    affinity, and the affinities of all windows form the Laplacian of a sparse linear system.
    """
    image = np.frombuffer(pixels, np.uint8).reshape(*size[::-1], 3) / 255
    guess, unknown = (np.frombuffer(part, kind).reshape(size[::-1]) for part, kind in ((guess, np.float32), (unknown, bool)))
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # pixels that share a window with an unknown
    number = np.full(guess.shape, -1)
    number[near] = np.arange(near.sum())
    centres = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    centres[[0, -1]], centres[:, [0, -1]] = False, False
    ys, xs = np.nonzero(centres)
    members = sliding_window_view(number, (3, 3))[ys - 1, xs - 1].reshape(-1, 9)  # (n, 9)
    colours = sliding_window_view(image, (3, 3), axis=(0, 1))[ys - 1, xs - 1].reshape(-1, 3, 9).transpose(0, 2, 1)
    centred = colours - colours.mean(1, keepdims=True)  # (n, 9, 3)
    covariance = centred.transpose(0, 2, 1) @ centred / 9 + EPSILON / 9 * np.eye(3)
    affinity = (1 + centred @ np.linalg.solve(covariance, centred.transpose(0, 2, 1))) / 9  # (n, 9, 9)
    rows, columns = np.repeat(members, 9, axis=1).ravel(), np.tile(members, 9).ravel()
    weights = csr_matrix((affinity.ravel(), (rows, columns)), shape=(near.sum(),) * 2)
    pull = np.where(unknown[near], PRIOR, KNOWN)
    known = np.where(unknown, guess, guess > 0.5)[near]
    system = diags(np.asarray(weights.sum(1)).ravel() + pull) - weights
    found, _ = cg(system, pull * known, x0=known, rtol=1e-5, maxiter=400, M=diags(1 / system.diagonal()))
    alpha = (guess > 0.5).astype(np.float32)
    alpha[near] = np.clip(found, 0, 1)
    return alpha


def _upsample(image: np.ndarray, small: np.ndarray, alpha: np.ndarray, unknown: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Bring alpha (h, w) of the small picture to the size of the picture (H, W, 3), following its edges.

    Guided filter: in windows of 5 x 5 pixels of the small picture, alpha is fitted as a linear function of colour; the
    functions, interpolated, are applied to the colours of the large one.
    """

    def mean(part):
        return cv2.blur(part, (5, 5))

    means, level = mean(small), mean(alpha)
    pairs = mean((small[..., :, None] * small[..., None, :]).reshape(*alpha.shape, 9))
    covariance = pairs.reshape(*alpha.shape, 3, 3) - means[..., :, None] * means[..., None, :] + 1e-4 * np.eye(3)
    slope = np.linalg.solve(covariance, (mean(small * alpha[..., None]) - means * level[..., None])[..., None])[..., 0]
    slope = slope.astype(np.float32)
    offset = level - (slope * means).sum(-1)
    lines = mean(np.dstack([slope, offset]))
    band = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8))
    band = np.nonzero(cv2.resize(band, image.shape[1::-1], interpolation=cv2.INTER_NEAREST))
    places = [(part + 0.5) * few / many - 0.5 for part, few, many in zip(band, alpha.shape, image.shape)]
    slopes = [map_coordinates(line, places, order=1, mode="nearest") for line in cv2.split(lines)]
    guided = sum(slope * level for slope, level in zip(slopes, image[band].T / np.float32(255))) + slopes[3]
    found = (guess > 0.5).astype(np.float32)
    found[band] = np.clip(guided, 0, 1)
    return found
