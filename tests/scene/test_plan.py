"""From clauses to parts: what is found, what moves, what rests, and a sentence on each clause."""

import cv2
import numpy as np
import pytest
from PIL import Image

from loopanimate.scene import finder as finders
from loopanimate.scene.finder import Finder, Models, describe, name_of, pick
from loopanimate.scene.plan import clauses_of_masks, names_things, painted, plan, rest_alone
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
    lights = 255 * (np.random.default_rng(0).random(SIZE) > 0.97)
    return Finder(Image.fromarray(lights.astype(np.uint8)).convert("RGB"))


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
    assert outcomes[1].said == "boats: kept still."


def test_what_rests_where_something_else_moves_leaves_it_moving(finder):
    built, outcomes = scene(finder, "the sea ripples, the water stays still")
    assert built.parts[0].mask.max() == 1 and [outcome.moves for outcome in outcomes] == [True, False]
    assert outcomes[1].said == "water: not told apart from sea. Click on it or paint it."


def test_what_moves_and_rests_is_said_in_one_sentence_and_moves_not(finder):
    """Also where the region's edge would be left."""
    finder.salient[0][:] = cv2.GaussianBlur(finder.salient[0], (0, 0), 2)
    built, outcomes = scene(finder, "the boat rocks and the boat stays still")
    assert built is None and outcomes[0].said == "boat: too little of it is left to move."


def test_what_rests_and_is_hardly_seen_is_asked_about(finder):
    boats = finder.likely[CLASSES.index("boat")] > 0
    finder.likely[:, boats] = 0.4 * finder.likely[:, boats]
    finder.likely[CLASSES.index("building"), boats] = 0.35
    _, (_, kept) = scene(finder, "the sea ripples, the boats do not move")
    assert kept.said == "boats: kept still. Is it there? If not, paint it."


def test_where_the_salient_object_is_in_doubt_its_region_decides(finder):
    """Wider than its edge: a white shirt before a bright wall would stay where it is while its collar moves."""
    finder.salient[0][22:32, 44:52] = 0.25  # half of a boat
    finder.salient[0][24:30, 7] = 0.4  # an edge
    mask = finder.find("boat").mask
    assert mask[24:30, 45:50].min() > 0.9 and mask[24:30, 38:43].min() > 0.9
    assert mask[24:30, 7].max() < 0.5


def test_words_that_pick_nothing_out_leave_the_salient_object(finder):
    finder.salient[0][18:22, 42:46] = 1  # a mast that no class was found for
    finder.likely[:, 18:22, 42:46] = 0.04  # of each class
    assert finder.find("boat", ["old"]).mask[19, 43:45].min() == 1 > finder.find("boat", ["right"]).mask[19, 43:45].max()


def test_a_thing_is_called_as_words_pick_it_out():
    assert [name_of(thing, [which]) for thing, which in (("boat", "left"), ("clouds", "above"))] == [
        "left boat",
        "clouds above",
    ]


@pytest.mark.parametrize("below, rests", [("face", "her face must not move"), ("person", "she stands still")])
def test_hair_moves_over_what_rests(finder, below, rests):
    """Also over the person that it is a part of."""
    finder.likely[:, 5:20, 20:30] = 0
    finder.likely[CLASSES.index(below), 10:20, 20:30] = finder.likely[CLASSES.index("hair"), 5:10, 20:30] = 1
    built, outcomes = scene(finder, f"her hair blows, {rests}")
    assert [outcome.moves for outcome in outcomes] == [True, False]
    assert built.parts[0].mask[7, 25] == 1 and built.parts[0].mask[15, 25] == 0


def test_feet_stay_while_a_body_breathes(finder):
    finder.likely[CLASSES.index("animal"), 22:32, 36:52], finder.likely[CLASSES.index("boat"), 22:32, 36:52] = 1, 0
    built, _ = scene(finder, "the dog breathes")
    assert built.parts[0].intent.hold
    assert not scene(finder, "the boat breathes")[0].parts[0].intent.hold


