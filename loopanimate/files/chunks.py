"""Containers written by hand: animated WebP, and the text that travels in a loop's file; and the readers of that text.

Libraries were tried first: FFmpeg 8.1 through PyAV 18.1 (whose muxers drop the text) and Pillow 12.3 (which keeps all frames
in memory, and merges equal neighbours). Measured on a photograph of 480 x 320 in which one object moves, 128 frames: bytes,
pause at the wrap (metrics.seam; 1 is none), and peak memory of a file four times as long, of GIF sixteen times.

    WebP    here, cut to what moves    1.28 MB, 1.22,  68 MB    AVIF    FFmpeg, text from here    0.48 MB, 1.27, 147 MB
            FFmpeg, still frames       3.44 MB, 1.41,  64 MB            Pillow, quality 90        0.26 MB, 1.97, 388 MB
            Pillow, only key frames    3.44 MB, 1.41, 430 MB    GIF     FFmpeg, text from here    4.20 MB, 1.08,  55 MB
            Pillow, its defaults       1.58 MB, 2.96                    Pillow                    4.25 MB, 1.08, 214 MB
"""

import json
import re
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

import av
from PIL import ExifTags, Image

from loopanimate.files.pictures import replacing

SEQUENCE_TEXT = "loopanimate.json"  # the file beside a sequence's pictures
MAX_TEXT = 10_000_000  # bytes of that file, once it is unpacked; a recipe takes some thousand
AVIF_TEXT = uuid.uuid5(uuid.NAMESPACE_URL, "loopanimate:recipe").bytes  # names the box that holds the text
EXIF_CODE = b"\0" * 8  # character code of an EXIF comment: undefined, as the standard has none for UTF-8


def write_webp(path: Path, frames: Iterable[tuple[bytes, tuple[int, int], tuple[int, int], int]], text: str | None) -> None:
    """Write an animated WebP that repeats for ever (developers.google.com/speed/webp/docs/riff_container).

    frames: a still WebP file's bytes; left and top, both even; width and height, of the first those of the canvas;
        milliseconds. A frame replaces that part of the canvas.
    """

    def uint24(*numbers: int) -> bytes:
        return b"".join(struct.pack("<I", number)[:3] for number in numbers)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    with path.open("wb") as file:
        for index, (still, (left, top), (width, height), milliseconds) in enumerate(frames):
            still = still[12:]  # behind the RIFF header
            if alpha := still[:4] == b"VP8X":  # a header of its own, before alpha and colours
                still = still[18:]
            elif still[:4] == b"VP8L":  # without loss: behind 14 bits each of width and height
                alpha = bool(int.from_bytes(still[9:13], "little") >> 28 & 1)
            if index == 0:
                flags = 0x02 | 0x08 * bool(text) | 0x10 * alpha  # animated, with EXIF, with alpha
                file.write(b"RIFF\0\0\0\0WEBP" + chunk(b"VP8X", bytes([flags, 0, 0, 0]) + uint24(width - 1, height - 1)))
                file.write(chunk(b"ANIM", bytes(6)))  # no background, repeats for ever
            place = uint24(left // 2, top // 2, width - 1, height - 1, milliseconds)
            file.write(chunk(b"ANMF", place + b"\x02" + still))  # 2: replace, do not blend
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
        if file.getinfo(SEQUENCE_TEXT).file_size > MAX_TEXT:
            raise ValueError(f"expected a text of at most {MAX_TEXT} bytes in {path}")
        return file.read(SEQUENCE_TEXT).decode()


def read_page_text(path: Path) -> str | None:
    recipe = re.search(r'<script type="application/json" id="recipe">(.*?)</script>', path.read_text(encoding="utf-8"))
    return recipe and json.loads(recipe[1])


def _insert(path: Path, place: int, content: bytes) -> None:
    """Insert bytes into a file at `place`, by way of a copy."""
    with replacing(path) as copy, copy.open("wb") as target, path.open("rb") as source:
        target.write(source.read(place) + content)
        shutil.copyfileobj(source, target)
