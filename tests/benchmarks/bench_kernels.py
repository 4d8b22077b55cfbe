"""What the compiled kernels save over OpenCV: python -m tests.benchmarks.bench_kernels.

A moved layer of a 4K frame (brightness and alpha) is sampled from its enlarged planes, in tiles, by `kernels.sample` and by
`cv2.resize` of places and `cv2.remap`; one thread each, in turn, median of the processor time. The error is the largest
difference from exact linear samples.
"""

import time

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from loopanimate.render import kernels
from loopanimate.render.renderer import TILE

HEIGHT, WIDTH, STEP = 2160, 3840, 8


def main() -> None:
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    source = kernels.new_planes(2, 2 * HEIGHT, 2 * WIDTH)
    source[:] = cv2.resize(random.integers(0, 256, (HEIGHT, WIDTH), np.uint8), (2 * WIDTH, 2 * HEIGHT))
    x, y = (STEP * (np.arange(-1, side // STEP + 1) + 0.5) - 0.5 for side in (WIDTH, HEIGHT))
    away = 40 * (np.sin(y / 310)[:, None] + np.cos(x / 430))
    known = np.stack([x + away, y[:, None] - away]).astype(np.float32)
    target = np.empty((2, HEIGHT, WIDTH), np.uint8)

    def compiled(top, bottom, left, right):
        kernels.sample(source, 0, 0, known, STEP, 1, target, top, bottom, left, right, 0, 0)

    def places(top, bottom, left, right):
        near = 2 * known[:, top // STEP : bottom // STEP + 2, left // STEP : right // STEP + 2]
        for part in near:
            fine = cv2.resize(part, None, fx=STEP, fy=STEP, interpolation=cv2.INTER_LINEAR)
            yield fine[STEP : STEP + bottom - top, STEP : STEP + right - left]

    def opencv(top, bottom, left, right):
        at = list(places(top, bottom, left, right))
        for plane, drawn in zip(source, target):
            drawn[top:bottom, left:right] = cv2.remap(plane, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    ways, times, errors = {"kernels": compiled, "OpenCV": opencv}, {}, {}
    box = 1200, 1440, 1200, 1440
    exact = map_coordinates(source[0].astype(np.float32), list(places(*box))[::-1], order=1, mode="nearest")
    for _ in range(9):
        for name, draw in ways.items():
            start = time.process_time()
            for top in range(0, HEIGHT, TILE):
                for left in range(0, WIDTH, TILE):
                    draw(top, top + TILE, left, left + TILE)
            times.setdefault(name, []).append(time.process_time() - start)
            errors[name] = np.abs(target[0, box[0] : box[1], box[2] : box[3]] - exact).max()
    for name, spent in times.items():
        print(f"{name}: {1000 * np.median(spent):.0f} ms a frame, error {errors[name]:.2f} levels")
    print(f"OpenCV / kernels: {np.median(times['OpenCV']) / np.median(times['kernels']):.2f}")


if __name__ == "__main__":
    main()
