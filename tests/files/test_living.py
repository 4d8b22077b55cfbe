import base64
import io
import json
import re

import html5lib
import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import BSpline

from loopanimate.files.formats import read_metadata
from loopanimate.files.living import CONSTANTS, MAX_LAYERS, SLIDERS, living_page, quantize, read_picture, write_living
from loopanimate.files.manifests import write_manifests
from loopanimate.motion.spline import spline_matrix
from tests.fields import field_of, random_field


def read_data(page: str) -> dict:
    """What the page's scripts read."""
    return json.loads(re.search(r'<script type="application/json" id="loop">(.*?)</script>', page)[1])


def decode(loop: dict, shape: tuple[int, ...], time: float) -> np.ndarray:
    """Coefficients (L, 2, h, w) in short sides at `time` in loops; shape: (L, h, w). Streams' phases are a single loop's."""
    layers, *cells = shape
    numbers = np.frombuffer(base64.b64decode(loop["data"]), "<i2").reshape(-1, layers, *cells, 2).astype(float)
    numbers = np.moveaxis(numbers, -1, 2)
    angles = 2 * np.pi * time * np.arange(1, (len(numbers) + 1) // 2)
    waves = np.stack([np.cos(angles) - 1, np.sin(angles)], axis=1).reshape(-1)
    phases = np.array([(time * turns) % 1 for turns in loop["turns"]])[:, None, None, None]
    return np.tensordot(waves, numbers[1:], 1) * loop["step"] + phases * numbers[0] * loop["windingStep"]


def upsample(coefficients: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The page's spline by its definition: B-splines over cell centres, straight on past the outermost."""
    for axis, pixels in ((-2, size[0]), (-1, size[1])):
        values = np.moveaxis(coefficients, axis, 0)
        values = np.concatenate([2 * values[:1] - values[1:2], values, 2 * values[-1:] - values[-2:-1]])
        cells = len(values) - 2
        at = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
        coefficients = np.moveaxis(BSpline(np.arange(-3, cells + 3), values, 3)(at), 0, axis)
    return coefficients


@pytest.mark.parametrize("layers, streams", [(2, ()), (2, (1,)), (2, (0, 1)), (3, (0, 2))])
def test_the_file_carries_the_field(layers, streams):
    field = random_field(1, (12, 16), streams, layers=layers)
    loop = quantize(field) | {"turns": field.turns}
    rows, columns = spline_matrix(12, 90), spline_matrix(16, 120)
    for time in (0.0, 0.013, 0.31, 0.5, 0.77, 0.999):
        exact = rows @ field.at(time * field.period)[0] @ columns.T
        assert np.abs(upsample(decode(loop, (layers, 12, 16), time), (90, 120)) - exact).max() < 2e-4


def test_few_harmonics_are_kept_where_few_are_enough():
    angles = 2 * np.pi * np.arange(35) / 34 * np.arange(1, 8)[:, None]  # (K, N); the codec passes 1.7 Hz, in a loop of 4.25 s
    path = (0.01 / np.arange(1, 8)) @ np.sin(angles)
    displacement = path[:, None, None, None] * np.random.default_rng(2).normal(1, 0.1, (4, 12, 12))
    numbers = base64.b64decode(quantize(field_of(displacement.astype(np.float32)))["data"])
    assert len(numbers) <= (1 + 2 * 8) * 2 * 12 * 12 * 2 * 2  # 16 bits of the winding, and of cosine and sine of 8 harmonics


@pytest.fixture
def page(tmp_path, blob):
    image, mask = blob
    write_living(tmp_path / "loop.html", image, [mask], [random_field(3, (12, 16))], "it rocks")
    return (tmp_path / "loop.html").read_text()


def test_the_page_is_valid_and_names_nothing_outside(page):
    html5lib.HTMLParser(strict=True).parse(page)
    for target in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page):
        assert target.startswith("data:")
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", page)
    assert "default-src 'none'" in page


def test_motion_alpha_and_code_weigh_little(page):
    plate = read_data(page)["layers"][0]["plate"]["source"]
    beside = len(page) - len(plate) - len(re.search(r'id="picture"[^>]* src="([^"]*)"', page)[1])
    assert beside < 400_000


def test_a_small_picture_is_kept_without_loss(blob, page, tmp_path):
    kept = Image.open(io.BytesIO(read_picture(tmp_path / "loop.html"))).convert("RGB")
    assert np.array_equal(np.asarray(kept), blob[0])


def test_every_layer_but_the_last_has_an_alpha(blob):
    image, mask = blob
    masks = [mask, np.roll(mask, 30, axis=1), np.roll(mask, -30, axis=1)]
    page = living_page(image, masks, [random_field(3, (12, 16), layers=4)], "x")
    assert [sorted(layer) for layer in read_data(page)["layers"]] == 3 * [["alpha", "borders", "plate"]] + [["borders"]]


def test_layers_without_a_mask_and_too_many_layers_are_refused(blob):
    image, mask = blob
    with pytest.raises(ValueError, match="got 3 with 1 masks"):
        living_page(image, [mask], [random_field(3, (12, 16), layers=3)], "x")
    many = MAX_LAYERS + 1
    with pytest.raises(ValueError, match=f"got {many} with {many} masks"):
        living_page(image, many * [mask], [random_field(3, (12, 16), layers=many)], "x")


def test_a_newer_page_is_refused_and_an_older_one_still_opens(page, tmp_path):
    (tmp_path / "old.html").write_text(page.replace('"version":1,', ""))
    assert read_picture(tmp_path / "old.html") == read_picture(tmp_path / "loop.html")
    for text, reason in (
        (page.replace('"version":1', '"version":2'), "got version 2: a newer"),
        (re.sub(r"(src=.data:image/\w+;base64,)[^\"]+", r"\1A", page), "its picture is damaged"),
        ("<p>", "a living page, got"),
    ):
        (tmp_path / "other.html").write_text(text)
        with pytest.raises(ValueError, match=reason):
            read_picture(tmp_path / "other.html")


def test_scripts_read_the_constants_that_python_writes(page):
    assert set(re.findall(r"constants\.(\w+)", page)) == set(CONSTANTS) == set(read_data(page)["constants"])


def test_a_large_picture_is_kept_at_a_quality_that_fits(tmp_path, monkeypatch):
    monkeypatch.setattr("loopanimate.files.living.PICTURE_BYTES", 90_000)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    write_living(tmp_path / "loop.html", noise, [np.ones((200, 200))], [random_field(3, (12, 12))], "x")
    page = (tmp_path / "loop.html").read_text()
    kept = base64.b64decode(re.search(r'src="data:image/jpeg;base64,([^"]*)"', page)[1])
    assert len(kept) <= 90_000
    assert [set(layer) for layer in read_data(page)["layers"]] == [{"borders"}]  # it covers all that lies behind it


def test_the_page_carries_its_recipe(tmp_path, blob):
    image, mask = blob
    recipe = '{"prompt": "</script><b> & \\"x\\" \u2603"}'
    write_living(tmp_path / "loop.html", image, [mask], [random_field(3, (12, 16))], "x", recipe)
    assert read_metadata(tmp_path / "loop.html") == recipe
    write_living(tmp_path / "bare.html", image, [mask], [random_field(3, (12, 16))], "x")
    (tmp_path / "other.html").write_bytes(b"<p>\xff")
    assert read_metadata(tmp_path / "bare.html") is None and read_metadata(tmp_path / "other.html") is None


@pytest.mark.parametrize(
    "title", ["</title><script>alert(1)</script>\"'&", "@LOOP@ @RECIPE@ @SLIDERS@", "two\nlines \x00\x07 \ud800", ""]
)
def test_any_title_is_only_text(title, tmp_path, blob):
    image, mask = blob
    write_living(tmp_path / "loop.html", image, [mask], [random_field(3, (12, 16))], title)
    page = (tmp_path / "loop.html").read_text()
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    shown = tree.find(".//title").text or ""
    assert shown == " ".join(re.sub(r"[^ -~]", " ", title).split())
    assert tree.find(".//img").get("alt") == shown and len(tree.findall(".//script")) == 3


def test_manifests_of_a_film_say_that_it_is_one(tmp_path):
    written = write_manifests(tmp_path / "loop.webm", Image.new("RGB", (900, 600), "teal"), "x")
    assert sorted(path.name for path in written) == ["LivelyInfo.json", "preview.jpg", "project.json"]
    engine, info = (json.loads((tmp_path / name).read_text()) for name in ("project.json", "LivelyInfo.json"))
    assert (engine["type"], info["Type"], engine["file"], info["FileName"]) == ("video", 7, "loop.webm", "loop.webm")
    assert "general" not in engine and engine["preview"] == info["Thumbnail"] == "preview.jpg"


@pytest.mark.parametrize("several", [False, True])
def test_manifests_and_page_have_the_same_controls(tmp_path, blob, several):
    image, mask = blob
    page = living_page(image, [mask], [random_field(seed, (12, 16)) for seed in range(1 + several)], "x")
    written = write_manifests(tmp_path / "loop.html", Image.new("RGB", (900, 600), "teal"), 'a "title"', several)
    assert sorted(path.name for path in written) == ["LivelyInfo.json", "LivelyProperties.json", "preview.jpg", "project.json"]
    engine, info, lively = (
        json.loads((tmp_path / name).read_text()) for name in ("project.json", "LivelyInfo.json", "LivelyProperties.json")
    )
    assert engine["type"] == "web" and engine["file"] == info["FileName"] == "loop.html"
    assert engine["title"] == info["Title"] == 'a "title"'
    with Image.open(tmp_path / "preview.jpg") as preview:
        assert preview.size == (512, 341)
    known = set(re.findall(r"(\w+):", re.search(r"const settings = \{(.*?)\}", page)[1]))
    tree = html5lib.HTMLParser(namespaceHTMLElements=False).parse(page)
    controls = {control.get("name"): control for tag in ("input", "select") for control in tree.findall(f".//{tag}")}
    names = {"strength", "effects", "tempo", "parallax", "fit"} | ({"wander"} if several else set())
    assert set(lively) == set(engine["general"]["properties"]) == names <= known
    assert set(controls) == names | {"fps", "wander"}
    for name, (_, least, most, step) in SLIDERS.items():
        for control in (lively[name], engine["general"]["properties"][name], controls[name]):
            assert [float(control.get(key)) for key in ("min", "max", "step")] == [least, most, step]
