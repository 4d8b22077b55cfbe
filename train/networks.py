"""The pipeline that a training run starts from, samples with and leaves behind."""

import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler
from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, BertModel

from loopanimate.files.formats import Coding, write_loop
from loopanimate.memory import is_shortage
from loopanimate.network.encoders import PatchEncoder, encode_text
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.network.unet import INJECTION, LoopAnimateUNet
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import NATIVE_FPS, Preset
from train.grammar import draw
from train.settings import TrainSettings
from train.sources import first_line

PAGES = Path(__file__).parent / "pages"
LICENCES = {  # of what is trained, by preset: its name on the hub, and its text
    "motion": ("apache-2.0", Path(__file__).parents[1] / "LICENSE"),
    "512": ("creativeml-openrail-m", PAGES / "LICENSE.CreativeML-OpenRAIL-M"),  # Stable Diffusion's, for all derived from it
}
SHRINKAGE = 0.003  # added to the variance of token states along each axis, which is 0.2 on average


def starting_point(settings: TrainSettings, preset: Preset) -> Path | None:
    """The pipeline folder to start from, None for random weights. Raises ValueError if it is missing."""
    output = Path(settings.output)
    if not settings.init and not settings.stage:
        fitted = output / "prior" / "pipeline"
        return fitted if fitted.is_dir() else None
    if not settings.init and settings.stage == 1 and preset.checkpoint is None:
        raise ValueError(f"expected --init with the assembled starting point of preset {preset.name} for stage 1")
    start = Path(settings.init) if settings.init else output / f"stage{settings.stage - 1}" / "pipeline"
    if not (start / "unet").is_dir():
        raise ValueError(f"expected the pipeline of the stage before in {start}, found none: run that stage first")
    return start


def build(settings: TrainSettings, preset: Preset) -> LoopAnimatePipeline:
    """All networks in float32: the starting point's, or new ones beside the bundled text encoder.

    Raises ValueError for a starting point that is missing or damaged.
    """
    start = starting_point(settings, preset)
    injection = {"injection": settings.injection} if settings.injection else {}
    if start:
        with reading("a pipeline", start, "Make it again"):
            unet = LoopAnimateUNet.from_pretrained(start / "unet", **injection)
            pipe = LoopAnimatePipeline.from_pretrained(start, unet=unet, dtype=torch.float32)
    else:
        width = preset.unet["cross_attention_dim"]
        pipe = LoopAnimatePipeline(
            unet=LoopAnimateUNet(**{"injection": INJECTION, **preset.unet, **injection}),
            codec=MotionCodec(short_side=preset.short_side, text_width=width),
            image_encoder=PatchEncoder(width=width),
            tokenizer=AutoTokenizer.from_pretrained(preset.checkpoint / "tokenizer"),
            text_encoder=BertModel.from_pretrained(preset.checkpoint / "text_encoder", dtype=torch.float32),
            **sampling(preset),
        )
        with torch.no_grad():
            white = whitening(pipe)
            pipe.codec.prior.projection.weight.copy_(white)
            if pipe.unet.config.projects_text:
                pipe.unet.text_projection.weight.copy_(white)
    if pipe.codec.is_motion or settings.cells:
        pipe.codec.register_to_config(short_side=settings.cells or preset.short_side)  # whatever grid the starting point had
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sampling(preset: Preset) -> dict:
    """The arguments of a pipeline that a preset has for it: its scheduler, its steps and its guidance."""
    names = ("num_inference_steps", "guidance_scale", "guidance_interval")
    return {"scheduler": DDIMScheduler(**preset.scheduler), **{name: getattr(preset, name) for name in names}}


def whitening(pipe: LoopAnimatePipeline) -> torch.Tensor:
    """The symmetric matrix (width, width) that gives the token states of captions unit second moments.

    `SHRINKAGE` keeps directions small in which captions hardly differ.
    """
    rng = random.Random(0)
    states = torch.cat([encode_text(pipe.tokenizer, pipe.text_encoder, [draw(rng)[0] for _ in range(64)]) for _ in range(16)])
    states = states[states.ne(0).any(-1)].double()  # (tokens, width), without padding
    variances, axes = torch.linalg.eigh(states.mT @ states / len(states))
    return ((axes * (variances.clamp(min=0) + SHRINKAGE).rsqrt()) @ axes.mT).float()


