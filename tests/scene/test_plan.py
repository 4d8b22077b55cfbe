"""From clauses to parts: what is found, what moves, what rests, and a sentence on each clause."""

import numpy as np
import pytest
from PIL import Image

from loopanimate.scene import finder as finders
from loopanimate.scene.finder import Finder, Models, describe, pick
from loopanimate.scene.plan import camera_alone, names_things, painted, plan
from loopanimate.scene.regions import CLASSES
from loopanimate.words.clauses import read_clauses

SIZE = 40, 60  # rows, columns: sky above, sea below, two boats in the sea, the right one larger


@pytest.fixture
def finder(monkeypatch):
    likely = np.zeros((len(CLASSES), *SIZE), np.float32)
    likely[CLASSES.index("sky"), :20] = likely[CLASSES.index("water"), 20:] = 1
    for box in ((slice(24, 30), slice(8, 16)), (slice(22, 32), slice(36, 52))):
        likely[(slice(None), *box)] = 0
        likely[(CLASSES.index("boat"), *box)] = 1
    mask = likely[CLASSES.index("boat")].copy()
    monkeypatch.setattr(finders, "classify", lambda picture: likely)
    monkeypatch.setattr(finders, "automatic_mask", lambda picture, model: (mask, True))
    return Finder(Image.new("RGB", SIZE[::-1]))


def scene(finder, prompt):
    return plan(read_clauses(prompt), finder)


def test_each_named_thing_is_a_part_and_the_rest_is_still(finder):
    built, outcomes = scene(finder, "the boats rock, the sea ripples and the clouds drift to the left")
    assert [layer.row is None for layer in built.layers] == [False, True, False, False]
    assert [next(iter(intent.kinds), None) for intent in built.intents] == ["rock", None, "ripple", "stream"]
    assert built.intents[0].rigid and built.intents[3].heading == 180 and not built.intents[3].returns
    assert len(outcomes) == 3 and all(outcome.moves for outcome in outcomes)


def test_what_cannot_flow_comes_back(finder):
    built, _ = scene(finder, "the boats flow to the right")
    assert built.intents[0].returns and built.intents[0].speed is None


def test_what_rests_is_taken_out_of_what_moves(finder):
    built, outcomes = scene(finder, "the sea ripples, the boats do not move")
    sea = built.parts[0].mask
    assert sea[27, 12] == sea[27, 44] == 0 and sea[35, 30] == 1
    assert outcomes[1].said == "boats: rests."


def test_a_face_rests_under_hair_that_moves(finder):
    finder.likely[:, 5:20, 20:30] = 0
    finder.likely[CLASSES.index("face"), 10:20, 20:30] = finder.likely[CLASSES.index("hair"), 5:10, 20:30] = 1
    built, outcomes = scene(finder, "her hair blows, her face must not move")
    assert [outcome.moves for outcome in outcomes] == [True, False]
    assert built.parts[0].mask[7, 25] == 1 and built.parts[0].mask[15, 25] == 0


def test_one_of_several_things(finder):
    left, right = (finder.find("boat", (side,)).mask > 0.5 for side in ("left", "right"))
    assert left[27, 12] and not left[27, 44] and right[27, 44] and not right[27, 12]
    assert (finder.find("boat", ("small",)).mask > 0.5)[27, 12]


def test_what_is_not_there_is_said(finder):
    built, outcomes = scene(finder, "the flames rise, the boats rock")
    assert len(built.parts) == 1 and outcomes[0].said == "flames: not found. Click on it or paint it."
    assert scene(finder, "the flames rise")[0] is None


def test_weather_is_all_over_and_light_is_on_its_thing(finder):
    built, (_, snow, sea) = scene(finder, "the boats rock, snow falls gently to the left and the sea glitters")
    assert len(built.parts) == 1
    assert snow.effect.place is None and snow.effect.effect.amount < 1 and snow.effect.effect.heading == 180 and not snow.name
    assert sea.effect.effect.look == "sparkle" and sea.effect.place[:19].max() == 0 and sea.effect.place[38].min() == 255
    assert [outcome.said for outcome in (snow, sea)] == ["snow: falling snow.", "sea: highlights that glitter."]


@pytest.mark.parametrize(
    "prompt, look, side, rows",
    [
        ("it snows", "snow", "both", None),
        ("snow falls behind her", "snow", "behind", None),
        ("petals drift in front of the boats", "petals", "before", None),
        ("the sun glitters on the water", "sparkle", "both", slice(20, 40)),
        ("stars twinkle over the sea", "twinkle", "both", slice(0, 20)),
        ("fog rolls in from the right", "fog", "both", None),
        ("cherry blossoms falling", "petals", "both", None),
        ("fireflies glow in the dark", "fireflies", "both", None),
        ("soap bubbles rise", "bubbles", "both", None),
        ("lightning flashes behind the boats", "lightning", "behind", slice(0, 20)),
    ],
)
def test_what_words_say_of_an_effect(finder, prompt, look, side, rows):
    built, (outcome,) = scene(finder, prompt)
    effect, place = outcome.effect.effect, outcome.effect.place
    assert built is None and (effect.look, effect.side) == (look, side)
    if rows is None:
        assert place is None
    else:
        inside = np.zeros(SIZE, bool)
        inside[rows] = True
        assert place[inside].mean() > 200 and place[~inside].mean() < 20


