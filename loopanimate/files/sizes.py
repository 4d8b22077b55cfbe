"""The sizes of a file's frames, their times, and the part of a picture that they show."""

import re
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from loopanimate.files.pictures import MAX_ASPECT, MAX_SIDE, MIN_SIDE
from loopanimate.presets import NATIVE_FPS

SIZES = {  # width, height in pixels
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "4k": (3840, 2160),
    "8k": (7680, 4320),
    "ultrawide": (3440, 1440),
    "phone": (1080, 1920),
    "android": (1080, 2400),
    "iphone": (1290, 2796),
    "wallpaper-engine": (3840, 2160),  # it takes H.264 up to 4096 x 2304
    "lively": (1920, 1080),
    "sticker": (512, 512),  # WhatsApp's and Telegram's
}
MAX_MEGABYTES = {"sticker": 0.5}  # WhatsApp's limit of an animated sticker
UNCUT = {"sticker"}  # sizes that show all of a cut-out
MOST_PIXELS = 7680 * 4320  # of several monitors together
BROAD = 0.7  # spread of what moves, of that of the whole picture, from which it says nothing of where to look
MIN_SECONDS = {"lively": 60}  # Lively pauses each time that a file starts again, so the file has to be long


Centre = tuple[float, float] | None


class Monitor(NamedTuple):
    """A monitor's place among others, in pixels."""

    left: int
    top: int
    width: int
    height: int


def frame_times(num_frames: int, fps: Fraction, tempo: float = 1.0) -> list[float]:
    """Return the times of one round's frames, in native frames; the last frame, which equals the first, is left out.

    tempo: factor on the loop's own pace; at 2 a round lasts half as long.
    """
    period = num_frames - 1
    count = max(1, round(period * fps / NATIVE_FPS / Fraction(tempo)))
    return [index * period / count for index in range(count)]


def output_size(size: str, width: int, height: int) -> tuple[int, int]:
    """Return (width, height) for "source", a name in `SIZES` or "WxH", or of several monitors together; raises ValueError."""
    named = size.lower()
    if several := read_monitors(size):
        return tuple(max(each[axis] + each[2 + axis] for each in several) for axis in (0, 1))
    if named == "source":
        return width, height
    if named in SIZES:
        return SIZES[named]
    if numbers := re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", named):
        short, long = sorted(map(int, numbers.groups()))
        if MIN_SIDE <= short and long <= min(MAX_SIDE, MAX_ASPECT * short):
            return int(numbers[1]), int(numbers[2])
    raise ValueError(
        f"expected a size of source, {', '.join(SIZES)} or WxH ({MIN_SIDE} to {MAX_SIDE}, "
        f"at most {MAX_ASPECT:g} : 1), got {size[:40]}"
    )


def read_monitors(size: str) -> list[Monitor]:
    """Return the monitors of "WxH,WxH", side by side from the left, or of "WxH+X+Y,WxH+X+Y", where they are; else none.

    Raises ValueError for several that cannot be.
    """
    if "," not in size:
        return []
    found = [
        re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})(?:\+([0-9]{1,5})\+([0-9]{1,5}))?", part.strip()) for part in size.split(",")
    ]
    numbers = [tuple(int(number) for number in each.groups() if number) if each else () for each in found]
    right, several = 0, []
    for sides in numbers:
        several.append(Monitor(*(sides[2:] or (right, 0)), *sides[:2]) if sides else None)
        right += sides[0] if sides else 0
    if {len(sides) for sides in numbers} not in ({2}, {4}) or any(number % 2 for sides in numbers for number in sides):
        raise ValueError(
            f"expected monitors as WxH,WxH from left to right, or each as WxH+X+Y, of even numbers, got {size[:80]}"
        )
    left, top = (min(each[axis] for each in several) for axis in (0, 1))
    several = [each._replace(left=each.left - left, top=each.top - top) for each in several]
    whole = [max(each[axis] + each[2 + axis] for each in several) for axis in (0, 1)]
    sides = [side for each in several for side in each[2:]]
    if (
        min(sides) < MIN_SIDE
        or max(sides) > MAX_SIDE
        or whole[0] * whole[1] > MOST_PIXELS
        or max(whole) > MAX_ASPECT * min(whole)
    ):
        raise ValueError(
            f"expected monitors of {MIN_SIDE} to {MAX_SIDE} pixels a side, at most {MOST_PIXELS} and {MAX_ASPECT:g} : 1 "
            f"together, got {size[:80]}"
        )
    return several


def count_rounds(size: str, repeats: int, seconds: Fraction) -> int:
    """Return how many rounds of so many seconds go into a file: as many as asked, or as the size's destination needs."""
    return max(repeats, ceil(MIN_SECONDS.get(size.lower(), 0) / seconds))


def size_limit(size: str, megabytes: float | None) -> float | None:
    """Return the largest size of a file in megabytes: the one asked for, or the size's destination's where that is less."""
    return min((limit for limit in (megabytes, MAX_MEGABYTES.get(size.lower())) if limit is not None), default=None)


