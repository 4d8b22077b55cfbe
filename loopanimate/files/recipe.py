"""A loop's recipe: settings and mask as one line of JSON, which travels in the loop's own file."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from operator import index
from pathlib import Path

import numpy as np
from PIL import Image

from loopanimate.files.pictures import MAX_SIDE, encode_still
from loopanimate.files.sizes import Centre, art_box, cover_box, inside, output_size, within
from loopanimate.scene.saliency import edit
from loopanimate.settings import MAX_TEXT, Settings, make_settings

MASK_SIDE = 256  # pixels on the long side of the mask that travels
MOST_SIDE = 1024  # pixels a side of a mask that is read, and ...
MOST_PARTS = 32  # ... parts with masks
MOST_TEXT = 4_000_000  # characters of a recipe: as many such masks
KEY, VERSION = "loopanimate", 2  # 2 may have parts

Parts = Sequence[tuple[str, np.ndarray]]  # words and the mask (H, W) in [0, 1] that was painted for them
Squares = tuple[int, int, int] | None


def pack(
    settings: Settings,
    mask: np.ndarray | None,
    parts: Parts = (),
    side: int = MASK_SIDE,
    squares: Squares = None,
    sources: str | None = None,
) -> str:
    """Settings, the painted mask (H, W) in [0, 1], before `mask_grow` and the like, and those of parts, as JSON; masks have at
    most `side` pixels a side.

    squares: of pixel art whose whole pixels move, its width and height, and how many pixels of a frame each takes, each way.
    sources: what `fingerprint` says of the files that the loop is made of.
    """
    values = settings.flat()
    if values["freeze"] is not None:
        values["freeze"] = base64.b64encode(values["freeze"]).decode()
    if mask is not None:
        values["mask"] = base64.b64encode(small_png(mask, side)).decode()
    if squares is not None:
        values["squares"] = squares
    if sources is not None:
        values["sources"] = sources
    if parts:
        values["parts"] = [[words, base64.b64encode(small_png(own, side)).decode()] for words, own in parts]
    return json.dumps({KEY: VERSION, **values}, ensure_ascii=False)


def fingerprint(files: Sequence[str | Path]) -> str:
    """16 hex digits, which are others where any file holds something else. Dates of files say less: clocks are set."""
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        digest.update(hashlib.blake2b(Path(file).read_bytes()).digest())
    return digest.hexdigest()


def unpack_parts(text: str) -> Parts:
    """The parts of a file's text that `unpack` has taken."""
    given = json.loads(text).get("parts", [])
    if not isinstance(given, list) or len(given) > MOST_PARTS:
        raise ValueError(f"expected at most {MOST_PARTS} parts, got {_shorten(given)}")
    try:
        parts = [(words, open_small_png(base64.b64decode(own, validate=True))) for words, own in given]
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected settings that LoopAnimate wrote, got something else ({error})") from None
    if not all(isinstance(words, str) and len(words) <= MAX_TEXT for words, _ in parts):
        raise ValueError(f"expected words of at most {MAX_TEXT} characters for each part, got {_shorten(given)}")
    return parts


def unpack_squares(text: str) -> Squares:
    """What `pack` was told of pixel art, of a file's text that `unpack` has taken."""
    given = json.loads(text).get("squares")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 3 or not all(type(each) is int and 1 <= each <= MAX_SIDE for each in given):
        raise ValueError(f"expected settings that LoopAnimate wrote, got {_shorten(given)} for squares")
    return tuple(given)


def _shorten(value: object) -> str:
    return repr(value)[:100]


