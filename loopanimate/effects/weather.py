"""Weather: what falls, drifts and rises in the air, and fog."""

from collections.abc import Callable
from typing import Literal
from zlib import crc32

import numpy as np
from pydantic import Field

from loopanimate.effects.data import LIES, STRONGEST, Caustics, Effect, Fog, Frozen, Grid, Overlay, Particles
from loopanimate.effects.names import Colour
from loopanimate.effects.state import find_ridges, find_thickness

Pair = tuple[float, float]  # of the farthest and of the nearest


class Look(Frozen):
    """A kind of thing in the air. Far ones are small, slow and sharp, near ones large, fast and blurred."""

    count: int  # on a view of 16:9, at amount 1
    radius: Pair  # short sides
    speed: Pair  # short sides a second
    heading: float | None = 90  # degrees, x right and y down, that it goes without wind; None: each its own way
    spread: float = 8  # degrees, of headings
    wind: float = 0.6  # tangent of the slant at a plain wind
    ratio: Pair = (1, 1)  # least and most of width over length
    along: bool = False  # its length lies along its path, on which it falls through all of the picture
    sway: Pair = (0, 0)  # short sides beside its path
    swing: tuple[int, int] = (1, 3)  # times a loop of that, least and most
    spin: int = 0  # turns a loop in the picture, at most
    tumble: tuple[int, int] = (0, 0)  # turns a loop out of the picture
    blink: tuple[int, int] = (0, 0)
    opacity: Pair = (0.9, 0.5)
    soft: Pair = (1, 1)
    nearness: float = Field(3, description="exponent: how rare near ones are")
    shape: str = "disc"
    adds: bool = False
    lit: float = 0.75  # how much darker it is in a dark picture: an exponent, 0 for what shines
    colours: tuple[Colour, ...] = ((1, 1, 1),)
    grow: float = 0  # share of its size that comes on its way, while as much of it thins out
    source: Literal["", "warm", "rim"] = ""  # of its place, what it begins at: what is warm and bright, or the upper rim


