"""Animated pictures of loops: GIF, WebP, APNG, AVIF and a folder of PNG files, coded frame by frame as they come."""

import shutil
import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import ExifTags, Image

from loopanimate.video import ahead

# container, codec, pixels, codec options, container options, ticks a second that the format counts
KINDS = {
    ".gif": ("gif", "gif", "pal8", {}, {"loop": "0"}, 100),
    ".webp": ("webp", "libwebp_anim", "bgra", {"quality": "90", "compression_level": "3"}, {"loop": "0"}, 1000),
    ".png": ("apng", "apng", "rgb24", {"pred": "up"}, {"plays": "0"}, 1000),
    ".apng": ("apng", "apng", "rgb24", {"pred": "up"}, {"plays": "0"}, 1000),
}
EXIF_TEXT = b"\0" * 8  # the character code of an EXIF comment: not said (UTF-8 has none)


def write(path: Path, frames: Iterable[np.ndarray], fps: Fraction, metadata: str | None) -> None:
    """Frames (H, W, 3) uint8 into an animated picture that repeats for ever.

    Each duration is rounded so that the sum stays exact: 8 frames a second in GIF alternate 12 and 13 hundredths.
    """
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
            start, end = (round((index - 1 + step) * ticks / fps) for step in (0, 1))
            frame.pts, frame.duration, frame.time_base = start, end - start, Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if metadata:
        {"gif": _comment_gif, "webp": _comment_webp, "apng": _comment_png}[kind](path, metadata)


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


def _comment_webp(path: Path, text: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = EXIF_TEXT + text.encode()
    content = exif.tobytes()
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(b"EXIF" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2))
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))
        file.seek(20)  # flags of the VP8X chunk, which every animation begins with
        flags = file.read(1)[0]
        file.seek(20)
        file.write(bytes([flags | 0x08]))


def _insert(path: Path, place: int, content: bytes) -> None:
    with_comment = path.with_name(path.name + ".comment")
    try:
        with path.open("rb") as source, with_comment.open("wb") as target:
            target.write(source.read(place) + content)
            shutil.copyfileobj(source, target)
        with_comment.replace(path)
    finally:
        with_comment.unlink(missing_ok=True)
