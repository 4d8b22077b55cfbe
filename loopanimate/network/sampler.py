"""From noise to clean latents along a scheduler's timesteps."""

import inspect
from collections.abc import Callable

import torch

from loopanimate.network.denoiser import PREDICTION_TYPES, Denoiser

WHOLE_SCHEDULES = ("LMSDiscreteScheduler", "PNDMScheduler")  # whose first step would read steps that were never made


def check_scheduler(scheduler, strength: float = 1.0) -> None:
    """Raises ValueError, in one sentence, for a diffusers scheduler by which the networks cannot be sampled.

    They are trained on the noise levels of betas. Flow matching, Karras' EDM and consistency models have others.
    """
    name, config = type(scheduler).__name__, scheduler.config
    has_betas = hasattr(scheduler, "alphas_cumprod") and not config.get("use_flow_sigmas")
    goes_down = hasattr(scheduler, "add_noise") and (hasattr(scheduler, "begin_index") or not hasattr(scheduler, "sigmas"))
    if not has_betas or not goes_down or not _step_arguments(scheduler) <= {"model_output", "timestep", "sample"}:
        raise ValueError(f"expected a scheduler of noise levels from betas, such as DDIM, DPM++ or Euler, got {name}")
    if config.get("prediction_type", "epsilon") not in PREDICTION_TYPES:
        raise ValueError(f"expected a prediction type out of {', '.join(PREDICTION_TYPES)}, got {config.prediction_type}")
    if strength < 1 and name in WHOLE_SCHEDULES:
        raise ValueError(f"expected a strength of 1 with {name}, which cannot begin within its schedule, got {strength}")


def _step_arguments(scheduler) -> set[str]:
    """Names of what a scheduler's step cannot do without."""
    arguments = inspect.signature(scheduler.step).parameters.items()
    return {name for name, argument in arguments if argument.default is argument.empty}


def start_schedule(scheduler, num_inference_steps: int, strength: float, device) -> torch.Tensor:
    """Set a diffusers scheduler to sample, and return the timesteps of the last `strength` of its schedule, (K,).

    Schedulers of second order evaluate twice a step, so a shortened schedule begins with a whole step.
    """
    scheduler.set_timesteps(num_inference_steps, device=device)
    count = len(scheduler.timesteps)
    first = count - max(1, int(count * strength))
    first -= first % getattr(scheduler, "order", 1)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return scheduler.timesteps[first:]


def sample(
    denoiser: Denoiser,
    latents: torch.Tensor,
    timesteps: torch.Tensor,
    hold: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor],
    on_step: Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, bool]],
    generator: torch.Generator | list[torch.Generator] | None = None,
) -> torch.Tensor:
    """Denoise latents (B, 4, N, h, w) by the scheduler's own step.

    Args:
        hold: (latents, the timestep they have come to, None at the end) → latents with what must not change put back.
        on_step: (index, timestep, latents after it, clean latents expected at it) → (latents, whether to go on).
        generator: of the noise that ancestral schedulers add.
    """
    scheduler = denoiser.scheduler
    options = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    for index, timestep in enumerate(timesteps):
        clean = denoiser(latents, timestep)
        prediction = denoiser.prediction(clean, latents, timestep)
        latents = scheduler.step(prediction, timestep, latents, **options).prev_sample
        latents = hold(latents, timesteps[index + 1] if index + 1 < len(timesteps) else None)
        latents, goes_on = on_step(index, timestep, latents, clean)
        if not goes_on:
            break
    return latents
