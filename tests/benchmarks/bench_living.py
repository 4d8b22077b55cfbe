"""What a living page costs.

python -m tests.benchmarks.bench_living [WIDTH HEIGHT]
    The same loop as a living page and as an MP4 in a <video>, one after the other: frames a second that were shown, and
    processor time of the whole browser as a share of one core. Without a graphics card both are drawn in software, so compare
    the two of one run.
python -m tests.benchmarks.bench_living PAGE PAGE ...
    Time of one frame of each page, say the same loop written by two builds. The pages take turns in one browser.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from skimage import data

from loopanimate.files.formats import write_loop
from loopanimate.files.living import write_living
from loopanimate.files.sizes import frame_times
from loopanimate.files.video import Coding
from loopanimate.render.renderer import Renderer
from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS
from tests.fields import random_field

SECONDS = 8.0
ROUNDS = 15  # turns of each page
FPS = 30
SIZE = (1920, 1080)
WARM_UP = "(frames) => new Promise((done) => { const step = () => (frames-- ? requestAnimationFrame(step) : done()); step() })"
SHOWN = {  # counts what was shown: calls `done` with the number at the end of so many milliseconds
    "living page": """(milliseconds) => new Promise((done) => {
        let draws = 0;
        const inner = Drawing.prototype.draw;
        Drawing.prototype.draw = function (...given) { draws++; inner.apply(this, given); };
        setTimeout(() => { Drawing.prototype.draw = inner; done(draws); }, milliseconds);
    })""",
    "video": """(milliseconds) => new Promise((done) => {
        const shown = () => {
            const quality = document.querySelector("video").getVideoPlaybackQuality();
            return quality.totalVideoFrames - quality.droppedVideoFrames;
        };
        const before = shown();
        setTimeout(() => done(shown() - before), milliseconds);
    })""",
}
DRAWS = """() => {
    const gl = document.getElementById("canvas").getContext("webgl2"), pixel = new Uint8Array(4), times = [];
    for (let i = 0; i < 12; i++) {
        living.walk.rewind(i / 12);
        const start = performance.now();
        living.draw();
        gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
        times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[6];
}"""


def processor_seconds(parent: int) -> float:
    """Sum user and system time of a process and everything below it."""
    stats = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                values = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            stats[int(folder.name)] = int(values[1]), (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    below, more = set(), {parent}
    while more:
        below |= more
        more = {pid for pid, (above, _) in stats.items() if above in below} - below
    return sum(stats[pid][1] for pid in below)


def compare_with_video(browser: Browser, width: int, height: int) -> None:
    image = np.asarray(Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.LANCZOS))
    y, x = np.mgrid[0:height, 0:width]
    mask = np.clip(4 * (1.1 - np.hypot((x / width - 0.45) / 0.2, (y / height - 0.55) / 0.35)), 0, 1).astype(np.float32)
    field = random_field(0, (12, 4 * round(3 * width / height)), streams=(1,))
    with tempfile.TemporaryDirectory() as folder:
        living, video, player = (Path(folder) / name for name in ("loop.html", "loop.mp4", "video.html"))
        write_living(living, image, [mask], [field], "a loop")
        times = frame_times(35, Fraction(FPS))
        write_loop(video, map(Renderer(image, [mask], field, planar=True).frame, times), len(times), Coding(Fraction(FPS)))
        player.write_text(f'<body style="margin:0"><video src="{video.name}" width="{width}" autoplay loop muted></video>')
        print(f"{width} x {height}: page {living.stat().st_size / 1e6:.2f} MB, MP4 {video.stat().st_size / 1e6:.2f} MB")
        for name, address in (("living page", f"file://{living}?fps={FPS}&panel=0"), ("video", f"file://{player}")):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(address)
            page.evaluate(WARM_UP, 30)
            used, begun = processor_seconds(os.getpid()), time.perf_counter()
            shown = page.evaluate(SHOWN[name], 1000 * SECONDS)
            used, elapsed = processor_seconds(os.getpid()) - used, time.perf_counter() - begun
            print(
                f"{name:12} {shown / elapsed:5.1f} frames a second, {100 * used / elapsed:4.0f} % of a core, "
                f"{1000 * used / max(shown, 1):6.1f} ms of processor a frame"
            )
            page.close()
        compare_pages(browser, [living], width, height)


def compare_pages(browser: Browser, paths: Iterable[str | Path], width: int, height: int) -> None:
    pages = {}
    for path in paths:
        pages[path] = browser.new_page(viewport={"width": width, "height": height})
        pages[path].goto(f"file://{Path(path).resolve()}?paused=1&panel=0")
        pages[path].evaluate("living.ready")
        pages[path].evaluate(DRAWS)
    times = [[page.evaluate(DRAWS) for page in pages.values()] for _ in range(ROUNDS)]
    for index, path in enumerate(pages):
        milliseconds = statistics.median(turn[index] for turn in times)
        ratio = statistics.median(turn[index] / turn[0] for turn in times)
        print(f"{milliseconds:7.2f} ms from call to finished frame, {ratio:.3f} of the first page: {path}")


def main(*arguments: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        if arguments and not arguments[0].isdigit():
            compare_pages(browser, arguments, *SIZE)
        else:
            compare_with_video(browser, *map(int, arguments or SIZE))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
