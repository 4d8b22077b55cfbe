"""What hands do on the page: the mask's tools, clicks, the brush that freezes, arrows, sliders, keys, examples."""

import re

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.recipe import open_small_png
from tests.browser.steps import (
    LIVING,
    VIDEO,
    animate,
    mask_of,
    prepare,
    put,
    recipe,
    saved,
    source,
    until,
    until_mask,
    until_rendered,
    upload,
)


def stroke(page, colour: int, start: float, end: float) -> None:
    """A stroke of the brush across the middle of the editor, in fractions of its canvas."""
    page.get_by_role("button", name="Color", exact=True).click()
    page.locator("#editor button.color").nth(colour).click()
    drag(page, start, end)


def drag(page, start: float, end: float) -> None:
    """The brush across the middle of the editor, in the colour that it has."""
    canvas = page.locator("#editor canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    for share in np.linspace(start, end, 12):
        page.mouse.move(box["x"] + share * box["width"], y)
    page.mouse.up()


def press(page, name):
    page.get_by_role("button", name=name, exact=True).first.click()


def test_the_masks_tools_and_a_click_on_the_board(page, picture):
    upload(page, picture)
    page.get_by_role("button", name="Change the whole mask").click()
    found = until_mask(page, lambda mask: 0.05 < mask.mean() < 0.9)
    press(page, "Invert")
    until_mask(page, lambda mask: (mask == ~found).mean() > 0.98)
    page.locator(".tools").get_by_role("button", name="Undo").click()
    until_mask(page, lambda mask: (mask == found).mean() > 0.98)
    press(page, "Grow")
    grown = until_mask(page, lambda mask: mask.mean() > found.mean() + 0.002 and mask[found].mean() > 0.99)
    press(page, "Shrink")
    until_mask(page, lambda mask: mask.mean() < grown.mean())
    press(page, "Clear")
    until_mask(page, lambda mask: not mask.any())
    stroke(page, 0, 0.45, 0.55)

    def paint():  # again, if the editor was drawn anew beneath a stroke
        drag(page, 0.45, 0.55)
        return mask_of(page)

    until(page, paint, lambda mask: 0.0005 < mask.mean() < 0.2)
    press(page, "Clear")
    page.get_by_role("button", name="Click to select").click()
    page.get_by_label("Add to the mask").check()

    def click():  # again, if the board was drawn anew beneath a click
        page.locator(".image-frame img").last.click()
        for _ in range(30):
            if (mask := mask_of(page)).any():
                break
        return mask

    until(page, click, lambda mask: mask[99:102, 149:152].all() and 0.002 < mask.mean() < 0.95)


def test_a_frozen_place_stops_without_sampling_again(page, picture, tmp_path):
    prepare(page, picture, frames=15, prompt="everything sways to the left")
    press(page, "Whole picture")
    until_mask(page, np.all)
    said = []
    page.expose_function("said", lambda text: said.append(text))
    animate(page)
    page.evaluate("""new MutationObserver(() => {
        const text = document.querySelector(".result")?.innerText ?? "";
        if (text.includes("Step")) window.said(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true })""")
    page.wait_for_function(LIVING)
    terms, before = page.evaluate(f"{LIVING}.walk.motions[0].terms.length"), source(page)

    def motion(name):
        frames = np.stack(list(iio.imiter(saved(page, "MP4", tmp_path / name), plugin="pyav"))).astype(float)
        return np.abs(frames - frames[0]).mean((0, 3)), recipe(tmp_path / name)[0].hands

    free, _ = motion("free.mp4")
    stroke(page, 1, 0.55, 0.7)  # beyond the palette, which lies over the editor
    page.wait_for_function(f"before => {LIVING}.walk.motions[0].terms.length > before", arg=terms)
    until_rendered(page, before)
    held, hands = motion("held.mp4")
    places = np.asarray(Image.fromarray(open_small_png(hands.freeze)).resize((300, 200))) > 0.9
    assert places.mean() > 0.005 and held[places].mean() < 0.25 * free[places].mean()
    assert held[:20].mean() > 0.7 * free[:20].mean()  # far from it
    before = source(page)
    press(page, "Unfreeze")
    until_rendered(page, before)
    again, hands = motion("again.mp4")
    assert hands.freeze is None and np.abs(again - free).mean() < 0.5
    assert not said


def test_what_was_frozen_before_stays_frozen_under_other_hands(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    stroke(page, 1, 0.55, 0.7)
    animate(page)
    before = source(page)
    put(page, "Motion strength", 1.5)
    until_rendered(page, before)
    hands = recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].hands
    assert hands.motion_strength == 1.5 and open_small_png(hands.freeze).mean() > 0.005


def test_an_arrow_turns_the_motion_and_a_pin_stops_it(page, picture, tmp_path):
    prepare(page, picture, frames=15)
    press(page, "Whole picture")
    until_mask(page, np.all)
    animate(page)
    page.get_by_role("button", name="Click to select").click()
    listed = page.get_by_label("Arrows and pins")

    def directed(words):
        before = source(page)
        listed.fill(words)
        listed.press("Enter")
        until_rendered(page, before)
        frames = iio.imiter(saved(page, "MP4", tmp_path / "loop.mp4"), plugin="pyav")
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return np.stack([-estimator.calc(frame, grey[0], None) for frame in grey[1:]])  # how content moved, (K, H, W, 2)

    moved = directed("arrow 45 50 52 50")[:, 90:110, 151:161].mean((1, 2))  # around the head
    extreme = moved[np.linalg.norm(moved, axis=1).argmax()]
    assert extreme[0] == pytest.approx(0.07 * 300, rel=0.2) and abs(extreme[1]) < 4
    held = directed("pin 20 50")[:, 97:103, 57:63]
    assert np.linalg.norm(held, axis=-1).mean((1, 2)).max() < 0.05 * extreme[0]


def test_hands_move_the_living_preview_at_once_and_the_video_follows(page, picture, tmp_path):
    prepare(page, picture, frames=15)
    animate(page)
    page.wait_for_function(LIVING)
    before, terms = source(page), page.evaluate(f"Array.from({LIVING}.walk.motions[0].terms)")
    page.evaluate("""() => {
        const living = document.querySelector("#living"), video = document.querySelector(".result video");
        const look = () => { window.lived ||= living.checkVisibility() && !video.checkVisibility() };
        new MutationObserver(look).observe(living, { attributes: true });
    }""")
    slider = page.get_by_label("range slider for Motion strength")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    page.wait_for_function("window.lived")  # however soon the video followed
    page.wait_for_function(f"Math.abs({LIVING}.settings.strength - 1.5) < 1e-6")
    until_rendered(page, before)
    put(page, "Tempo", 0.5)
    page.wait_for_function(f"{VIDEO} && {VIDEO}.duration > 3")
    expect(page.locator("#living iframe")).to_be_hidden()
    page.get_by_role("button", name="Click to select").click()
    page.get_by_label("Arrows and pins").fill("arrow 45 50 52 50")
    page.get_by_label("Arrows and pins").press("Enter")
    page.wait_for_function(
        f"before => {LIVING}.walk.motions[0].terms.some((term, i) => Math.abs(term - before[i]) > 0.005)", arg=terms
    )
    hands = recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].hands
    assert (hands.motion_strength, hands.tempo, len(hands.arrows)) == (1.5, 0.5, 1)


