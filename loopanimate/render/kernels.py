"""Where a moved layer is sampled, and linear samples of its planes there: OpenCV's `resize` of places and `remap` in one pass.

Compiled, because a frame of 4K takes 15 million samples. It goes row by row in loops that a compiler turns into vector
instructions, on buffers that stay in the nearest cache (what that saves: `python -m tests.benchmarks.bench_export`).
"""

from contextlib import suppress

import cv2
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LATTICE = 8  # pixels between the places around which the least and the most of alpha are known
REACH = 5  # pixels of a plane that a place of its doubled one depends on, each way
SPARE = 2  # rows behind a plane: what is read beside its last pixel has no weight, but must be there
LINE = 64  # bytes that memory gives at a time
PART = {"fastmath": True, "error_model": "numpy"}


def _compiled(signature: str):
    """Compile now, and keep the result on disk where there is a place for it: the first time takes seconds."""

    def compiled(function):
        whole = njit(nogil=True, **PART)(function)
        with suppress(RuntimeError):  # nowhere to write
            whole.enable_caching()
        whole.compile(signature)
        return whole

    return compiled


def planes(count: int, height: int, width: int) -> np.ndarray:
    """New planes (count, height, width) uint8 that can be sampled: memory goes on behind the last."""
    flat = np.empty((count * height + SPARE) * width, np.uint8)
    return flat[: count * height * width].reshape(count, height, width)


LIMITS = "int64, int64, int64, int64, int64, int64"  # of a box, and the origin
KNOWN = "float32[:, :, ::1]"


@_compiled(f"void({KNOWN}, float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], {KNOWN})")
def places(down, across, fade, x, y, out):
    """What the pixels (y, x) of a frame show stood at out (2, rows, columns): x, then y, each minus its displacement.

    The displacement is fade (rows, columns) times the product of down (2, rows, cells) and across (cells, columns).
    """
    for row in range(len(y)):
        for axis in range(2):
            moved = out[axis, row]
            moved[:] = 0
            for cell in range(len(across)):
                weight = down[axis, row, cell]
                for column in range(len(x)):
                    moved[column] += weight * across[cell, column]
        for column in range(len(x)):
            out[0, row, column] = x[column] - out[0, row, column] * fade[row, column]
            out[1, row, column] = y[row] - out[1, row, column] * fade[row, column]


