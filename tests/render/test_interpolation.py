import cv2
import numpy as np
from skimage import data

from loopanimate.metrics import psnr, seam
from loopanimate.render.interpolation import Ring


def ring(count):
    """A photograph that circles once, by `count` frames."""
    image = cv2.resize(data.chelsea(), (240, 160), interpolation=cv2.INTER_AREA)
    turns = 2 * np.pi * np.arange(count) / count
    shifts = [np.float32([[1, 0, 6 * np.sin(turn)], [0, 1, 6 * np.cos(turn)]]) for turn in turns]
    return np.stack(
        [cv2.warpAffine(image, shift, (240, 160), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for shift in shifts]
    )


def test_frames_between_are_nearer_to_the_truth_than_a_mixture_is_and_the_wrap_is_as_good():
    every, inner = ring(24), np.s_[12:-12, 12:-12]
    given = every[::2]
    between = Ring(lambda index: given[index], 12)
    assert np.array_equal(between.at(5.0), given[5]) and np.array_equal(between.at(17.0), given[5])
    gains = []
    for index in range(12):
        mixture = ((given[index].astype(int) + given[(index + 1) % 12] + 1) // 2).astype(np.uint8)
        true = every[2 * index + 1][inner]
        gains.append(psnr(between.at(index + 0.5)[inner], true) - psnr(mixture[inner], true))
    assert min(gains) > 3  # decibels, from the last to the first frame too
    measures = seam(np.stack([between.at(time / 3) for time in range(36)]))
    assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25 and measures["pause"] >= 1
