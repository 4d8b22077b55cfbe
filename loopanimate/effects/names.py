"""Which effects there are and how each can look: one table, for words, settings and what draws them."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

Colour = tuple[float, float, float]  # red, green, blue in [0, 1], as a byte of a picture would be over 255
TONES = {"pale": 1.0, "light": 1.0, "pastel": 1.0, "dark": 0.0, "deep": 0.0}  # words → the grey that half of a colour becomes


class Row(NamedTuple):
    """A row of looks.tsv."""

    effect: str
    said: str
    nouns: frozenset[str]


@cache
def looks() -> dict[str, Row]:
    lines = Path(__file__).with_name("looks.tsv").read_text(encoding="utf-8").splitlines()
    _, *rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {look: Row(effect, said, frozenset(nouns.split()) - {"-"}) for effect, look, said, nouns in rows}


@cache
def colours() -> dict[str, Colour]:
    """The colours of colours.tsv by their words."""
    lines = Path(__file__).with_name("colours.tsv").read_text(encoding="utf-8").splitlines()
    _, *rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {word: tuple(int(number) / 255 for number in numbers.split()) for word, numbers in rows}


def read_colours(words: Iterable[str]) -> tuple[Colour, ...]:
    """The colours among words, each in the tone that the word before it says: "pale blue", "pink and white"."""
    said, tone = [], None
    for word in words:
        if word in colours():
            said.append(tuple(value if tone is None else (value + tone) / 2 for value in colours()[word]))
        tone = TONES.get(word)
    return tuple(said)


def look_of(effect: str, noun: str = "") -> str | None:
    """How an effect looks for a noun ("particles", "fireflies"); None for an effect that is not drawn.

    What drifts in the air stays that, whatever it does: "fireflies glow", "embers burn".
    """
    own = [look for look, row in looks().items() if row.effect == effect]
    meant = [look for look, row in looks().items() if noun in row.nouns]
    airy = [look for look in meant if looks()[look].effect == "particles"]
    return next(iter([*airy, *(look for look in own if look in meant), *own]), None)


def names() -> list[str]:
    """All that an effect can be called: effects, and looks."""
    return list(dict.fromkeys([*(row.effect for row in looks().values()), *looks()]))


def find_look(name: str) -> str | None:
    """The look of a name out of `names`."""
    return name if name in looks() else look_of(name)