def test_one_of_several_things(finder):
    left, right = (finder.find("boat", (side,)).mask > 0.5 for side in ("left", "right"))
    assert left[27, 12] and not left[27, 44] and right[27, 44] and not right[27, 12]
    assert (finder.find("boat", ("small",)).mask > 0.5)[27, 12]


def test_what_lies_on_a_thing_stands_still(finder):
    finder.likely[:, 34:38, 20:25] = 0.1
    finder.likely[CLASSES.index("water"), 34:38, 20:25] = 0.4  # the likeliest yet, and unlike the water around it
    sea = finder.find("sea").mask
    assert not sea[34:38, 20:25].any() and sea[36, 27] == sea[32, 22] == 1
    finder.likely[CLASSES.index("boat"), 24:28, 40:44] = 0.4
    assert finder.find("boat", ["right"]).mask[24:28, 40:44].all()  # what is on a boat goes with it


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


def test_steam_and_smoke_that_are_not_there_rise_from_what_is_named(finder):
    for prompt, look, said in (
        ("steam rises from the boats", "steam", "boats: rising steam."),
        ("the boats steam", "steam", "boats: rising steam."),
        ("black smoke billows out of the left boat", "smoke", "boat: rising smoke."),
    ):
        built, (outcome,) = scene(finder, prompt)
        assert built is None and outcome.effect.effect.look == look and outcome.said == said
        assert outcome.effect.place[24:30, 8:16].min() > 200 and not outcome.effect.place[:20].any()
    missing = scene(finder, "smoke rises from the chimney")[1][0]
    assert missing.effect is None and "the chimney that it rises from is not found" in missing.said


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
    assert painted(read_clauses("it snows, the boat rests"), mask, ()) == {"snow": mask}
    assert painted(read_clauses("the camera zooms in, the boat rests"), mask, ()) == {"boat": mask}


@pytest.mark.parametrize(
    "prompt, words, name",
    [
        ("lightning flashes, the sea ripples", "lightning", "lightning"),
        ("gentle ripples on the lake", "ripples", "lake"),
        ("the pan swings", "pan", "pan"),
        ("the sun glitters on the water", "the water", "water"),
        ("it snows but not on the boats", "the boat", "boats"),
        ("the boats rock", "the boat", "boats"),
        ("the knives gleam", "a knife", "knives"),
        ("the ship rocks", "boat", "ship"),
        ("she dances", "the woman", "person"),
        ("the woman dances", "her", "woman"),
        ("the sea ripples", "the sea sways", "sea"),
        ("the left boat rocks, the right boat sways", "boat on the left", "left boat"),
        ("it snows", "snow", "snow"),
    ],
)
def test_words_of_a_mask_name_a_thing_of_the_sentence(prompt, words, name):
    said, mask = read_clauses(prompt), np.ones(SIZE, np.float32)
    assert clauses_of_masks(said, [(words, read_clauses(words))]) == said
    assert painted(said, None, [(words, mask)]).keys() == {name}


def test_words_of_a_mask_are_a_clause_only_where_they_name_nothing_of_the_sentence():
    said = read_clauses("the boat rocks")
    for words, thing in (("the sea ripples", "sea"), ("it snows", "snow"), ("leaves fall", "leaves")):
        assert [clause.thing for clause in clauses_of_masks(said, [(words, read_clauses(words))])] == ["boat", thing]
    for words in ("lightning", "ripples", "glow", "pan", "the camera pans left", "her", "", "the girl and the boat"):
        assert clauses_of_masks(said, [(words, read_clauses(words))]) == said
        with pytest.raises(ValueError, match=f'sentence moves or rests \\(boat\\), got "{words}"$'):
            painted(said, None, [(words, np.ones(SIZE, np.float32))])
    women = read_clauses("the woman dances, the girl sings and waves")
    with pytest.raises(ValueError, match="person|woman"):  # which of them is not said
        painted(women, None, [("she", np.ones(SIZE, np.float32))])


def test_masks_of_one_thing_are_joined():
    left, right = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32)
    left[:, :20] = right[:, 40:] = 1
    masks = painted(read_clauses("the boats rock"), None, [("the boats", left), ("boat", right)])
    assert masks.keys() == {"boats"} and (masks["boats"] == left + right).all()


