"""The words of procedural motion: what a caption says and what it means, drawn together.

A `Motion` is what one layer does; `draw` gives a caption with the motions of both layers. Verbs of `HELD_OUT` and sentences
of `HELD_OUT_FORMS` never occur in training: the evaluation speaks with them.
"""

import math
import random
from dataclasses import dataclass, replace

from loopanimate.words.vocabulary import (
    DIRECTIONS,
    FREQUENCIES,
    PACE,
    SPEEDS,
    STILL,
    STREAMS,
    STRENGTHS,
    TEMPOS,
    VERBS,
    clause,
    gerund,
)

KINDS = (
    "still",
    "sway",
    "shift",
    "bob",
    "bounce",
    "rock",
    "swing",
    "turn",
    "pulse",
    "ripple",
    "flutter",
    "tremble",
    "zoom",
    "stream",
)

HELD_OUT = {  # never spoken in training
    "sway": ("rustle", "swish"),
    "shift": ("edge", "creep"),
    "bob": ("levitate", "go up and down"),
    "bounce": ("leap", "spring up and down"),
    "rock": ("teeter", "tilt back and forth"),
    "swing": ("oscillate like a pendulum", "hang and dangle"),
    "turn": ("swivel", "revolve to and fro"),
    "pulse": ("inflate and deflate", "grow and shrink"),
    "ripple": ("surge in waves", "ripple like a pond"),
    "flutter": ("billow like a sail", "wave like cloth"),
    "tremble": ("jitter", "shudder"),
    "stream": ("gush", "flow without end"),
}
SUBJECTS = (
    *("it",) * 16,  # what `loopanimate.words.vocabulary.interpret` says in place of words that are not known
    *("the subject", "the object", "the figure", "the foreground", "this", "the thing in front"),
    *("the woman", "the man", "she", "he", "the child", "the cat", "the dog", "the bird", "the horse", "the fish"),
    *("the hair", "the dress", "the flag", "the curtain", "the scarf", "the cloth", "the leaf", "the tree", "the grass"),
    *("the flower", "the bush", "the boat", "the balloon", "the lamp", "the cup", "the car", "the statue", "the ball"),
    *("the rocket", "the house", "the cloud", "the water", "the sea", "the face", "the head", "the plant", "the toy"),
)
# They bend only where the words insist: swaying, they tilt about their base.
RIGID = ("the boat", "the lamp", "the cup", "the car", "the statue", "the ball", "the rocket", "the house", "the toy")
BACKGROUNDS = (
    *("the background", "the scene behind", "the backdrop", "everything behind it", "the sky", "the landscape"),
    *("the sea behind", "the scenery", "the rest of the picture"),
)
AMPLITUDES = {"barely": 0.005, "gently": 0.011, "plainly": 0.022, "strongly": 0.042, "wildly": 0.065}  # as Motion.amplitude
PARTS = {"top": ("only the top of {}", "the upper part of {}"), "bottom": ("only the bottom of {}", "the lower part of {}")}
BEHIND = ("in the background {}", "behind it {}", "{} in the background", "{} behind it")
STAYS = ("{} stays still", "{} is still", "{} does not move", "keep {} still")


@dataclass(frozen=True)
class Motion:
    """What one layer does. Amplitude 0 is stillness."""

    kind: str = "still"
    amplitude: float = 0.0  # short sides, root mean square over the layer at the extreme; of a stream, a second
    frequency: float = 0.5  # hertz
    direction: float | None = None  # degrees that the words name; None: they name none
    part: str | None = None  # "top" | "bottom" | None


def _adverbs(rng: random.Random, motion: dict, strength: str | None, tempo: str) -> tuple[str, str]:
    """What stands before the verb and after it."""
    after = [rng.choice(DIRECTIONS[motion["direction"]])] if motion["direction"] is not None else []
    words = [rng.choice(STRENGTHS[strength])] if strength else []
    words += [rng.choice(TEMPOS[tempo])] if tempo else []
    before = []
    for word in words:
        (before if " " not in word and not before and rng.random() < 0.4 else after).append(word)
    rng.shuffle(after)
    return " ".join(before), " ".join(after)


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
    choices = list(DIRECTIONS) if kind in ("shift", "stream") else [0, 180] if kind in ("sway", "rock", "swing") else []
    if choices and (rng.random() < 0.6 if named is None else named):
        sides = [0, 180] + choices
        direction = rng.choice(sides) if direction is None else direction
    else:
        direction = None
    strength = rng.choice([None] * 4 + list(STRENGTHS)) if strength is None else strength
    tempo = rng.choice(["", "", *TEMPOS]) if tempo is None else tempo
    amplitude = AMPLITUDES[strength or "plainly"] * math.exp(rng.gauss(0, 0.08 if strength else 0.2))
    low, high = FREQUENCIES[tempo]
    frequency = math.exp(rng.uniform(math.log(low), math.log(high)))
    if kind == "tremble":
        amplitude, frequency = amplitude * 0.4, min(frequency * 2.2, 1.8)
    if kind == "stream":
        amplitude = SPEEDS[strength or "plainly"] * PACE[tempo] * math.exp(rng.gauss(0, 0.08))
    values = {"kind": kind, "amplitude": amplitude, "frequency": frequency, "direction": direction}
    return Motion(**values), *_adverbs(rng, values, strength, tempo)


