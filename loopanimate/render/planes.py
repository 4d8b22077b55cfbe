"""The planes that frames are drawn from: colours and alpha of every layer, in RGB or I420, and their enlargement."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from loopanimate.motion.field import Field
from loopanimate.scene.layers import Layers, separate, solve

LANCZOS = np.sinc(np.arange(-3.5, 4)) * np.sinc(np.arange(-3.5, 4) / 4)  # weights of eight pixels for the point amid them
# Linear sampling of enlarged planes blurs a little; this much sharpening undoes it. Of all shares tried, 0.08 comes nearest
# to the ideal shift of photographs (45.5 dB; 44.0 without it, 43.7 by bicubic samples), as sharp as a Lanczos warp.
HALF_WAY = np.convolve(LANCZOS / LANCZOS.sum(), [-0.08, 1.16, -0.08]).astype(np.float32)
# ITU-R BT.709, limited range: rows Y, Cb, Cr of (R, G, B, 1) in bytes
BT709 = np.array([[0.18259, 0.61423, 0.06201, 16], [-0.10064, -0.33857, 0.43922, 128], [0.43922, -0.39894, -0.04027, 128]])


@dataclass(frozen=True)
class Planes:
    """Planes of one size: red, green and blue; or brightness; or the two of colour. All are (H, W) uint8.

    The two of colour have half the frame's size. They are kept at its whole size, low-passed, because that is the enlarged
    form that moving planes are sampled from: pixel [2y, 2x] is what the frame's plane shows at (y, x) at rest.
    """

    ratio: int  # pixels of the frame to one of its plane, each way: 1 or 2
    picture: Sequence[np.ndarray]  # P planes
    layers: list[Sequence[np.ndarray]]  # front to back: P colours, premultiplied, and alpha; the background has no alpha


def bound_reach(field: Field, short: int) -> int:
    """Bound on what a layer moves, in pixels; a spline runs a little beyond the values that it passes through."""
    return math.ceil((1.2 * field.reach + max((face.bend_reach for face in field.faces), default=0)) * short) + 2


def cut(
    image: np.ndarray, masks: Sequence[np.ndarray], field: Field, planar: bool, layers: Sequence[Layers] | None = None
) -> list[Planes]:
    """Cut a picture (H, W, 3) uint8 into the planes of its layers; masks (H, W) as `scene.layers.separate` takes them.

    layers: what that gave, where it is known.

    planar: the planes of I420 (both sides even), BT.709, limited range. The composite is linear, so it can be made in these
    planes directly: half the work of red, green and blue, and nothing to convert afterwards.
    """
    if layers is None:
        layers = separate(image, masks, 2 * bound_reach(field, min(image.shape[:2])))  # two layers may move apart
    pictures, alphas = [image, *(layer.plate for layer in layers)], [layer.alpha for layer in layers]
    if not planar:
        return [_cut(1, pictures, alphas)]
    pictures = [_to_yuv(picture) for picture in pictures]
    brightness, colours = [picture[..., :1] for picture in pictures], [_halve(picture[..., 1:]) for picture in pictures]
    return [_cut(1, brightness, alphas), _cut(2, colours, [_halve(alpha) for alpha in alphas])]


def _cut(ratio: int, pictures: list[np.ndarray], alphas: list[np.ndarray]) -> Planes:
    """Cut each layer from what lies behind the one before it; pictures: the whole, then what lies behind each alpha."""
    behind, layers = pictures[0], []
    for alpha, plate in zip(alphas, pictures[1:]):
        layer = solve(behind, alpha, plate)
        layers.append([*cv2.split(layer.colour), alpha])
        behind = layer.plate
    return Planes(ratio, cv2.split(pictures[0]), [*layers, cv2.split(behind)])


def enlarge(plane: np.ndarray) -> np.ndarray:
    """Enlarge a plane (h, w) uint8 to (2h, 2w): itself at even places, interpolated half-way between."""
    height, width = plane.shape
    large = np.empty((2 * height, 2 * width), np.uint8)
    large[::2, ::2] = plane
    # OpenCV anchors the ten weights at one pixel; anchored left of their middle, they give the point half a pixel right
    kernel, left = HALF_WAY[None], len(HALF_WAY) // 2 - 1
    large[::2, 1::2] = cv2.filter2D(plane, -1, kernel, anchor=(left, 0), borderType=cv2.BORDER_REPLICATE)
    large[1::2] = cv2.filter2D(large[::2], -1, kernel.T, anchor=(0, left), borderType=cv2.BORDER_REPLICATE)
    return large


def _to_yuv(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(cv2.transform(pixels.astype(np.float32), BT709)), 0, 255).astype(np.uint8)


def _halve(planes: np.ndarray) -> np.ndarray:
    """Low-pass planes for half their size, but keep that size: [2y, 2x] lies on column 2x, between rows 2y and 2y + 1."""
    across, down = np.array([0.25, 0.5, 0.25]), np.array([0.5, 0.5])
    return cv2.sepFilter2D(planes, -1, across, down, anchor=(1, 0), borderType=cv2.BORDER_REPLICATE)
