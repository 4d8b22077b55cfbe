"""A small Depth Anything model with random weights, as folders and hub repositories hold Depth Anything V2 Small."""

import json
from pathlib import Path

import torch
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

SIDE, PATCH = 56, 14  # pixels on the short side that a picture is brought to, and of a patch


def save_depth_anything(folder: Path) -> DepthAnythingForDepthEstimation:
    """Write config.json, model.safetensors and preprocessor_config.json."""
    torch.manual_seed(0)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    sizes = {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 4,
        "image_size": SIDE,
        "patch_size": PATCH,
        "initializer_range": 0.3,
    }
    model = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=Dinov2Config(**sizes, out_features=stages, reshape_hidden_states=False, mlp_ratio=2),
            patch_size=PATCH,
            reassemble_hidden_size=32,
            neck_hidden_sizes=[8, 8, 16, 32],
            fusion_hidden_size=16,
            head_hidden_size=8,
            initializer_range=0.3,
        )
    ).eval()
    model.head.conv3.bias.data += 0.1  # the last layer cuts off what is negative
    model.save_pretrained(folder)
    pixels = {
        "do_normalize": True,
        "do_pad": False,
        "do_rescale": True,
        "do_resize": True,
        "ensure_multiple_of": PATCH,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "DPTImageProcessorPil",
        "image_std": [0.229, 0.224, 0.225],
        "keep_aspect_ratio": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
        "size_divisor": None,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return model
