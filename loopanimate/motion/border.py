"""The still border of a picture: motion fades to nothing at the borders that a layer touches."""

from collections.abc import Sequence

import numpy as np

BORDER_REACH = 3.0  # width of the fade over the largest displacement: its slope stays below a half
MIN_BORDER, MAX_BORDER = 0.02, 0.3  # short sides; a larger displacement than this width allows is held back as a fold
TOUCHING = 0.3  # raw mask value from which a pixel belongs to the layer (scene.layers.ALPHA_RAMP)
Borders = tuple[tuple[bool, bool], tuple[bool, bool]]  # top and bottom, left and right
ALL_BORDERS: Borders = ((True, True), (True, True))


def touched_borders(mask: np.ndarray) -> Borders:
    """Find the borders of the picture that a mask (H, W) in [0, 1] touches: only there its motion has to fade."""
    rim = max(1, round(0.01 * min(mask.shape)))
    return tuple((bool(part[:rim].max() > TOUCHING), bool(part[-rim:].max() > TOUCHING)) for part in (mask, mask.T))


def borders_of(masks: Sequence[np.ndarray]) -> list[Borders]:
    """The borders at which each layer fades, by all layers' masks but the last's."""
    return [*map(touched_borders, masks), ALL_BORDERS]


def border_reach(displacement: float) -> float:
    """Width of the fade, in short sides, for a largest displacement in short sides."""
    return min(MAX_BORDER, max(MIN_BORDER, BORDER_REACH * displacement))


def border_ramp(places: np.ndarray, reach: float, ends: tuple[bool, bool] = (True, True)) -> np.ndarray:
    """Fade along one side, in [0, 1]: 0 at the `ends` that are touched, 1 from `reach` inwards; both in units of that side."""
    ramp = np.ones_like(places)
    for distance in [distance for distance, held in zip((places, 1 - places), ends) if held]:
        ramp = np.minimum(ramp, np.clip(distance / reach, 0, 1))
    return smoothstep(ramp)


def border_fade(height: int, width: int, reach: float, borders: Borders = ALL_BORDERS) -> np.ndarray:
    """Fade (H, W) float32 in [0, 1] of a picture: 0 at its touched borders, 1 from `reach` short sides inwards."""
    short = min(height, width)
    ramps = [
        border_ramp((np.arange(pixels) + 0.5) / pixels, reach * short / pixels, ends)
        for pixels, ends in zip((height, width), borders)
    ]
    return np.outer(*ramps).astype(np.float32)


def smoothstep(ramp):
    """3 r^2 - 2 r^3: from 0 to 1 for a ramp in [0, 1], level at both ends."""
    return ramp * ramp * (3 - 2 * ramp)
