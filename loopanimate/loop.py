"""The one road from picture, mask and words to a finished loop: the page and the command line both take it."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from loopanimate.files.living import write_living
from loopanimate.files.media import PAGE, QUALITIES, VIDEO, check_coding, check_mask, check_output, write_loop
from loopanimate.files.sizes import cover, cover_box, frame_rate, frame_times, inside, output_size, surround, turns, within
from loopanimate.files.video import CODECS
from loopanimate.motion.field import LoopField, touched
from loopanimate.motion.hands import Directions
from loopanimate.presets import MAX_FRAMES, NATIVE_FPS, PRESETS, check_num_frames
from loopanimate.scene.saliency import automatic_mask, edit
from loopanimate.words.intent import Intent
from loopanimate.words.read import Reading, read

SAMPLING_SIDE = 512  # pixels on the short side of what the networks see; the loop is rendered from the picture itself
MAX_STRENGTH = 4.0
MIN_TEMPO, MAX_TEMPO = 0.25, 4.0
MAX_DIRECTIONS = 32
Progress = Callable[[int, int], None]  # steps or frames done, and in all; may raise to cancel


@dataclass(frozen=True)
class LoopSettings:
    """Everything that makes a loop besides the picture and the painted mask."""

    prompt: str
    preset: str = "motion"
    checkpoint: str | None = None  # folder or hub repository; None: the preset's own
    num_frames: int = MAX_FRAMES  # odd, the network's own frames
    seed: int = 0
    num_inference_steps: int | None = None  # None: the checkpoint's default
    guidance_scale: float | None = None  # None: the checkpoint's default; 1: none
    negative_prompt: str = ""  # what to keep away from; of use where guidance is not 1
    motion_strength: float = 1.0  # factor on displacement
    tempo: float = 1.0  # factor on the pace; the native rate keeps its own
    arrows: tuple[tuple[float, float, float, float], ...] = ()  # x, y of tail and head in fractions of the picture
    pins: tuple[tuple[float, float], ...] = ()  # x, y in fractions of the picture
    freeze: bytes | None = None  # PNG of the picture's shape, white stays
    fps: float | str | None = None  # frames a second, "native" or None: 30 (12.5 for GIF)
    size: str = "source"  # or a name of export.SIZES, or WxH
    fit: bool = False  # the whole picture within that size, itself blurred around it; else as much as covers it
    quality: str = "wallpaper"  # or share, small: of a video or WebP
    codec: str | None = None  # of video.CODECS; None: the format's own
    max_size: float | None = None  # megabytes (10^6 bytes) of a video or WebP file; None: any
    repeats: int = 1  # turns in the file
    mask_grow: float = 0.0  # percent of the short side, negative shrinks
    mask_feather: float = 0.0  # percent of the short side
    mask_invert: bool = False
    device: str = "auto"  # or cpu, cuda

    def check(self) -> None:
        """Raises ValueError, in one sentence, for the first setting out of range."""
        if not self.prompt.strip():
            raise ValueError("expected a sentence that says what should move, got nothing")
        if self.preset not in PRESETS:
            raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {self.preset}")
        check_num_frames(self.num_frames)
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"expected a seed of 0 or more (below 2^63), got {self.seed}")
        if self.num_inference_steps is not None and not 1 <= self.num_inference_steps <= 1000:
            raise ValueError(f"expected 1 to 1000 steps, got {self.num_inference_steps}")
        if self.guidance_scale is not None and not 0 <= self.guidance_scale <= 50:
            raise ValueError(f"expected a guidance of 0 to 50, got {self.guidance_scale:g}")
        if not 0 <= self.motion_strength <= MAX_STRENGTH:
            raise ValueError(f"expected a motion strength of 0 to {MAX_STRENGTH:g}, got {self.motion_strength:g}")
        if not MIN_TEMPO <= self.tempo <= MAX_TEMPO:
            raise ValueError(f"expected a tempo of {MIN_TEMPO:g} to {MAX_TEMPO:g}, got {self.tempo:g}")
        if any(len(arrow) != 4 for arrow in self.arrows) or any(len(pin) != 2 for pin in self.pins):
            raise ValueError(f"expected four numbers an arrow and two a pin, got {self.arrows + self.pins}")
        if any(not 0 <= number <= 1 for point in (*self.arrows, *self.pins) for number in point):
            raise ValueError(f"expected arrows and pins within the picture (fractions 0 to 1), got {self.arrows + self.pins}")
        if len(self.arrows) + len(self.pins) > MAX_DIRECTIONS:
            raise ValueError(f"expected at most {MAX_DIRECTIONS} arrows and pins, got {len(self.arrows) + len(self.pins)}")
        if self.quality not in QUALITIES:
            raise ValueError(f"expected a quality out of {', '.join(QUALITIES)}, got {self.quality}")
        if self.codec is not None and self.codec not in CODECS:
            raise ValueError(f"expected a codec out of {', '.join(CODECS)}, got {self.codec}")
        if self.max_size is not None and not 0 < self.max_size <= 1e6:
            raise ValueError(f"expected a largest size above 0 (megabytes, to a million), got {self.max_size:g}")
        if not 1 <= self.repeats <= 1000:
            raise ValueError(f"expected 1 to 1000 repeats, got {self.repeats}")


@lru_cache(maxsize=1)
def pipeline(preset: str, checkpoint: str | None, device: str):
    """The loaded pipeline, kept for the next loop."""
    # torch and diffusers take seconds to import
    import diffusers.utils.logging
    import transformers.utils.logging

    from loopanimate.checkpoints import load_pipeline

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    loaded = load_pipeline(preset, checkpoint, device)
    loaded.set_progress_bar_config(disable=True)
    return loaded


@dataclass(frozen=True)
class Loop:
    """A sampled loop: what any number of files are written from without sampling again."""

    picture: Image.Image  # at the output size, or within it
    mask: np.ndarray  # (H, W) in [0, 1], as used
    found: bool  # False: no clear object and no mask given, so the whole picture moves
    settings: LoopSettings
    latents: object  # tensor (4, N, h, w), of motion that of the whole picture
    intents: tuple[Intent, Intent]  # what the prompt asks of the object and of the background
    note: str | None  # a sentence, where the prompt's words were taken for others
    part: tuple[float, float, float, float]  # left, top, right, bottom of what the cut kept, in fractions of the whole
    surround: Image.Image | None = None  # of the output size, behind the picture's middle

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of a frame."""
        return (self.surround or self.picture).size

    def frames(self, times: list[float], planar: bool = False) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 at `times` in native frames, directions applied, one at a time; planar: for a video."""
        settings = self.settings
        codec = pipeline(settings.preset, settings.checkpoint, settings.device).codec
        latents = codec.part(self.latents, self.part, self.picture.size)
        frames = codec.frames(
            latents,
            np.asarray(self.picture),
            self.mask,
            times,
            settings.motion_strength,
            self.directions(),
            planar and self.surround is None,
        )
        frames = _resized(frames, self.picture.size)
        return frames if self.surround is None else _surrounded(frames, np.asarray(self.surround))

    def directions(self) -> Directions | None:
        """The settings' arrows, pins and frozen places on the picture as it was cut to the output's size; and its words' manner."""
        settings = self.settings
        if not (settings.arrows or settings.pins or settings.freeze or self.intents != (Intent(), Intent())):
            return None
        arrows, pins = ([within(self.part, points) for points in given] for given in (settings.arrows, settings.pins))
        freeze = None
        if settings.freeze:
            freeze = Image.open(io.BytesIO(settings.freeze)).convert("L")
            box = tuple(share * side for share, side in zip(self.part, 2 * freeze.size))
            freeze = np.asarray(freeze.resize(self.picture.size, Image.Resampling.BILINEAR, box=box), np.float32) / 255
        return Directions(
            tuple(arrow for arrow in arrows if 0 <= min(arrow[:2]) and max(arrow[:2]) <= 1),  # what was cut off has gone
            tuple(pin for pin in pins if 0 <= min(pin) and max(pin) <= 1),
            freeze,
            self.mask,
            self.intents,
        )

    def write(self, output: str | Path, metadata: str | None = None, progress: Progress | None = None) -> "LoopFile":
        """Render into a file; its ending chooses the format. Nothing is half-written.

        Args:
            metadata: text that the file carries (see recipe.py).
            progress: called after each frame; whatever it raises stops the work.
        """
        output, settings = check_output(output), self.settings
        check_coding(output.suffix.lower(), settings.codec, settings.max_size)
        if output.suffix.lower() == PAGE:
            return self.write_page(output, metadata=metadata)
        fps = frame_rate(settings.fps, output.suffix.lower())
        film = output.suffix.lower() in VIDEO  # one turn is coded and then copied
        times = frame_times(settings.num_frames, fps, 1.0 if settings.fps == "native" else settings.tempo)
        # a picture file goes round by itself: no program waits at its wrap
        repeats = turns(settings.size, settings.repeats, len(times) / fps) if film else settings.repeats
        write_loop(
            output,
            self.frames(times, film),
            fps,
            len(times),
            metadata,
            repeats,
            settings.quality,
            settings.codec,
            settings.max_size,
            progress,
        )
        count = len(times) * repeats
        return LoopFile(output, count, float(count / fps), self.size)

    def write_page(self, output: str | Path, others: Sequence["Loop"] = (), metadata: str | None = None) -> "LoopFile":
        """Write a living page; with `others`, loops of the same picture and mask, it wanders among all of them."""
        output = check_output(output)
        check_page(self.settings)
        fields = [loop.field() for loop in (self, *others)]
        settings = self.settings
        write_living(output, np.asarray(self.picture), self.mask, fields, settings.prompt, metadata, settings.tempo)
        return LoopFile(output, fields[0].period, fields[0].period / NATIVE_FPS / settings.tempo, self.picture.size)

    def field(self) -> LoopField:
        """How the picture moves, at the settings' strength and as directed."""
        settings = self.settings
        codec = pipeline(settings.preset, settings.checkpoint, settings.device).codec
        moved = codec.displacement(codec.part(self.latents, self.part, self.picture.size))
        return LoopField(moved, settings.motion_strength, self.directions(), touched(self.mask))

    def resized(self, picture: Image.Image, settings: LoopSettings, mask: np.ndarray | None = None) -> "Loop":
        """The same motion of `picture`, from which the loop was made with `mask`, at the settings' size.

        Raises ValueError, in one sentence, for a size that does not fit or a loop of appearance.
        """
        settings.check()
        if not pipeline(settings.preset, settings.checkpoint, settings.device).codec.is_motion:
            raise ValueError("expected a loop of the motion preset: an appearance is sampled at the shape that it is shown in")
        return replace(self, settings=settings, **_shown(picture, _mask(picture, settings, mask)[0], settings))


