"""The one road from picture, mask and words to a finished loop: the page and the command line both take it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from loopanimate.export import cover, frame_rate, frame_times, output_size
from loopanimate.field import LoopField
from loopanimate.living import write_living
from loopanimate.media import PAGE, check_mask, check_output, write_loop
from loopanimate.presets import MAX_FRAMES, NATIVE_FPS, PRESETS, check_num_frames
from loopanimate.saliency import automatic_mask, edit

SAMPLING_SIDE = 512  # pixels on the short side of what the networks see; the loop is rendered from the picture itself
MAX_STRENGTH = 4.0
Progress = Callable[[int, int], None]  # steps done, steps in all; may raise to cancel


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
    motion_strength: float = 1.0  # factor on displacement
    fps: float | str | None = None  # frames a second, "native" or None: 30 (12.5 for GIF)
    size: str = "source"  # or 1080p, 1440p, 4k, phone, WxH
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

    picture: Image.Image  # at the output size
    mask: np.ndarray  # (H, W) in [0, 1], as used
    found: bool  # False: no clear object and no mask given, so the whole picture moves
    settings: LoopSettings
    latents: object  # tensor (4, N, h, w)

    def write(self, output: str | Path) -> "LoopFile":
        """Render into a file; its ending chooses the format. Nothing is half-written."""
        output, settings = check_output(output), self.settings
        if output.suffix.lower() == PAGE:
            return self.write_page(output)
        fps = frame_rate(settings.fps, output.suffix.lower())
        times = frame_times(settings.num_frames, fps, settings.repeats)
        codec = pipeline(settings.preset, settings.checkpoint, settings.device).codec
        frames = codec.frames(self.latents, np.asarray(self.picture), self.mask, times, settings.motion_strength)
        write_loop(output, _resized(frames, self.picture.size), fps)
        return LoopFile(output, len(times), float(len(times) / fps), self.picture.size)

    def write_page(self, output: str | Path, others: Sequence["Loop"] = ()) -> "LoopFile":
        """Write a living page; with `others`, loops of the same picture and mask, it wanders among all of them."""
        output = check_output(output)
        check_page(self.settings)
        fields = [loop.field() for loop in (self, *others)]
        write_living(output, np.asarray(self.picture), self.mask, fields, self.settings.prompt)
        return LoopFile(output, fields[0].period, fields[0].period / NATIVE_FPS, self.picture.size)

    def field(self) -> LoopField:
        """How the picture moves, at the settings' strength."""
        settings = self.settings
        codec = pipeline(settings.preset, settings.checkpoint, settings.device).codec
        return LoopField(codec.displacement(self.latents), settings.motion_strength)


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


def make_loop(picture: Image.Image, settings: LoopSettings, mask: np.ndarray | None = None,
              progress: Progress | None = None) -> Loop:  # fmt: skip
    """Animate a picture.

    Args:
        picture: upright RGB, as `media.open_picture` gives it.
        mask: (H, W) in [0, 1], white moves, of the picture's size; None detects the salient object.
        progress: called after each sampling step; whatever it raises stops the work.

    Raises: ValueError in one sentence, before any work, for a setting out of range or a mask that does not fit.
    """
    settings.check()
    size = output_size(settings.size, *picture.size)
    if mask is not None and mask.shape != picture.size[::-1]:
        raise ValueError(f"expected a mask of {picture.width} x {picture.height}, got {mask.shape[1]} x {mask.shape[0]}")
    loaded = pipeline(settings.preset, settings.checkpoint, settings.device)
    found = True
    if mask is None:
        mask, found = automatic_mask(picture)
    mask = check_mask(edit(mask, settings.mask_grow, settings.mask_feather, settings.mask_invert))
    picture, mask = cover(picture, mask, size)
    return Loop(picture, mask, found, settings, _sample(loaded, picture, mask, settings, progress))


def _sample(loaded, picture: Image.Image, mask: np.ndarray, settings: LoopSettings, progress: Progress | None):
    import torch

    scale = min(1.0, SAMPLING_SIDE / min(picture.size))
    small = tuple(max(1, round(side * scale)) for side in picture.size)
    steps = settings.num_inference_steps or loaded.config.num_inference_steps

    def on_step_end(_, step, timestep, tensors):
        if progress is not None:
            progress(step + 1, steps)
        return tensors

    try:
        latents = loaded(
            image=picture.resize(small, Image.Resampling.LANCZOS),
            prompt=settings.prompt,
            mask_image=Image.fromarray((cv2.resize(mask, small, interpolation=cv2.INTER_AREA) * 255).round().astype(np.uint8)),
            num_frames=settings.num_frames,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            generator=torch.Generator().manual_seed(settings.seed),
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
    return latents[0]


def _resized(frames: Iterator[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames of a codec that has a size of its own, at `size` (width, height)."""
    for pixels in frames:
        same = pixels.shape[1::-1] == size
        yield pixels if same else np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
