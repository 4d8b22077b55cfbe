"""What a loop can be written as: one row a format. Everything that depends on a file's ending reads this table.

A new format is a row, and at most a writer of its own: `write(path, frames, count, coding, level, text)`. A film's writer gets
one round of `count` frames, any other all of `coding.repeats` rounds: (3H/2, W) I420 or (H, W, 3) RGB uint8 where the row is
planar, otherwise RGB; (H, W, 4) RGBA, not premultiplied, where it keeps alpha. `level` is one of the row's or the codec's; `text` has to come back from the row's `read`.
"""

import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from lzma import LZMAError
from math import ceil, log2
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import av
import numpy as np
from PIL import Image

from loopanimate.files import live_photo
from loopanimate.files.animation import WEBP_LEVELS, WORST_WEBP, Spool, write_apng, write_gif, write_sequence, write_webp
from loopanimate.files.avif import write_avif
from loopanimate.files.chunks import read_avif_text, read_page_text, read_picture_text, read_sequence_text, read_video_text
from loopanimate.files.live_photo import write_live_photo
from loopanimate.files.pictures import move, replacing, with_endings
from loopanimate.files.sizes import read_monitors
from loopanimate.files.video import CODECS, Codec, Coding, even, write_film
from loopanimate.presets import NATIVE_FPS
from loopanimate.settings import MAX_FPS, MIN_FPS, Output

QUALITIES = ("wallpaper", "share", "small")
FILLED = 0.9  # share of a largest size at which the search for a finer file ends
# what readers raise over files that are broken or made to harm; RuntimeError: too deeply nested, or encrypted
UNREADABLE = (av.FFmpegError, BadZipFile, EOFError, Image.DecompressionBombError, KeyError, OSError, RuntimeError)
UNREADABLE += (IndexError, LZMAError, SyntaxError, TypeError, ValueError, struct.error, zlib.error)


