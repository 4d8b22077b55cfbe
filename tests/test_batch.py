import csv
import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from PIL import Image

from loopanimate.__main__ import main
from loopanimate.batch import Batch, Row, read_rows, spread
from loopanimate.files.formats import read_metadata
from loopanimate.files.recipe import unpack, unpack_parts
from loopanimate.settings import Machine

QUICK = {"num_frames": 3, "steps": 1, "fps": "native"}
SHORT = ("--num-frames", "3", "--steps", "1", "--fps", "native")


@pytest.fixture
def folder(tmp_path):
    """Three small pictures, and a mask of all of one."""
    for name in ("a", "b", "c"):
        Image.effect_noise((96, 64), 60).convert("RGB").save(tmp_path / f"{name}.png")
    Image.new("L", (96, 64), 255).save(tmp_path / "all.png")
    return tmp_path


def write_list(path: Path, *rows: dict | str) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_cells_are_settings_files_and_parts_by_name(folder):
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("picture", "prompt", "mask", "--motion-strength", "arrow", "Effect", "parts", "output"))
        rows.writerow(
            ("a.png", "it sways, it snows", "all.png", "2", "0.5,0.4,0.6,0.4; 0,0,1,1", "snow=0.5; fog", "the sea = s.png", "")
        )
        rows.writerow(("b.png", "", "", "", "", "", "", "x.webp"))
        rows.writerow(("b.png", "", "", "", "", "", "", "x.webp"))
        rows.writerow(("", "it sways"))
        rows.writerow(("c.png",) * 9)
    first, second, third, *broken = read_rows(
        Batch(rows=str(folder / "list.csv"), ending=".gif"), {"prompt": "all", "fps": "8"}
    )
    assert first.values == {
        "picture": str(folder / "a.png"), "prompt": "it sways, it snows", "mask": str(folder / "all.png"),
        "motion_strength": "2", "arrows": [("0.5", "0.4", "0.6", "0.4"), ("0", "0", "1", "1")], "fps": "8",
        "added_effects": [("snow=0.5",), ("fog",)], "part": [("the sea", str(folder / "s.png"))], "output": str(folder / "a.gif"),
    }  # fmt: skip
    assert second.values["prompt"] == "all" and second.values["output"] == str(folder / "x.webp") and not second.wrong
    assert "that of row 2" in third.wrong and "a picture" in broken[0].wrong and "8 cells, got 9" in broken[1].wrong


@pytest.mark.parametrize("name, text, words", [
    ("none.csv", None, "a list ending in .csv or .jsonl"), ("a.txt", "x", "a list ending in"), ("a.csv", "", "at least one row"),
    ("a.jsonl", "\n \n", "at least one row"), ("a.csv", b"picture\n\xff\xfe", "rows as text"),
])  # fmt: skip
def test_a_list_that_is_none_is_one_sentence(name, text, words, tmp_path, capsys):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SystemExit) as ended:
        main(["batch", str(tmp_path / name)])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and words in said and len(said.splitlines()) == 1


def test_broken_rows_do_not_stop_the_others_and_nothing_is_made_twice(folder, capsys):
    (folder / "broken.png").write_bytes(b"no picture")
    path = write_list(
        folder / "list.jsonl",
        {"picture": "a.png", "prompt": "it sways", "mask": "all.png", "output": "a.mp4", "pins": [[0.5, 0.5]], **QUICK},
        {"picture": "broken.png", "prompt": "it sways", **QUICK},
        {"picture": "b.png", "prompt": "it sways", "motion_strength": 9},
        {"picture": "b.png", "prompt": "it sways", "strength": 1, "output": "d.mp4"},
        "{",
        {"picture": "b.png", "prompt": "the cup rocks", "parts": ["the cup=all.png"], "output": "b.webp", **QUICK},
    )
    arguments = ["batch", str(path), "--jobs", "1", "--table", str(folder / "table.csv")]
    before = dict(os.environ)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and os.environ == before and not active_children()
    assert capsys.readouterr().out.splitlines()[-1] == "2 made, 0 kept, 4 refused"
    with (folder / "table.csv").open(encoding="utf-8") as file:
        states = {int(row["row"]): (row["state"], row["said"]) for row in csv.DictReader(file)}
    assert [states[number][0] for number in range(1, 7)] == ["made", *["refused"] * 4, "made"]
    for number, words in {
        2: "not a picture",
        3: "motion strength of 0 to 4, got 9",
        4: "got strength",
        5: "JSON object",
    }.items():
        assert words in states[number][1] and len(states[number][1].splitlines()) == 1
    assert unpack(read_metadata(folder / "a.mp4"))[0].hands.pins == ((0.5, 0.5),)
    assert unpack_parts(read_metadata(folder / "b.webp"))[0][0] == "the cup"
    written = {name: (folder / name).stat().st_mtime_ns for name in ("a.mp4", "b.webp")}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line != "{"]
    write_list(path, rows[0], rows[-1] | {"seed": 5})  # other settings: that loop is made again
    main(arguments[:4])
    assert capsys.readouterr().out.splitlines()[-1] == "1 made, 1 kept, 0 refused"
    assert (folder / "a.mp4").stat().st_mtime_ns == written["a.mp4"]
    assert (folder / "b.webp").stat().st_mtime_ns > written["b.webp"]
    os.utime(folder / "all.png")  # copied, and as it was
    main(arguments[:4])
    assert capsys.readouterr().out.splitlines()[-1] == "0 made, 2 kept, 0 refused"
    for name in ("a.mp4", "b.webp"):
        os.utime(folder / name, (time.time() + 86_400,) * 2)  # the clock was ahead when they were made
    Image.new("L", (96, 64), 200).save(folder / "all.png")  # painted again
    main(arguments[:4])
    assert capsys.readouterr().out.splitlines()[-1] == "2 made, 0 kept, 0 refused"


