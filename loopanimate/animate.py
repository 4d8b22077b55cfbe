"""The one road from picture, mask and settings to a finished loop: the page and the command line both take it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
from PIL import Image

from loopanimate.effects.build import WHOLE, cut_place
from loopanimate.files.pictures import mask_size
from loopanimate.files.sizes import output_size, whole_pixels
from loopanimate.loop import FrameLoop, MotionLoop, Progress
from loopanimate.motion.curve import Motion
from loopanimate.motion.faces import Face
from loopanimate.presets import NATIVE_FPS
from loopanimate.render.pixels import pixel_side
from loopanimate.sampling import obey, prover, sample, shrink
from loopanimate.scene.finder import BUNDLED, Models
from loopanimate.scene.parts import Part
from loopanimate.settings import Hands, Settings
from loopanimate.staging import find_mask, stage
from loopanimate.view import cut_view, is_fit
from loopanimate.words.intent import STILL, Intent


def make_loops(
    pipe,
    picture: Image.Image,
    settings: Settings,
    seeds: Sequence[int] | None = None,
    mask: np.ndarray | None = None,
    progress: Progress | None = None,
    preview: Callable[[MotionLoop], None] | None = None,
    given: Sequence[tuple[str, np.ndarray]] = (),
    models: Models = BUNDLED,
    alpha: np.ndarray | None = None,
) -> list[MotionLoop] | list[FrameLoop]:
    """Animate a picture: a loop for each seed, sampled together; each is the loop that its seed gives alone, but for rounding.

    Args:
        pipe: of `checkpoints.load_pipeline`.
        picture: upright RGB, as `open_picture` gives it.
        seeds: None: the settings' own.
        mask: (H, W) in [0, 1], white moves, of the picture's size or of `mask_size`; None: the words find what they name.
        progress: called after each sampling step; whatever it raises stops the work.
        preview: called after each step, before `progress`, with the first seed's loop as it stands by then; of motion only.
        given: words and their masks (H, W): a thing of the prompt ("the sea"), or a clause of its own ("the sea ripples").
        models: what finds the things that words name, and the object that stands out.
        alpha: (H, W) uint8 of a cut-out, whose picture is over white: files of motion keep it where their format can.

    Raises: ValueError in one sentence, before any work, for a mask, size or direction that does not fit, and where nothing
    that the prompt names is in the picture.
    """
    seeds = [settings.request.seed] if seeds is None else list(seeds)
    if not pipe.codec.is_motion:
        check_appearance(settings.hands)
        if settings.output.scale == "nearest":
            raise ValueError("expected the quick or motion preset for --scale nearest: this one makes frames, not motion")
    size = output_size(settings.output.size, *picture.size)
    if settings.output.scale == "nearest":
        side = pixel_side(np.asarray(picture))
        whole_pixels(size, tuple(edge // side for edge in picture.size), is_fit(settings.output, alpha))
    if pipe.codec.is_motion:
        staged = stage(pipe, picture, mask, given, settings, models)
        if staged.scene is None or not staged.scene.parts:
            loops = [_still(pipe, picture, staged, settings.change(seed=seed)) for seed in seeds]
        else:
            loops = _motion_loops(pipe, picture, staged, settings, seeds, progress, preview)
        return [replace(loop, alpha=alpha) for loop in loops]
    if given:
        raise ValueError("expected no parts: this preset samples one object")
    return list(_frame_loops(pipe, picture, mask, settings, seeds, progress, models))


def _still(pipe, picture, staged, settings) -> MotionLoop:
    """A picture in which nothing moves, under light and weather or before a camera that moves."""
    grid, frames = pipe.codec.latent_size(*picture.size[::-1]), settings.request.num_frames
    masks, intents = (staged.scene.masks, staged.scene.intents) if staged.scene else ((), (STILL,))
    motion = Motion(np.zeros((frames, len(intents), 2, *grid), np.float32), np.zeros((len(intents), 2, *grid), np.float32))
    size = mask_size(*picture.size)
    places = [1 if each.place is None else cut_place(each.place, WHOLE, size) for each in staged.air.effects]
    shown = reduce(np.maximum, [*places, *masks], np.zeros(size[::-1], np.float32))
    shown = reduce(np.maximum, [actor.mask for actor in staged.actors], shown)
    kept = {"air": staged.air, "shot": staged.shot, "faces": _form_faces(staged, settings), "subject": staged.subject}
    return MotionLoop(picture, masks, shown, True, settings, staged.notes, motion, intents, pipe.device.type, **kept)


def _form_faces(staged, settings) -> tuple[Face, ...]:
    request = settings.request
    return tuple(actor.form((request.num_frames - 1) / NATIVE_FPS, request.seed) for actor in staged.actors)


def _motion_loops(pipe, picture, staged, settings, seeds, progress, preview) -> Iterator[MotionLoop]:
    """One seed is one motion, however much of it a size shows: the whole picture is sampled."""
    small, (scene, notes, found, air, shot, actors, subject) = shrink(picture), staged
    moving = reduce(np.maximum, [actor.mask for actor in actors], scene.moving)
    proves = prover(small, scene.masks)

    def loop(latents, seed: int, begins: bool) -> MotionLoop:
        motions = [pipe.codec.decode_motion(row) for row in latents]
        motions = [motion.flip() if part.intent.hangs else motion for part, motion in zip(scene.parts, motions, strict=True)]
        motion = obey(motions, scene, proves if begins else None)
        about, kept = (moving, found, settings.change(seed=seed), notes), {"air": air, "shot": shot, "subject": subject}
        kept["faces"] = _form_faces(staged, settings.change(seed=seed))
        return MotionLoop(picture, scene.masks, *about, motion, scene.intents, pipe.device.type, **kept)

    def on_step(step, steps, clean):
        if preview is not None:
            preview(loop(clean[:: len(seeds)], seeds[0], begins=False))
        if progress is not None:
            progress(step, steps)

    latents = sample(pipe, small, scene.parts, settings, seeds, on_step)
    return (loop(latents[place :: len(seeds)], seed, begins=True) for place, seed in enumerate(seeds))


def _frame_loops(pipe, picture, mask, settings, seeds, progress, models) -> Iterator[FrameLoop]:
    """Loops of frames: their picture is cut to the output's shape before it is sampled, as frames cannot be cut afterwards."""
    mask, found = find_mask(picture, settings, mask, models)
    view = cut_view(picture, mask, (mask,), settings.output)

    def on_step(step, steps, clean):
        if progress is not None:
            progress(step, steps)

    part = Part(settings.request.prompt, Intent(), view.masks[0])
    latents = sample(pipe, shrink(view.picture), [part], settings, seeds, on_step)
    for clip, seed in zip(latents, seeds, strict=True):
        pixels = pipe.codec.decode(clip[None, :, :-1])[0]  # (3, N - 1, H, W)
        sampled = (pixels * 255).round().byte().permute(1, 2, 3, 0).cpu().numpy()
        yield FrameLoop(picture, (mask,), mask, found, settings.change(seed=seed), (), sampled)


def check_appearance(hands: Hands) -> None:
    if hands.motion_strength != 1:
        raise ValueError(
            f"expected a motion strength of 1 (this preset samples frames, not motion), got {hands.motion_strength:g}"
        )
    if hands.arrows or hands.pins or hands.freeze:
        raise ValueError("expected no arrows, pins or frozen places: this preset samples frames, not motion")
