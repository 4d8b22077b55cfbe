import math

import numpy as np
import pytest
import torch

from loopanimate.metrics import seam
from loopanimate.motion.field import paced, turned, warp
from loopanimate.network.motion_codec import MotionCodec, latent_grid, static_code
from tests.fields import curve


def test_latent_grid_keeps_the_aspect_in_multiples_of_four():
    assert latent_grid(512, 512, 12) == (12, 12)
    assert latent_grid(1080, 1920, 12) == (12, 20)
    assert latent_grid(2100, 900, 12) == (28, 12)
    assert latent_grid(500, 520, 12) == (12, 12)


def test_the_first_frame_is_zero():
    codec = MotionCodec()
    assert not codec.encode(torch.rand(1, 3, 1, 96, 96)).any()


def test_a_clip_becomes_its_displacements():
    generator = torch.Generator().manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.randn(1, 3, 24, 24, generator=generator), size=(192, 192), mode="bicubic")
    mask = torch.zeros(1, 1, 192, 192)
    mask[..., 48:144, 48:144] = 1
    shift = torch.zeros(1, 2, 192, 192)
    shift[:, 0], shift[:, 1] = 0.03, -0.015  # to the right and up
    moved = warp(picture, shift) * warp(mask, shift) + picture * (1 - warp(mask, shift))
    codec = MotionCodec()
    latents = codec.encode(torch.stack([picture, moved], dim=2).clamp(-1, 1), mask)
    displacement = codec.displacement(latents[0])
    centre = displacement[1, :, 5:7, 5:7].mean((-2, -1))
    assert np.allclose(centre[:2], [0.03, -0.015], atol=0.004)
    assert np.abs(displacement[1, 2:, 0]).max() < 0.004
    assert not displacement[0].any()


def test_static_code_is_the_picture_at_latent_size():
    grey = torch.full((1, 3, 96, 192), 0.5)
    code = static_code(grey, (12, 24))
    assert code.shape == (1, 4, 12, 24)
    assert torch.allclose(code[:, 0], torch.full((1, 12, 24), 1.0), atol=1e-5) and code[:, 1:].abs().max() < 1e-2
    large = static_code(grey[..., :1].expand(-1, -1, -1, 96).repeat(1, 1, 10, 10), (12, 12))
    assert torch.allclose(large[:, 0], code[:, 0, :, :12], atol=1e-5)


def test_saves_and_loads_its_scale(tmp_path):
    codec = MotionCodec(standard_deviation=(0.1, 0.2, 0.3, 0.4))
    codec.save_pretrained(tmp_path)
    assert MotionCodec.from_pretrained(tmp_path).config.standard_deviation == list(codec.config.standard_deviation)


def test_a_loop_is_drawn_where_its_latents_lie_wherever_the_networks_are(blob):
    latents, (image, mask) = torch.randn(4, 5, 12, 16), blob
    here, elsewhere = (list(codec.frames(latents, image, mask, [0, 2])) for codec in (MotionCodec(), MotionCodec().to("meta")))
    assert all(np.array_equal(*pair) for pair in zip(here, elsewhere))


def test_latents_are_displacement_compressed_and_back():
    generator = torch.Generator().manual_seed(0)
    displacement = 0.05 * torch.randn(2, 4, 15, 12, 12, generator=generator)
    displacement[:, :, 0] = 0
    codec = MotionCodec()
    latents = codec.compress(displacement)
    ring, winding = codec.expand(latents)
    ramp = torch.linspace(0, 1, 15).view(1, 1, -1, 1, 1)
    assert torch.allclose(ring + ramp * winding, displacement, atol=1e-6)
    assert torch.equal(winding, codec.expand(latents[:, :, [0, -1]])[1])
    scale = torch.tensor(codec.config.standard_deviation).view(1, 4, 1, 1, 1)
    faint = codec.compress(displacement * 1e-4)[:, :, 1:] * scale  # linear below the knees
    back = (displacement - ramp * displacement[:, :, -1:])[:, :, 1:] / codec.config.knee
    carried = displacement[:, :, -1:] / codec.config.stream_knee
    assert torch.allclose(faint, 1e-4 * (back + carried), atol=1e-6)
    assert not latents[:, :, 0].any()


