"""Runs that are killed, and runs of two processes, in processes of their own: forked from one that has imported torch.

Many more faults, with a table: python -m tests.long_runs trainer.
"""

import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.videos import scene, write_captions, write_video

KILLS = 4
STEPS, SAVE_EVERY = 14, 2  # of the killed runs
STEPS_TOGETHER = 20  # of two processes
REFUSED = 2  # status of a process that ended with one sentence
WEIGHTS = "stage0/pipeline/unet/diffusion_pytorch_model.safetensors"


def supervise(task: str, folder: Path, count: int = 0) -> None:
    """What `python -m tests.train.test_survival TASK FOLDER [COUNT]` does."""
    import transformers.utils.logging

    from loopanimate.presets import PRESETS
    from tests.conftest import SMALL
    from train import networks, trainer
    from train.settings import TrainSettings
    from train.stages import STAGES

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    PRESETS["motion"] = replace(PRESETS["motion"], unet={**SMALL, "cross_attention_dim": 384}, short_side=4)
    STAGES["motion"][0] = replace(STAGES["motion"][0], f=3, shorter=(), small=None)
    whitening, stored = networks.whitening, folder / "whitening.pt"

    def find_once(pipe) -> torch.Tensor:
        """The first run's is the others': half of what a run so short takes."""
        if not stored.exists():
            torch.save(whitening(pipe), stored)
        return torch.load(stored, weights_only=True)

    networks.whitening = find_once

    def start(change=lambda: None, steps=STEPS, **values) -> int:
        """Train in a process of its own; its number."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                change()
                settings = TrainSettings(stage=0, steps=steps, save_every=SAVE_EVERY, workers=0, **values)
                trainer.train(settings)
                status = 0
            except ValueError as error:
                status = REFUSED if str(error).startswith("expected ") and "\n" not in str(error) else 1
                print(error, file=sys.stderr)
            except BaseException:  # noqa: BLE001  os._exit would say nothing of it
                traceback.print_exc()
            finally:
                os._exit(status)
        return child

    def finish(*children: int) -> None:
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    if task == "kills":
        values = {"batch": 2}
        finish(start(output=str(folder / "whole"), **values))
        rng = random.Random(0)
        for kill in range(KILLS):
            child = start(output=str(folder / "killed"), **values)
            stage = folder / "killed" / "stage0"
            newest = max(stage.glob("checkpoint-*"), default=None)
            while max(stage.glob("checkpoint-*"), default=None) == newest:  # at least one checkpoint further
                time.sleep(0.001)
            if kill % 2:  # while a checkpoint is being written
                while not (stage / "partial").exists():
                    time.sleep(0.0005)
                time.sleep(rng.uniform(0, 0.02))
                found = "while writing" if (stage / "partial").exists() else "just after writing"
            else:
                time.sleep(rng.uniform(0, 0.2))
                found = "at a random step"
            os.kill(child, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            print(found, max(stage.glob("checkpoint-*")).name, (stage / "partial").exists())
        finish(start(output=str(folder / "killed"), **values))
    elif task == "faults":
        print(json.dumps(meet_faults(start, folder, count)))
    else:
        # Muon works in bfloat16: it makes as much of a gradient's rounding errors as of itself
        STAGES["motion"][0] = replace(STAGES["motion"][0], muon=False)

        def change(rank: int, world: int, port: int):
            build, clip = trainer.build, trainer.Accelerator.clip_grad_norm_

            def in_double(*arguments):
                pipe = build(*arguments)
                for network in (pipe.unet, pipe.image_encoder, pipe.text_encoder):
                    network.double()
                return pipe

            def noting_gradients(self, parameters, norm):
                path = folder / f"gradients{world}.pt"
                if rank == 0 and not path.exists():
                    torch.save([parameter.grad.clone() for parameter in parameters], path)
                return clip(self, parameters, norm)

            trainer.build, trainer.Accelerator.clip_grad_norm_ = in_double, noting_gradients
            os.environ["ACCELERATE_USE_CPU"] = "true"
            if world > 1:
                names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
                os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")

        values = {"data": str(folder / "clips"), "preencode": 1, "ema": False, "steps": STEPS_TOGETHER}
        for world in (1, 2):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            outputs = {"output": str(folder / f"world{world}"), "batch": 4 // world}
            changes = [partial(change, rank, world, port) for rank in range(world)]
            finish(*(start(how, **outputs, **values) for how in changes))


def meet_faults(start, folder: Path, count: int) -> Counter:
    """Kill runs at any moment, and give them little room on the disk, `count` times together; cut each file of their newest
    checkpoint at every tenth. What came of it, and how often."""
    rng, outcomes, stage = random.Random(0), Counter(), folder / "run" / "stage0"

    def train(seconds: float | None = None, room: int | None = None) -> int:
        """Train on; killed after `seconds`, or with room for files of so many bytes. How the process ended."""

        def limit():
            if room is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

        child = start(limit, output=str(folder / "run"), batch=2)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def is_same() -> bool:
        found, wanted = load_file(folder / "run" / WEIGHTS), load_file(folder / "whole" / WEIGHTS)
        return all(torch.equal(found[name], wanted[name]) for name in wanted)

    begun = time.monotonic()
    assert train() == 0
    took = time.monotonic() - begun
    shutil.move(folder / "run", folder / "whole")
    for index in range(count):
        fault = ("kill", "full disk")[index % 2]
        code = train(seconds=rng.uniform(0, took)) if fault == "kill" else train(room=int(10 ** rng.uniform(2, 7)))
        half = [path.name for path in stage.glob("checkpoint-*") if not all(map(is_read, path.iterdir()))]
        ended = {0: "finished", REFUSED: "one sentence", -signal.SIGKILL: "killed"}.get(code, f"WRONG, status {code}")
        ended = f"WRONG, half of {half}" if half else ended
        if (folder / "run" / WEIGHTS).exists():
            ended += ", the same weights" if is_same() else ", WRONG, other weights"
            shutil.rmtree(folder / "run")  # and from the beginning
        outcomes[f"{fault}: {ended}"] += 1
    whole = folder / "whole" / "stage0"
    for file in sorted(max(whole.glob("checkpoint-*")).iterdir()):
        for tenth in range(10):
            shutil.rmtree(folder / "run", ignore_errors=True)
            shutil.copytree(whole, stage, ignore=shutil.ignore_patterns("pipeline", "logs"))
            os.truncate(max(stage.glob("checkpoint-*")) / file.name, tenth * file.stat().st_size // 10)
            code = train()
            ended = "the same weights" if code == 0 and is_same() else f"WRONG, status {code}"
            before = (
                "from the checkpoint before" if any(stage.glob("damaged-*")) else "from it"
            )  # a generator's state is unused
            outcomes[f"a checkpoint cut at a tenth: {ended}, {before}"] += 1
    return outcomes


def is_read(path: Path) -> bool:
    """Whether a checkpoint's file is whole."""
    try:
        load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=False)
    except Exception:  # noqa: BLE001  of damaged files, nearly anything
        return False
    return True


