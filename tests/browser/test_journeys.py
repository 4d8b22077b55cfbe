"""Three journeys as people make them, nothing set by hand: a picture, a sentence, Animate, Download; the file is measured."""

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from loopanimate.metrics import is_seamless, seam
from loopanimate.presets import ASSETS
from tests.browser.steps import animate, recipe, saved, upload

# picture, sentence, a part that moves and one that stands: left, top, right, bottom in fractions
JOURNEYS = {
    "portrait": ("she smiles and her hair moves gently", (0.3, 0.05, 0.6, 0.35), (0.75, 0.1, 0.95, 0.3)),
    "beach": ("the waves roll in, the clouds stand still", (0.1, 0.75, 0.9, 0.95), (0.2, 0.1, 0.8, 0.3)),
    "tulips": ("the tulips sway in the wind", (0.2, 0.3, 0.8, 0.9), None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", JOURNEYS)
def test_from_a_dropped_picture_to_a_file_for_the_wall(page, photos, tmp_path, name):
    sentence, moves, stands = JOURNEYS[name]
    picture = photos["astronaut"] if name == "portrait" else Image.open(ASSETS / "examples" / name / "picture.jpg")
    picture.thumbnail((384, 384))
    picture.save(tmp_path / f"{name}.png")
    upload(page, tmp_path / f"{name}.png")
    page.get_by_label("What should move, and how?").fill(sentence)
    animate(page)
    film = saved(page, "MP4", tmp_path / "loop.mp4")
    frames = np.stack(list(iio.imiter(film, plugin="pyav")))
    assert is_seamless(seam(frames)) and frames.shape[2] == picture.width // 2 * 2
    changes = np.abs(frames[::4].astype(int) - frames[0]).max(0).mean(2)

    def change(box):
        left, top, right, bottom = (round(share * side) for share, side in zip(box, 2 * frames.shape[2:0:-1]))
        return changes[top:bottom, left:right].mean()

    assert change(moves) > 4 and (stands is None or change(stands) < 1.5)
    assert recipe(film)[0].request.prompt == sentence
