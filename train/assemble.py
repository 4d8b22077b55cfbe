"""Put the 512 preset's starting point together from public checkpoints (train/METHOD.md §4, §5, §7).

The UNet, the VAE and the image encoder come from an image-conditioned Stable Diffusion, tokenizer and text encoder from CLIP,
the motion modules from AnimateDiff. Nothing is trained here: the result still has to go through the three stages.
"""

import json
import pickle
import shutil
from pathlib import Path

import diffusers.utils.logging
import torch
import transformers.utils.logging
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from loopanimate.network.codecs import VAECodec
from loopanimate.network.unet import LoopAnimateUNet, widen_conv_in
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import PRESETS
from train.settings import AssembleSettings
from train.sources import Source, find

BLOCKS = {
    "CrossAttnDownBlock2D": "CrossAttnDownBlockMotion",
    "DownBlock2D": "DownBlockMotion",
    "CrossAttnUpBlock2D": "CrossAttnUpBlockMotion",
    "UpBlock2D": "UpBlockMotion",
}
DISK_OVERHEAD = 1.05  # space needed on disk over bytes to be written, for the file system's own blocks


def assemble(settings: AssembleSettings) -> Path:
    """Write a LoopAnimatePipeline folder with its provenance and the licences of its parts; return its path.

    Each source is a local folder or a hub repository ("owner/name@revision"); the motion modules may be a checkpoint file.

    Raises ValueError, in one sentence, for a source that is missing, damaged or does not fit the others, an output folder
    that holds something, or too little disk space. Nothing is left half-written.
    """
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()  # it would list every unused weight of a checkpoint
    output = Path(settings.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"expected a new or empty folder to write to, got {output}")
    sources = {
        "base": Source(settings.base, ("unet", "vae", "image_encoder"), ("safety_checker", "feature_extractor")),
        "words": Source(settings.words, ("",)),
        "motion": Source(settings.motion, ("",)),
    }
    if settings.text_attention:
        sources["text_attention"] = Source(settings.text_attention, ("unet",))
    found = {part: find(source) for part, source in sources.items()}
    _check_space(output, found.values())
    paths = {part: source.fetch() for part, source in found.items()}
    try:
        pipeline = _pipeline(paths)
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"expected checkpoints that load and fit each other, got: {reason}") from error
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        pipeline.save_pretrained(partial)
        records = {part: source.record(paths[part]) for part, source in found.items()}
        (partial / "provenance.json").write_text(json.dumps({"assembled_from": records}, indent=2))
        (partial / "README.md").write_text(_card(records))
        for part, path in paths.items():
            for licence in path.glob("LICENSE*") if path.is_dir() else ():
                shutil.copyfile(licence, partial / f"{part}-{licence.name}")
        if output.exists():
            output.rmdir()
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return output


def _check_space(output: Path, found) -> None:
    """Raise ValueError unless the disks have room for the missing downloads and for the output; both may be on one disk."""
    from huggingface_hub import constants

    there, cache = (
        next(folder for folder in (path, *path.parents) if folder.exists())
        for path in (output.absolute(), Path(constants.HF_HUB_CACHE))
    )
    needs = {there: sum(source.bytes for source in found)}
    target = there if there.stat().st_dev == cache.stat().st_dev else cache
    needs[target] = needs.get(target, 0) + sum(source.missing_bytes for source in found)
    for folder, size in needs.items():
        needed = DISK_OVERHEAD * size
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise ValueError(f"expected {needed / 1e9:.1f} GB of free space at {folder}, got {free / 1e9:.1f} GB")


def _pipeline(paths: dict[str, Path]) -> LoopAnimatePipeline:
    preset, base = PRESETS["512"], paths["base"]
    reader = paths.get("text_attention")
    unet = assemble_unet(
        _load(UNet2DConditionModel, base / "unet"),
        motion_state(paths["motion"]),
        reader and _load(UNet2DConditionModel, reader / "unet"),
    )
    vae = _load(AutoencoderKL, base / "vae")
    image_encoder = _load(CLIPVisionModelWithProjection, base / "image_encoder")
    text_encoder = _load(CLIPTextModel, paths["words"])
    width = unet.config.cross_attention_dim
    for name, got in (("image embedding", image_encoder.config.projection_dim), ("text", text_encoder.config.hidden_size)):
        if got != width:
            raise ValueError(f"expected a {name} as wide as the UNet reads ({width}), got {got}")
    checker = {}
    if (base / "safety_checker").is_dir() and (base / "feature_extractor").is_dir():
        checker["safety_checker"] = _load(StableDiffusionSafetyChecker, base / "safety_checker")
        from transformers import CLIPImageProcessor  # its import prints a line about torchvision

        checker["feature_extractor"] = CLIPImageProcessor.from_pretrained(base / "feature_extractor")
    return LoopAnimatePipeline(
        unet=unet,
        scheduler=DDIMScheduler(**preset.scheduler),
        codec=VAECodec.from_vae(vae, unet.config.sample_size or preset.short_side),
        image_encoder=image_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(paths["words"]),
        text_encoder=text_encoder,
        num_inference_steps=preset.num_inference_steps,
        guidance_scale=preset.guidance_scale,
        guidance_interval=preset.guidance_interval,
        **checker,
    )


def _load(kind: type, folder: Path):
    """Load a model in float32; raise ValueError where weights are missing, which the libraries would draw at random."""
    safe = any(folder.glob("*.safetensors"))  # otherwise .bin, which both libraries read with weights_only=True
    model, report = kind.from_pretrained(str(folder), dtype=torch.float32, use_safetensors=safe, output_loading_info=True)
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(
            f"expected all weights of a {kind.__name__} in {folder}, {len(missing)} are missing, first {missing[0]}"
        )
    return model


