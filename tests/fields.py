"""Smooth random motion of two layers, without sampling a network."""

import cv2
import numpy as np
import torch

from loopanimate.motion.field import ALL_BORDERS, Borders, LoopField
from loopanimate.network.motion_codec import MotionCodec


def random_field(
    seed: int, shape: tuple[int, int], streams: tuple[int, ...] = (), reach: float = 0.02, borders: Borders = ALL_BORDERS
) -> LoopField:
    """A field over (h, w) cells whose layers wander up to about `reach` short sides and, where named, stream on.

    Its curves hold what the codec lets pass, as every loop's.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(35) / 34

    def smooth() -> np.ndarray:
        return cv2.resize(rng.normal(size=(4, 4)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)

    displacement = np.zeros((4, 35, *shape), np.float32)
    for channel in displacement:
        for k in range(1, 9):  # up to 2 hertz, as the bundled checkpoint samples
            angle = 2 * np.pi * k * time[:, None, None]
            channel += reach / 2 / k * ((np.cos(angle) - 1) * smooth() + np.sin(angle) * smooth())
    for layer in streams:
        displacement[2 * layer] += 0.2 * time[:, None, None]
        displacement[2 * layer + 1] += 0.05 * time[:, None, None] * (1 + 0.1 * smooth())
    codec = MotionCodec()
    return LoopField(codec.displacement(codec.compress(torch.from_numpy(displacement)[None])[0]), borders=borders)
