"""What a person does on the page, for the browser tests. Each step waits for what it brings about, never for seconds."""

import json
import re
import time

import av
import numpy as np
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.formats import read_metadata
from loopanimate.files.recipe import unpack

VIDEO = "document.querySelector('.stage video')"
LIVING = "document.querySelector('.stage iframe').contentWindow.living"
TIMEOUT = 120  # seconds until something that does not come is a failure
expect.set_options(timeout=1000 * TIMEOUT)


def seconds(path):
    with av.open(str(path)) as file:
        return file.duration / av.time_base


def until(page, value, holds):
    """value() once it holds, asked again and again: what a machine takes to get there is its own affair."""
    begun = time.monotonic()
    while not holds(found := value()):
        assert time.monotonic() - begun < TIMEOUT, f"the last value was {found}"
        page.wait_for_timeout(100)
    return found


def upload(page, path):
    """Choose a picture, and wait for it on the stage."""
    before = page.locator(".still").get_attribute("src")
    page.set_input_files("#picture input[type=file]", path)
    script = """before => document.querySelector('.stage[data-picture]:not([data-said])')
        && document.querySelector('.still').getAttribute('src') !== before"""
    page.wait_for_function(script, arg=before)


def press(page, name):
    """One of the tools, or of what the mask's menu has."""
    button = page.locator(".stage").get_by_role("button", name=name, exact=True)
    if not button.is_visible():
        page.locator("[data-do=whole]").click()
    button.click()


def mask_of(page) -> np.ndarray:
    """The mask that the page hands out, (H, W) bool."""
    with page.expect_download() as download:
        press(page, "Download the mask")
    return np.asarray(Image.open(download.value.path())) > 127


def painted(page) -> dict:
    """What is painted, as the page tells the server."""
    return json.loads(page.evaluate("loopanimate.painting()"))


def draw(page, tool, *points):
    """Drag a tool over the picture, through points in fractions of it."""
    if page.locator(f".tools [data-tool={tool}]").get_attribute("aria-pressed") != "true":
        page.locator(f".tools [data-tool={tool}]").click()
    box = page.locator(".view").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def until_mask(page, holds) -> np.ndarray:
    """The mask, once it holds."""
    return until(page, lambda: mask_of(page), holds)


def prepare(page, picture, frames=5, steps=2, prompt="it sways to the left"):
    upload(page, picture)
    page.get_by_label("What should move, and how?").fill(prompt)
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Expert").click()
    wanted = {"Frames of the model": frames, "Sampling steps": steps}
    for _ in range(2):  # a fold's controls may be mounted a second time on a busy machine, with their first values
        for label, value in wanted.items():
            put(page, label, value)
        page.wait_for_timeout(200)


def put(page, label, value):
    """Type into a slider's number, which counts when it is left and once the slider stands."""
    number, slider = (page.get_by_label(f"{part} for {label}") for part in ("number input", "range slider"))

    def typed():
        number.fill(str(value))
        number.press("Tab")
        return slider.input_value(), number.input_value()

    until(page, typed, lambda found: found == (str(value), str(value)))


def source(page) -> str:
    return page.evaluate(f"{VIDEO}.src")


def until_rendered(page, before):
    """Wait for another video than `before`, which plays, and for nothing that still runs."""
    page.wait_for_function(f"before => {VIDEO}.src && {VIDEO}.src != before && {VIDEO}.currentTime > 0", arg=before)
    until_idle(page)


def until_idle(page):
    page.locator(".stage:not([data-busy])").wait_for()


def animate(page):
    before = source(page)
    page.get_by_role("button", name="Animate", exact=True).click()
    until_rendered(page, before)


def choose(page, label, option):
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def saved(page, name, path):
    """Download the loop in a format."""
    choose(page, "Format", name)
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {name}").click()
    assert re.fullmatch(r"[a-z0-9-]+-\d+x\d+\.[a-z0-9]+", download.value.suggested_filename)  # picture, words and size
    download.value.save_as(path)
    return path


def recipe(path):
    """The settings and the mask in a file."""
    return unpack(read_metadata(path))
