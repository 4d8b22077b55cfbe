import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from loopanimate.__main__ import Files, animate, main
from loopanimate.files.formats import read_metadata
from loopanimate.files.recipe import unpack, unpack_parts
from loopanimate.scene.finder import BUNDLED
from loopanimate.settings import Machine, make_settings
from tests.clipseg import save_clipseg
from tests.files.test_pictures import bomb


@pytest.fixture
def picture(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def refused(capsys, *arguments) -> str:
    """The one line on stderr of a command that must end with exit status 2."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert ended.value.code == 2 and printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1, printed.err
    return printed.err


def test_a_text_file_as_picture(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("not a picture")
    assert "expected a picture" in refused(capsys, tmp_path / "notes.txt", "it moves", "--output", tmp_path / "loop.mp4")


def test_a_decompression_bomb(capsys, tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb(40_000, 40_000))
    assert "megapixels" in refused(capsys, tmp_path / "bomb.png", "it moves", "--output", tmp_path / "loop.mp4")


def test_an_empty_file(capsys, tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert "nothing in it" in refused(capsys, tmp_path / "empty.jpg", "it moves", "--output", tmp_path / "loop.mp4")


def test_a_missing_file(capsys, tmp_path):
    assert "no such file" in refused(capsys, tmp_path / "none.jpg", "it moves", "--output", tmp_path / "loop.mp4")


def test_an_effect_that_there_is_not(capsys, tmp_path, picture):
    message = refused(capsys, picture, "it moves", "--output", tmp_path / "loop.mp4", "--effect", "hail")
    assert "an effect out of snow, rain" in message and "got hail" in message


def test_a_mask_of_another_shape(capsys, tmp_path, picture):
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    message = refused(capsys, picture, "it moves", "--output", tmp_path / "loop.mp4", "--mask", tmp_path / "mask.png")
    assert "96 x 64" in message and "64 x 64" in message


def test_an_all_black_mask(capsys, tmp_path, picture):
    Image.new("L", (96, 64), 0).save(tmp_path / "mask.png")
    assert "all-black" in refused(capsys, picture, "x", "--output", tmp_path / "l.mp4", "--mask", tmp_path / "mask.png")


@pytest.mark.parametrize("count", [1, 16, 37])
def test_a_wrong_frame_count(count, capsys, tmp_path, picture):
    message = refused(capsys, picture, "it moves", "--output", tmp_path / "loop.mp4", "--num-frames", count)
    assert f"odd frame count 3..35, got {count}" in message


def test_an_unwritable_output(capsys, tmp_path, picture):
    assert "can be written" in refused(capsys, picture, "it moves", "--output", tmp_path / "missing" / "loop.mp4")


def test_an_unknown_ending(capsys, tmp_path, picture):
    assert "ending in .mp4" in refused(capsys, picture, "it moves", "--output", tmp_path / "loop.avi")


def test_an_empty_checkpoint_folder(capsys, tmp_path, picture):
    (tmp_path / "empty").mkdir()
    arguments = (picture, "it moves", "--output", tmp_path / "loop.mp4", "--checkpoint", tmp_path / "empty")
    assert "model_index.json" in refused(capsys, *arguments)


def test_a_checkpoint_without_its_parts(capsys, tmp_path, picture):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "model_index.json").write_text('{"unet": ["loopanimate.network.unet", "LoopAnimateUNet"]}')
    arguments = (picture, "it moves", "--output", tmp_path / "loop.mp4", "--checkpoint", tmp_path / "part")
    assert "missing: unet" in refused(capsys, *arguments)


def test_broken_weights(capsys, tmp_path, picture, small_512):
    small_512.save_pretrained(tmp_path / "broken")
    weights = next((tmp_path / "broken" / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    arguments = (picture, "it moves", "--output", tmp_path / "loop.mp4", "--checkpoint", tmp_path / "broken")
    assert "checkpoint that loads" in refused(capsys, *arguments)


def test_a_hub_out_of_reach(capsys, tmp_path, picture, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    arguments = (picture, "it moves", "--output", tmp_path / "loop.mp4", "--checkpoint", "nobody/nothing-of-the-kind")
    assert "cannot be reached" in refused(capsys, *arguments)


@pytest.mark.parametrize("option, kind", [("--regions-model", "clipseg"), ("--depth-model", "depth_anything")])
def test_a_model_of_regions_or_depth_that_is_none(capsys, tmp_path, picture, option, kind):
    (tmp_path / "empty").mkdir()
    arguments = (picture, "the boat rocks", "--output", tmp_path / "loop.mp4", option, tmp_path / "empty")
    assert f"model_type {kind}" in refused(capsys, *arguments)


def test_what_is_not_found_is_shown_by_an_option(capsys, tmp_path, picture):
    """On the page one clicks or paints."""
    said = refused(capsys, picture, "the lava flows down", "--output", tmp_path / "loop.mp4")
    assert "lava: not found. A mask says where it is: --part WORDS M.png." in said and "lick" not in said


def test_other_models_find_what_moves(capsys, tmp_path, picture, monkeypatch):
    save_clipseg(tmp_path / "clipseg")
    asked = {}

    def make_loops(*_, models, **__):
        asked[models.salient] = models.named(Image.open(picture), "boat").shape
        raise ValueError("enough")

    monkeypatch.setattr("loopanimate.animate.make_loops", make_loops)
    models = ("--regions-model", tmp_path / "clipseg", "--salient-model", "isnet-anime")
    assert "enough" in refused(capsys, picture, "the boat rocks", "--output", tmp_path / "loop.mp4", *models)
    assert asked == {"isnet-anime": (64, 64)}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["", "--seed", "1"], "got nothing"),
        (["!!!"], "expected a sentence that says what should move, got !!!"),
        (["x", "--salient-model", "sam"], "expected a salient model out of u2netp, u2net,"),
        (["x", "--seed", "-1"], "seed"),
        (["x", "--seed", "one"], "seed"),
        (["x", "--fps", "fast"], "native"),
        (["x", "--fps", "0"], "1 to 120"),
        (["x", "--size", "big"], "size"),
        (["x", "--motion-strength", "9"], "motion strength"),
        (["x", "--repeats", "0"], "repeats"),
        (["x", "--steps", "0"], "steps"),
        (["x", "--preset", "512"], "no weights of the paper's model"),
        (["x", "--device", "tpu"], "cuda"),
        (["x", "--arrow", "0,0,1"], "4 values"),
        (["x", "--fps", "500"], "1 to 120"),
        (["x", "--mask-grow", "3000"], "-25 to 25"),
        (["x", "--pin", "0.5,7"], "within the picture"),
        (["x", "--nonsense"], "nonsense"),
        (["x", "--codec", "vp9"], "h264, av1 for .mp4"),
        (["x", "--size", "²x²"], "expected a size of source, 1080p"),
        (["x", "--max-size", "0"], "expected a largest size in megabytes of more than 0 and at most 1000000, got 0"),
        (["x", "--max-size", "ten"], "megabytes"),
        (["x", "--variations", "3"], "ending in .html"),
        (["x", "--variations", "0"], "1 to 8"),
        (["x", "--snippet", "s.txt"], "a snippet ending in .html"),
        (["x", "--size", "64x64,64x64+0+0"], "monitors as WxH,WxH"),
    ],
)
def test_wrong_settings(arguments, words, capsys, tmp_path, picture):
    assert words in refused(capsys, picture, *arguments, "--output", tmp_path / "loop.mp4")
    assert not list(tmp_path.glob("*loop*"))


def test_variations_past_the_largest_seed_are_refused_before_any_work(capsys, tmp_path):
    arguments = (tmp_path / "none.png", "it moves", "--output", tmp_path / "loop.html", "--variations", 2, "--seed", 2**63 - 1)
    assert f"expected a seed of 0 or more and less than {2**63}, got {2**63}" in refused(capsys, *arguments)


def test_manifests_of_what_neither_takes(capsys, tmp_path, picture):
    assert ".mp4, .webm or .html" in refused(capsys, picture, "x", "--manifests", "-o", tmp_path / "loop.gif")


def test_a_living_page_of_the_512_preset(capsys, tmp_path, picture):
    arguments = (picture, "it moves", "--output", tmp_path / "loop.html", "--preset", "512", "--checkpoint", "anywhere")
    assert "motion preset for a living page" in refused(capsys, *arguments)


def test_the_command_makes_a_living_page(tmp_path, picture, capsys):
    Image.new("L", (96, 64), 255).save(tmp_path / "mask.png")
    options = ("--mask", tmp_path / "mask.png", "--num-frames", 5, "--steps", 1, "--variations", 2, "--manifests")
    main([str(argument) for argument in (picture, "it sways", "--output", tmp_path / "loop.html", *options)])
    assert "96 x 64" in capsys.readouterr().out
    written = {path.name for path in tmp_path.iterdir()}
    assert written >= {"loop.html", "project.json", "LivelyInfo.json", "LivelyProperties.json", "preview.jpg"}


def test_the_command_makes_a_loop(tmp_path, picture):
    Image.new("L", (192, 128), 255).save(tmp_path / "mask.png")
    command = [
        sys.executable,
        "-m",
        "loopanimate",
        str(picture),
        "everything levitates",
        "--output",
        str(tmp_path / "loop.webp"),
    ]
    options = [
        "--mask",
        str(tmp_path / "mask.png"),
        "--save-mask",
        str(tmp_path / "used.png"),
        "--num-frames",
        "5",
        "--steps",
        "2",
        "--fps",
        "native",
        "--repeats",
        "2",
    ]
    done = subprocess.run(command + options, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "8 frames, 1.00 s, seed 0" in done.stdout and "Taken for" in done.stdout
    with Image.open(tmp_path / "loop.webp") as loop:
        assert loop.n_frames == 8 and loop.size == (96, 64)
    with Image.open(tmp_path / "used.png") as mask:
        assert mask.size == (96, 64) and mask.getpixel((5, 5)) == 255


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_command_that_is_stopped_leaves_nothing_half_written(how, tmp_path):
    picture = tmp_path / "picture.png"
    Image.effect_noise((96, 64), 60).convert("RGB").save(picture)
    Image.new("L", (96, 64), 255).save(tmp_path / "mask.png")
    command = [
        sys.executable,
        "-m",
        "loopanimate",
        str(picture),
        "it sways",
        "--output",
        str(tmp_path / "loop.mp4"),
        "--mask",
        str(tmp_path / "mask.png"),
        "--num-frames",
        "35",
        "--steps",
        "1",
        "--fps",
        "60",
        "--size",
        "4k",
    ]
    before = signal.signal(how, signal.default_int_handler)  # also where these tests run behind a shell that ignores it
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    signal.signal(how, before)
    while process.poll() is None and len(list(tmp_path.iterdir())) < 3:  # until the file is begun under another name
        time.sleep(0.05)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.strip().splitlines()[-1] == "stopped: nothing was written"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.png", "picture.png"]


def test_directions_and_settings_travel_in_the_file(tmp_path, picture):
    Image.new("L", (96, 64), 255).save(tmp_path / "all.png")
    common = [
        str(picture),
        "everything sways",
        "--mask",
        str(tmp_path / "all.png"),
        "--num-frames",
        "3",
        "--steps",
        "1",
        "--fps",
        "native",
        "--arrow",
        "0.5,0.5,0.6,0.5",
        "--pin",
        "0.2,0.2",
        "--pin",
        "0.8,0.8",
    ]
    main([*common, "--output", str(tmp_path / "loop.mp4"), "--freeze", str(tmp_path / "all.png")])
    settings, mask = unpack(read_metadata(tmp_path / "loop.mp4"))
    assert settings.hands.arrows == ((0.5, 0.5, 0.6, 0.5),) and len(settings.hands.pins) == 2 and settings.hands.freeze
    assert settings.request.prompt == "everything sways" and mask.shape == (64, 96)
    main([*common, "--output", str(tmp_path / "silent.webp"), "--no-metadata"])
    assert read_metadata(tmp_path / "silent.webp") is None


def test_parts_have_masks_of_their_own(tmp_path, picture, capsys):
    """A mask decides for the words that it comes with, and every clause is answered."""
    left = Image.new("L", (96, 64))
    left.paste(255, (0, 0, 40, 64))
    left.save(tmp_path / "left.png")
    prompt, output = "the cup rocks, the door stays shut, it snows", tmp_path / "loop.mp4"
    options = [
        "--part",
        "the cup",
        tmp_path / "left.png",
        "--num-frames",
        3,
        "--steps",
        1,
        "--save-mask",
        tmp_path / "used.png",
    ]
    main([str(argument) for argument in (picture, prompt, "--output", output, *options)])
    said = capsys.readouterr().out
    assert "cup: it rocks." in said and "door: " in said and "snow: falling snow." in said
    used = np.asarray(Image.open(tmp_path / "used.png").resize((96, 64)))
    assert (used[:, :36] > 250).mean() > 0.5 and used[:, 44:].max() < 5  # what rests is taken out
    ((words, mask),) = unpack_parts(read_metadata(output))
    assert words == "the cup" and mask[:, :36].min() > 0.9 and mask[:, 44:].max() < 0.1


def test_a_cut_out_stays_clear_or_is_said_to_stand_before_white(tmp_path, motion_pipeline):
    y, x = np.mgrid[:64, :96]
    disc = (np.hypot(x - 48, y - 32) < 20).astype(np.uint8)
    cut_out = np.dstack([disc * (x * 2), disc * (y * 3), disc * 90, disc * 255]).astype(np.uint8)
    Image.fromarray(cut_out).save(tmp_path / "cut.png")
    settings = make_settings(prompt="it sways", num_frames=3, num_inference_steps=1, fps="native")

    def make(output: str, seconds: float | None = None, **files) -> str:
        given = Files(picture=str(tmp_path / "cut.png"), output=str(tmp_path / output), **files)
        asked = settings.change(seconds=seconds)
        return " ".join(animate(given, asked, Machine(), load=lambda *_: (motion_pipeline, BUNDLED)))

    assert "White" not in make("loop.zip", poster=str(tmp_path / "still.png"))
    with zipfile.ZipFile(tmp_path / "loop.zip") as file, Image.open(file.open("frame-0000.png")) as first:
        assert np.array_equal(np.asarray(first), cut_out) and np.array_equal(
            np.asarray(Image.open(tmp_path / "still.png")), cut_out
        )
    assert "White stands behind the picture: .webm, .webp" in make("loop.mp4")
    said = make("red.webp", background="#f00", poster=str(tmp_path / "still.jpg"), seconds=1.1)
    assert "White" not in said and "1.1 s became 1.00 s" in said  # four rounds of two frames
    assert np.abs(np.asarray(Image.open(tmp_path / "still.jpg"))[2, 2].astype(int) - (255, 0, 0)).max() < 8
    for wrong, words in (({"background": "nocolour"}, "a background such as"), ({"poster": "p.gif"}, "a still ending in .jpg")):
        with pytest.raises(ValueError, match=words):
            make("loop.mp4", **wrong)
    with pytest.raises(ValueError, match="plays for ever"):
        make("loop.html", seconds=3)


def test_three_monitors_a_package_and_a_snippet(tmp_path, motion_pipeline, picture):
    settings = make_settings(prompt="it sways", num_frames=3, num_inference_steps=1, fps="native")

    def make(output: str, settings, **files) -> str:
        given = Files(picture=str(picture), output=str(tmp_path / output), **files)
        return " ".join(animate(given, settings, Machine(), load=lambda *_: (motion_pipeline, BUNDLED)))

    said = make("loop.webp", settings.change(size="64x64,96x64,64x96"))
    assert "224 x 96" in said and all(f"loop-{number}.webp" in said for number in (1, 2, 3))
    assert [Image.open(tmp_path / f"loop-{number}.webp").size for number in (1, 2, 3)] == [(64, 64), (96, 64), (64, 96)]
    make("film.mp4", settings, manifests=True, snippet=str(tmp_path / "s.html"))
    assert 'poster="film-still.jpg"' in (tmp_path / "s.html").read_text() and (tmp_path / "project.json").exists()
    assert Image.open(tmp_path / "film-still.jpg").size == (96, 64) and (tmp_path / "preview.jpg").exists()


def test_a_live_photo_is_two_files_of_three_seconds(tmp_path, motion_pipeline, picture):
    settings = make_settings(prompt="it sways", num_frames=5, num_inference_steps=1, fps=8)
    files = Files(picture=str(picture), output=str(tmp_path / "live.heic"))

    def make(again: bool) -> str:
        return " ".join(animate(files, settings, Machine(), load=lambda *_: (motion_pipeline, BUNDLED), again=again))

    said = make(True)
    assert "3 s became 3.00 s" in said and "live.heic and" in said and "live.mov: 96 x 64, 24 frames" in said
    assert make(False) == ""
    (tmp_path / "live.mov").unlink()
    assert make(False) and (tmp_path / "live.mov").exists()


def test_a_sticker_keeps_to_its_size(tmp_path, motion_pipeline):
    Image.effect_noise((128, 96), 90).convert("RGBA").save(tmp_path / "noise.png")
    files = Files(picture=str(tmp_path / "noise.png"), output=str(tmp_path / "sticker.webp"))
    settings = make_settings(prompt="it sways", num_frames=9, num_inference_steps=1, fps="native", size="sticker", repeats=3)
    said = animate(files, settings, Machine(), load=lambda *_: (motion_pipeline, BUNDLED))
    assert "512 x 512" in said[-1] and 300_000 < (tmp_path / "sticker.webp").stat().st_size <= 500_000
    with pytest.raises(ValueError, match="a largest size only with"):
        animate(Files(picture=files.picture, output="sticker.gif"), settings, Machine())


def test_effects_by_name_and_without(capsys, tmp_path, picture):
    for given, effects in (
        (["--effect", "snow=0.5", "--effect", "fog"], (1.0, 2)),
        (["--no-effects", "--effect-strength", "2"], (0.0, 0)),
        (["--effect-strength", "2", "--no-effects"], (0.0, 0)),
    ):
        main(
            [str(picture), "it snows", "--output", str(tmp_path / "loop.webp"), "--num-frames", "3", "--fps", "native", *given]
        )
        hands = unpack(read_metadata(tmp_path / "loop.webp"))[0].hands
        assert (hands.effect_strength, len(hands.added_effects)) == effects
    said = capsys.readouterr().out.splitlines()
    assert said.count("snow: falling snow.") == 1
    assert said.count("snow: falling snow. Not drawn: light and weather are turned off.") == 2


def test_the_mask_of_weather_is_saved_and_said(capsys, tmp_path, picture):
    left = Image.new("L", (96, 64))
    left.paste(255, (0, 0, 40, 64))
    left.save(tmp_path / "left.png")
    files = [tmp_path / "loop.webp", "--part", "snow", tmp_path / "left.png", "--save-mask", tmp_path / "used.png"]
    main([str(each) for each in (picture, "it snows, heavy snow falls", "--output", *files, "--num-frames", 3)])
    said = capsys.readouterr().out.splitlines()
    assert said.count("snow: falling snow, where its mask is.") == 1
    assert f"{tmp_path / 'used.png'}: where light and weather may be, as nothing moves" in said
    used = np.asarray(Image.open(tmp_path / "used.png"))
    assert used[:, :38].min() == 255 and used[:, 42:].max() == 0
