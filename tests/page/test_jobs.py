import json
import threading
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from zipfile import ZipFile

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from loopanimate.files.formats import FORMATS, Coding, read_metadata, write_loop
from loopanimate.files.living import write_living
from loopanimate.files.recipe import pack, small_png, unpack
from loopanimate.loop import FrameLoop, LoopFile, MotionLoop
from loopanimate.motion.border import ALL_BORDERS
from loopanimate.motion.field import Field
from loopanimate.page import canvas, jobs, preview, text
from loopanimate.page.jobs import Server
from loopanimate.page.living import move
from loopanimate.page.preview import first_frame, measure, shrink
from loopanimate.page.shown import Shown, direct, hold, open_cached
from loopanimate.presets import ASSETS
from loopanimate.scene.finder import Models
from loopanimate.settings import Machine, make_settings
from tests.motion.motions import STILL, circle
from tests.videos import scene


def run(words):
    """What a job returns, and what it said."""
    said = []
    try:
        while True:
            said.append(next(words))
    except StopIteration as end:
        return end.value, [word for word in said if word]


@pytest.fixture
def server(monkeypatch):
    """A server that has no model to load."""

    def load(*_):
        raise AssertionError("no model is needed")

    monkeypatch.setattr(jobs, "load", load)
    return Server()


@pytest.fixture
def loop(blob):
    """A loop of motion, of an odd size."""
    image, mask = blob
    settings = make_settings(prompt="it sways", num_frames=9, fps=10)
    picture = Image.fromarray(image).crop((0, 0, 127, 95))
    return MotionLoop(picture, (mask[:95, :127],), mask[:95, :127], True, settings, (), circle(9), STILL)


def test_strangers_choose_no_models():
    machine = Machine(checkpoint="/of/the/command/line", regions_model="/of/it/too", salient_model="silueta")
    private, public = Server(machine), Server(machine, public=True)
    chosen, kept = (server.choose(checkpoint=" someone/else ", regions_model=" a/b@c ") for server in (private, public))
    assert (chosen.checkpoint, chosen.regions_model, chosen.salient_model) == ("someone/else", "a/b@c", "silueta")
    assert kept == machine == private.choose(checkpoint="", regions_model=None)


def test_the_model_of_regions_is_loaded_where_one_is_named(monkeypatch):
    loaded = []
    monkeypatch.setattr("loopanimate.checkpoints.load_regions_model", lambda name, device: loaded.append(name) or name)
    server = Server(Machine(regions_model="a/b"))
    assert server.load_models(server.machine).result(60) == server.load_models(server.machine).result(60) == Models("a/b")
    assert server.load_models(Machine()).result(60) == Models() and loaded == ["a/b"]


def test_one_large_pipeline_is_held_beside_the_bundled_ones_and_a_failure_is_tried_again(monkeypatch):
    loaded, machine = [], Machine()

    def load(preset, *_):
        loaded.append(preset)
        if loaded.count(preset) == 1 and preset == "512":
            raise ValueError("no weights")
        return preset

    monkeypatch.setattr(jobs, "load", load)
    server = Server()
    assert [server.load("motion", machine).result(30) for _ in range(2)] == ["motion"] * 2
    with pytest.raises(ValueError, match="no weights"):
        server.load("512", machine).result(30)
    assert server.load("512", machine).result(30) == "512" and server.load("motion", machine).result(30) == "motion"
    assert loaded == ["motion", "512", "512"]
    for checkpoint in ("one", "other", "one"):
        server.load("motion", Machine(checkpoint=checkpoint)).result(30)
    assert loaded[3:] == ["motion"] * 3


