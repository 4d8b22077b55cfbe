"""python -m train <run|assemble|evaluate|params>: what a researcher types."""

import json
import sys
from typing import Annotated

import tyro

from loopanimate.presets import PRESETS
from train.settings import TrainSettings


def params(preset: str = "512", json_: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Count the parameters of Table 1 (PAPER.md §4) without allocating them."""
    import torch

    from loopanimate.unet import LoopAnimateUNet, parameter_groups

    with torch.device("meta"):
        unet = LoopAnimateUNet(**_preset(preset).unet)
    sizes = {name: parameter.numel() for name, parameter in unet.named_parameters()}
    counts = {group: sum(sizes[name] for name in names) for group, names in parameter_groups(unet).items()}
    if json_:
        print(json.dumps(counts))
    else:
        for group, count in counts.items():
            print(f"{group:8} {count:>13,} parameters {count * 4 / 1e6:10.2f} MB as fp32")


def run(settings: Annotated[TrainSettings, tyro.conf.arg(name="")]) -> None:
    """Train one stage; the same command resumes where it was cut."""
    from train.trainer import train

    train(settings)


def evaluate(checkpoint: str | None = None, pictures: str | None = None, seeds: int = 2, num_frames: int = 35,
             steps: int | None = None, guidance: float | None = None,
             json_: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:  # fmt: skip
    """Measure whether the motion preset obeys.

    Args:
        checkpoint: folder or hub repository; None takes the bundled one.
        pictures: folder of pictures never trained on; None takes scikit-image's photographs.
        seeds: loops of each picture and prompt.
        num_frames: odd, 3 to 35.
        steps: sampling steps; None takes the checkpoint's default.
        guidance: guidance scale; None takes the checkpoint's default.
        json_: print JSON.
    """
    from loopanimate.loop import pipeline
    from train.obedience import evaluate as measure
    from train.obedience import report

    options = {"num_inference_steps": steps, "guidance_scale": guidance}
    print(report(measure(pipeline("motion", checkpoint, "auto"), pictures, seeds, num_frames, **options), json_))


def assemble(output: str, base: str | None = None, words: str | None = None, motion: str | None = None,
             text_attention: str | None = None) -> None:  # fmt: skip
    """Put the 512 preset's starting point together from public checkpoints, each a folder or owner/name@revision.

    Args:
        output: new folder.
        base: image-conditioned Stable Diffusion 1.x; None takes lambdalabs/sd-image-variations-diffusers.
        words: CLIP with tokenizer and text model; None takes openai/clip-vit-large-patch14.
        motion: AnimateDiff, LongAnimateDiff or PIA motion modules, a checkpoint file too; None takes AnimateDiff v1.
        text_attention: Stable Diffusion 1.x to take the mid and up blocks' cross-attention from; None keeps the base's.
    """
    from train.assemble import assemble as put_together

    given = {"base": base, "words": words, "motion": motion, "text_attention": text_attention}
    print(put_together(output, **{name: value for name, value in given.items() if value is not None}))


def _preset(name: str):
    if name not in PRESETS:
        raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {name}")
    return PRESETS[name]


def main() -> None:
    try:
        tyro.extras.subcommand_cli_from_dict(
            {"run": run, "assemble": assemble, "evaluate": evaluate, "params": params}, prog="python -m train"
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
