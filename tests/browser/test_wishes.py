"""The newest wish wins, and nothing of an older one lands."""

import re

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.browser.steps import (
    VIDEO,
    animate,
    draw,
    mask_of,
    painted,
    prepare,
    press,
    put,
    recipe,
    saved,
    until,
    until_idle,
    upload,
)


def test_a_new_picture_in_mid_sampling_drops_the_old_loop(page, picture, photos, tmp_path):
    prepare(page, picture, frames=15, steps=50)
    page.get_by_role("button", name="Animate", exact=True).click()
    page.get_by_text(re.compile(r"Step \d+ of 50")).wait_for()
    photos["rocket"].resize((160, 107)).save(tmp_path / "rocket.png")
    upload(page, tmp_path / "rocket.png")
    until_idle(page)
    assert not page.evaluate(f"{VIDEO}.hasAttribute('src')")
    expect(page.get_by_role("button", name="Download MP4")).to_be_disabled()
    page.get_by_label("What should move, and how?").fill("it sways")
    for _ in range(2):
        put(page, "Frames of the model", 3)
        put(page, "Sampling steps", 1)
    animate(page)
    assert page.evaluate(f"{VIDEO}.videoWidth") == 160


def test_another_sentence_in_mid_sampling_is_the_one_that_is_made(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=50, prompt="it sways to the left")
    page.get_by_role("button", name="Animate", exact=True).click()
    page.get_by_text(re.compile(r"Step \d+ of 50")).wait_for()
    for _ in range(2):
        put(page, "Sampling steps", 1)
    page.get_by_label("What should move, and how?").fill("it breathes slowly")
    page.get_by_role("button", name="Animate", exact=True).click()
    page.wait_for_function(f"{VIDEO}.currentTime > 0")
    until_idle(page)
    written = recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].request
    assert (written.prompt, written.num_inference_steps) == ("it breathes slowly", 1)


def test_a_loop_on_another_picture_brings_its_own(page, picture, photos, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    draw(page, "brush", (0.1, 0.1), (0.4, 0.1))
    page.keyboard.press("Escape")
    animate(page)
    mask = mask_of(page)
    film = saved(page, "MP4", tmp_path / "loop.mp4")
    photos["rocket"].resize((160, 240)).save(tmp_path / "rocket.png")
    upload(page, tmp_path / "rocket.png")
    page.set_input_files("#restore input[type=file]", film)
    page.get_by_text("The settings are back, mask included").wait_for()
    page.wait_for_function("document.querySelector('.still').naturalWidth === 300")
    back = np.asarray(Image.fromarray(mask_of(page)).resize(mask.shape[::-1]))
    assert (back == mask).mean() > 0.97
    press(page, "Back to what was found")
    assert painted(page)["mask"] is None


def test_a_reload_brings_back_picture_paint_sentence_and_settings(page, picture):
    prepare(page, picture, frames=3, steps=1, prompt="it breathes slowly")
    draw(page, "brush", (0.1, 0.1), (0.4, 0.1))
    draw(page, "arrow", (0.5, 0.5), (0.7, 0.4))
    put(page, "Light and weather", 0.5)
    mask, drawn = mask_of(page), painted(page)
    page.reload()
    page.locator(".stage[data-picture]").wait_for()
    expect(page.get_by_label("What should move, and how?")).to_have_value("it breathes slowly")
    until(page, lambda: painted(page)["mask"], lambda back: back == drawn["mask"])
    assert painted(page)["arrows"] == drawn["arrows"] and (mask_of(page) == mask).all()
    page.get_by_role("button", name="More").click()
    expect(page.get_by_label("number input for Light and weather")).to_have_value("0.5")
    animate(page)
    expect(page.locator("[data-do=undo]")).to_be_disabled(timeout=5000)  # nothing was painted since
