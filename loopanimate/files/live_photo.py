"""Apple's Live Photo: a still (HEIC) and a film (MOV) beside it, which one content identifier ties together.

As far as Apple has published it: the film has the identifier in its metadata (com.apple.quicktime.content.identifier), and a
timed metadata track whose one sample says where the still stands (com.apple.quicktime.still-image-time); the still has the
identifier in its maker note, under key 17. FFmpeg writes no such track, so it is added here, by the atoms of
developer.apple.com/documentation/quicktime-file-format; Pillow gives a maker note the type of plain bytes, which is not EXIF's.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import numpy as np
from PIL import Image

from loopanimate.files.chunks import EXIF_CODE
from loopanimate.files.video import Coding, to_pixels, write_film

FILM = ".mov"  # ending of the film, which is called as the still is
SECONDS = 3.0  # that the camera's own last
QUALITY = 92  # of the still
IDENTIFIER, STILL_TIME = "com.apple.quicktime.content.identifier", "com.apple.quicktime.still-image-time"
NOTE_KEY = 17  # of the identifier in Apple's maker note
ASCII, LONG, UNDEFINED = 2, 4, 7  # types of EXIF
EXIF_POINTER, MAKER_NOTE, USER_COMMENT = 0x8769, 0x927C, 0x9286
INT8 = 65  # QuickTime's well-known type
UND = 0x55C4  # QuickTime's packed code of the language "und"
MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)  # identity


def write_live_photo(
    path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None
) -> None:
    """Write frames as `write_film` takes them: the first as a still to `path`, all as a film beside it, ending in `FILM`."""
    identifier, frames = str(uuid4()).upper(), iter(frames)
    first = next(frames)
    film = path.with_suffix(FILM)
    write_film(film, chain([first], frames), count, coding, level, text, "mov", {IDENTIFIER: identifier})
    add_still_time(film)
    Image.fromarray(to_pixels(first)).save(path, "HEIF", quality=QUALITY, exif=make_exif(identifier, text))


def make_exif(identifier: str, text: str | None) -> bytes:
    """EXIF with an identifier in Apple's maker note, and a text as its comment."""
    note = b"Apple iOS\0\0\1MM"
    note += _directory(len(note), [(NOTE_KEY, ASCII, identifier.encode() + b"\0")])
    entries = [(MAKER_NOTE, UNDEFINED, note)]
    if text:
        entries.append((USER_COMMENT, UNDEFINED, EXIF_CODE + text.encode()))
    head = b"MM\0*" + struct.pack(">I", 8)
    pointer = _directory(8, [(EXIF_POINTER, LONG, struct.pack(">I", 26))])  # one entry takes 18 bytes
    return b"Exif\0\0" + head + pointer + _directory(26, entries)


def _directory(place: int, entries: list[tuple[int, int, bytes]]) -> bytes:
    """A directory of TIFF, big-endian, that stands at `place`: tag, type and value of each entry, sorted by tag."""
    head, values, after = struct.pack(">H", len(entries)), b"", place + 6 + 12 * len(entries)
    for tag, kind, value in entries:
        count = 1 if kind == LONG else len(value)
        if len(value) > 4:
            values += b"\0" * (len(values) % 2)
            where = struct.pack(">I", after + len(values))
            values += value
        else:
            where = value.ljust(4, b"\0")
        head += struct.pack(">HHI", tag, kind, count) + where
    return head + bytes(4) + values


def add_still_time(path: Path) -> None:
    """Add a track to a film that says that its first frame is the still. The film's index (moov) is the last of its atoms."""
    with path.open("r+b") as file:
        kind, place, size = list(walk(file))[-1]
        if kind != b"moov":
            raise ValueError(f"expected a film that ends with its index, got {kind!r}")
        file.seek(place)
        moov = file.read(size)
        *_, track = (end for name, _, end in _children(moov) if name == b"trak")
        header = next(start for name, start, _ in _children(moov) if name == b"mvhd")
        (ticks,) = struct.unpack_from(">I", moov, header + 20)  # a second
        (free,) = struct.unpack_from(">I", moov, header + 104)  # number of the next track
        sample = _atom(struct.pack(">I", 1), b"\xff")  # of the first key; its value says nothing, and -1 is what cameras write
        content = moov[8:track] + _still_track(free, ticks, place + 8, len(sample)) + moov[track:]
        content = content[: header + 96] + struct.pack(">I", free + 1) + content[header + 100 :]
        file.seek(place)
        file.write(_atom(b"mdat", sample) + _atom(b"moov", content))


def walk(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and bytes of each atom of a file."""
    place = file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if size == 1:  # the size follows, in 64 bits
            (size,) = struct.unpack(">Q", file.read(8))
        yield kind, place, size
        place = file.seek(place + size)


def _children(atom: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each atom within one."""
    start = 8
    while start < len(atom):
        size, kind = struct.unpack_from(">I4s", atom, start)
        yield kind, start, start + size
        start += size


def _still_track(number: int, ticks: int, place: int, size: int) -> bytes:
    """A track of timed metadata that describes track 1: one sample at the first frame, of `size` bytes at `place`."""
    key = _atom(b"keyd", b"mdta", STILL_TIME.encode()) + _atom(b"dtyp", struct.pack(">II", 0, INT8))
    keys = _atom(b"keys", _atom(struct.pack(">I", 1), key))
    table = _atom(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), _atom(b"mebx", bytes(6), struct.pack(">H", 1), keys)),
        _full(b"stts", struct.pack(">III", 1, 1, 1)),  # one sample of one tick
        _full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        _full(b"stsz", struct.pack(">III", 0, 1, size)),
        _full(b"co64", struct.pack(">IQ", 1, place)),
    )
    media = _atom(
        b"minf",
        _atom(b"gmhd", _full(b"gmin", struct.pack(">6H", 0x40, 0x8000, 0x8000, 0x8000, 0, 0))),  # copies, as QuickTime has it
        _full(b"hdlr", b"dhlralis", bytes(13)),
        _atom(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"alis", flags=1))),  # in this file
        table,
    )
    return _atom(
        b"trak",
        # enabled, in movie, preview and poster
        _full(b"tkhd", struct.pack(">5I", 0, 0, number, 0, 1), bytes(16), MATRIX, bytes(8), flags=15),
        _atom(b"edts", _full(b"elst", struct.pack(">IIiI", 1, 1, 0, 1 << 16))),
        _atom(b"tref", _atom(b"cdsc", struct.pack(">I", 1))),
        _atom(
            b"mdia", _full(b"mdhd", struct.pack(">4IHH", 0, 0, ticks, 1, UND, 0)), _full(b"hdlr", b"mhlrmeta", bytes(13)), media
        ),
    )


def _atom(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I", 8 + sum(map(len, content))) + kind + b"".join(content)


def _full(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    """An atom of version 0."""
    return _atom(kind, struct.pack(">I", flags), *content)
