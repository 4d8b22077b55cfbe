"""Loops that were sampled, as data: any number of files are written from each without sampling again."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from PIL import Image

from loopanimate.effects.build import Effect, Placed, build
from loopanimate.effects.data import CURVE, Overlay, Track
from loopanimate.effects.names import find_look, looks
from loopanimate.files.cutouts import over_white, premultiply, straighten
from loopanimate.files.formats import Coding, Format, check, check_output, files_of, write_loop
from loopanimate.files.length import fit_length, say_length
from loopanimate.files.living import EFFORT, write_living
from loopanimate.files.monitors import write_pieces
from loopanimate.files.sizes import count_rounds, find_centre, frame_times, output_size, read_monitors, size_limit, within
from loopanimate.motion.border import borders_of
from loopanimate.motion.camera import CELLS, Shot, film, frame
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import apply, edits_to_show, limit
from loopanimate.motion.faces import Face
from loopanimate.motion.field import Field
from loopanimate.motion.hands import direct, freeze
from loopanimate.motion.spin import is_clear, is_held, spins_of
from loopanimate.motion.spline import latent_grid
from loopanimate.presets import NATIVE_FPS
from loopanimate.render.interpolation import Ring
from loopanimate.render.overlay import Painter
from loopanimate.render.pixels import PixelRenderer, square_pixels
from loopanimate.render.renderer import Renderer
from loopanimate.scene.layers import cover_rim
from loopanimate.scene.parts import weigh
from loopanimate.settings import Output, Settings
from loopanimate.staging import Air, Note
from loopanimate.view import View, art_of, cut_art, cut_view, is_fit, put_into, side_of_art, squares_of
from loopanimate.words.intent import Intent

ENLARGED_FROM = 1.5  # pixels of a frame to one of the picture
Progress = Callable[[int, int], None]  # steps or frames done, and in all; may raise to cancel


@dataclass(frozen=True)
class LoopFile:
    path: Path
    frames: int  # of a living page, which draws as many as the screen shows, the network's own
    seconds: float
    size: tuple[int, int]  # width, height
    enlarged: str = ""  # a sentence, where the picture was
    others: tuple[Path, ...] = ()  # that were written with it: a still's film, what other monitors show
    length: str = ""  # a sentence on what became of the length that was asked for


@dataclass(frozen=True)
class Loop:
    """A sampled loop: what any number of files are written from without sampling again."""

    picture: Image.Image  # whole, at its own size
    masks: tuple[np.ndarray, ...]  # (H, W) in [0, 1], as `mask_size` says, of all layers but the last, front to back
    mask: np.ndarray  # (H, W) in [0, 1], all that moves; of a picture that rests, where light and weather may be
    found: bool  # False: no clear object and no mask given, so the whole picture moves
    settings: Settings
    answers: tuple[Note, ...]  # what became of each clause of the prompt, where that is worth a word
    air: Air = field(default=Air(), kw_only=True)  # light and weather
    alpha: np.ndarray | None = field(default=None, kw_only=True)  # (H, W) uint8 of a cut-out, whose picture is over white
    subject: np.ndarray | None = field(default=None, kw_only=True)  # (h, w) uint8, what stands out most, where that is known

    @property
    def notes(self) -> tuple[Note, ...]:
        """The answers, under the settings' hands, which may turn light and weather off."""
        hands = self.settings.hands
        none = {looks()[find_look(name)].said for name, amount in hands.added_effects if not amount}

        def is_off(note: Note) -> bool:
            return note.drawn and (not hands.effect_strength or any(said in note.said for said in none))

        off = " Not drawn: light and weather are turned off." if not hands.effect_strength else " Not drawn: its amount is 0."
        return tuple(replace(note, said=note.said + off) if is_off(note) else note for note in self.answers)

    @cached_property
    def centre(self) -> tuple[float, float]:
        """What a file of another shape is cut around, in fractions of the picture, unless its output says."""
        return find_centre(self.mask, self.subject)

    def _centred(self, output: Output | None) -> Output:
        output = output or self.settings.output
        return output if output.centre else output.model_copy(update={"centre": self.centre})

    def view(self, output: Output | None = None, check: Callable[[], object] | None = None) -> View:
        """Cut or fit the picture to an output's size; None: the settings' own output. check: of `cut_view`."""
        return cut_view(self.picture, self.mask, self.masks, self._centred(output), self.alpha)

    def size(self, output: Output | None = None) -> tuple[int, int]:
        """(width, height) of a frame."""
        return output_size((output or self.settings.output).size, *self.picture.size)

    def art(self, output: Output) -> tuple[int, int] | None:
        """(width, height) of pixel art of which whole pixels move by whole pixels; None where the picture moves smoothly."""
        return None

    def is_art(self, output: Output) -> bool:
        return self.art(output) is not None

    def squares(self, output: Output) -> tuple[int, int, int] | None:
        """Of pixel art, what a file's recipe says of its frames (`view.squares_of`)."""
        return None

    def tell_enlarged(self, output: Output | None = None) -> str:
        """Say how an output has the picture enlarged; nothing where it does not."""
        return ""

    def frames(
        self,
        times: Sequence[float],
        output: Output | None = None,
        planar: bool = False,
        clear: bool = False,
        check: Callable[[], object] | None = None,
    ) -> Iterator[np.ndarray]:
        """Frames at `times` in native frames, one at a time: (H, W, 3) RGB, or for a video (3H/2, W) I420, uint8.

        clear: of a cut-out, (H, W, 4) with its alpha; colours are not premultiplied. check: of `cut_view`.
        """
        view = self.view(output, check)
        clear = clear and view.alpha is not None
        planar = planar and view.surround is None and not clear
        if not clear:
            view = replace(view, alpha=None)
        frames, overlay = self._frames(view, times, planar), self.overlay(view)
        if overlay:
            frames = self._paint(frames, times, overlay, view.picture.size, planar)
        if view.surround is not None:
            frames = put_into(np.zeros((*view.size[::-1], 4), np.uint8) if clear else np.asarray(view.surround), frames)
        return map(straighten, frames) if clear else frames

    def overlay(self, view: View) -> Overlay:
        """Light and weather over a view, those of the prompt and those of the settings' hands."""
        hands, request = self.settings.hands, self.settings.request
        added = [Placed(Effect(look=find_look(name), amount=amount)) for name, amount in hands.added_effects]
        again = {each.effect.look for each in added}
        said = [each for each in self.air.effects if each.effect.look not in again]
        said += map(self._where_said, added)
        seconds = (request.num_frames - 1) / NATIVE_FPS
        return build(said, np.asarray(view.picture), view.part, self.air.front, seconds, request.seed, *self._depth(view))

    def _depth(self, view: View) -> tuple[np.ndarray | None, tuple[Track, ...]]:
        """Inverse depth of what a view shows, and the paths of its cameras, where they are known."""
        return None, ()

    def _where_said(self, added: Placed) -> Placed:
        """An effect that hands add, in the place and by the wind that words have for it."""
        said = next((each for each in self.air.effects if each.effect.look == added.effect.look), None)
        return added if said is None else replace(said, effect=said.effect.model_copy(update={"amount": added.effect.amount}))

    def _paint(self, frames, times, overlay: Overlay, size: tuple[int, int], planar: bool) -> Iterator[np.ndarray]:
        if planar:
            size = tuple(side // 2 * 2 for side in size)
        painter = Painter(overlay, size, planar, self.settings.hands.effect_strength)
        period = self.settings.request.num_frames - 1
        for pixels, time in zip(frames, times):
            phase = time % period / period
            if pixels.shape[-1] != 4 or planar:
                yield painter.draw(pixels, phase)
                continue
            # what is drawn over black and over white alike is opaque: the difference is how clear each place is
            dark, light = (painter.draw(drawn, phase) for drawn in (pixels[..., :3].copy(), over_white(pixels)))
            yield np.dstack([dark, np.maximum(255 - (light - np.minimum(dark, light)).max(2), dark.max(2))])

    def foretell(self, output: Output, form: Format) -> LoopFile:
        """What a file of a format will be, before it is written: its path is empty."""
        path, size, said = Path(), form.size(*self.size(output)), self.tell_enlarged(output)
        if form.kind == "page":
            period = self.settings.request.num_frames - 1
            return LoopFile(path, period, period / NATIVE_FPS / self.settings.hands.tempo, size, said)
        times, fps, rounds = self._timing(output, form)
        count = len(times) * rounds
        length = say_length(self.settings.model_copy(update={"output": output}), form, float(count / fps))
        return LoopFile(path, count, float(count / fps), size, said, length=length)

    def _timing(self, output: Output, form: Format) -> tuple[list[float], Fraction, int]:
        """The times of a round's frames, in native frames; frames a second; how many rounds a file holds."""
        fps, settings = form.frame_rate(output.fps), fit_length(self.settings.model_copy(update={"output": output}), form)
        times = frame_times(settings.request.num_frames, fps, 1.0 if output.fps == "native" else settings.hands.tempo)
        # an animated picture goes round by itself: no program waits at its wrap
        rounds = settings.output.repeats
        return times, fps, count_rounds(output.size, rounds, len(times) / fps) if form.kind == "film" else rounds

    def write(
        self, path: str | Path, output: Output | None = None, metadata: str | None = None, progress: Progress | None = None
    ) -> LoopFile:
        """Render into a file, of a size of several monitors into one for each; the ending chooses the format. Nothing is
        half-written.

        Args:
            metadata: text that the file carries (see files/recipe.py).
            progress: called after each frame, and before the first while the picture is enlarged; whatever it raises stops
                the work.
        """
        path, output = check_output(path), output or self.settings.output
        limit = size_limit(output.size, output.max_size)
        form = check(path, output.fps, output.codec, limit, output.size)
        if form.kind == "page":
            return self.write_page(path, output=output, metadata=metadata, progress=progress)
        times, fps, repeats = self._timing(output, form)
        coding = Coding(fps, output.quality, output.codec, limit, repeats, self.is_art(output))
        begun = progress and partial(progress, 0, len(times))
        frames = self.frames(times, output, form.planar, form.keeps_alpha(output.codec), begun)
        files = files_of(path, output.size)
        if monitors := read_monitors(output.size):
            write_pieces(files, monitors, frames, len(times), coding, metadata, progress)
        else:
            write_loop(path, frames, len(times), coding, metadata, progress)
        return replace(self.foretell(output, form), path=files[0], others=tuple(files[1:]))

    def write_page(
        self,
        path: str | Path,
        others: Sequence["MotionLoop"] = (),
        output: Output | None = None,
        metadata: str | None = None,
        progress: Progress | None = None,
        effort: int = EFFORT,
    ) -> LoopFile:
        """Write a living page; ValueError for a loop that is no motion."""
        raise ValueError("expected the quick or motion preset for a living page: this loop is frames, not motion")


@dataclass(frozen=True)
class MotionLoop(Loop):
    """A loop that moves its picture."""

    motion: Motion  # of the whole picture; words' edits are applied and the start is chosen
    intents: tuple[Intent, ...]  # of each layer
    device: str = "cpu"  # where frames are rendered, as torch names it
    shot: Shot | None = field(default=None, kw_only=True)  # cameras that move before it, and how near its layers are
    faces: tuple[Face, ...] = field(default=(), kw_only=True)  # what faces do, in short sides of the whole picture

    def frames(
        self,
        times: Sequence[float],
        output: Output | None = None,
        planar: bool = False,
        clear: bool = False,
        check: Callable[[], object] | None = None,
    ) -> Iterator[np.ndarray]:
        """Frames as `Loop.frames` gives them; of pixel art always RGB, or with its alpha."""
        output = output or self.settings.output
        if not self.is_art(output):
            return super().frames(times, output, planar, clear, check)
        return self._frames_of_art(times, output, clear and self.alpha is not None)

    @cached_property
    def art_side(self) -> int:
        return side_of_art(self.picture)

    def art(self, output: Output) -> tuple[int, int] | None:
        return art_of(self.picture, output, self.alpha, self.art_side)

    def squares(self, output: Output) -> tuple[int, int, int] | None:
        return squares_of(self.picture, output, self.alpha, self.art_side)

    @property
    def notes(self) -> tuple[Note, ...]:
        off = " Not drawn: what faces do has no squares of its own; --scale smooth draws it."
        notes, is_art = super().notes, self.is_art(self.settings.output)
        return tuple(replace(note, said=note.said + off) if is_art and note.acts else note for note in notes)

    def _frames_of_art(self, times: Sequence[float], output: Output, clear: bool) -> Iterator[np.ndarray]:
        side, size = self.picture.width // self.art(output)[0], self.size(output)
        view, factor = cut_art(self.picture, self.mask, self.masks, self._centred(output), self.alpha, side)
        image = np.asarray(view.picture)
        if clear:
            image = premultiply(image, view.alpha)
        renderer, overlay = PixelRenderer(image, view.masks, self.field(view)), self.overlay(view)
        frames = map(renderer.frame, times)
        if overlay:
            frames = map(renderer.snap, self._paint(frames, times, overlay, view.picture.size, planar=False))
        frames = (square_pixels(pixels, factor, size) for pixels in frames)
        return map(straighten, frames) if clear else frames

    def view(self, output: Output | None = None, check: Callable[[], object] | None = None) -> View:
        output = output or self.settings.output
        device = self.device if self.is_enlarged(output) else None
        return cut_view(self.picture, self.mask, self.masks, self._centred(output), self.alpha, device, check)

    def factor(self, output: Output) -> float:
        """Pixels of a frame to one of the picture, each way."""
        sides = [side / own for side, own in zip(self.size(output), self.picture.size)]
        return min(sides) if is_fit(output, self.alpha) else max(sides)

    def is_enlarged(self, output: Output) -> bool:
        """Whether the network enlarges the picture; unasked, from a factor on that shows."""
        least = ENLARGED_FROM if output.enlarge == "auto" else 1
        # a cut-out's colours at its rim would no longer fit its alpha
        return output.enlarge != "off" and self.factor(output) > least and self.alpha is None and not self.is_art(output)

    def tell_enlarged(self, output: Output | None = None) -> str:
        output = output or self.settings.output
        factor, kind = self.factor(output), {"photo": ", as a photograph", "drawing": ", as a drawing"}
        if not self.is_enlarged(output):
            return ""
        return f"The picture was enlarged {factor:.2g} x by the network{kind.get(output.enlarge, '')}, before it moved."

    def field(self, view: View) -> Field:
        """The motion of what is shown, by the settings' hands."""
        hands, part, size = self.settings.hands, view.part, view.picture.size
        borders, strength = borders_of(view.masks), hands.motion_strength
        arrows, pins = ([within(part, points) for points in given] for given in (hands.arrows, hands.pins))
        # a direction whose end was cut off has gone
        arrows, pins = ([point for point in given if 0 <= min(point) and max(point) <= 1] for given in (arrows, pins))
        frozen = None
        if hands.freeze:
            frozen = Image.open(io.BytesIO(hands.freeze)).convert("L")
            box = tuple(share * side for share, side in zip(part, 2 * frozen.size))
            frozen = np.asarray(frozen.resize(size, Image.Resampling.BILINEAR, box=box), np.float32) / 255

        def turns(layer: int) -> bool:
            """Whether a wheel is seen whole, and no hand is on it, which would bend what cannot."""
            return is_clear(mask := view.masks[layer]) and not is_held(mask, (*arrows, *pins), frozen)

        spins = spins_of(self.intents, self.masks, self.motion.period, strength, turns)
        strong = apply(self.motion, edits_to_show(self.intents, weigh(self.masks, self.motion), strength, spins))
        motion = strong.crop(part, size)
        if arrows or pins:
            masks = view.masks or [np.ones(view.picture.size[::-1], np.float32)]  # a picture at rest is one layer
            motion = direct(motion, arrows, pins, masks, borders)
        if frozen is not None:
            motion = freeze(motion, frozen)
        motion = limit(motion, borders, spins)
        faces = self._faces(view, frozen)
        if self.shot is None:
            return Field(motion, borders, faces=faces, spins=[*map(bool, spins)])
        fine = latent_grid(*size[::-1], CELLS) if self.shot.cameras else motion.winding.shape[-2:]
        shot = self.shot.crop(part, fine)
        if shot.cameras:
            motion, borders = film(motion, shot, borders, strength, spins)
        return Field(motion, borders, shot.near, faces, [*map(bool, spins)])

    def _depth(self, view: View) -> tuple[np.ndarray | None, tuple[Track, ...]]:
        if self.shot is None:
            return None, ()
        size, grid = np.array(view.picture.size), latent_grid(*view.picture.size[::-1], CELLS)
        shot, strength, tracks = self.shot.crop(view.part, grid), self.settings.hands.motion_strength, []
        for camera in shot.cameras:
            frames = (frame(camera, time / CURVE, grid, strength, shot.around) for time in range(CURVE))
            rows = tuple((*zooms, *shifts.T.ravel()) for zooms, shifts in frames)
            tracks.append(Track(rows=rows, centre=tuple((size / min(size) * camera.centre).tolist())))
        return shot.seen(view.masks), tuple(tracks)

    def _faces(self, view: View, frozen: np.ndarray | None) -> list[Face]:
        """What faces do in a view, each with the layers that show it; frozen: (H, W) in [0, 1]."""
        width, height = (side / min(self.picture.size) for side in self.picture.size)
        faces = [face.crop(view.part, (width, height)) for face in self.faces]
        strength = self.settings.hands.motion_strength
        faces = [replace(face, layers=face.layers_of(view.masks), strength=strength) for face in faces]
        faces += [carried for carried in (face.carry(view.masks) for face in faces) if carried]
        return faces if frozen is None else [face for face in faces if face.share_of(frozen) < 0.5]

    def _frames(self, view: View, times: Sequence[float], planar: bool) -> Iterator[np.ndarray]:
        scene = np.asarray(view.picture), view.masks, self.field(view), planar
        if view.alpha is not None:
            masks = [cover_rim(mask, view.alpha) for mask in view.masks]
            return map(Renderer(premultiply(scene[0], view.alpha), masks, scene[2]).frame, times)
        if self.device != "cuda":
            return map(Renderer(*scene).frame, times)
        from loopanimate.render.torch_renderer import TorchRenderer

        return map(TorchRenderer(*scene, self.device).frame, times)

    def write_page(
        self,
        path: str | Path,
        others: Sequence["MotionLoop"] = (),
        output: Output | None = None,
        metadata: str | None = None,
        progress: Progress | None = None,
        effort: int = EFFORT,
    ) -> LoopFile:
        """Write a living page; with `others`, loops of the same picture and masks, it wanders among all of them.

        effort: of the pictures' encoder, 0 (at once) to 6 (small).
        """
        if (output or self.settings.output).scale == "nearest":
            raise ValueError("expected a picture or a film for --scale nearest, got a living page, which is smooth")
        path, view = check_output(path), self.view(output, progress and partial(progress, 0, 1))
        fields = [loop.field(view) for loop in (self, *others)]
        hands, prompt = self.settings.hands, self.settings.request.prompt
        scene = np.asarray(view.picture), view.masks, fields
        air = {"overlay": self.overlay(view), "amount": hands.effect_strength, "effort": effort}
        write_living(path, *scene, prompt, metadata, hands.tempo, **air)
        seconds = self.motion.period / NATIVE_FPS / hands.tempo
        return LoopFile(path, self.motion.period, seconds, view.picture.size, self.tell_enlarged(output))


@dataclass(frozen=True)
class FrameLoop(Loop):
    """A loop that was sampled as frames, at the shape that it is shown in."""

    sampled: np.ndarray  # (N - 1, H, W, 3) uint8

    def _frames(self, view: View, times: Sequence[float], planar: bool) -> Iterator[np.ndarray]:
        ring = Ring(self.sampled.__getitem__, len(self.sampled))
        for time in times:
            pixels = ring.at(time)
            same = pixels.shape[1::-1] == view.picture.size
            yield (
                pixels.copy() if same else np.array(Image.fromarray(pixels).resize(view.picture.size, Image.Resampling.LANCZOS))
            )
