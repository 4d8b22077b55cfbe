"""AVIF films with alpha: a second track, whose brightness is the alpha, as the format has it.

SVT-AV1 codes no pictures of brightness alone, which AV1's image format asks of alpha, and FFmpeg's muxer takes no other. So
alpha is coded with grey colours, which libavif passes over, and goes under the name of a grey stream that Pillow has made. Its
levels are full, 0 to 255. Those of the colours are limited, as in any film: Chromium 156 takes them for that whatever an
animated AVIF says. Chromium 149 and 153 do as the file says; 150 to 152 show frames after the first a little flat.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile

import av
import numpy as np
from PIL import Image

from loopanimate.files import chunks
from loopanimate.files.pictures import replacing
from loopanimate.files.video import FULL, Coding, convert, even, repeat_tracks, write_film

GREY = 128  # level of colours that are none


def write_avif(path: Path, frames: Iterable[np.ndarray], count: int, coding: Coding, level: int, text: str | None) -> None:
    """Write frames as `write_film` takes them, or with alpha (H, W, 4); alpha waits on the disk while colours are coded."""
    frames = iter(frames)
    first = next(frames)
    frames, single = chain([first], frames), replace(coding, repeats=1)
    if first.ndim == 2 or first.shape[2] == 3:
        return write_film(path, frames, count, coding, level, text, "avif")
    parts = [path.with_name(f"{path.stem}.{name}{path.suffix}") for name in ("colours", "alpha")]
    with (
        replacing(parts[0], keep=False) as colours,
        replacing(parts[1], keep=False) as alpha,
        TemporaryFile(dir=path.parent) as kept,
    ):

        def keep_alpha() -> Iterator[av.VideoFrame]:
            for pixels in frames:
                np.save(kept, pixels[..., 3])
                yield convert(pixels, "yuv420p")

        write_film(colours, keep_alpha(), count, single, level, None, "avif")
        kept.seek(0)
        write_film(alpha, (_as_brightness(np.load(kept)) for _ in range(count)), count, single, level, None, "avif")
        with av.open(_model(*even(*first.shape[1::-1]))) as model:
            repeat_tracks([colours, alpha], path, coding.repeats, count / coding.fps, None, "avif", models={1: model})
    if text:
        chunks.add_avif_text(path, text)


def _as_brightness(alpha: np.ndarray) -> av.VideoFrame:
    width, height = even(*alpha.shape[::-1])
    planes = np.vstack([alpha[:height, :width], np.full((height // 2, width), GREY, np.uint8)])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.color_range = FULL
    return frame


def _model(width: int, height: int) -> io.BytesIO:
    """A grey AVIF of one frame."""
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "AVIF", subsampling="4:0:0", speed=10)
    file.seek(0)
    return file
