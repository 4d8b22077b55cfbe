"""How long the page makes people wait: python -m tests.benchmarks.bench_page.

Starts `python app.py` and an installed Chromium, once. Seconds on a shared machine: compare those of one run with each other
and with the plain Gradio page of a button that is started after it in the same way.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS, ROOT, free_port
from tests.browser.steps import LIVING, VIDEO, draw

BARE = "import sys, gradio as gr\nwith gr.Blocks() as page: gr.Button()\npage.launch(server_port=int(sys.argv[2]))"
PAINTED = "performance.getEntriesByName('first-contentful-paint')"
# Two seconds of a tool that is dragged in circles, moved on before each frame of the screen: frames a second
DRAG = """async (tool) => {
    const view = document.querySelector(".view"), box = view.getBoundingClientRect();
    document.querySelector(`.tools [data-tool=${tool}]`).click();
    view.setPointerCapture = () => {};
    const send = (type, turn) => view.dispatchEvent(new PointerEvent(type, {
        pointerId: 1, bubbles: true, isPrimary: true, buttons: 1,
        clientX: box.left + box.width * (0.5 + 0.2 * Math.cos(turn)), clientY: box.top + box.height * (0.5 + 0.2 * Math.sin(turn)),
    }));
    send("pointerdown", 0);
    const begun = performance.now();
    let frames = 0;
    while (performance.now() - begun < 2000) {
        send("pointermove", frames++ / 10);
        await new Promise(requestAnimationFrame);
    }
    const rate = (1000 * frames) / (performance.now() - begun);
    send("pointerup", frames / 10);
    return rate;
}"""
# Seconds from a mouse that comes to a place until something is outlined there
HOVER = """async ([x, y]) => {
    const view = document.querySelector(".view"), box = view.getBoundingClientRect(), canvas = view.querySelector(".paint");
    const pixels = () => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.reduce((a, b) => (31 * a + b) | 0, 7);
    const before = pixels(), begun = performance.now();
    const at = { pointerId: 1, pointerType: "mouse", bubbles: true, isPrimary: true, clientX: box.left + x * box.width, clientY: box.top + y * box.height };
    view.dispatchEvent(new PointerEvent("pointermove", at));
    while (pixels() === before && performance.now() - begun < 20000) await new Promise(requestAnimationFrame);
    return (performance.now() - begun) / 1000;
}"""
TERMS = f"Array.from({LIVING}.walk.motions[0].terms)"


def photograph(width: int, height: int) -> Image.Image:
    """A camera's megapixels of something with a clear object: a dark disc before noise that is smooth at any scale."""
    noise = np.zeros((height, width, 3), np.float32)
    rng = np.random.default_rng(0)
    for cells in (4, 16, 64, 256):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize((width, height))
        noise += np.asarray(layer, dtype=np.float32) / 4
    y, x = np.mgrid[0:height, 0:width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    noise[inside] *= 0.2
    return Image.fromarray(noise.astype(np.uint8))


class Server:
    """A page in its own process, and when it was started."""

    def __init__(self, *arguments: str):
        port = free_port()
        environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
        command = [sys.executable, *arguments, "--port", str(port)]
        with ExitStack() as stack:
            log, self.started = stack.enter_context(tempfile.TemporaryFile("w+")), time.monotonic()
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
            self.address = f"http://127.0.0.1:{port}"
            while not self.is_up():
                log.seek(0)
                assert self.process.poll() is None, log.read()
                time.sleep(0.02)
            self.answers = time.monotonic() - self.started
            self.files = stack.pop_all()

    def is_up(self) -> bool:
        try:
            with urlopen(self.address):
                return True
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.files.close()


def painted(browser, address: str) -> float:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address)
    page.get_by_role("button").first.wait_for()
    page.wait_for_function(f"{PAINTED}.length > 0")  # it is reported a moment after the paint itself
    seconds = page.evaluate(f"{PAINTED}[0].startTime / 1000")
    page.close()
    return seconds


def row(name: str, seconds: float) -> None:
    print(f"{name:58} {seconds:6.2f} s", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        large, small = Path(folder) / "large.jpg", Path(folder) / "small.jpg"
        picture = photograph(4000, 3000)
        picture.save(large, quality=90)
        picture.resize((512, 384)).save(small)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        with Server("app.py") as server:
            row("server answers after start", server.answers)
            client = Client(server.address, verbose=False)
            begun = time.monotonic()
            client.predict(handle_file(small), "it sways", None, 3, 0, 1, "PNG sequence", "source", api_name="/animate")
            row("ready to animate after start, first loop of 3 included", time.monotonic() - server.started)
            row("of that, the first loop's request", time.monotonic() - begun)
            row("first paint, models loaded", painted(browser, server.address))
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.set_default_timeout(120_000)
            page.goto(server.address)
            page.get_by_role("button", name="Animate", exact=True).wait_for()
            for name in ("first mask of 12 megapixels after upload", "the next one"):
                begun = time.monotonic()
                page.locator("#picture input[type=file]").set_input_files(large)
                page.get_by_text("Red moves").or_(page.get_by_text("No clear object found")).wait_for()
                row(name, time.monotonic() - begun)
                if name != "the next one":
                    page.reload()
                    page.get_by_role("button", name="Animate", exact=True).wait_for()
            page.get_by_label("What should move, and how?").fill("it sways")
            begun = time.monotonic()
            page.get_by_role("button", name="Animate", exact=True).click()
            page.wait_for_function(LIVING)
            row("living preview of 35 frames after Animate", time.monotonic() - begun)
            page.wait_for_function(f"{VIDEO}.currentTime > 0")
            row("finished video after Animate", time.monotonic() - begun)
            before = page.evaluate(TERMS)
            draw(page, "arrow", (0.45, 0.5), (0.52, 0.5))
            begun = time.monotonic()
            page.wait_for_function(f"before => {TERMS}.some((term, i) => Math.abs(term - before[i]) > 0.005)", arg=before)
            row("living preview follows an arrow", time.monotonic() - begun)
            page.close()
            # what is drawn by hand needs no WebGL, which on a machine without a graphics card another renderer draws
            plain = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = plain.new_page(viewport={"width": 1440, "height": 1200})
            page.goto(server.address)
            page.locator("#picture input[type=file]").set_input_files(small, timeout=120_000)
            page.locator(".stage[data-picture]:not([data-said])").wait_for(timeout=120_000)
            width = page.locator(".view").bounding_box()["width"]
            for tool in ("brush", "arrow", "lasso"):
                print(
                    f"{f'{tool} dragged over a canvas of {width:.0f} px':58} {page.evaluate(DRAG, tool):6.1f} frames a second"
                )
                page.locator(".tools [data-do=undo]").click()
            page.locator(".tools [data-tool=select]").click()
            for place, name in (((0.5, 0.5), "a hand over a thing: outlined"), ((0.1, 0.2), "the next thing")):
                row(name, page.evaluate(HOVER, place))
            plain.close()
        with Server("-c", BARE) as server:
            row("a bare page of a button: server answers after start", server.answers)
            row("its first paint", painted(browser, server.address))
        browser.close()


if __name__ == "__main__":
    main()
