"""Tables 4 and 5 from one command: train each row with several seeds, measure it, and compare with the paper's order.

The order of two rows is confirmed or contradicted if their difference, paired over seeds, is at least `LEAST` and a t test,
corrected by Holm for all pairs of the table, finds it at 5 percent; otherwise the two cannot be told apart. What the motion
preset does is measured as it was sampled, before any rule turns it to the words.
"""

import json
from collections import namedtuple
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from loopanimate.files.pictures import replacing
from loopanimate.pipeline import LoopAnimatePipeline
from train.encoded import with_tokens
from train.evaluate import COLUMNS, entries, image_embedder, loop_frames, measure
from train.loader import procedural_loops
from train.objectives import TrainedNetworks
from train.settings import AblateSettings, EvaluateSettings, Training, TrainSettings, read_json
from train.stages import INJECTIONS, STAGES, Stage
from train.trainer import train
from train.validation import BATCHES, HELD_OUT, held_out_loss

NOISES = 1000  # seeds of sampled loops that belong to one seed of a run
METHOD = "IE / TE / TE"
INJECTED = {"image": "IE", "text": "TE", "none": "none"}
Row = namedtuple("Row", "change paper")  # fields of TrainSettings that differ, and what the paper measured, by column
# train/METHOD.md §6
PAPER_4 = ((2.4, 2.2, 0.969), (2.3, 2.1, 0.947), (1.8, 1.6, 0.949), (2.6, 1.1, 0.965), (2.1, 1.9, 0.956))
TABLES = {
    4: {
        " / ".join(INJECTED[tokens] for tokens in plan): Row({"injection": plan}, dict(zip(("QS", "QM", "Loop-C"), values)))
        for plan, values in zip(INJECTIONS, PAPER_4, strict=True)
    },
    5: {
        name: Row({"trains": ("conv_in", *(f"temm_{part.lower()}" for part in name.split()))}, dict(zip(COLUMNS, values)))
        for name, values in {
            "Q": (0.937, 52.3, 0.978, 0.781, 0.968),
            "Q K": (0.943, 53.5, 0.979, 0.811, 0.968),
            "Q V": (0.956, 47.2, 0.987, 0.851, 0.969),
            "Q K V": (0.958, 51.1, 0.987, 0.873, 0.968),
        }.items()
    },
}
OBEDIENCE = (  # columns of the motion preset's table
    "direction within 45 degrees, as sampled",
    "direction within 90 degrees, as sampled",
    "kind recognised, as sampled",
    "gently < plainly < strongly, as sampled",
    "median displacement of what moves, as sampled",
    "median of what should be still, percent of the short side",
    "jitter of what should be still, median, percent of the short side",
)
# The paper's column: (our measure, whether more is better). SAME has the same measure; NEAREST what the motion preset can
# measure without CLIP and without people. QM asks whether the motion is what the words ask for; CLIP-I and QS how true it is.
SAME = {name: (name, name != "MSE_F0") for name in COLUMNS}
NEAREST = {
    "QS": ("held-out loss", False),
    "QM": ("direction within 45 degrees, as sampled", True),
    "CLIP-I": ("held-out loss", False),
    "FC": ("jitter of what should be still, median, percent of the short side", False),
    "Motion": ("median displacement of what moves, as sampled", True),
}
# The least difference of two means that is called an order: of the paper's measures, the smallest that its Tables 4 and 5
# tell apart; of ours, about a hundredth of the usual value, or a twentieth of the loops.
LEAST = {
    "CLIP-I": 0.002,
    "MSE_F0": 1.2,
    "FC": 0.001,
    "Motion": 0.022,
    "Loop-C": 0.001,
    "held-out loss": 0.005,
    "direction within 45 degrees, as sampled": 5.0,
    "jitter of what should be still, median, percent of the short side": 0.01,
    "median displacement of what moves, as sampled": 0.02,
}


def ablate(settings: AblateSettings) -> str:
    """Train and measure what is missing, write OUTPUT/tableN.json and tableN.md, and return the text of the latter."""
    rows, folder = TABLES[settings.table], Path(settings.output)
    if settings.preset != "motion" and not settings.test_data:
        raise ValueError(f"expected captioned pictures to measure preset {settings.preset} on (--test-data)")
    results = {name: [_result(settings, row, name, seed) for seed in range(settings.seeds)] for name, row in rows.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"table{settings.table}.json").write_text(json.dumps(results, indent=2))
    text = report(settings.table, results)
    (folder / f"table{settings.table}.md").write_text(text, encoding="utf-8")
    return text


def _result(settings: AblateSettings, row: Row, name: str, seed: int) -> dict[str, float]:
    """Train one row, if it is not yet, and measure it.

    Table 5's rows share the stages before the third with the method's row of Table 4. The motion preset's stage 0 stands for
    the base that the paper starts from, so it sees only loops of stage 1's length. Each row trains its own, or all start
    from one (`init`).
    """
    own, shared = (
        Path(settings.output) / f"{row.replace(' / ', '-').replace(' ', '')}-seed{seed}"
        for row in (name, METHOD if settings.table == 5 else name)
    )
    measured, stages = own / "measures.json", STAGES[settings.preset]
    if measured.is_file():
        return read_json(measured)
    last = max(stages)
    before = settings.init  # the pipeline that a stage begins from
    for index, stage in sorted(stages.items()):
        if index == 0 and settings.init:
            continue
        output = own if index == last else shared
        result = output / f"stage{index}" / "pipeline"
        if not (result / "training.json").is_file():
            changes = row.change if settings.table == 4 or index == last else {}
            if index == 0 and 1 in stages:
                changes = {**changes, "f": stages[1].f}
            init = before if index == last or before == settings.init else None
            steps = max(1, round(stage.iterations * settings.share))
            common = settings.model_dump(include=set(Training.model_fields))
            train(TrainSettings(**common, stage=index, output=str(output), seed=seed, steps=steps, init=init, **changes))
        before = str(result)
    pipe = LoopAnimatePipeline.from_pretrained(before)
    pipe.set_progress_bar_config(disable=True)
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    values = measures(pipe, settings, stages[last], seed)
    with replacing(measured) as path:
        path.write_text(json.dumps(values, indent=2))
    return values


