"""What a prompt says: one clause for each thing and what it does or must not do.

`grammar.py` finds who does what; here the tables of `lexicon.py` say which kind of motion or effect that is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from loopanimate.words.events import OPPOSITES, SPARED, Event, merge
from loopanimate.words.grammar import parse
from loopanimate.words.kinds import FACE_KINDS, KINDS
from loopanimate.words.lexicon import Word, faces, is_known, likely_meaning, manners, meanings, natures, verb_tables, words_of
from loopanimate.words.phrases import AGENTS, Phrase, make_phrase, read_phrase, sort_of
from loopanimate.words.wording import split
from loopanimate.words.wordnet import definitions, is_verb

NAMES = {"camera": "camera", "background": "background", "whole": "everything"}  # classes → what their things are called
MOSTLY = 0.34  # least share of known words in an English prompt; other languages share "die", "wind" and the like
# What "it" does, and what falls
WEATHER = {"snow": "snow", "hail": "hail", "sleet": "sleet", "rain": "rain", "drizzle": "rain"}
SINGLE = ("leaf", "petal", "feather")  # classes of which one alone drifts as a whole
# Verbs that are one motion between them
COMINGS = ({"come", "go"}, {"come", "go-out"}, {"ebb", "flow"}, {"appear", "disappear"})
RAYS = ("ray", "lightning")  # classes that shine in one way only
VAGUE = ("move", "dance", "wave", "float", "fly", "blow", "swim")  # manners that a likeness says more than: "flies like a flag"
LEVEL = ("move", "go", "travel", "float", "rise", "fly")  # manners that are a bob where they go up and down
FLOWING = ("flow", "fall", "leaf")  # sorts that may be streams, and are what they are by nature whatever an unknown verb
ALIVE = ("live", "wild")  # sorts
LIVING = ("person", "head", "face", "whole")  # classes that come alive as a face does
ROOTED = (*FLOWING, "bend", "fixed", "camera")  # sorts that stay what they are where a way is said
PASSING = ("go", "travel", "fly", "swirl", "blow", "tumble", "float")  # manners of what passes the viewer
# Manners that are a shift where a way is said
PLACELESS = ("move", "go", "float", "tumble", "blow", "buzz", "creak", "stagger", "spread")
NOISY = ("tremble", "pulse", "bob", "fog")  # kinds of a vehicle that travels: "the truck rumbles along the road"


@dataclass(frozen=True)
class Clause:
    """What a prompt says of one thing."""

    text: str  # the words it came from
    thing: str  # head noun as written, lower case; or "it", "everything", "background", "camera", "person"
    which: tuple[str, ...]  # words that pick it out or say its place: left, small, behind, hill
    kind: str | None  # a name of KINDS or FACE_KINDS, "rest" or "effect"; None: it describes and asks nothing that is drawn
    heading: float | None  # degrees, x right and y down
    toward: str  # "away", "towards", "forward", "back", "clockwise", "counterclockwise", "in", "out" or ""
    strength: str  # a name of STRENGTHS or ""
    tempo: str  # a name of TEMPOS or ""
    effect: str  # of an effect: snow, rain, fire, flicker, twinkle, glow, sparkle, lightning, fog, petals, leaves, …; else ""
    only: bool  # all else rests: "only the water moves"
    known: bool  # False: the kind of an unknown verb was guessed, by the fitted reader or from what the thing does by nature
    full: bool = True  # it has a subject and a verb; False: "sea", "ripples"
    acts: bool = False  # of no kind, and yet something that would be seen: "the sheep graze"


def read_clauses(
    prompt: str, guess: Callable[[str], dict[str, float]] | None = None, classify: Callable[[str], str] | None = None
) -> list[Clause]:
    """The clauses of an English prompt, in order.

    guess: a predicate ("wibbles about") → scores by names of KINDS, for verbs that no table has. classify: a noun that no
    table has → a class of classes.tsv.
    """
    words = split(prompt)
    events = _join([_free_weather(event, words) for event in parse(words)])
    firsts = sorted({event.first for event in events} | {len(words)})
    said = [words[event.first : next((first for first in firsts if first > event.first), None)] for event in events]
    return [_clause(event, [word.text for word in part], guess, classify) for event, part in zip(events, said)]


def read_names(words: str) -> list[tuple[str, tuple[str, ...]]]:
    """The things that words name, with what picks them out, be they a sentence or none: "the left boat", "her", "ripples"."""
    said = [clause for clause in read_clauses(words) if clause.thing != "camera" and (clause.full or clause.kind is None)]
    if said:
        return [(clause.thing, clause.which) for clause in said]
    parts = split(words)
    at, determiners, owner, run = read_phrase(parts, 0)
    if run:
        phrase = make_phrase(run, determiners, owner, 0)
        return [(phrase.head, tuple(phrase.which))]
    word = parts[at] if at < len(parts) else parts[0] if parts else None
    return [] if word is None else [("person" if word.is_("person") else word.text, ())]


def is_english(prompt: str) -> bool:
    """Whether enough of a prompt's words are English ones; a prompt without words is."""
    words = [word for word in split(prompt) if not word.is_("mark", "own")]
    known = [word for word in words if word.tags or is_known(word.text)]
    return len(known) >= MOSTLY * len(words)


