"""The labels that the finder of regions is fitted to, what is made of them, and how it is measured."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from loopanimate.scene import finder
from loopanimate.scene.regions import CLASSES
from train import regions
from train.settings import RegionsSettings

SKY, WATER, BOAT = (CLASSES.index(name) for name in ("sky", "water", "boat"))


def table(name):
    with open(regions.LABELS / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_label_map_is_one_of_a_named_picture():
    rows = table("pictures.tsv")
    assert {row["name"] for row in rows} == {path.stem for path in regions.LABELS.glob("*.png")}
    assert sum(row["split"] == "held" for row in rows) >= 40 and all(len(row["sha256"]) == 64 for row in rows)
    for row in rows:
        labels = np.asarray(Image.open(regions.LABELS / f"{row['name']}.png"))
        assert max(labels.shape) == 512 and set(np.unique(labels)) <= {*range(len(CLASSES)), regions.UNKNOWN}


def test_sentences_name_what_is_there_in_pictures_that_are_held_out():
    held = {row["name"] for row in table("pictures.tsv") if row["split"] == "held"}
    for row in table("sentences.tsv"):
        labels = np.asarray(Image.open(regions.LABELS / f"{row['name']}.png"))
        assert row["name"] in held
        for place in row["places"].split(" | "):
            assert np.isin(labels, [CLASSES.index(name.lstrip("!")) for name in place.split()]).mean() >= 0.01


@pytest.fixture
def example():
    labels = np.full((300, 512), SKY, np.uint8)
    labels[150:] = WATER
    colours = np.zeros((256, 3), np.uint8)
    colours[[SKY, WATER]] = (60, 120, 250), (10, 40, 60)
    return regions.Example("scene", True, colours[labels], labels)


def test_crops_keep_labels_and_pixels_together(example):
    crops = regions.Crops([example], [(np.full((40, 60, 4), 255, np.uint8), BOAT)])
    random = np.random.default_rng(0)
    for _ in range(8):
        picture, labels = crops.draw(random)
        assert picture.shape == (regions.CROP, regions.CROP, 3) and labels.shape == (regions.CROP,) * 2
        assert set(np.unique(labels)) <= {SKY, WATER, BOAT}
        if {SKY, WATER} <= set(np.unique(labels)):
            assert picture[labels == SKY].mean() > picture[labels == WATER].mean() + 20


def test_rare_things_come_into_other_pictures(example):
    boat = regions.Example("boat", False, example.picture, np.where(example.labels == WATER, BOAT, regions.UNKNOWN))
    crops = regions.Crops([example, boat])
    crops.likely = np.array([1.0, 0.0])
    other = np.full((regions.CROP,) * 2, regions.UNKNOWN, np.uint8)
    other[:50] = BOAT
    picture, labels = crops._cut(np.random.default_rng(0))
    before = labels.copy()
    crops._mix(picture, labels, np.full_like(picture, 7), other, np.random.default_rng(0))
    assert (labels[:50] == BOAT).all() and (picture[:50] == 7).all() and (labels[50:] == before[50:]).all()
    crops._mix(picture, labels, picture, np.full_like(labels, regions.UNKNOWN), np.random.default_rng(0))
    assert (labels[50:] == before[50:]).all()


def test_every_class_of_imagenet_says_something_but_a_few():
    groups = regions._groups()
    assert groups.shape == (len(regions.HINTS) + 1, 1000) and (groups.sum(0) > 0).sum() > 960
    assert groups[[*regions.HINTS].index("animal")].sum() == 398 and groups[-1, :398].sum() == 0


class Small(torch.nn.Module):
    """As regions.Network is used, without its features."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Conv2d(3, 8, 3, 4, 1)
        self.head = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Conv2d(8, len(CLASSES), 1))

    def forward(self, pictures):
        return self.head(self.backbone(pictures))

    def tuned(self):
        return [*self.backbone.parameters()]

    def decoder(self):
        return [*self.head.parameters()]


