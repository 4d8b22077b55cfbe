"""Eyes in the planes of a layer, drawn anew for each time from what they are at rest (`motion.faces` says what they do).

Only pixels that an eye's lids and iris move are written; all else keeps its bytes.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
from numba import njit

from loopanimate.motion.faces import ENDS, FOLLOWS, KNOTS, LIDS, LOWER_RIM, OPEN_WAY, SOFT, UPPER_RIM, Face
from loopanimate.render.kernels import FAST, compile_kernel

LEAST_BAND = 48  # rows that are worth a thread of their own
STATE, CURVES = 11, len(LIDS) * KNOTS  # numbers of a packed eye: its frame, what it does, its iris, a pixel; then its curves
Run = Callable[[Iterable[Callable[[], None]]], None]  # calls all of them, perhaps at once


class EyePlanes:
    """A face's eyes in planes (C, h, w) uint8, which `draw` changes.

    rest: (C, rows, columns) uint8, the enlarged planes around the face as they are at rest. corner: row and column of its first
    pixel in the whole enlarged planes; first: the same of the first pixel of `planes`, of which each is `every` enlarged ones
    from the last. ratio: as of `Planes`. short: pixels of the frame's short side.
    """

    def __init__(self, face: Face, planes: np.ndarray, rest: np.ndarray, corner, first, every: int, ratio: int, short: int):
        self.face, self.planes, self.rest, self.corner, self.first = face, planes, np.ascontiguousarray(rest), corner, first
        self.every, self.scale = every, np.float32(ratio / 2 / short)
        # the middle of an enlarged pixel of colour lies on a column, and between two rows
        self.shifts = np.float32(0.5 / short), np.float32((0.5 if ratio == 1 else 1.0) / short)
        # within a layer alpha is the same all over the face, and needs no drawing
        self.count = len(rest) - bool(rest[-1].min() == rest[-1].max())
        self.drawn: list[tuple[int, int, int, int]] = []

    def draw(self, share: float, run: Run) -> list[tuple[int, int, int, int]]:
        """Draw the eyes at a share of the loop; returns the boxes of `planes` (top, bottom, left, right) that may have changed."""
        eyes, _ = self.face.at(share)
        before, self.drawn = self.drawn, []
        for top, bottom, left, right in before:
            rows, columns = (
                slice(start - away, end - away, self.every)
                for start, end, away in (
                    (top * self.every + self.first[0], bottom * self.every + self.first[0], self.corner[0]),
                    (left * self.every + self.first[1], right * self.every + self.first[1], self.corner[1]),
                )
            )
            self.planes[: self.count, top:bottom, left:right] = self.rest[: self.count, rows, columns]
        if not eyes:
            return before
        packed = np.stack([self._pack(*eye) for eye in eyes])
        places = [_around(eye) for eye, _ in eyes]
        jobs = []
        for place in places:
            top, bottom, left, right = limits = self._limits(place)
            if top >= bottom or left >= right:
                continue
            self.drawn.append(limits)
            bands = max(1, (bottom - top) // LEAST_BAND)
            edges = [top + (bottom - top) * band // bands for band in range(bands + 1)]
            for start, end in pairwise(edges):
                jobs.append(lambda limits=(start, end, left, right): self._draw(packed, limits))
        run(jobs)
        return [*before, *self.drawn]

    def _draw(self, eyes, limits) -> None:
        _shift(
            self.rest, *self.corner, self.planes[: self.count], *self.first, self.every, self.scale, *self.shifts, eyes, *limits,
        )  # fmt: skip

    def _pack(self, eye, now) -> np.ndarray:
        pixel = 2 * self.scale / np.hypot(*eye.along)
        return np.concatenate([eye.corner, eye.along, now, eye.iris, [pixel], eye.lids.ravel()]).astype(np.float32)

    def _limits(self, place: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
        """Pixels of `planes` that a place in short sides may reach, within what is known at rest."""
        edges = []
        for axis, count, known in (
            (1, self.planes.shape[1], self.rest.shape[1]),
            (0, self.planes.shape[2], self.rest.shape[2]),
        ):
            first, corner = self.first[1 - axis], self.corner[1 - axis]
            low, high = ((place[axis + end] - self.shifts[axis]) / self.scale for end in (0, 2))
            low, high = max(low, corner), min(high + 1, corner + known)
            edges += [max(0, int(np.ceil((low - first) / self.every))), min(count, int((high - first - 1) // self.every) + 1)]
        return tuple(edges)


def crop_of(face: Face, short: int, ratio: int, limits: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of whole enlarged planes, `limits` in all, that a face is drawn from."""
    scale, margin = ratio / 2 / short, 16
    reach = face.eye_reach / scale + margin
    low = [int(max(0, face.box[axis] / scale - reach)) // 2 * 2 for axis in (1, 0)]
    high = [int(min(side, face.box[axis + 2] / scale + reach)) // 2 * 2 for axis, side in ((1, limits[0]), (0, limits[1]))]
    return tuple(slice(first, max(last, first)) for first, last in zip(low, high))


def _around(eye) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all that an eye moves."""
    ends = np.linspace(*ENDS, KNOTS)
    u, v = np.tile(ends, 2), eye.lids[[0, 3]].ravel()
    (along_x, along_y), (x, y) = eye.along, eye.corner
    across, down = x + u * along_x - v * along_y, y + u * along_y + v * along_x
    return float(across.min()), float(down.min()), float(across.max()), float(down.max())


@njit(**FAST)
def _smooth(share):
    share = min(max(share, np.float32(0)), np.float32(1))
    return share * share * (3 - 2 * share)


@njit(**FAST)
def _lid(eye, curve, u):
    """The height of one of an eye's curves at u."""
    at = (min(max(u, np.float32(ENDS[0])), np.float32(ENDS[1])) - np.float32(ENDS[0])) * np.float32(
        (KNOTS - 1) / (ENDS[1] - ENDS[0])
    )
    knot = min(int(at), KNOTS - 2)
    first = STATE + curve * KNOTS + knot
    return eye[first] + (at - knot) * (eye[first + 1] - eye[first])


@njit(**FAST)
def _read(rest, plane, x, y):
    """A plane at a place, in its pixels, linear between them."""
    x = min(max(x, np.float32(0)), np.float32(rest.shape[2] - 1))
    y = min(max(y, np.float32(0)), np.float32(rest.shape[1] - 1))
    column, row = min(int(x), rest.shape[2] - 2), min(int(y), rest.shape[1] - 2)
    x, y = x - column, y - row
    a, b = np.float32(rest[plane, row, column]), np.float32(rest[plane, row, column + 1])
    c, d = np.float32(rest[plane, row + 1, column]), np.float32(rest[plane, row + 1, column + 1])
    above, below = a + x * (b - a), c + x * (d - c)
    return above + y * (below - above)


@compile_kernel(
    "void(uint8[:, :, ::1], int64, int64, uint8[:, :, ::1], int64, int64, int64, float32, float32, float32, "
    "float32[:, ::1], int64, int64, int64, int64)"
)
def _shift(
    rest, corner_row, corner_column, planes, first_row, first_column, every, scale, x_shift, y_shift,
    eyes, top, bottom, left, right,
):  # fmt: skip
    """Draw a box of planes: `motion.faces.shift_eye` at each pixel."""
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    u, v = np.empty(3, np.float32), np.empty(3, np.float32)  # of the eyeball, the lower and the upper lid
    xs, ys = np.empty(3, np.float32), np.empty(3, np.float32)
    for row in range(top, bottom):
        index_y = row * every + first_row
        y = np.float32(index_y) * scale + y_shift
        for column in range(left, right):
            index_x = column * every + first_column
            x = np.float32(index_x) * scale + x_shift
            over_upper, over_lower = zero, zero
            lids = False
            for number in range(len(eyes)):
                eye = eyes[number]
                across, down = x - eye[0], y - eye[1]
                length = eye[2] * eye[2] + eye[3] * eye[3]
                here, height = (across * eye[2] + down * eye[3]) / length, (down * eye[2] - across * eye[3]) / length
                if here <= ENDS[0] or here >= ENDS[1]:
                    continue
                over, under = _lid(eye, 0, here), _lid(eye, 3, here)
                if height <= over or height >= under:
                    continue
                upper, lower = _lid(eye, 1, here), _lid(eye, 2, here)
                closed, gaze_u, gaze_v = eye[4], eye[5], eye[6]
                follows = max(4 * here * (1 - here), zero) * (1 - closed) * gaze_v
                sinks = closed * _lid(eye, 4, here) + np.float32(FOLLOWS[0]) * follows
                rises = closed * _lid(eye, 5, here) + np.float32(FOLLOWS[1]) * follows
                upper_edge, lower_edge = upper + sinks + np.float32(UPPER_RIM), lower + rises - np.float32(LOWER_RIM)
                soft = max(np.float32(SOFT), np.float32(1.5) * eye[10])
                over_lower, over_upper = (
                    _smooth((height - lower_edge) / soft + half),
                    _smooth((upper_edge - height) / soft + half),
                )
                if sinks == 0 and rises == 0 and (over_upper >= 1 or over_lower >= 1):  # skin that rests
                    over_lower = over_upper = zero
                    break
                u[0] = u[1] = u[2] = here
                v[0] = height
                v[1] = height - rises * _smooth((under - height) / (under - lower_edge))
                v[2] = height - sinks * _smooth((height - over) / (upper_edge - over))
                if gaze_u != 0 or gaze_v != 0:
                    middle = eye[7] + gaze_u
                    room = (middle if here < middle else one - middle) - eye[9]
                    if (here - middle) * gaze_u > 0:
                        room += np.float32(OPEN_WAY) * abs(gaze_u)
                    free = one - _smooth((abs(here - middle) - eye[9]) / max(room, np.float32(0.02)))
                    u[0] = min(max(here - gaze_u * free, zero), one)
                    high, low = _lid(eye, 1, u[0]), _lid(eye, 2, u[0])
                    least = min(high + np.float32(UPPER_RIM), low - np.float32(LOWER_RIM))
                    v[0] = min(max(height - gaze_v * free, least), max(low - np.float32(LOWER_RIM), high))
                for part in range(3):
                    xs[part] = eye[0] + u[part] * eye[2] - v[part] * eye[3]
                    ys[part] = eye[1] + u[part] * eye[3] + v[part] * eye[2]
                lids = True
                break
            if not lids:
                continue
            for part in range(3):
                xs[part] = (xs[part] - x_shift) / scale - corner_column
                ys[part] = (ys[part] - y_shift) / scale - corner_row
            for plane in range(len(planes)):
                value = _read(rest, plane, xs[0], ys[0]) if over_lower < 1 and over_upper < 1 else zero
                if over_lower > 0 and over_upper < 1:
                    value += over_lower * (_read(rest, plane, xs[1], ys[1]) - value)
                if over_upper > 0:
                    value += over_upper * (_read(rest, plane, xs[2], ys[2]) - value)
                planes[plane, row, column] = np.uint8(value + half)
