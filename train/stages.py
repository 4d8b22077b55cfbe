"""The three stages of the paper and stage 0 of the motion preset, as tables (PAPER.md §5)."""

from dataclasses import dataclass

from diffusers import UNetMotionModel

from loopanimate.unet import parameter_groups


@dataclass(frozen=True)
class Stage:
    f: int  # frames sampled forward; a loop has 2f - 1
    trains: tuple[str, ...]  # keys of `parameter_groups`; "all" is everything, image encoder included
    learning_rate: float
    iterations: int
    batch: int  # clips a step and device
    salient: bool  # False: Z_M is ones everywhere

    @property
    def num_frames(self) -> int:
        return 2 * self.f - 1


STAGES = {
    "512": {
        1: Stage(f=8, trains=("conv_in", "cab", "temm"), learning_rate=2e-4, iterations=200_000, batch=1, salient=False),
        2: Stage(f=11, trains=("conv_in", "temm"), learning_rate=6e-5, iterations=100_000, batch=1, salient=True),
        3: Stage(f=18, trains=("conv_in", "temm_q", "temm_v"), learning_rate=2e-5, iterations=100_000, batch=1, salient=True),
    },
    # No pretrained base: stage 0 trains everything, and the rates of the three stages are our own.
    "motion": {
        0: Stage(f=8, trains=("all",), learning_rate=7e-4, iterations=1300, batch=6, salient=True),
        1: Stage(f=8, trains=("conv_in", "cab", "temm"), learning_rate=2e-4, iterations=40, batch=6, salient=False),
        2: Stage(f=11, trains=("conv_in", "temm"), learning_rate=4e-4, iterations=200, batch=6, salient=True),
        3: Stage(f=18, trains=("conv_in", "temm_q", "temm_v"), learning_rate=4e-4, iterations=300, batch=6, salient=True),
    },
}


def trainable_names(unet: UNetMotionModel, stage: Stage) -> set[str]:
    """Names of the UNet parameters that a stage trains."""
    if stage.trains == ("all",):
        return {name for name, _ in unet.named_parameters()}
    groups = parameter_groups(unet)
    return {name for group in stage.trains for name in groups[group]}
