"""Animated pictures of loops (GIF, WebP, APNG) and PNG sequences, coded frame by frame as they come.

libwebp's own animations leave a pixel as it was until it differs clearly, and start afresh at the wrap: moving texture
smears, and the wrap shows. So here each frame is a still WebP picture of its own, cut to what moves.
"""

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import av
import cv2
import numpy as np
from PIL import Image

from loopanimate.files import chunks
from loopanimate.files.video import Coding, ahead

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

    _encode(path, chain([first], frames), convert, coding.fps, "gif", 100, {"loop": "0"})
    if text:
        chunks.add_gif_text(path, text)


def write_apng(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3) uint8, without loss, as an APNG that repeats for ever; durations in whole milliseconds."""

    def convert(pixels: np.ndarray) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")

    _encode(path, frames, convert, coding.fps, "apng", 1000, {"plays": "0"}, pred="up")
    if text:
        chunks.add_png_text(path, text)


def _encode(
    path: Path,
    frames: Iterable,
    convert: Callable,
    fps: Fraction,
    name: str,
    ticks: int,
    forever: dict[str, str],
    **options: str,
) -> None:
    """Encode converted frames by FFmpeg's codec and muxer of that name, which counts so many ticks a second.

    forever: the muxer's option that repeats the animation; options: the codec's.
    """
    with av.open(str(path), "w", format=name, options=forever) as container:
        stream = None
        for index, pixels in enumerate(ahead(frames)):
            frame = convert(pixels)
            if stream is None:
                stream = container.add_stream(name, rate=fps, options=options)
                stream.height, stream.width, stream.pix_fmt = frame.height, frame.width, frame.format.name
                stream.time_base = stream.codec_context.time_base = Fraction(1, ticks)
            frame.pts, frame.duration = _span(index, fps, ticks)
            frame.time_base = Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _span(index: int, fps: Fraction, ticks: int) -> tuple[int, int]:
    """Return start and duration of a frame in ticks."""
    start, end = (round((index + step) * ticks / fps) for step in (0, 1))
    return start, end - start


def write_webp(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3) uint8 as a WebP that repeats for ever; level: 100 less WebP's quality."""

    def code(part: tuple[np.ndarray, tuple[int, int], int]) -> tuple[bytes, tuple[int, int], tuple[int, int], int]:
        pixels, corner, index = part
        still = io.BytesIO()
        Image.fromarray(pixels).save(still, "WEBP", quality=100 - level)
        return still.getvalue(), corner, pixels.shape[1::-1], _span(index, coding.fps, 1000)[1]

    chunks.write_webp(path, _in_order(code, _crop_to_motion(frames)), text)


def _crop_to_motion(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, tuple[int, int], int]]:
    """Yield the first frame, and of every other the box of all pixels that have changed so far.

    What lies outside of the box is coded in the first frame alone, so it does not change at the wrap either.
    Yields the part (h, w, 3), its left and top, which are even, and the frame's index.
    """
    for index, pixels in enumerate(frames):
        if index == 0:
            first, moved = pixels, np.zeros(pixels.shape[:2], bool)
            yield pixels, (0, 0), index
            continue
        moved |= (pixels != first).any(2)
        left, top, width, height = cv2.boundingRect(moved.view(np.uint8))  # all 0 where nothing has moved
        right, bottom = max(left + width, 1), max(top + height, 1)
        left, top = left // 2 * 2, top // 2 * 2
        yield pixels[top:bottom, left:right], (left, top), index


def write_sequence(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3) uint8 as PNG files in a .zip, the text beside them."""

    def code(pixels: np.ndarray) -> bytes:
        still = io.BytesIO()
        Image.fromarray(pixels).save(still, "PNG", compress_level=3)
        return still.getvalue()

    with ZipFile(path, "w") as file:
        for index, still in enumerate(_in_order(code, frames)):
            file.writestr(f"frame-{index:04d}.png", still)
        if text:
            file.writestr(chunks.SEQUENCE_TEXT, text)


def _in_order(function: Callable, items: Iterable) -> Iterator:
    """Yield `function(item)` in order, computed on all cores, at most a few items ahead."""
    workers, waiting = os.cpu_count() or 1, deque()
    with ThreadPoolExecutor(workers) as threads:
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
