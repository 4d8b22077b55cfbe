import sys
from functools import partial

import pytest
import torch

from loopanimate.motion.grid import warp
from loopanimate.network.motion_codec import MotionCodec, dis_flow
from tests.train.test_loader import clips  # noqa: F401
from train import flow
from train.loader import Batches, LoopDataset, real_loops
from train.settings import TrainSettings


def pushed(height=120, width=184, shift=(0.03, -0.015)):
    """A clip (3, 2, H, W) whose second frame is its first, pushed by `shift` short sides."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 3, 15, 23, generator=generator)
    picture = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(-1, 1)
    moved = warp(picture, torch.tensor(shift).view(1, 2, 1, 1).expand(1, 2, height, width))
    return torch.cat([picture, moved]).transpose(0, 1)


def test_flow_leads_from_a_later_frame_to_the_first():
    flows = dis_flow(pushed())
    assert flows.shape == (1, 2, 120, 184)
    assert flows[0, :, 40:80, 60:120].mean((-2, -1)).tolist() == pytest.approx([-3.6, 1.8], abs=0.15)  # pixels


def test_raft_sees_pairs_at_a_size_it_can_and_its_flow_is_in_the_clips_own_pixels():
    seen = []

    def network(later, first):
        seen.append((later, first))
        assert later.shape == first.shape and later.shape[-2:] == (128, 184)
        flow = torch.tensor([4.0, -8.0]).view(1, 2, 1, 1).expand(len(later), 2, *later.shape[-2:])
        return [torch.zeros_like(flow), flow]

    clip = pushed().repeat(1, 10, 1, 1)
    flows = flow.raft_flow(network, clip)
    assert flows.shape == (19, 2, 120, 184)
    assert torch.allclose(flows[:, 0], torch.tensor(4.0)) and torch.allclose(flows[:, 1], torch.tensor(-8.0 * 120 / 128))
    assert sum(len(later) for later, _ in seen) == 19 and max(len(later) for later, _ in seen) == flow.TOGETHER
    assert torch.equal(seen[0][0][1], seen[0][1][0]) and not torch.equal(seen[0][0][0], seen[0][1][0])


def test_loops_by_a_flow_that_needs_the_device_are_those_of_the_loader(clips):  # noqa: F811
    codec, latents = MotionCodec(4), []
    for estimator in (dis_flow, partial(dis_flow)):
        dataset = LoopDataset(clips[:2], 3, 0, codec, masks=True, flow=estimator)
        assert (dataset.codec is None) == (estimator is not dis_flow)
        loops = real_loops(dataset, Batches(2, 0, 1, 1), 0, codec, "cpu", lambda *_: None)
        latents.append(next(iter(loops)))
    for name, value in latents[0].tensors().items():
        assert torch.equal(value, latents[1].tensors()[name]), name


def test_raft_is_asked_for_where_it_can_be_had(monkeypatch):
    with pytest.raises(ValueError, match="expected clips"):
        TrainSettings(stage=0, flow="raft").table()
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    with pytest.raises(ValueError, match="expected torchvision"):
        flow.estimator("raft")
    assert flow.estimator("dis") is dis_flow


def test_torchvisions_raft_reads_its_weights_from_torchs_cache(tmp_path, monkeypatch):
    raft = pytest.importorskip("torchvision.models.optical_flow")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(ValueError, match="expected RAFT's weights .* got: no network"):
        flow.estimator("raft")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(raft.raft_large().state_dict(), folder / raft.Raft_Large_Weights.DEFAULT.url.rsplit("/", 1)[1])
    flows = flow.estimator("raft")(pushed())
    assert flows.shape == (1, 2, 120, 184) and flows.isfinite().all()