def test_constrained_latents_lose_only_what_is_too_quick():
    turn = 2 * torch.pi * torch.arange(35) / 34
    slow = 0.03 * (torch.cos(2 * turn) - 1).view(1, 1, 35, 1, 1).expand(1, 4, 35, 12, 12)
    quick = 0.004 * torch.sin(14 * turn).view(1, 1, 35, 1, 1)
    codec = MotionCodec()

    def kept(displacement):
        return torch.from_numpy(codec.displacement(codec.constrain(codec.compress(displacement))[0])).transpose(0, 1)

    assert torch.allclose(kept(slow), slow[0], atol=1e-5)
    assert torch.allclose(kept(slow + quick), slow[0], atol=1e-5)
    flowing = slow + torch.linspace(0, 0.3, 35).view(1, 1, 35, 1, 1)
    assert torch.allclose(kept(flowing), flowing[0], atol=1e-4)
    assert not codec.displacement(torch.randn(4, 15, 12, 12))[0].any()
    assert np.isfinite(codec.displacement(1e4 * torch.randn(4, 15, 12, 12))).all()


def test_a_loop_begins_where_it_neither_rests_nor_jerks():
    codec, mask = MotionCodec(), torch.ones(2, 1, 12, 12)
    turn = 2 * torch.pi * torch.arange(35) / 34
    resting = 0.02 * (torch.cos(turn) - 1)  # at its end, where it turns back
    passing = 0.02 * (torch.sin(2 * turn + 0.4) - torch.sin(torch.tensor(0.4)))
    clips = torch.stack([resting, passing]).view(2, 1, 35, 1, 1).expand(2, 4, 35, 12, 12)
    clips = clips + torch.tensor([0.0, 0.1]).view(2, 1, 1, 1, 1) * torch.linspace(0, 1, 35).view(1, 1, 35, 1, 1)  # and flows
    before = codec.compress(clips)
    after = codec.as_asked(before, mask, ["it moves", "it moves"])
    assert torch.allclose(after[1], before[1], atol=1e-5)
    ring, winding = codec.expand(after[:1])
    steps = ring[0, 0, :, 0, 0].diff().abs()
    assert not ring[:, :, 0].any() and winding.abs().max() < 1e-6
    assert steps[-1] > steps.quantile(0.05)
    moved = clips[0, 0, :-1, 0, 0]
    shifts = [torch.roll(moved, -first) - moved[first] for first in range(34)]
    assert min((shift - ring[0, 0, :-1, 0, 0]).abs().max() for shift in shifts) < 1e-6  # the same curve
    assert ring[0, 0, :, 0, 0].min() < -ring[0, 0, :, 0, 0].max()  # that goes to the left as before


