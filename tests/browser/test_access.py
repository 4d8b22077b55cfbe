"""axe-core on the page: nothing that a bare Gradio page of the same components does not have too."""

from pathlib import Path

import axe_playwright_python
import gradio as gr
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import free_port
from tests.browser.steps import press, upload

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bare():
    with gr.Blocks(title="Bare") as blocks:
        gr.Markdown("# Bare")
        for kind in (gr.Image, gr.ImageEditor, gr.Textbox, gr.Number, gr.Checkbox, gr.File, gr.Gallery):
            kind(label=kind.__name__)
        gr.Radio(["a", "b"], label="Radio")
        gr.Dropdown(["a", "b"], label="Dropdown")
        gr.Dropdown(["a", "b"], label="Several", multiselect=True)
        gr.Slider(0, 3, label="Slider")
        for kind in (gr.Button, gr.UploadButton, gr.DownloadButton):
            kind(kind.__name__)
        gr.HTML("<p>HTML</p>")
        with gr.Accordion("Accordion", open=False):
            gr.Textbox(label="Folded")
    blocks.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True)
    yield blocks.local_url.rstrip("/")
    blocks.close()


def findings(browser, address, theme, width, button):
    """Rules that a page breaks, with the elements that do."""
    page = browser.new_page(viewport={"width": width, "height": 1000}, reduced_motion="reduce")
    page.goto(f"{address}/?__theme={theme}")
    page.get_by_role("button", name=button, exact=True).wait_for()
    page.wait_for_function("document.getAnimations().every((one) => one.playState === 'finished')")  # colours fade in
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")["violations"]
    page.close()
    return {violation["id"]: [node["html"] for node in violation["nodes"]] for violation in found}


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_that_bare_gradio_has_not(browser, address, bare, theme):
    known = findings(browser, bare, theme, 1440, "Button")
    for width in (1440, 390):
        ours = findings(browser, address, theme, width, "Animate")
        new = {rule: elements for rule, elements in ours.items() if rule not in known}
        assert not new, new
    own = [html for elements in ours.values() for html in elements if "Animate" in html or "data-" in html]
    assert not own


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_tools_either(page, picture, theme):
    page.emulate_media(color_scheme=theme)
    upload(page, picture)
    press(page, "Mask")
    page.evaluate(AXE)
    found = page.evaluate("axe.run('.stage')")["violations"]
    assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def test_a_narrow_page_does_not_scroll_sideways_and_says_how_to_begin(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(address)
    expect(page.get_by_role("button", name="Animate", exact=True)).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.get_by_text("Choose a picture")).to_be_in_viewport()
    assert page.locator("[data-example]").first.bounding_box()["y"] < page.locator(".view").bounding_box()["y"]
    page.close()
