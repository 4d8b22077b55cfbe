"""Small moving pictures of a loop while it is made and chosen, what can be measured of it, and the picture of a file."""

import io
from dataclasses import replace
from math import ceil
from pathlib import Path
from zipfile import ZipFile

import av
import cv2
import numpy as np
from PIL import Image

from loopanimate.files.formats import UNREADABLE, by_ending
from loopanimate.files.living import read_picture
from loopanimate.files.pictures import MAX_PIXELS, open_picture
from loopanimate.files.project import MOST_BYTES
from loopanimate.loop import Loop
from loopanimate.metrics import seam
from loopanimate.presets import NATIVE_FPS

MEASURED_SIDE = 256  # pixels on the long side of the frames that are measured


def shrink(loop: Loop, side: int) -> Loop:
    """The loop with smooth frames of at most `side` pixels on the long side; the loop itself if they are no larger."""
    output, size = loop.settings.output, loop.size()
    factor = side / max(size)
    if factor >= 1:
        return loop
    size = tuple(max(2, 2 * round(length * factor / 2)) for length in size)  # a video keeps every row of even sides
    if output.size == "source":
        whole = size
    else:  # the part that the frames show stays as sharp as they are
        scale = max(length / own for length, own in zip(size, loop.picture.size))
        whole = tuple(ceil(own * min(scale, 1)) for own in loop.picture.size)
        output = output.model_copy(update={"size": f"{size[0]}x{size[1]}"})
    output = output.model_copy(update={"scale": "smooth"})
    return replace(
        loop,
        picture=loop.picture.resize(whole, Image.Resampling.BILINEAR, reducing_gap=2.0),
        mask=cv2.resize(loop.mask, whole, interpolation=cv2.INTER_AREA),
        masks=tuple(cv2.resize(mask, whole, interpolation=cv2.INTER_AREA) for mask in loop.masks),
        settings=loop.settings.model_copy(update={"output": output}),
    )


def webp(loop: Loop, side: int, fps: float = NATIVE_FPS) -> bytes:
    """One round of the loop as a small animated WebP."""
    period = loop.settings.request.num_frames - 1
    count = max(2, round(period * fps / NATIVE_FPS))
    frames = shrink(loop, side).frames([index * period / count for index in range(count)])
    first, *others = (Image.fromarray(pixels) for pixels in frames)
    file = io.BytesIO()
    duration = round(1000 * period / NATIVE_FPS / count)
    first.save(file, "WEBP", save_all=True, append_images=others, duration=duration, loop=0, quality=60, method=0)
    return file.getvalue()


def measure(loop: Loop) -> dict[str, float]:
    """Seam measures (see metrics.seam), and the mean change of a pixel inside and outside the mask, in levels of 255."""
    output = loop.settings.output
    if output.fit:  # the still surround is left out
        output = output.model_copy(update={"size": "source", "fit": False})
    small = shrink(replace(loop, settings=loop.settings.model_copy(update={"output": output})), MEASURED_SIDE)
    frames = np.stack(list(small.frames(range(loop.settings.request.num_frames - 1))))
    change, mask = np.abs(frames.astype(np.float32) - frames[0]).mean((0, 3)), small.view().mask
    inside = mask > 0.5
    outside = cv2.dilate((mask > 0.2).astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
    found = dict(seam(frames)) if len(frames) > 4 else {}
    found["inside"] = float(change[inside].mean()) if inside.any() else 0.0
    if outside.any():
        found["outside"] = float(change[outside].mean())
    return found


def first_frame(path: str | Path) -> Image.Image:
    """The picture that a finished loop begins with; ValueError in one sentence where there is none."""
    path, form = Path(path), by_ending(path)
    kind = form.kind
    if kind == "animation" or form.beside:
        return open_picture(path)
    if kind == "page":
        return open_picture(read_picture(path))
    try:
        if kind == "sequence":
            with ZipFile(path) as file:
                first = min(name for name in file.namelist() if name.endswith(".png"))
                if file.getinfo(first).file_size > MOST_BYTES:
                    raise ValueError("a picture that is larger than any")
                return open_picture(file.read(first))
        with av.open(str(path)) as film:
            film.streams.video[0].codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # of a frame, whatever headers say
            return next(film.decode(video=0)).to_image()
    except (StopIteration, *UNREADABLE):
        raise ValueError(f"expected a loop that can be read, got {path.name}") from None
