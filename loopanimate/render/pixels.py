"""Frames of pixel art: whole pixels of the art move by whole pixels, and no colour appears that the picture has not."""

from collections.abc import Sequence
from math import gcd

import numpy as np
from scipy.spatial import cKDTree

from loopanimate.motion.border import border_fade, border_reach
from loopanimate.motion.field import Field
from loopanimate.motion.spline import spline_matrix
from loopanimate.render.planes import bound_reach
from loopanimate.scene.layers import separate

MAX_COLOURS = 256  # that a picture which is taken for pixel art has
LEAST_ART = 8  # pixels on the short side of what is taken for art: a flag's stripes are none
STRIPS = 16  # rows, and columns, that are looked at first
LEAST = 1.2  # pixels that what moves moves at its largest: a little more than one, as fades near borders take of it
# Bayer's matrix (1973): which pixels of a stream turn to its second phase first
BAYER = np.array([[0, 2], [3, 1]])
for _ in range(2):
    BAYER = np.block([[4 * BAYER + shift for shift in row] for row in ((0, 2), (3, 1))])
BAYER = (BAYER + 0.5) / BAYER.size


def pixel_side(image: np.ndarray) -> int:
    """Sides of the largest squares of one colour that a picture (H, W, C) uint8 is made of: 1 where it was not enlarged."""
    side = gcd(*image.shape[:2])
    for every in (max(1, min(image.shape[:2]) // STRIPS), 1):  # a few rows and columns settle it for most pictures
        for lines in (image[::every], image[:, ::every].swapaxes(0, 1)):
            edges = np.flatnonzero((lines[:, 1:] != lines[:, :-1]).any((0, 2))) + 1
            side = gcd(side, *edges.tolist())
            if side == 1:
                return 1
    return side


def is_pixel_art(image: np.ndarray) -> bool:
    """Whether a picture (H, W, C) uint8 was enlarged by whole pixels, of few colours."""
    side = pixel_side(image)
    return 1 < side and min(image.shape[:2]) >= LEAST_ART * side and len(_colours(image[::side, ::side])) <= MAX_COLOURS


def _colours(image: np.ndarray) -> np.ndarray:
    return np.unique(image.reshape(-1, image.shape[-1]), axis=0)


class PixelRenderer:
    """Draws frames of pixel art, one at a time.

    image: (H, W, C) uint8, a pixel of the art each; of a cut-out four planes, premultiplied. masks, field: as `Renderer` takes
    them. A layer shows at p what stood at p - d(p), d rounded to whole pixels; alpha is all or nothing. What moves less than a
    pixel moves one: art is small.
    """

    def __init__(self, image: np.ndarray, masks: Sequence[np.ndarray], field: Field):
        self.image, self.field = image, field
        height, width = image.shape[:2]
        self.short, self.colours = min(height, width), _colours(image)
        self.tree = cKDTree(self.colours)
        self.layers = [(image, None)]
        for layer in separate(image, masks, 2 * bound_reach(field, self.short)):
            behind = np.where((layer.alpha > 127)[..., None], self.snap(layer.plate), self.layers[-1][0])
            self.layers[-1] = self.layers[-1][0], layer.alpha > 127
            self.layers.append((behind, None))
        self.rows, self.columns = map(spline_matrix, field.winding.shape[-2:], (height, width))
        reach = border_reach(field.reach)
        gains = [max(1.0, LEAST / (self.short * far)) if far > 1e-5 else 0.0 for far in field.reaches]
        self.fades = [
            self.short * gain * border_fade(height, width, reach, borders) for gain, borders in zip(gains, field.borders)
        ]
        self.places = np.mgrid[:height, :width]
        self.late = np.tile(BAYER, (-(-height // 8), -(-width // 8)))[:height, :width]

    def snap(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (H, W, C) uint8 in the nearest of the picture's own colours."""
        return self.colours[self.tree.query(pixels)[1]]

    def frame(self, time: float) -> np.ndarray:
        """Draw the picture (H, W, C) uint8 at `time` in native frames; at time 0 it is the picture itself."""
        if time % self.field.period == 0:
            return self.image.copy()
        displacement, weights = self.field.at(time)
        drawn = np.empty_like(self.image)
        for (colours, shape), d, weight, winding, fade in reversed(
            list(zip(self.layers, displacement, weights, self.field.winding, self.fades))
        ):
            phase = np.where(self.late < weight, 1, 0) if winding.any() else 0
            moved = (self.rows @ part @ self.columns.T * fade for part in (*d, *winding))
            dx, dy, turn_x, turn_y = moved
            away = np.rint([dy - phase * turn_y, dx - phase * turn_x]).astype(int)
            y, x = (np.clip(place - move, 0, side - 1) for place, move, side in zip(self.places, away, drawn.shape))
            seen = slice(None) if shape is None else shape[y, x]
            drawn[seen] = colours[y, x][seen]
        return drawn


def square_pixels(pixels: np.ndarray, factor: int, size: tuple[int, int]) -> np.ndarray:
    """Draw each pixel (H, W, C) as a square of `factor` pixels, in the middle of a frame of `size` (width, height).

    What is larger is cut; around what is smaller its rim goes on, of a cut-out nothing.
    """
    pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    for axis, side in enumerate(size[::-1]):
        before = (pixels.shape[axis] - side) // 2
        if before >= 0:
            pixels = pixels.take(range(before, before + side), axis=axis)
        else:
            ends = [(0, 0)] * 3
            ends[axis] = (-before, side - pixels.shape[axis] + before)
            pixels = np.pad(pixels, ends, mode="constant" if pixels.shape[-1] == 4 else "edge")
    return np.ascontiguousarray(pixels)
