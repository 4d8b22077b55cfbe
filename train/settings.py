"""The options of each verb of `python -m train`: range, flag, default and help of one stand in its field."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from loopanimate.options import Options
from loopanimate.presets import MAX_FRAMES, PRESETS, Preset, check_num_frames

if TYPE_CHECKING:
    from train.stages import Stage

PresetName = Literal[tuple(PRESETS)]
Tokens = Literal["image", "text", "none"]
Precision = Literal["no", "fp16", "bf16"]
Sampling = Literal["native", "alss"]
CELLS = "cells on the short side of the motion preset's grid, a multiple of 4 (default: 12)"
CLIP_VISION = "folder or hub repository of a CLIP vision model (default: the checkpoint's own, if it has one)"
JSON = {"flag": "--json"}


def _loop_length(count: int) -> int:
    check_num_frames(count)
    return count


NumFrames = Annotated[int, AfterValidator(_loop_length)]


class TrainSettings(Options):
    """Train one stage; the same command resumes where it was cut."""

    stage: int = Field(description="0 (motion preset, from scratch), 1, 2 or 3; each starts from the one before")
    preset: PresetName = "motion"
    data: str | None = Field(
        None, description="clips: folder with captions, .tar shards or manifest.jsonl (default: procedural motion)"
    )
    output: str = Field(
        default_factory=lambda values: f"runs/{values['preset']}",
        description="folder of the run; each stage writes OUTPUT/stageK (default: runs/PRESET)",
    )
    init: str | None = Field(
        None, description="pipeline folder to start from (default: the stage before; at stage 0 random weights)"
    )
    steps: int | None = Field(None, ge=1, description="optimizer steps (default: the stage table's)")
    f: int | None = Field(
        None,
        ge=2,
        le=(MAX_FRAMES + 1) // 2,
        title="number of forward frames",
        description="forward frames of every clip (default: the stage table's)",
    )
    cells: int | None = Field(None, description=CELLS)
    seed: int = Field(0, ge=0, description="of weights, data and noise")
    sampling: Sampling = Field("native", description="of procedural motion; clips are always sampled by ALSS")
    batch: int | None = Field(None, ge=1, description="clips a device and micro-batch (default: the stage table's)")
    accumulate: int = Field(1, ge=1, title="accumulation", description="micro-batches a step")
    workers: int = Field(2, ge=0, description="processes that decode clips, for each device")
    flow: Literal["dis", "raft"] = Field(
        "dis", description="optical flow of clips in the motion preset; raft needs torchvision and fetches its weights"
    )
    preencode: int = Field(
        0, ge=0, title="number of pre-encoded loops", description="loops of each clip to encode once; 0 draws every loop anew"
    )
    mixed_precision: Precision = Field("no", description="number format of the network's arithmetic")
    gradient_checkpointing: bool = Field(False, description="less memory for a third more time")
    eight_bit_adam: bool = Field(False, description="optimizer states in 8 bits; needs bitsandbytes and CUDA")
    ema: bool = Field(True, description="keep a running mean of the weights as the result; costs a copy of what trains")
    save_every: int = Field(100, ge=1, title="save interval", description="steps between checkpoints")
    sample_every: int = Field(0, ge=0, title="sample interval", description="steps between sample loops; 0 makes none")
    injection: tuple[Tokens, Tokens, Tokens] | None = Field(
        None, description="tokens that down, mid and up blocks read, as in Table 4 (default: image text text)"
    )
    every_injection: bool = Field(
        False, description="train each row of Table 4 in turn, step by step: a base that favours none of them"
    )
    trains: tuple[str, ...] | None = Field(
        None, description="groups of Table 1 that train, as in Table 5 (default: the stage table's)"
    )
    dry_run: bool = Field(False, description="print the plan and stop")

    def table(self) -> tuple[Preset, "Stage"]:
        """The preset and the stage with this run's changes.

        Raises ValueError, in one sentence, for a stage that the preset lacks and for settings that exclude each other.
        """
        from train.stages import STAGES  # imports torch, which the help of a command must not wait for

        preset, stages = PRESETS[self.preset], STAGES[self.preset]
        if self.stage not in stages:
            raise ValueError(f"expected a stage out of {list(stages)} of preset {self.preset}, got {self.stage}")
        if preset.checkpoint is None and self.data is None:
            raise ValueError(f"expected captioned clips for preset {self.preset} (--data): procedural motion has no appearance")
        if self.preencode and not self.data:
            raise ValueError("expected clips to encode (--data) for preencode")
        if self.flow != "dis" and not (self.data and preset.checkpoint):
            raise ValueError(f"expected clips (--data) of preset motion for flow {self.flow}")
        if self.preencode and self.sample_every:
            raise ValueError("expected no sample loops (--sample-every 0) with preencode: it keeps no pictures")
        if self.cells is not None and (preset.checkpoint is None or self.cells < 4 or self.cells % 4):
            raise ValueError(f"expected a multiple of 4 cells, of preset motion, got {self.cells} of preset {self.preset}")
        stage = stages[self.stage]
        if self.cells is not None:
            stage = stage.on(self.cells, preset.short_side)
        if self.f is not None:
            stage = replace(stage, f=self.f, shorter=())
        changes = {"batch": self.batch, "iterations": self.steps, "trains": self.trains}
        return preset, replace(stage, **{name: value for name, value in changes.items() if value is not None})


class PriorSettings(Options):
    """Fit the Gaussian that the motion preset's noise is drawn from; stage 0 of the same output begins from it."""

    output: str = Field("runs/motion", description="folder of the run; the fitted pipeline is OUTPUT/prior/pipeline")
    init: str | None = Field(None, description="pipeline folder whose prior to fit (default: new networks)")
    steps: int = Field(600, ge=1, description="optimizer steps")
    batch: int = Field(64, ge=1, description="clips a step")
    seed: int = Field(0, ge=0, description="of weights, data and noise")
    sampling: Sampling = Field("native", description="of procedural motion")