def _free_weather(event: Event, words: list[Word]) -> Event:
    """Take "it" for nothing that was named before where it rains or snows."""
    if event.verb in WEATHER and [word.text for word in words[event.start : event.start + 1]] == ["it"]:
        spared = event.thing.which if SPARED in event.thing.which else []
        return replace(event, thing=Phrase("it", which=spared))
    return event


def _join(events: list[Event]) -> list[Event]:
    """Events that are one between them: "rises and falls", "swells and shrinks", what a camera is told twice."""
    joined: list[Event] = []
    for event in events:
        last = joined[-1] if joined else None
        alike = last and last.verb and event.verb and last.thing.head == event.thing.head
        if alike and last.thing.which == event.thing.which and _rests(last) and _rests(event):
            continue
        if alike and last.thing is event.thing and last.verb == event.verb:  # "turn, turn, turn"
            merge(last.manner, event.manner)
            continue
        if alike and not last.negative:
            ways = {name for verb in (last.verb, event.verb) for name in ("up", "down") if verb in verb_tables()[name]}
            ways |= {"down" for verb in (last.verb, event.verb) if meanings().get(verb) == "fall"}
            pair = ways == {"up", "down"} and last.thing is event.thing
            if {last.verb, event.verb} in OPPOSITES[:2] and sort_of(last.thing.noun) != "hung":  # "the wings open and close"
                still = sort_of(last.thing.noun) in ("rigid", "fixed")
                last.verb = "blink" if last.thing.noun == "eye" else "pulse" if still else "beat"
                continue
            if {last.verb, event.verb} in COMINGS and last.thing is event.thing:  # "comes in and goes out"
                continue
            same = meanings().get(last.verb) == meanings().get(event.verb)
            shaky = event.thing.noun == "camera" and (same or event.thing is last.thing)  # "handheld camera, slight sway"
            if pair or shaky or {meanings().get(verb) for verb in (last.verb, event.verb)} <= {"pulse", "swell"}:
                last.verb = "bob" if pair else last.verb
                merge(last.manner, event.manner)
                continue
        joined.append(event)
    moving = [event.thing for event in joined if event.verb and not _rests(event) and not _sounds(event)]
    for event in joined:
        if _sounds(event) and any(event.thing is thing for thing in moving):
            event.verb = None
    return joined


def _sounds(event: Event) -> bool:
    """Whether it is a sound, which says nothing where the thing moves besides: "creaks and bends"."""
    return meanings().get(event.verb) in ("creak", "ring") and not event.negative


def _rests(event: Event) -> bool:
    return event.negative or meanings().get(event.verb) == "rest"


def _clause(event: Event, text: list[str], guess, classify) -> Clause:
    thing = event.thing
    name = _class(thing, classify)
    kind, effect, known = _kind(event, name, text, guess)
    moving = kind not in (None, "rest")
    way = event.manner.get("way") or (_own_way(event, kind) if kind in ("shift", "stream", "effect", "turn-head") else None)
    return Clause(
        text=re.sub(r"(\W+(and|but|or|nor|neither|not))*\W*$", "", " ".join(text)),
        thing=_called(event),
        which=tuple(dict.fromkeys(thing.which)),
        kind=kind,
        heading=float(way) if way and moving else None,
        toward=event.manner.get("toward", "") if moving else "",
        strength=event.manner.get("strength", "") if moving else "",
        tempo=event.manner.get("tempo", "") if moving else "",
        effect=effect,
        only=event.only and kind != "rest",
        known=known,
        full=event.verb is not None and not thing.implied,
        acts=kind is None and event.verb in words_of("act"),
    )


def _class(thing: Phrase, classify: Callable[[str], str] | None) -> str:
    if thing.noun or thing.implied or thing.head == "it":
        return thing.noun or "whole"
    return classify(thing.head) if classify else "object"


def _called(event: Event) -> str:
    if event.thing.head == "it" and event.verb in WEATHER:
        return WEATHER[event.verb]
    if event.thing.implied and event.verb and _rests(event):  # "freeze"
        return "everything"
    return NAMES.get(event.thing.noun, event.thing.head)


def _own_way(event: Event, kind: str) -> str | None:
    """The way that a verb says by itself."""
    verbs = verb_tables()
    falls = kind == "shift" and meanings().get(event.verb) == "fall" and sort_of(event.thing.noun) not in FLOWING
    return "270" if event.verb in verbs["up"] else "90" if falls or event.verb in verbs["down"] else None


def _kind(event: Event, name: str, text: list[str], guess) -> tuple[str | None, str, bool]:
    """The kind of an event of a thing of some class, its effect, and whether the tables know its verb."""
    if event.verb is None and name == "lightning":
        return "effect", name, True
    if event.verb is None or name in AGENTS:
        return None, "", True
    if _rests(event):
        return "rest", "", True
    meaning = meanings().get(event.verb)
    known = meaning is not None and not event.guessed
    if meaning is None and is_verb(event.verb) and not definitions(event.verb):  # "prays" is no motion
        return None, "", False
    meaning = meaning or likely_meaning(event.verb)
    if meaning == "rest":
        return "rest", "", known
    if meaning is None and guess and natures()[name].sort not in FLOWING:
        scores = {kind: score for kind, score in guess(" ".join(text)).items() if kind != "stream"}
        meaning = max(scores, key=scores.get)
    shown = _shown(event, name, meaning or "move", text)
    return (shown, "", known) if shown in (None, "rest", *KINDS, *FACE_KINDS) else ("effect", shown, known)