@dataclass(frozen=True)
class Format:
    name: str  # for people
    endings: tuple[str, ...]  # of its files' names; the first is the usual one
    kind: Literal["film", "animation", "sequence", "page"]  # a player repeats a film, any viewer the others
    write: Callable | None  # None: a page is written from motion instead of frames (living.py)
    read: Callable[[Path], str | None]  # the text that a file carries
    codecs: tuple[str, ...] = ()  # names in video.CODECS: the format's own, then others that can be asked for
    levels: dict[str, int] | None = None  # where it has no such codecs: how coarsely it codes, by quality
    worst: int = 0  # the coarsest of those levels
    rates: tuple[float, ...] = ()  # frames a second that it can hold; empty: all of MIN_FPS to MAX_FPS
    rate: Fraction = Fraction(30)  # frames a second unless others are asked for
    planar: bool = False  # frames are wanted as I420 planes, whose sides are even
    clear: bool = False  # keeps the alpha of frames (H, W, 4), whatever its codec
    beside: tuple[str, ...] = ()  # endings of files that are written beside it, and belong to it
    seconds: float | None = None  # that its files last unless another length or several rounds are asked for
    mime: str | None = None  # where a browser shows its files

    @property
    def graded(self) -> bool:
        """Whether it has a quality, and can keep to a largest size."""
        return bool(self.codecs or self.levels)

    def frame_rate(self, fps: float | Literal["native"] | None) -> Fraction:
        """Return frames a second; "native" is the network's own rate, None the format's. Raises ValueError."""
        if fps == "native":
            return Fraction(NATIVE_FPS)
        if fps is None:
            return self.rate
        if self.rates and fps not in self.rates:
            rates = ", ".join(f"{rate:g}" for rate in self.rates)
            raise ValueError(f"expected a {self.name} rate of {rates} or native, got {fps:g}")
        if not MIN_FPS <= fps <= MAX_FPS:
            raise ValueError(f"expected {MIN_FPS} to {MAX_FPS} frames a second, got {fps:g}")
        return Fraction(fps).limit_denominator(1001)

    def codec(self, name: str | None) -> Codec | None:
        """Return the codec of that name, or for None the format's own. Raises ValueError for one that cannot be written."""
        ending, name = self.endings[0], name or next(iter(self.codecs), None)
        if name is None:
            return None
        if not self.codecs:
            raise ValueError(f"expected a codec only with {list_endings(lambda form: form.codecs)}, got {name} for {ending}")
        if name not in self.codecs:
            raise ValueError(f"expected a codec out of {', '.join(self.codecs)} for {ending}, got {name}")
        encoder = CODECS[name].encoder
        if encoder not in av.codecs_available:
            raise ValueError(f"expected a build of PyAV with {encoder} for {name} in {ending}, got one without it")
        return CODECS[name]

    def keeps_alpha(self, codec: str | None) -> bool:
        """Whether files of that codec, None the format's own, keep the alpha of frames (H, W, 4)."""
        name = codec or next(iter(self.codecs), None)
        return self.clear or name is not None and CODECS[name].clear is not None

    def seconds_of(self, output: Output) -> float | None:
        """Return how long a file is to last, where that is the format's to say: None where rounds are asked for."""
        return self.seconds if output.repeats == 1 else None

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) of a file whose frames were made at this size."""
        return even(width, height) if self.planar else (width, height)


FORMATS = (
    Format(
        "MP4",
        (".mp4",),
        "film",
        partial(write_film, container="mp4"),
        read_video_text,
        ("h264", "av1"),
        planar=True,
        mime="video/mp4",
    ),
    Format(
        "WebM",
        (".webm",),
        "film",
        partial(write_film, container="webm"),
        read_video_text,
        ("vp9", "av1"),
        planar=True,
        mime="video/webm",
    ),
    Format(
        "GIF",
        (".gif",),
        "animation",
        write_gif,
        read_picture_text,
        rates=(10, 12.5, 20, 25, 50),  # it counts in hundredths of a second
        rate=Fraction(25, 2),
        mime="image/gif",
    ),
    Format(
        "WebP",
        (".webp",),
        "animation",
        write_webp,
        read_picture_text,
        levels=WEBP_LEVELS,
        worst=WORST_WEBP,
        clear=True,
        mime="image/webp",
    ),
    Format("AVIF", (".avif",), "film", write_avif, read_avif_text, ("av1",), planar=True, clear=True, mime="image/avif"),
    Format("APNG", (".png", ".apng"), "animation", write_apng, read_picture_text, clear=True, mime="image/png"),
    Format("PNG sequence", (".zip",), "sequence", write_sequence, read_sequence_text, clear=True),
    Format("ProRes 4444", (".mov",), "film", partial(write_film, container="mov"), read_video_text, ("prores",)),
    Format(
        "Live Photo",
        (".heic",),
        "film",
        write_live_photo,
        read_picture_text,
        ("h264",),
        planar=True,
        beside=(live_photo.FILM,),
        seconds=live_photo.SECONDS,
    ),
    Format("Living page", (".html",), "page", None, read_page_text, mime="text/html"),
)
ENDINGS = {ending: form for form in FORMATS for ending in form.endings}


def list_endings(wanted: Callable[[Format], object]) -> str:
    """Return the endings of all formats for which `wanted` is true, as text."""
    return ", ".join(ending for ending, form in ENDINGS.items() if wanted(form))


def by_ending(path: str | Path, alone: bool = True) -> Format:
    """Return the format of a file, or, where that may be `alone`, of an ending. Raises ValueError for an unknown ending."""
    ending = str(path) if alone and str(path) in ENDINGS else Path(path).suffix.lower()
    if ending in ENDINGS:
        return ENDINGS[ending]
    raise ValueError(f"expected an output ending in {', '.join(ENDINGS)}, got {Path(path).name}")


def check(
    path: str | Path,
    fps: float | str | None = None,
    codec: str | None = None,
    max_size: float | None = None,
    size: str = "source",
) -> Format:
    """Return the format of a file or ending. Raises ValueError, before any work, for what it cannot hold.

    fps: frames a second or "native"; codec: a name in video.CODECS; max_size: megabytes. None leaves it to the format. size:
    as `sizes.output_size` takes it.
    """
    form = by_ending(path)
    if read_monitors(size) and (form.beside or form.kind == "page"):
        one = list_endings(lambda form: form.beside or form.kind == "page")
        raise ValueError(f"expected one screen for {one}, got several: {size[:80]}")
    form.frame_rate(fps)
    form.codec(codec)
    if max_size is not None and not form.graded:
        raise ValueError(
            f"expected a largest size only with {list_endings(lambda form: form.graded)}, got one for {form.endings[0]}"
        )
    return form


def files_of(path: str | Path, size: str) -> list[Path]:
    """Return all files that a loop of a size is written to: for several monitors one each, called NAME-1, NAME-2 ..."""
    path = Path(path)
    pieces = [path.with_name(f"{path.stem}-{index + 1}{path.suffix}") for index in range(len(read_monitors(size)))]
    return pieces or with_endings(path, by_ending(path).beside)[::-1]


def check_output(path: str | Path) -> Path:
    """Return the path, if a loop can be written there: its ending is known, its folder exists and can be written."""
    by_ending(path, alone=False)
    return check_place(path)


def check_place(path: str | Path) -> Path:
    """Return the path, if its folder exists and can be written."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"expected an output file, got the folder {path}")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ValueError(f"expected a folder that can be written for {path}, got: {error.strerror}") from None
    return path


