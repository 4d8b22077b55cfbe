"""The words that the bundled motion model was taught, and what it takes other words for."""

import re
from functools import cache, lru_cache

import torch

VERBS = {
    "sway": ("sway", "wave", "bend", "lean", "blow in the wind", "move in the breeze", "stir in the wind"),
    "shift": ("move", "drift", "slide", "glide", "shift", "float", "wander"),
    "bob": ("bob up and down", "float up and down", "hover", "rise and fall", "bob on the water"),
    "bounce": ("bounce", "hop", "jump", "bounce on the ground", "jump up and down"),
    "rock": ("rock", "rock back and forth", "wobble", "tilt from side to side", "tip", "nod"),
    "swing": ("swing", "dangle", "swing like a pendulum", "hang and swing"),
    "turn": ("turn", "twist", "rotate back and forth", "spin back and forth", "turn back and forth"),
    "pulse": ("breathe", "pulse", "swell and shrink", "throb", "expand and contract"),
    "ripple": ("ripple", "undulate", "shimmer like water", "wobble like jelly", "make waves"),
    "flutter": ("flutter", "flap", "wave like a flag", "flutter like cloth", "flap in the wind"),
    "tremble": ("tremble", "shake", "shiver", "vibrate", "quiver"),
    "stream": ("flow", "stream", "run", "pour", "flow on and on", "flow for ever"),
}
STREAMS = {  # what flows on for ever: where to if nothing is said (degrees; None: anywhere), and verbs of its own
    "the water": (None, ()),
    "the river": (None, ("rush by",)),
    "the stream": (None, ("rush by",)),
    "the sea": (None, ("roll in",)),
    "the waterfall": (90, ("fall", "cascade", "plunge")),
    "the clouds": (None, ("drift by", "pass by", "move across the sky")),
    "the fog": (None, ("roll in", "drift by")),
    "the smoke": (270, ("rise", "curl upwards", "billow up")),
    "the steam": (270, ("rise", "billow up")),
    "the fire": (270, ("burn", "blaze", "flicker")),
    "the flames": (270, ("burn", "blaze", "lick upwards")),
    "the sand": (None, ("blow by", "trickle")),
    "the snow": (90, ("fall", "come down")),
    "the rain": (90, ("fall", "come down")),
    "the lava": (90, ("ooze",)),
}
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
STRENGTHS = {
    "barely": ("barely", "almost imperceptibly", "very slightly", "a tiny bit"),
    "gently": ("gently", "softly", "slightly", "subtly", "lightly"),
    "plainly": ("plainly", "clearly", "noticeably", "visibly"),
    "strongly": ("strongly", "a lot", "powerfully", "vigorously", "forcefully"),
    "wildly": ("wildly", "violently", "like crazy", "as in a storm"),
}
TEMPOS = {
    "slowly": ("slowly", "lazily", "in slow motion", "calmly", "unhurriedly"),
    "quickly": ("quickly", "fast", "rapidly", "hastily", "at high speed"),
}
STILL = ("nothing moves", "a still picture", "everything stays still", "no motion at all", "it stands still")
PLURAL = ("the clouds", "the flames")
CAMERA = ("pan", "track", "travel sideways", "push in", "zoom in", "move closer", "pull out", "zoom out", "move away")


def third_person(verb: str) -> str:
    first, *rest = verb.split(" ")
    if rest[:1] == ["and"]:  # "swell and shrink"
        return f"{third_person(first)} and {third_person(' '.join(rest[1:]))}"
    return " ".join([first + ("es" if first.endswith(("sh", "ch", "ss", "o")) else "s"), *rest])


def clause(subject: str, verb: str) -> str:
    """The subject does it, one or many of them."""
    return f"{subject} {verb if subject in PLURAL else third_person(verb)}"


def gerund(verb: str) -> str:
    first, *rest = verb.split(" ")
    if rest[:1] == ["and"]:
        return f"{gerund(first)} and {gerund(' '.join(rest[1:]))}"
    doubled = {"bob", "tip", "nod", "flap", "hop", "spin", "run", "stir", "pan"}
    stem = first[:-1] if first.endswith("e") else first + first[-1] if first in doubled else first
    return " ".join([stem + "ing", *rest])


@cache
def _spoken() -> re.Pattern:
    """Any form of any motion word that the model knows."""
    verbs = [verb for known in VERBS.values() for verb in known] + [verb for _, own in STREAMS.values() for verb in own]
    forms = {form(verb) for verb in (*verbs, *CAMERA) for form in (str, third_person, gerund)} | set(STILL)
    forms |= {"still", "does not move", "stays"}
    return re.compile(r"\b(" + "|".join(sorted(map(re.escape, forms), key=len, reverse=True)) + r")\b", re.IGNORECASE)


def _adverbs(prompt: str) -> list[str]:
    """The direction, strength and tempo that a prompt names, in its own words."""
    tables = ([word for words in DIRECTIONS.values() for word in words], *STRENGTHS.values(), *TEMPOS.values())
    found = []
    for words in tables:
        match = re.search(r"\b(" + "|".join(sorted(words, key=len, reverse=True)) + r")\b", prompt, re.IGNORECASE)
        found += [match.group(0)] if match else []
    return found


def _sentence_embedding(pipe, sentences: list[str]) -> torch.Tensor:
    """Unit vectors (B, width): the mean of the token states, as all-MiniLM is meant to be read."""
    from loopanimate.encoders import encode_text

    states = encode_text(pipe.tokenizer, pipe.text_encoder, sentences).float()  # padding is zero
    return torch.nn.functional.normalize(states.sum(1), dim=-1)


@lru_cache(maxsize=1)
def _known(pipe) -> tuple[list[str], torch.Tensor]:
    phrases = [clause("it", verb) for verbs in VERBS.values() for verb in verbs]
    phrases += [clause(subject, verb) for subject, (_, own) in STREAMS.items() for verb in (*own, "flow")]
    return phrases, _sentence_embedding(pipe, phrases)


def interpret(prompt: str, pipe) -> tuple[str, str | None]:
    """What the motion model is asked for a prompt, and a sentence about it where that is not the prompt itself.

    A prompt that holds no motion word of its vocabulary is taken for the known phrase nearest in meaning, by the bundled
    sentence encoder (`pipe`'s), with the prompt's own direction, strength and tempo.
    """
    if _spoken().search(prompt):
        return prompt, None
    phrases, embeddings = _known(pipe)
    nearest = phrases[int((embeddings @ _sentence_embedding(pipe, [prompt])[0]).argmax())]
    taken = " ".join([nearest, *_adverbs(prompt)])
    return taken, f'Taken for "{taken}", the nearest motion that the model knows.'
