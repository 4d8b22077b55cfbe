"""What a person may choose of a training run and of a curation."""

import os
from dataclasses import dataclass, replace
from typing import Literal

from loopanimate.presets import MAX_FRAMES, PRESETS, Preset
from train.stages import STAGES, Stage


@dataclass(frozen=True)
class TrainSettings:
    """Train one stage; the same command resumes where it was cut."""

    stage: int  # 0 (motion preset, from scratch), 1, 2 or 3: each from the output of the one before
    preset: str = "motion"  # motion or 512
    data: str | None = None  # clips: folder with captions, shards or manifest.jsonl; None: procedural motion
    output: str = "runs/motion"  # folder of the run; each stage writes OUTPUT/stageK
    init: str | None = None  # pipeline folder to start from; None: the stage before, random weights at stage 0
    steps: int | None = None  # optimizer steps; None: the stage table's
    f: int | None = None  # forward frames of every clip; None: the stage table's
    cells: int | None = None  # on the short side of the motion preset's grid, a multiple of 4; None: 12
    seed: int = 0  # of weights, data and noise
    sampling: Literal["native", "alss"] = "native"  # of procedural motion; clips are always sampled by ALSS
    batch: int | None = None  # clips a device and micro-batch; None: the stage table's
    accumulate: int = 1  # micro-batches a step
    workers: int = 2  # processes that decode clips, of each device
    flow: Literal["dis", "raft"] = "dis"  # how clips move, of the motion preset; raft needs torchvision and fetches its weights
    preencode: int = 0  # loops of each clip to encode once and train on; 0: every loop is drawn anew
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    gradient_checkpointing: bool = False  # less memory for a third more time
    eight_bit_adam: bool = False  # optimizer states in 8 bits; needs bitsandbytes and CUDA
    ema: bool = True  # the result is the weights' running mean; needs memory for another copy of what trains
    save_every: int = 100  # steps between checkpoints
    sample_every: int = 0  # steps between sample loops; 0: none
    injection: tuple[str, str, str] | None = None  # tokens of down, mid, up blocks; None: image text text (Table 4's rows)
    every_injection: bool = False  # a step for each of Table 4's rows in turn: a base that none of them is nearer to
    trains: tuple[str, ...] | None = None  # groups of Table 1 that train; None: the stage table's (Table 5's rows)
    dry_run: bool = False  # print the plan and stop

    def table(self) -> tuple[Preset, Stage]:
        """The preset and stage with this run's changes; raises ValueError, in one sentence, for what does not exist."""
        if self.preset not in PRESETS:
            raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {self.preset}")
        preset, stages = PRESETS[self.preset], STAGES[self.preset]
        if self.stage not in stages:
            raise ValueError(f"expected a stage out of {list(stages)} of preset {self.preset}, got {self.stage}")
        if preset.checkpoint is None and self.data is None:
            raise ValueError(f"expected captioned clips for preset {self.preset} (--data): procedural motion has no appearance")
        for name in ("steps", "batch"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"expected at least 1 for {name}, got {getattr(self, name)}")
        for name, low in (("accumulate", 1), ("save_every", 1), ("workers", 0), ("preencode", 0), ("sample_every", 0)):
            if getattr(self, name) < low:
                raise ValueError(f"expected at least {low} for {name}, got {getattr(self, name)}")
        if self.preencode and not self.data:
            raise ValueError("expected clips to encode (--data) for preencode")
        if self.flow != "dis" and not (self.data and preset.checkpoint):
            raise ValueError(f"expected clips (--data) of preset motion for flow {self.flow}")
        if self.preencode and self.sample_every:
            raise ValueError("expected no sample loops (--sample-every 0) with preencode: it keeps no pictures")
        if self.f is not None and not 2 <= self.f <= (MAX_FRAMES + 1) // 2:
            raise ValueError(f"expected 2 to {(MAX_FRAMES + 1) // 2} forward frames, got {self.f}")
        if self.cells is not None and (preset.checkpoint is None or self.cells < 4 or self.cells % 4):
            raise ValueError(f"expected a multiple of 4 cells, of preset motion, got {self.cells} of preset {self.preset}")
        stage = stages[self.stage]
        if self.cells is not None:
            stage = stage.on(self.cells, preset.short_side)
        if self.f is not None:
            stage = replace(stage, f=self.f, shorter=())
        changes = {"batch": self.batch, "iterations": self.steps, "trains": self.trains}
        return preset, replace(stage, **{name: value for name, value in changes.items() if value is not None})


