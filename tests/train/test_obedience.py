import random

import numpy as np
import pytest
import torch
from PIL import Image

from loopanimate.network.conditioning import mask_code
from loopanimate.words.vocabulary import VERBS
from train.grammar import Motion
from train.kinds import KindClassifier, true_motion
from train.obedience import CONTROLS, Sample, _flows, _off_course, _seams, _uniformity, _unpaused, plan
from train.synthetic import pictures


class Plain:
    """A codec whose latents are displacement."""

    def displacement(self, latents):
        return latents


def sample(displacement, side=96):
    noise = np.random.default_rng(0).integers(0, 255, (side // 4, side // 4, 3)).astype(np.uint8)
    picture = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    y, x = np.mgrid[0:side, 0:side]
    mask = Image.fromarray((255 * (np.hypot(x - side / 2, y - side / 2) < side / 3)).astype(np.uint8))
    return Sample(Plain(), picture, mask, "", displacement, displacement)


def circle(turns=1, size=0.02):
    turn = 2 * np.pi * turns * np.arange(35) / 34
    displacement = np.zeros((35, 4, 12, 12), np.float32)
    displacement[:, 0], displacement[:, 1] = (size * part[:, None, None] for part in (1 - np.cos(turn), np.sin(turn)))
    return displacement


def test_a_sample_measures_what_moves():
    one = sample(circle())
    assert _off_course(one.mean[:, 0], Motion(direction=30)) == pytest.approx(30, abs=1)
    assert one.peak(0) == pytest.approx(0.04, abs=0.001)
    assert one.peak(1) == 0 and one.jitter.max() < 1e-6 and one.taking_part() == 1
    assert sample(circle(3)).crossings() > one.crossings() == 2
    there_and_back = circle()
    there_and_back[:, 1] = 0
    assert sample(there_and_back).reversal() == pytest.approx(1, abs=1e-3) and one.reversal() < 0.3
    rough = circle()
    rough[1:-1, 0] += 0.002 * (-1.0) ** np.arange(33)[:, None, None]
    assert sample(rough).jitter[0] > 0.001
    assert one.sharpness() > 0.9 and one.unfolded()[0] == one.unfolded()[1]


def test_every_control_is_worse_than_a_good_loop_and_ranks_are_uniform():
    case = type("Case", (), {"purpose": "kind", "motion": type("Motion", (), {"kind": "shift"})})
    table = _seams([(case, sample(circle(turns), 192)) for turns in (2, 3)])
    assert table["seam step and jerk at most 1.25, no pause: percent of loops"] == 100
    assert set(table["controls worse than their loop, percent"]) == set(CONTROLS)
    assert all(share == 100 for share in table["controls worse than their loop, percent"].values())
    assert _uniformity([np.roll(np.arange(20), k) for k in range(20)]) < 0.1
    assert _uniformity([np.arange(20)] * 20) > 0.8
    unpaused = _unpaused(np.random.default_rng(0).permutation(33) + 1.0)
    assert len(unpaused) == 33 and unpaused.sum() == 30  # of places like any other, three of 33 fail


def test_flow_takes_a_cross_fade_for_as_fast_as_it_is():
    stream = np.zeros((35, 4, 12, 12), np.float32)
    stream[:, 0] = 0.2 * np.linspace(0, 1, 35)[:, None, None]
    one = sample(stream, 192)
    flows = _flows(one.frames)
    assert one.field.turns[0] > 3 and flows.std() < 0.08 * flows.mean()


def test_the_plan_speaks_in_held_out_words_and_groups_what_is_compared():
    cases = plan(2)
    assert len(cases) == 72 and all("{" not in case.prompt for case in cases)
    triples = [case for case in cases if case.purpose == "strength"]
    assert len({case.group for case in triples}) == 4 and len(triples) == 12
    first, second, third = (case.motion.amplitude for case in triples[:3])
    assert first < second < third and len({case.seed for case in triples[:3]}) == 1


def test_kinds_are_recognised_in_true_motion():
    classifier = KindClassifier(35, clips=40, batches=2, epochs=200)
    rng, generator = random.Random(9), torch.Generator().manual_seed(9)
    right = []
    for kind in VERBS:
        _, mask = pictures(10, 96, 96, generator)
        support = mask_code(mask, (12, 12))
        right += [found == kind for found in classifier(true_motion(kind, support, rng, generator, 35), support[:, 0])]
    assert np.mean(right) > 0.75


def test_other_noise_asks_for_the_same():
    cases, others = plan(1), plan(1, 1000)
    assert [(case.prompt, case.motion, case.seed + 1000) for case in cases] == [(c.prompt, c.motion, c.seed) for c in others]
