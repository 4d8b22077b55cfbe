"""Fits the prior that the motion preset's noise is drawn from, before stage 0: minutes, as nothing is denoised."""

import math
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from loopanimate.motion.modes import WAVES, lowest, to_modes
from loopanimate.network.encoders import encode_text
from loopanimate.network.noise import STILL_DEVIATION, WIDTH, Gaussian, frequency_weights
from loopanimate.presets import PRESETS
from train.grammar import AMPLITUDES, KINDS, PARTS, Motion, draw
from train.networks import build, save_pipeline
from train.settings import PriorSettings, TrainSettings
from train.synthetic import make_clips

CELLS = 8  # on the short side: twice as many as the modes that the prior tells apart
FRAMES = (35, 35, 35, 15)  # of a loop, step by step in turn
LEARNING_RATE = 2e-3
WARMUP = 20  # steps
REPLAYS = 6  # further optimizer steps a step, on new loops for captions of steps before: encoding captions costs most
READING_WEIGHT = 30.0  # of the error of what is read from words, against `surprise`
DIRECTION_WEIGHT = 4.0  # of the time mean and the winding in `surprise`: a direction is two numbers of D
NO_WORDS = 0.04  # share of loops with an empty caption


def attributes(motion: Motion) -> list[float]:
    """Kind, direction, size, tempo and part of the motion that words ask for, each number about one."""
    angle = math.radians(motion.direction or 0.0)
    direction = [math.cos(angle), math.sin(angle)] if motion.direction is not None else [0.0, 0.0]
    return [
        *(float(motion.kind == kind) for kind in KINDS),
        *direction,
        math.log(motion.amplitude / AMPLITUDES["plainly"]) if motion.amplitude else 0.0,
        math.log(2 * motion.frequency),
        *(float(motion.part == part) for part in PARTS),
    ]


def surprise(prior: Gaussian, ring: torch.Tensor, winding: torch.Tensor, progress: float) -> torch.Tensor:
    """How little a prior expects loops: the loss of its fit, (B, 2 layers), in nats a number.

    The sum of: negative log densities of a frame about the time mean and, `DIRECTION_WEIGHT` times, of the time mean and of
    the winding; the cross entropy of the ring's power over frequency; the squared error of the logarithm of the middle's
    roundness. Densities are those of a t distribution with D degrees of freedom: near the Gaussian's, but a single clip far
    out does not outweigh all others. Rings get a little noise, because exact zeros could be given any density.

    ring: latents (B, 4, N-1, h, w) of what comes back. winding: latents (B, 4, 1, h, w) of what streams. progress: as in
    `Gaussian.sample`.
    """
    area = (ring.shape[-2] * ring.shape[-1]) ** 0.5
    count = ring.shape[2]
    modes = lowest(to_modes(ring)) / area  # (B, 2, n, D)
    middle = modes.mean(2, keepdim=True)
    modes = modes - middle
    numbers = torch.cat([middle - prior.mean[:, :, None], modes], dim=2)
    root = prior.root()
    density = _t_density(numbers + STILL_DEVIATION * torch.randn_like(numbers), root)  # (B, 2, n + 1)
    level, frames = density[..., 0], density[..., 1:].mean(-1)

    weights = frequency_weights(count, ring.device)
    power = torch.fft.rfft(modes, dim=2)[:, :, 1:].abs().square().mean(-1) * weights  # (B, 2, J)
    power = power / power.sum(-1, keepdim=True).clamp(min=(count * STILL_DEVIATION) ** 2 / 100)
    entropy = -(power * (prior.spectrum(count)[..., 1:] ** 2 * weights).log()).sum(-1)

    flows = lowest(to_modes(winding)) / area / progress - prior.winding_mean[:, :, None]  # (B, 2, 1, D)
    flow = _t_density(flows, prior.winding_root())[..., 0]

    sizes = torch.linalg.svdvals(modes[..., :: WAVES**2].mT)  # (B, 2, 2), of the path of each layer's middle
    roundness = (sizes[..., 1] / sizes[..., 0].clamp(min=STILL_DEVIATION)).clamp(0.01, 1).log()
    travels = sizes[..., 0] > 10 * STILL_DEVIATION * count**0.5
    return frames + entropy + DIRECTION_WEIGHT * (level + flow) + (roundness - prior.roundness).square() * travels


def _t_density(numbers: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """Negative log density, up to a constant and divided by D, of numbers (B, 2, n, D) with covariance root @ root.T."""
    spheres = torch.linalg.solve_triangular(root, numbers.mT, upper=False).square().mean(2).log1p()  # (B, 2, n)
    return spheres + root.diagonal(dim1=-2, dim2=-1).log().mean(-1, keepdim=True)


def fit(settings: PriorSettings) -> Path:
    """Fit the prior of the starting point, by maximum likelihood; returns the pipeline folder that stage 0 begins from.

    Raises ValueError, in one sentence, for settings that do not fit or a missing starting point.
    """
    torch.manual_seed(settings.seed)
    pipe = build(TrainSettings(stage=0, output=settings.output, init=settings.init), PRESETS["motion"])
    if not pipe.codec.is_motion:
        raise ValueError(f"expected a checkpoint of the motion preset, got one with {type(pipe.codec).__name__}")
    prior = pipe.codec.prior.train()
    # A kind or a direction matters to a person more than to a density, so what is read is also held to what words say.
    head = torch.nn.Linear(WIDTH, 2 * len(attributes(Motion())))
    parameters = [*prior.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / settings.steps))
    )
    seen, losses = [], []
    rng = random.Random(settings.seed)
    bar = tqdm(range(settings.steps), mininterval=10)
    for step in bar:
        drawn = [draw(rng) for _ in range(settings.batch)]
        prompts = ["" if rng.random() < NO_WORDS else caption for caption, _, _ in drawn]
        said = torch.tensor([attributes(salient) + attributes(background) for _, salient, background in drawn])
        said = torch.where(torch.tensor([bool(prompt) for prompt in prompts])[:, None], said, torch.zeros_like(said))
        text_tokens = encode_text(pipe.tokenizer, pipe.text_encoder, prompts).half()  # (B, L, width)
        seen.append((drawn, said, text_tokens))
        num_frames = FRAMES[step % len(FRAMES)]
        progress = pipe.codec.progress(num_frames)
        for replay, (drawn, said, text_tokens) in enumerate((seen[-1], *rng.choices(seen, k=REPLAYS))):
            seed = settings.seed * 1_000_003 + step * (REPLAYS + 1) + replay
            clips = make_clips(settings.batch, num_frames, CELLS, seed, settings.sampling, drawn=drawn)
            latents = pipe.codec.compress(clips.displacement)
            winding = latents[:, :, -1:]  # (B, 4, 1, h, w)
            ring = torch.cat([latents[:, :, :1], latents[:, :, 1:-1] - winding], dim=2)  # (B, 4, N-1, h, w)
            loss = surprise(prior(text_tokens, clips.latent_mask), ring, winding, progress).mean()
            misread = F.mse_loss(head(prior.read_words(text_tokens)), said)
            optimizer.zero_grad()
            (loss + READING_WEIGHT * misread).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 3.0)
            optimizer.step()
            if replay == 0:  # on captions not yet learned from
                losses.append(loss.item())
        schedule.step()
        bar.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.4f}", refresh=False)
    folder = Path(settings.output) / "prior" / "pipeline"
    save_pipeline(pipe, folder, {**settings.model_dump(), "losses": losses})
    return folder
