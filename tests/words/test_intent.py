from dataclasses import replace

import pytest

from loopanimate.words.intent import Intent, form_intents
from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.parse import clauses, is_rigid
from loopanimate.words.vocabulary import DIRECTIONS, FREQUENCIES, PACE, SPEEDS, STRENGTHS, TEMPOS, say


def intents(prompt):
    return form_intents(clauses(prompt), is_rigid(prompt))


@pytest.mark.parametrize("name", SPOKEN)
def test_one_kind_of_motion_asks_for_what_its_row_says(name):
    kind = KINDS[name]
    for verb in kind.verbs:
        salient, background = intents(say("it", verb))
        assert salient == Intent(
            kinds=frozenset({name}),
            heading=kind.heading,
            way=kind.heading,
            speed=SPEEDS["plainly"] if kind.flows else None,
            rigid=kind.rigid,
            hinge=kind.hinge,
            hold=kind.fixed is not None,
            waving=kind.fixed == "side",
            in_place=kind.in_place,
            hops=FREQUENCIES[""] if kind.shape == "hops" else None,
        )
        assert background == Intent(rests=not kind.flows)


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("degrees", DIRECTIONS)
def test_what_has_a_direction_goes_where_words_say(name, degrees):
    kind = KINDS[name]
    for phrase in DIRECTIONS[degrees]:
        salient, _ = intents(f"{say('it', kind.verbs[0])} {phrase.upper()}")
        named = degrees if kind.directed == "any" else kind.heading
        assert salient.heading == named
        assert salient.way == (None if kind.flows else degrees if kind.directed == "side" else named)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("tempo", ["", *TEMPOS])
def test_streams_go_as_fast_as_words_say_and_hops_are_as_quick(strength, tempo):
    adverbs = f"{STRENGTHS[strength][0]} {TEMPOS[tempo][0] if tempo else ''}"
    assert intents(f"it flows {adverbs}")[0].speed == SPEEDS[strength] * PACE[tempo]
    assert intents(f"it bounces {adverbs}")[0].hops == FREQUENCIES[tempo]
    assert intents(f"it sways, the clouds in the background drift by {adverbs}")[1].speed == SPEEDS[strength] * PACE[tempo]


def handling(prompt) -> Intent:
    """How the object as a whole moves, apart from where to and how fast."""
    return replace(intents(prompt)[0], kinds=frozenset(), heading=None, way=None, speed=None, rests=False)


@pytest.mark.parametrize(
    "prompt, handled",
    [
        ("it rocks and drifts", {"rigid": True}),
        ("it rocks and swings", {"rigid": True, "hinge": (-0.1, 1.1)}),
        ("the statue sways", {"rigid": True}),
        ("the statue frobnicates", {"rigid": True}),
        ("the flag flutters and sways", {"hold": True}),
        ("it flutters and ripples", {}),
        ("it breathes and ripples", {}),
        ("it drifts and ripples", {}),
        ("everything rocks", {}),
        ("only the top of it rocks", {}),
        ("the background sways", {}),
        ("it frobnicates", {}),
        ("it rocks, the background drifts", {"rigid": True, "hinge": KINDS["rock"].hinge}),
        ("the clouds in the background drift by and the cat turns", {"rigid": True, "hinge": KINDS["turn"].hinge}),
        ("it sways while the camera pans", {"hold": True}),
        ("she breathes in waves", {"in_place": True}),
    ],
)
def test_several_motions_need_what_each_of_them_allows(prompt, handled):
    assert handling(prompt) == Intent(**handled)


@pytest.mark.parametrize(
    "prompt, rests",
    [
        ("it sways gently", (False, True)),
        ("only the top of it sways", (False, True)),
        ("everything sways", (False, False)),
        ("the background drifts to the left", (True, False)),
        ("the camera pushes in", (True, False)),
        ("nothing moves", (True, True)),
        ("it sways, the background drifts", (False, False)),
        ("it drifts and rocks", (False, False)),
        ("it frobnicates", (False, False)),
        ("the clouds flow to the left", (False, False)),
        ("the sea behind her ripples", (False, False)),
        ("it sways, the background stays still", (False, True)),
        ("it stays still, the background drifts", (True, False)),
        ("", (False, False)),
    ],
)
def test_what_is_not_spoken_of_rests(prompt, rests):
    assert tuple(intent.rests for intent in intents(prompt)) == rests


@pytest.mark.parametrize(
    "prompt, ways",
    [
        ("it drifts up and to the right, the background slides down", (315, 90)),
        ("the camera pans to the left", (None, None)),
        ("it moves up while the camera drifts to the left", (270, None)),
        ("the background moves upwards", (None, 270)),
    ],
)
def test_each_layer_goes_its_own_way_and_the_cameras_is_nobodys(prompt, ways):
    assert tuple(intent.way for intent in intents(prompt)) == tuple(intent.heading for intent in intents(prompt)) == ways