def test_whoever_waits_for_a_model_can_stop(monkeypatch, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    loads = threading.Event()
    monkeypatch.setattr(jobs, "load", lambda *_: loads.wait(60))
    waiting = Server().sample_loops(str(tmp_path / "picture.png"), make_settings(prompt="it sways"), 1, None, Machine())
    assert "Loading" in next(waiting)["words"] and "Loading" in next(waiting)["words"]
    waiting.close()
    loads.set()


@pytest.mark.parametrize("on_zero, device", [(True, "cpu"), (False, "cuda")])
def test_a_loop_that_leaves_the_process_with_the_gpu_is_rendered_without_it(monkeypatch, loop, on_zero, device):
    pipe = SimpleNamespace(codec=SimpleNamespace(is_motion=True))
    monkeypatch.setattr(jobs, "load", lambda *_: pipe)
    monkeypatch.setattr(jobs, "ON_ZERO", on_zero)
    monkeypatch.setattr(jobs, "make_loops", lambda *_: [replace(loop, device="cuda")])
    *_, (made,) = Server()._sample(loop.picture, loop.settings, [0], None, (), Machine())
    assert made.device == device


def test_mistakes_name_files_without_their_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "TEMPORARY", {str(tmp_path)})
    (tmp_path / "gradio" / "0a1b").mkdir(parents=True)
    broken = tmp_path / "gradio" / "0a1b" / "my notes.png"
    broken.write_bytes(b"x")
    with pytest.raises(ValueError) as mistake:
        open_cached(str(broken))
    assert "got my notes.png: not a picture" in text.plain(mistake.value)


@pytest.mark.parametrize("ending", [".zip", ".html", ".mp4", ".gif"])
def test_a_finished_file_gives_settings_and_picture_back(server, tmp_path, blob, ending):
    image, mask = blob
    file, recipe = tmp_path / f"loop{ending}", pack(make_settings(prompt="it sways", num_frames=9), mask, [("sea", mask)])
    if ending == ".html":
        write_living(file, image, [mask], [Field(circle(9), [ALL_BORDERS] * 2)], "<b>", recipe)
    else:
        write_loop(file, iter([image] * 4), 4, Coding(Fraction(10)), recipe)
    settings, back, path, ((thing, sea),) = server.restore(str(file), None)
    assert thing == "sea" and sea.shape == back.shape
    assert settings.request.num_frames == 9 and back.max() == 1
    assert np.abs(np.asarray(Image.open(path), dtype=int) - image).mean() < 6


@pytest.mark.parametrize("beyond", [{"mask_grow": 3000}, {"mask_feather": 1e9}, {"fps": 500.0}, {"repeats": 10**9}])
def test_a_file_cannot_ask_for_more_than_a_person_can(server, tmp_path, blob, beyond):
    recipe = json.loads(pack(make_settings(prompt="it sways"), blob[1])) | beyond
    write_loop(tmp_path / "loop.mp4", iter([blob[0]] * 4), 4, Coding(Fraction(10)), json.dumps(recipe))
    with pytest.raises(ValueError, match="^expected"):
        server.restore(str(tmp_path / "loop.mp4"), None)


@pytest.mark.parametrize("fps, written", [(25, 25), (30, 12.5)])
def test_a_gif_keeps_a_rate_that_it_can_hold_and_takes_its_own_for_another(server, loop, tmp_path, fps, written):
    loop.picture.save(tmp_path / "picture.png")
    gif = next(form for form in FORMATS if form.name == "GIF")
    shown = Shown(str(tmp_path / "picture.png"), None, loop)
    file, _ = run(server.write(shown, make_settings(prompt="it sways", num_frames=9, fps=fps), gif, False, None))
    assert file.frames / file.seconds == pytest.approx(written)


def test_a_live_photo_comes_as_one_file_of_two_and_lasts_as_long_as_one(server, loop, tmp_path):
    loop.picture.save(tmp_path / "picture.png")
    form = next(form for form in FORMATS if form.name == "Live Photo")
    file, _ = run(server.write(Shown(str(tmp_path / "picture.png"), None, loop), loop.settings, form, True, Machine()))
    assert file.seconds == 3.0 and file.path.suffix == ".zip"
    with ZipFile(file.path) as archive:
        still, film = archive.namelist()
        archive.extractall(tmp_path)
    assert film == still.replace(".heic", ".mov") and first_frame(tmp_path / still).size == file.size
    assert unpack(read_metadata(tmp_path / still))[0].hands.tempo == pytest.approx(1)  # three rounds of a second


