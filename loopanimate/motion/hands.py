"""Directions by hand: arrows, pins and frozen places as edits of a sampled loop, without sampling again.

A layer's field d(p, t) is corrected by radial basis functions, one a direction, centred where its content ends up:
d + sum_j phi_j a_j(t), with a(t) solved so that the field *as the renderer interpolates it* is exactly the target there:
(head - tail) s(t) for an arrow, 0 for a pin. s is 0 at frame 0 and the equations are linear, so the curve stays closed and
frame 0 stays the picture. phi is Wendland's C2 function (Wendland 1995), compact: far places keep their motion.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from loopanimate.motion.field import (
    ALL_BORDERS,
    Borders,
    border_ramp,
    border_reach,
    in_one_piece,
    spline_at,
    spline_matrix,
    touched,
)
from loopanimate.words.intent import Intent

PIN_REACH = 0.35  # short sides in which a direction fades out
STEEPNESS = 5.0  # that reach in lengths of an arrow, at least: phi's steepest slope is 2.1 / reach, so it cannot fold
MIN_FADE = 0.5  # arrows that end where the border's fade is smaller are held back instead of exaggerated elsewhere
FREEZE_CELLS = 48  # on the short side, to which a field is refined before a frozen place is cut out of it
FREEZE_EDGE = 3.0  # width of a frozen place's soft edge in units of the largest displacement: its slope stays below a half
MIN_FREEZE_EDGE = 0.06  # short sides


@dataclass(frozen=True)
class Directions:
    """Directions of one loop; points are (x, y) in fractions of the picture that is animated."""

    arrows: tuple[tuple[float, float, float, float], ...]  # x, y of the tail, then of the head
    pins: tuple[tuple[float, float], ...]
    freeze: np.ndarray | None  # (H, W) in [0, 1], white stays
    mask: np.ndarray  # (H, W) in [0, 1], the loop's: an arrow moves the layer that its tail lies on
    intents: tuple[Intent, Intent] = (Intent(), Intent())  # of the object and of the background

    def applied(self, ring: np.ndarray, winding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Periodic part (N, 4, h, w) and winding (4, h, w) of a loop, in short sides, directed.

        In a layer that comes back, an arrow's content reaches the head and returns, at the pace that the layer has; in
        one that streams it reaches the head as the loop ends.
        """
        ring, winding = ring.copy(), winding.copy()
        if self.intents[0].rigid and not winding[:2].any():
            mask = cv2.resize(self.mask, ring.shape[:-3:-1], interpolation=cv2.INTER_AREA)
            ring[:, :2] = in_one_piece(ring[:, :2], mask, self.intents[0].hinge)
        for index, layer in enumerate((slice(0, 2), slice(2, 4))):
            arrows = [arrow for arrow in self.arrows if self._layer(*arrow[:2]) == index]
            places = np.array([arrow[2:] for arrow in arrows] + list(self.pins), dtype=np.float64).reshape(-1, 2)
            if len(places):
                borders = touched(self.mask) if index == 0 else ALL_BORDERS
                self._correct(ring[:, layer], winding[layer], places, arrows, borders)
        return (ring, winding) if self.freeze is None else self._frozen(ring, winding)

    def _layer(self, x: float, y: float) -> int:
        height, width = self.mask.shape
        return 0 if self.mask[min(int(y * height), height - 1), min(int(x * width), width - 1)] > 0.5 else 1

    def _correct(self, ring: np.ndarray, winding: np.ndarray, places: np.ndarray, arrows: list, borders: Borders) -> None:
        """In place: ring (N, 2, h, w) and winding (2, h, w) of one layer; places (K, 2) in fractions, arrows' heads first."""
        frames, _, height, width = ring.shape
        sides = np.array(self.mask.shape[::-1]) / min(self.mask.shape)  # of the picture, in short sides
        wanted = np.zeros((len(places), 2))
        for index, arrow in enumerate(arrows):
            wanted[index] = (np.array(arrow[2:]) - arrow[:2]) * sides
        reach = np.maximum(PIN_REACH, STEEPNESS * np.hypot(*wanted.T))  # (K,)
        y, x = np.meshgrid(
            (np.arange(height) + 0.5) / height * sides[1], (np.arange(width) + 0.5) / width * sides[0], indexing="ij"
        )
        bumps = np.stack([wendland(np.hypot(x - px, y - py) / r) for (px, py), r in zip(places * sides, reach)])  # (K, h, w)
        rows, columns = spline_at(height, places[:, 1]), spline_at(width, places[:, 0])  # (K, h), (K, w)

        def at_places(field):  # (..., h, w) → (..., K), as the renderer interpolates it
            return np.einsum("kh,...hw,kw->...k", rows, field, columns)

        solve = np.linalg.pinv(at_places(bumps).T, rcond=1e-3)  # (K, K); two arrows at one place take their mean
        streams = bool(winding.any())
        pace = np.zeros(frames) if streams else turns_of(ring)
        before = ring.copy(), winding.copy()
        target = wanted.T  # (2, K)
        for _ in range(3):  # the border's width depends on how far content goes
            amounts = (pace[:, None, None] * target - at_places(before[0])) @ solve.T  # (N, 2, K)
            ring[:] = before[0] + np.einsum("nck,khw->nchw", amounts, bumps)
            amounts = (streams * target - at_places(before[1])) @ solve.T  # (2, K)
            winding[:] = before[1] + streams * np.einsum("ck,khw->chw", amounts, bumps)
            farthest = np.hypot(*np.moveaxis(ring + winding, 1, 0)).max()
            border = border_reach(float(farthest)) / sides
            down, across = (border_ramp(places[:, axis], border[axis], ends) for axis, ends in zip((1, 0), borders))
            fade = across * down
            target = wanted.T / np.maximum(fade, MIN_FADE)

    def _frozen(self, ring: np.ndarray, winding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = ring.shape[-2:]
        factor = int(np.ceil(FREEZE_CELLS / min(height, width)))
        rows, columns = spline_matrix(height, factor * height), spline_matrix(width, factor * width)
        ring, winding = (rows @ part @ columns.T for part in (ring, winding))
        farthest = max(np.hypot(*np.moveaxis(ring + winding, 1, 0)[part]).max() for part in (slice(0, 2), slice(2, 4)))
        short = min(ring.shape[-2:])
        stays = cv2.resize(self.freeze.astype(np.float32), ring.shape[:-3:-1], interpolation=cv2.INTER_AREA) > 0.3
        # a cell of margin: the spline between a still cell and a moving one is not still
        stays = cv2.dilate(stays.astype(np.uint8), np.ones((3, 3), np.uint8))
        distance = cv2.distanceTransform(1 - stays, cv2.DIST_L2, 5) / short
        ramp = np.clip(distance / max(MIN_FREEZE_EDGE, FREEZE_EDGE * float(farthest)), 0, 1)
        keep = ramp * ramp * (3 - 2 * ramp)
        return ring * keep, winding * keep


def wendland(distance: np.ndarray) -> np.ndarray:
    """Wendland's C2 function of distance over reach: 1 at 0, 0 from 1 on."""
    near = np.clip(1 - distance, 0, 1)
    return near**4 * (4 * distance + 1)


def turns_of(ring: np.ndarray) -> np.ndarray:
    """(N,) in [0, 1]: there and back as often as the layer's own motion (N, 2, h, w) mostly does; once for one at rest."""
    frames = len(ring)
    power = (np.abs(np.fft.rfft(ring[:-1], axis=0)) ** 2).sum((1, 2, 3))
    times = 1 + int(np.argmax(power[1:])) if power[1:].max(initial=0) > 1e-12 else 1
    return (1 - np.cos(2 * np.pi * times * np.arange(frames) / (frames - 1))) / 2
