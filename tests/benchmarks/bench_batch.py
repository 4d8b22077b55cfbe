"""How much faster many loops are made a whole one on each core than one after another, models loaded once in both.

python -m tests.benchmarks.bench_batch [LOOPS] [BLOCKS]: LOOPS (24) of 512 x 512 in BLOCKS (3) each way, the ways in turn, so
that what else the machine does falls on all of them: `--jobs 1` with one thread, the same with a thread a core, and the default.
Prints seconds and seconds of processors a loop. Where other work takes cores away, the seconds say little, but those of
processors still say what a loop costs; with the cores to itself, a batch can make no more than cores / processor seconds.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from skimage import data, io, transform

from loopanimate.batch import ONE_THREAD, count_cores

WAYS = {
    "one, a thread": (1, ONE_THREAD),
    "one, a thread a core": (1, dict.fromkeys(ONE_THREAD, str(count_cores()))),
    "a core each": (count_cores(), ONE_THREAD),
}


def make(folder: Path, jobs: int, threads: dict[str, str], first: int, count: int) -> tuple[float, float]:
    """Make loops with seeds of their own; seconds and processor seconds, start and models included."""
    lines = [
        f"picture.png,it sways,{seed},{jobs}-{threads['OMP_NUM_THREADS']}-{seed}.mp4" for seed in range(first, first + count)
    ]
    (folder / "list.csv").write_text("\n".join(["picture,prompt,seed,output", *lines]))
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "loopanimate", "batch", str(folder / "list.csv"), "--jobs", str(jobs)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **threads})
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(loops: int = 24, blocks: int = 3) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, spent = Path(name), {way: [0.0, 0.0] for way in WAYS}
        picture = transform.resize(data.astronaut(), (512, 512), preserve_range=True).astype("uint8")
        io.imsave(folder / "picture.png", picture, check_contrast=False)
        for block in range(blocks):
            for way, (jobs, threads) in WAYS.items():
                each = make(folder, jobs, threads, block * loops // blocks, loops // blocks)
                spent[way] = [total + own for total, own in zip(spent[way], each)]
                print(f"block {block + 1}, {way}: {each[0]:.1f} s, {each[1]:.1f} s of processors", flush=True)
        for way, (seconds, processors) in spent.items():
            rates = ", ".join(f"{other[0] / seconds:.2f} x the rate of {name}" for name, other in spent.items() if name != way)
            print(f"{way}: {seconds / loops:.2f} s a loop, {processors / loops:.2f} of processors; {rates}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
