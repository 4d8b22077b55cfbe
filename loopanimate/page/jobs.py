"""What takes time: the models and what is made with them, step by step.

Generators yield HTML that says how it goes, or None when there is nothing new; closing one stops the work.
"""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from loopanimate.animate import make_loops
from loopanimate.files.formats import Format, read_metadata
from loopanimate.files.length import fit_length, in_seconds
from loopanimate.files.pictures import mask_size
from loopanimate.files.project import ENDING, is_project, read_project, write_project
from loopanimate.files.recipe import MOST_SIDE, Parts, of_frame, open_small_png, pack, unpack, unpack_parts, unpack_squares
from loopanimate.files.sizes import read_monitors
from loopanimate.loop import Loop, LoopFile, MotionLoop
from loopanimate.memory import import_networks
from loopanimate.page import canvas, spaces, text
from loopanimate.page.folder import Folder
from loopanimate.page.limits import KEEP_SECONDS, OWN, PUBLIC
from loopanimate.page.living import write_preview
from loopanimate.page.packages import write_package, zip_together
from loopanimate.page.preview import first_frame, shrink, webp
from loopanimate.page.shown import Shown, direct, hold, is_film, is_flat, open_cached, plain
from loopanimate.page.work import POLL, follow, relay, start
from loopanimate.presets import DEFAULT, NATIVE_FPS, PRESETS
from loopanimate.scene.finder import Finder, Models
from loopanimate.scene.plan import Outcome
from loopanimate.scene.regions import CLASSES, classify
from loopanimate.scene.saliency import automatic_mask, edit, session
from loopanimate.settings import Machine, Output, Settings
from loopanimate.staging import Note, find_things, foresee, shrink_to_masks

STAGE_SIDE = 2048  # pixels on the long side of the picture on the page
GLIMPSE_SIDE, GLIMPSE_SECONDS = 224, 0.7  # pixels of the moving picture while sampling, and how often it is renewed
CHOICE_SIDE = 448  # pixels on the long side of each of four variants
SHOWS = 0.01  # share of the picture from which a thing is worth a suggestion
LIKELY = 0.65  # mean likelihood of a thing, too: of 30 pictures, what was there had 0.66 or more, fog seen as smoke 0.64
ALIKE = 12.0  # levels of 255 by which a loop's first frame may differ from its picture in the mean: coding, light and weather
ON_ZERO = spaces is not None and os.environ.get("SPACES_ZERO_GPU") is not None
BROWSABLE = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "AVIF", "BMP")  # pictures that every browser shows

gpu = spaces.GPU(duration=120) if spaces else lambda function: function


@lru_cache(maxsize=4)
def small_finder(path: str, models: Models) -> Finder:
    """What finds things in a small copy of a picture, and remembers; networks see what they will see once it is animated."""
    whole = shrink_to_masks(open_cached(path))
    finder = Finder(small := canvas.shrink(whole), models=models)
    finder.likely, (mask, found) = classify(whole), automatic_mask(whole, models.salient)
    finder.salient = canvas.fit(mask, small.size), found
    return finder


class Held:
    """What is loaded off the start-up path, one thing at a time: a second one may not find room."""

    def __init__(self):
        self.key = self.future = None

    def load(self, load: Callable, *key) -> Future:
        """What `load(*key)` gives, unless that is held; whoever needs it first waits for it. What failed is tried again."""
        failed = self.future and self.future.done() and self.future.exception()
        if failed or self.key != key:
            self.key, self.future = key, start(load, *key)
        return self.future


