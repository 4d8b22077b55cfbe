"""What is kept: the last loops in this browser, and a project as a file."""

from zipfile import ZipFile

import numpy as np
from playwright.sync_api import expect

from loopanimate.files.recipe import unpack
from tests.browser.steps import animate, draw, mask_of, painted, prepare, source, until, until_rendered


def test_loops_of_this_visit_come_back_after_a_reload(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1, prompt="it sways gently")
    draw(page, "brush", (0.1, 0.1), (0.3, 0.1))
    page.keyboard.press("Escape")
    mask = mask_of(page)
    animate(page)
    page.reload()
    page.wait_for_function("window.loopanimate")
    page.locator(".stage[data-picture]").wait_for()
    page.get_by_label("What should move, and how?").fill("something else")
    page.get_by_role("button", name="This visit").click()
    visit = page.locator("[data-visit]").first
    expect(visit).to_contain_text("it sways gently")
    assert until(page, lambda: visit.locator("img").evaluate("image => image.naturalWidth"), bool) > 100
    before = source(page)
    visit.click()
    until_rendered(page, before)  # it is made again by itself
    expect(page.get_by_label("What should move, and how?")).to_have_value("it sways gently")
    assert (mask_of(page) == mask).mean() > 0.999
    assert painted(page)["mask"]


def test_a_clock_that_is_set_back_leaves_the_newest_loop_the_first(page, picture):
    prepare(page, picture, frames=3, steps=1, prompt="it sways gently")
    animate(page)
    page.get_by_role("button", name="This visit").click()
    expect(page.locator("[data-visit]").first).to_contain_text("it sways gently")
    page.evaluate("() => { const now = Date.now; Date.now = () => now() - 864e5; }")
    page.get_by_label("What should move, and how?").fill("it trembles")
    animate(page)
    expect(page.locator("[data-visit]").first).to_contain_text("it trembles")  # what stands last goes first


FILL = """async ([count, bytes]) => {
    const blob = () => new File([new Uint8Array(bytes)], "a.loop.zip");
    const base = await new Promise((done) => (indexedDB.open("loopanimate").onsuccess = ({ target }) => done(target.result)));
    const store = () => base.transaction("visits", "readwrite").objectStore("visits");
    for (let key = 1; key <= count; key++)
        await new Promise((done) => (store().put({ key, caption: "", glimpse: new Blob(), file: blob() }).onsuccess = done));
    await loopanimate.trim();
    return new Promise((done) => (store().getAllKeys().onsuccess = ({ target }) => done(target.result)));
}"""


def test_the_kept_loops_are_bounded_in_number_and_size(page):
    assert page.evaluate(FILL, [14, 10]) == [*range(3, 15)]
    assert page.evaluate(FILL, [14, 30_000_000]) == [11, 12, 13, 14]  # the newest that have room


def test_a_project_brings_everything_back(page, picture, tmp_path):
    prepare(page, picture, frames=5, steps=1, prompt="it sways gently")
    draw(page, "brush", (0.1, 0.1), (0.3, 0.1))
    draw(page, "arrow", (0.5, 0.5), (0.6, 0.5))
    draw(page, "freeze", (0.8, 0.8), (0.9, 0.8))
    page.keyboard.press("Escape")
    mask, before = mask_of(page), painted(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save project").click()
    assert download.value.suggested_filename == "coffee-it-sways-gently.loop.zip"
    project = tmp_path / download.value.suggested_filename
    download.value.save_as(project)
    with ZipFile(project) as file:
        assert file.read("picture.png") == picture.read_bytes()
        assert unpack(file.read("recipe.json").decode())[0].request.num_frames == 5
    page.evaluate("indexedDB.deleteDatabase('loopanimate')")
    page.goto("about:blank")
    page.go_back()
    page.wait_for_function("window.loopanimate")
    page.set_input_files("#restore input[type=file]", project)
    page.get_by_text("The settings are back").wait_for()
    expect(page.get_by_label("What should move, and how?")).to_have_value("it sways gently")
    after = painted(page)
    assert after["arrows"] == before["arrows"] and after["freeze"]
    assert np.array_equal(mask_of(page), mask)

    with ZipFile(tmp_path / "broken.loop.zip", "w") as file:
        file.writestr("recipe.json", "{}")
    page.set_input_files("#restore input[type=file]", tmp_path / "broken.loop.zip")
    page.get_by_text("project that LoopAnimate saved").first.wait_for()
    assert np.array_equal(mask_of(page), mask)


def test_a_loop_is_seen_in_the_shape_of_where_it_will_hang(page, picture):
    prepare(page, picture, frames=3, steps=1)
    animate(page)
    place, box = page.get_by_label("See it on"), "document.querySelector('.view').getBoundingClientRect()"
    shape = f"{box}.width / {box}.height"
    for name, wanted in (("phone", 9 / 19.5), ("screen", 16 / 9), ("screens", 32 / 9)):
        place.select_option(name)
        until(page, lambda: page.evaluate(shape), lambda found, wanted=wanted: abs(found / wanted - 1) < 0.02)
        assert page.locator(".icons").is_visible()
        expect(page.locator(".stage video")).to_be_visible()
    place.select_option("")
    until(page, lambda: page.evaluate(shape), lambda found: abs(found / 1.5 - 1) < 0.02)
    assert not page.locator(".icons").is_visible()
    place.select_option("phone")
    page.locator(".tools [data-tool=arrow]").click()  # hands work on the whole picture
    until(page, lambda: page.evaluate(shape), lambda found: abs(found / 1.5 - 1) < 0.02)
