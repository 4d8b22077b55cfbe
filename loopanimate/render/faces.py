"""Eyes of a layer, drawn where it is sampled: over what `kernels.sample` drew, only pixels that lids and irises move."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from loopanimate.compiled import FAST, compile_kernel
from loopanimate.motion.faces import ENDS, FOLLOWS, KNOTS, LIDS, LOWER_RIM, OPEN_WAY, SOFT, UPPER_RIM, Eye
from loopanimate.render.kernels import BOX, KNOWN

STATE, CURVES = (
    12,
    len(LIDS) * KNOTS,
)  # numbers of a packed eye: its frame, what it does, its iris, its heights; then its curves


def pack_eyes(eyes: Sequence[tuple[Eye, Sequence[float]]]) -> np.ndarray:
    """Eyes and what they do, as `Face.at` has them, for `sample_eyes`: (E, STATE + CURVES) float32."""
    rows = [
        [*eye.corner, *eye.along, *now, *eye.iris, eye.lids[0].min(), eye.lids[3].max(), *eye.lids.ravel()] for eye, now in eyes
    ]
    return np.array(rows, np.float32).reshape(-1, STATE + CURVES)


@njit(**FAST)
def _smooth(share):
    share = min(max(share, np.float32(0)), np.float32(1))
    return share * share * (3 - 2 * share)


@njit(**FAST)
def _find_knot(u):
    """Where the curves at the knot before u begin, and the share of the way to the next."""
    at = (min(max(u, np.float32(ENDS[0])), np.float32(ENDS[1])) - np.float32(ENDS[0])) * np.float32(
        (KNOTS - 1) / (ENDS[1] - ENDS[0])
    )
    knot = min(int(at), KNOTS - 2)
    return STATE + knot, at - knot


@njit(**FAST)
def _lid(eye, curve, knot, share):
    """The height of one of an eye's curves."""
    first = knot + curve * KNOTS
    return eye[first] + share * (eye[first + 1] - eye[first])


@njit(**FAST)
def _read(planes, plane, x, y):
    """A plane at a place, in its pixels, linear between them."""
    x = min(max(x, np.float32(0)), np.float32(planes.shape[2] - 1))
    y = min(max(y, np.float32(0)), np.float32(planes.shape[1] - 1))
    column, row = min(int(x), planes.shape[2] - 2), min(int(y), planes.shape[1] - 2)
    x, y = x - column, y - row
    a, b = np.float32(planes[plane, row, column]), np.float32(planes[plane, row, column + 1])
    c, d = np.float32(planes[plane, row + 1, column]), np.float32(planes[plane, row + 1, column + 1])
    above, below = a + x * (b - a), c + x * (d - c)
    return above + y * (below - above)


