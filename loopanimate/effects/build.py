"""From effects that words or hands ask for to what is drawn over a view of a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import cv2
import numpy as np

from loopanimate.effects.data import CURVE, LIES, Effect, Frozen, Grid, Lamp, Overlay, Rays, Rows, Track, grid_shape
from loopanimate.effects.light import FOUND_SIDE, make_lamps, make_rays, make_sparks
from loopanimate.effects.state import COVER, GAIN, SHAPES, SPRITE, TAU, find_beams, smooth, sprites_at
from loopanimate.effects.weather import LOOKS, light_of, make_caustics, make_fog, make_particles, make_strikes

PLACE_SIDE = 512  # pixels on the long side of the places of effects, and of the object that they pass behind
WHOLE = (0.0, 0.0, 1.0, 1.0)  # left, top, right, bottom in shares of a picture
EVEN = 0.006  # share of its mean by which a picture may get brighter or darker before all of it is dimmed or lit for it
MOST_HIDING = 4  # planes that a texture of the living page holds; a place beyond them is all over
LEAST_STRUCK = 0.01  # share of the picture that is seen to be struck at least
SAMPLES = 6 * 5 * 4  # times of a loop, radii and ways in which a thing in the air is looked at
RIM, OPEN = 0.4, 0.5  # shares of a place's height and width, the lesser of which is how far down from its top steam rises
SEEN_SIDE = 192  # pixels on the short side of the picture in which light is measured


@dataclass(frozen=True)
class Placed:
    """An effect and where it is."""

    effect: Effect
    # (h, w) uint8 of the whole picture, small: where light is, or what weather is seen through; None: where the picture has
    # it, or all over
    place: np.ndarray | None = None
    strikes: Mapping[str, np.ndarray] = field(default_factory=dict)  # names of STRIKES → places, where drops are seen to strike


def shrink_place(mask: np.ndarray, side: int = PLACE_SIDE) -> np.ndarray:
    """A mask (H, W) in [0, 1] as a place, of at most so many pixels on its long side."""
    scale = min(1.0, side / max(mask.shape))
    return np.rint(255 * cv2.resize(mask.astype(np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)).astype(
        np.uint8
    )


def cut_place(place: np.ndarray, part: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """A part of a place (left, top, right, bottom in shares of it) at a size (width, height), float32 in [0, 1]."""
    height, width = place.shape
    left, top, right, bottom = (share * side for share, side in zip(part, (width, height) * 2))
    across, down = (right - left) / size[0], (bottom - top) / size[1]
    moved = np.array([[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shrunk = cv2.blur(place, (max(1, round(across)), max(1, round(down))))
    return cv2.warpAffine(shrunk, moved, size, flags=flags, borderMode=cv2.BORDER_REPLICATE).astype(np.float32) / np.float32(
        255
    )


def build(
    placed: Sequence[Placed],
    picture: np.ndarray,
    part: tuple[float, float, float, float],
    front: np.ndarray | None,
    seconds: float,
    seed: int,
    near: np.ndarray | None = None,
    tracks: tuple[Track, ...] = (),
) -> Overlay:
    """
    Args:
        picture: (H, W, 3) uint8, as it is shown.
        part: left, top, right and bottom of what is shown, in shares of the whole picture.
        front: (h, w) uint8 of the whole picture, small: the object that things pass behind; None: there is none.
        seconds: a loop's.
        near: (h, w) in [0, 1], inverse depth of what is shown, small; None: not known, so all is far.
        tracks: of the cameras that move before it.
    """
    height, width = picture.shape[:2]
    short = min(height, width)
    size = width / short, height / short
    seen = _shrink(picture, SEEN_SIDE)
    parts: dict[str, list[Frozen]] = {"lamps": [], "rays": [], "fogs": [], "caustics": [], "sparks": [], "particles": []}
    hidden = front is not None and front.max() > 0
    hiding = [_cut_small(front, part)] if hidden else []
    for index, each in enumerate(placed):
        if each.effect.amount <= 0:
            continue
        plane = 0
        row = LOOKS.get(each.effect.look)
        if each.place is not None and row and not row.source and len(hiding) < MOST_HIDING:
            outside = 1 - _cut_small(each.place, part)
            hiding.append(outside if each.effect.side == "before" or not hidden else np.maximum(outside, hiding[0]))
            plane = len(hiding)
        for name, drawn in _make(each, picture, seen, part, size, seconds, seed + index, front if hidden else None):
            parts[name].append(drawn.behind(plane) if name == "particles" and (plane or not hidden) else drawn)
    planes = tuple(map(Grid.of, hiding))
    depth = near if near is not None else np.zeros((2, 2), np.float32)
    overlay = Overlay(
        width=size[0], height=size[1], hiding=planes, hiding_near=tuple(_mean_near(depth, plane) for plane in planes),
        tracks=tracks, **{name: tuple(_lay(each, depth, size) for each in drawn) for name, drawn in parts.items()},
    )  # fmt: skip
    is_all_over = len(hiding) == hidden and all(each.effect.side == "both" for each in placed)
    excess = _excess(overlay, seen) if is_all_over else 0.0  # what has a place or a side leaves the rest as it is
    if abs(excess) < EVEN:
        return overlay
    everywhere = Grid.of(np.ones(grid_shape(*size), np.float32))
    evened = Lamp(place=everywhere, colour=(0, 0, 0), curve=(0.0,) * CURVE, tint=(-2 * excess,) * 3)  # of roots, half as much
    return overlay.model_copy(update={"lamps": (*overlay.lamps, evened)})


def _lay(drawn: Frozen, near: np.ndarray, size: tuple[float, float]) -> Frozen:
    """What is drawn at the depth of what it lies on; things in the air keep their own."""

    def read(x, y):
        rows, columns = (np.clip(at / side, 0, 0.999) * cells for at, side, cells in zip((y, x), size[::-1], near.shape))
        return near[rows.astype(int), columns.astype(int)]

    if isinstance(drawn, Rows):
        table = np.array(drawn.rows)
        table[:, -1] = np.where(table[:, -1] == LIES, read(*table[:, :2].T), table[:, -1])
        return drawn.model_copy(update={"rows": tuple(map(tuple, table.tolist()))})
    depth = read(*np.array([[drawn.x, drawn.y]]).T)[0] if isinstance(drawn, Rays) else _mean_near(near, drawn.place)
    return drawn.model_copy(update={"near": float(depth)})


def _mean_near(near: np.ndarray, place: Grid) -> float:
    """The mean inverse depth of a place, or of what is not hidden."""
    weight = cv2.resize(place.plane(), near.shape[::-1], interpolation=cv2.INTER_AREA) ** 2 + 1e-9
    return float((near * weight).sum() / weight.sum())


def _excess(overlay: Overlay, seen: np.ndarray) -> float:
    """By what share of the picture's mean the round things in the air, which are most of them, brighten it over a loop."""
    light, (width, height), added, covered = np.square(seen), (overlay.width, overlay.height), [], []
    for time in np.arange(6) / 6:
        sprites = sprites_at(overlay, time, 1.0)
        sprites = sprites[(sprites[:, SPRITE.index("shape")] == SHAPES["disc"]) & (sprites[:, SPRITE.index("mode")] != GAIN)]
        x, y, cos, sin, length, wide, mode, soft, share = (
            sprites[:, SPRITE.index(name)]
            for name in ("x", "y", "along_x", "along_y", "length", "width", "mode", "soft", "share")
        )
        own = sprites[:, SPRITE.index("r") : SPRITE.index("b") + 1]
        for away, way in product(np.sqrt(np.arange(0.1, 1, 0.2)), TAU * np.arange(4) / 4):  # of the radius, by equal areas
            along, across = away * length * np.cos(way), away * wide * np.sin(way)
            over, down = (x + along * cos - across * sin) / width, (y + along * sin + across * cos) / height
            inside = (np.abs(over - 0.5) < 0.5) & (np.abs(down - 0.5) < 0.5)
            rows, columns = (np.clip(at * cells, 0, cells - 1).astype(int) for at, cells in zip((down, over), light.shape))
            under, here = light[rows, columns], (share * smooth(np.minimum(1, (1 - away) / soft)))[:, None]
            after = under * (1 - here * (mode == COVER)[:, None]) + own * here
            change = (np.sqrt(np.clip(after, 0, 1)) - np.sqrt(under)).mean(1)
            area = inside * np.pi * length * wide / (width * height)
            added.append(float((area * change).sum()))
            covered.append(float((area * here[:, 0] * (mode == COVER)).sum()))
    covers = np.sum(covered) / SAMPLES
    overlap = -np.expm1(-covers) / max(covers, 1e-6) if covers else 1.0  # what lies over each other by chance covers less
    return float(overlap * np.sum(added) / SAMPLES / max(seen.mean(), 1e-3))


