"""The layers of a picture: parts with soft edges, each cut from what lies behind the part before it.

For every layer picture = colour + (1 - alpha) * plate, everywhere and exactly; colour is premultiplied by alpha, and the
plate, what lies behind the layer, is the picture that the next layer is cut from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from loopanimate.scene.matting import matte

ALPHA_RAMP = (0.3, 0.7)  # raw mask values that become alpha 0 and 1
COVERED = 0.05  # alpha above which the plate is filled ...
SAFE = 1  # ... and this many pixels of PLATE_SIDE around, because mattes are not exact
FINE = 3.0  # pixels; deviation of the Gaussian that separates texture from what is coarser
AROUND = 40.0  # pixels of PLATE_SIDE; deviation of the Gaussian that says how strong the texture of a place is ...
COARSE = 8  # which so wide a Gaussian is computed at: a grid of every so many pixels
STANDS_OUT = 2.0  # ... and how many times that what is mirrored may have
MOSTLY = 80  # of 255; from this alpha on, a pixel counts as the layer's
FAINT = 0.016  # alpha up to which the plate turns from the picture into the fill
CLEAR_BAND = 0.06  # short sides that masks reach beyond a cut-out's rim: alpha is unknown 0.02 on each side of their edge
RING = 8  # pixels of PLATE_SIDE at the rim that are inpainted at full size
PLATE_SIDE = 512  # pixels on the short side at which the plate is filled


@dataclass(frozen=True)
class Layers:
    """A picture taken apart into a layer and what lies behind it, all uint8."""

    colour: np.ndarray  # (H, W, C), premultiplied
    alpha: np.ndarray  # (H, W)
    plate: np.ndarray  # (H, W, C)


def separate(image: np.ndarray, masks: Sequence[np.ndarray], reach: int | None) -> list[Layers]:
    """Cut a picture (H, W, 3) uint8 into the layers of its raw masks (H, W) in [0, 1], front to back.

    A pixel belongs to the foremost layer whose mask claims it. Layer k + 1 is cut from the plate of layer k; the last plate
    is the background. Masks continue behind the layers in front of them, as the colours of the plate do. reach: as in `split`.
    """
    layers, hidden = [], np.zeros(image.shape[:2], bool)
    for mask in masks:
        mask = continue_behind(mask, hidden)
        layers.append(solve(image, *split(image, mask, reach)))
        image = layers[-1].plate
        hidden |= layers[-1].alpha > 255 * COVERED
    return layers


def continue_behind(mask: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """A mask (h, w) of which each hidden pixel has the larger of its own value and that of the nearest pixel in sight."""
    if hidden.all() or not hidden.any():
        return mask
    return np.maximum(mask, mask.ravel()[_outside(hidden.astype(np.uint8), 0)[1]])


def split(image: np.ndarray, mask: np.ndarray, reach: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Find alpha (H, W) and plate (H, W, 3), both uint8, of a picture (H, W, 3) uint8 and a raw mask (H, W) in [0, 1].

    reach: pixels that layers may move apart; the plate is filled as far. None: for frames that are measured and never shown,
    the mask is the matte and the plate has the nearest colour from outside, a tenth of the work.
    """
    low, high = ALPHA_RAMP
    alpha = np.clip((mask.astype(np.float32) - low) / (high - low), 0, 1)
    if reach is None:
        hole = (alpha > COVERED).astype(np.uint8)
        plate = image.copy() if hole.all() else image.reshape(-1, image.shape[2])[_outside(hole, 0)[1]]
    else:
        alpha = matte(np.ascontiguousarray(image[..., :3]), alpha)
        plate = fill_plate(image, alpha, reach + 2)
    alpha = _to_bytes(alpha * 255)
    # At some pixels of the rim, no colour in [0, 255] of that alpha over that plate gives the picture. Where the layer has
    # most of the pixel, raise alpha to the least that some colour allows ...
    rim = (alpha >= MOSTLY) & (alpha < 255)
    seen, behind = image[rim].astype(np.float32), np.clip(plate[rim], 1, 254).astype(np.float32)
    clear = 255 * np.minimum(seen / behind, (255 - seen) / (255 - behind)).min(1)
    alpha[rim] = np.maximum(alpha[rim], 255 - np.minimum(np.floor(clear), 255)).astype(np.uint8)
    # ... elsewhere move the plate towards the picture, by one share for all channels, so that its hue does not jump.
    rim = (alpha > 0) & (alpha < MOSTLY)
    seen, behind, share = image[rim].astype(np.float32), plate[rim].astype(np.float32), alpha[rim, None] / np.float32(255)
    most, least = seen / (1 - share), (seen - 255 * share) / (1 - share)
    nearer = np.maximum(behind - most, least - behind) / np.maximum(np.abs(behind - seen), 1e-3)
    plate[rim] = _to_bytes(behind + np.clip(nearer.max(1, keepdims=True), 0, 1) * (seen - behind))
    return alpha, plate


