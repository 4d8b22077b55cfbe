"""python -m train VERB: what a researcher types. Imports torch only when a verb runs, so that help answers at once."""

import json
from collections.abc import Callable
from pkgutil import resolve_name

from loopanimate import options
from loopanimate.presets import PRESETS
from train import settings


def later(name: str) -> Callable:
    """The function "module:name", imported when it is called."""
    return lambda asked: resolve_name(name)(asked)


def curate(asked: settings.CurateSettings) -> str:
    return "\n".join(f"{count:>9,}  {reason}" for reason, count in later("train.curate:curate")(asked).most_common())


def evaluate(asked: settings.EvaluateSettings) -> str:
    if asked.videos and not asked.data:
        raise ValueError("expected the captioned pictures (--data) that --videos were made from")
    if asked.control and asked.data:
        raise ValueError("expected no --data with --control, which is about obedience")
    if asked.data:
        means = later("train.evaluate:evaluate")(asked)
        return json.dumps(means, indent=2) if asked.as_json else f"written to {asked.output}"
    if asked.preset != "motion":
        raise ValueError(f"expected captioned pictures or clips (--data) to evaluate preset {asked.preset} on")
    from loopanimate.checkpoints import load_quietly
    from train import obedience

    given = {"num_inference_steps": asked.steps, "guidance_scale": asked.guidance}
    pipe = load_quietly("motion", asked.checkpoint)
    num_frames = later("train.evaluate:as_trained")(pipe).num_frames if asked.num_frames is None else asked.num_frames
    table = obedience.evaluate(pipe, asked.pictures, num_frames, asked.sheets, asked.limit, control=asked.control, **given)
    return json.dumps(table, indent=2) if asked.as_json else obedience.report(table)


def distill(asked: settings.DistillSettings) -> str:
    return f"written to {later('train.distill:distill')(asked)}"


def export(asked: settings.ExportSettings) -> str:
    folder = later("train.export:export")(asked)
    return f"written to {folder}; to publish it: hf upload OWNER/NAME {folder} ."


def params(asked: settings.ParamsSettings) -> str:
    import torch

    from loopanimate.network.unet import LoopAnimateUNet, parameter_groups

    with torch.device("meta"):
        unet = LoopAnimateUNet(**PRESETS[asked.preset].unet)
    sizes = {name: parameter.numel() for name, parameter in unet.named_parameters()}
    counts = {group: sum(sizes[name] for name in names) for group, names in parameter_groups(unet).items()}
    if asked.as_json:
        return json.dumps(counts)
    return "\n".join(f"{group:8} {count:>13,} parameters {count * 4 / 1e6:10.2f} MB as fp32" for group, count in counts.items())


def regions(asked: settings.RegionsSettings) -> str:
    if asked.check:
        return json.dumps(later("train.regions:check")(asked), indent=2)
    return f"written to {later('train.regions:fit')(asked)}"


def thin(asked: settings.ThinSettings) -> str:
    return json.dumps(later(f"train.thin:{'check' if asked.check else 'fit'}")(asked), indent=2)


def words(asked: settings.WordsSettings) -> str:
    from loopanimate import load_pipeline
    from loopanimate.words.read import check_fit, save

    if (asked.output is None) == (not asked.check):
        raise ValueError("expected either --output FILE or --check")
    if asked.check:
        check_fit(load_pipeline("motion"))
        return "the bundled fit is up to date"
    save(load_pipeline("motion"), asked.output)
    return f"written to {asked.output}"


def enlarger(asked: settings.EnlargerSettings) -> str:
    return f"written to {later('train.enlarger:write')(asked)}"


VERBS = {  # in the order of a project's life: what takes the options and returns what is printed, and the options
    "curate": (curate, settings.CurateSettings),
    "assemble": (later("train.assemble:assemble"), settings.AssembleSettings),
    "prior": (later("train.prior:fit"), settings.PriorSettings),
    "run": (later("train.trainer:train"), settings.TrainSettings),
    "export": (export, settings.ExportSettings),
    "distill": (distill, settings.DistillSettings),
    "evaluate": (evaluate, settings.EvaluateSettings),
    "ablate": (later("train.ablate:ablate"), settings.AblateSettings),
    "params": (params, settings.ParamsSettings),
    "words": (words, settings.WordsSettings),
    "pictures": (later("train.pictures:collect"), settings.PicturesSettings),
    "regions": (regions, settings.RegionsSettings),
    "thin": (thin, settings.ThinSettings),
    "enlarger": (enlarger, settings.EnlargerSettings),
}


def parse(arguments: list[str] | None = None) -> dict:
    """The options that were given, with the verb's function as `do` and its model as `model`."""
    parser = options.Parser(prog="python -m train", description="Train LoopAnimate (train/README.md).")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, (do, model) in VERBS.items():
        verb = verbs.add_parser(name, help=model.__doc__, description=model.__doc__)
        verb.set_defaults(do=do, model=model)
        options.add(verb, model)
    return vars(parser.parse_args(arguments))


def main(arguments: list[str] | None = None) -> None:
    values = parse(arguments)
    with options.exit_on_mistake():
        told = values["do"](options.build(values["model"], values))
        if told is not None:
            print(told)


if __name__ == "__main__":
    main()
