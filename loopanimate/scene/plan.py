"""From what a sentence says and what a picture shows to the parts that move, and a sentence on every clause."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loopanimate.effects.build import Placed
from loopanimate.motion.camera import MIDDLE, Camera
from loopanimate.options import IF_NOT_THERE, IF_WRONG, SHOW_IT
from loopanimate.scene.bends import is_profile, shows_shoulders
from loopanimate.scene.depth import read_camera
from loopanimate.scene.effects import ON_THINGS, forms_in_the_air, is_aurora, place_effect, spared_by
from loopanimate.scene.expressions import AMOUNTS, PACES, Act, can_move_eyes, outline, parts_of
from loopanimate.scene.faces import FacePoints
from loopanimate.scene.finder import SIDES, Finder, Region, name_of
from loopanimate.scene.parts import MAX_PARTS, Part, Scene, is_part, stack
from loopanimate.scene.places import is_plural, place_of
from loopanimate.scene.wheels import find_wheels, is_of_wheel, rounds_of, say_why_none, take_apart
from loopanimate.words.clauses import Clause, read_names
from loopanimate.words.intent import form_intents
from loopanimate.words.kinds import FACE_KINDS, KINDS
from loopanimate.words.lexicon import forms, nouns, singular, words_of
from loopanimate.words.parse import clauses as parse
from loopanimate.words.vocabulary import DIRECTIONS, STRENGTHS, TEMPOS

SAME = 0.8  # intersection over union from which two regions are one thing
LEAST = 0.0004  # share of the picture that a region has at least
LEFT = 0.2  # share of what moves that is left beside what rests, at least: otherwise they are one thing
MANY = ("everything", "everyone", "everybody", "all", "they", "people")  # things that are all faces of a picture
FEATURES = ("person", "head", "face", "eye", "brow", "body")  # classes of a person and what a face has
NO_EYES = "no open eyes are seen, they are closed, hidden or too small"
UNNAMED = ("it", "everything", "background", "top", "bottom", "part", "half")


@dataclass(frozen=True)
class Outcome:
    """What became of a clause."""

    clause: Clause
    region: Region | None
    said: str  # a sentence for the person
    moves: bool = False
    effect: Placed | None = None
    camera: Camera | None = None
    acts: tuple[tuple[int, Act], ...] = ()  # numbers of faces, the largest first, and what each does

    @property
    def name(self) -> str:
        """What a mask for its thing is called; none where nothing could be painted."""
        everywhere = (
            self.effect is not None and self.effect.place is None and not self.said.endswith((SHOW_IT, IF_NOT_THERE, IF_WRONG))
        )
        return "" if self.clause.thing == "camera" or everywhere or self.said.endswith("not drawn.") else _name(self.clause)


def names_things(said: Sequence[Clause]) -> bool:
    """Whether clauses are about more than the one object and what lies behind it, which the network samples together."""
    return any(clause.thing not in UNNAMED or clause.kind in ("effect", *FACE_KINDS) for clause in _asked(said))


def rest_alone(said: Sequence[Clause]) -> bool:
    """Whether words say what rests, and nothing that moves."""
    return bool(_asked(said)) and all(clause.kind == "rest" for clause in _asked(said))


def painted(said: Sequence[Clause], mask: np.ndarray | None, given: Sequence[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Masks by the names of what they are of: each of the words that it came with, the one without of what moves first.

    Raises: ValueError for words that name nothing that clauses say something of.
    """
    masks: dict[str, np.ndarray] = {}
    for words, own in given:
        found = find_names(words, said)
        if not found:
            things = ", ".join(dict.fromkeys(clause.thing for clause in _asked(said) if clause.thing != "camera"))
            raise ValueError(
                f'expected a mask of something that the sentence moves or rests ({things or "nothing"}), got "{words}"'
            )
        for name in found:
            masks[name] = np.maximum(masks[name], own) if name in masks else own
    free = [clause for clause in _asked(said) if clause.thing != "camera" and _name(clause) not in masks]
    ranks = [(clause.kind == "rest", clause.kind == "effect", place_of(clause.thing).behind) for clause in free]
    first = free[ranks.index(min(ranks))] if free else None
    if first is None and any(clause.thing == "camera" for clause in _asked(said)):
        return masks if mask is None else {"camera": mask, **masks}  # what stands before the rest
    return masks if mask is None or first is None else {_name(first): mask, **masks}


