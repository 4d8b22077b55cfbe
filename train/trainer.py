"""One training loop for every stage: resumable, EMA, logged (train/METHOD.md §3, §5)."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType
from accelerate.utils import gather_object, set_seed, tqdm
from diffusers.training_utils import EMAModel
from torch.optim.lr_scheduler import LambdaLR

from loopanimate.files.pictures import replacing
from loopanimate.memory import is_shortage
from loopanimate.network.encoders import encode_text
from train.clips import Skipped, collect, summary
from train.encoded import EncodedDataset, encoded_loops, preencode, with_tokens
from train.flow import estimator
from train.loader import Batches, LoopDataset, Loops, procedural_loops, real_loops
from train.networks import build, encoding, flush, save_pipeline, writing
from train.objectives import TrainedNetworks, clip_loss, derive_seed, draw
from train.plan import plan
from train.settings import TrainSettings, check_same, read_json
from train.sources import first_line
from train.stages import Stage, trainable_names
from train.validation import Validation

READS_WORDS = re.compile(r"unet\.(text_projection|(mid|up)_block.*\.attentions\..*\.attn2\.to_[kv])\.")
OUTER = re.compile(r"unet\.(conv_in|conv_out|time_embedding)\.")  # matrices from or to something else than hidden features
KEEP_CHECKPOINTS = 2


@dataclass
class Progress:
    """What the log knows of a run, kept in its checkpoints."""

    loss: float | None = None  # running mean
    skipped: Skipped = field(default_factory=dict)  # clips that could not be used: of this process, after `gather` of all

    def add(self, loss: float) -> None:
        self.loss = loss if self.loss is None else 0.98 * self.loss + 0.02 * loss

    def skip(self, clips: Skipped) -> None:
        for reason, names in clips.items():
            self.skipped[reason] = list(dict.fromkeys([*self.skipped.get(reason, ()), *names]))

    def gather(self) -> None:
        """Tell every process what all of them skipped."""
        for clips in gather_object([self.skipped]):
            self.skip(clips)

    def state_dict(self) -> dict:
        return dict(vars(self))

    def load_state_dict(self, state: dict) -> None:
        vars(self).update(state)


def train(settings: TrainSettings) -> None:
    """Train one stage into OUTPUT/stageK; resumes from its newest whole checkpoint, to more steps or fewer if asked.

    Raises ValueError, in one sentence, for settings that do not fit, a missing starting point, clips that cannot be
    used, or a checkpoint that cannot be written.
    """
    preset, stage = settings.table()
    folder = Path(settings.output) / f"stage{settings.stage}"
    if settings.dry_run:
        print(plan(settings, preset, stage, folder))
        return
    accelerator = make_accelerator(settings.mixed_precision, folder)
    set_seed(settings.seed)
    pipe = build(settings, preset)
    together = stage.batch * settings.accumulate * accelerator.num_processes  # clips of one optimizer step
    before = _same_run(accelerator, folder, settings, stage, together)
    networks = select_trained(settings, stage, pipe, accelerator.device)
    muon = stage.muon and settings.mixed_precision != "fp16"  # fp16's loss scaling does not find flattened gradients
    optimizers = make_optimizers(networks, replace(stage, muon=muon), settings.eight_bit_adam)
    schedules = [LambdaLR(optimizer, stage.rate) for optimizer in optimizers]
    networks, *optimizers = accelerator.prepare(networks, *optimizers)
    parameters = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    progress = Progress()
    ema = EMAModel(parameters, decay=stage.ema_decay, use_ema_warmup=True, power=0.75) if settings.ema else None
    done = resume(accelerator, folder, ema, [*schedules, progress])
    _lay_anew(stage, schedules, ema)
    if before != stage.iterations:
        laid = stage.recipe.schedule != "constant" or stage.small_steps or stage.words_first
        told = f": what hangs on their number is laid anew from step {done} on" if laid else ""
        accelerator.print(f"{stage.iterations} steps instead of {before}{told}")
    accelerator.init_trackers("logs")
    source = _source(accelerator, settings, stage, pipe, folder, done, progress)
    judge = None
    if settings.sample_every and accelerator.is_main_process:
        judge = Validation(accelerator, settings, stage, pipe)
    bar = tqdm(range(done, stage.iterations), initial=done, total=stage.iterations, mininterval=10)
    began = time.perf_counter()
    for step, (loops, loss, waited) in zip(bar, _gradients(accelerator, settings, stage, pipe, networks, source, done)):
        norm = accelerator.clip_grad_norm_(parameters, stage.recipe.max_norm)
        for part in (*optimizers, *schedules):
            part.step()
        networks.zero_grad()
        if ema:
            ema.step(parameters)
        progress.add(loss)
        bar.set_postfix(loss=f"{progress.loss:.4f}", refresh=False)
        seconds = time.perf_counter() - began
        measured = {
            "loss": loss,
            "gradient_norm": norm.item(),
            "learning_rate": schedules[-1].get_last_lr()[0],
            "clips_per_second": len(loops.latents) * settings.accumulate * accelerator.num_processes / seconds,
            "waiting_for_clips": waited / seconds,
            "skipped_clips": sum(map(len, progress.skipped.values())),
        }
        accelerator.log(measured, step=step)
        if (step + 1) % settings.save_every == 0 or step + 1 == stage.iterations:
            progress.gather()
            save_state(accelerator, folder, step + 1)
        if judge and (step + 1) % settings.sample_every == 0:
            judge.run(step + 1, folder, parameters, ema)
        began = time.perf_counter()
    if ema:
        ema.copy_to(parameters)
    if accelerator.is_main_process:
        if progress.skipped:
            print(f"skipped: {summary(progress.skipped)}")
        save_pipeline(pipe, folder / "pipeline", record(settings, stage, progress, stage.iterations, together))
    accelerator.wait_for_everyone()
    accelerator.end_training()


def make_accelerator(mixed_precision: str, folder: Path) -> Accelerator:
    """One process or data-parallel ones, which log to `folder`. Raises ValueError for anything else."""
    # one image token needs no query and no key, and some injections leave out a projection
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(
        mixed_precision=mixed_precision, log_with="tensorboard", project_dir=folder, kwargs_handlers=[unused]
    )
    if accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        raise ValueError(f"expected one process or data-parallel ones, got {accelerator.distributed_type.value}")
    return accelerator


def select_trained(settings: TrainSettings, stage: Stage, pipe, device) -> TrainedNetworks:
    """Freeze what a stage does not train, and move all networks to the device."""
    trainable = trainable_names(pipe.unet, stage)
    for name, parameter in pipe.unet.named_parameters():
        parameter.requires_grad_(name in trainable)
    pipe.image_encoder.requires_grad_(stage.trains_encoder)
    for network in filter(None, (pipe.codec, pipe.text_encoder, pipe.safety_checker)):
        network.requires_grad_(False).eval().to(device)
    if not stage.trains_encoder:
        pipe.image_encoder.eval().to(device)
    if settings.gradient_checkpointing:
        pipe.unet.enable_gradient_checkpointing()
    return TrainedNetworks(pipe.unet, pipe.image_encoder if stage.trains_encoder else None).train().to(device)


def resume(accelerator: Accelerator, folder: Path, ema: EMAModel | None, others: list) -> int:
    """Load the newest whole checkpoint, if there is one, also into `ema` and `others`; returns the steps that are done.

    A newer one that does not load, after a disk's fault or from a copy that was cut, is set aside under another name.

    Raises ValueError where no checkpoint of several loads.
    """
    accelerator.register_for_checkpointing(*others, *([ema] if ema else []))
    if accelerator.is_main_process:  # a checkpoint that was being written when the run was cut
        shutil.rmtree(folder / "partial", ignore_errors=True)
    damaged = []
    for checkpoint in sorted(folder.glob("checkpoint-*[0-9]"), reverse=True):
        told = _load(accelerator, checkpoint)
        if told is None:
            break
        damaged.append(checkpoint)
    else:
        checkpoint = None
    if damaged and not checkpoint:
        raise ValueError(f"expected a whole checkpoint in {folder}, got {len(damaged)} that do not load: {told}")
    accelerator.wait_for_everyone()
    for each in damaged:
        aside = each.with_name(each.name.replace("checkpoint", "damaged"))
        accelerator.print(f"{each.name} does not load and is {aside.name} now; going on from {checkpoint.name}")
        if accelerator.is_main_process:
            shutil.rmtree(aside, ignore_errors=True)
            each.rename(aside)
    if ema and checkpoint:  # is loaded to the processor
        ema.to(accelerator.device)
    return steps_done(checkpoint)


def _load(accelerator: Accelerator, checkpoint: Path) -> str | None:
    """Load a checkpoint; where it fails in any process, what is wrong, and another one must be loaded over it."""
    told = None
    try:
        accelerator.load_state(checkpoint)
    except Exception as error:  # over a damaged file torch, safetensors and pickle raise nearly anything
        if is_shortage(error):
            raise
        told = first_line(error)
    return next(filter(None, gather_object([told])), None)


def newest(folder: Path) -> Path | None:
    return max(folder.glob("checkpoint-*[0-9]"), default=None)


def steps_done(checkpoint: Path | None) -> int:
    return int(checkpoint.name.split("-")[1]) if checkpoint else 0


def _gradients(
    accelerator: Accelerator, settings: TrainSettings, stage: Stage, pipe, networks, source: Iterator[Loops], done: int
) -> Iterator[tuple[Loops, float, float]]:
    """Add up the gradients of each step from `done` on; yields its last loops, its loss and the seconds it waited for loops.

    The loss is the mean over all processes.
    """
    empty, dtype = encode_text(pipe.tokenizer, pipe.text_encoder, [""]), pipe.unet.dtype
    parts, seed = settings.accumulate * accelerator.num_processes, derive_seed(settings.seed, settings.stage)
    for step in count(done):
        losses, waited = [], 0.0
        for part in range(settings.accumulate):
            began = time.perf_counter()
            with encoding(accelerator, pipe):
                loops = next(source)
                waited += time.perf_counter() - began
                loops = with_tokens(loops, pipe, stage.trains_encoder).to(dtype)
            micro_batch = (step * settings.accumulate + part) * accelerator.num_processes + accelerator.process_index
            size = len(loops.latents)
            draws = draw(loops, seed, micro_batch * size, size * parts, pipe, stage)
            last = part + 1 == settings.accumulate
            with nullcontext() if last else accelerator.no_sync(networks):
                loss = clip_loss(networks, pipe.scheduler, loops, draws, empty.to(dtype), stage) / settings.accumulate
                accelerator.backward(loss)
            losses.append(loss.detach())
        yield loops, accelerator.reduce(torch.stack(losses).sum(), "mean").item(), waited


def record(settings: TrainSettings, stage: Stage, progress: Progress, steps: int, together: int) -> dict:
    """What training.json says of a pipeline: `steps` that were made, of `together` clips each."""
    return {
        **settings.model_dump(exclude_none=True),
        "numbers": stage.numbers(),
        "steps": steps,
        "num_frames": stage.num_frames,
        "clips_a_step": together,
        "loss": progress.loss,
        "skipped": progress.skipped,
    }


class KernelMuon(torch.optim.Muon):
    """Muon that takes convolution kernels (O, I, k, k) too, as matrices (O, I·k·k)."""

    def __init__(self, groups: list[dict], **options):
        self.weights = [weight for group in groups for weight in group["params"]]
        flat = [{**group, "params": [weight.detach().flatten(1) for weight in group["params"]]} for group in groups]
        super().__init__(flat, adjust_lr_fn="match_rms_adamw", **options)

    def step(self, closure=None):
        flat = (matrix for group in self.param_groups for matrix in group["params"])  # they share the weights' memory
        for matrix, weight in zip(flat, self.weights, strict=True):
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        return super().step(closure)


def make_optimizers(networks: TrainedNetworks, stage: Stage, eight_bit: bool = False) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices, if the stage says so, and AdamW for all else that trains."""
    groups = {}  # (is a hidden matrix, factor on the learning rate): parameters
    for name, parameter in networks.named_parameters():
        if parameter.requires_grad:
            hidden = stage.muon and parameter.ndim > 1 and name.startswith("unet.") and not OUTER.match(name)
            groups.setdefault((hidden, stage.words_rate if READS_WORDS.match(name) else 1.0), []).append(parameter)
    hidden, others = (
        [{"params": group, "lr": factor * stage.learning_rate} for (matrix, factor), group in groups.items() if matrix == kind]
        for kind in (True, False)
    )
    recipe = stage.recipe
    optimizers = [KernelMuon(hidden, weight_decay=recipe.weight_decay)] if hidden else []
    options = {"betas": recipe.betas, "weight_decay": recipe.weight_decay}
    if not eight_bit:
        return [*optimizers, torch.optim.AdamW(others, **options, fused=True)]
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise ValueError("expected bitsandbytes for --eight-bit-adam: pip install bitsandbytes") from None
    return [*optimizers, AdamW8bit(others, **options)]


