from fractions import Fraction

import pytest

from loopanimate.files.formats import by_ending
from loopanimate.files.length import fit_length, fit_seconds, in_seconds, say_length
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


def test_a_length_is_asked_for_by_settings_or_by_the_format():
    film, page = by_ending("a.mp4"), by_ending("a.html")
    asked = make_settings(prompt="it sways", seconds=10, tempo=0.8)
    assert fit_length(asked, film) == fit_seconds(asked, 10, Fraction(30)) and fit_length(asked, page) == asked
    assert say_length(asked, film, 10.0) == "10 s became 10.00 s: whole rounds at 1.06 x their pace."
    assert not say_length(asked.change(seconds=None), film, 4.25)


@pytest.mark.parametrize("fps, tempo", [(30, 1.0), (30, 0.7), ("native", 0.7)])
def test_rounds_are_as_many_when_they_are_asked_for_in_seconds(fps, tempo):
    asked = make_settings(prompt="it sways", repeats=5, fps=fps, tempo=tempo)
    same = fit_length(in_seconds(asked), by_ending("a.mp4"))
    assert same.output.repeats == 5 and same.hands.tempo == pytest.approx(tempo, rel=0.01)
    assert in_seconds(same.change(repeats=1)) == same.change(repeats=1)


def test_more_rounds_than_a_length_can_be_are_the_longest():
    assert in_seconds(make_settings(prompt="it sways", repeats=1000)).output.seconds == 3600


def test_the_native_rate_keeps_its_pace():
    settings = fit_seconds(make_settings(prompt="it sways", fps="native"), 10, Fraction(8))
    assert settings.output.repeats == 2 and settings.hands.tempo == 1


def test_lengths_that_cannot_be_are_one_sentence():
    with pytest.raises(ValueError, match="in seconds or in rounds"):
        fit_seconds(make_settings(prompt="it sways", repeats=3), 10, Fraction(30))
    with pytest.raises(ValueError, match="tempo"):
        fit_seconds(make_settings(prompt="it sways"), 0.5, Fraction(30))