def _cut_small(place: np.ndarray, part: tuple[float, float, float, float]) -> np.ndarray:
    """A part of a place as fine as the place."""
    across, down = ((end - start) * side for start, end, side in zip(part[:2], part[2:], place.shape[::-1]))
    return cut_place(place, part, (max(1, round(across)), max(1, round(down))))


def _shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """(h, w, 3) float32 in [0, 1] with at most `side` pixels on the short side."""
    scale = side / min(picture.shape[:2])
    size = [max(1, round(length * scale)) for length in picture.shape[1::-1]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=way).astype(np.float32) / np.float32(255)


def _make(placed: Placed, picture, seen, part, size, seconds, seed, front):
    """Names of an Overlay's fields and what goes there."""
    effect, shape = placed.effect, grid_shape(*size)
    look, light = effect.look, light_of(seen)

    def place(like: np.ndarray, given: np.ndarray | None = placed.place) -> np.ndarray | None:
        return None if given is None else cut_place(given, part, like.shape[1::-1])

    if look in LOOKS:
        yield "particles", make_particles(effect, size, seconds, seed, light, source_of(look, seen, place(seen)))
        for kind, given in placed.strikes.items():
            where = place(seen, given) * (1 if front is None else 1 - place(seen, front))
            if (where > 0.5).mean() > LEAST_STRUCK:
                yield "particles", make_strikes(kind, where**2, effect.amount, size, seconds, seed, light)
    elif look in ("fog", "caustics"):
        # single pixels: means have less contrast, and fog brightens what is black the most
        small = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.float32) / np.float32(255)
        if look == "caustics":
            yield "caustics", make_caustics(effect, small, place(small), seconds, seed)
            return
        hidden = None if front is None else place(small, front)
        yield "fogs", make_fog(effect, small, place(small), hidden, seconds, seed)
    elif look == "rays":
        yield "rays", balance(make_rays(effect, seen, place(seen), shape, size, seed), picture, size).times(effect.amount)
    elif look in ("twinkle", "sparkle"):
        found = _shrink(picture, FOUND_SIDE)
        sparks = make_sparks(effect, found, place(found), seed)
        if sparks:
            yield "sparks", sparks.times(effect.amount)
    else:
        lit = effect.model_copy(update={"look": "firelight"}) if look == "fire" else effect
        for lamp in make_lamps(lit, seen, place(seen), shape, seconds, seed):
            yield "lamps", lamp
        if look == "fire":
            rising, source = effect.model_copy(update={"look": "embers"}), source_of("embers", seen, place(seen))
            yield "particles", make_particles(rising, size, seconds, seed, light, source)