def test_weather_is_within_its_mask_and_not_on_what_is_spared(finder):
    own = np.zeros(SIZE, np.float32)
    own[:, 30:] = 1
    masked = Finder(finder.picture, {"snow": own})
    (snow,) = scene(masked, "it snows")[1]
    assert (snow.effect.place == 255 * own).all() and snow.name == "snow" and snow.said.endswith("where its mask is.")
    (spared,) = scene(finder, "it snows but not on the boats")[1]
    assert spared.effect.place[27, 12] == spared.effect.place[27, 44] == 0 and spared.effect.place[5, 5] == 255
    (both,) = scene(masked, "it snows everywhere except on the boats and the sky")[1]
    shown = both.effect.place
    assert shown[27, 44] == shown[5, 50] == shown[35, 10] == 0 and shown[35, 55] == 255
    (lost,) = scene(finder, "it snows but not on the dog")[1]
    assert lost.effect.place is None and lost.said == "snow: falling snow, also on the dog, which is not found."


def test_what_is_said_again_is_said_once(finder):
    built, outcomes = scene(finder, ", ".join(["the boats rock", "the sea ripples"] * 300))
    assert len(outcomes) == 2 and [part.sentence for part in built.parts] == ["it rocks", "it ripples"]
    again, _ = scene(finder, "the boats rock, the boats sway")  # a boat rocks where others sway
    assert [part.sentence for part in again.parts] == ["it rocks"]


def test_points_of_light_that_are_not_there_are_said(finder):
    built, (sea,) = scene(Finder(Image.new("RGB", SIZE[::-1])), "the sea glitters")
    assert built is None and sea.effect is None and sea.region is not None and "no points of light" in sea.said


def test_lights_of_which_none_is_found_in_its_place_twinkle_where_they_are(monkeypatch):
    lamp, night = np.zeros(SIZE, np.float32), np.full((*SIZE, 3), 12, np.uint8)
    lamp[2:8, 2:8] = 1  # a dark place that is taken for a lamp, and lit windows elsewhere
    for y, x in ((20, 20), (24, 40), (30, 28)):
        cv2.circle(night, (x, y), 1, (255, 220, 150), -1)

    def classify(picture):
        likely = np.zeros((len(CLASSES), *SIZE), np.float32)
        likely[CLASSES.index("lamp")], likely[CLASSES.index("building")] = lamp, 1 - lamp
        return likely

    monkeypatch.setattr(finders, "classify", classify)
    finder = Finder(Image.fromarray(cv2.resize(night, None, fx=8, fy=8)))
    (lights,) = scene(finder, "the city lights twinkle")[1]
    assert lights.effect.place is None and lights.said == "lights: points of light that twinkle."
    painted = Finder(finder.picture, {"lights": lamp})
    (lights,) = scene(painted, "the city lights twinkle")[1]
    assert lights.effect is None and "no points of light" in lights.said  # where a hand has said so


def test_which_prompts_name_things():
    for prompt in ("it sways gently", "everything drifts to the left", "the background moves slowly"):
        assert not names_things(read_clauses(prompt))
    for prompt in ("the waves crash", "her hair sways", "it snows"):
        assert names_things(read_clauses(prompt))
    for prompt in ("slow zoom in", "static camera, the boat rocks"):
        assert not rest_alone(read_clauses(prompt))
    for prompt in ("freeze", "it never moves", "no motion", "the tree does not sway", "static camera"):
        assert rest_alone(read_clauses(prompt))
    assert not rest_alone(read_clauses("the tree does not sway, it snows")) and not rest_alone(())


def test_a_camera_moves_beside_things(finder):
    built, (camera, sea) = scene(finder, "the camera zooms in on the left boat slowly while the sea ripples")
    assert len(built.parts) == 1 and sea.moves and not camera.moves and camera.said == "The camera moves in."
    assert camera.camera.amount < 1 and camera.camera.centre == pytest.approx((12.5 / 60, 27 / 40), abs=0.05)
    mask = np.ones(SIZE, np.float32)
    assert painted(read_clauses("the camera zooms in, the boat rocks"), mask, ()) == {"boat": mask}
    assert painted(read_clauses("zoom in"), mask, ()) == {"camera": mask}


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
    _, outcomes = scene(finder, "the sea flows towards us and the clouds drift away")
    assert [outcome.said for outcome in outcomes] == ["sea: it flows down.", "clouds: they flow down."]
    _, (outcome,) = scene(finder, "the boats drift away into the distance")
    assert outcome.said.endswith('("away" is not drawn yet).')


