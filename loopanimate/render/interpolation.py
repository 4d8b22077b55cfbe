"""Frames between the frames of a ring, along optical flow; the ring's last frame is followed by its first."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np


class Ring:
    """A loop of frames (H, W, 3) uint8 without the duplicate last one, at any time in frames.

    frame: gives the frame of an index.
    """

    def __init__(self, frame: Callable[[int], np.ndarray], count: int):
        self.frame, self.count = frame, count
        self.flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.pair = lru_cache(maxsize=1)(self._pair)

    def at(self, time: float) -> np.ndarray:
        """The frame at `time`; at a whole number it is the ring's own.

        Between, both neighbours are moved to that time, as if each pixel went straight and evenly (Jiang et al., Super
        SloMo, 2018, eq. 4), and mixed, each weighted by its nearness in time and by how well the two flows agree there.
        """
        index, share = int(time) % self.count, time % 1.0
        if share == 0:
            return self.frame(index)
        first, second, forth, back, trust = self.pair(index)
        to_first = -(1 - share) * share * forth + share * share * back
        to_second = (1 - share) ** 2 * forth - share * (1 - share) * back
        from_first, from_second = _warp(first, to_first), _warp(second, to_second)
        weights = (1 - share) * _warp(trust[0], to_first), share * _warp(trust[1], to_second)
        mixed = (weights[0][..., None] * from_first + weights[1][..., None] * from_second) / sum(weights)[..., None]
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

    def _pair(self, index: int) -> Sequence:
        first, second = self.frame(index), self.frame((index + 1) % self.count)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
        forth, back = self.flow.calc(*grey, None), self.flow.calc(*grey[::-1], None)
        trust = [
            np.exp(-np.hypot(*cv2.split(here + _warp(there, here)))) + 1e-3 for here, there in ((forth, back), (back, forth))
        ]
        return first, second, forth, back, trust


def _warp(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Show at p what stands at p + flow(p)."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(values, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
