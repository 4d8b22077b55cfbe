import pytest

from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.parse import known_forms
from loopanimate.words.vocabulary import (
    ALIKE,
    CAMERA,
    FREQUENCIES,
    NATURES,
    OWN,
    PACE,
    SPEEDS,
    STREAMS,
    STRENGTHS,
    TEMPOS,
    VERBS,
    Verb,
    say,
)
from loopanimate.words.wordnet import definitions, lemma, third_person


@pytest.mark.parametrize(
    "text, forms",
    [
        ("sway/sways/swaying", ("sway", "sways", "swaying", "sway")),
        ("fall/falls/falling and rise/rises/rising again", ("fall and rise again", "falls and rises again")),
        ("be/is/being/are pushed", ("be pushed", "is pushed", "being pushed", "are pushed")),
    ],
)
def test_a_verb_has_its_forms_between_slashes(text, forms):
    verb = Verb.parse(text)
    assert (verb.base, verb.third, verb.gerund, verb.plural)[: len(forms)] == forms


def test_one_subject_sways_and_many_sway():
    verbs = [Verb.parse(text) for text in ("sway/sways/swaying", "be/is/being/are pushed")]
    assert [say("it", verb) for verb in verbs] == ["it sways", "it is pushed"]
    assert [say("the clouds", verb) for verb in verbs] == ["the clouds sway", "the clouds are pushed"]


def test_every_name_in_the_file_is_known():
    assert VERBS.keys() == ALIKE.keys() == set(SPOKEN) and NATURES.keys() <= KINDS.keys()
    assert OWN.keys() <= STREAMS.keys() and CAMERA.keys() == {"pan", "in", "out"}
    assert STRENGTHS.keys() == SPEEDS.keys() and PACE.keys() == FREQUENCIES.keys() == {"", *TEMPOS}


def test_all_forms_of_verbs_are_spelt_as_in_english():
    """Against the rule for the third person, and WordNet's for infinitives; only "be" is beyond them."""
    verbs = {verb for table in (VERBS, ALIKE, CAMERA, OWN) for several in table.values() for verb in several}
    heads = {(verb.base.split()[0], verb.third.split()[0], verb.gerund.split()[0]) for verb in verbs} - {("be", "is", "being")}
    assert len(heads) > 300
    listed = [(base, third, gerund) for base, third, gerund in heads if base not in ("never", "bunny") and definitions(base)]
    assert [(base, third) for base, third, _ in listed if third_person(base) != third] == []
    wrong = [form for base, third, gerund in listed for form in (third, gerund) if lemma(form) != base]
    assert len(wrong) <= 0.01 * 2 * len(listed), wrong


@pytest.mark.parametrize(
    "phrase, kind",
    [
        ("contracts and relaxes", "pulse"),
        ("wagging its tail", "swing"),
        ("swimming like an eel", "ripple"),
        ("lying down in the wind", "sway"),
        ("has the shakes", "tremble"),
        ("are pushed", "shift"),
        ("being lifted", "bob"),
        ("rises slowly and falls back", "bob"),
    ],
)
def test_forms_that_english_makes_unevenly_are_known(phrase, kind):
    assert known_forms().get(phrase) == kind
