"""What words ask of a motion beside its kind: which layer has it, where to, how fast, and what must stay as it is."""

import re
from dataclasses import dataclass

from loopanimate.words.vocabulary import (
    AIMED,
    DIRECTED,
    DIRECTIONS,
    FREQUENCIES,
    HELD,
    HINGED,
    IN_PLACE,
    LAYERS,
    LEVEL,
    PACE,
    SPEEDS,
    STRENGTHS,
    TEMPOS,
    adverbs_of,
    any_of,
    is_rigid,
    known_forms,
    subject_of,
)
from loopanimate.words.wordnet import NOT_BEFORE

OF_THE_CAMERA = re.compile(r"\b(camera|view)\b", re.IGNORECASE)
BEHIND = re.compile(rf"\b({LAYERS['the background']}|camera|view)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Intent:
    """What words ask of one layer, beside the kind of motion that the network samples."""

    kinds: frozenset[str] = frozenset()
    heading: float | None = None
    way: float | None = None
    speed: float | None = None
    rigid: bool = False
    hinge: tuple[float, float] | None = None
    hold: bool = False
    waving: bool = False
    in_place: bool = False
    hops: tuple[float, float] | None = None
    rests: bool = False


@dataclass(frozen=True)
class Manner:
    """How words let the object move, beside the motion that is sampled."""

    rigid: bool = False  # it does not bend, but where an arrow or a pin bends it
    hinge: tuple[float, float] | None = None  # and only turns about one point, between these shares of its height from the top
    held: bool = False  # where it is fixed, it stays (`field.held`, once a loop is sampled)
    waving: bool = False  # and that may be its side: cloth
    in_place: bool = False  # as a whole it neither shifts nor turns (`field.in_place`, the same)
    hops: tuple[float, float] | None = None  # so many a second, from the ground (`field.hopping`, the same)
    rests: tuple[bool, bool] = (False, False)  # the object, the background: it does not move at all


@dataclass(frozen=True)
class Course:
    """Where to and how fast words say that a layer goes."""

    heading: float | None = None  # degrees; of what moves, streams or bounces
    speed: float | None = None  # short sides a second; of what streams


def is_said(match: re.Match, prompt: str) -> bool:
    """Is a motion word that was found in a prompt a verb there: not "in waves", not "like a sail"?"""
    before = re.findall(r"[a-z']+", prompt[: match.start()].lower())[-1:]
    return not before or before[0] not in NOT_BEFORE or match.group().split()[0].lower().endswith("ing")


def _clauses(words: str) -> tuple[list[str], list[str]]:
    """What is said of the object, and of the background or the camera."""
    parts = re.split(r"[,;.]|\bwhile\b|\band (?=the |in the |behind )", words)
    return [part for part in parts if not BEHIND.search(part)], [part for part in parts if BEHIND.search(part)]


def _kinds(part: str) -> set[str]:
    """The kinds of motion whose words a clause says."""
    kinds = known_forms()
    found = [kinds[match.group().lower()] for match in any_of(tuple(kinds)).finditer(part) if is_said(match, part)]
    return {kind for kind in found if kind}


def manner(prompt: str, words: str) -> Manner:
    """Of what a person said, of a thing that does not bend or not, and of the words that it was taken for (`interpret`)."""
    said, rests = set(), _rests(words)
    for part in _clauses(words)[0]:
        said |= _kinds(part)
        if said and subject_of(part) != "it":  # all of the picture, or a part of the object
            return Manner(rests=rests)
    rigid = is_rigid(prompt) or bool(said) and said <= {*HINGED, *LEVEL}
    bends = not rigid and bool(said) and said <= {*HELD}
    hinge = None
    if said and said <= {*HINGED}:
        hinge = min(HINGED[kind][0] for kind in said), max(HINGED[kind][1] for kind in said)
    in_place = bool(said) and said <= {*IN_PLACE}
    hops = FREQUENCIES[_named(TEMPOS, adverbs_of(words), "")] if said == {"bounce"} else None
    return Manner(rigid, hinge, bends, bends and said == {"flutter"}, in_place, hops, rests)


def _rests(words: str) -> tuple[bool, bool]:
    """Whether words leave the object, and the background, at rest: they say one motion, of the other, or that nothing moves.

    What flows may be the object or behind it, whatever is said of where it is.
    """
    objects, behind = _clauses(words)
    moving = [kinds for kinds in map(_kinds, objects) if kinds]
    passing = [part for part in behind if _kinds(part) or OF_THE_CAMERA.search(part)]
    if not moving and not passing:
        forms = any_of(tuple(known_forms())).findall(words)
        still = any(known_forms()[form.lower()] is None for form in forms)
        return still, still
    everything = any(subject_of(part) == "everything" for part in objects)
    if len(moving) + len(passing) > 1 or everything or "behind" in " ".join(objects) or {"stream"} & set().union(*moving):
        return False, False
    return not moving, bool(moving) and len(moving[0]) == 1


def courses(words: str) -> tuple[Course, Course]:
    """Of the object and of the background."""
    return tuple(Course(_heading(parts, {*AIMED}), _speed(parts)) for parts in _clauses(words))


def _speed(parts: list[str]) -> float | None:
    """How fast what clauses say streams, in short sides a second; None: it does not, or more is said."""
    said = " ".join(parts)
    if set().union(*map(_kinds, parts)) != {"stream"}:
        return None
    adverbs = adverbs_of(said)
    return SPEEDS[_named(STRENGTHS, adverbs, "plainly")] * PACE[_named(TEMPOS, adverbs, "")]


def _named(table: dict[str, tuple[str, ...]], adverbs: list[str], other: str) -> str:
    """The key of a table one of whose words is among adverbs; `other`, if none is."""
    said = {adverb.lower() for adverb in adverbs}
    return next((name for name, words in table.items() if said & {*words}), other)


def ways(words: str) -> tuple[float | None, float | None]:
    """Where to the object and the background go and come back from, in degrees; None: nowhere, or the words do not say.

    A bounce goes up from the ground; where the camera goes, the background does not.
    """
    return tuple(_heading(parts, {*DIRECTED} - {"stream"}) for parts in _clauses(words))


def _heading(parts: list[str], kinds: set[str]) -> float | None:
    """The direction that clauses name for motions of those kinds, in degrees."""
    parts = [part for part in parts if not OF_THE_CAMERA.search(part)]
    said, adverbs = set().union(*map(_kinds, parts)), {word.lower() for word in adverbs_of(" ".join(parts))}
    if said == {"bounce"}:
        return 270.0
    named = [angle for angle, words in DIRECTIONS.items() if adverbs & {*words}]
    return float(named[0]) if named and said and said <= kinds else None
