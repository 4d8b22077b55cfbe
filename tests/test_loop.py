"""The product, with the bundled model, on photographs (the figures of the README)."""

from dataclasses import replace

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from loopanimate.files.recipe import small_png
from loopanimate.loop import LoopSettings, make_loop, make_loops
from loopanimate.metrics import psnr, seam
from loopanimate.motion.field import spline_matrix
from loopanimate.page.preview import measures, scaled

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "flower")


@pytest.fixture(scope="module")
def loops(photos, tmp_path_factory):
    """Each photograph animated with its automatic mask at the native rate: (loop, file)."""
    folder = tmp_path_factory.mktemp("loops")
    made = {}
    for name in NAMES:
        loop = make_loop(photos[name], LoopSettings("it sways to the left", fps="native", seed=1))
        made[name] = loop, loop.write(folder / f"{name}.mp4")
    return made


def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Size of the optical flow between two frames, in short sides, (H, W)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.linalg.norm(estimator.calc(*grey, None), axis=2) / min(first.shape[:2])


@pytest.mark.parametrize("name", NAMES)
def test_a_photograph_becomes_a_seamless_loop(loops, photos, name):
    loop, file = loops[name]
    assert loop.found and file.frames == 34 and file.seconds == 4.25
    decoded = np.stack(list(iio.imiter(file.path, plugin="pyav")))
    assert len(decoded) == 34
    assert iio.immeta(file.path, plugin="pyav")["duration"] == pytest.approx(4.25, abs=0.01)
    measures = seam(decoded)
    assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25

    rendered = np.stack(list(_frames(loop)))
    assert psnr(rendered[0], np.asarray(photos[name])) > 40
    # by what the frames show: inside the mask, and outside of it beyond the reach of the moving edge
    size = min(loop.mask.shape)
    inside = cv2.erode((loop.mask > 0.5).astype(np.uint8), np.ones((size // 40,) * 2)) > 0
    outside = cv2.dilate((loop.mask > 0.2).astype(np.uint8), np.ones((size // 5,) * 2)) == 0
    flows = [flow(rendered[0], frame) for frame in rendered[1:]]
    moved = max(part[inside].mean() for part in flows)
    still = max(part[outside].mean() for part in flows) if outside.any() else 0
    assert moved > 0.003
    assert still <= 0.1 * moved


def test_the_whole_picture_within_a_size(photos, tmp_path):
    settings = LoopSettings("it sways to the left", num_frames=5, num_inference_steps=2, size="160x240", fit=True, fps="native")
    loop = make_loop(photos["coffee"], settings)  # 3 : 2
    assert loop.size == (160, 240) and loop.picture.size == (160, 106)
    still, moved = loop.frames([0, 2])
    assert still.shape == (240, 160, 3) and psnr(still[67:173], np.asarray(loop.picture)) > 40
    apart = np.abs(moved.astype(int) - still).max(2)
    assert apart[67:173].max() > 20 and not apart[:67].any() and not apart[173:].any()
    written = loop.write(tmp_path / "loop.mp4")
    assert written.size == (160, 240) and iio.improps(written.path, plugin="pyav").shape[1:3] == (240, 160)
    alike = make_loop(photos["coffee"], replace(settings, size="600x400"))
    assert alike.surround is None and alike.size == (600, 400)


def test_a_seed_is_one_motion_at_every_size(photos):
    picture, mask = photos["coffee"].resize((240, 160)), np.zeros((160, 240), np.float32)
    mask[40:120, 60:150] = 1
    settings = LoopSettings("it sways to the left", num_frames=15, num_inference_steps=3)
    whole = make_loop(picture, settings, mask)
    phone = whole.resized(picture, replace(settings, size="90x160"), mask)
    again = make_loop(picture, replace(settings, size="90x160"), mask)
    assert phone.size == again.size == (90, 160) and torch.allclose(phone.latents, again.latents)
    left, _, right, _ = phone.part

    def moved(loop):  # pixels, (4, H, W), before the borders' fade
        field = loop.field().at(4.0)[0]
        rows, columns = (spline_matrix(*sides) for sides in zip(field.shape[-2:], loop.picture.size[::-1]))
        return rows @ field @ columns.T * min(loop.picture.size)

    seen = moved(whole)[:, :, round(left * 240) : round(right * 240)]
    assert np.abs(seen[:2]).max() > 0.5 and np.abs(moved(phone) - seen).max() < 0.05 * np.abs(seen).max()


def _frames(loop):
    from loopanimate.loop import pipeline

    codec = pipeline("motion", None, "auto").codec
    return codec.frames(loop.latents, np.asarray(loop.picture), loop.mask, list(range(34)))


@pytest.mark.parametrize("word, sign", [("left", -1), ("right", 1)])
def test_the_direction_is_obeyed(motion_pipeline, photos, word, sign):
    picture = photos["chelsea"].resize((384, 256)).crop((50, 0, 306, 256))
    y, x = np.mgrid[0:256, 0:256]
    mask = Image.fromarray((255 * (np.hypot(x - 130, y - 130) < 90)).astype(np.uint8))
    prompt = f"the cat moves to the {word}"
    obeyed = []
    for seed in range(10):
        latents = motion_pipeline(
            image=picture,
            mask_image=mask,
            prompt=prompt,
            num_frames=35,
            output_type="latent",
            generator=torch.Generator().manual_seed(seed),
        ).frames[0]
        inside = motion_pipeline.codec.displacement(latents)[:, :2, 2:10, 2:10]  # as sampled, drift included
        mean = inside.mean((-2, -1))  # (N, 2)
        obeyed.append(mean[np.linalg.norm(mean, axis=1).argmax(), 0] * sign > 0)
    assert sum(obeyed) >= 8


def test_a_seed_gives_the_same_frames_and_another_gives_others(photos, tmp_path):
    picture = photos["coffee"].resize((192, 128))
    mask = np.ones((128, 192), np.float32)
    latents = []
    for seed in (4, 4, 5):
        settings = LoopSettings("it drifts to the right", num_frames=15, seed=seed)
        latents.append(make_loop(picture, settings, mask).latents)
    assert torch.equal(latents[0], latents[1])
    assert not torch.allclose(latents[0], latents[2], atol=0.05)


def test_progress_is_told_and_cancels(photos):
    picture, mask = photos["coffee"].resize((96, 64)), np.ones((64, 96), np.float32)
    told = []
    settings = LoopSettings("it moves", num_frames=3, num_inference_steps=3)
    make_loop(picture, settings, mask, lambda step, steps: told.append((step, steps)))
    assert told == [(1, 3), (2, 3), (3, 3)]

    def cancel(step, steps):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        make_loop(picture, settings, mask, cancel)


def test_sizes_and_mask_edits(photos, tmp_path):
    picture, mask = photos["coffee"].resize((96, 64)), np.zeros((64, 96), np.float32)
    mask[20:40, 30:60] = 1
    settings = LoopSettings("it moves", num_frames=3, num_inference_steps=1, size="64x96", mask_invert=True, fps="native")
    loop = make_loop(picture, settings, mask)
    assert loop.picture.size == (64, 96) and loop.mask.mean() > 0.5
    assert loop.write(tmp_path / "loop.gif").frames == 2
    with pytest.raises(ValueError, match="expected a mask of 96 x 64"):
        make_loop(picture, settings, mask[:-1])


def test_seeds_sampled_together_are_the_loops_that_they_are_alone(photos):
    picture, mask = photos["coffee"].resize((96, 64)), np.ones((64, 96), np.float32)
    settings = LoopSettings("it drifts to the right", num_frames=7, num_inference_steps=3)
    together = make_loops(picture, settings, [3, 11], mask)
    assert [loop.settings.seed for loop in together] == [3, 11]
    alone = make_loop(picture, replace(settings, seed=11), mask)
    assert torch.allclose(together[1].latents, alone.latents, atol=1e-3)
    assert not torch.allclose(together[0].latents, alone.latents, atol=0.05)


def test_an_arrow_on_a_cropped_size_points_at_the_same_content(photos):
    picture, mask = photos["coffee"].resize((96, 64)), np.ones((64, 96), np.float32)
    settings = LoopSettings("it moves", num_frames=3, num_inference_steps=1, arrows=((0.5, 0.25, 0.75, 0.25),))
    whole, cut = (make_loop(picture, replace(settings, size=size), mask).directions() for size in ("source", "64x64"))
    assert whole.arrows[0] == pytest.approx((0.5, 0.25, 0.75, 0.25))
    assert cut.arrows[0] == pytest.approx((0.5, 0.25, 0.875, 0.25))


def test_what_was_cut_off_directs_nothing_and_a_small_copy_is_directed_alike(photos):
    picture, mask = photos["coffee"].resize((170, 50)), np.ones((50, 170), np.float32)
    freeze = np.zeros((50, 170), np.float32)
    freeze[:, 85:] = 1
    settings = LoopSettings(
        "it moves",
        num_frames=5,
        num_inference_steps=1,
        size="50x50",
        freeze=small_png(freeze),
        arrows=((0.1, 0.5, 0.5, 0.5), (0.5, 0.5, 0.6, 0.5)),
        pins=((0.95, 0.5), (0.4, 0.5)),
    )
    loop = make_loop(picture, settings, mask)
    kept = loop.directions()
    assert kept.arrows == (pytest.approx((0.5, 0.5, 0.84, 0.5)),) and kept.pins == (pytest.approx((0.16, 0.5)),)
    assert kept.freeze[:, :24].max() == 0 and kept.freeze[:, 26:].min() == 1
    small = scaled(loop, 20).directions()
    assert small.arrows == kept.arrows and small.pins == kept.pins
    assert small.freeze.shape == (20, 20) and small.freeze[:, :9].max() == 0 and small.freeze[:, 11:].min() == 1
    assert np.isfinite(list(measures(loop).values())).all()
