"""Anything at all, given to all that reads what people and files say: an answer, or one sentence; never another error.

FUZZ_EXAMPLES says how many examples a test tries; python -m tests.long_runs fuzz tries thousands.
"""

import html.parser
import io
import json
import os
import string
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st
from PIL import Image

from loopanimate.__main__ import main
from loopanimate.files.formats import ENDINGS, Coding, read_metadata, write_loop
from loopanimate.files.living import write_living
from loopanimate.files.pictures import open_mask, open_picture
from loopanimate.files.project import ENDING, is_project, read_project, write_project
from loopanimate.files.recipe import pack, unpack, unpack_parts
from loopanimate.motion.border import ALL_BORDERS
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import limit
from loopanimate.motion.field import Field
from loopanimate.page import text
from loopanimate.page.bindings import READ, bind, read
from loopanimate.page.canvas import Painting
from loopanimate.render.renderer import Renderer
from loopanimate.settings import Settings, make_settings
from loopanimate.words.clauses import read_clauses
from loopanimate.words.revise import revise
from tests.motion.motions import circle

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
fuzz = settings(
    max_examples=EXAMPLES or 20, deadline=None, database=None, derandomize=not EXAMPLES, suppress_health_check=list(HealthCheck)
)
TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(["", "\0", "\ud800", "\u202e", "<script>", "ﬃ", "e\u0301" * 30])
NUMBER = st.integers() | st.floats() | st.integers(-3, 40) | st.floats(0, 1)
SIMPLE = st.none() | st.booleans() | NUMBER | TEXT
ANYTHING = st.recursive(
    SIMPLE | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.tuples(inner, inner) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
JSON = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=12)
KNOWN = make_settings(prompt="it sways").flat()
WORDS = st.lists(
    st.sampled_from(
        [
            "the",
            "a",
            "her",
            "sea",
            "waves",
            "clouds",
            "hair",
            "snow",
            "falls",
            "sways",
            "drift",
            "rolls",
            "left",
            "to",
            "slowly",
            "not",
            "stays",
            "camera",
            "in",
            "and",
            ",",
            ".",
            ";",
            ":",
            "'",
            '"',
            "-",
            "3",
            "&",
        ]
    )
    | TEXT,
    max_size=14,
).map(" ".join)


def answer(function, *given, **named):
    """What comes, or None where one sentence did."""
    try:
        return function(*given, **named)
    except ValueError as error:
        assert type(error) is ValueError and str(error).startswith("expected "), repr(error)
        assert len(str(error)) < 5000
        return None


@fuzz
@given(st.dictionaries(st.sampled_from([*KNOWN]) | TEXT, ANYTHING, max_size=5), st.booleans())
def test_settings_are_made_or_refused(values, says_something):
    made = answer(make_settings, **({"prompt": "it sways"} if says_something else {}) | values)
    if made is not None:
        back, mask = unpack(pack(made, None))
        assert back == made and mask is None


@fuzz
@given(st.dictionaries(st.sampled_from([*KNOWN, "mask", "parts", "loopanimate"]), JSON, max_size=4), st.binary(max_size=40))
def test_recipes_are_read_or_refused(changes, cut):
    recipe = json.loads(pack(make_settings(prompt="it sways"), np.ones((4, 6)), [("sea", np.ones((4, 6)))])) | changes
    for words in (json.dumps(recipe), json.dumps(changes), cut.decode("latin-1"), json.dumps(recipe)[: len(cut) * 20]):
        read = answer(unpack, words)
        if read is not None:
            assert isinstance(read[0], Settings)
            answer(unpack_parts, words)


@fuzz
@given(WORDS)
def test_any_words_are_read(words):
    clauses = read_clauses(words)
    for index in (-1, 0, len(clauses)):
        answer(revise, words, index, strength="gently", heading=90)
        answer(revise, words, index, remove=True)
    assert set(text.slug(words)) <= {*string.ascii_lowercase, *string.digits, "-"} and len(text.slug(words)) <= 40

    class Tags(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag in ("ul", "li", "p", "span", "button", "meter"), tag
            assert not any(name.startswith("on") for name, _ in attributes)

    Tags().feed(text.understood(words))
    assert "<" not in text.sentence(ValueError(f"expected words, got {words}"))


@fuzz
@given(st.dictionaries(st.sampled_from(["of", "automatic", "mask", "freeze", "shown", "parts", "arrows", "pins"]), JSON), TEXT)
def test_paintings_are_read_or_refused(changes, other):
    mask = np.ones((4, 6), np.float32)
    painted = json.loads(Painting("picture.png", mask, mask, [("sea", mask)]).write("x")) | changes
    for words in (json.dumps(painted), json.dumps(changes), other):
        answer(Painting.read, words)


@fuzz
@given(st.sampled_from([*READ]), ANYTHING)
def test_controls_hold_settings_or_are_refused(name, value):
    (binding,) = bind({name: None})
    if (given := answer(read, [binding], {None: value})) is not None:
        answer(make_settings(prompt="it sways").change, **given)


def make_files(folder: Path) -> dict[str, bytes]:
    """A small file of each kind that is read, by its name; `folder` is for their making."""
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
    recipe = pack(make_settings(prompt="it sways"), np.ones((32, 48)))
    for ending in (".mp4", ".webm", ".gif", ".webp", ".png", ".zip", ".avif"):
        if ENDINGS[ending].codecs != ("av1",):
            write_loop(folder / f"loop{ending}", iter(frames), 4, Coding(Fraction(10)), recipe)
    write_living(
        folder / "loop.html", frames[0], [np.eye(32, 48, dtype=np.float32)], [Field(circle(5), [ALL_BORDERS] * 2)], "x", recipe
    )
    for kind in ("JPEG", "TIFF", "BMP", "ICO", "PPM", "AVIF", "HEIF", "JPEG2000", "TGA", "PCX", "ICNS", "DDS"):
        Image.fromarray(frames[0]).resize((32, 32)).save(folder / f"picture.{kind.lower()}", kind)
    write_project(folder / f"picture{ENDING}", folder / "picture.jpeg", recipe)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_files(tmp_path_factory.mktemp("files"))


EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.sampled_from("sid")), max_size=12)


