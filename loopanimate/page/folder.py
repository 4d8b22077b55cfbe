"""The folder of what visitors bring and get: nothing in it outlives its time, nor its server."""

import os
import random
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PREFIX, LOCK = "loopanimate-", "server"  # names of folders, and of the file in each that its server has locked
SWEEP_SECONDS = 60  # between two looks for what is old: files go as much later than they should, at most


class Folder:
    """A temporary folder, which goes with its server; what killed servers left goes when the next one starts.

    keep: seconds after which files go, counted from the first sweep that finds them as they are. Their own times are by the
        machine's clock: once that is set forward, files would go that are in use, and once it is set back, none.
    now: a clock that nobody sets.
    """

    def __init__(self, keep: float, parent: str | None = None, now: Callable[[], float] = time.monotonic):
        self.keep, self.now, self.path = keep, now, Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self.found: dict[Path, tuple[int, float]] = {}  # when each was last written, and since when that is known, by `now`
        self.uploads = self.path / "uploads"  # of Gradio, with what it serves
        self.uploads.mkdir()
        self.lock = (self.path / "new").open("w")
        if _lock(self.lock):
            os.rename(self.path / "new", self.path / LOCK)  # others see it locked from the first moment on
        for other in self.path.parent.glob(f"{PREFIX}*"):
            if other != self.path and not other.is_symlink() and _is_left(other):
                shutil.rmtree(other, ignore_errors=True)
        self.remove = weakref.finalize(self, _remove, self.path, self.lock)
        threading.Thread(target=_sweep_on, args=(weakref.ref(self),), name="sweep", daemon=True).start()

    def new_file(self, name: str) -> Path:
        """A file's place, in a folder of its own, which nobody can guess."""
        own = self.path / f"{random.SystemRandom().getrandbits(64):016x}"
        own.mkdir()
        return own / name

    def sweep(self) -> None:
        """Remove what is old, and the folders that are empty then."""
        now, found = self.now(), {}
        for place, folders, names in os.walk(self.path, topdown=False):
            for name in (*names, *folders):
                path = Path(place) / name
                if path in (self.uploads, self.path / LOCK):
                    continue
                with suppress(OSError):  # it has gone meanwhile, or is not empty
                    written = path.lstat().st_mtime_ns
                    before, since = self.found.get(path, (written, now))
                    found[path] = written, since if written == before else now
                    if now - found[path][1] > self.keep:
                        path.rmdir() if name in folders else path.unlink()
        self.found = found

    def count_megabytes(self) -> float:
        """How much all its files take."""
        total = 0
        for place, _, names in os.walk(self.path):
            for name in names:
                with suppress(OSError):
                    total += (Path(place) / name).lstat().st_size
        return total / 1e6


def _sweep_on(reference: "weakref.ref[Folder]") -> None:
    while reference() is not None:
        time.sleep(SWEEP_SECONDS)
        if (folder := reference()) is not None:
            folder.sweep()
        del folder


def _remove(path: Path, lock) -> None:
    lock.close()
    shutil.rmtree(path, ignore_errors=True)


def _lock(file) -> bool:
    """Lock a file until it is closed, or its process ends; False where another process has. Only where there is flock."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        return False
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


def _is_left(folder: Path) -> bool:
    """Whether a folder's server has ended without removing it."""
    with suppress(OSError), (folder / LOCK).open("r+") as file:
        return _lock(file)
    return False
