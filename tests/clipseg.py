"""A small CLIPSeg model with random weights, as folders and hub repositories hold CLIPSeg models."""

import json
from pathlib import Path

import torch
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

SIDE = 64  # pixels that a picture is brought to; more than the 32 that positions are embedded for, as in the real one
WORDS = ["<|startoftext|>", "<|endoftext|>", "b", "o", "a", "t", "t</w>", "bo", "boa", "boat</w>"]


def save_clipseg(folder: Path) -> CLIPSegForImageSegmentation:
    """Write config.json, model.safetensors, the files of CLIP's slow tokenizer and preprocessor_config.json; no tokenizer.json."""
    common = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 3, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = CLIPSegForImageSegmentation(
        CLIPSegConfig(
            text_config={**common, "vocab_size": len(WORDS), "bos_token_id": 0, "eos_token_id": 1},
            vision_config={**common, "image_size": SIDE // 2, "patch_size": 16},
            projection_dim=16,
            extract_layers=[0, 1, 2],
            reduce_dim=8,
            decoder_num_attention_heads=2,
            decoder_intermediate_size=16,
            use_complex_transposed_convolution=True,
        )
    ).eval()
    model.save_pretrained(folder)
    start, end = (
        {"content": word, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False} for word in WORDS[:2]
    )
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": WORDS[1]}
    tokenizer = {"model_max_length": 77, "processor_class": "CLIPSegProcessor", "tokenizer_class": "CLIPTokenizer"}
    pixels = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "ViTImageProcessor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "processor_class": "CLIPSegProcessor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
    }
    files = {
        "vocab.json": {word: place for place, word in enumerate(WORDS)},
        "tokenizer_config.json": {
            name: {"__type": "AddedToken", **token} if isinstance(token, dict) else token for name, token in special.items()
        }
        | tokenizer,
        "special_tokens_map.json": special,
        "preprocessor_config.json": pixels,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "merges.txt").write_text("#version: 0.2\nb o\nbo a\nboa t</w>\n")
    return model
