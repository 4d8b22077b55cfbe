"""The page from end to end: a picture, a loop, its files, programs, and what goes wrong."""

import io
import re
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.formats import Coding, read_metadata, write_loop
from loopanimate.files.recipe import pack, unpack, unpack_parts
from loopanimate.presets import ASSETS
from loopanimate.settings import make_settings
from tests.browser.steps import (
    VIDEO,
    animate,
    choose,
    draw,
    mask_of,
    prepare,
    press,
    put,
    recipe,
    saved,
    seconds,
    source,
    until,
    until_idle,
    until_mask,
    until_rendered,
    upload,
)


def test_from_picture_to_playing_loop_to_files_and_back(page, picture, tmp_path):
    prepare(page, picture)
    page.get_by_text("the camera moves in slowly", exact=True).click()
    expect(page.get_by_label("What should move, and how?")).to_have_value("the camera moves in slowly")
    page.get_by_label("What should move, and how?").fill("it breathes slowly")
    page.get_by_label("Seed", exact=True).fill("7")
    animate(page)
    state = page.evaluate(f"[{VIDEO}.loop, {VIDEO}.muted, {VIDEO}.autoplay, {VIDEO}.paused, {VIDEO}.videoWidth]")
    assert state == [True, True, True, False, 300]
    page.get_by_text("300 x 200, 0.50 s, 15 frames").wait_for()
    video = saved(page, "MP4", tmp_path / "loop.mp4")
    assert seconds(video) == pytest.approx(0.5, abs=0.02)
    page.get_by_text("Downloaded: MP4, 300 x 200, 0.50 s, 15 frames").wait_for()
    assert seconds(saved(page, "WebM", tmp_path / "loop.webm")) == pytest.approx(0.5, abs=0.05)
    for name, ending, count in (("GIF", "gif", 6), ("WebP", "webp", 15), ("APNG", "png", 15)):
        with Image.open(saved(page, name, tmp_path / f"loop.{ending}")) as loop:
            assert loop.n_frames == count and loop.size == (301, 201)
        page.get_by_text(f"Downloaded: {name}, 301 x 201").wait_for()
    choose(page, "Size", "phone, 1080 x 1920")
    page.get_by_label("Whole picture within").check()
    with av.open(saved(page, "MP4", tmp_path / "phone.mp4")) as film:
        first = next(film.decode(video=0)).to_ndarray(format="rgb24")
    assert first.shape == (1920, 1080, 3)
    assert first[600:1320].std() > 2 * first[:560].std()  # the picture, and its blur above
    choose(page, "Size", "as the picture")
    page.get_by_label("AV1 in MP4").check()
    with av.open(saved(page, "MP4", tmp_path / "av1.mp4")) as film:
        assert film.streams.video[0].codec_context.name in ("av1", "libdav1d")
    settings, mask = recipe(video)
    request = settings.request
    assert (request.prompt, request.seed, request.num_frames) == ("it breathes slowly", 7, 5) and mask.max() == 1

    page.get_by_label("What should move, and how?").fill("something else")
    page.set_input_files("#restore input[type=file]", video)
    expect(page.get_by_label("What should move, and how?")).to_have_value("it breathes slowly")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("7")


def test_four_seeds_play_large_and_the_chosen_one_comes_in_full(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    page.get_by_label("Seed", exact=True).fill("20")
    page.get_by_role("button", name="4 variants").click()
    seeds = page.locator(".seeds button")
    expect(seeds).to_have_count(4)
    until_idle(page)
    view, one = (page.locator(place).first.bounding_box() for place in (".view", ".seeds button"))
    assert one["width"] > 0.45 * view["width"] and one["height"] > 0.45 * view["height"]
    page.get_by_role("button", name="3: seed 22", exact=True).click()
    until_rendered(page, "")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("22")
    page.locator(".bar [data-show=seeds]").click()  # the others are still there
    page.get_by_role("button", name="2: seed 21", exact=True).click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("21")
    until_idle(page)
    assert recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].request.seed == 21


