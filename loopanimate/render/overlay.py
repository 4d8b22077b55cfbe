"""Effects drawn over finished frames, of any size and rate, RGB or I420: only pixels that an effect reaches are touched.

Light adds and is multiplied in squares of bytes (effects/data.py). In I420 a pixel's change is worked out in red, green and
blue and added to brightness and colour, so that no change is exactly none.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
from numba import njit

from loopanimate.compiled import FAST, compile_kernel
from loopanimate.effects.data import Overlay
from loopanimate.effects.state import ADD, COVER, SHAPES, SPRITE, air_at, show_plane, sprites_at
from loopanimate.render.planes import BT709

FROM_BT709 = np.linalg.inv(BT709[:, :3]).astype(np.float32)  # rows red, green, blue of (Y - 16, Cb - 128, Cr - 128)
TO_BT709 = BT709[:, :3].astype(np.float32)
BANDS = 16  # rows of a frame are drawn in that many bands, by as many threads as there are cores
FINEST = 0.7  # pixels of radius below which a thing gets paler instead of smaller
PETAL, LEAF, BUBBLE, STAR, RING = (SHAPES[name] for name in ("petal", "leaf", "bubble", "star", "ring"))
IDLE = 1e-5  # shares of fog and light that change no byte
IDLE_GAIN = 3e-3  # and gains: half a step of the brightest byte is 4e-3


class Painter:
    """Draws an overlay over frames.

    size: (width, height) of a frame in pixels, of I420 both even. amount: factor on all effects, 0 draws nothing.
    """

    def __init__(self, overlay: Overlay, size: tuple[int, int], planar: bool = False, amount: float = 1.0):
        self.overlay, self.amount, self.planar = overlay, amount, planar
        self.width, self.height = size
        self.short = min(size)
        self.hidden = np.zeros((len(overlay.hiding), self.height, self.width), np.uint8)
        self._hide(0.0)
        self.threads = ThreadPoolExecutor(os.cpu_count() or 1)

    def draw(self, frame: np.ndarray, time: float) -> np.ndarray:
        """Draw over a frame, in place where its rows lie one after the other; time in loops."""
        if not self.amount:
            return frame
        time, frame = time % 1, np.ascontiguousarray(frame)
        if self.overlay.tracks:
            self._hide(time)
        edges = [2 * round(self.height / 2 * band / BANDS) for band in range(BANDS + 1)]
        edges[-1] = self.height
        sprites = self._in_pixels(sprites_at(self.overlay, time, self.amount))
        air = air_at(self.overlay, time, self.amount) if self.overlay.has_air else None
        fog = self.overlay.fogs[0] if self.overlay.fogs else None
        light = np.square(np.array(fog.colour if fog else (0, 0, 0), np.float32))
        behind = np.float32(fog.behind if fog else 0)
        planes = self._planes(frame)
        kernels = (_air_planar, _sprites_planar) if self.planar else (_air_rgb, _sprites_rgb)

        def band(top: int, bottom: int) -> None:
            if air is not None:
                kernels[0](*planes, air, light, behind, self.hidden, top, bottom)
            if len(sprites):
                kernels[1](*planes, sprites, self.hidden, top, bottom)

        for job in [self.threads.submit(band, *ends) for ends in pairwise(edges) if ends[1] > ends[0]]:
            job.result()
        return frame

    def _hide(self, time: float) -> None:
        for grid, near, plane in zip(self.overlay.hiding, self.overlay.hiding_near, self.hidden, strict=True):
            shown = np.rint(255 * show_plane(grid, near, self.overlay, time)).astype(np.uint8)
            cv2.resize(shown, plane.shape[::-1], plane, interpolation=cv2.INTER_LINEAR)

    def _planes(self, frame: np.ndarray) -> tuple[np.ndarray, ...]:
        if not self.planar:
            return (frame,)
        flat, pixels = frame.reshape(-1), self.width * self.height
        half = self.height // 2, self.width // 2
        return (
            flat[:pixels].reshape(self.height, self.width),
            flat[pixels : pixels * 5 // 4].reshape(half),
            flat[pixels * 5 // 4 :].reshape(half),
        )

    def _in_pixels(self, sprites: np.ndarray) -> np.ndarray:
        """Those that can be seen, float32, lengths in pixels."""
        sprites = sprites.copy()
        x, y, length, width, share = (SPRITE.index(name) for name in ("x", "y", "length", "width", "share"))
        sprites[:, [x, y, length, width]] *= self.short
        for side in (length, width):
            thin = np.minimum(sprites[:, side] / FINEST, 1)
            sprites[:, share] *= thin
            sprites[:, side] = np.maximum(sprites[:, side], FINEST)
        reach = sprites[:, length] + sprites[:, width]
        seen = (np.abs(sprites[:, share]) > 1e-3) & (sprites[:, x] > -reach) & (sprites[:, x] < self.width + reach)
        seen &= (sprites[:, y] > -reach) & (sprites[:, y] < self.height + reach)
        return np.ascontiguousarray(sprites[seen], np.float32)


@njit(**FAST)
def _smooth(share):
    share = min(max(share, np.float32(0)), np.float32(1))
    return share * share * (3 - 2 * share)


@njit(**FAST)
def _weigh(shape, soft, u, v):
    """How much of a sprite is at (u, v), in halves of its length and width, and how light it is there."""
    if shape == STAR:
        away = min(np.float32(1), np.sqrt(u * u + v * v))
        core, arms = (1 - away) ** 4, np.float32(0)
        for along, across in ((abs(u), abs(v)), (abs(v), abs(u))):
            if along < 1:
                arms += (1 - along) ** 3 * max(np.float32(0), 1 - across * 14)
        return min(np.float32(1), core + np.float32(0.5) * arms), np.float32(1)
    if shape == LEAF:
        inside = (1 - u * u) - abs(v)
        rib = np.float32(0.82) if abs(v) < 0.1 else np.float32(1)
        return _smooth(inside / max(soft, np.float32(0.05))) if abs(u) < 1 else np.float32(0), rib + np.float32(0.12) * v
    if shape == PETAL:
        v = v / (np.float32(0.74) + np.float32(0.26) * u)
        away = np.sqrt(u * u + v * v) + max(np.float32(0), u - np.float32(0.7)) * max(np.float32(0), 1 - 4 * abs(v))
        return _smooth((1 - away) / soft), np.float32(0.9) + np.float32(0.1) * u
    away = np.sqrt(u * u + v * v)
    if shape == BUBBLE:
        rim = _smooth((away - np.float32(0.68)) * 4) * _smooth((1 - away) * 12)
        spot = _smooth(1 - 4 * np.sqrt((u + np.float32(0.38)) ** 2 + (v + np.float32(0.42)) ** 2))
        inner = np.float32(0.06) if away < 1 else np.float32(0)
        return min(np.float32(1), np.float32(0.42) * rim + spot + inner), np.float32(1)
    if shape == RING:  # the slope that is turned to the sky is the lighter one
        rim = _smooth((away - 1 + 2 * soft) / soft) * _smooth((1 - away) / soft)
        return rim, np.float32(0.9) + np.float32(0.25) * v
    return _smooth((1 - away) / soft), np.float32(1)


@njit(**FAST)
def _find_box(sprite, top, bottom, width):
    """Top, bottom, left and right of the pixels that a sprite may reach in a band."""
    high = np.sqrt((sprite[3] * sprite[4]) ** 2 + (sprite[2] * sprite[5]) ** 2)
    broad = np.sqrt((sprite[2] * sprite[4]) ** 2 + (sprite[3] * sprite[5]) ** 2)
    return (
        max(top, int(np.floor(sprite[1] - high))), min(bottom, int(np.ceil(sprite[1] + high)) + 1),
        max(0, int(np.floor(sprite[0] - broad))), min(width, int(np.ceil(sprite[0] + broad)) + 1),
    )  # fmt: skip


@njit(**FAST)
def _turn(sprite):
    """What takes (x, y) from a sprite's middle to (u, v), in halves of its length and width: u by x and y, then v."""
    return sprite[2] / sprite[4], sprite[3] / sprite[4], -sprite[3] / sprite[5], sprite[2] / sprite[5]


