"""What hands do on the page: the mask's tools, clicks, the brush that freezes, arrows, sliders, keys, examples."""

import io
import re

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.recipe import open_small_png
from loopanimate.page.canvas import open_url
from tests.browser.steps import (
    LIVING,
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
    source,
    until,
    until_idle,
    until_mask,
    until_rendered,
    upload,
)


def test_the_masks_tools_and_a_click(page, picture):
    upload(page, picture)
    found = until_mask(page, lambda mask: 0.05 < mask.mean() < 0.9)
    press(page, "Invert")
    assert (mask_of(page) == ~found).mean() > 0.98
    press(page, "Undo")
    assert (mask_of(page) == found).mean() > 0.999
    press(page, "Grow")
    grown = mask_of(page)
    assert grown.mean() > found.mean() + 0.002 and grown[found].mean() > 0.99
    press(page, "Shrink")
    assert mask_of(page).mean() < grown.mean()
    press(page, "Whole picture")
    assert mask_of(page).all()
    press(page, "Clear")
    assert not mask_of(page).any()
    draw(page, "brush", (0.45, 0.5), (0.55, 0.5))
    stroke = mask_of(page)
    assert 0.0005 < stroke.mean() < 0.2 and stroke[100, 140:160].all()
    draw(page, "erase", (0.5, 0.45), (0.5, 0.55))
    assert not mask_of(page)[100, 150]
    press(page, "Clear")
    draw(page, "select", (0.5, 0.5))
    until_mask(page, lambda mask: mask[99:102, 149:152].all() and 0.002 < mask.mean() < 0.95)
    page.keyboard.down("Alt")
    draw(page, "select", (0.5, 0.5))
    page.keyboard.up("Alt")
    until_mask(page, lambda mask: not mask[99:102, 149:152].any())


def test_one_undo_takes_everything_back_and_the_picture_stays(page, picture):
    upload(page, picture)
    found = mask_of(page)
    press(page, "Clear")
    draw(page, "brush", (0.3, 0.3), (0.6, 0.3))
    stroke = mask_of(page)
    draw(page, "select", (0.5, 0.7))
    clicked = until_mask(page, lambda mask: mask.sum() > stroke.sum())
    draw(page, "arrow", (0.2, 0.2), (0.4, 0.2))
    draw(page, "pin", (0.8, 0.8))
    for _ in range(2):  # pin and arrow
        page.keyboard.press("Control+z")
        assert np.array_equal(mask_of(page), clicked)
    page.keyboard.press("Control+z")
    assert np.array_equal(mask_of(page), stroke)
    press(page, "Undo")  # the button and the key have one history
    assert not mask_of(page).any()
    press(page, "Undo")
    assert np.array_equal(mask_of(page), found)
    assert page.locator("[data-do=undo]").is_disabled()
    for _ in range(3):
        page.keyboard.press("Control+Shift+z")
    assert np.array_equal(mask_of(page), clicked)
    expect(page.locator(".still")).to_be_visible()


