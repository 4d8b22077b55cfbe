import io

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

VIDEO = "document.querySelector('.result video')"


@pytest.fixture
def picture(photos, tmp_path):
    photos["coffee"].save(tmp_path / "coffee.png")
    return tmp_path / "coffee.png"


def upload(page, path):
    page.set_input_files("input[type=file] >> nth=0", path)


def test_from_picture_to_playing_loop_to_file(page, picture, tmp_path):
    upload(page, picture)
    page.get_by_text("Red moves.").wait_for()
    page.get_by_text("it breathes", exact=True).click()
    prompt = page.get_by_label("What should move, and how?")
    expect(prompt).to_have_value("it breathes")
    prompt.fill("it floats up and down")
    page.get_by_role("button", name="More").click()
    page.get_by_label("number input for Frames of the model").fill("5")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Animate", exact=True).click()
    page.wait_for_function(f"{VIDEO} && {VIDEO}.currentTime > 0.1")
    state = page.evaluate(f"[{VIDEO}.loop, {VIDEO}.muted, {VIDEO}.autoplay, {VIDEO}.paused, {VIDEO}.videoWidth]")
    assert state == [True, True, True, False, 600]
    page.get_by_text("seed 7").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download MP4").click()
    download.value.save_as(tmp_path / "loop.mp4")
    assert iio.immeta(tmp_path / "loop.mp4", plugin="pyav")["duration"] == pytest.approx(0.5, abs=0.02)


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