def test_cancel_frees_the_worker(page, picture):
    """Also for a click that comes as soon as the page says that it is cancelled."""
    prepare(page, picture, frames=15, steps=50)
    for _ in range(3):
        page.get_by_role("button", name="Animate", exact=True).click()
        page.get_by_text(re.compile(r"Step \d+ of 50")).wait_for()
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.get_by_text("Cancelled").wait_for()
    until_idle(page)
    for _ in range(2):
        put(page, "Frames of the model", 3)
        put(page, "Sampling steps", 1)
    animate(page)


def test_every_clause_is_answered(page, picture):
    prepare(page, picture, frames=3, steps=1, prompt="the cup rocks gently, the river flows, snow falls")
    animate(page)
    said = page.locator("#understood li > :first-child")
    expect(said).to_have_count(3)
    expect(said.nth(0)).to_have_text("cup: it rocks gently.")
    expect(said.nth(1)).to_have_text("river: not found. Click on it or paint it.")
    expect(said.nth(2)).to_have_text("snow: falling snow.")
    page.get_by_label("What should move, and how?").fill("die Tasse schaukelt sanft im Wind")
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator(".problem", has_text="This needs English").wait_for()


def test_a_thing_that_was_not_found_is_painted(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1, prompt="the cup rocks gently, the river flows")
    found = mask_of(page)
    press(page, "Grow")
    cup = until_mask(page, lambda mask: mask.mean() > found.mean() + 0.005)
    animate(page)  # what was painted is the cup's
    page.get_by_role("button", name="river: not found").click()
    page.get_by_text("Click on “river” in the picture, or paint it").wait_for()
    until_mask(page, lambda mask: not mask.any())
    press(page, "Whole picture")
    until_mask(page, np.all)
    animate(page)
    expect(page.locator("#understood li > :first-child").nth(1)).to_have_text("river: it flows.")
    written = read_metadata(saved(page, "MP4", tmp_path / "loop.mp4"))
    painted = dict(unpack_parts(written))
    assert painted.keys() == {"cup", "river"} and painted["river"].min() > 0.9 and unpack(written)[1] is None
    assert (painted["cup"] > 0.5).mean() == pytest.approx(cup.mean(), abs=0.01)
    page.get_by_role("button", name="river: it flows").click()  # chosen before, so what stands out comes back
    until_mask(page, lambda mask: (mask == found).mean() > 0.99)


def test_programs_are_told_what_the_words_name(address, picture, tmp_path):
    client = Client(address, verbose=False)
    words = "the cup rocks gently, the river flows"
    _, notes, places = client.predict(handle_file(str(picture)), words, api_name="/mask")
    assert [(note["thing"], note["place"]) for note in notes] == [("cup", 0), ("river", None)] and len(places) == 1
    river = tmp_path / "river.png"
    Image.new("L", (301, 201), 255).save(river)
    loop, notes, places = client.predict(
        handle_file(str(picture)), words, None, 3, things=["river"], masks=[handle_file(str(river))], api_name="/animate"
    )
    assert [note["place"] for note in notes] == [0, 1] and not notes[1]["unsure"] and len(places) == 2
    assert [thing for thing, _ in unpack_parts(read_metadata(loop))] == ["river"]
    with pytest.raises(Exception, match="as many things as masks"):
        client.predict(handle_file(str(picture)), words, None, things=["river"], api_name="/animate")


