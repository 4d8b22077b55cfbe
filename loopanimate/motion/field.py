"""Displacement fields: warping by them, upsampling them, and the closed curve of a loop (DESIGN.md §2).

Displacement is how content moves, in short sides: what is shown at p stood at p - d(p).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import CubicSpline

WINDING_THRESHOLD = 0.04  # short sides; a layer of which nothing ends farther from its start has drifted: no stream
MAX_WINDING = 0.06  # short sides between two phases of a stream that are cross-faded: more would ghost, or fold at rims
EVEN = 4  # native frames that a cross-fade takes, up to which its weight grows evenly (`LoopField.at`)
MEAN_SIGMA = 40  # short sides over the deviation of the blur that gives a stream's local mean
ALIKE = 2.0  # what is left of photographs beside their local mean correlates by exp(-2 r), at a distance of r deviations
RESIDUE = 0.006  # short sides; a layer whose mean displacement never reaches it may be what sampling left over ...
RESIDUE_SHARE = 0.75  # ... and is, if it moves less than this share of the other layer: it is then put to rest
LOW_HOP = 0.5  # of the highest of a loop's hops: none is lower
MIN_DETERMINANT = 0.25  # of the content's Jacobian, after which strength is held back
HARDLY = 0.003  # radians, root mean square: what turns less about its middle shows no hinge
WIDE = 1.3  # width over height of cloth that is fixed at its side: a flag
FIXED = 0.35  # share of a thing's length at which what is fixed of it ends
OFF_COURSE = 20  # degrees that what goes somewhere may lie off what words name
PACE_ERROR = 1.25  # factor that a stream's root mean square may be off the speed that words name
FASTEST = 2.0  # of that speed: no place is faster
BORDER_REACH = 3.0  # border fade in units of the largest displacement: its slope stays below a half
Borders = tuple[tuple[bool, bool], tuple[bool, bool]]  # top and bottom, left and right
TOUCHING = 0.3  # of the raw mask: what is fainter is not in the layer (layers.ALPHA_RAMP)
ALL_BORDERS: Borders = ((True, True), (True, True))
MIN_BORDER, MAX_BORDER = 0.02, 0.3  # short sides; what folds in a border of the largest is held back


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
    return spline_at(cells, (np.arange(pixels) + 0.5) / pixels)


def spline_at(cells: int, places: np.ndarray) -> np.ndarray:
    """(len(places), cells) float32: that spline at any places, in units of the side."""
    centres = np.arange(cells) + 0.5
    at = np.clip(places * cells, centres[0], centres[-1])
    return CubicSpline(centres, np.eye(cells), bc_type="natural")(at).astype(np.float32)


def touched(mask: np.ndarray) -> Borders:
    """The borders of the picture that what is masked (H, W) touches: there alone its own motion has to fade."""
    rim = max(1, round(0.01 * min(mask.shape)))
    return tuple((bool(part[:rim].max() > TOUCHING), bool(part[-rim:].max() > TOUCHING)) for part in (mask, mask.T))


def border_fade(height: int, width: int, reach: float, borders: Borders = ALL_BORDERS) -> np.ndarray:
    """(H, W) float32: 0 at those borders of the picture, 1 from `reach` short sides inwards, smooth between."""
    short = min(height, width)
    ramps = [
        border_ramp((np.arange(pixels) + 0.5) / pixels, reach * short / pixels, ends)
        for pixels, ends in zip((height, width), borders)
    ]
    return np.outer(*ramps).astype(np.float32)


def border_ramp(places: np.ndarray, reach: float, ends: tuple[bool, bool] = (True, True)) -> np.ndarray:
    """One side's share of the border fade at `places`, at its first and its last end; both in units of that side."""
    ramp = np.ones_like(places)
    for distance in [distance for distance, held in zip((places, 1 - places), ends) if held]:
        ramp = np.minimum(ramp, np.clip(distance / reach, 0, 1))
    return ramp * ramp * (3 - 2 * ramp)


