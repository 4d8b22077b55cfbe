"""python -m train VERB: what a researcher types. Imports torch only when a verb runs, so that help answers at once."""

import json

from loopanimate import options
from loopanimate.presets import PRESETS
from train import settings
from train.settings import EvaluateSettings, ParamsSettings


def params(asked: ParamsSettings) -> str:
    import torch

    from loopanimate.network.unet import LoopAnimateUNet, parameter_groups

    with torch.device("meta"):
        unet = LoopAnimateUNet(**PRESETS[asked.preset].unet)
    sizes = {name: parameter.numel() for name, parameter in unet.named_parameters()}
    counts = {group: sum(sizes[name] for name in names) for group, names in parameter_groups(unet).items()}
    if asked.as_json:
        return json.dumps(counts)
    return "\n".join(f"{group:8} {count:>13,} parameters {count * 4 / 1e6:10.2f} MB as fp32" for group, count in counts.items())


def prior(asked: settings.PriorSettings) -> str:
    from train.prior import fit

    return f"written to {fit(asked)}"


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


def run(asked: settings.TrainSettings) -> None:
    from train.trainer import train

    train(asked)


def curate(asked: settings.CurateSettings) -> str:
    from train.curate import curate as judge_all

    return "\n".join(f"{count:>9,}  {reason}" for reason, count in judge_all(asked).most_common())


def evaluate(asked: EvaluateSettings) -> str:
    if asked.data:
        from train.evaluate import evaluate as tabulate

        means = tabulate(asked)
        return json.dumps(means, indent=2) if asked.as_json else f"written to {asked.output}"
    if asked.preset != "motion":
        raise ValueError(f"expected captioned pictures or clips (--data) to evaluate preset {asked.preset} on")
    from loopanimate.checkpoints import load_quietly
    from train import obedience

    given = {"num_inference_steps": asked.steps, "guidance_scale": asked.guidance}
    pipe = load_quietly("motion", asked.checkpoint)
    table = obedience.evaluate(pipe, asked.pictures, asked.num_frames, asked.sheets, asked.limit, **given)
    return json.dumps(table, indent=2) if asked.as_json else obedience.report(table)


def ablate(asked: settings.AblateSettings) -> str:
    from train.ablate import ablate as tabulate

    return tabulate(asked)


def assemble(asked: settings.AssembleSettings) -> str:
    from train.assemble import assemble as put_together

    return str(put_together(asked))


VERBS = {  # in the order of a project's life
    curate: settings.CurateSettings,
    assemble: settings.AssembleSettings,
    prior: settings.PriorSettings,
    run: settings.TrainSettings,
    evaluate: EvaluateSettings,
    ablate: settings.AblateSettings,
    params: ParamsSettings,
    words: settings.WordsSettings,
}


def parse(arguments: list[str] | None = None) -> dict:
    """The options that were given, with the verb's function as `do` and its model as `model`."""
    parser = options.Parser(prog="python -m train", description="Train LoopAnimate (train/README.md).")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for do, model in VERBS.items():
        verb = verbs.add_parser(do.__name__, help=model.__doc__, description=model.__doc__)
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
