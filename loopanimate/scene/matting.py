"""Soft edges: the share of the salient layer in each pixel at its rim.

Alpha is Levin, Lischinski and Weiss's closed-form matte (2008). PyMatting's own is compiled by numba for a minute at its first
use; in a narrow band, this takes a second.
"""

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg

SIDE = 512  # pixels on the short side at which the matte is solved; guided upsampling brings it to the picture's size
BAND = 0.02  # short sides to each side of the mask's edge in which alpha is not known
SOFT = (0.1, 0.9)  # of the mask: between, alpha is not known either
MAX_BAND = 0.35  # of the picture; a mask that is soft over more is meant so, and is taken as it is
EPSILON = 1e-7  # variance of colours below which a window is flat
PRIOR = 1e-4  # pull of what is not known to the mask, weak beside the picture's own edges
KNOWN = 100.0  # pull of what is known to it


def matte(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Alpha (H, W) float32 of a picture (H, W, 3) uint8, from a first guess of it (H, W) in [0, 1]."""
    scale = min(1.0, SIDE / min(alpha.shape))
    size = tuple(max(3, round(side * scale)) for side in alpha.shape[::-1])
    small, guess = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (image, alpha.astype(np.float32)))
    small = small.astype(np.float64) / 255
    reach = max(1, round(BAND * min(size)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    unknown = (cv2.erode(guess, kernel) < SOFT[1]) & (cv2.dilate(guess, kernel) > SOFT[0])
    if not unknown.any() or unknown.mean() > MAX_BAND:
        return alpha.astype(np.float32)
    solved = _solved(small, guess, unknown)
    if scale == 1:
        return solved
    return _upsampled(image, small.astype(np.float32), solved, unknown, alpha)


def _solved(image: np.ndarray, guess: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """The closed-form matte: image (h, w, 3) in [0, 1], guess and the result (h, w) float32."""
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # all that share a window with one
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


def _upsampled(image: np.ndarray, small: np.ndarray, alpha: np.ndarray, unknown: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Alpha at the picture's size, along its edges: alpha is linear in colour in small windows (guided filter)."""

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
