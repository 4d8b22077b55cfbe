"""Compare the export of one loop at 60 frames a second with its encoder alone, and measure its memory.

python -m tests.benchmarks.bench_export SIZE CASE: SIZE is 1080p or 4k; CASE is salient (the object moves), both (the
background moves too) or stream (the background flows on). Both sides use the product's own H.264 settings (preset veryfast,
CRF 18, higher quality before the wrap); the encoder alone is fed finished I420 frames. The whole export includes cutting the
layers.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from loopanimate.files.formats import write_loop
from loopanimate.files.sizes import SIZES, frame_times
from loopanimate.files.video import Coding
from loopanimate.motion.field import Field
from loopanimate.render.renderer import Renderer
from tests.fields import field_of

FPS = Fraction(60)
CELLS = (12, 20)
REACH = {"salient": (0.02, 0.0), "both": (0.02, 0.01), "stream": (0.0, 0.005)}  # short sides, of each layer


def scene(size: tuple[int, int], case: str) -> tuple[np.ndarray, np.ndarray, Field]:
    """A photograph with grain, a disc of it as the salient layer, and smooth random motion."""
    random, (width, height) = np.random.default_rng(0), size
    image = cv2.resize(data.astronaut()[:288], size, interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + random.normal(0, 2, (height, width, 1)).astype(np.float32), 0, 255).astype(np.uint8)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    mask = np.clip((0.3 - np.hypot(x - 0.75, y - 0.6)) * 20 + 0.5, 0, 1)
    turn = 2 * np.pi * np.arange(35)[:, None, None] / 34
    displacement = np.zeros((35, 4, *CELLS), np.float32)
    for channel in range(4):
        for harmonic in (1, 2):
            shape = cv2.GaussianBlur(random.normal(size=CELLS), (0, 0), 3)
            start = random.uniform(0, 2 * np.pi)
            wave = np.sin(harmonic * turn + start) - np.sin(start)
            displacement[:, channel] += REACH[case][channel // 2] / harmonic * wave * shape / np.abs(shape).max()
    if case == "stream":
        displacement[:, 2] += 0.15 * np.arange(35)[:, None, None] / 34
    return image, mask, field_of(displacement)


def speed(size: str, case: str, path: Path) -> dict:
    image, mask, field = scene(SIZES[size], case)
    times = frame_times(35, FPS)
    renderer = Renderer(image, [mask], field, planar=True)
    some = times[1::5]
    start = time.perf_counter()
    for moment in some:  # frames are not kept: finding new memory for each would be timed too
        renderer.frame(moment)
    rendering = time.perf_counter() - start
    frames = [renderer.frame(moment) for moment in times]
    start = time.perf_counter()
    write_loop(path, frames, len(times), Coding(FPS))
    alone = time.perf_counter() - start
    del frames, renderer
    start = time.perf_counter()
    renderer = Renderer(image, [mask], field, planar=True)
    layers = time.perf_counter() - start
    write_loop(path, map(renderer.frame, times), len(times), Coding(FPS))
    whole = time.perf_counter() - start
    return {
        "frames": len(times),
        "encoder alone, s": alone,
        "layers, s": layers,
        "whole export, s": whole,
        "export / encoder": whole / alone,
        "after the layers / encoder": (whole - layers) / alone,
        "render only, ms a frame": 1000 * rendering / len(some),
        "seconds of loop": float(len(times) / FPS),
    }


def peak(size: str, case: str, path: Path, frames: int) -> dict:
    """Peak memory of an export of `frames` frames beyond the idle process and the picture, in gigabytes."""
    image, mask, field = scene(SIZES[size], case)
    idle = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    times = (frame_times(35, FPS) * (frames // 255 + 1))[:frames]
    renderer = Renderer(image, [mask], field, planar=True)
    write_loop(path, map(renderer.frame, times), len(times), Coding(FPS))
    return {
        "frames": frames,
        "peak over idle, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9 - idle / 1e9,
    }


def main(size: str, case: str, frames: str | None = None) -> None:
    for count in () if frames else ("40", "160"):  # first, because a process inherits the peak of the one that starts it
        subprocess.run([sys.executable, "-m", __spec__.name, size, case, count], check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loop.mp4"
        figures = peak(size, case, path, int(frames)) if frames else speed(size, case, path)
    print(size, case, json.dumps({name: round(value, 3) for name, value in figures.items()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