def test_programs_are_queued_and_served(address, picture, tmp_path):
    clients = [Client(address, verbose=False) for _ in range(2)]
    mask, notes, places = clients[0].predict(handle_file(str(picture)), api_name="/mask")
    assert not notes and not places
    with Image.open(mask) as found:
        assert found.size == (301, 201) and found.getextrema()[1] > 200
    jobs = [
        client.submit(handle_file(str(picture)), "it sways to the left", handle_file(mask), 3, api_name="/animate")
        for client in clients
    ]
    for job in jobs:
        assert seconds(job.result(timeout=120)[0]) == pytest.approx(0.25, abs=0.02)
    with pytest.raises(Exception, match="expected a format out of MP4"):
        clients[0].predict(handle_file(str(picture)), "it sways", None, 3, 0, 1, "VHS", api_name="/animate")


LONG_JOB = """
import sys, time
from gradio_client import Client, handle_file
job = Client(sys.argv[1], verbose=False).submit(handle_file(sys.argv[2]), "it sways", None, 35, size="4K", api_name="/animate")
while job.status().code.name not in ("PROCESSING", "ITERATING"):
    time.sleep(0.1)
print("running", flush=True)
job.result()
"""


def test_a_killed_program_leaves_nothing_running(blocks, server, page, address, picture):
    def files():
        return {path.name for path in server.folder.path.rglob("*.mp4")}

    before = files()
    program = subprocess.Popen([sys.executable, "-c", LONG_JOB, address, str(picture)], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "running\n" and blocks._queue.get_active_worker_count() == 1
    program.kill()
    program.wait()
    until(page, blocks._queue.get_active_worker_count, lambda count: count == 0)
    assert files() == before  # it did not end by itself
    until(page, threading.enumerate, lambda threads: not any(thread.name == "work" for thread in threads))


def test_the_readme_says_what_programs_write(address, picture, monkeypatch, tmp_path):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    examples = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    example = next(block for block in examples if "gradio_client" in block)
    monkeypatch.chdir(tmp_path)
    Image.open(picture).resize((150, 100)).convert("RGB").save("photo.jpg")
    Image.new("L", (150, 100), 255).save("sea.png")
    made = {}
    exec(example.replace("http://127.0.0.1:7860", address), made)  # noqa: S102
    assert Path(made["loop"]).suffix == ".mp4" and Path(made["loop"]).stat().st_size > 1000


def test_the_tint_lies_on_the_object(page, tmp_path):
    y, x = np.mgrid[0:300, 0:450]
    pixels = np.full((300, 450, 3), 205, np.uint8)
    pixels[np.hypot(x - 150, y - 120) < 70] = (30, 60, 150)
    Image.fromarray(pixels).save(tmp_path / "disc.png")
    upload(page, tmp_path / "disc.png")

    def tinted():
        shot = np.asarray(Image.open(io.BytesIO(page.locator(".view").screenshot())).convert("RGB")).astype(int)
        red, green, blue = np.moveaxis(shot, -1, 0)
        return red.shape, (red > green + 30) & (np.abs(red - blue) < 60)

    (height, width), red = until(page, tinted, lambda found: found[1].mean() > 0.02)
    ys, xs = np.nonzero(red)
    assert np.median(xs) / width == pytest.approx(150 / 450, abs=0.02)
    assert np.median(ys) / height == pytest.approx(120 / 300, abs=0.02)


def test_mistakes_get_a_sentence(page, tmp_path):
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator(".problem", has_text="Choose a picture first.").wait_for()
    (tmp_path / "notes.png").write_bytes(b"not a picture")
    page.set_input_files("#picture input[type=file]", tmp_path / "notes.png")
    page.locator(".problem", has_text="notes.png: not a picture").wait_for()
    assert "Traceback" not in page.content() and str(tmp_path) not in page.content()


def test_a_file_that_is_no_picture_leaves_what_is_there_and_animate_may_come_before_the_picture(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    page.set_input_files("#picture input[type=file]", picture)
    page.get_by_role("button", name="Animate", exact=True).click()  # it is still looked at
    until_rendered(page, "")
    loop, still = source(page), page.locator(".still").get_attribute("src")
    (tmp_path / "notes.png").write_bytes(b"not a picture")
    page.set_input_files("#picture input[type=file]", tmp_path / "notes.png")
    page.locator(".problem", has_text="notes.png: not a picture").wait_for()
    assert source(page) == loop and page.locator(".still").get_attribute("src") == still
    assert recipe(saved(page, "GIF", tmp_path / "loop.gif"))[0].request.prompt == "it sways to the left"


@pytest.mark.parametrize("first", [(2400, 1600), pytest.param((240, 160), marks=pytest.mark.slow)])
def test_of_pictures_chosen_at_once_the_last_one_counts_and_animate_waits_for_it(page, picture, tmp_path, first):
    """As after a reload, when the picture that was kept comes back and another one is chosen meanwhile."""
    prepare(page, picture, frames=3, steps=1)
    for name, size in (("first.png", first), ("second.png", (200, 200)), ("third.png", (600, 800))):
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / name)
        page.set_input_files("#picture input[type=file]", tmp_path / name)
    page.get_by_role("button", name="Animate", exact=True).click()
    until_rendered(page, "")
    assert not page.locator(".problem").is_visible()
    settings, _ = recipe(saved(page, "GIF", tmp_path / "loop.gif"))
    with Image.open(tmp_path / "loop.gif") as loop:
        assert loop.width / loop.height == pytest.approx(600 / 800, abs=0.01)
    assert settings.request.prompt == "it sways to the left"


def test_a_checkpoint_of_the_512_preset_is_picked_and_drawn(page, picture, small_512, server, tmp_path):
    small_512.save_pretrained(tmp_path / "checkpoint")
    prepare(page, picture, frames=3, steps=2)
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name=re.compile("^512")).click()
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator(".problem", has_text="no weights").wait_for()
    until_idle(page)
    page.get_by_label("A folder, or a hub repository").fill(str(tmp_path / "checkpoint"))
    animate(page)
    assert page.evaluate(f"{VIDEO}.videoWidth") == 300
    held = server.pipe
    page.get_by_role("button", name="This visit").click()
    page.locator("[data-visit]").first.click()
    page.get_by_text("The settings are back").wait_for()
    assert server.pipe is held  # a loop of the visit needs no model
    page.get_by_label("A folder, or a hub repository").fill(str(tmp_path))
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator(".problem").wait_for()
    assert "Traceback" not in page.content()