def names(said: Sequence[Clause]) -> set[str]:
    """What clauses say something of: names that masks may have."""
    return {name for clause in _asked(said) for name in (_name(clause), clause.thing)}


def find_names(words: str, said: Sequence[Clause]) -> set[str]:
    """The names, as `painted` has them, of all that words name and clauses say something of; empty where one is missing."""
    asked = [clause for clause in _asked(said) if clause.thing != "camera"]
    found = [_find_name(thing, which, asked) for thing, which in read_names(words)]
    return set().union(*found) if all(found) else set()


def _find_name(thing: str, which: Sequence[str], asked: Sequence[Clause]) -> set[str]:
    single, chosen = singular(thing), name_of(thing, which) != thing
    kind = nouns().get(single, ("",))[0] if thing != "person" else thing

    def is_class(clause: Clause) -> bool:
        """Whether one is the class of the other: "she" of "the woman", "boat" of "ship"."""
        own = clause.thing if clause.thing == "person" else nouns().get(clause.thing, ("",))[0]
        return own == kind != "" and kind in (single, singular(clause.thing))

    tests = (  # the nearest first, and whether several things may pass
        (lambda clause: name_of(singular(clause.thing), clause.which) == name_of(single, which), True),
        (lambda clause: singular(clause.thing) == single, not chosen),
        (is_class, False),
        (lambda clause: single in forms() and single in map(singular, clause.text.split()), False),  # "ripples on the lake"
    )
    for test, several in tests:
        found = {_name(clause) for clause in asked if test(clause)}
        if found and (several or len(found) == 1):
            return found
    # "the water", of "the sun glitters on the water"
    places = [word for each in asked for word in (each.which if each.effect in ON_THINGS else spared_by(each))]
    return {word for word in places if singular(word) == single}


def clauses_of_masks(said: Sequence[Clause], given: Sequence[tuple[str, Sequence[Clause]]]) -> list[Clause]:
    """Clauses of a sentence, and those of words of masks that name nothing of it: "the sea ripples"."""
    said = list(said)
    for words, clauses in given:
        if not find_names(words, said):
            said += [clause for clause in _asked(clauses) if clause.full and clause.thing != "camera"]
    return said


def _asked(said: Sequence[Clause]) -> list[Clause]:
    return [clause for clause in said if clause.kind is not None]


def _name(clause: Clause) -> str:
    return name_of(clause.thing, clause.which)


def plan(said: Sequence[Clause], finder: Finder) -> tuple[Scene | None, list[Outcome]]:
    """Find what clauses name and give each its motion; the scene is None where nothing is found to move."""
    outcomes: list[Outcome] = []
    answered = [clause for clause in said if clause.kind is not None or clause.acts and clause.full]
    for clause in {replace(clause, text="", full=True): clause for clause in answered}.values():  # each once
        guessed = {each.clause.thing for each in outcomes if each.region and each.region.guessed}
        outcomes.append(_judge(clause, finder, guessed))
    outcomes = [_tell_apart(each, outcomes) for each in outcomes]
    resting = [each.region.mask for each in outcomes if each.clause.kind == "rest" and _is_place(each)]
    moving: list[tuple[Outcome, list[Clause]]] = []
    for outcome in outcomes:
        if not outcome.moves:
            continue
        for region in take_apart(outcome.clause, outcome.region):
            same = next((group for other, group in moving if _overlap(other.region.mask, region.mask) > SAME), None)
            if same is not None:
                same.append(outcome.clause)
            else:
                moving.append((replace(outcome, region=region), [outcome.clause]))
    moving.sort(key=lambda item: -float(item[0].region.mask.mean()))
    for _, group in moving[MAX_PARTS:]:
        outcomes = _leave(outcomes, group, _many)
    parts = []
    for outcome, group in moving[:MAX_PARTS]:
        part = _part(outcome, group, resting)
        if part.mask.mean() > LEAST and part.mask.sum() > LEFT * outcome.region.mask.sum():
            parts.append(part)
        else:
            outcomes = _leave(outcomes, group, lambda each: f"{each.name}: too little of it is left to move.")
    return (stack(_in_depth(parts)) if parts else None), outcomes


