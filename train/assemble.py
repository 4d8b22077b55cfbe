"""Put the 512 preset's starting point together from public checkpoints (train/METHOD.md §4, §5, §7).

The UNet, the VAE and the image encoder come from an image-conditioned Stable Diffusion, tokenizer and text encoder from CLIP,
the motion modules from AnimateDiff. Nothing is trained here: the result still has to go through the three stages.
"""

import json
import pickle
import re
import shutil
from pathlib import Path

import diffusers.utils.logging
import torch
import transformers.utils.logging
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from huggingface_hub import constants
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from loopanimate.network.codecs import VAECodec
from loopanimate.network.unet import LoopAnimateUNet, widen_conv_in
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import PRESETS
from train.networks import LICENCES, PAGES, sampling, save_folder, source_row
from train.settings import AssembleSettings
from train.sources import find, first_line

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
    base = find(settings.base, ("unet", "vae", "image_encoder"), ("safety_checker", "feature_extractor"))
    found = {"base": base, "words": find(settings.words), "motion": find(settings.motion)}
    if settings.text_attention:
        found["text_attention"] = find(settings.text_attention, ("unet",))
    _check_space(output, found.values())
    paths = {part: source.fetch() for part, source in found.items()}
    try:
        pipeline = _pipeline(paths)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"expected checkpoints that load and fit each other, got: {first_line(error)}") from error
    records = {part: source.record(paths[part]) for part, source in found.items()}
    rows = "\n".join(source_row(part, row) for part, row in records.items())
    card = (PAGES / "card.md").read_text(encoding="utf-8").replace("ROWS", rows)
    texts = {"provenance.json": json.dumps({"assembled_from": records}, indent=2), "README.md": card}
    folders = {part: path for part, path in paths.items() if path.is_dir()}
    licences = {f"{part}-{file.name}": file for part, folder in folders.items() for file in folder.glob("LICENSE*")}
    save_folder(pipeline, output, texts, licences | {"LICENSE": LICENCES["512"][1]})
    return output


def _check_space(output: Path, found) -> None:
    """Raise ValueError unless the disks have room for the missing downloads and for the output; both may be on one disk."""
    missing, written = sum(source.missing_bytes for source in found), sum(sum(source.sizes.values()) for source in found)
    needs = {}  # of each disk: a folder that is there, and bytes
    for path, size in ((Path(constants.HF_HUB_CACHE), missing), (output.absolute(), written)):
        folder = next(parent for parent in (path, *path.parents) if parent.exists())
        disk = folder.stat().st_dev
        needs[disk] = folder, DISK_OVERHEAD * size + needs.get(disk, (folder, 0))[1]
    for folder, needed in needs.values():
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
        from transformers import CLIPImageProcessor  # its import prints a line about torchvision

        checker["safety_checker"] = _load(StableDiffusionSafetyChecker, base / "safety_checker")
        checker["feature_extractor"] = CLIPImageProcessor.from_pretrained(base / "feature_extractor")
    return LoopAnimatePipeline(
        unet=unet,
        codec=VAECodec.from_vae(vae, unet.config.sample_size or preset.short_side),
        image_encoder=image_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(paths["words"]),
        text_encoder=text_encoder,
        **sampling(preset),
        **checker,
    )


def _load(kind: type, folder: Path):
    """Load a model in float32; raise ValueError where weights are missing, which the libraries would draw at random."""
    safe = any(folder.glob("*.safetensors"))  # otherwise .bin, which both libraries read with weights_only=True
    model, report = kind.from_pretrained(str(folder), dtype=torch.float32, use_safetensors=safe, output_loading_info=True)
    if report["missing_keys"]:
        count, first = len(report["missing_keys"]), min(report["missing_keys"])
        raise ValueError(f"expected all weights of a {kind.__name__} in {folder}, {count} are missing, first {first}")
    return model


def motion_state(path: Path) -> dict[str, torch.Tensor]:
    """Read motion modules, under diffusers' names, from a MotionAdapter folder or a checkpoint file in either layout.

    Only motion modules and PIA's first convolution are kept. A v2 adapter's mid block is dropped, and so are the positional
    tables, after a check that they are the sines from which longer tables can be made.

    Raises ValueError for a file with anything but tensors, without motion modules, or with learned positions.
    """
    if path.is_dir():
        files = (path / f"diffusion_pytorch_model.{ending}" for ending in ("safetensors", "bin"))
        path = next(file for file in files if file.is_file())
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
    wanted = re.compile(r"conv_in\.|(?!mid_block\.).*\.motion_modules\..*(?<!\.pe)$")
    kept = convert_animatediff_checkpoint_to_diffusers(state)
    kept = {name: value.float() for name, value in kept.items() if wanted.match(name)}
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
    blocks = {"CrossAttnDownBlock2D", "DownBlock2D"}
    if config.use_linear_projection or config.in_channels != 4 or not set(config.down_block_types) <= blocks:
        raise ValueError("expected the UNet of a Stable Diffusion 1.x with 4 input channels, got another architecture")
    heads = config.num_attention_heads or config.attention_head_dim  # SD 1.x keeps the head count under this name
    with torch.device("meta"):
        unet = LoopAnimateUNet(
            sample_size=config.sample_size,
            down_block_types=tuple(kind.replace("2D", "Motion") for kind in config.down_block_types),
            up_block_types=tuple(kind.replace("2D", "Motion") for kind in config.up_block_types),
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
