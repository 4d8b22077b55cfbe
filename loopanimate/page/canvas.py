"""The mask as colours on a picture: how an editor shows it, how it is read back, and the board that is clicked on."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

SIDE = 640  # pixels on the long side of the copy that is drawn on
RED, BLUE = (255, 64, 64), (48, 96, 255)  # what moves, what is frozen
OPACITY = 0.55  # of the colours where the mask is white


def small(picture: Image.Image) -> Image.Image:
    copy = picture.copy()
    copy.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return copy


def layer(mask: np.ndarray, freeze: np.ndarray | None = None) -> Image.Image:
    """A mask (h, w) in [0, 1], and what is frozen, as a translucent RGBA layer."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[..., :3] = RED
    pixels[..., 3] = np.rint(mask * OPACITY * 255)
    if freeze is not None:
        frozen = freeze > 0.5
        # over red, as the blue brush leaves it: both can be read back
        pixels[frozen] = [*BLUE, round(OPACITY * 255)]
        both = frozen & (mask > 0.5)
        alpha = OPACITY + OPACITY * (1 - OPACITY)
        mixed = (np.array(BLUE) * OPACITY + np.array(RED) * OPACITY * (1 - OPACITY)) / alpha
        pixels[both] = [*np.rint(mixed).astype(np.uint8), round(alpha * 255)]
    return Image.fromarray(pixels)


def read(layers: list[Image.Image]) -> tuple[np.ndarray, np.ndarray | None]:
    """Painted layers → mask (h, w) in [0, 1], and what is frozen, or None where nothing is."""
    pixels = np.asarray(layers[0].convert("RGBA"), dtype=np.float32)
    for other in layers[1:]:
        pixels = np.maximum(pixels, np.asarray(other.convert("RGBA"), dtype=np.float32))
    alpha = pixels[..., 3] / 255
    blueness = np.clip((pixels[..., 2] - RED[2]) / (BLUE[2] - RED[2]), 0, 1)  # 0 red, 1 blue
    frozen = (blueness > 0.4) & (alpha > 0.25)
    mask = np.where(frozen, (1 - blueness) * alpha > 0.04, np.clip(alpha / OPACITY, 0, 1))
    return mask.astype(np.float32), frozen.astype(np.float32) if frozen.mean() > 1e-5 else None


def board(picture: Image.Image, mask: np.ndarray, freeze: np.ndarray | None, arrows, pins, tail=None) -> Image.Image:
    """The picture with mask, arrows and pins drawn on it; `tail` is an arrow's first click. Points in fractions."""
    shown = Image.alpha_composite(picture.convert("RGBA"), layer(mask, freeze)).convert("RGB")
    draw = ImageDraw.Draw(shown)
    width, height = shown.size

    def dot(x, y, radius, colour):
        x, y = x * width, y * height
        draw.ellipse((x - radius - 2, y - radius - 2, x + radius + 2, y + radius + 2), fill="white")
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    for x, y, to_x, to_y in arrows:
        start, end = np.array([x * width, y * height]), np.array([to_x * width, to_y * height])
        along = (end - start) / max(np.linalg.norm(end - start), 1e-6)
        across = np.array([-along[1], along[0]])
        for colour, thick in (("white", 7), ("black", 3)):
            draw.line([*start, *end], fill=colour, width=thick)
            barbs = [tuple(end - 14 * along + side * 8 * across) for side in (-1, 1)]
            draw.line([barbs[0], tuple(end), barbs[1]], fill=colour, width=thick, joint="curve")
    for pin in pins:
        dot(*pin, 6, "black")
    if tail:
        dot(*tail, 5, RED)
    return shown


def fit(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) in [0, 1] at `size` (width, height)."""
    return mask if mask.shape == size[::-1] else np.clip(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), 0, 1)


def directions(texts: list[str]) -> tuple[tuple, tuple]:
    """Arrows and pins, in fractions, of texts such as "arrow 20 30 45 30" and "pin 50 50", in percent of the picture.

    Raises: ValueError in one sentence.
    """
    arrows, pins = [], []
    for text in texts:
        kind, *numbers = text.lower().replace(",", " ").replace("→", " ").split() or [""]
        try:
            point = tuple(round(float(number) / 100, 6) for number in numbers)
        except ValueError:
            point = ()
        if kind == "arrow" and len(point) == 4:
            arrows.append(point)
        elif kind == "pin" and len(point) == 2:
            pins.append(point)
        else:
            raise ValueError(f"expected “arrow 20 30 45 30” or “pin 50 50” in percent of the picture, got “{text}”")
    return tuple(arrows), tuple(pins)


def texts(arrows, pins) -> list[str]:
    """What `directions` reads."""
    named = [("arrow", arrow) for arrow in arrows] + [("pin", pin) for pin in pins]
    return [f"{kind} {' '.join(f'{100 * number:.1f}' for number in numbers)}" for kind, numbers in named]
