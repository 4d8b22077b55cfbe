"""Pictures in, loops out."""

import io
import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from loopanimate import animation, video

register_heif_opener()

MAX_PIXELS = 120_000_000  # a picture with more is refused before it is decoded
MAX_SIDE = 7680  # longer pictures are scaled down to it
MIN_SIDE = 32
MAX_ASPECT = 4.0
GIF_RATES = (10, 12.5, 20, 25, 50)  # frames a second that hundredths of a second can hold
ENDINGS = {".mp4": "MP4", ".webm": "WebM", ".gif": "GIF", ".webp": "WebP", ".png": "APNG", ".apng": "APNG"}
PAGE = ".html"  # a living page, which living.py writes
VIDEO = tuple(video.FORMATS)


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
            raise ValueError(f"expected a mask of the picture's shape {size[0]} x {size[1]}, "
                             f"got {mask.width} x {mask.height} in {source}")  # fmt: skip
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


def write_loop(path: str | Path, frames: Iterable[np.ndarray], fps: Fraction, count: int, metadata: str | None = None,
               repeats: int = 1, quality: str = "wallpaper") -> None:  # fmt: skip
    """Write one turn of `count` frames, without the duplicate last one, as a loop; the ending chooses the format.

    Args:
        frames: (H, W, 3) RGB uint8, or for `VIDEO` endings (3H/2, W) I420; taken one at a time. Odd sides of RGB lose
            their last row or column in video (4:2:0 colour).
        metadata: text that the file carries as its comment, for `read_metadata`.
        repeats: turns in a video, coded once and copied.
        quality: one of `video.QUALITIES`, of a video or WebP; other formats have but one.
    """
    path = Path(path)
    with replacing(path) as partial:
        if path.suffix.lower() not in VIDEO:
            animation.write(partial, frames, fps, metadata, quality)
        elif repeats == 1:
            video.encode(partial, frames, fps, count, metadata, quality)
        else:
            with replacing(partial.with_name(f"{partial.stem}.turn{path.suffix}"), keep=False) as turn:
                video.encode(turn, frames, fps, count, metadata, quality)
                video.repeat(turn, partial, repeats, count / fps)


def read_metadata(path: str | Path) -> str | None:
    """The text that `write_loop` or `write_living` put into a file; None where there is none or the file is no loop at all."""
    path = Path(path)
    try:
        if path.suffix.lower() in VIDEO:
            with av.open(str(path)) as container:
                tags = {key.lower(): value for key, value in container.metadata.items()}
                return tags.get("comment")
        if path.suffix.lower() == PAGE:
            recipe = re.search(r'<script type="application/json" id="recipe">(.*?)</script>', path.read_text(encoding="utf-8"))
            return recipe and json.loads(recipe[1])
        with Image.open(path) as file:
            text = file.info.get("comment") or file.info.get("Comment")
            text = text or file.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except (av.FFmpegError, UnidentifiedImageError, OSError, SyntaxError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    if isinstance(text, bytes):
        return text.removeprefix(animation.EXIF_TEXT).decode(errors="replace")
    return text


def _is_empty(source: str | Path | bytes) -> bool:
    return not source if isinstance(source, bytes) else os.path.isfile(source) and os.path.getsize(source) == 0