def _leave(outcomes: Sequence[Outcome], group: Sequence[Clause], say: Callable[[Outcome], str]) -> list[Outcome]:
    """The outcomes, of which the clauses of a group come to nothing, and what is said of that."""
    return [replace(each, moves=False, said=say(each)) if each.clause in group else each for each in outcomes]


def _tell_apart(outcome: Outcome, others: Sequence[Outcome]) -> Outcome:
    """What is to rest, unless nearly nothing would be left of what moves: "the big flower sways, the small one stays still"."""
    if outcome.clause.kind != "rest" or not _is_place(outcome) or outcome.region.how == "painted":
        return outcome
    still, name = outcome.region.mask, _name(outcome.clause)
    for other in others:
        mask = other.region.mask if other.moves and _name(other.clause) != name else None
        if mask is not None and not is_part(mask, still) and (mask * (1 - still)).sum() < LEFT * mask.sum():
            return replace(outcome, region=None, said=f"{name}: not told apart from {_name(other.clause)}. {SHOW_IT}")
    return outcome


def _is_place(outcome: Outcome) -> bool:
    return (
        outcome.region is not None
        and not outcome.region.guessed
        and outcome.clause.thing not in ("everything", "background", "camera", "it")
    )


def _judge(clause: Clause, finder: Finder, guessed: set[str]) -> Outcome:
    """guessed: things that the salient object was taken for already; it is not two of them."""
    name = _name(clause)
    if clause.kind is None:
        return Outcome(clause, None, f'"{clause.text}" is understood, but not drawn.')
    if clause.thing == "camera":
        if clause.kind == "rest":
            return Outcome(clause, None, "The camera stands still.")
        camera = replace(read_camera(clause), centre=_aim(clause, finder))
        return Outcome(clause, None, camera.said, camera=camera)
    if clause.kind == "effect":
        return _light(clause, finder)
    if clause.kind in FACE_KINDS:
        acting = _act(clause, finder)
        instead = FACE_KINDS[clause.kind].instead
        if acting.region is not None or not instead:
            return acting
        clause = replace(clause, kind=instead)
    region = finder.find(clause.thing, clause.which)
    if region and region.guessed and guessed - {clause.thing}:
        region = None
    guess = f" {IF_NOT_THERE}" if region and region.unsure else ""
    if clause.kind == "rest":
        still = f"{name}: kept still.{guess}" if region else f"{name}: not found, so it stays still with all else."
        return Outcome(clause, region, still)
    if (region is None or region.unsure) and forms_in_the_air(clause):
        return _light(clause, finder)
    if region is None:
        return Outcome(clause, None, f"{name}: not found. {SHOW_IT}")
    instead = KINDS[clause.kind].if_rigid if place_of(clause.thing).rigid else None
    clause = _lie_down(replace(clause, kind=instead or clause.kind))
    if is_aurora(clause):  # it shifts its colours while it moves
        placed, _, said = place_effect(clause, finder)
        return Outcome(clause, region, said, moves=True, effect=placed)
    wheels = find_wheels(clause, region, finder.picture)
    spins = wheels is not None and any(rounds_of(clause, each) for each in take_apart(clause, wheels))
    if not spins and is_of_wheel(clause):  # a mill that tips to and fro is no mill that turns
        return Outcome(clause, None, f"{name}: {say_why_none(clause, region)}")
    region = wheels or region
    turning = clause.toward if spins and clause.toward.endswith("clockwise") else ""
    missing = f' ("{clause.toward}" is not drawn yet)' if clause.toward != turning else ""
    words = sentence_of([clause], *(("they", "plural") if is_plural(clause.thing) else ()))
    if spins:
        words = f"{words} round and round {turning}".rstrip()
    return Outcome(clause, region, f"{name}: {words}{missing}.{guess}", moves=True)


def _lie_down(clause: Clause) -> Clause:
    """What lies flat comes down the picture as it comes towards the viewer, and the sky, which is overhead, goes up."""
    place = place_of(clause.thing)
    if not place.behind or clause.toward not in ("towards", "away") or KINDS[clause.kind].directed == "none":
        return clause
    down = (clause.toward == "towards") != ("sky" in place.regions)
    return replace(clause, toward="", heading=(90.0 if down else 270.0) if clause.heading is None else clause.heading)


