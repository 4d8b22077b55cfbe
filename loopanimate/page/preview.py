"""Small moving pictures of a loop, while it is made and to choose from, and what can be measured of it."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import av
import cv2
import imageio.v3 as iio
import numpy as np
from PIL import Image

from loopanimate.files.formats import ENDINGS
from loopanimate.files.pictures import open_picture
from loopanimate.loop import Loop
from loopanimate.metrics import seam
from loopanimate.presets import NATIVE_FPS

PICTURE = re.compile(r'<img id="picture"[^>]* src="data:image/\w+;base64,([^"]+)"')  # of a living page
MEASURED_SIDE = 256  # pixels on the long side of the frames that are measured


def scaled(loop: Loop, side: int) -> Loop:
    """The loop on a copy of its picture of at most `side` pixels; the loop itself if it is no larger."""
    factor = side / max(loop.size)
    if factor >= 1:
        return loop
    # even sides: a video keeps every row
    size = tuple(max(2, 2 * round(length * factor / 2)) for length in loop.picture.size)
    mask = cv2.resize(loop.mask, size, interpolation=cv2.INTER_AREA)
    picture = loop.picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    around = loop.surround and loop.surround.resize([max(2, 2 * round(length * factor / 2)) for length in loop.size])
    return replace(loop, picture=picture, mask=mask, surround=around)


def webp(loop: Loop, side: int, fps: float = NATIVE_FPS) -> bytes:
    """One turn as a small animated WebP."""
    small = scaled(loop, side)
    period = loop.settings.num_frames - 1
    count = max(2, round(period * fps / NATIVE_FPS))
    first, *others = (Image.fromarray(pixels) for pixels in small.frames([index * period / count for index in range(count)]))
    file = io.BytesIO()
    duration = round(1000 * period / NATIVE_FPS / count)
    first.save(file, "WEBP", save_all=True, append_images=others, duration=duration, loop=0, quality=60, method=0)
    return file.getvalue()


def measures(loop: Loop) -> dict[str, float]:
    """Seam measures (see metrics.seam), and the mean change per pixel inside and outside the mask, in levels of 255."""
    small = replace(scaled(loop, MEASURED_SIDE), surround=None)
    frames = np.stack(list(small.frames(list(range(loop.settings.num_frames - 1)))))
    change = np.abs(frames.astype(np.float32) - frames[0]).mean((0, 3))
    inside = small.mask > 0.5
    outside = cv2.dilate((small.mask > 0.2).astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
    found = {name: value for name, value in seam(frames).items()} if len(frames) > 4 else {}
    found["inside"] = float(change[inside].mean()) if inside.any() else 0.0
    if outside.any():
        found["outside"] = float(change[outside].mean())
    return found


def first_frame(path: str | Path) -> Image.Image:
    """The picture that a finished loop starts with; ValueError in one sentence where there is none."""
    ending = Path(path).suffix.lower()
    kind = ENDINGS[ending].kind if ending in ENDINGS else "animation"
    if kind == "animation":
        return open_picture(path)
    try:
        if kind == "page":
            return open_picture(base64.b64decode(PICTURE.search(Path(path).read_text(encoding="utf-8"))[1]))
        if kind == "sequence":
            with ZipFile(path) as file:
                return open_picture(file.read(min(name for name in file.namelist() if name.endswith(".png"))))
        return Image.fromarray(iio.imread(path, index=0, plugin="pyav"))
    except (OSError, ValueError, IndexError, TypeError, av.FFmpegError, BadZipFile):
        raise ValueError(f"expected a loop that can be read, got {Path(path).name}") from None
