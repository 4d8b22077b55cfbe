"""The words that LoopAnimate knows: `words.tsv` as tables, and what its strengths and tempos are in numbers."""

import re
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Verb:
    """A verb phrase in its forms: "rise and fall", "rises and falls", "rising and falling", "rise and fall"."""

    base: str
    third: str
    gerund: str
    plural: str

    @classmethod
    def parse(cls, text: str) -> "Verb":
        """ "be/is/being/are pushed" → a verb; a form that is left out is the first."""
        words = [word.split("/") for word in text.split()]
        return cls(*(" ".join(forms[place] if place < len(forms) else forms[0] for forms in words) for place in range(4)))

    @property
    def forms(self) -> set[str]:
        return set(astuple(self))


class Stream(NamedTuple):
    """How one thing flows."""

    heading: int | None  # degrees, x right and y down; None: anywhere
    verbs: tuple[Verb, ...]  # that mean flowing when this thing does them


def _table(table: str) -> dict[str, tuple[str, ...]]:
    """The phrases of one table by their names, in the order of the file."""
    phrases: dict[str, tuple[str, ...]] = {}
    for line in _LINES:
        if line.startswith(f"{table}\t"):
            _, name, phrase = line.split("\t")
            phrases[name] = (*phrases.get(name, ()), phrase)
    return phrases


def _verbs(table: str) -> dict[str, tuple[Verb, ...]]:
    return {name: tuple(map(Verb.parse, phrases)) for name, phrases in _table(table).items()}


_LINES = Path(__file__).with_name("words.tsv").read_text(encoding="utf-8").splitlines()
VERBS, ALIKE, CAMERA, OWN = _verbs("verb"), _verbs("alike"), _verbs("camera"), _verbs("own")
STREAMS = {
    thing: Stream(None if heading == "any" else int(heading), OWN.get(thing, ()))
    for thing, (heading,) in _table("stream").items()
}
STILL = _table("still")
DIRECTIONS = {int(degrees): phrases for degrees, phrases in _table("direction").items()}
STRENGTHS, TEMPOS, LAYERS, NATURES = _table("strength"), _table("tempo"), _table("layer"), _table("nature")
PLURAL, RIGID = _table("plural")["-"], _table("rigid")["-"]
BEFORE_NOUNS, BEFORE_VERBS = (_table("before")[word] for word in ("noun", "verb"))

# Streams, short sides a second, and the factor of a tempo on them; what comes back, least and most hertz.
SPEEDS = {"barely": 0.02, "gently": 0.03, "plainly": 0.045, "strongly": 0.075, "wildly": 0.11}
PACE = {"slowly": 0.6, "": 1.0, "quickly": 1.7}
FREQUENCIES = {"slowly": (0.22, 0.32), "": (0.4, 0.65), "quickly": (0.95, 1.35)}


def say(subject: str, verb: Verb) -> str:
    """A clause in which one subject or many do something: "it sways", "the clouds sway"."""
    return f"{subject} {verb.plural if subject in PLURAL else verb.third}"


@lru_cache(maxsize=64)
def any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern of any of the phrases, whole words in either case; the longest where several begin alike."""
    longest = sorted(map(re.escape, phrases), key=len, reverse=True)
    return re.compile(r"\b(" + "|".join(longest) + r")\b", re.IGNORECASE)


@lru_cache(maxsize=64)
def any_thing(things: tuple[str, ...]) -> re.Pattern[str]:
    """`any_of` things, one or many of them."""
    return any_of(tuple(form for thing in things for form in (thing, f"{thing}s")))
