import os
import subprocess
import sys
import time

import pytest

from loopanimate.page.folder import LOCK, Folder

OTHER = (
    "import sys, time; from loopanimate.page.folder import Folder; f = Folder(60, sys.argv[1]); print(f.path); time.sleep(600)"
)


def age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


def test_old_files_go_and_new_ones_stay(tmp_path):
    folder = Folder(100, str(tmp_path))
    old, new = folder.new_file("old.mp4"), folder.new_file("new.mp4")
    uploaded = folder.uploads / "0a1b" / "picture.png"
    uploaded.parent.mkdir()
    for path in (old, new, uploaded):
        path.write_bytes(b"x" * 500_000)
    assert folder.count_megabytes() == pytest.approx(1.5)
    for path in (old, uploaded, folder.path / LOCK, folder.uploads):
        age(path, 101)
    folder.sweep()
    assert new.exists() and not old.exists() and not uploaded.exists() and (folder.path / LOCK).exists()
    for path in (old.parent, uploaded.parent):
        age(path, 101)
    folder.sweep()
    assert not old.parent.exists() and not uploaded.parent.exists() and new.exists() and folder.uploads.exists()
    folder.remove()
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")
def test_what_a_killed_server_left_goes_and_a_running_ones_folder_stays(tmp_path):
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        killed, running = (other.stdout.readline().strip() for other in others)
        others[0].kill()
        others[0].wait()
        own = Folder(60, str(tmp_path))
        assert not os.path.exists(killed) and os.path.exists(running) and own.path.exists()
    finally:
        for other in others:
            other.kill()
            other.wait()
