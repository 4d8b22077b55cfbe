"""Pictures and masks in, and files that are never half-written."""

import io
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from math import ceil, inf, sqrt
from operator import index
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import psutil
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError
from pillow_heif import register_heif_opener

from loopanimate.files.colours import STRIP, apply_profile, convert, find_encoding, from_lab, read_deep

register_heif_opener()

# What is read, by Pillow's names: pictures that people have. Of its other formats some run programs (EPS, by Ghostscript).
FORMATS = ("AVIF", "BMP", "DDS", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD", "QOI")
FORMATS += ("SGI", "TGA", "TIFF", "WEBP")
MAX_PIXELS = 120_000_000  # a larger picture is refused before it is decoded
MAX_SIDE = 7680  # pixels; a longer picture is scaled down
MIN_SIDE = 32  # pixels; a smaller picture, a sprite, is enlarged
MAX_ASPECT = 16.0  # long side over short side
# Masks of a larger picture are kept at so many pixels: its layers' edges are found in the picture itself (scene.matting), and
# at 48 megapixels each mask would take 190 megabytes.
MASK_PIXELS = 3840 * 2160
LEFT_SECONDS = 24 * 3600  # after which a half-written file belongs to nobody: its process was killed
FULL = (1, 255, 1023, 4095, 65535, 2**32 - 1)  # what may be white, of levels that are not bytes
HELD = 0.995  # share of a picture's levels that are at most white: a few of an HDR picture's are above it
ORIENTATION = 0x0112  # EXIF's tag
TURNS = {orientation: Image.Transpose(turn) for orientation, turn in zip(range(2, 9), (0, 3, 1, 5, 4, 6, 2))}
PLAIN = 8  # levels by which transparency may differ and say nothing, and black and white from what they are
BOTH = 0.005, 0.98  # shares of what is opaque that black and white have at least, each and together, in a mask of both


def open_picture(source: str | Path | bytes) -> Image.Image:
    """Open a picture file as upright sRGB, transparency over white; of an animation, its first frame.

    Raises: ValueError in one sentence for a file that is not a picture, or is too large or too long.
    """
    colours, alpha = _decode(source, MAX_ASPECT, _to_srgb)
    picture = colours if alpha is None else Image.new("RGB", colours.size, "white")
    if alpha is not None:
        picture.paste(colours, mask=alpha)
    picture = fit_sides(picture)
    if isinstance(picture, ImageFile.ImageFile):
        picture = picture.copy()  # without its decoder, which may hold as much again
    picture.info.clear()
    return picture


def fit_sides(picture: Image.Image) -> Image.Image:
    """A picture, or its alpha, at a size that is worked with: smaller if it is huge, a sprite larger by whole pixels."""
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    factor = ceil(MIN_SIDE / min(picture.size))
    return picture if factor == 1 else picture.resize([factor * side for side in picture.size], Image.Resampling.NEAREST)


def mask_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the masks of a picture."""
    scale = min(1.0, sqrt(MASK_PIXELS / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def open_mask(source: str | Path, size: tuple[int, int], say: Callable[[str], object] = lambda said: None) -> np.ndarray:
    """Open a mask file as (H, W) float32 in [0, 1], white moves, of `mask_size`; size: (width, height) of its picture.

    Where transparency varies, it is the mask, as paint programs and background removers write it: what is opaque moves,
    unless black and white are both opaque; `say` is told. Colour profiles and gammas do not count. A mask of another size but
    the same aspect (within 2 %) is resized.

    Raises: ValueError for another aspect, for a mask in which nothing moves, and for a file that is not a picture.
    """
    colours, alpha = _decode(source, inf, lambda colours, *_: colours)
    mask = colours.getchannel("L") if colours.mode == "LAB" else colours.convert("RGB").convert("L")
    if mask.getextrema()[1] == 1:  # labels, 0 and 1
        mask = mask.point(lambda level: 255 * level)
    if alpha is not None and np.ptp(alpha.getextrema()) > PLAIN:
        levels = np.asarray(mask)[np.asarray(alpha) > 127]
        shares = [float(part.mean()) for part in (levels <= PLAIN, levels >= 255 - PLAIN)] if levels.size else [0, 0]
        is_drawn = min(shares) >= BOTH[0] and sum(shares) >= BOTH[1]
        mask = Image.composite(mask, Image.new("L", mask.size), alpha) if is_drawn else alpha
        what = "what is transparent stays, as what is black does" if is_drawn else "its transparency is the mask, opaque moves"
        say(f"{Path(source).name}: {what}.")
    if mask.size != size and abs(mask.width * size[1] / (mask.height * size[0]) - 1) > 0.02:
        raise ValueError(
            f"expected a mask of the picture's shape {size[0]} x {size[1]}, got {mask.width} x {mask.height} in {source}"
        )
    if mask.size != (size := mask_size(*size)):
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    return check_mask(np.asarray(mask, dtype=np.float32) / 255)


def _decode(
    source: str | Path | bytes, longest: float, finish: Callable[[Image.Image, Image.Image, BinaryIO, bool], Image.Image]
) -> tuple[Image.Image, Image.Image | None]:
    """A file's colours, upright, and its alpha in L, None where it has none.

    longest: long side over short side. finish: takes colours (in L, RGB, CMYK or LAB), the opened file, its bytes, and whether
    it has more than 8 bits a level.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not os.path.isfile(source):
        what = f"{name}: {'not a' if os.path.exists(source) else 'no such'} file"
        what = f"the folder {name}" if os.path.isdir(source) else what
        raise ValueError(f"expected a picture file, got {what}")
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is said in our words
            return _read(stream, name, longest, finish)
    except OSError as error:
        raise ValueError(f"expected a picture file, got {name}: {error.strerror}") from None


def _read(stream: BinaryIO, name: str, longest: float, finish: Callable) -> tuple[Image.Image, Image.Image | None]:
    with _reading(name, stream):
        file = _open(stream)
        raw = str(getattr(file, "tile", ""))  # as its pixels are stored, in Pillow's words
        is_deep = ";16" in raw
    _check_size(*file.size, name, longest)
    with _reading(name, stream):
        file.draft("RGB", (MAX_SIDE, MAX_SIDE))
        file.load()
    _check_size(*file.size, name, longest)  # an icon holds pictures of sizes of their own
    is_upright = False
    with _reading(name, stream):
        if file.mode == "L" and "transparency" in file.info:  # Pillow leaves it in as few bits as are stored
            file.info["transparency"] *= 17 if "L;4" in raw else 85 if "L;2" in raw else 1
        colours, alpha = _split(file)
        if is_deep and colours.mode == "RGB" and max(high for _, high in colours.getextrema()) < 16:
            deep = read_deep(file, stream)  # fewer bits in 16
            colours = colours if deep is None else Image.fromarray(_to_bytes(deep[0][..., :3]))
            is_upright = deep is not None and file.format == "TIFF"  # OpenCV turns them itself
        colours = finish(colours, file, stream, is_deep)
    with suppress(Exception):  # EXIF may be anything
        turn = TURNS[file.getexif()[ORIENTATION]]
        colours, alpha = colours if is_upright else colours.transpose(turn), alpha and alpha.transpose(turn)
    return colours, alpha


@contextmanager
def _reading(name: str, stream: BinaryIO) -> Iterator[None]:
    """Turn what a decoder raises into one sentence: over a broken file that may be nearly anything."""
    try:
        yield
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        raise ValueError(f"expected at most {MAX_PIXELS // 1_000_000} megapixels, got far more in {name}") from None
    except Exception as error:
        stream.seek(0)
        head = stream.read(1000)
        reason = "not a picture that can be read" if head else "nothing in it"
        reason = "SVG, which has no pixels: export it as PNG" if b"<svg" in head else reason
        raise ValueError(f"expected a picture (JPEG, PNG, WebP, HEIC, ...), got {name}: {reason}") from error


def _check_size(width: int, height: int, name: str, longest: float) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"expected at most {MAX_PIXELS // 1_000_000} megapixels, got {width} x {height} in {name}")
    if max(width, height) > longest * min(width, height):
        raise ValueError(f"expected sides of at most {longest:g} : 1, got {width} x {height} in {name}")


