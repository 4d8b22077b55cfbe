"""Pictures in, loops out."""

import io
import json
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

import av
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from loopanimate.files import animation, video

register_heif_opener()

MAX_PIXELS = 120_000_000  # a picture with more is refused before it is decoded
MAX_SIDE = 7680  # longer pictures are scaled down to it
MIN_SIDE = 32
MAX_ASPECT = 4.0
GIF_RATES = (10, 12.5, 20, 25, 50)  # frames a second that hundredths of a second can hold
ENDINGS = {
    ".mp4": "MP4",
    ".webm": "WebM",
    ".gif": "GIF",
    ".webp": "WebP",
    ".png": "APNG",
    ".apng": "APNG",
    ".avif": "AVIF",
    ".zip": "PNG sequence",
}
PAGE = ".html"  # a living page, which living.py writes
VIDEO = tuple(video.FORMATS)
QUALITIES = tuple(animation.WEBP_LEVELS)
FILLED = 0.9  # of a size limit: no further attempt to come nearer


def open_picture(source: str | Path | bytes) -> Image.Image:
    """A picture file as upright sRGB; transparency over white, the first frame of an animation.

    Raises ValueError in one sentence for anything that is not a picture of a sensible size.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below, in words
            file = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        with file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"expected at most {MAX_PIXELS // 1_000_000} megapixels, got {width} x {height} in {name}")
            if min(width, height) < MIN_SIDE:
                raise ValueError(f"expected at least {MIN_SIDE} pixels a side, got {width} x {height} in {name}")
            if max(width, height) > MAX_ASPECT * min(width, height):
                raise ValueError(f"expected sides of at most {MAX_ASPECT:g} : 1, got {width} x {height} in {name}")
            file.draft("RGB", (MAX_SIDE, MAX_SIDE))
            profile = file.info.get("icc_profile")
            picture = ImageOps.exif_transpose(file)
            picture.load()
    except FileNotFoundError:
        raise ValueError(f"expected a picture file, got {name}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"expected a picture file, got the folder {name}") from None
    except Image.DecompressionBombError:
        raise ValueError(f"expected at most {MAX_PIXELS // 1_000_000} megapixels, got far more in {name}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
        reason = "nothing in it" if _is_empty(source) else "not a picture that can be read"
        detail = f" ({error})" if isinstance(error, PermissionError) else ""
        raise ValueError(f"expected a picture (JPEG, PNG, WebP, HEIC, ...), got {name}: {reason}{detail}") from None
    if picture.mode.startswith("I"):  # 16 bits a channel
        picture = Image.fromarray((np.asarray(picture) / 257).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            picture = ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: the numbers as they are
    picture = picture.convert("RGB")
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    picture.info.clear()
    return picture


def open_mask(source: str | Path, size: tuple[int, int]) -> np.ndarray:
    """A mask file as (H, W) float32 in [0, 1], white moves, at `size` (width, height) of its picture.

    Another size of the same aspect (within 2 %) is resized; another aspect, or a mask that moves nothing, is refused.
    """
    mask = open_picture(source).convert("L")
    if mask.size != size:
        if abs(mask.width * size[1] / (mask.height * size[0]) - 1) > 0.02:
            raise ValueError(
                f"expected a mask of the picture's shape {size[0]} x {size[1]}, got {mask.width} x {mask.height} in {source}"
            )
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    return check_mask(np.asarray(mask, dtype=np.float32) / 255)


def check_mask(mask: np.ndarray) -> np.ndarray:
    """The mask itself, or ValueError if nothing in it moves."""
    if mask.max() < 0.5:
        raise ValueError("expected a mask with something white (white moves), got an all-black one")
    return mask


def check_output(path: str | Path) -> Path:
    """The path, if a loop can be written there: known ending, existing and writable folder."""
    path = Path(path)
    if path.suffix.lower() not in (*ENDINGS, PAGE):
        raise ValueError(f"expected an output ending in {', '.join((*ENDINGS, PAGE))}, got {path.name}")
    if path.is_dir():
        raise ValueError(f"expected an output file, got the folder {path}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(f"expected a folder that can be written for {path}, got: {error.strerror}") from None
    return path


@contextmanager
def replacing(path: Path, keep: bool = True) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` if all goes well (and it is kept) and vanishes if not."""
    partial = path.with_name(f".{path.stem.lstrip('.')}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        if keep:
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def levels(ending: str, quality: str, codec: str | None = None) -> range:
    """How finely a format can code, from `quality`, one of `QUALITIES`, to its coarsest; one level where it has no choice.

    Raises ValueError for a codec that the format has not.
    """
    if ending in VIDEO:
        chosen = video.codec_of(ending, codec)
        return range(chosen.levels[quality], chosen.worst + 1)
    if codec is not None:
        raise ValueError(f"expected a codec only with {', '.join(VIDEO)}, got {codec} for {ending}")
    return range(animation.WEBP_LEVELS[quality], animation.WORST_WEBP + 1) if ending == ".webp" else range(1)


def check_coding(ending: str, codec: str | None, max_size: float | None) -> None:
    """Raises ValueError for a codec, or a largest size in megabytes, that files of this ending cannot have."""
    if ending == PAGE:
        found = range(1)
        if codec is not None:
            raise ValueError(f"expected a codec only with {', '.join(VIDEO)}, got {codec} for {ending}")
    else:
        found = levels(ending, QUALITIES[0], codec)
    if max_size is not None and len(found) == 1:
        raise ValueError(f"expected a largest size only with {', '.join((*VIDEO, '.webp'))}, got one for {ending}")


def write_loop(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    count: int,
    metadata: str | None = None,
    repeats: int = 1,
    quality: str = "wallpaper",
    codec: str | None = None,
    max_size: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write one turn of `count` frames, without the duplicate last one, as a loop; the ending chooses the format.

    Args:
        frames: (H, W, 3) RGB uint8, or for `VIDEO` endings (3H/2, W) I420; taken one at a time. Odd sides of RGB lose
            their last row or column in video (4:2:0 colour).
        metadata: text that the file carries as its comment, for `read_metadata`.
        repeats: turns: of a video coded once and copied; of other formats the frames wait on the disk for the next one.
        quality: one of `QUALITIES`, of a video or WebP; other formats have but one.
        codec: one of `video.CODECS` that the format takes; None: its own.
        max_size: megabytes (10^6 bytes) of the file. What is larger at `quality` is coded again, as finely as fits;
            until then the frames wait on the disk, a video's with 12 megabytes each at 4K, others' with 25.
        progress: called after each frame, each time that it is coded; whatever it raises stops the work.

    Raises: ValueError for a codec that the format has not, or a size that no level reaches.
    """
    path = Path(path)
    choice = levels(path.suffix.lower(), quality, codec)

    def told(pixels: Iterable[np.ndarray], whole: int) -> Iterator[np.ndarray]:
        for index, frame in enumerate(pixels):
            yield frame
            if progress is not None:
                progress(index + 1, whole)

    def write(target: Path, pixels: Iterable[np.ndarray], level: int) -> None:
        if path.suffix.lower() not in VIDEO:
            again = told(chain.from_iterable(pixels for _ in range(repeats)), repeats * count)
            return animation.write(target, again, fps, metadata, level)
        pixels = told(pixels, count)
        given = video.codec_of(path.suffix.lower(), codec)
        if repeats == 1:
            return video.encode(target, pixels, fps, count, metadata, given, level)
        with replacing(target.with_name(f"{target.stem}.turn{path.suffix}"), keep=False) as turn:
            video.encode(turn, pixels, fps, count, None, given, level)
            video.repeat(turn, target, repeats, count / fps, metadata)

    with ExitStack() as stack:
        partial = stack.enter_context(replacing(path))
        if max_size is not None or (repeats > 1 and path.suffix.lower() not in VIDEO):
            frames = _Spooled(frames, stack.enter_context(tempfile.TemporaryFile(dir=path.parent)))
        if max_size is None:
            write(partial, frames, choice[0])
        else:
            _write_within(partial, frames, choice, round(max_size * 1e6), write)


def _write_within(path: Path, frames: Iterable[np.ndarray], choice: range, limit: int, write: Callable) -> None:
    """Write the finest of the levels whose file has at most `limit` bytes, or one that fills most of them."""
    with replacing(path.with_name(f"{path.stem}.try{path.suffix}"), False) as file:
        tried = {}  # level: bytes
        low, high = choice.start - 1, choice.stop  # too large; small enough
        level = choice.start
        while high - low > 1:
            write(file, frames, level)
            size = tried[level] = file.stat().st_size
            if size > limit:
                low = level
            else:
                high = level
                os.replace(file, path)
                if size > FILLED * limit:
                    break
            slope = 1 / 6  # halvings a level
            if len(tried) > 1:
                (one, first), (other, second) = list(tried.items())[-2:]
                slope = min(0.5, max(0.05, np.log2(first / second) / (other - one)))
            level = min(max(level + int(np.ceil(np.log2(size / limit) / slope)), low + 1), high - 1)
        if high == choice.stop:
            raise ValueError(
                f"expected a largest size that the loop can be coded in, got {limit / 1e6:g} MB where the "
                f"coarsest takes {size / 1e6:.3g} MB: try a smaller picture or fewer frames a second"
            )


class _Spooled:
    """Frames that are taken from their source once and kept in a file, for further turns."""

    def __init__(self, frames: Iterable[np.ndarray], file: BinaryIO):
        self.frames, self.file, self.shape = frames, file, None

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.shape is None:
            for pixels in self.frames:
                self.shape = pixels.shape
                self.file.write(np.ascontiguousarray(pixels))
                yield pixels
        else:
            self.file.seek(0)
            while content := self.file.read(int(np.prod(self.shape))):
                yield np.frombuffer(content, np.uint8).reshape(self.shape)


def read_metadata(path: str | Path) -> str | None:
    """The text that `write_loop` or `write_living` put into a file; None where there is none or the file is no loop at all."""
    path = Path(path)
    try:
        if path.suffix.lower() in VIDEO:
            return video.read_comment(path)
        if path.suffix.lower() == ".zip":
            with ZipFile(path) as file:
                return file.read(animation.RECIPE_NAME).decode()
        if path.suffix.lower() == PAGE:
            recipe = re.search(r'<script type="application/json" id="recipe">(.*?)</script>', path.read_text(encoding="utf-8"))
            return recipe and json.loads(recipe[1])
        with Image.open(path) as file:
            text = file.info.get("comment") or file.info.get("Comment")
            text = text or file.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except (
        av.FFmpegError,
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        BadZipFile,
        KeyError,
    ):
        return None
    if isinstance(text, bytes):
        return text.removeprefix(animation.EXIF_TEXT).decode(errors="replace")
    return text


def _is_empty(source: str | Path | bytes) -> bool:
    return not source if isinstance(source, bytes) else os.path.isfile(source) and os.path.getsize(source) == 0
