"""Any checkpoint of a run as a pipeline folder, ready to be uploaded."""

from pathlib import Path

import torch
from safetensors.torch import load_model

from train.networks import build, reading, save_pipeline
from train.settings import ExportSettings, TrainSettings, read_json
from train.trainer import Progress, newest, record, select_trained, steps_done


def export(settings: ExportSettings) -> Path:
    """Write a pipeline with its card, licences and provenance; returns its folder.

    Raises ValueError, in one sentence, for a folder that holds no such checkpoint or a damaged one, or for an
    output that is there already.
    """
    run, output = Path(settings.run), Path(settings.output)
    found = {steps_done(path): path for path in sorted(run.glob("checkpoint-*[0-9]"))}
    checkpoint = newest(run) if settings.step is None else found.get(settings.step)
    if checkpoint is None or not (run / "settings.json").is_file():
        held = f"checkpoints of steps {', '.join(map(str, found))}" if found else "no checkpoint"
        raise ValueError(f"expected the folder of a stage (OUTPUT/stageK) with that checkpoint, got {run} with {held}")
    if output.exists():
        raise ValueError(f"expected a new folder to write to, got {output}")
    saved = read_json(run / "settings.json")
    known = {name: value for name, value in saved.items() if name in TrainSettings.model_fields}
    asked = TrainSettings(**known, output=str(run.parent))
    preset, stage = asked.table()
    pipe = build(asked, preset)
    networks = select_trained(asked, stage, pipe, "cpu").eval()
    progress = Progress()
    with reading("a checkpoint", checkpoint, "--step takes another"):
        load_model(networks, checkpoint / "model.safetensors")
        for file in checkpoint.glob("custom_checkpoint_*.pkl"):
            state = torch.load(file, map_location="cpu", weights_only=True)
            if "skipped" in state:
                progress.load_state_dict(state)
            elif "shadow_params" in state and not settings.raw:
                trained = (parameter for parameter in networks.parameters() if parameter.requires_grad)
                for parameter, mean in zip(trained, state["shadow_params"], strict=True):
                    parameter.data.copy_(mean)
    told = record(asked, stage, progress, steps_done(checkpoint), saved["clips_a_step"])
    save_pipeline(pipe, output, {**told, "weights": "raw" if settings.raw or not asked.ema else "running mean"})
    return output
