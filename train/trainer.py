"""One training loop for every stage: resumable, EMA, logged (PAPER.md §3, §5)."""

import json
import math
import os
import re
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType
from accelerate.utils import gather_object, set_seed
from diffusers.training_utils import EMAModel
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from loopanimate.network.conditioning import condition, stack
from loopanimate.network.encoders import PatchEncoder, encode_image, encode_text
from loopanimate.network.unet import LoopAnimateUNet
from train.clips import Skipped, collect, summary
from train.encoded import EncodedDataset, encoded_loops, preencode, with_tokens
from train.flow import estimator
from train.loader import Batches, LoopDataset, Loops, procedural_loops, real_loops
from train.networks import build, save_pipeline, write_sample, writing
from train.plan import plan
from train.settings import TrainSettings
from train.stages import INJECTIONS, Stage, trainable_names

DROP_TOKENS = 0.1  # of text and of image tokens, each
MIN_WEIGHT = 0.1  # of a velocity's squared error, at the timesteps with the least noise
WARMUP = 40  # steps
WORDS = re.compile(r"unet\.(text_projection|(mid|up)_block.*\.attentions\..*\.attn2\.to_[kv])\.")  # what reads them
OUTER = re.compile(r"unet\.(conv_in|conv_out|time_embedding)\.")  # no hidden features' matrices
KEEP_CHECKPOINTS = 2


class Denoiser(torch.nn.Module):
    """The trained networks as one module: the UNet and, where it trains too, the image encoder before it."""

    def __init__(self, unet: LoopAnimateUNet, image_encoder: PatchEncoder | None):
        super().__init__()
        self.unet, self.image_encoder = unet, image_encoder

    def forward(self, sample, timesteps, text_tokens, image_tokens, image, mask, keep_image):
        if self.image_encoder is not None:
            image_tokens = encode_image(self.image_encoder, image, mask)
        return self.unet(sample, timesteps, text_tokens, image_tokens * keep_image[:, None, None]).sample


@dataclass(frozen=True)
class Draws:
    """What chance decides about each loop of a batch."""

    noise: torch.Tensor  # (B, 4, N, h, w)
    timesteps: torch.Tensor  # (B,)
    keep_far_end: torch.Tensor  # (B,) bool, 1 - r
    keep_text: torch.Tensor  # (B,)
    keep_image: torch.Tensor  # (B,)