def test_a_wrap_is_proved_on_what_is_seen():
    codec, mask = MotionCodec(), torch.ones(1, 1, 12, 12)
    turn = 2 * torch.pi * torch.arange(35) / 34
    clip = torch.zeros(1, 4, 35, 12, 12)  # the right half stands at the first frame, where the left one is at its fastest
    clip[0, 1, :, :, 6:] = (0.02 * torch.cos(turn) - 0.02).view(35, 1, 1)
    clip[0, 1, :, :, :6] = (0.02 * torch.sin(turn)).view(35, 1, 1)
    image = torch.zeros(1, 3, 96, 96)
    image[..., 48:] = torch.rand(1, 3, 96, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1  # and is all that is seen

    def pause(*shown):
        latents = codec.as_asked(codec.compress(clip), mask, ["it ripples"], *shown)
        return seam((codec.decode(latents, image, torch.ones(1, 1, 96, 96))[0, :, :-1] * 255).movedim(0, -1).numpy())["pause"]

    assert pause((image, torch.ones(1, 1, 96, 96))) >= 1 > pause()


@pytest.mark.parametrize("words, way", [("it moves to the right", 1), ("it moves to the left", -1)])
def test_a_loop_begins_where_it_goes_as_words_say(words, way):
    codec, mask = MotionCodec(), torch.ones(1, 1, 12, 12)
    turn = 2 * torch.pi * torch.arange(35) / 34
    both = 0.02 * (torch.sin(turn) + 0.3 * torch.sin(2 * turn))  # as far to the right as to the left
    clip = torch.zeros(1, 4, 35, 12, 12)
    clip[:, 0] = both.view(1, 35, 1, 1)
    ring, _ = codec.expand(codec.as_asked(codec.compress(clip), mask, [words]))
    moved = way * ring[0, 0, :, 0, 0]
    assert moved.max() > 2 * -moved.min() and abs(float(moved.max() - moved.min()) - float(both.max() - both.min())) < 1e-4
    steps = moved.diff().abs()
    assert steps[-1] > steps.quantile(0.05)


@pytest.mark.parametrize(
    "way, drift, expected",
    [(10, 0, 10), (50, 0, 20), (-80, 0, -20), (150, 0, -20), (10, 0.2, 10), (50, 0.2, 20), (150, 0.2, 20)],
)
def test_what_goes_somewhere_is_turned_to_where_words_say(way, drift, expected):  # what comes back has two ends
    weight, turn = np.ones((12, 16), np.float32), np.radians(way)
    drawn = curve(shape=(12, 16), reach=0.03)[:, :2]
    drawn[:, 1] *= 0.2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    winding = np.zeros((2, 12, 16)) + drift * rotation[:, :1, None]
    ring, flown = turned(np.einsum("cd,ndhw->nchw", rotation, drawn), winding, weight, 0.0)
    x, y = flown[:, 5, 5] if drift else ring[17, :, 5, 5] * np.sign(ring[17, 0, 5, 5])
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(expected, abs=2)
    assert np.allclose(np.hypot(*flown), drift) and np.allclose(
        np.hypot(ring[:, 0], ring[:, 1]), np.hypot(drawn[:, 0], drawn[:, 1])
    )


def test_what_streams_is_about_as_fast_as_words_say():
    weight = np.zeros((12, 16), np.float32)
    weight[:, :8] = 1
    for drift, expected in ((0.06, 0.16), (0.2, 0.2), (0.8, 0.25)):
        winding = drift * np.ones((2, 12, 16)) / 2**0.5
        assert np.allclose(np.hypot(*paced(winding, weight, 0.2)), expected)
    uneven = np.stack([0.1 + 0 * weight, 0 * weight])
    uneven[0, 3, 3] = 3.0
    assert np.hypot(*paced(uneven, weight, 0.2)).max() <= 0.4 + 1e-9
    assert not paced(0 * uneven, weight, 0.2).any()


@pytest.mark.parametrize("words", ["it moves up", "it bounces", "it flows upwards gently"])
def test_sampled_loops_go_as_their_words_ask(words):
    codec, mask = MotionCodec(), torch.ones(1, 1, 12, 12)
    clip = torch.from_numpy(curve(shape=(12, 12), reach=0.03, drift=0.3 if "flows" in words else 0.0))
    asked = codec.displacement(codec.as_asked(codec.compress(clip[None].transpose(1, 2)), mask, [words])[0])
    means = asked[:, :2].mean((-2, -1))
    dx, dy = means[-1] if "flows" in words else means[np.linalg.norm(means, axis=1).argmax()]
    assert abs(math.degrees(math.atan2(dy, dx)) + 90) < 35 and not asked[0].any()
    if "flows" in words:
        assert np.hypot(dx, dy) == pytest.approx(1.25 * 0.03 * 34 / 8, rel=0.02)


@pytest.mark.parametrize("words, counts", [("it bounces", {2, 3}), ("it bounces slowly", {1}), ("it hops quickly", {4, 5, 6})])
def test_what_bounces_hops_from_the_ground(words, counts):
    codec, mask = MotionCodec(), torch.ones(1, 1, 12, 12)
    clip = torch.from_numpy(curve(shape=(12, 12), reach=0.03))
    asked = codec.displacement(codec.as_asked(codec.compress(clip[None].transpose(1, 2)), mask, [words])[0])
    height = -asked[:-1, 1].mean((-2, -1))
    height -= height.min()
    near = height < 0.25 * height.max()  # the ground
    hops = int((near & ~np.roll(near, 1)).sum())
    assert hops in counts and height.max() == pytest.approx(0.03, rel=0.1)
    # of parabolas 71 %, of a sine a half; of quick ones `constrain` leaves little more than the sine
    assert "quickly" in words or (height > 0.5 * height.max()).mean() > 0.55
    assert np.abs(asked[:, 0].mean((-2, -1))).max() < 1e-4


def test_what_breathes_does_so_in_its_place():
    codec, mask = MotionCodec(), torch.zeros(1, 1, 12, 12)
    mask[..., 3:10, 4:9] = 1
    y, x = (np.mgrid[0:12, 0:12] + 0.5) / 12
    turn = np.linspace(0, 2 * np.pi, 35)
    shift, swelling = curve(shape=(12, 12), reach=0.02), np.sin(turn)[:, None, None]
    clip = torch.from_numpy(shift)
    clip[:, 0] += torch.from_numpy(swelling * (0.1 * (x - 0.54) - 0.1 * (y - 0.54))).float()
    clip[:, 1] += torch.from_numpy(swelling * (0.1 * (y - 0.54) + 0.1 * (x - 0.54))).float()
    inside = (slice(None), slice(3, 10), slice(4, 9))

    def parts(words):
        asked = codec.displacement(codec.as_asked(codec.compress(clip[None].transpose(1, 2)), mask, [words])[0])
        along, down = asked[:, 0][inside], asked[:, 1][inside]
        left, top = x[3:10, 4:9] - 0.54, y[3:10, 4:9] - 0.54
        shifts = np.hypot(along.mean((1, 2)), down.mean((1, 2)))
        turns, swells = (left * down - top * along).mean((1, 2)), (left * along + top * down).mean((1, 2))
        return [np.ptp(part) for part in (shifts, turns, swells)]

    still, anything = parts("it breathes"), parts("it ripples")
    assert still[0] < 1e-3 and still[1] < 0.03 * anything[1] and still[2] == pytest.approx(anything[2], rel=0.1)


def test_what_words_say_streams_does_so_however_little_was_sampled():
    codec, mask = MotionCodec(), torch.ones(1, 1, 12, 12)
    clip = torch.from_numpy(curve(shape=(12, 12), reach=0.001, drift=0.02))[None].transpose(1, 2)

    def winding(words):
        return codec.displacement(codec.as_asked(codec.compress(clip), mask, [words])[0])[-1, :2]

    assert np.hypot(*winding("it flows")).mean() == pytest.approx(0.045 * 34 / 8 / 1.25, rel=0.02)
    assert not winding("it ripples").any()


@pytest.mark.parametrize("words, still", [("it sways", True), ("it ripples", False), ("everything sways", False)])
def test_what_sways_is_held_at_its_base_once_it_is_sampled(words, still):
    codec, mask = MotionCodec(), torch.zeros(1, 1, 12, 12)
    mask[..., 3:10, 4:9] = 1
    clip = torch.from_numpy(curve(shape=(12, 12), reach=0.03))
    asked = codec.displacement(codec.as_asked(codec.compress(clip[None].transpose(1, 2)), mask, [words])[0])
    base, top = (np.hypot(*np.moveaxis(asked[:, :2, row, 4:9], 1, 0)).max() for row in (9, 3))
    assert (base < 1e-3) == still and top > 0.02