def _source(accelerator: Accelerator, settings: TrainSettings, stage: Stage, pipe, folder: Path, done: int, progress: Progress):
    """Batches of loops for this process, from step `done` on."""
    parts, rank = settings.accumulate * accelerator.num_processes, accelerator.process_index
    if settings.data is None:
        first = (settings.seed * 1_000_003 + settings.stage) * 10_000_019 + rank
        seeds = count(first + done * parts, accelerator.num_processes)
        numbered = ((done + index // settings.accumulate, seed) for index, seed in enumerate(seeds))
        return procedural_loops(pipe.codec, stage, settings.sampling, numbered, accelerator.device)
    with accelerator.main_process_first():  # the first to list very many clips writes an index for all
        clips, uncollected = collect(settings.data)
    progress.skip(uncollected)
    if uncollected and accelerator.is_main_process:
        print(f"{len(clips)} clips; skipped: {summary(uncollected)}")
    flow = estimator(settings.flow, accelerator.device)
    dataset = LoopDataset(clips, stage.f, derive_seed(settings.seed, settings.stage), pipe.codec, stage.salient, flow)
    batches = Batches(stage.batch, done * parts + rank, stage.iterations * parts, accelerator.num_processes)
    load = {"workers": settings.workers, "device": accelerator.device}
    load |= {"codec": pipe.codec, "skipped": lambda name, reason: progress.skip({reason: [name]})}
    if not settings.preencode:
        return real_loops(dataset, batches, **load)
    encoded, total = folder / "encoded", settings.preencode * len(clips)
    own = range(rank, total, accelerator.num_processes)
    with encoding(accelerator, pipe):
        preencode(partial(real_loops, dataset, **load), own, pipe, stage.trains_encoder, encoded)
    accelerator.wait_for_everyone()
    return encoded_loops(EncodedDataset(encoded, total, settings.seed), batches, settings.workers, accelerator.device)


def _same_run(accelerator: Accelerator, folder: Path, settings: TrainSettings, stage: Stage, together: int) -> int:
    """Note the run in `folder`, and return the steps that it was to have.

    Raises ValueError if the folder holds parts of a run with other settings, as what came of both would belong to neither,
    or has come further than this run is to go.
    """
    changeable = {"output", "batch", "accumulate", "workers", "save_every", "sample_every", "dry_run", "gradient_checkpointing"}
    now = settings.model_dump(mode="json", exclude={*changeable, "steps", "validation"}) | {"clips_a_step": together}
    now |= {"learning_rate": stage.learning_rate, "schedule": stage.recipe.schedule, "warm_up": stage.recipe.warm_up}
    path, steps = folder / "settings.json", stage.iterations
    if any(any(folder.glob(pattern)) for pattern in ("checkpoint-*[0-9]", "pipeline", "encoded/*.safetensors")):
        check_same(path, now)
        steps = read_json(path)["steps"] if path.is_file() else steps
        done = steps_done(newest(folder))
        if done > stage.iterations:
            raise ValueError(f"expected {done} steps or more, as {folder} has come to, got {stage.iterations}: see `export`")
    accelerator.wait_for_everyone()  # until all have read
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial_path:
            partial_path.write_text(json.dumps({**now, "steps": stage.iterations}, indent=2))
    accelerator.wait_for_everyone()
    return steps


def _lay_anew(stage: Stage, schedules: list[LambdaLR], ema: EMAModel | None) -> None:
    """Go on at rates and a decay as if the run had been as long as it is now from the beginning."""
    for schedule in schedules:
        for group, highest, factor in zip(schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas):
            group["lr"] = highest * factor(schedule.last_epoch)
    if ema:
        ema.decay = stage.ema_decay


def save_state(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Write a checkpoint so that it is whole or not there, and delete all but the newest few."""
    partial, final = folder / "partial", folder / f"checkpoint-{step:07d}"
    with writing("a checkpoint", partial):
        accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        flush(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old in sorted(folder.glob("checkpoint-*[0-9]"))[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
