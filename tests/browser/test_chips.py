"""Chips of the sentence: what they show is what it says, and what they change are its words."""

import re

from playwright.sync_api import expect

from tests.browser.steps import animate, draw, mask_of, painted, prepare, recipe, saved, until, upload

SENTENCE = "everything ripples, the cup drifts to the left, the xylophone is purple"


def test_a_rows_buttons_are_undone(page, picture):
    upload(page, picture)
    words = page.get_by_label("What should move, and how?")
    words.fill("it sways, it snows")
    page.locator('#understood [aria-label^="Leave out"]').nth(1).click()
    expect(words).to_have_value("it sways")
    page.locator("[data-do=undo]").click()
    expect(words).to_have_value("it sways, it snows")
    page.locator("[data-do=redo]").click()
    expect(words).to_have_value("it sways")


def test_chips_change_the_sentence_and_the_sentence_the_chips(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1, prompt=SENTENCE)
    words, chips = page.get_by_label("What should move, and how?"), page.locator(".understood li")
    expect(chips).to_have_count(3)
    chips.nth(0).get_by_role("button", name="Stronger:").click()
    expect(words).to_have_value(SENTENCE.replace("ripples", "ripples strongly"))
    expect(chips.nth(0).locator("meter")).to_have_js_property("value", 3)
    expect(chips.nth(1).get_by_role("button", name="To the left:")).to_have_attribute("aria-pressed", "true")
    chips.nth(1).get_by_role("button", name="To the right:").click()
    expect(words).to_have_value(re.compile("ripples strongly, the cup drifts to the right, the xylophone"))
    expect(chips.nth(1).get_by_role("button", name="To the right:")).to_have_attribute("aria-pressed", "true")
    words.fill("everything ripples gently, the cup drifts to the right, the xylophone is purple")  # by hand
    expect(chips.nth(0).locator("meter")).to_have_js_property("value", 1)
    animate(page)
    expect(chips.nth(2)).to_contain_text("is no motion that is known here")
    chips.nth(2).get_by_role("button", name="Leave out:").click()
    expect(words).to_have_value("everything ripples gently, the cup drifts to the right")
    expect(chips).to_have_count(2)
    assert mask_of(page).shape == (201, 301)
    animate(page)
    assert recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].request.prompt == words.input_value()


def test_what_a_sentence_would_move_is_seen_before_anything_is_made(page, picture):
    upload(page, picture)
    reddish = "([r, g, b, a]) => a > 50 && r > 1.5 * Math.max(g, b)"
    colour = f"""() => {{
        const paper = document.querySelector(".paint"), {{ data }} = paper.getContext("2d").getImageData(0, 0, paper.width, paper.height);
        let red = 0;
        for (let at = 0; at < data.length; at += 4) red += ({reddish})(data.slice(at, at + 4));
        return (4 * red) / data.length;
    }}"""
    assert page.evaluate(colour) > 0.02  # what moves as long as words name nothing
    words, said = page.get_by_label("What should move, and how?"), page.locator("#understood")
    words.fill("der Traktor wackelt im Wind und der Schnee fällt")
    expect(said).to_contain_text("This needs English")
    words.fill("blorp the gloop")
    expect(said).to_contain_text("Taken for")
    expect(said).not_to_contain_text("This needs English")
    words.fill("the tractor shakes, it snows")
    chip = page.locator(".understood [data-thing=tractor]")
    expect(chip).to_contain_text("not found")
    until(page, lambda: page.evaluate(colour), lambda share: share == 0)
    draw(page, "brush", (0.2, 0.2), (0.4, 0.2))
    until(page, lambda: [thing for thing, _ in painted(page)["parts"]], lambda things: things == ["tractor"])
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(chip).to_have_attribute("data-painted", "")
    chip.click()  # what is chosen is nothing to undo
    page.locator("[data-do=undo]").click()
    until(page, lambda: painted(page)["parts"], lambda things: not things)
    page.locator("[data-do=redo]").click()
    assert not page.evaluate('loopanimate.painting().includes(\'"mask":"data\')')  # nor is it taken for the whole


def test_what_was_not_found_offers_a_click_that_paints_it(page, picture):
    prepare(page, picture, frames=3, steps=1, prompt="it sways, the tractor shakes")
    animate(page)
    chip = page.locator(".understood [data-thing=tractor]")
    expect(chip).to_contain_text("not found")
    chip.click()
    expect(page.locator(".hint")).to_contain_text("Click on “tractor” in the picture")
    expect(page.locator(".tools [data-tool=select]")).to_have_attribute("aria-pressed", "true")
