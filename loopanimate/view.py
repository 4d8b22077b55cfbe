"""What an output shows of a picture: cut around what moves, shown whole, enlarged, or in whole pixels of its art."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from loopanimate.files.sizes import UNCUT, art_box, cover, cover_box, cover_masks, inside, output_size, surround, whole_pixels
from loopanimate.render.pixels import is_pixel_art, pixel_side
from loopanimate.settings import Output


@dataclass(frozen=True)
class View:
    """What an output shows of a loop's picture."""

    picture: Image.Image  # at the output's size, or within it
    mask: np.ndarray  # (H, W) in [0, 1], all that moves
    masks: list[np.ndarray]  # the same of all layers but the last, front to back
    part: tuple[float, float, float, float]  # left, top, right, bottom of what the cut kept, in fractions of the picture
    surround: Image.Image | None  # of the output's size, around the picture's middle
    alpha: np.ndarray | None = None  # (H, W) uint8 of a cut-out, whose picture is over white

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of a frame."""
        return (self.surround or self.picture).size


def cut_view(
    picture: Image.Image,
    mask: np.ndarray,
    masks: Sequence[np.ndarray],
    output: Output,
    alpha: np.ndarray | None = None,
    device: str | None = None,
    check: Callable[[], object] | None = None,
) -> View:
    """Cut around the middle of `mask`, or fit, a picture and its layers' masks to an output's size.

    device: where the network enlarges the picture, as torch names it; None: by Lanczos, as masks and alpha always are.
    check: called while the network works; whatever it raises stops it.
    """
    size, around = output_size(output.size, *picture.size), None
    if is_fit(output, alpha) and size != picture.size:
        whole, size = size, inside(size, *picture.size)
        around = surround(picture, whole) if size != whole else None
    box = cover_box(mask, size, picture.size, output.centre)
    part = tuple(edge / side for edge, side in zip(box, 2 * picture.size))
    if alpha is not None:
        alpha = np.asarray(cover(Image.fromarray(alpha), [], size, box)[0])  # as the colours are
    mask, *masks = cover_masks([mask, *masks], size, box, picture.size)
    if device is None:
        picture, _ = cover(picture, [], size, box)
    else:
        from loopanimate.render.enlarger import enlarge_once  # torch takes seconds to import

        picture = enlarge_once(picture, size, box, output.enlarge, device, check)
    return View(picture, mask, masks, part, around, alpha)


def cut_art(
    picture: Image.Image, mask: np.ndarray, masks: Sequence[np.ndarray], output: Output, alpha: np.ndarray | None, side: int
) -> tuple[View, int]:
    """What an output shows of pixel art, a pixel of the art each, and how many pixels of a frame each takes.

    side: pixels of the picture in one of the art, each way.
    """
    size, art = output_size(output.size, *picture.size), picture.reduce(side)
    factor = whole_pixels(size, art.size, is_fit(output, alpha))
    box = art_box(mask, art.size, size, factor, output.centre)
    seen = box[2] - box[0], box[3] - box[1]
    if alpha is not None:
        alpha = np.asarray(Image.fromarray(alpha).resize(art.size, Image.Resampling.NEAREST).crop(box))
    part = tuple(edge / own for edge, own in zip(box, 2 * art.size))
    _, (mask, *masks) = cover(art, [mask, *masks], seen, box)
    return View(art.crop(box), mask, masks, part, None, alpha), factor


def side_of_art(picture: Image.Image) -> int:
    """Pixels of a picture in one of its pixel art, each way; 0 where it was not enlarged that way."""
    pixels = np.asarray(picture)
    return pixel_side(pixels) if is_pixel_art(pixels) else 0


def art_of(picture: Image.Image, output: Output, alpha: np.ndarray | None, side: int | None = None) -> tuple[int, int] | None:
    """(width, height) of pixel art of which whole pixels are to move; None where the picture moves smoothly.

    side: as `side_of_art` gives it, if it is known.
    """
    if output.scale == "smooth":
        return None
    side = side_of_art(picture) if side is None else side
    if output.scale == "nearest":
        side = side or pixel_side(np.asarray(picture))
    if not side:
        return None
    art = tuple(edge // side for edge in picture.size)
    if output.scale == "auto":
        factors = [side / few for side, few in zip(output_size(output.size, *picture.size), art)]
        if (min(factors) if is_fit(output, alpha) else max(factors)) < 1:  # smaller than the art it cannot be of whole pixels
            return None
    return art


def squares_of(
    picture: Image.Image, output: Output, alpha: np.ndarray | None, side: int | None = None
) -> tuple[int, int, int] | None:
    """`art_of`, and how many pixels of a frame each of its pixels takes, each way: what a file has to say of its frames.

    Raises: ValueError for a size that is smaller than the art.
    """
    art = art_of(picture, output, alpha, side)
    return art and (*art, whole_pixels(output_size(output.size, *picture.size), art, is_fit(output, alpha)))


def is_fit(output: Output, alpha: np.ndarray | None) -> bool:
    """Whether all of the picture is shown within the size."""
    return output.fit or alpha is not None and output.size.lower() in UNCUT


def put_into(around: np.ndarray, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames in the middle of a picture (H, W, C)."""
    for pixels in frames:
        top, left = ((whole - part) // 2 for whole, part in zip(around.shape, pixels.shape[:2]))
        framed = around.copy()
        framed[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        yield framed
