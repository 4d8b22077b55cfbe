import json
from dataclasses import replace

import pytest
import torch

from loopanimate.presets import PRESETS
from loopanimate.unet import LoopAnimateUNet
from tests.conftest import SMALL
from train import trainer
from train.stages import STAGES

TINY = replace(PRESETS["motion"], unet={**SMALL, "cross_attention_dim": 384})


@pytest.fixture(autouse=True)
def short_stages(monkeypatch):
    stages = {index: replace(stage, f=3, batch=2) for index, stage in STAGES["motion"].items()}
    monkeypatch.setitem(STAGES, "motion", stages)


def run(output, stage=0, steps=4, save_every=2):
    trainer.train(TINY, stage, str(output), steps, "native", save_every, 0, None)
    return LoopAnimateUNet.from_pretrained(output / f"stage{stage}" / "pipeline" / "unet")


def test_a_cut_run_resumes_to_the_same_weights(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole").state_dict()
    save, calls = trainer._save_state, []

    def cut(*arguments):
        save(*arguments)
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "_save_state", cut)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut")
    monkeypatch.setattr(trainer, "_save_state", save)
    assert [path.name for path in (tmp_path / "cut" / "stage0").glob("checkpoint-*")] == ["checkpoint-0000002"]
    resumed = run(tmp_path / "cut").state_dict()
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-6) for name in whole)


def test_stages_follow_each_other_and_train_their_own_part(tmp_path):
    before = run(tmp_path, 0, 2).state_dict()
    for stage in (1, 2, 3):
        after = run(tmp_path, stage, 2)
        changed = {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}
        trained = {name for name in after.state_dict() if name in trainer.trainable_names(after, STAGES["motion"][stage])}
        assert changed and changed <= trained
        before = after.state_dict()
    record = json.loads((tmp_path / "stage3" / "pipeline" / "training.json").read_text())
    assert record["stage"] == 3 and record["steps"] == 2
    assert len(list((tmp_path / "stage3").glob("checkpoint-*"))) <= trainer.KEEP_CHECKPOINTS


def test_refuses_what_cannot_start(tmp_path):
    with pytest.raises(ValueError, match="stage before"):
        run(tmp_path, 2)
    with pytest.raises(ValueError, match="expected a stage"):
        trainer.train(TINY, 4, str(tmp_path), 1, "native", 1, 0, None)
