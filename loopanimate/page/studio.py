"""Behind the page: the models, what is made with them step by step, and the files of it.

Generators yield HTML that says how it goes, or None when there is nothing new: closing one stops the work.
"""

try:
    import spaces  # ZeroGPU's, which wants to be imported before torch
except ImportError:
    spaces = None

import base64
import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from loopanimate.files.formats import read_metadata
from loopanimate.files.living import motion_of, write_living
from loopanimate.files.pictures import open_picture
from loopanimate.files.recipe import of_frame, open_small_png, pack, small_png, unpack
from loopanimate.loop import Loop, LoopFile, LoopSettings, make_loops, pipeline
from loopanimate.page import canvas, wording
from loopanimate.page.preview import first_frame, scaled, webp
from loopanimate.page.working import POLL, told
from loopanimate.presets import NATIVE_FPS
from loopanimate.scene.saliency import automatic_mask, edit, session

LIVING_SIDE = 800  # pixels on the long side of the living preview
GLIMPSE_SIDE, GLIMPSE_SECONDS = 224, 0.7  # of the moving picture while sampling, and how often it is renewed
SAME_FREEZE = 0.0005  # of the picture: less than a dot of a small brush
KEEP_SECONDS = 3600  # finished files on disk
ON_ZERO = spaces is not None and os.environ.get("SPACES_ZERO_GPU") is not None
FILES = tempfile.TemporaryDirectory(prefix="loopanimate-")
OPTIONS = {"checkpoint": None, "public": "SPACE_ID" in os.environ}  # of the command line; public: strangers use the page
BROWSABLE = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "AVIF", "BMP")  # pictures that every browser shows


class Warm(threading.Thread):
    """Loads one model off the start-up path; whoever needs it first waits for it."""

    def __init__(self, load, *arguments):
        super().__init__(daemon=True)
        self.load, self.arguments = load, arguments

    def run(self):
        try:
            self.load(*self.arguments)
        except ValueError:
            pass  # said again, in words, to the first person who needs it

    def wait(self):
        if self.ident is not None:
            self.join()

    def waiting(self) -> Iterator[None]:
        """Yields until it is loaded: whoever waits can stop."""
        while self.is_alive():
            yield
            self.join(POLL)


MODELS = {"mask": Warm(session), "motion": Warm(pipeline, "motion", None, "auto")}


def loading(settings: LoopSettings) -> Iterator[None]:
    """Yields until the models that these settings need are loaded."""
    for warm in MODELS.values():
        yield from warm.waiting()
    wanted = settings.preset, settings.checkpoint, settings.device
    if MODELS["motion"].arguments != wanted and not ON_ZERO:
        MODELS["motion"] = Warm(pipeline, *wanted)
        MODELS["motion"].start()
        yield from MODELS["motion"].waiting()


gpu = spaces.GPU(duration=120) if spaces else lambda function: function
opened = lru_cache(maxsize=4)(open_picture)


class Kept:
    """A generator whose return value is kept as `result`."""

    def __init__(self, generator):
        self.generator = generator

    def __iter__(self):
        self.result = yield from self.generator


@dataclass(frozen=True)
class Shown:
    """The loop on the page."""

    path: str  # the picture's
    mask: np.ndarray | None  # (h, w) in [0, 1], as painted
    loop: Loop
    file: LoopFile
    thumbnail: str
    living: Path | None  # the living page of it, in which hands may change it; None for the frames of an appearance model

    def is_kept(self) -> bool:
        """Whether its files are still there: they go after KEEP_SECONDS."""
        return all(Path(path).is_file() for path in (self.path, self.file.path, self.thumbnail))

    def packed(self) -> "Shown":
        """As it is kept for the visit: the mask of the loop in 8 bits, a quarter of its memory."""
        return replace(self, loop=replace(self.loop, mask=np.rint(self.loop.mask * 255).astype(np.uint8)))

    def unpacked(self) -> "Shown":
        return replace(self, loop=replace(self.loop, mask=self.loop.mask.astype(np.float32) / 255))

    def caption(self) -> str:
        return f"{self.loop.settings.prompt} · seed {self.loop.settings.seed}"