WHITE, SLATE = (0.97, 0.98, 1.0), (0.82, 0.87, 0.93)
LOOKS = {
    "snow": Look(
        count=340, lit=1, radius=(0.0024, 0.016), speed=(0.05, 0.34), sway=(0.004, 0.03), opacity=(0.95, 0.5), soft=(0.8, 1),
        nearness=3.2, colours=(WHITE,),
    ),
    "rain": Look(
        count=360, lit=1, radius=(0.016, 0.15), speed=(1.1, 3.6), spread=1.5, wind=0.35, ratio=(0.014, 0.021), along=True,
        opacity=(0.4, 0.18), soft=(0.7, 1), nearness=2.8, colours=(SLATE,),
    ),
    "drizzle": Look(
        count=420, lit=1, radius=(0.009, 0.032), speed=(0.7, 1.3), spread=2, wind=0.35, ratio=(0.05, 0.06), along=True,
        opacity=(0.34, 0.3), nearness=2, colours=(SLATE,),
    ),
    "petals": Look(
        count=70, radius=(0.009, 0.032), speed=(0.07, 0.3), spread=16, wind=1.0, ratio=(0.62, 0.8), sway=(0.015, 0.05),
        spin=2, tumble=(1, 4), opacity=(0.95, 0.8), soft=(0.22, 0.75), nearness=2.5, shape="petal",
        colours=((1.0, 0.80, 0.86), (0.99, 0.72, 0.80), (1.0, 0.90, 0.93)),
    ),
    "leaves": Look(
        count=38, radius=(0.014, 0.045), speed=(0.08, 0.34), spread=16, wind=1.0, ratio=(0.42, 0.58), sway=(0.02, 0.07),
        spin=2, tumble=(1, 3), opacity=(0.97, 0.85), soft=(0.14, 0.6), nearness=2.2, shape="leaf",
        colours=((0.79, 0.45, 0.12), (0.68, 0.27, 0.10), (0.86, 0.63, 0.20), (0.52, 0.36, 0.14)),
    ),
    "dust": Look(
        count=220, radius=(0.0016, 0.011), speed=(0.01, 0.06), heading=None, sway=(0.004, 0.02), opacity=(0.75, 0.22),
        nearness=4, adds=True, colours=((1.0, 0.93, 0.80),),
    ),
    "fireflies": Look(
        count=26, radius=(0.010, 0.02), speed=(0.02, 0.08), heading=None, sway=(0.01, 0.05), blink=(1, 2),
        opacity=(1.5, 1.2), nearness=1.5, adds=True, lit=0, colours=((0.86, 1.0, 0.42), (1.0, 0.92, 0.40)),
    ),
    "embers": Look(
        count=260, radius=(0.003, 0.011), speed=(0.1, 0.4), heading=270, spread=24, wind=0.5, sway=(0.006, 0.035),
        blink=(2, 7), opacity=(1.6, 1.4), nearness=3, adds=True, lit=0, source="warm",
        colours=((1.0, 0.62, 0.22), (1.0, 0.45, 0.14), (1.0, 0.78, 0.40)),
    ),
    "bubbles": Look(
        count=34, radius=(0.007, 0.034), speed=(0.04, 0.16), heading=270, spread=12, wind=0.4, sway=(0.008, 0.03),
        opacity=(0.6, 0.5), soft=(0.2, 0.3), nearness=2.5, shape="bubble", adds=True, colours=((0.80, 0.92, 1.0), (0.95, 0.88, 1.0)),
    ),
    "confetti": Look(
        count=210, radius=(0.007, 0.021), speed=(0.15, 0.45), spread=12, ratio=(0.45, 0.7), sway=(0.01, 0.04), spin=3,
        tumble=(2, 6), opacity=(0.95, 0.85), soft=(0.25, 0.6), nearness=2, shape="petal",
        colours=((0.93, 0.27, 0.32), (0.98, 0.79, 0.22), (0.24, 0.60, 0.91), (0.30, 0.76, 0.45), (0.80, 0.42, 0.86)),
    ),
    "feathers": Look(
        count=30, radius=(0.018, 0.055), speed=(0.04, 0.12), spread=20, wind=1.0, ratio=(0.26, 0.34), sway=(0.04, 0.1), spin=1,
        tumble=(1, 2), opacity=(0.9, 0.75), soft=(0.5, 0.9), nearness=2, shape="leaf", colours=(WHITE,),
    ),
    "ash": Look(
        count=260, radius=(0.0026, 0.014), speed=(0.04, 0.16), spread=25, sway=(0.006, 0.03), tumble=(0, 3), opacity=(0.9, 0.5),
        nearness=3, colours=((0.45, 0.43, 0.42), (0.62, 0.60, 0.58)),
    ),
}  # fmt: skip
LOOKS["steam"] = Look(
    count=150, radius=(0.07, 0.15), speed=(0.06, 0.13), heading=270, spread=6, wind=0.6, ratio=(0.45, 0.8), spin=1,
    sway=(0.01, 0.03), swing=(1, 2), opacity=(0.28, 0.2), nearness=1.2, grow=0.65, source="rim", colours=(WHITE,),
)  # fmt: skip
LOOKS["smoke"] = LOOKS["steam"].model_copy(
    update={
        "count": 190,
        "lit": 1.6,
        "radius": (0.08, 0.18),
        "speed": (0.07, 0.15),
        "opacity": (0.36, 0.27),
        "colours": ((0.74, 0.73, 0.72),),
    }
)
LOOKS["roses"] = LOOKS["petals"].model_copy(update={"colours": ((0.80, 0.10, 0.16), (0.66, 0.06, 0.12), (0.90, 0.22, 0.26))})
STRIKES = {  # what drops do where they strike: how many, half their size far and near, seconds, and how much of them there is
    "water": (240, (0.005, 0.042), 0.9, 0.75),
    "ground": (240, (0.002, 0.011), 0.4, 0.8),
}
FLAT = (0.2, 0.38)  # height over width of a ring on the ground, far and near
DARK, LIGHTER = 0.27, 1.45  # how light white things are in the dark, and how much lighter a mean byte of the picture makes them
MARGIN = 0.02  # short sides beyond the picture and the thing itself, where its path begins
SHORT = 0.7  # share of a whole way across in a loop from which a thing goes across; a slower one appears and goes
FADE = 0.22  # share of its path in which it does
CAUSTICS, CAUSTICS_SPEED = 0.7, 0.03  # how much brighter the brightest line is, as a share; short sides a second
FOG_DENSITY, FOG_SPEED = 0.56, 0.05  # share at its thickest; short sides a second
FOG_DIM = 0.2  # most light that it keeps out


