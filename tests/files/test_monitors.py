from fractions import Fraction

import numpy as np
import pytest

from loopanimate.files.formats import Coding, check, files_of
from loopanimate.files.monitors import cut, write_pieces
from loopanimate.files.sizes import Monitor, output_size, read_monitors
from tests.files.test_formats import circling, decode

THREE = "64x48+0+16,96x80+64+0,80x64+160+8"


@pytest.mark.parametrize(
    "size, whole, places",
    [
        ("1920x1080,1080x1920", (3000, 1920), [(0, 0), (1920, 0)]),
        ("2560x1440+0+0, 1920x1080+2560+360", (4480, 1440), [(0, 0), (2560, 360)]),
        ("1920x1080+100+1180,1920x1080+100+100", (1920, 2160), [(0, 1080), (0, 0)]),
    ],
)
def test_monitors_stand_side_by_side_or_where_they_are_said_to(size, whole, places):
    assert [each[:2] for each in read_monitors(size)] == places and output_size(size, 5, 5) == whole
    assert [path.name for path in files_of("loop.mp4", size)] == ["loop-1.mp4", "loop-2.mp4"]
    assert read_monitors("1920x1080") == read_monitors("phone") == []


@pytest.mark.parametrize(
    "size, words",
    [
        ("1920x1080,", "from left to right"),
        ("1920x1080,phone", "from left to right"),
        ("1920x1080+0+0,1920x1080", "from left to right"),
        ("1921x1080,1920x1080", "even numbers"),
        ("1920x1080,1920x20", "32 to 7680"),
        ("7680x4320,1920x1080", "together"),
    ],
)
def test_monitors_that_cannot_be_are_one_sentence(size, words):
    with pytest.raises(ValueError, match=words):
        output_size(size, 5, 5)


@pytest.mark.parametrize("ending", [".html", ".heic"])
def test_what_is_one_file_is_for_one_screen(ending):
    with pytest.raises(ValueError, match="expected one screen"):
        check(f"loop{ending}", size=THREE)


def test_pieces_are_the_whole_to_the_pixel():
    rng, monitors = np.random.default_rng(0), read_monitors(THREE)
    whole, planes = rng.integers(0, 256, (80, 240, 3), np.uint8), rng.integers(0, 256, (120, 240), np.uint8)
    parts = planes[:80], *planes[80:].reshape(2, 40, 120)
    for left, top, width, height in monitors:
        monitor = Monitor(left, top, width, height)
        assert np.array_equal(cut(whole, monitor), whole[top : top + height, left : left + width])
        piece = cut(planes, monitor)
        for own, part, share in zip((piece[:height], *piece[height:].reshape(2, height // 2, width // 2)), parts, (1, 2, 2)):
            place = slice(top // share, (top + height) // share), slice(left // share, (left + width) // share)
            assert np.array_equal(own, part[place])


@pytest.mark.parametrize("ending", [".mp4", ".png"])
def test_each_monitor_gets_a_file_of_the_same_frames(ending, tmp_path):
    frames = [np.ascontiguousarray(pixels[:80]) for pixels in circling(1.6, 8, False)]
    paths, told = files_of(tmp_path / f"loop{ending}", THREE), []
    write_pieces(
        paths, read_monitors(THREE), iter(frames), len(frames), Coding(Fraction(8)), "words", lambda *done: told.append(done)
    )
    assert told[-1] == (3 * len(frames), 3 * len(frames)) and sorted(tmp_path.iterdir()) == sorted(paths)
    for path, monitor in zip(paths, read_monitors(THREE)):
        shown = decode(path)
        assert shown.shape[:3] == (len(frames), monitor.height, monitor.width)
        if ending == ".png":
            assert np.array_equal(shown, np.stack([cut(pixels, monitor) for pixels in frames]))


def test_no_piece_is_left_where_one_fails(tmp_path):
    def break_off():
        yield np.zeros((80, 240, 3), np.uint8)
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        write_pieces(files_of(tmp_path / "loop.mp4", THREE), read_monitors(THREE), break_off(), 4, Coding(Fraction(8)))
    assert not list(tmp_path.iterdir())
