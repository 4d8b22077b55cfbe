"""Pictures made larger by the network: in bands as of the whole, at the place that Lanczos has them, and held against them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from loopanimate.metrics import psnr
from loopanimate.render import enlarger
from loopanimate.render.enlarger import WEIGHTS, Network, _Results, enlarge, load

BOX = (3.5, 2.25, 94.75, 63.5)


@pytest.fixture(scope="module")
def network():
    """In float32, so that bands differ by rounding alone."""
    return Network(load_file(WEIGHTS)).eval()


@pytest.fixture(scope="module")
def picture(photos):
    return photos["coffee"].resize((96, 72), Image.Resampling.BOX)


@torch.inference_mode()
def of_definition(pixels: np.ndarray) -> np.ndarray:
    """SRVGGNetCompact over the whole picture, as Real-ESRGAN writes it."""
    weights = {name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}
    picture = torch.tensor(pixels).permute(2, 0, 1)[None] / 255
    x = F.conv2d(picture, weights["0.weight"], weights["0.bias"], padding=1)
    for place in range(1, 35, 2):
        x = F.prelu(x, weights[f"{place}.weight"])
        x = F.conv2d(x, weights[f"{place + 1}.weight"], weights[f"{place + 1}.bias"], padding=1)
    x = F.pixel_shuffle(x, 4) + F.interpolate(picture, scale_factor=4, mode="nearest")
    return (255 * x[0].permute(1, 2, 0).clamp(0, 1)).numpy()


def test_the_network_is_its_definition_in_bands_too(network, picture, monkeypatch):
    pixels = np.asarray(picture)
    whole = of_definition(pixels)
    reduced = whole.reshape(72, 4, 96, 4, 3).mean((1, 3))
    for band in (72 * 96, 33 * 96):
        monkeypatch.setattr(enlarger, "BAND", band)
        drawn, lost = (np.concatenate(parts) for parts in zip(*network.enlarge(pixels)))
        assert np.abs(drawn - whole).max() < 0.51 and drawn.dtype == np.uint8
        assert np.abs(lost - (pixels - reduced)).max() < 0.01


@pytest.mark.parametrize("size", [(274, 184), (548, 368)])
def test_bands_are_the_whole(network, picture, size, monkeypatch):
    made = []
    for band in (2**20, 33 * 96):
        monkeypatch.setattr(enlarger, "BAND", band)
        made.append(np.asarray(enlarge(picture, size, BOX, network)).astype(int))
    assert made[0].shape == (*size[::-1], 3) and np.abs(made[0] - made[1]).max() <= 1


def test_it_is_nearer_to_the_picture_that_was_shrunk_than_lanczos(photos):
    sharp = photos["coffee"].crop((200, 100, 456, 292))
    small = sharp.reduce(2)
    plain, whole = small.resize(sharp.size, Image.Resampling.LANCZOS), (0, 0, *small.size)
    made = enlarge(small, sharp.size, whole, load("cpu"))
    nearness = [psnr(np.asarray(each), np.asarray(sharp)) for each in (made, plain)]
    assert nearness[0] > nearness[1] + 0.3, nearness


def test_what_is_made_smaller_again_is_the_picture(network, picture):
    made = enlarge(picture, (384, 288), (0, 0, 96, 72), network)
    alone = enlarge(picture, (384, 288), (0, 0, 96, 72), network, 256.0)
    held, free = (psnr(np.asarray(each.reduce(4)), np.asarray(picture)) for each in (made, alone))
    assert held > 38 and held > free + 8, (held, free)


def test_work_stops_between_two_bands(network, picture, monkeypatch):
    monkeypatch.setattr(enlarger, "BAND", 32 * 112)
    calls = []

    def check():
        calls.append(0)
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        enlarge(picture, (384, 288), (0, 0, 96, 72), network, check=check)
    assert len(calls) == 3


def test_the_last_results_are_kept_for_a_while():
    results = _Results(most=2, seconds=1000)
    pictures = [Image.new("RGB", (2, 2), (number, 0, 0)) for number in range(3)]
    for number in (0, 1):
        results.keep((number,), pictures[number])
    assert results.get((0,)) is pictures[0]  # so the other is the older one
    results.keep((2,), pictures[2])
    assert results.get((1,)) is None and results.get((0,)) is pictures[0] and len(results.kept) == 2
    old = results.kept[2,][1]
    results.get((2,))
    assert old.finished.is_set()  # asked for again: its time begins anew
    for _, timer in list(results.kept.values()):
        timer.function(*timer.args)
        timer.cancel()
    assert not results.kept
