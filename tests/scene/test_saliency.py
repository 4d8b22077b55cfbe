import hashlib
import os
import shutil
import sys
from copy import copy
from types import SimpleNamespace

import numpy as np
import pytest
import requests
from PIL import Image

from loopanimate.presets import ASSETS, BUNDLED_SALIENT, SALIENT_MODELS
from loopanimate.scene import saliency as module
from loopanimate.scene.saliency import automatic_mask, edit, saliency, session


def test_the_bundled_network_is_the_authors():
    content = (ASSETS / "saliency" / "u2netp.onnx").read_bytes()
    assert hashlib.md5(content).hexdigest() == "8e83ca70e441ab06c318d82300c84806"


def test_objects_are_found(photos):
    inside = {"astronaut": (220, 400), "chelsea": (200, 120), "coffee": (300, 180), "flower": (300, 220)}
    for name, (x, y) in inside.items():
        mask, found = automatic_mask(photos[name])
        assert found and mask.shape == photos[name].size[::-1]
        assert mask[y, x] > 0.7 and np.median(mask[:20, -20:]) < 0.3, name


@pytest.mark.parametrize("kind", ["flat", "gradient", "gravel"])
def test_a_picture_without_an_object_is_recognised(kind):
    from skimage import data

    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    arrays = {"flat": np.full((256, 256), 128, np.uint8), "gradient": np.tile(ramp[:, None], (1, 256)), "gravel": data.gravel()}
    mask, found = automatic_mask(Image.fromarray(arrays[kind]).convert("RGB"))
    assert not found and (mask == 1).all()


@pytest.mark.parametrize("name", SALIENT_MODELS)
def test_a_model_is_called_as_rembg_calls_it(name, monkeypatch):
    """rembg's own `predict`, over a network that records what it sees and answers what it is given, is the definition."""
    session(BUNDLED_SALIENT)
    kind, seen = sys.modules["rembg.sessions"].sessions[name], []
    assert kind.is_local() and not kind.requires_credentials()
    ends = (-20, 20) if hasattr(kind, "sigmoid") else (0, 1)
    answer = np.linspace(*ends, 48 * 64, dtype=np.float32).reshape(1, 1, 48, 64)
    network = kind.__new__(kind)
    network.inner_session = SimpleNamespace(
        get_inputs=lambda: [SimpleNamespace(name="picture")],
        run=lambda _, inputs, options=None: seen.append(inputs["picture"]) or [answer],
    )
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    (mask,) = network.predict(picture)
    monkeypatch.setattr(module, "session", lambda model: network)
    assert np.abs(saliency(picture, name) * 255 - np.asarray(mask, np.float32)).max() <= 1
    assert np.array_equal(*seen)


def test_a_picture_is_looked_at_once(monkeypatch, photos):
    network, runs = session(BUNDLED_SALIENT), []
    counted = copy(network)
    counted.inner_session = SimpleNamespace(
        get_inputs=network.inner_session.get_inputs, run=lambda *given: runs.append(1) or network.inner_session.run(*given)
    )
    expected = saliency(photos["coffee"])
    monkeypatch.setattr(module, "session", lambda model: counted)
    for picture in (photos["coffee"], photos["coffee"].copy()):
        assert np.array_equal(saliency(picture), expected)
    saliency(photos["flower"])
    assert len(runs) == 2


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where rembg keeps models; the session that was open stays out of the way."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    session.cache_clear()
    yield tmp_path
    session.cache_clear()


def test_a_model_that_rembg_has_finds_the_object(home, photos):
    (home / "models" / "u2net").mkdir(parents=True)
    shutil.copy(ASSETS / "saliency" / "u2netp.onnx", home / "models" / "u2net" / "u2net.onnx")
    (mask, found), (bundled, _) = automatic_mask(photos["coffee"], "u2net"), automatic_mask(photos["coffee"])
    assert found and np.array_equal(mask, bundled)
    assert os.environ["U2NET_HOME"] == str(home) and len(list(home.rglob("*.onnx"))) == 1  # where the bundled one is not


def test_a_model_that_cannot_be_had_is_one_sentence(home, monkeypatch):
    session(BUNDLED_SALIENT)

    def retrieve(*_, **__):
        raise requests.ConnectionError("no route to github.com\nand more")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(ValueError, match="to load or download isnet-general-use, but it cannot: no route to github.com$"):
        session("isnet-general-use")
    (home / "models" / "silueta").mkdir(parents=True)
    (home / "models" / "silueta" / "silueta.onnx").write_bytes(b"cut")
    with pytest.raises(ValueError, match="to load or download silueta, but it cannot"):
        session("silueta")
    assert os.environ["U2NET_HOME"] == str(home)


def test_edits(blob):
    _, mask = blob
    assert edit(mask, grow=5).sum() > mask.sum() > edit(mask, grow=-5).sum()
    assert np.allclose(edit(mask, invert=True), 1 - mask)
    soft = edit(mask, feather=3)
    assert abs(soft.sum() - mask.sum()) < 0.02 * mask.sum() and len(np.unique(soft)) > 20
    assert np.array_equal(edit(mask), mask)
