"""Kernels are compiled once, and by another process where a command would wait for them."""

import os
import subprocess
import sys
from pathlib import Path

KERNEL = """
from loopanimate.compiled import compile_kernel

@compile_kernel("float64(float64)")
def more(number):
    return number + 1
"""
COMMAND = """
import threading
from loopanimate import compiled
compiled.OF_EVERY_LOOP = "tiny",
process = compiled.compile_meanwhile()
print("started" if process else "nothing to do", process and process.wait())
import tiny
kernels = [threading.Thread(target=tiny.more, args=(1.0,)) for _ in range(4)]
for thread in kernels: thread.start()
for thread in kernels: thread.join()
print(tiny.more(1.0), sum(tiny.more.compiled.stats.cache_hits.values()), sum(tiny.more.compiled.stats.cache_misses.values()))
"""


def test_what_a_command_needs_is_compiled_by_another_process_once(tmp_path):
    module, paths = tmp_path / "tiny.py", os.pathsep.join((str(tmp_path), str(Path(__file__).parents[1])))

    def run():
        settings = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run([sys.executable, "-c", COMMAND], env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    module.write_text(KERNEL)
    assert run() == ["started 0", "2.0 1 0"]
    assert run() == ["nothing to do None", "2.0 1 0"]
    module.write_text("\n" + KERNEL)
    assert run()[0] == "started 0"