def encoding(accelerator: Accelerator, pipe: LoopAnimatePipeline):
    """A context in which VAE and CLIP compute in the run's mixed precision. Displacement is always computed in full."""
    return nullcontext() if pipe.codec.is_motion else accelerator.autocast()


@contextmanager
def writing(what: str, partial: Path) -> Iterator[None]:
    """Turn an error while `partial` is written into one sentence, and delete what is half-written.

    Raises ValueError. torch and safetensors each have errors of their own for a full disk.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
        told = f"expected room for {what} in {partial.parent}, got: {first_line(error)}. Make room and run the same command"
        raise ValueError(told) from error


@contextmanager
def reading(what: str, path: Path, hint: str) -> Iterator[None]:
    """Turn an error while `path` is read into one sentence, which ends with a hint at what can be done.

    Raises ValueError. Over a damaged file torch, safetensors, pickle, json and diffusers raise nearly anything.
    """
    try:
        yield
    except Exception as error:
        if is_shortage(error):
            raise
        raise ValueError(f"expected {what} that is whole in {path}, got: {first_line(error)}. {hint}") from error


def flush(folder: Path) -> None:
    """Bring a folder's files onto the disk: without it, one renamed just before the power fails may hold empty files."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "r+b") as file:
                os.fsync(file.fileno())


def is_whole(path: Path) -> bool:
    """Whether a file of tensors is there and as long as its header says."""
    try:
        with safe_open(path, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def save_folder(pipeline: LoopAnimatePipeline, folder: Path, texts: dict[str, str], copies: dict[str, Path]) -> None:
    """Save a whole pipeline with texts and copies of files beside it, by name; written aside, then renamed."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with writing("the pipeline", partial):
        pipeline.save_pretrained(partial)
        # of what was loaded, diffusers notes the folder: a path of whoever trained
        for path in (partial / "model_index.json", *partial.glob("*/config.json")):
            config = json.loads(path.read_text(encoding="utf-8"))
            if config.pop("_name_or_path", None) is not None:
                path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        for name, path in copies.items():
            shutil.copyfile(path, partial / name)
        flush(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def save_pipeline(pipeline: LoopAnimatePipeline, folder: Path, record: dict) -> None:
    """Save a pipeline, ready to be uploaded: how it was trained, its origin, its card and the texts of its licences."""
    start = Path(pipeline.config.get("_name_or_path") or "none")
    file = start / "provenance.json"
    provenance = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    private = {"output", "init", "losses", "skipped"}  # paths of whoever trained, and what is long
    told = {name: Path(value).name if name in ("data", "validation") else value for name, value in record.items()}
    stages = [*provenance.get("trained", ()), {name: value for name, value in told.items() if name not in private}]
    name = "motion" if pipeline.codec.is_motion else "512"
    values = {
        "NAME": name,
        "LICENCE": LICENCES[name][0],
        "SOURCES": "\n".join(source_row(part, row) for part, row in provenance.get("assembled_from", {}).items()),
        "STAGES": "\n".join(f"```json\n{json.dumps(stage, indent=1)}\n```" for stage in stages),
    }
    card = re.sub("|".join(values), lambda match: values[match[0]], (PAGES / f"trained-{name}.md").read_text(encoding="utf-8"))
    texts = {
        "training.json": json.dumps(record, indent=2),
        "provenance.json": json.dumps({**provenance, "trained": stages}, indent=2),
        "README.md": card,
    }
    save_folder(pipeline, folder, texts, {file.name: file for file in start.glob("*LICENSE*")} | {"LICENSE": LICENCES[name][1]})


def source_row(part: str, record: dict) -> str:
    """A row of a card's table of sources."""
    return f"| {part} | {record['source']} | {record['commit'] or 'local files'} | {record['licence']} |"


def write_strip(frames: np.ndarray, path: Path, count: int) -> np.ndarray:
    """Write frames (N, H, W, 3) uint8 as a loop at the native rate; returns `count` of them side by side (H, count·W, 3)."""
    write_loop(path, iter(frames[:-1]), len(frames) - 1, Coding(Fraction(NATIVE_FPS)))
    return np.concatenate(list(frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]), axis=1)
