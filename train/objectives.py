"""What a training step minimises: the draws that make latents noisy, and the error of what is made of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from loopanimate.network.conditioning import condition
from loopanimate.network.denoiser import Denoiser, Levels, training_levels
from loopanimate.network.encoders import PatchEncoder, encode_image
from loopanimate.network.unet import LoopAnimateUNet
from train.loader import Loops
from train.stages import Stage

MIN_NOISE = 0.1  # share of variance: below it velocity is mostly the noise, which says little about the clean latents


class TrainedNetworks(torch.nn.Module):
    """The networks that train as one module: the UNet and, where it trains too, the image encoder before it."""

    def __init__(self, unet: LoopAnimateUNet, image_encoder: PatchEncoder | None):
        super().__init__()
        self.unet, self.image_encoder = unet, image_encoder

    def forward(self, sample, timesteps, text_tokens, image_tokens, image, mask, keep_image):
        if self.image_encoder is not None:
            image_tokens = encode_image(self.image_encoder, image, mask)
        return self.unet(sample, timesteps, text_tokens, image_tokens * keep_image[:, None, None]).sample


@dataclass(frozen=True)
class Draws:
    """The random choices of each loop of a batch."""

    noise: torch.Tensor  # (B, 4, N, h, w)
    timesteps: torch.Tensor  # (B,)
    keep_far_end: torch.Tensor  # (B,) bool, true with probability 1 - r
    keep_text: torch.Tensor  # (B,) 0 or 1
    keep_image: torch.Tensor  # (B,) 0 or 1


def draw(loops: Loops, seed: int, first: int, together: int, pipe, stage: Stage) -> Draws:
    """The draws of samples `first`, `first` + 1, …: each follows from its own number, whatever the rank, also after a resume.

    together: loops of one optimizer step over all devices. Their timesteps fall one into each of as many equal parts of the
    schedule, so that every step covers it.
    """
    latents = loops.latents
    noise, chances = [], []
    for number in range(first, first + len(latents)):
        generator = torch.Generator().manual_seed(derive_seed(seed, 0, number))
        noise.append(torch.randn(latents.shape[1:], generator=generator))
        chances.append(torch.rand(3, generator=generator))
    noise = pipe.codec.noise(torch.stack(noise).to(latents), loops.text_tokens, loops.latent_mask)
    chances = torch.stack(chances).to(latents.device)
    step, place = divmod(first, together)
    parts = torch.randperm(together, generator=torch.Generator().manual_seed(derive_seed(seed, 1, step)))
    parts = parts[place : place + len(latents)].to(latents.device)
    train_timesteps = pipe.scheduler.config.num_train_timesteps
    quiet = 1 - (parts + chances[:, 0]) / together
    timesteps = ((1 - quiet**stage.noisy) * train_timesteps).long().clamp(max=train_timesteps - 1)
    text, image, both = stage.recipe.dropped
    hidden = chances[:, 1]  # up to `text`: text alone; up to `text + both`: both; then the picture alone
    keep_text = hidden >= text + both
    keep_image = (hidden < text) | (hidden >= text + both + image)
    keeps = (keep.to(latents.dtype) for keep in (keep_text, keep_image))
    return Draws(noise, timesteps, chances[:, 2] >= stage.hide_far_end, *keeps)


def derive_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def clip_loss(networks, scheduler, loops: Loops, draws: Draws, empty_text: torch.Tensor, stage: Stage) -> torch.Tensor:
    """The stage's objective, meaned over a batch and over frames (train/METHOD.md §3, eq. 2, eq. 6).

    networks: `TrainedNetworks`, as they are or wrapped for several devices. empty_text: (1, L, width), the tokens of "".
    """
    latents, num_frames = loops.latents, loops.latents.shape[2]
    given = condition(
        loops.static_code,
        loops.latent_mask if stage.salient else None,
        num_frames,
        dynamic_code=latents[:, :, num_frames // 2],
        dynamic_mask=loops.middle_mask,
        keep=draws.keep_far_end,
    )
    text_tokens = torch.where(draws.keep_text[:, None, None] > 0, loops.text_tokens, empty_text)

    def network(sample, timesteps):
        return networks(sample, timesteps, text_tokens, loops.image_tokens, loops.image, loops.mask, draws.keep_image)

    denoiser = Denoiser(network, scheduler, given, levels=training_levels)
    levels = denoiser.levels(draws.timesteps)
    errors = (denoiser(levels.add_noise(latents, draws.noise), draws.timesteps) - latents).square().mean((1, 3, 4))  # (B, N)
    errors = errors * OBJECTIVES[stage.objective](levels)[..., 0, 0, 0]
    weights = errors.new_ones(num_frames)
    weights[-1] = stage.last_frame
    return (errors @ (weights / weights.sum())).mean()


# What `Stage.objective` names: the factor (B, 1, 1, 1, 1) that makes the squared error of the clean latents that of the noise,
# or that of the velocity times the noise's share of variance, at least MIN_NOISE. With more noise, the latter is 1.
OBJECTIVES: dict[str, Callable[[Levels], torch.Tensor]] = {
    "noise": lambda levels: (levels.signal / levels.noise) ** 2,
    "velocity": lambda levels: (MIN_NOISE / levels.noise**2).clamp(min=1),
}
