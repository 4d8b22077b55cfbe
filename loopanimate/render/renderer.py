"""The renderer: a picture in layers, moved by a field, at any size and time (`reference` defines what a frame is).

The displacement is computed every few pixels (`MAP_STEPS`) and is linear between. Colours are kept at twice the frame's size
and sampled linearly: that is nearer to the ideal shift than a bicubic sample of the picture, at half its cost. A frame is
drawn in tiles, in which only the layers that show are drawn.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np

from loopanimate.motion.border import border_ramp, border_reach
from loopanimate.motion.field import MEAN_SIGMA, Field
from loopanimate.motion.spline import spline_at
from loopanimate.render import kernels
from loopanimate.render.faces import pack_eyes, sample_eyes
from loopanimate.render.planes import Planes, bound_reach, cut, enlarge
from loopanimate.render.reference import correlate, restore_contrast
from loopanimate.scene.layers import Layers

# Pixels. Larger tiles take fewer calls, but draw more of layers that do not show; of 120 to 480 this is near the best for two
# and for four layers, at 1080p and 4K. A multiple of 16, as `kernels.sample` asks for.
TILE = 240
MAP_STEPS = (4, 8)  # pixels from one computed displacement to the next; on LARGE pictures a cell has 45 pixels and more
LARGE = 1080  # pixels on the short side

Box = tuple[slice, slice]  # rows and columns
Tile = tuple[Box, list[int]]  # of the frame, and the layers that can ever show there, front to back


@dataclass(frozen=True)
class _Layer:
    """The planes of a layer: (C, 2h, 2w) uint8, enlarged, of the box that it fills; (C, H, W) where it does not move."""

    planes: np.ndarray
    top: int  # of the box, in pixels of the whole enlarged plane
    left: int
    means: np.ndarray | None  # local means (C, H, W) float32 of a layer that streams


@dataclass(frozen=True)
class _Group:
    """The layers, front to back, in planes of one size."""

    ratio: int  # as in `Planes`
    count: int  # colours, P
    layers: list[_Layer]


class _Moved(NamedTuple):
    """How a layer is shown at one time."""

    places: list[np.ndarray]  # (2, rows, columns) where each phase is sampled: none at rest, two of a stream
    weight: float  # of the second phase
    eyes: np.ndarray  # that move, of `pack_eyes`
    around: list[tuple[float, ...]]  # where these may show, in short sides


class Renderer:
    """Draws frames of one picture, one at a time: memory does not grow with a loop's length or rate.

    image: (H, W, 3) uint8. masks: (H, W) in [0, 1], raw, one for every layer but the background, front to back.
    planar: frames are I420 of BT.709, limited range, (3H/2, W), as video encoders take them, and an odd last row or column
    is cut off. Otherwise they are RGB (H, W, 3). layers: what `scene.layers.separate` gives of image and masks, where it is known.
    """

    def __init__(
        self,
        image: np.ndarray,
        masks: Sequence[np.ndarray],
        field: Field,
        planar: bool = False,
        layers: Sequence[Layers] | None = None,
    ):
        if planar:
            image, *masks = (part[: part.shape[0] // 2 * 2, : part.shape[1] // 2 * 2] for part in (image, *masks))
        self.field, self.planar = field, planar
        self.height, self.width = sides = image.shape[:2]
        self.short = min(sides)
        self.sigma = self.short / MEAN_SIGMA  # pixels
        parts = cut(image, masks, field, planar, layers)
        self.still = np.concatenate([plane[:: part.ratio, :: part.ratio].ravel() for part in parts for plane in part.picture])
        alphas = [layer[-1] for layer in parts[0].layers[:-1]]
        self.spreads = [kernels.spread(alpha, self._eye_reach(index)) for index, alpha in enumerate(alphas)]
        self.reach = bound_reach(field, self.short) / self.short
        self.groups = [
            _Group(part.ratio, len(part.picture), [self._prepare(part, index) for index in range(field.layers)])
            for part in parts
        ]
        self.tiles, self.face_tiles, self.rests = self._find_tiles(alphas)
        self.step = step = MAP_STEPS[self.short >= LARGE]
        places = [step * (np.arange(-1, -(-side // step) + 1) + 0.5) for side in sides]
        self.y, self.x = (place.astype(np.float32) - np.float32(0.5) for place in places)  # pixel indices
        self.at_rest = np.stack(np.meshgrid(self.x, self.y))
        self.rows, columns = map(spline_at, field.winding.shape[-2:], [place / side for place, side in zip(places, sides)])
        self.columns = np.ascontiguousarray(columns.T)
        border = border_reach(field.reach) * self.short
        self.fades = []
        for borders in field.borders:
            ramps = (border_ramp(place / side, border / side, ends) for place, side, ends in zip(places, sides, borders))
            self.fades.append(np.outer(*ramps).astype(np.float32) * self.short)
        self.workers = max(2, (os.cpu_count() or 1) // 2)  # an encoder needs the other cores
        self.threads = ThreadPoolExecutor(self.workers)

    def _eye_reach(self, index: int) -> int:
        """Pixels that the eyes of a layer's faces move within it, at most."""
        return max((math.ceil(face.eye_reach * self.short) for face in self.field.faces if index in face.layers), default=0)

    def _prepare(self, part: Planes, index: int) -> _Layer:
        planes, box, means = part.layers[index], (slice(None), slice(None)), None
        if self.field.streams(index):
            resting = [plane[:: part.ratio, :: part.ratio].astype(np.float32) for plane in planes]
            sigma = max(1.0, self.sigma / part.ratio)
            means = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in resting])
        if not self.field.moves[index]:
            return _Layer(np.stack([plane[:: part.ratio, :: part.ratio] for plane in planes]), 0, 0, means)
        if index < self.field.layers - 1:  # beyond the box everything is zero, as its rim is
            box = tuple(
                slice(max(0, filled[0] - kernels.REACH - 1), filled[-1] + kernels.REACH + 2) if len(filled) else slice(1)
                for filled in (np.flatnonzero(planes[-1].any(axis)) for axis in (1, 0))
            )
        large = [plane[box] if part.ratio == 2 else enlarge(plane[box]) for plane in planes]
        sampled = kernels.new_planes(len(large), *large[0].shape)
        np.stack(large, out=sampled)
        top, left = ((side.start or 0) * 2 // part.ratio for side in box)
        return _Layer(sampled, top, left, means)

    def _find_tiles(self, alphas: list[np.ndarray]) -> tuple[list[Tile], list[Tile], bool]:
        """List the tiles in which a layer moves, those in which only faces may, and say whether there are others than the first."""
        rows, columns = (
            [slice(first, min(first + TILE, side)) for first in range(0, side, TILE)] for side in (self.height, self.width)
        )
        reach, moving = bound_reach(self.field, self.short) + kernels.REACH, ([], [])
        reach += max(map(self._eye_reach, range(self.field.layers)))
        for box in product(rows, columns):
            near, candidates = tuple(slice(max(0, part.start - reach), part.stop + reach) for part in box), []
            for index, alpha in enumerate(alphas):
                if alpha[near].max() > 0:
                    candidates.append(index)
                if alpha[near].min() == 255:
                    break
            else:
                candidates.append(len(alphas))
            faces = [box for face in self.field.faces if {*face.layers} & {*candidates} for box in face.boxes]
            if any(self.field.moves_itself[index] for index in candidates):
                moving[0].append((box, candidates))
            elif self._meets(near, faces):
                moving[1].append((box, candidates))
        return *moving, len(moving[0]) < len(rows) * len(columns)

    def _meets(self, part: Box, boxes: Iterable[Sequence[float]]) -> bool:
        """Whether a part of the frame shows any of some boxes, which are in short sides."""
        rows, columns = part
        return any(
            left * self.short < columns.stop
            and right * self.short > columns.start
            and top * self.short < rows.stop
            and bottom * self.short > rows.start
            for left, top, right, bottom in boxes
        )

    def frame(self, time: float) -> np.ndarray:
        """Draw the picture at `time` in native frames, uint8; at time 0 it is the picture itself."""
        moves = time % self.field.period != 0
        flat = np.empty_like(self.still) if moves and not self.rests else self.still.copy()
        frame, start = [], 0  # (P, h, w) of each group
        for group in self.groups:
            shape = group.count, self.height // group.ratio, self.width // group.ratio
            frame.append(flat[start : start + np.prod(shape)].reshape(shape))
            start += frame[-1].size
        if moves:
            displacement, weights = self.field.at(time)
            moved = [self._move(*layer, time) for layer in zip(range(len(weights)), displacement, weights)]
            active = [box for face in self.field.faces for box in face.active(time / self.field.period)]
            # each thread takes the next tile when it is free
            tiles = iter([*self.tiles, *(tile for tile in self.face_tiles if self._meets(tile[0], active))])
            jobs = [self.threads.submit(self._draw, frame, moved, tiles) for _ in range(self.workers)]
            for job in jobs:
                job.result()
        return flat.reshape(-1, self.width) if self.planar else cv2.merge(list(frame[0]))

    def _list_phases(self, index: int, displacement: np.ndarray) -> list[np.ndarray]:
        """List the displacements (2, h, w) at which a layer is shown: none at rest, two phases of a stream."""
        if not self.field.moves[index]:
            return []
        return [displacement, displacement - self.field.winding[index]] if self.field.streams(index) else [displacement]

    def _move(self, index: int, displacement: np.ndarray, weight: float, time: float) -> _Moved:
        acting = [face.at(time / self.field.period) for face in self.field.faces if index in face.layers]
        eyes, bends = ([each for face in acting for each in face[kind]] for kind in (0, 1))
        around = [tuple(np.array(eye.box) + [-self.reach, -self.reach, self.reach, self.reach]) for eye, _ in eyes]
        # a numpy scalar would bring float64 to the kernels
        moved = _Moved([], float(weight), pack_eyes(eyes), around)
        for phase in self._list_phases(index, displacement):
            moved.places.append(self.at_rest.copy())
            if self.field.moves_itself[index]:
                kernels.place(self.rows @ phase, self.columns, self.fades[index], self.x, self.y, moved.places[-1])
            for box, field in bends:
                kernels.bend(moved.places[-1], field * np.float32(self.short), *(edge * self.short - 0.5 for edge in box))
        return moved

    def _draw(self, frame: list[np.ndarray], moved: list[_Moved], tiles: Iterator[Tile]) -> None:
        for tile, candidates in tiles:
            *front, last = self._find_shown(moved, tile, candidates)
            for group, planes in zip(self.groups, frame):
                box = tuple(slice(part.start // group.ratio, part.stop // group.ratio) for part in tile)
                if not front:
                    self._show(group, last, moved[last], box, planes)
                    continue
                origin, sides = [part.start for part in box], [part.stop - part.start for part in box]
                behind = np.empty((group.count, *sides), np.uint8)
                self._show(group, last, moved[last], box, behind, origin)
                for index in reversed(front):
                    shown = np.empty((group.count + 1, *sides), np.uint8)
                    self._show(group, index, moved[index], box, shown, origin)
                    *colours, alpha = shown
                    clear = cv2.bitwise_not(alpha)
                    for colour, under, plane in zip(colours, behind, planes):
                        target = plane[box] if index == front[0] else under
                        cv2.add(colour, cv2.multiply(clear, under, under, 1 / 255), target)

    def _find_shown(self, moved: list[_Moved], box: Box, candidates: list[int]) -> list[int]:
        """List the layers, of the candidates, that may show in a box, front to back; the last of them covers all of it."""
        limits, shown = [end for part in box for end in (part.start, part.stop)], []
        for index in candidates[:-1]:
            known = moved[index].places or [self.at_rest]
            bounds = [kernels.bound_alpha(places, self.step, *limits, *self.spreads[index]) for places in known]
            if any(high > 0 for _, high in bounds):
                shown.append(index)
            if all(low == 255 for low, _ in bounds):
                return shown
        return [*shown, candidates[-1]]

    def _show(self, group: _Group, index: int, moved: _Moved, box: Box, target: np.ndarray, origin=(0, 0)) -> None:
        """Draw the first planes of a layer, in a box of the frame, into `target`, whose first pixel is the frame's `origin`."""
        layer, known, weight = group.layers[index], moved.places, moved.weight
        if not known:
            here = tuple(slice(part.start - first, part.stop - first) for part, first in zip(box, origin))
            target[(slice(None), *here)] = layer.planes[(slice(len(target)), *box)]
            return
        limits = [end for part in box for end in (part.start, part.stop)]
        source = layer.planes, layer.top, layer.left
        has_eyes = self._meets([slice(part.start * group.ratio, part.stop * group.ratio) for part in box], moved.around)

        def draw(places, target, origin):
            kernels.sample(*source, places, self.step, group.ratio, target, *limits, *origin)
            if has_eyes:
                sample_eyes(*source, places, self.step, group.ratio, self.short, moved.eyes, target, *limits, *origin)

        if len(known) == 1:
            return draw(known[0], target, origin)
        phases = np.empty((2, len(target), *(part.stop - part.start for part in box)), np.uint8)
        for places, phase in zip(known, phases):
            draw(places, phase, limits[::2])
        step = self.step // group.ratio
        near = (slice(None), *(slice(part.start // step, -(-part.stop // step) + 2) for part in box))
        apart = np.hypot(*(known[1][near] - known[0][near]))  # pixels of the frame
        gain = restore_contrast(correlate(apart, self.sigma), weight)
        kernels.cross_fade(phases, layer.means, gain, weight, step, target, *limits, *origin)
