"""The two-layer renderer: a picture moved by displacement fields, at any size and time (DESIGN.md §2).

Displacement is how content moves, in short sides: the renderer shows at p what stood at p - d(p).
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import CubicSpline

WINDING_THRESHOLD = 0.05  # short sides; a layer that ends closer to its start has drifted and does not stream
RESIDUE = 0.006  # short sides; a layer whose mean displacement never reaches it may be what sampling left over ...
RESIDUE_SHARE = 0.75  # ... and is, if it moves less than this share of the other layer: it is then put to rest
MIN_DETERMINANT = 0.25  # of the content's Jacobian, after which strength is held back
BORDER_REACH = 3.0  # border fade in units of the largest displacement: its slope stays below a half
MIN_BORDER, MAX_BORDER = 0.02, 0.3  # short sides; what folds in a border of the largest is held back
ALPHA_RAMP = (0.3, 0.7)  # of the raw mask
PLATE_SIDE = 512  # pixels on the short side at which the plate is filled


def grid_points(height: int, width: int, device: str | torch.device = "cpu") -> torch.Tensor:
    """Cell centres (2, h, w), x then y, in units of the short side."""
    short = min(height, width)
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return (torch.stack([x, y]) + 0.5) / short


def warp(values: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """What stood at p - d(p), shown at p: values (B, C, h, w), displacement (B, 2, h, w) in short sides."""
    height, width = values.shape[-2:]
    sides = torch.tensor([width, height], device=values.device) / min(height, width)
    source = (grid_points(height, width, values.device) - displacement) / sides.view(1, 2, 1, 1) * 2 - 1
    return F.grid_sample(values, source.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)


def spline_matrix(cells: int, pixels: int) -> np.ndarray:
    """(pixels, cells) float32: interpolating cubic spline from cell centres to pixel centres, constant past the rim."""
    centres = np.arange(cells) + 0.5
    at = np.clip((np.arange(pixels) + 0.5) * cells / pixels, centres[0], centres[-1])
    return CubicSpline(centres, np.eye(cells), bc_type="natural")(at).astype(np.float32)


def border_fade(height: int, width: int, reach: float) -> np.ndarray:
    """(H, W) float32: 0 at the picture's border, 1 from `reach` short sides inwards, smooth between."""
    short = min(height, width)

    def side(pixels):
        centre = (np.arange(pixels) + 0.5) / short
        ramp = np.clip(np.minimum(centre, pixels / short - centre) / reach, 0, 1)
        return ramp * ramp * (3 - 2 * ramp)

    return np.outer(side(height), side(width)).astype(np.float32)


def border_reach(displacement: float) -> float:
    """Width of the border, in short sides, that a largest displacement asks for."""
    return min(MAX_BORDER, max(MIN_BORDER, BORDER_REACH * displacement))