def edit(content: bytes, edits: list, cut: float) -> bytes:
    """A file of which bytes are set, inserted and dropped, and the end may be cut off."""
    content = bytearray(content)
    for place, byte, how in edits:
        at = int(place**2 * len(content))  # headers stand at the start
        content[at : at + (how != "i")] = b"" if how == "d" else bytes([byte])
    return bytes(content[: max(1, int(len(content) * cut))])


@settings(fuzz, max_examples=EXAMPLES or 40, verbosity=Verbosity.quiet)  # its files are long
@given(st.data(), EDITS, st.just(1.0) | st.floats(0, 1))
def test_broken_files_are_read_or_refused(files, tmp_path_factory, data, edits, cut):
    name = data.draw(st.sampled_from(sorted(files)))
    path = tmp_path_factory.getbasetemp() / f"edited-{name}"
    path.write_bytes(edit(files[name], edits, cut))
    if path.suffix in ENDINGS:
        read = read_metadata(path)
        assert read is None or isinstance(read, str)
        answer(unpack, read)
    for opened in (answer(open_picture, path), answer(open_mask, path, (48, 32))):
        assert opened is None or min(opened.size if isinstance(opened, Image.Image) else opened.shape) > 0
    if is_project(path):
        answer(read_project, path, Path(f"{path}-picture"))


@fuzz
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.binary(max_size=50), max_size=4), st.booleans())
def test_archives_of_any_names_stay_in_their_folder(tmp_path_factory, members, with_recipe):
    folder = tmp_path_factory.mktemp("archive")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, part in [*members.items(), *([("recipe.json", b"{}"), ("../../picture.png", b"x")][: 1 + with_recipe])]:
            file.writestr(zipfile.ZipInfo(name), part)
    (folder / "a.loop.zip").write_bytes(content.getvalue())
    if is_project(folder / "a.loop.zip"):
        answer(read_project, folder / "a.loop.zip", folder / "b")
    assert all(path.name in ("a.loop.zip", "b") or path.name.startswith("b.") for path in folder.iterdir())


FLAGS = [
    "--size",
    "--fps",
    "--arrow",
    "--pin",
    "--effect",
    "--seed",
    "--repeats",
    "--codec",
    "--mask",
    "--part",
    "--max-size",
    "-x",
]
TYPED = (
    TEXT.filter(lambda words: "\0" not in words)
    | NUMBER.map(str)
    | st.sampled_from(["0.1,0.2,0.3,0.4", "snow=2", "4k", "it sways"])
)


@fuzz
@given(st.lists(st.sampled_from(FLAGS) | TYPED, max_size=8))
def test_command_lines_end_in_one_sentence(capsys, arguments):
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--output", "no such folder/loop.mp4"])
    said = capsys.readouterr().err.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    assert end.value.code in (0, 2) and (end.value.code == 0 or said.startswith("error: ") and said.count("\n") == 1), said


@fuzz
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 5, 9]), st.integers(1, 3), st.floats(0, 3), st.floats(0, 1))
def test_any_motion_is_drawn_and_closes(seed, frames, layers, size, time):
    rng = np.random.default_rng(seed)
    ring = rng.normal(0, 0.1 * size, (frames, layers, 2, 4, 5)).astype(np.float32)
    winding = rng.normal(0, 0.1 * size, (layers, 2, 4, 5)).astype(np.float32)
    ring[0] = ring[-1] = 0
    borders = [ALL_BORDERS] * layers
    image = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    masks = [rng.random((32, 40), np.float32).round() for _ in range(layers - 1)]
    renderer = Renderer(image, masks, Field(limit(Motion(ring, winding), borders), borders))
    assert np.array_equal(renderer.frame(0), image)
    period = frames - 1
    assert np.abs(renderer.frame(time * period).astype(int) - renderer.frame(time * period + period)).max() <= 1
