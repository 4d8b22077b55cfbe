"""Plain motions to edit: one layer circles, drifts or streams, the other rests."""

import numpy as np

from loopanimate.motion.curve import Motion
from loopanimate.words.intent import Intent

STILL = (Intent(), Intent())  # words that ask for nothing beyond what was sampled


def circle(frames: int = 35, shape=(12, 16), layer: int = 0, reach: float = 0.02, drift: float = 0.0) -> Motion:
    """Two layers, of which one goes round a circle once and travels `drift` short sides to the right."""
    angle = 2 * np.pi * np.arange(frames) / (frames - 1)
    ring = np.zeros((frames, 2, 2, *shape), np.float32)
    ring[:, layer, 0] = (reach * (1 - np.cos(angle)) / 2)[:, None, None]
    ring[:, layer, 1] = (reach * np.sin(angle) / 2)[:, None, None]
    winding = np.zeros((2, 2, *shape), np.float32)
    winding[layer, 0] = drift
    return Motion(ring, winding)


def of_ring(ring: np.ndarray, winding: np.ndarray | float = 0.0) -> Motion:
    """A motion whose first layer has this ring (N, 2, h, w) and winding (2, h, w); the other rests."""
    motion = Motion(np.zeros((len(ring), 2, *ring.shape[1:]), np.float32), np.zeros((2, *ring.shape[1:]), np.float32))
    return motion.replace(0, ring, winding)
