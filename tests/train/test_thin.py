"""How wires are told from clouds: the lines that are drawn, what is found of them, and the fit."""

import numpy as np
import pytest
from PIL import Image

from loopanimate.scene import edges, finder
from loopanimate.scene.regions import CLASSES
from train import regions, thin
from train.settings import ThinSettings

SKY, TREE = CLASSES.index("sky"), CLASSES.index("tree")


@pytest.fixture
def example():
    """A sky over a wood, in one picture."""
    labels = np.full((300, 512), SKY, np.uint8)
    labels[220:] = TREE
    colours = np.where(labels[..., None] == SKY, (120, 170, 230), (40, 60, 30))
    grain = np.random.default_rng(0).normal(0, 3, colours.shape)
    return regions.Example("scene", True, (colours + grain).clip(0, 255).astype(np.uint8), labels)


def test_lines_are_of_the_colours_given_and_begin_in_the_sky(example):
    cover, picture = thin.draw_lines(example, np.float32([[200, 0, 0]]), np.random.default_rng(0))
    assert 0.001 < (cover > 0.9).mean() < 0.2 and cover[:220].any()
    red = picture[..., 0].astype(int) - picture[..., 2]
    assert red[cover > 0.9].mean() > 100 and red[(cover == 0) & (example.labels == SKY)].mean() < -80


def test_weights_are_those_that_the_things_were_made_with():
    random, weights = np.random.default_rng(0), np.array([2.0, -1.0, 0.0])
    measures = random.normal(0, 1, (20000, 3)) * [1, 2, 5]
    is_other = random.random(20000) < 1 / (1 + np.exp(-(measures @ weights + 0.5)))
    found, constant = thin.solve([thin.Thing(*each, 9) for each in zip(measures, is_other)])
    assert np.allclose(found, weights, atol=0.15)
    assert 0.5 - np.log(thin.WORSE) - 0.3 < constant < 0.5  # wrong clouds weigh more


def test_lines_are_told_from_the_sky_by_a_fit_to_them(example, monkeypatch, tmp_path):
    Image.fromarray(example.picture).save(tmp_path / "scene.jpg", quality=95)
    labels = tmp_path / "labels"
    labels.mkdir()
    Image.fromarray(example.labels).save(labels / "scene.png")
    row = "scene\t{}\tdebian:x\t1\tx/scene.jpg\t0\n"
    monkeypatch.setattr(regions, "LABELS", labels)
    likely = np.zeros((len(CLASSES), 75, 128), np.float32)
    likely[SKY, :55], likely[TREE, 55:] = 0.8, 0.9
    monkeypatch.setattr(finder, "classify", lambda picture: likely)
    table = "name\tsplit\tpackage\tversion\tpath\tsha256\n"
    (labels / "pictures.tsv").write_text(table + row.format("fit"))
    fitted = thin.fit(ThinSettings(pictures=str(tmp_path)))
    assert len(fitted["IS_OTHER"]) == len(edges.IS_OTHER) and fitted["things"] > 0
    (labels / "pictures.tsv").write_text(table + row.format("held"))
    figures = thin.check(ThinSettings(pictures=str(tmp_path), check=True))
    assert figures["lines that stand"] > 80 and figures["sky that stands"] < 0.5
