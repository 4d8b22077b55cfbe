"""A network as one function: noisy latents and a timestep in, clean latents out.

Sampling and training share it, so that scaling, prediction types, guidance and the codec's constraint stand here alone
(the idea is k-diffusion's, external.py; the equation is train/METHOD.md §3, eq. 6).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from loopanimate.network.conditioning import stack
from loopanimate.network.unet import Context, LoopAnimateUNet

PREDICTION_TYPES = ("epsilon", "v_prediction")  # noise, velocity


@dataclass(frozen=True)
class Levels:
    """How much of a scheduler's latents is signal and how much noise: x = (signal * clean + noise * ε) / scale.

    The network sees x * scale, whose variances add up to one. Most schedulers have scale 1; Euler's relatives work on
    clean + σ ε, so that their scale is `signal`.
    """

    signal: torch.Tensor
    scale: torch.Tensor | float = 1.0

    @property
    def noise(self) -> torch.Tensor:
        return (1 - self.signal**2).sqrt()

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (self.signal * clean + self.noise * noise) / self.scale


def training_levels(scheduler, timesteps: torch.Tensor) -> Levels:
    """Levels of integer timesteps (B,), signal (B, 1, 1, 1, 1); the scale is 1 whatever the scheduler is."""
    return Levels(scheduler.alphas_cumprod.to(timesteps.device)[timesteps].sqrt().view(-1, 1, 1, 1, 1))


def sampling_levels(scheduler, timestep: torch.Tensor) -> Levels:
    """Levels of the latents that a scheduler holds at the timestep it has come to, which may be fractional."""
    # some of Euler's relatives use two σ a step in turn, so read σ from what they divide by for the network
    scale = scheduler.scale_model_input(torch.ones(()), timestep)
    if scale != 1:
        return Levels(scale, scale)
    if not hasattr(scheduler, "sigmas"):
        return Levels(scheduler.alphas_cumprod[timestep.cpu()].sqrt())
    # DPM-Solver and its relatives may round a timestep, but not its σ
    sigma = scheduler.sigmas[scheduler.begin_index if scheduler.step_index is None else scheduler.step_index]
    return Levels((1 + sigma**2) ** -0.5)


class Denoiser:
    """`denoiser(x, timestep)`: noisy latents (B, 4, N, h, w) → the clean ones that the network takes them for.

    Args:
        network: (the 9-channel stack (B, 9, N, h, w), timestep) → prediction (B, 4, N, h, w): a `GuidedUNet`, or while
            training any module.
        scheduler: its prediction type says whether a prediction is noise or velocity.
        condition: (B, 5, N, h, w) of `conditioning.condition`.
        constrain: the nearest clean latents that the codec can mean; None leaves them.
        levels: `sampling_levels`, or `training_levels` for timesteps (B,).
    """

    def __init__(
        self,
        network: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        scheduler,
        condition: torch.Tensor,
        constrain: Callable[[torch.Tensor], torch.Tensor] | None = None,
        levels: Callable[..., Levels] = sampling_levels,
    ):
        self.network, self.scheduler, self.condition = network, scheduler, condition
        self.constrain, self._levels = constrain, levels
        self.is_velocity = scheduler.config.prediction_type == "v_prediction"

    def levels(self, timestep: torch.Tensor) -> Levels:
        return self._levels(self.scheduler, timestep)

    def __call__(self, x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        levels = self.levels(timestep)
        scaled = x * levels.scale
        prediction = self.network(stack(scaled, self.condition), timestep).to(x.dtype)
        if self.is_velocity:
            clean = levels.signal * scaled - levels.noise * prediction
        else:
            clean = (scaled - levels.noise * prediction) / levels.signal
        return self.constrain(clean) if self.constrain else clean

    def prediction(self, clean: torch.Tensor, x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The prediction from which a scheduler would conclude `clean`: the way back of `__call__`, for its `step`."""
        levels = self.levels(timestep)
        scaled = x * levels.scale
        return (levels.signal * scaled - clean if self.is_velocity else scaled - levels.signal * clean) / levels.noise


@dataclass
class GuidedUNet:
    """The UNet with one run's words and picture: (stack, timestep) → prediction (B, 4, N, h, w) in float32.

    Counts its calls, which are a run's steps: make a new one for each run.
    """

    unet: LoopAnimateUNet
    plain: Context  # of words and picture
    # what guidance runs instead: one context with the unconditional rows before the plain ones, or two, one for each, which
    # takes less memory; empty: the run has no guidance
    guided: tuple[Context, ...]
    scale: float  # how far to go from the unconditional prediction towards the plain one; 1 is no guidance
    interval: tuple[float, float]  # the part of the calls, in [0, 1], that guidance is computed for
    num_calls: int  # in the whole run
    cache_interval: int = 1  # run the deep blocks only every so many calls and reuse what they gave between; 1 is exact
    calls: int = field(default=0, init=False)
    caches: dict[Context, dict[str, torch.Tensor]] = field(default_factory=dict, init=False)

    def __call__(self, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        start, end = self.interval
        guides = bool(self.guided) and self.scale != 1 and start <= self.calls / self.num_calls <= end
        if self.calls % self.cache_interval == 0:
            self.caches = {}
        self.calls += 1
        sample, predictions = sample.to(self.unet.dtype), []
        for context in self.guided if guides else (self.plain,):
            cache = self.caches.setdefault(context, {}) if self.cache_interval > 1 else None
            predictions.append(self.unet(sample, timestep, context=context, cache=cache).sample)
        prediction = torch.cat(predictions).float()
        if not guides:
            return prediction
        unconditional, plain = prediction.chunk(2)
        return unconditional + self.scale * (plain - unconditional)
