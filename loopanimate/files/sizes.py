"""Frames of a loop at any rate and size."""

from fractions import Fraction
from math import ceil

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from loopanimate.files.media import GIF_RATES
from loopanimate.presets import NATIVE_FPS

SIZES = {  # width, height
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "4k": (3840, 2160),
    "8k": (7680, 4320),
    "ultrawide": (3440, 1440),
    "phone": (1080, 1920),
    "android": (1080, 2400),
    "iphone": (1290, 2796),
    "wallpaper-engine": (3840, 2160),  # takes H.264 up to 4096 x 2304
    "lively": (1920, 1080),
}
MIN_SECONDS = {"lively": 60}  # it pauses at each wrap of the file, so that it should be rare
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


def frame_times(num_frames: int, fps: Fraction, tempo: float = 1.0) -> list[float]:
    """Times, in native frames, of the frames of one turn; the duplicate last frame is not among them.

    tempo: factor on the loop's own pace, at 2 a turn lasts half as long.
    """
    period = num_frames - 1
    count = max(1, round(period * fps / NATIVE_FPS / Fraction(tempo)))
    return [index * period / count for index in range(count)]


def output_size(size: str, width: int, height: int) -> tuple[int, int]:
    """(width, height) for "source", a name of `SIZES` or "WxH"."""
    named = size.lower()
    if named == "source":
        return width, height
    if named in SIZES:
        return SIZES[named]
    numbers = named.split("x")
    if len(numbers) == 2 and all(number.isdigit() for number in numbers):
        wide, high = (int(number) for number in numbers)
        if 32 <= min(wide, high) and max(wide, high) <= MAX_OUTPUT_SIDE and max(wide, high) <= 4 * min(wide, high):
            return wide, high
    raise ValueError(
        f"expected a size of source, {', '.join(SIZES)} or WxH (32 to {MAX_OUTPUT_SIDE}, at most 4 : 1), got {size}"
    )


def turns(size: str, repeats: int, seconds: Fraction) -> int:
    """Turns in a file, each of so many seconds: as often as asked, or as the size's destination needs."""
    return max(repeats, ceil(MIN_SECONDS.get(size.lower(), 0) / seconds))


def inside(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The largest (width, height) of that aspect within `size`, of even sides, as video has them."""
    scale = min(size[0] / width, size[1] / height)
    return tuple(max(2, 2 * min(round(side * scale / 2), most // 2)) for side, most in zip((width, height), size))


def surround(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """What stands around a picture that is shown whole: itself, blurred and darker, over all of `size`."""
    small = tuple(max(1, side // 16) for side in size)
    blurred, _ = cover(picture, np.ones(picture.size[::-1], np.float32), small)
    blurred = blurred.filter(ImageFilter.GaussianBlur(min(small) / 12)).resize(size, Image.Resampling.BICUBIC)
    return ImageEnhance.Brightness(blurred).enhance(0.6)


def cover(picture: Image.Image, mask: np.ndarray, size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """Picture and mask scaled to cover `size` (width, height) and cut to it around what is masked."""
    if picture.size == size:
        return picture, mask
    box = cover_box(mask, size)
    layer = Image.fromarray(mask).resize(size, Image.Resampling.BICUBIC, box=box)
    return picture.resize(size, Image.Resampling.LANCZOS, box=box), np.clip(np.asarray(layer), 0, 1)


def cover_box(mask: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in pixels of the mask's picture: its largest part of the aspect of `size` (width, height).

    What is masked stands in its middle as far as the picture reaches.
    """
    height, width = mask.shape
    scale = max(size[0] / width, size[1] / height)
    wide, high = min(size[0] / scale, width), min(size[1] / scale, height)  # no rounding beyond the picture
    centres = [float(np.average(np.arange(side) + 0.5, weights=mask.sum(axis))) for axis, side in enumerate((width, height))]
    left, top = (
        min(max(centre - part / 2, 0), side - part) for centre, part, side in zip(centres, (wide, high), (width, height))
    )
    return left, top, min(left + wide, width), min(top + high, height)


def within(part: tuple[float, float, float, float], points: tuple[float, ...]) -> tuple[float, ...]:
    """x, y, x, y ... in fractions of a picture → in fractions of a part of it, itself left, top, right, bottom in fractions."""
    left, top, right, bottom = part
    return tuple(
        (value - (left, top)[index % 2]) / (right - left, bottom - top)[index % 2] for index, value in enumerate(points)
    )
