"""A camera that moves in depth: closed paths as plain data, and the displacement of each layer that they mean.

A camera shows at p what stood at q = c + (p - c) / s - m. The zoom s and the shift m of what is at inverse depth D lie evenly
between those of the farthest (D = 0) and the nearest (D = 1), so all that has one D is moved as one similarity. Nothing
beyond the picture is shown where s >= 1 / (1 - |m| / half a side): that is convex in |m|, so what holds at both ends of D holds
between them. A path begins and ends at the picture itself, at rest, since there no zoom has room for a shift.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from loopanimate.motion.border import Borders, border_fade, border_reach
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import limit
from loopanimate.motion.spin import Spin
from loopanimate.motion.spline import spline_at, spline_matrix

ZOOMS = 0.03, 0.12  # how much the farthest and the nearest are enlarged at most, at amount 1
SHIFTS = 0.018, 0.05  # short sides that they are shifted
SWING = 0.06  # short sides that the farthest moves against the nearest where a camera goes round
BOW = 0.3  # how far it bows across that, as a share
SHAKE = 0.006  # short sides that all of the picture is shaken
TREMORS = 3, 5, 8  # waves a loop of a shaken camera, the more the smaller
SLACK = 1.02  # factor on shifts that zooms make room for, because splines overshoot
HASTE = 0.8  # how much faster than evenly a camera that pulls out comes in, at most; below 1, or it would turn back
MOST = 2.5  # of the amount
AROUND = 0.5  # inverse depth that a camera goes round where nothing stands before the rest
OPEN: Borders = ((False, False), (False, False))  # a camera leaves no border where it was
CELLS = 24  # cells on the short side of the grid that depth is known on, and a motion before a camera
SEEN = 256  # pixels on the long side of the depth of what is seen
MIDDLE, AIM = 0.5, (0.2, 0.8)  # shares of a side: what a camera moves in on, and between which that may be
WAYS = "to the right", "down", "to the left", "up"


@dataclass(frozen=True)
class Camera:
    """What one clause has a camera do."""

    move: str  # "in", "out", "slide", "orbit" or "shake"
    heading: float = 0.0  # of the camera that slides or goes round, degrees, x right and y down
    amount: float = 1.0
    cycles: int = 1  # a loop
    centre: tuple[float, float] = MIDDLE, MIDDLE  # what it moves in on or out from, in fractions of the picture

    @property
    def said(self) -> str:
        way = WAYS[round(self.heading / 90) % 4]
        done = {"in": "moves in", "out": "pulls out", "slide": f"moves {way}", "orbit": "goes round", "shake": "shakes"}
        return f"The camera {done[self.move]}."


@dataclass(frozen=True)
class Shot:
    """Cameras before the layers of a picture."""

    cameras: tuple[Camera, ...]
    near: np.ndarray  # (L, h, w) float32 in [0, 1], inverse depth of each layer
    around: float = AROUND  # inverse depth of what a camera goes round

    def crop(self, part: tuple[float, float, float, float], grid: tuple[int, int]) -> "Shot":
        """The shot of a part of the picture: left, top, right, bottom in fractions of it, on a grid (h, w) of its own."""
        low, high = np.reshape(part, (2, 2))
        rows, columns = (
            spline_at(cells, first + (last - first) * (np.arange(count) + 0.5) / count)
            for cells, count, first, last in zip(self.near.shape[1:], grid, low[::-1], high[::-1])
        )
        aims = (np.clip((camera.centre - low) / (high - low), *AIM) for camera in self.cameras)
        cameras = tuple(replace(camera, centre=tuple(aim.tolist())) for camera, aim in zip(self.cameras, aims))
        return replace(self, cameras=cameras, near=np.clip(rows @ self.near @ columns.T, 0, 1))

    def seen(self, masks: Sequence[np.ndarray]) -> np.ndarray:
        """Inverse depth (h, w) of what is seen, small, by the masks (H, W) of all layers but the last, front to back."""
        height, width = masks[0].shape if len(masks) else self.near.shape[1:]
        size = [max(1, round(side * min(1, SEEN / max(height, width)))) for side in (width, height)]
        depth = cv2.resize(self.near[-1], size)
        for near, mask in zip(self.near[-2::-1], masks[::-1], strict=True):
            depth += cv2.resize(mask, size, interpolation=cv2.INTER_AREA) * (cv2.resize(near, size) - depth)
        return depth


def film(
    motion: Motion, shot: Shot, borders: Sequence[Borders], strength: float = 1.0, spins: Sequence[Spin | None] = ()
) -> tuple[Motion, list[Borders]]:
    """A motion as the cameras of a shot show it, on the grid of its depth, and the borders at which that fades: none.

    What moves within the picture fades at its layers' `borders` before, as a renderer would have it fade; no cell folds.
    """
    grid = shot.near.shape[1:]
    rows, columns = (spline_matrix(*sides) for sides in zip(motion.winding.shape[-2:], grid))
    ring, winding = (rows @ part @ columns.T for part in (motion.ring, motion.winding))
    reach = border_reach(float(np.linalg.norm(np.concatenate([ring + winding, ring - winding]), axis=2).max()))
    fades = np.stack([border_fade(*grid, reach, each) for each in borders])[:, None]
    ring, winding = ring * fades, winding * fades
    short, moved = min(grid), np.empty_like(ring)
    places = np.stack(np.meshgrid(*((np.arange(side) + 0.5) / short for side in grid[::-1])))
    for layer, near in enumerate(shot.near):
        for time in range(motion.period):
            at = places
            for camera in shot.cameras:
                at = look(at, camera, time / motion.period, near, strength, shot.around)
            own = [_read(plane, at) for plane in ring[time, layer]] if ring[:, layer].any() else 0
            moved[time, layer] = places - at + own
    moved[-1] = moved[0]
    return limit(Motion(moved, winding), opened := [OPEN] * len(borders), spins), opened


def look(places: np.ndarray, camera: Camera, share: float, near: np.ndarray, strength: float, around: float) -> np.ndarray:
    """Where in the picture a camera sees, at a share of the loop, what it shows at places (2, h, w), in short sides.

    near: inverse depth (h, w) of the picture, on a grid.
    """
    (far, close), shifts = frame(camera, share, near.shape, strength, around)
    if far == close == 1:
        return places
    centre = (np.array(near.shape[::-1]) / min(near.shape) * camera.centre)[:, None, None]
    found = places
    for _ in range(1 if np.ptp(near) == 0 else 4):  # how near it is depends on where it is seen
        depth = _read(near, found)
        shift = shifts[0][:, None, None] + (shifts[1] - shifts[0])[:, None, None] * depth
        found = centre + (places - centre) / (far + (close - far) * depth) - shift
    return found


def frame(camera: Camera, share: float, grid: tuple[int, int], strength: float, around: float) -> tuple[np.ndarray, np.ndarray]:
    """Zooms s (2,) and shifts m (2, 2) in x and y of the farthest and the nearest at a share of the loop, by depth's grid."""
    zooms, shifts, rooms = pose(camera, share, strength, around)
    # the spline of a displacement is constant in the outer half of a grid's first cell
    half = (np.array(grid[::-1]) - 1) / 2 / min(grid)
    return (1 + zooms) / (1 - SLACK * (rooms / half).max(1)), shifts


