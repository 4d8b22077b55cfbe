"""Distils the sampler of the motion preset into one or two passes without guidance.

DDIM is deterministic: noise, words, picture and mask fix the loop that the teacher samples in all its guided steps. So a
student of the same network class learns that loop by plain regression, from the noise in one pass and, in a second, from its
own estimate and the same noise (`FewPassScheduler`). Making lessons costs more than learning from them: each is kept and
learned from several times.
"""

import copy
import json
import os
import random
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed, tqdm
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file
from torch.optim.lr_scheduler import LambdaLR

from loopanimate.checkpoints import load_quietly
from loopanimate.files.pictures import replacing
from loopanimate.motion.spline import latent_grid
from loopanimate.network.conditioning import condition
from loopanimate.network.denoiser import Denoiser
from loopanimate.network.few_passes import FewPassScheduler
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import MAX_FRAMES, PRESETS
from train.encoded import with_tokens
from train.loader import Loops
from train.networks import is_whole, save_pipeline, writing
from train.objectives import TrainedNetworks, derive_seed
from train.settings import DistillSettings, check_same
from train.stages import STAGES
from train.synthetic import ASPECTS, make_clips
from train.trainer import Progress, make_accelerator, make_optimizers, resume, save_state

# Timesteps, of 1000. Before any training the decoded motion after one pass from the first is nearest to the teacher's (0.19;
# 0.30 from 399 and 0.22 from 549, in `errors`, on one lesson); the second is a quarter of it: of 72 loops 64 show the kind that
# words name, 60 where it is half (train/README.md)
PASSES = (449, 112)
FRAMES = (35, 35, None, 35)  # of the lessons, in turn; None: any other length
LAST_FRAME = 6.0  # weight of its error: it alone says whether, and how far, a layer streams
ELSEWHERE = 0.1  # share of the error where the layer is not: nobody sees it, but masks have soft edges
RESTING = 0.003  # short sides: under it motion counts as rest, and its error is not divided by its size
DECODED = 0.5  # weight of the decoded motion's error beside the latents'
FAR = 4.0  # of its size squared: beyond it a layer's decoded error pulls no more
WARMUP = 10  # steps
FALLS = 0.5  # share of the steps over which the learning rate falls to zero


@torch.no_grad()
def teach(pipe: LoopAnimatePipeline, loops: Loops, seed: int, **options) -> dict[str, torch.Tensor]:
    """One lesson: what the pipeline samples for the pictures, masks and captions of `loops`, on their grid, from which noise.

    options: of the pipeline's call.
    """
    loops = with_tokens(loops, pipe, encoder_trains=False)
    pipe.codec.register_to_config(short_side=min(loops.latents.shape[-2:]))

    def generators() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(derive_seed(seed, row)) for row in range(len(loops.latents))]

    sampled = pipe(
        image=loops.image / 2 + 0.5,
        mask_image=loops.mask,
        prompt=list(loops.captions),
        num_frames=loops.latents.shape[2],
        generator=generators(),
        output_type="latent",
        **options,
    ).frames
    white = torch.stack([torch.randn(loops.latents.shape[1:], generator=generator) for generator in generators()])
    return {
        "noise": pipe.codec.noise(white.to(sampled.device), loops.text_tokens.to(pipe.unet.dtype), loops.latent_mask),
        "latents": sampled,
        "static_code": loops.static_code,
        "latent_mask": loops.latent_mask,
        "text_tokens": loops.text_tokens,
        "image_tokens": loops.image_tokens,
    }


def lesson_denoiser(networks, scheduler: FewPassScheduler, codec: MotionCodec, lesson: dict[str, torch.Tensor]) -> Denoiser:
    """The student told what a lesson is about, as the pipeline tells it; `networks` as in `clip_loss`."""
    batch, num_frames = len(lesson["noise"]), lesson["noise"].shape[2]
    seen = lesson["noise"].new_ones(batch)

    def network(sample, timestep):
        return networks(sample, timestep, lesson["text_tokens"], lesson["image_tokens"], None, None, seen)

    return Denoiser(network, scheduler, condition(lesson["static_code"], lesson["latent_mask"], num_frames), codec.constrain)


