"""One training loop for every stage: resumable, EMA, logged (PAPER.md §3, §5)."""

import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers import DDIMScheduler
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from tqdm import tqdm
from transformers import AutoTokenizer, BertModel

from loopanimate.conditioning import condition, stack
from loopanimate.encoders import PatchEncoder, encode_image, encode_text
from loopanimate.motion_codec import MotionCodec
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import Preset
from loopanimate.unet import LoopAnimateUNet
from train.stages import STAGES, Stage, trainable_names
from train.synthetic import Clips, make_clips

HIDE_FAR_END = 0.5  # r
DROP_TOKENS = 0.1  # of text and of image tokens, each
WARMUP = 40  # steps
KEEP_CHECKPOINTS = 2


class Denoiser(torch.nn.Module):
    """The trained networks as one module: the UNet and the image encoder before it."""

    def __init__(self, unet: LoopAnimateUNet, image_encoder: PatchEncoder):
        super().__init__()
        self.unet, self.image_encoder = unet, image_encoder

    def forward(self, sample, timesteps, text_tokens, image, mask, keep_image):
        image_tokens = encode_image(self.image_encoder, image, mask) * keep_image[:, None, None]
        return self.unet(sample, timesteps, text_tokens, image_tokens).sample


def clip_loss(denoiser, codec, scheduler, clips: Clips, text_tokens: torch.Tensor, stage: Stage,
              generator: torch.Generator) -> torch.Tensor:  # fmt: skip
    """Mean squared error of the prediction on one batch (eq. 2, eq. 6)."""
    device = clips.image.device
    batch, _, num_frames = clips.displacement.shape[:3]
    latents = clips.displacement / codec.scale
    chance = torch.rand(2, batch, generator=generator, device=device)
    given = condition(
        clips.static_code,
        clips.latent_mask if stage.salient else None,
        num_frames,
        dynamic_code=latents[:, :, num_frames // 2],
        dynamic_mask=clips.middle_mask,
        keep=chance[0] >= HIDE_FAR_END,
    )
    noise = torch.randn(latents.shape, generator=generator, device=device)
    # one timestep from each of `batch` equal parts of the schedule: a batch covers it
    parts = torch.randperm(batch, generator=generator, device=device)
    spread = (parts + torch.rand(batch, generator=generator, device=device)) / batch
    timesteps = (spread * scheduler.config.num_train_timesteps).long()
    sample = stack(scheduler.add_noise(latents, noise, timesteps), given)
    keep_image = (chance[1] >= DROP_TOKENS).to(latents.dtype)
    prediction = denoiser(sample, timesteps, text_tokens, clips.image, clips.mask, keep_image)
    is_velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, timesteps) if is_velocity else noise
    return F.mse_loss(prediction.float(), target)