def pose(camera: Camera, share: float, strength: float, around: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A camera at a share of the loop: zooms beyond 1 (2,), shifts (2, 2) in x and y, and the rooms that zooms make for these.

    Each is of the farthest, then of the nearest. A room is no less than its shift, and as smooth where that turns its sign.
    """
    turn = 2 * math.pi * camera.cycles * share
    if camera.move == "out":  # it begins at the whole picture, so it comes in first, in a third of the time
        turn += HASTE * (1 - math.cos(turn))
    there = math.sin(turn / 2) ** 2  # 0 at the picture itself, 1 farthest from it; at rest at both
    amount, still = min(camera.amount * strength, MOST), np.zeros((2, 2))
    way = np.array([math.cos(math.radians(camera.heading)), math.sin(math.radians(camera.heading))])
    if camera.move in ("in", "out"):
        return amount * there * np.array(ZOOMS), still, still
    if camera.move == "slide":  # what is shown goes the other way
        shifts = -amount * there * np.outer(SHIFTS, way)
        return still[0], shifts, np.abs(shifts)
    if camera.move == "orbit":  # along an arc and back, as a pendulum: its two ends are alike, so none looks like a pause
        sizes, arc = amount * SWING * (np.array([0, 1]) - around), BOW * math.sin(turn) ** 2
        shifts = np.outer(sizes, there * way + arc * way[::-1])
        return still[0], shifts, np.tile(np.abs(sizes).max() * (there * np.abs(way) + arc * np.abs(way[::-1])), (2, 1))
    room = SHAKE * amount * (1 - math.cos(turn / 2) ** 8)
    waves = (np.sin(turn * wave + np.array([wave, 2 * wave])) / wave for wave in TREMORS)
    return still[0], np.tile(room * sum(waves) / sum(1 / wave for wave in TREMORS), (2, 1)), np.full((2, 2), room)


def _read(plane: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of a plane (h, w) at places (2, ...) in short sides."""
    return map_coordinates(plane, places[::-1] * min(plane.shape) - 0.5, order=1, mode="nearest")
