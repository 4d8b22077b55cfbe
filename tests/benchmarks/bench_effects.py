"""Compare the export of one loop at 60 frames a second with snow before and behind the object and a flickering light to the same
export without, in one run, and measure the memory of both.

python -m tests.benchmarks.bench_effects [SIZE]: 1080p or 4k (default).
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from loopanimate.effects.build import Effect, Placed, build, shrink_place
from loopanimate.files.formats import write_loop
from loopanimate.files.sizes import SIZES, frame_times
from loopanimate.files.video import Coding
from loopanimate.render.overlay import Painter
from loopanimate.render.renderer import Renderer
from tests.benchmarks.bench_export import FPS, scene


def export(size: str, effects: bool, path: Path, count: int | None = None) -> dict:
    """Seconds of an export, and of its frames alone, in milliseconds a frame."""
    image, mask, field = scene(SIZES[size], "salient")
    times = frame_times(35, FPS)[:count]
    start = time.perf_counter()
    renderer = Renderer(image, [mask], field, planar=True)
    frame = renderer.frame
    if effects:
        lamp = np.zeros(image.shape[:2], np.float32)
        lamp[: len(lamp) // 3, : len(lamp) // 3] = 1
        placed = [Placed(Effect(look="snow")), Placed(Effect(look="candle"), shrink_place(lamp))]
        overlay = build(placed, image, (0, 0, 1, 1), shrink_place(mask), 4.25, 0)
        painter = Painter(overlay, image.shape[1::-1], planar=True)

        def frame(moment):
            return painter.draw(renderer.frame(moment), moment / 34)

    write_loop(path, map(frame, times), len(times), Coding(FPS))
    whole = time.perf_counter() - start
    some = times[1::8]
    start = time.perf_counter()
    for moment in some:
        frame(moment)
    return {"whole": whole, "frame, ms": 1000 * (time.perf_counter() - start) / len(some)}


def main(size: str = "4k", effects: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loop.mp4"
        if effects:  # in a process of its own, whose peak is this export's
            export(size, effects == "with", path, 48)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(size, effects, f"peak {peak:.0f} MB", flush=True)
            return
        for each in ("without", "with"):
            subprocess.run([sys.executable, "-m", __spec__.name, size, each], check=True)
        bare, full = (export(size, each, path) for each in (False, True))
    print(size, json.dumps({"without": bare, "with": full, "ratio": full["whole"] / bare["whole"]}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