@pytest.mark.slow
def test_a_batch_that_is_killed_goes_on_where_it_was(folder):
    (folder / "all.png").unlink()
    command = [sys.executable, "-m", "loopanimate", "batch", str(folder), "--prompt", "it sways", "--jobs", "1", *SHORT]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    loops = folder / "loops"
    while process.poll() is None and not list(loops.glob("[!.]*.mp4")):
        time.sleep(0.05)
    begun = list(loops.glob(".*"))  # the next row, if it came so far
    process.kill()
    process.wait()
    while any(path.exists() for path in begun):  # its process ends with the one that was killed
        time.sleep(0.05)
    made = {path.name: path.stat().st_mtime_ns for path in loops.glob("[!.]*.mp4")}
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in loops.iterdir()} == {"a.mp4", "b.mp4", "c.mp4"}
    kept = [line.split(":")[0].split("/")[-1] for line in done.stdout.splitlines() if line.startswith("kept")]
    assert set(made) <= set(kept) and len(kept) < 3
    assert all((loops / name).stat().st_mtime_ns == stamp for name, stamp in made.items())


def test_a_batch_that_is_stopped_ends_its_processes_and_leaves_nothing_half_written(folder):
    command = [
        sys.executable,
        "-m",
        "loopanimate",
        "batch",
        str(folder),
        "--prompt",
        "it sways",
        "--size",
        "1080p",
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and not list(folder.glob("loops/.*")):  # until a file is begun under another name
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130 and "stopped after 0 of 4 rows" in said
    assert not list((folder / "loops").iterdir())
    with pytest.raises(ProcessLookupError):
        for _ in range(200):  # Python's own tracker of resources ends a little after the process that it is of
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_a_ray_cluster_makes_the_same(folder, capsys):
    """The rows of one list, refused ones too, by the processes of a Ray on this machine."""
    pytest.importorskip("ray")
    row = {"picture": "a.png", "prompt": "it sways", "mask": "all.png", **QUICK}
    path = write_list(folder / "list.jsonl", row, row | {"picture": "none.png"}, row | {"picture": "b.png"})
    with pytest.raises(SystemExit) as ended:
        main(["batch", str(path), "--ray", "local", "--jobs", "2"])
    said = capsys.readouterr().out
    assert ended.value.code == 2 and "2 made, 0 kept, 1 refused" in said and "no such file" in said
    assert (folder / "a.mp4").exists() and (folder / "b.mp4").exists()


def test_ray_that_is_not_there_is_one_sentence(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as ended:
        main(["batch", str(folder), "--prompt", "it sways", "--ray", "auto"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "expected Ray for --ray" in said and len(said.splitlines()) == 1


def test_a_process_that_dies_takes_one_row_with_it(folder):
    rows = [
        Row(number, {"picture": str(folder / f"{name}.png"), "prompt": "it sways", "part": (), "num_frames": 3, "fps": "native",
                     "num_inference_steps": 1, "output": str(folder / f"{name}.mp4")})
        for number, name in enumerate("ab")
    ]  # fmt: skip
    Timer(0.3, lambda: active_children()[0].kill()).start()
    outcomes = {row.number: outcome for row, outcome in spread(rows, Machine(), 1)}
    assert outcomes[0].state == "refused" and "signal 9" in outcomes[0].said and outcomes[1].state == "made"
    assert not (folder / "a.mp4").exists() and np.asarray((folder / "b.mp4").exists())