class Server:
    """What all visitors share: the models, the options of the command line, the folder of finished files."""

    def __init__(self, machine: Machine | None = None, public: bool = False):
        """
        Args:
            machine: as the command line has it; None: all defaults.
            public: strangers use the page, as in a Space, so they choose no models.
        """
        self.machine, self.public = machine or Machine(), public or "SPACE_ID" in os.environ
        self.limits = PUBLIC if self.public else OWN
        self.folder = Folder(KEEP_SECONDS, os.environ.get("GRADIO_TEMP_DIR"))
        self.pipe, self.models, self.salient = Held(), Held(), Held()
        self.bundled = {name: Held() for name, preset in PRESETS.items() if preset.checkpoint}  # which are small
        self.render_seconds: float | None = None  # that the last loop took after sampling
        # ZeroGPU runs this in a fork, which inherits the models: only arguments and words travel between the processes
        self.sample = gpu(self._sample)

    @property
    def saliency(self) -> Future:
        """The network that finds masks."""
        return self.salient.load(session, self.machine.salient_model)

    def load(self, preset: str, machine: Machine) -> Future:
        held = self.pipe if machine.checkpoint else self.bundled.get(preset, self.pipe)
        return held.load(load, preset, machine.checkpoint, machine.device)

    def load_models(self, machine: Machine) -> Future:
        """What finds things and their depth."""
        return self.models.load(load_models, machine.model_copy(update={"checkpoint": None}))

    def choose(self, **typed: str | None) -> Machine:
        """The command line's machine, with the models that were typed in place of its own."""
        given = {} if self.public else {name: words.strip() for name, words in typed.items() if (words or "").strip()}
        return self.machine.model_copy(update=given)

    def new_file(self, ending: str, name: str = "") -> Path:
        """A finished file's place."""
        return self.folder.new_file(f"{name or 'loop'}{ending}")

    def find_mask(self, picture: Image.Image) -> tuple[np.ndarray, bool]:
        """The automatic mask (H, W) in [0, 1], as `mask_size` says, and whether there is a clear object."""
        self.saliency.result()
        return automatic_mask(shrink_to_masks(picture), self.machine.salient_model)

    def find_things(self, picture: Image.Image, prompt: str) -> list[Outcome]:
        """What would become of each clause of a sentence."""
        finder = Finder(shrink_to_masks(picture), models=self.load_models(self.machine).result())
        return find_things(self.load(DEFAULT, self.machine).result(), finder, prompt)

    def foresee(self, path: str, prompt: str, machine: Machine) -> list[Note]:
        """What would become of a sentence, as a small copy of the picture shows it."""
        pipe = self.load(DEFAULT, self.machine).result()
        return foresee(pipe, lambda: small_finder(path, self.load_models(machine).result()), prompt)

    def suggest(self, path: str, machine: Machine) -> list[str]:
        """Sentences about what the picture shows; none says again what an earlier one says."""
        if is_flat(path):
            return [text.SNOW]
        finder, said = small_finder(path, self.load_models(machine).result()), []
        for group in text.SUGGESTIONS:
            fitting = next((each.words for each in group if self._fits(finder, each)), None)
            if fitting and not any(fitting in earlier for earlier in said):
                said.append(fitting)
        return said[: text.SUGGESTED]

    def _fits(self, finder: Finder, suggestion: text.Suggestion) -> bool:
        """Whether all that a sentence names is very likely there, and large enough to be worth it."""
        shown = finder.likely.argmax(0)
        if any((shown == CLASSES.index(name)).mean() < SHOWS for name in suggestion.shows):
            return False
        if suggestion.anywhere:
            return True
        regions = [each.region for each in find_things(self.load(DEFAULT, self.machine).result(), finder, suggestion.words)]
        return all(each and each.how != "whole" and each.sure > LIKELY and each.mask.mean() > SHOWS for each in regions)

    def save_mask(self, mask: np.ndarray, size: tuple[int, int]) -> str:
        """Write a mask (h, w) in [0, 1], or uint8, as a PNG of `size` (width, height)."""
        levels = mask if mask.dtype == np.uint8 else np.rint(mask * 255).astype(np.uint8)
        target = self.new_file(".png")
        Image.fromarray(levels if levels.shape == size[::-1] else cv2.resize(levels, size, interpolation=cv2.INTER_CUBIC)).save(
            target
        )
        return str(target)

    def save_glimpse(self, loop: Loop, fps: float, side: int = GLIMPSE_SIDE) -> str:
        """A small moving picture of a loop, as a file."""
        target = self.new_file(".webp")
        target.write_bytes(webp(loop, side, fps))
        return str(target)

    def show_picture(self, path: str) -> str:
        """The picture's file, or a JPEG copy of one that is larger than a stage or that not every browser shows."""
        with Image.open(path) as file:
            if file.format in BROWSABLE and max(file.size) <= STAGE_SIDE:
                return path
        target = self.new_file(".jpg")
        canvas.small_copy(open_cached(path), STAGE_SIDE).save(target, quality=95, subsampling=0)
        return str(target)

    def restore(self, file: str, path: str | None, sure: bool = False) -> tuple[Settings, np.ndarray | None, str, Parts]:
        """Settings, mask, picture and parts of a project or a finished loop.

        A project has its picture. A loop's is the one at `path`, if the loop's first frame shows it or `sure` says so; otherwise
        that frame.
        """
        project = is_project(file)
        name = Path(file).name.removesuffix(ENDING) if project else Path(file).stem.partition("-")[0]
        if project:
            recipe, path = read_project(file, self.new_file("", name))
            open_cached(path := str(path))
        else:
            recipe = read_metadata(file)
        settings, mask = unpack(recipe)
        settings = in_seconds(settings)
        parts = unpack_parts(recipe)
        if project:
            return settings, mask, path, parts
        frame = None if sure else first_frame(file)
        if frame is not None and not (path and is_same(frame, open_cached(path))):
            whole = settings.output.size == "source"
            if read_monitors(settings.output.size):  # which of them this is, and so where its mask lies, nobody can tell
                settings, mask = settings.change(size="source", arrows=(), pins=(), freeze=None), None
            if mask is not None:
                frame, settings, mask = of_frame(frame, settings, mask, unpack_squares(recipe))
            settings = settings.change(centre=None)  # of another picture
            parts = parts if whole else ()  # which of a cut picture is left is known by a mask alone: they are found again
            path = str(self.new_file(".png", name))
            frame.save(path)
        return settings, mask, path, parts

    def save_project(self, path: str, settings: Settings, mask: np.ndarray | None, parts: Parts) -> Path:
        """A picture and what is made of it as one file, which `restore` reads."""
        name = "-".join(filter(None, (text.slug(Path(path).stem), text.slug(settings.request.prompt))))
        return write_project(self.new_file(ENDING, name), Path(path), pack(settings, mask, parts, MOST_SIDE))

    def repaint(
        self, settings: Settings, mask: np.ndarray | None, path: str, parts: Parts = (), revision: str | None = None
    ) -> canvas.Painting:
        """What was painted for a loop; the mask is found where none was painted, and edited as the settings have it."""
        picture, request, hands = open_cached(path), settings.request, settings.hands
        size = canvas.small_size(picture.size)

        def fit(own):
            return None if own is None else canvas.fit(own, size)

        found, given = (
            None if own is None else edit(own, request.mask_grow, request.mask_feather, request.mask_invert)
            for own in map(fit, (self.find_mask(picture)[0], mask))
        )
        parts = tuple((thing, fit(own)) for thing, own in parts)
        freeze = fit(hands.freeze and open_small_png(hands.freeze))
        placed = hands.arrows, hands.pins, None, settings.output.centre
        return canvas.Painting(path, found, given, parts, freeze, *placed, revision)

    def _sample(self, picture: Image.Image, settings: Settings, seeds: list[int], mask, parts: Parts, machine: Machine):
        """make_loops as a generator of (step, steps, glimpse as WebP or None), or None; its last word is the loops."""
        newest = [0.0, None]

        def glimpse(loop):
            if time.monotonic() - newest[0] > GLIMPSE_SECONDS:
                newest[:] = time.monotonic(), webp(loop, GLIMPSE_SIDE, NATIVE_FPS)

        def work(tell):
            pipe = self.load(settings.sampler, machine).result()
            models = self.load_models(machine).result()
            loops = make_loops(
                pipe, picture, settings, seeds, mask, lambda *step: tell((*step, newest[1])), glimpse, parts, models
            )
            if ON_ZERO and pipe.codec.is_motion:  # the page renders in another process, which has no GPU
                loops = [replace(loop, device="cpu") for loop in loops]
            return loops

        yield (yield from follow(work))

    def sample_loops(
        self, path: str, settings: Settings, count: int, mask: np.ndarray | None, machine: Machine, parts: Parts = ()
    ):
        """Generator; returns loops of `count` seeds. mask: (h, w) in [0, 1] of any size, as of parts; None: it is found."""
        picture, seed = open_cached(path), settings.request.seed
        size = mask_size(*picture.size)
        mask = None if mask is None else canvas.fit(mask, size)
        parts = [(words, canvas.fit(own, size)) for words, own in parts]
        needed = [self.saliency, self.load_models(machine)]
        if not ON_ZERO:  # there another pipeline than the first one is loaded where the device is
            needed.append(self.load(settings.sampler, machine))
        while wait(needed, 0).not_done:
            yield text.working("Loading the model …")
            wait(needed, POLL)
        begun = time.monotonic()
        for word in self.sample(picture, settings, [seed + index for index in range(count)], mask, parts, machine):
            if isinstance(word, list):
                return word
            if word is None:
                yield None
                continue
            step, steps, glimpse = word
            past = time.monotonic() - begun
            left = past / step * (steps - step) + (self.render_seconds or 0.0)
            then = "" if self.render_seconds else ", then rendering"
            yield text.working(f"Step {step} of {steps} · {text.left(left)}{then}", past / (past + left + 1e-3), glimpse)

    def render(self, sampled: Shown, embed: bool):
        """Generator; returns what the page shows of a loop, with its film. embed: settings and masks travel in the file."""
        loop = sampled.loop
        begun = time.monotonic()
        small = loop if loop.is_art(loop.settings.output) else shrink(loop, text.SHOWN_SIDE)
        thumbnail = self.save_glimpse(loop, NATIVE_FPS)
        output = plain(small.settings.output)
        recipe = pack(loop.settings, sampled.mask, sampled.parts, squares=loop.squares(output)) if embed else None
        file = yield from relay(
            follow_writing(small, self.new_file(".mp4"), output, recipe), lambda word: word and count(word, begun, "Rendering")
        )
        self.render_seconds = time.monotonic() - begun
        return replace(sampled, file=file, thumbnail=thumbnail, details=text.details(loop), before=None)

    def write(self, shown: Shown, settings: Settings, form: Format, embed: bool, machine: Machine, with_package: bool = False):
        """Generator; writes the loop on the page by these settings, as far as the format can hold them; returns the file.

        Several files come as one .zip: a still and its film, what several monitors show, a package.
        """
        loop, output, before = direct(shown.loop, settings), settings.output, shown.loop.settings.output
        self.limits.check_output(fit_length(settings, form), form, loop.size(output))
        if not isinstance(loop, MotionLoop) and (output.size, output.centre, output.fit) != (
            before.size,
            before.centre,
            before.fit,
        ):
            sampling = self.sample_loops(shown.path, settings, 1, shown.mask, machine)
            (loop,) = yield from relay(sampling, lambda _: text.working("Fitting the loop to the size …"))
        recipe = pack(settings, shown.mask, shown.parts, squares=loop.squares(output)) if embed else None
        name = "-".join(filter(None, (text.slug(shown.name), text.slug(settings.request.prompt))))
        target = self.new_file(form.endings[0], "{}-{}x{}".format(name, *form.size(*loop.size(output))))
        if is_film(shown, settings, form, recipe):
            file = replace(shown.file, path=Path(shutil.copy(shown.file.path, target)))
        else:
            begun, writing = time.monotonic(), follow_writing(loop, target, hold(output, form), recipe)
            file = yield from relay(writing, lambda word: word and count(word, begun, f"Writing {form.name}"))
        files = [file.path, *file.others]
        if with_package:
            files += write_package(file, loop, output)
        return replace(file, path=zip_together(files)) if len(files) > 1 else file

    def say_rendering(self) -> str:
        """Before the first frame: as long as the last loop took."""
        return f"Rendering · {text.left(self.render_seconds)}" if self.render_seconds else "Rendering"

    def write_living(self, loop: Loop) -> LoopFile | None:
        """A small living page of the loop at its own pace, for the page around it to play with; None for frames."""
        if not isinstance(loop, MotionLoop):
            return None
        return write_preview(loop, self.new_file(".html"))


