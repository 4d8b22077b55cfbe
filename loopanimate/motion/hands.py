"""Directions by hand: arrows, pins and frozen places as edits of a motion, without sampling again.

A layer's field d(p, t) is corrected by radial basis functions, one a direction, centred where its content ends up:
d + sum_j phi_j a_j(t), with a(t) solved so that the field *as the renderer interpolates it* is exactly the target there:
(head - tail) s(t) for an arrow, 0 for a pin. s is 0 at frame 0 and the equations are linear, so the curve stays closed and
frame 0 stays the picture. phi is Wendland's C2 function (Wendland 1995), compact: far places keep their motion.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from loopanimate.motion.border import Borders, border_ramp, border_reach, smoothstep
from loopanimate.motion.curve import Motion
from loopanimate.motion.field import turns_of
from loopanimate.motion.spline import spline_at

PIN_REACH = 0.35  # short sides in which a direction fades out
STEEPNESS = 5.0  # least reach in lengths of an arrow: phi's steepest slope is 2.1 / reach, so it cannot fold
MIN_FADE = 0.5  # arrows that end where the border's fade is smaller are held back instead of exaggerated elsewhere
FREEZE_CELLS = 48  # cells on the short side to which a field is refined before a frozen place is cut out of it
FREEZE_EDGE = 3.0  # width of a frozen place's soft edge over the displacement beside it: its slope stays below a half
MIN_FREEZE_EDGE = 0.06  # short sides

Arrow = tuple[float, float, float, float]  # x, y of the tail, then of the head, in fractions of the picture
Pin = tuple[float, float]  # x, y in fractions of the picture


def direct(
    motion: Motion, arrows: Sequence[Arrow], pins: Sequence[Pin], masks: Sequence[np.ndarray], borders: Sequence[Borders]
) -> Motion:
    """Let content follow arrows and stay at pins.

    An arrow moves the layer under its tail: the foremost one whose mask (H, W) is above a half there, or the background. In a
    layer that comes back, its content reaches the head and returns, at the pace that the layer has; in a stream it reaches
    the head as the loop ends. A pin stops all layers.
    """
    under = [_layer_at(masks, *arrow[:2]) for arrow in arrows]
    aspect = np.array(masks[0].shape[::-1]) / min(masks[0].shape)
    for layer in range(motion.num_layers):
        own = [arrow for arrow, found in zip(arrows, under) if found == layer]
        if own or pins:
            motion = _correct(motion, layer, own, pins, aspect, borders[layer])
    return motion


def freeze(motion: Motion, frozen: np.ndarray) -> Motion:
    """Bring the places to rest where `frozen` (H, W) in [0, 1] is white, in all layers, on a finer grid."""
    height, width = motion.winding.shape[-2:]
    motion = motion.refine(int(np.ceil(FREEZE_CELLS / min(height, width))))
    farthest = extent(motion.ring, np.stack([winding / turns_of(winding) for winding in motion.winding]))
    stays = cv2.resize(frozen.astype(np.float32), motion.winding.shape[:-3:-1], interpolation=cv2.INTER_AREA) > 0.3
    # a cell of margin: the spline between a still cell and a moving one is not still
    stays = cv2.dilate(stays.astype(np.uint8), np.ones((3, 3), np.uint8))
    distance = cv2.distanceTransform(1 - stays, cv2.DIST_L2, 5) / min(stays.shape)
    keep = smoothstep(np.clip(distance / np.maximum(MIN_FREEZE_EDGE, FREEZE_EDGE * farthest), 0, 1))[:, None]
    return Motion(motion.ring * keep, motion.winding * keep)


def extent(ring: np.ndarray, winding: np.ndarray) -> np.ndarray:
    """How far each layer goes at each place, (L, h, w), by its ring (N, L, 2, h, w) and the winding (L, 2, h, w) of one turn."""
    return np.linalg.norm(ring, axis=2).max(0) + np.hypot(winding[:, 0], winding[:, 1])


def _layer_at(masks: Sequence[np.ndarray], x: float, y: float) -> int:
    height, width = masks[0].shape
    row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
    return next((layer for layer, mask in enumerate(masks) if mask[row, column] > 0.5), len(masks))


def _correct(
    motion: Motion, layer: int, arrows: Sequence[Arrow], pins: Sequence[Pin], aspect: np.ndarray, borders: Borders
) -> Motion:
    """Correct one layer; aspect: (width, height) of the picture in short sides."""
    given, given_winding = motion.ring[:, layer], motion.winding[layer]
    height, width = given_winding.shape[-2:]
    places = np.array([arrow[2:] for arrow in arrows] + list(pins), dtype=np.float64).reshape(-1, 2)  # (K, 2)
    wanted = np.zeros((len(places), 2))
    for index, arrow in enumerate(arrows):
        wanted[index] = (np.array(arrow[2:]) - arrow[:2]) * aspect
    reach = np.maximum(PIN_REACH, STEEPNESS * np.hypot(*wanted.T))  # (K,)
    across, down = (np.arange(cells) + 0.5 for cells in (width, height))
    x, y = np.meshgrid(across / width * aspect[0], down / height * aspect[1])
    bumps = np.stack([wendland(np.hypot(x - px, y - py) / r) for (px, py), r in zip(places * aspect, reach)])  # (K, h, w)
    rows, columns = spline_at(height, places[:, 1]), spline_at(width, places[:, 0])  # (K, h), (K, w)

    def at_places(field):  # (..., h, w) → (..., K), as the renderer interpolates it
        return np.einsum("kh,...hw,kw->...k", rows, field, columns)

    solve = np.linalg.pinv(at_places(bumps).T, rcond=1e-3)  # (K, K); two arrows at one place take their mean
    streams = motion.streams(layer)
    rhythm = np.zeros(len(given)) if streams else rhythm_of(given)
    target = wanted.T  # (2, K)
    for _ in range(3):  # the width of the border, whose fade the target makes up for, depends on how far content goes
        amounts = (rhythm[:, None, None] * target - at_places(given)) @ solve.T  # (N, 2, K)
        ring = given + np.einsum("nck,khw->nchw", amounts, bumps)
        amounts = (streams * target - at_places(given_winding)) @ solve.T  # (2, K)
        winding = given_winding + streams * np.einsum("ck,khw->chw", amounts, bumps)
        border = border_reach(float(np.hypot(*np.moveaxis(ring + winding, 1, 0)).max())) / aspect
        fades = (border_ramp(places[:, axis], border[axis], ends) for axis, ends in zip((1, 0), borders))
        target = wanted.T / np.maximum(np.prod(list(fades), axis=0), MIN_FADE)
    return motion.replace(layer, ring, winding)


def wendland(distance: np.ndarray) -> np.ndarray:
    """Wendland's C2 function of distance over reach: 1 at 0, 0 from 1 on."""
    near = np.clip(1 - distance, 0, 1)
    return near**4 * (4 * distance + 1)


def rhythm_of(ring: np.ndarray) -> np.ndarray:
    """(N,) in [0, 1]: there and back as often as a layer's motion (N, 2, h, w) mostly does; once for one at rest."""
    frames = len(ring)
    power = (np.abs(np.fft.rfft(ring[:-1], axis=0)) ** 2).sum((1, 2, 3))
    times = 1 + int(np.argmax(power[1:])) if power[1:].max(initial=0) > 1e-12 else 1
    return (1 - np.cos(2 * np.pi * times * np.arange(frames) / (frames - 1))) / 2
