"""Pictures made larger once, before they move: by a network, or by Lanczos.

The network is Real-ESRGAN's compact one, realesr-animevideov3 (Wang et al. 2021, https://arxiv.org/abs/2107.10833): four times
as large in one pass. It was trained on drawn films, and leans towards flat colours and clean lines. So what it makes is held
against the picture: by how much its reduction differs from that goes back in (back-projection, Irani and Peleg 1991). Without
that it is worse than Lanczos on most pictures, drawings included; tests/benchmarks/bench_enlarging.py has the figures.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from math import ceil, floor
from threading import Lock, Timer

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from loopanimate.memory import LOADING
from loopanimate.presets import ASSETS

WEIGHTS = ASSETS / "enlarger" / "enlarger.safetensors"
FACTOR = 4  # the network's own
EDGE = 8  # pixels around what is enlarged that are enlarged with it: more than resampling reaches
BAND = 2**16  # pixels of the picture that are in the network at once: 8 MiB a layer in bfloat16
MIN_ROWS = 32  # rows of a band: more than the network's 18 convolutions reach
# Levels of 255 beyond which what the network lost of a picture comes back. With 0 it is better than Lanczos by every measure,
# in drawings, too; with 2 the noise of a JPEG stays away and lines are cleaner, at the price of fine texture.
LEAST = {"auto": 0.0, "photo": 0.0, "drawing": 2.0}

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


class Network(nn.Module):
    """SRVGGNetCompact: 3 x 3 convolutions with PReLUs between, whose result is added to the picture of large pixels."""

    def __init__(self, weights: dict[str, torch.Tensor]):
        """weights: "K.weight" and "K.bias" of the K-th layer, as `train/enlarger.py` writes them."""
        super().__init__()
        shapes = [weights[f"{place}.weight"].shape for place in range(sum(name.endswith("weight") for name in weights))]
        # a convolution has no rows of padding: `enlarge` passes the rows around
        layers = (nn.PReLU(*s) if len(s) == 1 else nn.Conv2d(s[1], s[0], 3, padding=(0, 1)) for s in shapes)
        self.layers = nn.ModuleList(layers)
        self.layers.load_state_dict(weights)

        # the last one's channels are pixels of colours here, not colours of pixels, as a picture stores them
        for parameter in self.layers[-1].parameters():
            parameter.data = parameter.data.unflatten(0, (3, FACTOR**2)).transpose(0, 1).flatten(0, 1).clone()

    @torch.inference_mode()
    def enlarge(self, pixels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Enlarge a picture (H, W, 3) uint8 from top to bottom.

        Yields (4h, 4W, 3) uint8, and (h, W, 3) float32 in the same levels: what its reduction lacks of the picture's h rows.

        The picture passes in bands. Each convolution keeps the last two rows that came to it for the next band, so all is as
        of the whole picture at once, nothing is computed twice, and memory does not grow with the height.
        """
        height, width = pixels.shape[:2]
        rows, weight = max(MIN_ROWS, BAND // width), self.layers[0].weight
        above, done = {}, 0
        for top in range(0, height, rows):
            band = torch.tensor(pixels[top : top + rows], device=weight.device)[None].permute(0, 3, 1, 2)
            x = (band / 255).to(weight.dtype)
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    outside = torch.zeros_like(x[:, :, :1])
                    x = torch.cat([above.get(layer, outside), x, *([outside] if top + rows >= height else [])], 2)
                    above[layer] = x[:, :, -2:].clone()
                x = layer(x)
            own = torch.tensor(pixels[done : done + x.shape[2]], device=weight.device)[:, :, None].float()  # (h, W, 1, 3)
            done += len(own)
            drawn = (255 * x[0].permute(1, 2, 0).unflatten(2, (FACTOR**2, 3)).float() + own).clamp(0, 255)  # (h, W, 16, 3)
            lost = (own[:, :, 0] - drawn.mean(2)).cpu().numpy()
            drawn = drawn.round_().byte().unflatten(2, (FACTOR, FACTOR)).transpose(1, 2)  # (h, 4, W, 4, 3)
            yield drawn.reshape(FACTOR * len(own), FACTOR * width, 3).cpu().numpy(), lost


@lru_cache(maxsize=1)
def load(device: str) -> Network:
    """The bundled network, in bfloat16 where the processor multiplies in it: 57 dB from float32, and faster."""
    halves = device == "cpu" and torch.cpu._is_avx512_bf16_supported()
    with LOADING:
        network = Network(load_file(WEIGHTS)).eval().requires_grad_(False)
    return network.to(device, torch.bfloat16 if halves else torch.float32, memory_format=torch.channels_last)


def enlarge(
    picture: Image.Image,
    size: tuple[int, int],
    box: Box,
    network: Network,
    least: float = 0.0,
    check: Callable[[], object] | None = None,
) -> Image.Image:
    """Enlarge the part `box` of an RGB picture to `size` (width, height), by the network and then by Lanczos to the size.

    least: levels of 255; what the network's picture lacks of the given one comes back as far as it is more. check: called
    before each band; whatever it raises stops the work.
    """
    (left, top, right, bottom), (wide, high) = box, size
    x, y = floor(left), floor(top)
    around = np.pad(np.asarray(picture), ((EDGE, EDGE), (EDGE, EDGE), (0, 0)), "reflect")
    around = around[y : ceil(bottom) + 2 * EDGE, x : ceil(right) + 2 * EDGE]
    left, top, right, step = left - x + EDGE, top - y + EDGE, right - x + EDGE, (bottom - top) / high
    result, held, first, done = np.empty((high, wide, 3), np.uint8), None, 0, 0  # `held` begins at row `first` of `around`
    if check is not None:
        check()
    for made in network.enlarge(around):
        if check is not None:
            check()
        held = made if held is None else [np.concatenate(each) for each in zip(held, made)]
        last = first + len(held[1])
        until = high if last == len(around) else floor((last - EDGE - top) / step)
        if until > done:
            part = left, top + done * step - first, right, top + until * step - first
            result[done:until] = _join(*held, (wide, until - done), part, least)
            done, past = until, floor(top + until * step) - EDGE - first
            held, first = [held[0][FACTOR * past :], held[1][past:]], first + past
    return Image.fromarray(result)


def _join(drawn: np.ndarray, lost: np.ndarray, size: tuple[int, int], box: Box, least: float) -> np.ndarray:
    """What was drawn (4h, 4w, 3) at another size, and with it what it lost (h, w, 3): uint8."""
    made = Image.fromarray(drawn).resize(size, Image.Resampling.LANCZOS, box=tuple(FACTOR * edge for edge in box))
    lost = np.sign(lost) * np.maximum(np.abs(lost) - least, 0) if least else lost
    back = [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC, box=box)) for each in cv2.split(lost)]
    return np.rint(np.clip(made + cv2.merge(back), 0, 255)).astype(np.uint8)


