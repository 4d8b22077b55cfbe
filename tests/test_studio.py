import time
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from loopanimate.files.living import write_living
from loopanimate.files.media import write_loop
from loopanimate.files.recipe import pack, small_png
from loopanimate.loop import Loop, LoopFile, LoopSettings
from loopanimate.motion.field import LoopField
from loopanimate.page import studio, wording
from tests.fields import curve
from tests.videos import scene

CONTROLS = (None, "it sways", 9, 0, 1, 1, 0, 0, "", "motion", "someone/else", "30", "source", False, 1, [])


@pytest.mark.parametrize("public, chosen", [(False, "someone/else"), (True, "/of/the/command/line")])
def test_strangers_choose_no_checkpoint(monkeypatch, public, chosen):
    monkeypatch.setitem(studio.OPTIONS, "public", public)
    monkeypatch.setitem(studio.OPTIONS, "checkpoint", "/of/the/command/line")
    assert studio.settings_of(*CONTROLS)[0].checkpoint == chosen


@pytest.mark.parametrize("text", ["abc", "", None])
def test_a_rate_that_is_none_gets_a_sentence(text):
    assert studio.rate("native") == "native" and studio.rate("12.5") == 12.5
    with pytest.raises(ValueError, match="^expected native or frames a second"):
        studio.rate(text)


@pytest.mark.parametrize(
    "given",
    [(None, 0, 1, "source"), (9, None, 1, "source"), (9, 0, None, "source"), (1e400, 0, 1, "source"), (9, 0, 7, "source")],
)
def test_a_program_that_leaves_something_out_gets_a_sentence(given):
    assert studio.asked("it sways", 9, 0, 1, None).num_frames == 9
    with pytest.raises(ValueError, match="^expected"):
        studio.asked("it sways", *given)


@pytest.mark.parametrize("asked", [None, "another"])
def test_whoever_waits_for_a_model_can_stop(monkeypatch, tmp_path, asked):
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    monkeypatch.setattr(studio, "pipeline", lambda *_: time.sleep(3))
    monkeypatch.setattr(studio, "MODELS", {"motion": studio.Warm(studio.pipeline, "motion", None, "auto")})
    if asked is None:
        studio.MODELS["motion"].start()
    start = time.monotonic()
    waiting = studio.sampling(str(tmp_path / "picture.png"), LoopSettings("it sways", checkpoint=asked), [0], None)
    assert "Loading" in next(waiting) and "Loading" in next(waiting)
    waiting.close()
    assert time.monotonic() - start < 2


def test_messages_name_files_without_their_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(wording, "TEMPORARY", wording.folders(str(tmp_path)))
    (tmp_path / "gradio" / "0a1b").mkdir(parents=True)
    broken = tmp_path / "gradio" / "0a1b" / "my notes.png"
    broken.write_bytes(b"x")
    with pytest.raises(ValueError) as told:
        studio.opened(str(broken))
    assert "got my notes.png: not a picture" in wording.plain(told.value)


@pytest.mark.parametrize("ending", [".zip", ".html", ".mp4", ".gif"])
def test_a_finished_file_gives_settings_and_picture_back(tmp_path, blob, ending):
    image, mask = blob
    file, recipe = tmp_path / f"loop{ending}", pack(LoopSettings("it sways", num_frames=9), mask)
    if ending == ".html":
        write_living(file, image, mask, [LoopField(curve())], "<b>", recipe)
    else:
        write_loop(file, iter([image] * 4), Fraction(10), 4, recipe)
    settings, back, path = studio.recovered(str(file), None)
    assert settings.num_frames == 9 and back.max() == 1
    assert np.abs(np.asarray(Image.open(path), dtype=int) - image).mean() < 6


def test_a_mask_that_was_found_is_found_again(photos, tmp_path):
    photos["coffee"].resize((300, 200)).save(tmp_path / "picture.png")
    _, mask, freeze = studio.painted(LoopSettings("x", mask_invert=True), None, str(tmp_path / "picture.png"))
    assert mask.shape == (200, 300) and 0.3 < mask.mean() < 0.95 and mask[0, 0] == 1 and freeze is None


def test_a_picture_that_browsers_do_not_show_gets_a_copy(tmp_path):
    frame = Image.fromarray(scene(1, 0)[0])
    frame.save(tmp_path / "a.png")
    frame.save(tmp_path / "a.heic")
    assert studio.browsable(str(tmp_path / "a.png")) == str(tmp_path / "a.png")
    with Image.open(studio.browsable(str(tmp_path / "a.heic"))) as copy:
        assert copy.format == "JPEG" and copy.size == frame.size


def test_a_loop_of_the_visit_is_kept_small_and_knows_whether_its_files_have_gone(tmp_path):
    for name in ("picture.png", "loop.mp4", "thumbnail.webp"):
        (tmp_path / name).touch()
    file = LoopFile(tmp_path / "loop.mp4", 4, 0.5, (2, 2))
    mask = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    loop = Loop(Image.new("RGB", (8, 6)), mask, True, LoopSettings("x"), None, "x", None, (0, 0, 1, 1))
    shown = studio.Shown(str(tmp_path / "picture.png"), None, loop, file, str(tmp_path / "thumbnail.webp"), None).packed()
    assert shown.loop.mask.nbytes == mask.nbytes / 4 and np.abs(shown.unpacked().loop.mask - mask).max() < 1 / 255
    assert shown.is_kept()
    file.path.unlink()
    assert not shown.is_kept()


def test_a_frozen_place_is_the_same_but_for_its_edge_and_a_dot_more_is_another():
    y, x = np.mgrid[0:430, 0:640]
    place = (np.hypot(x - 300, y - 200) < 80).astype(np.float32)
    redrawn = (np.hypot(x - 300, y - 200) < 80.1).astype(np.float32)
    dotted = np.maximum(place, np.hypot(x - 500, y - 300) < 8)
    kept, again, more = (small_png(freeze) for freeze in (place, redrawn, dotted))
    assert studio.alike(kept, again) and studio.alike(None, None)
    assert not any(studio.alike(*pair) for pair in ((kept, more), (kept, None), (None, kept)))