def write_loop(
    path: str | Path,
    frames: Iterable[np.ndarray],
    count: int,
    coding: Coding,
    metadata: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a loop in the format of the path's ending; the file appears when it is finished.

    Args:
        frames: one round of `count` frames, without the last one that equals the first; taken one at a time.
            (H, W, 3) RGB uint8, for a planar format also (3H/2, W) I420, and for one that keeps alpha also (H, W, 4). A
            planar format drops the last row or column of an odd side.
        coding: a film's round is coded once however often it is repeated. For other repeated formats, a GIF, and a largest
            size, the frames wait on the disk: 12 megabytes each as planes at 4K, 25 as RGB. What is larger at
            `coding.quality` than `coding.max_size` is coded again, as finely as fits.
        metadata: text that the file carries, for `read_metadata`.
        progress: called with frames done and frames in all, each time that the loop is coded; may raise to stop the work.

    Raises: ValueError for a codec that the format has not, or a size that no level reaches.
    """
    path = Path(path)
    form = by_ending(path)
    coder = form.codec(coding.codec) or form
    levels = range(coder.levels[coding.quality], coder.worst + 1) if coder.levels else range(1)  # from fine to coarse
    coding = replace(coding, codec=coding.codec or next(iter(form.codecs), None))
    passes = 1 if form.kind == "film" else coding.repeats
    with ExitStack() as stack:
        target = stack.enter_context(replacing(path, beside=form.beside))
        if passes > 1 or coding.max_size is not None:
            frames = Spool(frames, stack.enter_context(tempfile.TemporaryFile(dir=path.parent)))

        def rounds() -> Iterator[np.ndarray]:
            for index, pixels in enumerate(chain.from_iterable(frames for _ in range(passes))):
                yield pixels
                if progress is not None:
                    progress(index + 1, passes * count)

        def write(file: Path, level: int) -> None:
            form.write(file, rounds(), count, coding, level, metadata)

        if coding.max_size is None:
            write(target, levels[0])
        else:
            _write_within(target, round(coding.max_size * 1e6), levels, write, form.beside)


def _write_within(
    path: Path, limit: int, levels: range, write: Callable[[Path, int], None], beside: tuple[str, ...] = ()
) -> None:
    """Write at the finest level whose files have at most `limit` bytes, or at one that fills most of them."""
    with replacing(path.with_name(f"{path.stem}.try{path.suffix}"), keep=False, beside=beside) as file:
        slope = 1 / 6  # halvings of the size a level: H.264's; from the second file on as measured
        before, level = None, levels.start
        too_large, fits = levels.start - 1, levels.stop  # the search is between these levels
        while fits - too_large > 1:
            write(file, level)
            size = sum(each.stat().st_size for each in with_endings(file, beside))
            if size > limit:
                too_large = level
            else:
                fits = level
                move(file, path, beside)
                if size > FILLED * limit:
                    break
            if before:
                slope = min(0.5, max(0.05, log2(before[1] / size) / (level - before[0])))
            before = level, size
            level = min(max(level + ceil(log2(size / limit) / slope), too_large + 1), fits - 1)
        if fits == levels.stop:
            raise ValueError(
                f"expected a largest size that the loop can be coded in, got {limit / 1e6:g} MB where the "
                f"coarsest takes {size / 1e6:.3g} MB: try a smaller picture or fewer frames a second"
            )


def read_metadata(path: str | Path) -> str | None:
    """Return the text that a loop's file carries; None where there is none, or the file is no loop."""
    try:
        return by_ending(path).read(Path(path))
    except UNREADABLE:
        return None
