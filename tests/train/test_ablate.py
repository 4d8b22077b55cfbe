from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from loopanimate.presets import PRESETS
from tests.conftest import SMALL
from train import ablate, obedience
from train.settings import AblateSettings
from train.stages import STAGES


def test_the_interval_is_students():
    values = [1.0, 1.4, 0.9, 1.1]
    mean, half = ablate.interval(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx(expected)


def test_a_verdict_needs_an_effect_that_survives_its_company():
    clear, chance, tiny = [2.0, 1.9, 2.1], [1.0, -1.0, 0.1], [1e-4, 1.0001e-4]
    assert ablate.verdicts([clear, [-value for value in clear], chance], [1.0] * 3) == [
        "agrees",
        "disagrees",
        "cannot be told apart",
    ]
    assert ablate.verdicts([tiny, [0.3, 0.3], [0.0, 0.0]], [0.005] * 3) == [
        "cannot be told apart",
        "agrees",
        "cannot be told apart",
    ]
    assert ablate.verdicts([clear], [2.5]) == ["cannot be told apart"]
    assert ablate.verdicts([clear, *[chance] * 60], [1.0] * 61)[0] == "cannot be told apart"  # by so many tests, chance is one
    raw = [stats.ttest_1samp(part, 0).pvalue for part in (clear, chance)]
    assert ablate.p_values([clear, chance]) == pytest.approx([2 * raw[0], max(2 * raw[0], raw[1])])


def test_the_table_measures_before_any_rule():
    directed = [name for name in ablate.OBEDIENCE if "direction" in name or "kind" in name or "<" in name]
    assert len(directed) == 4 and all(name.endswith("as sampled") for name in directed)
    measures = [*(name for name, _ in ablate.NEAREST.values()), *ablate.SAME]
    assert set(measures) <= set(ablate.LEAST) and set(measures) <= {*ablate.OBEDIENCE, *ablate.SAME, "held-out loss"}


@pytest.mark.parametrize("table", [4, 5])
def test_a_table_from_one_command(tmp_path, monkeypatch, table):
    tiny = replace(PRESETS["motion"], unet={**SMALL, "cross_attention_dim": 384}, short_side=4, num_inference_steps=2)
    monkeypatch.setitem(PRESETS, "motion", tiny)
    stages = {
        index: replace(stage, f=3, batch=1, iterations=2, shorter=(), small=None)
        for index, stage in STAGES["motion"].items()
        if index in (0, 3)
    }
    monkeypatch.setitem(STAGES, "motion", {0: stages[0], 1: replace(stages[3])} if table == 4 else {0: stages[0], 1: stages[3]})
    rows = ablate.TABLES[table]
    monkeypatch.setitem(ablate.TABLES, table, dict(list(rows.items())[:2]))
    monkeypatch.setattr(ablate, "BATCHES", 1)
    obeyed = dict.fromkeys(ablate.OBEDIENCE, 50.0)
    firsts = []
    monkeypatch.setattr(obedience, "evaluate", lambda *_, first, **__: firsts.append(first) or obeyed)
    settings = AblateSettings(table=table, output=str(tmp_path), seeds=2, num_frames=5, cells=8)
    told = ablate.ablate(settings)
    assert all(f"| {name} |" in told for name in ablate.TABLES[table])
    assert "held-out loss" in told and told.count("before") >= 2
    trained = sorted(path.parents[2].name for path in tmp_path.rglob("training.json"))
    assert len(trained) == (8 if table == 4 else 6)  # of Table 5, two seeds share what comes before the rows
    assert firsts == [0, 1000] * 2  # each seed is measured on noise of its own
    monkeypatch.setattr(ablate, "train", None)  # nothing is left to train
    assert ablate.ablate(settings) == told


def test_rows_can_share_a_base(tmp_path, monkeypatch):
    began = []

    def measured(folder):
        raise InterruptedError(folder)

    monkeypatch.setattr(ablate, "train", lambda settings: began.append((settings.stage, settings.init)))
    monkeypatch.setattr(ablate.LoopAnimatePipeline, "from_pretrained", measured)
    with pytest.raises(InterruptedError):  # after its training, the first row would be measured
        ablate.ablate(AblateSettings(table=4, output=str(tmp_path), init="base"))
    assert [stage for stage, _ in began] == [1, 2, 3] and began[0][1] == "base"


def test_refuses_what_cannot_be_measured(tmp_path):
    with pytest.raises(ValueError, match="2 or more seeds"):
        ablate.ablate(AblateSettings(table=4, output=str(tmp_path), seeds=1))
    with pytest.raises(ValueError, match="--test-data"):
        ablate.ablate(AblateSettings(table=4, preset="512", output=str(tmp_path)))