def drop(page, path, place):
    """As from a file manager: Chromium leaves the page for what nobody takes."""
    box = page.locator(place).first.bounding_box()
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send(
            "Input.dispatchDragEvent",
            {
                "type": kind,
                "x": box["x"] + box["width"] / 2,
                "y": box["y"] + 20,
                "data": {"items": [], "files": [str(path)], "dragOperationsMask": 1},
            },
        )


def test_what_is_dropped_on_the_page_is_taken_or_refused(page, picture, tmp_path):
    words, url = page.get_by_label("What should move, and how?"), page.url
    drop(page, picture, "h1")
    page.get_by_text("It was given a file without any").wait_for()
    for name in ("surf", "cat"):  # with everything folded, and again
        expect(page.locator("#restore input[type=file]")).to_have_count(1)  # there is room for the next one
        drop(page, ASSETS / "examples" / name / "loop.mp4", "h1" if name == "surf" else ".view")
        expect(words).to_have_value(recipe(ASSETS / "examples" / name / "loop.mp4")[0].request.prompt)
    expect(page.locator("#restore input[type=file]")).to_have_count(1)
    (tmp_path / "notes.txt").write_text("nothing")
    drop(page, tmp_path / "notes.txt", "h1")
    page.get_by_text("Invalid file type: notes.txt").wait_for()
    Image.open(picture).save(tmp_path / "phone.heic")
    drop(page, tmp_path / "phone.heic", ".view")
    page.wait_for_function("document.querySelector('.still').naturalWidth === 301")  # what Chromium shows
    assert page.url == url