class LoopField:
    """The closed curve of two layers' displacement: periodic part plus winding, at any time.

    displacement: (N, 4, h, w) in short sides, frame 0 all zeros; salient dx, dy, background dx, dy. Each layer that
    ends within `WINDING_THRESHOLD` of its start is closed by removing the drift linearly; one that ends farther
    streams, and its `winding` (4, h, w) is kept. A layer that hardly moves beside one that does is put to rest, since no
    words ask for it. `strength` scales both parts, per layer held back so that no cell folds.
    """

    def __init__(self, displacement: np.ndarray, strength: float = 1.0):
        frames = displacement.shape[0]
        self.period = frames - 1  # native frames
        winding = displacement[-1].copy()
        ramp = (np.arange(frames, dtype=np.float32) / self.period)[:, None, None, None]
        ring = displacement - ramp * winding
        ring[-1] = ring[0]
        for layer in (slice(0, 2), slice(2, 4)):
            if np.sqrt((winding[layer] ** 2).sum(0).mean()) < WINDING_THRESHOLD:
                winding[layer] = 0
        peaks = [np.hypot(ring[:, 2 * i], ring[:, 2 * i + 1]).mean((-2, -1)).max() for i in range(2)]  # short sides
        self.strength = [strength, strength]
        self.winding, self.ring = winding * strength, ring * strength
        for index, layer in enumerate((slice(0, 2), slice(2, 4))):
            rest = 0.0 if winding[layer].any() else _at_rest(peaks[index], peaks[1 - index])
            self.winding[layer] *= 1 - rest
            self.ring[:, layer] *= 1 - rest
            scale = self._unfolded(layer)
            self.strength[index] *= (1 - rest) * scale
            self.winding[layer] *= scale
            self.ring[:, layer] *= scale
        self.curve = CubicSpline(np.arange(frames), self.ring, axis=0, bc_type="periodic")
        moved = self.ring + ramp * self.winding
        sizes = np.stack([np.hypot(part[:, 0], part[:, 1]) for part in (moved[:, :2], moved[:, 2:])], axis=1)
        self.reach = float(sizes.max())  # short sides, the farthest any content goes
        self.moves = tuple(bool(sizes[:, layer].max() > 1e-5) for layer in range(2))

    def _unfolded(self, layer: slice) -> float:
        """Largest factor up to 1 that keeps the layer's Jacobian determinant above MIN_DETERMINANT, border included."""
        height, width = self.ring.shape[-2:]
        rows, columns = spline_matrix(height, 4 * height), spline_matrix(width, 4 * width)
        ends = self.ring[:, layer] + self.winding[layer] * (np.arange(len(self.ring)) / self.period)[:, None, None, None]
        field = rows @ ends.astype(np.float32) @ columns.T  # (N, 2, 4h, 4w)
        field *= border_fade(4 * height, 4 * width, border_reach(float(np.hypot(field[:, 0], field[:, 1]).max())))
        cell = 1 / (4 * min(height, width))
        by_y, by_x = (np.gradient(field, cell, axis=axis) for axis in (-2, -1))
        factor = 1.0
        while factor > 0.05:
            determinant = (1 - factor * by_x[:, 0]) * (1 - factor * by_y[:, 1]) - factor**2 * by_x[:, 1] * by_y[:, 0]
            if determinant.min() >= MIN_DETERMINANT:
                break
            factor *= 0.93
        return factor

    def at(self, time: float) -> tuple[np.ndarray, float]:
        """Displacement (4, h, w) in short sides at `time` in native frames, and the turn's phase in [0, 1)."""
        phase = (time / self.period) % 1.0
        if phase == 0:
            return np.zeros_like(self.winding), 0.0
        return (self.curve(phase * self.period) + phase * self.winding).astype(np.float32), phase


def _at_rest(peak: float, other: float) -> float:
    """How much a layer of that peak displacement is put to rest beside another: 1 all of it, 0 none, smooth between."""
    moving = max(peak / RESIDUE, peak / max(RESIDUE_SHARE * other, 1e-9))
    ramp = np.clip((1.2 - moving) / 0.4, 0, 1)
    return float(ramp * ramp * (3 - 2 * ramp))


