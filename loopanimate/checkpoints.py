"""From a name to a pipeline, or to a model of regions or depth: bundled folder, local folder or hub repository."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError, safe_open
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, DepthAnythingForDepthEstimation, DPTImageProcessorPil
from transformers.utils import logging as transformers_logging

from loopanimate import memory
from loopanimate.network.few_passes import FewPassScheduler
from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import DEFAULT, DEPTH_MODELS, PRESETS, REGIONS_MODELS, Preset
from loopanimate.scene.finder import Models
from loopanimate.scene.prompted import DepthModel, Prompted
from loopanimate.settings import Machine

COMPONENTS = ("unet", "scheduler", "codec", "image_encoder", "tokenizer", "text_encoder")
CLASSES = {"model_index.json": "LoopAnimatePipeline", "unet/config.json": "LoopAnimateUNet"}
FREE_GPU_BYTES = 13e9  # with less free memory the 512 preset's networks go to the GPU one at a time


def load_pipeline(preset: str = DEFAULT, checkpoint: str | Path | None = None, device: str = "auto") -> LoopAnimatePipeline:
    """The pipeline of a preset's own checkpoint, or of `checkpoint`: a folder or a hub repository ("owner/name").

    A checkpoint that samples appearance runs on a GPU in half precision, with every exact speed-up, and offloaded if the
    GPU is small; everything else runs in float32.

    Args:
        device: "cpu", "cuda" or "auto", which takes CUDA if there is any (for the 512 preset Apple's MPS too).

    Raises: ValueError, in one sentence, for an unknown preset, a folder that holds no pipeline or a broken one, or a hub
    that cannot be reached.
    """
    if preset not in PRESETS:
        raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {preset!r}")
    device = _choose_device(device)
    chosen = PRESETS[preset]
    learned = chosen if chosen.student_of and checkpoint is None else None
    source = checkpoint or (PRESETS[chosen.student_of] if learned else chosen).checkpoint
    if source is None:
        raise ValueError(f"preset {preset} {PRESETS[preset].needs}; name it with --checkpoint")
    folder = _fetch(source, "checkpoint")
    variant = _check_folder(folder)
    is_appearance = _settings(folder / "codec" / "config.json").get("_class_name") == "VAECodec"
    if device == "auto":
        device = "mps" if is_appearance and torch.backends.mps.is_available() else "cpu"
    dtype = torch.float16 if is_appearance and device != "cpu" else torch.float32
    try:
        with memory.LOADING:
            pipeline = LoopAnimatePipeline.from_pretrained(
                folder,
                dtype=dtype,
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                **(_load_student(learned) if learned else {}),
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"expected a LoopAnimate checkpoint that loads, got {source}: {reason}") from error
    if not (is_appearance and device == "cuda"):
        return pipeline.to(device)
    if torch.cuda.mem_get_info()[0] < FREE_GPU_BYTES:
        pipeline.enable_model_cpu_offload()
        return pipeline
    # ZeroGPU gives a process its GPU for seconds at a time, in which compiling never pays
    return pipeline.to(device).speed_up(compile_blocks="SPACES_ZERO_GPU" not in os.environ)


def _load_student(student: Preset) -> dict:
    """What a student has of its own, in place of its teacher's: network, schedule and how many passes."""
    unet = LoopAnimateUNet.from_pretrained(student.checkpoint / "unet", torch_dtype=torch.float32)
    scheduler = FewPassScheduler.from_pretrained(student.checkpoint / "scheduler")
    names = ("num_inference_steps", "guidance_scale", "guidance_interval")
    return {"unet": unet, "scheduler": scheduler, **{name: getattr(student, name) for name in names}}


def load_quietly(preset: str, checkpoint: str | None = None, device: str = "auto") -> LoopAnimatePipeline:
    """`load_pipeline` for the page and the command, without the libraries' own progress bars and log lines."""
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    hub_logging.set_verbosity_error()  # it tells of every try to reach a hub
    transformers_logging.disable_progress_bar()
    pipeline = load_pipeline(preset, checkpoint, device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_regions_model(source: str | Path, device: str = "auto") -> Prompted:
    """A CLIPSeg model: a folder or a hub repository ("owner/name" or "owner/name@revision") in transformers' own layout.

    Raises: ValueError, in one sentence, for a folder that holds no such model or a broken one, or a hub that cannot be reached.
    """
    words = ("vocab.json", "tokenizer.json")
    return Prompted(*_load_foreign(source, device, "regions model", CLIPSegForImageSegmentation, CLIPSegProcessor, words))


def load_depth_model(source: str | Path, device: str = "auto") -> DepthModel:
    """A Depth Anything model, from where and with errors as `load_regions_model` has them."""
    return DepthModel(*_load_foreign(source, device, "depth model", DepthAnythingForDepthEstimation, DPTImageProcessorPil))


def load_models(machine: Machine) -> Models:
    """What finds things and their depth on a machine."""
    named = load_regions_model(machine.regions_model, machine.device) if machine.regions_model else None
    depth = load_depth_model(machine.depth_model, machine.device) if machine.depth_model else None
    return Models(named, machine.salient_model, depth)


def _load_foreign(source: str | Path, device: str, what: str, network, preprocessor, either: Sequence[str] = ()):
    """A network of transformers and its processor, in float32; either: files of which one at least is needed."""
    device = _choose_device(device)
    folder, wanted = _fetch(source, what), network.config_class.model_type
    kind = _settings(folder / "config.json").get("model_type")
    if kind != wanted:
        raise ValueError(f"expected a {what} with a config.json of model_type {wanted}, got {source} with {kind}")
    if either and not any(_settings(folder / name) for name in either):
        raise ValueError(f"expected a {what} with a {' or '.join(either)}, got {source} without one")
    try:
        processor = preprocessor.from_pretrained(folder, local_files_only=True)
        with memory.LOADING:
            model, report = network.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # of transformers, safetensors, huggingface_hub and tokenizers, whose own is no narrower
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"expected a {what} that loads, got {source}: {reason}") from error
    # transformers fills with noise what is missing or has another shape
    if lacking := sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}):
        raise ValueError(f"expected a {what} with the weights of its config.json, got {source} without {lacking[0]}")
    return model.to("cpu" if device == "auto" else device), processor


