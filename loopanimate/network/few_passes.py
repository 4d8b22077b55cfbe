"""A schedule of one or two passes, for a student that has learned what a sampler makes of its noise (train/distill.py)."""

import torch
from diffusers import DDIMScheduler
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from diffusers.schedulers.scheduling_utils import SchedulerMixin


class FewPassScheduler(DDIMScheduler, SchedulerMixin):  # a pipeline reloads it only if its module has the mixin's name
    """Sampling that begins in the middle of the schedule, with the noise itself as the first estimate of the loop.

    The motion preset's noise fits the words and the mask: half of a sampled loop can be seen in it. At the last timestep,
    where nothing but noise counts, a network knows only the mean of all loops. At `passes[0]`, given the noise as though it
    were a loop noised by itself, it keeps what it sees. A later pass reads the estimate before it, noised by the same noise.
    """

    @register_to_config
    def __init__(
        self,
        passes: tuple[int, ...] = (449, 224),
        num_train_timesteps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        beta_schedule: str = "scaled_linear",
        prediction_type: str = "v_prediction",
        rescale_betas_zero_snr: bool = True,
        clip_sample: bool = False,
    ):
        """passes: timestep of each pass; one or two, falling. Raises ValueError for another count or another prediction."""
        if not 1 <= len(passes) <= 2:
            raise ValueError(f"expected one or two passes, got {len(passes)}")
        if prediction_type != "v_prediction":
            raise ValueError(f"expected a student that predicts velocity, got {prediction_type}")
        # the parent's __init__ without its decorator, which would add arguments that we do not take to our config
        DDIMScheduler.__init__.__wrapped__(
            self,
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            prediction_type=prediction_type,
            rescale_betas_zero_snr=rescale_betas_zero_snr,
            clip_sample=clip_sample,
        )
        self.set_timesteps(len(passes))

    def levels(self, timestep: int | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Shares of signal and of noise at a timestep."""
        signal = self.alphas_cumprod[torch.as_tensor(timestep).cpu()].sqrt()
        return signal, (1 - signal**2).sqrt()

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device = None) -> None:
        """Raises ValueError for more passes than there are timesteps."""
        if not 1 <= num_inference_steps <= len(self.config.passes):
            raise ValueError(f"expected 1 to {len(self.config.passes)} steps of this checkpoint, got {num_inference_steps}")
        self.num_inference_steps = num_inference_steps
        self.timesteps = torch.tensor(self.config.passes[:num_inference_steps], device=device)

    def step(self, model_output: torch.Tensor, timestep: int, sample: torch.Tensor, return_dict: bool = True, **_):
        """From a velocity to the estimate and, after the first of two passes, to that noised anew."""
        signal, noise = self.levels(timestep)
        clean = previous = signal * sample - noise * model_output
        following = self.timesteps[1:2]
        if len(following) and timestep == self.timesteps[0]:
            begun = sample / (signal + noise)  # the noise, which was its own first estimate
            signal, noise = self.levels(following[0])
            previous = signal * clean + noise * begun
        return DDIMSchedulerOutput(previous, clean) if return_dict else (previous,)
