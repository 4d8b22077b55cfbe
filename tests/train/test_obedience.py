import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from loopanimate.loop import MotionLoop
from loopanimate.motion.curve import Motion
from loopanimate.network.conditioning import mask_code
from loopanimate.settings import make_settings
from loopanimate.words.kinds import SPOKEN
from tests.motion.motions import STILL, circle, of_ring
from train import grammar, obedience, seams
from train.recognise import KindClassifier, make_motion
from train.sample import Sample
from train.synthetic import pictures


def sample(motion: Motion, side: int = 96) -> Sample:
    noise = np.random.default_rng(0).integers(0, 255, (side // 4, side // 4, 3)).astype(np.uint8)
    picture = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    y, x = np.mgrid[0:side, 0:side]
    mask = (np.hypot(x - side / 2, y - side / 2) < side / 3).astype(np.float32)
    return Sample(MotionLoop(picture, (mask,), mask, True, make_settings(prompt="it moves"), (), motion, STILL), motion)


def rounds(count: int) -> Motion:
    angle = 2 * np.pi * count * np.arange(35) / 34
    ring = np.zeros((35, 2, 12, 12), np.float32)
    ring[:, 0], ring[:, 1] = (0.02 * part[:, None, None] for part in (1 - np.cos(angle), np.sin(angle)))
    return of_ring(ring)


def test_a_sample_measures_what_moves():
    one = sample(rounds(1))
    assert obedience.off_course(one.shown.mean[:, 0], grammar.Motion(direction=30)) == pytest.approx(30, abs=1)
    for move in (one.shown, one.sampled):
        assert move.peak(0) == pytest.approx(0.04, abs=0.001)
        assert move.peak(1) == 0 and max(move.jitter(0), move.jitter(1)) < 1e-6
    assert one.taking_part() == 1 and one.sharpness() > 0.9
    assert sample(rounds(3)).shown.crossings() > one.shown.crossings() == 2
    there_and_back = rounds(1).ring[:, 0].copy()
    there_and_back[:, 1] = 0
    assert sample(of_ring(there_and_back)).reversal() == pytest.approx(1, abs=1e-3) and one.reversal() < 0.3
    rough = rounds(1).ring[:, 0].copy()
    rough[1:-1, 0] += 0.002 * (-1.0) ** np.arange(33)[:, None, None]
    assert sample(of_ring(rough)).sampled.jitter(0) > 0.001


def test_a_sample_counts_a_stream_all_the_way():
    one = sample(circle(35, (12, 12), reach=0, drift=0.2))
    assert one.field.turns[0] > 3
    assert one.shown.peak(0) == pytest.approx(0.2, rel=0.05) == one.sampled.peak(0)
    assert one.sheet().height > one.frames.shape[1]


def test_every_control_is_worse_than_a_good_loop_and_ranks_are_uniform():
    loops = [sample(rounds(count), 192) for count in (2, 3)]
    table = seams.table(loops, loops)
    assert table["seam step and jerk at most 1.25, no pause: percent of loops"] == 100
    assert table["controls worse than their loop, percent"] == dict.fromkeys(seams.CONTROLS, 100)
    assert seams.uniformity([np.roll(np.arange(20), k) for k in range(20)]) < 0.1
    assert seams.uniformity([np.arange(20)] * 20) > 0.8
    unpaused = seams.unpaused(np.random.default_rng(0).permutation(33) + 1.0)
    assert len(unpaused) == 33 and unpaused.sum() == 30  # of places like any other, three of 33 fail


def test_flow_takes_a_cross_fade_for_as_fast_as_it_is():
    flows = seams.flows(sample(circle(35, (12, 12), reach=0, drift=0.2), 192).frames)
    assert flows.std() < 0.08 * flows.mean()


def test_the_plan_speaks_in_held_out_words_and_groups_what_is_compared():
    cases = obedience.plan(2)
    assert len(cases) == 72 and all("{" not in case.prompt for case in cases)
    triples = [case for case in cases if case.purpose == "strength"]
    assert len({case.group for case in triples}) == 4 and len(triples) == 12
    first, second, third = (case.motion.amplitude for case in triples[:3])
    assert first < second < third and len({case.seed for case in triples[:3]}) == 1


def test_other_noise_asks_for_the_same():
    cases, others = obedience.plan(1), obedience.plan(1, 1000)
    assert [(case.prompt, case.motion, case.seed + 1000) for case in cases] == [(c.prompt, c.motion, c.seed) for c in others]


@pytest.mark.slow
def test_kinds_are_recognised_in_procedural_motion():
    classifier = KindClassifier(35, clips=40, batches=2, epochs=200)
    rng, generator = random.Random(9), torch.Generator().manual_seed(9)
    right = []
    for kind in SPOKEN:
        support = mask_code(pictures(10, 96, 96, generator)[1], (12, 12))
        right += [found == kind for found in classifier(make_motion(kind, support, rng, generator, 35), support[:, 0])]
    assert np.mean(right) > 0.75


@pytest.mark.slow
def test_a_table_of_the_bundled_model(motion_pipeline, tmp_path, monkeypatch):
    """Every row is filled, from sampling to sheets; of a short plan, with few frames."""
    kept = {case.purpose: case for case in obedience.plan(1)}  # one loop a purpose ...
    groups = [case for case in obedience.plan(1) if case.purpose in ("strength", "tempo", "seeds") and case.group % 10 == 0]
    monkeypatch.setattr(
        obedience, "plan", lambda *_: [*groups, *(kept[name] for name in ("direction", "kind", "still")), drift()]
    )
    monkeypatch.setattr(obedience, "KindClassifier", lambda _: lambda motions, inside: ["shift"] * len(motions))
    table = obedience.evaluate(motion_pipeline, None, 9, str(tmp_path), limit=1, num_inference_steps=2)
    assert table["loops"] == len(list(Path(tmp_path).iterdir())) == len(groups) + 4
    assert "as sampled" in obedience.report(table)
    assert all(np.isfinite(value).all() for value in table.values() if not isinstance(value, dict))


def drift():
    return obedience.Case(0, "it drifts", grammar.Motion("shift", 0.02), 0, "kind")


@pytest.mark.parametrize("control", ["prior", "rules", "untrained"])
def test_controls_know_less_than_the_network(motion_pipeline, control, monkeypatch):
    pipe, passes = copy.copy(motion_pipeline), []
    monkeypatch.setattr(
        obedience, "plan", lambda *_: [case for case in obedience._cases(0, 0) if case.purpose == "direction"][:4]
    )
    for rows in ("_words", "_stillness"):
        monkeypatch.setattr(obedience, rows, lambda *_: {})
    forward = type(pipe.unet).forward
    monkeypatch.setattr(type(pipe.unet), "forward", lambda *given, **named: passes.append(1) or forward(*given, **named))
    samples = obedience._sample
    sampled = []
    monkeypatch.setattr(obedience, "_sample", lambda *given: sampled.append(samples(*given)) or sampled[-1])
    obedience.evaluate(pipe, num_frames=7, limit=1, rendered=False, control=control)
    obedience.evaluate(pipe, num_frames=7, limit=1, rendered=False, control=control)
    assert bool(passes) == (control == "untrained")
    first, second = ([one.sampled.mean for one in batch] for batch in sampled)
    assert all(np.array_equal(a, b) for a, b in zip(first, second)) and np.abs(first[0]).max() > 0