@dataclass(frozen=True)
class LoopFile:
    path: Path
    frames: int  # of a living page, which draws as many as the screen shows, the network's own
    seconds: float
    size: tuple[int, int]  # width, height


def check_page(settings: LoopSettings) -> None:
    """Raises ValueError for settings whose loops are no motion, which a living page needs."""
    if settings.preset != "motion":
        raise ValueError(f"expected the motion preset for a living page, got {settings.preset}: it makes frames, not motion")


def make_loop(
    picture: Image.Image, settings: LoopSettings, mask: np.ndarray | None = None, progress: Progress | None = None
) -> Loop:
    """Animate a picture.

    Args:
        picture: upright RGB, as `media.open_picture` gives it.
        mask: (H, W) in [0, 1], white moves, of the picture's size; None detects the salient object.
        progress: called after each sampling step; whatever it raises stops the work.

    Raises: ValueError in one sentence, before any work, for a setting out of range or a mask that does not fit.
    """
    return make_loops(picture, settings, [settings.seed], mask, progress)[0]


def make_loops(
    picture: Image.Image,
    settings: LoopSettings,
    seeds: list[int],
    mask: np.ndarray | None = None,
    progress: Progress | None = None,
    preview: Callable[[Loop], None] | None = None,
) -> list[Loop]:
    """Several seeds of one loop, sampled together; each gives the loop that it gives alone, but for float rounding.

    preview: called after each step, before `progress`, with the first seed's loop as it stands by then.
    """
    settings.check()
    output_size(settings.size, *picture.size)
    loaded = pipeline(settings.preset, settings.checkpoint, settings.device)
    mask, found = _mask(picture, settings, mask)
    shown = _shown(picture, mask, settings)
    reading = Reading(settings.prompt, None, (Intent(), Intent()))
    if loaded.codec.is_motion:  # one seed is one motion, however much of it a size shows
        reading = read(settings.prompt, loaded)
    else:
        picture, mask = shown["picture"], shown["mask"]

    def loop(latents, seed):
        how = {"intents": reading.layers, "note": reading.note}
        return Loop(found=found, settings=replace(settings, seed=seed), latents=latents, **how, **shown)

    def on_step(step, steps, latents):
        if preview is not None:
            preview(loop(latents[0], seeds[0]))
        if progress is not None:
            progress(step, steps)

    return [loop(*made) for made in zip(_sample(loaded, picture, mask, reading.sentence, settings, seeds, on_step), seeds)]