FORMS = (  # {s} subject, {b} adverb before, {v} {t} {g} verb, third person, gerund, {a} adverbs after
    *("{s} {b} {t} {a}",) * 8,
    *("{s} is {b} {g} {a}",) * 3,
    *("make {s} {b} {v} {a}", "let {s} {b} {v} {a}") * 2,
    *("{s} {b} {g} {a}", "{s} should {b} {v} {a}", "{s} starts {g} {b} {a}", "{b} {g} {a}: {s}", "with {s} {b} {g} {a}"),
)
HELD_OUT_FORMS = ("I want {s} to {b} {v} {a}", "could {s} {b} {v} {a}", "a picture in which {s} {b} {t} {a}", "{s} {t} {b} {a}")


def sentence(rng: random.Random, subject: str, verb: str, before: str, after: str, held_out: bool = False) -> str:
    """One of many ways to say that `subject` does `verb`."""
    form = rng.choice(HELD_OUT_FORMS if held_out else FORMS)
    words = form.format(s=subject, b=before, v=verb, t=clause(subject, verb).removeprefix(subject), g=gerund(verb), a=after)
    return " ".join(words.split()).replace(" :", ":")


def phrase(rng: random.Random, kind: str, subject: str, held_out: bool = False, **named) -> tuple[str, Motion]:
    """A clause in which `subject` does a motion of `kind`; `named` fixes strength, tempo or direction (`draw_motion`)."""
    verb, state = rng.choice((HELD_OUT if held_out else VERBS)[kind]), rng.getrandbits(32)
    motion, before, after = draw_motion(rng, kind, **named)
    # of its own number, so that one phrasing stays one, whatever is named
    return sentence(random.Random(state), subject, verb, before, after, held_out), motion


def _stream(rng: random.Random) -> tuple[str, Motion]:
    if rng.random() < 0.4:  # whatever the mask holds
        words, motion = phrase(rng, "stream", rng.choice(SUBJECTS))
        return words, motion
    subject, (heading, verbs) = rng.choice(list(STREAMS.items()))
    motion, before, after = draw_motion(rng, "stream")
    own = bool(verbs) and rng.random() < 0.6
    if own and heading is not None and motion.direction is not None:  # "the smoke rises to the left" says two directions
        motion, before, after = draw_motion(rng, "stream", named=False)
    if motion.direction is None:
        motion = replace(motion, direction=heading)
    return sentence(rng, subject, rng.choice(verbs if own else VERBS["stream"]), before, after), motion


def _salient(rng: random.Random) -> tuple[str, Motion]:
    if rng.random() < 0.22:
        return _stream(rng)
    kind = rng.choice(["sway"] * 2 + ["shift"] * 3 + [kind for kind in VERBS if kind not in ("sway", "shift", "stream")])
    subject = rng.choice(SUBJECTS)
    words, motion = phrase(rng, kind, subject)
    if motion.direction is None and rng.random() < 0.06:
        part = rng.choice(list(PARTS))
        words, motion = phrase(rng, kind, rng.choice(PARTS[part]).format(subject), named=False)
        return words, replace(motion, part=part)
    return words, replace(motion, kind="rock") if kind == "sway" and subject in RIGID else motion


def _background(rng: random.Random) -> tuple[str, Motion]:
    kind = rng.choice(("shift", "shift", "shift", "ripple", "zoom", "sway", "stream", "stream", "stream", "pan"))
    if kind == "stream":
        return _stream(rng)
    if kind == "zoom":
        motion, before, after = draw_motion(rng, kind)
        inwards = rng.random() < 0.5
        verb = rng.choice(("push in", "zoom in", "move closer") if inwards else ("pull out", "zoom out", "move away"))
        motion = replace(motion, direction=0 if inwards else 180)
        return sentence(rng, rng.choice(("the camera", "the view", "the background")), verb, before, after), motion
    if kind == "pan":  # what is seen goes the other way
        words, motion = phrase(rng, "shift", "the camera", named=True)
        verb = rng.choice(("pan", "track", "travel sideways"))
        after = rng.choice(DIRECTIONS[motion.direction])
        words = sentence(rng, rng.choice(("the camera", "the view")), verb, "", after)
        return words, replace(motion, direction=(motion.direction + 180) % 360)
    return phrase(rng, kind, rng.choice(BACKGROUNDS))


def draw(rng: random.Random, focus: float = 0.0) -> tuple[str, Motion, Motion]:
    """A caption with the motion of the salient layer and of the background.

    focus: share of captions that say little but where one thing goes; words decide most of such a clip.
    """
    if rng.random() < focus:
        words, motion = phrase(rng, rng.choice(("shift", "shift", "stream", "sway")), rng.choice(SUBJECTS), named=True)
        return words, motion, Motion()
    case = rng.random()
    if case < 0.05:
        return rng.choice(STILL), Motion(), Motion()
    if case < 0.11:  # one motion of the whole picture
        subject = rng.choice(("everything", "the whole picture", "all of it", "the whole scene"))
        words, motion = phrase(rng, rng.choice([kind for kind in VERBS if kind != "stream"]), subject)
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