def _shown(event: Event, name: str, meaning: str, text: list[str]) -> str | None:
    """The kind or effect that a verb of some meaning is for a thing of some class; None: nothing that is shown."""
    nature, likeness = natures()[name], natures().get(event.likeness)
    if meaning in ("snow", "rain") and name not in ("whole", meaning):  # "confetti rains down"
        meaning = "fall"
    shown = manners()[meaning][nature.sort] if meaning in manners() else meaning
    single = name in SINGLE and not event.thing.plural and event.thing.definite not in ("", "no")
    worn = name == "feather" and event.thing.definite == "poss"  # "its feathers stream"
    drifting = "shift" if single else nature.natural if worn else nature.effect or "stream"
    shown = {"=": nature.natural, "*": drifting, "none": None}.get(shown, shown)
    likened = likeness and likeness.sort not in ALIVE and likeness.natural in KINDS and likeness.natural != "stream"
    if likened and meaning in VAGUE and shown in KINDS and shown != "stream":
        shown = likeness.natural
    falls = meaning == "fall" or nature.sort == "leaf" and event.manner.get("way") == "90"  # "petals flutter down"
    if falls and nature.sort in ("bend", "leaf") and nature.effect and not single:  # "the cherry blossoms fall"
        shown = nature.effect
    if meaning in LEVEL and event.manner.get("both") == "up and down" or event.verb == "bob":
        shown = "ripple" if nature.sort == "flow" and nature.natural == "ripple" else "bob"  # "the waves rise and fall"
    elif _travels(event, nature.sort, meaning, shown):
        shown = "shift"
    if shown == "stream" and event.manner.get("both", "").startswith(words_of("to and fro")):  # "the surf washes in and out"
        shown = "ripple" if nature.natural == "ripple" else "shift"
    airy = nature.sort == "fall" and shown not in ("stream", "sway") or nature.natural == "fire" and shown == "bounce"
    if airy and nature.natural not in KINDS and shown in KINDS:  # "hail bounces", "flames leap"
        shown = nature.natural
    if name == "camera" and event.manner.get("toward") in ("in", "out", "towards", "away", "forward", "back"):
        shown = "zoom"
    elif name == "camera" and shown == "rock" and "way" in event.manner:  # "tilts up"
        shown = "shift"
    if "flicker" in event.manner:
        shown = "flicker"
    if name == "eye":
        shown = _by_eyes(event, meaning) or shown
    else:
        shown = _by_face(event, name, meaning, shown, text)
    if shown == "gaze" and not event.manner.keys() & {"way", "both"} and "around" not in text:  # "looks at the sea"
        return None
    return nature.effect if name in RAYS and shown in ("glow", "flicker", "shift", "tremble") else shown


def _by_face(event: Event, name: str, meaning: str, shown: str | None, text: list[str]) -> str | None:
    """What a face does, where a verb of a head, brows, a chest or a person means that."""
    if event.verb == "animate" and {"alive", "life"} & {*" ".join(text).split()}:
        return "live" if name in LIVING or event.thing.head in words_of("pictures") else shown
    if name == "person" and meaning == "turn":  # "she turns to the left"
        return "turn-head" if event.manner.get("way") in ("0", "180") else shown
    if name == "head" and event.manner.get("both", "").startswith(words_of("to and fro")) and meaning in VAGUE:
        return "turn-head"
    return next((faces()[name, one] for one in (event.verb, meaning, shown) if (name, one) in faces()), shown)


def _by_eyes(event: Event, meaning: str) -> str | None:
    """The kind that a verb is of eyes and lids, where it is not what it is of other parts of a body."""
    if meaning == "open":
        return None if event.verb == "open" else "close"
    if meaning in ("move", "go") and event.manner.keys() & {"way", "both"}:
        return "gaze"
    return "blink" if meaning in ("beat", "flutter") else None


def _travels(event: Event, sort: str, meaning: str, shown: str | None) -> bool:
    """Whether a way makes a shift of what a thing of some sort does, whatever its verb means elsewhere."""
    if meaning == "turn" and sort in ("vehicle", "boat"):  # "the car turns left"
        return "way" in event.manner
    if meaning in PASSING and event.manner.get("along") in ("past", "by") and sort in ("bend", "fixed"):
        return True  # "the trees rush past", as seen from a train
    if meaning == "blow" and event.manner.get("toward") == "away" and sort == "bend":  # "the scarf blows away"
        return True
    somewhere = bool(event.manner.keys() & {"way", "toward", "along"})
    return somewhere and sort not in ROOTED and (meaning in PLACELESS or sort == "vehicle" and shown in NOISY)
