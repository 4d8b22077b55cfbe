import random

import numpy as np
import pytest
import torch

from loopanimate.network.motion_codec import MotionCodec
from tests.videos import scene, write_captions, write_video
from train import loader
from train.clips import collect
from train.loader import Batches, LoopDataset, encode_loops, real_loops
from train.loop_sampling import loop_indices


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for index in range(4):
        write_video(folder / f"{index}.mp4", scene(30, index))
    (folder / "broken.mp4").write_bytes(b"broken")
    write_captions(folder, {name: f"disc {name}" for name in ("0.mp4", "1.mp4", "2.mp4", "3.mp4", "broken.mp4")})
    return collect(folder)[0]


def disc(side):
    y, x = np.mgrid[0:side, 0:side] + 0.5
    return torch.from_numpy((np.hypot(x - side / 2, y - side / 2) < side / 4).astype(np.float32))


def test_displacement_latents_are_how_the_disc_moved():
    f, amplitude = 4, 5.0
    indices = loop_indices(f, random.Random(1))
    pictures = scene(24, 2, amplitude=amplitude)
    frames = torch.from_numpy(np.stack([pictures[index][:, 16:112] for index in indices]))[None]  # 96 x 96
    codec = MotionCodec(12)
    loops = encode_loops(codec, frames, disc(96).expand(1, 2, -1, -1), ("",))
    moved = codec.expand(loops.latents)[0][0]  # (4, N, h, w) in short sides
    truth = amplitude * np.sin(2 * np.pi * np.array(indices) / 48) / 96
    assert moved[0, :, 5:7, 5:7].mean((-2, -1)).numpy() == pytest.approx(truth, abs=0.004)  # dx inside the disc
    assert moved[1, :, 5:7, 5:7].abs().mean() < 0.003
    assert moved[2:, :, :2].abs().mean() < 0.002  # the background stands still
    assert (moved[:, [0, -1]] == 0).all()
    centre = (loops.middle_mask[0, 0] * torch.arange(12)).sum() / loops.middle_mask.sum()
    start = (loops.latent_mask[0, 0] * torch.arange(12)).sum() / loops.latent_mask.sum()
    assert float(centre - start) == pytest.approx(truth[f - 1] * 12, abs=0.15)  # the mask went along


def test_appearance_latents_are_the_codecs(clips, small_512):
    codec = small_512.codec
    (frames, masks, captions), _ = LoopDataset(clips[:1], 3, 0, codec, masks=False)[0]
    loops = encode_loops(codec, frames, masks, captions)
    clip = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    assert torch.equal(loops.latents, codec.encode(clip))
    assert torch.allclose(loops.static_code, codec.static_code(clip[:, :, 0]), atol=1e-5)
    assert torch.equal(frames[:, 0], frames[:, -1]) and (loops.latent_mask == 1).all()


def collected(clips, codec, workers, first=0, stride=1, batch=2, last=6):
    dataset, skipped = LoopDataset(clips, 3, 7, codec, masks=False), []
    loops = list(
        real_loops(dataset, Batches(batch, first, last, stride), workers, codec, "cpu", lambda *why: skipped.append(why))
    )
    return torch.cat([part.latents for part in loops]), sum((part.captions for part in loops), ()), skipped


def test_order_depends_on_neither_workers_nor_ranks(clips, small_512):
    latents, captions, skipped = collected(clips, small_512.codec, workers=0)
    others = collected(clips, small_512.codec, workers=2)
    assert torch.equal(latents, others[0]) and captions == others[1] and skipped == others[2]
    assert {name for name, _ in skipped} == {"broken.mp4"} and len(set(captions)) > 1
    ranks = [collected(clips, small_512.codec, 0, first=rank, stride=2) for rank in (0, 1)]
    merged = [captions for pair in zip(*(zip(*[iter(rank[1])] * 2) for rank in ranks)) for part in pair for captions in part]
    assert tuple(merged) == captions
    resumed = collected(clips, small_512.codec, 0, first=4)
    assert torch.equal(resumed[0], latents[8:])


def test_an_epoch_goes_through_every_clip(clips, small_512):
    dataset = LoopDataset(clips[:4], 3, 0, small_512.codec, masks=False)
    for epoch in range(2):
        seen = {dataset[epoch * 4 + index][0][2] for index in range(4)}
        assert len(seen) == 4


def test_masks_of_both_ends_are_detected_where_they_are_trained_on(clips, small_512, monkeypatch):
    monkeypatch.setattr(loader, "automatic_mask", lambda picture: (np.full(picture.size[::-1], 0.25, np.float32), True))
    (_, masks, _), _ = LoopDataset(clips[:1], 3, 0, small_512.codec, masks=True)[0]
    assert (masks == 0.25).all() and masks.shape[1] == 2
