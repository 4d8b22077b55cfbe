"""The two-layer renderer: a picture moved by a loop's displacement field, at any size and time (DESIGN.md §2)."""

import cv2
import numpy as np

from loopanimate.field import LoopField, border_fade, border_reach, spline_matrix

ALPHA_RAMP = (0.3, 0.7)  # of the raw mask
PLATE_SIDE = 512  # pixels on the short side at which the plate is filled


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
        if time % self.field.period == 0:
            return self.image.copy()
        displacement, phases = self.field.at(time)
        layer = self._moved(self.layer, 0, displacement, phases[0])
        if self.covered:
            return _to_bytes(layer[..., :3])
        plate = self._moved(self.plate, 1, displacement, phases[1])
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
