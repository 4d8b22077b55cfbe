"""Light: what flickers, twinkles, glitters, glows and flashes, found in the picture, and rays."""

import cv2
import numpy as np

from loopanimate.effects.data import CURVE, LIES, Effect, Grid, Lamp, Rays, Sparks
from loopanimate.effects.weather import bisect, random_of

FOUND_SIDE = 720  # pixels on the short side of the picture in which points of light are found, so that any size has the same
MAX_SPARKS = 700
POINTS = (0.0011, 0.004, 0.011)  # deviations of the blurs, in short sides, under which stars and lamps are seen as points ...
GLINTS = POINTS[:1]  # ... and highlights
LONGEST = 12.1  # of a point: (r + 1)^2 / r for curvatures that are r = 10 to 1
BORDER = 0.012  # short sides beside the picture's border in which no light is looked for: frames of paintings shine there
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
# A candle's light falls by 20 dB a decade of frequency, and is now and then far brighter than it mostly is
# (https://inkofpark.wordpress.com/2013/12/15/candle-flame-flicker/).
FALL = 1.0  # exponent of the amplitude over the frequency: 20 dB a decade
LEAST_HERTZ, MOST_HERTZ = 0.6, 9.0
FLICKERS = {"candle": 0.20, "firelight": 0.24, "lamp": 0.11}  # deviation of the light, as a share of it
TINT = 0.45  # how much of a colour that words name a light takes on
AURORA = ((0.36, 1.0, 0.62), (0.62, 0.42, 1.0), (0.3, 0.82, 1.0))
SPILL = (
    (0.02, 1.0),
    (0.09, 0.42),
    (0.26, 0.2),
)  # deviation of the blur in short sides, and share, of the light on what is near


def flicker_curve(look: str, seconds: float, seed: int, pace: float = 1.0) -> np.ndarray:
    """CURVE levels of a flickering light, zero on average."""
    random, time = random_of(seed, look), np.arange(CURVE) / CURVE
    if look == "neon":
        return _neon(random, time, pace)
    if look == "flash":  # now and then, as lights of a stage do
        count = max(1, round(seconds * pace))
        since = (time - ((np.arange(count) + random.uniform(0.2, 0.8, count)) / count)[:, None]) % 1 * seconds
        level = (random.uniform(0.5, 1, count)[:, None] * np.minimum(since / 0.04, 1) * np.exp(-since / 0.16)).sum(0)
        return 1.4 * (level - level.mean())
    waves = np.arange(1, round(MOST_HERTZ * seconds) + 1)
    hertz = waves / seconds / pace
    size = np.where(hertz < LEAST_HERTZ, hertz / LEAST_HERTZ, (hertz / LEAST_HERTZ) ** -FALL)
    curve = (size * np.sin(2 * np.pi * (np.outer(time, waves) + random.random(len(waves))))).sum(1)
    curve = np.exp(0.5 * curve / curve.std())
    return (curve - curve.mean()) / curve.std() * FLICKERS[look]


def _neon(random: np.random.Generator, time: np.ndarray, pace: float) -> np.ndarray:
    """It hums, and goes out for moments, a few times in a row."""
    level = 1 + 0.04 * np.sin(2 * np.pi * 31 * time)
    for start in random.uniform(0, 1) + np.cumsum(random.uniform(0.25, 0.5, max(1, round(2 * pace)))):
        for gap in np.cumsum(random.uniform(0.018, 0.05, random.integers(2, 5))):
            away = np.abs((time - start - gap + 0.5) % 1 - 0.5)
            level *= 1 - random.uniform(0.45, 0.85) * np.clip(1.6 - away / 0.006, 0, 1)
    return level / level.mean() - 1


def glow_curve(pace: float) -> np.ndarray:
    turns = max(1, round(1.4 * pace))
    wave = np.sin(2 * np.pi * turns * np.arange(CURVE) / CURVE)
    return 0.30 * wave + 0.05 * np.sin(2 * np.pi * 2 * turns * np.arange(CURVE) / CURVE)


def lightning_curve(seconds: float, seed: int, pace: float) -> np.ndarray:
    """Two strikes a loop, each of two or three flashes that fade."""
    random, time, level = random_of(seed, "lightning"), np.arange(CURVE) / CURVE, np.zeros(CURVE)
    first = random.uniform(0.1, 0.3)
    for start in (first, first + random.uniform(0.42, 0.55))[: max(1, round(1.6 * pace))]:
        for gap in np.cumsum([0, *random.uniform(0.08, 0.16, random.integers(1, 3))]):
            since = ((time - start - gap / seconds) % 1) * seconds
            level += random.uniform(0.5, 1.0) * np.minimum(since / 0.03, 1) * np.exp(-since / 0.10)
    return 1.5 * (level - level.mean())


