"""Clauses of a prompt: which layer each is about, what it says that this layer does, and how."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.vocabulary import (
    BEFORE_NOUNS,
    CAMERA,
    DIRECTIONS,
    LAYERS,
    RIGID,
    STILL,
    STREAMS,
    STRENGTHS,
    TEMPOS,
    Verb,
    any_of,
    any_thing,
)

# "direction", and the names of strengths and tempos → their phrases
ADVERBS = {"direction": tuple(phrase for phrases in DIRECTIONS.values() for phrase in phrases), **STRENGTHS, **TEMPOS}
HEADINGS = {phrase: float(degrees) for degrees, phrases in DIRECTIONS.items() for phrase in phrases}
OF_THE_CAMERA = any_of(("camera", "view"))
OF_THE_BACKGROUND = any_of((*LAYERS["the background"], "camera", "view"))


@dataclass(frozen=True)
class Clause:
    """One clause of a prompt, and the known phrases in it."""

    text: str
    layer: int  # that it is about: 0 the salient object, 1 the background or the camera
    subject: str  # a name of the table `layer`, or "it", the whole object
    phrases: tuple[str, ...]  # known verb phrases, lower case, that stand in a verb's place
    likened: bool  # one of them is likened to something: "waves like cloth"
    still: bool  # words for stillness or for a camera's motion occur in it, in whatever place
    camera: bool
    adverbs: dict[str, str]  # a name of ADVERBS → the first phrase for it, in the prompt's spelling

    @property
    def kinds(self) -> frozenset[str]:
        """Names of KINDS that its phrases say."""
        return frozenset(kind for kind in map(known_forms().get, self.phrases) if kind)


def clauses(prompt: str) -> list[Clause]:
    """The clauses of a prompt, in order; none of a prompt that says nothing."""
    parts = re.split(r"[,;.]|\bwhile\b|\band (?=the |in the |behind )", prompt)
    return [_clause(part) for part in parts if part.strip()]


def _clause(text: str) -> Clause:
    found = list(any_of(tuple(known_forms())).finditer(text))
    verbs = [match for match in found if is_verb(match)]
    # "up and down" is a way to bob; neither of its words is a direction
    sent = re.sub(r"\bup and down\b", "", text, flags=re.IGNORECASE)
    matches = {name: any_of(phrases).search(sent) for name, phrases in ADVERBS.items()}
    return Clause(
        text=text,
        layer=int(bool(OF_THE_BACKGROUND.search(text))),
        subject=_subject(text),
        phrases=tuple(match.group().lower() for match in verbs),
        likened=any(re.match(r"\s+(like|as)\b", text[match.end() :], re.IGNORECASE) for match in verbs),
        still=any(known_forms()[match.group().lower()] is None for match in found),
        camera=bool(OF_THE_CAMERA.search(text)),
        adverbs={name: match.group() for name, match in matches.items() if match},
    )


def _subject(text: str) -> str:
    start = re.match(r"\s*(?:(?:make|let|have|i want|could) )?(?:the )?", text, re.IGNORECASE).end()
    return next((name for name, phrases in LAYERS.items() if any_of(phrases).match(text, start)), "it")


def is_verb(match: re.Match[str]) -> bool:
    """Whether a known phrase is a verb where it was found: not in "in waves" and not in "like a sail"."""
    before = re.findall(r"[a-z']+", match.string[: match.start()].lower())[-1:]
    return not before or before[0] not in BEFORE_NOUNS or match.group().split()[0].lower().endswith("ing")


def join_adverbs(parsed: Iterable[Clause]) -> dict[str, str]:
    """The adverbs of several clauses, each name's first phrase, in the order of ADVERBS."""
    first: dict[str, str] = {}
    for clause in parsed:
        first = clause.adverbs | first
    return {name: first[name] for name in ADVERBS if name in first}


def is_rigid(prompt: str) -> bool:
    """Whether a prompt wants its object in one piece: it says so, or names a thing that does not bend.

    Such a thing may bend all the same if the first known phrase after it is of a soft kind ("the boat ripples"), or about
    stillness or the camera and so not about the thing.
    """
    if any_of(("rigidly", "stiffly", "in one piece")).search(prompt):
        return True
    thing = any_thing(RIGID).search(prompt)
    if thing is None:
        return False
    found = any_of(tuple(known_forms())).search(prompt, thing.end())
    if found is None:
        return True
    kind = known_forms()[found.group().lower()]
    return kind is not None and not KINDS[kind].soft


@cache
def spoken_forms() -> dict[str, str | None]:
    """All forms of the verbs that the network was trained on → their kind; None: of stillness or of the camera."""
    verbs = [(kind, KINDS[kind].verbs) for kind in SPOKEN]
    verbs += [("stream", stream.verbs) for stream in STREAMS.values()] + [(None, verbs) for verbs in CAMERA.values()]
    return dict.fromkeys(phrase for phrases in STILL.values() for phrase in phrases) | _forms(verbs)


@cache
def alike_forms() -> dict[str, str]:
    """All forms of the other verb phrases → their kind; without single words, which mean too many things."""
    return _forms((kind, [verb for verb in KINDS[kind].alike if " " in verb.base]) for kind in SPOKEN)


@cache
def known_forms() -> dict[str, str | None]:
    return spoken_forms() | alike_forms()


def _forms(verbs: Iterable[tuple[str | None, Iterable[Verb]]]) -> dict[str, str | None]:
    return {form.lower(): kind for kind, several in verbs for verb in several for form in verb.forms}


@cache
def similes() -> dict[str, str]:
    """ "like a pendulum" → its kind, of all comparisons in the verbs of one kind alone."""
    kinds: dict[str, set[str]] = {}
    for kind in SPOKEN:
        for verb in (*KINDS[kind].verbs, *KINDS[kind].alike):
            _, like, likeness = verb.base.partition(" like ")
            if like:
                kinds.setdefault(f"like {likeness}", set()).add(kind)
    return {simile: kind for simile, (kind, *others) in kinds.items() if not others}
