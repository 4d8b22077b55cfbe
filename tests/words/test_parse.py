import pytest

from loopanimate.words.parse import clauses, is_rigid, is_verb, known_forms
from loopanimate.words.vocabulary import any_of


@pytest.mark.parametrize(
    "prompt, layers",
    [
        ("it sways", [0]),
        ("the cat sways, the background drifts; nothing else.", [0, 1, 0]),
        ("it rocks while the camera pans", [0, 1]),
        ("she and the dog walk", [0, 0]),
        ("the tree sways and in the background the clouds pass", [0, 1]),
        ("up and to the left", [0]),
        ("", []),
        (" , ", []),
    ],
)
def test_a_prompt_has_clauses_about_either_layer(prompt, layers):
    assert [clause.layer for clause in clauses(prompt)] == layers


@pytest.mark.parametrize(
    "text, subject",
    [
        ("the sky seethes", "the background"),
        ("in the background it seethes", "the background"),
        ("make everything levitate", "everything"),
        ("the whole picture shakes", "everything"),
        ("only the top jitters", "only the top of it"),
        ("the lower part of the dress flutters", "only the bottom of it"),
        ("the top hat levitates", "it"),
    ],
)
def test_a_clause_is_about_a_layer_a_part_or_all(text, subject):
    (clause,) = clauses(text)
    assert clause.subject == subject


@pytest.mark.parametrize(
    "prompt, said", [("it waves", 1), ("in waves", 0), ("a sail", 0), ("the swaying tree", 1), ("make it go", 1)]
)
def test_a_motion_word_in_a_nouns_place_says_nothing(prompt, said):
    assert is_verb(any_of(tuple(known_forms())).search(prompt)) == bool(said) == bool(clauses(prompt)[0].phrases)


def test_a_clause_knows_its_words():
    (clause,) = clauses("the flag Waves like a sail Gently, slowly".replace(",", " and"))
    assert clause.kinds == {"sway"} and clause.likened and not clause.still and not clause.camera
    assert clause.adverbs == {"gently": "Gently", "slowly": "slowly"}
    (clause,) = clauses("it bobs up and down to the upper left")
    assert clause.adverbs == {"direction": "to the upper left"} and clause.phrases == ("bobs up and down",)
    (clause,) = clauses("the camera zooms in")
    assert clause.kinds == set() and clause.still and clause.camera


@pytest.mark.parametrize(
    "prompt, rigid",
    [
        ("the statue sways", True),
        ("two boats rock, the water flows", True),
        ("the boat ripples", False),
        ("the cat sways", False),
        ("the cat moves rigidly to the left", True),
        ("the lamp frobnicates", True),
        ("the statue stays", False),
        ("she carves, the carpet moves", False),
    ],
)
def test_things_that_do_not_bend(prompt, rigid):
    assert is_rigid(prompt) == rigid