@dataclass(frozen=True)
class PriorSettings:
    """Fit the Gaussian that the motion preset's noise is drawn from; stage 0 of the same output begins from it."""

    output: str = "runs/motion"  # folder of the run; the fitted pipeline is OUTPUT/prior/pipeline
    init: str | None = None  # pipeline folder whose prior to fit; None: new networks
    steps: int = 600
    batch: int = 64  # clips a step
    seed: int = 0
    sampling: Literal["native", "alss"] = "native"  # of procedural motion


@dataclass(frozen=True)
class CurateSettings:
    """Judge every clip of a collection; the same command goes on where it was cut."""

    data: str  # folder with captions, or shards
    output: str  # folder of manifest.jsonl and summary.svg
    f: int = 18  # forward frames that a clip must last for
    max_cut: float = 0.55  # of a picture's contrast, what optical flow leaves unexplained between two frames
    min_motion: float = 0.003  # short sides between two frames, 95th percentile over the picture
    min_stays: float = 0.35  # intersection over union of the carried mask and the last frame's own
    min_caption: float = 0.2  # CLIP cosine of the object's crop and the caption
    caption_check: bool = True  # needs CLIP's weights
    clip: str = "openai/clip-vit-large-patch14"  # folder or hub repository of a CLIP model
    processes: int = os.cpu_count() or 1
    ray: bool = False  # over a Ray cluster (pip install "ray[data]") instead of this machine's processes


@dataclass(frozen=True)
class EvaluateSettings:
    """Table 2 over captioned pictures or clips; without them, whether the motion preset obeys."""

    preset: str = "motion"
    checkpoint: str | None = None  # folder or hub repository; None: the bundled one
    data: str | None = None  # captioned pictures or clips never trained on; None: the motion preset's obedience
    output: str = "runs/evaluation"  # folder of tables, loops, sheets and pages
    against: tuple[str, ...] = ()  # outputs of other evaluations over the same data, for the rating page
    seeds: int = 2  # loops of each picture of `data`
    num_frames: int = 35  # odd, 3 to 35
    steps: int | None = None  # sampling steps; None: the checkpoint's default
    guidance: float | None = None  # guidance scale; None: the checkpoint's default
    hold_ends: bool = False  # False: as the paper samples
    clip: str | None = None  # folder or hub repository of a CLIP vision model; None: the preset's own, if it has one
    pictures: str | None = None  # of the obedience table: a folder; None: scikit-image's photographs
    limit: int | None = None  # of the obedience table: pictures at most, 36 loops each
    sheets: str | None = None  # of the obedience table: folder for a contact sheet of each loop
    json: bool = False  # print JSON


@dataclass(frozen=True)
class AblateSettings:
    """Table 4 or 5 anew: every row trained with several seeds; the same command goes on where it was cut."""

    table: Literal[4, 5]
    preset: str = "motion"
    output: str = "runs/ablation"  # folder of the runs and of the table
    data: str | None = None  # clips to train on; None: procedural motion
    init: str | None = None  # what every row's stage 1 begins from; None: preset motion's rows have a stage 0 each
    test_data: str | None = None  # captioned pictures to measure Table 2's columns on; None: the motion preset's obedience
    clip: str | None = None  # CLIP vision model for CLIP-I, FC and Loop-C
    seeds: int = 3
    share: float = 1.0  # of the stage table's steps
    cells: int | None = None  # on the short side of the motion preset's grid, a multiple of 4; None: 12
    pictures: int = 6  # of the motion preset's obedience, 36 loops each
    num_frames: int = 35  # of the loops that are measured
    workers: int = 2
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    gradient_checkpointing: bool = False