@gpu
def sampled(picture, settings, seeds, mask):
    """make_loops as a generator: yields (step, steps, glimpse as WebP or None), returns the loops."""
    newest = [0.0, None]

    def work(tell):
        def glimpse(loop):
            if time.monotonic() - newest[0] > GLIMPSE_SECONDS and _codec(settings).is_motion:
                newest[:] = time.monotonic(), webp(loop, GLIMPSE_SIDE, NATIVE_FPS)

        return make_loops(picture, settings, seeds, mask, lambda step, steps: tell((step, steps, newest[1])), glimpse)

    loops = yield from told(work)
    # what a ZeroGPU function gives back leaves the process that has the device
    yield [replace(loop, latents=loop.latents.cpu()) for loop in loops] if ON_ZERO else loops


def settings_of(
    editor,
    prompt,
    num_frames,
    seed,
    strength,
    tempo,
    steps,
    guidance,
    negative,
    preset,
    checkpoint,
    fps,
    size,
    fit,
    repeats,
    directions,
) -> tuple[LoopSettings, np.ndarray | None]:
    """What the controls say, checked, and the painted mask (h, w)."""
    mask = canvas.read(editor["layers"])[0] if editor and editor.get("layers") else None
    arrows, pins = canvas.directions(directions or [])
    settings = LoopSettings(
        prompt=prompt or "",
        preset=preset,
        checkpoint=(not OPTIONS["public"] and (checkpoint or "").strip()) or OPTIONS["checkpoint"],
        num_frames=int(num_frames),
        seed=int(seed if seed is not None else 0),
        num_inference_steps=int(steps) or None,
        guidance_scale=guidance or None,
        negative_prompt=negative or "",
        motion_strength=strength,
        tempo=tempo,
        arrows=arrows,
        pins=pins,
        freeze=frozen(editor),
        fps=rate(fps),
        size=size or "none",
        fit=fit,
        repeats=int(repeats),
    )
    settings.check()
    return settings, mask


def rate(text: str | None) -> float | str:
    """Frames a second as they are typed."""
    try:
        return text if text == "native" else float(text)
    except (TypeError, ValueError):
        raise ValueError(f"expected native or frames a second, got “{text or ''}”") from None


def asked(prompt, num_frames, seed, motion_strength, size) -> LoopSettings:
    """What a program asks for, checked."""
    try:
        settings = LoopSettings(
            prompt or "",
            num_frames=int(num_frames),
            seed=int(seed),
            size=size or "none",
            motion_strength=float(motion_strength),
            checkpoint=OPTIONS["checkpoint"],
        )
    except (TypeError, OverflowError):
        raise ValueError(
            f"expected numbers for num_frames, seed and motion_strength, got {num_frames}, {seed} and {motion_strength}"
        ) from None
    settings.check()
    return settings


def recovered(file: str, path: str | None) -> tuple[LoopSettings, np.ndarray | None, str]:
    """Settings, mask and picture of a finished loop; its first frame is the picture where there is none at `path`."""
    settings, mask = unpack(read_metadata(file))
    if path is None:
        frame = first_frame(file)
        if mask is not None:
            frame, settings, mask = of_frame(frame, settings, mask)
        path = str(new_file(".png"))
        frame.save(path)
    return settings, mask, path


def painted(settings: LoopSettings, mask: np.ndarray | None, path: str) -> tuple[Image.Image, np.ndarray, np.ndarray | None]:
    """A loop's picture, small, its mask (h, w), found where none was painted, and its frozen places, as an editor has them."""
    small = canvas.small(opened(path))
    if mask is None:
        MODELS["mask"].wait()
        mask, _ = automatic_mask(small)
    mask = edit(canvas.fit(mask, small.size), settings.mask_grow, settings.mask_feather, settings.mask_invert)
    freeze = settings.freeze and canvas.fit(open_small_png(settings.freeze), small.size)
    return small, mask, freeze


def browsable(path: str) -> str:
    """The picture's file, or a JPEG copy of one that not every browser shows."""
    with Image.open(path) as file:
        if file.format in BROWSABLE:
            return path
    copy = new_file(".jpg")
    opened(path).save(copy, quality=95, subsampling=0)
    return str(copy)


