"""Does the loader hide behind the step, and is its memory flat? `python -m tests.benchmarks.bench_loader [steps|memory]`

Steps: on clips that are decoded, masked and encoded as it goes, over steps on pre-encoded ones; full-size networks of the
motion preset, stage 3. Memory: of the loading process, over 2,000 small clips.
"""

import sys
import tempfile
import time
from pathlib import Path

import torch

from loopanimate.network.motion_codec import MotionCodec
from loopanimate.presets import ASSETS
from tests.videos import scene, write_captions, write_video
from train import trainer
from train.clips import collect
from train.loader import LoopDataset
from train.settings import TrainSettings

STEPS, SKIPPED = 8, 3  # the first steps wait for the loader to start


def clips(folder: Path, count: int, frames: int, **size) -> str:
    folder.mkdir()
    for index in range(count):
        write_video(folder / f"{index}.mp4", scene(frames, index, **size))
    write_captions(folder, {f"{index}.mp4": f"disc {index} sways" for index in range(count)})
    return str(folder)


def step_seconds(values: dict) -> float:
    """Median seconds of a step, waiting for clips included."""
    seconds, clip_loss = [], trainer.clip_loss
    trainer.clip_loss = lambda *arguments: (seconds.append(time.perf_counter()), clip_loss(*arguments))[1]
    trainer.train(TrainSettings(stage=3, init=str(ASSETS / "motion"), steps=STEPS, save_every=STEPS + 1, **values))
    trainer.clip_loss = clip_loss
    return float(torch.tensor(seconds).diff()[SKIPPED:].median())


def steps(folder: Path) -> None:
    data = clips(folder / "clips", 6, 120, height=240, width=320)
    encoded = step_seconds({"data": data, "output": str(folder / "encoded"), "preencode": 1, "workers": 1})
    real = step_seconds({"data": data, "output": str(folder / "real"), "workers": 1})
    print(f"step on pre-encoded clips {encoded:.2f} s, on real clips {real:.2f} s: {real / encoded:.2f} times")


def memory(folder: Path) -> None:
    data = clips(folder / "clips", 20, 20)
    found, _ = collect(data)
    dataset = LoopDataset(found, 3, 0, MotionCodec(4), masks=False)
    dataset.codec, dataset.side = None, 96  # frames alone: the mask detector would take an hour
    for index in range(2000):
        dataset[index]
        if index in (99, 499, 999, 1999):
            print(f"{index + 1} clips: {resident() / 2**20:.1f} MiB")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        {"steps": steps, "memory": memory}[sys.argv[1] if len(sys.argv) > 1 else "steps"](Path(temporary))
