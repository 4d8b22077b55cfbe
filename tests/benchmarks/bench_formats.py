"""Which wraps show: the seam of the decoded file for every format, codec, quality and rate, on small loops.

python -m tests.benchmarks.bench_formats [ENDING ...]: a line a file, with its step, jerk and pause (`metrics.seam`), whether
that is a seam, a pause (there is a frame or two of less change in 20 that are not at the wrap) or neither, and its kilobytes.
Loops circle at a usual and a slow pace.
"""

import sys
import tempfile
from fractions import Fraction
from pathlib import Path

from loopanimate.files.formats import ENDINGS, QUALITIES, Coding, write_loop
from loopanimate.metrics import is_seamless, seam
from tests.files.test_formats import circling, decode, size_of

RATES = {"film": (8, 30, 60), "animation": (8, 25)}  # frames a second
REACHES = (1.6, 0.4)  # pixels of a circle, in 4.25 seconds


def measure(ending: str, quality: str, codec: str | None, fps: int, reach: float, folder: Path) -> tuple[dict, int]:
    """Seam and bytes of one small loop."""
    frames, path = circling(reach, fps, ENDINGS[ending].planar), folder / f"loop{ending}"
    write_loop(path, iter(frames), len(frames), Coding(Fraction(fps), quality, codec))
    return seam(decode(path)), size_of(path)


def main(endings: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for ending in endings or [ending for ending, form in ENDINGS.items() if form.kind in RATES]:
            form = ENDINGS[ending]
            cases = [
                (quality, codec, fps, reach)
                for codec in form.codecs or (None,)
                for quality in QUALITIES[: None if form.graded else 1]
                for fps in RATES[form.kind]
                for reach in REACHES
            ]
            for quality, codec, fps, reach in cases:
                measures, size = measure(ending, quality, codec, fps, reach, Path(folder))
                moves = is_seamless(measures | {"pause": 1})
                verdict = "no seam" if is_seamless(measures) else "pause" if moves else "seam"
                shown = " ".join(f"{name} {value:5.2f}" for name, value in measures.items())
                case = f"{ending} {codec or '':<7}{quality:<10}{fps:>3}/s, circle {reach}"
                print(f"{case}: {verdict:<8}{shown} {size / 1e3:6.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
