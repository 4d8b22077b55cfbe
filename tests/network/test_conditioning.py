import pytest
import torch

from loopanimate.network.conditioning import condition, mask_code, stack


@pytest.fixture
def codes():
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(2, channels, 4, 6, generator=generator)
        for name, channels in (("static", 4), ("dynamic", 4), ("mask", 1), ("far", 1))
    }


@pytest.mark.parametrize("num_frames", [3, 15, 35])
def test_dropped_training_condition_is_the_inference_condition(codes, num_frames):
    keep = torch.tensor([False, True])
    training = condition(codes["static"], codes["mask"], num_frames, codes["dynamic"], codes["far"], keep)
    inference = condition(codes["static"], codes["mask"], num_frames)
    assert torch.equal(training[0], inference[0])
    assert not torch.equal(training[1], inference[1])


def test_what_stands_where(codes):
    given = condition(codes["static"], codes["mask"], 7, codes["dynamic"], codes["far"])
    code, mask = given[:, :4], given[:, 4:]
    for end in (0, 6):
        assert torch.equal(code[:, :, end], codes["static"]) and torch.equal(mask[:, :, end], codes["mask"])
    assert torch.equal(code[:, :, 3], codes["dynamic"]) and torch.equal(mask[:, :, 3], codes["far"])
    between = [1, 2, 4, 5]
    assert not code[:, :, between].any() and (mask[:, :, between] == 1).all()


def test_stage_1_knows_no_mask(codes):
    assert (condition(codes["static"], None, 5, codes["dynamic"], codes["far"])[:, 4] == 1).all()


def test_stack_order(codes):
    given = condition(codes["static"], codes["mask"], 5)
    latents = torch.randn(2, 4, 5, 4, 6)
    stacked = stack(latents, given)
    assert stacked.shape == (2, 9, 5, 4, 6)
    assert torch.equal(stacked[:, :4], latents) and torch.equal(stacked[:, 4:], given)


def test_mask_is_area_averaged():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4, :2] = 1
    assert torch.equal(mask_code(mask, (2, 2)), torch.tensor([[[[0.5, 0.0], [0.0, 0.0]]]]))


def test_refuses_even_counts(codes):
    with pytest.raises(ValueError, match="odd"):
        condition(codes["static"], None, 4)
