import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from diffusers import UNetMotionModel
from PIL import Image

from loopanimate.animate import make_loops
from loopanimate.checkpoints import load_pipeline
from loopanimate.presets import PRESETS
from loopanimate.render import enlarger
from loopanimate.settings import make_settings
from tests.hub import serve
from tests.network.test_pipeline import call


@pytest.fixture
def folder(small_512, tmp_path):
    small_512.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def refused(folder, words):
    with pytest.raises(ValueError, match=words) as error:
        load_pipeline("512", folder, "cpu")
    assert "\n" not in str(error.value)


def test_a_folder_of_variants_or_shards_loads(small_512, tmp_path):
    expected = call(small_512)
    for name, options in (
        ("plain", {}),
        ("variant", {"variant": "fp16"}),
        ("shards", {"max_shard_size": "300KB"}),
        ("both", {"variant": "fp16", "max_shard_size": "300KB"}),
    ):
        small_512.save_pretrained(tmp_path / name, **options)
        loaded = load_pipeline("512", tmp_path / name, "cpu")
        loaded.set_progress_bar_config(disable=True)
        assert torch.allclose(call(loaded), expected, atol=1e-4), name
    assert len(list((tmp_path / "both" / "unet").glob("*.fp16-*.safetensors"))) > 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:4],
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data + bytes(8),
        lambda data: bytes(len(data)),
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234567\n",
        lambda data: (2).to_bytes(8, "little") + b"{}",
    ],
    ids=["empty", "no header", "half a header", "last byte", "longer", "zeros", "a pointer", "no weights"],
)
def test_a_damaged_file_is_named_before_anything_is_loaded(folder, damage, monkeypatch):
    weights = folder / "text_encoder" / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    monkeypatch.setattr("loopanimate.checkpoints.LoopAnimatePipeline.from_pretrained", None)  # would be a TypeError
    refused(folder, "text_encoder/model.safetensors is not whole .*: fetch it again")


def test_a_checkpoint_from_when_modules_had_other_names_loads(folder, small_512):
    index = folder / "model_index.json"
    text = index.read_text().replace("loopanimate.network.", "loopanimate.")
    assert '"loopanimate.unet"' in text and '"loopanimate.codecs"' in text
    index.write_text(text)
    loaded = load_pipeline("512", folder, "cpu")
    loaded.set_progress_bar_config(disable=True)
    assert torch.allclose(call(loaded), call(small_512), atol=1e-4)
    loaded.save_pretrained(folder.with_name("again"))
    assert '"loopanimate.network.unet"' in (folder.with_name("again") / "model_index.json").read_text()


def test_the_bundled_checkpoint_from_when_modules_had_other_names_loads(motion_pipeline, tmp_path):
    bundled = PRESETS["motion"].checkpoint
    for part in bundled.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "model_index.json").unlink()
    text = (bundled / "model_index.json").read_text().replace("loopanimate.network.", "loopanimate.")
    assert '"loopanimate.motion_codec"' in text and '"loopanimate.encoders"' in text
    (tmp_path / "model_index.json").write_text(text)
    loaded = load_pipeline("motion", tmp_path, "cpu")
    assert {type(part) for part in loaded.components.values()} == {type(part) for part in motion_pipeline.components.values()}


def test_a_missing_shard_is_named(small_512, tmp_path):
    small_512.save_pretrained(tmp_path, max_shard_size="300KB")
    shard = sorted((tmp_path / "unet").glob("*.safetensors"))[1]
    shard.unlink()
    refused(tmp_path, f"{shard.name} is missing")


OURS = ("injection", "projects_text")  # settings that diffusers' network does not have


def test_another_architecture(folder, small_512):
    shutil.copytree(folder, folder.with_name("other"))
    config = {name: value for name, value in small_512.unet.config.items() if name not in OURS and not name.startswith("_")}
    UNetMotionModel(**config).save_pretrained(folder / "unet")
    refused(folder, "expected a LoopAnimateUNet in .*, got a UNetMotionModel")
    index = folder.with_name("other") / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}))
    refused(index.parent, "expected a LoopAnimatePipeline in .*, got a StableDiffusionPipeline")
    index.write_text("{")
    refused(index.parent, "expected JSON in")


def test_two_presets_are_loaded_at_once():
    """As by a page whose first visitor chooses an example at once: that samples with the teacher."""
    with ThreadPoolExecutor(2) as threads:
        for _ in range(2):
            pipes = [*threads.map(partial(load_pipeline, device="cpu"), ("quick", "motion"))]
            assert not any(weight.is_meta for pipe in pipes for weight in pipe.unet.parameters())


def test_the_enlarger_is_made_while_a_preset_loads():
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(load_pipeline, "motion", device="cpu")
        while not loading.done():
            assert not any(weight.is_meta for weight in enlarger.load.__wrapped__("cpu").parameters())
        loading.result()


def test_nothing_pickled_is_read(folder):
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    weights.unlink()
    refused(folder, "checkpoint that loads")


def test_out_of_gpu_memory_says_what_to_do(folder, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation")

    monkeypatch.setattr("loopanimate.network.unet.LoopAnimateUNet.forward", full)
    settings = make_settings(prompt="left", preset="512", num_frames=5)
    picture = Image.new("RGB", (32, 32), "grey")
    with pytest.raises(ValueError, match=r"--num-frames 21.*--device cpu"):
        make_loops(load_pipeline("512", folder, "cpu"), picture, settings, mask=torch.ones(32, 32).numpy())


def test_a_hub_repository_loads_and_then_needs_no_hub(folder, tmp_path):
    script = "from loopanimate import load_pipeline; print(load_pipeline('512', 'maker/loops', 'cpu').config.guidance_scale)"
    command = [sys.executable, "-c", script]
    with serve({"maker/loops": folder}) as (address, seen):
        settings = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")}
        first = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert first.stdout.strip() == "2.0", first.stderr
    assert any(path.endswith("unet/diffusion_pytorch_model.safetensors") for path, _ in seen)
    again = subprocess.run(command, env={**settings, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False)
    assert again.stdout.strip() == "2.0", again.stderr
