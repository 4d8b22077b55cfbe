"""Animated pictures of loops (GIF, WebP, APNG) and PNG sequences, coded frame by frame as they come.

libwebp's own animations leave a pixel as it was until it differs clearly, and start afresh at the wrap: moving texture
smears, and the wrap shows. So here each frame is a still WebP picture of its own, cut to what moves.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import av
import cv2
import numpy as np
from PIL import Image

from loopanimate.files import chunks, video
from loopanimate.files.pictures import encode_still
from loopanimate.files.video import Coding

# WebP's quality, counted from its best (100) down, by the quality that was asked for; and the coarsest
WEBP_LEVELS, WORST_WEBP = {"wallpaper": 10, "share": 20, "small": 40}, 99


def write_gif(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3) uint8 as a GIF that repeats for ever. The first frame gives the palette: it holds all colours.

    Durations are whole hundredths of a second whose sum stays exact: 8 frames a second alternate 12 and 13.
    """
    frames = iter(frames)
    first = next(frames)
    palette = Image.fromarray(first).quantize(256, method=Image.Quantize.MEDIANCUT)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    argb = np.zeros((256, 4), np.uint8)
    argb[:, 0] = 255
    argb[: len(colours), 1:] = colours

    def convert(pixels: np.ndarray) -> av.VideoFrame:
        indices = Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        return av.VideoFrame.from_ndarray((np.asarray(indices), argb), format="pal8")

    with av.open(str(path), "w", format="gif", options={"loop": "0"}) as file:
        video.encode(file, "gif", map(convert, video.ahead(chain([first], frames))), coding.fps, 100, {})
    if text:
        chunks.add_gif_text(path, text)


def write_apng(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3 or 4) uint8, without loss, as an APNG that repeats for ever; durations in whole milliseconds."""

    def convert(pixels: np.ndarray) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba" if pixels.shape[2] == 4 else "rgb24")

    with av.open(str(path), "w", format="apng", options={"plays": "0"}) as file:
        video.encode(file, "apng", map(convert, video.ahead(frames)), coding.fps, 1000, {"pred": "up"})
    if text:
        chunks.add_png_text(path, text)


def write_webp(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3 or 4) uint8 as a WebP that repeats for ever; level: 100 less WebP's quality, of colours."""

    def code(part: tuple[np.ndarray, tuple[int, int], int]) -> tuple[bytes, tuple[int, int], tuple[int, int], int]:
        pixels, corner, index = part
        still = encode_still(pixels, "WEBP", quality=100 - level)
        return still, corner, pixels.shape[1::-1], video.span(index, coding.fps, 1000)[1]

    chunks.write_webp(path, video.in_order(code, _crop_to_motion(frames)), text)


def _crop_to_motion(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, tuple[int, int], int]]:
    """Yield the first frame, and of every other the box of all pixels that have changed so far.

    What lies outside of the box is coded in the first frame alone, so it does not change at the wrap either.
    Yields the part (h, w, C), its left and top, which are even, and the frame's index.
    """
    numbered = enumerate(frames)
    _, first = next(numbered)
    yield first, (0, 0), 0
    moved = np.zeros(first.shape[:2], bool)
    for index, pixels in numbered:
        moved |= (pixels != first).any(2)
        left, top, width, height = cv2.boundingRect(moved.view(np.uint8))  # all 0 where nothing has moved
        right, bottom = max(left + width, 1), max(top + height, 1)
        left, top = left // 2 * 2, top // 2 * 2
        yield pixels[top:bottom, left:right], (left, top), index


def write_sequence(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3 or 4) uint8 as PNG files in a .zip, the text beside them."""
    with ZipFile(path, "w") as file:
        for index, still in enumerate(video.in_order(partial(encode_still, kind="PNG", compress_level=3), frames)):
            file.writestr(f"frame-{index:04d}.png", still)
        if text:
            file.writestr(chunks.SEQUENCE_TEXT, text)
