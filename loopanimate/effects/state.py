"""What an overlay is at one time: sprites, and a grid of light and fog (living_page/effects.js does the same)."""

from collections.abc import Sequence

import numpy as np

from loopanimate.effects.data import CURVE, Caustics, Fog, Grid, Overlay, Particles, Rays, Sparks, Track, grid_shape

SHAPES = {"disc": 0, "petal": 1, "leaf": 2, "bubble": 3, "star": 4, "ring": 5}
COVER, ADD, GAIN = range(3)  # what a sprite does: covers by its share, adds light, multiplies light
# of a sprite: centre, the direction of its length, half its length and width; shape, mode; share of the radius that its edge
# takes; how much of it there is; its light, the square of a colour; whether the object in front hides it; shade
SPRITE = ("x", "y", "along_x", "along_y", "length", "width", "shape", "mode", "soft", "share", "r", "g", "b", "behind", "shade")
THINNEST = 0.2  # of its width that a tumbling thing shows at least
FLARE = 3.5  # radii of a spark that its star has
GOLDEN = 0.6180339887  # of all steps around, the one that comes near to where it was the least
NOISE = 64  # cells of the tile of noise
OCTAVES = ((2.3, 0.6), (5.1, 0.27), (11.3, 0.13))  # cells on a short side, and share of each octave in a fog
NET = ((8.3, 0.7), (17.9, 0.3))  # the same of caustics
RIDGE = 3.4  # how steep they are
CONTRAST = 3.2  # a spline through noise is calmer than the noise; fog has banks, with clear air between
TAU = 2 * np.pi


def smooth(share):
    return share * share * (3 - 2 * share)


def sprites_at(overlay: Overlay, time: float, amount: float) -> np.ndarray:
    """Sprites (S, 15) float64 back to front, lengths in short sides."""
    parts = [_sparks_at(sparks, time, amount) for sparks in overlay.sparks]
    parts += [_particles_at(particles, overlay.width, time, amount) for particles in overlay.particles]
    if not parts:
        return np.empty((0, len(SPRITE)))
    sprites, near = (np.concatenate(each) for each in zip(*parts))
    zoom, shift = find_view(overlay.tracks, time, near)
    sprites[:, :2] = zoom[:, None] * sprites[:, :2] + shift
    sprites[:, [SPRITE.index("length"), SPRITE.index("width")]] *= zoom[:, None]
    return sprites


