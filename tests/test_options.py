"""Command lines out of models: what the parser takes, and how a mistake is told."""

import subprocess
import sys
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from loopanimate import options

Share = Annotated[float, Field(ge=0, le=1)]


class Motion(options.Options):
    prompt: str = Field(description="what moves", json_schema_extra={"flag": "prompt", "metavar": "PROMPT"})
    strength: float = Field(1.0, ge=0, le=4, title="motion strength", description="factor on 100 % displacement")
    steps: int | None = Field(None, ge=1, le=1000, description="sampling steps (default: the checkpoint's)")
    rate: float | Literal["native"] | None = None
    table: Literal[4, 5] = 4
    reads: tuple[Literal["image", "text"], Literal["image", "text"]] | None = None
    trains: tuple[str, ...] | None = None
    arrows: tuple[tuple[float, float, float, float], ...] = Field((), json_schema_extra={"flag": "--arrow"})
    points: tuple[tuple[Share, Share], ...] = ()
    ema: bool = Field(True, description="running mean")
    output: str = Field(default_factory=lambda values: f"runs/{values['table']}", description="folder (default: runs/TABLE)")
    hidden: bytes | None = Field(None, json_schema_extra={"flag": None})

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("expected a sentence, got nothing")
        return prompt


class File(BaseModel):  # a plain model
    size: float | None = Field(None, gt=0, title="largest size")


class Both(BaseModel):
    motion: Motion
    file: File = File()


def parse(*words: str, model=Both):
    parser = options.Parser(prog="x")
    parser.add_argument("picture")
    options.add(parser, model)
    return options.build(model, parser.parse_args(["picture.png", "it sways", *words]))


def test_values_take_the_types_of_their_fields():
    words = "--rate 12.5 --table 5 --reads image text --trains a b --arrow 0,0,.1,.1 --arrow .5,.5,1,1 --no-ema --size 3"
    both = parse(*words.split())
    motion = both.motion
    assert (motion.prompt, motion.rate, motion.table, motion.reads) == ("it sways", 12.5, 5, ("image", "text"))
    assert motion.trains == ("a", "b") and motion.arrows == ((0, 0, 0.1, 0.1), (0.5, 0.5, 1, 1)) and not motion.ema
    assert both.file.size == 3 and motion.output == "runs/5"
    assert parse("--rate", "native").motion.rate == "native"


def test_what_is_left_out_keeps_its_default_and_stays_known_as_left_out():
    motion = parse().motion
    assert motion == Motion(prompt="it sways") and motion.model_fields_set == {"prompt"}


@pytest.mark.parametrize(
    "words, told",
    [
        ("--strength 9", "expected a motion strength of 0 to 4, got 9"),
        ("--strength nan", "expected a motion strength of 0 to 4, got nan"),
        ("--strength x", "expected a number for motion strength, got x"),
        ("--steps 0", "expected 1 to 1000 steps, got 0"),
        ("--steps 1.5", "expected a whole number for steps, got 1.5"),
        ("--rate fast", "expected native or a number for rate, got fast"),
        ("--table 6", "expected a table out of 4, 5, got 6"),
        ("--reads image sound", "expected reads out of image, text, got sound"),
        ("--arrow 1,2", "expected 4 values for arrows, got 1 2"),
        ("--arrow 1,2,3,4,5", "expected 4 values for arrows, got 1 2 3 4 5"),
        ("--points 0,2", "expected at most 1 points, got 2"),
        ("--size 0", "expected a largest size of more than 0, got 0"),
    ],
)
def test_a_mistake_is_one_sentence(words, told):
    with pytest.raises(ValueError) as error:
        parse(*words.split())
    assert str(error.value) == told


def test_a_model_made_in_code_tells_its_mistakes_alike():
    with pytest.raises(ValueError, match="^expected a sentence, got nothing$"):
        Motion(prompt=" ")
    with pytest.raises(ValueError, match="^expected a prompt, got nothing$"):
        Motion()
    with pytest.raises(ValueError, match="^expected settings out of prompt, .*, got speed$"):
        Motion(prompt="x", speed=1)


def test_help_shows_range_and_default():
    parser = options.Parser(prog="x")
    options.add(parser, Motion, skip=("points",))
    text = " ".join(parser.format_help().split())
    assert "factor on 100 % displacement, 0 to 4 (default: 1)" in text and "running mean (default: on)" in text
    assert "sampling steps, 1 to 1000 (default: the checkpoint's)" in text and "folder (default: runs/TABLE)" in text
    assert "PROMPT" in text and "--no-ema" in text and "hidden" not in text and "--points" not in text


@pytest.mark.parametrize("words", [["x", "y", "--bogus"], []])
def test_the_parsers_own_mistakes_are_one_line_too(words, capsys):
    parser = options.Parser(prog="x")
    options.add(parser, Both)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    printed = capsys.readouterr()
    assert ended.value.code == 2 and not printed.out and printed.err.startswith("error: ") and printed.err.count("\n") == 1


def test_a_mistake_ends_with_status_2_and_one_line(capsys):
    with pytest.raises(SystemExit) as ended, options.exit_on_mistake():
        raise OSError("no\nroom")
    assert ended.value.code == 2 and capsys.readouterr().err == "error: no room\n"


def test_help_imports_no_torch():
    script = "import sys, train.__main__ as t\ntry: t.main(['run', '--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n") and "--gradient-checkpointing" in done.stdout
