"""The three stages of the paper and stage 0 of the motion preset, as tables (train/METHOD.md §5)."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from diffusers import UNetMotionModel

from loopanimate.network.unet import parameter_groups
from train.loop_sampling import STRIDE


@dataclass(frozen=True)
class Recipe:
    """How weights move, whatever the stage. The paper names the learning rate alone: all other numbers are ours."""

    schedule: Literal["constant", "cosine"]
    warm_up: int = 0  # steps
    dropped: tuple[float, float, float] = (0.09, 0.09, 0.01)  # probability that text alone, picture alone, both are hidden
    betas: tuple[float, float] = (0.9, 0.99)  # of AdamW
    weight_decay: float = 0.01
    max_norm: float = 1.0  # of all gradients together
    ema_decay: float = 0.999  # of the running mean of the weights, which is the result


RECIPES = {
    "paper": Recipe("constant"),
    "guided": Recipe("constant", dropped=(0.05, 0.05, 0.05)),  # guidance subtracts what is predicted with both hidden
    "ours": Recipe("cosine", warm_up=40),
}


@dataclass(frozen=True)
class Stage:
    f: int  # frames sampled forward; a loop has 2f - 1
    trains: tuple[str, ...]  # keys of `parameter_groups`; "all" is everything, image encoder included
    learning_rate: float
    iterations: int
    batch: int  # clips a step and device
    salient: bool  # False: Z_M is ones everywhere
    recipe: Recipe = RECIPES["paper"]
    objective: Literal["velocity", "noise"] = "velocity"  # a key of `objectives.OBJECTIVES`
    hide_far_end: float = 0.5  # r
    noisy: float = 1.0  # above 1, more timesteps at the noisy end of the schedule, where words still decide something
    words_rate: float = 1.0  # factor on the learning rate of what reads words, whose states are small and differ little
    last_frame: float = 1.0  # weight of the last frame's error: for motion it alone says whether and how far a layer streams
    muon: bool = False  # update hidden matrices by Muon, which takes fewer steps than AdamW; the rest by AdamW
    shorter: tuple[int, ...] = ()  # further f; steps take all in turn, shorter loops in larger batches of the same cost
    small: int | None = None  # cells on the short side before the refinement; None: the preset's own all along
    small_load: float = 0.25  # cost of a step on the small grid, as a share of one after it: more steps, of fewer clips
    refine_at: float = 0.4  # share of the steps after which a small grid gives way to the preset's own
    words_first: float = 0.0  # share of the steps over which captions that only say where one thing goes become rare

    @property
    def num_frames(self) -> int:
        return 2 * self.f - 1

    @property
    def trains_encoder(self) -> bool:
        """Whether the image encoder trains with the UNet."""
        return self.trains == ("all",)

    @property
    def ema_decay(self) -> float:
        """Where the learning rate falls, the mean is over at most a twentieth of the run, so that the schedule's end counts."""
        longest = self.recipe.ema_decay
        return longest if self.recipe.schedule == "constant" else min(longest, max(0.9, 1 - 20 / self.iterations))

    def rate(self, step: int) -> float:
        """Factor on the learning rate: a warm-up, then level; by a cosine, level on the small grid and then down to zero."""
        level = min(1.0, step / self.recipe.warm_up) if self.recipe.warm_up else 1.0
        if self.recipe.schedule == "constant":
            return level
        after = max(0.0, (step - self.small_steps) / max(1, self.iterations - self.small_steps))
        return level * (0.5 + 0.5 * math.cos(math.pi * min(1.0, after)))

    def numbers(self) -> dict[str, str | float | tuple]:
        """What decides about a run, by the names of train/METHOD.md's table (§5): printed, recorded and tested against it."""
        recipe = self.recipe
        return {
            "forward frames": self.f,
            "stride": STRIDE,
            "far end hidden": self.hide_far_end,
            "mask": "salient" if self.salient else "ones",
            "trains": self.trains,
            "objective": self.objective,
            "learning rate": self.learning_rate,
            "schedule": recipe.schedule,
            "warm-up": recipe.warm_up,
            "steps": self.iterations,
            "clips a device": self.batch,
            "optimizer": ("Muon", "AdamW") if self.muon else ("AdamW",),
            "betas": recipe.betas,
            "weight decay": recipe.weight_decay,
            "gradient norm": recipe.max_norm,
            "running mean": self.ema_decay,
            "tokens dropped": recipe.dropped,
            "noisy timesteps": self.noisy,
            "last frame": self.last_frame,
        }

    def shape(self, step: int, short_side: int) -> tuple[int, int, int]:
        """(clips, frames, cells on the short side) of a step on procedural motion."""
        fs = (self.f, *self.shorter)
        num_frames = 2 * fs[step % len(fs)] - 1
        clips = self.batch * self.num_frames / num_frames
        if step >= self.small_steps:
            return max(1, round(clips)), num_frames, short_side
        return max(1, round(clips * (short_side / self.small) ** 2 * self.small_load)), num_frames, self.small

    @property
    def small_steps(self) -> int:
        return round(self.refine_at * self.iterations) if self.small else 0

    def focus(self, step: int) -> float:
        """Share of a step's captions that say little but where one thing goes (`grammar.draw`)."""
        steps = self.words_first * self.iterations
        return max(0.0, 0.8 * (1 - step / steps)) if steps else 0.0

    def on(self, cells: int, short_side: int) -> "Stage":
        """The same stage on a grid of `cells` all along instead of `short_side`, with as many clips as on its small grid."""
        return replace(self, small=None, batch=max(1, round(self.batch * (short_side / cells) ** 2 * self.small_load)))


