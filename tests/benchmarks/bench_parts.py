"""What scenes of several parts cost, and whether they are drawn and closed as scenes of one are.

python -m tests.benchmarks.bench_parts SIZE
    Milliseconds of a frame with four parts of a field against two layers of the same moving area, in turns (SIZE: 1080p, 4k).
python -m tests.benchmarks.bench_parts PICTURES [COUNT]
    PICTURES as for `named_places`. Of COUNT pictures that have at least three of PARTS, by their labels: the decoded video's
    seam, its rank, the living page's likeness to the renderer, bytes of motion a part, and whether anything folds.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from loopanimate.animate import make_loops
from loopanimate.checkpoints import load_quietly
from loopanimate.files.living import motion_of
from loopanimate.files.sizes import SIZES
from loopanimate.loop import MotionLoop
from loopanimate.metrics import psnr, seam
from loopanimate.motion.field import Field
from loopanimate.motion.spline import spline_matrix
from loopanimate.render.renderer import Renderer
from loopanimate.scene.regions import CLASSES
from loopanimate.settings import make_settings
from tests.benchmarks.bench_export import scene
from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS
from tests.browser.test_living import draw
from tests.fields import random_field
from train.regions import load_examples
from train.seams import changes, uniformity

PARTS = {  # classes, and what is said of them
    "sky cloud": "the clouds drift to the left",
    "water foam": "the water ripples",
    "tree": "the trees sway gently",
    "grass": "the grass sways",
    "boat": "the boat rocks",
    "animal": "the animal bobs",
    "flower": "the flowers sway",
    "hair": "the hair waves",
    "clothing": "the clothes flutter",
    "smoke": "the smoke rises",
    "fire": "the fire flickers",
}
LEAST = 0.02  # share of the picture
ROUNDS = 9


def frames(size: str) -> dict:
    """Milliseconds of a frame, medians of ROUNDS in turns: of a disc and its quarters, and of four discs apart."""
    image, disc, _ = scene(SIZES[size], "salient")
    height, width = disc.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    quarters = [disc * ((x > 0.75) == side) * ((y > 0.6) == end) for side in (True, False) for end in (True, False)]
    middles = [(column * width / height, row) for column in (0.25, 0.75) for row in (0.25, 0.75)]
    discs = [np.clip((0.15 - np.hypot(x - left, y - top)) * 20 + 0.5, 0, 1) for left, top in middles]
    found = {}
    for name, masks in (("touching", quarters), ("apart", discs)):
        one = Renderer(image, [np.maximum.reduce(masks)], random_field(3, (12, 20), layers=2, resting=(1,)), planar=True)
        four = Renderer(image, masks, random_field(3, (12, 20), layers=5, resting=(4,)), planar=True)
        taken = {"two layers": [], "four parts": []}
        for moment in np.linspace(1, 30, ROUNDS + 1):
            for what, renderer in zip(taken, (one, four)):
                start = time.perf_counter()
                renderer.frame(float(moment))
                taken[what].append(1000 * (time.perf_counter() - start))
        medians = {what: statistics.median(times[1:]) for what, times in taken.items()}
        found[name] = medians | {"ratio": medians["four parts"] / medians["two layers"]}
    return found


def folds(field: Field) -> bool:
    """Whether a cell of any layer is ever turned inside out, measured between the grid's own points."""
    rows, columns = (spline_matrix(side, 6 * side) for side in field.ring.shape[-2:])
    ends = np.concatenate([field.ring, field.ring + field.winding])  # (2 N, L, 2, h, w)
    shown = rows @ ends @ columns.T * min(field.ring.shape[-2:]) * 6  # in fine cells
    by_y, by_x = (np.diff(shown, axis=axis) for axis in (-2, -1))
    by_y, by_x = by_y[..., :-1], by_x[..., :-1, :]
    return bool((((1 - by_x[:, :, 0]) * (1 - by_y[:, :, 1]) - by_x[:, :, 1] * by_y[:, :, 0]) <= 0).any())


def measure(loop: MotionLoop, browser, folder: Path) -> tuple[dict, np.ndarray]:
    """Figures of a loop, and the changes of its video from frame to frame, the wrap's last."""
    view, field = loop.view(), loop.field(loop.view())
    renderer = Renderer(np.asarray(view.picture), view.masks, field)
    loop.write(folder / "loop.mp4")
    shown = np.stack(list(imageio.imiter(folder / "loop.mp4", plugin="pyav")))
    loop.write(folder / "loop.html")
    page = browser.new_page(viewport=dict(zip(("width", "height"), view.picture.size)))
    page.goto(f"file://{folder}/loop.html?paused=1&panel=0")
    page.evaluate("window.living?.ready")
    likeness = min(psnr(draw(page, when), renderer.frame(when * field.period)) for when in (0.2, 0.5, 0.8))
    page.close()
    moving = max(1, sum(field.moves))
    figures = {
        "parts": moving,
        **{name: round(value, 3) for name, value in seam(shown).items()},
        "page, dB": round(likeness, 1),
        "motion, KB a part": round(len(json.dumps(motion_of([field]))) / 1000 / moving, 1),
        "folds": folds(field),
    }
    return figures, changes(shown)


def scenes(pictures: str, count: int) -> dict:
    pipe, rows, rings = load_quietly("motion"), [], []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        for example in load_examples(pictures):
            masks = [(said, np.isin(example.labels, list(map(CLASSES.index, names.split())))) for names, said in PARTS.items()]
            given = [(said, mask.astype(np.float32)) for said, mask in masks if mask.mean() > LEAST][:4]
            if len(given) < 3 or not example.held:
                continue
            settings = make_settings(prompt=", ".join(said for said, _ in given))
            (loop,) = make_loops(pipe, Image.fromarray(example.picture), settings, given=given)
            for kept, new in zip((rows, rings), measure(loop, browser, Path(folder))):
                kept.append(new)
            print(example.name, json.dumps(rows[-1]), flush=True)
            if len(rows) == count:
                break
    return {
        "loops": len(rows),
        "step, jerk at most 1.25": f"{100 * np.mean([max(row['step'], row['jerk']) <= 1.25 for row in rows]):.0f} %",
        "rank, distance to uniform": round(uniformity(rings), 3),
        "page, dB, least": min(row["page, dB"] for row in rows),
        "motion, KB a part, most": max(row["motion, KB a part"] for row in rows),
        "folded": sum(row["folds"] for row in rows),
    }


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    print(json.dumps(frames(what) if what in SIZES else scenes(what, int(rest[0]) if rest else 12)))
