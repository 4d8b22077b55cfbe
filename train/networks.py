"""The pipeline that a training run starts from, samples with and leaves behind."""

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler
from safetensors import SafetensorError
from transformers import AutoTokenizer, BertModel

from loopanimate.files.formats import Coding, write_loop
from loopanimate.network.encoders import PatchEncoder, encode_text
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.network.unet import INJECTION, LoopAnimateUNet
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import NATIVE_FPS, Preset
from train.grammar import draw
from train.loader import Loops
from train.settings import TrainSettings

SHRINKAGE = 0.003  # added to the variance of token states along each axis, which is 0.2 on average
SHEET = 5  # frames of a sample loop in the log


def starting_point(settings: TrainSettings, preset: Preset) -> Path | None:
    """The pipeline folder to start from, None for random weights. Raises ValueError if it is missing."""
    if settings.init:
        start = Path(settings.init)
    elif settings.stage and not (settings.stage == 1 and preset.checkpoint is None):
        start = Path(settings.output) / f"stage{settings.stage - 1}" / "pipeline"
    elif settings.stage:
        raise ValueError(f"expected --init with the assembled starting point of preset {preset.name} for stage 1")
    else:
        fitted = Path(settings.output) / "prior" / "pipeline"
        return fitted if fitted.is_dir() else None
    if not (start / "unet").is_dir():
        raise ValueError(f"expected the pipeline of the stage before in {start}, found none: run that stage first")
    return start


def build(settings: TrainSettings, preset: Preset) -> LoopAnimatePipeline:
    """All networks in float32: the starting point's, or new ones beside the bundled text encoder."""
    start = starting_point(settings, preset)
    injection = {"injection": tuple(settings.injection)} if settings.injection else {}
    if start:
        unet = LoopAnimateUNet.from_pretrained(start / "unet", **injection)
        pipe = LoopAnimatePipeline.from_pretrained(start, unet=unet, dtype=torch.float32)
    else:
        pipe = LoopAnimatePipeline(
            unet=LoopAnimateUNet(**{"injection": INJECTION, **preset.unet, **injection}),
            scheduler=DDIMScheduler(**preset.scheduler),
            codec=MotionCodec(short_side=preset.short_side, text_width=preset.unet["cross_attention_dim"]),
            image_encoder=PatchEncoder(width=preset.unet["cross_attention_dim"]),
            tokenizer=AutoTokenizer.from_pretrained(preset.checkpoint / "tokenizer"),
            text_encoder=BertModel.from_pretrained(preset.checkpoint / "text_encoder", dtype=torch.float32),
            num_inference_steps=preset.num_inference_steps,
            guidance_scale=preset.guidance_scale,
            guidance_interval=preset.guidance_interval,
        )
        with torch.no_grad():
            white = whitening(pipe)
            pipe.codec.prior.projection.weight.copy_(white)
            if pipe.unet.config.projects_text:
                pipe.unet.text_projection.weight.copy_(white)
    if isinstance(pipe.codec, MotionCodec):
        pipe.codec.register_to_config(short_side=settings.cells or preset.short_side)  # whatever grid the starting point had
    pipe.set_progress_bar_config(disable=True)
    return pipe


def whitening(pipe: LoopAnimatePipeline) -> torch.Tensor:
    """The symmetric matrix (width, width) that gives the token states of captions unit second moments.

    `SHRINKAGE` keeps directions small in which captions hardly differ.
    """
    rng = random.Random(0)
    states = torch.cat([encode_text(pipe.tokenizer, pipe.text_encoder, [draw(rng)[0] for _ in range(64)]) for _ in range(16)])
    states = states[states.ne(0).any(-1)].double()  # (tokens, width), without padding
    variances, axes = torch.linalg.eigh(states.mT @ states / len(states))
    return ((axes * (variances.clamp(min=0) + SHRINKAGE).rsqrt()) @ axes.mT).float()


@contextmanager
def writing(what: str, partial: Path) -> Iterator[None]:
    """Turn an error while `partial` is written into one sentence, and delete what is half-written.

    Raises ValueError. torch and safetensors each have errors of their own for a full disk.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
        reason, folder = str(error).strip().splitlines()[0], partial.parent
        raise ValueError(f"expected room for {what} in {folder}, got: {reason}. Make room and run the same command") from error


def save_pipeline(pipeline: LoopAnimatePipeline, folder: Path, record: dict) -> None:
    """Save a whole pipeline with how it was trained and the origin and licences of its start; written aside, then renamed."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with writing("the trained pipeline", partial):
        pipeline.save_pretrained(partial)
        (partial / "training.json").write_text(json.dumps(record, indent=2))
    start = pipeline.config.get("_name_or_path")
    for file in [file for kind in ("provenance.json", "*LICENSE*") for file in Path(start).glob(kind)] if start else ():
        shutil.copyfile(file, partial / file.name)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def write_sample(
    accelerator: Accelerator, pipe: LoopAnimatePipeline, loops: Loops, folder: Path, step: int, num_frames: int
) -> None:
    """Sample the batch's first picture with the networks as they are: a file in FOLDER/samples, a contact sheet in the log."""
    pipe.unet.eval()
    image, mask = (value[:1].float() for value in (loops.image, loops.mask))
    clip = pipe(
        image=image / 2 + 0.5,
        mask_image=mask,
        prompt=loops.captions[0],
        num_frames=num_frames,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).frames[0]
    pipe.unet.train()
    frames = (clip * 255).round().astype(np.uint8)  # (N, H, W, 3)
    (folder / "samples").mkdir(exist_ok=True)
    write_loop(folder / "samples" / f"{step:07d}.webp", iter(frames[:-1]), len(frames) - 1, Coding(Fraction(NATIVE_FPS)))
    shown = frames[np.linspace(0, num_frames - 1, SHEET).round().astype(int)]
    for tracker in accelerator.trackers:
        tracker.writer.add_image("sample", np.concatenate(list(shown), axis=1), step, dataformats="HWC")