def make_lamps(effect: Effect, picture: np.ndarray, place: np.ndarray | None, shape, seconds: float, seed: int) -> list[Lamp]:
    """What flickers, glows, flashes or shifts its colours, and what that falls on.

    picture: (h, w, 3) in [0, 1], small. place: (h, w), where it is; None: what is brightest, or the sky.
    """
    look, light = effect.look, picture**2 @ LUMA
    if look in ("lightning", "aurora") and (place is None or place.max() <= 0):
        place = np.broadcast_to(np.linspace(1, 0, len(light), dtype=np.float32)[:, None], light.shape)
    if look == "aurora":
        return _aurora(effect, light * place, picture, shape)
    short, colour, tint = min(light.shape), np.array((0.86, 0.93, 1.0)), np.zeros(3)
    if look == "lightning":
        reach = 0.4 + 0.6 * cv2.GaussianBlur(place, (0, 0), 0.03 * short)
        curve = lightning_curve(seconds, seed, effect.pace)
    else:
        inside = np.ones_like(light) if place is None else place
        bright = np.quantile(light[inside > 0.5], 0.9 if place is not None else 0.985) if (inside > 0.5).any() else light.max()
        source = inside * np.clip((light - 0.45 * bright) / max(0.55 * bright, 1e-3), 0, 1)
        colour = (picture**2 * source[..., None]).sum((0, 1))
        reach = np.zeros_like(source)
        for sigma, share in SPILL:
            blurred = cv2.GaussianBlur(source, (0, 0), sigma * short)
            reach += share * blurred / max(blurred.max(), 1e-6)
        reach = np.maximum(reach / max(reach.max(), 1e-6) - 0.02, 0) / 0.98  # so that it ends somewhere
        curve = glow_curve(effect.pace) if look == "glow" else flicker_curve(look, seconds, seed, effect.pace)
    if effect.colours:
        colour = np.square(effect.colours).mean(0)
        tint = effect.amount * TINT * _tint(colour)
    colour = 0.35 + 0.65 * colour / max(colour.max(), 1e-6)
    return [_balance(_grid(reach, shape), colour, effect.amount * _roll(curve), tint, picture)]


def _roll(curve: np.ndarray) -> np.ndarray:
    """A curve that begins where it changes neither much nor little, so that nobody sees where it closes."""
    steps = np.abs([curve - np.roll(curve, lag) for lag in (1, 2, 4, 8)])  # of 60 to 7 frames a second
    ranks = steps.argsort(1).argsort(1) / CURVE
    return np.roll(curve, -int(np.abs(ranks - 0.5).max(0).argmin()))


