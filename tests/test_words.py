import re

import pytest
import torch

from loopanimate.words import STREAMS, VERBS, _reader, _sentence_embedding, clause, interpret, is_rigid
from train.grammar import HELD_OUT


@pytest.mark.parametrize(
    "prompt",
    [
        "she sways gently to the left",
        "The Flag Flutters",
        "nothing moves",
        "the camera pans left",
        "the boat sails away",
        "the woman sways, the clouds drift to the left",
        "the jellyfish pulses",
    ],  # fmt: skip
)
def test_known_words_are_left_alone(motion_pipeline, prompt):
    assert interpret(prompt, motion_pipeline) == (prompt, None)


@pytest.mark.parametrize(
    "prompt, kinds",
    [
        ("fire crackles", ["stream"]),
        ("her hair dances in the breeze", ["sway"]),
        ("die Haare wehen im Wind", ["sway", "flutter"]),
        ("it levitates", ["bob"]),
        ("it springs up and down", ["bob", "bounce"]),
        ("the globe goes round", ["turn"]),  # "goes" alone is a shift
        ("the curtain billows", ["flutter"]),
    ],
)
def test_other_words_are_taken_for_the_nearest_motion(motion_pipeline, prompt, kinds):
    taken, note = interpret(prompt, motion_pipeline)
    meant = {clause("it", VERBS[kind][0]) for kind in kinds}
    if "stream" in kinds:
        meant |= {clause(subject, verb) for subject, (_, own) in STREAMS.items() for verb in (*own, "flow")}
    assert taken in meant and f'"{taken}"' in note


def test_most_verbs_that_training_never_spoke_are_read_as_their_kind(motion_pipeline):
    reader = _reader(motion_pipeline)
    read = []
    for kind, verbs in HELD_OUT.items():
        for verb in verbs:
            embedding = _sentence_embedding(motion_pipeline, [clause("it", verb)])[0]
            scores = torch.nn.functional.pad(embedding, (0, 1), value=1) @ reader.weights
            read.append(reader.kinds[int(scores.argmax())] == kind)
    assert sum(read) >= 17, read  # of 24; the nearest single phrase has 13


def test_direction_strength_and_tempo_of_other_words_are_kept(motion_pipeline):
    taken, _ = interpret("it zigzags wildly to the left in slow motion", motion_pipeline)
    assert all(re.search(rf"\b{word}\b", taken) for word in ("wildly", "to the left", "in slow motion"))


@pytest.mark.parametrize(
    "prompt, subject",
    [
        ("the sky seethes", "the background"),
        ("in the background it seethes", "the background"),
        ("make everything levitate", "everything"),
        ("only the top jitters", "only the top of it"),
        ("the top hat levitates", "it"),
    ],  # fmt: skip
)
def test_other_words_keep_the_layer_that_they_are_about(motion_pipeline, prompt, subject):
    taken, _ = interpret(prompt, motion_pipeline)
    assert taken in {clause(subject, verbs[0]) for verbs in VERBS.values()}


@pytest.mark.parametrize("way", ["down", "up", "to the upper left"])
@pytest.mark.parametrize("verb", ["edges", "teeters", "rustles"])
def test_only_what_can_go_anywhere_goes_up_and_down(motion_pipeline, verb, way):
    taken, _ = interpret(f"it {verb} {way}", motion_pipeline)
    assert taken in (f"it moves {way}", f"it flows {way}")


@pytest.mark.parametrize(
    "prompt, rigid",
    [("the statue sways", True), ("two boats rock, the water flows", True), ("the boat ripples", False), ("the cat sways", False),
     ("the cat moves rigidly to the left", True), ("the lamp frobnicates", True), ("she carves, the carpet moves", False)],  # fmt: skip
)  # fmt: skip
def test_things_that_do_not_bend(prompt, rigid):
    assert is_rigid(prompt) == rigid