def _open(stream: BinaryIO) -> Image.Image:
    """Open a picture by Pillow, or a TIFF of samples that only OpenCV knows, such as floating-point colours; that is upright."""
    try:
        file = Image.open(stream, formats=FORMATS)
        if file.format == "TIFF" and file.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and max(file.tag_v2[258]) > 8:
            raise ValueError("Pillow and OpenCV misread separate planes of 16 bits")
        return file
    except UnidentifiedImageError:
        stream.seek(0)
        tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
        stream.seek(tags.next)
        tags.load(stream)
        if index(tags[TiffImagePlugin.IMAGEWIDTH]) * index(tags[TiffImagePlugin.IMAGELENGTH]) > MAX_PIXELS:  # may be text
            raise Image.DecompressionBombError from None
        stream.seek(0)
        pixels = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        pixels = _to_bytes(pixels)
        return Image.fromarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.ndim == 3 else pixels)


def _to_bytes(levels: np.ndarray) -> np.ndarray:
    """Levels of any depth as uint8: white is the least level of FULL that holds them; of fractions, nearly all of them."""

    def count(part: np.ndarray) -> np.ndarray:
        return np.nan_to_num(part, posinf=FULL[-1], neginf=0)

    is_float = levels.dtype.kind == "f"
    most = np.quantile(count(levels.ravel()[:: max(1, levels.size // 1_000_000)]), HELD) if is_float else levels.max()
    white, out = next((full for full in FULL if most <= full), FULL[-1]), np.empty(levels.shape, np.uint8)
    for top in range(0, len(levels), STRIP):
        part = count(levels[top : top + STRIP])
        out[top : top + STRIP] = np.rint(np.clip(part * np.float32(255 / white), 0, 255))
    return out


def _split(file: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours, in L, RGB, CMYK or LAB, and alpha in L of a file that is loaded."""
    if file.mode[0] in "IF":
        levels, clear = np.asarray(file), file.info.get("transparency")
        if file.mode == "I" and file.format == "TIFF" and file.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0] == 1:
            levels = levels.view(np.uint32)  # which Pillow takes for signed
        alpha = Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)) if isinstance(clear, int) else None
        return Image.fromarray(_to_bytes(levels)), alpha
    if file.has_transparency_data:
        whole = file if file.mode in ("RGBA", "LA") else file.convert("RGBA")
        return whole.convert(whole.mode.removesuffix("A")), whole.getchannel("A")
    mode = "L" if file.mode == "1" else file.mode if file.mode in ("L", "CMYK", "LAB") else "RGB"
    return file if file.mode == mode else file.convert(mode), None


def _to_srgb(colours: Image.Image, file: Image.Image, stream: BinaryIO, is_deep: bool) -> Image.Image:
    """The colours of an opened file as sRGB."""
    encoding = find_encoding(file, stream)
    if encoding is not None:
        deep = read_deep(file, stream, encoding.bits) if is_deep or encoding.is_hdr else None
        return convert(*(deep or (np.asarray(colours), 255)), encoding)
    if profile := file.info.get("icc_profile"):
        colours = apply_profile(colours, profile)
    if colours.mode == "RGB":
        return colours  # a copy of a large picture takes 200 megabytes
    return from_lab(colours) if colours.mode == "LAB" else colours.convert("RGB")


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
def replacing(path: Path, keep: bool = True, beside: Sequence[str] = ()) -> Iterator[Path]:
    """Yield a temporary name beside `path`. Its file replaces `path` if all goes well, and vanishes otherwise.

    keep: False for a file that is of no use afterwards: it vanishes in any case.
    beside: endings of files that belong to it, and go with it, called as it is.
    """
    name, ending = f".{path.stem.lstrip('.')}.", f".partial{path.suffix}"
    partial = path.with_name(f"{name}{os.getpid()}{ending}")
    try:
        for other in path.parent.glob(f"{escape(name)}*{escape(ending)}"):
            with suppress(OSError):  # it has gone meanwhile
                # a clock that was set forward makes files look old that are being written
                writer = other.name[: -len(ending)].rpartition(".")[2]
                is_old = time.time() - other.stat().st_mtime > LEFT_SECONDS
                if is_old and not (writer.isdigit() and psutil.pid_exists(int(writer))):
                    other.unlink()
        yield partial
        if keep:
            for each in with_endings(partial, beside):
                with each.open("r+b") as file:  # if power fails, a name must not be there before what it names
                    os.fsync(file.fileno())
            move(partial, path, beside)
    finally:
        for each in with_endings(partial, beside):
            each.unlink(missing_ok=True)


def with_endings(path: Path, beside: Sequence[str]) -> list[Path]:
    """A file and those that belong to it, by their endings; itself is the last."""
    return [*map(path.with_suffix, beside), path]


def move(path: Path, target: Path, beside: Sequence[str] = ()) -> None:
    """Move a file, and before it those that belong to it: where it is, they are."""
    for old, new in zip(with_endings(path, beside), with_endings(target, beside)):
        os.replace(old, new)