@pytest.mark.parametrize(
    "name, size, count",
    [
        ("WebM", "source", 6),
        ("Living page", "source", 7),
        ("GIF", "source", 3),
        ("MP4", "64x48,64x48", 2),
        ("PNG sequence", "source", 0),
    ],
)
def test_what_goes_with_a_file_comes_in_one_zip(server, loop, tmp_path, name, size, count):
    loop.picture.save(tmp_path / "picture.png")
    form, settings = next(form for form in FORMATS if form.name == name), loop.settings.change(size=size)
    file, _ = run(server.write(Shown(str(tmp_path / "picture.png"), None, loop), settings, form, True, Machine(), True))
    if count == 0:
        assert file.path.suffix == ".zip" and read_metadata(file.path)
        return
    with ZipFile(file.path) as archive:
        names = archive.namelist()
    assert len(names) == count and ("project.json" in names) == (count > 5) and names[0].endswith(form.endings[0])


def test_a_mask_that_was_found_is_found_again(server, photos, tmp_path):
    photos["coffee"].resize((300, 200)).save(tmp_path / "picture.png")
    freeze = small_png(np.eye(4))
    settings = make_settings(prompt="x", mask_invert=True, freeze=freeze)
    painting = server.repaint(settings, None, str(tmp_path / "picture.png"))
    assert painting.automatic.shape == painting.freeze.shape == (200, 300) and painting.mask is None
    assert 0.3 < painting.automatic.mean() < 0.95 and painting.automatic[0, 0] == 1


def test_a_picture_that_browsers_do_not_show_gets_a_copy(server, tmp_path):
    frame = Image.fromarray(scene(1, 0)[0])
    frame.save(tmp_path / "a.png")
    frame.save(tmp_path / "a.heic")
    assert server.show_picture(str(tmp_path / "a.png")) == str(tmp_path / "a.png")
    with Image.open(server.show_picture(str(tmp_path / "a.heic"))) as copy:
        assert copy.format == "JPEG" and copy.size == frame.size
    frame.resize((3000, 1500)).save(tmp_path / "large.png")
    with Image.open(server.show_picture(str(tmp_path / "large.png"))) as copy:
        assert copy.size == (2048, 1024)


