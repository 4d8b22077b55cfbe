"""From parts to motion: sample the network, and edit what it sampled as the words ask."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from PIL import Image, ImageOps

from loopanimate.metrics import is_seamless, seam
from loopanimate.motion.border import borders_of
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import apply, edits_from_words, edits_to_show, limit
from loopanimate.motion.field import Field
from loopanimate.motion.spin import spins_of
from loopanimate.motion.start import choose_start
from loopanimate.render.renderer import Renderer
from loopanimate.scene.layers import separate
from loopanimate.scene.parts import Part, Scene, carry, compose, weigh
from loopanimate.settings import Settings

SAMPLING_SIDE = 512  # pixels on the short side of what the networks see; the loop is rendered from the picture itself
PROOF_SIDE = 256  # pixels on the short side of the frames on which a wrap is proved to be no seam


def sample(pipe, picture: Image.Image, parts: Sequence[Part], settings: Settings, seeds: list[int], on_step):
    """Latents (parts x seeds, 4, N, h, w); `on_step` gets step, steps and clean latents."""
    import torch

    request = settings.request
    masks = [cv2.resize(part.mask, picture.size, interpolation=cv2.INTER_AREA) for part in parts]
    seen = [(picture, Image.fromarray(np.rint(mask * 255).astype(np.uint8))) for mask in masks]
    # what hangs is sampled upside down: the network knows only what is fixed at its base
    seen = [tuple(map(ImageOps.flip, pair)) if part.intent.hangs else pair for part, pair in zip(parts, seen)]

    def on_step_end(pipe, step, timestep, tensors):
        on_step(step + 1, len(pipe.scheduler.timesteps), tensors["clean_latents"])
        return tensors

    try:
        latents = pipe(
            image=[shown for shown, _ in seen],
            prompt=[part.sentence for part in parts],
            negative_prompt=request.negative_prompt or None,
            mask_image=[mask for _, mask in seen],
            num_frames=request.num_frames,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            num_videos_per_prompt=len(seeds),
            generator=[torch.Generator().manual_seed(_spread(seed, row)) for row in range(len(parts)) for seed in seeds],
            callback_on_step_end=on_step_end,
            output_type="latent",
        ).frames
        safe = pipe.is_safe(latents)
    except torch.OutOfMemoryError:
        raise ValueError(
            f"expected more free GPU memory for {request.num_frames} frames: close what else uses it, or ask for fewer "
            "(--num-frames 21) or for the processor (--device cpu)"
        ) from None
    if not safe:
        raise ValueError(
            "expected a loop that the checkpoint's safety checker passes, got none: try other words or another seed"
        )
    return latents


def _spread(seed: int, row: int) -> int:
    """A seed for each part; the first part's is the loop's own."""
    return (seed + row * 0x9E3779B97F4A7C15) % 2**63


def shrink(picture: Image.Image) -> Image.Image:
    """A copy at the size that the networks see."""
    scale = min(1.0, SAMPLING_SIDE / min(picture.size))
    return picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS, reducing_gap=2.0)


def prover(picture: Image.Image, masks: Sequence[np.ndarray]) -> Callable[[Motion], bool]:
    """A judge of wraps: is the seam of a shown motion, on its own small frames, like any other place? Masks may be larger."""
    short = max(min(picture.size), math.sqrt(math.prod(picture.size) / 4))  # from 4 : 1 on, frames get no larger
    scale = min(1.0, PROOF_SIDE / short)
    size = [int(side * scale) for side in picture.size]
    pixels, *greys = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (np.asarray(picture), *masks))
    borders, layers = borders_of(masks), separate(pixels, greys, None)

    def is_proved(motion: Motion) -> bool:
        renderer = Renderer(pixels, greys, Field(motion, borders), layers=layers)
        return is_seamless(seam(np.stack([renderer.frame(time) for time in range(motion.period)])))

    return is_proved


def obey(motions: Sequence[Motion], scene: Scene, proves: Callable[[Motion], bool] | None) -> Motion:
    """Edit sampled motions, one a part, as words ask; with a `prover`, begin where the wrap is no seam."""
    if any(layer.settled for layer in scene.layers):
        motions = [motion.refine(2) for motion in motions]  # what rests along a rim is a row of cells
    weights = weigh(scene.masks, motions[0])
    motion = compose(scene, motions, weights)
    motion = carry(scene, apply(motion, edits_from_words(scene.intents, weights, motion.period)))
    if proves is None:
        return motion
    borders = borders_of(scene.masks)
    spins = spins_of(scene.intents, scene.masks, motion.period)
    edits = [*edits_to_show(scene.intents, weights, spins=spins), partial(limit, borders=borders, spins=spins)]
    ways, hops = [intent.way for intent in scene.intents], any(intent.hops for intent in scene.intents)
    return choose_start(motion, partial(apply, edits=edits), weights, ways, hops, proves)
