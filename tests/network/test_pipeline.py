import copy

import numpy as np
import PIL.Image
import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook
from diffusers import (
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.callbacks import SDCFGCutoffCallback
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor

from loopanimate.network.conditioning import mask_code
from loopanimate.network.encoders import encode_image, encode_text
from loopanimate.pipeline import LoopAnimatePipeline
from tests.reference import ReferenceUNet, reference_loop


@pytest.fixture
def fresh_512(small_512):
    """A copy that a test may change."""
    pipe = LoopAnimatePipeline(**copy.deepcopy(small_512.components), num_inference_steps=3, guidance_scale=2.0)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def call(pipe, **changes):
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    options = {"image": image, "prompt": "left", "num_frames": 5, "num_inference_steps": 2, "output_type": "latent"}
    options["generator"] = torch.Generator().manual_seed(0)
    return pipe(**{**options, **changes}).frames


def test_a_seed_is_a_loop(small_512):
    first, again = call(small_512), call(small_512)
    other = call(small_512, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, again) and not torch.allclose(first, other)


def the_equations(pipe, image, mask, steps, guidance):
    """The loop of train/METHOD.md §3, from the same weights and the same noise as `call`."""
    with torch.no_grad():
        pixels = image * 2 - 1
        code = pipe.codec.static_code(pixels)
        text, empty = (encode_text(pipe.tokenizer, pipe.text_encoder, [words]) for words in ("left", ""))
        tokens = encode_image(pipe.image_encoder, pixels, mask)
        noise = torch.randn(1, 4, 5, *code.shape[-2:], generator=torch.Generator().manual_seed(0))
        pipe.scheduler.set_timesteps(steps)
        alphas = torch.cat([pipe.scheduler.alphas_cumprod, pipe.scheduler.final_alpha_cumprod[None]])
        return reference_loop(
            ReferenceUNet(pipe.unet),
            code,
            mask_code(mask, code.shape[-2:]),
            text,
            tokens,
            empty,
            noise,
            pipe.scheduler.timesteps.tolist(),
            alphas,
            guidance,
        )


def model_offload(pipe):
    hook = None
    for name in pipe.model_cpu_offload_seq.split("->"):
        if getattr(pipe, name) is not None:
            hook = cpu_offload_with_hook(getattr(pipe, name), "cpu", hook)[1]


def sequential_offload(pipe):
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            cpu_offload(part, "cpu", offload_buffers=len(part._parameters) > 0)


@pytest.mark.parametrize(
    "prepare",
    [None, lambda pipe: pipe.speed_up(compile_blocks=False), model_offload, sequential_offload],
    ids=["plain", "speed_up", "model_offload", "sequential_offload"],
)
def test_sampling_equals_the_equations(fresh_512, prepare):
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 4:22] = 1
    truth = the_equations(fresh_512, image, mask, steps=4, guidance=7.5)
    if prepare:
        prepare(fresh_512)
    latents = call(fresh_512, image=image, mask_image=mask, num_inference_steps=4, guidance_scale=7.5)
    assert (latents - truth).norm() / truth.norm() < 1e-5


def test_approximations_are_off_unless_asked_for_and_stay_near(fresh_512):
    exact = call(fresh_512, num_inference_steps=6)

    def deviation(**options):
        return float((call(fresh_512, num_inference_steps=6, **options) - exact).norm() / exact.norm())

    assert deviation(guidance_interval=(0.0, 1.0), cache_interval=1) == 0
    assert 0 < deviation(cache_interval=2) < 0.2
    assert 0 < deviation(guidance_interval=(0.0, 0.6)) < deviation(guidance_scale=1.0)


def test_a_checkpoint_may_guide_a_part_of_the_steps_only(fresh_512, tmp_path):
    fresh_512.register_to_config(guidance_interval=(0.0, 0.6))
    fresh_512.save_pretrained(tmp_path)
    again = LoopAnimatePipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    part, whole = (call(again, num_inference_steps=6, guidance_interval=interval) for interval in ((0.0, 0.6), (0.0, 1.0)))
    default = call(again, num_inference_steps=6)
    assert torch.equal(default, part) and not torch.allclose(default, whole, atol=1e-4)