class WordsSettings(Options):
    """Fit again how unknown words are read, after the vocabulary or the bundled text encoder changed."""

    output: str | None = Field(None, description="new file; assets/motion/reader.safetensors is the one that is read")
    check: bool = Field(False, description="only compare a new fit with that file, and fail where they differ")


class CurateSettings(Options):
    """Judge every clip of a collection; the same command resumes where it was cut."""

    data: str = Field(description="folder with captions, or .tar shards")
    output: str = Field(description="folder of manifest.jsonl and summary.svg")
    f: int = Field(18, ge=2, title="number of forward frames", description="forward frames that a clip must be long enough for")
    max_cut: float = Field(0.55, ge=0, description="share of a picture's contrast that flow between two frames may not explain")
    min_motion: float = Field(0.003, ge=0, description="short sides between two frames, 95th percentile over the picture")
    min_stays: float = Field(
        0.35, ge=0, le=1, description="overlap (IoU) of the mask that flow carried with the last frame's own"
    )
    min_caption: float = Field(0.2, ge=-1, le=1, description="CLIP cosine of the object's crop and the caption")
    caption_check: bool = Field(True, description="hold captions against objects; needs CLIP's weights")
    clip: str = Field("openai/clip-vit-large-patch14", description="folder or hub repository of a CLIP model")
    processes: int = Field(os.cpu_count() or 1, ge=1, description="clips judged at once")
    ray: bool = Field(False, description='use a Ray cluster (pip install "ray[data]") instead of processes of this machine')


class AssembleSettings(Options):
    """Put the 512 preset's starting point together from public checkpoints, each a folder or owner/name@revision."""

    output: str = Field(description="new folder")
    base: str = Field(
        "lambdalabs/sd-image-variations-diffusers@v2.0", description="Stable Diffusion 1.x whose UNet reads image embeddings"
    )
    words: str = Field(
        "openai/clip-vit-large-patch14@32bd64288804d66eefd0ccbe215aa642df71cc41",
        description="CLIP with tokenizer and text model",
    )
    motion: str = Field(
        "guyoww/animatediff-motion-adapter-v1-5@50585043613863954defef3da6869e012623d0fb",
        description="AnimateDiff (v1 to v3), LongAnimateDiff or PIA motion modules, also as one checkpoint file",
    )
    text_attention: str | None = Field(
        None,
        description="Stable Diffusion 1.x that reads text: gives the mid and up blocks' cross-attention,"
        " so that words mean something before training (default: the base's)",
    )


class EvaluateSettings(Options):
    """Table 2 over captioned pictures or clips; without them, whether the motion preset obeys."""

    preset: PresetName = "motion"
    checkpoint: str | None = Field(None, description="folder or hub repository (default: the bundled one)")
    data: str | None = Field(
        None,
        description="pictures or clips never trained on, captioned as those of `run` (a folder with captions.csv,"
        " for instance); without it, the motion preset's obedience is measured",
    )
    output: str = Field("runs/evaluation", description="folder of tables, loops, sheets and pages")
    against: tuple[str, ...] = Field((), description="outputs of other evaluations over the same data, for the rating page")
    seeds: int = Field(2, ge=1, description="loops of each picture of --data")
    num_frames: NumFrames = Field(MAX_FRAMES, description="odd, 3 to 35")
    steps: int | None = Field(None, ge=1, le=1000, description="sampling steps (default: the checkpoint's)")
    guidance: float | None = Field(None, ge=0, le=50, description="guidance scale (default: the checkpoint's)")
    hold_ends: bool = Field(False, description="hold the first and last frame; the paper does not")
    clip: str | None = Field(None, description=CLIP_VISION)
    pictures: str | None = Field(None, description="obedience: folder of pictures (default: scikit-image's photographs)")
    limit: int | None = Field(None, ge=1, description="obedience: pictures at most, 36 loops each")
    sheets: str | None = Field(None, description="obedience: folder for a contact sheet of each loop")
    as_json: bool = Field(False, description="print JSON", json_schema_extra=JSON)


class AblateSettings(Options):
    """Table 4 or 5 anew: every row trained with several seeds; the same command resumes where it was cut."""

    table: Literal[4, 5] = Field(description="of the paper")
    preset: PresetName = "motion"
    output: str = Field("runs/ablation", description="folder of the runs and of the table")
    data: str | None = Field(None, description="clips to train on (default: procedural motion)")
    init: str | None = Field(
        None, description="pipeline that every row's stage 1 begins from (default: a stage 0 for each row of preset motion)"
    )
    test_data: str | None = Field(
        None, description="captioned pictures to measure Table 2's columns on (default: the motion preset's obedience)"
    )
    clip: str | None = Field(None, description=CLIP_VISION)
    seeds: int = Field(3, ge=2, description="runs of each row, for an interval")
    share: float = Field(1.0, gt=0, description="share of the stage table's steps")
    cells: int | None = Field(None, description=CELLS)
    pictures: int = Field(6, ge=1, description="pictures of the motion preset's obedience, 36 loops each")
    num_frames: NumFrames = Field(MAX_FRAMES, description="of the loops that are measured")
    workers: int = Field(2, ge=0, description="processes that decode clips, for each device")
    mixed_precision: Precision = Field("no", description="number format of the network's arithmetic")
    gradient_checkpointing: bool = Field(False, description="less memory for a third more time")


class ParamsSettings(Options):
    """Count the parameters of Table 1 (train/METHOD.md §4) without allocating them."""

    preset: PresetName = "512"
    as_json: bool = Field(False, description="print JSON", json_schema_extra=JSON)
