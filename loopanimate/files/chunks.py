"""Containers written by hand: animated WebP, and the text that travels in a loop's file; and all readers of that text.

Libraries were tried first: FFmpeg 8.1 through PyAV 18.1, Pillow 12.3. The loop is a photograph of 480 x 320 in which one
object moves: 128 frames, of GIF 64. Step and pause at the wrap are those of metrics.seam (1: like any other place). Memory
is the peak above that of the idle process, while the loop is written four times in a row, as GIF sixteen times.

                                     megabytes  step  pause  memory, MB  carries the text
    WebP, here: cut to what moves         1.28  1.07   1.22          68  yes
    WebP, FFmpeg: still frames            3.44  0.88   1.41          64  no
    WebP, Pillow: only key frames         3.44  0.88   1.41         430  yes
    WebP, Pillow: its defaults            1.58  1.06   2.96              yes
    AVIF, FFmpeg, the text from here      0.48  1.14   1.27         147  yes
    AVIF, Pillow at quality 90            0.26  1.61   1.97         388  yes
    GIF, FFmpeg, the text from here       4.20  0.98   1.08          55  yes
    GIF, Pillow                           4.25  0.98   1.08         214  yes

Where everything moves, WebP from here and from FFmpeg have the same size. FFmpeg's muxers of GIF, APNG, WebP and AVIF drop
all metadata. Pillow keeps all frames in memory, and merges equal neighbours, so that frames go missing.
"""

import json
import os
import re
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import av
from PIL import ExifTags, Image

SEQUENCE_TEXT = "loopanimate.json"  # the file beside a sequence's pictures
AVIF_TEXT = uuid.uuid5(uuid.NAMESPACE_URL, "loopanimate:recipe").bytes  # names the box that holds the text
EXIF_CODE = b"\0" * 8  # character code of an EXIF comment: undefined, as the standard has none for UTF-8


@dataclass(frozen=True)
class WebPFrame:
    """One frame of an animated WebP: a still WebP file's bytes, that replace a part of the canvas."""

    still: bytes
    left: int  # pixels, even
    top: int  # pixels, even
    width: int
    height: int
    milliseconds: int


def write_webp(path: Path, frames: Iterable[WebPFrame], text: str | None) -> None:
    """Write an animated WebP that repeats for ever; the first frame has the size of the canvas.

    Source: developers.google.com/speed/webp/docs/riff_container.
    """

    def uint24(number: int) -> bytes:
        return struct.pack("<I", number)[:3]

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    with path.open("wb") as file:
        for index, frame in enumerate(frames):
            sides = uint24(frame.width - 1) + uint24(frame.height - 1)
            if index == 0:
                flags = 0x02 | 0x08 * bool(text)  # animated, with EXIF
                file.write(b"RIFF\0\0\0\0WEBP" + chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides))
                file.write(chunk(b"ANIM", bytes(6)))  # no background, repeats for ever
            place = uint24(frame.left // 2) + uint24(frame.top // 2) + sides + uint24(frame.milliseconds)
            # 2: the frame replaces what was there, without blending. A still's chunks follow 12 bytes of RIFF header.
            file.write(chunk(b"ANMF", place + b"\x02" + frame.still[12:]))
        if text:
            exif = Image.Exif()
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = EXIF_CODE + text.encode()
            file.write(chunk(b"EXIF", exif.tobytes()))
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def add_gif_text(path: Path, text: str) -> None:
    """Insert a comment behind a GIF's global palette."""
    content = text.encode()
    blocks = [content[start : start + 255] for start in range(0, len(content), 255)]
    with path.open("rb") as file:
        flags = file.read(13)[10]
    palette = 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0  # bytes
    _insert(path, 13 + palette, b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0")


def add_png_text(path: Path, text: str) -> None:
    """Insert a UTF-8 comment (iTXt) behind a PNG's header."""
    data = b"iTXt" + b"Comment\0\0\0\0\0" + text.encode()
    _insert(path, 33, struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data)))


def add_avif_text(path: Path, text: str) -> None:
    """Append a box of our own to an AVIF file; readers skip boxes that they do not know."""
    content = AVIF_TEXT + text.encode()
    with path.open("ab") as file:
        file.write((8 + len(content)).to_bytes(4, "big") + b"uuid" + content)


def read_avif_text(path: Path) -> str | None:
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8 and (length := int.from_bytes(head[:4], "big")) >= 8:
            box = file.tell()
            if head[4:] == b"uuid" and file.read(16) == AVIF_TEXT:
                return file.read(length - 24).decode()
            file.seek(box + length - 8)
    return None


def read_video_text(path: Path) -> str | None:
    with av.open(str(path)) as container:
        return {key.lower(): value for key, value in container.metadata.items()}.get("comment")


def read_picture_text(path: Path) -> str | None:
    """Read the comment of a GIF, PNG or WebP."""
    with Image.open(path) as file:
        text = file.info.get("comment") or file.info.get("Comment")
        text = text or file.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    return text.removeprefix(EXIF_CODE).decode(errors="replace") if isinstance(text, bytes) else text


def read_sequence_text(path: Path) -> str | None:
    with ZipFile(path) as file:
        return file.read(SEQUENCE_TEXT).decode()


def read_page_text(path: Path) -> str | None:
    recipe = re.search(r'<script type="application/json" id="recipe">(.*?)</script>', path.read_text(encoding="utf-8"))
    return recipe and json.loads(recipe[1])


def _insert(path: Path, place: int, content: bytes) -> None:
    """Insert bytes into a file at `place`, by way of a copy."""
    copy = path.with_name(path.name + ".comment")
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            target.write(source.read(place) + content)
            shutil.copyfileobj(source, target)
        os.replace(copy, path)
    finally:
        copy.unlink(missing_ok=True)
