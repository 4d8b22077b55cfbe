"""python -m loopanimate batch LIST: many loops, a whole one on each core. Given again, it makes what is missing."""

import csv
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from glob import escape
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, Literal, NamedTuple, get_origin

from PIL import Image

from loopanimate import options
from loopanimate.__main__ import Files, add_settings, animate, load_all, read_settings
from loopanimate.files.formats import by_ending
from loopanimate.files.pictures import replacing
from loopanimate.memory import is_shortage, return_large_blocks, return_small_blocks
from loopanimate.settings import Hands, Machine, Output, Request, make_settings

ROWS, READ, WRITTEN = (".csv", ".jsonl"), ("picture", "mask", "freeze"), ("output", "save_mask", "poster", "snippet")
GROUPS = (Request, Hands, Output)
FIELDS = {name: field for group in GROUPS for name, field in group.model_fields.items()}
REPEATED = [name for name, field in FIELDS.items() if get_origin(field.annotation) is tuple]
# a column may be called as the option is
FLAGS = {(field.json_schema_extra or {}).get("flag"): name for name, field in FIELDS.items()}
# A process has a core: its libraries start one thread each, where the library asks the environment.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Batch(options.Options):
    """What the command reads and writes besides what a row may say."""

    rows: str = options.option(..., "CSV or JSONL, a row a loop, or a folder of pictures", flag="list", metavar="LIST")
    folder: str | None = options.option(
        None, "where outputs are written (default: beside LIST; of a folder of pictures, its folder loops)", metavar="DIR"
    )
    ending: str = options.option(".mp4", "of outputs that rows do not name", metavar=".mp4")
    jobs: int | None = options.option(
        None, "loops made at once, with about a gigabyte of memory each (default: one a core)", ge=1, le=1024
    )
    ray: str | None = options.option(
        None,
        "make them on a Ray cluster whose machines share these folders: its address, auto for the one that this machine is of, "
        "local for one of this machine alone",
        metavar="auto|local|ADDRESS",
    )
    table: str | None = options.option(None, "write what became of each row as a CSV file", metavar="T.csv")


class Outcome(NamedTuple):
    state: Literal["made", "kept", "refused"]  # kept: it was there already, made with the same settings
    said: str  # a sentence


class Row(NamedTuple):
    number: int  # in the list, from 1
    values: dict[str, Any]  # settings, files and parts by name
    wrong: str | None = None  # why it is refused unseen


def main(arguments: list[str]) -> None:
    parser = options.Parser(prog="python -m loopanimate batch", description="Turn many pictures into seamless loops.")
    options.add(parser, Batch)
    parser.add_argument("--prompt", default=options.argparse.SUPPRESS, help="of rows that have none", metavar="PROMPT")
    add_settings(parser, skip=(*READ, *WRITTEN))
    given = read_settings(parser, arguments)
    with options.exit_on_mistake():
        given["rows"] = given.pop("list")
        batch, machine = options.build(Batch, given), options.build(Machine, given)
        common = {name: value for name, value in given.items() if name not in Batch.model_fields | Machine.model_fields}
        rows = read_rows(batch, common)
        table = {}
        try:
            made = spread_on_ray(rows, machine, batch.jobs, batch.ray) if batch.ray else spread(rows, machine, batch.jobs)
            for row, outcome in made:
                table[row.number] = row, outcome
                name = row.values.get("output", row.values.get("picture", f"row {row.number}"))
                print(options.for_terminal(f"{outcome.state:<8}{name}: {outcome.said}"), flush=True)
        except KeyboardInterrupt:
            print(f"stopped after {len(table)} of {len(rows)} rows: the same command makes the others", file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT) from None
        finally:
            if batch.table:
                _write_table(Path(batch.table), [table[number] for number in sorted(table)])
    states = [outcome.state for _, outcome in table.values()]
    print(", ".join(f"{states.count(state)} {state}" for state in ("made", "kept", "refused")))
    if "refused" in states:
        raise SystemExit(2)


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_rows(batch: Batch, common: Mapping[str, Any]) -> list[Row]:
    """The rows of a list, over what all have in `common`; their files are found from the list's folder.

    Raises ValueError for a list that cannot be read; what is wrong with one row is said in that row.
    """
    by_ending(batch.ending)
    path = Path(batch.rows)
    if path.is_dir():
        pictures = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
        found = [{"picture": each.name} for each in sorted(path.iterdir()) if each.suffix.lower() in pictures]
        source, target = path, path / "loops"
    elif path.suffix.lower() in ROWS and path.exists():
        with path.open(encoding="utf-8-sig", newline="") as file:
            try:
                found = list(csv.DictReader(file) if path.suffix.lower() == ".csv" else _read_lines(file))
            except (UnicodeDecodeError, csv.Error) as error:
                raise ValueError(f"expected rows as text in {path}, got something else ({error})") from None
        source = target = path.parent
    else:
        raise ValueError(f"expected a folder of pictures or a list ending in {' or '.join(ROWS)}, got {path}")
    if not found:
        raise ValueError(f"expected at least one row in {path}, got none")
    target = Path(batch.folder) if batch.folder else target
    target.mkdir(parents=True, exist_ok=True)
    rows, writers = [], {}
    for number, cells in enumerate(found, 1):
        row = _read_row(number, cells, common, source, target, batch.ending)
        writer = writers.setdefault(row.values.get("output"), number)
        if row.wrong is None and writer != number:
            row = row._replace(wrong=f"expected an output of its own, got that of row {writer}")
        rows.append(row)
    return rows


