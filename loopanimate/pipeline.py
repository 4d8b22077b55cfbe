"""LoopAnimatePipeline: picture, words and mask to a loop's latents, and to its frames (DESIGN.md §4, PAPER.md §3)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from diffusers import DiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from transformers import CLIPVisionModelWithProjection

from loopanimate.network.codecs import VAECodec
from loopanimate.network.conditioning import condition, mask_code, stack
from loopanimate.network.encoders import PatchEncoder, encode_image, encode_text
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.presets import MAX_FRAMES, check_num_frames


@dataclass
class LoopAnimateOutput(BaseOutput):
    """frames: per output_type "pil" a list of lists of images, "np" (B, N, H, W, 3), "pt" (B, N, 3, H, W), both in
    [0, 1], or "latent" (B, 4, N, h, w)."""

    frames: list[list[PIL.Image.Image]] | np.ndarray | torch.Tensor


class LoopAnimatePipeline(DiffusionPipeline):
    """Samples loops whose first and last frame are the given picture.

    Components: `unet` LoopAnimateUNet; `scheduler`, any diffusers one with `add_noise`; `codec`, a FrameCodec;
    `image_encoder` PatchEncoder or CLIP vision model with projection; `tokenizer` and `text_encoder`, BERT or CLIP;
    `safety_checker` and `feature_extractor`, those of Stable Diffusion, where the checkpoint carries them.
    `num_inference_steps`, `guidance_scale` and `guidance_interval` are the checkpoint's own defaults.
    """

    model_cpu_offload_seq = "text_encoder->image_encoder->unet->codec->safety_checker"
    _callback_tensor_inputs = ["latents", "clean_latents"]
    _optional_components = ["safety_checker", "feature_extractor"]

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
        guidance_interval: tuple[float, float] = (0.0, 1.0),
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
        self._interrupt = False

    @property
    def interrupt(self) -> bool:
        """Set by a callback to stop after the current step."""
        return self._interrupt

    def speed_up(self, compile_blocks: bool = True) -> "LoopAnimatePipeline":
        """Prepare a GPU's speed-ups, all exact: fused projections, channels-last weights and, unless told otherwise,
        compiled blocks (the first loop of each size then takes a minute longer)."""
        self.unet.fuse_qkv_projections()
        self.unet.to(memory_format=torch.channels_last)
        if compile_blocks:
            # static shapes: blocks of unlike width share their code, and would be taken for one of dynamic width
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
        return not any(self._unsafe(self.codec.decode(few, None, None).transpose(1, 2)))

    def _unsafe(self, frames: torch.Tensor) -> list[bool]:
        """What the safety checker says of clips (B, N, 3, H, W) in [0, 1]: of each, whether it refuses any frame."""
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
        prompt: str | list[str],
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
            strength: in (0, 1], where in the schedule the noised picture starts (PAPER.md §3).
            hold_ends: keep the ends at the picture while sampling; False is the paper's behaviour.
            motion_strength: factor on displacement; presets that sample appearance take 1 only.
            guidance_interval: the part of the steps, in [0, 1], that guidance is computed for; None takes the checkpoint's.
            cache_interval: approximation: the deep blocks are computed at each so manieth step only; 1 is exact.
            callback_on_step_end: called with (pipeline, step, timestep, {"latents", "clean_latents"}), the latter the
                current estimate of the result; may return replaced latents, raise, or set `_interrupt`.

        Raises: ValueError, one sentence of what was expected and what came.
        """
        steps = self.config.num_inference_steps if num_inference_steps is None else num_inference_steps
        guidance = self.config.guidance_scale if guidance_scale is None else guidance_scale
        guidance_interval = self.config.guidance_interval if guidance_interval is None else guidance_interval
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        check_num_frames(num_frames)
        if not 0 < strength <= 1:
            raise ValueError(f"expected a strength in (0, 1], got {strength}")
        if steps < 1:
            raise ValueError(f"expected at least 1 inference step, got {steps}")
        if output_type not in ("pil", "np", "pt", "latent"):
            raise ValueError(f'expected output_type "pil", "np", "pt" or "latent", got {output_type!r}')
        if not 0 <= guidance_interval[0] <= guidance_interval[1] <= 1:
            raise ValueError(f"expected a guidance interval of two rising numbers in [0, 1], got {guidance_interval}")
        if cache_interval < 1:
            raise ValueError(f"expected a cache interval of at least 1 step, got {cache_interval}")
        unknown = set(callback_on_step_end_tensor_inputs) - set(self._callback_tensor_inputs)
        if unknown:
            raise ValueError(f"expected callback tensors out of {self._callback_tensor_inputs}, got {sorted(unknown)}")
        image, mask = self._pictures(image, mask_image)
        if len(image) != len(prompts):
            raise ValueError(f"expected one prompt a picture, got {len(prompts)} for {len(image)}")
        copies = num_videos_per_prompt
        negative = negative_prompt or ""
        negatives = [negative] * len(prompts) if isinstance(negative, str) else list(negative)
        if len(negatives) != len(prompts):
            raise ValueError(f"expected one negative prompt a prompt, got {len(negatives)} for {len(prompts)}")

        device, dtype = self._execution_device, self.unet.dtype
        image, mask = image.to(device), mask.to(device)
        text = encode_text(self.tokenizer, self.text_encoder, prompts).to(device, dtype)  # (B, L, width)
        guided = guidance != 1
        if guided:
            empty = encode_text(self.tokenizer, self.text_encoder, negatives).to(device, dtype)
            empty = empty.repeat_interleave(copies, dim=0)
        tokens = encode_image(self.image_encoder, image, mask).to(dtype)  # (B, K, width)
        start = self.codec.encode(image[:, :, None], mask).float()  # (B, 4, 1, h, w)
        size = self.codec.latent_size(*image.shape[-2:])
        latent_mask = mask_code(mask, size)
        given = condition(self.codec.static_code(image).float(), latent_mask, num_frames)
        repeated = (value.repeat_interleave(copies, dim=0) for value in (text, tokens, start, given, latent_mask))
        text, tokens, start, given, latent_mask = repeated
        alone = (self.unet.context(text, tokens),)
        together = alone
        if guided and hasattr(self.unet, "_hf_hook"):  # offloaded: memory is short, so one half after the other
            together = (self.unet.context(empty, torch.zeros_like(tokens)), *alone)
        elif guided:  # unconditional half first
            both = torch.cat([empty, text]), torch.cat([torch.zeros_like(tokens), tokens])
            together = (self.unet.context(*both),)

        self.scheduler.set_timesteps(steps, device=device)
        timesteps = self.scheduler.timesteps
        timesteps = timesteps[len(timesteps) - max(1, int(len(timesteps) * strength)) :]
        shape = (len(start), 4, num_frames, *size)
        noise = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        noise = self.codec.noise(noise, text, latent_mask)
        clip = start.expand(-1, -1, num_frames, -1, -1)  # the picture, N times
        latents = self.scheduler.add_noise(clip, noise, timesteps[:1].expand(len(clip)))
        latents = latents * self.scheduler.init_noise_sigma if strength == 1 else latents
        held = ([0, num_frames - 1] if self.codec.holds_last else [0]) if hold_ends else []
        self._interrupt = False
        with self.progress_bar(total=len(timesteps)) as bar:
            for index, timestep in enumerate(timesteps):
                if self._interrupt:
                    break
                sample = stack(self.scheduler.scale_model_input(latents, timestep), given).to(dtype)
                guides = guided and guidance_interval[0] <= index / len(timesteps) <= guidance_interval[1]
                contexts = together if guides else alone
                if index % cache_interval == 0:
                    caches = {context: {} if cache_interval > 1 else None for context in (*together, *alone)}
                predictions = [self.unet(sample, timestep, context=each, cache=caches[each]).sample for each in contexts]
                prediction = torch.cat(predictions).float()
                if guides:
                    without, with_ = prediction.chunk(2)
                    prediction = without + guidance * (with_ - without)
                step = self.scheduler.step(self._constrained(prediction, timestep, latents), timestep, latents)
                latents = step.prev_sample
                if held and index + 1 < len(timesteps):
                    following = timesteps[index + 1 : index + 2].expand(len(clip))
                    latents[:, :, held] = self.scheduler.add_noise(clip, noise, following)[:, :, held]
                elif held:
                    latents[:, :, held] = clip[:, :, held]
                if callback_on_step_end is not None:
                    clean = getattr(step, "pred_original_sample", None)
                    tensors = {"latents": latents, "clean_latents": latents if clean is None else clean}
                    kept = {name: tensors[name] for name in callback_on_step_end_tensor_inputs}
                    latents = (callback_on_step_end(self, index, timestep, kept) or {}).get("latents", latents)
                bar.update()

        image, mask = image.repeat_interleave(copies, dim=0), mask.repeat_interleave(copies, dim=0)
        frames = latents
        if output_type != "latent":
            frames = self.codec.decode(latents, image, mask, motion_strength).transpose(1, 2)  # (B, N, 3, H, W)
            if self.safety_checker is not None:
                for clip, refused in zip(frames, self._unsafe(frames)):
                    clip.mul_(not refused)  # black, as in every Stable Diffusion pipeline
            if output_type != "pt":
                frames = frames.permute(0, 1, 3, 4, 2).cpu().numpy()  # (B, N, H, W, 3)
            if output_type == "pil":
                frames = [VaeImageProcessor.numpy_to_pil(clip) for clip in frames]
        self.maybe_free_model_hooks()
        return LoopAnimateOutput(frames=frames) if return_dict else (frames,)

    def _constrained(self, prediction: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """The prediction whose clean latents are those that the codec can mean (eq. 6, solved for them and back)."""
        signal = self.scheduler.alphas_cumprod[timestep.cpu()].to(latents).sqrt()
        noise = (1 - signal**2).sqrt()
        is_velocity = self.scheduler.config.prediction_type == "v_prediction"
        clean = signal * latents - noise * prediction if is_velocity else (latents - noise * prediction) / signal
        constrained = self.codec.constrain(clean)
        if constrained is clean:
            return prediction
        return (signal * latents - constrained) / noise if is_velocity else (latents - signal * constrained) / noise

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