def random_of(seed: int, look: str) -> np.random.Generator:
    """Numbers of a look's own."""
    return np.random.default_rng([seed, crc32(look.encode())])


def light_of(picture: np.ndarray) -> float:
    """How light white things are before a picture (h, w, 3) in [0, 1]."""
    return min(1.0, round(DARK + LIGHTER * float(picture.mean()), 2))


def make_particles(effect: Effect, size: Pair, seconds: float, seed: int, light: float, source: np.ndarray | None) -> Particles:
    """
    Args:
        size: width and height of the view in short sides. seconds: a loop's. light: of `light_of`.
        source: (h, w) how likely they begin at each place; None: anywhere.
    """
    row, random = LOOKS[effect.look], random_of(seed, effect.look)
    count = max(2, round(STRONGEST * effect.amount * row.count * min(1.6, max(size) / min(size)) / (16 / 9)))
    table, places = [], _places(random, count, size, source)
    colours = _shades(effect.colours) or row.colours
    for index in range(count):
        near = ((index * 0.6180339887 + random.uniform(0, 0.2)) % 1) ** row.nearness  # evenly spread, whatever the amount
        radius, speed, opacity, soft, sway = (
            far + (close - far) * near for far, close in (row.radius, row.speed, row.opacity, row.soft, row.sway)
        )
        ratio, way = random.uniform(*row.ratio), np.deg2rad(_way(row, random, effect.heading))
        direction = np.array([np.cos(way), np.sin(way)])
        speed *= effect.pace * random.uniform(0.85, 1.15)
        if row.along:
            path, passes, fade = *_fall(places[index], direction, speed * seconds, radius + MARGIN, size), 0.0
        else:
            margin = radius + sway + MARGIN
            path, passes, fade = _path(places[index], direction, speed * seconds, margin, size, source is not None)
        behind = {"both": near < 0.45 and random.random() < 0.7, "behind": True, "before": False}[effect.side]
        table.append((
            *path, passes, random.random(), 1, row.along, fade, row.grow, sway * random.uniform(0.6, 1),
            random.integers(row.swing[0], row.swing[1] + 1),
            random.random(), radius * random.uniform(0.85, 1.15), ratio, way if row.along else random.uniform(0, 2 * np.pi),
            random.integers(1, row.spin + 1) * random.choice((-1, 1)) if row.spin else 0,
            random.integers(row.tumble[0], row.tumble[1] + 1), random.integers(row.blink[0], row.blink[1] + 1),
            opacity * random.uniform(0.75, 1), soft, random.integers(len(colours)), behind, near if source is None else LIES,
        ))  # fmt: skip
    return Particles(rows=tuple(table), shape=row.shape, adds=row.adds, colours=_light(colours, light**row.lit))


def _shades(colours: tuple[Colour, ...]) -> tuple[Colour, ...]:
    """Each colour, a darker and a paler one."""
    return tuple(
        tuple(value * kept + more for value in colour) for colour in colours for kept, more in ((1, 0), (0.84, 0), (0.8, 0.2))
    )


def _light(colours: tuple[Colour, ...], light: float) -> tuple[Colour, ...]:
    return tuple(tuple(light * value for value in colour) for colour in colours)