def draw(loops: Loops, seed: int, first: int, together: int, pipe, stage: Stage) -> Draws:
    """The draws of samples `first`, `first` + 1, ...: each from its own number, so that ranks and resuming change none.

    together: loops of one optimizer step over all devices; their timesteps fall one into each of as many equal parts
    of the schedule, so that a step covers it.
    """
    latents = loops.latents
    noise, chances = [], []
    for number in range(first, first + len(latents)):
        generator = torch.Generator().manual_seed(_seed(seed, 0, number))
        noise.append(torch.randn(latents.shape[1:], generator=generator))
        chances.append(torch.rand(4, generator=generator))
    noise = pipe.codec.noise(torch.stack(noise).to(latents), loops.text_tokens, loops.latent_mask)
    chances = torch.stack(chances).to(latents.device)
    step, place = divmod(first, together)
    parts = torch.randperm(together, generator=torch.Generator().manual_seed(_seed(seed, 1, step)))
    parts = parts[place : place + len(latents)].to(latents.device)
    train_timesteps = pipe.scheduler.config.num_train_timesteps
    quiet = 1 - (parts + chances[:, 0]) / together
    timesteps = ((1 - quiet**stage.noisy) * train_timesteps).long().clamp(max=train_timesteps - 1)
    keep_text, keep_image = ((chance >= DROP_TOKENS).to(latents.dtype) for chance in chances[:, 1:3].T)
    return Draws(noise, timesteps, chances[:, 3] >= stage.hide_far_end, keep_text, keep_image)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def clip_loss(denoiser, scheduler, loops: Loops, draws: Draws, empty_text: torch.Tensor, stage: Stage) -> torch.Tensor:
    """Mean squared error of the prediction on one batch (eq. 2, eq. 6), of velocity weighted by the noise's share of variance.

    empty_text (1, L, width) are the tokens of "".
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
    sample = stack(scheduler.add_noise(latents, draws.noise, draws.timesteps), given)
    text_tokens = torch.where(draws.keep_text[:, None, None] > 0, loops.text_tokens, empty_text)
    prediction = denoiser(sample, draws.timesteps, text_tokens, loops.image_tokens, loops.image, loops.mask, draws.keep_image)
    is_velocity = scheduler.config.prediction_type == "v_prediction"
    if not is_velocity:
        return F.mse_loss(prediction.to(draws.noise.dtype), draws.noise)
    # the error of the clean latents that the velocity implies: where little noise is left, velocity is mostly that noise
    share = (1 - scheduler.alphas_cumprod.to(latents)[draws.timesteps]).clamp(min=MIN_WEIGHT)
    target = scheduler.get_velocity(latents, draws.noise, draws.timesteps)
    errors = (prediction.to(target.dtype) - target).square().mean((1, 3, 4)) * share[:, None]  # (B, N)
    weights = errors.new_ones(num_frames)
    weights[-1] = stage.last_frame
    return (errors @ (weights / weights.sum())).mean()


class Progress:
    """What the log remembers across a cut."""

    def __init__(self):
        self.loss = None  # running mean
        self.skipped: Skipped = {}  # clips that could not be used, by this process until `gather`

    def add(self, loss: float) -> None:
        self.loss = loss if self.loss is None else 0.98 * self.loss + 0.02 * loss

    def skip(self, clips: Skipped) -> None:
        for reason, names in clips.items():
            self.skipped[reason] = list(dict.fromkeys([*self.skipped.get(reason, ()), *names]))

    def gather(self) -> None:
        """What each process skipped, in all of them."""
        for clips in gather_object([self.skipped]):
            self.skip(clips)

    def state_dict(self) -> dict:
        return dict(vars(self))

    def load_state_dict(self, state: dict) -> None:
        vars(self).update(state)


def train(settings: TrainSettings) -> None:
    """Train one stage into OUTPUT/stageK; resumes from its newest whole checkpoint.

    Raises ValueError, in one sentence, for settings that do not fit, a missing starting point, clips that cannot be
    used, or a checkpoint that cannot be written.
    """
    preset, stage = settings.table()
    folder = Path(settings.output) / f"stage{settings.stage}"
    if settings.dry_run:
        print(plan(settings, preset, stage, folder))
        return
    # one image token needs no query and no key, and some injections leave out a projection
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(
        mixed_precision=settings.mixed_precision, log_with="tensorboard", project_dir=folder, kwargs_handlers=[unused]
    )
    if accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        raise ValueError(f"expected one process or data-parallel ones, got {accelerator.distributed_type.value}")
    device, steps = accelerator.device, stage.iterations
    set_seed(settings.seed)
    pipe = build(settings, preset)
    parts = settings.accumulate * accelerator.num_processes
    together = stage.batch * parts
    _same_run(accelerator, folder, settings, steps, together)

    trainable = trainable_names(pipe.unet, stage)
    for name, parameter in pipe.unet.named_parameters():
        parameter.requires_grad_(name in trainable)
    encoder_trains = stage.trains == ("all",)
    pipe.image_encoder.requires_grad_(encoder_trains)
    for network in filter(None, (pipe.codec, pipe.text_encoder, pipe.safety_checker)):
        network.requires_grad_(False).eval().to(device)
    if not encoder_trains:
        pipe.image_encoder.eval().to(device)
    if settings.gradient_checkpointing:
        pipe.unet.enable_gradient_checkpointing()
    denoiser = Denoiser(pipe.unet, pipe.image_encoder if encoder_trains else None).train().to(device)
    optimizers = _optimizers(settings, denoiser, stage)
    schedules = [LambdaLR(optimizer, partial(_rate, stage=stage)) for optimizer in optimizers]
    denoiser, *optimizers = accelerator.prepare(denoiser, *optimizers)
    parameters = [parameter for parameter in denoiser.parameters() if parameter.requires_grad]
    progress, ema = (
        Progress(),
        EMAModel(parameters, decay=_averaged(steps), use_ema_warmup=True, power=0.75) if settings.ema else None,
    )
    accelerator.register_for_checkpointing(*schedules, progress, *([ema] if ema else []))

    if accelerator.is_main_process:  # a checkpoint that was being written when the run was cut
        shutil.rmtree(folder / "partial", ignore_errors=True)
    checkpoints = sorted(folder.glob("checkpoint-*[0-9]"))
    done = 0
    if checkpoints:
        accelerator.load_state(checkpoints[-1])
        if ema:  # is loaded to the processor
            ema.to(device)
        done = int(checkpoints[-1].name.split("-")[1])
    accelerator.init_trackers("logs")
    source = _source(accelerator, settings, stage, pipe, folder, done, progress)
    empty_text = encode_text(pipe.tokenizer, pipe.text_encoder, [""])
    dtype = parameters[0].dtype
    bar = tqdm(range(done, steps), initial=done, total=steps, disable=not accelerator.is_main_process, mininterval=10)
    for step in bar:
        began, waited, total = time.perf_counter(), 0.0, 0.0
        if settings.every_injection:
            pipe.unet.inject(INJECTIONS[step % len(INJECTIONS)])
        for part in range(settings.accumulate):
            waits = time.perf_counter()
            loops = next(source)
            waited += time.perf_counter() - waits
            loops = with_tokens(loops, pipe, encoder_trains).to(dtype)
            micro = (step * settings.accumulate + part) * accelerator.num_processes + accelerator.process_index
            run_seed = _seed(settings.seed, settings.stage)
            size = len(loops.latents)
            draws = draw(loops, run_seed, micro * size, size * parts, pipe, stage)
            last = part + 1 == settings.accumulate
            with nullcontext() if last else accelerator.no_sync(denoiser):
                loss = clip_loss(denoiser, pipe.scheduler, loops, draws, empty_text.to(dtype), stage) / settings.accumulate
                accelerator.backward(loss)
            total += loss.item()
        accelerator.clip_grad_norm_(parameters, 1.0)
        for optimizer, schedule in zip(optimizers, schedules):
            optimizer.step()
            schedule.step()
        denoiser.zero_grad()
        if ema:
            ema.step(parameters)
        progress.add(total)
        bar.set_postfix(loss=f"{progress.loss:.4f}", refresh=False)
        seconds = time.perf_counter() - began
        values = {
            "loss": total,
            "learning_rate": schedules[-1].get_last_lr()[0],
            "clips_per_second": size * parts / seconds,
            "waiting_for_clips": waited / seconds,
            "skipped_clips": sum(map(len, progress.skipped.values())),
        }
        accelerator.log(values, step=step)
        if (step + 1) % settings.save_every == 0 or step + 1 == steps:
            progress.gather()
            _save_state(accelerator, folder, step + 1)
        if settings.sample_every and (step + 1) % settings.sample_every == 0 and accelerator.is_main_process:
            write_sample(accelerator, pipe, loops, folder, step + 1, stage.num_frames)
    if progress.skipped and accelerator.is_main_process:
        print(f"skipped: {summary(progress.skipped)}")
    if ema:
        ema.copy_to(parameters)
    if accelerator.is_main_process:
        record = {
            **settings.model_dump(),
            "steps": steps,
            "loss": progress.loss,
            "num_frames": stage.num_frames,
            "clips_a_step": together,
            "learning_rate": stage.learning_rate,
            "skipped": progress.skipped,
        }
        save_pipeline(pipe, folder / "pipeline", record)
    accelerator.wait_for_everyone()
    accelerator.end_training()


class KernelMuon(torch.optim.Muon):
    """Muon whose matrices may be convolution kernels too: (O, I, k, k) counts as (O, I·k·k)."""

    def __init__(self, groups: list[dict], **options):
        self.weights = [weight for group in groups for weight in group["params"]]
        flat = [{**group, "params": [weight.detach().flatten(1) for weight in group["params"]]} for group in groups]
        super().__init__(flat, adjust_lr_fn="match_rms_adamw", **options)

    def step(self, closure=None):
        flat = (matrix for group in self.param_groups for matrix in group["params"])  # on the weights' own memory
        for matrix, weight in zip(flat, self.weights, strict=True):
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        return super().step(closure)


def _optimizers(settings: TrainSettings, denoiser: Denoiser, stage: Stage) -> list[torch.optim.Optimizer]:
    groups = {}  # by (of a hidden matrix, factor on the learning rate)
    muon = stage.muon and settings.mixed_precision != "fp16"  # whose loss scaling does not know of flattened gradients
    for name, parameter in denoiser.named_parameters():
        if parameter.requires_grad:
            hidden = muon and parameter.ndim > 1 and name.startswith("unet.") and not OUTER.match(name)
            groups.setdefault((hidden, stage.words_rate if WORDS.match(name) else 1.0), []).append(parameter)
    hidden, others = (
        [{"params": group, "lr": factor * stage.learning_rate} for (matrix, factor), group in groups.items() if matrix == kind]
        for kind in (True, False)
    )
    optimizers = [KernelMuon(hidden, weight_decay=0.01)] if hidden else []
    options = {"betas": (0.9, 0.99), "weight_decay": 0.01}
    if not settings.eight_bit_adam:
        return [*optimizers, torch.optim.AdamW(others, **options, fused=True)]
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise ValueError("expected bitsandbytes for --eight-bit-adam: pip install bitsandbytes") from None
    return [*optimizers, AdamW8bit(others, **options)]


def _averaged(steps: int) -> float:
    """Decay of the weights' running mean: over a twentieth of the run, so that the end of its schedule is not lost in it."""
    return min(0.999, max(0.9, 1 - 20 / steps))


