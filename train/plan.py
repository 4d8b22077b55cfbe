"""What a training run would need, counted before it starts and without allocating anything."""

import shutil
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.presets import Preset
from train.clips import collect, summary
from train.settings import TrainSettings
from train.stages import Stage, show, trainable_names

TEXT_TOKENS = 77  # CLIP's; the motion preset has fewer
CHECKPOINTS = 3  # on disk at a time: two that are kept and one that is written


def plan(settings: TrainSettings, preset: Preset, stage: Stage, folder: Path) -> str:
    """The plan as text: frames, parameters, rate, memory, steps and disk."""
    injection = {"injection": settings.injection} if settings.injection else {}
    with FakeTensorMode() as fake:
        unet = LoopAnimateUNet(**preset.unet, **injection).train()
    names = trainable_names(unet, stage)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(name in names)
    total = sum(parameter.numel() for parameter in unet.parameters())
    trained = sum(parameter.numel() for parameter in unet.parameters() if parameter.requires_grad)
    if settings.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    kept = {}  # bytes that a forward pass keeps for the backward pass, by storage

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    side, channels = settings.cells or preset.short_side, unet.config.cross_attention_dim
    # in mixed precision, autograd keeps copies of weights beside activations, some of which stay float32
    halves = torch.autocast("cpu", torch.bfloat16, enabled=settings.mixed_precision != "no")
    with fake, halves, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        sample, timesteps = torch.empty(stage.batch, 9, stage.num_frames, side, side), torch.zeros(stage.batch).long()
        text_tokens, image_tokens = (torch.empty(stage.batch, length, channels) for length in (TEXT_TOKENS, 1))
        output = unet(sample, timesteps, text_tokens, image_tokens).sample
    parameters = {parameter.untyped_storage()._cdata for parameter in unet.parameters()}
    activations = sum(size for storage, size in kept.items() if storage not in parameters)
    del output
    state = (2 * 1 if settings.eight_bit_adam else 2 * 4) + (4 if settings.ema else 0)  # bytes beside a weight that trains
    checkpoint = total * 4 + trained * state
    fixed = checkpoint + trained * 4
    free = shutil.disk_usage(next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())).free
    clips = "procedural motion"
    if settings.data:
        found, skipped = collect(settings.data)
        clips = f"{len(found):,} in {settings.data}" + (f"; skipped: {summary(skipped)}" if skipped else "")
    rows = {
        "preset, stage": f"{preset.name}, {settings.stage}",
        "clips": clips,
        "frames of a loop": stage.num_frames,
        "parameters": f"{trained:,} of {total:,} train",
        **{name: show(value) for name, value in stage.numbers().items()},
        "micro-batches": f"{settings.accumulate} a step",
        "memory": f"about {(fixed + activations) / 1e9:.1f} GB: weights and optimizer {fixed / 1e9:.1f},"
        f" activations {activations / 1e9:.1f}"
        + (" and one recomputed block" if settings.gradient_checkpointing else "")
        + f"; codec, encoders and, on several devices, {trained * 4 / 1e9:.1f} of gradients in transit besides",
        "disk": f"about {checkpoint * CHECKPOINTS / 1e9:.1f} GB for checkpoints, {free / 1e9:.1f} GB free in {folder}",
    }
    return "\n".join(f"{name:17} {value}" for name, value in rows.items())
