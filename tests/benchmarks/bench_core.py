"""How long a person waits, and how much memory it takes: python -m tests.benchmarks.bench_core.

Start of the page until it answers; a 512 x 512 photograph to a finished MP4, models warm, with the share of each part;
peak memory of that process. Times are of this machine: compare parts of one run, not runs of two machines.
"""

import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

from loopanimate.checkpoints import load_quietly
from loopanimate.loop import make_loops
from loopanimate.scene.saliency import automatic_mask
from loopanimate.settings import make_settings


def page_answers(runs: int) -> float:
    """Median seconds from the start of app.py to its first answer."""
    times = []
    for _ in range(runs):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = time.perf_counter()
        server = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], stdout=subprocess.DEVNULL)
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).read()
                break
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.05)
        times.append(time.perf_counter() - start)
        server.terminate()
        server.wait()
    return statistics.median(times)


def picture_to_loop(runs: int) -> dict[str, float]:
    """Median seconds of each part, models warm, 35 frames at 30 a second."""
    from skimage import data

    picture = Image.fromarray(data.astronaut())
    pipe = load_quietly("motion", device="cpu")
    parts: dict[str, list[float]] = {"mask": [], "sampling": [], "rendering and encoding": [], "whole": []}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):
            times = [time.perf_counter()]
            mask, _ = automatic_mask(picture)
            times.append(time.perf_counter())
            loop = make_loops(pipe, picture, make_settings(prompt="she sways to the left", seed=run), mask=mask)[0]
            times.append(time.perf_counter())
            loop.write(Path(folder) / "loop.mp4")
            times.append(time.perf_counter())
            if run:  # the first warms up
                for name, seconds in zip(parts, [*np.diff(times), times[-1] - times[0]]):
                    parts[name].append(float(seconds))
    return {name: statistics.median(values) for name, values in parts.items()}


if __name__ == "__main__":
    print(f"page answers after     {page_answers(3):6.2f} s")
    for name, seconds in picture_to_loop(3).items():
        print(f"{name:22} {seconds:6.2f} s")
    print(f"peak memory            {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:6.2f} GB")
