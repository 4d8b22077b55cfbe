"""Sentences of light and weather: the look, the place, the side and the colour that they name (tests/sentences.tsv)."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loopanimate.effects.names import read_colours
from loopanimate.scene import finder as finders
from loopanimate.scene.effects import find_front
from loopanimate.scene.finder import Finder
from loopanimate.scene.plan import plan
from loopanimate.scene.regions import CLASSES
from loopanimate.words.clauses import read_clauses
from tests.words.score import rows_of

SIZE = 40, 60  # rows, columns: sky above, water below; a lamp and a fire between
BOXES = {
    "sky": (slice(0, 16), slice(0, 60)),
    "water": (slice(26, 40), slice(0, 60)),
    "light": (slice(18, 24), slice(6, 14)),
    "fire": (slice(18, 24), slice(40, 52)),
}
RIGHT = 0.95  # least share of sentences


@pytest.fixture
def finder(monkeypatch):
    likely = np.full((len(CLASSES), *SIZE), 0.0, np.float32)
    likely[CLASSES.index("building")] = 0.5
    for name, box in BOXES.items():
        likely[(slice(None), *box)] = 0
        likely[(CLASSES.index("lamp" if name == "light" else name), *box)] = 1
    monkeypatch.setattr(finders, "classify", lambda picture: likely)
    monkeypatch.setattr(finders, "automatic_mask", lambda picture, model: (np.zeros(SIZE, np.float32), False))
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[2::6, 2::6] = 255  # points of light
    return Finder(Image.fromarray(picture))


def is_in(place: np.ndarray, name: str) -> bool:
    inside = np.zeros(SIZE, bool)
    inside[BOXES[name]] = True
    return place[inside].max() > 180 and place[~inside].mean() < 40  # the moon is but a part of its sky


def test_sentences_give_the_look_named_in_the_place_named_in_the_colour_named(finder):
    told = [
        (sentence, clause)
        for sentence, clauses in rows_of(Path(__file__).parent.parent / "sentences.tsv")
        for clause in clauses or ()
        if "look" in clause
    ]
    wrong = []
    for sentence, wanted in told:
        drawn = [outcome for outcome in plan(read_clauses(sentence), finder)[1] if outcome.effect]
        placed = next((outcome.effect for outcome in drawn if outcome.clause.thing == wanted["thing"]), None)
        right = placed is not None and placed.effect.look in wanted["look"].split("/")
        right = right and placed.effect.side == wanted.get("side", "both")
        right = right and placed.effect.colours[:1] == read_colours(wanted.get("colour", "").split())
        if right and "place" in wanted:
            alone = wanted["look"] == "twinkle" and placed.place is None  # points of light are found by themselves
            right = alone or placed.place is not None and is_in(placed.place, wanted["place"])
        if not right:
            wrong.append((sentence, placed and placed.effect, placed and placed.place is not None))
    assert len(told) >= 80 and len(wrong) <= (1 - RIGHT) * len(told), wrong


def test_rain_strikes_water_that_is_there(finder):
    placed = plan(read_clauses("it rains"), finder)[1][0].effect
    assert list(placed.strikes) == ["water"] and is_in(placed.strikes["water"], "water")


def test_snow_behind_her_is_behind_all_of_her_though_her_hair_alone_moves(finder, monkeypatch):
    hair, her = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32)
    hair[10:16, 20:30] = her[14:40, 20:30] = 1
    monkeypatch.setattr(finders, "automatic_mask", lambda picture, model: (her, True))
    front = find_front(finder, [hair])
    assert (front[10:40, 20:30] == 255).all() and front[:, :18].max() == 0


def test_the_moon_glows_and_not_its_sky_and_a_coloured_thing_is_found_by_its_colour(finder):
    moonlit = np.full((*SIZE, 3), 60, np.uint8)
    moonlit[4:9, 30:36], moonlit[30:34, 8:14] = 250, (220, 30, 30)
    finder.picture = Image.fromarray(moonlit)
    moon = plan(read_clauses("the moon glows"), finder)[1][0].effect.place
    assert moon[5:8, 31:35].min() > 200 and moon[12:, :].max() < 40 and moon[:16, :25].max() < 40
    finder.likely[CLASSES.index("lamp")] = 0
    (crystal,) = plan(read_clauses("the red crystal glows"), finder)[1]
    assert crystal.effect.place[31:33, 9:13].min() == 255 and crystal.effect.place.mean() < 10 and "its colour" in crystal.said
    assert plan(read_clauses("the blue crystal glows"), finder)[1][0].effect.place is None


def test_fog_lies_where_words_say_and_lights_flash(finder):
    (fog,) = plan(read_clauses("fog drifts over the water"), finder)[1]
    assert fog.effect.place[30:].min() > 180 and fog.effect.place[:18].max() < 40
    assert plan(read_clauses("fog rolls in"), finder)[1][0].effect.place is None
    assert plan(read_clauses("the stage lights flash"), finder)[1][0].effect.effect.look == "flash"


def test_caustics_lie_on_water(finder):
    for prompt in ("caustics dance on the sea floor", "sunlight caustics play over the fish"):
        (net,) = plan(read_clauses(prompt), finder)[1]
        assert net.effect.effect.look == "caustics" and is_in(net.effect.place, "water")
