"""What is painted on the picture: how the editor shows it, how it is read back, and the board that takes clicks."""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from loopanimate.files.recipe import open_small_png, small_png
from loopanimate.scene.saliency import edit

SIDE = 640  # pixels on the long side of the copy that is painted on
RED, BLUE = (255, 64, 64), (48, 96, 255)  # colours of what moves and of what is frozen
OPACITY = 0.55  # of the colours where the mask is white
SAME_MASK = 0.2  # largest difference of a pixel that the editor's own drawing makes
SAME_FREEZE = 0.0005  # share of the picture; a dot of a small brush is more
TOOLS = {  # what each makes of the whole mask
    "Clear": np.zeros_like,
    "Invert": lambda mask: 1 - mask,
    "Grow": lambda mask: edit(mask, grow=1),
    "Shrink": lambda mask: edit(mask, grow=-1),
    "Feather": lambda mask: edit(mask, feather=1),
    "Whole picture": np.ones_like,
    "Unfreeze": lambda mask: mask,
}


@dataclass(frozen=True)
class Painting:
    """A small picture and what is painted on it."""

    picture: Image.Image
    mask: np.ndarray  # (h, w) in [0, 1], 1 moves
    freeze: np.ndarray | None = None  # (h, w) in [0, 1], 1 is frozen; None where nothing is

    @classmethod
    def read(cls, value: dict | None) -> "Painting | None":
        """Read the editor's value; None while it holds no picture."""
        if value is None or value.get("background") is None:
            return None
        return cls(value["background"].convert("RGB"), *read_layers(value["layers"]))

    def editor(self) -> dict:
        """The value of an editor that shows this."""
        return {"background": self.picture, "layers": [draw_layer(self.mask, self.freeze)], "composite": None}

    def freeze_png(self) -> bytes | None:
        """The frozen places as settings carry them."""
        return None if self.freeze is None else small_png(self.freeze)

    def board(self, texts: list[str], tail: tuple[float, float] | None = None) -> Image.Image:
        """Draw the picture with mask, arrows and pins; `tail` is the first click of an arrow, in fractions of the picture."""
        arrows, pins = read_directions(texts)
        shown = np.array(Image.alpha_composite(self.picture.convert("RGBA"), draw_layer(self.mask, self.freeze)).convert("RGB"))

        def place(point):
            return [round(share * side) for share, side in zip(point, self.picture.size)]

        for arrow in arrows:
            start, end = place(arrow[:2]), place(arrow[2:])
            for colour, width in (((255, 255, 255), 7), ((0, 0, 0), 3)):
                cv2.arrowedLine(
                    shown, start, end, colour, width, cv2.LINE_AA, tipLength=14 / max(1, np.hypot(*np.subtract(end, start)))
                )
        for point, radius, colour in [(pin, 6, (0, 0, 0)) for pin in pins] + ([(tail, 5, RED)] if tail else []):
            cv2.circle(shown, place(point), radius + 2, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(shown, place(point), radius, colour, -1, cv2.LINE_AA)
        return Image.fromarray(shown)


def shrink(picture: Image.Image) -> Image.Image:
    """A copy to paint on."""
    copy = picture.copy()
    copy.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return copy


def shrink_mask(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) in [0, 1] as large as one that is painted."""
    scale = min(1.0, SIDE / max(mask.shape))
    return cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def fit(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) in [0, 1] at `size` (width, height)."""
    return mask if mask.shape == size[::-1] else np.clip(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), 0, 1)


def draw_layer(mask: np.ndarray, freeze: np.ndarray | None = None) -> Image.Image:
    """A mask (h, w) in [0, 1], and what is frozen, as a translucent RGBA layer."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[..., :3] = RED
    pixels[..., 3] = np.rint(mask * OPACITY * 255)
    if freeze is not None:
        frozen = freeze > 0.5
        pixels[frozen] = [*BLUE, round(OPACITY * 255)]
        # blue over red as the brush leaves it, so that both can be read back
        both = frozen & (mask > 0.5)
        alpha = OPACITY + OPACITY * (1 - OPACITY)
        mixed = (np.array(BLUE) * OPACITY + np.array(RED) * OPACITY * (1 - OPACITY)) / alpha
        pixels[both] = [*np.rint(mixed).astype(np.uint8), round(alpha * 255)]
    return Image.fromarray(pixels)


def read_layers(layers: list[Image.Image]) -> tuple[np.ndarray, np.ndarray | None]:
    """Mask (h, w) in [0, 1] and frozen places of painted layers; None where nothing is frozen."""
    pixels = np.stack([np.asarray(layer.convert("RGBA"), np.float32) for layer in layers]).max(0)
    alpha = pixels[..., 3] / 255
    blueness = np.clip((pixels[..., 2] - RED[2]) / (BLUE[2] - RED[2]), 0, 1)  # 0 red, 1 blue
    frozen = (blueness > 0.4) & (alpha > 0.25)
    mask = np.where(frozen, (1 - blueness) * alpha > 0.04, np.clip(alpha / OPACITY, 0, 1))
    return mask.astype(np.float32), frozen.astype(np.float32) if frozen.mean() > 1e-5 else None


def is_same_mask(one: np.ndarray, other: np.ndarray | None) -> bool:
    """Whether a painted mask is one that was drawn on the editor, as it reads it back."""
    if other is None or one.shape != other.shape:
        return False
    return bool((np.abs(one - other) > SAME_MASK).mean() < SAME_FREEZE / 10)


def is_same_freeze(one: bytes | None, other: bytes | None) -> bool:
    """Whether two frozen places differ by no more than the edge that the editor draws differently each time."""
    if one is None or other is None:
        return one is other
    first, second = open_small_png(one), open_small_png(other)
    return bool(np.abs(first - fit(second, first.shape[::-1])).mean() < SAME_FREEZE)


def read_directions(texts: list[str] | None) -> tuple[tuple, tuple]:
    """Arrows and pins, in fractions, of texts such as "arrow 20 30 45 30" and "pin 50 50", in percent of the picture.

    Raises: ValueError in one sentence.
    """
    found = {"arrow": [], "pin": []}
    for text in texts or []:
        kind, *numbers = text.lower().replace(",", " ").replace("→", " ").split() or [""]
        try:
            point = tuple(round(float(number) / 100, 6) for number in numbers)
        except ValueError:
            point = ()
        if len(point) != {"arrow": 4, "pin": 2}.get(kind):
            raise ValueError(f"expected “arrow 20 30 45 30” or “pin 50 50” in percent of the picture, got “{text}”")
        found[kind].append(point)
    return tuple(found["arrow"]), tuple(found["pin"])


def write_directions(kind: str, points) -> list[str]:
    """The texts that `read_directions` reads, of arrows or pins."""
    return [f"{kind} {' '.join(f'{100 * number:.1f}' for number in point)}" for point in points]