def run(task: str, folder: Path) -> str:
    command = [sys.executable, "-m", "tests.train.test_survival", task, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_leave_the_same_weights(tmp_path):
    told = run("kills", tmp_path)
    assert told.count("\n") == KILLS
    assert "while writing" in told
    whole, killed = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_equal_one(tmp_path):
    (tmp_path / "clips").mkdir()
    for index in range(4):
        write_video(tmp_path / "clips" / f"{index}.mp4", scene(20, index))
    write_captions(tmp_path / "clips", {f"{index}.mp4": f"disc {index} sways" for index in range(4)})
    run("processes", tmp_path)
    gradients = [torch.load(tmp_path / f"gradients{world}.pt", weights_only=True) for world in (1, 2)]
    assert max(float((one - two).abs().max()) for one, two in zip(*gradients)) < 1e-9
    assert max(float(one.abs().max()) for one in gradients[0]) > 1e-3
    weights = [load_file(tmp_path / f"world{world}" / WEIGHTS) for world in (1, 2)]
    assert all(value.dtype == torch.float64 for value in weights[0].values())
    losses = [json.loads((tmp_path / f"world{world}/stage0/pipeline/training.json").read_text())["loss"] for world in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)  # the mean over processes, not the first one's
    difference = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    print(f"largest difference of weights after {STEPS_TOGETHER} steps: {difference:.2e}")
    assert difference < 1e-6


if __name__ == "__main__":
    supervise(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
