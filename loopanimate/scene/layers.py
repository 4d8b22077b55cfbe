"""The two layers of a picture: what is salient, with soft edges, and the plate behind it (DESIGN.md §2).

picture = colour + (1 - alpha) * plate, everywhere and exactly, colour premultiplied by alpha.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from loopanimate.scene.matting import matte

ALPHA_RAMP = (0.3, 0.7)  # of the raw mask
COVERED = 0.05  # alpha above which what lies behind is filled ...
SAFE = 1  # ... as many pixels of PLATE_SIDE around it too: mattes are not that exact
FINE = 3.0  # pixels, Gaussian: what is finer is texture
MOSTLY = 80  # of 255: alpha from which a pixel counts as the layer's
FAINT = 0.004  # alpha up to which the plate is the picture
PLATE_SIDE = 512  # pixels on the short side at which the plate is filled


@dataclass(frozen=True)
class Layers:
    """A picture taken apart, in bytes: colour (H, W, C), alpha (H, W), plate (H, W, C), all uint8."""

    colour: np.ndarray
    alpha: np.ndarray
    plate: np.ndarray


def split(image: np.ndarray, mask: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (H, W) and plate (H, W, 3), both uint8, of a picture (H, W, 3) uint8 and its raw mask (H, W) in [0, 1].

    reach: pixels that the layers may come apart; the plate is filled as far.
    """
    low, high = ALPHA_RAMP
    alpha = matte(image, np.clip((mask.astype(np.float32) - low) / (high - low), 0, 1))
    plate, alpha = fill_plate(image, alpha, reach + 2), _to_bytes(alpha * 255)
    # where no colour of that alpha could explain the picture over the plate: what is mostly the layer becomes more of it ...
    rim = (alpha >= MOSTLY) & (alpha < 255)
    seen, behind = image[rim].astype(np.float32), np.clip(plate[rim], 1, 254).astype(np.float32)
    clear = 255 * np.minimum(seen / behind, (255 - seen) / (255 - behind)).min(1)
    alpha[rim] = np.maximum(alpha[rim], 255 - np.minimum(np.floor(clear), 255)).astype(np.uint8)
    # ... and of what is mostly behind, the plate comes nearer to the picture, all of its colours alike
    rim = (alpha > 0) & (alpha < MOSTLY)
    seen, behind, share = image[rim].astype(np.float32), plate[rim].astype(np.float32), alpha[rim, None] / np.float32(255)
    most, least = seen / (1 - share), (seen - 255 * share) / (1 - share)
    nearer = np.maximum(behind - most, least - behind) / np.maximum(np.abs(behind - seen), 1e-3)
    plate[rim] = _to_bytes(behind + np.clip(nearer.max(1, keepdims=True), 0, 1) * (seen - behind))
    return alpha, plate


def solve(image: np.ndarray, alpha: np.ndarray, plate: np.ndarray) -> Layers:
    """Layers whose composite, in the renderer's own integers, *is* the picture; image and plate (H, W, C) uint8.

    Where no colour of that alpha could explain the picture over that plate, the plate gives way: at a faint alpha, which
    `split` leaves as it is, it is the picture itself, so contact shadows stay.
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
    """The background behind the salient layer, (H, W, 3) uint8, filled in the `band` pixels that motion can uncover.

    Outside the layer it is the picture. Behind it the colours of outside go on inwards (Telea, at PLATE_SIDE), with the
    texture that the rim's mirror image outside has; colours of the rim itself are not read, as some of the layer is in them.
    """
    height, width = alpha.shape
    scale = min(1.0, PLATE_SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small, share = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (image, alpha.astype(np.float32)))
    hole = cv2.dilate((share > COVERED).astype(np.uint8), np.ones((2 * SAFE + 1,) * 2, np.uint8))
    if not hole.any() or hole.all():
        return image.copy()
    near, nearest = _outside(hole, band * scale + SAFE + 1)
    # beyond the band nothing is ever seen, but the fill would read it: give it the nearest colours of outside
    filled = cv2.inpaint(small.reshape(-1, 3)[nearest], near.astype(np.uint8), 4, cv2.INPAINT_TELEA).astype(np.float32)
    filled[near] = cv2.GaussianBlur(filled, (0, 0), FINE / 2)[near] + _mirrored(_fine(small, hole == 0), nearest, near)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    if scale < 1:  # texture finer than that
        hole = cv2.resize(hole, (width, height), interpolation=cv2.INTER_NEAREST)
        box = tuple(
            slice(max(0, where[0] - band), where[-1] + band + 1) for where in map(np.flatnonzero, (hole.any(1), hole.any(0)))
        )
        near, nearest = _outside(hole[box], band)
        filled[box][near] += _mirrored(_finer(image[box], hole[box] == 0, scale), nearest, near)
    plate, covered = image.copy(), alpha > 0
    weight = np.clip(alpha[covered] / (4 * FAINT), 0, 1)[:, None]
    plate[covered] = _to_bytes(plate[covered] + (filled[covered] - plate[covered]) * weight)
    return plate


def _outside(hole: np.ndarray, band: float) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels of a hole (h, w) lie within `band` of outside, and the index of the outside pixel nearest to each."""
    depth, labels = cv2.distanceTransformWithLabels(hole, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    outside = np.flatnonzero(hole == 0)
    nearest = np.zeros(labels.max() + 1, outside.dtype)
    nearest[labels.flat[outside]] = outside
    return (depth > 0) & (depth <= band), nearest[labels]


def _fine(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What a picture (h, w, 3) has of detail below FINE pixels where it is known, 0 elsewhere."""
    share = known.astype(np.float32)[..., None]
    mass = cv2.GaussianBlur(share, (0, 0), FINE)[..., None]
    return share * (image - cv2.GaussianBlur(image * share, (0, 0), FINE) / np.maximum(mass, 1e-3))


def _finer(image: np.ndarray, known: np.ndarray, scale: float) -> np.ndarray:
    """What a picture (h, w, 3) loses where it is known when it is made smaller by `scale`, 0 elsewhere."""
    share = known.astype(np.float32)[..., None]
    size = known.shape[::-1]
    small = [max(1, round(side * scale)) for side in size]
    mass = cv2.resize(share, small, interpolation=cv2.INTER_AREA)[..., None]
    coarse = cv2.resize(image * share, small, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-3)
    return share * (image - cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))


def _mirrored(values: np.ndarray, nearest: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Values (h, w, C) as far beyond the nearest pixel outside as each place of `where` is before it, (places, C)."""
    found = np.unravel_index(nearest[where], where.shape)
    beyond = (2 * edge - place for edge, place in zip(found, np.nonzero(where)))
    inner = (
        np.where(axis < 0, -axis, np.where(axis >= side, 2 * side - 2 - axis, axis)).clip(0, side - 1)
        for axis, side in zip(beyond, where.shape)
    )
    return values[tuple(inner)]
