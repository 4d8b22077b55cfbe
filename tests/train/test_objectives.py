from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler

from loopanimate.presets import PRESETS
from train.loader import Loops
from train.objectives import MIN_NOISE, Draws, clip_loss
from train.stages import STAGES


@pytest.mark.parametrize("preset, stage", [("512", 1), ("motion", 3)])
def test_an_objective_is_the_error_of_what_the_network_predicts(preset, stage):
    """Noise by eq. 2; velocity weighted by the noise's share of variance; the last frame as the stage has it."""
    stage = replace(STAGES[preset][stage], last_frame=3.0)
    scheduler = DDIMScheduler(**PRESETS[preset].scheduler)
    torch.manual_seed(0)
    latents, noise, prediction = torch.randn(3, 3, 4, 5, 4, 4)
    empty, tokens = torch.zeros(3, 6, 8), torch.zeros(3, 1, 8)
    mask = torch.ones(3, 1, 4, 4)
    loops = Loops(torch.zeros(3, 3, 8, 8), mask, latents, latents[:, :, 0], mask, mask, ("", "", ""), empty, tokens)
    draws = Draws(noise, torch.tensor([2, 500, 999]), torch.zeros(3) > 0, torch.ones(3), torch.ones(3))
    loss = clip_loss(lambda sample, *_: prediction, scheduler, loops, draws, empty[:1], stage)
    if preset == "512":
        errors = (prediction - noise) ** 2
    else:
        share = (1 - scheduler.alphas_cumprod[draws.timesteps]).clamp(min=MIN_NOISE).view(-1, 1, 1, 1, 1)
        errors = share * (prediction - scheduler.get_velocity(latents, noise, draws.timesteps)) ** 2
    weights = torch.tensor([1.0, 1, 1, 1, 3]) / 7
    assert float(loss) == pytest.approx(float((errors.mean((0, 1, 3, 4)) * weights).sum()), rel=1e-4)
