"""Captions of procedural motion, drawn together with what they mean.

A `Motion` is what one layer does; `draw` gives a caption with the motions of both layers. Verbs of `HELD_OUT` and sentences
of `HELD_OUT_FORMS` never occur in training, so that the evaluation can ask with them.
"""

import json
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

from loopanimate.words import vocabulary
from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.vocabulary import CAMERA, DIRECTIONS, RIGID, STILL, STREAMS, STRENGTHS, TEMPOS, Verb, say

PHRASES = json.loads(Path(__file__).with_name("phrases.json").read_text(encoding="utf-8"))
HELD_OUT = {kind: tuple(map(Verb.parse, verbs)) for kind, verbs in PHRASES["held out verbs"].items()}
HELD_OUT_FORMS = PHRASES["held out forms"]
SUBJECTS = ("it",) * 16 + tuple(PHRASES["subjects"])  # `words.read` says "it" in place of words that the network does not know
BACKGROUNDS, WHOLE, PARTS = PHRASES["backgrounds"], PHRASES["whole"], PHRASES["parts"]
BEHIND, STAYS = PHRASES["behind"], PHRASES["stays"]
AMPLITUDES = {"barely": 0.005, "gently": 0.011, "plainly": 0.022, "strongly": 0.042, "wildly": 0.065}  # as Motion.amplitude
FASTEST = 1.8  # hertz, of a kind that is quicker than its words' tempo

# Kinds as often as they are drawn: of the salient object when it does not stream, of the background (of which the camera
# pans, too), and of captions that say little but where one thing goes.
SALIENT = (*("sway",) * 2, *("shift",) * 3, *(kind for kind in SPOKEN if kind not in ("sway", "shift", "stream")))
BACKGROUND = ("shift", "shift", "shift", "ripple", "zoom", "sway", "stream", "stream", "stream", "pan")
FOCUSED = ("shift", "shift", "stream", "sway")


@dataclass(frozen=True)
class Motion:
    """What one layer does. Amplitude 0 is stillness."""

    kind: str = "still"
    amplitude: float = 0.0  # short sides, root mean square over the layer at the extreme; of a stream, a second
    frequency: float = 0.5  # hertz
    direction: float | None = None  # degrees that the words name; None: they name none
    part: str | None = None  # "top" | "bottom" | None


def draw_motion(
    rng: random.Random,
    kind: str,
    strength: str | None = None,
    tempo: str | None = None,
    direction: int | None = None,
    named: bool | None = None,
) -> tuple[Motion, str, str]:
    """One motion of `kind` with the adverbs that say it, (motion, before, after); None draws that property.

    `named` decides whether the words name a direction; only kinds that can go somewhere do.
    """
    row = KINDS[kind]
    choices = {"any": list(DIRECTIONS), "side": [0, 180], "none": []}[row.directed]
    if choices and (rng.random() < 0.6 if named is None else named):
        sides = [0, 180] + choices
        direction = rng.choice(sides) if direction is None else direction
    else:
        direction = None
    strength = rng.choice([None] * 4 + list(STRENGTHS)) if strength is None else strength
    tempo = rng.choice(["", "", *TEMPOS]) if tempo is None else tempo
    amplitude = AMPLITUDES[strength or "plainly"] * math.exp(rng.gauss(0, 0.08 if strength else 0.2)) * row.size
    low, high = vocabulary.FREQUENCIES[tempo]
    frequency = math.exp(rng.uniform(math.log(low), math.log(high)))
    if row.rate > 1:
        frequency = min(frequency * row.rate, FASTEST)
    if row.flows:
        amplitude = vocabulary.SPEEDS[strength or "plainly"] * vocabulary.PACE[tempo] * math.exp(rng.gauss(0, 0.08))
    after = [rng.choice(DIRECTIONS[direction])] if direction is not None else []
    adverbs = [rng.choice(STRENGTHS[strength])] if strength else []
    adverbs += [rng.choice(TEMPOS[tempo])] if tempo else []
    before = ""
    for adverb in adverbs:
        if " " not in adverb and not before and rng.random() < 0.4:
            before = adverb
        else:
            after.append(adverb)
    rng.shuffle(after)
    return Motion(kind, amplitude, frequency, direction), before, " ".join(after)


FORMS = (  # {s} subject, {b} adverb before, {v} {t} {g} verb, its form for the subject, gerund, {a} adverbs after
    *("{s} {b} {t} {a}",) * 8,
    *("{s} is {b} {g} {a}",) * 3,
    *("make {s} {b} {v} {a}", "let {s} {b} {v} {a}") * 2,
    *("{s} {b} {g} {a}", "{s} should {b} {v} {a}", "{s} starts {g} {b} {a}", "{b} {g} {a}: {s}", "with {s} {b} {g} {a}"),
)