# what the down, mid and up blocks read in the rows of Table 4 (train/METHOD.md §6)
INJECTIONS = (
    ("image", "text", "text"),
    ("image", "none", "text"),
    ("text", "text", "text"),
    ("image", "image", "image"),
    ("text", "text", "image"),
)

# what the presets share of the paper's stages
PAPER = {
    1: {"f": 8, "trains": ("conv_in", "cab", "temm"), "salient": False},
    2: {"f": 11, "trains": ("conv_in", "temm"), "salient": True},
    3: {"f": 18, "trains": ("conv_in", "temm_q", "temm_v"), "salient": True},
}
APPEARANCE = {"batch": 1, "objective": "noise"}
MOTION = {"batch": 6, "last_frame": 6.0, "recipe": RECIPES["ours"]}
FROM_SCRATCH = {"recipe": RECIPES["ours"], "salient": True, "hide_far_end": 0.85, "noisy": 1.5, "words_rate": 2.0, "muon": True}
EASY_FIRST = {"shorter": (8, 18, 4), "small": 4, "words_first": 0.4}
STAGES = {
    "512": {
        1: Stage(**PAPER[1], learning_rate=2e-4, iterations=200_000, **APPEARANCE),
        2: Stage(**PAPER[2], learning_rate=6e-5, iterations=100_000, **APPEARANCE),
        3: Stage(**PAPER[3], learning_rate=2e-5, iterations=100_000, **APPEARANCE),
    },
    # No pretrained base, so stage 0 trains everything. It takes three lengths, so that stage 3, which trains the least, has
    # the least to learn. It learns what words mean on a grid of 4 cells, in many cheap steps and first from captions that
    # only say where something goes, and is then refined. It rarely sees the far end, which inference never shows. The
    # learning rates are our own.
    "motion": {
        0: Stage(
            f=18, trains=("all",), learning_rate=6e-4, iterations=3000, batch=3, last_frame=6.0, **FROM_SCRATCH, **EASY_FIRST
        ),
        1: Stage(**PAPER[1], learning_rate=2e-4, iterations=40, **MOTION),
        2: Stage(**PAPER[2], learning_rate=4e-4, iterations=200, **MOTION),
        3: Stage(**PAPER[3], learning_rate=4e-4, iterations=300, **MOTION),
    },
}


def show(value: str | float | tuple) -> str:
    """One of a stage's numbers as text."""
    return " ".join(map(show, value)) if isinstance(value, tuple) else value if isinstance(value, str) else f"{value:.7g}"


def trainable_names(unet: UNetMotionModel, stage: Stage) -> set[str]:
    """Names of the UNet parameters that a stage trains; raises ValueError for groups that do not exist."""
    if stage.trains_encoder:
        return {name for name, _ in unet.named_parameters()}
    groups = parameter_groups(unet)
    if not stage.trains or not set(stage.trains) <= set(groups):
        raise ValueError(f"expected all, or some of {', '.join(groups)}, to train, got {' '.join(stage.trains) or 'nothing'}")
    return {name for group in stage.trains for name in groups[group]}
