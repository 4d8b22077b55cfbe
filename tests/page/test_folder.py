import os
import subprocess
import sys
import time

import pytest

from loopanimate.page.folder import LOCK, Folder

OTHER = (
    "import sys, time; from loopanimate.page.folder import Folder; f = Folder(60, sys.argv[1]); print(f.path); time.sleep(600)"
)


def test_old_files_go_and_new_ones_stay(tmp_path):
    now = [0.0]
    folder = Folder(100, str(tmp_path), lambda: now[0])
    old, new = folder.new_file("old.mp4"), folder.new_file("new.mp4")
    uploaded = folder.uploads / "0a1b" / "picture.png"
    uploaded.parent.mkdir()
    for path in (old, new, uploaded):
        path.write_bytes(b"x" * 500_000)
    assert folder.count_megabytes() == pytest.approx(1.5)
    folder.sweep()
    now[0] = 101
    os.utime(new, (1, 1))  # written again
    folder.sweep()
    assert new.exists() and not old.exists() and not uploaded.exists() and (folder.path / LOCK).exists()
    for now[0] in (150, 250):  # their folders changed as they went
        os.utime(new, (now[0], now[0]))
        folder.sweep()
    assert not old.parent.exists() and not uploaded.parent.exists() and new.exists() and folder.uploads.exists()
    folder.remove()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("set_by", [-86_400, 86_400])
def test_a_clock_that_is_set_deletes_nothing_early_and_nothing_late(tmp_path, monkeypatch, set_by):
    now, hour = [0.0], 3600
    folder = Folder(hour, str(tmp_path), lambda: now[0])
    used, before = folder.new_file("used.png"), folder.new_file("before.png")
    for path in (used, before):
        path.touch()
    folder.sweep()
    machine = time.time() + set_by
    monkeypatch.setattr(time, "time", lambda: machine)
    now[0] = 60
    after = folder.new_file("after.png")
    for path in (used, after):
        path.touch()
        os.utime(path, (machine, machine))  # as the machine dates what is written now
    folder.sweep()
    assert used.exists() and before.exists() and after.exists()
    now[0] = hour + 1
    folder.sweep()
    assert used.exists() and after.exists() and not before.exists()
    now[0] = hour + 61
    folder.sweep()
    assert not used.exists() and not after.exists()


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