def refine(denoiser: Denoiser, timestep: torch.Tensor, estimate: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """One pass: clean latents (B, 4, N, h, w) from an estimate of them and the noise, with the first frame held.

    No gradient goes into the estimate: each pass is to come as near as it can.
    """
    clean = denoiser(denoiser.levels(timestep).add_noise(estimate.detach(), noise), timestep)
    return torch.cat([torch.zeros_like(clean[:, :, :1]), clean[:, :, 1:]], dim=2)


def errors(
    codec: MotionCodec, clean: torch.Tensor, taught: torch.Tensor, latent_mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared errors of latents (B, 4, N, h, w), and of the decoded motion relative to its size, (B, 2 layers) each.

    A layer's error is the mean over where it is, whatever its size.
    """
    support = torch.cat([latent_mask, 1 - latent_mask], dim=1)  # (B, 2, h, w)
    weights = support / support.sum((-2, -1), keepdim=True).clamp(min=1e-3) + ELSEWHERE / support[0, 0].numel()
    weights = (weights / weights.sum((-2, -1), keepdim=True))[:, :, None]

    def mean(vectors: torch.Tensor) -> torch.Tensor:  # (B, 4, N, h, w) → mean square length (B, 2, N)
        return (vectors.square().unflatten(1, (2, 2)).sum(2) * weights).sum((-2, -1))

    frames = clean.new_ones(clean.shape[2])
    frames[-1] = LAST_FRAME
    (ring, winding), (ring_taught, winding_taught) = codec.expand(clean), codec.expand(taught)
    missed = mean(ring - ring_taught).mean(-1) + mean(winding - winding_taught).squeeze(-1)
    size = mean(ring_taught).mean(-1) + mean(winding_taught).squeeze(-1)
    return mean(clean - taught) @ (frames / frames.sum()), missed / (size + RESTING**2)


def _shape(settings: DistillSettings, number: int) -> tuple[int, int, tuple[int, int]]:
    """(loops, frames, grid) of a lesson: on one grid all take about as long, on a coarser one less, with more loops."""
    rng = random.Random(number)
    turn, place = divmod(number, len(settings.cells))
    cells, num_frames = settings.cells[place], FRAMES[turn % len(FRAMES)] or rng.randrange(7, MAX_FRAMES, 2)
    height, width = latent_grid(*rng.choices(*zip(*ASPECTS.items()))[0], cells)
    count = settings.batch * max(settings.cells) * cells * MAX_FRAMES / (num_frames * height * width)
    return max(1, round(count)), num_frames, (height, width)


def lesson(teacher: LoopAnimatePipeline, settings: DistillSettings, number: int) -> dict[str, torch.Tensor]:
    """Lesson `number`, made where OUTPUT/lessons does not hold it whole; written aside and renamed."""
    path = Path(settings.output) / "lessons" / f"{number:06d}.safetensors"
    if not is_whole(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = derive_seed(settings.seed, number)
        count, num_frames, size = _shape(settings, number)
        clips = make_clips(count, num_frames, min(size), seed, size=size)
        conditions = (clips.image, clips.mask, clips.displacement, clips.static_code, clips.latent_mask, clips.middle_mask)
        loops = Loops(*conditions, tuple(clips.captions)).to(teacher.device)
        made = teach(teacher, loops, seed)
        partial = path.with_suffix(f".{os.getpid()}")
        with writing("lessons", partial):
            save_file({name: value.half().cpu().contiguous() for name, value in made.items()}, partial)
        partial.rename(path)
    return {name: value.float().to(teacher.device) for name, value in load_file(path).items()}


def _number(settings: DistillSettings, step: int, rank: int, processes: int) -> int:
    """The lesson that a process learns from at a step: every `reuse` steps a new one, otherwise one of those before."""
    turn, again = divmod(step, settings.reuse)
    if not again:
        return turn * processes + rank
    return random.Random(f"{settings.seed} {step} {rank}").randrange((turn + 1) * processes)


def _rate(step: int, steps: int) -> float:
    """Factor on the learning rate: a warm-up, level, and a straight way to zero over the last part."""
    return min(1.0, (step + 1) / WARMUP, (steps - step) / (FALLS * steps))


def _has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 itself: a processor that does not takes ten times as long as in float32."""
    return device.type != "cpu" or any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


def _multiply_in_bf16(network: torch.nn.Module) -> None:
    """Let linear layers multiply in bfloat16: a step takes 0.72 of its time on a CPU, with all else in half precision 1.1."""
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            module.forward = partial(_linear, module)


def _linear(layer: torch.nn.Linear, input: torch.Tensor) -> torch.Tensor:  # diffusers calls it by this name
    bias = None if layer.bias is None else layer.bias.bfloat16()
    return F.linear(input.bfloat16(), layer.weight.bfloat16(), bias).float()


def _compute_in_bf16(network: torch.nn.Module) -> None:
    """Halve the time of a lesson; its loops change by 0.5 % of their size.

    Strided convolutions stay in single precision: those that leave one column come out as nonsense on processors with AMX
    (findings/onednn-strided-bf16.sh).
    """
    network.to(torch.bfloat16)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.stride != (1, 1):
            module.float().forward = partial(_convolve, module)


def _convolve(layer: torch.nn.Conv2d, input: torch.Tensor) -> torch.Tensor:
    return torch.nn.Conv2d.forward(layer, input.float()).bfloat16()


def _same_run(accelerator: Accelerator, folder: Path, settings: DistillSettings) -> None:
    """Raises ValueError if `folder` holds lessons or checkpoints of a run with other settings."""
    now = settings.model_dump(mode="json", exclude={"output", "steps", "lessons", "student", "save_every"})
    check_same(folder / "settings.json", now)
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "settings.json") as partial_path:
            partial_path.write_text(json.dumps(now, indent=2))
    accelerator.wait_for_everyone()


def distill(settings: DistillSettings) -> Path:
    """Train the student from the weights of its teacher; returns its pipeline folder. The same command resumes.

    Raises ValueError, in one sentence, for a checkpoint of another preset or one that cannot be written.
    """
    folder = Path(settings.output)
    accelerator = make_accelerator("no", folder)
    _same_run(accelerator, folder, settings)
    set_seed(settings.seed)
    scheduler = FewPassScheduler(PASSES[: settings.passes])
    teacher = load_quietly("motion", settings.init, accelerator.device.type)
    if not teacher.codec.is_motion:
        raise ValueError(f"expected a checkpoint of the motion preset, got one with {type(teacher.codec).__name__}")
    begun = load_quietly("motion", settings.student, accelerator.device.type) if settings.student else teacher
    student = copy.deepcopy(begun.unet)
    if has_bf16 := _has_bf16(accelerator.device):
        _compute_in_bf16(teacher.unet)
    if settings.lessons:
        for number in range(settings.lessons):
            lesson(teacher, settings, number)
        return folder / "lessons"
    if has_bf16:
        _multiply_in_bf16(student)
    networks = TrainedNetworks(student, None).train()
    optimizers = make_optimizers(networks, replace(STAGES["motion"][0], learning_rate=settings.learning_rate))
    schedules = [LambdaLR(optimizer, partial(_rate, steps=settings.steps)) for optimizer in optimizers]
    networks, *optimizers = accelerator.prepare(networks, *optimizers)
    parameters = [*student.parameters()]
    ema = EMAModel(parameters, decay=settings.ema, use_ema_warmup=True, power=0.75)
    progress = Progress()
    done = resume(accelerator, folder, ema, [*schedules, progress])
    bar = tqdm(range(done, settings.steps), initial=done, total=settings.steps, mininterval=10)
    for step in bar:
        number = _number(settings, step, accelerator.process_index, accelerator.num_processes)
        taught = lesson(teacher, settings, number)
        denoiser, estimate = lesson_denoiser(networks, scheduler, teacher.codec, taught), taught["noise"]
        for timestep in scheduler.timesteps:
            last = timestep == scheduler.timesteps[-1]
            with nullcontext() if last else accelerator.no_sync(networks):
                estimate = refine(denoiser, timestep, estimate, taught["noise"])
                off, missed = errors(teacher.codec, estimate, taught["latents"], taught["latent_mask"])
                accelerator.backward(off.mean() + DECODED * missed.clamp(max=FAR).mean())
        accelerator.clip_grad_norm_(parameters, 1.0)
        for part in (*optimizers, *schedules):
            part.step()
        networks.zero_grad()
        ema.step(parameters)
        progress.add(off.mean().item())  # after the last pass
        bar.set_postfix(latents=f"{progress.loss:.4f}", refresh=False)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_state(accelerator, folder, step + 1)
    ema.copy_to(parameters)
    if accelerator.is_main_process:
        teacher.register_modules(unet=student.eval(), scheduler=FewPassScheduler(PASSES[: settings.passes]))
        teacher.codec.register_to_config(short_side=PRESETS["motion"].short_side)
        teacher.register_to_config(num_inference_steps=settings.passes, guidance_scale=1.0, guidance_interval=(0.0, 1.0))
        save_pipeline(teacher, folder / "pipeline", {**settings.model_dump(), "latents": progress.loss})
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder / "pipeline"
