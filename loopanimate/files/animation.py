"""Animated pictures of loops, GIF, WebP and APNG, and PNG sequences, coded frame by frame as they come.

libwebp's own animations leave a pixel as it was until it differs clearly, and begin afresh at the wrap: moving texture
smears, and the wrap shows. So each frame is a WebP picture of its own here, cut to what moves: all are coded alike.
"""

import io
import os
import shutil
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from zipfile import ZipFile

import av
import numpy as np
from PIL import ExifTags, Image

from loopanimate.files.video import ahead

# container, codec, pixels, codec options, container options, ticks a second that the format counts
KINDS = {
    ".gif": ("gif", "gif", "pal8", {}, {"loop": "0"}, 100),
    ".png": ("apng", "apng", "rgb24", {"pred": "up"}, {"plays": "0"}, 1000),
    ".apng": ("apng", "apng", "rgb24", {"pred": "up"}, {"plays": "0"}, 1000),
}
WEBP_LEVELS = {"wallpaper": 10, "share": 20, "small": 40}  # by use: 100 less WebP's quality, of which WORST_WEBP is the worst
WORST_WEBP = 99
RECIPE_NAME = "loopanimate.json"  # the text, beside a sequence's pictures
EXIF_TEXT = b"\0" * 8  # the character code of an EXIF comment: not said (UTF-8 has none)


def write(path: Path, frames: Iterable[np.ndarray], fps: Fraction, metadata: str | None, level: int) -> None:
    """Frames (H, W, 3) uint8 into an animated picture that repeats for ever, or into a .zip of PNG files.

    Each duration is rounded so that the sum stays exact: 8 frames a second in GIF alternate 12 and 13 hundredths.
    level: 100 less the quality of WebP; other formats have but one.
    """
    if path.suffix.lower() == ".webp":
        return _write_webp(path, frames, fps, metadata, 100 - level)
    if path.suffix.lower() == ".zip":
        return _write_sequence(path, frames, metadata)
    kind, codec, layout, options, container_options, ticks = KINDS[path.suffix.lower()]
    palette = None
    with av.open(str(path), "w", format=kind, options=container_options) as container:
        stream, index = None, 0
        for index, pixels in enumerate(ahead(frames), 1):
            if stream is None:
                stream = container.add_stream(codec, rate=fps, options=options)
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], layout
                stream.time_base = stream.codec_context.time_base = Fraction(1, ticks)
            if layout == "pal8":
                palette = palette or _Palette(pixels)
                frame = av.VideoFrame.from_ndarray(palette.indices(pixels), format="pal8")
            else:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(format=layout)
            frame.pts, frame.duration = _span(index - 1, fps, ticks)
            frame.time_base = Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if metadata:
        {"gif": _comment_gif, "apng": _comment_png}[kind](path, metadata)


def _span(index: int, fps: Fraction, ticks: int) -> tuple[int, int]:
    """Start and duration of a frame in ticks."""
    start, end = (round((index + step) * ticks / fps) for step in (0, 1))
    return start, end - start


def in_order(function: Callable, items: Iterable) -> Iterator:
    """What `function` makes of each item, on all cores, a few items ahead."""
    workers, waiting = os.cpu_count() or 1, deque()
    with ThreadPoolExecutor(workers) as threads:
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_sequence(path: Path, frames: Iterable[np.ndarray], metadata: str | None) -> None:
    def coded(pixels: np.ndarray) -> bytes:
        still = io.BytesIO()
        Image.fromarray(pixels).save(still, "PNG", compress_level=3)
        return still.getvalue()

    with ZipFile(path, "w") as file:
        for index, still in enumerate(in_order(coded, frames)):
            file.writestr(f"frame-{index:04d}.png", still)
        if metadata:
            file.writestr(RECIPE_NAME, metadata)


def _write_webp(path: Path, frames: Iterable[np.ndarray], fps: Fraction, metadata: str | None, quality: int) -> None:
    def coded(part: tuple[np.ndarray, int, int]) -> tuple[bytes, bytes]:
        pixels, top, left = part
        still = io.BytesIO()
        Image.fromarray(pixels).save(still, "WEBP", quality=quality)
        sides = b"".join(_uint24(side - 1) for side in pixels.shape[1::-1])
        # after the file's 12 bytes of head, the one chunk that holds the picture
        return _uint24(left // 2) + _uint24(top // 2) + sides, still.getvalue()[12:]

    with path.open("wb") as file:
        for index, (place, still) in enumerate(in_order(coded, _moving(frames))):
            if index == 0:
                flags = 0x02 | 0x08 * bool(metadata)  # animated, with EXIF
                file.write(b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + place[6:]))
                file.write(_chunk(b"ANIM", bytes(6)))  # for ever
            over = b"\x02"  # takes the place of what was there
            file.write(_chunk(b"ANMF", place + _uint24(_span(index, fps, 1000)[1]) + over + still))
        if metadata:
            exif = Image.Exif()
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = EXIF_TEXT + metadata.encode()
            file.write(_chunk(b"EXIF", exif.tobytes()))
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def _moving(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int, int]]:
    """The first frame, and of each other the box of all that has moved so far; with its top and left, both even.

    What is outside of the box was never coded but once, in the first frame: it is still there at the wrap.
    """
    first, moved = None, None
    for pixels in frames:
        if first is None:
            first, moved = pixels, np.zeros(pixels.shape[:2], bool)
            yield pixels, 0, 0
            continue
        moved |= (pixels != first).any(2)
        box = []
        for axis in (1, 0):
            places = np.flatnonzero(moved.any(axis))
            start, stop = (places[0] // 2 * 2, places[-1] + 1) if len(places) else (0, 1)
            box.append(slice(int(start), int(stop)))
        yield pixels[tuple(box)], box[0].start, box[1].start


def _uint24(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


class _Palette:
    """One palette for all frames, from the first: the loop holds the picture's own colours."""

    def __init__(self, pixels: np.ndarray):
        self.picture = Image.fromarray(pixels).quantize(256, method=Image.Quantize.MEDIANCUT)
        colours = np.zeros((256, 4), np.uint8)
        colours[:, 0] = 255
        given = np.array(self.picture.getpalette(), np.uint8).reshape(-1, 3)
        colours[: len(given), 1:] = given
        self.argb = colours

    def indices(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        quantized = Image.fromarray(pixels).quantize(palette=self.picture, dither=Image.Dither.FLOYDSTEINBERG)
        return np.asarray(quantized), self.argb


def _comment_gif(path: Path, text: str) -> None:
    content = text.encode()
    blocks = [content[start : start + 255] for start in range(0, len(content), 255)]
    head = path.read_bytes()[:13]
    table = 3 * 2 ** ((head[10] & 7) + 1) if head[10] & 0x80 else 0
    _insert(path, 13 + table, b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0")


def _comment_png(path: Path, text: str) -> None:
    data = b"iTXt" + b"Comment\0\0\0\0\0" + text.encode()
    _insert(path, 33, struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data)))


def _insert(path: Path, place: int, content: bytes) -> None:
    with_comment = path.with_name(path.name + ".comment")
    try:
        with path.open("rb") as source, with_comment.open("wb") as target:
            target.write(source.read(place) + content)
            shutil.copyfileobj(source, target)
        with_comment.replace(path)
    finally:
        with_comment.unlink(missing_ok=True)
