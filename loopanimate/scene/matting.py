"""Soft edges: the share in [0, 1] that a layer has of each pixel at its rim.

Alpha is the closed-form matte of Levin, Lischinski and Weiss (2008), solved only in a narrow band around the mask's edge. That
takes a second; PyMatting's solver covers the whole picture, and numba compiles it for a minute at its first use.
"""

from functools import lru_cache

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from loopanimate.compiled import compile_kernel
from loopanimate.scene.edges import fill_outlines, find_areas

SIDE = 512  # pixels on the short side at which the matte is solved; guided upsampling brings it to the picture's size
BAND = 0.02  # short sides on each side of the mask's edge in which alpha is unknown
SOFT = (0.1, 0.9)  # mask values between which alpha is unknown too
MAX_BAND = 0.35  # share of the picture; a mask that is soft over more was made so on purpose and is taken as it is
EPSILON = 1e-7  # variance of colours, of 1, below which a window counts as flat
PRIOR = 1e-4  # pull of unknown pixels to the mask, weak beside the picture's own edges
KNOWN = 100.0  # pull of known pixels to the mask
TOLERANCE, MOST_STEPS = 1e-5, 400  # share of the right side that the solver leaves, and where it stops anyhow


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
    areas = find_areas(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    if areas.is_line_art:  # paper has one colour within and without, which says nothing; a rim of it may move unseen
        filled = cv2.dilate(fill_outlines(guess, areas), np.ones((3, 3)))
        return cv2.resize(filled, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    solved = _solve(size, *(part.tobytes() for part in (small, guess, unknown)))
    if scale == 1:
        return solved.copy()
    return _upsample(image, small.astype(np.float32) / 255, solved, unknown, alpha)


@lru_cache(maxsize=4)  # 4 megabytes each, of a panorama 25
def _solve(size: tuple[int, int], pixels: bytes, guess: bytes, unknown: bytes) -> np.ndarray:
    """Solve the closed-form matte (h, w) float32 of an RGB image where the guess (h, w) float32 is unknown, bool.

    It is kept, as the preview, the film and the files of a picture ask for the same.

    Within each window of 3 x 3 pixels alpha is assumed linear in colour: that gives every two pixels of a window an
    affinity, and the affinities of all windows form the Laplacian of a sparse linear system.
    """
    image = np.frombuffer(pixels, np.uint8).reshape(*size[::-1], 3) / 255
    guess, unknown = (np.frombuffer(part, kind).reshape(size[::-1]) for part, kind in ((guess, np.float32), (unknown, bool)))
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # pixels that share a window with an unknown
    ys, xs = np.nonzero(near)
    count = len(ys)
    number = np.full([side + 4 for side in near.shape], -1, np.int32)  # of each, with two rows and columns more on each side
    number[ys + 2, xs + 2] = np.arange(count)
    middles = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    middles[[0, -1]], middles[:, [0, -1]] = False, False
    weights = np.zeros((count, 25))
    _weigh(image, number[2:-2, 2:-2].copy(), middles, weights)
    columns = np.stack([number[ys + down, xs + across] for down, across in np.ndindex(5, 5)], axis=1)
    columns = np.where(columns < 0, np.arange(count, dtype=np.int32)[:, None], columns)  # which has no weight
    pull = np.where(unknown[near], PRIOR, KNOWN)
    known = np.where(unknown, guess, guess > 0.5)[near].astype(np.float64)
    found = known.copy()
    _descend(weights, columns, pull, known, found)
    alpha = (guess > 0.5).astype(np.float32)
    alpha[near] = np.clip(found, 0, 1)
    return alpha


@compile_kernel("void(float64[:, :, ::1], int32[:, ::1], boolean[:, ::1], float64[:, ::1])")
def _weigh(image, number, middles, weights):
    """Add up the affinities of the pixels of every window: weights (count, 25), to the pixels of 5 x 5 about each."""
    centred, scaled = np.empty((9, 3)), np.empty(3)
    for y in range(1, middles.shape[0] - 1):
        for x in range(1, middles.shape[1] - 1):
            if not middles[y, x]:
                continue
            for channel in range(3):
                mean = 0.0
                for k in range(9):
                    centred[k, channel] = image[y + k // 3 - 1, x + k % 3 - 1, channel]
                    mean += centred[k, channel] / 9
                for k in range(9):
                    centred[k, channel] -= mean
            rr, gg, bb, rg, rb, gb = EPSILON / 9, EPSILON / 9, EPSILON / 9, 0.0, 0.0, 0.0  # the covariance
            for k in range(9):
                r, g, b = centred[k] / 3
                rr, gg, bb, rg, rb, gb = rr + r * r, gg + g * g, bb + b * b, rg + r * g, rb + r * b, gb + g * b
            # the rows of its adjugate
            own = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
            other = rb * gb - rg * bb, rr * bb - rb * rb, rg * rb - rr * gb
            third = rg * gb - rb * gg, rg * rb - rr * gb, rr * gg - rg * rg
            determinant = rr * own[0] + rg * own[1] + rb * own[2]
            for k in range(9):
                r, g, b = centred[k] / determinant
                scaled[0] = own[0] * r + own[1] * g + own[2] * b
                scaled[1] = other[0] * r + other[1] * g + other[2] * b
                scaled[2] = third[0] * r + third[1] * g + third[2] * b
                pixel = number[y + k // 3 - 1, x + k % 3 - 1]
                for m in range(9):
                    affinity = 1 + scaled[0] * centred[m, 0] + scaled[1] * centred[m, 1] + scaled[2] * centred[m, 2]
                    weights[pixel, 5 * (m // 3 - k // 3 + 2) + m % 3 - k % 3 + 2] += affinity / 9


@compile_kernel("void(float64[:, ::1], int32[:, ::1], float64[::1], float64[::1], float64[::1])")
def _descend(weights, columns, pull, known, found):
    """Solve (diag(row sums + pull) - weights) found = pull * known, by conjugate gradients with the diagonal before them."""
    count = len(found)
    diagonal, residual, way, moved = np.empty(count), np.empty(count), np.zeros(count), np.empty(count)
    norm = slope = 0.0
    for i in range(count):
        total, change = pull[i], pull[i] * (known[i] - found[i])
        for k in range(25):
            total += weights[i, k]
            change += weights[i, k] * (found[columns[i, k]] - found[i])
        diagonal[i], residual[i] = total - weights[i, 12], change
        norm += (pull[i] * known[i]) ** 2
        slope += change * change / diagonal[i]
        way[i] = change / diagonal[i]
    for _ in range(MOST_STEPS if slope > 0 else 0):
        bend = size = 0.0
        for i in range(count):
            total = (diagonal[i] + weights[i, 12]) * way[i]
            for k in range(25):
                total -= weights[i, k] * way[columns[i, k]]
            moved[i] = total
            bend += total * way[i]
        step, before, slope = slope / bend, slope, 0.0
        for i in range(count):
            found[i] += step * way[i]
            residual[i] -= step * moved[i]
            size += residual[i] * residual[i]
            slope += residual[i] * residual[i] / diagonal[i]
        if size <= TOLERANCE * TOLERANCE * norm:
            return
        for i in range(count):
            way[i] = residual[i] / diagonal[i] + slope / before * way[i]


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
