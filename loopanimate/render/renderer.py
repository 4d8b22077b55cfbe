"""The two-layer renderer: a picture moved by a loop's displacement field, at any size and time (DESIGN.md §2).

Each layer shows at p what stood at p - d(p); then frame = colour + (1 - alpha) * plate. d is the cubic spline through
the field's cells, times the border's fade, times the short side. It is computed every few pixels (`MAP_STEPS`) and linear
between. Colours are kept at twice the output size (Lanczos, the picture itself at even places) and sampled linearly:
nearer to the ideal shift than a bicubic sample of the picture, at half its cost. A layer that streams is the cross-fade of
two phases (`Renderer._show`).

Video wants brightness at full and colour at half size (I420). The composite is linear, so it is made in those planes
directly: half the work of red, green and blue, and nothing to convert afterwards.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from loopanimate.motion.border import border_ramp, border_reach
from loopanimate.motion.field import ALIKE, MEAN_SIGMA
from loopanimate.motion.grid import spline_at
from loopanimate.render import kernels as sampling
from loopanimate.scene.layers import Layers, solve, split

TILE = 240  # pixels; what one is sampled from fits the cache of a core
RIM_TILE = 120  # pixels, where both layers show: each is drawn in as few places as can be
MAP_STEPS = (4, 8)  # pixels from one computed displacement to the next: cells are 20 and more pixels; of LARGE, 45
LARGE = 1080  # pixels on the short side
LANCZOS = np.sinc(np.arange(-3.5, 4)) * np.sinc(np.arange(-3.5, 4) / 4)  # half-way between pixels
# Gives back what linear sampling of the doubled picture takes: of all shares, 0.08 comes nearest to the ideal shift of
# photographs (45.5 dB; 44.0 without, 43.7 bicubic), and is as sharp as a Lanczos warp.
HALF_WAY = np.convolve(LANCZOS / LANCZOS.sum(), [-0.08, 1.16, -0.08]).astype(np.float32)[None]
# ITU-R BT.709, limited range: rows Y, Cb, Cr of (R, G, B, 1) in bytes
BT709 = np.array([[0.18259, 0.61423, 0.06201, 16], [-0.10064, -0.33857, 0.43922, 128], [0.43922, -0.39894, -0.04027, 128]])


@dataclass(frozen=True)
class _Group:
    """Planes that share a size: brightness; the two of colour; or red, green and blue.

    What moves is kept at twice the planes' size, where [2y, 2x] is what zero displacement shows at (y, x).
    """

    ratio: int  # output pixels per pixel here, each way
    count: int  # P
    layer: np.ndarray  # the planes' colours, premultiplied, then alpha: (P + 1, 2h, 2w) uint8, (P + 1, h, w) where it rests
    plate: np.ndarray  # (P, ...); the same
    means: list[np.ndarray | None]  # local means of both at the planes' size, float32, where they stream


class _Flat:  # bridge until the renderer draws any number of layers
    def __init__(self, field):
        self.field = field
        self.__dict__.update(
            {n: getattr(field, n) for n in ("period", "turns", "even", "reach", "reaches", "moves", "borders")}
        )
        self.winding = field.winding.reshape(-1, *field.winding.shape[2:])
        self.ring = field.ring.reshape(len(field.ring), -1, *field.ring.shape[3:])
        self.curve = lambda t: (lambda v: v.reshape(*v.shape[:-4], -1, *v.shape[-2:]))(field.curve(t))

    def at(self, time):
        d, w = self.field.at(time)
        return d.reshape(self.winding.shape), w

    def headroom(self, strongest):
        from loopanimate.motion.edits import unfolded

        f = self.field
        return [max(1.0, strongest * unfolded(f.ring[:, k], f.winding[k], f.borders[k], strongest)) for k in range(f.layers)]


class Renderer:
    """Frames of one picture moved by a LoopField, one at a time: memory does not grow with length or rate.

    image: (H, W, 3) uint8; mask: (H, W) float in [0, 1], the raw mask, white moves with the salient layer.
    planar: frames are I420 of BT.709, limited range, (3H/2, W), as video encoders take them; an odd last row or column
    is cut. Otherwise they are RGB (H, W, 3).
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, field, planar: bool = False):
        mask, field = mask[0], _Flat(field)
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
            self.groups = [
                self._group(1, solve(brightness[0], alpha, brightness[1]), True),
                self._group(2, solve(colour[0], half, colour[1]), False),
            ]
        else:
            still = cv2.split(image)
            self.groups = [self._group(1, self.layers, True)]
        self.still = np.concatenate([plane.reshape(-1) for plane in still])
        self.alpha_range = sampling.spread(alpha)
        self.tiles, self.rests = self._tiles(alpha, reach)
        self.step = step = MAP_STEPS[self.short >= LARGE]
        places = [step * (np.arange(-1, -(-side // step) + 1) + 0.5) for side in (self.height, self.width)]
        self.y, self.x = (place.astype(np.float32) - np.float32(0.5) for place in places)  # pixel indices
        self.at_rest = np.stack(np.meshgrid(self.x, self.y))
        cells, border = field.winding.shape[-2:], border_reach(field.reach) * self.short
        self.rows, columns = (
            spline_at(count, place / side) for count, place, side in zip(cells, places, (self.height, self.width))
        )
        self.columns = np.ascontiguousarray(columns.T)
        self.fades = [
            np.outer(
                *(
                    border_ramp(place / side, border / side, ends)
                    for place, side, ends in zip(places, (self.height, self.width), borders)
                )
            ).astype(np.float32)
            * self.short
            for borders in field.borders
        ]
        self.threads = ThreadPoolExecutor(max(2, (os.cpu_count() or 1) // 2))  # an encoder wants the others

    def _group(self, ratio: int, layers: Layers, double: bool) -> _Group:
        """double: the layers are at the planes' size; otherwise they are at twice that already."""
        sources = [[*cv2.split(layers.colour), layers.alpha], list(cv2.split(layers.plate))]
        means = [None, None]
        for index, parts in enumerate(sources):
            resting = parts if double else [part[::2, ::2] for part in parts]
            if self.field.winding[2 * index : 2 * index + 2].any():
                blur = max(1.0, self.short / MEAN_SIGMA / ratio)
                means[index] = np.stack([cv2.GaussianBlur(part.astype(np.float32), (0, 0), blur) for part in resting])
            if self.field.moves[index]:
                size = [side * (2 if double else 1) for side in parts[0].shape]
                sources[index] = sampling.planes(len(parts), *size)
                for part, source in zip(parts, sources[index]):
                    source[:] = _doubled(part) if double else part
            else:
                sources[index] = np.stack(resting)
        return _Group(ratio, len(sources[1]), *sources, means)

    def _tiles(self, alpha: np.ndarray, reach: int) -> tuple[list[tuple[slice, slice]], bool]:
        """Rows and columns of every tile in which something moves, and whether there are others."""
        tiles = list(self._parts(slice(0, self.height), slice(0, self.width), TILE))
        moving = []
        for rows, columns in tiles:
            near = alpha[tuple(slice(max(0, part.start - reach), part.stop + reach) for part in (rows, columns))]
            if (near.max() > 0 and self.field.moves[0]) or (near.min() < 255 and self.field.moves[1]):
                moving.append((rows, columns))
        return moving, len(moving) < len(tiles)

    @staticmethod
    def _parts(rows: slice, columns: slice, side: int) -> Iterator[tuple[slice, slice]]:
        for top in range(rows.start, rows.stop, side):
            for left in range(columns.start, columns.stop, side):
                yield slice(top, min(top + side, rows.stop)), slice(left, min(left + side, columns.stop))

    def frame(self, time: float) -> np.ndarray:
        """The picture at `time` in native frames, uint8; `time` 0 is the picture itself."""
        moves = time % self.field.period != 0
        flat = np.empty_like(self.still) if moves and not self.rests else self.still.copy()
        frame, start = [], 0  # (P, h, w) of each group
        for group in self.groups:
            shape = group.count, self.height // group.ratio, self.width // group.ratio
            frame.append(flat[start : start + np.prod(shape)].reshape(shape))
            start += frame[-1].size
        if moves:
            displacement, weights = self.field.at(time)
            known = [
                [self._places(fade, part) for part in self._fields(index, displacement)]
                for index, fade in enumerate(self.fades)
            ]
            workers = self.threads._max_workers
            jobs = [
                self.threads.submit(self._draw, frame, known, weights, self.tiles[start::workers]) for start in range(workers)
            ]
            for job in jobs:
                job.result()
        return flat.reshape(-1, self.width) if self.planar else cv2.merge(list(frame[0]))

    def _fields(self, index: int, displacement: np.ndarray) -> list[np.ndarray]:
        """A layer's displacement (2, h, w), and that of its earlier phase where it streams; nothing where it rests."""
        if not self.field.moves[index]:
            return []
        part = slice(2 * index, 2 * index + 2)
        winding = self.field.winding[part]
        return [displacement[part], displacement[part] - winding] if winding.any() else [displacement[part]]

    def _places(self, fade: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Where a layer of that displacement and border is sampled, (2, rows, columns), of `sampling.places`."""
        known = np.empty((2, len(self.y), len(self.x)), np.float32)
        sampling.places(self.rows @ part.astype(np.float32), self.columns, fade, self.x, self.y, known)
        return known

    def _draw(self, frame: list[np.ndarray], known: list[list[np.ndarray]], weights: tuple[float, float], tiles: list) -> None:
        for rows, columns in tiles:
            layer, plate = self._visible(known[0], rows, columns)
            if layer and plate and max(rows.stop - rows.start, columns.stop - columns.start) > RIM_TILE:
                self._draw(frame, known, weights, list(self._parts(rows, columns, RIM_TILE)))
                continue
            for group, planes in zip(self.groups, frame):
                box = tuple(slice(part.start // group.ratio, part.stop // group.ratio) for part in (rows, columns))
                if not (layer and plate):
                    only = int(plate)
                    self._show(group, only, known[only], weights[only], box, planes)
                    continue
                # alpha, the last of the layer's planes, is needed only where the plate shows
                *front, alpha = self._show(group, 0, known[0], weights[0], box)
                back = self._show(group, 1, known[1], weights[1], box)
                clear = cv2.bitwise_not(alpha)
                for plane, colour, behind in zip(planes, front, back):
                    cv2.add(colour, cv2.multiply(clear, behind, behind, 1 / 255), plane[box])

    def _visible(self, known: list[np.ndarray], rows: slice, columns: slice) -> tuple[bool, bool]:
        """Whether the layer, sampled where `known` says, shows anywhere in a tile, and whether the plate does."""
        limits = rows.start, rows.stop, columns.start, columns.stop
        alphas = [sampling.alphas(places, self.step, *limits, *self.alpha_range) for places in known or [self.at_rest]]
        return any(most > 0 for _, most in alphas), any(least < 255 for least, _ in alphas)

    def _show(
        self,
        group: _Group,
        index: int,
        known: list[np.ndarray],
        weight: float,
        box: tuple[slice, slice],
        planes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw a layer in a box of the frame into the frame's planes (P, h, w) uint8, or into new ones of the box."""
        source = (group.layer, group.plate)[index]
        origin = (0, 0)
        if planes is None:
            origin = tuple(part.start for part in box)
            planes = np.empty((len(source), *(part.stop - part.start for part in box)), np.uint8)
        if not known:
            here = (slice(part.start - start, part.stop - start) for part, start in zip(box, origin))
            planes[(slice(None), *here)] = source[(slice(len(planes)), *box)]
            return planes
        limits = [end for part in box for end in (part.start, part.stop)]
        if len(known) == 1:
            sampling.sample(source, known[0], self.step, group.ratio, planes, *limits, *origin)
            return planes
        # two phases of an endless flow, cross-faded; the blend of two unlike textures loses contrast: give it back.
        moved = np.empty((2, len(planes), *(part.stop - part.start for part in box)), np.uint8)
        for places, target in zip(known, moved):
            sampling.sample(source, places, self.step, group.ratio, target, *limits, box[0].start, box[1].start)
        step = self.step // group.ratio
        near = (slice(None), *(slice(part.start // step, -(-part.stop // step) + 2) for part in box))
        apart = np.hypot(*(known[1][near] - known[0][near]))  # pixels of the frame
        alike = np.exp(-ALIKE * MEAN_SIGMA / self.short * apart)
        gain = 1 / np.sqrt((1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * alike)
        sampling.cross_fade(moved, group.means[index], gain, weight, step, planes, *limits, *origin)
        return planes


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
