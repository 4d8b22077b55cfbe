"""The product, with the bundled model, on photographs (the figures of the README)."""

from dataclasses import replace

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from loopanimate.animate import make_loops
from loopanimate.checkpoints import load_quietly
from loopanimate.effects.state import sprites_at
from loopanimate.files.recipe import small_png
from loopanimate.loop import FrameLoop, MotionLoop
from loopanimate.metrics import psnr, seam
from loopanimate.motion.spline import spline_matrix
from loopanimate.presets import DEFAULT
from loopanimate.settings import make_settings
from loopanimate.staging import Note
from tests.motion.motions import STILL, circle

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "flower")
QUICK = {"num_frames": 5, "num_inference_steps": 1}


@pytest.fixture
def make(motion_pipeline):
    """Make one loop: picture, mask or None, and settings by name."""

    def made(picture, mask=None, prompt="it moves", **settings):
        return make_loops(motion_pipeline, picture, make_settings(prompt=prompt, **settings), mask=mask)[0]

    return made


@pytest.fixture(scope="module")
def default_pipeline():
    """What a command loads that says nothing of presets."""
    return load_quietly(DEFAULT, device="cpu")


@pytest.fixture
def coffee(photos):
    return photos["coffee"].resize((96, 64))


def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Size of the optical flow between two frames, in short sides, (H, W)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.linalg.norm(estimator.calc(*grey, None), axis=2) / min(first.shape[:2])


