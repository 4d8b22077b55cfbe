"""What a person does on the page, for the browser tests. Each step waits for what it brings about, never for seconds."""

import time

import av
import numpy as np
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.formats import read_metadata
from loopanimate.files.recipe import unpack

VIDEO = "document.querySelector('.result video')"
LIVING = "document.querySelector('#living iframe').contentWindow.living"
TIMEOUT = 60  # seconds until something that does not come is a failure
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
    """Choose a picture, and wait for its mask."""
    page.set_input_files("#picture input[type=file]", path)
    page.get_by_text("Red moves.").wait_for()


def mask_of(page) -> np.ndarray:
    """The mask that the page hands out, (H, W) bool."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the mask").click()
    return np.asarray(Image.open(download.value.path())) > 127


def until_mask(page, holds) -> np.ndarray:
    """The painted mask, once it holds; the fold of its tools is open."""
    return until(page, lambda: mask_of(page), holds)


def prepare(page, picture, frames=5, steps=2, prompt="it sways to the left"):
    upload(page, picture)
    page.get_by_label("What should move, and how?").fill(prompt)
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Change the whole mask").click()
    until_mask(page, np.any)  # the editor has it
    for _ in range(2):  # a fold's controls may be mounted a second time on a busy machine, with their first values
        put(page, "Frames of the model", frames)
        put(page, "Sampling steps", steps)


def put(page, label, value):
    """Type into a slider's number, which counts when it is left and once the slider stands."""
    number, slider = (page.get_by_label(f"{part} for {label}") for part in ("number input", "range slider"))

    def typed():
        number.fill(str(value))
        number.press("Tab")
        return slider.input_value(), number.input_value()

    until(page, typed, lambda found: found == (str(value), str(value)))


def source(page) -> str:
    return page.evaluate(f"{VIDEO}?.src")


def until_rendered(page, before):
    """Wait for another video than `before`, which plays, and for nothing that still runs."""
    page.wait_for_function(f"before => {VIDEO} && {VIDEO}.src != before && {VIDEO}.currentTime > 0", arg=before)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


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
    download.value.save_as(path)
    return path


def recipe(path):
    """The settings and the mask in a file."""
    return unpack(read_metadata(path))
