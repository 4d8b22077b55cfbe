"""Chips of the sentence: what they show is what it says, and what they change are its words."""

import re

from playwright.sync_api import expect

from tests.browser.steps import animate, mask_of, prepare, recipe, saved

SENTENCE = "everything ripples, the cup drifts to the left, the xylophone is purple"


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


def test_what_was_not_found_offers_a_click_that_paints_it(page, picture):
    prepare(page, picture, frames=3, steps=1, prompt="it sways, the tractor shakes")
    animate(page)
    chip = page.locator(".understood [data-thing=tractor]")
    expect(chip).to_contain_text("not found")
    chip.click()
    expect(page.locator(".hint")).to_contain_text("This is where “tractor” is")
    expect(page.locator(".tools [data-tool=brush]")).to_have_attribute("aria-pressed", "true")
