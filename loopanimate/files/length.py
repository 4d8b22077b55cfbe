"""How a loop comes to last as long as was asked for: in whole rounds, so that it still closes, of a slightly other pace."""

from fractions import Fraction
from math import log

from loopanimate.files.formats import Format
from loopanimate.presets import NATIVE_FPS
from loopanimate.settings import MAX_SECONDS, Settings


def fit_length(settings: Settings, form: Format) -> Settings:
    """The settings whose file lasts as long as they say or, as of a Live Photo, its format. A living page plays for ever."""
    seconds = _seconds(settings, form)
    return settings if seconds is None else fit_seconds(settings, seconds, form.frame_rate(settings.output.fps))


def say_length(asked: Settings, form: Format, seconds: float) -> str:
    """What became of the length that was asked for, in a file of so many seconds: nothing if none was."""
    if _seconds(asked, form) is None:
        return ""
    wanted = f"{asked.output.seconds:g} s" if asked.output.seconds else f"A {form.name}'s {form.seconds:g} s"
    pace = fit_length(asked, form).hands.tempo / asked.hands.tempo
    return f"{wanted} became {seconds:.2f} s: whole rounds at {pace:.3g} x their pace."


def in_seconds(settings: Settings) -> Settings:
    """The same length in seconds where it is in rounds, as far as one is taken."""
    if settings.output.repeats == 1:
        return settings
    one = (settings.request.num_frames - 1) / NATIVE_FPS / (1 if settings.output.fps == "native" else settings.hands.tempo)
    return settings.change(repeats=1, seconds=min(MAX_SECONDS, round(settings.output.repeats * one, 3)))


def _seconds(settings: Settings, form: Format) -> float | None:
    return None if form.kind == "page" else settings.output.seconds or form.seconds_of(settings.output)


def fit_seconds(settings: Settings, seconds: float, fps: Fraction) -> Settings:
    """The settings whose file lasts so many seconds, or as near as whole rounds and frames come.

    Of all counts of rounds, the one that changes the pace least; at the native rate, which keeps its pace, the nearest length.
    Raises ValueError where a count of rounds was asked for too.
    """
    if settings.output.repeats != 1:
        raise ValueError(f"expected a length in seconds or in rounds, got {seconds:g} s and {settings.output.repeats} rounds")
    native = Fraction(settings.request.num_frames - 1, NATIVE_FPS)
    if settings.output.fps == "native":
        return settings.change(repeats=max(1, round(seconds / native)))
    one = float(native) / settings.hands.tempo
    rounds = min({max(1, int(seconds / one)), int(seconds / one) + 1}, key=lambda count: abs(log(count * one / seconds)))
    count = max(1, round(seconds * fps / rounds))  # frames of a round
    return settings.change(repeats=rounds, tempo=float(native * fps / count))