def measures(pipe: LoopAnimatePipeline, settings: AblateSettings, stage: Stage, seed: int = 0) -> dict[str, float]:
    """Table 2's columns over the test pictures and, for the motion preset, obedience and the loss on held-out motion.

    Each seed of a run is measured on noise of its own, so that an interval over seeds covers that chance too.
    """
    values = {}
    if settings.test_data:
        asked = EvaluateSettings(preset=settings.preset, num_frames=settings.num_frames)
        embed = image_embedder(pipe, settings.clip)
        loops = (loop_frames(pipe, entry, asked, seed) for entry in entries(settings.test_data))
        found = [measure(frames, frames[:-1], picture, embed) for frames, picture in loops]
        means = {name: [row[name] for row in found] for name in found[0]}
        values |= {name: float(np.mean(column)) for name, column in means.items() if None not in column}
    if settings.preset == "motion":
        from train.obedience import evaluate

        table = evaluate(pipe, None, settings.num_frames, limit=settings.pictures, rendered=False, first=NOISES * seed)
        values |= {name: table[name] for name in OBEDIENCE}
        seeds = range(HELD_OUT + NOISES * seed, HELD_OUT + NOISES * seed + BATCHES)
        loops = procedural_loops(pipe.codec, stage, "native", enumerate(seeds), pipe.device)
        batches = [with_tokens(batch, pipe, encoder_trains=False) for batch in loops]
        networks = TrainedNetworks(pipe.unet, None).eval()
        values["held-out loss"] = held_out_loss(networks, pipe, batches, stage, HELD_OUT + seed)
    return values


def interval(values: list[float]) -> tuple[float, float]:
    """(mean, half the width of its 95 percent interval by Student's t distribution)."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(half)


def p_values(differences: list[list[float]]) -> np.ndarray:
    """Two-sided p of each list's mean being zero, by Student's t, corrected by Holm for their number."""
    raw = [stats.ttest_1samp(part, 0).pvalue if np.ptp(part) else float(part[0] == 0) for part in map(np.array, differences)]
    order = np.argsort(raw)
    falling = np.arange(len(raw), 0, -1)
    corrected = np.empty(len(raw))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.array(raw)[order] * falling))
    return corrected


def verdicts(differences: list[list[float]], least: list[float]) -> list[str]:
    """For each pair of rows, whether it is in the paper's order; `differences` of their seeds, positive where it is."""
    pairs = zip(map(np.mean, differences), p_values(differences), least)
    told = (p < 0.05 and abs(mean) >= size and ("agrees" if mean > 0 else "disagrees") for mean, p, size in pairs)
    return [word or "cannot be told apart" for word in told]


def report(table: int, results: dict[str, list[dict[str, float]]]) -> str:
    """A table of means with intervals, and the verdict on each pair of rows that the paper orders."""
    rows = TABLES[table]
    names = [name for name in results[next(iter(rows))][0] if name not in ("pictures", "loops")]
    seeds = len(results[next(iter(rows))])
    lines = [f"Table {table}, {seeds} seeds, mean ± half the 95 percent interval", ""]
    lines += ["| row | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name in rows:
        cells = [interval([run[measure] for run in results[name]]) for measure in names]
        lines.append(f"| {name} | " + " | ".join(f"{mean:.4g} ± {half:.2g}" for mean, half in cells) + " |")
    missing = "weights missing" if "MSE_F0" in names else "measured on --test-data alone"
    compared, differences, least, absent = [], [], [], []
    for column in next(iter(rows.values())).paper:
        same = SAME.get(column)
        measure, more = same if same and same[0] in names else NEAREST.get(column, (None, True))
        if measure not in names:
            absent.append(f"| {column} | n/a: {missing} | | |")
            continue
        for first, second in combinations(rows, 2):
            values = rows[first].paper[column], rows[second].paper[column]
            if values[0] == values[1]:
                continue
            first_wins = (values[0] > values[1]) == (column != "MSE_F0")
            better, worse = (first, second) if first_wins else (second, first)
            sign = 1 if more else -1
            runs = zip(results[better], results[worse], strict=True)
            compared.append(f"| {column} | {measure} | {better} before {worse} |")
            differences.append([sign * (one[measure] - two[measure]) for one, two in runs])
            least.append(LEAST[measure])
    lines += ["", f"Verdicts are corrected for {len(compared)} pairs.", ""]
    lines += ["| paper's column | measured by | paper's order | verdict |", "|---|---|---|---|"]
    lines += [f"{text} {said} |" for text, said in zip(compared, verdicts(differences, least))] + absent
    return "\n".join(lines) + "\n"
