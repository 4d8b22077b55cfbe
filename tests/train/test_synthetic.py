import random

import pytest
import torch

from loopanimate.network.conditioning import mask_code
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.vocabulary import STREAMS, STRENGTHS
from train.grammar import AMPLITUDES, Motion, draw_motion
from train.synthetic import MAKERS, displacements, make_clips, pictures


def fields(motions, support=None, num_frames=35, seed=0):
    """Displacement (B, 2, N, h, w) of the salient layer for a batch of motions, and its masks (B, 1, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    if support is None:
        support = mask_code(pictures(len(motions), 96, 96, generator)[1], (12, 12))
    phase = (torch.arange(num_frames) / (num_frames - 1)).repeat(len(motions), 1)
    rows = [(motion,) for motion in motions]
    return displacements(rows, support, phase, (num_frames - 1) / 8, generator)[:, 0], support


def mean_displacement(field, support):
    return (field * support[:, :, None]).sum((-2, -1)) / support.sum((-2, -1))[..., None]  # (B, 2, N)


def test_clips_are_closed_native_curves_that_start_at_zero():
    clips = make_clips(48, 15, 12, seed=3)
    assert not clips.displacement[:, :, 0].any()
    closed = clips.displacement[:, :, -1].abs().amax((1, 2, 3)) < 1e-5
    flows = {form for verb in KINDS["stream"].verbs for form in verb.forms}
    spoken = [*(f"{subject} " for subject in STREAMS), *flows]
    streams = torch.tensor([any(words in caption for words in spoken) for caption in clips.captions])
    assert 0 < (~closed).sum() < 24 and (streams | closed).all()
    assert clips.displacement.shape[:3] == (48, 4, 15) and len(clips.captions) == 48


def test_alss_clips_go_there_and_back():
    clips = make_clips(16, 15, 12, seed=3, sampling="alss", size=(12, 12))
    assert clips.displacement[:, :, -1].abs().max() < 1e-5  # streams too
    moved = clips.displacement.abs().amax((1, 3, 4))  # (B, N)
    assert (moved[:, 7] > 0).any()
    with pytest.raises(ValueError, match="alss"):
        make_clips(1, 15, 12, seed=0, sampling="backwards")


def test_the_same_seed_gives_the_same_clips():
    first, again, other = (make_clips(4, 15, 12, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(first.displacement, again.displacement) and first.captions == again.captions
    assert torch.equal(first.image, again.image) and first.captions != other.captions


@pytest.mark.parametrize("kind", ["sway", "shift", "rock", "swing"])
@pytest.mark.parametrize("direction, sign", [(180, -1), (0, 1)])
def test_words_and_motion_agree_on_direction(kind, direction, sign):
    rng = random.Random(0)
    motions = [draw_motion(rng, kind, direction=direction, named=True)[0] for _ in range(192)]
    mean = mean_displacement(*fields(motions))
    extreme = mean.gather(2, mean.norm(dim=1).argmax(1)[:, None, None].expand(-1, 2, 1))[..., 0]
    assert (extreme[:, 0] * sign > 0).float().mean() > 0.95


def test_words_and_motion_agree_on_strength():
    sizes = []
    for strength in STRENGTHS:
        rng = random.Random(0)
        field, support = fields([draw_motion(rng, "shift", strength=strength, tempo="")[0] for _ in range(32)])
        sizes.append(mean_displacement(field, support).norm(dim=1).amax(1).mean().item())
    assert sizes == sorted(sizes) and sizes[1] == pytest.approx(AMPLITUDES["gently"], rel=0.15)


def test_words_and_motion_agree_on_tempo():
    crossings = []
    for tempo in ("slowly", "", "quickly"):
        rng = random.Random(0)
        field, support = fields([draw_motion(rng, "shift", strength="plainly", tempo=tempo, named=False)[0] for _ in range(32)])
        mean = mean_displacement(field, support)
        centred = mean - mean.mean(2, keepdim=True)
        crossings.append((centred.diff(dim=2).sign().diff(dim=2) != 0).float().mean().item())
    assert crossings == sorted(crossings)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "stream"])
def test_no_kind_folds_and_stillness_is_still(kind):
    field, _ = fields([Motion(kind, 0.0 if kind == "still" else 0.065, 1.0)] * 32)
    if kind == "still":
        assert not field.any()
        return
    cell = 1 / 12
    by_y, by_x = torch.gradient(field, spacing=cell, dim=(-2, -1))
    determinant = (1 - by_x[:, 0]) * (1 - by_y[:, 1]) - by_x[:, 1] * by_y[:, 0]
    assert (determinant > 0.1).float().mean() > 0.999
    assert field.abs().max() > 0.003


@pytest.mark.parametrize("direction", [0, 90, 225])
def test_a_stream_runs_on_where_the_words_say_and_not_through_its_rim(direction):
    rng = random.Random(0)
    field, support = fields([draw_motion(rng, "stream", direction=direction, named=True)[0] for _ in range(32)])
    winding = field[:, :, -1]  # (B, 2, h, w)
    x, y = mean_displacement(field, support)[..., -1].T
    off = (torch.rad2deg(torch.atan2(y, x)) - direction + 180) % 360 - 180
    assert (off.abs() < 45).float().mean() > 0.95
    outside = winding.norm(dim=1)[support[:, 0] < 0.05]
    assert outside.mean() < 0.15 * winding.norm(dim=1)[support[:, 0] > 0.95].mean()
    progress = mean_displacement(field, support).norm(dim=1)  # (B, N)
    assert ((progress.diff(dim=1) > 0).float().mean(1) > 0.9).float().mean() > 0.9  # it never turns back


def test_a_bounce_hangs_in_the_air_and_turns_at_the_ground():
    field, support = fields([Motion("bounce", 0.03, 0.5)] * 16)
    down = mean_displacement(field, support)[:, 1, :-1]  # (B, N-1)
    ring = torch.cat([down, down[:, :2]], dim=1)
    speed = ring.diff(dim=1)
    turns = speed.diff(dim=1)  # upwards at a contact, gently downwards else
    assert (turns.amin(1).abs() > 2 * turns.amax(1)).float().mean() > 0.9
    assert down.abs().amax(1).min() > 0.02
    assert down.max() < 1e-4  # the picture stands on the ground


def box(rows: slice, columns: slice) -> torch.Tensor:
    support = torch.zeros(1, 1, 12, 12)
    support[..., rows, columns] = 1
    return support


@pytest.mark.parametrize(
    "support, held, free",
    [
        (box(slice(2, 10), slice(4, 8)), (9, 5), (2, 5)),  # tall: by its base
        (box(slice(3, 6), slice(2, 10)), (4, 2), (4, 9)),  # wide: by its left
        (box(slice(3, 6), slice(2, 12)), (4, 11), (4, 2)),  # at the frame's right: there
        (box(slice(8, 12), slice(1, 11)), (11, 5), (8, 5)),  # standing at the frame's edge: by its base
    ],
)
def test_what_flutters_is_held_somewhere(support, held, free):
    sizes = fields([Motion("flutter", 0.03, 0.5)] * 8, support.expand(8, -1, -1, -1))[0].norm(dim=1).amax(1)  # (B, h, w)
    assert (sizes[:, held[0], held[1]] < 0.3 * sizes[:, free[0], free[1]]).all()


def test_every_kind_has_a_maker():
    assert {"still", *MAKERS} == KINDS.keys()


@pytest.mark.parametrize("kind", SPOKEN)
def test_motion_has_the_properties_of_its_kinds_row(kind):
    row, support = KINDS[kind], box(slice(2, 10), slice(3, 9)).expand(16, -1, -1, -1)
    field = fields([Motion(kind, 0.03, 0.5)] * 16, support)[0]  # (B, 2, N, h, w)
    inside = field[..., 2:10, 3:9]
    sizes = inside.norm(dim=1).amax(1)  # (B, 8, 6), the farthest that each cell goes
    assert (field[:, :, -1].norm(dim=1).amax((1, 2)) > 1e-4).all() == row.flows
    spread = (inside - inside.mean((-2, -1), keepdim=True)).norm(dim=1).amax((1, 2, 3)) / inside.norm(dim=1).amax((1, 2, 3))
    assert (spread < 1e-3).all() == row.level
    shift = inside.mean((-2, -1)).norm(dim=1).amax(1) / sizes.mean((1, 2))  # of the whole
    if row.in_place:
        assert (shift < 0.1).all()
    if row.hinge:
        at = min(7, int(row.pivot * 8))
        assert (sizes[:, at, 2:4].amax(1) < 0.4 * sizes.amax((1, 2))).all() and (spread > 0.5).all()
    if row.fixed == "base":
        assert (sizes[:, -1].amax(1) < 0.35 * sizes[:, 0].amax(1)).all()
    if row.whole:
        assert (sizes > 0.2 * sizes.mean((1, 2), keepdim=True)).all()


def test_what_drifts_anywhere_does_so_to_the_sides():
    field, support = fields([Motion("shift", 0.03, 0.5)] * 256)
    means = mean_displacement(field, support)  # (B, 2, N)
    far = means.norm(dim=1).argmax(1)
    across, down = means[torch.arange(256), :, far].abs().T
    assert (across > down).float().mean() > 0.7


def test_sway_keeps_its_base():
    field, support = fields([Motion("sway", 0.04, 0.5)] * 32)
    sizes = field.norm(dim=1).amax(1)  # (B, h, w)
    inside = support[:, 0] > 0.5
    for sample in range(32):
        rows = inside[sample].any(1).nonzero().flatten()
        if len(rows) > 3:
            assert sizes[sample, rows[-1]].max() < 0.35 * sizes[sample, rows[0]].max()


def test_the_codec_brings_the_training_set_to_unit_variance():
    clips = [make_clips(64, 15, 12, seed, size=(12, 12)).displacement for seed in range(12)]
    latents = MotionCodec().compress(torch.cat(clips))
    assert ((latents.std((0, 2, 3, 4)) - 1).abs() < 0.2).all()


def test_pictures_and_masks_are_varied_and_bounded():
    image, mask = pictures(32, 96, 128, torch.Generator().manual_seed(0))
    assert image.abs().max() <= 1 and 0 <= mask.min() and mask.max() <= 1
    areas = mask.mean((1, 2, 3))
    assert areas.std() > 0.1 and image.std((1, 2, 3)).min() > 0.005