def unpack(text: str | None) -> tuple[Settings, np.ndarray | None]:
    """Settings and mask (h, w) in [0, 1] of a file's text; settings that this version does not know are left out.

    Raises: ValueError in one sentence for text that is no recipe, or that of a newer version.
    """
    if len(text or "") > MOST_TEXT:
        raise ValueError(f"expected settings of at most {MOST_TEXT} characters, got {len(text)}")
    try:
        values = json.loads(text or "")
        version = index(values[KEY])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("expected a loop that carries its settings, got a file without any") from None
    if version not in range(1, VERSION + 1):
        raise ValueError(
            f"expected settings of version {VERSION} or older, got version {_shorten(version)}: update LoopAnimate to open it"
        )
    try:
        images = {name: base64.b64decode(values[name], validate=True) for name in ("mask", "freeze") if values.get(name)}
        opened = {name: open_small_png(content) for name, content in images.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected settings that LoopAnimate wrote, got something else ({error})") from None
    known = make_settings(prompt="x").flat()
    given = {name: value for name, value in values.items() if name in known} | {"freeze": images.get("freeze")}
    try:
        settings = make_settings(**given)
        output_size(settings.output.size, 1, 1)
    except RecursionError:
        raise ValueError("expected settings that LoopAnimate wrote, got too deeply nested ones") from None
    for name, value in json.loads(pack(settings, None)).items():  # pydantic takes "3" for 3, but pack never wrote so
        if name not in (KEY, "freeze") and given.get(name, value) != value:
            raise ValueError(f"expected settings that LoopAnimate wrote, got {_shorten(given[name])} for {name}")
    return settings, opened.get("mask")


def of_frame(
    frame: Image.Image, settings: Settings, mask: np.ndarray, squares: Squares = None
) -> tuple[Image.Image, Settings, np.ndarray]:
    """Make a finished loop's frame its picture, where the picture itself is not at hand: picture, settings and mask.

    A picture that was shown whole is cut out of its surround. Of a picture that was cut to a size only a part is left: mask,
    arrows, pins and frozen places are moved onto that part, and those outside of it go. squares: as `pack` takes them.
    """
    request, hands = settings.request, settings.hands
    mask = edit(mask, request.mask_grow, request.mask_feather, request.mask_invert)
    centre, settings = settings.output.centre, settings.change(centre=None, mask_grow=0.0, mask_feather=0.0, mask_invert=False)
    height, width = mask.shape
    if squares is not None:
        frame, shares = _part_of_art(frame, mask, squares, centre)
        box = tuple(share * side for share, side in zip(shares, (width, height) * 2))
    elif settings.output.fit:
        wide, high = inside(frame.size, width, height)
        left, top = (frame.width - wide) // 2, (frame.height - high) // 2
        return frame.crop((left, top, left + wide, top + high)), settings, mask
    else:
        box = cover_box(mask, frame.size, centre=centre)
        shares = tuple(edge / side for edge, side in zip(box, (width, height) * 2))

    def part(grey):
        return np.clip(np.asarray(Image.fromarray(grey).resize(frame.size, box=box)), 0, 1)

    def kept(points):
        moved = [within(shares, point) for point in points]
        return tuple(point for point in moved if 0 <= min(point) and max(point) <= 1)

    freeze = hands.freeze
    if freeze is not None:
        freeze = small_png(part(np.asarray(Image.fromarray(open_small_png(freeze)).resize((width, height)))))
    settings = settings.change(arrows=kept(hands.arrows), pins=kept(hands.pins), freeze=freeze)
    return frame, settings, part(mask)


def _part_of_art(
    frame: Image.Image, mask: np.ndarray, squares: tuple[int, int, int], centre: Centre
) -> tuple[Image.Image, tuple[float, ...]]:
    """What a frame shows of pixel art, without the rim that goes on around it, and the part that it is, in fractions."""
    *art, factor = squares
    starts, ends, crop = [], [], []
    box = art_box(mask, art, frame.size, factor, centre)
    for first, last, own, side in zip(box[:2], box[2:], art, frame.size):
        beyond = (factor * (last - first) - side) // 2  # of the squares on either side, or of the frame, if below 0
        shown = min(side, factor * (last - first))
        start = first + max(beyond, 0) / factor
        starts, ends = [*starts, start / own], [*ends, (start + shown / factor) / own]
        crop.append((max(-beyond, 0), max(-beyond, 0) + shown))
    (left, right), (top, bottom) = crop
    return frame.crop((left, top, right, bottom)), (*starts, *ends)


def small_png(mask: np.ndarray, side: int = MASK_SIDE) -> bytes:
    """A mask (H, W) in [0, 1] as a small grey PNG."""
    picture = Image.fromarray((np.clip(mask, 0, 1) * 255).round().astype(np.uint8))
    picture.thumbnail((side, side), Image.Resampling.BOX)
    return encode_still(np.asarray(picture), "PNG", optimize=True)


def open_small_png(content: bytes) -> np.ndarray:
    """(h, w) float32 in [0, 1]; ValueError for anything but a small picture."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as file:
            if max(file.size) > MOST_SIDE:
                raise ValueError(f"a mask of {file.width} x {file.height}")
            return np.asarray(file.convert("L"), dtype=np.float32) / 255
    except Exception as error:  # over a broken file a decoder raises nearly anything
        raise ValueError(f"a mask that cannot be read: {error}") from error
