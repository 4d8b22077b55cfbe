"""Which effects there are and how each can look: one table, for words, settings and what draws them."""

from functools import cache
from pathlib import Path


@cache
def looks() -> dict[str, tuple[str, frozenset[str]]]:
    """A look → its effect and the nouns that mean it; the first look of an effect is its default."""
    lines = Path(__file__).with_name("looks.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    return {look: (effect, frozenset(nouns.split()) - {"-"}) for effect, look, nouns in rows}


def look_of(effect: str, noun: str = "") -> str | None:
    """How an effect looks for a noun ("particles", "fireflies"); None for an effect that is not drawn."""
    own = [look for look, (name, _) in looks().items() if name == effect]
    return next((look for look in own if noun in looks()[look][1]), own[0] if own else None)


def names() -> list[str]:
    """All that an effect can be called: effects, and looks of their own name."""
    return list(dict.fromkeys([*(effect for effect, _ in looks().values()), *looks()]))


def find_look(name: str) -> str:
    """The look of a name out of `names`."""
    return name if name in looks() else look_of(name)