def _aim(clause: Clause, finder: Finder) -> tuple[float, float]:
    """What a camera moves in on, "on the face": its middle in fractions of the picture; the picture's where nothing is named."""
    for region in (finder.find(word, clause.which) for word in clause.which if word in nouns() and place_of(word).regions):
        if region and not region.guessed:
            y, x = np.nonzero(region.mask > 0.5)
            if len(x):
                return tuple(float((part.mean() + 0.5) / side) for part, side in zip((x, y), finder.picture.size))
    return MIDDLE, MIDDLE


def _light(clause: Clause, finder: Finder) -> Outcome:
    """Light or weather; fire that is found also streams upwards."""
    effect, region, said = place_effect(clause, finder)
    if effect is not None and region is not None and effect.effect.look == "fire":
        clause = replace(clause, kind="stream", heading=270.0 if clause.heading is None else clause.heading)
        return Outcome(clause, region, said, moves=True, effect=effect)
    return Outcome(clause, region, said, effect=effect)


def _act(clause: Clause, finder: Finder) -> Outcome:
    """What a face does within itself."""
    kind, name = FACE_KINDS[clause.kind], _name(clause)
    numbers = _choose_faces(clause, finder)
    if not numbers:
        where = "" if finder.faces else " in the picture"
        return Outcome(clause, None, f"{name}: no face was found{where}, so that it {kind.said} is not drawn.")
    mask = np.maximum.reduce([outline(finder.faces[number], finder.picture.size) for number in numbers])
    region = Region(mask, "named", 1.0)
    faces, pixels = finder.faces, np.asarray(finder.picture)
    needs = (
        (kind.eyes, lambda number: any(can_move_eyes(faces[number], pixels)), NO_EYES),
        (kind.shoulders, lambda number: shows_shoulders(faces[number], finder.picture.size), "no shoulders are seen"),
        (kind.front, lambda number: not is_profile(faces[number]), "it is seen from the side"),
    )
    if clause.kind == "live":  # what of it the faces can do
        eyes, shoulders = (any(map(able, numbers)) for _, able, _ in needs[:2])
        parts = [part for part, able in (("blinks", eyes), ("breathes", shoulders), ("looks about a little", eyes)) if able]
        if not parts:
            return Outcome(clause, region, f"face: {NO_EYES}, and no shoulders, so that it {kind.said} is not drawn.")
        kind = replace(kind, said=" and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts))
    for needed, able, said in needs:
        numbers = [number for number in numbers if not needed or able(number)]
        if not numbers:
            return Outcome(clause, region, f"face: {said}, so that it {kind.said} is not drawn.")
    if clause.kind == "tilt-head" and clause.heading in (90.0, 270.0):
        clause = replace(clause, heading=None)  # it tilts to a side
    way = f" {DIRECTIONS[int(clause.heading)][0]}" if kind.directed and clause.heading is not None else ""
    way = way or (" to either side" if clause.kind in ("gaze", "turn-head") else "")
    single = clause.which if nouns().get(clause.thing, ("",))[0] in ("eye", "brow") else ()
    side = next((place for place, word in enumerate(("left", "right")) if word in single), None)
    act = Act(clause.kind, clause.heading, side, AMOUNTS[clause.strength], PACES[clause.tempo])
    who = "face: it" if len(numbers) == 1 else f"{len(numbers)} faces: each"
    acts = [(number, part) for number in numbers for part in parts_of(act)]
    if clause.kind == "live":
        (_, has_eyes, _), (_, has_shoulders, _), _ = needs
        acts = [(number, part) for number, part in acts if (has_shoulders if part.kind == "breathe" else has_eyes)(number)]
    return Outcome(clause, region, f"{who} {kind.said}{way}.", acts=tuple(acts))


def _choose_faces(clause: Clause, finder: Finder) -> list[int]:
    """Numbers of the faces that a clause is about: those in its thing, of these the one that words pick out, or the largest."""
    numbers = [*range(len(finder.faces))]
    if not numbers:
        return []
    kind = "person" if clause.thing == "person" else nouns().get(clause.thing, ("object",))[0]
    region = finder.find(clause.thing) if place_of(clause.thing).regions or clause.thing in finder.given else None
    if region is not None and not region.guessed and clause.thing not in ("it", *words_of("pictures")):
        inside = [number for number in numbers if stands_in(finder.faces[number], region.mask)]
        if not inside and (kind not in FEATURES or region.how == "painted"):
            return []
        numbers = inside or numbers
    elif kind in ("animal", "bird", "fish"):
        return []
    rank = next((rank for words, rank in SIDES.items() for word in clause.which if word in words), None)
    if rank is not None and kind != "eye":
        sizes = np.array(finder.picture.size)
        boxes = [finder.faces[number].box.reshape(2, 2) / sizes for number in numbers]
        ranks = [rank(float(np.prod(high - low)), *((low + high) / 2)) for low, high in boxes]
        return [numbers[int(np.argmax(ranks))]]
    return numbers if clause.thing in MANY or kind in ("person", "head", "face") and is_plural(clause.thing) else numbers[:1]


def stands_in(face: FacePoints, mask: np.ndarray) -> bool:
    """Whether a thing of a mask (H, W) has a face."""
    low, high = face.box.reshape(2, 2)
    x, y = (int(np.clip(middle, 0, side - 1)) for middle, side in zip((low + high) / 2, mask.shape[::-1]))
    return bool(mask[y, x] > 0.3)


def _many(outcome: Outcome) -> str:
    return f'"{outcome.clause.text}" is one thing more than the {MAX_PARTS} that can move.'


def sentence_of(group: Sequence[Clause], subject: str = "it", form: str = "third") -> str:
    """What the network is asked for, in words that it was trained on: "it sways to the left gently"; form: of its verbs."""
    kinds = [KINDS[clause.kind] for clause in group]
    said = [[getattr(kind.verbs[0], form), *_adverbs(each, kind.directed != "none")] for kind, each in zip(kinds, group)]
    return f"{subject} {' and '.join(dict.fromkeys(map(' '.join, said)))}"


def _adverbs(clause: Clause, directed: bool = True) -> list[str]:
    way = [DIRECTIONS[int(clause.heading)][0]] if directed and clause.heading is not None else []
    return way + [table[name][0] for table, name in ((STRENGTHS, clause.strength), (TEMPOS, clause.tempo)) if name]


def _part(outcome: Outcome, group: Sequence[Clause], resting: Sequence[np.ndarray]) -> Part:
    place, sentence = place_of(outcome.clause.thing), sentence_of(group)
    mask = outcome.region.mask
    for still in resting:
        if not is_part(mask, still):  # "her hair blows, she stands still"
            mask = mask * (1 - still)
    kinds = [KINDS[clause.kind] for clause in group]
    intent = form_intents(parse(sentence), place.rigid and not any(kind.soft for kind in kinds))[0]
    # the base of a meadow is all over it; a chest swells above feet that stand
    hold = (intent.hold or place.stands and intent.in_place) and not place.behind
    hangs = place.hangs and hold and not intent.waving
    rounds = next(filter(None, (rounds_of(clause, outcome.region) for clause in group)), 0.0)
    intent = replace(intent, hold=hold, rounds=rounds, returns=not any(kind.flows for kind in kinds), hangs=hangs)
    behind = place.behind or outcome.clause.thing in ("background", "everything")
    rooted = place.rooted and not any(kind.flows for kind in kinds)
    return Part(sentence, intent, mask, behind, rooted, _recedes(outcome.clause.thing))


def _recedes(thing: str) -> str:
    """Where the far end is of what lies flat or overhead; what rises or falls has none."""
    place = place_of(thing)
    if not place.behind or {"smoke", "waterfall"} & set(place.regions[:1]):
        return ""
    return "down" if "sky" in place.regions else "up"


def _in_depth(parts: Sequence[Part]) -> list[Part]:
    """Small things stand before large ones; of what lies behind, what is lower in the picture is nearer."""

    def depth(part: Part) -> float:
        rows = np.arange(len(part.mask)) / len(part.mask)
        return -float(np.average(rows, weights=part.mask.sum(1))) if part.behind else float(part.mask.mean())

    return sorted(parts, key=depth)


def _overlap(some: np.ndarray, other: np.ndarray) -> float:
    return float(np.minimum(some, other).sum() / max(np.maximum(some, other).sum(), 1e-6))
