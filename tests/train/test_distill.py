import copy
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file

from loopanimate.checkpoints import load_pipeline
from loopanimate.network.conditioning import condition, stack
from loopanimate.network.few_passes import FewPassScheduler
from loopanimate.pipeline import LoopAnimatePipeline
from train import distill, trainer
from train.distill import RESTING, _compute_in_bf16, _has_bf16, errors, lesson_denoiser, refine, teach
from train.loader import Loops
from train.objectives import TrainedNetworks
from train.settings import DistillSettings
from train.synthetic import make_clips


def loops(codec, batch: int, num_frames: int, seed: int = 0) -> Loops:
    clips = make_clips(batch, num_frames, 4, seed, size=(4, 8))
    latents = codec.compress(clips.displacement)
    conditions = (clips.static_code, clips.latent_mask, clips.middle_mask, tuple(clips.captions))
    return Loops(clips.image, clips.mask, latents, *conditions)


@pytest.fixture
def teacher(motion_pipeline):
    """The bundled pipeline on a small grid; the fixture's own parts are not changed."""
    parts = {
        name: motion_pipeline.components[name] for name in ("unet", "scheduler", "image_encoder", "tokenizer", "text_encoder")
    }
    codec = type(motion_pipeline.codec).from_config(motion_pipeline.codec.config, short_side=4)
    codec.load_state_dict(motion_pipeline.codec.state_dict())
    pipe = LoopAnimatePipeline(**parts, codec=codec.eval(), num_inference_steps=2, guidance_scale=2.0)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("passes", [1, 2])
def test_training_estimates_what_the_pipeline_samples(teacher, passes):
    scheduler = FewPassScheduler()
    student = LoopAnimatePipeline(**{**teacher.components, "scheduler": scheduler, "safety_checker": None})
    student.set_progress_bar_config(disable=True)
    lesson = teach(student, loops(teacher.codec, 2, 7), 3, num_inference_steps=passes, guidance_scale=1.0)
    denoiser = lesson_denoiser(TrainedNetworks(student.unet, None), scheduler, student.codec, lesson)
    estimate = lesson["noise"]
    with torch.no_grad():
        for timestep in scheduler.timesteps:
            estimate = refine(denoiser, timestep, estimate, lesson["noise"])
    assert len(scheduler.timesteps) == passes
    assert not estimate[:, :, 0].any()
    assert torch.allclose(estimate, lesson["latents"], atol=1e-4)


def test_a_lesson_is_what_the_teacher_samples_from_its_noise(teacher):
    """One step of DDIM from the last timestep, where the noise is all there is: minus the guided velocity, constrained."""
    given = loops(teacher.codec, 2, 7)
    lesson = teach(teacher, given, 5, num_inference_steps=1, guidance_scale=1.0)
    sample = stack(lesson["noise"], condition(lesson["static_code"], lesson["latent_mask"], 7))
    with torch.no_grad():
        velocity = teacher.unet(sample, 999, lesson["text_tokens"], lesson["image_tokens"]).sample
    clean = teacher.codec.constrain(-velocity)
    assert torch.allclose(clean[:, :, 1:], lesson["latents"][:, :, 1:], atol=1e-4)
    again = teach(teacher, given, 5, num_inference_steps=1, guidance_scale=1.0)
    other = teach(teacher, given, 6, num_inference_steps=1, guidance_scale=1.0)
    assert torch.equal(again["latents"], lesson["latents"]) and not torch.allclose(other["noise"], lesson["noise"], atol=0.1)


def test_lessons_of_tall_pictures_are_those_of_single_precision(teacher):
    """On processors with AMX a strided convolution in bfloat16 that leaves one column is nonsense."""
    clips = make_clips(8, 35, 4, 1, size=(8, 4))
    conditions = (clips.static_code, clips.latent_mask, clips.middle_mask, tuple(clips.captions))
    given = Loops(clips.image, clips.mask, teacher.codec.compress(clips.displacement), *conditions)
    right = teach(teacher, given, 5, num_inference_steps=2)["latents"]
    teacher.register_modules(unet=copy.deepcopy(teacher.unet))  # the fixture's own is shared
    _compute_in_bf16(teacher.unet)
    off = (teach(teacher, given, 5, num_inference_steps=2)["latents"] - right).square().mean() / right.square().mean()
    assert off.sqrt() < 0.02


def test_errors_count_where_a_layer_is_and_by_its_size(teacher):
    mask = torch.zeros(1, 1, 4, 8)
    mask[..., :2] = 1.0
    moved = torch.zeros(1, 4, 7, 4, 8)
    moved[:, 0] = 0.03 * (1 - torch.cos(2 * math.pi * torch.arange(7) / 6)).view(1, 7, 1, 1)
    taught = teacher.codec.compress(moved)
    size = moved[:, 0].square().mean()  # of the ring's frames, over which the error is a mean too
    off, missed = errors(teacher.codec, torch.zeros_like(taught), taught, mask)
    assert torch.allclose(missed, torch.stack([size / (size + RESTING**2), torch.tensor(0.0)])[None], atol=1e-4)
    assert off[0, 0] > 0 and off[0, 1] == 0
    inside, outside = taught.clone(), taught.clone()
    inside[..., :2], outside[..., 2:] = 0.0, 0.0  # each wrong there
    wrong = [errors(teacher.codec, latents, taught, mask)[1][0, 0] for latents in (inside, outside)]
    assert wrong[0] > 10 * wrong[1] > 0


