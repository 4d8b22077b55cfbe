"""Projects as files: all of it comes back, and nothing else is taken for one."""

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from loopanimate.files.project import MOST_BYTES, RECIPE, is_project, read_project, write_project
from loopanimate.files.recipe import MOST_SIDE, pack, unpack, unpack_parts
from loopanimate.settings import make_settings


def test_picture_masks_and_settings_come_back(tmp_path):
    mask, sea = np.zeros((480, 640), np.float32), np.zeros((480, 640), np.float32)
    mask[100:200, 301:400], sea[300:] = 1, 1
    settings = make_settings(prompt="the sea ripples", seed=7, motion_strength=1.5, arrows=((0.1, 0.2, 0.3, 0.4),))
    (tmp_path / "photo.JPG").write_bytes(b"the picture's own bytes")
    recipe = pack(settings, mask, [("sea", sea)], MOST_SIDE)
    project = write_project(tmp_path / "photo.loop.zip", tmp_path / "photo.JPG", recipe)
    assert is_project(project)
    text, picture = read_project(project, tmp_path / "again")
    assert picture.name == "again.jpg" and picture.read_bytes() == b"the picture's own bytes"
    back, own = unpack(text)
    ((thing, part),) = unpack_parts(text)
    assert back == settings and thing == "sea"
    assert np.array_equal(own, mask) and np.array_equal(part, sea)  # as sharp as they were painted


@pytest.mark.parametrize(
    "names", [["recipe.json"], ["recipe.json", "../picture.png"], ["recipe.json", "picture.png", "more"], ["picture.png"],
              ["recipe.json", "a/picture.png"], ["recipe.json", "picture.png.exe/"]]
)  # fmt: skip
def test_other_names_are_refused(tmp_path, names):
    with ZipFile(tmp_path / "bad.loop.zip", "w") as file:
        for name in names:
            file.writestr(name, "{}")
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="expected a project that LoopAnimate saved, got bad.loop.zip"):
        read_project(tmp_path / "bad.loop.zip", tmp_path / "in" / "again")
    assert not list((tmp_path / "in").iterdir()) and not list(tmp_path.glob("*picture*"))


@pytest.mark.parametrize("name, size", [(RECIPE, 20_000_000), ("picture.png", MOST_BYTES + 1)])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, name, size):
    with ZipFile(tmp_path / "bomb.loop.zip", "w", ZIP_DEFLATED) as file:
        for own in (RECIPE, "picture.png"):
            with file.open(own, "w") as stream:
                for _ in range(0, size if own == name else 1, 1_000_000):
                    stream.write(bytes(1_000_000))
    with pytest.raises(ValueError, match="expected a project"):
        read_project(tmp_path / "bomb.loop.zip", tmp_path / "again")
    assert not list(tmp_path.glob("again*"))


def test_a_zip_of_a_version_to_come_is_no_project(tmp_path):
    path = write_project(tmp_path / "a.loop.zip", Path(__file__), "{}")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 6] = 254  # the version that it needs, in its directory
    path.write_bytes(content)
    assert not is_project(path)
    with pytest.raises(ValueError, match="expected a project"):
        read_project(path, tmp_path / "again")


def test_what_is_no_zip_is_no_project(tmp_path):
    (tmp_path / "a.loop.zip").write_bytes(b"PK\x03\x04 nothing")
    assert not is_project(tmp_path / "a.loop.zip")
    with pytest.raises(ValueError, match="expected a project"):
        read_project(tmp_path / "a.loop.zip", tmp_path / "again")
