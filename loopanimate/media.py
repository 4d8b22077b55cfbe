"""Pictures in, loops out."""

import io
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError
from pillow_heif import register_heif_opener

register_heif_opener()

MAX_PIXELS = 120_000_000  # a picture with more is refused before it is decoded
MAX_SIDE = 7680  # longer pictures are scaled down to it
MIN_SIDE = 32
MAX_ASPECT = 4.0
GIF_RATES = (10, 12.5, 20, 25, 50)  # frames a second that hundredths of a second can hold
ENDINGS = {".mp4": "MP4", ".webm": "WebM", ".gif": "GIF", ".webp": "WebP", ".png": "APNG", ".apng": "APNG"}
PAGE = ".html"  # a living page, which living.py writes
# key frames look better than the rest, and that is a seam: a quality at which it is measured to be none (chelsea, 8 a
# second: seam jerk 1.35 at 18 veryfast, 1.16 here)
X264 = {"crf": "14", "preset": "medium"}
VIDEO = {
    ".mp4": ("mp4", "libx264", X264, {"movflags": "+faststart"}),
    ".webm": ("webm", "libvpx-vp9", {"crf": "30", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}, {}),
}
BT709 = 1
EXIF_TEXT = b"\0" * 8  # the character code of an EXIF comment: not said (UTF-8 has none)


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
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` if all goes well and vanishes if not."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_loop(path: str | Path, frames: Iterable[np.ndarray], fps: Fraction, metadata: str | None = None) -> None:
    """Write frames (H, W, 3) uint8, without the duplicate last one, as a loop; the ending chooses the format.

    Frames are taken one at a time. Odd sides lose their last row or column in MP4 and WebM (4:2:0 colour).
    metadata: text that the file carries as its comment, for `read_metadata`.
    """
    path = Path(path)
    with replacing(path) as partial:
        if path.suffix.lower() in VIDEO:
            _write_video(partial, frames, fps, metadata)
        else:
            _write_animation(partial, frames, fps, metadata)


def read_metadata(path: str | Path) -> str | None:
    """The text that `write_loop` put into a file; None where there is none or the file is no loop at all."""
    path = Path(path)
    try:
        if path.suffix.lower() in VIDEO:
            with av.open(str(path)) as container:
                tags = {key.lower(): value for key, value in container.metadata.items()}
                return tags.get("comment")
        with Image.open(path) as file:
            text = file.info.get("comment") or file.info.get("Comment")
            text = text or file.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except (av.FFmpegError, UnidentifiedImageError, OSError, SyntaxError):
        return None
    if isinstance(text, bytes):
        return text.removeprefix(EXIF_TEXT).decode(errors="replace")
    return text


def _write_video(path: Path, frames: Iterable[np.ndarray], fps: Fraction, metadata: str | None) -> None:
    container_format, codec, options, container_options = VIDEO[path.suffix.lower()]
    with av.open(str(path), "w", format=container_format, options=container_options) as container:
        stream = None
        if metadata:
            container.metadata["comment"] = metadata
        for index, pixels in enumerate(frames):
            pixels = np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
            if stream is None:
                stream = container.add_stream(codec, rate=fps, options=options)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.time_base = 1 / fps
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = BT709
                context.color_range = 1  # limited
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _write_animation(path: Path, frames: Iterable[np.ndarray], fps: Fraction, metadata: str | None) -> None:
    """GIF, WebP or APNG by Pillow, which wants every duration before the first frame, so frames are held in memory.

    Each duration is rounded so that the sum stays exact: 8 frames a second in GIF alternate 12 and 13 hundredths.
    """
    tick = 100 if path.suffix == ".gif" else 1000  # ticks a second that the format counts
    pictures = (Image.fromarray(pixels) for pixels in frames)
    if path.suffix == ".gif":
        pictures = _one_palette(pictures)
    pictures = list(pictures)
    times = [round(index * tick / fps) for index in range(len(pictures) + 1)]
    durations = [(end - start) * 1000 // tick for start, end in zip(times, times[1:])]
    options = {
        ".gif": {"format": "GIF", "disposal": 1, "optimize": False},
        ".webp": {"format": "WEBP", "quality": 85, "method": 3},
    }.get(path.suffix, {"format": "PNG"})
    if metadata:
        options |= _carried(metadata, options["format"])
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, **options)


def _carried(metadata: str, file_format: str) -> dict:
    """Pillow's options that put a text into a file of that format."""
    if file_format == "GIF":
        return {"comment": metadata.encode()}
    if file_format == "WEBP":
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = EXIF_TEXT + metadata.encode()
        return {"exif": exif}
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Comment", metadata)
    return {"pnginfo": text}


def _one_palette(pictures: Iterator[Image.Image]) -> Iterator[Image.Image]:
    first = next(pictures)
    palette = first.quantize(256, method=Image.Quantize.MEDIANCUT)
    for picture in chain([first], pictures):
        yield picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def _is_empty(source: str | Path | bytes) -> bool:
    return not source if isinstance(source, bytes) else os.path.isfile(source) and os.path.getsize(source) == 0
