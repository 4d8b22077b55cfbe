from types import SimpleNamespace

import diffusers
import pytest
import torch

from loopanimate.network.denoiser import Denoiser, GuidedUNet, Levels, sampling_levels, training_levels
from loopanimate.presets import PRESETS


def ddim(preset: str, **changes) -> diffusers.DDIMScheduler:
    return diffusers.DDIMScheduler(**{**PRESETS[preset].scheduler, **changes})


def test_levels_are_the_schedulers_own():
    clean, noise = torch.randn(3, 4, 5, 2, 2), torch.randn(3, 4, 5, 2, 2)
    for preset in ("motion", "512"):
        scheduler, timesteps = ddim(preset), torch.tensor([0, 400, 999])
        assert torch.allclose(
            training_levels(scheduler, timesteps).add_noise(clean, noise),
            scheduler.add_noise(clean, noise, timesteps),
            atol=1e-5,
        )
        euler = diffusers.EulerDiscreteScheduler.from_config(scheduler.config)
        euler.set_timesteps(7)
        noised = sampling_levels(euler, euler.timesteps[0]).add_noise(clean, noise)
        assert torch.allclose(noised, clean + euler.sigmas[0] * noise, rtol=1e-5, atol=1e-4)  # of up to 100


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_true_prediction_gives_the_clean_latents_and_comes_back(kind):
    scheduler = ddim("512", prediction_type=kind)
    clean, noise, timesteps = torch.randn(2, 4, 3, 2, 2), torch.randn(2, 4, 3, 2, 2), torch.tensor([30, 900])
    truth = {"epsilon": noise, "v_prediction": scheduler.get_velocity(clean, noise, timesteps)}[kind]
    noised = scheduler.add_noise(clean, noise, timesteps)
    seen = []
    denoiser = Denoiser(lambda *given: seen.append(given) or truth, scheduler, torch.ones(2, 5, 3, 2, 2), None, training_levels)
    assert torch.allclose(denoiser(noised, timesteps), clean, atol=1e-4)
    stacked, at = seen[0]
    assert torch.equal(stacked[:, :4], noised) and (stacked[:, 4:] == 1).all() and torch.equal(at, timesteps)
    assert torch.allclose(denoiser.prediction(clean, noised, timesteps), truth, atol=1e-4)
    halved = Denoiser(lambda *_: truth, scheduler, torch.ones(2, 5, 3, 2, 2), lambda value: value / 2, training_levels)
    assert torch.allclose(halved(noised, timesteps), clean / 2, atol=1e-4)


def test_variances_add_up_to_one_in_what_the_network_sees():
    levels = Levels(torch.tensor(0.6), torch.tensor(0.6))
    assert float(levels.noise) == pytest.approx(0.8)
    assert float(levels.add_noise(torch.tensor(1.0), torch.tensor(2.0)) * levels.scale) == pytest.approx(0.6 + 1.6)


class Recording:
    """Stands in for the UNet: gives each context's own number and records what it was called with."""

    dtype = torch.float32

    def __init__(self):
        self.contexts, self.cached = [], []

    def __call__(self, sample, timestep, context, cache):
        self.contexts.append(context)
        self.cached.append(cache is not None and "features" in cache)
        if cache is not None:
            cache["features"] = True
        return SimpleNamespace(sample=torch.tensor(context).view(-1, 1, 1, 1, 1).expand(-1, *sample.shape[1:]))


@pytest.mark.parametrize("guided", [((2.0, 5.0),), ((2.0,), (5.0,))], ids=["together", "one after the other"])
def test_guidance_is_from_the_unconditional_prediction_within_its_interval(guided):
    unet = Recording()
    network = GuidedUNet(unet, (5.0,), guided, 3.0, (0.25, 0.5), num_calls=4)
    values = [float(network(torch.zeros(1, 9, 3, 2, 2), torch.tensor(1)).mean()) for _ in range(4)]
    assert values == [5.0, 11.0, 11.0, 5.0]  # 2 + 3 (5 - 2)
    assert unet.contexts == [(5.0,), *guided, *guided, (5.0,)] and not any(unet.cached)
    network = GuidedUNet(unet, (5.0,), guided, 1.0, (0.0, 1.0), num_calls=1)
    assert float(network(torch.zeros(1, 9, 3, 2, 2), torch.tensor(1)).mean()) == 5.0


def test_deep_features_are_reused_between_the_calls_that_compute_them():
    unet = Recording()
    network = GuidedUNet(unet, (5.0,), ((2.0,), (5.0,)), 3.0, (0.0, 1.0), num_calls=5, cache_interval=2)
    for _ in range(5):
        network(torch.zeros(1, 9, 3, 2, 2), torch.tensor(1))
    assert unet.cached == [False, False, True, True, False, False, True, True, False, False]
