"""The grid that motion is known on, and the splines between its cells, in NumPy: without torch, which takes seconds to import."""

import numpy as np
from scipy.interpolate import CubicSpline


def latent_grid(height: int, width: int, short: int) -> tuple[int, int]:
    """(h, w) of the grid over a picture (height, width): `short` cells on the short side, each side a multiple of 4."""
    long = max(short, 4 * round(short * max(width, height) / min(width, height) / 4))
    return (short, long) if width >= height else (long, short)


def spline_matrix(cells: int, pixels: int) -> np.ndarray:
    """(pixels, cells) float32: interpolating cubic spline from cell centres to pixel centres, constant past the rim."""
    return spline_at(cells, (np.arange(pixels) + 0.5) / pixels)


def spline_at(cells: int, places: np.ndarray) -> np.ndarray:
    """(len(places), cells) float32: the same spline at any places, in units of the side."""
    centres = np.arange(cells) + 0.5
    at = np.clip(places * cells, centres[0], centres[-1])
    return CubicSpline(centres, np.eye(cells), bc_type="natural")(at).astype(np.float32)