def _balance(place: Grid, colour: np.ndarray, curve: np.ndarray, tint: np.ndarray, picture: np.ndarray) -> Lamp:
    """A lamp whose tint keeps the mean of the picture's bytes over a loop, though they are roots of light and end at white."""
    light = np.square(cv2.resize(picture, (place.columns // 2, place.rows // 2), interpolation=cv2.INTER_AREA))
    reach = cv2.resize(place.plane(), light.shape[1::-1], interpolation=cv2.INTER_AREA)[..., None]
    levels = np.sort(curve).reshape(-1, 12).mean(1)

    def brightens(more: float) -> bool:
        shown = (light * np.maximum(1 + (level * colour + tint + more - 0.5) * reach, 0.02) for level in levels)
        return np.mean([np.sqrt(np.minimum(each, 1)).mean() for each in shown]) > np.sqrt(light).mean()

    tint = tint + bisect(brightens, 1.0) - 0.5
    return Lamp(place=place, colour=tuple(map(float, colour)), curve=tuple(curve), tint=tuple(map(float, tint)))


def _tint(light: np.ndarray) -> np.ndarray:
    """What to add to a gain to give grey the hue of a light, and no other brightness."""
    tint = np.clip(light / max(float(light @ LUMA), 1e-6) - 1, -0.85, 1.6)
    return tint - tint @ LUMA


def _aurora(effect: Effect, light: np.ndarray, picture: np.ndarray, shape) -> list[Lamp]:
    """Waves of colours that wander over what shines in the sky, each of them in its turn."""
    glow = cv2.GaussianBlur(light.astype(np.float32), (0, 0), 0.03 * min(light.shape))
    glow = np.clip(glow / max(float(np.quantile(glow, 0.98)), 1e-6), 0, 1) ** 0.5
    rows, columns = (np.linspace(0, side / min(light.shape), side) for side in light.shape)
    lamps, colours = [], effect.colours or AURORA
    time = 2 * np.pi * max(1, round(effect.pace)) * np.arange(CURVE) / CURVE
    for turn in np.arange(3) / 3:
        bend = 5.0 * columns[None] + 1.3 * np.sin(3.1 * rows[:, None] + 6 * turn) + 0.8 * np.sin(9 * columns[None] + 2 * turn)
        place = glow * (0.5 + 0.5 * np.sin(bend + 2 * np.pi * turn))
        tint = 0.45 * _tint(np.square(colours[round(3 * turn) % len(colours)]))
        level = effect.amount * (0.5 + 0.5 * np.sin(time + 2 * np.pi * turn))
        lamps.append(_balance(_grid(place, shape), tint, level, np.zeros(3), picture))
    return lamps


def make_sparks(effect: Effect, picture: np.ndarray, place: np.ndarray | None, seed: int) -> Sparks | None:
    """Small bright points that are there: stars and lights that twinkle, highlights that glitter; None: there are none.

    picture: (h, w, 3) in [0, 1] with FOUND_SIDE pixels on its short side. place: (h, w) or None: all over.
    """
    light, short, random = picture @ LUMA, min(picture.shape[:2]), random_of(seed, effect.look)
    glitters, pace = effect.look == "sparkle", effect.pace
    inside = np.ones(light.shape, bool) if place is None else place > 0.5
    border = round(BORDER * short)
    inside[:border], inside[-border:], inside[:, :border], inside[:, -border:] = (False,) * 4
    if not inside.any():
        return None
    found = []  # how far it stands out, half its size, place
    for size in GLINTS if glitters else POINTS:
        fine = cv2.GaussianBlur(light, (0, 0), size * short)
        stands = fine - cv2.GaussianBlur(light, (0, 0), (0.012 if glitters else 0.008) * short * max(1, size / POINTS[1]))
        apart = 2 * round(max(0.0045 if glitters else 0.006, 2 * size) * short) + 1
        peak = (stands == cv2.dilate(stands, np.ones((apart, apart)))) & inside
        least = max(0.05 if glitters else 0.07, float(np.quantile(stands[inside], 0.97)))
        where = peak & (stands > least) & (fine > max(0.22, np.quantile(light[inside], 0.6)))
        if not glitters:  # a crest is no point: https://doi.org/10.1023/B:VISI.0000029664.99615.94, section 4.1
            xx, yy, xy = (cv2.Sobel(fine, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
            where &= (xx + yy) ** 2 < LONGEST * (xx * yy - xy**2)
        found += [(stands[at], max(0.0035 if glitters else 0.004, 1.6 * size), at) for at in zip(*np.nonzero(where))]
        inside = inside & ~cv2.dilate(where.astype(np.uint8), np.ones((apart, apart))).astype(bool)
        if not inside.any():
            break
    if not found:
        return None
    table = []
    for stands, radius, (row, column) in sorted(found, key=lambda point: -point[0])[:MAX_SPARKS]:
        strength = min(1.0, stands / 0.3)
        cycles = random.integers(1, 4) if glitters else random.integers(1, 6)
        flare = 0.9 * max(0.0, strength - 0.25) * (random.random() < 0.7)
        level = (1.8 if glitters else 1.5) * (0.55 + 0.45 * strength) * random.uniform(0.6, 1)
        own = picture[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].mean((0, 1)) ** 2
        own = np.square(effect.colours[len(table) % len(effect.colours)]) if effect.colours else own
        table.append((
            (column + 0.5) / short, (row + 0.5) / short, radius * (0.8 + 0.7 * strength), level, max(1, round(cycles * pace)),
            random.random(), max(2, round(random.integers(5, 14) * pace)), random.random(), glitters, flare, *own, LIES,
        ))  # fmt: skip
    return Sparks(rows=tuple(table))


def make_rays(effect: Effect, picture: np.ndarray, place: np.ndarray | None, shape, size, seed: int) -> Rays:
    """Beams from what is brightest in the upper half, or from where their place is, downwards."""
    light = cv2.GaussianBlur(picture**2 @ LUMA, (0, 0), 0.05 * min(picture.shape[:2]))
    inside = np.linspace(1, 0, len(light))[:, None] ** 0.5 if place is None or place.max() <= 0 else place
    row, column = np.unravel_index(np.argmax(light * inside), light.shape)
    x, y = (column + 0.5) / light.shape[1] * size[0], (row + 0.5) / light.shape[0] * size[1]
    if place is None and y < 0.35 * size[1]:
        y -= 0.25  # the sun is beyond the leaves
    random = random_of(seed, "rays")
    counts = random.choice(np.arange(5, 34), 7, replace=False)
    waves = tuple(
        (
            float(count),
            float(random.choice((-1, 1)) * max(1, round(effect.pace))),
            round(random.random(), 4),
            round(0.9 / len(counts), 4),
        )
        for count in counts
    )
    colour = np.array(effect.colours).mean(0) if effect.colours else picture[row, column] * 0.6 + 0.4
    haze = cv2.GaussianBlur(picture @ LUMA, (0, 0), 0.02 * min(picture.shape[:2]))
    seen = np.clip(0.03 + 1.9 * haze, 0, 1)  # what is black stands before the haze in which rays are seen
    return Rays(
        x=x, y=y, reach=0.75, place=_grid(seen, shape), colour=tuple(map(float, np.clip(colour, 0, 1))),
        waves=waves, level=0.16, dim=0.0,
    )  # fmt: skip


def _grid(plane: np.ndarray, shape) -> Grid:
    return Grid.of(np.clip(cv2.resize(plane.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA), 0, 1))
