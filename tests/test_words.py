import re

import pytest

from loopanimate.words import STREAMS, VERBS, clause, interpret


@pytest.mark.parametrize(
    "prompt", ["she sways gently to the left", "The Flag Flutters", "nothing moves", "the camera pans left"]
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
    ],
)
def test_other_words_are_taken_for_the_nearest_motion(motion_pipeline, prompt, kinds):
    taken, note = interpret(prompt, motion_pipeline)
    meant = {clause("it", verb) for kind in kinds for verb in VERBS[kind]}
    if "stream" in kinds:
        meant |= {clause(subject, verb) for subject, (_, own) in STREAMS.items() for verb in (*own, "flow")}
    assert taken in meant and f'"{taken}"' in note


def test_direction_strength_and_tempo_of_other_words_are_kept(motion_pipeline):
    taken, _ = interpret("it zigzags wildly to the left in slow motion", motion_pipeline)
    assert all(re.search(rf"\b{word}\b", taken) for word in ("wildly", "to the left", "in slow motion"))
