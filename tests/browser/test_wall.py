"""What goes to the wall: how long the file is, and which part of the picture it shows."""

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.steps import animate, choose, painted, prepare, recipe, saved, seconds, until


def first_frame(path) -> np.ndarray:
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24").astype(np.float32)


def cut(photo: Image.Image, centre: float, aspect: float, size: tuple[int, int]) -> np.ndarray:
    """The whole height of a photograph, around a place across."""
    wide = photo.height * aspect
    left = min(max(centre * photo.width - wide / 2, 0), photo.width - wide)
    return np.asarray(photo.resize(size, box=(left, 0, left + wide, photo.height)), np.float32)


def test_a_file_lasts_as_long_as_it_was_asked_to(page, picture, tmp_path):
    prepare(page, picture)
    animate(page)
    choose(page, "Length", "about 10 s")
    assert seconds(saved(page, "MP4", tmp_path / "ten.mp4")) == pytest.approx(10, abs=0.2)
    page.get_by_text("10 s became").wait_for()
    length = page.get_by_label("Length", exact=True)
    length.fill("1.5 s")
    length.press("Enter")
    file = saved(page, "MP4", tmp_path / "short.mp4")
    assert seconds(file) == pytest.approx(1.5, abs=0.1)
    assert recipe(file)[0].output.seconds == 1.5 and recipe(file)[0].hands.tempo == 1
    length.fill("long")
    length.press("Enter")
    page.get_by_role("button", name="Download MP4").click()
    page.locator(".problem", has_text="a number for length in seconds").wait_for()


def test_the_loop_is_slid_to_what_the_file_shall_show(page, picture, photos, tmp_path):
    prepare(page, picture)
    animate(page)
    page.get_by_label("See it on").select_option("phone")
    expect(page.locator(".hint")).to_have_text("Drag the loop to what the file shall show.")
    place = "getComputedStyle(document.querySelector('.stage video')).objectPosition"
    before, box = page.evaluate(place), page.locator(".view").bounding_box()
    assert painted(page)["centre"] is None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 3, box["y"] + box["height"] / 2, steps=5)  # as far to the left as it goes
    page.mouse.up()
    assert page.evaluate(place) == "0% 50%" != before
    page.keyboard.press("ArrowRight")
    centre = until(page, lambda: painted(page)["centre"], lambda found: found is not None)
    assert centre[0] == pytest.approx(9 / 19.5 / 1.5 / 2 + 0.02, abs=0.01)
    choose(page, "Size", "phone, 1080 x 1920")
    file = saved(page, "MP4", tmp_path / "phone.mp4")
    assert recipe(file)[0].output.centre == pytest.approx(centre)
    shown, size = first_frame(file), (270, 480)
    small = np.asarray(Image.fromarray(shown.astype(np.uint8)).resize(size), np.float32)
    photo = Image.open(picture).convert("RGB")
    errors = {at: np.abs(small - cut(photo, at, 9 / 16, size)).mean() for at in (centre[0], 0.35, 0.5, 0.65)}
    assert min(errors, key=errors.get) == centre[0], errors
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
    assert page.evaluate(place) == before and painted(page)["centre"] is None