def inside(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Return the largest (width, height) of that aspect within `size`; its sides are even, as video needs them."""
    scale = min(size[0] / width, size[1] / height)
    return tuple(max(2, 2 * min(round(side * scale / 2), most // 2)) for side, most in zip((width, height), size))


def whole_pixels(size: tuple[int, int], art: tuple[int, int], fit: bool) -> int:
    """How many pixels of a file a pixel of the art takes, so that it covers `size` (width, height) or lies within it.

    Raises: ValueError for a size that is smaller than the art.
    """
    factors = [side / few for side, few in zip(size, art)]
    factor = int(min(factors)) if fit else ceil(max(factors))
    if max(factors) < 1 or factor < 1:
        raise ValueError(
            f"expected a size of at least the pixel art's own {art[0]} x {art[1]} for --scale nearest, got {size[0]} x {size[1]}"
        )
    return factor


def art_box(
    mask: np.ndarray, art: tuple[int, int], size: tuple[int, int], factor: int, centre: Centre = None
) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the part of pixel art that a file of `size` shows, its pixels `factor` pixels each.

    mask, centre: as of `cover_box`.
    """
    seen = tuple(min(own, -(-edge // factor)) for own, edge in zip(art, size))
    places = zip(centre_of(mask, art, centre), seen, art)
    left, top = (int(np.clip(round(middle - few / 2), 0, own - few)) for middle, few, own in places)
    return left, top, left + seen[0], top + seen[1]


def surround(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return what surrounds a picture that is shown whole: itself, blurred and darker, covering `size`."""
    small = tuple(max(1, side // 16) for side in size)
    blurred, _ = cover(picture, [], small, cover_box(np.ones((1, 1), np.float32), small, picture.size))
    blurred = blurred.filter(ImageFilter.GaussianBlur(min(small) / 12)).resize(size, Image.Resampling.BICUBIC)
    return ImageEnhance.Brightness(blurred).enhance(0.6)


def cover(
    picture: Image.Image, masks: Sequence[np.ndarray], size: tuple[int, int], box: tuple[float, float, float, float]
) -> tuple[Image.Image, list[np.ndarray]]:
    """Scale the part `box` of picture and masks (H, W), as `cover_box` gives it, to `size` (width, height).

    Masks may be of another size than the picture, which is the whole of both.
    """
    layers = cover_masks(masks, size, box, picture.size)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS, box=box), layers


def cover_masks(
    masks: Sequence[np.ndarray], size: tuple[int, int], box: tuple[float, float, float, float], whole: tuple[int, int]
) -> list[np.ndarray]:
    """`cover` for masks alone; whole: (width, height) of their picture."""
    layers = list(masks)
    for index, mask in enumerate(masks):
        if mask.shape != size[::-1] or whole != size:
            own = tuple(edge * few / many for edge, few, many in zip(box, 2 * mask.shape[::-1], 2 * whole))
            layer = Image.fromarray(mask).resize(size, Image.Resampling.BICUBIC, box=own)
            layers[index] = np.clip(np.asarray(layer), 0, 1)
    return layers


def cover_box(
    mask: np.ndarray, size: tuple[int, int], whole: tuple[int, int] | None = None, centre: Centre = None
) -> tuple[float, float, float, float]:
    """Return the largest part of a picture that has the aspect of `size` (width, height).

    The centre, or that of the mask (H, W), is in its middle, as far as the picture reaches. Left, top, right, bottom in
    pixels. whole: (width, height) of the picture; None: the mask's.
    """
    width, height = whole = whole or mask.shape[::-1]
    scale = max(size[0] / width, size[1] / height)
    wide, high = min(size[0] / scale, width), min(size[1] / scale, height)  # rounding must not leave the picture
    centres = centre_of(mask, whole, centre)
    left = min(max(centres[0] - wide / 2, 0), width - wide)
    top = min(max(centres[1] - high / 2, 0), height - high)
    return left, top, min(left + wide, width), min(top + high, height)


def centre_of(mask: np.ndarray, whole: tuple[int, int], centre: Centre = None) -> list[float]:
    """The centre (x, y) of a mask (H, W) of a picture, in pixels of that; of an empty one, the picture's.

    centre: the one that was asked for, in fractions of the picture.
    """
    if centre is not None:
        return [share * side for share, side in zip(centre, whole)]
    weights = mask if mask.any() else np.ones_like(mask)
    return [
        float(np.average(np.arange(few) + 0.5, weights=weights.sum(axis))) * (side / few)
        for axis, (side, few) in enumerate(zip(whole, mask.shape[::-1]))
    ]


def find_centre(moving: np.ndarray, subject: np.ndarray | None = None) -> tuple[float, float]:
    """What a file of another shape is cut around, (x, y) in fractions of the picture: the middle of what moves.

    Across (down) the picture it is the subject's where that moves nearly everywhere, as a sky does beside a lighthouse.
    moving, subject: masks (H, W) of any size.
    """
    own = centre_of(moving, (1, 1))
    if subject is None or not (moving.any() and subject.any()):
        return tuple(own)
    return tuple(
        of_subject if _spread(moving.sum(axis)) > BROAD else middle
        for axis, (middle, of_subject) in enumerate(zip(own, centre_of(subject, (1, 1))))
    )


def _spread(weights: np.ndarray) -> float:
    """The standard deviation of places with such weights, of that of places that have all the same."""
    places = np.linspace(-1, 1, len(weights))
    middle = np.average(places, weights=weights)
    return float(np.sqrt(np.average(np.square(places - middle), weights=weights) / np.square(places).mean()))


def within(part: tuple[float, float, float, float], points: tuple[float, ...]) -> tuple[float, ...]:
    """Convert points x, y, x, y, … from fractions of a picture to fractions of a part of it.

    part: left, top, right, bottom in fractions of the picture.
    """
    left, top, right, bottom = part
    return tuple(
        (value - (left, top)[index % 2]) / (right - left, bottom - top)[index % 2] for index, value in enumerate(points)
    )
