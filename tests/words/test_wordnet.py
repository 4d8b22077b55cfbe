import pytest

from loopanimate.words.wordnet import definitions, kin, lemma, predicates, verb_in


@pytest.mark.parametrize(
    "sentence, predicate, verb",
    [
        ("the green leaves rustle in the wind", "rustle in the wind", "rustle"),
        ("I want the tree to creak", "creak", "creak"),
        ("the girls are hopping about", "hop about", "hop"),
        ("rustling: the leaves", "rustle", "rustle"),
        ("the dog is lying in the sun", "lie in the sun", "lie"),
        ("she goes round the house, the house stays", "go round the house", "go"),
    ],
)
def test_verbs_are_found_in_their_place(sentence, predicate, verb):
    said = predicates(sentence)[0]
    assert said == predicate and verb_in(said).split()[0] == verb


@pytest.mark.parametrize(
    "form, base",
    [("hopping", "hop"), ("waves", "wave"), ("flies", "fly"), ("dying", "die"), ("flying", "fly"), ("house", "house")],
)
def test_forms_have_their_infinitive(form, base):
    assert lemma(form) == base


def test_what_is_no_verb_of_motion_has_no_definition():
    assert predicates("the house") == [] and verb_in("frobnicate") is None
    assert any("axis" in text for text in definitions("revolve"))


def test_a_verb_is_of_kin_with_what_it_is_a_way_of():
    near = kin("edge")
    assert near["inch"] > 0.5 and near["advance"] > 0 and "edge" not in near
    assert not kin("frobnicate")