def cover_rim(mask: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Continue a mask (H, W) in [0, 1] beyond the rim of a cut-out, whose alpha is (H, W) uint8.

    Its edge then lies where nothing is seen, so that the rim, which alpha makes soft, moves with what it is the rim of.
    """
    hole = (alpha < 255).astype(np.uint8)
    if not hole.any() or hole.all():
        return mask
    near, nearest = _outside(hole, CLEAR_BAND * min(mask.shape) + 1)
    return np.where(near, mask.ravel()[nearest], mask)


def solve(image: np.ndarray, alpha: np.ndarray, plate: np.ndarray) -> Layers:
    """Find the layer whose composite, in the renderer's own integers, *is* the picture; image and plate (H, W, C) uint8.

    Where no colour of that alpha gives the picture over that plate, the plate is clipped to what one does. Where alpha is
    zero the plate is the picture, so contact shadows stay.
    """
    clear, outside, rim = 255 - alpha, (alpha == 0).astype(np.uint8), (alpha > 0) & (alpha < 255)
    share = clear[rim].astype(np.int32)
    colours, plates = [], []
    for channel, behind in zip(cv2.split(image), cv2.split(plate)):
        behind = cv2.copyTo(channel, outside, behind)
        scaled = channel[rim].astype(np.int32) * 255
        least, most = -((255 * (255 - share) - scaled) // share), scaled // share
        behind[rim] = np.clip(behind[rim], least, most)
        plates.append(behind)
        colours.append(cv2.subtract(channel, cv2.multiply(behind, clear, scale=1 / 255)))
    return Layers(np.dstack(colours), alpha, np.dstack(plates))


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def fill_plate(image: np.ndarray, alpha: np.ndarray, band: int) -> np.ndarray:
    """Fill in what lies behind a layer, (H, W, 3) uint8, in the `band` pixels from its rim inwards that motion can uncover.

    Outside the layer the result is the picture. Behind it, colours continue inwards from outside (Telea's inpainting, at
    PLATE_SIDE), with texture mirrored at the rim. Colours of the rim itself are not read: they hold some of the layer.
    """
    height, width = alpha.shape
    scale = min(1.0, PLATE_SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small, share = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (image, alpha.astype(np.float32)))
    hole = cv2.dilate((share > COVERED).astype(np.uint8), np.ones((2 * SAFE + 1,) * 2, np.uint8))
    if not hole.any() or hole.all():
        return image.copy()
    near, nearest = _outside(hole, band * scale + SAFE + 1)
    # Nothing deeper than the band is ever seen, but inpainting would read it. So give it the nearest colour from outside.
    known = small.reshape(-1, small.shape[2])[nearest]
    # Far from the rim, half the size is fine enough, and takes an eighth of the time.
    half = [-(-side // 2) for side in size]
    coarse, inside = (cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in (known, near.astype(np.float32)))
    known[near] = cv2.resize(_inpaint(coarse, inside > 0, 4), size, interpolation=cv2.INTER_CUBIC)[near]
    filled = _inpaint(known, near & _outside(hole, RING)[0], 4).astype(np.float32)
    filled[near] = cv2.GaussianBlur(filled, (0, 0), FINE / 2)[near] + _mirror(
        _calm(_texture(small, hole == 0), hole == 0, 1), nearest, near
    )
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    if scale < 1:  # add the detail that the small picture cannot hold
        hole = cv2.resize(hole, (width, height), interpolation=cv2.INTER_NEAREST)
        box = tuple(
            slice(max(0, where[0] - band), where[-1] + band + 1) for where in map(np.flatnonzero, (hole.any(1), hole.any(0)))
        )
        near, nearest = _outside(hole[box], band)
        detail = _calm(_detail(image[box], hole[box] == 0, scale), hole[box] == 0, scale)
        filled[box][near] += _mirror(detail, nearest, near)
    plate, covered = image.copy(), alpha > 0
    weight = np.clip(alpha[covered] / FAINT, 0, 1)[:, None]
    plate[covered] = _to_bytes(plate[covered] + (filled[covered] - plate[covered]) * weight)
    return plate


def _inpaint(image: np.ndarray, hole: np.ndarray, radius: float) -> np.ndarray:
    """Telea's inpainting of a hole (h, w) in an image (h, w, C) uint8; OpenCV takes one channel or three."""
    parts = (np.ascontiguousarray(part) for part in (image[..., :3], image[..., 3:]) if part.size)
    return np.dstack([cv2.inpaint(part, hole.astype(np.uint8), radius, cv2.INPAINT_TELEA) for part in parts])


def _outside(hole: np.ndarray, band: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels of a hole (h, w) within `band` of its rim, (h, w) bool, and each pixel's nearest one outside (index)."""
    depth, labels = cv2.distanceTransformWithLabels(hole, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    outside = np.flatnonzero(hole == 0)
    nearest = np.zeros(labels.max() + 1, outside.dtype)
    nearest[labels.flat[outside]] = outside
    return (depth > 0) & (depth <= band), nearest[labels]


def _texture(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Detail finer than FINE pixels of a picture (h, w, 3) where it is known, 0 elsewhere."""
    share = known.astype(np.float32)[..., None]
    mass = cv2.GaussianBlur(share, (0, 0), FINE)[..., None]
    return share * (image - cv2.GaussianBlur(image * share, (0, 0), FINE) / np.maximum(mass, 1e-3))


def _detail(image: np.ndarray, known: np.ndarray, scale: float) -> np.ndarray:
    """Detail that a picture (h, w, 3) loses when it is made smaller by `scale`, where it is known, 0 elsewhere."""
    share = known.astype(np.float32)[..., None]
    size = known.shape[::-1]
    small = [max(1, round(side * scale)) for side in size]
    mass = cv2.resize(share, small, interpolation=cv2.INTER_AREA)[..., None]
    coarse = cv2.resize(image * share, small, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-3)
    return share * (image - cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))


def _calm(texture: np.ndarray, known: np.ndarray, scale: float) -> np.ndarray:
    """Texture (h, w, C) without what stands out of it: an eye, a lamp or a letter must not be there twice.

    How strong it is around a place is the mean of roots, squared, which a few strong pixels hardly change.
    """
    strength = np.abs(texture).max(2)
    size = [max(1, round(side * scale / COARSE)) for side in strength.shape[::-1]]
    roots, share = (
        cv2.GaussianBlur(cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_AREA), (0, 0), AROUND / COARSE)
        for part in (np.sqrt(strength), known)
    )
    usual = cv2.resize(np.square(roots / np.maximum(share, 1e-3)), strength.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return texture * np.minimum(1, STANDS_OUT * usual / np.maximum(strength, 1e-3))[..., None]


def _mirror(values: np.ndarray, nearest: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mirror values (h, w, C) at a hole's rim into the places `where`, (places, C).

    Each place takes the value as far beyond its nearest pixel outside as it lies before that pixel.
    """
    found = np.unravel_index(nearest[where], where.shape)
    beyond = (2 * edge - place for edge, place in zip(found, np.nonzero(where)))
    inner = (
        np.where(axis < 0, -axis, np.where(axis >= side, 2 * side - 2 - axis, axis)).clip(0, side - 1)
        for axis, side in zip(beyond, where.shape)
    )
    return values[tuple(inner)]
