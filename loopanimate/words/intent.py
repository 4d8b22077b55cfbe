"""What words ask of each layer's motion, for all that edits, proves or measures a loop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import dropwhile

from loopanimate.words.kinds import KINDS, Kind
from loopanimate.words.parse import HEADINGS, Clause, join_adverbs
from loopanimate.words.vocabulary import FREQUENCIES, PACE, SPEEDS, STRENGTHS, TEMPOS


@dataclass(frozen=True)
class Intent:
    """What words ask of one layer; a layer that they say nothing about moves as it was sampled.

    Angles are degrees, x right and y down. `rigid` to `hops` say how the whole salient object moves, and are not set for
    the background or where words are about a part of the object or about all of the picture.
    """

    kinds: frozenset[str] = frozenset()  # names of KINDS that are said of it
    heading: float | None = None  # where it goes, for kinds that can go anywhere or have a heading of their own
    way: float | None = None  # where it goes first before it comes back, for all kinds that have a direction
    speed: float | None = None  # short sides a second, of a stream alone
    rigid: bool = False  # it does not bend
    hinge: tuple[float, float] | None = None  # it turns about one point, between these shares of its height from the top
    hold: bool = False  # it rests where it is fixed, at its base ...
    waving: bool = False  # ... or, like cloth, at its side if it is wide
    in_place: bool = False  # as a whole it neither shifts nor turns
    hops: tuple[float, float] | None = None  # hertz, least and most
    rests: bool = False  # it does not move at all
    returns: bool = False  # it is no stream, however it was sampled
    hangs: bool = False  # what is its base is its top: hair, a dress, a curtain
    rounds: float = 0.0  # a second, clockwise, that it turns on and on in the plane of the picture, or as seen askew


STILL = Intent(rests=True)


def form_intents(parsed: list[Clause], rigid: bool) -> tuple[Intent, Intent]:
    """What clauses ask of the salient object and of the background.

    parsed: clauses of the sentence that the network is asked for. rigid: whether the prompt's object does not bend
    (`parse.is_rigid`), which that sentence need not say.
    """
    layers = [[clause for clause in parsed if clause.layer == layer] for layer in (0, 1)]
    salient, background = (
        Intent(_kinds(said), *_directions(said), _speed(said), rests=rests) for said, rests in zip(layers, _rests(*layers))
    )
    moving = dropwhile(lambda clause: not clause.kinds, layers[0])
    if all(clause.subject == "it" for clause in moving):
        salient = replace(salient, **_handling(salient.kinds, rigid, _named(TEMPOS, parsed, "")))
    return salient, background


def _kinds(said: list[Clause]) -> frozenset[str]:
    return frozenset().union(*(clause.kinds for clause in said))


def _all(kinds: frozenset[str], test: Callable[[Kind], object]) -> bool:
    """Whether kinds are said, and only such that pass a test."""
    return bool(kinds) and all(test(KINDS[kind]) for kind in kinds)


def _handling(kinds: frozenset[str], rigid: bool, tempo: str) -> dict:
    """The fields of an Intent that concern a whole object."""
    rigid = rigid or _all(kinds, lambda kind: kind.rigid)
    hold = not rigid and _all(kinds, lambda kind: kind.fixed)
    hinges = [KINDS[kind].hinge for kind in kinds]
    return {
        "rigid": rigid,
        "hinge": (min(hinge[0] for hinge in hinges), max(hinge[1] for hinge in hinges)) if hinges and all(hinges) else None,
        "hold": hold,
        "waving": hold and _all(kinds, lambda kind: kind.fixed == "side"),
        "in_place": _all(kinds, lambda kind: kind.in_place),
        "hops": FREQUENCIES[tempo] if _all(kinds, lambda kind: kind.shape == "hops") else None,
    }


def _directions(said: list[Clause]) -> tuple[float | None, float | None]:
    """`heading` and `way` of a layer. Where the camera goes is not where the background goes, so it counts for neither."""
    said = [clause for clause in said if not clause.camera]
    kinds = _kinds(said)
    if _all(kinds, lambda kind: kind.heading is not None):
        own = KINDS[min(kinds)].heading
        return own, own
    named = HEADINGS.get(join_adverbs(said).get("direction", "").lower())
    return (
        named if _all(kinds, lambda kind: kind.directed == "any") else None,
        named if _all(kinds, lambda kind: kind.directed != "none" and not kind.flows) else None,
    )


def _speed(said: list[Clause]) -> float | None:
    if not _all(_kinds(said), lambda kind: kind.flows):
        return None
    return SPEEDS[_named(STRENGTHS, said, "plainly")] * PACE[_named(TEMPOS, said, "")]


def _named(table: dict[str, tuple[str, ...]], said: list[Clause], other: str) -> str:
    """The name of a table that clauses mention, or else `other`."""
    adverbs = join_adverbs(said)
    return next((name for name in table if name in adverbs), other)


def _rests(salient: list[Clause], background: list[Clause]) -> tuple[bool, bool]:
    """Whether the object and the background rest: words say one motion, of the other layer, or that nothing moves.

    A stream may be the object or behind it, whatever its clause says, so beside one neither rests.
    """
    moving = [clause for clause in salient if clause.kinds]
    passing = [clause for clause in background if clause.kinds or clause.camera]
    if not moving and not passing:
        still = any(clause.still for clause in (*salient, *background))
        return still, still
    both = any(clause.subject == "everything" or "behind" in clause.text for clause in salient)
    if both or len(moving) + len(passing) > 1 or any(KINDS[kind].flows for kind in _kinds(moving)):
        return False, False
    return not moving, bool(moving) and len(moving[0].kinds) == 1