def border_reach(displacement: float) -> float:
    """Width of the border, in short sides, that a largest displacement asks for."""
    return min(MAX_BORDER, max(MIN_BORDER, BORDER_REACH * displacement))


def in_one_piece(displacement: np.ndarray, weight: np.ndarray, hinge: tuple[float, float] | None = None) -> np.ndarray:
    """The rigid motions nearest to displacements (N, 2, h, w), in the least squares of what `weight` (h, w) holds.

    Rotation and shift of each frame, in closed form (Procrustes' problem in the plane); with a hinge: rotations about one
    point of the layer's box, between those shares of its height from the top, the one that explains the shifts best. Beyond
    the farthest of what is held, a rotation levels off, so that no field runs away off its layer.
    """
    height, width = weight.shape
    x, y = (np.asarray(axis, np.float64) for axis in grid_points(height, width))
    place, share = x + 1j * y, weight / weight.sum()
    source = place - (displacement[:, 0] + 1j * displacement[:, 1])  # (N, h, w): what is shown here stood there

    def about(before, after):  # rotations that carry `source` about `after` back to about `before`
        turns = (share * (place - before).conj() * (source - after)).sum((-2, -1))[:, None, None]
        return turns / np.maximum(np.abs(turns), 1e-12)

    middle, middles = (share * place).sum(), (share * source).sum((-2, -1))[:, None, None]
    turns = about(middle, middles)
    if hinge is not None:
        within = place[weight > 0.1] if (weight > 0.1).any() else place
        top, bottom = within.imag.min(), within.imag.max()
        first, last = (top + share * (bottom - top) for share in hinge)
        arms, doubt = turns - 1, len(turns) * HARDLY**2  # of what hardly turns, about the middle of the hinge's range
        reach = (arms.conj() * (middles - middle)).sum() + doubt * (middle - complex(middle.real, (first + last) / 2))
        best = middle - reach / ((np.abs(arms) ** 2).sum() + doubt)
        middle = middles = complex(np.clip(best.real, within.real.min(), within.real.max()), np.clip(best.imag, first, last))
        turns = about(middle, middles)
    offset = place - middle
    far = np.abs(offset[weight > 0.1]).max(initial=1e-6)
    offset = offset * np.minimum(1, far / np.maximum(np.abs(offset), 1e-9))
    shift = middle + offset - (middles + turns * offset)
    shift -= shift[0]  # rounding
    return np.stack([shift.real, shift.imag], axis=1).astype(np.float32)


def turned(ring: np.ndarray, winding: np.ndarray, weight: np.ndarray, heading: float) -> tuple[np.ndarray, np.ndarray]:
    """A layer's displacements (N, 2, h, w) and winding (2, h, w), turned as far as they lie off a heading, in degrees.

    What streams by the mean winding over `weight` (h, w), what comes back by the main axis of its mean way: to within
    OFF_COURSE of the heading.
    """
    share = weight / max(weight.sum(), 1e-6)
    if winding.any():
        way = (share * winding).sum((-2, -1))
        off = math.remainder(math.degrees(math.atan2(way[1], way[0])) - heading, 360)
    else:
        ways = (share * ring).sum((-2, -1))  # (N, 2)
        way = np.linalg.svd(ways - ways.mean(0), full_matrices=False)[2][0]
        off = math.remainder(math.degrees(math.atan2(way[1], way[0])) - heading, 180)
    angle = math.radians(math.copysign(max(abs(off) - OFF_COURSE, 0), -off))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=ring.dtype)
    return np.einsum("cd,ndhw->nchw", turn, ring), np.einsum("cd,dhw->chw", turn, winding)


