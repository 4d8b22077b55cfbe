import base64
import json

import numpy as np
import pytest
from PIL import Image

from loopanimate.files.formats import read_metadata
from loopanimate.files.recipe import VERSION, of_frame, open_small_png, pack, small_png, unpack, unpack_parts, unpack_squares
from loopanimate.files.sizes import cover, cover_box, surround
from loopanimate.render.pixels import square_pixels
from loopanimate.settings import make_settings
from loopanimate.view import cut_art
from tests.files.odd_files import bomb, png


def test_settings_and_mask_come_back():
    mask = np.zeros((300, 400), np.float32)
    mask[100:200, 100:300] = 1
    settings = make_settings(
        prompt="it “sways” <b>&",
        num_frames=15,
        seed=2**40,
        guidance_scale=2.0,
        fps="native",
        size="phone",
        arrows=((0.1, 0.2, 0.3, 0.4),),
        pins=((0.5, 0.5),),
        effect_strength=0.5,
        added_effects=(("snow", 0.5),),
        freeze=small_png(mask),
        mask_invert=True,
    )
    back, given = unpack(pack(settings, mask))
    assert back == settings
    assert given.shape == (192, 256) and given[96, 128] == 1 and given[5, 5] == 0


def test_a_recipe_from_before_there_were_effects_opens():
    values = json.loads(pack(make_settings(prompt="it moves"), None))
    del values["effect_strength"], values["added_effects"]
    assert unpack(json.dumps(values))[0] == make_settings(prompt="it moves")


def test_what_belongs_to_a_machine_does_not_travel():
    text = pack(make_settings(prompt="x"), None)
    assert "checkpoint" not in text and "device" not in text
    assert unpack(json.dumps({**json.loads(text), "checkpoint": "someone/else"}))[0] == make_settings(prompt="x")


def test_a_recipe_of_a_newer_version_says_so_and_the_first_versions_open():
    values = json.loads(pack(make_settings(prompt="it moves", seed=3), None))
    assert values["loopanimate"] == VERSION and unpack(json.dumps({**values, "loopanimate": 1}))[0].request.seed == 3
    with pytest.raises(ValueError, match="version 2.*update LoopAnimate"):
        unpack(json.dumps({**values, "loopanimate": VERSION + 1}))


@pytest.mark.parametrize("change", [{"mask_grow": 3000}, {"mask_feather": 500}, {"fps": 500}, {"tempo": 100}])
def test_a_recipe_cannot_ask_for_more_than_the_ranges(change):
    values = json.loads(pack(make_settings(prompt="it moves"), None))
    with pytest.raises(ValueError, match="got"):
        unpack(json.dumps({**values, **change}))


@pytest.mark.parametrize("text", [None, "", "hello", "[1]", "{}", '{"prompt": "x"}', "17"])
def test_a_file_without_a_recipe(text):
    with pytest.raises(ValueError, match="got a file without any"):
        unpack(text)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "one"},
        {"prompt": 3},
        {"prompt": " "},
        {"num_frames": 16},
        {"arrows": [[1]]},
        {"pins": "x"},
        {"freeze": "????"},
        {"mask": "AAAA"},
        {"fps": []},
        {"arrows": [[0, 0, 0, 7]]},
        {"seed": "3"},
        {"tempo": "1.5"},
        {"fit": "yes"},
        {"pins": [["0.5", 0.5]]},
        {"loopanimate": [1]},
        {"loopanimate": 10**400},
        {"size": "9" * 100_000},
        {"size": "99x3"},
        {"prompt": "x" * 100_000},
        {"prompt": "\ud800"},
        {"pins": [[0.5, 0.5]] * 5000},
        {"arrows": [[0.5, 0.5, float("nan"), 0.5]]},
        {"added_effects": [[3]]},
        {"added_effects": {"snow": 1}},
        {"mask": base64.b64encode(png(np.zeros((8, 8)))[:43]).decode()},
        {"unknown": "x" * 5_000_000},
        {"mask": base64.b64encode(bomb(5_000, 5_000)).decode()},
        {"freeze": base64.b64encode(bomb(40_000, 40_000)).decode()},
    ],
)
def test_a_broken_recipe_is_refused(change):
    values = json.loads(pack(make_settings(prompt="it moves"), None))
    with pytest.raises(ValueError, match="^expected") as raised:
        unpack(json.dumps({**values, **change}))
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("depth", [500, 100_000])
@pytest.mark.parametrize("name", ["arrows", "prompt", "mask", "loopanimate"])
def test_a_deeply_nested_recipe_is_refused(name, depth):
    text = json.dumps({**json.loads(pack(make_settings(prompt="it moves"), None)), name: "nested"})
    with pytest.raises(ValueError, match="^expected"):
        unpack(text.replace('"nested"', "[" * depth + "]" * depth))


def test_no_comment_no_text(tmp_path):
    (tmp_path / "notes.mp4").write_text("nothing")
    assert read_metadata(tmp_path / "notes.mp4") is None


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).resize((300, 200), Image.Resampling.BICUBIC)


def test_a_picture_shown_whole_is_cut_out_of_its_surround(picture):
    settings = make_settings(prompt="x", size="300x400", fit=True, pins=((0.5, 0.5),))
    mask = np.zeros((200, 300), np.float32)
    mask[:, 200:] = 1
    framed = surround(picture, (300, 400))
    framed.paste(picture, (0, 100))
    frame, back, again = of_frame(framed, settings, mask)
    assert np.array_equal(again, mask) and np.array_equal(np.asarray(frame), np.asarray(picture)) and back == settings