def test_what_is_left_of_nothing_is_said(finder):
    built, outcomes = scene(finder, "the sea ripples, the boats rock, but the boats stand still")
    assert len(built.parts) == 1
    assert [outcome.said for outcome in outcomes][1:] == ["boats: too little of it is left to move.", "boats: kept still."]


@pytest.fixture
def wheel(monkeypatch):
    """A picture of one disc, whatever the finder is asked for; what it is can be changed."""
    rows, columns = np.mgrid[0:120, 0:160]
    disc = (np.hypot(rows - 60, (columns - 70) / 1.4) < 30).astype(np.float32)
    shown = [disc]

    def classify(picture):
        likely = np.zeros((len(CLASSES), 120, 160), np.float32)
        likely[CLASSES.index("object")], likely[CLASSES.index("ground")] = shown[0], 1 - shown[0]
        return likely

    monkeypatch.setattr(finders, "classify", classify)
    monkeypatch.setattr(finders, "automatic_mask", lambda picture, model: (shown[0], True))
    return shown


def turning(prompt, wheel, masks=None):
    finder = Finder(Image.fromarray((40 + 160 * wheel[0]).astype(np.uint8)).convert("RGB"), masks or {})
    built, (outcome,) = plan(read_clauses(prompt), finder)
    return (built.intents[0].rounds if built else None), outcome.said


@pytest.mark.parametrize(
    "prompt, rounds, said",
    [
        ("the wheel turns", 0.25, "it turns round and round."),
        ("the record spins slowly", 0.15, "it turns slowly round and round."),
        ("the fan rotates counterclockwise", -0.25, "it turns round and round counterclockwise."),
        ("the ferris wheel turns clockwise", 0.25, "it turns round and round clockwise."),
        ("the globe turns", 0, "it turns."),
        ("the wheel rocks", 0, "it rocks."),
    ],
)
def test_a_wheel_turns_round_and_round(wheel, prompt, rounds, said):
    found, words = turning(prompt, wheel)
    assert found == pytest.approx(rounds) and said in words and "not drawn" not in words


def test_what_is_not_a_whole_wheel_is_to_be_painted(wheel):
    disc = wheel[0]
    mill, cut = np.zeros_like(disc), np.roll(disc, -40, axis=1)
    mill[20:110, 60:90] = mill[30:45, 30:120] = 1
    for shown in (mill, cut):
        wheel[0] = shown
        assert turning("the windmill turns", wheel) == (None, "windmill: no whole wheel was found. Click on it or paint it.")
    sails = np.zeros_like(disc)
    sails[55:65, 30:110] = sails[20:100, 65:75] = 1
    rounds, words = turning("the windmill turns", wheel, {"windmill": sails})
    assert rounds == 0.25 and "round and round" in words
    assert turning("the sails of the windmill turn", wheel, {"sails": sails})[0] == 0.25
    bar, pair = np.zeros_like(disc), np.maximum(np.roll(disc, -20, axis=1), np.roll(disc, 40, axis=1))
    bar[58:62, 30:130] = 1
    for masks, why in (
        (bar, "is not round"),
        (pair, "comes nearer to the border"),
        (cut, "comes nearer to the border than 8 %"),
    ):
        _, words = turning("the wheel spins", wheel, {"wheel": masks})
        assert words.startswith(f"wheel: what is painted {why}")
    finder = Finder(Image.new("RGB", (160, 120)), {"wheel": disc})
    built, _ = plan(read_clauses("the wheel spins and sways"), finder)
    assert built.intents[0].rounds == 0.25


