"""Fuzzing of all that reads strangers' files, led by which lines an input reaches: python -m tests.fuzz_readers [READER ...]

Needs atheris (libFuzzer for Python), and so Linux or macOS: pip install atheris. Readers take turns, one process at a time, and
share the seconds. A reader must read, or refuse in one sentence. Whatever else an input brings about is printed, once for each
line of ours it comes from, and the input is kept in --folder; so is one that ends the process, or takes it a minute or 4 GB.
Ends with status 1 where there was such an input.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import atheris

# What is instrumented must not have been imported before. Not all of our code: numba compiles some of it.
with atheris.instrument_imports(include=["loopanimate.files", "PIL", "zipfile", "pillow_heif"]):
    from PIL import Image

    from loopanimate.files import pictures, project, recipe
    from loopanimate.files.formats import ENDINGS, read_metadata

from loopanimate.page.preview import first_frame
from loopanimate.settings import make_settings
from tests.test_fuzz import make_files

ROOT = Path(__file__).parent.parent
OPTIONS = ("timeout=60", "rss_limit_mb=4000", "max_len=30000", "len_control=0", "detect_leaks=0", "print_final_stats=1")
PIXELS = 1_000_000  # of a picture here at most, so that the time goes into many pictures and not into large ones


def read_recipe(text: str | None) -> None:
    """All that is made of a file's text, as the page does (page.jobs.Server.restore)."""
    settings, mask = recipe.unpack(text)
    recipe.unpack_parts(text)
    squares = recipe.unpack_squares(text)
    if mask is not None:
        recipe.of_frame(Image.new("RGB", (48, 32)), settings, mask, squares)


def read_loop(path: Path) -> None:
    read_metadata_alone(path)
    first_frame(path)


def read_metadata_alone(path: Path) -> None:
    text = read_metadata(path)
    assert text is None or isinstance(text, str), text
    try:
        read_recipe(text)
    except ValueError as error:
        check_sentence(error)


def read_project(path: Path) -> None:
    if project.is_project(path):
        text, picture = project.read_project(path, path.with_name("picture"))
        picture.unlink()
        read_recipe(text)


def read_picture(path: Path) -> None:
    assert min(pictures.open_picture(path).size) > 0


def read_mask(path: Path) -> None:
    assert pictures.open_mask(path, (48, 32)).size > 0


READERS: dict[str, Callable[[Path], None]] = {
    "recipe.json": lambda path: read_recipe(path.read_text("utf-8", "replace")),
    "project.loop.zip": read_project,
    "picture": read_picture,
    "mask": read_mask,
    **{f"loop{ending}": read_loop for ending in ENDINGS},
}
SHARES = {"recipe.json": 2, "picture": 6}  # of the time; of others 1


def check_sentence(error: ValueError) -> None:
    said = str(error)
    assert type(error) is ValueError and said.startswith("expected ") and "\n" not in said and len(said) < 5000, repr(error)


def seed(name: str, folder: Path) -> None:
    """Give a reader files to begin with, as our own writers make them."""
    with tempfile.TemporaryDirectory() as place:
        files = make_files(Path(place))
    still = {each: content for each, content in files.items() if each.startswith("picture.") and "zip" not in each}
    suffix = "".join(Path(name).suffixes)
    given = {each: content for each, content in files.items() if suffix and each.endswith(suffix)} or still
    if name == "recipe.json":
        text = read_metadata_of(files["loop.png"])
        given = {"recipe": text.encode(), "plain": recipe.pack(make_settings(prompt="x"), None).encode()}
    for each, content in given.items():
        (folder / each).write_bytes(content)


def read_metadata_of(content: bytes) -> str:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "loop.png"
        path.write_bytes(content)
        return read_metadata(path)


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Try inputs in this process, which libFuzzer ends."""
    pictures.MAX_PIXELS = PIXELS
    path, known = folder / "tried" / name, set()
    path.parent.mkdir(exist_ok=True)

    def try_one(content: bytes) -> None:
        path.write_bytes(content)
        try:
            try:
                READERS[name](path)
            except ValueError as error:
                check_sentence(error)
        except Exception as error:  # noqa: BLE001  whatever it is
            own = [each for each in traceback.extract_tb(error.__traceback__) if str(ROOT) in each.filename]
            place = type(error).__name__, Path(own[-1].filename).name, own[-1].lineno
            if place not in known:
                known.add(place)
                (folder / f"{name}-{'-'.join(map(str, place))}.found").write_bytes(content)
                print(
                    f"FOUND by {name}: {error!r:.300} at {[(Path(each.filename).name, each.lineno) for each in own]}",
                    flush=True,
                )

    words = folder / "words"
    keys = [f'"{key}"' for key in (*make_settings(prompt="x").flat(), "mask", "parts", "squares", "loopanimate")]
    words.write_text("".join(f"{json.dumps(key)}\n" for key in (*keys, "null", "true", "NaN", "1e999", "[", "{")))
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/{name}-", *(f"-{option}" for option in OPTIONS)]
    options += [f"-dict={words}"] * (name == "recipe.json")
    atheris.Setup([sys.argv[0], *options, str(folder / f"{name}.seeds")], try_one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "readers", nargs="*", choices=[[], *READERS], metavar="READER", help=f"default: all of {', '.join(READERS)}"
    )
    parser.add_argument("--seconds", type=int, default=3600, help="of all readers together (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="for inputs (default: a temporary one)")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # the process of one reader
    given = parser.parse_args()
    if given.alone:
        return fuzz(given.readers[0], given.folder, given.seconds)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    names = given.readers or [*READERS]
    total = sum(SHARES.get(name, 1) for name in names)
    for name in names:
        seeds = folder / f"{name}.seeds"
        seeds.mkdir(parents=True, exist_ok=True)
        seed(name, seeds)
        until = time.monotonic() + given.seconds * SHARES.get(name, 1) / total
        tried, ends = 0, 0
        while (left := round(until - time.monotonic())) > 0:
            command = [sys.executable, "-m", "tests.fuzz_readers", name, "--alone", "--folder", folder, "--seconds", left]
            done = subprocess.run(
                [*map(str, command)], cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace", check=False
            )
            stats = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
            tried += int(stats[0]) if stats else 0
            if done.returncode:
                ends += 1
                print(f"{name}: the process ended with {done.returncode}: {done.stderr[-2000:]}", flush=True)
        print(
            f"{name:20} {tried:>9,} inputs, {len(list(seeds.iterdir())):>6,} that reach something new, {ends} ends", flush=True
        )
    found = [path for path in folder.iterdir() if path.is_file() and path.name != "words"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(found)} inputs to look at in {folder}; {used.ru_utime + used.ru_stime:.0f} seconds of processors")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
