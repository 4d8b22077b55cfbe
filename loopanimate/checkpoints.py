"""A name becomes a pipeline: bundled folder, local folder or hub repository (DESIGN.md §3)."""

import json
from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError

from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import PRESETS

COMPONENTS = ("unet", "scheduler", "codec", "image_encoder", "tokenizer", "text_encoder")


def load_pipeline(preset: str = "motion", checkpoint: str | Path | None = None, device: str = "auto") -> LoopAnimatePipeline:
    """The pipeline of a preset's own checkpoint, or of `checkpoint`: a folder or a hub repository ("owner/name").

    Args:
        device: "auto" takes CUDA where there is one, "cpu" or "cuda".

    Raises: ValueError in one sentence for an unknown preset, a folder that holds no pipeline, a hub out of reach.
    """
    if preset not in PRESETS:
        raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {preset!r}")
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"expected a device out of auto, cpu, cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a CUDA device for device cuda, found none")
    source = checkpoint or PRESETS[preset].checkpoint
    if source is None:
        raise ValueError(f"preset {preset} {PRESETS[preset].needs}; name it with --checkpoint")
    local = Path(source)
    is_hub = isinstance(source, str) and source.count("/") == 1 and not local.exists() and not source.startswith(("/", "."))
    if not is_hub:
        _check_folder(local)
    dtype = torch.float32
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and preset != "motion":
        dtype = torch.float16
    try:
        pipeline = LoopAnimatePipeline.from_pretrained(source, dtype=dtype, local_files_only=not is_hub)
    except (OSError, ValueError, RuntimeError, HfHubHTTPError, SafetensorError) as error:
        if is_hub and isinstance(error, (OSError, HfHubHTTPError)):
            raise ValueError(f"expected the hub to give checkpoint {source}, but it has none or cannot be reached") from error
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"expected a LoopAnimate checkpoint that loads, got {source}: {reason}") from error
    return pipeline.to(device)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"expected a checkpoint folder or a hub repository (owner/name), got {folder}: no such folder")
    index = folder / "model_index.json"
    if not index.is_file():
        raise ValueError(f"expected a LoopAnimate checkpoint with a model_index.json, got {folder} without one")
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"expected JSON in {index}, got {error}") from None
    missing = [name for name in COMPONENTS if name not in listed or not (folder / name).is_dir()]
    if missing:
        raise ValueError(f"expected the parts {', '.join(COMPONENTS)} in {folder}, missing: {', '.join(missing)}")