def motion_state(path: Path) -> dict[str, torch.Tensor]:
    """Read motion modules, under diffusers' names, from a MotionAdapter folder or a checkpoint file in either layout.

    Only motion modules and PIA's first convolution are kept. A v2 adapter's mid block is dropped, and so are the positional
    tables, after a check that they are the sines from which longer tables can be made.

    Raises ValueError for a file with anything but tensors, without motion modules, or with learned positions.
    """
    if path.is_dir():
        path = next(
            path / name
            for name in ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
            if (path / name).is_file()
        )
    try:  # weights_only: a pickle that holds more than tensors is refused before its code runs
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError) as error:
        raise ValueError(f"expected a file of tensors alone in {path.name}, got one that is damaged or holds more") from error
    state = state.get("state_dict", state)
    state = {name.removeprefix("module.").removeprefix("unet."): value for name, value in state.items()}
    for name, value in state.items():
        if name.endswith((".pos_encoder.pe", ".pos_embed.pe")):
            rows = value.shape[1]
            if not torch.allclose(value.float(), SinusoidalPositionalEmbedding(value.shape[2], rows).pe, atol=1e-2):
                raise ValueError(f"expected sinusoidal positions in {path.name}, got others in {name}")
    # this drops the original layout's positions; those of diffusers' layout are dropped below
    kept = convert_animatediff_checkpoint_to_diffusers(state)
    kept = {
        name: value.float()
        for name, value in kept.items()
        if name.startswith("conv_in.")
        or (".motion_modules." in name and not name.startswith("mid_block.") and not name.endswith(".pe"))
    }
    if not any(".motion_modules." in name for name in kept):
        raise ValueError(f"expected AnimateDiff motion modules in {path.name}, found none")
    return kept


def assemble_unet(
    spatial: UNet2DConditionModel, motion: dict[str, torch.Tensor], reader: UNet2DConditionModel | None = None
) -> LoopAnimateUNet:
    """Build the 9-channel network from a spatial UNet and motion modules, which `motion_state` read.

    reader: a text-conditioned UNet whose cross-attention replaces that of the mid and up blocks.
    Raises ValueError where the parts are no Stable Diffusion 1.x or their shapes do not fit each other.
    """
    config = spatial.config
    if config.use_linear_projection or config.in_channels != 4 or not set(config.down_block_types) <= set(BLOCKS):
        raise ValueError("expected the UNet of a Stable Diffusion 1.x with 4 input channels, got another architecture")
    heads = config.num_attention_heads or config.attention_head_dim  # SD 1.x keeps the head count under this name
    with torch.device("meta"):
        unet = LoopAnimateUNet(
            sample_size=config.sample_size,
            down_block_types=tuple(BLOCKS[kind] for kind in config.down_block_types),
            up_block_types=tuple(BLOCKS[kind] for kind in config.up_block_types),
            block_out_channels=tuple(config.block_out_channels),
            layers_per_block=config.layers_per_block,
            norm_num_groups=config.norm_num_groups,
            cross_attention_dim=config.cross_attention_dim,
            num_attention_heads=heads if isinstance(heads, int) else tuple(heads),
        )
    state = spatial.state_dict()
    if reader is not None:
        words = {name: value for name, value in reader.state_dict().items() if ".attn2." in name}
        state |= {name: value for name, value in words.items() if name.startswith(("mid_block.", "up_blocks."))}
    conv = widen_conv_in(spatial.conv_in)
    pia = motion.pop("conv_in.weight", None)
    motion.pop("conv_in.bias", None)
    if pia is not None and pia.shape[1] == conv.in_channels:
        # PIA's channels are [noisy 4 | mask 1 | picture 4], ours [noisy 4 | picture 4 | mask 1]
        _, mask, picture = pia.split([4, 1, 4], dim=1)
        conv.weight.data[:, 4:] = torch.cat([picture, mask], dim=1)
    state |= motion | {f"conv_in.{name}": value for name, value in conv.state_dict().items()}
    for name, module in unet.named_modules():
        if isinstance(module, SinusoidalPositionalEmbedding):
            state[f"{name}.pe"] = SinusoidalPositionalEmbedding(*reversed(module.pe.shape[1:])).pe
    expected = unet.state_dict()
    wrong = sorted(set(state) ^ set(expected)) or [n for n, value in expected.items() if value.shape != state[n].shape]
    if wrong:
        raise ValueError(f"expected motion modules of the UNet's shape, {len(wrong)} weights do not fit, first {wrong[0]}")
    unet.load_state_dict(state, assign=True)
    return unet


def _card(records: dict[str, dict]) -> str:
    rows = "\n".join(
        f"| {part} | {record['source']} | {record['commit'] or 'local files'} | {record['licence']} |"
        for part, record in records.items()
    )
    return f"""---
license: creativeml-openrail-m
library_name: diffusers
---

# LoopAnimate-512, starting point

Assembled from public checkpoints by `python -m train assemble`; **not trained**: the new input channels are zeros, or
PIA's, and the three stages still have to be run. Files and their sha256 are in `provenance.json`.

| part | source | commit | licence |
|---|---|---|---|
{rows}

Stable Diffusion's weights and everything derived from them, this folder included, are under the CreativeML OpenRAIL-M
licence (https://huggingface.co/spaces/CompVis/stable-diffusion-license): its restrictions of use (Attachment A) bind you
and go with every copy and every model trained from it. CLIP is under MIT, AnimateDiff's motion modules under Apache-2.0.
"""
