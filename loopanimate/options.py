"""Command lines from pydantic models: flag, type, range, default and help of an option all come from its field.

A mistake on a command line ends with exit status 2 and one line on stderr.
"""

import argparse
import re
import sys
from collections.abc import Collection, Mapping
from contextlib import contextmanager
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from loopanimate.memory import SHORT, is_shortage

M = TypeVar("M", bound=BaseModel)
LIMITS = {"ge": "{} or more", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "tuple": "several values"}
# What is said where a thing is looked for, to hands on the page
SHOW_IT, IF_NOT_THERE, IF_WRONG = "Click on it or paint it.", "Is it there? If not, paint it.", "If that is wrong, paint it."
BY_OPTION = {
    SHOW_IT: "A mask says where it is: --part WORDS M.png.",
    IF_NOT_THERE: "Is it there? If not, --part WORDS M.png says where.",
    IF_WRONG: "If that is wrong, --part WORDS M.png says where.",
}
METAVARS = {int: "N", float: "X", str: "TEXT"}


class Options(BaseModel):
    """Frozen settings. A mistake in one raises a ValueError of one sentence instead of pydantic's list of errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values):
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(explain(error, type(self))) from None


def option(default: Any, help_: str = "", **given) -> Any:
    """A field with its help; "flag", "short" and "metavar" are of the command line (see `add`), all else is pydantic's."""
    extra = {name: given.pop(name) for name in ("flag", "short", "metavar") if name in given}
    return Field(default, description=help_, json_schema_extra=extra, **given)


class Parser(argparse.ArgumentParser):
    """An argument parser whose own errors (an unknown option, a missing one) are one line too."""

    def error(self, message: str):
        self.exit(2, f"error: {for_terminal(message)} (see --help)\n")


