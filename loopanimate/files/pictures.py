"""Pictures and masks in, and files that are never half-written."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

register_heif_opener()

MAX_PIXELS = 120_000_000  # a larger picture is refused before it is decoded
MAX_SIDE = 7680  # pixels; a longer picture is scaled down
MIN_SIDE = 32  # pixels
MAX_ASPECT = 4.0  # long side over short side


def open_picture(source: str | Path | bytes) -> Image.Image:
    """Open a picture file as upright sRGB, transparency over white; of an animation, its first frame.

    Raises: ValueError in one sentence for a file that is not a picture, or is too large, too small or too long.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    most = f"expected at most {MAX_PIXELS // 1_000_000} megapixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is refused below, in our words
            file = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        with file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{most}, got {width} x {height} in {name}")
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
        raise ValueError(f"{most}, got far more in {name}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
        empty = not source if isinstance(source, bytes) else os.path.isfile(source) and os.path.getsize(source) == 0
        reason = "nothing in it" if empty else "not a picture that can be read"
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
            pass  # the profile is broken: the numbers are taken for sRGB
    picture = picture.convert("RGB")
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    picture.info.clear()
    return picture


def open_mask(source: str | Path, size: tuple[int, int]) -> np.ndarray:
    """Open a mask file as (H, W) float32 in [0, 1], white moves, at the `size` (width, height) of its picture.

    A mask of another size but the same aspect (within 2 %) is resized.
    Raises: ValueError for another aspect, for a mask in which nothing moves, and for what `open_picture` refuses.
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
    """Return the mask, in [0, 1]; raises ValueError if nothing in it moves."""
    if mask.max() < 0.5:
        raise ValueError("expected a mask with something white (white moves), got an all-black one")
    return mask


STILLS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}  # Pillow's names


def check_still(path: str | Path) -> Path:
    """Return the path of a picture that can be written; ValueError for another ending."""
    if Path(path).suffix.lower() not in STILLS:
        raise ValueError(f"expected a still ending in {', '.join(STILLS)}, got {path}")
    return Path(path)


def write_still(path: Path, pixels: np.ndarray) -> None:
    """Write pixels (H, W, 3) or (H, W, 4) uint8 by the path's ending."""
    with replacing(path) as partial:
        partial.write_bytes(encode_still(pixels, STILLS[path.suffix.lower()], quality=95))


def encode_still(pixels: np.ndarray, kind: str, **options) -> bytes:
    """Encode pixels (H, W) or (H, W, C) uint8 by one of Pillow's formats."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@contextmanager
def replacing(path: Path, keep: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside `path`. Its file replaces `path` if all goes well, and vanishes otherwise.

    keep: False for a file that is of no use afterwards: it vanishes in any case.
    """
    partial = path.with_name(f".{path.stem.lstrip('.')}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        if keep:
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