def find_view(tracks: Sequence[Track], time: float, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zoom (S,) and shift (S, 2): what lies at inverse depths (S,) is shown at zoom * place + shift."""
    zoom, shift, at = np.ones_like(near), np.zeros((len(near), 2)), time % 1 * CURVE
    for track in reversed(tracks):
        before, after = (np.array(track.rows[(int(at) + step) % CURVE]) for step in (0, 1))
        far, close = (before + (after - before) * (at % 1)).reshape(3, 2).T
        own, *moved = ((1 - near) * one + near * other for one, other in zip(far, close))
        zoom, shift = own * zoom, own[:, None] * (shift + np.stack(moved, 1)) + (1 - own)[:, None] * track.centre
    return zoom, shift


def show_plane(grid: Grid, near: float, overlay: Overlay, time: float) -> np.ndarray:
    """A plane of an inverse depth as the cameras show it, (rows, columns) float32 in [0, 1]."""
    plane = grid.plane()
    if not overlay.tracks:
        return plane
    zoom, (shift,) = find_view(overlay.tracks, time, np.array([near]))
    for axis, (side, moved) in enumerate(((overlay.height, shift[1]), (overlay.width, shift[0]))):
        cells = plane.shape[axis]
        places = ((np.arange(cells) + 0.5) * side / cells - moved) / zoom[0] * cells / side - 0.5
        places = np.clip(places, 0, cells - 1)
        first = np.minimum(places.astype(int), cells - 2)
        share = (places - first).astype(np.float32).reshape(-1, *[1] * (1 - axis))
        plane = plane.take(first, axis) * (1 - share) + plane.take(first + 1, axis) * share
    return plane


def _particles_at(particles: Particles, width: float, time: float, amount: float) -> tuple[np.ndarray, np.ndarray]:
    """Sprites (S, 15) as in the picture, and their inverse depths (S,)."""
    rows = np.array(particles.rows)
    here = np.clip(amount * len(rows) / 2 - np.arange(len(rows)), 0, 1)  # each in its turn
    rows, here = rows[here > 0], here[here > 0]
    (
        x0,
        y0,
        x1,
        y1,
        passes,
        phase,
        span,
        lanes,
        fade,
        grow,
        sway,
        swing,
        swung,
        radius,
        ratio,
        angle,
        spin,
        tumble,
        blink,
        opacity,
        soft,
        own,
        behind,
        near,
    ) = rows.T
    life = (passes * time + phase) % 1 / span
    end = np.minimum(life, 1 - life)
    shown = smooth(np.clip(end / np.maximum(fade, 1e-6), 0, 1)) * opacity * here * (1 - grow * life)
    radius = radius * (1 - grow * (1 - life))
    wave = TAU * ((swing * time + swung) % 1)
    breadth, right = width + np.abs(x1 - x0), np.maximum(x0, x1)
    beside = breadth * ((right / breadth + GOLDEN * (np.floor(passes * time + phase) % passes)) % 1) - right
    x = x0 + (x1 - x0) * life + sway * np.sin(wave) + lanes * beside
    y = y0 + (y1 - y0) * life + 0.35 * sway * np.sin(2 * wave)
    turned = angle + TAU * spin * time + np.where(spin != 0, 0.5 * np.sin(wave), 0)
    tilt = np.where(tumble != 0, np.cos(TAU * ((tumble * time + swung) % 1)), 1)
    shown = shown * np.where(blink != 0, (0.5 + 0.5 * np.sin(TAU * ((blink * time + swung) % 1))) ** 2, 1)
    light = np.array(particles.colours)[own.astype(int)] ** 2
    each = np.ones_like(x)
    narrow = radius * ratio * np.maximum(np.abs(tilt), THINNEST)
    kind = SHAPES[particles.shape] * each, (ADD if particles.adds else COVER) * each
    shade = np.where(tumble != 0, 0.82 + 0.18 * tilt, 1)
    shown = [x, y, np.cos(turned), np.sin(turned), radius, narrow, *kind, soft, shown, *light.T, behind, shade]
    return np.stack(shown, 1), near


def _sparks_at(sparks: Sparks, time: float, amount: float) -> tuple[np.ndarray, np.ndarray]:
    x, y, radius, level, cycles, phase, cycles2, phase2, sharp, flare, *light, near = np.array(sparks.rows).T
    slow, quick = (np.sin(TAU * ((rate * time + start) % 1)) for rate, start in ((cycles, phase), (cycles2, phase2)))
    # sharp: a glint, bright for a moment; both are zero on average (the mean of cos(x / 2)^8 is 35/128)
    glint = ((0.5 + 0.5 * slow) ** 4 - 35 / 128) / (1 - 35 / 128)
    now = np.where(sharp > 0, glint, 0.65 * slow + 0.35 * quick)
    gain = np.maximum(amount * level * now, -0.95)
    star = np.clip(now, 0, 1) ** 2 * flare * amount
    each, none = np.ones_like(x), np.zeros_like(x)
    core = [x, y, each, none, radius, radius, none, GAIN * each, each, gain, each, each, each, none, each]
    rays = [x, y, each, none, FLARE * radius, FLARE * radius, SHAPES["star"] * each, ADD * each, each, star, *light, none, each]
    rays, seen = np.stack(rays, 1), star > 0.004
    return np.concatenate([np.stack(core, 1), rays[seen]]), np.concatenate([near, near[seen]])


def air_at(overlay: Overlay, time: float, amount: float) -> np.ndarray:
    """The grid (rows, columns, 7) float32: gain of red, green and blue; light added to each; share of fog."""
    shape = grid_shape(overlay.width, overlay.height)
    air = np.zeros((*shape, 7), np.float32)
    air[..., :3] = 1
    for lamp in overlay.lamps:
        at = time * CURVE
        before, after = lamp.curve[int(at) % CURVE], lamp.curve[(int(at) + 1) % CURVE]
        level, place = before + (after - before) * (at % 1), show_plane(lamp.place, lamp.near, overlay, time)
        for channel, (share, tint) in enumerate(zip(lamp.colour, lamp.tint)):
            air[..., channel] *= np.maximum(1 + amount * (level * share + tint) * place, 0.02)
    for rays in overlay.rays:
        place = show_plane(rays.place, rays.near, overlay, time)
        beams = amount * rays.level * place * find_beams(rays, shape, overlay, time)
        air[..., :3] *= 1 - min(0.5, amount * rays.dim)
        for channel, share in enumerate(rays.colour):
            air[..., 3 + channel] += share * share * beams
    for net in overlay.caustics:
        bright = find_ridges(net, shape, overlay, time) - net.mean
        air[..., :3] *= (1 + amount * net.level * show_plane(net.place, net.near, overlay, time) * bright)[..., None]
    for fog in overlay.fogs:
        place = show_plane(fog.place, fog.near, overlay, time)
        share = np.clip(amount * fog.density * place * np.clip(find_thickness(fog, shape, overlay, time), 0, 1), 0, 0.9)
        air[..., 6] = 1 - (1 - air[..., 6]) * (1 - share)
        air[..., :3] *= 1 - min(0.5, amount * fog.dim)
    return air


def _places(shape: tuple[int, int], width: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """x (1, w) and y (h, 1) of a grid's middles."""
    return (np.arange(shape[1])[None] + 0.5) * width / shape[1], (np.arange(shape[0])[:, None] + 0.5) * height / shape[0]


def find_beams(rays: Rays, shape: tuple[int, int], overlay: Overlay, time: float) -> np.ndarray:
    zoom, (shift,) = find_view(overlay.tracks, time, np.array([rays.near]))
    across, down = (
        places - (zoom[0] * at + move)
        for places, at, move in zip(_places(shape, overlay.width, overlay.height), (rays.x, rays.y), shift)
    )
    around, away = np.arctan2(down, across), np.hypot(across, down)
    beams = sum(share * np.cos(count * around + TAU * (cycles * time + phase)) for count, cycles, phase, share in rays.waves)
    return np.clip(0.35 + beams, 0, 1) ** 1.5 * np.exp(-away / rays.reach)


def noise_tile(seed: int) -> np.ndarray:
    """(NOISE, NOISE) in [0, 1], the same in both renderers."""
    cell = np.arange(NOISE * NOISE, dtype=np.uint64) + np.uint64(seed * NOISE * NOISE)
    mask = np.uint64(0xFFFFFFFF)
    cell &= mask
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):  # a well mixed hash of 32 bits (lowbias32)
        cell = ((cell ^ (cell >> np.uint64(shift))) * np.uint64(factor)) & mask
    cell ^= cell >> np.uint64(16)
    return (cell.astype(np.float64) / 2**32).reshape(NOISE, NOISE)


