import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from loopanimate.pipeline import LoopAnimatePipeline


def call(pipe, **changes):
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    options = {"image": image, "prompt": "left", "num_frames": 5, "num_inference_steps": 2, "output_type": "latent"}
    options["generator"] = torch.Generator().manual_seed(0)
    return pipe(**{**options, **changes}).frames


def test_a_seed_is_a_loop(small_512):
    first, again = call(small_512), call(small_512)
    other = call(small_512, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, again) and not torch.allclose(first, other)


@pytest.mark.parametrize("scheduler", [None, DPMSolverMultistepScheduler, UniPCMultistepScheduler])
def test_ends_are_the_picture(small_512, scheduler):
    pipe = LoopAnimatePipeline(**small_512.components) if scheduler else small_512
    if scheduler:
        pipe.scheduler = scheduler.from_config(small_512.scheduler.config)
        pipe.set_progress_bar_config(disable=True)
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


def test_a_loop_does_not_depend_on_its_batch(small_512):
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    seeds = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    both = call(small_512, image=image, prompt=["left", "left"], generator=seeds)
    alone = call(small_512, image=image[1:], prompt=["left"], generator=[torch.Generator().manual_seed(6)])
    assert torch.allclose(both[1:], alone, atol=1e-4)


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
    assert sorted(order) == sorted(networks)


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
        ({"motion_strength": 2.0, "output_type": "pt"}, "motion strength"),
    ],
)
def test_refuses_in_one_sentence(small_512, changes, words):
    with pytest.raises(ValueError, match=words):
        call(small_512, **changes)
