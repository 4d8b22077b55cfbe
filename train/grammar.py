"""The words of procedural motion: what a caption says and what it means, drawn together.

A `Motion` is what one layer does; `draw` gives a caption with the motions of both layers. `HELD_OUT` verbs never occur
in training: the evaluation speaks with them.
"""

import math
import random
from dataclasses import dataclass

KINDS = ("still", "sway", "shift", "bob", "rock", "swing", "turn", "pulse", "ripple", "tremble", "zoom")

VERBS = {
    "sway": ("sway", "wave", "bend", "lean", "blow in the wind", "flutter in the breeze", "move in the wind", "flow"),
    "shift": ("move", "drift", "slide", "glide", "shift", "float", "wander"),
    "bob": ("bob up and down", "float up and down", "hover", "rise and fall", "bounce softly", "bob on the water"),
    "rock": ("rock", "rock back and forth", "wobble", "tilt from side to side", "tip"),
    "swing": ("swing", "dangle", "swing like a pendulum", "hang and swing"),
    "turn": ("turn", "twist", "rotate back and forth", "nod", "turn back and forth"),
    "pulse": ("breathe", "pulse", "swell and shrink", "throb", "expand and contract"),
    "ripple": ("ripple", "undulate", "shimmer like water", "flap", "wave like cloth"),
    "tremble": ("tremble", "shake", "shiver", "vibrate", "quiver"),
}
HELD_OUT = {
    "sway": ("rustle", "billow"),
    "shift": ("travel", "creep"),
    "bob": ("levitate",),
    "rock": ("teeter",),
    "swing": ("oscillate like a pendulum",),
    "turn": ("swivel",),
    "pulse": ("inflate and deflate",),
    "ripple": ("surge in waves",),
    "tremble": ("jitter",),
}
SUBJECTS = (
    *("it", "the subject", "the object", "the figure", "the foreground", "this", "the thing in front"),
    *("the woman", "the man", "she", "he", "the child", "the cat", "the dog", "the bird", "the horse", "the fish"),
    *("the hair", "the dress", "the flag", "the curtain", "the scarf", "the cloth", "the leaf", "the tree", "the grass"),
    *("the flower", "the bush", "the boat", "the balloon", "the lamp", "the cup", "the car", "the statue", "the ball"),
    *("the rocket", "the house", "the cloud", "the water", "the sea", "the face", "the head", "the plant", "the toy"),
)
BACKGROUNDS = (
    *("the background", "the scene behind", "the backdrop", "everything behind it", "the sky", "the landscape"),
    *("the sea behind", "the scenery", "the rest of the picture"),
)
DIRECTIONS = {  # degrees, x right and y down
    0: ("to the right", "right", "rightwards", "towards the right"),
    180: ("to the left", "left", "leftwards", "towards the left"),
    270: ("up", "upwards", "to the top"),
    90: ("down", "downwards", "to the bottom"),
    225: ("up and to the left", "to the upper left"),
    315: ("up and to the right", "to the upper right"),
    135: ("down and to the left", "to the lower left"),
    45: ("down and to the right", "to the lower right"),
}
STRENGTHS = {  # displacement at the extreme, root mean square over the layer, in short sides
    "barely": (0.005, ("barely", "almost imperceptibly", "very slightly", "a tiny bit")),
    "gently": (0.011, ("gently", "softly", "slightly", "subtly", "lightly")),
    "plainly": (0.022, ("plainly", "clearly", "noticeably", "visibly")),
    "strongly": (0.042, ("strongly", "a lot", "powerfully", "vigorously", "forcefully")),
    "wildly": (0.065, ("wildly", "violently", "like crazy", "as in a storm")),
}
TEMPOS = {  # hertz
    "slowly": (0.22, 0.34, ("slowly", "lazily", "in slow motion", "calmly", "unhurriedly")),
    "": (0.36, 0.65, ()),
    "quickly": (0.95, 1.5, ("quickly", "fast", "rapidly", "hastily", "at high speed")),
}
PARTS = {"top": ("only the top of {}", "the upper part of {}"), "bottom": ("only the bottom of {}", "the lower part of {}")}
STILL = ("nothing moves", "a still picture", "everything stays still", "no motion at all", "it stands still")
STAYS = ("{} stays still", "{} is still", "{} does not move", "keep {} still")


@dataclass(frozen=True)
class Motion:
    """What one layer does. Amplitude 0 is stillness."""

    kind: str = "still"
    amplitude: float = 0.0  # short sides, root mean square over the layer at the extreme
    frequency: float = 0.5  # hertz
    direction: float | None = None  # degrees that the words name; None: they name none
    part: str | None = None  # "top" | "bottom" | None


def third_person(verb: str) -> str:
    first, *rest = verb.split(" ")
    if rest[:1] == ["and"]:  # "swell and shrink"
        return f"{third_person(first)} and {third_person(' '.join(rest[1:]))}"
    return " ".join([first + ("es" if first.endswith(("sh", "ch", "ss")) else "s"), *rest])


def gerund(verb: str) -> str:
    first, *rest = verb.split(" ")
    if rest[:1] == ["and"]:
        return f"{gerund(first)} and {gerund(' '.join(rest[1:]))}"
    doubled = {"bob", "tip", "nod", "flap"}
    stem = first[:-1] if first.endswith("e") else first + first[-1] if first in doubled else first
    return " ".join([stem + "ing", *rest])


