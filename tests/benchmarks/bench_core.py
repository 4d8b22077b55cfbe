"""How long a person waits, and how much memory it takes: python -m tests.benchmarks.bench_core.

Start of the page until it answers; a 512 x 512 photograph to a finished MP4, models warm, with the share of each part, by the
bundled model and its student in turns; the student's again beside busy processes and another loop; peak memory of that process.
Each turn has a picture of its own, of which is known what the page knows when Animate is pressed: what is salient and its
classes, which it finds while the sentence is typed. Times are of this machine: compare parts of one run, not runs of two machines.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from loopanimate.animate import make_loops
from loopanimate.checkpoints import load_quietly
from loopanimate.page.living import write_preview
from loopanimate.scene.regions import classify
from loopanimate.scene.saliency import automatic_mask
from loopanimate.settings import make_settings

PARTS = ("sampling", "to the first moving preview", "rendering and encoding", "whole", "sampling of four seeds")


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


def picture_to_loop(runs: int, presets: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Seconds of each part, by preset and turn, the presets in turns: models warm, 35 frames at 30 a second."""
    from skimage import data

    photo = data.astronaut()
    pipes = {preset: load_quietly(preset, device="cpu") for preset in presets}
    parts = {preset: {name: [] for name in PARTS} for preset in pipes}
    with tempfile.TemporaryDirectory() as folder:
        for turn, preset in ((turn, preset) for turn in range(runs + 1) for preset in pipes):
            settings = make_settings(prompt="she sways to the left", seed=turn, preset=preset)
            picture = Image.fromarray(np.roll(photo, 8 * turn + 4 * (preset == "quick"), axis=1))
            mask, _ = automatic_mask(picture)
            classify(picture)
            times = [time.perf_counter()]
            loop = make_loops(pipes[preset], picture, settings, mask=mask)[0]
            times.append(time.perf_counter())
            write_preview(loop, Path(folder) / "loop.html")
            times.append(time.perf_counter())
            loop.write(Path(folder) / "loop.mp4")
            times.append(time.perf_counter())
            make_loops(pipes[preset], picture, settings, seeds=[turn + seed for seed in range(4)], mask=mask)
            times.append(time.perf_counter())
            sampled, shown, written, four = map(float, np.diff(times))
            made = (sampled, sampled + shown, written, sampled + shown + written, four)
            if turn:  # the first warms up
                for name, seconds in zip(PARTS, made):
                    parts[preset][name].append(seconds)
    return parts


COUNTING = "print(); import sys; sys.stdout.flush()\nwhile True: pass"
ANIMATING = "from tests.benchmarks.bench_core import picture_to_loop as make\nwhile make(1, ['quick']): print(flush=True)"


@contextmanager
def busy(processes: int, program: str = COUNTING) -> Iterator[None]:
    """Beside so many processes that go on and on, each from its first line on."""
    command = [sys.executable, "-c", program]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    try:
        for other in others:
            other.stdout.readline()
        yield
    finally:
        for other in others:
            other.kill()


if __name__ == "__main__":
    print(f"page answers after {page_answers(3):.2f} s")
    parts = picture_to_loop(7, ("motion", "quick"))
    print(f"{'medians of 7, in seconds':28} {'motion':>7} {'quick':>7}   motion / quick, turn by turn")
    quiet = {}
    for name in PARTS:
        teacher, student = (parts[preset][name] for preset in ("motion", "quick"))
        ratio = statistics.median(one / other for one, other in zip(teacher, student))
        quiet[name] = statistics.median(student)
        print(f"{name:28} {statistics.median(teacher):7.2f} {quiet[name]:7.2f}   {ratio:.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    for what, processes, program in (
        ("two busy processes", 2, COUNTING),
        ("four", 4, COUNTING),
        ("another loop", 1, ANIMATING),
    ):
        with busy(processes, program):
            beside = picture_to_loop(7, ("quick",))["quick"]
        times = (f"{name} {statistics.median(beside[name]) / quiet[name]:.1f}" for name in PARTS)
        print(f"quick beside {what}, times the quiet one: {', '.join(times)}", flush=True)
