"""Where a moved layer is sampled, and linear samples of its planes there, compiled by numba.

They replace OpenCV's `resize` of places and `remap`, because a frame of 4K takes 15 million samples: a moved layer of such a
frame (brightness and alpha) takes 27 ms of one core instead of 50, with the same error (`tests.benchmarks.bench_kernels`).
Rows are drawn in loops that a compiler turns into vector instructions, on buffers that stay in the nearest cache.
"""

import cv2
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from loopanimate.compiled import FAST, compile_kernel

LATTICE = 8  # pixels between the points around which the least and the greatest alpha are known
REACH = 5  # pixels of a plane, each way, that a pixel of its enlargement depends on
LINE = 64  # bytes that the memory delivers at once
BOX = "int64, int64, int64, int64"  # top, bottom, left, right
KNOWN = "float32[:, :, ::1]"


def new_planes(count: int, height: int, width: int) -> np.ndarray:
    """Allocate planes (count, height, width) uint8 that `sample` can read.

    A sample reads four bytes at its pixel and four below it; beside the last pixel those have no weight, but must exist.
    """
    flat = np.empty((count * height + 1) * width + 3, np.uint8)
    return flat[: count * height * width].reshape(count, height, width)


@compile_kernel(f"void({KNOWN}, float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], {KNOWN})")
def place(down, across, fade, x, y, out):
    """Compute the place (x, y) minus displacement of each point of a grid, out (2, rows, columns): x, then y.

    The displacement is fade (rows, columns) times the matrix product of down (2, rows, cells) and across (cells, columns).
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


@compile_kernel(f"void({KNOWN}, {KNOWN}, float64, float64, float64, float64)")
def bend(known, field, left, top, right, bottom):
    """Take a face's displacement at each place of `place` off it: field (2, rows, columns) in pixels, over a box of pixels."""
    rows, columns = field.shape[1:]
    across, down = (columns - 1) / (right - left), (rows - 1) / (bottom - top)
    for row in range(known.shape[1]):
        for column in range(known.shape[2]):
            x, y = (known[0, row, column] - left) * across, (known[1, row, column] - top) * down
            if x <= 0 or y <= 0 or x >= columns - 1 or y >= rows - 1:
                continue
            cell_x, cell_y = int(x), int(y)
            share_x, share_y = x - cell_x, y - cell_y
            for axis in range(2):
                plane = field[axis]
                upper = plane[cell_y, cell_x] + share_x * (plane[cell_y, cell_x + 1] - plane[cell_y, cell_x])
                lower = plane[cell_y + 1, cell_x] + share_x * (plane[cell_y + 1, cell_x + 1] - plane[cell_y + 1, cell_x])
                known[axis, row, column] -= upper + share_y * (lower - upper)


