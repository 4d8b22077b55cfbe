"""What machines do to a job: no memory, no room on the disk, a kill. Longer: python -m tests.long_runs faults."""

import os
import subprocess
import sys

import pytest

from loopanimate import options
from loopanimate.files.pictures import LEFT_SECONDS, replacing
from loopanimate.memory import SHORT, is_shortage
from loopanimate.page import text

SMALL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from loopanimate.files.living import living_page, write_living
from loopanimate.files.manifests import write_manifests
from loopanimate.files.pictures import write_still
from loopanimate.files.project import write_project
from loopanimate.motion.border import ALL_BORDERS
from loopanimate.motion.field import Field
from PIL import Image
from tests.motion.motions import circle
folder = Path(sys.argv[1])
pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
Image.fromarray(pixels).save(folder / "picture.png")
mask, fields = np.zeros((96, 128), np.float32), [Field(circle(9), [ALL_BORDERS] * 2)]
mask[20:60, 30:90] = 1
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (0, 1, 100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for name, write in {
        "a page": lambda: write_living(folder / "loop.html", pixels, [mask], fields, "it sways"),
        "a still": lambda: write_still(folder / "poster.png", pixels),
        "a project": lambda: write_project(folder / "picture.loop.zip", folder / "picture.png", "{}"),
        "manifests": lambda: write_manifests(folder / "loop.html", Image.fromarray(pixels), "it sways", several=False),
    }.items():
        try:
            write()
            print(name, "was written at", limit)
        except OSError:
            pass
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on a file's size stands for a full disk")
def test_a_full_disk_leaves_no_page_still_project_or_manifest(tmp_path):
    found = subprocess.run([sys.executable, "-c", SMALL_DISK, str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.stdout == "done\n", found.stdout + found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(
    "error, short",
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("can't start new thread"), True),  # whose stack has no room
        (Exception("OpenCV(5.0) alloc.cpp: error: (-4:Insufficient memory) Failed to allocate 9 bytes"), True),
        (RuntimeError("Failed to allocate memory for requested buffer of size 9"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("shapes do not fit"), False),
        (KeyboardInterrupt("can't allocate memory"), False),
    ],
)
def test_that_memory_is_short_is_known_by_every_librarys_words(error, short, capsys):
    assert is_shortage(error) == short
    if short:
        with pytest.raises(SystemExit) as end, options.exit_on_mistake():
            raise error
        assert end.value.code == 2 and capsys.readouterr().err == f"error: {SHORT}\n"


def test_a_full_disk_and_short_memory_are_sentences_on_the_page():
    full = text.sentence(OSError(28, "No space left on device", "/home/somebody/secret"))
    assert full.endswith("No space left on device: try again later.") and "secret" not in full
    assert "free memory" in text.sentence(MemoryError())


def test_names_bring_no_codes_into_a_terminal_or_a_log(capsys):
    with pytest.raises(SystemExit), options.exit_on_mistake():
        raise ValueError("expected a picture, got \x1b[31mred\x07\n  error: forged\u202e.png")
    said = capsys.readouterr().err
    assert said == "error: expected a picture, got \\x1b[31mred\\x07 error: forged\\u202e.png\n"


def test_what_a_killed_process_left_half_written_goes_after_a_day(tmp_path, monkeypatch):
    nobody, somebody = 2**22 + 7, os.getppid()  # beyond the last process that Linux numbers; one at work
    names = (f"a [x].{nobody}", f"a [x].{nobody + 1}", f"a [x].{somebody}", f"b.{nobody}")
    left, fresh, growing, other = (tmp_path / f".{name}.partial.mp4" for name in names)
    for path in (left, fresh, growing, other):
        path.touch()
    for path in (left, growing, other):  # as is all that is being written, once the clock is set forward by more than a day
        os.utime(path, (os.path.getmtime(fresh) - LEFT_SECONDS - 1,) * 2)
    done = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, name=name, call=call: (done.append(name), call(*given)))
    with replacing(tmp_path / "a [x].mp4") as partial:
        partial.write_bytes(b"whole")
    assert done == ["fsync", "replace"]  # on the disk, and only then in its place
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, growing.name, other.name, "a [x].mp4"])
