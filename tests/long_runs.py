"""What only many hours show, in minutes: python -m tests.long_runs [RUN ...] [--count N].

    loops     so many loops of random pictures, words and settings in one process, as the command makes them
    clients   so many programs at once at one server: each is served, or told why not, and the next one too
    page      so many hours of a living page, a frame each second of them
    hands     so many random orders of what hands do on the page, in a browser (tests/browser/test_interleavings.py)
    fuzz      tests/test_fuzz.py with so many examples a test
    faults    so many commands that are killed, or have no room on the disk or in memory, each at another moment
    trainer   so many runs of train/ that are killed or have no room on the disk, and checkpoints cut at every tenth
    large     a server's memory from the upload of 48 megapixels, 5760 x 1080 and 12 : 1 to a finished loop
    audit     pip-audit (pip install pip-audit) of all that requirements.txt installs

python -m tests.fuzz_readers is a run of its own, as what it reads with is instrumented before it is imported. Ends with status 1
where memory is not flat within 5 %, a file or a thread is left, 48 megapixels take more than 1.6 GB, or anything is wrong.
"""

import argparse
import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psutil
from PIL import Image

from loopanimate.presets import DEFAULT
from loopanimate.settings import Machine

FLAT = 0.05  # share by which memory may grow from the second quarter of a run to the last
ROOT = Path(__file__).parent.parent
COUNTS = {
    "loops": 300,
    "clients": 40,
    "page": 24,
    "hands": 200,
    "fuzz": 2000,
    "faults": 60,
    "trainer": 60,
    "large": 1,
    "audit": 1,
}
MOST = 1600  # megabytes over idle
WORDS = (
    "it sways",
    "the waves roll in, the clouds drift to the left",
    "her hair blows in the wind, she breathes",
    "snow falls gently",
    "the camera moves in slowly",
    "the candle flickers",
    "everything trembles",
    "the portrait comes alive",
    "das Meer rauscht",
    "nothing moves",
    "🌊 waves, 雪 falls",
)