def test_directions_go_with_the_part_that_is_left_of_a_cut_picture(picture):
    mask = np.zeros((200, 300), np.float32)
    mask[:, 200:] = 1  # the right two thirds are kept
    freeze = np.zeros((200, 300), np.float32)
    freeze[:, 150:200] = 1
    settings = make_settings(
        prompt="x",
        size="200x200",
        arrows=((0.5, 0.2, 0.75, 0.4), (0.1, 0.5, 0.6, 0.5)),
        pins=((0.2, 0.5), (1.0, 1.0)),
        freeze=small_png(freeze),
    )
    cut, (layer,) = cover(picture, [mask], (200, 200), cover_box(mask, (200, 200)))
    frame, back, again = of_frame(cut, settings, mask)
    assert frame is cut and np.abs(again - layer).max() < 0.05
    assert np.allclose(back.hands.arrows, [(0.25, 0.2, 0.625, 0.4)]) and back.hands.pins == ((1.0, 1.0),)
    stays = open_small_png(back.hands.freeze)
    assert stays.shape == (200, 200) and stays[:, 55:95].min() == 1 and stays[:, :45].max() == stays[:, 105:].max() == 0


@pytest.mark.parametrize(
    "size, fit, middle", [("70x64", False, 20), ("100x40", False, 9), ("70x100", True, 20), ("41x50", False, 31)]
)
def test_the_part_of_pixel_art_that_is_left_is_of_whole_pixels(size, fit, middle):
    """A frame shows whole pixels of the art around what moves, and not the part that a smooth picture is cut to."""
    rng = np.random.default_rng(0)
    art = Image.fromarray(rng.integers(0, 255, (20, 33, 3), np.uint8))
    picture = art.resize((66, 40), Image.Resampling.NEAREST)
    mask = np.zeros((40, 66), np.float32)
    mask[10:20, 2 * middle - 6 : 2 * middle + 4] = 1
    settings = make_settings(prompt="x", size=size, fit=fit, scale="nearest", pins=((middle / 33, 0.4),))
    view, factor = cut_art(picture, mask, [mask], settings.output, None, 2)
    width, height = map(int, size.split("x"))
    shown, places = (
        square_pixels(np.asarray(pixels), factor, (width, height))
        for pixels in (view.picture, np.indices((20, 33)).transpose(1, 2, 0)[view_of(view)])
    )
    text = pack(settings, mask, squares=(33, 20, factor))
    frame, back, again = of_frame(Image.fromarray(shown), settings, mask, unpack_squares(text))
    whole = mask[::2, ::2]
    if fit:  # the rim is no part of the picture
        assert frame.size == (66, 40) and back.hands.pins == settings.hands.pins and np.abs(again[::2, ::2] - whole).max() < 0.3
        return
    assert frame.size == (width, height)
    own = whole[places[..., 0], places[..., 1]]  # of the pixel of the art that each pixel of the frame shows
    assert np.abs(again - own).mean() < 0.03 and (again > 0.5).sum() == pytest.approx((own > 0.5).sum(), rel=0.15)
    ((x, y),) = back.hands.pins
    row, column = places[int(y * height), int(x * width)]
    assert abs(column - middle) <= 1 and abs(row - 8) <= 1


def view_of(view) -> tuple[slice, slice]:
    left, top, right, bottom = (round(share * side) for share, side in zip(view.part, (33, 20) * 2))
    return slice(top, bottom), slice(left, right)


@pytest.mark.parametrize("art", [[1], [0, 5, 2], "xxx", [5, 99999, 2], [5.0, 5, 2]])
def test_pixel_art_of_a_size_that_cannot_be_is_refused(art):
    text = json.loads(pack(make_settings(prompt="it moves"), None))
    assert unpack_squares(json.dumps(text)) is None
    with pytest.raises(ValueError, match="^expected"):
        unpack_squares(json.dumps({**text, "squares": art}))


def test_a_mask_that_was_edited_on_the_way_is_so_before_the_cut(picture):
    mask = np.ones((200, 300), np.float32)
    mask[:, 200:] = 0
    _, back, again = of_frame(picture, make_settings(prompt="x", mask_invert=True), mask)
    assert again[0, 250] == 1 and again[0, 50] == 0 and not back.request.mask_invert


def test_parts_travel_with_their_masks():
    mask = np.zeros((20, 30), np.float32)
    mask[5:9] = 1
    text = pack(make_settings(prompt="the sea ripples"), None, [("the sea", mask)])
    assert unpack(text)[1] is None
    ((words, own),) = unpack_parts(text)
    assert words == "the sea" and (own == mask).all()
    assert list(unpack_parts(pack(make_settings(prompt="it sways"), mask))) == []
    good = json.loads(text)["parts"]
    for parts in (
        [["the sea", "nothing"]],
        good * 40,
        {"the sea": good[0][1]},
        [["x" * 5000, good[0][1]]],
        [[3, good[0][1]]],
        [3],
    ):
        with pytest.raises(ValueError, match="^expected") as raised:
            unpack_parts(json.dumps({**json.loads(text), "parts": parts}))
        assert len(str(raised.value)) < 400
