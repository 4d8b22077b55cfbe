import json
import os
import resource
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from loopanimate.network.motion_codec import MotionCodec
from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import PRESETS
from loopanimate.scene.saliency import automatic_mask
from tests.conftest import SMALL
from tests.videos import scene, write_captions, write_video
from train import loader, trainer
from train.export import export
from train.prior import fit
from train.settings import ExportSettings, PriorSettings, TrainSettings
from train.stages import STAGES, Recipe, Stage
from train.trainer import KernelMuon
from train.validation import Validation, held_out_loss

TINY = replace(PRESETS["motion"], unet={**SMALL, "cross_attention_dim": 384}, short_side=4)


@pytest.fixture(autouse=True)
def short_stages(monkeypatch):
    monkeypatch.setitem(PRESETS, "motion", TINY)
    for preset, stages in STAGES.items():
        short = {
            index: replace(
                stage, f=3, batch=2, shorter=(), small=None, recipe=replace(stage.recipe, warm_up=min(1, stage.recipe.warm_up))
            )
            for index, stage in stages.items()
        }
        monkeypatch.setitem(STAGES, preset, short)


@pytest.fixture(autouse=True, scope="module")
def masks_once():
    """The detector's own masks, each found once: runs that are compared see the same frames."""
    found = {}

    def remembered(picture):
        key = picture.tobytes()
        if key not in found:
            found[key] = automatic_mask(picture)
        return found[key]

    loader.automatic_mask = remembered
    yield
    loader.automatic_mask = automatic_mask


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for index in range(3):
        write_video(folder / f"{index}.mp4", scene(40, index))
    write_video(folder / "short.mp4", scene(5, 3))
    (folder / "broken.mp4").write_bytes(b"not a video")
    names = ("0.mp4", "1.mp4", "2.mp4", "short.mp4", "broken.mp4")
    write_captions(folder, {name: f"the disc of {name} sways" for name in names})
    return folder


def run(output, stage=0, steps=4, save_every=2, **values):
    trainer.train(TrainSettings(stage=stage, output=str(output), steps=steps, save_every=save_every, workers=0, **values))
    return LoopAnimateUNet.from_pretrained(output / f"stage{stage}" / "pipeline" / "unet").state_dict()


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def cut_after_a_checkpoint(monkeypatch):
    save = trainer.save_state

    def cut(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "save_state", cut)
    return lambda: monkeypatch.setattr(trainer, "save_state", save)


LONG = [pytest.param(values, marks=pytest.mark.slow) for values in ({}, {"real": True}, {"real": True, "preencode": 2})]