def test_a_run_that_was_cut_ends_as_one_that_was_not(labelled, example, monkeypatch, tmp_path):
    rows = labelled / "labels" / "pictures.tsv"
    rows.write_text(rows.read_text().replace("held", "fit"))
    Image.fromarray(example.picture).save(labelled / "scene.jpg")
    written, drawn = [], regions.Crops.draw
    monkeypatch.setattr(regions, "Network", Small)
    monkeypatch.setattr(regions, "SAVED", 1)
    monkeypatch.setattr(regions, "BATCH", 2)
    monkeypatch.setattr(regions, "write", lambda model, path: written.append(model.state_dict()) or path)
    asked = RegionsSettings(pictures=str(labelled), output=str(tmp_path / "whole.onnx"), steps=4)
    regions.fit(asked)

    count = iter(range(100))

    def cut(crops, random):
        if next(count) == 5:
            raise KeyboardInterrupt
        return drawn(crops, random)

    monkeypatch.setattr(regions.Crops, "draw", cut)
    asked = asked.model_copy(update={"output": str(tmp_path / "cut.onnx")})
    with pytest.raises(KeyboardInterrupt):
        regions.fit(asked)
    assert (tmp_path / "cut.onnx.checkpoint").is_file() and len(written) == 1
    regions.fit(asked)
    assert all(torch.equal(weight, written[1][name]) for name, weight in written[0].items())
    assert not (tmp_path / "cut.onnx.checkpoint").exists()


class Normalised(torch.nn.Module):
    """The kinds of layers that regions.Network has."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Module()
        self.backbone._conv_stem, self.backbone._bn0 = torch.nn.Conv2d(3, 8, 3, 4, 1, bias=False), torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Sequential(torch.nn.GroupNorm(8, 8), torch.nn.Conv2d(8, len(CLASSES), 1))

    def forward(self, pictures):
        return self.head(self.backbone._bn0(self.backbone._conv_stem(pictures)))


def test_training_goes_on_from_a_finder_that_was_written(tmp_path):
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    before, after = Normalised(), Normalised()
    for norm in (before.backbone._bn0, before.head[0]):
        torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    before.backbone._bn0.running_mean.normal_()
    path = regions.write(before, tmp_path / "finder.onnx")
    regions.load(after, path)
    pictures = torch.randn(2, 3, 64, 96)
    assert (before.eval()(pictures) - after.eval()(pictures)).abs().max() < 2e-3  # weights are written in 16 bits


def test_stamps_are_cut_outs_of_what_their_folder_says(tmp_path):
    cut_out, whole = np.zeros((40, 600, 4), np.uint8), np.full((40, 60, 4), 255, np.uint8)
    cut_out[10:30] = 200
    for name, pixels in (
        ("vehicles/ship/tug", cut_out),
        ("vehicles/van", cut_out),
        ("symbols/a", cut_out),
        ("food/pie", whole),
    ):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    stamps = regions.load_stamps(tmp_path)
    assert [number for _, number in stamps] == [BOAT, CLASSES.index("vehicle")]
    assert max(stamps[0][0].shape) == regions.STAMP
    with pytest.raises(ValueError, match="expected the stamps"):
        regions.load_stamps(tmp_path / "symbols")


@pytest.fixture
def labelled(tmp_path, monkeypatch, example):
    (labels := tmp_path / "labels").mkdir()
    Image.fromarray(example.labels).save(labels / "scene.png")
    (labels / "pictures.tsv").write_text(
        "name\tsplit\tpackage\tversion\tpath\tsha256\nscene\theld\tdebian:x\t1\tx/scene.jpg\t0\n"
    )
    monkeypatch.setattr(regions, "LABELS", labels)
    return tmp_path


def test_a_picture_that_is_missing_is_named(labelled):
    with pytest.raises(ValueError, match="expected scene.jpg in .*train pictures"):
        regions.load_examples(labelled)


def test_what_is_found_is_measured_where_it_is_and_where_it_is_not(labelled, example, monkeypatch):
    grain = np.random.default_rng(0).normal(0, 8, example.picture.shape)  # or it were a drawing, in which whole areas are found
    Image.fromarray((example.picture + grain).clip(0, 255).astype(np.uint8)).save(labelled / "scene.jpg")
    likely = np.zeros((len(CLASSES), 75, 128), np.float32)
    likely[SKY, :30], likely[WATER, 30:] = 1, 1  # the horizon is too high, farther than an edge is moved
    monkeypatch.setattr(finder, "classify", lambda picture: likely)
    table = regions.check(RegionsSettings(pictures=str(labelled)))
    assert table["above 50"] == 100 and table["not found where it is not"] == 100
    assert 76 < table["median intersection over union"] < 86