@pytest.mark.parametrize("name", NAMES)
def test_a_photograph_becomes_a_seamless_loop(default_pipeline, photos, name, tmp_path):
    settings = make_settings(prompt="it sways to the left", fps="native", seed=1)
    (loop,) = make_loops(default_pipeline, photos[name], settings)
    file = loop.write(tmp_path / f"{name}.mp4")
    assert loop.found and file.frames == 34 and file.seconds == 4.25
    decoded = np.stack(list(iio.imiter(file.path, plugin="pyav")))
    assert len(decoded) == 34
    assert iio.immeta(file.path, plugin="pyav")["duration"] == pytest.approx(4.25, abs=0.01)
    measures = seam(decoded)
    assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25

    rendered = np.stack(list(loop.frames(range(34))))
    assert psnr(rendered[0], np.asarray(photos[name])) > 40
    # by what the frames show: inside the mask, and outside of it beyond the reach of the moving edge
    size = min(loop.mask.shape)
    inside = cv2.erode((loop.mask > 0.5).astype(np.uint8), np.ones((size // 40,) * 2)) > 0
    outside = cv2.dilate((loop.mask > 0.2).astype(np.uint8), np.ones((size // 5,) * 2)) == 0
    flows = [flow(rendered[0], frame) for frame in rendered[1::3]]
    moved = max(part[inside].mean() for part in flows)
    still = max(part[outside].mean() for part in flows) if outside.any() else 0
    assert moved > 0.003
    assert still <= 0.1 * moved


def test_the_whole_picture_within_a_size(make, photos, tmp_path):
    loop = make(photos["coffee"], prompt="it sways to the left", size="160x240", fit=True, fps="native", **QUICK)  # 3 : 2
    inner = loop.view().picture
    assert loop.size() == (160, 240) and inner.size == (160, 106) and loop.picture.size == photos["coffee"].size
    still, moved = loop.frames([0, 2])
    assert still.shape == (240, 160, 3) and psnr(still[67:173], np.asarray(inner)) > 40
    apart = np.abs(moved.astype(int) - still).max(2)
    assert apart[67:173].max() > 20 and not apart[:67].any() and not apart[173:].any()
    written = loop.write(tmp_path / "loop.mp4")
    assert written.size == (160, 240) and iio.improps(written.path, plugin="pyav").shape[1:3] == (240, 160)
    alike = loop.view(loop.settings.change(size="600x400").output)
    assert alike.surround is None and alike.size == (600, 400)


def test_a_seed_is_one_motion_at_every_size(make, photos):
    picture, mask = photos["coffee"].resize((240, 160)), np.zeros((160, 240), np.float32)
    mask[40:120, 60:150] = 1
    asked = {"prompt": "it sways to the left", "num_frames": 15, "num_inference_steps": 3}
    whole, again = (make(picture, mask, size=size, **asked) for size in ("source", "90x160"))
    assert again.size() == (90, 160) and np.array_equal(whole.motion.ring, again.motion.ring)
    phone = whole.view(again.settings.output)
    left, _, right, _ = phone.part

    def moved(shown):  # pixels, (2, 2, H, W), before the borders' fade
        field = whole.field(shown).at(4.0)[0]
        rows, columns = (spline_matrix(*sides) for sides in zip(field.shape[-2:], shown.picture.size[::-1]))
        return rows @ field @ columns.T * min(shown.picture.size)

    seen = moved(whole.view())[..., round(left * 240) : round(right * 240)]
    assert np.abs(seen[0]).max() > 0.5 and np.abs(moved(phone) - seen).max() < 0.05 * np.abs(seen).max()


@pytest.mark.slow
@pytest.mark.parametrize("word, sign", [("left", -1), ("right", 1)])
def test_the_network_obeys_a_direction(motion_pipeline, photos, word, sign):
    picture = photos["chelsea"].resize((384, 256)).crop((50, 0, 306, 256))
    y, x = np.mgrid[0:256, 0:256]
    mask = Image.fromarray((255 * (np.hypot(x - 130, y - 130) < 90)).astype(np.uint8))
    latents = motion_pipeline(
        image=picture,
        mask_image=mask,
        prompt=f"the cat moves to the {word}",
        output_type="latent",
        num_frames=15,
        num_videos_per_prompt=6,
        generator=[torch.Generator().manual_seed(seed) for seed in range(6)],
    ).frames
    obeyed = 0
    for clip in latents:
        mean = motion_pipeline.codec.decode_motion(clip).unrolled()[:, 0, :, 2:10, 2:10].mean((-2, -1))  # (N, 2)
        obeyed += mean[np.linalg.norm(mean, axis=1).argmax(), 0] * sign > 0
    assert obeyed >= 5


@pytest.mark.parametrize("word, sign", [("left", -1), ("right", 1)])
def test_the_student_obeys_a_direction_in_two_passes(photos, word, sign):
    pipe = load_quietly("quick")
    passes = []
    pipe.unet.register_forward_hook(lambda *_: passes.append(1))
    y, x = np.mgrid[0:256, 0:256]
    mask = Image.fromarray((255 * (np.hypot(x - 130, y - 130) < 90)).astype(np.uint8))
    latents = pipe(
        image=photos["chelsea"].resize((384, 256)).crop((50, 0, 306, 256)),
        mask_image=mask,
        prompt=f"the cat moves to the {word}",
        output_type="latent",
        num_frames=15,
        num_videos_per_prompt=10,
        generator=[torch.Generator().manual_seed(seed) for seed in range(10)],
    ).frames
    means = [pipe.codec.decode_motion(clip).unrolled()[:, 0, :, 2:10, 2:10].mean((-2, -1)) for clip in latents]
    assert len(passes) == 2
    assert sum(mean[np.linalg.norm(mean, axis=1).argmax(), 0] * sign > 0 for mean in means) >= 8


def test_a_wrap_is_proved_on_the_motion_that_is_shown(motion_pipeline, photos, monkeypatch):
    """Today's words for "rustles" bend a thing from its base, but a statue is rigid: both must be proved and shown so."""
    proved = []
    monkeypatch.setattr("loopanimate.animate.prover", lambda picture, mask: lambda motion: proved.append(motion) or True)
    picture, mask = photos["coffee"].resize((96, 64)), np.zeros((64, 96), np.float32)
    mask[16:56, 30:60] = 1
    settings = make_settings(prompt="the statue rustles", num_frames=15, num_inference_steps=2)
    loop = make_loops(motion_pipeline, picture, settings, mask=mask)[0]
    assert loop.intents[0].rigid and loop.notes
    assert np.allclose(proved[-1].ring, loop.field(loop.view()).ring, atol=1e-6)
    assert proved[-1].ring.any()


def test_a_seed_gives_the_same_loop_alone_or_beside_others(motion_pipeline, coffee):
    settings = make_settings(prompt="it drifts to the right", num_frames=7, num_inference_steps=3, seed=11)
    mask = np.ones((64, 96), np.float32)
    alone, again = (make_loops(motion_pipeline, coffee, settings, mask=mask)[0] for _ in range(2))
    assert np.array_equal(alone.motion.ring, again.motion.ring)
    together = make_loops(motion_pipeline, coffee, settings, [3, 11], mask)
    assert [loop.settings.request.seed for loop in together] == [3, 11]
    assert np.allclose(together[1].motion.ring, alone.motion.ring, atol=1e-5)
    assert np.abs(together[0].motion.ring - alone.motion.ring).max() > 1e-3


def test_progress_is_told_and_cancels(motion_pipeline, coffee):
    told, seen, mask = [], [], np.ones((64, 96), np.float32)
    settings = make_settings(prompt="it moves", num_frames=3, num_inference_steps=3)
    make_loops(motion_pipeline, coffee, settings, None, mask, lambda *done: told.append(done), seen.append)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len(seen) == 3 and next(seen[0].frames([1])).shape == (64, 96, 3)

    def cancel(step, steps):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        make_loops(motion_pipeline, coffee, settings, None, mask, cancel)


def test_sizes_and_mask_edits(make, coffee, tmp_path):
    mask = np.zeros((64, 96), np.float32)
    mask[20:40, 30:60] = 1
    loop = make(coffee, mask, num_frames=3, num_inference_steps=1, size="64x96", mask_invert=True, fps="native")
    assert loop.view().picture.size == (64, 96) and loop.mask.mean() > 0.5
    assert loop.write(tmp_path / "loop.gif").frames == 2
    with pytest.raises(ValueError, match="expected a mask of 96 x 64"):
        make(coffee, mask[:-1])


def test_directions_go_with_their_content_to_another_shape(make, photos, monkeypatch):
    directed = {}
    monkeypatch.setattr(
        "loopanimate.loop.direct", lambda motion, arrows, pins, *_: directed.update(arrows=arrows, pins=pins) or motion
    )
    monkeypatch.setattr("loopanimate.loop.freeze", lambda motion, frozen: directed.update(frozen=frozen) or motion)
    picture, mask = photos["coffee"].resize((170, 50)), np.ones((50, 170), np.float32)
    frozen = np.zeros((50, 170), np.float32)
    frozen[:, 85:] = 1
    arrows, pins = ((0.1, 0.5, 0.5, 0.5), (0.5, 0.5, 0.6, 0.5)), ((0.95, 0.5), (0.4, 0.5))
    loop = make(picture, mask, size="50x50", freeze=small_png(frozen), arrows=arrows, pins=pins, **QUICK)
    loop.field(loop.view())
    # the middle 50 of 170 columns are shown: what ends outside of them has gone
    assert directed["arrows"] == [pytest.approx((0.5, 0.5, 0.84, 0.5))] and directed["pins"] == [pytest.approx((0.16, 0.5))]
    assert directed["frozen"].shape == (50, 50)
    assert directed["frozen"][:, :24].max() == 0 and directed["frozen"][:, 26:].min() == 1


def test_hands_change_a_loop_without_sampling(make, coffee):
    loop = make(coffee, np.ones((64, 96), np.float32), num_frames=15, num_inference_steps=2)
    still = replace(loop, settings=loop.settings.change(motion_strength=0))
    frames = list(still.frames([0, 5]))
    assert np.array_equal(*frames) and not np.array_equal(*loop.frames([0, 5]))


def test_an_appearance_model_gives_frames_at_the_shape_that_is_shown(small_512, coffee, tmp_path):
    mask = np.ones((64, 96), np.float32)
    settings = make_settings(prompt="left", preset="512", num_frames=5, num_inference_steps=2, size="64x64")
    loop = make_loops(small_512, coffee, settings, mask=mask)[0]
    assert isinstance(loop, FrameLoop) and len(loop.sampled) == 4 and loop.size() == (64, 64)
    assert next(loop.frames([0.5])).shape == (64, 64, 3)
    assert loop.write(tmp_path / "loop.webp").frames == 15
    with pytest.raises(ValueError, match="expected the quick or motion preset for a living page"):
        loop.write(tmp_path / "loop.html")
    for wrong in ({"motion_strength": 2}, {"pins": ((0.5, 0.5),)}):
        with pytest.raises(ValueError, match="samples frames, not motion"):
            make_loops(small_512, coffee, settings.change(**wrong), mask=mask)


def test_masks_of_named_things_are_checked_before_any_work(motion_pipeline, coffee):
    size, settings = coffee.size[::-1], make_settings(prompt="the cup rocks")
    full, black = np.ones(size, np.float32), np.zeros(size, np.float32)
    for given, words in (
        ({"mask": full[1:]}, "expected a mask of"),
        ({"given": [("the cup", full[1:])]}, "expected a mask of"),
        ({"mask": black}, "black"),
        ({"given": [("the cup", black)]}, "black"),
        ({"given": [("the tree", full)]}, '\\(cup\\), got "the tree"'),
    ):
        with pytest.raises(ValueError, match=words):
            make_loops(motion_pipeline, coffee, settings, **given)


def test_a_prompt_of_weather_alone_needs_no_sampling(motion_pipeline, coffee, monkeypatch, tmp_path):
    monkeypatch.setattr(type(motion_pipeline), "__call__", None)
    loop = make_loops(motion_pipeline, coffee, make_settings(prompt="it snows", fps=10, num_frames=9))[0]
    frames, again, bare = (
        list(each.frames([0, 3.5, 8]))
        for each in (loop, loop, replace(loop, settings=loop.settings.change(effect_strength=0.0)))
    )
    assert all(np.array_equal(frame, np.asarray(coffee)) for frame in bare)
    assert all(map(np.array_equal, frames, again)) and np.array_equal(frames[0], frames[2])
    assert psnr(frames[1], bare[1]) < 45
    written = loop.write(tmp_path / "loop.mp4")
    assert written.frames == 10 and loop.write(tmp_path / "loop.html").path.is_file()
    directed = loop.settings.change(effect_strength=0.0, arrows=((0.4, 0.5, 0.6, 0.5),), pins=((0.1, 0.1),))
    (moved,) = replace(loop, settings=directed).frames([4])  # a picture at rest obeys hands too
    assert psnr(moved, bare[0]) < 30


def test_light_stays_on_what_it_lies_on_before_a_camera(motion_pipeline):
    picture = np.full((180, 320, 3), (30, 40, 60), np.uint8)
    picture[10:170:16, 12:310:18] = 255
    prompt = "the lights twinkle, the camera moves in"
    loop = make_loops(motion_pipeline, Image.fromarray(picture), make_settings(prompt=prompt, num_frames=35))[0]
    view = loop.view()
    overlay, field = loop.overlay(view), loop.field(view)
    places = np.array(overlay.sparks[0].rows)[:, :2]
    rows, columns = (spline_matrix(cells, side) for cells, side in zip(field.winding.shape[-2:], (180, 320)))
    moved = 0.0
    for time in (5, 12.5, 17):
        shown = sprites_at(overlay, time / 34, 1.0)[: len(places), :2]
        moved = max(moved, float(np.abs(shown - places).max()))
        inside = ((shown > 0.05) & (shown < np.array([320, 180]) / 180 - 0.05)).all(1)
        x, y = np.rint(180 * shown[inside] - 0.5).astype(int).T
        ways = (rows @ field.at(time)[0] @ columns.T)[..., y, x]  # (L, 2, S)
        apart = np.linalg.norm(shown[inside].T - ways - places[inside].T, axis=1).min(0)
        assert inside.sum() > 100 and apart.max() < 0.006
    assert moved > 0.02
    still = replace(loop, settings=loop.settings.change(motion_strength=0.0))
    assert np.allclose(sprites_at(still.overlay(view), 0.5, 1.0)[: len(places), :2], places)


def test_effects_by_name_are_added_and_take_the_place_of_the_same_in_the_prompt(motion_pipeline, coffee):
    loop = make_loops(motion_pipeline, coffee, make_settings(prompt="it snows", num_frames=5))[0]
    counts = []
    for added in ((), (("snow", 2.0),), (("snow", 1.0), ("fog", 0.5))):
        overlay = replace(loop, settings=loop.settings.change(added_effects=added)).overlay(loop.view())
        counts.append((len(overlay.particles[0].rows), len(overlay.particles), len(overlay.fogs)))
    assert counts[1] == (2 * counts[0][0], 1, 0) and counts[2] == (counts[0][0], 1, 1)


def test_the_same_weather_said_twice_is_drawn_once(motion_pipeline, coffee):
    loop = make_loops(motion_pipeline, coffee, make_settings(prompt="it snows, snow falls behind the cup, it rains"))[0]
    assert [effect.effect.look for effect in loop.air.effects] == ["snow", "rain"]
    assert sum(particles.shape == "disc" for particles in loop.overlay(loop.view()).particles) == 2  # besides rings of rain


def test_notes_claim_nothing_that_hands_turn_off(motion_pipeline, coffee):
    loop = make_loops(motion_pipeline, coffee, make_settings(prompt="it snows, the tower stands still"))[0]
    off = replace(loop, settings=loop.settings.change(effect_strength=0.0))
    assert [note.said.endswith("turned off.") for note in off.notes] == [True, False]
    assert off.answers == loop.answers == loop.notes
    none = replace(loop, settings=loop.settings.change(added_effects=(("snow", 0.0),)))
    assert [note.said.endswith("amount is 0.") for note in none.notes] == [True, False]


def test_what_rests_alone_is_said_and_nothing_moves(motion_pipeline, coffee):
    for prompt in ("nothing moves", "the ships do not move", "static camera"):
        loop = make_loops(motion_pipeline, coffee, make_settings(prompt=prompt, num_frames=5))[0]
        assert len(loop.notes) == 2 and loop.notes[1].said == "So nothing moves." and not loop.mask.any()
        still, later = loop.frames([0, 2])
        assert np.array_equal(still, later) and np.array_equal(still, coffee)
        assert next(loop.frames([1], loop.settings.change(size="40x60").output)).shape == (60, 40, 3)


def test_the_mask_of_a_picture_that_rests_is_where_its_weather_is(motion_pipeline, coffee):
    own = np.zeros((64, 96), np.float32)
    own[:, :40] = 1
    settings = make_settings(prompt="it snows", num_frames=5)
    loop = make_loops(motion_pipeline, coffee, settings, given=[("snow", own)])[0]
    assert np.abs(loop.mask - own).max() < 0.01 and loop.masks == ()
    assert make_loops(motion_pipeline, coffee, settings)[0].mask.min() == 1


def test_the_surround_of_a_fitted_picture_is_left_alone(motion_pipeline, coffee):
    loop = make_loops(motion_pipeline, coffee, make_settings(prompt="it snows", size="64x96", fit=True, num_frames=5))[0]
    first, second = loop.frames([0, 2])
    apart = (first != second).any(2)
    assert apart.any() and not apart[:20].any() and not apart[-20:].any()


def test_masks_of_a_large_picture_are_kept_small_and_show_the_same(make, photos, monkeypatch):
    picture = photos["coffee"]
    mask = np.zeros(picture.size[::-1], np.float32)
    mask[120:300, 180:420] = 1
    whole = make(picture, mask, **QUICK)
    monkeypatch.setattr("loopanimate.files.pictures.MASK_PIXELS", picture.width * picture.height // 9)
    kept = make(picture, mask, **QUICK)
    assert whole.mask.shape == mask.shape and kept.mask.nbytes * 8 < mask.nbytes and kept.picture.size == picture.size
    for size in ("source", "320x320"):
        output = make_settings(prompt="x", size=size).output
        views = [loop.view(output) for loop in (whole, kept)]
        assert np.allclose(views[0].part, views[1].part, atol=0.002) and views[0].mask.shape == views[1].mask.shape
        frames = [next(loop.frames([2], output)).astype(int) for loop in (whole, kept)]
        assert np.abs(frames[0] - frames[1]).mean() < 1 < np.abs(frames[0] - np.asarray(views[0].picture)).max()


@pytest.mark.parametrize("shape", [(576, 48), (48, 576)])
def test_a_panorama_becomes_a_seamless_loop(make, photos, shape, tmp_path):
    picture = photos["coffee"].resize(shape)
    loop = make(picture, prompt="it sways", fps="native", num_frames=9, num_inference_steps=2)
    file = loop.write(tmp_path / "long.mp4")
    decoded = np.stack(list(iio.imiter(file.path, plugin="pyav")))
    assert decoded.shape == (8, *shape[::-1], 3) and seam(decoded)["step"] <= 1.25
    assert np.abs(decoded.astype(int) - decoded[0]).mean() > 0.3


def test_a_wheel_turns_on_and_on(make, photos):
    picture = photos["coffee"].resize((240, 160))
    rows, columns = np.indices((160, 240)) + 0.5
    wheel = (np.hypot(rows - 80, columns - 120) < 50).astype(np.float32)
    loop = make(picture, wheel, prompt="the wheel turns clockwise", num_frames=17, num_inference_steps=2)
    assert [note.said for note in loop.notes] == ["wheel: it turns round and round clockwise."]
    frames = np.stack(list(loop.frames(np.arange(0, 16, 0.5))))
    assert np.array_equal(frames[0], np.asarray(picture)) and seam(frames)["step"] <= 1.25
    inside = np.hypot(rows - 80, columns - 120) < 46
    quarters = [np.rot90(np.asarray(picture)[:, 40:200], -count) for count in (1, 2, 3)]  # clockwise
    for frame, turned in zip(frames[8::8], quarters):
        assert psnr(frame[:, 40:200][inside[:, 40:200]], turned[inside[:, 40:200]]) > 30
    rest = np.hypot(rows - 80, columns - 120) > 56
    assert np.abs(frames[8].astype(int) - frames[0])[rest].max() <= 2

    def turns(**hands):
        held = replace(loop, settings=loop.settings.change(**hands))
        return held.field(held.view()).spins[0]

    assert turns(pins=((0.1, 0.5),)) and turns(arrows=((0.9, 0.5, 0.95, 0.5),))
    assert not turns(pins=((0.5, 0.4),)) and not turns(arrows=((0.5, 0.5, 0.7, 0.5),)) and not turns(motion_strength=0)
    white = small_png(np.ones((160, 240), np.float32))
    assert not turns(freeze=white) and not turns(size="60x120")  # which cuts it
    filmed = make(picture, wheel, prompt="the wheel turns, the camera zooms in", num_frames=17, num_inference_steps=2)
    field = filmed.field(filmed.view())
    assert field.spins[0] and np.hypot(*field.ring[8, 0])[:, 0].max() > 1.2  # half a round: twice as far as from the middle


def test_a_camera_moves_a_picture_at_rest_and_one_that_moves(motion_pipeline, coffee):
    loop = make_loops(motion_pipeline, coffee, make_settings(prompt="the camera moves in slowly", fps=10, num_frames=9))[0]
    assert not loop.motion.ring.any() and [note.said for note in loop.notes] == ["The camera moves in."]
    assert loop.motion.num_layers == len(loop.masks) + 1 == len(loop.shot.near)
    first, middle, again = loop.frames([0, 4, 8])
    assert np.array_equal(first, np.asarray(coffee)) and np.array_equal(again, first) and psnr(middle, first) < 30
    still = replace(loop, settings=loop.settings.change(motion_strength=0))
    assert np.array_equal(next(still.frames([4])), first)
    phone = loop.field(loop.view(loop.settings.change(size="64x96").output))
    assert phone.winding.shape[-2:] == (36, 24) and phone.reach > 0.01
    both = make_loops(motion_pipeline, coffee, make_settings(prompt="the cup rocks, the camera zooms in", num_frames=9))[0]
    assert both.motion.ring.any() and {note.said for note in both.notes} >= {"The camera moves in."}
    assert both.field(both.view()).reach > replace(both, shot=None).field(both.view()).reach


def test_a_small_picture_is_enlarged_by_the_network_and_moves_the_same(make, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("loopanimate.render.enlarger.load", lambda device: pytest.fail("the network was asked"))
    small = photos["coffee"].resize((96, 64), Image.Resampling.BOX)
    loop = make(small, size="240x160", fps="native", **QUICK)

    def by(way: str, size: str = "240x160"):
        return loop.settings.change(enlarge=way, size=size).output

    off = loop.view(by("off"))
    assert np.array_equal(off.picture, small.resize((240, 160), Image.Resampling.LANCZOS))
    assert np.array_equal(loop.view(by("auto", "144x96")).picture, loop.view(by("off", "144x96")).picture)  # 1.5 x
    assert np.array_equal(loop.view(by("photo", "source")).picture, small)
    frames = FrameLoop(small, loop.masks, loop.mask, True, loop.settings, (), np.zeros((4, 64, 96, 3), np.uint8))
    assert np.array_equal(frames.view().picture, off.picture) and not frames.tell_enlarged()
    monkeypatch.undo()

    larger = loop.view(by("auto"))
    sharp = np.asarray(photos["coffee"].resize((240, 160), Image.Resampling.BOX))
    assert psnr(np.asarray(larger.picture), sharp) > psnr(np.asarray(off.picture), sharp) + 0.3
    assert larger.part == off.part and all(map(np.array_equal, larger.masks, off.masks))
    assert np.array_equal(loop.field(larger).ring, loop.field(off).ring)
    assert not np.array_equal(loop.view(by("photo")).picture, loop.view(by("drawing")).picture)

    first = next(loop.frames([0]))
    assert psnr(first, np.asarray(larger.picture)) > 40
    assert loop.write(tmp_path / "a.mp4").enlarged == "The picture was enlarged 2.5 x by the network, before it moved."
    said = loop.write_page(tmp_path / "a.html", output=by("drawing", "120x160")).enlarged  # cut to a part of its width
    assert said == "The picture was enlarged 2.5 x by the network, as a drawing, before it moved."
    assert not loop.write(tmp_path / "a.mp4", by("off")).enlarged
    fitted = loop.settings.change(size="240x500", fit=True).output
    assert loop.factor(fitted) == 2.5 and loop.view(fitted).picture.size == (240, 160)


def test_what_is_cancelled_while_a_picture_is_enlarged_ends_there(make, photos, tmp_path, monkeypatch):
    loop = make(photos["coffee"].resize((90, 64), Image.Resampling.BOX), size="225x160", fps="native", **QUICK)
    monkeypatch.setattr("loopanimate.render.enlarger.Network.enlarge", lambda *_: pytest.fail("the network went on"))

    def stop(done, count):
        assert done == 0
        raise InterruptedError

    for name in ("a.mp4", "a.html"):
        with pytest.raises(InterruptedError):
            loop.write(tmp_path / name, progress=stop)
    assert not list(tmp_path.iterdir())


def test_what_a_face_does_is_said_not_to_be_drawn_in_pixel_art():
    squares = np.random.default_rng(0).integers(0, 4, (16, 24, 1), np.uint8) * np.array([[[60, 40, 20]]], np.uint8)
    picture, mask = Image.fromarray(squares.repeat(4, 0).repeat(4, 1)), np.ones((64, 96), np.float32)
    answers = Note("She blinks.", acts=True), Note("The sea ripples.")
    loop = MotionLoop(picture, (mask,), mask, True, make_settings(prompt="x", num_frames=9), answers, circle(9), STILL)
    first, second = loop.notes
    assert first.said.startswith("She blinks. Not drawn:") and second.said == "The sea ripples."
    assert replace(loop, settings=loop.settings.change(scale="smooth")).notes == answers


def test_a_cut_out_is_enlarged_as_its_alpha_is(make, photos):
    small = photos["coffee"].resize((96, 64))
    alpha = np.zeros((64, 96), np.uint8)
    alpha[16:48, 24:72] = 255
    loop = replace(make(small, size="240x160", **QUICK), alpha=alpha)
    off = loop.view(loop.settings.change(enlarge="off").output)
    assert np.array_equal(loop.view().alpha, off.alpha) and np.array_equal(loop.view().picture, off.picture)
    assert not loop.tell_enlarged()
