"""Fits the prior that the motion preset's noise is drawn from, before stage 0: minutes, as nothing is denoised."""

import math
import random
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from loopanimate.network.encoders import encode_text
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.network.noise import WIDTH
from loopanimate.presets import PRESETS
from train.grammar import AMPLITUDES, KINDS, PARTS, Motion, draw
from train.networks import build, save_pipeline
from train.settings import PriorSettings, TrainSettings
from train.synthetic import make_clips

CELLS = 8  # on the short side: enough for the modes that the prior tells apart
FRAMES = (35, 35, 35, 15)  # of the steps, in turn
LEARNING_RATE = 2e-3
WARMUP = 20  # steps
REPLAYS = 6  # further optimizer steps a step, on other loops of what was said before
MEANING = 30.0  # weight of what the words say, as numbers
NO_WORDS = 0.04  # share of loops about which nothing is said


@dataclass(frozen=True)
class Spoken:
    """Captions with what they mean; reading them costs more than making loops that they fit."""

    drawn: list[tuple[str, Motion, Motion]]
    text_tokens: torch.Tensor  # (B, L, width), half precision
    meant: torch.Tensor  # (B, 2 x attributes)


def spoken(pipe, size: int, rng: random.Random) -> Spoken:
    """Of a few loops nothing is said."""
    drawn = [draw(rng) for _ in range(size)]
    said = ["" if rng.random() < NO_WORDS else caption for caption, _, _ in drawn]
    meant = torch.tensor([attributes(salient) + attributes(background) for _, salient, background in drawn])
    heard = torch.tensor([bool(words) for words in said])[:, None]
    tokens = encode_text(pipe.tokenizer, pipe.text_encoder, said).half()
    return Spoken(drawn, tokens, torch.where(heard, meant, torch.zeros_like(meant)))


def loops(pipe, words: Spoken, num_frames: int, seed: int, sampling: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Procedural motion that fits the words: latents of ring (B, 4, N-1, h, w) and winding (B, 4, 1, h, w), and masks."""
    clips = make_clips(len(words.drawn), num_frames, CELLS, seed, sampling, drawn=words.drawn)
    latents = pipe.codec.compress(clips.displacement)
    winding = latents[:, :, -1:]
    return torch.cat([latents[:, :, :1], latents[:, :, 1:-1] - winding], dim=2), winding, clips.latent_mask


def attributes(motion: Motion) -> list[float]:
    """What the words that ask for a motion say, as numbers of about one."""
    angle = math.radians(motion.direction or 0.0)
    way = [math.cos(angle), math.sin(angle)] if motion.direction is not None else [0.0, 0.0]
    return [
        *(float(motion.kind == kind) for kind in KINDS),
        *way,
        math.log(motion.amplitude / AMPLITUDES["plainly"]) if motion.amplitude else 0.0,
        math.log(2 * motion.frequency),
        *(float(motion.part == part) for part in PARTS),
    ]


def fit(settings: PriorSettings) -> Path:
    """Fit the prior of the starting point, by maximum likelihood; returns the pipeline folder that stage 0 begins from.

    Raises ValueError, in one sentence, for settings that do not fit or a missing starting point.
    """
    torch.manual_seed(settings.seed)
    pipe = build(TrainSettings(stage=0, output=settings.output, init=settings.init), PRESETS["motion"])
    if not isinstance(pipe.codec, MotionCodec):
        raise ValueError(f"expected a checkpoint of the motion preset, got one with {type(pipe.codec).__name__}")
    prior = pipe.codec.prior.train()
    # a direction or a kind is much to us and little to a density: what is read is also held to what was meant
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
        seen.append(spoken(pipe, settings.batch, rng))
        num_frames = FRAMES[step % len(FRAMES)]
        progress = pipe.codec.progress(num_frames)
        for turn, words in enumerate((seen[-1], *rng.choices(seen, k=REPLAYS))):
            seed = settings.seed * 1_000_003 + step * (REPLAYS + 1) + turn
            ring, winding, latent_mask = loops(pipe, words, num_frames, seed, settings.sampling)
            loss = prior(words.text_tokens, latent_mask).surprise(ring, winding, progress).mean()
            misread = F.mse_loss(head(prior.meaning(words.text_tokens)), words.meant)
            optimizer.zero_grad()
            (loss + MEANING * misread).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 3.0)
            optimizer.step()
            if turn == 0:  # before it was learned from
                losses.append(loss.item())
        schedule.step()
        bar.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.4f}", refresh=False)
    folder = Path(settings.output) / "prior" / "pipeline"
    save_pipeline(pipe, folder, {**settings.model_dump(), "losses": losses})
    return folder
