"""From noise to clean latents along a scheduler's timesteps."""

import inspect
from collections.abc import Callable

import torch

from loopanimate.network.denoiser import PREDICTION_TYPES, Denoiser
from loopanimate.network.few_passes import FewPassScheduler

# diffusers' schedulers of the noise levels that betas give, on which the networks are trained; a test samples with each
SCHEDULERS = (
    *("DDIM", "DDPM", "DEISMultistep", "DPMSolverMultistep", "DPMSolverSinglestep", "EulerAncestralDiscrete", "EulerDiscrete"),
    *("HeunDiscrete", "KDPM2AncestralDiscrete", "KDPM2Discrete", "LCM", "LMSDiscrete", "PNDM", "SASolver", "TCD"),
    "UniPCMultistep",
)
WHOLE_SCHEDULES = ("LMSDiscrete", "PNDM")  # they cannot begin within: their first step would read steps never made


def check_scheduler(scheduler, strength: float) -> None:
    """Raises ValueError, in one sentence, for a scheduler by which the networks cannot be sampled."""
    name, config = type(scheduler).__name__.removesuffix("Scheduler"), scheduler.config
    is_student = isinstance(scheduler, FewPassScheduler)
    if not (is_student or name in SCHEDULERS) or config.get("use_flow_sigmas"):
        raise ValueError(f"expected a scheduler out of {', '.join(SCHEDULERS)}, with noise from betas, got {name}")
    if config.prediction_type not in PREDICTION_TYPES:
        raise ValueError(f"expected a prediction type out of {', '.join(PREDICTION_TYPES)}, got {config.prediction_type}")
    if strength < 1 and (is_student or name in WHOLE_SCHEDULES):
        raise ValueError(f"expected a strength of 1 with {name}, which cannot begin within its schedule, got {strength}")


def start_schedule(scheduler, num_inference_steps: int, strength: float, device) -> torch.Tensor:
    """Set a diffusers scheduler to sample, and return the timesteps of the last `strength` of its schedule, (K,).

    Schedulers of second order evaluate twice a step, so a shortened schedule begins with a whole step.
    """
    scheduler.set_timesteps(num_inference_steps, device=device)
    count = len(scheduler.timesteps)
    first = count - max(1, int(count * strength))
    first -= first % scheduler.order
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
