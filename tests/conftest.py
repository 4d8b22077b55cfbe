"""Small checkpoints and real photographs, made once a run."""

import gc
import os

gc.disable()  # imports make a million objects that stay
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes that tests start would each compile the package again
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch: threads that spin while they wait slow all processes down
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process has a core

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from loopanimate.checkpoints import load_quietly
from loopanimate.network.codecs import VAECodec
from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import PRESETS

gc.freeze()
gc.enable()
SMALL = {
    "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
    "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 32,
    "num_attention_heads": 2,
    "motion_num_attention_heads": 2,
}


def small_unet(**changes) -> LoopAnimateUNet:
    torch.manual_seed(0)
    return LoopAnimateUNet(**{**SMALL, **changes}).eval()


@pytest.fixture(scope="session")
def motion_pipeline():
    """The bundled checkpoint, as the product loads it."""
    return load_quietly("motion", device="cpu")


@pytest.fixture(scope="session")
def small_512():
    """A 512-style pipeline in miniature: VAE codec, CLIP image and text encoders, noise prediction."""
    torch.manual_seed(0)
    words = ["<|startoftext|>", "<|endoftext|>", "l", "e", "f", "t</w>", "le", "lef", "left</w>"]
    merges = [("l", "e"), ("le", "f"), ("lef", "t</w>")]
    tokenizer = CLIPTokenizer({word: i for i, word in enumerate(words)}, merges, model_max_length=12)
    common = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = CLIPTextModel(CLIPTextConfig(**common, vocab_size=len(words), max_position_embeddings=12, eos_token_id=1))
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**common, image_size=28, patch_size=14, projection_dim=32))
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    pipe = LoopAnimatePipeline(
        unet=small_unet(),
        scheduler=DDIMScheduler(**PRESETS["512"].scheduler),
        codec=VAECodec.from_vae(vae, short_side=16).eval(),
        image_encoder=vision.eval(),
        tokenizer=tokenizer,
        text_encoder=text.eval(),
        num_inference_steps=3,
        guidance_scale=2.0,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def photographs() -> dict[str, Image.Image]:
    """Five photographs with a clear object, from packages that carry them."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    arrays = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    return {name: Image.fromarray(array) for name, array in {**arrays, "flower": load_sample_image("flower.jpg")}.items()}


@pytest.fixture(scope="session")
def photos():
    return photographs()


@pytest.fixture(scope="session")
def blob():
    """A small picture of smooth texture with a disc, and the disc's mask as (H, W) in [0, 1]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:96, 0:128]
    texture = sum(np.sin(x * rng.uniform(0.05, 0.4) + y * rng.uniform(0.05, 0.4) + phase) for phase in range(6))
    picture = (128 + 18 * texture)[..., None] + np.array([20.0, 0.0, -20.0])
    disc = np.hypot(x - 64, y - 48) < 24
    picture[disc] = 255 - picture[disc]
    return np.clip(picture, 0, 255).astype(np.uint8), disc.astype(np.float32)
