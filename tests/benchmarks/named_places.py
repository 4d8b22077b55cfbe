"""Does what a sentence names move, and nothing else? python -m tests.benchmarks.named_places PICTURES [SHEETS]

PICTURES is the folder that `python -m train pictures` filled. For each sentence of
`train/labels/sentences.tsv`, all over pictures that the finder was never fitted to, the whole road is gone, no mask given. A
clause is right if at least MOVES of its place moves, or rests if it says so; a sentence is right if all its clauses are, and
if at most RESTS of all that is labelled as something else moves. SHEETS: a folder for a picture of each, what moves in red.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from loopanimate.animate import make_loops
from loopanimate.checkpoints import load_quietly
from loopanimate.loop import MotionLoop
from loopanimate.presets import DEFAULT
from loopanimate.scene.regions import CLASSES
from loopanimate.settings import make_settings
from train.regions import LABELS, UNKNOWN, load_examples

STIRS = 0.0015  # short sides of displacement from which a place moves
MOVES, RESTS = 0.6, 0.15  # shares


def stirring(loop: MotionLoop) -> np.ndarray:
    """Where anything moves, (H, W) bool of the loop's picture: the displacement of the layers in sight, at its largest."""
    view = loop.view()
    field, clear, reach = loop.field(view), 1.0, 0.0
    for layer in range(field.layers):
        size = np.linalg.norm(field.ring[:, layer], axis=1).max(0) + np.hypot(*field.winding[layer])
        size = cv2.resize(size.astype(np.float32), view.picture.size, interpolation=cv2.INTER_CUBIC)
        mask = np.clip((view.masks[layer] - 0.3) / 0.4, 0, 1) if layer < len(view.masks) else 1.0
        reach = reach + clear * mask * size
        clear = clear * (1 - mask)
    return reach > STIRS


def judge(loop: MotionLoop | None, labels: np.ndarray, places: str) -> tuple[list[bool], float]:
    """Whether each clause is right, and the share of all else that moves."""
    moved = np.zeros(labels.shape, bool) if loop is None else stirring(loop)
    named, right = np.zeros(labels.shape, bool), []
    for place in places.split(" | "):
        truth = np.isin(labels, [CLASSES.index(name.lstrip("!")) for name in place.split()])
        share = float(moved[truth].mean())
        right.append(share <= RESTS if place.startswith("!") else share >= MOVES)
        named |= truth & (not place.startswith("!"))
    rest = ~named & (labels != UNKNOWN)
    return right, float(moved[rest].mean()) if rest.any() else 0.0


def main(pictures: str, sheets: str | None = None) -> None:
    examples, pipe = {example.name: example for example in load_examples(pictures, held=True)}, load_quietly(DEFAULT)
    with open(LABELS / "sentences.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found: dict[str, Counter] = {"one clause": Counter(), "two clauses": Counter()}
    for row in rows:
        example, loop, words = examples[row["name"]], None, ""
        try:
            (loop,) = make_loops(pipe, Image.fromarray(example.picture), make_settings(prompt=row["sentence"]))
            words = " ".join(note.said for note in loop.notes)
        except ValueError as error:
            words = str(error)
        right, beside = judge(loop, example.labels, row["places"])
        group = found["one clause" if len(right) == 1 else "two clauses"]
        group.update(all=1, right=all(right) and beside <= RESTS, places=all(right), rest=beside <= RESTS)
        verdict = "right" if all(right) and beside <= RESTS else f"WRONG {right} beside {beside:.2f}"
        print(f"{row['name']}\t{row['sentence']}\t{verdict}\t{words}", flush=True)
        if sheets and loop is not None:
            Path(sheets).mkdir(parents=True, exist_ok=True)
            shown = example.picture // 2 + np.uint8([127, 0, 0]) * stirring(loop)[..., None]
            Image.fromarray(shown).save(Path(sheets) / f"{row['name']}-{row['sentence'].replace(' ', '-')[:60]}.jpg")
    shares = {
        name: {what: round(100 * count / group["all"], 1) for what, count in group.items() if what != "all"}
        | {"of": group["all"]}
        for name, group in found.items()
    }
    print(json.dumps(shares))


if __name__ == "__main__":
    main(*sys.argv[1:])