def make_strikes(kind: str, place: np.ndarray, amount: float, size: Pair, seconds: float, seed: int, light: float) -> Particles:
    """Rings and splashes of rain that falls on a kind of STRIKES; place: (h, w), where that is."""
    (most, radius, lasting, opacity), random = STRIKES[kind], random_of(seed, kind)
    count = max(2, round(STRONGEST * amount * most * min(1.0, 3 * place.mean())))  # as densely on a puddle as on the sea
    places, lines = _places(random, count, size, place), np.flatnonzero(place.max(1) > 0.5 * place.max()) / len(place) * size[1]
    table = []
    for x, y in places:
        near = np.clip((y - lines[0]) / max(size[1] - lines[0], 1e-3), 0, 1)  # the ground comes nearer down the picture
        half, flat = (far + (close - far) * near for far, close in (radius, FLAT))
        table.append((
            x, y, x, y, 1, random.random(), lasting / seconds * random.uniform(0.7, 1), 0, 0.12, 0.85, 0, 1, 0,
            half * random.uniform(0.7, 1.2), flat, 0, 0, 0, 0, opacity * random.uniform(0.5, 1), 0.22, 0, 0, LIES,
        ))  # fmt: skip
    return Particles(rows=tuple(table), shape="ring", adds=False, colours=_light((SLATE,), light))


def _way(row: Look, random: np.random.Generator, heading: float | None) -> float:
    """The heading of one of them, in degrees."""
    if row.heading is None:
        return random.uniform(0, 360) if heading is None else heading + random.normal(0, 25)
    slant = 0.0 if heading is None else row.wind * np.cos(np.deg2rad(heading))
    up = -1 if row.heading == 270 else 1
    if heading is not None and np.sin(np.deg2rad(heading)) * up < -0.5:  # against its nature: embers that fall
        up = -up
    return float(np.rad2deg(np.arctan2(up, slant))) + random.normal(0, row.spread)


def _places(random: np.random.Generator, count: int, size: Pair, source: np.ndarray | None) -> np.ndarray:
    """(count, 2) places in short sides."""
    if source is None or source.max() <= 0:
        return random.uniform(0, 1, (count, 2)) * size
    cells = random.choice(source.size, count, p=(source / source.sum()).ravel())
    rows, columns = np.unravel_index(cells, source.shape)
    jitter = random.uniform(0, 1, (count, 2))
    return (np.stack([columns, rows], 1) + jitter) / source.shape[::-1] * size


def _path(place, direction, length: float, margin: float, size: Pair, begins: bool) -> tuple[tuple[float, ...], int, float]:
    """Start and end, times a loop, and share of it at either end in which the thing appears and goes.

    It goes from beyond one border to beyond another, or where it is too slow for that in a loop, only a part of the way.
    begins: it starts where its place is.
    """
    if begins:
        return (*place, *(place + direction * length)), 1, FADE
    ahead, back = (min(_beyond(place, sign * direction, margin, size), 9.0) for sign in (1, -1))
    whole = ahead + back
    if length < SHORT * whole:
        return (*(place - direction * length / 2), *(place + direction * length / 2)), 1, FADE
    return (*(place - direction * back), *(place + direction * ahead)), max(1, round(length / whole)), 0.0


def _fall(place, direction, length: float, margin: float, size: Pair) -> tuple[tuple[float, ...], int]:
    """Start and end above and below the picture, and times a loop."""
    above, below = ((side - place[1]) / direction[1] for side in (-margin, size[1] + margin))
    return (*(place + above * direction), *(place + below * direction)), max(1, round(length / (below - above)))


def _beyond(place, direction, margin: float, size: Pair) -> float:
    """How far it is from a place to where its border is passed."""
    ways = [
        ((side + margin if step > 0 else -margin) - at) / step
        for at, step, side in zip(place, direction, size)
        if abs(step) > 1e-6
    ]
    return max(0.0, min(ways))