def draw_picture(rng: random.Random, photos: list[Image.Image]) -> Image.Image:
    """A photograph, noise or a drawing, of any size and shape."""
    size = rng.randint(32, 900), rng.randint(32, 700)
    kind = rng.choice(("photo", "photo", "noise", "drawing", "flat"))
    if kind == "photo":
        return rng.choice(photos).resize(size)
    pixels = np.random.default_rng(rng.randrange(2**31))
    if kind == "noise":
        return Image.fromarray(pixels.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    blocks = pixels.integers(0, 4 if kind == "drawing" else 1, (9, 12), dtype=np.uint8)
    return Image.fromarray((blocks[..., None] * np.array([60, 50, 40])).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def tell(name: str, value: object) -> None:
    print(f"{name:52} {value}", flush=True)


def is_flat(levels: list[float], what: str) -> bool:
    """Whether a level, read again and again, has stopped to grow: the mean of the last quarter over that of the second."""
    quarter = len(levels) // 4
    early, late = np.mean(levels[quarter : 2 * quarter]), np.mean(levels[-quarter:])
    tell(f"{what}, MB: second quarter, last quarter, most", f"{early:.1f} {late:.1f} {max(levels):.1f}")
    return late <= (1 + FLAT) * early


def run_loops(count: int) -> bool:
    from loopanimate.animate import make_loops
    from loopanimate.checkpoints import load_quietly
    from loopanimate.files.formats import FORMATS, files_of, read_metadata
    from loopanimate.files.recipe import pack
    from loopanimate.memory import return_large_blocks, return_small_blocks
    from loopanimate.settings import make_settings
    from tests.conftest import photographs

    return_large_blocks()
    pipe, photos, rng, said = load_quietly(DEFAULT, device="cpu"), list(photographs().values()), random.Random(0), Counter()
    process, memory, threads, files = psutil.Process(), [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            picture, form = draw_picture(rng, photos), rng.choice(FORMATS)
            target = Path(folder) / f"loop{form.endings[0]}"
            values = {"prompt": rng.choice(WORDS), "seed": rng.randrange(2**31), "num_frames": rng.choice((9, 21, 35))}
            values |= {"fps": form.rates[0] if form.rates else 8.0, "motion_strength": rng.uniform(0, 4)}
            values |= {"size": rng.choice(("source", "source", "320x240", "96x300")), "fit": rng.random() < 0.3}
            try:
                settings = make_settings(**values)
                (loop,) = make_loops(pipe, picture, settings)
                recipe = pack(settings, loop.mask)
                loop.write(target, metadata=recipe)
                said["made" if read_metadata(target) == recipe else "made, without its recipe"] += 1
                for path in files_of(target, settings.output.size):
                    path.unlink()
            except ValueError as error:
                said[f"refused: {str(error)[:40]}"] += 1
            assert not os.listdir(folder), os.listdir(folder)
            picture = loop = None
            return_small_blocks()  # as a batch and the page do after a job
            memory.append(process.memory_info().rss / 1e6)
            threads.append(threading.active_count())
            files.append(process.num_fds())
            if index % 10 == 9:
                print(f"{index + 1} of {count}: {memory[-1]:.0f} MB, {threads[-1]} threads, {files[-1]} files open", flush=True)
    for what, times in said.most_common():
        tell(what, times)
    gc.collect()
    tell(
        "threads, files open: at a quarter, at the end", f"{threads[count // 4]} {threads[-1]}, {files[count // 4]} {files[-1]}"
    )
    stays = threads[-1] <= max(threads[: count // 2]) and files[-1] <= max(files[: count // 2])
    return is_flat(memory, "memory") and stays and said["made, without its recipe"] == 0


def run_clients(count: int) -> bool:
    from gradio_client import Client, handle_file

    from tests.benchmarks.bench_page import Server

    answers: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, Server("app.py") as server:
        process, memory = psutil.Process(server.process.pid), []
        rng = np.random.default_rng(0)

        def ask(index: int) -> None:
            path, begun = Path(folder) / f"{index}.png", time.monotonic()
            Image.fromarray(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)).save(path)
            try:
                client = Client(server.address, verbose=False, download_files=str(Path(folder) / f"got{index}"))
                found, *_ = client.predict(
                    handle_file(path), "it sways", None, 9, index, 1, "GIF", "source", api_name="/animate"
                )
                said = "served" if Image.open(found).n_frames > 1 else "served half"
            except Exception as error:  # noqa: BLE001  of a client's many
                said = f"{type(error).__name__}: {str(error)[:110]}"
            answers.append((said, time.monotonic() - begun))

        ask(0)  # models are loaded
        before = process.num_threads()
        begun = time.monotonic()
        with ThreadPoolExecutor(count) as threads:
            jobs = [threads.submit(ask, index) for index in range(1, count + 1)]
            while not all(job.done() for job in jobs):
                memory.append(process.memory_info().rss / 1e6)
                time.sleep(1)
        seconds = time.monotonic() - begun
        ask(count + 1)  # the next visitor
        for said, times in Counter(said for said, _ in answers[1:-1]).most_common():
            tell(said, times)
        alone, served = answers[-1][1], [took for said, took in answers[1:-1] if said == "served"]
        tell("the next visitor", f"{answers[-1][0]} in {alone:.1f} s")
        tell("seconds in all, each served one's share", f"{seconds:.1f} {seconds / max(1, len(served)):.2f}")
        tell("threads before and after", f"{before} {process.num_threads()}")
        return is_flat(memory, "memory") and answers[-1][0] == "served" and not any("half" in said for said, _ in answers)


PLAY = """async ([frames, seconds]) => {
    await living.ready;
    living.set({ paused: true });
    for (let frame = 0; frame < frames; frame++) {
        living.advance(seconds);
        living.draw();
        if (frame % 100 === 99) await new Promise((done) => setTimeout(done));
    }
}"""


def run_page(hours: int) -> bool:
    from playwright.sync_api import sync_playwright

    from loopanimate.animate import make_loops
    from loopanimate.checkpoints import load_quietly
    from loopanimate.settings import make_settings
    from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS
    from tests.conftest import photographs

    settings = make_settings(prompt="it sways, snow falls", size="320x240")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (loop,) = make_loops(load_quietly(DEFAULT, device="cpu"), photographs()["chelsea"], settings)
        target = loop.write(Path(folder) / "loop.html").path
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = browser.new_page(viewport={"width": 160, "height": 120})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(target.as_uri())
        session, heap, nodes = page.context.new_cdp_session(page), [], []
        session.send("Performance.enable")
        for part in range(8 * hours):
            page.evaluate(PLAY, [450, 1])
            session.send("HeapProfiler.collectGarbage")
            found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
            heap.append(found["JSHeapUsedSize"] / 1e6)
            nodes.append(int(found["Nodes"]))
            if part % 8 == 7:
                print(f"{(part + 1) // 8} of {hours} hours: heap {heap[-1]:.2f} MB, {nodes[-1]} nodes", flush=True)
        browser.close()
        tell("errors, nodes at the start and at the end", f"{len(wrong)}, {nodes[0]} {nodes[-1]}")
        return is_flat(heap, "heap") and not wrong and nodes[-1] <= nodes[0]


def run_tests(path: str, **environment: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0", path]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode == 0


def run_hands(count: int) -> bool:
    return run_tests("tests/browser/test_interleavings.py", INTERLEAVINGS=str(count))


def run_fuzz(count: int) -> bool:
    return run_tests("tests/test_fuzz.py", FUZZ_EXAMPLES=str(count))


def run_faults(count: int) -> bool:
    """Each command is a fork of this process, which has the models; what it is to end with depends on what it meets."""
    import resource

    import torch

    from loopanimate import __main__ as command
    from loopanimate.files.formats import read_metadata
    from tests.conftest import photographs

    torch.set_num_threads(1)  # threads of OpenMP that this process began would be waited for in its forks, and not be there
    loaded = command.load_all("motion", Machine())
    rng, outcomes = random.Random(0), Counter()

    def make(folder: Path, index: int, limit: tuple[int, int] | None, told: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        sys.stderr, sys.stdout = os.fdopen(told, "w"), open(os.devnull, "w")  # noqa: SIM115  of a process that ends at once
        if limit is not None:
            resource.setrlimit(*limit)
        outputs = ["--output", f"{folder}/loop{ENDED[index % len(ENDED)]}", "--poster", f"{folder}/poster.png"]
        wanted = [f"{folder}/picture.png", "it sways", *outputs, "--save-mask", f"{folder}/mask.png", "--num-frames", "9"]
        status = 1
        try:
            command.main([*wanted, "--size", "640x480"])
            status = 0
        except SystemExit as end:
            status = end.code
        except BaseException as error:  # noqa: BLE001  what must not be
            os.write(sys.stderr.fileno(), f"{type(error).__name__}: {error}".encode())
        finally:
            sys.stderr.flush()
            os._exit(status)

    animate = partial(command.animate, load=lambda *_: loaded)
    with patch.object(command, "animate", animate), tempfile.TemporaryDirectory() as place:
        seconds = 0.0
        for index in range(-1, count):
            folder = Path(place) / "run"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            photographs()["chelsea"].resize((240, 160)).save(folder / "picture.png")
            fault = rng.choice(("kill", "disk", "memory")) if index >= 0 else "none"
            held = psutil.Process().memory_info().vms
            limit = {
                "disk": (resource.RLIMIT_FSIZE, (int(10 ** rng.uniform(0, 6)), resource.RLIM_INFINITY)),
                "memory": (resource.RLIMIT_AS, (held + rng.randrange(400_000_000),) * 2),
            }.get(fault)
            begun = time.monotonic()
            hears, told = os.pipe()  # a full disk takes no words
            child = os.fork()
            if child == 0:
                make(folder, index, limit, told)
            os.close(told)
            if fault == "kill":
                time.sleep(rng.uniform(0, seconds))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            seconds = max(seconds, time.monotonic() - begun) if fault == "none" else seconds
            with os.fdopen(hears) as words:
                said = words.read()
            found = {path.name for path in folder.iterdir()} - {"picture.png"}
            half = [name for name in found if not name.startswith(".") and not is_whole(folder / name, read_metadata)]
            left = [name for name in found if name.startswith(".")]
            code = os.waitstatus_to_exitcode(status)
            if half or (left and fault != "kill"):
                outcomes[f"{fault}: WRONG, half files {half + left}"] += 1
            elif fault == "kill" or code == 0:
                outcomes[f"{fault}: {'no file or whole ones' if fault == 'kill' else 'made'}"] += 1
            elif code == -signal.SIGABRT and fault == "memory":
                outcomes["memory: a library's thread could not begin, and ended the process; no half file"] += 1
            elif code == 2 and said.startswith("error: ") and said.count("\n") == 1:
                outcomes[f"{fault}: one sentence"] += 1
            else:
                last = said.strip().splitlines()[-1][:100] if said.strip() else "nothing"
                outcomes[f"{fault}: WRONG, status {code}, said {last}"] += 1
    for what, times in sorted(outcomes.items()):
        tell(what, times)
    return not any("WRONG" in what for what in outcomes)


def run_trainer(count: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.train.test_survival", "faults", folder, str(count)]
        outcomes = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
    for what, times in sorted(outcomes.items()):
        tell(what, times)
    return not any("WRONG" in what for what in outcomes)


def run_audit(_: int) -> bool:
    """A service that does not know a package, or does not answer, is no proof of anything: pip-audit alone would end well."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        "requirements.txt",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        tell("not audited", (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][-200:])
        return False
    for each in packages:
        for found in each.get("vulns", ()):
            tell(
                f"{each['name']} {each['version']}: {found['id']}",
                f"mended in {', '.join(found['fix_versions']) or 'no version'}",
            )
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if skipped:
        tell(f"not audited: {len(skipped)} of {len(packages)} packages that the service does not know", " ".join(skipped)[:100])
    else:
        tell("packages audited", len(packages))
    return not skipped and not any(each.get("vulns") for each in packages)


ENDED = (".mp4", ".webm", ".gif", ".webp", ".png", ".zip", ".html")  # of the files that they write


def is_whole(path: Path, read_metadata) -> bool:
    if path.name in ("poster.png", "mask.png"):
        with Image.open(path) as file:
            file.load()
        return True
    return read_metadata(path) is not None


def run_large(_: int) -> bool:
    from gradio_client import Client, handle_file

    from tests.benchmarks.bench_page import Server, photograph

    peaks = {}
    with tempfile.TemporaryDirectory() as folder, Server("app.py") as server:
        process = psutil.Process(server.process.pid)

        def read(name: str) -> float:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(name))

        before = 0.0
        while (now := read("VmRSS")) > 1.01 * before:  # until the models are loaded
            before = now
            time.sleep(8)
        idle, client = read("VmRSS"), Client(server.address, verbose=False, download_files=folder)
        for width, height, size in ((8064, 6048, "1080p"), (5760, 1080, "source"), (12000, 1000, "source")):
            path = Path(folder) / f"{width}.jpg"
            photograph(width, height).save(path, quality=90)
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak is counted anew
            made, *_ = client.predict(handle_file(path), "it sways", None, 35, 0, 1, "MP4", size, api_name="/animate")
            peaks[width] = read("VmHWM") - idle
            tell(f"{width} x {height}, {size}: peak and then over idle, MB", f"{peaks[width]:.0f} {read('VmRSS') - idle:.0f}")
            assert Path(made).stat().st_size
        tell("idle with models loaded, MB", f"{idle:.0f}")
    return peaks[8064] <= MOST


RUNS = {
    "loops": run_loops,
    "clients": run_clients,
    "page": run_page,
    "hands": run_hands,
    "fuzz": run_fuzz,
    "faults": run_faults,
    "trainer": run_trainer,
    "large": run_large,
    "audit": run_audit,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", choices=[[], *RUNS], metavar="|".join(RUNS), help="default: all of them")
    parser.add_argument("--count", type=int, help=f"default: {json.dumps(COUNTS)}")
    given, held = parser.parse_args(), {}
    for name in given.runs or RUNS:
        print(f"-- {name}", flush=True)
        held[name] = RUNS[name](given.count or COUNTS[name])
        tell(name, "flat, nothing left" if held[name] else "NOT as it should be")
    sys.exit(not all(held.values()))


if __name__ == "__main__":
    main()
