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
from tests.browser.steps import LIVING, VIDEO, animate, draw, painted, prepare, put, recipe, saved, until, until_idle

COUNT = int(os.environ.get("INTERLEAVINGS", "5"))  # python -m tests.long_runs hands makes more
SEED = int(os.environ.get("INTERLEAVINGS_SEED", "0"))
SENTENCES = ("it sways to the left", "it bobs gently", "everything ripples")
COLOURS = {"red": (200, 60, 40), "green": (60, 160, 50), "blue": (40, 70, 200)}
WEIGHTS = {"drag": 5, "stroke": 4, "sentence": 3, "picture": 2, "animate": 6, "cancel": 3, "download": 2, "reload": 1}
PAUSES = 0, 0, 50, 300, 1500  # milliseconds between two deeds


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for name, colour in COLOURS.items():
        noise = np.random.default_rng(0).integers(-30, 30, (64, 96, 3))
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(paths[-1])
    return paths


def do(page, chance, pictures, deed):
    prompt = page.get_by_label("What should move, and how?")
    if deed == "drag":
        slider = page.get_by_label("range slider for Motion strength")
        if slider.is_visible():
            slider.focus()
            for _ in range(chance.randint(1, 6)):
                slider.press(chance.choice(["ArrowRight", "ArrowLeft"]))
    elif deed == "stroke" and page.locator(".stage[data-picture]").count():
        draw(page, chance.choice(["brush", "erase", "freeze"]), *([chance.random(), chance.random()] for _ in range(3)))
        page.keyboard.press("Escape")
    elif deed == "sentence":
        prompt.fill(chance.choice(SENTENCES))
    elif deed == "picture":
        page.set_input_files("#picture input[type=file]", chance.choice(pictures))
    elif deed == "animate":
        page.get_by_role("button", name="Animate", exact=True).click()
    elif deed == "cancel":
        page.locator(".stage .work button").evaluate("button => button.checkVisibility() && button.click()")
    elif deed == "download":
        page.locator("#save").evaluate("button => button.click()")  # which may be disabled
    elif deed == "reload":
        page.reload()
        page.wait_for_function("window.loopanimate")


@pytest.mark.slow
def test_after_any_order_of_deeds_page_file_and_loop_agree(page, pictures, tmp_path):
    prepare(page, pictures[0], frames=3, steps=1)
    wrong = []
    for number in range(COUNT):
        chance = random.Random(1000 * SEED + number)
        deeds = chance.choices([*WEIGHTS], WEIGHTS.values(), k=chance.randint(3, 7))
        for deed in deeds:
            do(page, chance, pictures, deed)
            page.wait_for_timeout(chance.choice(PAUSES))
        try:
            agree(page, pictures, tmp_path)
        except (AssertionError, TimeoutError) as error:
            wrong.append((number, deeds, str(error)[:400]))
        print(number, deeds, wrong[-1][-1] if wrong and wrong[-1][0] == number else "agrees", flush=True)
    assert not wrong, f"{len(wrong)} of {COUNT}: {wrong}"
    page.locator(".stage[data-picture]").wait_for()
    settle(page)
    prompt = page.get_by_label("What should move, and how?")
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
    download, line = page.get_by_role("button", name="Download MP4"), page.locator("#of")
    if not page.evaluate(f"{VIDEO}.hasAttribute('src')"):
        expect(download).to_be_disabled()  # nothing of a loop is left over
        expect(line).to_be_hidden()
        return None
    expect(download).to_be_enabled()
    strength = float(page.get_by_label("range slider for Motion strength").input_value())
    own, words = painted(page), page.get_by_label("What should move, and how?").input_value()
    # what is seen: the film, or, where hands went on and its rendering was cancelled, the living page
    if page.locator(".stage[data-live]").count():
        drawn = f"{LIVING}.settings.strength * document.querySelector('.stage iframe').dataset.strength"
        until(page, lambda: page.evaluate(drawn), lambda found: abs(found - strength) < 1e-6)
    else:
        (folder / "film.mp4").write_bytes(page.request.get(page.evaluate(f"{VIDEO}.src")).body())
        film = recipe(folder / "film.mp4")[0]
        assert film.hands.motion_strength == strength and bool(film.hands.freeze) == bool(own["freeze"]), "film"
        assert film.request.prompt == page.locator(".stage video").get_attribute("aria-label"), "film"
    path = saved(page, "MP4", folder / "loop.mp4")
    settings, mask = recipe(path)
    assert settings.hands.motion_strength == strength, "strength"
    assert bool(settings.hands.freeze) == bool(own["freeze"]), "freeze"
    # either the loop is of these words, or the page says of which
    said = line.inner_text() if line.is_visible() else ""
    assert (settings.request.prompt == words) == ("the sentence" not in said), (settings.request.prompt, words, said)
    assert settings.request.prompt == words or f"“{settings.request.prompt}”" in said, (settings.request.prompt, said)
    shown = page.locator(".still").get_attribute("src").rpartition("/")[2]
    seen = Image.open(next(each for each in pictures if each.name == shown))
    first = iio.imread(path, index=0)
    assert np.abs(first.mean((0, 1)) - np.asarray(seen.convert("RGB")).mean((0, 1))).max() < 12, (shown, first.mean((0, 1)))
    return settings, mask