def with_scheduler(pipe, scheduler, **changes):
    """The same networks with another scheduler."""
    other = LoopAnimatePipeline(**{**pipe.components, "scheduler": scheduler.from_config(pipe.scheduler.config, **changes)})
    other.set_progress_bar_config(disable=True)
    return other


@pytest.mark.parametrize(
    "scheduler", [None, DPMSolverMultistepScheduler, UniPCMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler]
)
def test_ends_are_the_picture(small_512, scheduler):
    pipe = with_scheduler(small_512, scheduler) if scheduler else small_512
    latents = call(pipe)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    assert pipe.codec.picture_size(32, 32) == (32, 32)
    with torch.no_grad():
        code = pipe.codec.encode(image[:, :, None])
    for end in (0, -1):
        assert torch.allclose(latents[:, :, end], code[:, :, 0], atol=1e-5)
    assert not torch.allclose(latents[:, :, 2], code[:, :, 0], atol=1e-2)


def test_without_held_ends_the_ends_are_sampled(small_512):
    latents = call(small_512, hold_ends=False)
    assert not torch.allclose(latents[:, :, 0], call(small_512)[:, :, 0], atol=1e-2)


def test_outputs_have_their_shapes(small_512):
    side = small_512.codec.picture_size(32, 32)[0]
    assert call(small_512, output_type="pt").shape == (1, 5, 3, side, side)
    array = call(small_512, output_type="np")
    assert array.shape == (1, 5, side, side, 3) and 0 <= array.min() <= array.max() <= 1
    pictures = call(small_512, output_type="pil")
    assert len(pictures[0]) == 5 and pictures[0][0].size == (side, side)


def test_lists_and_copies(small_512):
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    latents = call(small_512, image=image, prompt=["left", "left"], num_videos_per_prompt=2)
    assert latents.shape[0] == 4
    with pytest.raises(ValueError, match="one prompt a picture"):
        call(small_512, image=image, prompt=["left"] * 3)


def test_noise_and_words_may_be_given_as_tensors(small_512):
    plain = call(small_512, negative_prompt="left")
    noise = torch.randn(plain.shape, generator=torch.Generator().manual_seed(0))
    tokens = encode_text(small_512.tokenizer, small_512.text_encoder, ["left"])
    given = {"generator": None, "latents": noise, "prompt": None, "prompt_embeds": tokens, "negative_prompt_embeds": tokens}
    assert torch.equal(call(small_512, **given), plain)
    assert not torch.equal(call(small_512, **{**given, "prompt_embeds": 2 * tokens}), plain)
    for wrong, told in (
        ({"latents": noise[:, :, 1:]}, r"expected latents of shape \(1, 4, 5, 16, 16\), got \(1, 4, 4, 16, 16\)"),
        ({"prompt": "left"}, "expected either a prompt or embeddings of it, got both"),
        ({"prompt_embeds": None}, "got neither"),
        ({"prompt_embeds": tokens[..., 1:]}, r"expected prompt embeddings of shape \(1, L, 32\), got \(1, 12, 31\)"),
    ):
        with pytest.raises(ValueError, match=told):
            call(small_512, **{**given, **wrong})


def test_a_loop_does_not_depend_on_its_batch(small_512):
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    seeds = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    both = call(small_512, image=image, prompt=["left", "left"], generator=seeds)
    alone = call(small_512, image=image[1:], prompt=["left"], generator=[torch.Generator().manual_seed(6)])
    assert torch.allclose(both[1:], alone, atol=1e-4)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_eulers_steps_are_ddims(small_512, strength):
    """Both take the straight step between two noise levels, though their latents are scaled differently."""
    euler = with_scheduler(small_512, EulerDiscreteScheduler, timestep_spacing="leading")
    estimates = []

    def keep(pipe, step, timestep, tensors):
        estimates.append(tensors["clean_latents"])
        return {}

    for pipe in (small_512, euler):
        call(pipe, num_inference_steps=4, strength=strength, guidance_scale=3.0, callback_on_step_end=keep)
    assert len(estimates) == 8 * strength and torch.allclose(estimates[int(4 * strength) - 1], estimates[-1], atol=1e-4)