@pytest.mark.parametrize("values", [{"accumulate": 2, "batch": 1}, *LONG])
def test_a_cut_run_resumes_to_the_same_weights(tmp_path, monkeypatch, clips, values):
    values = {**values, **({"data": str(clips)} if values.get("real") else {})}
    values.pop("real", None)
    whole = run(tmp_path / "whole", **values)
    mend = cut_after_a_checkpoint(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", **values)
    mend()
    folder = tmp_path / "cut" / "stage0"
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-0000002"]
    (folder / "partial").mkdir()  # and while it wrote the next checkpoint
    (folder / "partial" / "model.safetensors").write_bytes(b"half")
    assert equal(run(tmp_path / "cut", **values), whole)
    records = [json.loads((tmp_path / name / "stage0" / "pipeline" / "training.json").read_text()) for name in ("whole", "cut")]
    assert records[0]["loss"] == records[1]["loss"]
    assert records[0]["skipped"] == records[1]["skipped"] and bool(records[0]["skipped"]) == ("data" in values)


def test_stages_follow_each_other_and_train_their_own_part(tmp_path):
    before = run(tmp_path, 0, 2)
    for stage in (1, 2, 3):
        after = run(tmp_path, stage, 2)
        unet = LoopAnimateUNet.from_pretrained(tmp_path / f"stage{stage}" / "pipeline" / "unet")
        changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert changed and changed <= trainer.trainable_names(unet, STAGES["motion"][stage])
        before = after
    record = json.loads((tmp_path / "stage3" / "pipeline" / "training.json").read_text())
    assert record["stage"] == 3 and record["steps"] == 2
    assert len(list((tmp_path / "stage3").glob("checkpoint-*"))) <= trainer.KEEP_CHECKPOINTS


def test_a_stage_has_the_presets_grid_whatever_grid_its_start_had(tmp_path):
    run(tmp_path, stage=0, steps=1, cells=8)
    run(tmp_path, stage=1, steps=1)
    sides = [
        MotionCodec.from_pretrained(tmp_path / f"stage{stage}" / "pipeline" / "codec").config.short_side for stage in (0, 1)
    ]
    assert sides == [8, TINY.short_side]


@pytest.mark.slow
def test_a_prior_is_fitted_and_stage_0_begins_from_it(tmp_path, capsys):
    folder = fit(PriorSettings(output=str(tmp_path), steps=12, batch=8))
    record = json.loads((folder / "training.json").read_text())
    assert record["losses"][-1] < record["losses"][0] - 1  # nats a number, on motion that it had not seen
    fitted = MotionCodec.from_pretrained(folder / "codec").state_dict()
    run(tmp_path, 0, 1)
    after = MotionCodec.from_pretrained(tmp_path / "stage0" / "pipeline" / "codec").state_dict()
    assert all(torch.equal(fitted[name], after[name]) for name in after)
    with pytest.raises(ValueError, match="expected a batch of 1 or more, got 0"):
        fit(PriorSettings(output=str(tmp_path), batch=0))


def test_accumulated_micro_batches_are_one_batch(tmp_path, clips, monkeypatch):
    # without Muon, which makes as much of a gradient's rounding errors as of itself
    monkeypatch.setitem(STAGES["motion"], 0, replace(STAGES["motion"][0], muon=False))
    together = run(tmp_path / "together", 0, 3, batch=4, data=str(clips))
    apart = run(tmp_path / "apart", 0, 3, batch=2, accumulate=2, data=str(clips))
    assert all(torch.allclose(together[name], apart[name], atol=2e-6) for name in together)


def test_unusable_clips_are_counted_and_named(tmp_path, clips):
    run(tmp_path, 0, 4, data=str(clips))
    skipped = json.loads((tmp_path / "stage0" / "pipeline" / "training.json").read_text())["skipped"]
    assert skipped["shorter than 13 frames"] == ["short.mp4"]
    assert [names for reason, names in skipped.items() if "not a video" in reason] == [["broken.mp4"]]


def test_what_processes_skipped_is_counted_together(monkeypatch):
    first, second = trainer.Progress(), trainer.Progress()
    first.skip({"damaged": ["a"]})
    second.skip({"damaged": ["b", "a"], "short": ["c"]})
    monkeypatch.setattr(trainer, "gather_object", lambda own: [first.skipped, second.skipped])
    first.gather()
    resumed = trainer.Progress()
    resumed.load_state_dict(first.state_dict())
    assert resumed.skipped == {"damaged": ["a", "b"], "short": ["c"]}


def test_the_512_preset_trains_on_clips(tmp_path, clips, small_512):
    small_512.save_pretrained(tmp_path / "assembled")
    start = LoopAnimateUNet.from_pretrained(tmp_path / "assembled" / "unet").state_dict()
    for stage in (1, 2):
        init = {"init": str(tmp_path / "assembled")} if stage == 1 else {}
        after = run(
            tmp_path, stage, 2, preset="512", data=str(clips), gradient_checkpointing=stage == 1, sample_every=2, **init
        )
        assert {name for name in after if not torch.equal(after[name], start[name])}
        start = after
    assert (tmp_path / "stage1" / "samples" / "0000002-1.webp").stat().st_size > 100
    for folder in (tmp_path / "stage2" / "pipeline", export_of(tmp_path)):
        assert "license: creativeml-openrail-m" in (folder / "README.md").read_text()
        assert "Use Restrictions" in (folder / "LICENSE").read_text()
        stages = json.loads((folder / "provenance.json").read_text())["trained"]
        assert [(stage["stage"], stage["numbers"]["schedule"]) for stage in stages] == [(1, "constant"), (2, "constant")]


def export_of(folder):
    return export(ExportSettings(run=str(folder / "stage2"), output=str(folder / "exported"), raw=True))


def test_the_ablations_change_injection_and_what_trains(tmp_path):
    run(tmp_path, 0, 1, injection=("image", "none", "text"))
    unet = LoopAnimateUNet.from_pretrained(tmp_path / "stage0" / "pipeline" / "unet")
    assert tuple(unet.config.injection) == ("image", "none", "text")
    before = unet.state_dict()
    after = run(tmp_path, 3, 1, init=str(tmp_path / "stage0" / "pipeline"), trains=("temm_q",))
    assert {name for name in after if not torch.equal(after[name], before[name])} <= {
        name for name in after if ".to_q." in name
    }


def test_a_run_at_a_constant_rate_is_lengthened_to_the_same_weights(tmp_path, capsys):
    level = {"schedule": "constant", "warm_up": 0}
    whole = run(tmp_path / "whole", 3, 4, init=run_of_stage_0(tmp_path), **level)
    run(tmp_path / "longer", 3, 2, init=run_of_stage_0(tmp_path), **level)
    assert equal(run(tmp_path / "longer", 3, 4, init=run_of_stage_0(tmp_path), **level), whole)
    told = capsys.readouterr().out
    assert "4 steps instead of 2\n" in told
    with pytest.raises(ValueError, match="expected 4 steps or more"):
        run(tmp_path / "longer", 3, 3, init=run_of_stage_0(tmp_path), **level)
    with pytest.raises(ValueError, match="expected learning_rate 0.0004 as"):
        run(tmp_path / "longer", 3, 4, init=run_of_stage_0(tmp_path), learning_rate=1e-3, **level)


def run_of_stage_0(folder):
    if not (folder / "stage0").exists():
        run(folder, 0, 1)
    return str(folder / "stage0" / "pipeline")


def test_a_cosine_is_laid_anew_over_the_length_that_is_asked_for(tmp_path, monkeypatch, capsys):
    rates, log = [], trainer.Accelerator.log
    monkeypatch.setattr(trainer.Accelerator, "log", lambda self, values, step: rates.append(values["learning_rate"]))
    mend = cut_after_a_checkpoint(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 0, 4)
    mend()
    run(tmp_path, 0, 8)  # longer than what was begun
    stage = replace(STAGES["motion"][0], iterations=8)
    assert rates[2:] == pytest.approx([stage.learning_rate * stage.rate(step) for step in range(3, 9)]) and rates[-1] == 0
    assert "8 steps instead of 4: what hangs on their number is laid anew from step 2 on" in capsys.readouterr().out
    assert log is not trainer.Accelerator.log


def test_any_checkpoint_is_exported_with_card_and_licence(tmp_path):
    made = run(tmp_path, 0, 4)
    exported = {}
    for name, values in {"mean": {}, "raw": {"raw": True}, "before": {"step": 2}}.items():
        folder = export(ExportSettings(run=str(tmp_path / "stage0"), output=str(tmp_path / name), **values))
        exported[name] = LoopAnimateUNet.from_pretrained(folder / "unet").state_dict()
    assert equal(exported["mean"], made) and not equal(exported["raw"], made) and not equal(exported["before"], made)
    raw = load_file(tmp_path / "stage0" / "checkpoint-0000004" / "model.safetensors")
    assert all(torch.equal(value, raw[f"unet.{name}"]) for name, value in exported["raw"].items() if f"unet.{name}" in raw)
    told = json.loads((tmp_path / "before" / "training.json").read_text())
    assert told["steps"] == 2 and told["numbers"]["steps"] == 4 and told["weights"] == "running mean"
    card = (tmp_path / "raw" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n") and '"weights": "raw"' in card and str(tmp_path) not in card
    assert "Apache License" in (tmp_path / "raw" / "LICENSE").read_text()
    with pytest.raises(ValueError, match="checkpoints of steps 2, 4"):
        export(ExportSettings(run=str(tmp_path / "stage0"), output=str(tmp_path / "new"), step=3))
    with pytest.raises(ValueError, match="expected a new folder"):
        export(ExportSettings(run=str(tmp_path / "stage0"), output=str(tmp_path / "raw")))


@pytest.mark.slow
def test_validation_is_of_the_running_mean_and_changes_nothing(tmp_path, monkeypatch, clips):
    logged, log = [], trainer.Accelerator.log
    monkeypatch.setattr(trainer.Accelerator, "log", lambda *given, **named: logged.append(given[1]) or log(*given, **named))
    plain = run(tmp_path / "plain", data=str(clips))
    logged.clear()
    judged = run(tmp_path / "judged", data=str(clips), validation=str(clips), sample_every=2, preencode=0)
    assert equal(judged, plain)
    losses = [values["validation_loss"] for values in logged if "validation_loss" in values]
    samples = sorted(path.name for path in (tmp_path / "judged" / "stage0" / "samples").iterdir())
    assert len(losses) == 2 and samples == [f"{step:07d}-{number}.webp" for step in (2, 4) for number in (0, 1)]
    # the last one once more, from what the run left behind
    settings = TrainSettings(stage=0, steps=4, data=str(clips), validation=str(clips), sample_every=2, workers=0)
    pipe = LoopAnimatePipeline.from_pretrained(tmp_path / "judged" / "stage0" / "pipeline")
    accelerator = trainer.make_accelerator("no", tmp_path)
    judge = Validation(accelerator, settings, settings.table()[1], pipe)
    assert held_out_loss(judge.networks.eval(), pipe, judge.batches, judge.stage) == pytest.approx(losses[-1], rel=1e-4)
    with pytest.raises(ValueError, match="expected clips"):
        TrainSettings(stage=0, validation=str(clips)).table()


@pytest.fixture
def another_precision():
    AcceleratorState._reset_state()  # a process has one for all its runs
    yield
    AcceleratorState._reset_state()


def test_vae_and_clip_compute_in_the_runs_precision(tmp_path, clips, small_512, monkeypatch, another_precision):
    small_512.save_pretrained(tmp_path / "assembled")
    build, seen = trainer.build, {}

    def watching(*arguments):
        pipe = build(*arguments)
        parts = {"vae": pipe.codec.vae.encoder.conv_in, "picture": pipe.image_encoder.visual_projection}
        for name, module in parts.items():
            module.register_forward_hook(lambda *given, name=name: seen.update({name: given[2].dtype}))
        return pipe

    monkeypatch.setattr(trainer, "build", watching)
    values = {"preset": "512", "data": str(clips), "init": str(tmp_path / "assembled")}
    run(tmp_path, 1, 1, mixed_precision="bf16", **values)
    assert seen == {"vae": torch.bfloat16, "picture": torch.bfloat16}
    saved = LoopAnimatePipeline.from_pretrained(tmp_path / "stage1" / "pipeline")
    assert equal(saved.codec.state_dict(), small_512.codec.state_dict())  # and not rounded to it


@contextmanager
def files_up_to(size):
    """A file that grows beyond fails to be written, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_encoding_in_one_sentence(tmp_path, clips):
    with files_up_to(20_000), pytest.raises(ValueError, match="expected room for encoded loops"):
        run(tmp_path, data=str(clips), preencode=1)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    mend = cut_after_a_checkpoint(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "full")
    mend()
    with files_up_to(200_000), pytest.raises(ValueError, match="expected room for a checkpoint"):
        run(tmp_path / "full")
    folder = tmp_path / "full" / "stage0"
    assert [path.name for path in folder.glob("[cp]*")] == ["checkpoint-0000002"]  # and no partial one
    assert equal(run(tmp_path / "full"), whole)


def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, capsys):
    whole = run(tmp_path / "whole")
    stage = tmp_path / "cut" / "stage0"
    for name, tenth in (("model.safetensors", 9), ("optimizer.bin", 5), ("custom_checkpoint_0.pkl", 0)):
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        shutil.copytree(tmp_path / "whole" / "stage0", stage, ignore=shutil.ignore_patterns("pipeline", "logs"))
        file = stage / "checkpoint-0000004" / name
        os.truncate(file, file.stat().st_size * tenth // 10)
        if name != "optimizer.bin":  # which is not exported
            with pytest.raises(ValueError, match="expected a checkpoint that is whole in .*--step takes another$"):
                export(ExportSettings(run=str(stage), output=str(tmp_path / "exported")))
        assert equal(run(tmp_path / "cut"), whole)
        assert "does not load and is damaged-0000004 now; going on from checkpoint-0000002" in capsys.readouterr().out
        assert (stage / "damaged-0000004").is_dir() and (stage / "checkpoint-0000004").is_dir()
    for checkpoint in stage.glob("checkpoint-*"):
        (checkpoint / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="expected a whole checkpoint in .*, got 2 that do not load: "):
        run(tmp_path / "cut")
    assert len([*stage.glob("checkpoint-*")]) == 2  # nothing is set aside for nothing
    (stage / "settings.json").write_text("{")
    with pytest.raises(ValueError, match="settings.json, got a damaged file"):
        run(tmp_path / "cut")


def test_encoded_loops_and_starting_points_that_were_cut(tmp_path, clips):
    values = {"data": str(clips), "preencode": 1, "steps": 1}
    whole = run(tmp_path / "run", **values)
    stage = tmp_path / "run" / "stage0"
    first, *_ = sorted((stage / "encoded").iterdir())
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    shutil.rmtree(stage / "pipeline")
    for checkpoint in stage.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    assert equal(run(tmp_path / "run", **values), whole) and first.read_bytes() == content
    (stage / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(content[:100])
    with pytest.raises(ValueError, match=r"^expected a pipeline that is whole in [^\n]*Make it again$"):
        run(tmp_path / "run", stage=1, steps=1)


def test_a_dry_run_allocates_nothing_and_leaves_nothing(tmp_path, clips, capsys):
    trainer.train(TrainSettings(stage=3, preset="512", data=str(clips), output=str(tmp_path / "run"), dry_run=True))
    told = capsys.readouterr().out
    assert "75,802,240 of 1,276,672,964" in told and "5 in" in told and "GB free" in told
    assert "\nschedule          constant\n" in told and "\ntokens dropped    0.09 0.09 0.01\n" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"stage": 2}, "stage before"),
        ({"stage": 4}, "expected a stage"),
        ({"stage": 1, "preset": "512"}, "captioned clips"),
        ({"stage": 1, "preset": "512", "data": "x"}, "assembled"),
        ({"stage": 0, "preset": "other"}, "expected a preset"),
        ({"stage": 0, "accumulate": 0}, "expected an accumulation of 1 or more"),
        ({"stage": 0, "data": "missing"}, "expected a folder"),
        ({"stage": 0, "trains": ("conv_in", "q")}, "expected all, or some of conv_in, .*, temm_v, to train, got conv_in q"),
        ({"stage": 0, "trains": ()}, "to train, got nothing"),
        ({"stage": 0, "trains": ("q",), "dry_run": True}, "to train, got q"),
        ({"stage": 0, "eight_bit_adam": True}, "bitsandbytes"),
    ],
)
def test_refuses_what_cannot_start(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        trainer.train(TrainSettings(output=str(tmp_path), workers=0, **{"steps": 1, **values}))


def test_refuses_to_go_on_as_another_run(tmp_path):
    run(tmp_path, 0, 1)
    with pytest.raises(ValueError, match="expected seed 0"):
        run(tmp_path, 0, 1, seed=1)


def test_a_mistyped_option_does_not_lock_the_folder(tmp_path, clips):
    with pytest.raises(ValueError, match="expected a folder"):
        run(tmp_path, 0, 1, data="missing", preencode=2)
    run(tmp_path, 0, 1, data=str(clips), preencode=1)
    shutil.rmtree(tmp_path / "stage0" / "pipeline")
    shutil.rmtree(tmp_path / "stage0" / "checkpoint-0000001")
    with pytest.raises(ValueError, match="expected preencode 1"):  # whose loops are there
        run(tmp_path, 0, 1, data=str(clips), preencode=2)


def test_clips_that_all_fail_are_one_sentence(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no")
    write_captions(tmp_path, {"a.mp4": "x"})
    with pytest.raises(ValueError, match="in a row that do not, the last: a.mp4"):
        run(tmp_path / "run", data=str(tmp_path))


def test_a_stage_begins_small_and_ends_on_the_presets_grid():
    stage = Stage(
        f=18,
        trains=("all",),
        learning_rate=1e-3,
        iterations=100,
        batch=3,
        salient=True,
        shorter=(8,),
        small=4,
        refine_at=0.7,
        words_first=0.7,
        recipe=Recipe("cosine", warm_up=40),
    )
    shapes = [stage.shape(step, 12) for step in range(100)]
    assert shapes[:2] == [(7, 35, 4), (16, 15, 4)] and shapes[69][2] == 4 and shapes[70:72] == [(3, 35, 12), (7, 15, 12)]
    costs = [clips * frames * cells**2 for clips, frames, cells in shapes]
    assert max(costs[:70]) <= 1.1 * min(costs[:70]) and max(costs[70:]) <= 1.1 * min(costs[70:])
    assert min(costs[70:]) == pytest.approx(max(costs[:70]) / stage.small_load, rel=0.1)
    focus, rate = [[function(step) for step in range(101)] for function in (stage.focus, stage.rate)]
    assert focus[0] == 0.8 and focus[35] == pytest.approx(0.4) and focus[70:] == [0.0] * 31
    assert rate[0] == 0 and rate[40:71] == [1.0] * 31 and rate[85] == pytest.approx(0.5) and rate[100] == 0
    assert replace(stage, shorter=()).on(4, 12).shape(90, 4) == (7, 35, 4)
    plain = replace(stage, small=None, words_first=0.0)
    assert plain.shape(0, 12) == (3, 35, 12) and plain.focus(0) == 0 and plain.rate(70) < 1
    level = replace(plain, recipe=Recipe("constant"))
    assert [level.rate(step) for step in (0, 50, 100)] == [1.0] * 3


def test_muon_turns_kernels_and_matrices_alike():
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(*shape)) for shape in ((8, 4, 3, 3), (6, 10), (10, 6))]
    before = [weight.detach().clone() for weight in weights]
    muon = KernelMuon([{"params": weights, "lr": 0.1}], weight_decay=0.0)
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    muon.step()
    for weight, old in zip(weights, before):
        step = (old - weight.detach()).flatten(1)
        strengths = torch.linalg.svdvals(step / (0.1 * 0.2 * max(step.shape) ** 0.5))
        assert ((strengths > 0.5) & (strengths < 1.4)).all()  # every direction alike, whatever the gradient's own
        assert (step * weight.grad.flatten(1)).sum() > 0
    again = KernelMuon([{"params": weights, "lr": 0.1}], weight_decay=0.0)
    again.load_state_dict(muon.state_dict())
    moments = [next(iter(state.values())) for state in again.state_dict()["state"].values()]
    assert [moment.shape for moment in moments] == [(8, 36), (6, 10), (10, 6)]


def test_a_grid_and_a_length_of_ones_own():
    _, stage = TrainSettings(stage=0, cells=4, f=8).table()
    assert stage.f == 8 and {stage.shape(step, 4) for step in range(stage.iterations)} == {(1, 15, 4)} and stage.focus(0) == 0.8
    assert TrainSettings(stage=1, preset="512", data="clips", cells=32).table()[1] == STAGES["512"][1]  # at 256 x 256
    for wrong in ({"cells": 6}, {"cells": 4, "preset": "512", "stage": 1, "data": "c"}, {"f": 1}, {"f": 19}):
        with pytest.raises(ValueError, match="expected"):
            TrainSettings(**{"stage": 0, **wrong}).table()
