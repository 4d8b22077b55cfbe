"""Animated pictures of loops (GIF, WebP, APNG) and PNG sequences, coded frame by frame as they come.

libwebp's own animations leave a pixel as it was until it differs clearly, and start afresh at the wrap: moving texture
smears, and the wrap shows. So here each frame is a still WebP picture of its own, cut to what moves.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from zipfile import ZipFile

import av
import cv2
import numpy as np
from PIL import Image

from loopanimate.files import chunks, video
from loopanimate.files.pictures import encode_still
from loopanimate.files.video import Coding

SAMPLES = 2**18  # pixels of the whole loop that a GIF's palette is made for
KMEANS = 2  # refinements of that palette; with all frames' colours they bring 3 to 5 dB over median cut of the first frame
# WebP's quality, counted from its best (100) down, by the quality that was asked for; and the coarsest
WEBP_LEVELS, WORST_WEBP = {"wallpaper": 10, "share": 20, "small": 40}, 99


class Spool:
    """Frames that are taken from their source once and kept in a file, so that they can be read again."""

    def __init__(self, frames: Iterable[np.ndarray], file: BinaryIO):
        self.source, self.file, self.count = iter(frames), file, 0

    def __iter__(self) -> Iterator[np.ndarray]:
        self.file.seek(0)
        for _ in range(self.count):
            yield np.load(self.file)
        for pixels in self.source:
            np.save(self.file, pixels)
            self.count += 1
            yield pixels


def write_gif(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames (H, W, 3) uint8 as a GIF that repeats for ever, in one palette of the whole loop's colours.

    Error diffusion makes all that is right of or below a moving thing flicker. So what never moves is drawn once.
    Durations are whole hundredths of a second whose sum stays exact: 8 frames a second alternate 12 and 13.
    """
    with TemporaryFile(dir=path.parent) as waiting, av.open(str(path), "w", format="gif", options={"loop": "0"}) as file:
        kept = Spool(video.ahead(frames), waiting)
        most = SAMPLES // (count * coding.repeats)
        samples, first, rests, few = [], None, True, coding.exact
        for pixels in kept:
            first = pixels if first is None else first
            rests = rests & (pixels == first).all(2)
            samples.append(_sample(pixels.reshape(-1, 3), most))
        if few:
            own = np.unique(first.reshape(-1, 3), axis=0)
            few = len(own) <= 256
        palette = Image.fromarray(np.concatenate(samples)[None]).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=KMEANS)
        if few:
            palette.putpalette(own.tobytes())
        colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
        argb = np.zeros((256, 4), np.uint8)
        argb[:, 0] = 255
        argb[: len(colours), 1:] = colours

        def dither(pixels: np.ndarray) -> np.ndarray:
            way = Image.Dither.NONE if few else Image.Dither.FLOYDSTEINBERG
            return np.asarray(Image.fromarray(pixels).quantize(palette=palette, dither=way))

        once = dither(first)

        def convert(pixels: np.ndarray) -> av.VideoFrame:
            return av.VideoFrame.from_ndarray((np.where(rests, once, dither(pixels)), argb), format="pal8")

        video.encode(file, "gif", map(convert, kept), coding.fps, 100, {})
    if text:
        chunks.add_gif_text(path, text)


def _sample(pixels: np.ndarray, most: int) -> np.ndarray:
    """About so many of some pixels (n, 3), spread over all of them."""
    return pixels[:: max(1, len(pixels) // max(1, most)) | 1]


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
        still = encode_still(pixels, "WEBP", quality=100 - level, lossless=coding.exact)
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