class _Results:
    """The last results, as views ask for them again; each goes when nobody has asked for it for a while."""

    def __init__(self, most: int = 2, seconds: float = 300.0):
        self.most, self.seconds, self.lock = most, seconds, Lock()
        self.kept: dict[tuple, tuple[Image.Image, Timer]] = {}

    def get(self, key: tuple) -> Image.Image | None:
        with self.lock:
            picture = self._take(key)
            return picture and self._put(key, picture)

    def keep(self, key: tuple, picture: Image.Image) -> Image.Image:
        with self.lock:
            self._take(key)
            for oldest in list(self.kept)[: len(self.kept) - self.most + 1]:
                self._take(oldest)
            return self._put(key, picture)

    def _put(self, key: tuple, picture: Image.Image) -> Image.Image:
        timer = Timer(self.seconds, self._drop, (key,))
        timer.daemon = True  # does not keep the program from ending
        self.kept[key] = picture, timer
        timer.start()
        return picture

    def _take(self, key: tuple) -> Image.Image | None:
        picture, timer = self.kept.pop(key, (None, None))
        if timer is not None:
            timer.cancel()
        return picture

    def _drop(self, key: tuple) -> None:
        with self.lock:
            self.kept.pop(key, None)


results = _Results()


def enlarge_once(
    picture: Image.Image, size: tuple[int, int], box: Box, way: str, device: str, check: Callable[[], object] | None = None
) -> Image.Image:
    """`enlarge` by the bundled network, in one of the ways of `LEAST`; the last results are kept, as views ask again."""
    key = sha256(picture.tobytes()).digest(), picture.size, size, box, LEAST[way], device
    return results.get(key) or results.keep(key, enlarge(picture, size, box, load(device), LEAST[way], check))