@compile_kernel(
    f"void(uint8[:, :, ::1], int64, int64, {KNOWN}, int64, int64, int64, float32[:, ::1], uint8[:, :, ::1], {BOX}, int64, int64)"
)
def sample_eyes(
    source,
    first_row,
    first_column,
    known,
    step,
    ratio,
    short,
    eyes,
    target,
    top,
    bottom,
    left,
    right,
    origin_row,
    origin_column,
):
    """Draw eyes over a box of a frame's planes, `motion.faces.shift_eye` at each place that they move.

    short: pixels of the frame's short side. eyes: of `pack_eyes`. All else as `kernels.sample` has it.
    """
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    step //= ratio
    scale, shift = np.float32(2 / ratio), np.float32((1 - ratio) / ratio)
    unit = np.float32(short)
    rows, columns = slice(top // step, -(-bottom // step) + 2), slice(left // step, -(-right // step) + 2)
    across, down = known[0, rows, columns], known[1, rows, columns]
    u, v = np.empty(3, np.float32), np.empty(3, np.float32)  # of the eyeball, the lower and the upper lid
    xs, ys = np.empty(3, np.float32), np.empty(3, np.float32)
    for number in range(len(eyes)):
        eye = eyes[number]
        length = one / (eye[2] * eye[2] + eye[3] * eye[3])
        along_x, along_y = eye[2] * length, eye[3] * length
        soft = max(np.float32(SOFT), np.float32(1.5 * ratio / short) * np.sqrt(length))
        closed, gaze_u, gaze_v = eye[4], eye[5], eye[6]
        for row in range(top, bottom):
            place = (row - top + 0.5) / step + 0.5
            above = int(place)
            share = np.float32(place - above)
            for cell in range(across.shape[1] - 1):
                x = across[above, cell] + share * (across[above + 1, cell] - across[above, cell])
                y = down[above, cell] + share * (down[above + 1, cell] - down[above, cell])
                x_next = across[above, cell + 1] + share * (across[above + 1, cell + 1] - across[above, cell + 1])
                y_next = down[above, cell + 1] + share * (down[above + 1, cell + 1] - down[above, cell + 1])
                x, y, x_next, y_next = (
                    (x + half) / unit - eye[0],
                    (y + half) / unit - eye[1],
                    (x_next + half) / unit - eye[0],
                    (y_next + half) / unit - eye[1],
                )
                begins, rises_from = x * along_x + y * along_y, y * along_x - x * along_y
                ends, rises_to = x_next * along_x + y_next * along_y, y_next * along_x - x_next * along_y
                if max(begins, ends) <= np.float32(ENDS[0]) or min(begins, ends) >= np.float32(ENDS[1]):
                    continue
                if max(rises_from, rises_to) <= eye[10] or min(rises_from, rises_to) >= eye[11]:
                    continue
                # the first known place of the box lies half a step before it
                first = left + cell * step - step // 2
                for column in range(max(first, left), min(first + step, right)):
                    part = (np.float32(column - first) + half) / np.float32(step)
                    here, height = begins + part * (ends - begins), rises_from + part * (rises_to - rises_from)
                    if here <= np.float32(ENDS[0]) or here >= np.float32(ENDS[1]):
                        continue
                    knot, between = _find_knot(here)
                    over, under = _lid(eye, 0, knot, between), _lid(eye, 3, knot, between)
                    if height <= over or height >= under:
                        continue
                    upper, lower = _lid(eye, 1, knot, between), _lid(eye, 2, knot, between)
                    follows = max(4 * here * (1 - here), zero) * (1 - closed) * gaze_v
                    sinks = closed * _lid(eye, 4, knot, between) + np.float32(FOLLOWS[0]) * follows
                    rises = closed * _lid(eye, 5, knot, between) + np.float32(FOLLOWS[1]) * follows
                    upper_edge, lower_edge = upper + sinks + np.float32(UPPER_RIM), lower + rises - np.float32(LOWER_RIM)
                    over_lower, over_upper = (
                        _smooth((height - lower_edge) / soft + half),
                        _smooth((upper_edge - height) / soft + half),
                    )
                    if sinks == 0 and rises == 0 and (over_upper >= 1 or over_lower >= 1):  # skin that rests
                        continue
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
                        knot, between = _find_knot(u[0])
                        high, low = _lid(eye, 1, knot, between), _lid(eye, 2, knot, between)
                        least = min(high + np.float32(UPPER_RIM), low - np.float32(LOWER_RIM))
                        v[0] = min(max(height - gaze_v * free, least), max(low - np.float32(LOWER_RIM), high))
                    for part_of in range(3):
                        shown_x = (eye[0] + u[part_of] * eye[2] - v[part_of] * eye[3]) * unit - half
                        shown_y = (eye[1] + u[part_of] * eye[3] + v[part_of] * eye[2]) * unit - half
                        xs[part_of] = shown_x * scale + shift - np.float32(first_column)
                        ys[part_of] = shown_y * scale + shift - np.float32(first_row)
                    for plane in range(len(target)):
                        value = _read(source, plane, xs[0], ys[0]) if over_lower < 1 and over_upper < 1 else zero
                        if over_lower > 0 and over_upper < 1:
                            value += over_lower * (_read(source, plane, xs[1], ys[1]) - value)
                        if over_upper > 0:
                            value += over_upper * (_read(source, plane, xs[2], ys[2]) - value)
                        target[plane, row - origin_row, column - origin_column] = np.uint8(value + half)
