"""Cut-outs: pictures with an alpha channel, which a loop keeps where its format can.

A loop is made of the picture over white, as any other. For a file that keeps alpha, frames are drawn from four planes instead,
colours premultiplied by alpha, and alpha: all move together, and no background shines through at the rim.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageOps

from loopanimate.files.pictures import fit_sides

SEEN = 128  # of 255; from this alpha on, a pixel has a colour that can be trusted


def open_alpha(source: str | Path) -> np.ndarray | None:
    """Open the alpha (H, W) uint8 of a picture that `open_picture` takes; None where all of it is opaque."""
    with Image.open(source) as file:
        if not file.has_transparency_data:
            return None
        alpha = ImageOps.exif_transpose(file).convert("RGBA").getchannel("A")
    if alpha.getextrema()[0] == 255:
        return None
    return np.asarray(fit_sides(alpha))


def put_behind(picture: Image.Image, alpha: np.ndarray, colour: str) -> Image.Image:
    """A cut-out over white with another colour in the place of white; ValueError for a colour that there is not."""
    try:
        behind = ImageColor.getrgb(colour)[:3]
    except ValueError:
        raise ValueError(f"expected a background such as black or #1e90ff, got {colour}") from None
    clear = 1 - alpha[..., None].astype(np.float32) / 255
    return Image.fromarray(np.clip(np.rint(picture + clear * (np.array(behind) - 255)), 0, 255).astype(np.uint8))


def premultiply(over_white: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Four planes (H, W, 4), colours premultiplied, of a picture over white and its alpha, all uint8."""
    colours = cv2.subtract(over_white, cv2.merge([255 - alpha] * 3))
    return cv2.merge([*cv2.split(cv2.min(colours, cv2.merge([alpha] * 3))), alpha])


def over_white(pixels: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) that premultiplied pixels (H, W, 4) show over white, uint8."""
    return cv2.add(np.ascontiguousarray(pixels[..., :3]), cv2.merge([255 - pixels[..., 3]] * 3))


def straighten(pixels: np.ndarray) -> np.ndarray:
    """Divide colours (H, W, 4) uint8 by alpha, as files have them; zero where alpha is."""
    *colours, alpha = cv2.split(pixels)
    return cv2.merge([*(cv2.divide(colour, alpha, scale=255) for colour in colours), alpha])


def fill_clear(pixels: np.ndarray) -> np.ndarray:
    """Continue straight colours (H, W, 4) uint8 into clear places, so that a coder blurs no black into the rim.

    A clear pixel takes the mean of what is seen near it: of the smallest neighbourhood, of 2, 4, 8 ... pixels, that shows any.
    """
    weight = pixels[..., 3].astype(np.float32) / 255
    levels = [(pixels[..., :3] * weight[..., None], weight)]
    while max(levels[-1][1].shape) > 1:
        size = tuple(-(-side // 2) for side in levels[-1][1].shape[::-1])
        levels.append(tuple(cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in levels[-1]))
    filled = None
    for colours, weight in reversed(levels):
        own = colours / np.maximum(weight, 1e-6)[..., None]
        share = np.clip(weight * 255 / SEEN, 0, 1)[..., None]
        if filled is not None:
            own = own * share + cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR) * (1 - share)
        filled = own
    clear = pixels[..., 3:] == 0
    colours = np.where(clear, np.clip(np.rint(filled), 0, 255), pixels[..., :3])
    return np.dstack([colours.astype(np.uint8), pixels[..., 3]])