def spread(alpha: np.ndarray, more: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Find the least and the greatest alpha (h, w) uint8 within LATTICE and some more pixels of every LATTICE-th pixel."""
    around = np.ones((2 * (LATTICE + more) + 1,) * 2, np.uint8)
    return tuple(np.ascontiguousarray(widen(alpha, around)[::LATTICE, ::LATTICE]) for widen in (cv2.erode, cv2.dilate))


@njit(**FAST)
def _find_bounds(known, step, top, bottom, left, right):
    """Least and greatest y, then x, of a tile's places and of one step around it."""
    x = known[0, top // step : -(-bottom // step) + 2, left // step : -(-right // step) + 2]
    y = known[1, top // step : -(-bottom // step) + 2, left // step : -(-right // step) + 2]
    return y.min(), y.max(), x.min(), x.max()


@njit(**FAST)
def _find_around(low, high, count):
    """First and last of `count` lattice points that together see every pixel that samples from low to high depend on."""
    first, last = int(np.floor((low - REACH) / LATTICE)) + 1, int(np.ceil((high + REACH) / LATTICE)) - 1
    return min(max(first, 0), count - 1), min(max(last, 0), count - 1)


@compile_kernel(f"UniTuple(int64, 2)({KNOWN}, int64, {BOX}, uint8[:, ::1], uint8[:, ::1])")
def bound_alpha(known, step, top, bottom, left, right, least, greatest):
    """Bound the alpha that a tile shows: (low, high). known, step: as in `sample`; least, greatest: of `spread`."""
    up, down, west, east = _find_bounds(known, step, top, bottom, left, right)
    first_row, last_row = _find_around(up, down, len(least))
    first_column, last_column = _find_around(west, east, least.shape[1])
    low, high = 255, 0
    for row in range(first_row, last_row + 1):
        for column in range(first_column, last_column + 1):
            low, high = min(low, least[row, column]), max(high, greatest[row, column])
    return low, high


@intrinsic
def _four_bytes(typing, planes, index):
    """Load four bytes of the planes, from byte `index` on, as one number: one memory access instead of two."""

    def load(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.gep(data, [arguments[1]])
        return builder.load(builder.bitcast(place, ir.IntType(32).as_pointer()), align=1)

    return types.int32(planes, types.int64), load


@njit(**FAST)
def _touch(plane, top, bottom, left, right):
    """Read one byte of each line of a box: these accesses overlap, while samples would wait for each."""
    read = 0
    for row in range(top, bottom):
        for column in range(left, right, LINE):
            read += plane[row, column]
    return read


@njit(**FAST)
def _interpolate(upper, lower, share, scale, shift, step, ramp, fine):
    """Interpolate a row of pixels, fine, linearly from two rows of known values, `share` of the way from upper to lower."""
    for known in range(len(upper) - 1):
        here = upper[known] + share * (lower[known] - upper[known])
        slope = (upper[known + 1] + share * (lower[known + 1] - upper[known + 1]) - here) * scale
        here = here * scale + shift
        for part in range(step):
            fine[known * step + part] = here + slope * ramp[part]


@njit(**FAST)
def _split(x, y, top, bottom, left, right, stride, index):
    """Clamp places to a box of a plane, and split them: x and y keep the fractions, index takes the pixels in the box."""
    first = np.int32(left) + np.int32(top) * stride
    for column in range(len(index)):
        across, down = min(max(x[column], left), right), min(max(y[column], top), bottom)
        whole_across, whole_down = np.int32(across), np.int32(down)
        x[column], y[column] = across - np.float32(whole_across), down - np.float32(whole_down)
        index[column] = whole_across + whole_down * stride - first


@njit(**FAST)
def _fetch(source, start, index, stride, upper, lower):
    for column in range(len(index)):
        upper[column] = _four_bytes(source, index[column] + start)
        lower[column] = _four_bytes(source, index[column] + start + stride)


@njit(**FAST)
def _mix(upper, lower, across, down, row):
    """Interpolate between two pixels of the upper row and two of the lower: the first two of four bytes each."""
    byte, bits, half = np.int32(255), np.int32(8), np.float32(0.5)
    for column in range(len(row)):
        a, b = np.float32(upper[column] & byte), np.float32((upper[column] >> bits) & byte)
        c, d = np.float32(lower[column] & byte), np.float32((lower[column] >> bits) & byte)
        above, below = a + across[column] * (b - a), c + across[column] * (d - c)
        row[column] = np.uint8(np.int32(above + down[column] * (below - above) + half))


@compile_kernel(f"int64(uint8[:, :, ::1], int64, int64, {KNOWN}, int64, int64, uint8[:, :, ::1], {BOX}, int64, int64)")
def sample(source, first_row, first_column, known, step, ratio, target, top, bottom, left, right, origin_row, origin_column):
    """Sample the first planes of `source` at the pixels of a box (top to bottom, left to right) of a frame's planes.

    source: (S, 2h, 2w) uint8 of `new_planes`: a part of enlarged planes, from (first_row, first_column) on; the whole
    plane's [2y, 2x] is what zero displacement shows at (y, x). Beyond the part its rim goes on.
    known: places of `place` in pixels of the frame, one every `step` pixels, from half a step before the frame on.
    ratio: pixels of the frame to one of its planes. target: (P <= S, ...) uint8, whose first pixel is (origin_row,
    origin_column) of the frame's planes. top and left are multiples of step / ratio, which is 2, 4 or 8.
    """
    height, stride = source.shape[1:]
    step //= ratio
    half = step // 2
    # pixel i of an enlarged plane lies at pixel i / 2 of the frame for ratio 1, and at i + 1/2 for ratio 2
    scale, shift = np.float32(2 / ratio), np.float32((1 - ratio) / ratio)
    ramp = ((np.arange(step) + 0.5) / step).astype(np.float32)
    rows, columns = slice(top // step, -(-bottom // step) + 2), slice(left // step, -(-right // step) + 2)
    x, y = known[0, rows, columns].copy(), known[1, rows, columns].copy()
    size = (x.shape[1] - 1) * step
    x_fine, y_fine = np.empty(size, np.float32), np.empty(size, np.float32)
    index, upper, lower = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    up, down, west, east = _find_bounds(known, step, top, bottom, left, right)
    read = 0
    for plane in range(len(target)):
        read += _touch(
            source[plane],
            max(0, int(up * scale + shift) - first_row),
            min(height, int(down * scale + shift) - first_row + 2),
            max(0, int(west * scale + shift) - first_column),
            min(stride, int(east * scale + shift) - first_column + LINE),
        )
    lowest, rightmost = np.float32(first_row + height - 1), np.float32(first_column + stride - 1)
    for row in range(top, bottom):
        place = (row - top + 0.5) / step + 0.5
        above = int(place)
        share = np.float32(place - above)
        for values, fine in ((x, x_fine), (y, y_fine)):
            # constants let the compiler unroll the inner loop
            if step == 8:
                _interpolate(values[above], values[above + 1], share, scale, shift, 8, ramp, fine)
            elif step == 4:
                _interpolate(values[above], values[above + 1], share, scale, shift, 4, ramp, fine)
            else:
                _interpolate(values[above], values[above + 1], share, scale, shift, 2, ramp, fine)
        _split(x_fine, y_fine, np.float32(first_row), lowest, np.float32(first_column), rightmost, np.int32(stride), index)
        for plane in range(len(target)):
            _fetch(source, plane * height * stride, index, stride, upper, lower)
            drawn = target[plane, row - origin_row, left - origin_column : right - origin_column]
            _mix(upper[half:], lower[half:], x_fine[half:], y_fine[half:], drawn)
    return read  # or the compiler would drop `_touch`


@njit(**FAST)
def _blend(now, before, mean, gain, weight, row):
    zero, full, half = np.float32(0), np.float32(255), np.float32(0.5)
    for column in range(len(row)):
        blend = np.float32(now[column]) + weight * (np.float32(before[column]) - np.float32(now[column]))
        value = mean[column] + gain[column] * (blend - mean[column])
        row[column] = np.uint8(np.int32(min(max(value, zero), full) + half))


@compile_kernel(
    f"void(uint8[:, :, :, ::1], float32[:, :, ::1], float32[:, ::1], float64, int64, uint8[:, :, ::1], {BOX}, int64, int64)"
)
def cross_fade(phases, means, gain, weight, step, target, top, bottom, left, right, origin_row, origin_column):
    """Draw two phases (2, P, h, w) of a box into `target`, as `sample` does, the second with `weight`.

    The difference from the local `means` (P, ...), of the whole frame, is multiplied by gain (rows, columns), which is known
    every `step` pixels of the box, as the places of `sample` are.
    """
    ramp, half = ((np.arange(step) + 0.5) / step).astype(np.float32), step // 2
    fine = np.empty((gain.shape[1] - 1) * step, np.float32)
    for row in range(top, bottom):
        place = (row - top + 0.5) / step + 0.5
        above = int(place)
        share = np.float32(place - above)
        _interpolate(gain[above], gain[above + 1], share, np.float32(1), np.float32(0), step, ramp, fine)
        for plane in range(len(target)):
            now, before = phases[0, plane, row - top], phases[1, plane, row - top]
            drawn = target[plane, row - origin_row, left - origin_column : right - origin_column]
            _blend(now, before, means[plane, row, left:right], fine[half:], weight, drawn)
