"""Where things are that words name, by their classes: `places.tsv` says what its columns are."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from loopanimate.words.lexicon import nouns
from loopanimate.words.vocabulary import RIGID, any_thing

BODIES = "rigid", "hangs", "rooted", "stands"  # and "soft"


class Place(NamedTuple):
    """A row of places.tsv."""

    regions: tuple[str, ...]
    behind: bool
    farthest: bool
    alone: bool
    rigid: bool
    hangs: bool
    rooted: bool
    stands: bool


@cache
def places() -> dict[str, Place]:
    """A class of things → where it is."""
    lines = Path(__file__).with_name("places.tsv").read_text(encoding="utf-8").splitlines()
    _, *rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {
        name: Place(
            tuple(regions.split()),
            ground in ("behind", "farthest"),
            ground == "farthest",
            alone == "yes",
            *(body == each for each in BODIES),
        )
        for name, regions, ground, alone, body in rows
    }


def is_plural(thing: str) -> bool:
    return nouns().get(thing, ("", thing.endswith("s")))[1]


NOWHERE = Place((), *[False] * 7)


def place_of(thing: str) -> Place:
    """Where a thing is, a noun in the singular or plural; what no table has is an object, parts of bodies are nowhere."""
    name = "person" if thing == "person" else nouns().get(thing, ("object", False))[0]
    place = places().get(name, NOWHERE)
    return place._replace(rigid=True) if any_thing(RIGID).fullmatch(thing) else place
