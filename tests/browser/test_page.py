import io
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio.v3 as iio
import numpy as np
import psutil
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect

from loopanimate.files.formats import Coding, read_metadata, write_loop
from loopanimate.files.recipe import pack, unpack
from loopanimate.loop import LoopSettings
from loopanimate.presets import ASSETS
from tests.browser.steps import VIDEO, animate, chosen, mask_of, prepare, put, saved, seconds, until, upload


def test_from_picture_to_playing_loop_to_files_and_back(page, picture, tmp_path):
    prepare(page, picture)
    page.get_by_text("it breathes", exact=True).click()
    expect(page.get_by_label("What should move, and how?")).to_have_value("it breathes")
    page.get_by_label("Seed", exact=True).fill("7")
    animate(page)
    state = page.evaluate(f"[{VIDEO}.loop, {VIDEO}.muted, {VIDEO}.autoplay, {VIDEO}.paused, {VIDEO}.videoWidth]")
    assert state == [True, True, True, False, 600]
    page.get_by_text("seed 7").first.wait_for()
    video = saved(page, "MP4", tmp_path / "loop.mp4")
    assert seconds(video) == pytest.approx(0.5, abs=0.02)
    assert seconds(saved(page, "WebM", tmp_path / "loop.webm")) == pytest.approx(0.5, abs=0.05)
    for name, ending, count in (("GIF", "gif", 6), ("WebP", "webp", 15), ("APNG", "png", 15)):
        with Image.open(saved(page, name, tmp_path / f"loop.{ending}")) as loop:
            assert loop.n_frames == count and loop.size == (600, 400)
    chosen(page, "Size", "phone")
    page.get_by_label("Whole picture within").check()
    with av.open(saved(page, "MP4", tmp_path / "phone.mp4")) as film:
        first = next(film.decode(video=0)).to_ndarray(format="rgb24")
    assert first.shape == (1920, 1080, 3)
    assert first[600:1320].std() > 2 * first[:560].std()  # the picture, and its blur above
    chosen(page, "Size", "source")
    page.get_by_label("AV1 in MP4").check()
    with av.open(saved(page, "MP4", tmp_path / "av1.mp4")) as film:
        assert film.streams.video[0].codec_context.name in ("av1", "libdav1d")
    settings, mask = unpack(read_metadata(video))
    assert (settings.prompt, settings.seed, settings.num_frames) == ("it breathes", 7, 5) and mask.max() == 1

    page.get_by_label("What should move, and how?").fill("something else")
    page.set_input_files("#restore input[type=file]", video)
    expect(page.get_by_label("What should move, and how?")).to_have_value("it breathes")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("7")


