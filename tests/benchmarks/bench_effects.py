"""What light and weather cost, and whether they close.

python -m tests.benchmarks.bench_effects export [SIZE]
    The export of one loop at 60 frames a second (1080p or, by default, 4k) with snow before and behind the object and a
    flickering light, over the same without, in one run, and the memory of both.
python -m tests.benchmarks.bench_effects page [WIDTH HEIGHT]
    The time of a frame of a living page with each look over that of the page without, the pages in turns, and its bytes more.
python -m tests.benchmarks.bench_effects seams PICTURE ...
    60 loops of those pictures with every look in turn: seams of the decoded files, whether frame 0 is frame N, and by how much
    the mean over the loop is not the one without effects.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from loopanimate.checkpoints import load_pipeline
from loopanimate.effects.build import Effect, Placed, build, shrink_place
from loopanimate.effects.names import looks
from loopanimate.files.formats import write_loop
from loopanimate.files.living import write_living
from loopanimate.files.pictures import open_picture
from loopanimate.files.sizes import SIZES, frame_times
from loopanimate.files.video import Coding
from loopanimate.loop import make_loops
from loopanimate.metrics import seam
from loopanimate.render.overlay import Painter
from loopanimate.render.renderer import Renderer
from loopanimate.settings import make_settings
from tests.benchmarks.bench_export import FPS, scene
from tests.benchmarks.bench_living import DRAWS
from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS

WHOLE, SECONDS = (0.0, 0.0, 1.0, 1.0), 4.25
LOOPS, SIDE = 60, 512  # and pixels on the short side of their pictures
ROUNDS = 9  # turns of each page
STEPS = 2  # of sampling: what moves under the effects need not be good


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
        overlay = build(placed, image, WHOLE, shrink_place(mask), SECONDS, 0)
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


def compare_exports(size: str = "4k", effects: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loop.mp4"
        if effects:  # in a process of its own, whose peak is this export's
            export(size, effects == "with", path, 48)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(size, effects, f"peak {peak:.0f} MB", flush=True)
            return
        for each in ("without", "with"):
            subprocess.run([sys.executable, "-m", __spec__.name, "export", size, each], check=True)
        bare, full = (export(size, each, path) for each in (False, True))
    print(size, json.dumps({"without": bare, "with": full, "ratio": full["whole"] / bare["whole"]}), flush=True)


def compare_pages(width: str = "1920", height: str = "1080") -> None:
    image, mask, field = scene((int(width), int(height)), "salient")
    strikes = {"water": np.full((72, 128), 255, np.uint8)}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)

        def open_page(look: str | None):
            placed = [Placed(Effect(look=look), strikes=strikes)] if look else []
            path = Path(folder) / f"{look}.html"
            write_living(
                path, image, [mask], [field], "a loop", overlay=build(placed, image, WHOLE, shrink_place(mask), SECONDS, 0)
            )
            page = browser.new_page(viewport={"width": int(width), "height": int(height)})
            page.goto(f"file://{path}?paused=1&panel=0")
            page.evaluate("living.ready")
            page.evaluate(DRAWS)
            return page, path.stat().st_size

        bare, weight = open_page(None)
        for look in looks():
            page, more = open_page(look)
            turns = [(page.evaluate(DRAWS), bare.evaluate(DRAWS)) for _ in range(ROUNDS)]
            ratio, ours = (statistics.median(values) for values in zip(*((one / two, one) for one, two in turns)))
            print(
                f"{look:10} {ratio:5.2f} of the page without, {ours:6.1f} ms, {(more - weight) / 1000:5.1f} KB more", flush=True
            )
            page.close()
        browser.close()


def decode(path: Path) -> np.ndarray:
    """(K, H, W, 3) uint8 at half the size, to be kept in memory."""
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    return np.stack([cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for frame in frames])


def survey_seams(*paths: str) -> None:
    pipe, worst, ranks = load_pipeline("motion"), {}, []
    with tempfile.TemporaryDirectory() as folder:
        for index, path in enumerate(paths):
            picture = open_picture(path)
            picture.thumbnail([side * SIDE / min(picture.size) for side in picture.size])
            loop = make_loops(pipe, picture, make_settings(prompt="it sways gently", seed=index, num_inference_steps=STEPS))[0]
            bare = np.mean([frame.mean() for frame in loop.frames(np.arange(0, 34, 2))])
            for turn in range(index, LOOPS, len(paths)):
                look = list(looks())[turn % len(looks())]
                shown = replace(loop, settings=loop.settings.change(added_effects=((look, 1.0),)))
                first, last = (next(shown.frames([moment])) for moment in (0.0, 34.0))
                mean = np.mean([frame.mean() for frame in shown.frames(np.arange(0, 34, 2))])
                shown.write(Path(folder) / "loop.mp4")
                frames = decode(Path(folder) / "loop.mp4")
                steps = np.abs(np.diff(frames.astype(np.int16), axis=0, append=frames[:1])).mean((1, 2, 3))
                ranks.append(float((steps[:-1] < steps[-1]).mean()))
                measures = seam(frames)
                worst[turn] = {**measures, "mean": abs(float(mean / bare) - 1)}
                said = " ".join(f"{name} {value:.3f}" for name, value in worst[turn].items())
                print(
                    f"{Path(path).stem:16} {look:10} {said} rank {ranks[-1]:.2f} same {np.array_equal(first, last)}", flush=True
                )
    most = {name: max(each[name] for each in worst.values()) for name in ("step", "jerk", "mean")}
    print(len(worst), "loops at most", json.dumps(most), f"mean rank {np.mean(ranks):.3f}")


if __name__ == "__main__":
    {"export": compare_exports, "page": compare_pages, "seams": survey_seams}[sys.argv[1]](*sys.argv[2:])
