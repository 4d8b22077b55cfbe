"""What is drawn over a loop's frames, as plain data: two renderers, in Python and in the living page, draw the same of it.

Lengths are in short sides of what is shown, x to the right and y down from its left top; times are in loops, and everything
goes through whole cycles in one. Light is the square of a byte: within a tenth of sRGB's curve, and the same everywhere.
"""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator

from loopanimate.effects.names import Colour, looks

CELLS = 96  # of the grid of light and fog, along the short side
CURVE = 240  # levels of a light in one loop, linear between: more than the frames of any export's second
STRONGEST = 2.0  # largest factor on an effect's amount

COLUMNS = (  # of a particle
    *("start_x", "start_y", "end_x", "end_y"),  # its path, gone through `passes` times a loop
    # span: share of a pass that it takes; for the rest of it, it is not there; lanes: 1: each pass is beside the one before
    *("passes", "phase", "span", "lanes"),
    *("fade", "grow"),  # shares of the path at either end in which it appears and goes, and of its size that comes on the way
    *("sway", "swing", "swing_phase"),  # beside the path, `swing` times a loop
    *("radius", "ratio"),  # half its length; its width over its length
    *("angle", "spin", "tumble"),  # of its length, radians; turns in the picture, and out of it, a loop
    *("blink", "opacity", "soft", "colour", "behind"),  # soft: share of the radius that its edge takes; colour: which one;
    # behind: the number of the plane that hides it, 0 for none
    "near",  # inverse depth, by which a camera moves it; LIES, until it is known: that of what it lies on
)
LIES = -1.0
SPARKS = ("x", "y", "radius", "level", "cycles", "phase", "cycles2", "phase2", "sharp", "flare", "red", "green", "blue", "near")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Effect(Frozen):
    """An effect as it is asked for."""

    look: str  # of looks.tsv
    amount: float = 1.0
    heading: float | None = None  # degrees, x right and y down
    pace: float = 1.0  # factor
    side: Literal["both", "behind", "before"] = "both"  # of the object in front
    colours: tuple[Colour, ...] = ()  # none: its own

    @property
    def name(self) -> str:
        return looks()[self.look].effect


class Grid(Frozen):
    """A smooth plane of the whole view, (rows, columns) of bytes."""

    rows: int
    columns: int
    values: bytes

    @classmethod
    def of(cls, plane: np.ndarray) -> "Grid":
        """plane: (h, w) in [0, 1]."""
        return cls(rows=plane.shape[0], columns=plane.shape[1], values=np.rint(plane * 255).astype(np.uint8).tobytes())

    def plane(self) -> np.ndarray:
        """(h, w) float32 in [0, 1]."""
        return np.frombuffer(self.values, np.uint8).reshape(self.rows, self.columns).astype(np.float32) / np.float32(255)


class Rows(Frozen):
    """A table: rows of as many numbers as there are names."""

    rows: tuple[tuple[float, ...], ...]

    @field_validator("rows", mode="before")
    @classmethod
    def _round(cls, rows):
        """Half a hundred-thousandth is a tenth of a pixel at 8K."""
        return tuple(tuple(round(float(number), 5) for number in row) for row in rows)


class Track(Rows):
    """A camera's path: what lies at inverse depth D is shown at centre + zoom * (place - centre + shift).

    Zoom and shift lie evenly between those of the farthest, D = 0, and of the nearest, D = 1. A row, of CURVE in a loop, is the
    zoom of the farthest and of the nearest, then their shifts in x, and in y.
    """

    centre: tuple[float, float]


class Particles(Rows):
    """Things in the air. At amount 1 the first half of the rows is shown, at 2 all of them."""

    shape: Literal["disc", "petal", "leaf", "bubble", "ring"]
    adds: bool  # it is light, and covers nothing
    colours: tuple[Colour, ...]

    def behind(self, plane: int) -> "Particles":
        """The same, all of them behind a plane of an Overlay's `hiding`."""
        rows = np.array(self.rows)
        rows[:, COLUMNS.index("behind")] = plane
        return self.model_copy(update={"rows": tuple(map(tuple, rows))})


class Sparks(Rows):
    """Points of a picture that brighten and darken, each with a star of light while it is bright."""

    def times(self, amount: float) -> "Sparks":
        level, flare = SPARKS.index("level"), SPARKS.index("flare")
        rows = np.array(self.rows)
        rows[:, [level, flare]] *= amount
        return Sparks(rows=rows)


class Lamp(Frozen):
    """A place whose light changes: it is multiplied by 1 + place * (level * colour + tint)."""

    place: Grid
    colour: Colour
    curve: tuple[float, ...]  # CURVE levels
    near: float = 0.0  # inverse depth
    tint: Colour = (0.0, 0.0, 0.0)  # of either sign: another colour, and what keeps the picture as bright as it is

    @field_validator("curve", mode="before")
    @classmethod
    def _round(cls, curve):
        return tuple(round(float(level), 4) for level in curve)


class Rays(Frozen):
    """Beams out of one point: light added where the place is, beside which all of it is dimmed by what that brings."""

    x: float
    y: float
    reach: float
    place: Grid
    colour: Colour
    waves: tuple[tuple[float, float, float, float], ...]  # around the point: count, cycles a loop, phase, share
    level: float
    dim: float
    near: float = 0.0

    def times(self, amount: float) -> "Rays":
        return self.model_copy(update={"level": amount * self.level, "dim": amount * self.dim})


class Fog(Frozen):
    """Drifting fog: octaves of noise, each shown at two phases that are cross-faded, so that it drifts slowly and closes."""

    place: Grid
    colour: Colour
    drift: tuple[float, float]  # a cross-fade
    density: float
    behind: float  # share that the object in front hides
    dim: float  # share of all light that the fog keeps out, which is what it adds where it is
    seed: int
    near: float = 0.0


class Caustics(Frozen):
    """A net of light on what is under water: ridges of noise that drift and change as a fog's do; light is multiplied."""

    place: Grid
    drift: tuple[float, float]
    level: float
    mean: float  # of the ridges where it is, which is taken away, so that the place stays as bright as it is
    seed: int
    near: float = 0.0


class Overlay(Frozen):
    """All that is drawn over a view."""

    width: float
    height: float
    hiding: tuple[Grid, ...] = ()  # planes that hide things, by numbers from 1: the object in front, if any; beyond a place
    hiding_near: tuple[float, ...] = ()  # inverse depth of each
    tracks: tuple[Track, ...] = ()
    lamps: tuple[Lamp, ...] = ()
    rays: tuple[Rays, ...] = ()
    fogs: tuple[Fog, ...] = ()
    caustics: tuple[Caustics, ...] = ()
    sparks: tuple[Sparks, ...] = ()
    particles: tuple[Particles, ...] = ()

    @property
    def has_air(self) -> bool:
        """Whether it changes more than what sprites cover."""
        return bool(self.lamps or self.rays or self.fogs or self.caustics)

    def __bool__(self) -> bool:
        return bool(self.has_air or self.sparks or self.particles)


def grid_shape(width: float, height: float) -> tuple[int, int]:
    """(rows, columns) of the grid of light and fog over a view of that size."""
    short = min(width, height)
    return max(2, round(CELLS * height / short)), max(2, round(CELLS * width / short))
