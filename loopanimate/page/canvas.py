"""What is painted on the picture: how the page's script writes it, and how it is read."""

import base64
import json
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from loopanimate.files.pictures import encode_still
from loopanimate.files.recipe import MOST_PARTS, Parts, open_small_png, small_png

MOST_REVISION = 40  # characters of the name of what is painted
SIDE = 640  # pixels on the long side of what is painted


@dataclass(frozen=True)
class Painting:
    """A picture and what is painted on it; masks are (h, w) in [0, 1], all as small as `automatic`."""

    path: str  # of the picture
    automatic: np.ndarray  # what was found
    mask: np.ndarray | None = None  # what moves as a whole; None: nobody painted it
    parts: Parts = ()  # things that the sentence names and their masks, as painted
    freeze: np.ndarray | None = None  # 1 is frozen; None where nothing is
    arrows: tuple[tuple[float, ...], ...] = ()  # in fractions of the picture, as pins
    pins: tuple[tuple[float, ...], ...] = ()
    shown: np.ndarray | None = None  # the mask that is painted on just now
    centre: tuple[float, float] | None = None  # of a file of another shape, in fractions of the picture; None: of what moves
    revision: str | None = None  # of what is painted as masks, as the script calls it; None: it shall find a name

    @classmethod
    @lru_cache(maxsize=8)  # an event's function asks for it several times
    def read(cls, text: str | None) -> "Painting | None":
        """What the page's script wrote; None while there is no picture. Raises ValueError for anything else."""
        if not text:
            return None
        try:
            given = json.loads(text)
            masks = {name: open_url(given[name]) for name in ("automatic", "mask", "freeze", "shown")}
            if len(given["parts"]) > MOST_PARTS:
                raise ValueError("more parts than are read")
            parts = tuple((str(thing), open_url(source)) for thing, source in given["parts"])
            arrows, pins = (tuple(tuple(map(float, point)) for point in given[name]) for name in ("arrows", "pins"))
            centre = given.get("centre") and tuple(map(float, given["centre"]))
            revision = str(given.get("revision") or "")[:MOST_REVISION]
            return cls(str(given["of"]), parts=parts, arrows=arrows, pins=pins, centre=centre, revision=revision, **masks)
        except (KeyError, TypeError, AttributeError, ValueError, OSError):
            raise ValueError("expected what is painted on a picture, got something else") from None

    def write(self, address: str, fresh: bool = False) -> str:
        """The text that `read` reads, with the address under which a browser finds the picture.

        fresh: the picture was just chosen, even where it is the one before: nothing that was made of that is left.
        """
        height, width = self.automatic.shape
        masks = {name: url(getattr(self, name)) for name in ("automatic", "mask", "freeze", "shown")}
        parts = [(thing, url(own)) for thing, own in self.parts]
        place = {
            "fresh": fresh,
            "revision": self.revision,
            "of": self.path,
            "picture": address,
            "width": width,
            "height": height,
        }
        return json.dumps({**place, **masks, "parts": parts, "arrows": self.arrows, "pins": self.pins, "centre": self.centre})

    def freeze_png(self) -> bytes | None:
        """The frozen places as settings carry them."""
        return None if self.freeze is None else small_png(self.freeze)


def url(mask: np.ndarray | None) -> str | None:
    """A mask (h, w) in [0, 1] as the address of a PNG that holds it."""
    if mask is None:
        return None
    content = encode_still((np.clip(mask, 0, 1) * 255).round().astype(np.uint8), "PNG")
    return "data:image/png;base64," + base64.b64encode(content).decode()


def open_url(text: str | None) -> np.ndarray | None:
    return None if text is None else open_small_png(base64.b64decode(text.partition(",")[2], validate=True))


def shrink(picture: Image.Image) -> Image.Image:
    """A copy as small as what is painted on it."""
    return small_copy(picture, SIDE)


def small_copy(picture: Image.Image, side: int) -> Image.Image:
    """A copy of at most `side` pixels a side. A thumbnail is made of a whole copy: at 48 megapixels, 190 megabytes."""
    return picture.resize(small_size(picture.size, side), Image.Resampling.LANCZOS, reducing_gap=2.0)


def small_size(size: tuple[int, int], side: int = SIDE) -> tuple[int, int]:
    """(width, height) of a copy of at most `side` pixels a side."""
    factor = min(1.0, side / max(size))
    return tuple(max(1, round(length * factor)) for length in size)


def shrink_mask(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) in [0, 1] as large as one that is painted."""
    scale = min(1.0, SIDE / max(mask.shape))
    return cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def fit(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) in [0, 1] at `size` (width, height)."""
    if mask.shape == size[::-1]:
        return mask
    way = cv2.INTER_AREA if size[0] < mask.shape[1] else cv2.INTER_CUBIC
    return np.clip(cv2.resize(mask, size, interpolation=way), 0, 1)