def load(preset: str, checkpoint: str | None, device: str):
    return import_networks().load_quietly(preset, checkpoint, device)  # torch and diffusers take seconds to import


def load_models(machine: Machine) -> Models:
    if not (machine.regions_model or machine.depth_model):
        return Models(salient=machine.salient_model)
    return import_networks().load_models(machine)


def follow_writing(loop: Loop, target: Path, output: Output, recipe: str | None):
    """Generator of (frames written, frames in all) or None; returns the file."""
    return follow(lambda tell: loop.write(target, output, recipe, lambda *done: tell(done)))


def count(done: tuple[int, int], begun: float, doing: str) -> dict:
    """How far the frames are that are written since `begun`; before the first the picture is enlarged."""
    frames, total = done
    if not frames:
        return text.working(text.ENLARGING, 0.0)
    left = (time.monotonic() - begun) / frames * (total - frames)
    return text.working(f"{doing} · {text.left(left)}", frames / total)


def is_same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures show the same, whatever their size."""
    if abs(one.width / one.height - other.width / other.height) > 0.02 * other.width / other.height:
        return False
    small = (np.asarray(each.convert("RGB").resize((32, 32), Image.Resampling.BOX), np.float32) for each in (one, other))
    return bool(np.abs(next(small) - next(small)).mean() < ALIKE)
