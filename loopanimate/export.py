"""Frames of a loop at any rate and size."""

from fractions import Fraction

import numpy as np
from PIL import Image

from loopanimate.media import GIF_RATES
from loopanimate.presets import NATIVE_FPS

SIZES = {"1080p": (1920, 1080), "1440p": (2560, 1440), "4k": (3840, 2160), "phone": (1080, 1920)}  # width, height
MAX_OUTPUT_SIDE = 7680


def frame_rate(fps: float | str | None, ending: str) -> Fraction:
    """Frames a second: "native" is the network's own, None 30 (12.5 for GIF).

    Raises ValueError for a rate that the format cannot hold.
    """
    if fps == "native":
        return Fraction(NATIVE_FPS)
    if fps is None:
        return Fraction(25, 2) if ending == ".gif" else Fraction(30)
    if ending == ".gif" and fps not in GIF_RATES:
        raise ValueError(f"expected a GIF rate of {', '.join(f'{rate:g}' for rate in GIF_RATES)} or native, got {fps:g}")
    if not 1 <= fps <= 120:
        raise ValueError(f"expected 1 to 120 frames a second, got {fps:g}")
    return Fraction(fps).limit_denominator(1001)


def frame_times(num_frames: int, fps: Fraction) -> list[float]:
    """Times, in native frames, of the frames of one turn; the duplicate last frame is not among them."""
    period = num_frames - 1
    count = max(1, round(period * fps / NATIVE_FPS))
    return [index * period / count for index in range(count)]


def output_size(size: str, width: int, height: int) -> tuple[int, int]:
    """(width, height) for "source", a name of `SIZES` or "WxH"."""
    if size == "source":
        return width, height
    if size in SIZES:
        return SIZES[size]
    numbers = size.lower().split("x")
    if len(numbers) == 2 and all(number.isdigit() for number in numbers):
        wide, high = (int(number) for number in numbers)
        if 32 <= min(wide, high) and max(wide, high) <= MAX_OUTPUT_SIDE and max(wide, high) <= 4 * min(wide, high):
            return wide, high
    raise ValueError(
        f"expected a size of source, {', '.join(SIZES)} or WxH (32 to {MAX_OUTPUT_SIDE}, at most 4 : 1), got {size}"
    )


def cover(picture: Image.Image, mask: np.ndarray, size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """Picture and mask scaled to cover `size` (width, height) and cut to it around the centre."""
    if picture.size == size:
        return picture, mask
    box = cover_box(picture.size, size)
    layer = Image.fromarray(mask).resize(size, Image.Resampling.BICUBIC, box=box)
    return picture.resize(size, Image.Resampling.LANCZOS, box=box), np.clip(np.asarray(layer), 0, 1)


def cover_box(source: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in pixels of `source` (width, height): its largest centred part of the aspect of `size`."""
    scale = max(size[0] / source[0], size[1] / source[1])
    left, top = (source[0] - size[0] / scale) / 2, (source[1] - size[1] / scale) / 2
    return left, top, source[0] - left, source[1] - top