def _adverbs(rng: random.Random, motion: dict, strength: str | None, tempo: str) -> tuple[str, str]:
    """What stands before the verb and after it."""
    after = [rng.choice(DIRECTIONS[motion["direction"]])] if motion["direction"] is not None else []
    words = [rng.choice(STRENGTHS[strength][1])] if strength else []
    words += [rng.choice(TEMPOS[tempo][2])] if tempo else []
    before = []
    for word in words:
        (before if " " not in word and not before and rng.random() < 0.4 else after).append(word)
    rng.shuffle(after)
    return " ".join(before), " ".join(after)


def draw_motion(rng: random.Random, kind: str, strength: str | None = None, tempo: str | None = None,
                direction: int | None = None, named: bool | None = None) -> tuple[Motion, str, str]:  # fmt: skip
    """One motion of `kind` with the adverbs that say it, (motion, before, after); None draws that property.

    `named` decides whether the words name a direction; only kinds that can go somewhere do.
    """
    choices = list(DIRECTIONS) if kind == "shift" else [0, 180] if kind in ("sway", "rock", "swing") else []
    if choices and (rng.random() < 0.6 if named is None else named):
        sides = [0, 180] * 3 + choices
        direction = rng.choice(sides) if direction is None else direction
    else:
        direction = None
    strength = rng.choice([None] * 4 + list(STRENGTHS)) if strength is None else strength
    tempo = rng.choice(["", "", "slowly", "quickly"]) if tempo is None else tempo
    amplitude = STRENGTHS[strength or "plainly"][0] * math.exp(rng.gauss(0, 0.08 if strength else 0.2))
    low, high, _ = TEMPOS[tempo]
    frequency = math.exp(rng.uniform(math.log(low), math.log(high)))
    if kind == "tremble":
        amplitude, frequency = amplitude * 0.35, frequency * 3.0
    values = {"kind": kind, "amplitude": amplitude, "frequency": min(frequency, 2.6), "direction": direction}
    return Motion(**values), *_adverbs(rng, values, strength, tempo)


def sentence(rng: random.Random, subject: str, verb: str, before: str, after: str, imperative: bool = False) -> str:
    """One of several ways to say that `subject` does `verb`; an imperative leaves the subject to the mask."""
    form = rng.random() * (1.0 if imperative else 0.9)
    if form < 0.45:
        words = (subject, before, third_person(verb), after)
    elif form < 0.65:
        words = (subject, "is", before, gerund(verb), after)
    elif form < 0.8:
        words = (rng.choice(("make", "let")), subject, before, verb, after)
    elif form < 0.9:
        words = (subject, before, gerund(verb), after)
    else:
        words = (before, verb, after)
    return " ".join(word for word in words if word)


def _salient(rng: random.Random, held_out: bool) -> tuple[Motion, str]:
    kind = rng.choice(["sway"] * 3 + ["shift"] * 3 + [kind for kind in VERBS if kind not in ("sway", "shift")])
    motion, before, after = draw_motion(rng, kind)
    subject = rng.choice(SUBJECTS)
    if rng.random() < 0.06 and motion.direction is None:
        part = rng.choice(list(PARTS))
        motion = Motion(motion.kind, motion.amplitude, motion.frequency, None, part)
        subject = rng.choice(PARTS[part]).format(subject)
    verb = rng.choice((HELD_OUT if held_out else VERBS)[kind])
    return motion, sentence(rng, subject, verb, before, after, imperative=motion.part is None)


def _background(rng: random.Random) -> tuple[Motion, str]:
    kind = rng.choice(("shift", "shift", "shift", "ripple", "zoom", "sway"))
    motion, before, after = draw_motion(rng, kind)
    if kind == "zoom":
        inwards = rng.random() < 0.5
        verb = rng.choice(("push in", "zoom in", "move closer") if inwards else ("pull out", "zoom out", "move away"))
        motion = Motion("zoom", motion.amplitude, motion.frequency, 0 if inwards else 180)
        return motion, sentence(rng, rng.choice(("the camera", "the view", "the background")), verb, before, after)
    return motion, sentence(rng, rng.choice(BACKGROUNDS), rng.choice(VERBS[kind]), before, after)


def draw(rng: random.Random, held_out: bool = False) -> tuple[str, Motion, Motion]:
    """A caption with the motion of the salient layer and of the background."""
    case = rng.random()
    if case < 0.05:
        return rng.choice(STILL), Motion(), Motion()
    if case < 0.11:  # one motion of the whole picture
        kind = rng.choice(list(VERBS))
        motion, before, after = draw_motion(rng, kind)
        subject = rng.choice(("everything", "the whole picture", "all of it", "the whole scene"))
        return sentence(rng, subject, rng.choice(VERBS[kind]), before, after), motion, motion
    salient, background = Motion(), Motion()
    clauses = []
    if case < 0.72 or case >= 0.87:
        salient, words = _salient(rng, held_out)
        clauses.append(words)
    if case >= 0.72:
        background, words = _background(rng)
        clauses.append(words)
    elif rng.random() < 0.2:
        clauses.append(rng.choice(STAYS).format(rng.choice(BACKGROUNDS)))
    if 0.72 <= case < 0.87 and rng.random() < 0.3:
        clauses.append(rng.choice(STAYS).format(rng.choice(SUBJECTS)))
    if rng.random() < 0.3:
        clauses.reverse()
    caption = rng.choice((", ", ", ", " and ", " while ", "; ")).join(clauses)
    return caption + rng.choice(("", "", ".")), salient, background
