"""A model of regions that is asked in words: loaded from a folder or a hub, whole or not at all."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from loopanimate.checkpoints import load_regions_model
from loopanimate.presets import REGIONS_MODELS
from tests.clipseg import SIDE, save_clipseg
from tests.hub import serve

REPOSITORY = "CIDAS/clipseg-rd64-refined"


@pytest.fixture
def folder(tmp_path):
    save_clipseg(tmp_path / "clipseg")
    return tmp_path / "clipseg"


@pytest.fixture
def picture():
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((180, 120))


def rewrite(change):
    def damage(folder):
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return damage


def test_the_hubs_layout_loads_and_says_what_the_network_says(tmp_path, picture, monkeypatch):
    expected = save_clipseg(tmp_path)
    named = load_regions_model(tmp_path, "cpu")
    monkeypatch.setattr("loopanimate.scene.prompted.refine", lambda plane, guide: plane)
    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
    pixels = torch.tensor((pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        logits = expected(input_ids=torch.tensor([[0, 9, 1]]), pixel_values=pixels).logits  # start, "boat", end
    found = named(picture, "Boat")
    assert found.shape == (SIDE, SIDE) and found.dtype == np.float32
    assert np.allclose(found, logits.sigmoid().numpy().reshape(found.shape), atol=1e-5)
    assert not np.allclose(found, named(picture, "tab"), atol=1e-4)  # other words, another place


def test_likelihoods_keep_the_pictures_edges(folder, monkeypatch):
    named = load_regions_model(folder, "cpu")
    x = np.arange(SIDE)
    soft = torch.tensor(np.tile(x - 29.5, (SIDE, 1)) / 4)[None]  # its middle lies two cells left of the picture's edge
    monkeypatch.setattr(named.model, "forward", lambda **_: type("Output", (), {"logits": soft}))
    picture = Image.fromarray(np.where(x < SIDE // 2, 40, 220).astype(np.uint8)[None].repeat(SIDE, 0)).convert("RGB")
    found = named(picture, "boat")[SIDE // 2]
    slopes = np.diff(found)
    assert slopes.argmax() == SIDE // 2 - 1 and slopes.max() > 2 * float(soft.sigmoid().diff().max())


def test_weights_that_others_saved_load(folder, picture):
    expected = load_regions_model(folder, "cpu")(picture, "boat")
    weights = {name: weight.half() for name, weight in load_file(folder / "model.safetensors").items()}
    weights["clip.text_model.embeddings.position_ids"] = torch.arange(77)[None]  # of transformers before 4.31
    save_file(weights, folder / "model.safetensors")
    CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "merges.txt").unlink(missing_ok=True)
    (folder / "vocab.json").unlink(missing_ok=True)
    assert (folder / "tokenizer.json").is_file()
    assert np.allclose(load_regions_model(folder, "cpu")(picture, "boat"), expected, atol=0.02)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: (folder / "config.json").unlink(), "model_type clipseg, got .* with None"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "sam3"}'), "model_type clipseg, got .* with sam3"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "expected JSON in .*config.json"),
        (lambda folder: (folder / "vocab.json").unlink(), "vocab.json or tokenizer.json, got .* without one"),
        (lambda folder: (folder / "vocab.json").write_text('{"a'), "expected JSON in .*vocab.json"),
        (lambda folder: (folder / "merges.txt").unlink(), "regions model that loads"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "regions model that loads"),
        (lambda folder: (folder / "model.safetensors").unlink(), "regions model that loads"),
        (lambda folder: (folder / "model.safetensors").write_bytes(bytes(40)), "regions model that loads"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "regions model that loads"),
        (rewrite(lambda weights: weights.pop("decoder.film_mul.weight")), "without decoder.film_mul.weight"),
        (rewrite(lambda weights: weights.update({"decoder.film_mul.bias": torch.zeros(9)})), "without decoder.film_mul.bias"),
    ],
)
def test_a_folder_that_is_no_such_model_is_one_sentence(folder, damage, said):
    damage(folder)
    with pytest.raises(ValueError, match=said) as error:
        load_regions_model(folder, "cpu")
    assert "\n" not in str(error.value)


def test_no_folder_and_no_hub(monkeypatch):
    with pytest.raises(ValueError, match="expected a regions model folder or a hub repository .* no such folder"):
        load_regions_model("nowhere", "cpu")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="expected the hub to give regions model nobody/none@x, but it has none or cannot be"):
        load_regions_model("nobody/none@x", "cpu")


PINNED = REGIONS_MODELS[REPOSITORY][0]


@pytest.mark.parametrize("typed, revision", [(REPOSITORY, PINNED), (f"{REPOSITORY}@main", "main"), ("some/other", None)])
def test_the_commit_that_is_meant(folder, monkeypatch, typed, revision):
    asked = []
    monkeypatch.setattr(
        "loopanimate.checkpoints.snapshot_download", lambda name, revision, **_: asked.append((name, revision)) or folder
    )
    load_regions_model(typed, "cpu")
    assert asked == [(typed.partition("@")[0], revision)]


@pytest.mark.slow
def test_a_hub_gives_it_and_then_is_not_needed(folder, tmp_path):
    torch.save({}, folder / "pytorch_model.bin")  # the hub has one too, which nobody wants
    script = f"from loopanimate.checkpoints import load_regions_model as load; print(load('{REPOSITORY}', 'cpu').model.dtype)"
    command = [sys.executable, "-c", script]
    with serve({REPOSITORY: folder}) as (address, seen):
        settings = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")}
        first = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert first.stdout.strip() == "torch.float32", first.stderr
    assert any(f"/{PINNED}/model.safetensors" in path for path, _ in seen)
    assert not any(path.endswith(".bin") for path, _ in seen)
    again = subprocess.run(command, env={**settings, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False)
    assert again.stdout.strip() == "torch.float32", again.stderr