def _mask(picture: Image.Image, settings: LoopSettings, mask: np.ndarray | None) -> tuple[np.ndarray, bool]:
    """The mask of the whole picture, edited as the settings have it, and whether one was given or found."""
    if mask is not None and mask.shape != picture.size[::-1]:
        raise ValueError(f"expected a mask of {picture.width} x {picture.height}, got {mask.shape[1]} x {mask.shape[0]}")
    mask, found = automatic_mask(picture) if mask is None else (mask, True)
    return check_mask(edit(mask, settings.mask_grow, settings.mask_feather, settings.mask_invert)), found


def _shown(picture: Image.Image, mask: np.ndarray, settings: LoopSettings) -> dict:
    """What a loop of the settings' size shows of a picture."""
    size, around = output_size(settings.size, *picture.size), None
    if settings.fit and size != picture.size:
        whole, size = size, inside(size, *picture.size)
        around = surround(picture, whole) if size != whole else None
    part = tuple(edge / side for edge, side in zip(cover_box(mask, size), 2 * picture.size))
    picture, mask = cover(picture, mask, size)
    return {"picture": picture, "mask": mask, "part": part, "surround": around}


def _sample(loaded, picture: Image.Image, mask: np.ndarray, prompt: str, settings: LoopSettings, seeds: list[int], on_step):
    """Latents (B, 4, N, h, w) of the seeds; `on_step` gets step, steps and clean latents."""
    import torch

    scale = min(1.0, SAMPLING_SIDE / min(picture.size))
    small = tuple(max(1, round(side * scale)) for side in picture.size)

    def on_step_end(pipe, step, timestep, tensors):
        on_step(step + 1, len(pipe.scheduler.timesteps), tensors["clean_latents"])
        return tensors

    try:
        latents = loaded(
            image=picture.resize(small, Image.Resampling.LANCZOS),
            prompt=prompt,
            negative_prompt=settings.negative_prompt or None,
            mask_image=Image.fromarray((cv2.resize(mask, small, interpolation=cv2.INTER_AREA) * 255).round().astype(np.uint8)),
            num_frames=settings.num_frames,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            num_videos_per_prompt=len(seeds),
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            callback_on_step_end=on_step_end,
            output_type="latent",
        ).frames
        safe = loaded.is_safe(latents)
    except torch.OutOfMemoryError:
        raise ValueError(
            f"expected more free GPU memory for {settings.num_frames} frames: close what else uses it, or ask for fewer "
            "(--num-frames 21) or for the processor (--device cpu)"
        ) from None
    if not safe:
        raise ValueError(
            "expected a loop that the checkpoint's safety checker passes, got none: try other words or another seed"
        )
    return latents


def _resized(frames: Iterator[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames of a codec that has a size of its own, at `size` (width, height)."""
    for pixels in frames:
        same = pixels.ndim == 2 or pixels.shape[1::-1] == size
        yield pixels if same else np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _surrounded(frames: Iterator[np.ndarray], around: np.ndarray) -> Iterator[np.ndarray]:
    """RGB frames in the middle of a picture (H, W, 3)."""
    for pixels in frames:
        top, left = ((whole - part) // 2 for whole, part in zip(around.shape, pixels.shape[:2]))
        framed = around.copy()
        framed[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        yield framed