def test_settings_beyond_the_page_and_a_queue_out_of_reach(page, picture, tmp_path):
    settings = make_settings(
        prompt="it sways", num_frames=3, size="320x200", fps=25.0, motion_strength=3.5, num_inference_steps=60
    )
    frame = np.asarray(Image.open(picture).convert("RGB"))
    write_loop(tmp_path / "loop.mp4", iter([frame] * 2), 2, Coding(Fraction(8)), pack(settings, None))
    drop(page, tmp_path / "loop.mp4", "h1")
    page.get_by_text("the mask is found again. Within this page's limits: Sampling steps 50, not 60.").wait_for()
    page.get_by_role("button", name="Expert").click()
    for _ in range(2):
        put(page, "Sampling steps", 1)
    page.get_by_role("button", name="More").click()
    page.route("**/queue/join*", lambda route: route.fulfill(status=500, body="{}"))
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator(".problem", has_text="That did not work").wait_for()
    until_idle(page)
    page.unroute("**/queue/join*")
    animate(page)
    assert page.evaluate(f"{VIDEO}.videoWidth") == 320
    assert recipe(saved(page, "MP4", tmp_path / "again.mp4"))[0].hands.motion_strength == 3.5
    page.get_by_label("With a still").check()
    choose(page, "Format", "WebM")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download WebM").click()
    assert download.value.suggested_filename.endswith("-320x200-files.zip")
    page.get_by_label("With a still").uncheck()
    choose(page, "Format", "MP4")

    downloads, before = [], source(page)
    page.on("download", lambda download: downloads.append(download))
    page.get_by_label("Frames a second", exact=True).fill("many")
    page.get_by_role("button", name="Download MP4").click()
    page.locator(".problem", has_text="for frames a second. It was given many").wait_for()
    until_idle(page)
    page.get_by_label("Frames a second", exact=True).fill("60")
    choose(page, "Size", "4K, 3840 x 2160")
    page.get_by_role("button", name="Download MP4").click()
    expect(page.locator("#save")).to_have_text("Download MP4, 3840 x 2160")
    page.get_by_text(re.compile("Fitting|Writing")).wait_for()
    expect(page.locator("#save")).to_have_attribute("data-word", re.compile("Fitting|Writing"))  # where the finger is
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled.").wait_for()
    expect(page.locator("#save")).not_to_have_attribute("data-word", re.compile(""))
    assert source(page) == before and not downloads
    assert mask_of(page).shape == (200, 300)


def test_a_new_picture_starts_afresh_and_a_loop_of_the_visit_comes_back(page, picture, photos, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    choose(page, "Quality of a video", "small")
    animate(page)
    before = source(page)
    draw(page, "pin", (0.5, 0.5))
    page.wait_for_function(f"before => {VIDEO}.src != before", arg=before)
    until_idle(page)
    put(page, "Light and weather", 0.5)

    photos["rocket"].resize((160, 107)).save(tmp_path / "rocket.png")
    upload(page, tmp_path / "rocket.png")
    expect(page.get_by_role("button", name="Download MP4")).to_be_disabled()
    expect(page.get_by_label("What should move, and how?")).to_have_value("")  # what was asked of the other picture
    expect(page.get_by_label("number input for Light and weather")).to_have_value("1")
    assert not page.evaluate(f"{VIDEO}.hasAttribute('src')")
    until_mask(page, lambda mask: mask.shape == (107, 160))

    page.get_by_role("button", name="This visit").click()
    caption = page.locator("[data-visit]").first
    expect(caption).to_contain_text("seed 0, strength 1: it sways to the left")
    caption.click()
    page.get_by_text("The settings are back").wait_for()
    expect(page.get_by_label("Quality of a video")).to_have_value("small")
    expect(page.get_by_role("button", name="Download MP4")).to_be_enabled()
    until_mask(page, lambda mask: mask.shape == (201, 301))
    assert len(recipe(saved(page, "MP4", tmp_path / "loop.mp4"))[0].hands.pins) == 1
