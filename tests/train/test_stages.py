"""What train/METHOD.md says of a run is what a run is made of."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from loopanimate.network.motion_codec import MotionCodec
from loopanimate.presets import PRESETS
from train.loader import Loops
from train.networks import sampling
from train.objectives import draw
from train.settings import TrainSettings
from train.stages import RECIPES, STAGES, show

METHOD = (Path(__file__).parents[2] / "train/METHOD.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in METHOD.partition("| number | paper |")[2].partition("\n\n")[0].splitlines()[2:]
]


def test_the_table_of_recipes_is_the_code():
    names = list(STAGES["512"][1].numbers())
    assert [re.split(", |: ", row[0])[0] for row in ROWS] == names
    for name, (_, paper, *defaults, _) in zip(names, ROWS):
        for preset, told in zip(("512", "motion"), defaults):
            texts = [show(STAGES[preset][stage].numbers()[name]) for stage in (1, 2, 3)]
            assert told == (texts[0] if len(set(texts)) == 1 else " / ".join(texts)), (name, preset)
        assert paper in ("-", defaults[0]), name  # to the letter, wherever there is a letter


@pytest.mark.parametrize(
    "flag, value",
    [
        ("f", 5),
        ("trains", ("temm",)),
        ("learning_rate", 0.5),
        ("schedule", "cosine"),
        ("warm_up", 7),
        ("steps", 9),
        ("batch", 3),
    ],
)
def test_an_option_of_the_table_changes_its_number_alone(flag, value):
    (name,) = [re.split(", |: ", row[0])[0] for row in ROWS if row[-1] == f"`--{flag.replace('_', '-')}`"]
    plain, changed = (
        TrainSettings(stage=3, preset="512", data="x", **values).table()[1].numbers() for values in ({}, {flag: value})
    )
    follows = {"running mean"} if flag == "schedule" else set()
    assert changed[name] == value and {key for key in plain if plain[key] != changed[key]} - follows == {name}


@pytest.mark.parametrize("recipe", RECIPES)
def test_tokens_are_dropped_as_the_recipe_says(recipe):
    count, stage = 4000, replace(STAGES["512"][1], recipe=RECIPES[recipe])
    pipe = type("Pipe", (), {"codec": MotionCodec(4), "scheduler": sampling(PRESETS["512"])["scheduler"]})
    pipe.codec.noise = lambda white, *_: white
    tensors = torch.zeros(count, 4, 1, 1, 1), torch.zeros(count, 4, 1, 1), *torch.zeros(2, count, 1, 1, 1)
    loops = Loops(torch.zeros(1), torch.zeros(1), *tensors, ("",) * count)
    draws = draw(loops, 0, 0, count, pipe, stage)
    text, image = draws.keep_text == 0, draws.keep_image == 0
    shares = [float(which.float().mean()) for which in (text & ~image, image & ~text, text & image)]
    assert shares == pytest.approx(stage.recipe.dropped, abs=0.012)
    assert float(draws.keep_far_end.float().mean()) == pytest.approx(0.5, abs=0.03)
