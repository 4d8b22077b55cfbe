import json

import numpy as np
import pytest

from loopanimate.loop import LoopSettings
from loopanimate.media import read_metadata
from loopanimate.recipe import pack, small_png, unpack


def test_settings_and_mask_come_back():
    mask = np.zeros((300, 400), np.float32)
    mask[100:200, 100:300] = 1
    settings = LoopSettings("it “sways” <b>&", num_frames=15, seed=2**40, guidance_scale=2.0, fps="native", size="phone",
                            arrows=((0.1, 0.2, 0.3, 0.4),), pins=((0.5, 0.5),), freeze=small_png(mask), mask_invert=True)  # fmt: skip
    back, given = unpack(pack(settings, mask))
    assert back == settings
    assert given.shape == (192, 256) and given[96, 128] == 1 and given[5, 5] == 0


def test_what_belongs_to_a_machine_does_not_travel():
    text = pack(LoopSettings("x", checkpoint="/home/me/model", device="cuda"), None)
    assert "/home/me" not in text and unpack(text)[0].checkpoint is None
    assert unpack(json.dumps({**json.loads(text), "checkpoint": "someone/else"}))[0].checkpoint is None


@pytest.mark.parametrize("text", [None, "", "hello", "[1]", "{}", '{"prompt": "x"}', "17"])
def test_a_file_without_a_recipe(text):
    with pytest.raises(ValueError, match="got a file without any"):
        unpack(text)


@pytest.mark.parametrize(
    "change",
    [{"seed": "one"}, {"seed": True}, {"prompt": 3}, {"prompt": " "}, {"num_frames": 16}, {"arrows": [[1]]}, {"pins": "x"},
     {"freeze": "????"}, {"mask": "AAAA"}, {"fps": []}, {"arrows": [[0, 0, 0, 7]]}, {"mask_invert": 1}],
)  # fmt: skip
def test_a_broken_recipe_is_refused(change):
    values = json.loads(pack(LoopSettings("it moves"), None))
    with pytest.raises(ValueError, match="^expected"):
        unpack(json.dumps({**values, **change}))


def test_no_comment_no_text(tmp_path):
    (tmp_path / "notes.mp4").write_text("nothing")
    assert read_metadata(tmp_path / "notes.mp4") is None