@njit(**FAST)
def _share(x, y, turn, looks, covered):
    """How much of a sprite is (x, y) from its middle, and how light it is there. looks: its shape, softness, share and light;
    covered: what hides it, a byte."""
    u, v = x * turn[0] + y * turn[1], x * turn[2] + y * turn[3]
    if u * u + v * v >= 1:  # every shape lies within its ellipse
        return np.float32(0), np.float32(1)
    share, shade = _weigh(looks[0], looks[1], u, v)
    return share * looks[2] * (1 - np.float32(covered) * np.float32(1 / 255)), shade * looks[3]


@njit(**FAST)
def _paint(mode, share, shade, byte, light):
    """A byte with a sprite over it."""
    before = byte * byte
    if mode == ADD:
        after = before + share * light * 65025
    elif mode == COVER:
        after = before + share * (light * shade * shade * 65025 - before)
    else:
        after = before * (1 + share)
    return min(np.sqrt(max(after, np.float32(0))), np.float32(255))


@compile_kernel("void(uint8[:, :, ::1], float32[:, ::1], uint8[:, :, ::1], int64, int64)")
def _sprites_rgb(frame, sprites, hidden, top, bottom):
    for index in range(len(sprites)):
        sprite = sprites[index]  # what follows is read once: a write to a frame could be one to it, for all a compiler knows
        first, last, left, right = _find_box(sprite, top, bottom, frame.shape[1])
        turn, looks, mode = _turn(sprite), (int(sprite[6]), sprite[8], sprite[9], sprite[14]), sprite[7]
        middle, light, cover = (sprite[0], sprite[1]), (sprite[10], sprite[11], sprite[12]), int(sprite[13]) - 1
        for row in range(first, last):
            for column in range(left, right):
                covered = hidden[cover, row, column] if cover >= 0 else np.uint8(0)
                x, y = np.float32(column + 0.5) - middle[0], np.float32(row + 0.5) - middle[1]
                share, shade = _share(x, y, turn, looks, covered)
                if abs(share) > IDLE:
                    for channel in range(3):
                        byte = np.float32(frame[row, column, channel])
                        frame[row, column, channel] = np.uint8(
                            _paint(mode, share, shade, byte, light[channel]) + np.float32(0.5)
                        )


