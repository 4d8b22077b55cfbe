"""LoopAnimatePipeline: picture, words and mask to a loop's latents, and to its frames (train/METHOD.md §3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import PIL.Image
import torch
from diffusers import DiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from transformers import CLIPVisionModelWithProjection

from loopanimate.motion.border import ALL_BORDERS, touched_borders
from loopanimate.motion.edits import drop_drift, drop_residue, limit, scale
from loopanimate.motion.field import Field
from loopanimate.network.codecs import VAECodec
from loopanimate.network.conditioning import condition, mask_code
from loopanimate.network.denoiser import Denoiser, GuidedUNet
from loopanimate.network.encoders import PatchEncoder, encode_image, encode_text
from loopanimate.network.few_passes import FewPassScheduler
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.network.sampler import check_scheduler, sample, start_schedule
from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.presets import MAX_FRAMES, check_num_frames
from loopanimate.render.renderer import Renderer

OUTPUT_TYPES = ("pil", "np", "pt", "latent")
# where classes stood when older checkpoints were saved: their model_index.json names modules
MOVED_MODULES = {
    f"loopanimate.{name}": f"loopanimate.network.{name}" for name in ("codecs", "encoders", "motion_codec", "unet")
}


@dataclass
class LoopAnimateOutput(BaseOutput):
    """frames: by output_type "pil" a list of images for each loop, "np" (B, N, H, W, 3), "pt" (B, N, 3, H, W), both in
    [0, 1], or "latent" (B, 4, N, h, w)."""

    frames: list[list[PIL.Image.Image]] | np.ndarray | torch.Tensor


@dataclass(frozen=True)
class SamplingOptions:
    """How loops are sampled: the numbers of one call."""

    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    guidance_interval: tuple[float, float]
    strength: float
    hold_ends: bool
    cache_interval: int
    copies: int  # loops of each picture and prompt


@dataclass(frozen=True)
class Prepared:
    """B loops before they are sampled, copies included."""

    image: torch.Tensor  # (B, 3, H, W) in [-1, 1]
    mask: torch.Tensor  # (B, 1, H, W) in [0, 1]
    clip: torch.Tensor  # (B, 4, N, h, w), the picture's latents N times
    noise: torch.Tensor  # (B, 4, N, h, w)
    timesteps: torch.Tensor  # (K,), falling
    denoiser: Denoiser


class LoopAnimatePipeline(DiffusionPipeline):
    """Samples loops whose first and last frame are the given picture.

    Components: `unet` LoopAnimateUNet; `scheduler`, one of `sampler.SCHEDULERS` or a student's FewPassScheduler; `codec`
    VAECodec or MotionCodec; `image_encoder` PatchEncoder or CLIP vision model with projection; `tokenizer` and
    `text_encoder`, BERT or CLIP; `safety_checker` and `feature_extractor`, those of Stable Diffusion, if the checkpoint has
    them.
    `num_inference_steps`, `guidance_scale` and `guidance_interval` are the checkpoint's own defaults.
    """

    model_cpu_offload_seq = "text_encoder->image_encoder->unet->codec->safety_checker"
    _callback_tensor_inputs = ("latents", "clean_latents")
    _optional_components: ClassVar[list[str]] = ["safety_checker", "feature_extractor"]

    def __init__(
        self,
        unet: LoopAnimateUNet,
        scheduler,
        codec: VAECodec | MotionCodec,
        image_encoder: PatchEncoder | CLIPVisionModelWithProjection,
        tokenizer,
        text_encoder,
        num_inference_steps: int = 25,
        guidance_scale: float = 1.0,
        guidance_interval: tuple[float, float] | list[float] = (0.0, 1.0),
        safety_checker=None,
        feature_extractor=None,
    ):
        super().__init__()
        self.register_modules(
            unet=unet,
            scheduler=scheduler,
            codec=codec,
            image_encoder=image_encoder,
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
        )
        self.register_to_config(
            num_inference_steps=num_inference_steps, guidance_scale=guidance_scale, guidance_interval=tuple(guidance_interval)
        )
        self._interrupt, self._guidance_scale, self._num_timesteps = False, guidance_scale, 0

    @classmethod
    def load_config(cls, *args, **kwargs):
        """Read a configuration; modules that have moved since it was saved get their names of today."""
        config = super().load_config(*args, **kwargs)
        if isinstance(config, dict):  # a tuple if more was asked for
            for name, value in config.items():
                if isinstance(value, list) and value and value[0] in MOVED_MODULES:
                    config[name] = [MOVED_MODULES[value[0]], *value[1:]]
        return config

    @property
    def guidance_scale(self) -> float:
        """Of the current call; a callback may set `_guidance_scale` for the steps to come."""
        return self._guidance_scale

    @property
    def num_timesteps(self) -> int:
        """Network evaluations of the current call."""
        return self._num_timesteps

    def speed_up(self, compile_blocks: bool = True) -> "LoopAnimatePipeline":
        """Prepare for a GPU what makes loops faster and changes none: fused projections, channels-last weights, compiled blocks.

        With `compile_blocks` the first loop of each size takes a minute longer.
        """
        self.unet.fuse_qkv_projections()
        self.unet.to(memory_format=torch.channels_last)
        if compile_blocks:
            # static shapes: blocks of different width share their code, so the compiler would take width for dynamic
            torch._dynamo.config.recompile_limit = 256
            torch._dynamo.config.suppress_errors = True  # a block that cannot be compiled runs as it is
            self.unet.compile_repeated_blocks(dynamic=False)
        return self

    @torch.no_grad()
    def is_safe(self, latents: torch.Tensor) -> bool:
        """Whether the checkpoint's safety checker, if it has one, passes the first and middle frame of (B, 4, N, h, w)."""
        if self.safety_checker is None:
            return True
        few = latents[:, :, [0, latents.shape[2] // 2]]
        return not any(self._refuses(self.codec.decode(few).transpose(1, 2)))

    def _refuses(self, frames: torch.Tensor) -> list[bool]:
        """Whether the safety checker refuses any frame of each of the clips (B, N, 3, H, W) in [0, 1]."""
        refused = []
        for clip in frames:
            pictures = VaeImageProcessor.numpy_to_pil(clip.permute(0, 2, 3, 1).float().cpu().numpy())
            pixels = self.feature_extractor(pictures, return_tensors="pt").pixel_values
            pixels = pixels.to(self._execution_device, self.safety_checker.dtype)
            refused.append(any(self.safety_checker(clip_input=pixels, images=[np.zeros(1)] * len(pictures))[1]))
        return refused

    @torch.no_grad()
    def __call__(
        self,
        image: PIL.Image.Image | np.ndarray | torch.Tensor | list,
        prompt: str | list[str] | None = None,
        mask_image: PIL.Image.Image | np.ndarray | torch.Tensor | list | None = None,
        num_frames: int = MAX_FRAMES,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | list[str] | None = None,
        strength: float = 1.0,
        hold_ends: bool = True,
        motion_strength: float = 1.0,
        guidance_interval: tuple[float, float] | None = None,
        cache_interval: int = 1,
        num_videos_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: torch.Tensor | None = None,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
        callback_on_step_end: Callable[["LoopAnimatePipeline", int, int, dict], dict] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents", "clean_latents"),
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> LoopAnimateOutput | tuple:
        """Animate a picture, or equally long lists of pictures (all of one size) and prompts.

        Args:
            image: picture(s), as any diffusers pipeline takes them; tensors and arrays in [0, 1].
            mask_image: white moves; None moves the whole picture.
            num_frames: N, odd, 3..35; the first equals the last.
            num_inference_steps, guidance_scale: None takes the checkpoint's defaults; guidance 1 is none.
            strength: in (0, 1], the part of the schedule that is run, from the picture noised to where it begins
                (train/METHOD.md §3).
            hold_ends: keep the ends at the picture while sampling; False is the paper's behaviour.
            motion_strength: factor on displacement; presets that sample appearance take 1 only.
            guidance_interval: the part of the steps, in [0, 1], that guidance is computed for; None takes the checkpoint's.
            cache_interval: run the deep blocks only every so many steps and reuse what they gave between; 1 is exact.
            generator: of the first noise and of the noise that ancestral schedulers add; a list has one for each loop.
            latents: white noise (B, 4, N, h, w) instead of the generator's, of all loops of all pictures.
            prompt_embeds, negative_prompt_embeds: text tokens (B, L, width), as `encoders.encode_text` gives them, instead of
                prompts.
            callback_on_step_end: called with (pipeline, step, timestep, {"latents", "clean_latents"}), the latter the
                current estimate of the result; may return replaced latents, raise, or set `_interrupt` or
                `_guidance_scale`.

        Raises: ValueError, one sentence that says what was expected and what came.
        """
        options = SamplingOptions(
            num_frames=num_frames,
            num_inference_steps=self.config.num_inference_steps if num_inference_steps is None else num_inference_steps,
            guidance_scale=self.config.guidance_scale if guidance_scale is None else guidance_scale,
            guidance_interval=self.config.guidance_interval if guidance_interval is None else guidance_interval,
            strength=strength,
            hold_ends=hold_ends,
            cache_interval=cache_interval,
            copies=num_videos_per_prompt,
        )
        names = getattr(callback_on_step_end, "tensor_inputs", callback_on_step_end_tensor_inputs)
        self._check(options, names, motion_strength, output_type)
        words = (prompt, prompt_embeds), (negative_prompt, negative_prompt_embeds)
        prepared = self._prepare(options, image, mask_image, *words, generator, latents)
        latents = self._sample(options, prepared, callback_on_step_end, names, generator)
        frames = self._decode(latents, prepared, motion_strength, output_type)
        self.maybe_free_model_hooks()
        return LoopAnimateOutput(frames=frames) if return_dict else (frames,)

    def _check(self, options: SamplingOptions, tensors: tuple[str, ...], motion_strength: float, output_type: str) -> None:
        """Raises ValueError, in one sentence, for what is out of its range."""
        check_num_frames(options.num_frames)
        start, end = options.guidance_interval
        unknown = sorted(set(tensors) - set(self._callback_tensor_inputs))
        for is_right, wanted in (
            (0 < options.strength <= 1, f"a strength in (0, 1], got {options.strength}"),
            (options.num_inference_steps >= 1, f"at least 1 inference step, got {options.num_inference_steps}"),
            (0 <= start <= end <= 1, f"a guidance interval of two rising numbers in [0, 1], got {options.guidance_interval}"),
            (options.cache_interval >= 1, f"a cache interval of at least 1 step, got {options.cache_interval}"),
            (output_type in OUTPUT_TYPES, f"an output_type out of {', '.join(OUTPUT_TYPES)}, got {output_type!r}"),
            (
                motion_strength == 1 or self.codec.is_motion,
                f"a motion strength of 1 (latents are appearance, not motion), got {motion_strength}",
            ),
            (not unknown, f"callback tensors out of {self._callback_tensor_inputs}, got {unknown}"),
        ):
            if not is_right:
                raise ValueError(f"expected {wanted}")
        check_scheduler(self.scheduler, options.strength)

    def _prepare(self, options: SamplingOptions, image, mask_image, words, negatives, generator, white) -> Prepared:
        """Encode pictures, masks and words, and make the noise and the denoiser of all their loops.

        words, negatives: prompts and embeddings, one of them None. white: noise to use, or None.
        """
        device, dtype = self._execution_device, self.unet.dtype
        image, mask = (part.to(device) for part in self._pictures(image, mask_image))
        text = self._text_tokens("prompt", *words, len(image)).to(device, dtype)  # (B, L, width)
        empty = text  # only guidance reads it
        if options.guidance_scale != 1:
            negatives = ("", None) if negatives == (None, None) else negatives
            empty = self._text_tokens("negative prompt", *negatives, len(image)).to(device, dtype)
        tokens = encode_image(self.image_encoder, image, mask).to(dtype)  # (B, K, width)
        start = self.codec.encode(image[:, :, None], mask).float()  # (B, 4, 1, h, w)
        size = self.codec.latent_size(*image.shape[-2:])
        latent_mask, static_code = mask_code(mask, size), self.codec.static_code(image).float()
        values = (image, mask, text, empty, tokens, start, latent_mask, static_code)
        values = (value.repeat_interleave(options.copies, dim=0) for value in values)
        image, mask, text, empty, tokens, start, latent_mask, static_code = values

        timesteps = start_schedule(self.scheduler, options.num_inference_steps, options.strength, device)
        network = self._network(options, text, empty, tokens, len(timesteps))
        given = condition(static_code, latent_mask, options.num_frames)
        denoiser = Denoiser(network, self.scheduler, given, self.codec.constrain)
        shape = (len(start), 4, options.num_frames, *size)
        if white is None:
            white = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        elif white.shape != shape:
            raise ValueError(f"expected latents of shape {shape}, got {tuple(white.shape)}")
        noise = self.codec.noise(white.to(device, torch.float32), text, latent_mask)
        clip = start.expand(-1, -1, options.num_frames, -1, -1)  # the picture, N times
        return Prepared(image, mask, clip, noise, timesteps, denoiser)

    def _text_tokens(self, name: str, words: str | list[str] | None, embeds: torch.Tensor | None, count: int) -> torch.Tensor:
        """Text tokens (count, L, width) of words or of embeddings that were made of them; raises ValueError for another count."""
        if (words is None) == (embeds is None):
            raise ValueError(f"expected either a {name} or embeddings of it, got {'neither' if words is None else 'both'}")
        if embeds is not None:
            width = self.unet.config.cross_attention_dim
            if embeds.ndim != 3 or (len(embeds), embeds.shape[2]) != (count, width):
                raise ValueError(f"expected {name} embeddings of shape ({count}, L, {width}), got {tuple(embeds.shape)}")
            return embeds
        several = [words] * (count if name == "negative prompt" else 1) if isinstance(words, str) else list(words)
        if len(several) != count:
            raise ValueError(f"expected one {name} a picture, got {len(several)} for {count}")
        return encode_text(self.tokenizer, self.text_encoder, several)

    def _network(self, options: SamplingOptions, text, empty, tokens, num_calls: int) -> GuidedUNet:
        """The UNet with text tokens, those of negative prompts, and image tokens."""
        plain, guided = self.unet.context(text, tokens), ()
        if options.guidance_scale != 1 and hasattr(self.unet, "_hf_hook"):  # offloaded: memory is short
            guided = (self.unet.context(empty, torch.zeros_like(tokens)), plain)
        elif options.guidance_scale != 1:
            guided = (self.unet.context(torch.cat([empty, text]), torch.cat([torch.zeros_like(tokens), tokens])),)
        return GuidedUNet(
            self.unet, plain, guided, options.guidance_scale, options.guidance_interval, num_calls, options.cache_interval
        )

    def _sample(self, options: SamplingOptions, prepared: Prepared, callback, callback_tensors, generator) -> torch.Tensor:
        """Latents (B, 4, N, h, w) as sampled."""
        denoiser, clip, noise = prepared.denoiser, prepared.clip, prepared.noise
        self._guidance_scale, self._interrupt = options.guidance_scale, False
        self._num_timesteps = len(prepared.timesteps)
        held = ([0, options.num_frames - 1] if self.codec.holds_last else [0]) if options.hold_ends else []

        def hold(latents, timestep):
            picture = clip if timestep is None else denoiser.levels(timestep).add_noise(clip, noise)
            latents[:, :, held] = picture[:, :, held]
            return latents

        def on_step(index, timestep, latents, clean):
            if callback is not None:
                tensors = {"latents": latents, "clean_latents": clean}
                given = {name: tensors[name] for name in callback_tensors}
                latents = (callback(self, index, timestep, given) or {}).get("latents", latents)
                denoiser.network.scale = self._guidance_scale
            bar.update()
            return latents, not self._interrupt

        begun = noise if isinstance(self.scheduler, FewPassScheduler) else clip  # the first estimate
        latents = denoiser.levels(prepared.timesteps[0]).add_noise(begun, noise)
        with self.progress_bar(total=self._num_timesteps) as bar:
            return sample(denoiser, latents, prepared.timesteps, hold, on_step, generator)

    def _decode(self, latents: torch.Tensor, prepared: Prepared, motion_strength: float, output_type: str):
        """Frames of sampled latents, as `LoopAnimateOutput.frames`; what a safety checker refuses is black."""
        if output_type == "latent":
            return latents
        image, mask = prepared.image, prepared.mask
        if self.codec.is_motion:
            frames = torch.stack([self._move(*loop, motion_strength) for loop in zip(latents, image, mask)])
        else:
            frames = self.codec.decode(latents).transpose(1, 2)  # (B, N, 3, H, W)
        if self.safety_checker is not None:
            for clip, refused in zip(frames, self._refuses(frames)):
                clip.mul_(not refused)
        if output_type == "pt":
            return frames
        frames = frames.permute(0, 1, 3, 4, 2).cpu().numpy()  # (B, N, H, W, 3)
        return frames if output_type == "np" else [VaeImageProcessor.numpy_to_pil(clip) for clip in frames]

    def _move(self, latents: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, strength: float) -> torch.Tensor:
        """Render the motion of one loop as it was sampled: latents (4, N, h, w), image (3, H, W) → (N, 3, H, W) in [0, 1]."""
        pixels = ((image.float() / 2 + 0.5) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        grey = mask[0].float().cpu().numpy()
        motion, borders = self.codec.decode_motion(latents), [touched_borders(grey), ALL_BORDERS]
        motion = scale(drop_residue(drop_drift(motion, [False] * motion.num_layers)), strength)
        renderer = Renderer(pixels, [grey], Field(limit(motion, borders), borders))
        frames = np.stack([renderer.frame(time) for time in range(latents.shape[1])])
        return torch.from_numpy(frames).permute(0, 3, 1, 2).to(image.device).float() / 255

    def _pictures(self, image, mask_image) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (B, 3, H, W) in [-1, 1] and masks (B, 1, H, W) in [0, 1], at the codec's picture size."""
        sizes = {picture.size for picture in image if isinstance(picture, PIL.Image.Image)} if isinstance(image, list) else ()
        if len(sizes) > 1:
            raise ValueError(f"expected pictures of one size in a batch, got {sorted(sizes)}")
        colour = VaeImageProcessor(do_resize=False, do_convert_rgb=True)
        grey = VaeImageProcessor(do_resize=False, do_normalize=False, do_convert_grayscale=True)
        image = colour.preprocess(image).float()
        size = self.codec.picture_size(*image.shape[-2:])
        if size != tuple(image.shape[-2:]):
            image = torch.nn.functional.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(-1, 1)
        if mask_image is None:
            return image, image.new_ones(len(image), 1, *size)
        mask = grey.preprocess(mask_image).float()
        if mask.shape[-2:] != image.shape[-2:]:
            mask = torch.nn.functional.interpolate(mask, size=size, mode="bilinear", antialias=True)
        return image, mask.expand(len(image), -1, -1, -1)