def sentence(rng: random.Random, subject: str, verb: Verb, before: str, after: str, held_out: bool = False) -> str:
    """One of many ways to say that `subject` does `verb`."""
    form = rng.choice(HELD_OUT_FORMS if held_out else FORMS)
    told = say(subject, verb).removeprefix(subject)
    words = form.format(s=subject, b=before, v=verb.base, t=told, g=verb.gerund, a=after)
    return " ".join(words.split()).replace(" :", ":")


def phrase(rng: random.Random, kind: str, subject: str, held_out: bool = False, **named) -> tuple[str, Motion]:
    """A clause in which `subject` does a motion of `kind`; `named` fixes strength, tempo or direction (`draw_motion`)."""
    verb, state = rng.choice(HELD_OUT[kind] if held_out else KINDS[kind].verbs), rng.getrandbits(32)
    motion, before, after = draw_motion(rng, kind, **named)
    # the phrasing has its own generator, so that it stays the same whatever is named
    return sentence(random.Random(state), subject, verb, before, after, held_out), motion


def _stream(rng: random.Random) -> tuple[str, Motion]:
    if rng.random() < 0.4:  # any subject: the mask may hold what flows
        return phrase(rng, "stream", rng.choice(SUBJECTS))
    subject, (heading, verbs) = rng.choice(list(STREAMS.items()))
    motion, before, after = draw_motion(rng, "stream")
    own = bool(verbs) and rng.random() < 0.6
    if own and heading is not None and motion.direction is not None:  # "the smoke rises to the left" says two directions
        motion, before, after = draw_motion(rng, "stream", named=False)
    if motion.direction is None:
        motion = replace(motion, direction=heading)
    return sentence(rng, subject, rng.choice(verbs if own else KINDS["stream"].verbs), before, after), motion


def _salient(rng: random.Random) -> tuple[str, Motion]:
    if rng.random() < 0.22:
        return _stream(rng)
    kind = rng.choice(SALIENT)
    subject = rng.choice(SUBJECTS)
    words, motion = phrase(rng, kind, subject)
    if motion.direction is None and rng.random() < 0.06:
        part = rng.choice(list(PARTS))
        words, motion = phrase(rng, kind, rng.choice(PARTS[part]).format(subject), named=False)
        return words, replace(motion, part=part)
    if subject.removeprefix("the ") in RIGID and KINDS[kind].if_rigid:
        motion = replace(motion, kind=KINDS[kind].if_rigid)
    return words, motion


def _background(rng: random.Random) -> tuple[str, Motion]:
    kind = rng.choice(BACKGROUND)
    if kind == "stream":
        return _stream(rng)
    if kind == "zoom":
        motion, before, after = draw_motion(rng, kind)
        inwards = rng.random() < 0.5
        verb = rng.choice(CAMERA["in" if inwards else "out"])
        motion = replace(motion, direction=0 if inwards else 180)
        return sentence(rng, rng.choice(("the camera", "the view", "the background")), verb, before, after), motion
    if kind == "pan":  # the picture goes the other way
        words, motion = phrase(rng, "shift", "the camera", named=True)
        verb = rng.choice(CAMERA["pan"])
        after = rng.choice(DIRECTIONS[motion.direction])
        words = sentence(rng, rng.choice(("the camera", "the view")), verb, "", after)
        return words, replace(motion, direction=(motion.direction + 180) % 360)
    return phrase(rng, kind, rng.choice(BACKGROUNDS))


def draw(rng: random.Random, focus: float = 0.0) -> tuple[str, Motion, Motion]:
    """A caption with the motion of the salient layer and of the background.

    focus: share of captions that say little but where one thing goes; words decide most of such a clip.
    """
    if rng.random() < focus:
        words, motion = phrase(rng, rng.choice(FOCUSED), rng.choice(SUBJECTS), named=True)
        return words, motion, Motion()
    case = rng.random()
    if case < 0.05:
        return rng.choice(STILL["caption"]), Motion(), Motion()
    if case < 0.11:  # one motion of the whole picture
        subject = rng.choice(WHOLE)
        words, motion = phrase(rng, rng.choice([kind for kind in SPOKEN if kind != "stream"]), subject)
        return words, motion, motion
    salient, background = Motion(), Motion()
    clauses = []
    if case < 0.74 or case >= 0.87:
        words, salient = _salient(rng)
        clauses.append(words)
    if case >= 0.74:
        words, background = _background(rng)
        if background.kind == "stream" and (not clauses or rng.random() < 0.3):  # alone, nothing else says which layer flows
            words = rng.choice(BEHIND).format(words)
        clauses.append(words)
    elif rng.random() < 0.2:
        clauses.append(rng.choice(STAYS).format(rng.choice(BACKGROUNDS)))
    if 0.74 <= case < 0.87 and rng.random() < 0.5:
        clauses.append(rng.choice(STAYS).format(rng.choice(SUBJECTS)))
    if rng.random() < 0.3:
        clauses.reverse()
    caption = rng.choice((", ", ", ", " and ", " while ", "; ")).join(clauses)
    return caption + rng.choice(("", "", ".")), salient, background
