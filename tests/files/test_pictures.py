import os
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from loopanimate.files.pictures import open_mask, open_picture
from tests.files.odd_files import SCENE, all_files, all_masks, bomb, check, png, save, sources


def test_odd_pictures_are_read_right_or_refused_in_one_sentence(tmp_path):
    came = [check(odd, tmp_path) for odd in all_files()]
    assert not [why for _, why in came if why] and len(came) > 700


def test_odd_masks_mean_what_their_makers_meant_or_are_refused(tmp_path):
    came = [check(odd, tmp_path, is_mask=True) for odd in all_masks()]
    assert not [why for _, why in came if why] and len(came) > 200


def test_what_a_mask_was_read_from_is_said(tmp_path):
    path, said = tmp_path / "mask.png", []
    mask = np.zeros((48, 64), np.uint8)
    mask[9:20] = 255
    for content in (
        mask,
        np.dstack([SCENE, mask]),
        np.dstack([mask, mask, mask, np.where(mask, 255, np.arange(64) * 4 % 256)]),
    ):
        path.write_bytes(save(content.astype(np.uint8), "PNG"))
        open_mask(path, (64, 48), said.append)
    assert [sentence.partition(": ")[2] for sentence in said] == [
        "its transparency is the mask, opaque moves.",
        "what is transparent stays, as what is black does.",
    ]


def test_pictures_from_memory():
    assert open_picture(png(SCENE)).size == (64, 48)
    with pytest.raises(ValueError, match="nothing in it"):
        open_picture(b"")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"just words", "not a picture"),
        (b"", "nothing in it"),
        (bomb(40_000, 40_000), "megapixels, got far more"),
        (bomb(12_000, 11_000), "megapixels, got 12000 x 11000"),
        (bomb(300, 300), "not a picture"),
        (bomb(3400, 200), "16 : 1, got 3400 x 200"),
    ],
    ids=["text", "empty", "huge bomb", "bomb", "cut off", "strip"],
)
def test_bad_pictures_are_refused_in_one_sentence(content, words, tmp_path):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        open_picture(tmp_path / "bad.png")
    assert "\n" not in str(caught.value)


def test_a_picture_that_is_too_long_is_scaled_down(monkeypatch):
    monkeypatch.setattr("loopanimate.files.pictures.MAX_SIDE", 40)
    for ending, content in sources().items():
        opened = open_picture(content)
        assert opened.size == (40, 40) and opened.getpixel((5, 5)) and not opened.info, ending


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")  # whoever opens it waits for somebody who writes
    for source, words in (
        (tmp_path, "the folder"),
        ("/dev/zero", "not a file"),
        (tmp_path / "pipe.png", "not a file"),
        (tmp_path / "none.png", "no such file"),
        ("a\0b.png", "no such file"),
        ("x" * 5000, "no such file"),
    ):
        with pytest.raises(ValueError, match=f"^expected a picture file, got .*{words}"):
            open_picture(source)


def test_a_mask_is_resized_or_refused(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(save(Image.new("L", (100, 50), 255), "PNG"))
    assert open_mask(path, (200, 100)).shape == (100, 200)
    with pytest.raises(ValueError, match="shape 200 x 200, got 100 x 50"):
        open_mask(path, (200, 200))


def test_the_size_of_a_tiff_is_a_number(tmp_path):
    path = tmp_path / "text.tif"
    width, height = struct.pack("<HHI4s", 256, 1, 4, b"wide"), struct.pack("<HHII", 257, 4, 1, 50_000_000)
    packed = struct.pack("<HHIHH", 259, 3, 1, 9999, 0)  # in a way that Pillow does not know, so OpenCV is to try
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 3) + width + height + packed + bytes(900))
    tracemalloc.start()
    with pytest.raises(ValueError, match="not a picture that can be read"):
        open_picture(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000  # text times 50 million is a long text