def train(preset: Preset, stage_index: int, output: str, steps: int | None, sampling: str, save_every: int, seed: int,
          init: str | None, mixed_precision: str | None = None) -> None:  # fmt: skip
    """Train one stage into OUTPUT/stageK; resumes from its newest checkpoint.

    Raises ValueError for a stage the preset does not have or a missing starting point.
    """
    stage = STAGES[preset.name].get(stage_index)
    if stage is None:
        raise ValueError(f"expected a stage out of {list(STAGES[preset.name])} of preset {preset.name}, got {stage_index}")
    if preset.name != "motion":
        raise ValueError("expected preset motion: the 512 preset trains on video clips, which are not read yet")
    folder = Path(output) / f"stage{stage_index}"
    start = Path(init) if init else Path(output) / f"stage{stage_index - 1}" / "pipeline" if stage_index else None
    if start and not (start / "unet").is_dir():
        raise ValueError(f"expected the pipeline of the stage before in {start}, found none: run that stage first")
    steps = steps or stage.iterations
    accelerator = Accelerator(mixed_precision=mixed_precision, log_with="tensorboard", project_dir=folder)
    device = accelerator.device
    set_seed(seed)

    if start:
        unet = LoopAnimateUNet.from_pretrained(start / "unet")
        image_encoder = PatchEncoder.from_pretrained(start / "image_encoder")
    else:
        unet, image_encoder = LoopAnimateUNet(**preset.unet), PatchEncoder(width=preset.unet["cross_attention_dim"])
    trainable = trainable_names(unet, stage)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(name in trainable)
    image_encoder.requires_grad_(stage.trains == ("all",))
    denoiser = Denoiser(unet, image_encoder).train()
    parameters = [parameter for parameter in denoiser.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP * accelerator.num_processes, steps * accelerator.num_processes)
    ema = EMAModel(parameters, decay=0.999, use_ema_warmup=True, power=0.75)
    accelerator.register_for_checkpointing(ema)
    denoiser, optimizer, schedule = accelerator.prepare(denoiser, optimizer, schedule)
    ema.to(device)
    codec, scheduler = MotionCodec(short_side=preset.short_side).to(device), DDIMScheduler(**preset.scheduler)
    tokenizer = AutoTokenizer.from_pretrained(preset.checkpoint / "tokenizer")
    text_encoder = BertModel.from_pretrained(preset.checkpoint / "text_encoder", dtype=torch.float32).to(device)

    checkpoints = sorted(folder.glob("checkpoint-*[0-9]"))
    done = 0
    if checkpoints:
        accelerator.load_state(checkpoints[-1])
        done = int(checkpoints[-1].name.split("-")[1])
    accelerator.init_trackers("logs")
    average = None
    bar = tqdm(range(done, steps), initial=done, total=steps, disable=not accelerator.is_main_process, mininterval=10)
    for step in bar:
        # data and noise follow from the global step and rank alone, so a resumed run repeats nothing
        draw = (seed * 1_000_003 + stage_index) * 10_000_019 + step * accelerator.num_processes + accelerator.process_index
        clips = make_clips(stage.batch, stage.num_frames, preset.short_side, draw, sampling, device)
        generator = torch.Generator(device).manual_seed(draw)
        dropped = torch.rand(stage.batch, generator=generator, device=device) < DROP_TOKENS
        prompts = ["" if drop else caption for caption, drop in zip(clips.captions, dropped.tolist())]
        loss = clip_loss(denoiser, codec, scheduler, clips, encode_text(tokenizer, text_encoder, prompts), stage, generator)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ema.step(parameters)
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        bar.set_postfix(loss=f"{average:.4f}", refresh=False)
        accelerator.log({"loss": loss.item(), "learning_rate": schedule.get_last_lr()[0]}, step=step)
        if (step + 1) % save_every == 0 or step + 1 == steps:
            _save_state(accelerator, folder, step + 1)
    accelerator.end_training()
    if accelerator.is_main_process:
        ema.copy_to(parameters)
        trained = accelerator.unwrap_model(denoiser)
        record = {"stage": stage_index, "steps": steps, "sampling": sampling, "seed": seed, "loss": average,
                  "num_frames": stage.num_frames, "batch": stage.batch, "learning_rate": stage.learning_rate}  # fmt: skip
        pipeline = LoopAnimatePipeline(trained.unet, scheduler, codec, trained.image_encoder, tokenizer, text_encoder,
                                       preset.num_inference_steps, preset.guidance_scale)  # fmt: skip
        save_pipeline(pipeline, folder / "pipeline", record)


def save_pipeline(pipeline: LoopAnimatePipeline, folder: Path, record: dict) -> None:
    """A whole pipeline and how it was trained, written aside and renamed."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline.save_pretrained(partial)
    (partial / "training.json").write_text(json.dumps(record, indent=2))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _save_state(accelerator: Accelerator, folder: Path, step: int) -> None:
    """A checkpoint that either is whole or is not there; the last few are kept."""
    partial, final = folder / "partial", folder / f"checkpoint-{step:07d}"
    accelerator.save_state(str(partial))
    if accelerator.is_main_process:
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old in sorted(folder.glob("checkpoint-*[0-9]"))[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