def test_a_second_pass_reads_the_first_estimate_and_the_same_noise():
    scheduler = FewPassScheduler((449, 224))
    noise, clean = torch.randn(2, 1, 4, 7, 2, 2, generator=torch.Generator().manual_seed(0))
    first = scheduler.timesteps[0]
    signal, share = scheduler.levels(first)
    begun = (signal + share) * noise
    step = scheduler.step((signal * begun - clean) / share, first, begun)
    assert torch.allclose(step.pred_original_sample, clean, atol=1e-5)
    assert torch.allclose(step.prev_sample, scheduler.add_noise(clean, noise, scheduler.timesteps[1:]), atol=1e-5)
    with pytest.raises(ValueError, match="1 to 2 steps of this checkpoint, got 3"):
        scheduler.set_timesteps(3)


@pytest.mark.slow
def test_a_cut_run_resumes_to_the_same_weights_and_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(distill, "FRAMES", (7,))
    monkeypatch.setattr(distill, "MAX_FRAMES", 7)  # so that a lesson has two loops
    losses, learned = [], distill.errors

    def note(*arguments):
        losses.append(learned(*arguments))
        return losses[-1]

    def run(name: str) -> dict[str, torch.Tensor]:
        settings = DistillSettings(output=str(tmp_path / name), steps=6, passes=2, cells=(4,), batch=2, reuse=3, save_every=4)
        return load_file(distill.distill(settings) / "unet" / "diffusion_pytorch_model.safetensors")

    monkeypatch.setattr(distill, "errors", note)
    whole = run("whole")
    assert len(losses) == 12 and losses[5][0].mean() < 0.9 * losses[1][0].mean()  # the last passes on the first lesson

    def cut(*arguments):
        trainer.save_state(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(distill, "save_state", cut)
    # the teacher's half precision does not make the same loops to the bit twice on every processor
    shutil.copytree(tmp_path / "whole", tmp_path / "cut", ignore=shutil.ignore_patterns("checkpoint-*", "pipeline"))
    with pytest.raises(KeyboardInterrupt):
        run("cut")
    monkeypatch.setattr(distill, "save_state", trainer.save_state)
    resumed = run("cut")
    assert len(losses) == 12 + 12
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)
    for path in (tmp_path / "cut" / "pipeline").rglob("*.json"):  # what is uploaded holds no path of whoever trained
        assert "_name_or_path" not in path.read_text(encoding="utf-8"), path
    pipe = load_pipeline("motion", tmp_path / "cut" / "pipeline")
    assert pipe.config.guidance_scale == 1 and pipe.config.num_inference_steps == 2
    assert isinstance(pipe.scheduler, FewPassScheduler) and list(pipe.scheduler.config.passes) == [449, 112]


def test_a_run_goes_on_only_as_it_began(tmp_path, monkeypatch):
    monkeypatch.setattr(distill, "lesson", lambda *_: None)
    settings = DistillSettings(output=str(tmp_path), cells=(4,), lessons=1)
    assert distill.distill(settings) == tmp_path / "lessons"
    with pytest.raises(ValueError, match="expected reuse 2 as"):
        distill.distill(settings.model_copy(update={"reuse": 9}))


def test_lessons_take_grids_in_turn_and_on_one_grid_cost_the_same():
    settings = DistillSettings(cells=(4, 12), batch=5)
    shapes = [distill._shape(settings, number) for number in range(64)]
    assert [min(size) for _, _, size in shapes] == [4, 12] * 32
    assert {frames for _, frames, _ in shapes} > {35}
    for count, frames, (height, width) in shapes:
        square = min(height, width) ** 2 / (height * width) * 35 / frames
        assert count == max(1, round({4: 15, 12: 5}[min(height, width)] * square))


def test_every_process_learns_from_lessons_of_its_own_and_then_again():
    settings = DistillSettings(reuse=3)
    numbers = [[distill._number(settings, step, rank, 2) for step in range(9)] for rank in range(2)]
    assert [row[::3] for row in numbers] == [[0, 2, 4], [1, 3, 5]]
    assert all(number < 2 * (step // 3 + 1) for row in numbers for step, number in enumerate(row))


def test_bf16_is_for_what_multiplies_in_it(monkeypatch):
    def ask(**there) -> bool:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: there)
        return _has_bf16(torch.device("cpu"))

    assert ask(avx2=True, avx512_bf16=True) and ask(amx_bf16=True, amx_tile=True)
    assert not ask(avx2=True, avx512_bf16=False, amx_bf16=False) and _has_bf16(torch.device("cuda"))
