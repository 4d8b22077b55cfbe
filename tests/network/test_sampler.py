import diffusers
import numpy as np
import pytest
import torch

from loopanimate.network.denoiser import Denoiser
from loopanimate.network.few_passes import FewPassScheduler
from loopanimate.network.sampler import SCHEDULERS, WHOLE_SCHEDULES, check_scheduler, sample, start_schedule
from loopanimate.presets import PRESETS


def scheduler(name: str, preset: str, **changes):
    config = diffusers.DDIMScheduler(**PRESETS[preset].scheduler).config
    return getattr(diffusers, f"{name}Scheduler").from_config(config, **changes)


def signal_at(scheduler, timestep: float) -> float:
    """The share of signal that the networks are trained on at a timestep, between whole ones by interpolation of log σ."""
    kept = scheduler.alphas_cumprod.double().clamp(min=1e-30).numpy()
    sigma = np.exp(np.interp(timestep, np.arange(len(kept)), np.log((1 - kept) / kept) / 2))
    return float((1 + sigma**2) ** -0.5)


@pytest.mark.parametrize("preset", ["motion", "512"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_network_that_knows_the_clean_latents_is_understood_at_every_step(name, preset):
    """Whatever the scheduler's latents are: the network sees the noise that it was trained on, and its answer is read rightly."""
    chosen = scheduler(name, preset)
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(1, 4, 5, 12, 12, generator=generator) for _ in range(2))
    seen = []

    def network(stacked, timestep):
        signal = signal_at(chosen, float(timestep))
        epsilon = (stacked[:, :4] - signal * clean) / (1 - signal**2) ** 0.5
        seen.append(float(epsilon.std()))
        return epsilon if preset == "512" else signal * epsilon - (1 - signal**2) ** 0.5 * clean

    def hold(latents, timestep):
        latents[:, :, 0] = clean[:, :, 0] if timestep is None else denoiser.levels(timestep).add_noise(clean, noise)[:, :, 0]
        return latents

    estimates = []
    denoiser = Denoiser(network, chosen, torch.zeros(1, 5, 5, 12, 12))
    for strength in (1.0,) if name in WHOLE_SCHEDULES else (1.0, 0.5):
        timesteps = start_schedule(chosen, 5, strength, "cpu")
        start = denoiser.levels(timesteps[0]).add_noise(clean, noise)
        result = sample(denoiser, start, timesteps, hold, lambda *step: (estimates.append(step[3]) or step[2], True), generator)
        assert torch.equal(result[:, :, 0], clean[:, :, 0])
        assert (result - clean).norm() < 0.06 * clean.norm()  # some leave the noise of the last timestep in
    assert max(float((estimate - clean).norm() / clean.norm()) for estimate in estimates) < 1e-5
    assert seen == pytest.approx([1.0] * len(seen), abs=0.15)


def test_a_rounded_timestep_does_not_blur_the_noise_level():
    chosen = scheduler("DPMSolverMultistep", "512", use_karras_sigmas=True)
    timesteps = start_schedule(chosen, 5, 1.0, "cpu")
    denoiser = Denoiser(None, chosen, None)
    signal = float(denoiser.levels(timesteps[0]).signal)
    assert signal == pytest.approx(float((1 + chosen.sigmas[0] ** 2) ** -0.5), rel=1e-6)


def test_a_shortened_schedule_begins_with_a_whole_step():
    heun = scheduler("HeunDiscrete", "512")
    assert len(start_schedule(heun, 5, 0.3, "cpu")) == 3 and heun.begin_index == 6  # 2 of 9 would begin within a step
    assert len(start_schedule(scheduler("DDIM", "512"), 5, 0.3, "cpu")) == 1


@pytest.mark.parametrize("name", ["EDMEuler", "FlowMatchEulerDiscrete", "IPNDM", "DDIMInverse"])
def test_refuses_schedulers_of_other_noise(name):
    with pytest.raises(ValueError, match=f"expected a scheduler out of DDIM, .*, got {name}"):
        check_scheduler(scheduler(name, "512"), 1.0)


def test_refuses_what_a_scheduler_cannot():
    for name in WHOLE_SCHEDULES:
        check_scheduler(scheduler(name, "512"), 1.0)
        with pytest.raises(ValueError, match=f"strength of 1 with {name}"):
            check_scheduler(scheduler(name, "512"), 0.5)
    with pytest.raises(ValueError, match="strength of 1 with FewPass"):
        check_scheduler(FewPassScheduler(), 0.5)
    with pytest.raises(ValueError, match="noise from betas"):
        check_scheduler(scheduler("DPMSolverMultistep", "512", use_flow_sigmas=True), 1.0)
    with pytest.raises(ValueError, match="epsilon, v_prediction, got sample"):
        check_scheduler(scheduler("DDIM", "512", prediction_type="sample"), 1.0)