@pytest.fixture
def car(monkeypatch):
    """A picture of a car seen from its side, whose two wheels have spokes; how far apart and how large they are."""

    def draw(second=(270, 150), radius=24, see_through=False):
        pixels, body = np.full((200, 360, 3), 190, np.uint8), np.zeros((200, 360), np.float32)
        pixels[70:160, 40:320], body[70 : 120 if see_through else 180, 40:320] = (150, 30, 40), 1
        for x, y in ((90, 150), second):
            cv2.circle(pixels, (x, y), radius + 8, (20, 20, 20), -1, cv2.LINE_AA)
            cv2.circle(pixels, (x, y), radius, (200, 205, 210), -1, cv2.LINE_AA)
            for turn in np.arange(5) * 2 * np.pi / 5:
                ends = x + (radius - 4) * np.cos(turn), y + (radius - 4) * np.sin(turn)
                cv2.line(pixels, (x, y), tuple(map(round, ends)), (90, 90, 95), 3, cv2.LINE_AA)

        def classify(picture):
            likely = np.zeros((len(CLASSES), *body.shape), np.float32)
            likely[CLASSES.index("vehicle")], likely[CLASSES.index("ground")] = body, 1 - body
            return likely

        monkeypatch.setattr(finders, "classify", classify)
        monkeypatch.setattr(finders, "automatic_mask", lambda picture, model: (body, True))
        return Image.fromarray(pixels)

    return draw


def test_wheels_of_a_car_turn_each_about_its_own_middle(car):
    built, (outcome,) = plan(read_clauses("the wheels turn"), Finder(car()))
    assert outcome.said == "wheels: they turn round and round." and [part.intent.rounds for part in built.parts] == [0.25, 0.25]
    middles = sorted(tuple(np.round(np.argwhere(mask > 0.5).mean(0))) for mask in built.masks)
    assert np.allclose(middles, [(150, 90), (150, 270)], atol=2)
    assert all(abs(np.sqrt(mask.sum() / np.pi) - 24) < 2 for mask in built.masks)  # their rims
    for other in ({"second": (270, 110)}, {"second": (130, 150), "radius": 18}, {"see_through": True}):
        missing, (outcome,) = plan(read_clauses("the wheels turn"), Finder(car(**other)))
        assert missing is None and outcome.said == "wheels: no whole wheel was found. Click on it or paint it.", other
    y, x = np.mgrid[:200, :360]
    discs = np.maximum(np.hypot(x - 130, y - 100) < 30, np.hypot(x - 250, y - 90) < 20).astype(np.float32)
    built, _ = plan(read_clauses("the wheels turn backwards"), Finder(car(), {"wheels": discs}))
    assert len(built.parts) == 2 and {part.intent.rounds for part in built.parts} == {0.25}


def test_who_stands_beside_what_is_named_is_no_part_of_it(monkeypatch):
    horse, rider = np.zeros((120, 160), np.float32), np.zeros((120, 160), np.float32)
    horse[40:100, 20:90], rider[50:100, 120:135] = 1, 1

    def classify(picture):
        likely = np.zeros((len(CLASSES), 120, 160), np.float32)
        likely[CLASSES.index("animal")], likely[CLASSES.index("person")] = horse, rider
        likely[CLASSES.index("ground")] = 1 - horse - rider
        return likely

    monkeypatch.setattr(finders, "classify", classify)
    monkeypatch.setattr(finders, "automatic_mask", lambda picture, model: (horse + rider, True))
    region = Finder(Image.new("RGB", (160, 120))).find("horse")
    assert region.mask[70, 50] > 0.9 and region.mask[:, 110:].max() == 0


def test_what_moves_in_another_way_than_was_said_can_be_painted(finder):
    for said in ("the boats rock back", "the boats sail away"):
        (boats,) = scene(finder, said)[1]
        assert boats.moves and boats.name == "boats" and "is not drawn yet" in boats.said
    assert scene(finder, "the gulls eat, the sea ripples")[1][0].name == ""


def test_what_is_seen_to_be_done_and_is_not_drawn_is_said(finder):
    built, outcomes = scene(finder, "the gulls eat, the sea ripples, the boats lie at anchor")
    assert len(built.parts) == 1
    assert [outcome.said for outcome in outcomes] == ['"the gulls eat" is understood, but not drawn.', "sea: it ripples."]
