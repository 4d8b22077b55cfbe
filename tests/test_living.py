import base64
import json
import re

import html5lib
import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import BSpline

from loopanimate.files.formats import read_metadata
from loopanimate.files.living import QUALITIES, quantised, write_living
from loopanimate.files.manifests import write_manifests
from loopanimate.motion.field import spline_matrix
from tests.fields import random_field


def carried(page: str) -> dict:
    """What the page's script reads."""
    return json.loads(re.search(r'<script type="application/json" id="loop">(.*?)</script>', page, re.DOTALL)[1])


def decoded(loop: dict, shape: tuple[int, int], time: float) -> np.ndarray:
    """Coefficients (4, h, w) in short sides of a carried loop at `time` in loops, streams' phases as in a single loop."""
    numbers = np.frombuffer(base64.b64decode(loop["data"]), "<i2").reshape(-1, *shape, 4).transpose(0, 3, 1, 2).astype(float)
    angles = 2 * np.pi * time * np.arange(1, loop["harmonics"] + 1)
    waves = np.stack([np.cos(angles) - 1, np.sin(angles)], axis=1).reshape(-1)
    phases = np.repeat([(time * turns) % 1 for turns in loop["turns"]], 2)[:, None, None]
    return np.tensordot(waves, numbers[1:], 1) * loop["step"] + phases * numbers[0] * loop["windingStep"]


def upsampled(coefficients: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The page's spline by its definition: B-splines over cell centres, straight on past the outermost."""
    for axis, pixels in ((-2, size[0]), (-1, size[1])):
        values = np.moveaxis(coefficients, axis, 0)
        values = np.concatenate([2 * values[:1] - values[1:2], values, 2 * values[-1:] - values[-2:-1]])
        cells = len(values) - 2
        at = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
        coefficients = np.moveaxis(BSpline(np.arange(-3, cells + 3), values, 3)(at), 0, axis)
    return coefficients


@pytest.mark.parametrize("streams", [(), (1,), (0, 1)])
def test_the_file_carries_the_field(streams):
    field = random_field(1, (12, 16), streams)
    loop = quantised(field) | {"turns": field.turns}
    assert loop["error"] < 2e-4
    rows, columns = spline_matrix(12, 90), spline_matrix(16, 120)
    for time in (0.0, 0.013, 0.31, 0.5, 0.77, 0.999):
        exact = rows @ field.at(time * field.period)[0] @ columns.T
        assert np.abs(upsampled(decoded(loop, (12, 16), time), (90, 120)) - exact).max() <= loop["error"] + 1e-6


def test_what_the_codec_passes_needs_few_harmonics():
    assert quantised(random_field(2, (12, 12)))["harmonics"] <= 8  # 2 hertz of a loop of 4.25 seconds


@pytest.fixture
def page(tmp_path, blob):
    image, mask = blob
    write_living(tmp_path / "loop.html", image, mask, [random_field(3, (12, 16))], "it rocks")
    return (tmp_path / "loop.html").read_text()


def test_the_page_is_valid_and_names_nothing_outside(page):
    html5lib.HTMLParser(strict=True).parse(page)
    for target in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page):
        assert target.startswith("data:")
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", page)
    assert "default-src 'none'" in page


def test_motion_alpha_and_code_weigh_little(page):
    loop = carried(page)
    beside = len(page) - len(loop["plate"]["source"]) - len(re.search(r'id="picture"[^>]* src="([^"]*)"', page)[1])
    assert beside < 400_000


def test_zero_displacement_composites_to_the_picture(blob, tmp_path):
    image, mask = blob
    write_living(tmp_path / "loop.html", image, mask, [random_field(3, (12, 16))], "x")
    kept = re.search(r'id="picture"[^>]* src="data:image/webp;base64,([^"]*)"', (tmp_path / "loop.html").read_text())[1]
    (tmp_path / "kept.webp").write_bytes(base64.b64decode(kept))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "kept.webp").convert("RGB")), image)


def test_a_large_picture_is_kept_at_a_quality_that_fits(tmp_path, monkeypatch):
    monkeypatch.setattr("loopanimate.files.living.PICTURE_BYTES", 90_000)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    write_living(tmp_path / "loop.html", noise, np.ones((200, 200)), [random_field(3, (12, 12))], "x")
    page = (tmp_path / "loop.html").read_text()
    kept = base64.b64decode(re.search(r'src="data:image/jpeg;base64,([^"]*)"', page)[1])
    assert len(kept) <= 90_000 and carried(page)["alpha"] is None and carried(page)["plate"] is None
    assert len(QUALITIES) > 1


def test_the_page_carries_its_recipe(tmp_path, blob):
    image, mask = blob
    recipe = '{"prompt": "</script><b> & \\"x\\" \u2603"}'
    write_living(tmp_path / "loop.html", image, mask, [random_field(3, (12, 16))], "x", recipe)
    assert read_metadata(tmp_path / "loop.html") == recipe
    write_living(tmp_path / "bare.html", image, mask, [random_field(3, (12, 16))], "x")
    (tmp_path / "other.html").write_bytes(b"<p>\xff")
    assert read_metadata(tmp_path / "bare.html") is None and read_metadata(tmp_path / "other.html") is None


@pytest.mark.parametrize(
    "title", ["</title><script>alert(1)</script>\"'&", "@LOOP@ @RECIPE@ @SCRIPT@", "two\nlines \x00\x07 \ud800", ""]
)
def test_any_title_is_only_text(title, tmp_path, blob):
    image, mask = blob
    write_living(tmp_path / "loop.html", image, mask, [random_field(3, (12, 16))], title)
    page = (tmp_path / "loop.html").read_text()
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    shown = tree.find(".//title").text or ""
    assert shown == " ".join(re.sub(r"[^ -~]", " ", title).split())
    assert tree.find(".//img").get("alt") == shown and len(tree.findall(".//script")) == 3


def test_manifests_name_the_page_and_its_settings(tmp_path, page):
    picture = Image.new("RGB", (900, 600), "teal")
    written = write_manifests(tmp_path / "loop.html", picture, 'a "title"', several=True)
    assert sorted(path.name for path in written) == ["LivelyInfo.json", "LivelyProperties.json", "preview.jpg", "project.json"]
    engine, info, lively = (
        json.loads((tmp_path / name).read_text()) for name in ("project.json", "LivelyInfo.json", "LivelyProperties.json")
    )
    assert engine["type"] == "web" and engine["file"] == info["FileName"] == "loop.html"
    assert engine["title"] == info["Title"] == 'a "title"'
    known = set(re.findall(r"(\w+):", re.search(r"const settings = \{(.*?)\}", page)[1]))
    assert set(lively) == set(engine["general"]["properties"]) == {"strength", "tempo", "parallax", "wander", "fit"}
    assert set(lively) <= known
    with Image.open(tmp_path / "preview.jpg") as preview:
        assert preview.size == (512, 341)
