"""What the page says is so: of which loop it speaks, what the file will be, what is shown while work goes on."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from loopanimate.presets import ASSETS
from tests.browser.steps import (
    LIVING,
    VIDEO,
    animate,
    choose,
    draw,
    painted,
    prepare,
    recipe,
    saved,
    source,
    until,
    until_idle,
    until_rendered,
    upload,
)

WORDS = "What should move, and how?"


def settings_of_film(page, path):
    """What the film on the page says of itself."""
    path.write_bytes(page.request.get(page.evaluate(f"{VIDEO}.src")).body())
    return recipe(path)[0]


def press_slider(page, times):
    slider = page.get_by_label("range slider for Motion strength")
    slider.focus()
    for _ in range(times):
        slider.press("ArrowRight")
    return slider


def test_a_loop_says_whose_it_is_once_something_else_is_asked_for(page, picture):
    prepare(page, picture, frames=3, steps=1, prompt="it sways gently")
    animate(page)
    line, words = page.locator("#of"), page.get_by_label(WORDS)
    expect(line).to_be_hidden()
    words.fill("it trembles")
    expect(line).to_have_text(re.compile("is still of the sentence “it sways gently”. Animate makes the new one."))
    words.fill("it sways gently")
    expect(line).to_be_hidden()
    draw(page, "brush", (0.1, 0.1), (0.4, 0.1))
    expect(line).to_have_text(re.compile("is still of the mask as it was"))
    page.locator("[data-do=undo]").click()
    expect(line).to_be_hidden()
    page.keyboard.press("Escape")
    page.get_by_label("Seed", exact=True).fill("7")
    expect(line).to_have_text(re.compile("is still of the settings as they were"))
    draw(page, "brush", (0.1, 0.1), (0.4, 0.1))
    animate(page)  # of the new mask and seed, which a stroke and its undo do not change
    expect(line).to_be_hidden()
    page.get_by_role("button", name="This visit").click()
    page.locator("[data-visit]").nth(1).click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("0")
    until_idle(page)
    expect(line).to_be_hidden()


def test_words_typed_while_a_loop_is_made_keep_their_own_chips(page, picture):
    prepare(page, picture, frames=3, steps=12, prompt="it sways, it snows")
    page.get_by_role("button", name="Animate", exact=True).click()
    page.get_by_text(re.compile(r"Step \d+ of 12")).wait_for()
    page.get_by_label(WORDS).fill("it rains")
    until_rendered(page, "")
    expect(page.locator("#of")).to_contain_text("“it sways, it snows”")
    expect(page.locator("#understood")).to_contain_text("rain")
    expect(page.locator("#understood")).not_to_contain_text("snow")


def test_the_file_that_download_gives_is_said_before_it_is_made(page, picture, tmp_path):
    prepare(page, picture)
    animate(page)
    made = page.locator("#made")
    expect(made).to_have_text(re.compile("The file: MP4, 300 x 200, "))
    choose(page, "Size", "Full HD, 1920 x 1080")
    expect(made).to_have_text(re.compile("The file: MP4, 1920 x 1080, .* Shown here at 300 x 200."))
    expect(page.locator("#save")).to_have_text("Download MP4, 1920 x 1080")
    choose(page, "Size", "as the picture")
    choose(page, "Format", "APNG")
    expect(made).to_have_text(re.compile("The file: APNG, 301 x 201, "))
    told = made.inner_text()
    saved(page, "APNG", tmp_path / "loop.png")
    expect(made).to_have_text(re.compile("Downloaded: APNG, 301 x 201, "))
    assert told.split(", seed")[0].removeprefix("The file") in made.inner_text().replace("Downloaded", "")


def test_download_in_mid_follow_gives_the_new_hands_and_the_film_follows_afterwards(page, picture, gate, tmp_path):
    prepare(page, picture, frames=15)
    animate(page)
    gate.clear()
    slider = press_slider(page, 10)
    page.get_by_text("Rendering").wait_for()
    strength = float(slider.input_value())
    assert recipe(saved(page, "GIF", tmp_path / "loop.gif"))[0].hands.motion_strength == strength
    gate.set()
    until(page, lambda: settings_of_film(page, tmp_path / "film.mp4").hands.motion_strength, lambda found: found == strength)
    until_idle(page)


def test_a_follow_that_is_cancelled_plays_live_as_the_slider_says(page, picture, gate, tmp_path):
    prepare(page, picture, frames=15)
    animate(page)
    gate.clear()
    slider = press_slider(page, 10)
    page.get_by_text("Rendering").wait_for()
    page.locator(".stage .work button").click()
    page.get_by_text("Cancelled.").wait_for()
    until_idle(page)
    page.wait_for_function("document.querySelector('.stage[data-live]') && document.querySelector('iframe').srcdoc")
    strength = float(slider.input_value())
    amount = f"{LIVING}?.settings && {LIVING}.settings.strength * document.querySelector('.stage iframe').dataset.strength"
    until(page, lambda: page.evaluate(amount), lambda found: found == pytest.approx(strength))
    assert recipe(saved(page, "GIF", tmp_path / "loop.gif"))[0].hands.motion_strength == strength


def test_the_file_may_be_taken_before_the_film_is_rendered(page, picture, gate, tmp_path):
    prepare(page, picture, frames=15)
    gate.clear()
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator("#save:enabled").wait_for()
    assert not page.evaluate(f"{VIDEO}.hasAttribute('src')")
    assert recipe(saved(page, "GIF", tmp_path / "loop.gif"))[0].request.prompt == "it sways to the left"
    gate.set()
    until_rendered(page, "")


@pytest.mark.parametrize("kept", [True, False])
def test_a_picture_that_breaks_off_leaves_what_is_there(page, picture, tmp_path, kept):
    whole = (ASSETS / "examples" / "surf" / "picture.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])  # its head says that it is a picture
    if kept:
        prepare(page, picture, frames=3, steps=1)
        animate(page)
    page.set_input_files("#picture input[type=file]", tmp_path / "cut.jpg")
    problem = page.locator(".problem", has_text="cut.jpg: not a picture")
    problem.wait_for()
    if kept:
        expect(problem).to_contain_text("The picture that you had is still there.")
        before = source(page)
        page.get_by_role("button", name="Animate", exact=True).click()
        until_rendered(page, before)
    else:
        expect(page.locator(".still")).to_be_hidden()
        expect(page.locator(".invite strong")).to_be_visible()


def test_of_one_colour_it_is_said_that_nothing_can_be_seen_to_move(page, tmp_path):
    Image.new("RGB", (300, 200), (90, 140, 200)).save(tmp_path / "flat.jpg")  # as a sky
    upload(page, tmp_path / "flat.jpg")
    page.locator("#note", has_text="This picture has one colour").wait_for()
    chips = page.locator(".chips button")
    until(page, chips.all_inner_texts, lambda texts: [text for text in texts if text] == ["snow falls gently"])
    page.get_by_label(WORDS).fill("the clouds drift")
    expect(page.locator("#understood")).to_contain_text("clouds: not found")


def test_loops_of_this_visit_stand_in_rows(page, picture):
    prepare(page, picture, frames=3, steps=1)
    for words in ("it sways", "it trembles", "it bobs"):
        page.get_by_label(WORDS).fill(words)
        animate(page)
    page.get_by_role("button", name="This visit").click()
    visits = page.locator("[data-visit]")
    expect(visits).to_have_count(3)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        tops = until(page, lambda: [one.bounding_box()["y"] for one in visits.all()], lambda found: len(set(found)) == 1)
        assert len(tops) == 3


def test_what_a_cut_loop_shows_is_chosen_by_a_drag(page, picture, tmp_path):
    prepare(page, picture)
    choose(page, "Size", "phone, 1080 x 1920")
    animate(page)
    expect(page.locator(".hint")).to_have_text("Drag the loop to what the file shall show.")
    before, view = source(page), page.locator(".view")
    box = view.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 4, box["y"] + box["height"] / 2, steps=5)  # as far to the left as it goes
    shown = np.asarray(Image.open(io.BytesIO(view.screenshot())).convert("RGB").resize((27, 48)), float)
    page.mouse.up()
    centre = painted(page)["centre"]
    until_rendered(page, before)
    film = settings_of_film(page, tmp_path / "film.mp4")
    assert film.output.centre == pytest.approx(centre) and centre[0] == pytest.approx(9 / 16 / 1.5 / 2, abs=0.01)
    photo = Image.open(picture).convert("RGB")
    left = np.asarray(photo.crop((0, 0, round(201 * 9 / 16), 201)).resize((27, 48)), float)
    right = np.asarray(photo.crop((301 - round(201 * 9 / 16), 0, 301, 201)).resize((27, 48)), float)
    assert np.abs(shown - left).mean() < 12 < np.abs(shown - right).mean()  # the hand sees what it chooses
    assert recipe(saved(page, "GIF", tmp_path / "loop.gif"))[0].output.centre == pytest.approx(centre)


def test_the_living_preview_is_slid_as_its_film_is(page, picture, gate, tmp_path):
    prepare(page, picture, frames=15)
    animate(page)
    gate.clear()
    page.get_by_label("See it on").select_option("phone")
    press_slider(page, 4)
    page.locator(".stage[data-live]").wait_for()
    box = page.locator(".view").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 5, box["y"] + box["height"] / 2, steps=5)
    left = page.evaluate("document.querySelector('.stage iframe').getBoundingClientRect().left")
    assert left == pytest.approx(box["x"], abs=2)  # its left edge is in view
    page.mouse.up()
    gate.set()
    until(page, lambda: painted(page)["centre"], lambda centre: centre and centre[0] < 0.2)
    until_idle(page)
