from fractions import Fraction

import pytest

from loopanimate.files.length import fit_seconds
from loopanimate.files.sizes import frame_times
from loopanimate.settings import make_settings


@pytest.mark.parametrize(
    "seconds, fps, tempo, rounds",
    [(10, 30, 1, 2), (4.25, 30, 1, 1), (6.1, 60, 1, 2), (5.9, 60, 1, 1), (1.3, 25, 1, 1), (20, 12.5, 2, 9)],
)
def test_a_file_lasts_as_long_as_asked_in_whole_rounds(seconds, fps, tempo, rounds):
    settings = fit_seconds(make_settings(prompt="it sways", tempo=tempo), seconds, Fraction(fps))
    times = frame_times(35, Fraction(fps), settings.hands.tempo)
    assert settings.output.repeats == rounds and times[-1] < 34
    assert abs(rounds * len(times) / fps - seconds) <= rounds / 2 / fps + 1e-9
    if seconds > 4.25:
        assert tempo / 1.42 < settings.hands.tempo < tempo * 1.42


def test_the_native_rate_keeps_its_pace():
    settings = fit_seconds(make_settings(prompt="it sways", fps="native"), 10, Fraction(8))
    assert settings.output.repeats == 2 and settings.hands.tempo == 1


def test_lengths_that_cannot_be_are_one_sentence():
    with pytest.raises(ValueError, match="in seconds or in rounds"):
        fit_seconds(make_settings(prompt="it sways", repeats=3), 10, Fraction(30))
    with pytest.raises(ValueError, match="tempo"):
        fit_seconds(make_settings(prompt="it sways"), 0.5, Fraction(30))
