"""What a sentence and masks make of a picture: what moves and how, light and weather, and a note on each clause."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from loopanimate.effects.build import Placed, shrink_place
from loopanimate.files.pictures import check_mask, mask_size
from loopanimate.motion.camera import Shot
from loopanimate.scene.depth import find_standing, set_up
from loopanimate.scene.effects import find_front, passes_behind
from loopanimate.scene.expressions import Act, Actor, can_move_eyes
from loopanimate.scene.faces import FacePoints
from loopanimate.scene.finder import Finder, Models
from loopanimate.scene.parts import MAX_LAYERS, Part, Scene, single, stand
from loopanimate.scene.plan import Outcome, clauses_of_masks, names_things, painted, plan, rest_alone, stands_in
from loopanimate.scene.saliency import automatic_mask, edit
from loopanimate.settings import Settings
from loopanimate.words.clauses import Clause, is_english, read_clauses
from loopanimate.words.kinds import FACE_KINDS

NOTE_SIDE = 320  # pixels on the long side of the place of a thing in a note


@dataclass(frozen=True)
class Note:
    """What became of a clause."""

    said: str  # a sentence
    place: np.ndarray | None = None  # where its thing is, (h, w) uint8, small
    thing: str = ""  # what a mask for it is called; empty where it needs none
    unsure: bool = False  # somebody should look at its place
    drawn: bool = False  # it is of light or weather, which hands may turn off
    clause: str = ""  # the words that it is of
    acts: bool = False  # it is of what a face does


@dataclass(frozen=True)
class Air:
    """Light and weather that the prompt says, and what they pass behind."""

    effects: tuple[Placed, ...] = ()
    front: np.ndarray | None = None  # (h, w) uint8 of the whole picture, small


class Staged(NamedTuple):
    """What a sentence and masks make of a picture."""

    scene: Scene | None  # None where light and weather play before a picture that rests; no parts where only a camera moves
    notes: tuple[Note, ...]
    found: bool  # whether there is a clear thing
    air: Air
    shot: Shot | None = None  # cameras that move, and how near the layers are
    actors: tuple[Actor, ...] = ()  # faces that do something
    subject: np.ndarray | None = None  # (h, w) uint8, small: what stands out most, where nobody painted what moves


def stage(pipe, picture, mask, given, settings, models) -> Staged:
    """Find what the words name in a picture, and say what became of them."""
    given = [(words, check_mask(_fit(picture, own))) for words, own in given]
    mask = None if mask is None else _fit(picture, mask)
    picture = shrink_to_masks(picture)
    said, *more = _read(pipe, [settings.request.prompt, *(words for words, _ in given)])
    said = clauses_of_masks(said, [(words, clauses) for (words, _), clauses in zip(given, more)])
    rests = rest_alone(said)
    if not (given or rests or names_things(said)):
        from loopanimate.words.read import read  # with torch, which takes seconds to import

        mask, found = find_mask(picture, settings, mask, models)
        reading = read(settings.request.prompt, pipe)
        notes = (Note(reading.note),) if reading.note else ()
        air = Air(front=find_front(Finder(picture, models=models), [mask])) if found and settings.hands.added_effects else Air()
        return Staged(single(Part(reading.sentence, reading.layers[0], mask), reading.layers[1]), notes, found, air)
    masks = painted(said, mask, given)
    if mask is not None:
        check_mask(_edit(settings, mask))
    finder = Finder(picture, masks, partial(_edit, settings), models)
    scene, outcomes = plan(said, finder)
    drawn = [outcome.effect for outcome in outcomes if outcome.effect is not None]
    # A look that is said twice for one place is drawn once; the last clause decides how.
    effects = tuple({(each.effect.look, each.place is not None and each.place.tobytes()): each for each in drawn}.values())
    cameras = [outcome.camera for outcome in outcomes if outcome.camera is not None]
    actors = _cast(outcomes, finder)
    if scene is None and not (effects or rests or cameras or actors):
        words = " ".join(outcome.said for outcome in outcomes)
        raise ValueError(f"expected something in the picture that can move: {words}")
    front = None
    if settings.hands.added_effects or any(passes_behind(each.effect) for each in effects):
        front = find_front(finder, [part.mask for part in scene.parts if not part.behind] if scene else [])
    scene = set_apart(scene, finder, actors)
    notes = [*map(note_of, outcomes), *([Note("So nothing moves.")] if rests else [])]
    scene, shot = set_up(scene, finder, cameras) if scene or cameras else (None, None)
    subject = shrink_place(finder.salient[0]) if mask is None and finder.salient[1] else None
    return Staged(scene, tuple(notes), True, Air(effects, front), shot, actors, subject)


def _cast(outcomes: Sequence[Outcome], finder: Finder) -> tuple[Actor, ...]:
    """The faces that do something, each once, with all that it does."""
    acts: dict[int, list[Act]] = {}
    for number, act in (each for outcome in outcomes for each in outcome.acts):
        acts.setdefault(number, []).append(act)
    pixels = np.asarray(finder.picture)
    return tuple(
        Actor(face := finder.faces[number], finder.picture.size, tuple(can_move_eyes(face, pixels)), tuple(done))
        for number, done in acts.items()
    )


def set_apart(scene: Scene | None, finder: Finder, actors: Sequence[Actor]) -> Scene | None:
    """The scene with a layer for people whose outline moves, or what lies behind them would bend with it."""
    known = [mask for layer, mask in zip(scene.layers, scene.masks) if layer.stands] if scene else []
    faces = [actor.points for actor in actors if any(FACE_KINDS[act.kind].outline for act in actor.acts)]
    faces = [face for face in faces if not any(stands_in(face, mask) for mask in known)]
    masks = find_people(finder, faces, known, MAX_LAYERS - (len(scene.layers) if scene else 1)) if faces else []
    return stand(scene, masks) if masks else scene


def find_people(
    finder: Finder, faces: Sequence[FacePoints], known: Sequence[np.ndarray] = (), most: int = MAX_LAYERS - 1
) -> list[np.ndarray]:
    """Masks (H, W) of at most so many things that have any of these faces and stand out clearly, without those known already."""
    return [mask for mask in find_standing(finder, known, most) if any(stands_in(face, mask) for face in faces)]


def find_things(pipe, finder: Finder, prompt: str) -> list[Outcome]:
    """What would become of each clause of a prompt; ValueError for other languages than English."""
    return plan(*_read(pipe, [prompt]), finder)[1]


def foresee(pipe, open_finder: Callable[[], Finder], prompt: str) -> list[Note]:
    """What would become of a prompt, before anything is made; ValueError for other languages than English.

    open_finder: gives what looks at the picture, which is needed where words name things in it.
    """
    if names_things(read_clauses(prompt)):
        return [*map(note_of, find_things(pipe, open_finder(), prompt))]
    check_english(prompt)
    from loopanimate.words.read import read  # with torch

    note = read(prompt, pipe).note
    return [Note(note)] if note else []


def check_english(words: str) -> None:
    if not is_english(words):
        raise ValueError(f"expected English, the one language that LoopAnimate reads, got {words!r}")


def _read(pipe, prompts: Sequence[str]) -> list[list[Clause]]:
    check_english(", ".join(prompts))
    from loopanimate.words.read import guess  # with torch

    return [read_clauses(prompt, partial(guess, pipe)) for prompt in prompts]


def note_of(outcome: Outcome) -> Note:
    region = outcome.region
    about = {"drawn": outcome.effect is not None, "clause": outcome.clause.text, "acts": bool(outcome.acts)}
    if region is None:
        return Note(outcome.said, thing=outcome.name, **about)
    place = shrink_place(region.mask, NOTE_SIDE)
    return Note(outcome.said, place, outcome.name, region.unsure, **about)


def find_mask(picture: Image.Image, settings: Settings, mask: np.ndarray | None, models: Models) -> tuple[np.ndarray, bool]:
    """The mask of the whole picture, edited as the settings have it, and whether one was given or found."""
    mask, found = automatic_mask(shrink_to_masks(picture), models.salient) if mask is None else (_fit(picture, mask), True)
    return check_mask(_edit(settings, mask)), found


def shrink_to_masks(picture: Image.Image) -> Image.Image:
    """A picture at the size of its masks."""
    size = mask_size(*picture.size)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _fit(picture: Image.Image, mask: np.ndarray) -> np.ndarray:
    """A mask of the picture's size, or of its masks', at the size of masks."""
    size = mask_size(*picture.size)
    if mask.shape not in (size[::-1], picture.size[::-1]):
        raise ValueError(f"expected a mask of {picture.width} x {picture.height}, got {mask.shape[1]} x {mask.shape[0]}")
    return mask if mask.shape == size[::-1] else cv2.resize(mask, size, interpolation=cv2.INTER_AREA)


def _edit(settings: Settings, mask: np.ndarray) -> np.ndarray:
    request = settings.request
    return edit(mask, request.mask_grow, request.mask_feather, request.mask_invert)