@contextmanager
def exit_on_mistake():
    """Turn a ValueError, an OSError or a lack of memory into exit status 2 and one line on stderr."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (ValueError, OSError)) and not is_shortage(error):
            raise
        over_progress = "\r" if sys.stderr.isatty() else ""  # a progress bar may have left the cursor inside its line
        print(f"{over_progress}error: {describe(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def describe(error: Exception) -> str:
    """A mistake as one line."""
    return for_terminal(SHORT if is_shortage(error) else " ".join(str(error).split()))


def for_terminal(words: str) -> str:
    """Words for the command line, which has options for hands.

    Names of files, and what people typed, bring no codes into a terminal, and nothing that it cannot show.
    """
    for by_hand, by_option in BY_OPTION.items():
        words = words.replace(by_hand, by_option)
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in words)


def add(parser: argparse.ArgumentParser, model: type[BaseModel], skip: Collection[str] = ()) -> None:
    """Add one option for each field of a model, except the fields named in `skip`.

    The flag is the field's name, unless `json_schema_extra` has a "flag": one without dashes makes a positional argument,
    None keeps the field off the command line; "short" there is another name of the flag, "metavar" names the value in the
    help. A bool gets --x and --no-x; a tuple takes several values; a tuple of tuples is a repeatable option whose numbers have commas between them; the
    fields of a nested model are added as if they were the model's own. The help is the field's description, its range and
    its default; a description may end with a "(default: ...)" of its own, which says what None means.

    Options that are left out do not appear in the parsed values, so one parser can hold the options of several models,
    and arguments of its own.
    """
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra or {}
        flag = extra.get("flag", f"--{name.replace('_', '-')}")
        kind = _core(field.annotation)
        if name in skip or flag is None:
            continue
        if _is_model(kind):
            add(parser, kind, skip)
            continue
        option: dict[str, Any] = {"help": _help(field), "default": argparse.SUPPRESS}
        if flag.startswith("-"):
            option |= {"dest": name, "required": field.is_required()}
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **option)
            continue
        item = kind
        if get_origin(kind) is tuple:
            item, *others = map(_core, get_args(kind))
            if get_origin(item) is tuple:
                option |= {"action": "append", "type": lambda text: tuple(text.split(","))}
            else:
                option["nargs"] = "+" if others == [...] else 1 + len(others)
        choices = {str(choice): choice for choice in _literals(item)}
        if get_origin(item) is Literal:
            option["type"] = lambda text, choices=choices: choices.get(text, text)  # pydantic takes no "4" for a Literal[4]
        metavar = extra.get("metavar", METAVARS.get(item, "|".join(choices) or "VALUE"))
        parser.add_argument(*filter(None, (extra.get("short"), flag)), metavar=metavar, **option)


def build(model: type[M], values: Mapping[str, Any] | argparse.Namespace) -> M:
    """The model from parsed values; values that are not its fields are ignored.

    Raises ValueError, in one sentence, for the first value that does not fit.
    """
    given = vars(values) if isinstance(values, argparse.Namespace) else values
    own = {name: given[name] for name in model.model_fields if name in given}
    for name, field in model.model_fields.items():
        kind = _core(field.annotation)
        if _is_model(kind) and name not in own:
            own[name] = build(kind, given)
    try:
        return model(**own)
    except ValidationError as error:
        raise ValueError(explain(error, model)) from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence for the first field that is wrong: "expected a motion strength of 0 to 4, got 9".

    A field's `title` is what the sentence calls it; without one, its name. A validator's own ValueError is taken as it is.
    """
    first, *others = error.errors()
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return f"expected settings out of {', '.join(model.model_fields)}, got {name}"
    field = model.model_fields[name]
    noun = field.title or name.replace("_", " ")
    plural = re.split(" in | of ", noun)[0].endswith("s")  # forward frames, but not: largest size in megabytes
    one = noun if plural else f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return f"expected {one}, got nothing"
    got = f"got {_show(first['input'])}"
    same = [first, *(other for other in others if other["loc"][:1] == first["loc"][:1])]  # a union has an error a member
    kinds = {other["type"] for other in same}
    literals = ", ".join(map(str, _literals(field.annotation)))
    if kinds == {"literal_error"}:
        return f"expected {one} out of {literals}, {got}"
    if kinds <= {"greater_than_equal", "greater_than", "less_than_equal", "less_than"}:
        limits = _limits(field, first["ctx"])
        return f"expected {limits} {noun}, {got}" if plural else f"expected {one} of {limits}, {got}"
    if first["type"] in ("missing", "too_short", "too_long"):
        members = get_args(_core(field.annotation))
        count = len(get_args(_core(members[0]))) if members[-1] is ... else len(members)  # of each tuple in a tuple of tuples
        return f"expected {count} values for {noun}, {got}"
    wanted = [literals] if "literal_error" in kinds else []
    wanted += [phrase for start, phrase in TYPES.items() if any(kind.startswith(f"{start}_") for kind in kinds)]
    return f"expected {' or '.join(wanted) or first['msg']} for {noun}, {got}"


def _help(field: FieldInfo) -> str:
    described, own, words = (field.description or "").partition(" (default: ")
    limits, default = _limits(field), field.default
    parts = [described, limits if limits != "0 or more" else ""]
    if not own and not (field.is_required() or field.default_factory or default in (None, (), "", False)):
        own, words = " (default: ", f"{'on' if default is True else _show(default)})"
    return (", ".join(filter(None, parts)) + own + words).replace("%", "%%")


def _limits(field: FieldInfo, broken: Mapping[str, Any] | None = None) -> str:
    """The range of a field in words; without one, the limit that a value in it has `broken`, if any."""
    found = {name: getattr(part, name) for part in field.metadata for name in LIMITS if hasattr(part, name)} or broken or {}
    if {"ge", "le"} <= set(found):
        return f"{_show(found['ge'])} to {_show(found['le'])}"
    return " and ".join(phrase.format(_show(found[name])) for name, phrase in LIMITS.items() if name in found)


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, (tuple, list)):
        return " ".join(map(_show, value)) or "nothing"
    return str(value)[:200] or "nothing"


def _core(annotation: Any) -> Any:
    """An annotation without Annotated, and without None where that leaves one type."""
    if get_origin(annotation) is Annotated:
        return _core(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _core(members[0]) if len(members) == 1 else annotation
    return annotation


def _literals(annotation: Any) -> tuple:
    """Every value that a Literal anywhere in an annotation allows."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(dict.fromkeys(value for member in get_args(annotation) for value in _literals(member)))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