def test_a_stroke_changes_the_mask_that_is_sent(page, picture, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Clear", exact=True).click()
    page.wait_for_timeout(1500)
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    for part in range(10):
        page.mouse.move(box["x"] + box["width"] * (0.45 + 0.01 * part), box["y"] + box["height"] * 0.5)
    page.mouse.up()
    page.wait_for_timeout(500)
    animate(page)
    mask = unpack(read_metadata(saved(page, "MP4", tmp_path / "loop.mp4")))[1]
    assert 0.0005 < (mask > 0.5).mean() < 0.2


def test_an_arrow_turns_the_motion_and_a_pin_stops_it(page, picture, tmp_path):
    prepare(page, picture, frames=15, steps=4)
    page.get_by_role("button", name="Change the whole mask").click()
    page.get_by_role("button", name="Whole picture", exact=True).click()
    until(page, lambda: mask_of(page), np.all)
    animate(page)
    page.get_by_role("button", name="Click to select").click()
    listed = page.get_by_label("Arrows and pins")

    def directed(text):
        source = page.evaluate(f"{VIDEO}.src")
        listed.fill(text)
        listed.press("Enter")
        page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
        grey = [
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            for frame in iio.imiter(saved(page, "MP4", tmp_path / "loop.mp4"), plugin="pyav")
        ]
        estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return np.stack([-estimator.calc(frame, grey[0], None) for frame in grey[1:]])  # how content moved, (K, H, W, 2)

    moved = directed("arrow 45 50 52 50")[:, 180:220, 302:322].mean((1, 2))  # around the head
    extreme = moved[np.linalg.norm(moved, axis=1).argmax()]
    assert extreme[0] == pytest.approx(0.07 * 600, rel=0.2) and abs(extreme[1]) < 8
    held = directed("pin 20 50")[:, 195:205, 115:125]
    assert np.linalg.norm(held, axis=-1).mean((1, 2)).max() < 0.05 * extreme[0]


def test_hands_move_the_living_preview_at_once_and_the_video_follows(page, picture, tmp_path):
    prepare(page, picture, frames=15, steps=4)
    animate(page)
    living = "document.querySelector('#living iframe').contentWindow.living"
    page.wait_for_function(living)
    source, before = page.evaluate(f"[{VIDEO}.src, Array.from({living}.walk.motions[0].terms)]")
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
    page.wait_for_function(f"Math.abs({living}.settings.strength - 1.5) < 1e-6")
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")
    put(page, "Tempo", 0.5)
    page.wait_for_function(f"{VIDEO} && {VIDEO}.duration > 3")
    expect(page.locator("#living iframe")).to_be_hidden()
    page.get_by_role("button", name="Click to select").click()
    page.get_by_label("Arrows and pins").fill("arrow 45 50 52 50")
    page.get_by_label("Arrows and pins").press("Enter")
    page.wait_for_function(
        f"before => {living}.walk.motions[0].terms.some((term, i) => Math.abs(term - before[i]) > 0.005)", arg=before
    )
    settings, _ = unpack(read_metadata(saved(page, "MP4", tmp_path / "loop.mp4")))
    assert (settings.motion_strength, settings.tempo) == (1.5, 0.5)


def test_four_seeds_and_the_chosen_one_in_full(page, picture):
    prepare(page, picture, frames=3, steps=2)
    page.get_by_label("Seed", exact=True).fill("20")
    page.get_by_role("button", name="Four seeds").click()
    page.get_by_text("Four seeds are ready").wait_for()
    page.get_by_text("seed 22", exact=True).click()
    page.wait_for_function(f"{VIDEO} && {VIDEO}.currentTime > 0")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("22")


def test_cancel_frees_the_worker(page, picture):
    prepare(page, picture, frames=15, steps=50)
    page.get_by_role("button", name="Animate", exact=True).click()
    page.get_by_text(re.compile(r"Step \d+ of 50")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled").wait_for()
    put(page, "Frames of the model", 3)
    put(page, "Sampling steps", 1)
    animate(page)


def test_programs_are_queued_and_served(address, picture, tmp_path):
    clients = [Client(address, verbose=False) for _ in range(2)]
    mask = clients[0].predict(handle_file(str(picture)), api_name="/mask")
    with Image.open(mask) as found:
        assert found.size == (600, 400) and found.getextrema()[1] > 200
    jobs = [
        client.submit(handle_file(str(picture)), "it sways to the left", handle_file(mask), 3, api_name="/animate")
        for client in clients
    ]
    for job in jobs:
        assert seconds(job.result(timeout=120)) == pytest.approx(0.25, abs=0.02)


LONG_JOB = """
import sys, time
from gradio_client import Client, handle_file
job = Client(sys.argv[1], verbose=False).submit(handle_file(sys.argv[2]), "it sways", None, 35, size="4K", api_name="/animate")
while not job.done():
    if job.status().code.name in ("PROCESSING", "ITERATING"):
        print("running", flush=True)
        break
    time.sleep(0.1)
job.result()
"""


def test_a_killed_program_leaves_nothing_running(address, picture):
    port = int(address.rsplit(":", 1)[1])
    listening = [found.pid for found in psutil.net_connections("tcp") if found.status == "LISTEN" and found.laddr.port == port]
    server = psutil.Process(listening[0])
    program = subprocess.Popen([sys.executable, "-c", LONG_JOB, address, str(picture)], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "running\n"
    server.cpu_percent()
    assert server.cpu_percent(interval=1.5) > 50  # at work, and for half a minute if nobody stopped it
    program.kill()
    program.wait()
    idle = [server.cpu_percent(interval=1) < 25 for _ in range(10)]
    assert idle[-4:] == [True] * 4, idle


def test_the_readme_says_what_programs_write(address, picture, monkeypatch, tmp_path):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    examples = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    example = next(block for block in examples if "gradio_client" in block)
    monkeypatch.chdir(tmp_path)
    Image.open(picture).resize((150, 100)).convert("RGB").save("photo.jpg")
    made = {}
    exec(example.replace("http://127.0.0.1:7860", address), made)  # noqa: S102
    assert Path(made["loop"]).suffix == ".mp4" and Path(made["loop"]).stat().st_size > 1000


def test_the_tint_lies_on_the_object(page, tmp_path):
    y, x = np.mgrid[0:300, 0:450]
    pixels = np.full((300, 450, 3), 205, np.uint8)
    disc = np.hypot(x - 150, y - 120) < 70
    pixels[disc] = (30, 60, 150)
    Image.fromarray(pixels).save(tmp_path / "disc.png")
    upload(page, tmp_path / "disc.png")
    page.get_by_text("Red moves.").wait_for()
    page.wait_for_timeout(2000)
    shot = np.asarray(Image.open(io.BytesIO(page.locator("canvas").first.screenshot())).convert("RGB")).astype(int)
    red, green, blue = shot[..., 0], shot[..., 1], shot[..., 2]
    tinted = (red > green + 60) & (red > blue + 30)
    grey = (np.abs(shot - 205).max(-1) < 4) | tinted
    rows, columns = np.flatnonzero(grey.mean(1) > 0.3), np.flatnonzero(grey.mean(0) > 0.3)
    ys, xs = np.nonzero(tinted)
    assert (np.median(xs) - columns[0]) / (columns[-1] - columns[0]) == pytest.approx(150 / 450, abs=0.05)
    assert (np.median(ys) - rows[0]) / (rows[-1] - rows[0]) == pytest.approx(120 / 300, abs=0.05)


@pytest.mark.parametrize("name, content", [("notes.png", b"not a picture")])
def test_a_wrong_file_gets_a_sentence(page, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    upload(page, tmp_path / name)
    page.get_by_text("Expected a picture").wait_for()
    assert "Traceback" not in page.content()


def test_animate_without_a_picture_gets_a_sentence(page):
    page.get_by_role("button", name="Animate", exact=True).click()
    page.get_by_text("Choose a picture first.").wait_for()


def test_a_checkpoint_of_the_512_preset_is_picked_and_drawn(page, picture, small_512, tmp_path):
    small_512.save_pretrained(tmp_path / "checkpoint")
    prepare(page, picture, frames=3, steps=2)
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name=re.compile("^512")).click()
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator(".problem", has_text="no weights").wait_for()
    page.get_by_label("A folder, or a hub repository").fill(str(tmp_path / "checkpoint"))
    animate(page)
    assert page.evaluate(f"{VIDEO}.videoWidth") == 600
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
    page.wait_for_timeout(1000)
    drop(page, picture, "h1")
    page.get_by_text("got a file without any").wait_for()
    page.wait_for_timeout(500)
    for name in ("flag", "cat"):  # with everything folded, and again
        drop(page, ASSETS / "examples" / name / "loop.mp4", "h1" if name == "flag" else "#picture")
        expect(words).to_have_value(unpack(read_metadata(ASSETS / "examples" / name / "loop.mp4"))[0].prompt)
        page.wait_for_timeout(500)
    (tmp_path / "notes.txt").write_text("nothing")
    drop(page, tmp_path / "notes.txt", "h1")
    page.get_by_text("Invalid file type: notes.txt").wait_for()
    Image.open(picture).save(tmp_path / "phone.heic")
    drop(page, tmp_path / "phone.heic", "#picture")
    page.wait_for_function("document.querySelector('#picture img')?.src.endsWith('.jpg')")  # what Chromium shows
    page.get_by_text("Red moves.").wait_for()
    assert page.url == url


def test_settings_beyond_the_page_and_a_queue_out_of_reach(page, picture, tmp_path):
    settings = LoopSettings("it sways", num_frames=3, size="640x400", fps=25.0, motion_strength=3.5, num_inference_steps=60)
    frame = np.asarray(Image.open(picture).convert("RGB"))
    write_loop(tmp_path / "loop.mp4", iter([frame] * 2), 2, Coding(Fraction(8)), pack(settings, None))
    page.wait_for_timeout(1000)
    drop(page, tmp_path / "loop.mp4", "h1")
    page.get_by_text("the mask is found again. Within this page's limits: Sampling steps 50, not 60.").wait_for()
    page.get_by_role("button", name="More").click()
    for _ in range(2):
        put(page, "Sampling steps", 1)
    page.route("**/queue/join*", lambda route: route.fulfill(status=500, body="{}"))
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator(".problem", has_text="That did not work").wait_for()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    page.unroute("**/queue/join*")
    animate(page)
    assert page.evaluate(f"{VIDEO}.videoWidth") == 640
    assert unpack(read_metadata(saved(page, "MP4", tmp_path / "again.mp4")))[0].motion_strength == 3.5

    downloads, source = [], page.evaluate(f"{VIDEO}.src")
    page.on("download", lambda download: downloads.append(download))
    page.get_by_label("Frames a second", exact=True).fill("many")
    page.get_by_role("button", name="Download MP4").click()
    page.get_by_text("Expected native or frames a second").wait_for()
    page.get_by_label("Frames a second", exact=True).fill("60")
    chosen(page, "Size", "4k")
    page.get_by_role("button", name="Download MP4").click()
    page.get_by_text(re.compile("Waiting|Fitting|Writing")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled.").wait_for()
    page.wait_for_timeout(1000)
    assert page.evaluate(f"{VIDEO}.src") == source and not downloads
    page.get_by_role("button", name="Change the whole mask").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the mask").click()
    with Image.open(download.value.path()) as mask:
        assert mask.size == (600, 400) and mask.getextrema() == (0, 255)


def test_a_new_picture_starts_afresh_and_a_loop_of_the_visit_comes_back(page, picture, photos, tmp_path):
    prepare(page, picture, frames=3, steps=1)
    chosen(page, "Quality of a video", "small")
    animate(page)
    page.get_by_role("button", name="Click to select").click()
    source = page.evaluate(f"{VIDEO}.src")
    page.get_by_label("Arrows and pins").fill("pin 50 50")
    page.get_by_label("Arrows and pins").press("Enter")
    page.wait_for_function(f"{VIDEO} && {VIDEO}.src != {source!r}")

    photos["rocket"].save(tmp_path / "rocket.png")
    upload(page, tmp_path / "rocket.png")
    expect(page.get_by_role("button", name="Download MP4")).to_be_disabled()
    expect(page.locator(".token")).to_have_count(0)
    page.get_by_text("Your loop will play here.").wait_for()
    page.get_by_text("Red moves.").wait_for()

    page.get_by_role("button", name="This visit").click()
    page.locator(".grid-container button").first.click()
    page.get_by_text("The settings are back").wait_for()
    expect(page.locator(".token")).to_have_count(1)
    expect(page.get_by_label("Quality of a video")).to_have_value("small")
    order = "loopanimate.begin('one'), loopanimate.begin('two'), loopanimate.end('one').visible, loopanimate.end('two').visible"
    assert page.evaluate(f"[{order}]")[2:] == [True, False]  # Cancel stays for the one that waits
    expect(page.get_by_role("button", name="Download MP4")).to_be_enabled()