@njit(**FAST)
def _tints(blue, red):
    """What the colours of a pixel add to its grey: red, green and blue."""
    return FROM_BT709[0, 2] * red, FROM_BT709[1, 1] * blue + FROM_BT709[1, 2] * red, FROM_BT709[2, 1] * blue


@njit(**FAST)
def _within(value):
    return min(max(value, np.float32(0)), np.float32(255))


@njit(**FAST)
def _put(luma, row, column, red, green, blue):
    """Add changes of a pixel's colours to its brightness; the sums of four go into the colours of all four."""
    change = TO_BT709[0, 0] * red + TO_BT709[0, 1] * green + TO_BT709[0, 2] * blue
    luma[row, column] = np.uint8(
        min(max(np.float32(luma[row, column]) + change, np.float32(16)), np.float32(235)) + np.float32(0.5)
    )


@njit(**FAST)
def _put_colour(plane, row, column, number, red, green, blue):
    change = (TO_BT709[number, 0] * red + TO_BT709[number, 1] * green + TO_BT709[number, 2] * blue) * np.float32(0.25)
    plane[row, column] = np.uint8(
        min(max(np.float32(plane[row, column]) + change, np.float32(16)), np.float32(240)) + np.float32(0.5)
    )


@compile_kernel("void(uint8[:, ::1], uint8[:, ::1], uint8[:, ::1], float32[:, ::1], uint8[:, :, ::1], int64, int64)")
def _sprites_planar(luma, cb, cr, sprites, hidden, top, bottom):
    for index in range(len(sprites)):
        sprite = sprites[index]
        first, last, left, right = _find_box(sprite, top, bottom, luma.shape[1])
        turn, looks, mode = _turn(sprite), (int(sprite[6]), sprite[8], sprite[9], sprite[14]), sprite[7]
        middle, light, cover = (sprite[0], sprite[1]), (sprite[10], sprite[11], sprite[12]), int(sprite[13]) - 1
        for row in range(first // 2, (last + 1) // 2):
            for column in range(left // 2, (right + 1) // 2):
                blue, red = np.float32(cb[row, column]) - 128, np.float32(cr[row, column]) - 128
                tint_r, tint_g, tint_b = _tints(blue, red)
                reds, greens, blues = np.float32(0), np.float32(0), np.float32(0)
                for pixel in range(4):
                    y, x = 2 * row + pixel // 2, 2 * column + pixel % 2
                    covered = hidden[cover, y, x] if cover >= 0 else np.uint8(0)
                    across, down = np.float32(x + 0.5) - middle[0], np.float32(y + 0.5) - middle[1]
                    share, shade = _share(across, down, turn, looks, covered)
                    if abs(share) <= IDLE:
                        continue
                    grey = FROM_BT709[0, 0] * (np.float32(luma[y, x]) - 16)
                    r, g, b = _within(grey + tint_r), _within(grey + tint_g), _within(grey + tint_b)
                    more_r = _paint(mode, share, shade, r, light[0]) - r
                    more_g = _paint(mode, share, shade, g, light[1]) - g
                    more_b = _paint(mode, share, shade, b, light[2]) - b
                    _put(luma, y, x, more_r, more_g, more_b)
                    reds, greens, blues = reds + more_r, greens + more_g, blues + more_b
                if reds != 0 or greens != 0 or blues != 0:
                    _put_colour(cb, row, column, 1, reds, greens, blues)
                    _put_colour(cr, row, column, 2, reds, greens, blues)


@njit(**FAST)
def _interpolate(air, row, height, line):
    """One row of the grid of light and fog, at a pixel row; whether it changes anything."""
    at = (np.float32(row) + np.float32(0.5)) * len(air) / height - np.float32(0.5)
    at = min(max(at, np.float32(0)), np.float32(len(air) - 1))
    above = min(int(at), len(air) - 2)
    share = at - above
    for column in range(air.shape[1]):
        for channel in range(7):
            line[column, channel] = air[above, column, channel] + share * (
                air[above + 1, column, channel] - air[above, column, channel]
            )


@njit(**FAST)
def _is_idle(line, column):
    here, following = line[column], line[min(column + 1, len(line) - 1)]
    for channel in range(7):
        none, least = (np.float32(1), np.float32(IDLE_GAIN)) if channel < 3 else (np.float32(0), np.float32(IDLE))
        if abs(here[channel] - none) > least or abs(following[channel] - none) > least:
            return False
    return True


@njit(**FAST)
def _light(byte, gain, root, more):
    """A byte in the air: its square times a gain, of which `root` is the root, and more."""
    return min(byte * root if more == 0 else np.sqrt(byte * byte * gain + more), np.float32(255))


@njit(**FAST)
def _span(cell, cells, width):
    """First and last pixel between the middles of two cells of a row; the outermost reach to the borders."""
    first = 0 if cell == 0 else int(np.ceil((cell + 0.5) * width / cells - 0.5))
    last = width if cell >= cells - 2 else int(np.ceil((cell + 1.5) * width / cells - 0.5))
    return first, last


@compile_kernel("void(uint8[:, :, ::1], float32[:, :, ::1], float32[::1], float32, uint8[:, :, ::1], int64, int64)")
def _air_rgb(frame, air, fog, behind, hidden, top, bottom):
    height, width, _ = frame.shape
    cells = air.shape[1]
    line = np.empty((cells, 7), np.float32)
    for row in range(top, bottom):
        _interpolate(air, row, height, line)
        for cell in range(cells - 1):
            if _is_idle(line, cell):
                continue
            first, last = _span(cell, cells, width)
            for column in range(first, last):
                at = min(
                    max((np.float32(column) + np.float32(0.5)) * cells / width - np.float32(0.5) - cell, np.float32(0)),
                    np.float32(1),
                )
                veil = line[cell, 6] + at * (line[cell + 1, 6] - line[cell, 6])
                if behind > 0:
                    veil *= 1 - behind * np.float32(hidden[0, row, column]) / 255
                for channel in range(3):
                    gain = line[cell, channel] + at * (line[cell + 1, channel] - line[cell, channel])
                    light = line[cell, 3 + channel] + at * (line[cell + 1, 3 + channel] - line[cell, 3 + channel])
                    byte = np.float32(frame[row, column, channel])
                    after = byte * byte * gain * (1 - veil) + 65025 * (fog[channel] * veil + light)
                    frame[row, column, channel] = np.uint8(min(np.sqrt(after), np.float32(255)) + np.float32(0.5))


@compile_kernel(
    "void(uint8[:, ::1], uint8[:, ::1], uint8[:, ::1], float32[:, :, ::1], float32[::1], float32, uint8[:, :, ::1], int64, int64)"
)
def _air_planar(luma, cb, cr, air, fog, behind, hidden, top, bottom):
    height, width = luma.shape
    cells = air.shape[1]
    line = np.empty((cells, 7), np.float32)
    for row in range(top // 2, bottom // 2):
        _interpolate(air, 2 * row + 0.5, height, line)
        for cell in range(cells - 1):
            if _is_idle(line, cell):
                continue
            first, last = _span(cell, cells, width // 2)
            for column in range(first, last):
                at = min(
                    max((2 * np.float32(column) + 1) * cells / width - np.float32(0.5) - cell, np.float32(0)), np.float32(1)
                )
                veil = line[cell, 6] + at * (line[cell + 1, 6] - line[cell, 6])
                if behind > 0:
                    veil *= 1 - behind * np.float32(hidden[0, 2 * row, 2 * column]) / 255
                gain_r = (line[cell, 0] + at * (line[cell + 1, 0] - line[cell, 0])) * (1 - veil)
                gain_g = (line[cell, 1] + at * (line[cell + 1, 1] - line[cell, 1])) * (1 - veil)
                gain_b = (line[cell, 2] + at * (line[cell + 1, 2] - line[cell, 2])) * (1 - veil)
                more_r = 65025 * (fog[0] * veil + line[cell, 3] + at * (line[cell + 1, 3] - line[cell, 3]))
                more_g = 65025 * (fog[1] * veil + line[cell, 4] + at * (line[cell + 1, 4] - line[cell, 4]))
                more_b = 65025 * (fog[2] * veil + line[cell, 5] + at * (line[cell + 1, 5] - line[cell, 5]))
                root_r, root_g, root_b = np.sqrt(gain_r), np.sqrt(gain_g), np.sqrt(gain_b)
                blue, red = np.float32(cb[row, column]) - 128, np.float32(cr[row, column]) - 128
                tint_r, tint_g, tint_b = _tints(blue, red)
                one, two = np.float32(luma[2 * row, 2 * column]) - 16, np.float32(luma[2 * row, 2 * column + 1]) - 16
                three, four = np.float32(luma[2 * row + 1, 2 * column]) - 16, np.float32(luma[2 * row + 1, 2 * column + 1]) - 16
                brightest = FROM_BT709[0, 0] * max(max(one, two), max(three, four)) + max(max(tint_r, tint_g), tint_b)
                most = max(max(root_r, root_g), root_b)
                if more_r + more_g + more_b == 0 and (most <= 1 or most * brightest <= 255):
                    # no colour is cut off, so the change of brightness is linear in it
                    up_r, up_g, up_b = root_r - 1, root_g - 1, root_b - 1
                    weight_r, weight_g, weight_b = TO_BT709[0, 0] * up_r, TO_BT709[0, 1] * up_g, TO_BT709[0, 2] * up_b
                    slope = FROM_BT709[0, 0] * (weight_r + weight_g + weight_b)
                    shift = weight_r * tint_r + weight_g * tint_g + weight_b * tint_b
                    for pixel, value in enumerate((one, two, three, four)):
                        changed = min(max(value + slope * value + shift, np.float32(0)), np.float32(219))
                        luma[2 * row + pixel // 2, 2 * column + pixel % 2] = np.uint8(changed + np.float32(16.5))
                    grey = FROM_BT709[0, 0] * (one + two + three + four)
                    reds, greens, blues = up_r * (grey + 4 * tint_r), up_g * (grey + 4 * tint_g), up_b * (grey + 4 * tint_b)
                else:
                    reds, greens, blues = np.float32(0), np.float32(0), np.float32(0)
                    for pixel, value in enumerate((one, two, three, four)):
                        grey = FROM_BT709[0, 0] * value
                        r, g, b = _within(grey + tint_r), _within(grey + tint_g), _within(grey + tint_b)
                        new_r = _light(r, gain_r, root_r, more_r) - r
                        new_g = _light(g, gain_g, root_g, more_g) - g
                        new_b = _light(b, gain_b, root_b, more_b) - b
                        _put(luma, 2 * row + pixel // 2, 2 * column + pixel % 2, new_r, new_g, new_b)
                        reds, greens, blues = reds + new_r, greens + new_g, blues + new_b
                _put_colour(cb, row, column, 1, reds, greens, blues)
                _put_colour(cr, row, column, 2, reds, greens, blues)
