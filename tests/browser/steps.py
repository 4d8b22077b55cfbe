"""What a person does on the page, for the browser tests."""

import av
import numpy as np
from PIL import Image

VIDEO = "document.querySelector('.result video')"


def seconds(path):
    with av.open(str(path)) as file:
        return file.duration / av.time_base


def until(page, value, holds, seconds=30):
    """value() once it holds, asked again and again: what a machine takes to get there is its own affair."""
    for _ in range(2 * seconds):
        if holds(found := value()):
            return found
        page.wait_for_timeout(500)
    raise AssertionError(f"expected it within {seconds} seconds, the last value was {found}")


def upload(page, path):
    page.set_input_files("input[type=file] >> nth=0", path)


def mask_of(page) -> np.ndarray:
    """The mask that the page hands out, (H, W) bool."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the mask").click()
    return np.asarray(Image.open(download.value.path())) > 127


def prepare(page, picture, frames=5, steps=3, prompt="it sways to the left"):
    upload(page, picture)
    page.get_by_text("Red moves.").wait_for()
    page.get_by_label("What should move, and how?").fill(prompt)
    page.get_by_role("button", name="More").click()
    for _ in range(2):  # a fold's controls may be mounted a second time on a busy machine, with their first values
        put(page, "Frames of the model", frames)
        put(page, "Sampling steps", steps)


def put(page, label, value):
    """Types into a slider's number, which counts when it is left and once the slider stands."""
    number, slider = (page.get_by_label(f"{part} for {label}") for part in ("number input", "range slider"))
    for _ in range(20):
        number.fill(str(value))
        number.press("Tab")
        page.wait_for_timeout(250)
        if slider.input_value() == str(value) and number.input_value() == str(value):
            return
    raise AssertionError(f"the slider {label} kept {slider.input_value()}")


def animate(page):
    page.get_by_role("button", name="Animate", exact=True).click()
    page.wait_for_function(f"{VIDEO} && {VIDEO}.currentTime > 0.1")


def chosen(page, label, option):
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def saved(page, name, path):
    chosen(page, "Format", name)
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {name}").click()
    download.value.save_as(path)
    return path