def paced(winding: np.ndarray, weight: np.ndarray, distance: float) -> np.ndarray:
    """A layer's winding (2, h, w), about as far as `distance`, in short sides, in the root mean square over `weight` (h, w)."""
    mean = ((weight * np.hypot(*winding) ** 2).sum() / max(weight.sum(), 1e-6)) ** 0.5
    if mean == 0:
        return winding
    winding = winding * np.clip(mean, distance / PACE_ERROR, distance * PACE_ERROR) / mean
    return winding * np.minimum(1, FASTEST * distance / np.maximum(np.hypot(*winding), 1e-9))


def box_of(support: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Left, top, right and bottom, (..., 1, 1), of the centres of the cells that layers (..., h, w) mostly fill."""
    inside = support > 0.5 * support.amax((-2, -1), keepdim=True)  # also of what is thinner than a cell
    x, y = (axis.expand_as(support) for axis in grid_points(*support.shape[-2:], support.device))
    low = [torch.where(inside, axis, axis.amax()).amin((-2, -1), keepdim=True) for axis in (x, y)]
    high = [torch.where(inside, axis, axis.amin()).amax((-2, -1), keepdim=True) for axis in (x, y)]
    return *low, high[0], torch.maximum(high[1], low[1] + 0.1)


def from_hold(support: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How far it is from where layers (..., h, w) are fixed: three of that shape.

    From the base, as a share of the height; and where cloth is fixed, as a share of its length and in short sides: at its
    base too, or, if it is wide and does not stand at the frame's edge, at one side: the edge's, if it is at one.
    """
    x, y = grid_points(*support.shape[-2:], support.device)
    left, top, right, bottom = box_of(support)
    rise = ((bottom - y) / (bottom - top)).clamp(0, 1.25)
    held_right = (right >= x.amax() - 1e-4) & (left > x.amin() + 1e-4)
    sideways = (right - left > WIDE * (bottom - top)) & (bottom < y.amax() - 1e-4)
    along = torch.where(sideways, torch.where(held_right, right - x, x - left), bottom - y)
    flying = (along / torch.where(sideways, right - left, bottom - top).clamp(min=0.1)).clamp(0, 1.25)
    return rise, flying, along


def held(displacement: np.ndarray, weight: np.ndarray, waving: bool = False) -> np.ndarray:
    """Displacements (N, 2, h, w) of what `weight` (h, w) holds, at rest where it is fixed (`from_hold`).

    What all of that does is taken off, less and less on the way to the far end, which keeps its motion; what is left of
    it fades.
    """
    rise, flying, _ = (share.numpy() for share in from_hold(torch.from_numpy(weight)))
    away = flying if waving else rise
    free = np.minimum(away / FIXED, 1)
    near = weight * (1 - free)
    base = (displacement * near).sum((-2, -1), keepdims=True) / max(near.sum(), 1e-6)  # (N, 2, 1, 1)
    return free * (displacement - np.maximum(1 - away, 0) * base)


def in_place(displacement: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Displacements (N, 2, h, w) without the mean shift and turn of what `weight` (h, w) holds.

    Beyond the farthest of that the turn levels off, as in `in_one_piece`.
    """
    share = weight / max(weight.sum(), 1e-6)
    x, y = (axis.numpy() for axis in grid_points(*weight.shape))
    x, y = x - (share * x).sum(), y - (share * y).sum()
    shift = (share * displacement).sum((-2, -1), keepdims=True)
    turn = (share * (x * displacement[:, 1] - y * displacement[:, 0])).sum((-2, -1)) / max((share * (x**2 + y**2)).sum(), 1e-6)
    away = np.hypot(x, y)
    level = np.minimum(1, away[weight > 0.1].max(initial=1e-6) / np.maximum(away, 1e-9))
    return displacement - shift - turn[:, None, None, None] * level * np.stack([-y, x])


def hopping(displacement: np.ndarray, weight: np.ndarray, counts: range) -> np.ndarray:
    """Closed displacements (N, 2, h, w), the mean course of what `weight` (h, w) holds made hops, up from the ground and down.

    Parabolas in time from contact to contact, one of `counts` of them, that which is nearest to the course; each as high as
    the course was in its time, above its lowest.
    """
    course = (weight / max(weight.sum(), 1e-6) * displacement).sum((-2, -1))  # (N, 2)
    period, ground = len(course) - 1, int(course[:-1, 1].argmax())
    height = np.roll(course[ground, 1] - course[:-1, 1], -ground)  # (period,)

    def hops(count: int) -> np.ndarray:
        highest = np.array([part.max() for part in np.array_split(height, count)])
        highest = np.maximum(highest, LOW_HOP * highest.max())
        number, share = np.divmod(count * np.arange(period) / period, 1)
        return 4 * highest[number.astype(int)] * share * (1 - share)

    risen = np.roll(min(map(hops, counts), key=lambda tried: ((tried - height) ** 2).sum()), ground)
    upright = np.stack([0 * risen, -risen], axis=1)
    return displacement + (np.concatenate([upright, upright[:1]]) - course)[:, :, None, None].astype(displacement.dtype)


def close(displacement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacement (N, 4, h, w) as a closed ring, the same shape, and the winding (4, h, w) of the layers that stream.

    What a layer has travelled at its last frame is taken off as a ramp; below `WINDING_THRESHOLD` it was drift and no winding.
    """
    winding, period = displacement[-1].copy(), len(displacement) - 1
    ring = displacement - (np.arange(period + 1, dtype=np.float32) / period)[:, None, None, None] * winding
    ring[-1] = ring[0]
    for layer in (slice(0, 2), slice(2, 4)):
        winding[layer] *= streams(winding[layer])
    return ring, winding


def streams(winding: np.ndarray) -> bool:
    """Whether a layer that has travelled so far, (2, h, w) in short sides, flows on: else it has drifted."""
    return bool(np.hypot(*winding).max() >= WINDING_THRESHOLD)


class LoopField:
    """The closed curve of two layers' displacement: periodic part plus winding, at any time.

    displacement: (N, 4, h, w) in short sides, frame 0 all zeros; salient dx, dy, background dx, dy; closed by `close`. A
    stream is shown by cross-fading two phases of the picture (`at`), `turns[layer]` times a loop, so often
    that `winding` (4, h, w), what it travels in one of these turns, stays below MAX_WINDING. A layer that words leave at rest,
    or that hardly moves beside one that does, is put to rest. `strength` scales both parts, `directions` (see
    direct.py) edits them, and per layer they are held back so that no cell folds. At the picture's borders motion fades,
    of the salient layer at those that it touches (`borders`).
    """

    def __init__(self, displacement: np.ndarray, strength: float = 1.0, directions=None, borders: Borders = ALL_BORDERS):
        self.borders = borders, ALL_BORDERS
        frames = displacement.shape[0]
        self.period = frames - 1  # native frames
        ring, winding = close(displacement)
        layers = slice(0, 2), slice(2, 4)
        rests = (False, False) if directions is None else tuple(intent.rests for intent in directions.intents)
        peaks = [0.0 if resting else _peak(ring[:, layer]) + _peak(winding[layer]) for layer, resting in zip(layers, rests)]
        self.strength, self.turns, self.even = [strength, strength], [1, 1], [0.0, 0.0]
        self.winding, self.ring = winding * strength, ring * strength
        for index, layer in enumerate(layers):
            if rests[index] or not winding[layer].any():
                moving = 0.0 if rests[index] else 1 - _at_rest(peaks[index], peaks[1 - index])
                self.strength[index] *= moving
                self.ring[:, layer] *= moving
                self.winding[layer] *= moving
        if directions is not None:
            self.ring, self.winding = directions.applied(self.ring, self.winding)
        for index, layer in enumerate(layers):
            if self.winding[layer].any():
                self.turns[index] = int(np.ceil(np.hypot(*self.winding[layer]).max() / MAX_WINDING))
                self.winding[layer] /= self.turns[index]
            self.even[index] = min(1.0, EVEN * self.turns[index] / self.period)
            scale = self._unfolded(layer)
            self.strength[index] *= scale
            self.winding[layer] *= scale
            self.ring[:, layer] *= scale
        self.curve = CubicSpline(np.arange(frames), self.ring, axis=0, bc_type="periodic")
        ends = np.concatenate([self.ring + self.winding, self.ring - self.winding])
        sizes = np.stack([np.hypot(ends[:, 0], ends[:, 1]), np.hypot(ends[:, 2], ends[:, 3])], axis=1)
        self.reaches = tuple(float(sizes[:, layer].max()) for layer in range(2))  # short sides, the farthest it goes
        self.reach = max(self.reaches)
        self.moves = tuple(reach > 1e-5 for reach in self.reaches)

    def headroom(self, strongest: float) -> list[float]:
        """Factors, 1 to `strongest`, by which each layer can still be strengthened without a cell folding."""
        return [max(1.0, strongest * self._unfolded(layer, strongest)) for layer in (slice(0, 2), slice(2, 4))]

    def _unfolded(self, layer: slice, strength: float = 1.0) -> float:
        """Largest factor up to 1 on `strength` times the layer's displacement that keeps its Jacobian determinant above
        MIN_DETERMINANT, border included."""
        height, width = self.ring.shape[-2:]
        rows, columns = spline_matrix(height, 4 * height), spline_matrix(width, 4 * width)
        signs = (-1, 1) if self.winding[layer].any() else (0,)  # of a stream, both phases at their farthest
        ends = np.concatenate([self.ring[:, layer] + sign * self.winding[layer] for sign in signs])
        field = strength * (rows @ ends.astype(np.float32) @ columns.T)  # (N, 2, 4h, 4w)
        reach = border_reach(float(np.hypot(field[:, 0], field[:, 1]).max()))
        field *= border_fade(4 * height, 4 * width, reach, self.borders[layer.start // 2])
        cell = 1 / (4 * min(height, width))
        by_y, by_x = (np.gradient(field, cell, axis=axis) for axis in (-2, -1))
        factor = 1.0
        while factor > 0.05:
            determinant = (1 - factor * by_x[:, 0]) * (1 - factor * by_y[:, 1]) - factor**2 * by_x[:, 1] * by_y[:, 0]
            if determinant.min() >= MIN_DETERMINANT:
                break
            factor *= 0.93
        return factor

    def at(self, time: float) -> tuple[np.ndarray, tuple[float, float]]:
        """Displacement (4, h, w) in short sides at `time` in native frames, and a weight in [0, 1] of each layer.

        A streaming layer shows its picture moved by its displacement d and by d - winding, the latter with a weight that
        grows from none to all in each turn. Grown evenly, frames change evenly, but where it turns around can be seen, the
        more the longer a turn is: so slow streams' weights ease in and out, and `even` (layer,) is the share that does not.
        """
        turn = (time / self.period) % 1.0
        phases = [(turn * turns) % 1.0 for turns in self.turns]
        weights = tuple(even * q + (1 - even) * q * q * (3 - 2 * q) for q, even in zip(phases, self.even))
        if turn == 0:
            return np.zeros_like(self.winding), weights
        return (self.curve(turn * self.period) + np.repeat(phases, 2)[:, None, None] * self.winding).astype(np.float32), weights


def _peak(displacement: np.ndarray) -> float:
    """Largest mean size of displacements (..., 2, h, w), in short sides."""
    return float(np.linalg.norm(displacement, axis=-3).mean((-2, -1)).max())


def _at_rest(peak: float, other: float) -> float:
    """How much a layer of that peak displacement is put to rest beside another: 1 all of it, 0 none, smooth between."""
    moving = max(peak / RESIDUE, peak / max(RESIDUE_SHARE * other, 1e-9))
    ramp = np.clip((1.2 - moving) / 0.4, 0, 1)
    return float(ramp * ramp * (3 - 2 * ramp))
