"""python -m train <words|prior|run|curate|assemble|evaluate|ablate|params>: what a researcher types."""

import json
import sys
from typing import Annotated

import tyro

from loopanimate.presets import PRESETS
from train.settings import AblateSettings, CurateSettings, EvaluateSettings, PriorSettings, TrainSettings


def params(preset: str = "512", json_: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Count the parameters of Table 1 (PAPER.md §4) without allocating them."""
    import torch

    from loopanimate.network.unet import LoopAnimateUNet, parameter_groups

    with torch.device("meta"):
        unet = LoopAnimateUNet(**_preset(preset).unet)
    sizes = {name: parameter.numel() for name, parameter in unet.named_parameters()}
    counts = {group: sum(sizes[name] for name in names) for group, names in parameter_groups(unet).items()}
    if json_:
        print(json.dumps(counts))
    else:
        for group, count in counts.items():
            print(f"{group:8} {count:>13,} parameters {count * 4 / 1e6:10.2f} MB as fp32")


def prior(settings: Annotated[PriorSettings, tyro.conf.arg(name="")]) -> None:
    """Fit the Gaussian that the motion preset's noise is drawn from, before stage 0."""
    from train.prior import fit

    print(f"written to {fit(settings)}")


def words(output: str | None = None, check: bool = False) -> None:
    """Fit what unknown words are read with, after the vocabulary or the bundled text encoder changed.

    Args:
        output: new file; assets/motion/reader.safetensors is the one that is read.
        check: only compare a new fit with that file, and fail where they differ.
    """
    from loopanimate import load_pipeline
    from loopanimate.words.read import check_fit, save

    if (output is None) == (not check):
        raise ValueError("expected either --output FILE or --check")
    if check:
        check_fit(load_pipeline("motion"))
    else:
        save(load_pipeline("motion"), output)
    print(f"written to {output}" if output else "the bundled fit is up to date")


def run(settings: Annotated[TrainSettings, tyro.conf.arg(name="")]) -> None:
    """Train one stage; the same command resumes where it was cut."""
    from train.trainer import train

    train(settings)


def curate(settings: Annotated[CurateSettings, tyro.conf.arg(name="")]) -> None:
    """Judge every clip of a collection; the same command goes on where it was cut."""
    from train.curate import curate as judge_all

    for reason, count in judge_all(settings).most_common():
        print(f"{count:>9,}  {reason}")


def evaluate(settings: Annotated[EvaluateSettings, tyro.conf.arg(name="")]) -> None:
    """Table 2 over captioned pictures or clips; without them, whether the motion preset obeys."""
    if settings.data:
        from train.evaluate import evaluate as tabulate

        means = tabulate(settings)
        print(json.dumps(means, indent=2) if settings.json else f"written to {settings.output}")
        return
    if _preset(settings.preset).name != "motion":
        raise ValueError(f"expected captioned pictures or clips (--data) to evaluate preset {settings.preset} on")
    from loopanimate.loop import pipeline
    from train.obedience import evaluate as measure
    from train.obedience import report

    options = {"num_inference_steps": settings.steps, "guidance_scale": settings.guidance}
    pipe = pipeline("motion", settings.checkpoint, "auto")
    table = measure(pipe, settings.pictures, settings.num_frames, settings.sheets, settings.limit, **options)
    print(report(table, settings.json))


def ablate(settings: Annotated[AblateSettings, tyro.conf.arg(name="")]) -> None:
    """Table 4 or 5 anew: every row trained with several seeds; the same command goes on where it was cut."""
    from train.ablate import ablate as tabulate

    print(tabulate(settings))


def assemble(
    output: str, base: str | None = None, words: str | None = None, motion: str | None = None, text_attention: str | None = None
) -> None:
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
            {
                "words": words,
                "prior": prior,
                "run": run,
                "curate": curate,
                "assemble": assemble,
                "evaluate": evaluate,
                "ablate": ablate,
                "params": params,
            },
            prog="python -m train",
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