def test_a_seed_is_a_loop_with_noise_in_every_step_too(small_512):
    ancestral = with_scheduler(small_512, EulerAncestralDiscreteScheduler)
    first = call(ancestral)
    torch.manual_seed(5)
    assert torch.equal(call(ancestral), first)
    assert not torch.allclose(call(ancestral, generator=torch.Generator().manual_seed(1)), first, atol=1e-2)


def test_a_scheduler_of_other_noise_is_refused_before_any_work(small_512):
    edm = LoopAnimatePipeline(**{**small_512.components, "scheduler": EDMEulerScheduler()})
    with pytest.raises(ValueError, match="got EDMEuler"):
        call(edm)


def test_guidance_and_negative_prompt_count(small_512):
    plain, guided = call(small_512, guidance_scale=1.0), call(small_512, guidance_scale=5.0)
    assert not torch.allclose(plain, guided, atol=1e-3)
    assert not torch.allclose(guided, call(small_512, guidance_scale=5.0, negative_prompt="left"), atol=1e-5)


def test_strength_starts_nearer_to_the_picture(small_512):
    seen = []
    call(small_512, num_inference_steps=4, strength=0.5, callback_on_step_end=lambda p, i, t, k: seen.append(int(t)) or k)
    assert len(seen) == 2 and seen[0] < 600


def test_callback_sees_changes_and_cancels(small_512):
    def stop(pipe, step, timestep, tensors):
        assert set(tensors) == {"latents", "clean_latents"}
        pipe._interrupt = True
        return {"latents": torch.zeros_like(tensors["latents"])}

    assert not call(small_512, num_inference_steps=5, callback_on_step_end=stop).any()

    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(small_512, callback_on_step_end=fail)


def test_callbacks_see_and_change_guidance(small_512):
    seen = []

    def cut_off(pipe, step, timestep, tensors):
        seen.append((pipe.guidance_scale, pipe.num_timesteps))
        pipe._guidance_scale = 1.0
        return {}

    cut = call(small_512, num_inference_steps=4, guidance_scale=5.0, callback_on_step_end=cut_off)
    assert seen == [(5.0, 4), *[(1.0, 4)] * 3]
    part = call(small_512, num_inference_steps=4, guidance_scale=5.0, guidance_interval=(0.0, 0.2))
    assert torch.equal(cut, part)
    with pytest.raises(ValueError, match="callback tensors .*prompt_embeds"):  # as it asks for them itself
        call(small_512, callback_on_step_end=SDCFGCutoffCallback())


def test_everything_saves_and_loads(small_512, tmp_path):
    small_512.save_pretrained(tmp_path)
    again = LoopAnimatePipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert set(again.components) == set(small_512.components)
    assert again.config.num_inference_steps == 3 and again.config.guidance_scale == 2.0
    assert torch.allclose(call(again), call(small_512), atol=1e-4)  # float32 rounding of values up to 10
    assert not list(tmp_path.rglob("*.bin")) and not list(tmp_path.rglob("*.pkl"))


def test_bundled_checkpoint_saves_and_loads(motion_pipeline, tmp_path):
    motion_pipeline.save_pretrained(tmp_path)
    again = LoopAnimatePipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert torch.allclose(call(again), call(motion_pipeline), atol=1e-4)


def test_offload_order_names_every_network(small_512):
    order = small_512.model_cpu_offload_seq.split("->")
    networks = [name for name, part in small_512.components.items() if isinstance(part, torch.nn.Module)]
    assert sorted(order) == sorted([*networks, "safety_checker"])


def test_half_precision_variants_and_shards(fresh_512, tmp_path):
    half = fresh_512.to(torch.bfloat16)
    half.save_pretrained(tmp_path, variant="bf16", max_shard_size="300KB")
    assert list(tmp_path.glob("unet/*bf16.safetensors.index.json")) or list(tmp_path.glob("unet/*index.bf16.json"))
    again = LoopAnimatePipeline.from_pretrained(tmp_path, variant="bf16", dtype=torch.bfloat16)
    again.set_progress_bar_config(disable=True)
    assert again.unet.dtype == again.codec.dtype == again.text_encoder.dtype == torch.bfloat16
    assert torch.equal(call(again), call(half)) and call(again).dtype == torch.float32


