"""A model of depth: loaded from a folder or a hub, whole or not at all, and heeded."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from loopanimate.checkpoints import load_depth_model
from loopanimate.motion.camera import Camera
from loopanimate.presets import DEPTH_MODELS
from loopanimate.scene.depth import set_up
from loopanimate.scene.finder import Finder, Models
from loopanimate.scene.prompted import RANGE
from tests.depth_anything import SIDE, save_depth_anything
from tests.hub import serve
from tests.scene.test_depth import box, likely_of

REPOSITORY, (PINNED, _) = next(iter(DEPTH_MODELS.items()))


@pytest.fixture
def folder(tmp_path):
    save_depth_anything(tmp_path / "depth")
    return tmp_path / "depth"


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)).resize((180, 120))


def test_the_hubs_layout_loads_and_says_what_the_network_says(tmp_path, picture):
    network = save_depth_anything(tmp_path)
    found = load_depth_model(tmp_path, "cpu")(picture)
    assert found.shape == (SIDE, 84) and found.dtype == np.float32  # both sides are multiples of a patch
    pixels = np.asarray(picture.resize((84, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    pixels = torch.tensor((pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        expected = network(pixel_values=pixels).predicted_depth[0].numpy()
    far, near = np.quantile(expected, RANGE)
    assert near > far and found.min() == 0 and found.max() == 1
    assert np.corrcoef(found.ravel(), np.clip((expected - far) / (near - far), 0, 1).ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: (folder / "config.json").unlink(), "depth model with a config.json of model_type depth_anything, got"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "dpt"}'), "got .* with dpt"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "depth model that loads"),
        (lambda folder: (folder / "model.safetensors").write_bytes(bytes(40)), "depth model that loads"),
        (
            lambda folder: save_file(
                {name: one for name, one in load_file(folder / "model.safetensors").items() if name != "head.conv1.weight"},
                folder / "model.safetensors",
            ),
            "without head.conv1.weight",
        ),
    ],
)
def test_a_folder_that_is_no_such_model_is_one_sentence(folder, damage, said):
    damage(folder)
    with pytest.raises(ValueError, match=said) as error:
        load_depth_model(folder, "cpu")
    assert "\n" not in str(error.value)


def test_no_hub_is_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="expected the hub to give depth model .* cannot be reached"):
        load_depth_model("nobody/none", "cpu")


def test_a_hub_gives_the_commit_that_is_meant(folder, tmp_path):
    script = f"from loopanimate.checkpoints import load_depth_model as load; print(load('{REPOSITORY}', 'cpu').model.dtype)"
    with serve({REPOSITORY: folder}) as (address, seen):
        settings = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")}
        first = subprocess.run([sys.executable, "-c", script], env=settings, capture_output=True, text=True, check=False)
    assert first.stdout.strip() == "torch.float32", first.stderr
    assert any(f"/{PINNED}/model.safetensors" in path for path, _ in seen)


def test_what_a_model_says_is_each_layers_depth():
    known = np.tile(np.linspace(0, 0.4, 160, dtype=np.float32), (90, 1))
    known[30:75, 60:100] = 0.9
    cat = box(30, 75, 60, 100)
    finder = Finder(Image.new("RGB", (160, 90)), models=Models(depth=lambda picture: known))
    finder.likely, finder.salient = likely_of(animal=(30, 75, 60, 100)), (cat, True)
    near = set_up(None, finder, [Camera("in")])[1].near
    assert near[0, 12, 22] == pytest.approx(0.9, abs=0.03) and np.ptp(near[0, 9:18, 18:26]) < 0.03
    assert near[1, 3, 4:-4] == pytest.approx(np.linspace(0, 0.4, 44)[4:-4], abs=0.05)  # and not the ground's
    assert near[1, 12, 22] < 0.35  # what is behind lies between what is seen beside it