def _read_lines(file: Iterable[str]) -> Iterator[Any]:
    for line in filter(str.strip, file):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield line.strip()


def _read_row(number: int, cells: Any, common: Mapping[str, Any], source: Path, target: Path, ending: str) -> Row:
    if not isinstance(cells, dict):
        return Row(number, {}, f"expected settings as a JSON object, got {str(cells)[:80]}")
    if None in cells:  # csv's name for what is beyond the last column
        return Row(number, {}, f"expected {len(cells) - 1} cells, got {len(cells) - 1 + len(cells[None])}")
    own = {_field(name): value for name, value in cells.items() if value not in (None, "")}
    values = {**common, **own}
    if "picture" not in own:
        return Row(number, values, "expected a picture, got nothing")
    for name in REPEATED:
        if name in own:
            values[name] = [
                tuple(map(str.strip, item.split(","))) if isinstance(item, str) else item for item in _list(own[name])
            ]
    values["part"] = [item.rpartition("=")[::2] if isinstance(item, str) else item for item in _list(values.pop("parts", ()))]
    values.setdefault("output", Path(str(own["picture"])).stem + ending)
    for folder, names in ((source, READ), (target, WRITTEN)):
        values |= {name: str(folder / str(values[name])) for name in names if name in values}
    try:
        values["part"] = [(words.strip(), str(source / mask.strip())) for words, mask in values["part"]]
    except (AttributeError, TypeError, ValueError):
        return Row(number, values, f"expected parts as WORDS=M.png, got {own['parts']}")
    return Row(number, values)


def _field(column: str) -> str:
    """The field that a column or an option is called after."""
    name = column.strip().lower().removeprefix("--")
    return FLAGS.get(f"--{name}", name.replace("-", "_"))


def _list(value: Any) -> list:
    """Items of a cell, which semicolons separate, or of a JSON list."""
    return [item.strip() for item in value.split(";")] if isinstance(value, str) else list(value)


def spread(rows: Iterable[Row], machine: Machine, jobs: int | None = None) -> Iterator[tuple[Row, Outcome]]:
    """Make the rows in so many processes; yield each with what became of it, in the order in which they end.

    A process that dies takes one row with it, and another takes its place.
    """
    rows, started, at_work, jobs = list(rows), [], {}, jobs or count_cores()
    yield from _refuse(rows)
    waiting = deque(row for row in rows if row.wrong is None)
    context, environment = get_context("spawn"), dict(os.environ)
    os.environ.update({name: value for name, value in ONE_THREAD.items() if name not in os.environ})
    try:
        while waiting or at_work:
            while waiting and len(at_work) < jobs:
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, machine), daemon=True)
                process.start()
                started.append(process)
                theirs.close()  # so that reading ends when the process does
                at_work[ours] = process, waiting.popleft()
                ours.send(at_work[ours][1])
            for ours in connection.wait(list(at_work)):
                process, row = at_work.pop(ours)
                try:
                    outcome = ours.recv()
                except (EOFError, OSError):
                    process.join()
                    why = f"killed by signal {-process.exitcode}" if process.exitcode < 0 else f"exit {process.exitcode}"
                    yield row, Outcome("refused", f"expected a process that ends well, got {why}: is there too little memory?")
                    continue
                if waiting:
                    at_work[ours] = process, waiting.popleft()
                    ours.send(at_work[ours][1])
                else:
                    ours.close()
                yield row, outcome
    finally:
        os.environ.clear()
        os.environ.update(environment)
        for process, _ in at_work.values():
            process.terminate()
        for process in started:
            process.join()


