"""What a researcher types."""

import json
import re
import shlex
from pathlib import Path

import pytest

from loopanimate import options
from train.__main__ import main, parse
from train.settings import AblateSettings, EvaluateSettings, TrainSettings

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "train/README.md", "assets/motion/README.md")
TOLD = [
    command.split("#")[0].strip()
    for page in PAGES
    for command in re.findall(r"-m train ((?:[^\n`]|\\\n)*)", (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " "))
]


@pytest.mark.parametrize("command", dict.fromkeys(TOLD))
def test_every_documented_command_is_understood(command):
    words = shlex.split(command)
    if "--help" not in words:
        values = parse(words)
        options.build(values["model"], values)


def test_documented_commands_are_found():
    assert len(TOLD) > 12 and {command.split()[0] for command in TOLD} >= {"run", "curate", "evaluate", "ablate", "params"}


def test_table_1_as_json(capsys):
    main(["params", "--json"])
    counts = json.loads(capsys.readouterr().out)
    assert counts["cab"] == 242_408_640 and counts["temm_v"] == 37_888_000


def test_a_run_writes_beside_runs_of_its_own_preset():
    assert TrainSettings(stage=1, preset="512").output == "runs/512" and TrainSettings(stage=1).output == "runs/motion"


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: EvaluateSettings(num_frames=16), "expected an odd frame count 3..35, got 16"),
        (lambda: EvaluateSettings(preset="big"), "expected a preset out of motion, 512, got big"),
        (lambda: AblateSettings(table=3), "expected a table out of 4, 5, got 3"),
        (lambda: TrainSettings(stage=0, f=1), "expected 2 to 18 forward frames, got 1"),
        (lambda: TrainSettings(stage=0, injection=("image", "sound", "text")), "out of image, text, none, got sound"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(make, told):
    with pytest.raises(ValueError) as error:
        make()
    assert told in str(error.value) and "\n" not in str(error.value)
