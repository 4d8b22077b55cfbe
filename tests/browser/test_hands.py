"""What hands do on the page: the mask's tools, clicks, the brush that freezes, keys, examples."""

import re

import imageio.v3 as iio
import numpy as np
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.formats import read_metadata
from loopanimate.files.recipe import open_small_png, unpack
from tests.browser.steps import VIDEO, animate, mask_of, prepare, put, saved, until, upload


def stroke(page, colour: int, start: float, end: float) -> None:
    """A stroke of the brush across the middle of the editor, in fractions of its canvas."""
    page.get_by_role("button", name="Color", exact=True).click()
    page.locator("#editor button.color").nth(colour).click()
    page.locator("#editor canvas").first.scroll_into_view_if_needed()
    box = page.locator("#editor canvas").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    for share in np.linspace(start, end, 12):
        page.mouse.move(box["x"] + share * box["width"], y)
    page.mouse.up()


def test_the_masks_tools_and_a_click_on_the_board(page, picture):
    upload(page, picture)
    page.get_by_text("Red moves.").wait_for()
    page.get_by_role("button", name="Change the whole mask").click()

    def mask(holds):
        return until(page, lambda: mask_of(page), holds)

    def pressed(name, holds):
        page.get_by_role("button", name=name, exact=True).first.click()
        return mask(holds)

    found = mask(lambda mask: 0.05 < mask.mean() < 0.9)
    pressed("Invert", lambda mask: (mask == ~found).mean() > 0.98)
    page.locator(".tools").get_by_role("button", name="Undo").click()
    mask(lambda mask: (mask == found).mean() > 0.98)
    grown = pressed("Grow", lambda mask: mask.mean() > found.mean() + 0.002 and mask[found].mean() > 0.99)
    pressed("Shrink", lambda mask: mask.mean() < grown.mean())
    pressed("Clear", lambda mask: not mask.any())
    page.get_by_role("button", name="Click to select").click()
    page.get_by_label("Add to the mask").check()

    def clicked():  # again, if the board was drawn anew beneath a click
        page.locator(".image-frame img").last.click()
        page.wait_for_timeout(3000)
        return mask_of(page)

    until(page, clicked, lambda mask: mask[199:202, 299:302].all() and 0.002 < mask.mean() < 0.95)


def test_a_frozen_place_stops_without_sampling_again(page, picture, tmp_path):
    prepare(page, picture, frames=15, steps=4, prompt="everything sways to the left")
    page.get_by_role("button", name="Change the whole mask").click()
    page.get_by_role("button", name="Whole picture", exact=True).click()
    until(page, lambda: mask_of(page), np.all)
    told = []
    page.expose_function("told", lambda text: told.append(text))
    animate(page)
    page.evaluate("""new MutationObserver(() => {
        const text = document.querySelector(".result")?.innerText ?? "";
        if (text.includes("Step")) window.told(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true })""")
    living = "document.querySelector('#living iframe').contentWindow.living"
    page.wait_for_function(living)
    before, source = page.evaluate(f"[{living}.walk.motions[0].terms.length, {VIDEO}.src]")

    def motion(name):
        frames = np.stack(list(iio.imiter(saved(page, "MP4", tmp_path / name), plugin="pyav"))).astype(float)
        return np.abs(frames - frames[0]).mean((0, 3)), unpack(read_metadata(tmp_path / name))[0]

    free, _ = motion("free.mp4")
    stroke(page, 1, 0.55, 0.7)  # beyond the palette, which lies over the editor
    page.wait_for_function(f"before => {living}.walk.motions[0].terms.length > before", arg=before)
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
    held, settings = motion("held.mp4")
    places = np.asarray(Image.fromarray(open_small_png(settings.freeze)).resize((600, 400))) > 0.9
    assert places.mean() > 0.005 and held[places].mean() < 0.25 * free[places].mean()
    assert held[:40].mean() > 0.7 * free[:40].mean()  # far from it
    source = page.evaluate(f"{VIDEO}.src")
    page.get_by_role("button", name="Unfreeze", exact=True).click()
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
    again, settings = motion("again.mp4")
    assert settings.freeze is None and np.abs(again - free).mean() < 0.5
    assert not told


def test_what_was_frozen_before_stays_frozen_under_other_hands(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    page.wait_for_timeout(1500)
    stroke(page, 1, 0.55, 0.7)
    page.wait_for_timeout(500)
    animate(page)
    source = page.evaluate(f"{VIDEO}.src")
    put(page, "Motion strength", 1.5)
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
    settings, _ = unpack(read_metadata(saved(page, "MP4", tmp_path / "loop.mp4")))
    assert settings.motion_strength == 1.5 and open_small_png(settings.freeze).mean() > 0.005


def test_every_format_is_handed_out_and_a_seed_gives_its_loop_again(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=2)
    page.get_by_label("Seed", exact=True).fill("5")
    animate(page)
    one = saved(page, "PNG sequence", tmp_path / "one.zip")
    with Image.open(saved(page, "AVIF", tmp_path / "loop.avif")) as loop:
        assert loop.size == (600, 400) and loop.n_frames == 8
    living = saved(page, "Living page", tmp_path / "loop.html").read_text()
    assert "<canvas" in living and "it sways to the left" in living
    page.get_by_label("Seed", exact=True).fill("6")
    source = page.evaluate(f"{VIDEO}.src")
    page.get_by_label("What should move, and how?").focus()  # by keys alone
    page.keyboard.press("Enter")
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
    assert saved(page, "PNG sequence", tmp_path / "other.zip").read_bytes() != one.read_bytes()
    page.get_by_label("Seed", exact=True).fill("5")
    source = page.evaluate(f"{VIDEO}.src")
    page.get_by_role("button", name="Animate", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
    frames = [iio.imread(saved(page, "APNG", tmp_path / "again.png"), index=index) for index in (2, 4)]
    assert frames[0].shape[:2] == (400, 600)
    assert saved(page, "PNG sequence", tmp_path / "again.zip").stat().st_size == one.stat().st_size


def test_an_example_is_one_click_and_is_made_anew(page):
    page.get_by_role("button", name="Flag", exact=True).click()
    page.wait_for_function(f"{VIDEO} && {VIDEO}.currentTime > 0.1")
    page.get_by_text("A finished example.").wait_for()
    prompt = page.get_by_label("What should move, and how?")
    expect(prompt).to_have_value(re.compile(r"\w+ \w+"))
    page.get_by_role("button", name="More").click()
    for _ in range(2):
        put(page, "Frames of the model", 3)
        put(page, "Sampling steps", 1)
    source = page.evaluate(f"{VIDEO}.src")
    page.get_by_role("button", name="Animate", exact=True).click()
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
    expect(page.get_by_role("button", name="Download MP4")).to_be_enabled()
