"""What a living page costs: python -m tests.benchmarks.bench_living [WIDTH HEIGHT].

The same loop as a living page and as an MP4 in a <video>, in one installed Chromium, one after the other: frames a second
that were shown, and processor time of the whole browser as a share of one core. Then the draw time of one frame, waited
for, and what the file weighs. Without a graphics card both are drawn in software: compare the two, of one run.
"""

import os
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from loopanimate.files.formats import Coding, write_loop
from loopanimate.files.living import write_living
from loopanimate.files.sizes import frame_times
from loopanimate.render.renderer import Renderer
from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS
from tests.fields import random_field

SECONDS = 8.0
FRAMES = "() => new Promise((done) => { let n = 0; const end = performance.now() + %d; const step = (now) => { n++; now < end ? requestAnimationFrame(step) : done(n) }; requestAnimationFrame(step) })"
SHOWN = "() => { const quality = document.querySelector('video').getVideoPlaybackQuality(); return quality.totalVideoFrames - quality.droppedVideoFrames }"
DRAWS = """() => {
    const gl = document.getElementById("canvas").getContext("webgl2"), pixel = new Uint8Array(4), times = [];
    for (let i = 0; i < 12; i++) {
        const start = performance.now();
        living.walk.rewind(i / 12);
        living.draw();
        gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
        times.push(performance.now() - start);
    }
    return times.slice(2).sort((a, b) => a - b)[5];
}"""


def processor_seconds(parent: int) -> float:
    """User and system time of a process and everything below it."""
    stats = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                values = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            stats[int(folder.name)] = int(values[1]), (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    below, total = {parent}, stats[parent][1]
    grown = True
    while grown:
        more = {pid for pid, (above, _) in stats.items() if above in below and pid not in below}
        total += sum(stats[pid][1] for pid in more)
        below |= more
        grown = bool(more)
    return total


def main(width: int = 1920, height: int = 1080) -> None:
    from playwright.sync_api import sync_playwright
    from skimage import data

    image = np.asarray(Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.LANCZOS))
    y, x = np.mgrid[0:height, 0:width]
    mask = np.clip(4 * (1.1 - np.hypot((x / width - 0.45) / 0.2, (y / height - 0.55) / 0.35)), 0, 1).astype(np.float32)
    field = random_field(0, (12, 4 * round(3 * width / height)), streams=(1,))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        living, video = Path(folder) / "loop.html", Path(folder) / "loop.mp4"
        write_living(living, image, mask, [field], "a loop")
        renderer = Renderer(image, mask, field, planar=True)
        times = frame_times(35, Fraction(30))
        write_loop(video, map(renderer.frame, times), len(times), Coding(Fraction(30)))
        player = Path(folder) / "video.html"
        player.write_text(f'<body style="margin:0"><video src="{video.name}" width="{width}" autoplay loop muted></video>')
        print(f"{width} x {height}: page {living.stat().st_size / 1e6:.2f} MB, MP4 {video.stat().st_size / 1e6:.2f} MB")
        for name, address in (("living page", f"file://{living}?fps=30&panel=0"), ("video", f"file://{player}")):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(address)
            if name == "living page":  # its layers are made at the first frame
                page.evaluate("living.ready.then(() => living.set({ paused: true }))")
                print(f"{name:12} {page.evaluate(DRAWS):5.1f} ms from call to finished frame, median of ten")
                page.evaluate("living.set({ paused: false })")
            page.wait_for_timeout(2000)
            before = processor_seconds(os.getpid()), time.perf_counter(), 0 if name == "living page" else page.evaluate(SHOWN)
            shown = page.evaluate(FRAMES % (SECONDS * 1000))
            elapsed = time.perf_counter() - before[1]
            shown = shown if name == "living page" else page.evaluate(SHOWN) - before[2]
            share = (processor_seconds(os.getpid()) - before[0]) / elapsed
            print(
                f"{name:12} {shown / elapsed:5.1f} frames a second, {100 * share:4.0f} % of a core, "
                f"{1000 * share * elapsed / max(shown, 1):6.1f} ms of processor a frame"
            )
            browser.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