def find_ridges(net: Caustics, shape: tuple[int, int], overlay: Overlay, time: float) -> np.ndarray:
    """(h, w) in [0, 1], bright lines where the noise is in its middle."""
    return np.clip(1 - RIDGE * np.abs(find_thickness(net, shape, overlay, time, NET) - 0.5), 0, 1) ** 2


def find_thickness(
    fog: Fog | Caustics, shape: tuple[int, int], overlay: Overlay, time: float, octaves: Sequence[tuple[float, float]] = OCTAVES
) -> np.ndarray:
    """(h, w) around 0.5, mostly in [0, 1]."""
    x, y = (line.ravel() for line in _places(shape, overlay.width, overlay.height))
    total = np.full(shape, 0.5)
    for octave, (cells, share) in enumerate(octaves):
        tile = noise_tile(fog.seed + octave) - 0.5
        phases = [(time + 0.31 * octave) % 1, (time + 0.31 * octave + 0.5) % 1]
        weights = np.sin(np.pi * np.array(phases)) ** 2
        weights /= np.hypot(*weights)  # a blend of two keeps the contrast of one
        for place, (phase, weight) in enumerate(zip(phases, weights)):
            ways = [(line - drift * phase) * cells + 23.7 * place for line, drift in ((y, fog.drift[1]), (x, fog.drift[0]))]
            rows, columns = map(_spline, ways)
            total += CONTRAST * share * weight * (rows @ tile @ columns.T)
    return total


def _spline(places: np.ndarray) -> np.ndarray:
    """Weights (P, NOISE) of the cubic B-spline at places in cells of a tile that repeats."""
    first = np.floor(places).astype(int)
    f = places - first
    g = 1 - f
    weights = np.zeros((len(places), NOISE))
    for tap, weight in enumerate((g**3, 4 - 3 * f * f * (1 + g), 4 - 3 * g * g * (1 + f), f**3)):
        np.add.at(weights, (np.arange(len(places)), (first - 1 + tap) % NOISE), weight / 6)
    return weights