def test_a_light_that_is_not_there_is_said(finder):
    _, (candle, eyes) = scene(finder, "the candle flickers and her eyes glow")
    assert candle.effect is not None and "brightest" in candle.said and candle.name == "candle"
    assert scene(finder, "her eyes sparkle")[1][0].effect is None
    assert eyes.effect is None and eyes.said == "eyes: not found. Click on it or paint it."


def test_two_verbs_of_one_thing_are_one_part(finder):
    built, _ = scene(finder, "the boats rock and drift to the left")
    assert len(built.parts) == 1 and built.parts[0].sentence == "it rocks and moves to the left"


def test_a_painted_mask_is_of_what_moves_first(finder):
    mask, said = np.ones(SIZE, np.float32), read_clauses("the sea ripples, the boat rocks")
    assert painted(said, mask, ()) == {"boat": mask}
    assert painted(said, None, [("the sea", mask)]) == {"sea": mask}
    assert painted(read_clauses("the sea ripples"), mask, ()) == {"sea": mask}


def test_which_prompts_name_things():
    for prompt in ("it sways gently", "everything drifts to the left", "the background moves slowly"):
        assert not names_things(read_clauses(prompt))
    for prompt in ("the waves crash", "her hair sways", "it snows"):
        assert names_things(read_clauses(prompt))
    assert camera_alone(read_clauses("slow zoom in")) == "the camera zooms in slowly"
    assert camera_alone(read_clauses("pan right")) == "the camera pans to the right"
    assert camera_alone(read_clauses("static camera, the boat rocks")) is None
    for prompt in ("freeze", "it never moves", "no motion", "the tree does not sway", "static camera"):
        assert camera_alone(read_clauses(prompt)) == "nothing moves"


def test_pieces():
    clear = np.zeros((10, 20), np.uint8)
    clear[2:4, 2:4] = clear[5:9, 10:16] = 1
    assert pick(clear, ("left",)).sum() == 4 and pick(clear, ("large",)).sum() == 24 and (pick(clear, ()) == clear).all()
    several = pick(clear, ("small",), several=True)
    assert (several == clear * (np.arange(20) < 8)).all()


def test_the_salient_object_is_what_nothing_speaks_against(finder):
    mask, _ = finder.salient
    assert (finder.find("cup").mask == mask).all() and finder.find("cup").how == "salient"  # an object, whatever it is
    assert finder.find("dog") is None  # it surely is a boat
    assert finder.find("person").how == "salient"  # "she"
    finder.likely[:] *= 0.5
    assert finder.find("dog").how == "salient"


def test_the_salient_object_is_not_two_things(finder):
    finder.likely[:] *= 0.3
    built, outcomes = scene(finder, "the dog runs, the cup rocks, the tower stands still")
    assert [outcome.moves for outcome in outcomes] == [True, False, False] and len(built.parts) == 1
    assert (built.parts[0].mask == finder.salient[0]).all()


def test_a_model_that_is_asked_in_words_takes_the_place_of_the_classes(finder):
    asked, boats = [], finder.salient[0]

    def named(picture, words):
        asked.append(words)
        return 0.1 + {"red boats": 0.7, "eyes": 0.25}.get(words, 0.1) * np.kron(boats, np.ones((3, 3), np.float32))

    other = Finder(finder.picture, models=Models(named))
    region = other.find("boats", ("left", "red", "shore"))
    assert asked == ["red boats"] and region.how == "named" and region.sure == pytest.approx(0.8)
    mask = region.mask > 0.5
    assert mask.shape == SIZE and mask[27, 12] and not mask[27, 44] and not mask[35, 30]
    assert other.find("eyes") is None  # 0.35 of 0.3: there, but not surely enough
    assert other.find("clouds") is None and asked[1:] == ["eyes", "clouds"]
    assert finder.find("eyes") is None  # no class has them


@pytest.mark.parametrize(
    "sentence, words",
    [
        ("the small white house stands still", "white house"),
        ("the red boat near the shore drifts", "red boat"),
        ("the boat behind the old house rocks", "boat"),
        ("the woman's red scarf flutters", "red scarf"),
        ("the girl in the red dress dances", "girl"),
        ("she waves", "person"),
    ],
)
def test_what_a_model_is_asked_for(sentence, words):
    clause = read_clauses(sentence)[0]
    assert describe(clause.thing, clause.which) == words


def test_a_way_that_cannot_be_drawn_is_said(finder):
    _, (outcome,) = scene(finder, "the boats drift away into the distance")
    assert outcome.said.endswith('("away" is not drawn yet).')


def test_what_is_left_of_nothing_is_said(finder):
    built, outcomes = scene(finder, "the sea ripples, the boats rock, but the boats stand still")
    assert len(built.parts) == 1
    assert [outcome.said for outcome in outcomes][1:] == ["boats: too little of it is left to move.", "boats: rests."]