def spread(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most of alpha (h, w) uint8 up to LATTICE pixels around every LATTICE-th one."""
    around = np.ones((2 * LATTICE + 1,) * 2, np.uint8)
    return tuple(np.ascontiguousarray(wide(alpha, around)[::LATTICE, ::LATTICE]) for wide in (cv2.erode, cv2.dilate))


@njit(**PART)
def _box(known, step, top, bottom, left, right):
    """Of a tile and one step around it, the least and the greatest of y, and of x."""
    x = known[0, top // step : -(-bottom // step) + 2, left // step : -(-right // step) + 2]
    y = known[1, top // step : -(-bottom // step) + 2, left // step : -(-right // step) + 2]
    return y.min(), y.max(), x.min(), x.max()


@njit(**PART)
def _around(low, high, count):
    """First and last of `count` places of the lattice whose surroundings hold all that pixels low to high depend on."""
    first, last = int(np.floor((low - REACH) / LATTICE)) + 1, int(np.ceil((high + REACH) / LATTICE)) - 1
    return min(max(first, 0), count - 1), min(max(last, 0), count - 1)


@_compiled(f"UniTuple(int64, 2)({KNOWN}, int64, int64, int64, int64, int64, uint8[:, ::1], uint8[:, ::1])")
def alphas(known, step, top, bottom, left, right, least, most):
    """Bounds (least, most) of the alpha that rows top to bottom, columns left to right show; of `places` and `spread`."""
    up, down, west, east = _box(known, step, top, bottom, left, right)
    first_row, last_row = _around(up, down, len(least))
    first_column, last_column = _around(west, east, least.shape[1])
    low, high = 255, 0
    for row in range(first_row, last_row + 1):
        for column in range(first_column, last_column + 1):
            low, high = min(low, least[row, column]), max(high, most[row, column])
    return low, high


@intrinsic
def _four_bytes(typing, planes, index):
    """The four bytes from the planes' byte `index` on, as one number."""

    def load(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.gep(data, [arguments[1]])
        return builder.load(builder.bitcast(place, ir.IntType(32).as_pointer()), align=1)

    return types.int32(planes, types.int64), load


@njit(**PART)
def _touch(plane, top, bottom, left, right):
    """Read one byte of each line of a box of a plane: requests that overlap, where samples would wait for each."""
    read = 0
    for row in range(top, bottom):
        for column in range(left, right, LINE):
            read += plane[row, column]
    return read


@njit(**PART)
def _between(upper, lower, share, scale, shift, step, ramp, fine):
    """Of one row, the places between `share` of the way from one row of known ones to the next, and linear along them."""
    for known in range(len(upper) - 1):
        here = upper[known] + share * (lower[known] - upper[known])
        slope = (upper[known + 1] + share * (lower[known + 1] - upper[known + 1]) - here) * scale
        here = here * scale + shift
        for part in range(step):
            fine[known * step + part] = here + slope * ramp[part]


@njit(**PART)
def _split(x, y, right, bottom, stride, index):
    """Places in a plane, replaced by what is left of them beyond the pixels before them, and those pixels' indices."""
    zero = np.float32(0)
    for column in range(len(index)):
        across, down = min(max(x[column], zero), right), min(max(y[column], zero), bottom)
        whole_across, whole_down = np.int32(across), np.int32(down)
        x[column], y[column] = across - np.float32(whole_across), down - np.float32(whole_down)
        index[column] = whole_across + whole_down * stride


@njit(**PART)
def _fetch(source, start, index, stride, upper, lower):
    for column in range(len(index)):
        upper[column] = _four_bytes(source, index[column] + start)
        lower[column] = _four_bytes(source, index[column] + start + stride)


@njit(**PART)
def _mix(upper, lower, across, down, row):
    """The first two of four bytes each, and the two, weighted."""
    byte, bits, half = np.int32(255), np.int32(8), np.float32(0.5)
    for column in range(len(row)):
        a, b = np.float32(upper[column] & byte), np.float32((upper[column] >> bits) & byte)
        c, d = np.float32(lower[column] & byte), np.float32((lower[column] >> bits) & byte)
        above, below = a + across[column] * (b - a), c + across[column] * (d - c)
        row[column] = np.uint8(np.int32(above + down[column] * (below - above) + half))


@_compiled(f"int64(uint8[:, :, ::1], {KNOWN}, int64, int64, uint8[:, :, ::1], {LIMITS})")
def sample(source, known, step, ratio, target, top, bottom, left, right, origin_row, origin_column):
    """Draw the first planes of `source` into rows top to bottom, columns left to right of a frame's planes.

    source: (S, 2h, 2w) uint8 of `planes`, where [2y, 2x] is what zero displacement shows at (y, x); beyond its border is
    the border. known: of `places`, in pixels of the frame, every `step` of them, from half a step before its first on.
    ratio: pixels of the frame to one of the planes. target: (P <= S, ...) uint8, whose first pixel is the frame's at
    `origin_row`, `origin_column`. top and left are multiples of step / ratio, which is 2, 4 or 8.
    """
    height, stride = source.shape[1:]
    step //= ratio
    half = step // 2
    # a plane's pixel i stands on i + (ratio - 1) / 2 of the frame's
    scale, shift = np.float32(2 / ratio), np.float32((1 - ratio) / ratio)
    ramp = ((np.arange(step) + 0.5) / step).astype(np.float32)
    rows, columns = slice(top // step, -(-bottom // step) + 2), slice(left // step, -(-right // step) + 2)
    x, y = known[0, rows, columns].copy(), known[1, rows, columns].copy()
    size = (x.shape[1] - 1) * step
    x_fine, y_fine = np.empty(size, np.float32), np.empty(size, np.float32)
    index, upper, lower = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    up, down, west, east = _box(known, step, top, bottom, left, right)
    read = 0
    for plane in range(len(target)):
        read += _touch(
            source[plane],
            max(0, int(up * scale + shift)),
            min(height, int(down * scale + shift) + 2),
            max(0, int(west * scale + shift)),
            min(stride, int(east * scale + shift) + LINE),
        )
    for row in range(top, bottom):
        place = (row - top + 0.5) / step + 0.5
        above = int(place)
        share = np.float32(place - above)
        for values, fine in ((x, x_fine), (y, y_fine)):
            if step == 8:
                _between(values[above], values[above + 1], share, scale, shift, 8, ramp, fine)
            elif step == 4:
                _between(values[above], values[above + 1], share, scale, shift, 4, ramp, fine)
            else:
                _between(values[above], values[above + 1], share, scale, shift, 2, ramp, fine)
        _split(x_fine, y_fine, np.float32(stride - 1), np.float32(height - 1), np.int32(stride), index)
        for plane in range(len(target)):
            _fetch(source, plane * height * stride, index, stride, upper, lower)
            drawn = target[plane, row - origin_row, left - origin_column : right - origin_column]
            _mix(upper[half:], lower[half:], x_fine[half:], y_fine[half:], drawn)
    return read  # else a compiler would not read it


@njit(**PART)
def _restored(now, before, mean, gain, weight, row):
    zero, full, half = np.float32(0), np.float32(255), np.float32(0.5)
    for column in range(len(row)):
        blend = np.float32(now[column]) + weight * (np.float32(before[column]) - np.float32(now[column]))
        value = mean[column] + gain[column] * (blend - mean[column])
        row[column] = np.uint8(np.int32(min(max(value, zero), full) + half))


@_compiled(f"void(uint8[:, :, :, ::1], float32[:, :, ::1], float32[:, ::1], float32, int64, uint8[:, :, ::1], {LIMITS})")
def cross_fade(phases, means, gain, weight, step, target, top, bottom, left, right, origin_row, origin_column):
    """Draw two phases (2, P, h, w) of a box into `target`, as `sample` does, the second with `weight`.

    What differs from the local `means` (P, ...), of all the frame, is strengthened by `gain` (rows, columns), known every
    `step` pixels of the box like the places of `sample`.
    """
    ramp, half = ((np.arange(step) + 0.5) / step).astype(np.float32), step // 2
    fine = np.empty((gain.shape[1] - 1) * step, np.float32)
    for row in range(top, bottom):
        place = (row - top + 0.5) / step + 0.5
        above = int(place)
        share = np.float32(place - above)
        _between(gain[above], gain[above + 1], share, np.float32(1), np.float32(0), step, ramp, fine)
        for plane in range(len(target)):
            now, before = phases[0, plane, row - top], phases[1, plane, row - top]
            drawn = target[plane, row - origin_row, left - origin_column : right - origin_column]
            _restored(now, before, means[plane, row, left:right], fine[half:], weight, drawn)
