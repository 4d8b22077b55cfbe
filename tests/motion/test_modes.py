import pytest
import torch

from loopanimate.motion.modes import (
    PLAIN_FLOWS,
    PLAIN_MOTIONS,
    WAVES,
    cosines,
    from_modes,
    plain_flows,
    plain_motions,
    to_modes,
)


def test_modes_are_orthonormal_and_fields_come_back():
    waves = cosines(12)
    assert torch.allclose(waves @ waves.T, torch.eye(12), atol=1e-6)
    assert torch.allclose(waves[1], (torch.pi * (torch.arange(12) + 0.5) / 12).cos() / 6**0.5, atol=1e-6)  # half a wave
    fields = torch.randn(2, 4, 3, 12, 8)
    assert torch.allclose(from_modes(to_modes(fields)), fields, atol=1e-5)


def test_a_layer_turns_about_its_base_and_swells_about_its_middle():
    mask = torch.zeros(1, 1, 12, 16)
    mask[..., 3:10, 4:9] = 1
    y, x = torch.meshgrid((torch.arange(12) + 0.5) / 12, (torch.arange(16) + 0.5) / 12, indexing="ij")
    inside = mask[0, 0] > 0
    middle_x, middle_y = x[inside].mean(), y[inside].mean()
    modes = torch.zeros(1, 2, 2, PLAIN_MOTIONS, 12, 16)
    modes[..., :WAVES, :WAVES] = plain_motions(mask).mT.unflatten(-1, (2, WAVES, WAVES)).movedim(3, 2) * 192**0.5
    fields = from_modes(modes)[0].unflatten(0, (2, 2))[0]  # (2, PLAIN_MOTIONS, 12, 16), of the mask's layer
    base = middle_y + 2 * (y[inside] - middle_y).square().mean().sqrt()
    for index, expected in ((0, (1 + 0 * x, 0 * y)), (2, (base - y, x - middle_x)), (5, (x - middle_x, y - middle_y))):
        found = fields[:, index][:, inside].flatten()
        expected = torch.stack(expected)[:, inside].flatten()
        assert torch.cosine_similarity(found, expected, dim=0) > 0.97, index
        assert found.unflatten(0, (2, -1)).square().sum(0).mean().sqrt() == pytest.approx(1, abs=0.1)


def test_a_layer_streams_inside_and_rests_at_its_rim():
    mask = torch.zeros(1, 1, 12, 16)
    mask[..., 2:11, 4:12] = 1
    modes = torch.zeros(1, 2, 2, PLAIN_FLOWS, 12, 16)
    modes[..., :WAVES, :WAVES] = plain_flows(mask).mT.unflatten(-1, (2, WAVES, WAVES)).movedim(3, 2) * 192**0.5
    fields = from_modes(modes)[0].unflatten(0, (2, 2))  # (layers, 2, PLAIN_FLOWS, 12, 16)
    along, down, around = fields[0].movedim(1, 0)
    assert along[0, 6, 8] > 1 and along[0, 6, 8] > 1.8 * along[0, 2:11, 4].abs().max() and along[1].abs().max() < 1e-5
    assert torch.allclose(down[1], along[0], atol=1e-5) and down[0].abs().max() < 1e-5
    assert around[0, 4, 8] * around[0, 9, 8] < 0 and around[1, 6, 6] * around[1, 6, 10] < 0
    assert torch.allclose(fields[1, 0, 0], torch.ones(12, 16), atol=1e-3)  # the background streams through the frame