def _choose_device(device: str) -> str:
    """CUDA for "auto" where there is any. Raises ValueError for a device that is unknown or not there."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"expected a device out of auto, cpu, cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a CUDA device for device cuda, found none")
    return "cuda" if device == "auto" and torch.cuda.is_available() else device


def _fetch(source: str | Path, what: str) -> Path:
    """The folder of a folder, or of a hub repository (owner/name, owner/name@revision), fetching what the cache lacks of it."""
    folder = Path(source)
    if not isinstance(source, str) or source.count("/") != 1 or folder.exists() or source.startswith(("/", ".")):
        if not folder.is_dir():
            raise ValueError(f"expected a {what} folder or a hub repository (owner/name), got {folder}: no such folder")
        return folder
    repository, _, revision = source.partition("@")
    revision = revision or {**REGIONS_MODELS, **DEPTH_MODELS}.get(repository, (None,))[0]
    try:
        ignored = ["*.bin", "*.ckpt", "*.pt", "*.pth", "*.msgpack"]
        return Path(snapshot_download(repository, revision=revision, ignore_patterns=ignored))
    except (OSError, HTTPError, HFValidationError) as error:
        raise ValueError(f"expected the hub to give {what} {source}, but it has none or cannot be reached") from error


def _check_folder(folder: Path) -> str | None:
    """The variant that the weights are stored in.

    Raises ValueError, in one sentence, for everything that can be known to be wrong before networks are built.
    """
    if not (folder / "model_index.json").is_file():
        raise ValueError(f"expected a LoopAnimate checkpoint with a model_index.json, got {folder} without one")
    listed = _settings(folder / "model_index.json")
    missing = [name for name in COMPONENTS if name not in listed or not (folder / name).is_dir()]
    if missing and listed.get("_class_name", "LoopAnimatePipeline") == "LoopAnimatePipeline":
        raise ValueError(f"expected the parts {', '.join(COMPONENTS)} in {folder}, missing: {', '.join(missing)}")
    for name, expected in CLASSES.items():
        got = _settings(folder / name).get("_class_name")
        if got != expected:
            raise ValueError(f"expected a {expected} in {folder / name}, got {'none' if got is None else f'a {got}'}")
    variants = set()
    for component in COMPONENTS:
        for index in (folder / component).glob("*.safetensors.index*.json"):
            for shard in sorted({index.parent / name for name in _settings(index)["weight_map"].values()}):
                if not shard.is_file():
                    raise ValueError(f"expected a LoopAnimate checkpoint that loads, {shard} is missing")
        for weights in (folder / component).glob("*.safetensors"):
            _check_weights(weights)
            # model.safetensors, model.fp16.safetensors, model.fp16-00001-of-00002.safetensors
            variants.add(weights.name.split("-")[0].removesuffix(".safetensors").partition(".")[2] or None)
    return None if None in variants or not variants else min(variants)


def _settings(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected JSON in {path}, got {error}") from None


def _check_weights(path: Path) -> None:
    """Raises ValueError for a file that is cut, damaged or without weights; reads its header alone."""
    try:
        with safe_open(path, framework="pt") as file:
            reason = "" if file.keys() else "it holds no weights"
    except SafetensorError as error:
        reason = str(error)
    if reason:
        raise ValueError(f"expected a LoopAnimate checkpoint that loads, {path} is not whole ({reason}): fetch it again")
