"""Behind the page: the models, what is made with them step by step, and the files of it.

Generators yield HTML that says how it goes, or None when there is nothing new: closing one stops the work.
"""

try:
    import spaces  # ZeroGPU's, which wants to be imported before torch
except ImportError:
    spaces = None

import json
import os
import random
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from loopanimate import canvas, wording
from loopanimate.living import motion_of, write_living
from loopanimate.loop import Loop, LoopFile, LoopSettings, make_loops, pipeline
from loopanimate.media import open_picture
from loopanimate.presets import NATIVE_FPS
from loopanimate.preview import scaled, webp
from loopanimate.recipe import pack, small_png
from loopanimate.saliency import session
from loopanimate.working import told

LIVING_SIDE = 800  # pixels on the long side of the living preview
GLIMPSE_SIDE, GLIMPSE_SECONDS = 224, 0.7  # of the moving picture while sampling, and how often it is renewed
KEEP_SECONDS = 3600  # finished files on disk
ON_ZERO = spaces is not None and os.environ.get("SPACES_ZERO_GPU") is not None
FILES = tempfile.TemporaryDirectory(prefix="loopanimate-")
OPTIONS = {"checkpoint": None}  # of the command line


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


MODELS = {"mask": Warm(session), "motion": Warm(pipeline, "motion", None, "auto")}


def ready() -> None:
    """Waits for the models that are loading."""
    for warm in MODELS.values():
        warm.wait()


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
    yield loops


def settings_of(editor, prompt, num_frames, seed, strength, tempo, steps, guidance, negative, preset, checkpoint, fps, size,
                fit, repeats, directions) -> tuple[LoopSettings, np.ndarray | None]:  # fmt: skip
    """What the controls say, checked, and the painted mask (h, w)."""
    mask = freeze = None
    if editor is not None and editor.get("layers"):
        mask, freeze = canvas.read(editor["layers"])
    arrows, pins = canvas.directions(directions or [])
    settings = LoopSettings(
        prompt=prompt or "",
        preset=preset,
        checkpoint=(checkpoint or "").strip() or OPTIONS["checkpoint"],
        num_frames=int(num_frames),
        seed=int(seed if seed is not None else 0),
        num_inference_steps=int(steps) or None,
        guidance_scale=guidance or None,
        negative_prompt=negative or "",
        motion_strength=strength,
        tempo=tempo,
        arrows=arrows,
        pins=pins,
        freeze=None if freeze is None else small_png(freeze),
        fps=fps if fps == "native" else float(fps),
        size=size,
        fit=fit,
        repeats=int(repeats),
    )
    settings.check()
    return settings, mask


def sampling(path, settings, seeds, mask):
    """Generator of HTML that says how it goes; returns loops."""
    picture = opened(path)
    if any(warm.is_alive() for warm in MODELS.values()):
        yield wording.working("Loading the model …")
        ready()
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


def living(loop: Loop) -> Path | None:
    """A small living page of the loop at its own pace, for the page around it to play with."""
    if not _codec(loop.settings).is_motion:
        return None
    small = scaled(loop, LIVING_SIDE)
    target = new_file(".html")
    write_living(target, np.asarray(small.picture), small.mask, [small.field()], loop.settings.prompt)
    return target


def moved(loop: Loop) -> str:
    """JSON for the living page: how the loop moves by its present directions, and the strength that this is drawn for."""
    return json.dumps({"strength": loop.settings.motion_strength, "motion": motion_of([loop.field()])})


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