class Renderer:
    """Frames of one picture moved by a LoopField, one at a time: memory does not grow with length or rate.

    image: (H, W, 3) uint8; mask: (H, W) float in [0, 1], the raw mask, white moves with the salient layer.
    The salient layer's colours are solved so that zero displacement composites to the exact picture:
    picture = colour + (1 - alpha) * plate, colour premultiplied by alpha.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, field: LoopField):
        self.image, self.field = image, field
        height, width = image.shape[:2]
        self.short = min(height, width)
        cells = field.winding.shape[-2:]
        self.rows, self.columns = spline_matrix(cells[0], height), spline_matrix(cells[1], width)
        self.fade = border_fade(height, width, border_reach(field.reach)) * self.short
        low, high = ALPHA_RAMP
        alpha = np.clip((mask.astype(np.float32) - low) / (high - low), 0, 1)
        self.covered = bool((alpha == 1).all())  # no background to see
        # a pixel more than the content travels, both ways
        band = int(np.ceil(2 * field.reach * self.short)) + 2
        self.plate = image.astype(np.float32) if self.covered else fill_plate(image, alpha, band)
        colour = image - (1 - alpha[..., None]) * self.plate
        self.layer = np.dstack([colour, alpha])  # (H, W, 4)
        self.x, self.y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self.means = [_local_mean(part, self.short) if _streams(field, index) else None
                      for index, part in enumerate((self.layer, self.plate))]  # fmt: skip

    def frame(self, time: float) -> np.ndarray:
        """The picture at `time` in native frames, (H, W, 3) uint8; `time` 0 is the picture itself."""
        displacement, phase = self.field.at(time)
        if phase == 0:
            return self.image.copy()
        layer = self._moved(self.layer, 0, displacement, phase)
        if self.covered:
            return _to_bytes(layer[..., :3])
        plate = self._moved(self.plate, 1, displacement, phase)
        return _to_bytes(layer[..., :3] + (1 - layer[..., 3:]) * plate)

    def _moved(self, pixels: np.ndarray, index: int, displacement: np.ndarray, phase: float) -> np.ndarray:
        if not self.field.moves[index]:
            return pixels
        part = slice(2 * index, 2 * index + 2)
        moved = self._sample(pixels, displacement[part])
        if not _streams(self.field, index):
            return moved
        # two phases of an endless flow, cross-faded; the blend of two unlike textures loses contrast: give it back.
        # The weight eases in and out: a linear one turns around at the wrap, and the turn can be seen there.
        earlier = self._sample(pixels, displacement[part] - self.field.winding[part])
        mean = self.means[index]
        weight = phase * phase * (3 - 2 * phase)
        gain = 1 / np.hypot(1 - weight, weight)
        return mean + ((1 - weight) * (moved - mean) + weight * (earlier - mean)) * gain

    def _sample(self, pixels: np.ndarray, displacement: np.ndarray) -> np.ndarray:
        across, down = (self.rows @ part @ self.columns.T * self.fade for part in displacement)  # (H, W), pixels
        return cv2.remap(pixels, self.x - across, self.y - down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _streams(field: LoopField, index: int) -> bool:
    return bool(field.winding[2 * index : 2 * index + 2].any())


def _local_mean(pixels: np.ndarray, short: int) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), max(1.0, short / 40))


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def fill_plate(image: np.ndarray, alpha: np.ndarray, band: int) -> np.ndarray:
    """The background behind the salient layer, (H, W, 3) float32, filled in the `band` pixels that motion can uncover.

    Outside the layer it is the picture. The fill is made at PLATE_SIDE: what is uncovered is a thin, moving rim.
    """
    height, width = alpha.shape
    scale = min(1.0, PLATE_SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    margin = max(1, round(0.004 * min(size)))  # a mask's edge is rarely exact: keep the object's rim out of the plate
    hole = cv2.dilate((cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 0.01).astype(np.uint8),
                      np.ones((2 * margin + 1,) * 2, np.uint8))  # fmt: skip
    if not hole.any() or hole.all():
        return image.astype(np.float32)
    depth = cv2.distanceTransform(hole, cv2.DIST_L2, 3)
    near = ((depth > 0) & (depth <= band * scale + margin + 1)).astype(np.uint8)
    # beyond the band nothing is ever seen, but the fill would read it: give it the nearest colours of outside
    labels = cv2.distanceTransformWithLabels(hole, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)[1]
    nearest = np.zeros((labels.max() + 1, 3), np.uint8)
    nearest[labels[hole == 0]] = small[hole == 0]
    outside = np.where(hole[..., None] > 0, nearest[labels], small)
    filled = cv2.inpaint(outside, near, 4, cv2.INPAINT_TELEA).astype(np.float32)
    size = (width, height)
    filled = cv2.resize(filled, size, interpolation=cv2.INTER_CUBIC)
    hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None]
    return image * (1 - hole) + filled * hole
