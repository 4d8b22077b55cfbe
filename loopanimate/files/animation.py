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

    _encode(path, chain([first], frames), convert, coding.fps, "gif", {}, {"loop": "0"}, 100)
    if text:
        chunks.add_gif_text(path, text)


def write_apng(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3) uint8, without loss, as an APNG that repeats for ever; durations in whole milliseconds."""

    def convert(pixels: np.ndarray) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")

    _encode(path, frames, convert, coding.fps, "apng", {"pred": "up"}, {"plays": "0"}, 1000)
    if text:
        chunks.add_png_text(path, text)


def _encode(
    path: Path,
    frames: Iterable[np.ndarray],
    convert: Callable[[np.ndarray], av.VideoFrame],
    fps: Fraction,
    name: str,
    options: dict[str, str],
    container_options: dict[str, str],
    ticks: int,
) -> None:
    """Encode by FFmpeg's codec and muxer of this name, which counts so many ticks a second."""
    with av.open(str(path), "w", format=name, options=container_options) as container:
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

    def code(part: tuple[np.ndarray, int, int, int]) -> chunks.WebPFrame:
        pixels, index, left, top = part
        still = io.BytesIO()
        Image.fromarray(pixels).save(still, "WEBP", quality=100 - level)
        height, width = pixels.shape[:2]
        return chunks.WebPFrame(still.getvalue(), left, top, width, height, _span(index, coding.fps, 1000)[1])

    chunks.write_webp(path, _in_order(code, _crop_to_motion(frames)), text)


def _crop_to_motion(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int, int, int]]:
    """Yield the first frame, and of every other the box of all pixels that have changed so far.

    What lies outside of the box is coded in the first frame alone, so it does not change at the wrap either.
    Yields the part (h, w, 3), the frame's index, and the part's left and top, which are even.
    """
    first, moved = None, None
    for index, pixels in enumerate(frames):
        if first is None:
            first, moved = pixels, np.zeros(pixels.shape[:2], bool)
            yield pixels, index, 0, 0
            continue
        moved |= (pixels != first).any(2)
        box = []
        for axis in (1, 0):
            places = np.flatnonzero(moved.any(axis))
            start, stop = (places[0] // 2 * 2, places[-1] + 1) if len(places) else (0, 1)
            box.append(slice(int(start), int(stop)))
        yield pixels[tuple(box)], index, box[1].start, box[0].start


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