def source_of(look: str, seen: np.ndarray, place: np.ndarray | None) -> np.ndarray | None:
    """(h, w) where things of a look begin; None: anywhere."""
    kind = LOOKS[look].source
    if kind == "warm":
        light = seen[..., 0] ** 2 * np.clip(3 * (seen[..., 0] - seen[..., 2]), 0, 1)
        source = light * (1 if place is None or place.max() <= 0 else place)
        source = np.where(source > 0.5 * source.max(), source, 0)
        return source if source.max() > 0.1 else None
    if kind == "rim" and place is not None and place.max() > 0.5:
        inside = place > 0.5
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        inside[rows[0] + max(1, round(min(RIM * len(rows), OPEN * len(columns)))) :] = False
        return inside.astype(np.float32)
    return None


def balance(rays: Rays, picture: np.ndarray, size) -> Rays:
    """Rays that take from all of the picture what they add, so that it stays as bright as it is."""
    grid = grid_shape(*size)
    whole = Overlay(width=size[0], height=size[1])
    beams = [rays.level * rays.place.plane() * find_beams(rays, grid, whole, time) for time in (0.0, 0.25, 0.5, 0.75)]
    light = np.square(cv2.resize(picture, grid[::-1], interpolation=cv2.INTER_NEAREST) / np.float32(255))
    added, wanted = np.stack(beams)[..., None] * np.square(rays.colour), np.sqrt(light).mean()
    dims = np.linspace(0, 0.4, 41)
    means = [np.sqrt(np.clip(light * (1 - dim) + added, 0, 1)).mean() for dim in dims]
    return rays.model_copy(update={"dim": float(dims[np.argmin(np.abs(np.array(means) - wanted))])})
