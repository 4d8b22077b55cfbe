"""The two-layer renderer: a picture moved by a loop's displacement field, at any size and time (DESIGN.md §2).

Each layer shows at p what stood at p - d(p); then frame = colour + (1 - alpha) * plate. d is the cubic spline through
the field's cells, times the border's fade, times the short side. It is computed every few pixels (`MAP_STEPS`) and linear
between. Colours are kept at twice the output size (Lanczos, the picture itself at even places) and sampled linearly:
nearer to the ideal shift than a bicubic sample of the picture, at half its cost. A layer that streams is the cross-fade of two phases (`Renderer._shown`).

Video wants brightness at full and colour at half size (I420). The composite is linear, so it is made in those planes
directly: half the work of red, green and blue, and nothing to convert afterwards.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from loopanimate.field import LoopField, border_ramp, border_reach, spline_at
from loopanimate.layers import Layers, solve, split

TILE = 240  # pixels; what OpenCV makes of one and its margin is too small for threads of its own, so that tiles share the cores
MAP_STEPS = (4, 8)  # pixels from one computed displacement to the next: cells are 20 and more pixels; of LARGE, 45
LARGE = 1080  # pixels on the short side
LANCZOS = np.sinc(np.arange(-3.5, 4)) * np.sinc(np.arange(-3.5, 4) / 4)  # half-way between pixels
# Gives back what linear sampling of the doubled picture takes: of all shares, 0.08 comes nearest to the ideal shift of
# photographs (45.5 dB; 44.0 without, 43.7 bicubic), and is as sharp as a Lanczos warp.
HALF_WAY = np.convolve(LANCZOS / LANCZOS.sum(), [-0.08, 1.16, -0.08]).astype(np.float32)[None]
MEAN_SIGMA = 40  # short sides over the deviation of the blur that gives a stream's local mean
ALIKE = 2.0  # what is left of photographs beside their local mean correlates by exp(-2 r), at a distance of r deviations
# ITU-R BT.709, limited range: rows Y, Cb, Cr of (R, G, B, 1) in bytes
BT709 = np.array([[0.18259, 0.61423, 0.06201, 16], [-0.10064, -0.33857, 0.43922, 128], [0.43922, -0.39894, -0.04027, 128]])


@dataclass(frozen=True)
class _Group:
    """Planes that share a size: brightness; the two of colour; or red, green and blue.

    What moves is kept at twice the planes' size, where [2y, 2x] is what zero displacement shows at (y, x).
    """

    ratio: int  # output pixels per pixel here, each way
    planes: slice  # of the frame's planes
    layer: list[np.ndarray]  # each plane's colour, premultiplied, then alpha; (2h, 2w) uint8, (h, w) where it rests
    plate: list[np.ndarray]  # each plane; the same
    means: tuple[list[np.ndarray], list[np.ndarray]]  # local means (h, w) of both where they stream, else empty


class Renderer:
    """Frames of one picture moved by a LoopField, one at a time: memory does not grow with length or rate.

    image: (H, W, 3) uint8; mask: (H, W) float in [0, 1], the raw mask, white moves with the salient layer.
    planar: frames are I420 of BT.709, limited range, (3H/2, W), as video encoders take them; an odd last row or column
    is cut. Otherwise they are RGB (H, W, 3).
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, field: LoopField, planar: bool = False):
        if planar:
            image, mask = (part[: part.shape[0] // 2 * 2, : part.shape[1] // 2 * 2] for part in (image, mask))
        self.field, self.planar = field, planar
        self.height, self.width = image.shape[:2]
        self.short = min(self.height, self.width)
        # a spline runs a little over what it passes through, and two layers may part
        reach = int(np.ceil(1.2 * field.reach * self.short)) + 2  # pixels
        alpha, plate = split(image, mask, 2 * reach)
        self.layers = solve(image, alpha, plate)
        if planar:
            parts = [_yuv(image), _yuv(self.layers.plate)]
            brightness = [part[..., :1] for part in parts]
            colour = [_halved(part[..., 1:]) for part in parts]
            half = _halved(alpha)
            still = [brightness[0][..., 0], *cv2.split(colour[0][::2, ::2])]
            self.groups = [self._group(1, slice(0, 1), solve(brightness[0], alpha, brightness[1]), True),
                           self._group(2, slice(1, 3), solve(colour[0], half, colour[1]), False)]  # fmt: skip
        else:
            still = cv2.split(image)
            self.groups = [self._group(1, slice(0, 3), self.layers, True)]
        self.still = np.concatenate([plane.reshape(-1) for plane in still])
        self.tiles = [tile for tile in self._tiles(alpha, reach)]
        self.step = step = MAP_STEPS[self.short >= LARGE]
        places = [step * (np.arange(-1, -(-side // step) + 1) + 0.5) for side in (self.height, self.width)]
        self.y, self.x = (place.astype(np.float32) - np.float32(0.5) for place in places)  # pixel indices
        cells, border = field.winding.shape[-2:], border_reach(field.reach) * self.short
        self.rows, self.columns = (spline_at(count, place / side) for count, place, side
                                   in zip(cells, places, (self.height, self.width)))  # fmt: skip
        self.fades = [np.outer(*(border_ramp(place / side, border / side, ends) for place, side, ends
                                 in zip(places, (self.height, self.width), borders))).astype(np.float32) * self.short
                      for borders in field.borders]  # fmt: skip
        self.threads = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2))  # an encoder wants the others

    def _group(self, ratio: int, planes: slice, layers: Layers, double: bool) -> _Group:
        """double: the layers are at the planes' size; otherwise they are at twice that already."""
        sources = [[*cv2.split(layers.colour), layers.alpha], list(cv2.split(layers.plate))]
        means = ([], [])
        for index, parts in enumerate(sources):
            resting = parts if double else [part[::2, ::2].copy() for part in parts]
            if self.field.winding[2 * index : 2 * index + 2].any():
                blur = max(1.0, self.short / MEAN_SIGMA / ratio)
                means[index].extend(cv2.GaussianBlur(part.astype(np.float32), (0, 0), blur) for part in resting)
            sources[index] = ([_doubled(part) for part in parts] if double else parts) if self.field.moves[index] else resting
        return _Group(ratio, planes, *sources, means)

    def _tiles(self, alpha: np.ndarray, reach: int) -> Iterator[tuple[slice, slice, bool, bool]]:
        """Rows, columns, whether the layer and whether the plate shows there, of every tile in which something moves."""
        for top in range(0, self.height, TILE):
            for left in range(0, self.width, TILE):
                near = alpha[max(0, top - reach) : top + TILE + reach, max(0, left - reach) : left + TILE + reach]
                layer, plate = bool(near.max() > 0), bool(near.min() < 255)
                if (layer and self.field.moves[0]) or (plate and self.field.moves[1]):
                    yield slice(top, min(top + TILE, self.height)), slice(left, min(left + TILE, self.width)), layer, plate

    def frame(self, time: float) -> np.ndarray:
        """The picture at `time` in native frames, uint8; `time` 0 is the picture itself."""
        flat = self.still.copy()
        planes, start = [], 0
        for group in self.groups:
            shape = self.height // group.ratio, self.width // group.ratio
            for _ in range(*group.planes.indices(3)):
                planes.append(flat[start : start + shape[0] * shape[1]].reshape(shape))
                start += shape[0] * shape[1]
        if time % self.field.period:
            displacement, phases = self.field.at(time)
            fields = [[self.rows @ part for part in self._fields(index, displacement)] for index in range(2)]  # (2, rows, w)
            workers = self.threads._max_workers
            jobs = [self.threads.submit(self._draw, planes, fields, phases, self.tiles[start::workers])
                    for start in range(workers)]  # fmt: skip
            for job in jobs:
                job.result()
        return flat.reshape(-1, self.width) if self.planar else cv2.merge(planes)

    def _fields(self, index: int, displacement: np.ndarray) -> list[np.ndarray]:
        """A layer's displacement (2, h, w), and that of its earlier phase where it streams; nothing where it rests."""
        if not self.field.moves[index]:
            return []
        part = slice(2 * index, 2 * index + 2)
        winding = self.field.winding[part]
        return [displacement[part], displacement[part] - winding] if winding.any() else [displacement[part]]

    def _draw(self, planes: list[np.ndarray], fields: list, phases: tuple[float, float], tiles: list) -> None:
        for rows, columns, layer, plate in tiles:
            over, under = (self._moved(*layer, rows, columns) for layer in zip(fields, self.fades))
            for group in self.groups:
                box = tuple(slice(part.start // group.ratio, part.stop // group.ratio) for part in (rows, columns))
                targets = [plane[box] for plane in planes[group.planes]]
                if not plate:
                    self._shown(group, 0, over, phases[0], box, targets)
                elif not layer:
                    self._shown(group, 1, under, phases[1], box, targets)
                else:  # alpha is needed only where the plate shows
                    *front, alpha = self._shown(group, 0, over, phases[0], box, [None] * (len(targets) + 1))
                    back = self._shown(group, 1, under, phases[1], box, [None] * len(targets))
                    clear = cv2.bitwise_not(alpha)
                    for target, colour, behind in zip(targets, front, back):
                        cv2.add(colour, cv2.multiply(clear, behind, behind, 1 / 255), target)

    def _moved(self, fields: list[np.ndarray], fade: np.ndarray, rows: slice, columns: slice) -> list[list[np.ndarray]]:
        """Where a tile and one step around it is sampled, x and y, in pixels, every `step`; for each phase."""
        # products this small stay on the calling thread
        down, across = (slice(part.start // self.step, -(-part.stop // self.step) + 2) for part in (rows, columns))
        fade, spline = fade[down, across], self.columns[across].T
        return [[self.x[across] - dx[down] @ spline * fade, self.y[down, None] - dy[down] @ spline * fade] for dx, dy in fields]

    def _shown(self, group: _Group, index: int, places: list, phase: float, box: tuple[slice, slice], targets: list) -> list:
        """The first planes of a layer in a box of the frame, (h, w) uint8 each, drawn into the targets that are given."""
        sources = (group.layer, group.plate)[index][: len(targets)]
        if not places:
            return [cv2.copyTo(source[box], None, target) for source, target in zip(sources, targets)]
        step = self.step // group.ratio
        height, width = (part.stop - part.start for part in box)
        moved = []

        def enlarged(part: np.ndarray) -> np.ndarray:
            fine = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
            return fine[step : step + height, step : step + width]

        for pair in places:
            # a plane's pixel i stands on i + (ratio - 1) / 2 of the frame's, and its source's 2i shows it at rest
            pair = [(part - (group.ratio - 1) / 2) * (2 / group.ratio) for part in pair]
            spans = [(min(max(0, int(part.min()) - 1), 2 * side - 1), int(part.max()) + 3)
                     for part, side in zip(pair, (self.width // group.ratio, self.height // group.ratio))]  # fmt: skip
            fine = [enlarged(part - start) for part, (start, _) in zip(pair, spans)]
            near = tuple(slice(*span) for span in spans[::-1])
            drawn = targets if len(places) == 1 else [None] * len(targets)
            # a copy of the rows, which memory gives in order, is sampled faster than the rows here and there
            moved.append([cv2.remap(source[near].copy(), *fine, cv2.INTER_LINEAR, target, cv2.BORDER_REPLICATE)
                          for source, target in zip(sources, drawn)])  # fmt: skip
        if len(moved) == 1:
            return moved[0]
        # two phases of an endless flow, cross-faded; the blend of two unlike textures loses contrast: give it back.
        # The weight eases in and out: a linear one turns around at the wrap, and the turn can be seen there.
        weight = phase * phase * (3 - 2 * phase)
        apart = np.hypot(*(later - earlier for later, earlier in zip(*places)))  # pixels of the frame
        alike = np.exp(-ALIKE * MEAN_SIGMA / self.short * apart)
        gain = enlarged(1 / np.sqrt((1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * alike))
        shown = []
        for now, before, mean, target in zip(*moved, group.means[index], targets):
            blend = cv2.addWeighted(now, 1 - weight, before, weight, 0, dtype=cv2.CV_32F)
            detail = cv2.multiply(cv2.subtract(blend, mean[box], blend), gain, blend)
            shown.append(cv2.add(detail, mean[box], target, dtype=cv2.CV_8U))
        return shown


def _doubled(plane: np.ndarray) -> np.ndarray:
    """(h, w) uint8 → (2h, 2w): itself at even places, interpolated between."""
    height, width = plane.shape
    double = np.empty((2 * height, 2 * width), np.uint8)
    double[::2, ::2] = plane
    # an even kernel is anchored left of its middle, which then lies half a pixel on
    left = HALF_WAY.shape[1] // 2 - 1
    double[::2, 1::2] = cv2.filter2D(plane, -1, HALF_WAY, anchor=(left, 0), borderType=cv2.BORDER_REPLICATE)
    double[1::2] = cv2.filter2D(double[::2], -1, HALF_WAY.T, anchor=(0, left), borderType=cv2.BORDER_REPLICATE)
    return double


def _yuv(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(cv2.transform(pixels.astype(np.float32), BT709)), 0, 255).astype(np.uint8)


def _halved(planes: np.ndarray) -> np.ndarray:
    """Planes low-passed for half size but kept at theirs: [2y, 2x] lies on column 2x, between rows 2y and 2y + 1."""
    across, down = np.array([0.25, 0.5, 0.25]), np.array([0.5, 0.5])
    return cv2.sepFilter2D(planes, -1, across, down, anchor=(1, 0), borderType=cv2.BORDER_REPLICATE)
