import random
import re

import numpy as np
import pytest

from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.parse import clauses, is_rigid
from loopanimate.words.vocabulary import DIRECTIONS
from train.grammar import AMPLITUDES, HELD_OUT, HELD_OUT_FORMS, RIGID, SUBJECTS, Motion, draw, draw_motion, phrase


def captions(count: int, focus: float = 0.0):
    rng = random.Random(0)
    return [draw(rng, focus) for _ in range(count)]


def test_what_is_held_out_is_never_spoken():
    said = [words for words, _, _ in captions(2000)]
    spoken = " ".join(said)
    forms = [form for verbs in HELD_OUT.values() for verb in verbs for form in (verb.third, verb.gerund)]
    assert set(HELD_OUT) == set(SPOKEN) and len(forms) == 48
    assert not [form for form in forms if form in spoken]
    assert not any(form.split("{")[0] in spoken for form in HELD_OUT_FORMS if not form.startswith("{"))
    assert len(set(said)) > 1850


def test_captions_name_the_motion_that_is_drawn_with_them():
    """As far as the reading tells layers and kinds apart; a sway of what is rigid is a rock."""
    right = []
    for words, salient, background in captions(1000):
        kinds = set().union(*(clause.kinds for clause in clauses(words)))
        drawn = {motion.kind for motion in (salient, background)} - {"still", "zoom"}
        right.append(kinds == drawn or (is_rigid(words) and kinds == {*drawn, "sway"} - {"rock"}))
    assert np.mean(right) > 0.95


def test_focused_captions_say_where_one_thing_goes():
    for words, motion, background in captions(200, focus=1.0):
        said = [angle for angle, phrases in DIRECTIONS.items() if any(phrase in words for phrase in phrases)]
        assert motion.direction in said and motion.kind in ("shift", "stream", "sway") and background == Motion()


def test_what_flows_alone_is_masked_unless_the_words_say_that_it_is_behind():
    drawn = captions(3000)
    alone = [words for words, salient, background in drawn if background.kind == "stream" and salient.kind == "still"]
    assert len(alone) > 50 and all(re.search("background|behind", words) for words in alone)


@pytest.mark.parametrize("name", SPOKEN)
def test_a_kind_goes_where_its_row_lets_it_in_its_own_size_and_rate(name):
    rng = random.Random(0)
    motions = [draw_motion(rng, name, strength="gently", tempo="")[0] for _ in range(300)]
    sides = {"any": {*DIRECTIONS, None}, "side": {0, 180, None}, "none": {None}}
    assert {motion.direction for motion in motions} == sides[KINDS[name].directed]
    if not KINDS[name].flows:
        sizes = np.log([motion.amplitude / KINDS[name].size / AMPLITUDES["gently"] for motion in motions])
        rates = [motion.frequency / KINDS[name].rate for motion in motions]
        assert abs(sizes.mean()) < 0.03 and min(rates) >= 0.4 and 0.6 < max(rates) <= 0.65


def test_a_phrase_says_what_it_is_told_to():
    words, motion = phrase(
        random.Random(0), "sway", "it", held_out=True, strength="gently", tempo="slowly", direction=180, named=True
    )
    assert motion.direction == 180 and motion.amplitude == pytest.approx(AMPLITUDES["gently"], rel=0.5) and "left" in words


def test_rigid_subjects_do_not_sway():
    swayed = [words for words, salient, _ in captions(3000) if salient.kind == "rock" and "sway" in words]
    things = {subject for subject in SUBJECTS if subject.removeprefix("the ") in RIGID}
    assert len(things) == 9 and swayed and all(any(thing in words for thing in things) for words in swayed)
