"""The kinds of motion: one row each, for whatever reads, samples, edits, teaches or measures motion.

A new kind is a row of KINDS, its verbs in `words.tsv` and the motion that `train/synthetic.py` makes of it. What only a face
does is a row of FACE_KINDS, its verbs in `verbs.tsv`, `manners.tsv` and `faces.tsv`.
"""

from dataclasses import dataclass

from loopanimate.words.vocabulary import ALIKE, VERBS, Verb


@dataclass(frozen=True)
class Kind:
    """What one kind of motion is, apart from its size, its direction and what it is of."""

    name: str
    shape: str = "wave"  # over time: "still", "wave" (there and back), "hops" (up from the ground and down), "stream" (ever on)
    directed: str = "none"  # where words can send it: "any" way, to a "side", or "none"
    heading: float | None = None  # degrees, x right and y down, that it takes whatever words say
    level: bool = False  # everything of the thing moves alike
    hinge: tuple[float, float] | None = None  # it turns about a point between these shares of the thing's height from the top
    fixed: str | None = None  # where the thing is held: at its "base", or at its "side" as a flag is
    in_place: bool = False  # the thing as a whole neither shifts nor turns
    soft: bool = False  # it bends even things that are rigid by nature
    if_rigid: str | None = None  # the kind that a rigid thing does instead
    vague: bool = False  # its verbs have many other meanings: go, head, sail, wave
    size: float = 1.0  # factor on the amplitude that words ask for
    rate: float = 1.0  # factor on the frequency that words ask for

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """What captions of the training call it; empty for what only the camera or nothing does."""
        return VERBS.get(self.name, ())

    @property
    def alike(self) -> tuple[Verb, ...]:
        """Further verbs that mean it, which the network was never trained on."""
        return ALIKE.get(self.name, ())

    @property
    def flows(self) -> bool:
        """Whether it may be a stream, which never comes back."""
        return self.shape == "stream"

    @property
    def rigid(self) -> bool:
        """Whether nothing needs to bend for it."""
        return self.level or self.hinge is not None

    @property
    def pivot(self) -> float | None:
        """Share of the thing's height from the top at which the middle of its hinge is: 1 for the base, 0 for the top."""
        return None if self.hinge is None else sum(self.hinge) / 2

    @property
    def whole(self) -> bool:
        """Whether every part of the thing takes part, as none is held, a pivot, the middle or a stream's rim."""
        return self.shape != "still" and not (self.flows or self.hinge or self.fixed or self.in_place)


# The order is that of the numbers in trained weights and in reader.safetensors: append, never sort.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("still", "still"),
        Kind("sway", directed="side", fixed="base", if_rigid="rock", vague=True),
        Kind("shift", directed="any", level=True, vague=True),
        Kind("bob", level=True),
        Kind("bounce", "hops", heading=270, level=True),
        Kind("rock", directed="side", hinge=(0.9, 1.1)),
        Kind("swing", directed="side", hinge=(-0.1, 0.1)),
        Kind("turn", hinge=(0.2, 0.8)),
        Kind("pulse", in_place=True, soft=True),
        Kind("ripple", soft=True),
        Kind("flutter", fixed="side", soft=True),
        Kind("tremble", level=True, size=0.4, rate=2.2),
        Kind("zoom", in_place=True),
        Kind("stream", "stream", directed="any", soft=True),
    )
}


@dataclass(frozen=True)
class FaceKind:
    """What a face does within itself; the network samples none of it (`scene/expressions.py` makes it)."""

    name: str
    said: str  # "face: it ..."
    eyes: bool = False  # open eyes that can be seen are needed for it
    front: bool = False  # the face is not seen from the side, where a turn would show what the picture has not
    shoulders: bool = False  # these can be seen
    directed: bool = False  # words can send it a way
    outline: bool = False  # it takes along what stands out before the background
    instead: str = ""  # the kind of motion that it is of what has no face


FACE_KINDS = {
    kind.name: kind
    for kind in (
        FaceKind("blink", "blinks", eyes=True),
        FaceKind("wink", "winks", eyes=True),
        FaceKind("close", "closes its eyes for a while", eyes=True),
        FaceKind("gaze", "looks", eyes=True, directed=True),
        FaceKind("smile", "smiles"),
        FaceKind("raise-brows", "raises its brows"),
        FaceKind("frown", "frowns"),
        FaceKind("turn-head", "turns its head", front=True, directed=True, instead="turn"),
        FaceKind("nod", "nods", instead="rock"),
        FaceKind("tilt-head", "tilts its head", directed=True, outline=True, instead="rock"),
        FaceKind("shake-head", "shakes its head", front=True, instead="tremble"),
        FaceKind("breathe", "breathes", shoulders=True, outline=True, instead="pulse"),
        FaceKind("live", "blinks, breathes and looks about a little", outline=True, instead="sway"),
    )
}
SPOKEN = tuple(name for name, kind in KINDS.items() if kind.verbs)  # what words can ask of a thing