def _rate(step: int, stage: Stage) -> float:
    """Factor on the learning rate: a warm-up, level on the small grid, half a cosine from there to zero."""
    after = max(0.0, (step - stage.small_steps) / max(1, stage.iterations - stage.small_steps))
    return min(1.0, step / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, after)))


def _source(accelerator: Accelerator, settings: TrainSettings, stage: Stage, pipe, folder: Path, done: int, progress: Progress):
    """Loops of this process, batch after batch, from step `done` on."""
    parts, rank = settings.accumulate * accelerator.num_processes, accelerator.process_index
    if settings.data is None:
        first = (settings.seed * 1_000_003 + settings.stage) * 10_000_019 + rank
        seeds = count(first + done * parts, accelerator.num_processes)
        numbered = ((done + index // settings.accumulate, seed) for index, seed in enumerate(seeds))
        return procedural_loops(pipe.codec, stage, settings.sampling, numbered, accelerator.device)
    clips, uncollected = collect(settings.data)
    progress.skip(uncollected)
    if uncollected and accelerator.is_main_process:
        print(f"{len(clips)} clips; skipped: {summary(uncollected)}")
    flow = estimator(settings.flow, accelerator.device)
    dataset = LoopDataset(clips, stage.f, _seed(settings.seed, settings.stage), pipe.codec, stage.salient, flow)
    batches = Batches(stage.batch, done * parts + rank, stage.iterations * parts, accelerator.num_processes)

    def skip(name: str, reason: str) -> None:
        progress.skip({reason: [name]})

    if not settings.preencode:
        return real_loops(dataset, batches, settings.workers, pipe.codec, accelerator.device, skip)
    encoded, total = folder / "encoded", settings.preencode * len(clips)
    own = range(rank, total, accelerator.num_processes)
    preencode(dataset, own, settings.workers, pipe, stage.trains == ("all",), encoded, accelerator.device, skip)
    accelerator.wait_for_everyone()
    return encoded_loops(EncodedDataset(encoded, total, settings.seed), batches, settings.workers, accelerator.device)


def _same_run(accelerator: Accelerator, folder: Path, settings: TrainSettings, steps: int, together: int) -> None:
    """Raises ValueError where `folder` holds something of a run that began otherwise: going on would belong to neither."""
    changeable = ("output", "batch", "accumulate", "workers", "save_every", "sample_every", "dry_run", "gradient_checkpointing")
    now = {name: value for name, value in settings.model_dump().items() if name not in changeable}
    now = json.loads(json.dumps({**now, "steps": steps, "clips_a_step": together}))
    path = folder / "settings.json"
    left = ("checkpoint-*[0-9]", "pipeline", "encoded/*.safetensors")
    if path.is_file() and any(any(folder.glob(pattern)) for pattern in left):
        before = json.loads(path.read_text())
        changed = [name for name in now if before.get(name) != now[name]]
        if changed:
            raise ValueError(
                f"expected {changed[0]} {before.get(changed[0])} as {folder} began with, got {now[changed[0]]}:"
                " choose another output"
            )
    elif accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(now, indent=2))
        partial.rename(path)
    accelerator.wait_for_everyone()


def _save_state(accelerator: Accelerator, folder: Path, step: int) -> None:
    """A checkpoint that either is whole or is not there; the last few are kept."""
    partial, final = folder / "partial", folder / f"checkpoint-{step:07d}"
    with writing("a checkpoint", partial):
        accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        for path in partial.rglob("*"):  # the name must not reach the disk before what it names
            if path.is_file():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old in sorted(folder.glob("checkpoint-*[0-9]"))[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
