"""Motion and fields without sampling a network."""

import cv2
import numpy as np

from loopanimate.motion.border import ALL_BORDERS, Borders
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import WINDING_THRESHOLD, limit
from loopanimate.motion.field import Field


def curve(frames: int = 35, shape=(12, 16), layer: int = 0, reach: float = 0.02, drift: float = 0.0) -> np.ndarray:
    """Displacement (N, 4, h, w) of two layers, one of which circles once and drifts by `drift` short sides to the right."""
    angle = 2 * np.pi * np.arange(frames) / (frames - 1)
    displacement = np.zeros((frames, 4, *shape), np.float32)
    displacement[:, 2 * layer] = (reach * (1 - np.cos(angle)) / 2 + drift * np.arange(frames) / (frames - 1))[:, None, None]
    displacement[:, 2 * layer + 1] = (reach * np.sin(angle) / 2)[:, None, None]
    return displacement


def close(displacement: np.ndarray) -> Motion:
    """Split displacement (N, L, 2, h, w), zero at frame 0, into a closed ring and the windings of the layers that stream.

    A layer's displacement at the last frame is taken off as a ramp. Below `WINDING_THRESHOLD` it was drift, and is dropped.
    """
    winding = displacement[-1].copy()
    ramp = np.arange(len(displacement), dtype=np.float32) / (len(displacement) - 1)
    ring = displacement - ramp[:, None, None, None, None] * winding
    ring[-1] = ring[0]
    for layer in winding:
        layer *= np.hypot(*layer).max() >= WINDING_THRESHOLD
    return Motion(ring, winding)


def field_of(displacement: np.ndarray, borders: Borders = ALL_BORDERS) -> Field:
    """The field of displacement (N, 2 L, h, w), held back where it would fold; the background touches all borders."""
    frames, channels, *shape = displacement.shape
    borders = [*[borders] * (channels // 2 - 1), ALL_BORDERS]
    return Field(limit(close(displacement.reshape(frames, -1, 2, *shape)), borders), borders)


def random_field(
    seed: int,
    shape: tuple[int, int],
    streams: tuple[int, ...] = (),
    reach: float = 0.02,
    borders: Borders = ALL_BORDERS,
    layers: int = 2,
    resting: tuple[int, ...] = (),
) -> Field:
    """A field over (h, w) cells whose layers wander up to about `reach` short sides and, where named, stream on or rest."""
    rng = np.random.default_rng(seed)
    time = np.arange(35)[:, None, None] / 34

    def draw() -> np.ndarray:
        return cv2.resize(rng.normal(size=(4, 4)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)

    displacement = np.zeros((35, 2 * layers, *shape), np.float32)
    for channel in range(2 * layers):
        for harmonic in range(1, 9):  # up to 2 hertz, as the bundled checkpoint samples
            angle = 2 * np.pi * harmonic * time
            displacement[:, channel] += reach / 2 / harmonic * ((np.cos(angle) - 1) * draw() + np.sin(angle) * draw())
    for layer in streams:
        displacement[:, 2 * layer] += 0.2 * time
        displacement[:, 2 * layer + 1] += 0.05 * time * (1 + 0.1 * draw())
    for layer in resting:
        displacement[:, 2 * layer : 2 * layer + 2] = 0
    return field_of(displacement, borders)
