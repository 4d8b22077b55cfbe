"""Fetching the labelled pictures out of packages, from a mirror and resource files that the tests make."""

import csv
import hashlib
import io
import lzma
import subprocess

import numpy as np
import pytest
from PIL import Image

from train import pictures
from train.settings import PicturesSettings


def jpeg(seed):
    written = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(written, "JPEG")
    return written.getvalue()


def resources(*contents):
    """A file as Qt's rcc writes it: a head, each file's data behind its length, then names and tree."""
    data = b"".join(len(each).to_bytes(4, "big") + each for each in contents)
    head = b"qres" + b"".join(word.to_bytes(4, "big") for word in (3, 24 + len(data) + 6, 24, 24 + len(data), 0))
    return head + data + bytes(6) + bytes(22)


@pytest.fixture
def mirror(tmp_path):
    """A mirror of one suite with the package "scenes" 1-2, of a picture and a resource file with two."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: scenes\nVersion: 1-2\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: scenes\n"
    )
    (tree / "usr").mkdir()
    (tree / "usr" / "one.jpg").write_bytes(jpeg(1))
    (tree / "usr" / "more.rcc").write_bytes(resources(b"text", jpeg(2), jpeg(3)))
    root = tmp_path / "mirror"
    (root / "pool").mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-b", tree, root / "pool" / "scenes.deb"], check=True, capture_output=True)
    for suite in pictures.SUITES:
        folder = root / "dists" / suite / "main" / "binary-amd64"
        folder.mkdir(parents=True)
        has = suite == pictures.SUITES[-1]
        listed = "Package: scenes\nVersion: 1-2\nDescription: x\n more: of it\nFilename: pool/scenes.deb\n\n" if has else ""
        (folder / "Packages.xz").write_bytes(lzma.compress(listed.encode()))
    return root.as_uri()


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    def name(**seeds):
        with open(tmp_path / "pictures.tsv", "w", newline="") as file:
            rows = csv.writer(file, delimiter="\t")
            rows.writerow(["name", "split", "package", "version", "path", "sha256"])
            for each, (package, seed) in seeds.items():
                rows.writerow([each, "fit", package, "1-2", "somewhere", hashlib.sha256(jpeg(seed)).hexdigest()])

    monkeypatch.setattr(pictures, "LABELS", tmp_path)
    return name


def test_pictures_come_out_of_packages_and_resource_files(mirror, wanted, tmp_path):
    wanted(first=("debian:scenes", 1), third=("debian:scenes", 3))
    asked = PicturesSettings(output=str(tmp_path / "out"), debian=mirror)
    assert pictures.collect(asked).startswith("2 pictures")
    assert (tmp_path / "out" / "first.jpg").read_bytes() == jpeg(1)
    assert (tmp_path / "out" / "third.jpg").read_bytes() == jpeg(3)
    assert pictures.collect(asked).startswith("0 pictures")  # they stay


def test_what_cannot_be_had_is_said_once_all_else_is_there(mirror, wanted, tmp_path):
    wanted(gone=("debian:elsewhere", 1), other=("debian:scenes", 9), second=("debian:scenes", 2))
    with pytest.raises(
        ValueError, match="1 were written.*elsewhere 1-2.*not in Debian's.*scenes 1-2 .1 pictures are not in it"
    ):
        pictures.collect(PicturesSettings(output=str(tmp_path / "out"), debian=mirror))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second.jpg"]


def test_a_mirror_that_is_not_there_is_one_sentence(wanted, tmp_path):
    wanted(first=("debian:scenes", 1))
    with pytest.raises(ValueError, match="0 were written"):
        pictures.collect(PicturesSettings(output=str(tmp_path / "out"), debian=(tmp_path / "none").as_uri()))