def make_fog(effect: Effect, picture: np.ndarray, place: np.ndarray | None, front: np.ndarray | None, seconds, seed) -> Fog:
    """Fog that is lit as the picture is without its lamps, and keeps out of it what light it adds, so that night stays night.

    Args:
        picture: (rows, columns, 3) in [0, 1].
        place: (rows, columns) in [0, 1], where it is; None: all over, thicker below the middle.
        front: (rows, columns) in [0, 1], the object in front.
    """
    rows, columns, _ = picture.shape
    if place is None:
        down = (np.arange(rows) + 0.5) / rows
        place = np.repeat((0.45 + 0.55 * np.exp(-(((down - 0.72) / 0.3) ** 2)))[:, None], columns, 1)
    hidden = 0.0 if front is None else {"both": 0.7, "behind": 1.0, "before": 0.0}[effect.side]
    way = np.deg2rad(0 if effect.heading is None else effect.heading)
    drift = FOG_SPEED * effect.pace * seconds * np.array([np.cos(way), 0.5 * np.sin(way)])
    light, total = picture**2, (picture**2).sum(2)
    low, high = np.quantile(total, (0.5, 0.9))
    colour = np.sqrt(light[(total >= low) & (total <= high)].mean(0))
    colour = np.array(effect.colours).mean(0) if effect.colours else 0.6 * colour + 0.4 * colour.mean()
    fog = Fog(
        place=Grid.of(np.clip(place, 0, 1)), colour=(0, 0, 0), drift=tuple(map(float, drift)), density=effect.amount * FOG_DENSITY,
        behind=hidden, dim=0, seed=int(random_of(seed, "fog").integers(1000)),
    )  # fmt: skip
    view = Overlay(width=columns / min(rows, columns), height=rows / min(rows, columns))
    thick = np.stack([np.clip(find_thickness(fog, (rows, columns), view, time), 0, 1) for time in (0.1, 0.35, 0.6, 0.85)])
    veil = np.minimum(fog.density * place * thick, 0.9) * (1 if front is None else 1 - hidden * front)
    veil = veil[..., None]  # (times, rows, columns, 1)

    def brightens(dim: float, scale: float) -> bool:
        after = light * (1 - veil) * (1 - dim) + np.square(np.minimum(scale * colour, 1)) * veil
        return np.sqrt(np.minimum(after, 1)).mean() > picture.mean()

    dim = bisect(lambda dim: not brightens(dim, 1.0), FOG_DIM)
    colour = np.minimum(bisect(lambda scale: brightens(dim, scale), 1 / colour.max()) * colour, 1)
    return fog.model_copy(update={"colour": tuple(map(float, colour)), "dim": dim})


def make_caustics(effect: Effect, picture: np.ndarray, place: np.ndarray | None, seconds: float, seed: int) -> Caustics:
    """picture: (rows, columns, 3) in [0, 1]. place: (rows, columns) in [0, 1]; None: all over."""
    rows, columns, _ = picture.shape
    place = np.ones((rows, columns)) if place is None else place
    way = np.deg2rad(20 if effect.heading is None else effect.heading)
    drift = CAUSTICS_SPEED * effect.pace * seconds * np.array([np.cos(way), np.sin(way)])
    net = Caustics(
        place=Grid.of(np.clip(place, 0, 1)), drift=tuple(map(float, drift)), level=CAUSTICS * effect.amount, mean=0,
        seed=int(random_of(seed, "caustics").integers(1000)),
    )  # fmt: skip
    view = Overlay(width=columns / min(rows, columns), height=rows / min(rows, columns))
    bright = np.stack([find_ridges(net, (rows, columns), view, time) for time in (0.1, 0.35, 0.6, 0.85)])[..., None]
    light, reach = picture**2, net.level * place[..., None]

    def brightens(mean: float) -> bool:
        return np.sqrt(np.clip(light * (1 + reach * (bright - mean)), 0, 1)).mean() < picture.mean()

    return net.model_copy(update={"mean": bisect(brightens, 1.0)})


def bisect(is_above: Callable[[float], bool], most: float) -> float:
    """The number in [0, most] from which something is so."""
    low, high = 0.0, float(most)
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if is_above(middle) else (middle, high)
    return high
