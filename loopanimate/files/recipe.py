"""A loop's recipe: settings and mask as one line of JSON, which travels in the loop's own file."""

import base64
import io
import json
import types
from dataclasses import asdict, fields, replace
from typing import get_args, get_origin, get_type_hints

import numpy as np
from PIL import Image

from loopanimate.files.sizes import cover_box, inside, within
from loopanimate.loop import LoopSettings
from loopanimate.scene.saliency import edit

MASK_SIDE = 256  # pixels on the long side of the mask that travels
PRIVATE = ("checkpoint", "device")  # of the machine that made the loop, and nobody's to choose for another
KEY = "loopanimate"


def pack(settings: LoopSettings, mask: np.ndarray | None) -> str:
    """Settings and the painted mask (H, W) in [0, 1], before `mask_grow` and the like, as JSON."""
    values = {name: value for name, value in asdict(settings).items() if name not in PRIVATE}
    if settings.freeze is not None:
        values["freeze"] = base64.b64encode(settings.freeze).decode()
    if mask is not None:
        values["mask"] = base64.b64encode(small_png(mask)).decode()
    return json.dumps({KEY: 1, **values}, ensure_ascii=False)


def unpack(text: str | None) -> tuple[LoopSettings, np.ndarray | None]:
    """Settings and mask (h, w) in [0, 1] of a file's text; settings that this version does not know are left out.

    Raises: ValueError in one sentence for text that is no recipe.
    """
    try:
        values = json.loads(text or "")
        if KEY not in values:
            raise ValueError
    except (ValueError, TypeError):
        raise ValueError("expected a loop that carries its settings, got a file without any") from None
    hints = get_type_hints(LoopSettings)
    given = {}
    try:
        for field in fields(LoopSettings):
            if field.name in values and field.name not in PRIVATE:
                given[field.name] = _typed(values[field.name], hints[field.name])
        mask = values.get("mask")
        if mask is not None:
            mask = open_small_png(base64.b64decode(mask, validate=True))
        if given.get("freeze") is not None:
            open_small_png(given["freeze"])
        settings = LoopSettings(**given)
    except (TypeError, ValueError, OSError, SyntaxError) as error:
        raise ValueError(f"expected settings that LoopAnimate wrote, got something else ({error})") from None
    settings.check()
    return settings, mask


def of_frame(frame: Image.Image, settings: LoopSettings, mask: np.ndarray) -> tuple[Image.Image, LoopSettings, np.ndarray]:
    """Picture, settings and mask for a finished loop's frame, where the picture that it was made from is not at hand.

    A picture shown whole is cut out of its surround. Of one that was cut to its size a part is left: mask, arrows, pins and
    frozen places are moved onto it, and what lies outside of it goes.
    """
    mask = edit(mask, settings.mask_grow, settings.mask_feather, settings.mask_invert)
    settings = replace(settings, mask_grow=0.0, mask_feather=0.0, mask_invert=False)
    height, width = mask.shape
    if settings.fit:
        wide, high = inside(frame.size, width, height)
        left, top = (frame.width - wide) // 2, (frame.height - high) // 2
        return frame.crop((left, top, left + wide, top + high)), settings, mask
    box = cover_box(mask, frame.size)
    shares = tuple(edge / side for edge, side in zip(box, (width, height) * 2))

    def part(grey):
        return np.clip(np.asarray(Image.fromarray(grey).resize(frame.size, box=box)), 0, 1)

    def kept(points):
        moved = [within(shares, point) for point in points]
        return tuple(point for point in moved if 0 <= min(point) and max(point) <= 1)

    freeze = settings.freeze
    if freeze is not None:
        freeze = small_png(part(np.asarray(Image.fromarray(open_small_png(freeze)).resize((width, height)))))
    settings = replace(settings, arrows=kept(settings.arrows), pins=kept(settings.pins), freeze=freeze)
    return frame, settings, part(mask)


def small_png(mask: np.ndarray) -> bytes:
    """A mask (H, W) in [0, 1] as a small grey PNG."""
    picture = Image.fromarray((np.clip(mask, 0, 1) * 255).round().astype(np.uint8))
    picture.thumbnail((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def open_small_png(content: bytes) -> np.ndarray:
    """(h, w) float32 in [0, 1]; ValueError for anything but a small picture."""
    with Image.open(io.BytesIO(content), formats=("PNG",)) as file:
        if max(file.size) > 4096:
            raise ValueError(f"a mask of {file.width} x {file.height}")
        return np.asarray(file.convert("L"), dtype=np.float32) / 255


def _typed(value, hint):
    """A JSON value as the type that a setting has; TypeError or ValueError where it has another."""
    options = get_args(hint) if get_origin(hint) is types.UnionType else (hint,)
    if value is None and type(None) in options:
        return None
    if bytes in options:
        return base64.b64decode(value, validate=True)
    if get_origin(hint) is tuple:
        return tuple(_typed(item, get_args(hint)[0]) if get_origin(get_args(hint)[0]) else float(item) for item in value)
    if isinstance(value, bool) is not (bool in options):
        raise TypeError(f"{value!r} where {hint} belongs")
    if float in options and isinstance(value, int):
        return float(value)
    if not isinstance(value, tuple(option for option in options if option is not type(None))):
        raise TypeError(f"{value!r} where {hint} belongs")
    return value