def test_from_pipe_shares_the_networks(fresh_512):
    other = LoopAnimatePipeline.from_pipe(fresh_512)
    other.set_progress_bar_config(disable=True)
    assert other.unet is fresh_512.unet and other.config.guidance_scale == 2.0
    assert torch.equal(call(other), call(fresh_512))


def test_pictures_in_every_form(small_512):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)
    forms = [PIL.Image.fromarray(pixels), [PIL.Image.fromarray(pixels)], pixels[None] / np.float32(255), tensor[None], [tensor]]
    first, *others = [call(small_512, image=form, prompt=["left"]) for form in forms]
    assert all(torch.allclose(first, other, atol=1e-4) for other in others)


def test_one_generator_for_each_copy_is_a_loop_of_its_own(small_512):
    seeds = [torch.Generator().manual_seed(seed) for seed in (5, 6, 7)]
    three = call(small_512, num_videos_per_prompt=3, generator=seeds)
    alone = call(small_512, generator=torch.Generator().manual_seed(6))
    assert torch.allclose(three[1:2], alone, atol=1e-4)


def test_the_first_of_several_is_the_loop_of_one(small_512):
    several = call(small_512, num_videos_per_prompt=3)
    assert torch.allclose(several[:1], call(small_512), atol=1e-4)
    assert not torch.allclose(several[:1], several[1:2], atol=1e-2)


def test_attention_slicing_and_tiling_are_taken(fresh_512):
    before = call(fresh_512)
    fresh_512.enable_attention_slicing()
    assert torch.allclose(call(fresh_512), before, atol=1e-4)
    fresh_512.codec.vae.enable_tiling()
    assert call(fresh_512, output_type="pt").shape == (1, 5, 3, 32, 32)


@pytest.mark.parametrize("refuses", [True, False])
def test_the_safety_checker_is_honoured(fresh_512, tmp_path, refuses):
    common = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(vision_config={**common, "image_size": 28, "patch_size": 14}, projection_dim=16)
    checker = StableDiffusionSafetyChecker(config)
    torch.nn.init.constant_(checker.concept_embeds_weights, -2.0 if refuses else 2.0)
    torch.nn.init.constant_(checker.special_care_embeds_weights, 2.0)
    size = {"height": 28, "width": 28}
    processor = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size)
    LoopAnimatePipeline(**{**fresh_512.components, "safety_checker": checker, "feature_extractor": processor}).save_pretrained(
        tmp_path
    )
    pipe = LoopAnimatePipeline.from_pretrained(tmp_path)
    pipe.set_progress_bar_config(disable=True)
    frames = call(pipe, output_type="pt")
    assert bool(frames.any()) != refuses and pipe.is_safe(call(pipe)) != refuses


def test_motion_pipeline_shows_the_picture_first(motion_pipeline, photos):
    picture = photos["chelsea"].resize((150, 100))
    mask = np.zeros((100, 150, 1), np.float32)
    mask[20:80, 40:110] = 1
    frames = call(motion_pipeline, image=picture, prompt="it moves to the left", mask_image=mask[None], output_type="pil")[0]
    assert frames[0].size == (150, 100) and len(frames) == 5
    assert np.array_equal(np.asarray(frames[0]), np.asarray(picture))
    assert np.array_equal(np.asarray(frames[-1]), np.asarray(picture))
    assert not np.array_equal(np.asarray(frames[2]), np.asarray(picture))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"num_frames": 16}, "odd frame count 3..35, got 16"),
        ({"num_frames": 37}, "odd frame count 3..35, got 37"),
        ({"strength": 0}, "strength"),
        ({"num_inference_steps": 0}, "at least 1"),
        ({"output_type": "gif"}, "output_type"),
        ({"guidance_interval": (0.8, 0.2)}, "guidance interval"),
        ({"cache_interval": 0}, "cache interval"),
        ({"callback_on_step_end_tensor_inputs": ("noise",)}, "callback tensors"),
        ({"motion_strength": 2.0, "output_type": "pt"}, "motion strength"),
    ],
)
def test_refuses_in_one_sentence(small_512, changes, words):
    with pytest.raises(ValueError, match=words):
        call(small_512, **changes)
