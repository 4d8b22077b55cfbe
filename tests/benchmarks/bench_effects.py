"""What light and weather cost, and whether they close.

python -m tests.benchmarks.bench_effects export [SIZE]
    The export of one loop at 60 frames a second (1080p or, by default, 4k) with snow before and behind the object and a
    flickering light, over the same without, in one run, and the memory of both.
python -m tests.benchmarks.bench_effects page [WIDTH HEIGHT]
    The time of a frame of a living page with each look over that of the page without, the pages in turns, and its bytes more.
python -m tests.benchmarks.bench_effects seams PICTURE ...
    60 loops of those pictures with every look in turn: seams of the decoded files, whether frame 0 is frame N, and by how much
    the mean over the loop is not the one without effects.
python -m tests.benchmarks.bench_effects depth FOLDER PICTURE ...
    A camera before each picture, each kind in turn: by how many short sides lines of the picture that are upright bend, by what
    factor anything is stretched beside its neighbours, the seam of the decoded file; the files stay in the folder.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from loopanimate.effects.build import Effect, Placed, build, shrink_place
from loopanimate.effects.names import looks
from loopanimate.files.formats import write_loop
from loopanimate.files.living import write_living
from loopanimate.files.pictures import open_picture
from loopanimate.files.sizes import SIZES, frame_times
from loopanimate.files.video import Coding
from loopanimate.metrics import seam
from loopanimate.motion.border import borders_of
from loopanimate.motion.camera import CELLS, Camera, film
from loopanimate.motion.curve import Motion
from loopanimate.motion.field import Field
from loopanimate.motion.spline import latent_grid, spline_matrix
from loopanimate.render.overlay import Painter
from loopanimate.render.renderer import Renderer
from loopanimate.scene.depth import set_up
from loopanimate.scene.finder import Finder
from tests.benchmarks.bench_export import FPS, scene
from tests.benchmarks.bench_living import DRAWS
from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS

WHOLE, SECONDS = (0.0, 0.0, 1.0, 1.0), 4.25
SEAM_FPS = Fraction(12)  # frames a second
LOOPS, SIDE = 60, 512  # and pixels on the short side of their pictures
ROUNDS = 9  # turns of each page
TURNS = 3  # of exports


def export(size: str, effects: bool, path: Path, count: int | None = None) -> dict:
    """Seconds of an export by the clock and of all cores, and of its frames alone, in milliseconds a frame."""
    image, mask, field = scene(SIZES[size], "salient")
    times = frame_times(35, FPS)[:count]
    start, work = time.perf_counter(), time.process_time()
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
    whole, work = time.perf_counter() - start, time.process_time() - work
    some = times[1::8]
    start = time.perf_counter()
    for moment in some:
        frame(moment)
    return {"whole": whole, "cores": work, "frame, ms": 1000 * (time.perf_counter() - start) / len(some)}


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
        for _ in range(TURNS):
            bare, full = (export(size, each, path) for each in (False, True))
            ratios = {f"ratio of {name}": full[name] / bare[name] for name in bare}
            print(size, json.dumps({"without": bare, "with": full, **ratios}), flush=True)


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


def survey(path: Path, look: str, seed: int, folder: str) -> dict[str, float]:
    """The seam of a decoded file, whether frame 0 is frame N, and how far the mean is from that without effects."""
    picture, times = open_picture(path), frame_times(35, SEAM_FPS)
    picture.thumbnail([side * SIDE / min(picture.size) for side in picture.size])
    image = np.asarray(picture.crop((0, 0, picture.width // 2 * 2, picture.height // 2 * 2)))
    size = image.shape[1::-1]
    _, mask, field = scene(size, "salient")
    overlay = build([Placed(Effect(look=look))], image, WHOLE, shrink_place(mask), SECONDS, seed)
    renderer, painter = Renderer(image, [mask], field, planar=True), Painter(overlay, size, planar=True)
    first, last = (painter.draw(renderer.frame(moment).copy(), moment / 34) for moment in (0.0, 34.0))
    lumas = []  # means of brightness of each frame, without and with the effect

    def frame(moment):
        bare = renderer.frame(moment)
        lumas.append([float(bare[: size[1]].mean()) - 16])
        drawn = painter.draw(bare, moment / 34)
        lumas[-1].append(float(drawn[: size[1]].mean()) - 16)
        return drawn

    write_loop(Path(folder) / "loop.mp4", map(frame, times), len(times), Coding(SEAM_FPS))
    frames = decode(Path(folder) / "loop.mp4")
    steps = np.abs(np.diff(frames.astype(np.int16), axis=0, append=frames[:1])).mean((1, 2, 3))
    rank, (bare, drawn) = float((steps[:-1] < steps[-1]).mean()), np.mean(lumas, axis=0)
    return {**seam(frames), "rank": rank, "mean": abs(drawn / bare - 1), "same": float(np.array_equal(first, last))}


def bend(field: Field, masks: list[np.ndarray], image: np.ndarray, time: float) -> tuple[float, float]:
    """How far upright lines bend, in short sides, and the 999th thousandth of how much cells that are seen are stretched."""
    size = image.shape[:2]
    short, owner = min(size), np.full(size, len(masks))
    for layer, mask in reversed(list(enumerate(masks))):
        owner[mask > 0.5] = layer
    rows, columns = (spline_matrix(cells, side) for cells, side in zip(field.winding.shape[-2:], size))
    moved = rows @ field.at(time)[0] @ columns.T  # (L, 2, H, W)
    (xx, yx), (xy, yy) = (np.gradient(moved[:, axis] * short, axis=(2, 1)) for axis in (0, 1))
    stretched = np.linalg.norm([(xx - yy) / 2, (yx + xy) / 2], axis=0)  # beside a turn and a zoom
    seen = np.take_along_axis(stretched, owner[None], 0)
    lines = cv2.createLineSegmentDetector().detect(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    worst = 0.0
    for x0, y0, x1, y1 in lines.reshape(-1, 4) if lines is not None else ():
        if abs(y1 - y0) < 0.1 * short or abs(x1 - x0) > 0.1 * abs(y1 - y0):
            continue
        places = np.linspace((x0, y0), (x1, y1), 24)
        shown, layer = places.copy(), owner[tuple(np.clip(places[12][::-1].astype(int), 0, np.array(size) - 1))]
        for _ in range(8):  # p = q + d(p)
            at = shown.astype(np.float32)[:, None]  # (24, 1, 2)
            ways = [
                cv2.remap(part, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                for part in moved[layer].astype(np.float32)
            ]
            shown = places + short * np.hstack(ways)
        along = (shown[-1] - shown[0]) / np.linalg.norm(shown[-1] - shown[0])
        worst = max(worst, float(np.abs((shown - shown[0]) @ (-along[1], along[0])).max() / short))
    return worst, float(np.quantile(seen, 0.999))


def survey_depth(folder: str, *paths: str) -> None:
    moves = [Camera("in"), Camera("slide", 0.0), Camera("orbit"), Camera("out"), Camera("slide", 270.0)]
    measured = []
    for turn, path in enumerate(paths):
        picture, camera = open_picture(path), moves[turn % len(moves)]
        picture.thumbnail([side * SIDE / min(picture.size) for side in picture.size])
        picture = picture.crop((0, 0, picture.width // 2 * 2, picture.height // 2 * 2))
        scene, shot = set_up(None, Finder(picture), [camera])
        masks, image = [np.asarray(mask) for mask in scene.masks], np.asarray(picture)
        still = Motion(
            np.zeros((35, len(scene.layers), 2, 12, 12), np.float32), np.zeros((len(scene.layers), 2, 12, 12), np.float32)
        )
        motion, borders = film(still, shot.crop(WHOLE, latent_grid(*image.shape[:2], CELLS)), borders_of(masks))
        field = Field(motion, borders)
        farthest = max((bend(field, masks, image, time) for time in (8.5, 12.0, 17.0)), key=max)
        renderer, times = Renderer(image, masks, field, planar=True), frame_times(35, SEAM_FPS)
        file = Path(folder) / f"{Path(path).stem}-{camera.move}.mp4"
        write_loop(file, map(renderer.frame, times), len(times), Coding(SEAM_FPS))
        measured.append({"layers": len(masks) + 1, "bend": farthest[0], "stretch": farthest[1], **seam(decode(file))})
        print(f"{file.stem:16}", *(f"{name} {value:.3f}" for name, value in measured[-1].items()), flush=True)
    print("at most", json.dumps({name: max(each[name] for each in measured) for name in ("bend", "stretch", "step", "jerk")}))


def survey_seams(*paths: str) -> None:
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(LOOPS):
            path, look = Path(paths[turn % len(paths)]), list(looks())[turn % len(looks())]
            measured.append(survey(path, look, turn, folder))
            print(f"{path.stem:16} {look:10}", *(f"{name} {value:.3f}" for name, value in measured[-1].items()), flush=True)
    most = {name: max(each[name] for each in measured) for name in ("step", "jerk", "mean")}
    same, rank = (np.mean([each[name] for each in measured]) for name in ("same", "rank"))
    print(len(measured), "loops at most", json.dumps(most), f"mean rank {rank:.3f}, frame 0 is frame N in {100 * same:.0f} %")


if __name__ == "__main__":
    {"export": compare_exports, "page": compare_pages, "seams": survey_seams, "depth": survey_depth}[sys.argv[1]](*sys.argv[2:])