def sampling(path, settings, seeds, mask):
    """Generator of HTML that says how it goes; returns loops."""
    picture = opened(path)
    for _ in loading(settings):
        yield wording.working("Loading the model …")
    start, loops = time.monotonic(), None
    mask = None if mask is None else canvas.fit(mask, picture.size)
    for word in sampled(picture, settings, seeds, mask):
        if isinstance(word, list):
            loops = word
        elif word is None:
            yield None
        else:
            step, steps, glimpse = word
            left = (time.monotonic() - start) / step * (steps - step)
            yield wording.working(f"Step {step} of {steps} · about {max(1, round(left))} s left", step / (steps + 1), glimpse)
    return loops


def resized(shown: Shown, settings):
    """Generator of HTML that says how it goes; returns the loop at the settings' size."""
    loop = shown.loop
    if (settings.size, settings.fit) == (loop.settings.size, loop.settings.fit):
        return replace(loop, settings=settings)
    if not _codec(settings).is_motion:
        return (yield from sampling(shown.path, settings, [settings.seed], shown.mask))[0]
    picture = opened(shown.path)
    return loop.resized(picture, settings, None if shown.mask is None else canvas.fit(shown.mask, picture.size))


def frozen(editor) -> bytes | None:
    """What is painted to stay, as settings carry it."""
    freeze = canvas.read(editor["layers"])[1] if editor and editor.get("layers") else None
    return None if freeze is None else small_png(freeze)


def as_text(freeze: bytes | None) -> str:
    """A frozen place as text, whose change a page notices."""
    return base64.b64encode(freeze or b"").decode()


def directed(loop: Loop, texts, freeze: str | None, strength, tempo) -> Loop:
    """The loop by other hands; the same one where nothing changes. Raises ValueError in one sentence."""
    arrows, pins = canvas.directions(texts or [])
    freeze = base64.b64decode(freeze or "") or None
    if alike(freeze, loop.settings.freeze):
        freeze = loop.settings.freeze
    settings = replace(loop.settings, arrows=arrows, pins=pins, freeze=freeze, motion_strength=strength, tempo=tempo)
    settings.check()
    return loop if settings == loop.settings else replace(loop, settings=settings)


def alike(freeze: bytes | None, other: bytes | None) -> bool:
    """Whether two frozen places are one but for the edge that an editor's drawing leaves different."""
    if freeze is None or other is None:
        return freeze is other
    one, two = (open_small_png(content) for content in (freeze, other))
    return bool(np.abs(one - canvas.fit(two, one.shape[::-1])).mean() < SAME_FREEZE)


def living(loop: Loop) -> Path | None:
    """A small living page of the loop at its own pace, for the page around it to play with."""
    if not _codec(loop.settings).is_motion:
        return None
    small = scaled(loop, LIVING_SIDE)
    target = new_file(".html")
    write_living(target, np.asarray(small.picture), small.mask, [small.field()], loop.settings.prompt)
    return target


def moved(loop: Loop) -> str:
    """A JSON file for the living page: how the loop moves by its present directions, and the strength that it is drawn for.

    A file, as a page takes a second to pass so long a text on.
    """
    target = new_file(".json")
    target.write_text(json.dumps({"strength": loop.settings.motion_strength, "motion": motion_of([loop.field()])}))
    return str(target)


def _codec(settings: LoopSettings):
    return pipeline(settings.preset, settings.checkpoint, settings.device).codec


def rendering(loop, path, mask, embed, living):
    """Generator of HTML; returns Shown."""
    shown = scaled(loop, wording.SHOWN_SIDE)
    target = new_file(".mp4")
    recipe = pack(loop.settings, mask) if embed else None
    glimpse = webp(loop, GLIMPSE_SIDE, NATIVE_FPS)
    writing = Kept(told(lambda tell: shown.write(target, recipe, lambda *done: tell(done))))
    for word in writing:
        yield wording.working("Rendering", word[0] / word[1], glimpse, bool(living)) if word else None
    thumbnail = new_file(".webp")
    thumbnail.write_bytes(glimpse)
    return Shown(path, mask, loop, writing.result, str(thumbnail), living)


def new_file(ending: str) -> Path:
    """A name for a finished file; old ones go."""
    folder = Path(FILES.name)
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > KEEP_SECONDS:
            old.unlink(missing_ok=True)
    return folder / f"loop-{random.getrandbits(48):012x}{ending}"
