"""How many clauses of a table of sentences a reader gets right."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from loopanimate.words.clauses import Clause

ASPECTS = ("thing", "which", "kind", "direction", "strength", "tempo", "effect", "only")
WAYS = {"right": 0, "down-right": 45, "down": 90, "down-left": 135, "left": 180, "up-left": 225, "up": 270, "up-right": 315}


@dataclass(frozen=True)
class Wrong:
    """A clause that was told, read or both, and the aspects in which they differ."""

    sentence: str
    told: dict[str, str] | None
    read: Clause | None
    aspects: tuple[str, ...]


def rows_of(path: Path) -> list[tuple[str, list[dict[str, str]] | None]]:
    """Sentences with what they say, each clause a mapping of aspects to alternatives between "/"; None: not English.

    A line has the split, the sentence, and clauses "thing=hair kind=sway/ripple dir=left" between "|".
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(sentence, None if told == "foreign" else list(map(_told, told.split("|")))) for _, sentence, told in cells]


def _told(text: str) -> dict[str, str]:
    return dict(cell.split("=", 1) for cell in text.split())


def compare(told: dict[str, str], read: Clause) -> tuple[str, ...]:
    """The aspects in which a clause is not what was told."""
    heading = {name for name, degrees in WAYS.items() if read.heading == degrees}
    ways = heading | ({read.toward} if read.toward else set()) or {""}
    wanted = {name: told.get(name, "").split("/") for name in (*ASPECTS, "dir")}
    right = {
        "thing": read.thing in wanted["thing"],
        "which": set(wanted["which"]) <= {"", *read.which},
        "kind": (read.kind or "none") in wanted["kind"],
        "direction": bool(ways & set(wanted["dir"])),
        "strength": read.strength in wanted["strength"],
        "tempo": read.tempo in wanted["tempo"],
        "effect": read.kind != "effect" or "effect" not in told or read.effect in wanted["effect"],
        "only": read.only == (told.get("only") == "yes"),
    }
    return tuple(name for name in ASPECTS if not right[name])


def pair(told: list[dict[str, str]], read: list[Clause]) -> list[tuple[dict[str, str] | None, Clause | None]]:
    """Clauses that were told beside those read of the same thing, in order; what has no partner stands beside None."""
    left = list(read)
    pairs: list[tuple[dict[str, str] | None, Clause | None]] = []
    for clause in told:
        same = [other for other in left if other.thing in clause["thing"].split("/")] or (left if len(told) == 1 else [])
        best = min(same, key=lambda other: (len(compare(clause, other)), left.index(other)), default=None)
        if best is not None:
            left.remove(best)
        pairs.append((clause, best))
    return pairs + [(None, clause) for clause in left]


def score(rows: Iterable[tuple[str, list[dict[str, str]] | None]], read: Callable[[str], list[Clause]]):
    """Shares of clauses that are right by aspect and as a whole ("clause"), and all that are not.

    A clause that is missing, or read where none was told, counts as wrong in "kind", unless it asks nothing.
    """
    total, wrong = 0, []
    for sentence, told in rows:
        for clause, found in pair(told, read(sentence)) if told is not None else ():
            asked_nothing = clause is None or "none" in clause["kind"].split("/")
            if asked_nothing and (found is None or found.kind is None):
                total += clause is not None
                continue
            total += 1
            aspects = compare(clause, found) if clause and found else ("kind",)
            if aspects:
                wrong.append(Wrong(sentence, clause, found, aspects))
    shares = {name: 1 - sum(name in each.aspects for each in wrong) / total for name in ASPECTS}
    return {**shares, "clause": 1 - len(wrong) / total}, wrong
