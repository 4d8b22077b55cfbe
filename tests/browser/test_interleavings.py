"""What a hand does in any order, however it falls into what the page is doing: the newest wish wins, and nothing stale lands."""

import os
import random

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.recipe import open_small_png, small_png
from loopanimate.page.canvas import open_url
from tests.browser.steps import VIDEO, animate, draw, painted, prepare, put, recipe, saved, until, until_idle

DEEDS = int(os.environ.get("INTERLEAVINGS", "16"))
SENTENCES = ("it sways to the left", "it bobs gently", "everything ripples")
COLOURS = {"red": (200, 60, 40), "green": (60, 160, 50), "blue": (40, 70, 200)}


@pytest.mark.slow
def test_after_any_order_of_deeds_page_file_and_loop_agree(page, tmp_path):
    chance, pictures = random.Random(0), []
    for name, colour in COLOURS.items():
        noise = np.random.default_rng(0).integers(-30, 30, (64, 96, 3))
        pictures.append(tmp_path / f"{name}.png")
        Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(pictures[-1])
    prompt = page.get_by_label("What should move, and how?")

    def slide():
        slider = page.get_by_label("range slider for Motion strength")
        if slider.is_visible():
            slider.focus()
            for _ in range(chance.randint(1, 6)):
                slider.press(chance.choice(["ArrowRight", "ArrowLeft"]))

    def stroke():
        if page.locator(".stage[data-picture]").count():
            draw(page, chance.choice(["brush", "erase", "freeze"]), *([chance.random(), chance.random()] for _ in range(3)))
            page.keyboard.press("Escape")

    def reload():
        page.reload()
        page.wait_for_function("window.loopanimate")

    deeds = {
        "drag": slide,
        "stroke": stroke,
        "sentence": lambda: prompt.fill(chance.choice(SENTENCES)),
        "picture": lambda: page.set_input_files("#picture input[type=file]", chance.choice(pictures)),
        "animate": lambda: page.get_by_role("button", name="Animate", exact=True).click(),
        "cancel": lambda: page.locator(".stage .work button").evaluate("button => button.checkVisibility() && button.click()"),
        "reload": reload,
    }
    weights = [5, 4, 3, 2, 6, 3, 1]
    prepare(page, pictures[0], frames=3, steps=1)
    for number in range(1, DEEDS + 1):
        deeds[chance.choices([*deeds], weights)[0]]()
        page.wait_for_timeout(chance.choice([0, 0, 50, 300, 1500]))
        if number % 15 == 0:
            agree(page, pictures, tmp_path)
    page.locator(".stage[data-picture]").wait_for()
    settle(page)
    prompt.fill(SENTENCES[0])
    if not page.get_by_label("number input for Sampling steps").is_visible():  # a reload closes it; the settings are kept
        page.get_by_role("button", name="Expert").click()
    for label, value in (("Frames of the model", 3), ("Sampling steps", 1)):
        put(page, label, value)
    animate(page)
    settings, mask = agree(page, pictures, tmp_path)
    own = painted(page)
    assert settings.request.prompt == prompt.input_value()
    if own["mask"]:  # as it was painted, at the size that travels
        assert np.abs(mask - open_small_png(small_png(open_url(own["mask"])))).max() < 0.01


def settle(page):
    """Wait until nothing runs, nor is about to."""
    for _ in range(2):
        until_idle(page)
        page.wait_for_timeout(1000)


def agree(page, pictures, folder):
    """What the page shows, what its file says and what its loop is are one, where there is a loop."""
    settle(page)
    download = page.get_by_role("button", name="Download MP4")
    if not page.evaluate(f"{VIDEO}.hasAttribute('src')"):
        expect(download).to_be_disabled()  # nothing of a loop is left over
        return None
    expect(download).to_be_enabled()
    until(page, lambda: page.evaluate("!document.querySelector('.stage[data-live]')"), bool)
    path = saved(page, "MP4", folder / "loop.mp4")
    settings, mask = recipe(path)
    own, shown = painted(page), page.locator(".still").get_attribute("src").rpartition("/")[2]
    assert settings.request.prompt == page.locator(".stage video").get_attribute("aria-label")
    assert settings.hands.motion_strength == float(page.get_by_label("range slider for Motion strength").input_value())
    assert bool(settings.hands.freeze) == bool(own["freeze"])
    seen = Image.open(next(each for each in pictures if each.name == shown))
    first = iio.imread(path, index=0)
    assert np.abs(first.mean((0, 1)) - np.asarray(seen.convert("RGB")).mean((0, 1))).max() < 12, (shown, first.mean((0, 1)))
    return settings, mask
