"""How a loop comes to last as long as was asked for: in whole rounds, so that it still closes, of a slightly other pace."""

from fractions import Fraction
from math import log

from loopanimate.presets import NATIVE_FPS
from loopanimate.settings import Settings


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