def test_a_stroke_is_seen_at_once_and_its_outline_on_any_colour(page, tmp_path):
    Image.new("RGB", (300, 200), (255, 64, 64)).save(tmp_path / "red.png")  # the mask's own colour
    upload(page, tmp_path / "red.png")
    press(page, "Clear")
    before = page.locator(".view").screenshot()
    took = page.evaluate("""async () => {
        const view = document.querySelector(".view"), canvas = view.querySelector(".paint"), box = view.getBoundingClientRect();
        document.querySelector(".tools [data-tool=brush]").click();
        await new Promise(requestAnimationFrame);
        const at = (type, x) => view.dispatchEvent(new PointerEvent(type, {
            pointerId: 1, bubbles: true, clientX: box.left + x * box.width, clientY: box.top + box.height / 2,
        }));
        view.setPointerCapture = () => {};
        const alpha = () => canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3];
        at("pointerdown", 0.3);
        const begun = performance.now();
        at("pointermove", 0.7);
        let frames = 0;
        while (!alpha() && frames < 60) await new Promise((done) => requestAnimationFrame(() => (frames++, done())));
        at("pointerup", 0.7);
        return [frames, performance.now() - begun];
    }""")
    assert took[0] <= 2, took  # frames of the screen until the stroke is there, however slow the machine
    page.mouse.move(0, 0)
    page.keyboard.press("Escape")
    shot = np.asarray(Image.open(io.BytesIO(page.locator(".view").screenshot())).convert("L")).astype(int)
    plain = np.asarray(Image.open(io.BytesIO(before)).convert("L")).astype(int)
    height, width = shot.shape
    rim = np.abs(shot - plain)[height // 3 : 2 * height // 3, width // 2]
    assert rim.max() > 60 and np.ptp(shot[height // 3 : 2 * height // 3, width // 2]) > 100  # black beside white


def test_the_wheel_scrolls_the_page_over_the_picture_and_zooms_with_a_tool(page, picture):
    page.set_viewport_size({"width": 1440, "height": 600})
    upload(page, picture)
    box = page.locator(".view").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 200)
    until(page, lambda: page.evaluate("scrollY"), lambda down: down > 100)
    page.evaluate("scrollTo(0, 0)")
    page.locator(".tools [data-tool=brush]").click()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -200)
    zoomed = "new DOMMatrix(document.querySelector('.still').style.transform)"
    until(page, lambda: page.evaluate(f"{zoomed}.a"), lambda scale: scale > 1.3)
    assert page.evaluate("scrollY") == 0
    scale, x = page.evaluate(f"[{zoomed}.a, {zoomed}.e]")
    assert x == pytest.approx((1 - scale) * box["width"] / 4, abs=1.5)  # what is under the mouse stays there


def test_keys_alone_paint_and_point(page, picture):
    upload(page, picture)
    press(page, "Clear")
    page.locator(".view").focus()
    for key in ("b", "Enter", "ArrowRight", " ", "ArrowRight", "ArrowRight", "ArrowRight", " ", "Escape"):
        page.keyboard.press(key)
    stroke = mask_of(page)
    assert stroke[100, 150:170].all() and stroke.mean() < 0.3
    page.locator(".view").focus()
    for key in ("a", "Enter", "Shift+ArrowRight", "Enter", "p", "Enter"):
        page.keyboard.press(key)
    value = painted(page)
    ((x0, y0, x1, y1),), pins = value["arrows"], value["pins"]
    assert x1 > x0 and y0 == y1 and len(pins) == 1


def test_a_frozen_place_stops_without_sampling_again(page, picture, tmp_path):
    prepare(page, picture, frames=15, prompt="everything sways to the left")
    press(page, "Whole picture")
    said = []
    page.expose_function("said", lambda text: said.append(text))
    animate(page)
    page.evaluate("""new MutationObserver(() => {
        const text = document.querySelector(".work p").textContent;
        if (text.includes("Step")) window.said(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true })""")
    page.wait_for_function(LIVING)
    terms, before = page.evaluate(f"{LIVING}.walk.motions[0].terms.length"), source(page)

    def motion(name):
        frames = np.stack(list(iio.imiter(saved(page, "MP4", tmp_path / name), plugin="pyav"))).astype(float)
        return np.abs(frames - frames[0]).mean((0, 3)), recipe(tmp_path / name)[0].hands

    free, _ = motion("free.mp4")
    draw(page, "freeze", (0.55, 0.5), (0.7, 0.5))
    page.wait_for_function(f"before => {LIVING}.walk.motions[0].terms.length > before", arg=terms)
    blue = """() => {
        const paper = document.querySelector(".paint"), { data } = paper.getContext("2d").getImageData(0, 0, paper.width, paper.height);
        let blue = 0;
        for (let at = 0; at < data.length; at += 4) blue += data[at + 3] > 20 && data[at + 2] > 1.5 * data[at];
        return (4 * blue) / data.length;
    }"""
    until(
        page, lambda: page.evaluate(blue), lambda share: share > 1.15 * open_url(painted(page)["freeze"]).mean()
    )  # how far it reaches
    page.keyboard.press("Escape")
    expect(page.locator(".bar [data-show=loop]")).to_have_attribute("aria-pressed", "true")
    until_other(page, before)
    held, hands = motion("held.mp4")
    places = np.asarray(Image.fromarray(open_small_png(hands.freeze)).resize((300, 200))) > 0.9
    assert places.mean() > 0.005 and held[places].mean() < 0.25 * free[places].mean()
    assert held[:20].mean() > 0.7 * free[:20].mean()  # far from it
    before = source(page)
    press(page, "Unfreeze")
    until_other(page, before)
    again, hands = motion("again.mp4")
    assert hands.freeze is None and np.abs(again - free).mean() < 0.5
    assert not said


def until_other(page, before):
    """Another video than `before`, whether or not it is in view, and nothing that still runs."""
    page.wait_for_function(f"before => {VIDEO}.src !== before", arg=before)
    until_idle(page)


def test_what_was_frozen_before_stays_frozen_under_other_hands(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    draw(page, "freeze", (0.55, 0.5), (0.7, 0.5))
    page.keyboard.press("Escape")
    animate(page)
    before = source(page)
    put(page, "Motion strength", 1.5)
    until_rendered(page, before)
    hands = recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].hands
    assert hands.motion_strength == 1.5 and open_small_png(hands.freeze).mean() > 0.005


def test_a_dragged_arrow_turns_the_motion_and_a_pin_stops_it(page, picture, tmp_path):
    prepare(page, picture, frames=15)
    press(page, "Whole picture")
    animate(page)

    def directed(tool, *points):
        before = source(page)
        draw(page, tool, *points)
        until_other(page, before)
        frames = iio.imiter(saved(page, "MP4", tmp_path / "loop.mp4"), plugin="pyav")
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return np.stack([-estimator.calc(frame, grey[0], None) for frame in grey[1:]])  # how content moved, (K, H, W, 2)

    moved = directed("arrow", (0.45, 0.5), (0.52, 0.5))[:, 90:110, 151:161].mean((1, 2))  # around the head
    extreme = moved[np.linalg.norm(moved, axis=1).argmax()]
    assert extreme[0] == pytest.approx(0.07 * 300, rel=0.2) and abs(extreme[1]) < 4
    held = directed("pin", (0.2, 0.5))[:, 97:103, 57:63]
    assert np.linalg.norm(held, axis=-1).mean((1, 2)).max() < 0.05 * extreme[0]


def test_a_bent_path_becomes_arrows_along_it(page, picture):
    upload(page, picture)
    draw(page, "arrow", (0.2, 0.3), (0.4, 0.32), (0.6, 0.3))
    assert len(painted(page)["arrows"]) == 1
    draw(page, "arrow", (0.2, 0.5), (0.5, 0.5), (0.5, 0.9))
    _, *bent = painted(page)["arrows"]
    assert np.allclose(bent, [[0.2, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.9]], atol=0.02)
    press(page, "Undo")
    assert len(painted(page)["arrows"]) == 1
    page.locator(".view").focus()
    for key in ("Enter", *["Shift+ArrowRight"] * 3, *["Shift+ArrowDown"] * 3, "Enter"):
        page.keyboard.press(key)
    assert len(painted(page)["arrows"]) == 2


def test_hands_move_the_living_preview_at_once_and_the_video_follows(page, picture, tmp_path):
    prepare(page, picture, frames=15)
    animate(page)
    page.wait_for_function(LIVING)
    before, terms = source(page), page.evaluate(f"Array.from({LIVING}.walk.motions[0].terms)")
    page.evaluate("""() => {
        const stage = document.querySelector(".stage"), [frame, video] = [".stage iframe", ".stage video"].map((one) => document.querySelector(one));
        const look = () => { window.lived ||= frame.checkVisibility() && !video.checkVisibility() };
        new MutationObserver(look).observe(stage, { attributes: true });
    }""")
    slider = page.get_by_label("range slider for Motion strength")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    page.wait_for_function("window.lived")  # however soon the video followed
    page.wait_for_function(f"Math.abs({LIVING}.settings.strength - 1.5) < 1e-6")
    until_rendered(page, before)
    put(page, "Tempo", 0.5)
    page.wait_for_function(f"{VIDEO}.duration > 3")
    expect(page.locator(".stage iframe")).to_be_hidden()
    draw(page, "arrow", (0.45, 0.5), (0.52, 0.5))
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


def test_the_strength_that_is_seen_is_the_strength_that_is_got(page, picture, gate, tmp_path):
    prepare(page, picture, frames=15)
    animate(page)
    gate.clear()
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
    gate.set()
    strength = slider.input_value()
    assert 0.3 < float(strength) < 0.7
    said = page.locator(".details tr", has_text="Motion strength").locator("td").last
    expect(said).to_have_text(strength)
    until_idle(page)
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


def test_films_of_examples_play_in_turn_until_a_picture_is_there(page, picture):
    playing = "[...document.querySelectorAll('[data-example] video')].findIndex((each) => !each.paused && each.currentTime > 0)"
    first = until(page, lambda: page.evaluate(playing), lambda index: index >= 0)
    end = f"(at => {{ const film = document.querySelectorAll('[data-example] video')[at]; film.currentTime = film.duration }})({playing})"
    page.evaluate(end)
    until(page, lambda: page.evaluate(playing), lambda index: index == first + 1)
    upload(page, picture)
    page.locator("#examples").scroll_into_view_if_needed()
    if page.evaluate(playing) >= 0:  # it was in sight all the while
        page.evaluate(end)
    until(page, lambda: page.evaluate(playing), lambda index: index == -1)
    page.wait_for_timeout(500)
    assert page.evaluate(playing) == -1


def test_the_film_of_an_example_is_one_click_and_its_loop_is_live(page):
    page.locator("[data-example=tree] video").click()
    page.wait_for_function(f"{VIDEO}.src.endsWith('examples/tree/loop.mp4') && {VIDEO}.currentTime > 0")
    expect(page.get_by_label("What should move, and how?")).to_have_value(re.compile(r"\w+ \w+"))
    page.get_by_text("Starting").or_(page.get_by_text("Step")).first.wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()  # what makes it live at once is slow on a small machine
    until_idle(page)
    page.get_by_role("button", name="Expert").click()
    for _ in range(2):
        put(page, "Frames of the model", 3)
        put(page, "Sampling steps", 1)
    animate(page)
    expect(page.get_by_role("button", name="Download MP4")).to_be_enabled()


def test_a_hand_over_the_picture_sees_what_a_click_would_select(page, tmp_path):
    red = Image.new("RGB", (300, 200), (60, 110, 50))
    red.paste((200, 60, 40), (100, 50, 200, 150))
    red.save(tmp_path / "square.png")
    upload(page, tmp_path / "square.png")
    press(page, "Clear")
    page.locator(".tools [data-tool=select]").click()
    outlined = """() => {  // white on the square's edge, a place that the mouse is not at
        const { canvas, canvas: { width, height } } = document.querySelector(".paint").getContext("2d");
        const row = canvas.getContext("2d").getImageData(width / 3 - 8, height / 2, 16, 1).data;
        return row.some((value, i) => i % 4 === 3 && value > 200 && row[i - 1] > 200);
    }"""
    box, before = page.locator(".view").bounding_box(), painted(page)
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"])
    page.wait_for_function(outlined)
    assert painted(page) == before
    page.mouse.down()
    page.mouse.up()
    square = mask_of(page)  # at once: what is outlined is taken without asking
    assert square[55:145, 105:195].mean() > 0.95 and square.mean() < 0.25


def test_a_lasso_adds_what_it_is_drawn_round_and_takes_it_away(page, picture):
    upload(page, picture)
    press(page, "Clear")
    ring = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)]
    draw(page, "lasso", *ring)
    added = mask_of(page)
    assert added[65:135, 95:205].all() and added.mean() == pytest.approx(0.16, abs=0.01)
    page.get_by_label("takes away").check()
    draw(page, "lasso", *[(0.4 + x / 3, 0.4 + y / 3) for x, y in ring])
    assert not mask_of(page)[105:120, 155:185].any() and mask_of(page)[70, 100]
    press(page, "Undo")
    assert np.array_equal(mask_of(page), added)
    page.get_by_label("takes away").uncheck()
    page.keyboard.down("Alt")
    draw(page, "lasso", *ring)
    page.keyboard.up("Alt")
    assert not mask_of(page).any()
    page.locator(".view").focus()
    for key in ("Enter", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert 0.002 < mask_of(page).mean() < 0.1