@pytest.mark.parametrize("kept", [True, False])
def test_a_loop_that_comes_back_brings_its_own_picture_unless_that_is_there(server, tmp_path, blob, kept):
    image, mask = blob
    recipe = pack(make_settings(prompt="it sways", num_frames=9), mask)
    write_loop(tmp_path / "loop.mp4", iter([image] * 4), 4, Coding(Fraction(10)), recipe)
    other = Image.fromarray(image).resize((512, 384)) if kept else Image.fromarray(image[::-1].copy())
    other.save(tmp_path / "other.png")
    *_, path, _ = server.restore(str(tmp_path / "loop.mp4"), str(tmp_path / "other.png"))
    assert (path == str(tmp_path / "other.png")) == kept
    with Image.open(path) as picture:
        assert np.abs(np.asarray(picture.convert("RGB").resize((128, 96)), dtype=int) - image).mean() < 6


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_a_film_of_huge_frames_is_refused_before_they_take_memory(tmp_path, monkeypatch, ending):
    write_loop(tmp_path / f"loop{ending}", iter([np.zeros((96, 128, 3), np.uint8)] * 2), 2, Coding(Fraction(8)))
    for most, fits in ((128 * 96, True), (128 * 96 // 2, False)):  # FFmpeg rounds sides up to whole blocks
        monkeypatch.setattr(preview, "MAX_PIXELS", 4 * most if fits else most)
        if fits:
            assert first_frame(tmp_path / f"loop{ending}").size == (128, 96)
        else:
            with pytest.raises(ValueError, match="expected a loop that can be read"):
                first_frame(tmp_path / f"loop{ending}")


def test_what_one_of_several_monitors_showed_comes_back_without_a_mask(server, tmp_path, blob):
    image, mask = blob
    settings = make_settings(prompt="it sways", size="64x48,64x48", pins=((0.5, 0.5),))
    write_loop(tmp_path / "loop-2.mp4", iter([image[:48, :64]] * 2), 2, Coding(Fraction(8)), pack(settings, mask))
    back, own, path, _ = server.restore(str(tmp_path / "loop-2.mp4"), None)
    assert own is None and back.output.size == "source" and not back.hands.pins
    assert Image.open(path).size == (64, 48)


def test_files_are_named_after_picture_and_words(server, loop, tmp_path):
    loop.picture.save(tmp_path / "Mein Strand.png")
    settings = make_settings(prompt="the wáves roll in; slowly & for ever and ever, as they do", num_frames=9)
    shown = Shown(str(tmp_path / "Mein Strand.png"), None, replace(loop, settings=settings))
    file, _ = run(server.write(shown, settings, FORMATS[0], False, None))
    assert file.path.name == "mein-strand-the-waves-roll-in-slowly-for-ever-and-126x94.mp4"


def test_a_loop_of_the_visit_is_kept_small_and_knows_whether_its_files_have_gone(loop, tmp_path):
    loop.picture.save(tmp_path / "picture.png")
    (tmp_path / "loop.mp4").touch()
    file = LoopFile(tmp_path / "loop.mp4", 4, 0.5, (2, 2))
    shown = Shown(str(tmp_path / "picture.png"), loop.mask, loop, [("boat", loop.mask)], file, str(tmp_path / "loop.mp4"))
    kept = shown.pack()
    assert kept.loop.picture is None and len(kept.loop.mask) < loop.mask.nbytes / 20 and kept.is_kept()
    back = kept.unpack()
    assert np.array_equal(back.loop.picture, loop.picture)
    pairs = ((loop.mask, back.loop.mask), (shown.mask, back.mask), (shown.parts[0][1], back.parts[0][1]))
    assert all(np.abs(before - after).max() < 1 / 255 for before, after in pairs)
    file.path.unlink()
    assert not kept.is_kept()


@pytest.mark.parametrize("size, fit", [("source", False), ("100x160", False), ("100x160", True)])
def test_a_shrunk_loop_shows_the_same_part_of_the_picture(loop, size, fit):
    loop = replace(loop, settings=loop.settings.change(size=size, fit=fit))
    small = shrink(loop, 80)
    (one,), (other,) = loop.frames([3]), small.frames([3])
    assert max(small.size()) == 80 and shrink(loop, 1000) is loop
    shrunk = np.asarray(Image.fromarray(one).resize(small.size(), Image.Resampling.BOX))
    assert np.abs(shrunk.astype(int) - other).mean() < 6
    assert set(measure(loop)) == {"step", "jerk", "pause", "inside", "outside"} and measure(loop)["inside"] > 0.5


def test_a_loop_of_motion_is_shown_and_written_without_a_model_at_the_size_that_is_said(server, loop, tmp_path):
    living = server.write_living(loop)
    assert living.size == loop.picture.size and move(loop)["own"] == 1
    loop.picture.save(tmp_path / "picture.png")
    shown, said = run(server.render(Shown(str(tmp_path / "picture.png"), loop.mask, loop, living=living), True))
    assert (
        all("Rendering · about" in word["words"] and 0 < word["share"] <= 1 for word in said)
        and shown.is_kept()
        and "| Seed | 0 |" in shown.details
    )
    assert unpack(read_metadata(shown.file.path))[0] == loop.settings
    settings = loop.settings.change(motion_strength=0.5, quality="small", codec="av1", tempo=2.0)
    for form in (form for form in FORMATS if not form.beside):
        written, said = run(server.write(shown, settings, form, True, None))
        assert written.path.suffix in form.endings and unpack(read_metadata(written.path))[0] == settings
        told = direct(loop, settings).foretell(hold(settings.output, form), form)
        assert (told.size, told.frames, told.seconds) == (written.size, written.frames, written.seconds)
        said, size = (
            text.describe(form, told, 0, shown.file),
            f"{form.name}, {written.size[0]} x {written.size[1]}, {written.seconds:.2f} s",
        )
        assert said.startswith(f"The file: {size}") and text.describe(form, written, 0).startswith(f"Downloaded: {size}")
        assert ("Shown here at" in said) == (written.size != shown.file.size)
        if form.kind in ("film", "animation"):
            plugin = "pyav" if form.kind == "film" else "pillow"
            assert iio.imread(written.path, plugin=plugin, index=0).shape[1::-1] == written.size


def test_the_film_on_the_page_is_handed_out_as_it_is_and_no_other_file_for_it(server, loop, tmp_path):
    loop.picture.save(tmp_path / "picture.png")
    shown, _ = run(server.render(Shown(str(tmp_path / "picture.png"), loop.mask, loop), True))
    same, said = run(server.write(shown, loop.settings, FORMATS[0], True, None))
    assert not said and same.path.read_bytes() == shown.file.path.read_bytes() and same.path != shown.file.path
    for change in ({"quality": "small"}, {"size": "64x48"}, {"motion_strength": 0.5}, {"seconds": 3.0}):
        other, _ = run(server.write(shown, loop.settings.change(**change), FORMATS[0], True, None))
        assert other.path.read_bytes() != same.path.read_bytes()
        assert unpack(read_metadata(other.path))[0] == loop.settings.change(**change)
    bare, _ = run(server.write(shown, loop.settings, FORMATS[0], False, None))  # without settings in the file
    assert bare.path.read_bytes() != same.path.read_bytes()


def test_frozen_places_say_how_far_they_reach(loop):
    frozen = np.zeros((95, 127), np.float32)
    frozen[40:55, 50:80] = 1
    reach = canvas.open_url(move(direct(loop, loop.settings.change(freeze=small_png(frozen))))["reach"])
    inside = cv2.resize(frozen, reach.shape[::-1], interpolation=cv2.INTER_AREA) > 0.9
    assert reach[inside].min() > 0.95 and reach[:4].max() < 0.05  # beside it more than itself, and not all
    assert inside.mean() < (reach > 0.5).mean() < 0.5
    assert "reach" not in move(loop)


FITTING = {  # picture: words of suggestions that fit it, and words that do not
    "beach": ("waves clouds snow", "breathes smoke her"),
    "lake": ("water clouds", "waves breathes"),
    "red-clouds": ("water clouds", "waves breathes"),
    "surf": ("waves", "breathes"),
    "snow": ("camera", "smoke clouds"),
    "city": ("camera", "clouds breathes"),
    "tree": ("grass clouds", "breathes water"),
    "tulips": ("flowers clouds", "breathes water"),
    "blossoms": ("flowers", "clouds breathes snow"),
    "cat": ("breathes", "waves water clouds snow"),
    "astronaut": ("hair portrait", "her clouds snow"),
    "coffee": ("camera", "portrait breathes snow waves"),
    "rocket": ("camera", "clouds breathes"),
    "flower": ("flowers", "clouds breathes snow"),
}


@pytest.mark.slow
def test_suggestions_are_of_what_the_picture_shows(photos, tmp_path):
    server, machine, answers = Server(), Machine(), []
    for name, words in FITTING.items():
        path = next((ASSETS / "examples" / name).glob("picture.*"), tmp_path / f"{name}.png")
        if name in photos:
            photos[name].save(path)
        said = ", ".join(server.suggest(str(path), machine))
        fits, misfits = map(str.split, words)
        answers += [
            (name, word, (word in said.replace(",", "").split()) == wanted)
            for wanted in (True, False)
            for word in (fits if wanted else misfits)
        ]
    wrong = [(name, word) for name, word, right in answers if not right]
    assert len(wrong) < 0.05 * len(answers), wrong


def test_frames_follow_no_hands_but_the_tempo(server, loop):
    frames = FrameLoop(loop.picture, loop.masks, loop.mask, True, loop.settings, (), np.zeros((8, 95, 127, 3), np.uint8))
    assert server.write_living(frames) is None and move(frames) is None
    assert direct(frames, loop.settings.change(tempo=2.0)).settings.hands.tempo == 2
    with pytest.raises(ValueError, match="^expected a motion strength of 1"):
        direct(frames, loop.settings.change(motion_strength=2.0))
