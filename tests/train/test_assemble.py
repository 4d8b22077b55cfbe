"""Assembling the 512 preset from small folders in the layouts of the public checkpoints."""

import collections
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from loopanimate.__main__ import main as animate
from loopanimate.checkpoints import load_pipeline
from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.pipeline import LoopAnimatePipeline
from tests.hub import COMMIT, serve
from train.__main__ import main as train
from train.assemble import assemble, assemble_unet, motion_state
from train.networks import save_pipeline
from train.settings import AssembleSettings

TOWER = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 2}
SIDE = {"height": 28, "width": 28}


def spatial_unet(seed=0) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def adapter(positions=32, **changes) -> MotionAdapter:
    torch.manual_seed(1)
    return MotionAdapter(
        block_out_channels=(16, 32),
        motion_layers_per_block=1,
        motion_norm_num_groups=8,
        motion_max_seq_length=positions,
        **changes,
    )


def original(state: dict, prefix="") -> dict:
    """A MotionAdapter's weights under the names of the AnimateDiff repository."""
    renamed = {}
    for name, value in state.items():
        if name.endswith("pos_embed.pe"):
            block = name.removesuffix("pos_embed.pe")
            pairs = [(f"{block}attention_blocks.{index}.pos_encoder.pe", value.clone()) for index in (0, 1)]
        else:
            for ours, theirs in (
                (".norm1.", ".norms.0."),
                (".norm2.", ".norms.1."),
                (".norm3.", ".ff_norm."),
                (".attn1.", ".attention_blocks.0."),
                (".attn2.", ".attention_blocks.1."),
            ):
                name = name.replace(ours, theirs)
            pairs = [(name, value)]
        for name, value in pairs:
            parts = name.split(".")
            if "motion_modules" in parts:
                parts.insert(parts.index("motion_modules") + 2, "temporal_transformer")
            renamed[prefix + ".".join(parts)] = value
    return renamed


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """lambdalabs/sd-image-variations-diffusers in miniature: pickled weights only, the VAE's attention by its old names."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    vision = CLIPVisionConfig(**TOWER, image_size=28, patch_size=14, projection_dim=32)
    checker = CLIPConfig(vision_config={**TOWER, "image_size": 28, "patch_size": 14}, projection_dim=16)
    parts = {
        "unet": (spatial_unet(), "diffusion_pytorch_model.bin"),
        "vae": (vae, "diffusion_pytorch_model.bin"),
        "image_encoder": (CLIPVisionModelWithProjection(vision), "pytorch_model.bin"),
        "safety_checker": (StableDiffusionSafetyChecker(checker), "pytorch_model.bin"),
    }
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for name, (model, file) in parts.items():
        (folder / name).mkdir()
        state = model.state_dict()
        if name == "vae":
            for new, past in old.items():
                state = {key.replace(f"attentions.0.{new}.", f"attentions.0.{past}."): value for key, value in state.items()}
            assert "decoder.mid_block.attentions.0.query.weight" in state
        if name == "safety_checker":  # written when the vision tower was a module of its own
            state = {key.replace("vision_model.", "vision_model.vision_model.", 1): value for key, value in state.items()}
            state["vision_model.vision_model.embeddings.position_ids"] = torch.arange(5)[None]
        if name == "image_encoder":
            state["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
        torch.save(state, folder / name / file)
        model.save_config(folder / name) if name in ("unet", "vae") else model.config.save_pretrained(folder / name)
    CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=SIDE).save_pretrained(folder / "feature_extractor")
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\nA card.\n")
    (folder / "LICENSE").write_text("CreativeML Open RAIL-M\n")
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """openai/clip-vit-large-patch14 in miniature: one CLIPModel, its tokenizer's files, weights in two formats."""
    folder = tmp_path_factory.mktemp("words")
    vocabulary = ["<|startoftext|>", "<|endoftext|>", "l", "e", "f", "t</w>", "le", "lef", "left</w>"]
    torch.manual_seed(2)
    config = CLIPConfig(
        text_config={
            **TOWER,
            "vocab_size": len(vocabulary),
            "max_position_embeddings": 12,
            "eos_token_id": 1,
            "bos_token_id": 0,
        },
        vision_config={**TOWER, "image_size": 28, "patch_size": 14},
        projection_dim=24,
    )
    model = CLIPModel(config)
    model.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\nl e\nle f\nlef t</w>\n")
    special = {"bos_token": vocabulary[0], "eos_token": vocabulary[1], "unk_token": vocabulary[1], "pad_token": vocabulary[1]}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 12, "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def v1_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("v1")
    adapter(24, use_motion_mid_block=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def assembled(base, words, v1_folder, tmp_path_factory):
    return put_together(tmp_path_factory.mktemp("out") / "start", base=base, words=words, motion=v1_folder)


def put_together(output, **sources):
    return assemble(AssembleSettings(output=str(output), **{part: str(path) for part, path in sources.items()}))


def test_the_folder_is_a_pipeline_that_runs(assembled, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    Image.new("L", (48, 40), 255).save(tmp_path / "mask.png")
    command = [
        tmp_path / "picture.png",
        "left",
        "--output",
        tmp_path / "loop.webp",
        "--preset",
        "512",
        "--checkpoint",
        assembled,
        "--num-frames",
        "5",
        "--steps",
        "2",
        "--fps",
        "native",
        "--mask",
        tmp_path / "mask.png",
    ]
    animate([str(part) for part in command])
    with Image.open(tmp_path / "loop.webp") as loop:
        assert loop.n_frames == 4 and loop.size == (48, 40)


def test_parts_are_the_sources(assembled, base, words):
    pipe = load_pipeline("512", assembled, "cpu")
    vae = AutoencoderKL.from_pretrained(base / "vae")
    for name, value in vae.state_dict().items():
        assert torch.equal(pipe.codec.vae.state_dict()[name], value), name
    spatial, motion = spatial_unet().state_dict(), adapter(24, use_motion_mid_block=False).state_dict()
    for name, value in pipe.unet.state_dict().items():
        if name.endswith("pos_embed.pe"):
            assert value.shape[1] == 36 and torch.equal(value[:, :24], motion[name])
        elif ".motion_modules." in name:
            assert torch.equal(value, motion[name]), name
        elif name != "conv_in.weight":
            assert torch.equal(value, spatial[name]), name
    assert torch.equal(pipe.unet.conv_in.weight[:, :4], spatial["conv_in.weight"]) and not pipe.unet.conv_in.weight[:, 4:].any()
    text = CLIPModel.from_pretrained(words).text_model.state_dict()
    ours = {name.removeprefix("text_model."): value for name, value in pipe.text_encoder.state_dict().items()}
    assert all(torch.equal(ours[name], value) for name, value in text.items())
    assert pipe.image_encoder.config.projection_dim == 32
    checker = torch.load(base / "safety_checker" / "pytorch_model.bin", weights_only=True)
    assert torch.equal(
        pipe.safety_checker.vision_model.pre_layrnorm.weight, checker["vision_model.vision_model.pre_layrnorm.weight"]
    )
    vision = torch.load(base / "image_encoder" / "pytorch_model.bin", weights_only=True)
    for name, value in pipe.image_encoder.state_dict().items():
        assert torch.equal(value, vision[name]), name
    assert pipe.tokenizer("left", padding="max_length").input_ids[:3] == [0, 8, 1]
    assert pipe.scheduler.config.beta_schedule == "linear" and pipe.codec.config.short_side == 8


def test_it_starts_at_the_pretrained_function(v1_folder):
    spatial, motion = spatial_unet(), adapter(24, use_motion_mid_block=False)
    ours = assemble_unet(spatial, motion_state(v1_folder))
    images = LoopAnimateUNet.from_config(ours.config, injection=("image",) * 3)
    images.load_state_dict(ours.state_dict())
    sample, tokens = torch.randn(1, 9, 5, 8, 8), torch.randn(1, 1, 32)
    stock = UNetMotionModel.from_unet2d(spatial, motion)
    with torch.no_grad():
        expected = stock(sample[:, :4], 7, tokens.repeat_interleave(5, dim=0)).sample
        assert torch.allclose(images(sample, 7, tokens, tokens).sample, expected, atol=1e-5)


def test_at_full_size_every_name_and_shape_fits():
    with torch.device("meta"):
        spatial = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        motion = MotionAdapter(use_motion_mid_block=False).state_dict()
        unet = assemble_unet(spatial, {name: value for name, value in motion.items() if not name.endswith(".pe")})
    assert unet.config.num_attention_heads == 8
    assert round(sum(parameter.numel() for parameter in unet.parameters()) / 1e6, 1) == 1276.7


@pytest.mark.parametrize("positions", [24, 32, 64, 128])
@pytest.mark.parametrize("layout", ["v1.ckpt", "v2.ckpt", "v2.safetensors", "wrapped.ckpt", "folder", "bin-folder"])
def test_adapters_in_every_layout(positions, layout, tmp_path):
    source = adapter(positions, use_motion_mid_block=not layout.startswith("v1"))
    state = source.state_dict()
    path = tmp_path / layout
    if layout == "folder":
        source.save_pretrained(path)
    elif layout == "bin-folder":
        source.save_config(path)
        torch.save(state, path / "diffusion_pytorch_model.bin")
    elif layout.endswith(".safetensors"):
        save_file({name: value.half() for name, value in original(state).items()}, path)
    elif layout.startswith("wrapped"):  # LongAnimateDiff and training runs keep the name of the parallel wrapper
        torch.save({"epoch": 3, "state_dict": original(state, "module.")}, path)
    else:
        torch.save(original(state), path)
    unet = assemble_unet(spatial_unet(), motion_state(path))
    got = unet.state_dict()
    tolerance = 1e-3 if layout.endswith(".safetensors") else 0
    for name, value in state.items():
        if name.startswith("mid_block."):
            assert name not in got
        elif name.endswith(".pe"):
            rows = min(36, positions)
            assert got[name].shape[1] == 36 and torch.equal(got[name][:, :rows], value[:, :rows])
        else:
            assert torch.allclose(got[name], value, rtol=0, atol=tolerance), name


def test_pia_channels_are_permuted_by_name(tmp_path):
    spatial, pia = spatial_unet(), adapter(32, use_motion_mid_block=False, conv_in_channels=9)
    pia.save_pretrained(tmp_path)
    ours = assemble_unet(spatial, motion_state(tmp_path))
    stock = UNetMotionModel.from_unet2d(spatial, pia)
    noisy, picture, mask = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        expected = stock.conv_in(torch.cat([noisy, mask, picture], dim=1))
        assert torch.allclose(ours.conv_in(torch.cat([noisy, picture, mask], dim=1)), expected, atol=1e-6)


def test_words_cross_attention_goes_to_mid_and_up_blocks(v1_folder):
    spatial, reader = spatial_unet(), spatial_unet(seed=9)
    got = assemble_unet(spatial, motion_state(v1_folder), reader).state_dict()
    image, words = spatial.state_dict(), reader.state_dict()
    cross = [name for name in image if ".attn2." in name and "norm" not in name]
    assert {name.split(".")[0] for name in cross} == {"down_blocks", "mid_block", "up_blocks"}
    for name in cross:
        assert torch.equal(got[name], image[name] if name.startswith("down_blocks.") else words[name]), name
    assert torch.equal(got["up_blocks.0.resnets.0.conv1.weight"], image["up_blocks.0.resnets.0.conv1.weight"])


def test_provenance_and_licences(assembled, base, v1_folder):
    records = json.loads((assembled / "provenance.json").read_text())["assembled_from"]
    assert set(records) == {"base", "words", "motion"}
    assert records["base"]["source"] == str(base) and records["base"]["licence"] == "creativeml-openrail-m"
    assert len(records["base"]["sha256"]["unet/diffusion_pytorch_model.bin"]) == 64
    assert "pytorch_model.bin" not in records["words"]["sha256"]  # safetensors are there: nothing pickled is read
    assert (assembled / "base-LICENSE").read_text() == "CreativeML Open RAIL-M\n"
    card = (assembled / "README.md").read_text()
    assert "license: creativeml-openrail-m" in card and str(v1_folder) in card
    assert not list(assembled.rglob("*.bin"))


def test_origin_and_licences_go_with_what_is_trained_from_it(assembled, tmp_path):
    save_pipeline(LoopAnimatePipeline.from_pretrained(assembled), tmp_path / "trained", {"stage": 1})
    for name in ("LICENSE", "base-LICENSE"):
        assert (tmp_path / "trained" / name).read_bytes() == (assembled / name).read_bytes()
    origin, trained = (json.loads((folder / "provenance.json").read_text()) for folder in (assembled, tmp_path / "trained"))
    assert trained == {**origin, "trained": [{"stage": 1}]}
    card = (tmp_path / "trained" / "README.md").read_text()
    assert "license: creativeml-openrail-m" in card and origin["assembled_from"]["base"]["source"] in card
    assert "Use Restrictions" in (tmp_path / "trained" / "LICENSE").read_text()
    assert (tmp_path / "trained" / "safety_checker").is_dir()


class Evil:
    def __reduce__(self):
        return print, ("this must never run",)


def test_pickled_code_is_not_run(base, words, tmp_path, capsys):
    torch.save({**original(adapter(24).state_dict()), "x": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="tensors alone"):
        put_together(tmp_path / "out", base=base, words=words, motion=tmp_path / "evil.ckpt")
    assert "never run" not in capsys.readouterr().out and not list(tmp_path.glob("out*"))


def test_refusals(base, words, v1_folder, tmp_path, monkeypatch):
    def refused(match, output=tmp_path / "out", **sources):
        given = {"base": base, "words": words, "motion": v1_folder, **sources}
        with pytest.raises(ValueError, match=match) as error:
            put_together(output, **given)
        assert "\n" not in str(error.value) and not (tmp_path / "out").exists() and not list(tmp_path.glob("*.partial"))

    refused("no such thing", base=tmp_path / "nowhere")
    refused("expected vae in", base=only_unet(base, tmp_path))
    shutil.copytree(base, tmp_path / "narrow-eye", ignore=shutil.ignore_patterns("pytorch_model.bin", "safety_checker"))
    vision = CLIPVisionConfig(**TOWER, image_size=28, patch_size=14, projection_dim=16)
    CLIPVisionModelWithProjection(vision).save_pretrained(tmp_path / "narrow-eye" / "image_encoder")
    refused("as wide as the UNet reads", base=tmp_path / "narrow-eye")
    shutil.copytree(base, tmp_path / "holes")
    weights = torch.load(base / "image_encoder" / "pytorch_model.bin", weights_only=True)
    weights.pop("visual_projection.weight")
    torch.save(weights, tmp_path / "holes" / "image_encoder" / "pytorch_model.bin")
    refused("1 are missing, first visual_projection", base=tmp_path / "holes")
    (tmp_path / "notes.ckpt").write_text("not weights")
    refused("tensors alone in notes.ckpt", motion=tmp_path / "notes.ckpt")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.ckpt")
    refused("motion modules in other.ckpt, found none", motion=tmp_path / "other.ckpt")
    shifted = {name: value + 0.1 if name.endswith(".pe") else value for name, value in adapter(24).state_dict().items()}
    torch.save(original(shifted), tmp_path / "learned.ckpt")
    refused("sinusoidal positions", motion=tmp_path / "learned.ckpt")
    MotionAdapter(block_out_channels=(16, 16), motion_layers_per_block=1, motion_norm_num_groups=8).save_pretrained(
        tmp_path / "narrow"
    )
    refused("do not fit", motion=tmp_path / "narrow")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    refused("new or empty folder", output=tmp_path / "full")
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1000))
    refused("of free space")


def only_unet(base, tmp_path):
    shutil.copytree(base / "unet", tmp_path / "half" / "unet")
    return tmp_path / "half"


def test_a_hub_out_of_reach_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit) as ended:
        train(["assemble", "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and len(printed.strip().splitlines()) == 1 and "expected to reach the hub" in printed
    assert not list(tmp_path.iterdir())


def test_a_download_that_was_cut_goes_on_where_it_was(base, words, v1_folder, tmp_path):
    command = [
        sys.executable,
        "-m",
        "train",
        "assemble",
        "--output",
        str(tmp_path / "start"),
        "--base",
        "maker/pictures@v2.0",
        "--words",
        "maker/words",
        "--motion",
        "maker/motion",
    ]
    large = tmp_path / "pictures"
    shutil.copytree(base, large)
    weights = torch.load(large / "unet" / "diffusion_pytorch_model.bin", weights_only=True)
    torch.save({**weights, "unused": torch.zeros(2**22 + 2**20)}, large / "unet" / "diffusion_pytorch_model.bin")  # 21 MB
    repositories = {"maker/pictures": large, "maker/words": words, "maker/motion": v1_folder}
    with serve(repositories, cut="unet/diffusion_pytorch_model.bin") as (address, seen):
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")}
        done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spans = [span for path, span in seen if path.endswith("unet/diffusion_pytorch_model.bin") and span]
    assert spans and int(spans[-1].removeprefix("bytes=").removesuffix("-")) >= 10 * 2**20
    fetched = [path for path, _ in seen]
    assert not any(path.endswith("words/resolve/" + COMMIT + "/pytorch_model.bin") for path in fetched)
    records = json.loads((tmp_path / "start" / "provenance.json").read_text())["assembled_from"]
    assert records["base"]["commit"] == COMMIT and records["base"]["licence"] == "openrail"
    assert any("v2.0" in path for path in fetched)


def test_a_repository_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    with serve({}) as (address, _):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        with pytest.raises(ValueError, match="public repository maker/nothing on the hub") as error:
            put_together(tmp_path / "out", base="maker/nothing")
    assert "\n" not in str(error.value)