def test_light_and_weather_follow_their_hands(page, picture, tmp_path):
    prepare(page, picture, prompt="it snows")
    animate(page)
    expect(page.locator("#understood")).to_contain_text("snow: falling snow.")
    before = source(page)
    put(page, "Light and weather", 0.5)
    page.wait_for_function(f"Math.abs({LIVING}.settings.effects - 0.5) < 1e-6")
    until_rendered(page, before)
    hands = recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].hands
    assert hands.effect_strength == 0.5 and hands.motion_strength == 1


def test_the_strength_that_is_seen_is_the_strength_that_is_got(page, photos, tmp_path):
    photos["coffee"].resize((1200, 800)).save(tmp_path / "coffee.png")  # rendered for seconds, while the hand looks on
    prepare(page, tmp_path / "coffee.png", frames=35)
    page.get_by_role("button", name="Details").click()
    animate(page)
    slider = page.get_by_label("range slider for Motion strength")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()

    def drag(strength):
        page.mouse.move(box["x"] + strength / 4 * box["width"], box["y"] + box["height"] / 2, steps=4)

    drag(1.0)
    page.mouse.down()
    drag(1.5)
    page.get_by_text("Rendering").wait_for()
    drag(0.5)
    page.mouse.up()
    strength = slider.input_value()
    assert 0.3 < float(strength) < 0.7
    said = page.locator(".details tr", has_text="Motion strength").locator("td").last
    expect(said).to_have_text(strength)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    assert slider.input_value() == strength
    assert recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].hands.motion_strength == float(strength)
    expect(said).to_have_text(strength)


def test_every_format_is_handed_out_and_a_seed_gives_its_loop_again(page, picture, tmp_path):
    prepare(page, picture, frames=3)
    page.get_by_label("Seed", exact=True).fill("5")
    animate(page)
    one = saved(page, "PNG sequence", tmp_path / "one.zip")
    with Image.open(saved(page, "AVIF", tmp_path / "loop.avif")) as loop:
        assert loop.size == (300, 200) and loop.n_frames == 8
    living = saved(page, "Living page", tmp_path / "loop.html").read_text()
    assert "<canvas" in living and "it sways to the left" in living
    page.get_by_label("Seed", exact=True).fill("6")
    before = source(page)
    page.get_by_label("What should move, and how?").focus()  # by keys alone
    page.keyboard.press("Enter")
    until_rendered(page, before)
    assert saved(page, "PNG sequence", tmp_path / "other.zip").read_bytes() != one.read_bytes()
    page.get_by_label("Seed", exact=True).fill("5")
    before = source(page)
    page.get_by_role("button", name="Animate", exact=True).focus()
    page.keyboard.press("Enter")
    until_rendered(page, before)
    frames = [iio.imread(saved(page, "APNG", tmp_path / "again.png"), index=index) for index in (2, 4)]
    assert frames[0].shape[:2] == (201, 301)
    assert saved(page, "PNG sequence", tmp_path / "again.zip").stat().st_size == one.stat().st_size


def test_an_example_is_one_click_and_is_made_anew(page):
    page.get_by_role("button", name="Tree", exact=True).click()
    page.wait_for_function(f"{VIDEO} && {VIDEO}.currentTime > 0")
    page.get_by_text("A finished example.").wait_for()
    expect(page.get_by_label("What should move, and how?")).to_have_value(re.compile(r"\w+ \w+"))
    page.get_by_role("button", name="More").click()
    for _ in range(2):
        put(page, "Frames of the model", 3)
        put(page, "Sampling steps", 1)
    animate(page)
    expect(page.get_by_role("button", name="Download MP4")).to_be_enabled()