def _refuse(rows: Iterable[Row]) -> Iterator[tuple[Row, Outcome]]:
    return ((row, Outcome("refused", row.wrong)) for row in rows if row.wrong is not None)


def spread_on_ray(rows: Iterable[Row], machine: Machine, jobs: int | None, address: str) -> Iterator[tuple[Row, Outcome]]:
    """`spread`, in the processes of a Ray cluster; jobs: None: as many as it has cores.

    Raises ValueError where Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise ValueError("expected Ray for --ray (pip install ray), got a Python without it") from None
    rows = list(rows)
    yield from _refuse(rows)
    # paths stand as this machine has them: another's folder is another
    waiting = deque(row._replace(values=_resolve(row.values)) for row in rows if row.wrong is None)
    told = {row.number: row for row in rows}
    environment = {"env_vars": {name: value for name, value in ONE_THREAD.items() if name not in os.environ}}
    about = {"runtime_env": environment, "log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(**about, **({"include_dashboard": False} if address == "local" else {}), address=address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"expected a Ray cluster at {address}, got: {' '.join(str(error).split())[:200]}") from None
    at_work = {}
    try:
        maker = ray.remote(num_cpus=1, num_gpus=int(machine.device == "cuda"))(_Maker)
        jobs = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))

        def go_on(process) -> None:
            row = waiting.popleft()
            at_work[process.make.remote(row)] = process, row

        while waiting or at_work:
            while waiting and len(at_work) < jobs:
                go_on(maker.remote(machine))
            for ready in ray.wait(list(at_work))[0]:
                process, row = at_work.pop(ready)
                try:
                    outcome = ray.get(ready)
                    if waiting:
                        go_on(process)
                except ray.exceptions.RayActorError:
                    outcome = Outcome(
                        "refused", "expected a process that ends well, got one that died: is there too little memory?"
                    )
                yield told[row.number], outcome
    finally:
        ray.shutdown()  # and with it the makers
        for _, row in at_work.values():  # Ray kills: what is half-written stays behind
            output = Path(row.values["output"])
            for partial in output.parent.glob(f".{escape(output.stem.lstrip('.'))}[.-]*.partial*"):
                partial.unlink(missing_ok=True)


def _resolve(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values, its files by their whole paths."""
    whole = {name: str(Path(values[name]).resolve()) for name in (*READ, *WRITTEN) if name in values}
    return {**values, **whole, "part": [(words, str(Path(mask).resolve())) for words, mask in values["part"]]}


class _Maker:
    """Makes rows; models are loaded once."""

    def __init__(self, machine: Machine):
        import cv2

        cv2.setNumThreads(1)
        return_large_blocks()
        self.machine, self.load = machine, cache(load_all)

    def make(self, row: Row) -> Outcome:
        return _make(row, self.machine, self.load)


def _serve(ours: connection.Connection, machine: Machine) -> None:
    """Make the rows that come; models are loaded once. Ends with the process that sends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # half-written files go
    Thread(target=_end_with_parent, daemon=True).start()
    maker = _Maker(machine)
    with suppress(EOFError, OSError):
        while True:
            ours.send(maker.make(ours.recv()))
            return_small_blocks()


def _end_with_parent() -> None:
    """A parent that was killed cannot say so: without this the same command, given again, would make the row at hand too."""
    parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)


def _make(row: Row, machine: Machine, load) -> Outcome:
    try:
        given = {name: value for name, value in row.values.items() if name != "part"}
        files = options.build(Files, given)
        settings = make_settings(**{name: value for name, value in given.items() if name not in Files.model_fields})
        lines = animate(files, settings, machine, row.values["part"], load=load, again=False)
    except Exception as error:  # noqa: BLE001
        name = "" if isinstance(error, (ValueError, OSError)) or is_shortage(error) else f"{type(error).__name__}: "
        return Outcome("refused", name + options.describe(error))
    return Outcome("made", " ".join(lines)) if lines else Outcome("kept", "it was made before with the same settings")


def _write_table(path: Path, table: Iterable[tuple[Row, Outcome]]) -> None:
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("row", "picture", "output", "state", "said"))
        for row, outcome in table:
            rows.writerow((row.number, row.values.get("picture", ""), row.values.get("output", ""), *outcome))
