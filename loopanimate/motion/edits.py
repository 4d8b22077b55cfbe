"""Edits of a motion: what words ask beyond what was sampled, and what a picture can bear. Each is (motion, ...) -> motion.

`edits_from_words` and `edits_to_show` are the two lists, in the order that matters. Between them `start` chooses frame 0.
A layer's *weight* (h, w) in [0, 1] says how much of each cell shows that layer.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from loopanimate.motion.border import Borders, border_fade, border_reach, smoothstep
from loopanimate.motion.curve import Motion
from loopanimate.motion.field import turns_of
from loopanimate.motion.spin import Spin, spin
from loopanimate.motion.spline import spline_matrix
from loopanimate.presets import NATIVE_FPS
from loopanimate.words.intent import Intent

WINDING_THRESHOLD = 0.04  # short sides; a layer that nowhere ends farther from its start has drifted and is no stream
OFF_COURSE = 20  # degrees that a motion may lie off the heading that words name
PACE_ERROR = 1.25  # factor that a stream's root mean square may be off the speed that words name
FASTEST = 2.0  # highest speed of any place, over that speed
FIXED = 0.35  # share of a thing's length, from where it is fixed, within which it moves less
BELOW = 0.5  # of what the picture's border cuts off, that is beyond it, over what is within
LOW_HOP = 0.5  # lowest hop over the highest of a loop
HARDLY = 0.003  # radians, root mean square; below this rotation the hinge's place cannot be estimated from the motion
RESIDUE = 0.006  # short sides; a layer whose mean displacement never reaches it may be left over from sampling ...
RESIDUE_SHARE = 0.75  # ... and is, if it also moves less than this share of the layer that moves most
MIN_DETERMINANT = 0.25  # of the content's Jacobian; a motion that comes below it is held back before a cell folds

Edit = Callable[[Motion], Motion]


def apply(motion: Motion, edits: Iterable[Edit]) -> Motion:
    """Apply edits in their order."""
    for edit in edits:
        motion = edit(motion)
    return motion


def edits_from_words(intents: Sequence[Intent], weights: np.ndarray, period: int) -> list[Edit]:
    """List the edits that words ask for: intents of L layers, weights (L, h, w), period in native frames."""
    edits: list[Edit] = [partial(drop_drift, keep=[intent.speed is not None for intent in intents])]
    for layer, (intent, weight) in enumerate(zip(intents, weights, strict=True)):
        on_layer = {"layer": layer, "weight": weight}
        seconds = period / NATIVE_FPS
        if intent.returns:
            edits.append(partial(turn_back, layer=layer))
        if intent.heading is not None:
            edits.append(partial(steer, **on_layer, heading=intent.heading))
        if intent.speed is not None:
            edits.append(partial(pace, **on_layer, distance=intent.speed * seconds))
        if intent.hold:
            edits.append(partial(hold, **on_layer, waving=intent.waving, hangs=intent.hangs))
        if intent.in_place:
            edits.append(partial(keep_in_place, **on_layer))
        if intent.hops is not None:
            least, most = (max(1, round(rate * seconds)) for rate in intent.hops)
            edits.append(partial(hop, **on_layer, counts=range(least, most + 1)))
        if intent.rests:
            edits.append(partial(rest, layer=layer))
    return edits


def edits_to_show(
    intents: Sequence[Intent], weights: np.ndarray, strength: float = 1.0, spins: Sequence[Spin | None] = ()
) -> list[Edit]:
    """List the edits between a loop that has begun and its showing; cutting, hands and `limit` come after them.

    spins: of each layer, as `spins_of` gives them.
    """
    said = [bool(intent.kinds) for intent in intents]
    edits: list[Edit] = [partial(drop_residue, keep=said), partial(scale, strength=strength)]
    for layer, (intent, weight) in enumerate(zip(intents, weights, strict=True)):
        if any(spins[layer : layer + 1]):
            edits.append(partial(spin, layer=layer, how=spins[layer]))
        elif intent.rigid:
            edits.append(partial(stiffen, layer=layer, weight=weight, hinge=intent.hinge))
    return edits


def drop_drift(motion: Motion, keep: Sequence[bool]) -> Motion:
    """Zero the windings that nowhere reach `WINDING_THRESHOLD`, except of layers that words ask to stream (`keep`, L)."""
    far = np.linalg.norm(motion.winding, axis=1).max((-2, -1)) >= WINDING_THRESHOLD
    return Motion(motion.ring, motion.winding * (far | np.array(keep))[:, None, None, None])


def rest(motion: Motion, layer: int) -> Motion:
    """Bring a layer to rest."""
    return motion.replace(layer, 0, 0)


def turn_back(motion: Motion, layer: int) -> Motion:
    """Take a layer's winding off: what cannot flow comes back."""
    return motion.replace(layer, winding=0)


def scale(motion: Motion, strength: float | np.ndarray) -> Motion:
    """Scale the displacement of all layers, or of each by its own factor (L,)."""
    factors = np.asarray(strength, np.float32).reshape(-1, 1, 1, 1)
    return Motion(motion.ring * factors, motion.winding * factors)


def steer(motion: Motion, layer: int, weight: np.ndarray, heading: float) -> Motion:
    """Rotate a layer's displacements as far as its course lies off a heading, in degrees, to within OFF_COURSE of it.

    The course of a stream is its mean winding; of a layer that comes back, the main axis of its mean path.
    """
    ring, winding = motion.ring[:, layer], motion.winding[layer]
    share = weight / max(weight.sum(), 1e-6)
    if motion.streams(layer):
        course, whole = (share * winding).sum((-2, -1)), 360
    else:
        path = (share * ring).sum((-2, -1))  # (N, 2)
        course, whole = np.linalg.svd(path - path.mean(0), full_matrices=False)[2][0], 180  # an axis has two directions
    off = math.remainder(math.degrees(math.atan2(course[1], course[0])) - heading, whole)
    angle = math.radians(math.copysign(max(abs(off) - OFF_COURSE, 0), -off))
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=ring.dtype)
    return motion.replace(layer, np.einsum("cd,ndhw->nchw", rotation, ring), np.einsum("cd,dhw->chw", rotation, winding))


def pace(motion: Motion, layer: int, weight: np.ndarray, distance: float) -> Motion:
    """Bring a stream's winding to within PACE_ERROR of `distance`, in short sides, as its root mean square over the layer."""
    winding = motion.winding[layer]
    size = ((weight * np.hypot(*winding) ** 2).sum() / max(weight.sum(), 1e-6)) ** 0.5
    if size == 0:
        return motion
    winding = winding * np.clip(size, distance / PACE_ERROR, distance * PACE_ERROR) / size
    return motion.replace(layer, winding=winding * np.minimum(1, FASTEST * distance / np.maximum(np.hypot(*winding), 1e-9)))


def hold(motion: Motion, layer: int, weight: np.ndarray, waving: bool = False, hangs: bool = False) -> Motion:
    """Hold a layer where it is fixed: at its base, or, `waving`, where cloth is (`grid.from_hold`), or, if it hangs, at its top.

    The motion of the fixed end is taken off, less and less towards the far end, which keeps its own; the rest fades to zero
    at the fixed end. A stream is left as it is.
    """
    if motion.streams(layer):
        return motion
    if hangs:
        return hold(motion.flip(), layer, weight[::-1].copy(), waving).flip()
    ring = motion.ring[:, layer]
    import torch  # takes seconds to import, and the page is to answer before

    from loopanimate.motion.grid import from_hold

    rise, flying, _ = (share.numpy() for share in from_hold(torch.from_numpy(weight)))
    away = flying if waving else rise
    free = np.minimum(away / FIXED, 1)
    near = weight * (1 - free)
    base = (ring * near).sum((-2, -1), keepdims=True) / max(near.sum(), 1e-6)  # (N, 2, 1, 1)
    ring = free * (ring - np.maximum(1 - away, 0) * base)
    return motion.replace(layer, _stand_below(ring, weight) if _is_cut(weight) else ring)


def _is_cut(weight: np.ndarray) -> bool:
    """Whether a layer reaches the lower border as broad as a bust or a forest does; a stem that ends there is rooted there."""
    broad = (weight > 0.5).sum(1)
    return 2 * broad[-1] > broad.max()


def _stand_below(ring: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The motion of a ring (N, 2, h, w) drawn out from the layer's top, so that its base comes to stand below the border."""
    rows = np.arange(len(weight), dtype=np.float32)
    top = rows[weight.max(1) > 0.5][0]
    source = np.minimum(rows, top + (rows - top) / (1 + BELOW))
    above = source.astype(int)
    share = (source - above)[:, None]
    return (1 - share) * ring[..., above, :] + share * ring[..., np.minimum(above + 1, len(weight) - 1), :]


def _points(weight: np.ndarray) -> np.ndarray:
    """Cell centres (2, h, w), x then y, of a grid (h, w)."""
    from loopanimate.motion.grid import grid_points  # with torch

    return grid_points(*weight.shape).numpy()


def keep_in_place(motion: Motion, layer: int, weight: np.ndarray) -> Motion:
    """Take off a layer's mean shift and mean rotation; a stream is left as it is.

    Beyond the layer's farthest cell the rotation that is taken off stops growing, as in `stiffen`.
    """
    if motion.streams(layer):
        return motion
    ring = motion.ring[:, layer]
    share = weight / max(weight.sum(), 1e-6)
    x, y = _points(weight)
    x, y = x - (share * x).sum(), y - (share * y).sum()
    shift = (share * ring).sum((-2, -1), keepdims=True)
    rotation = (share * (x * ring[:, 1] - y * ring[:, 0])).sum((-2, -1)) / max((share * (x**2 + y**2)).sum(), 1e-6)
    away = np.hypot(x, y)
    level = np.minimum(1, away[weight > 0.1].max(initial=1e-6) / np.maximum(away, 1e-9))
    return motion.replace(layer, ring - shift - rotation[:, None, None, None] * level * np.stack([-y, x]))


def hop(motion: Motion, layer: int, weight: np.ndarray, counts: range) -> Motion:
    """Make hops of a layer's mean path: parabolas in time, up from the ground and down to it; a stream is left as it is.

    Of all `counts` of hops in the loop, the one nearest to the sampled path is taken. Each hop is as high as the path was
    in its time above its lowest point.
    """
    if motion.streams(layer):
        return motion
    ring = motion.ring[:, layer]
    path = (weight / max(weight.sum(), 1e-6) * ring).sum((-2, -1))  # (N, 2)
    ground = int(path[:-1, 1].argmax())
    height = np.roll(path[ground, 1] - path[:-1, 1], -ground)  # (period,), from the ground on

    def hops(count: int) -> np.ndarray:
        highest = np.array([part.max() for part in np.array_split(height, count)])
        highest = np.maximum(highest, LOW_HOP * highest.max())
        number, share = np.divmod(count * np.arange(len(height)) / len(height), 1)
        return 4 * highest[number.astype(int)] * share * (1 - share)

    risen = np.roll(min(map(hops, counts), key=lambda tried: ((tried - height) ** 2).sum()), ground)
    upright = np.stack([0 * risen, -risen], axis=1)
    change = np.concatenate([upright, upright[:1]]) - path
    return motion.replace(layer, ring + (change - change[0])[:, :, None, None].astype(ring.dtype))


def stiffen(motion: Motion, layer: int, weight: np.ndarray, hinge: tuple[float, float] | None = None) -> Motion:
    """Replace a layer's motion by the rigid motion nearest to it, by least squares over its weight; not a stream's.

    Rotation and shift of each frame in closed form (Procrustes' problem in the plane). With a hinge: rotations about one
    point of the layer's box, at a height between those two shares of the box from the top, the point that explains the
    shifts best. Beyond the layer's farthest cell a rotation stops growing, or the field would run away off its layer.
    """
    if motion.streams(layer):
        return motion
    ring = motion.ring[:, layer]
    x, y = _points(weight).astype(np.float64)
    place, share = x + 1j * y, weight / weight.sum()
    source = place - (ring[:, 0] + 1j * ring[:, 1])  # (N, h, w), where the content shown here stood

    def rotate(before, after):  # (N, 1, 1) complex: the rotations that best carry source - after onto place - before
        rotations = (share * (place - before).conj() * (source - after)).sum((-2, -1))[:, None, None]
        return rotations / np.maximum(np.abs(rotations), 1e-12)

    middle, middles = (share * place).sum(), (share * source).sum((-2, -1))[:, None, None]
    rotations = rotate(middle, middles)
    if hinge is not None:
        within = place[weight > 0.1] if (weight > 0.1).any() else place
        top, bottom = within.imag.min(), within.imag.max()
        first, last = (top + height * (bottom - top) for height in hinge)
        arms, doubt = rotations - 1, len(rotations) * HARDLY**2  # the doubt pulls towards the middle of the hinge's range
        reach = (arms.conj() * (middles - middle)).sum() + doubt * (middle - complex(middle.real, (first + last) / 2))
        best = middle - reach / ((np.abs(arms) ** 2).sum() + doubt)
        middle = middles = complex(np.clip(best.real, within.real.min(), within.real.max()), np.clip(best.imag, first, last))
        rotations = rotate(middle, middles)
    offset = place - middle
    far = np.abs(offset[weight > 0.1]).max(initial=1e-6)
    offset = offset * np.minimum(1, far / np.maximum(np.abs(offset), 1e-9))
    shift = middle + offset - (middles + rotations * offset)
    shift -= shift[0]  # rounding
    return motion.replace(layer, np.stack([shift.real, shift.imag], axis=1))


def drop_residue(motion: Motion, keep: Sequence[bool] = ()) -> Motion:
    """Bring layers to rest that hardly move beside another one: sampling never leaves a layer exactly still.

    keep: of each layer, whether it is to move in any case.
    """
    sizes = [_peak(motion.ring[:, layer]) + _peak(motion.winding[layer]) for layer in range(motion.num_layers)]
    factors = np.ones(motion.num_layers)
    for layer, size in enumerate(sizes):
        if not motion.streams(layer) and not any(keep[layer : layer + 1]):
            most = max((other for place, other in enumerate(sizes) if place != layer), default=0.0)
            moving = max(size / RESIDUE, size / max(RESIDUE_SHARE * most, 1e-9))
            factors[layer] = 1 - smoothstep(float(np.clip((1.2 - moving) / 0.4, 0, 1)))
    return scale(motion, factors)


def _peak(displacement: np.ndarray) -> float:
    """Largest mean size of displacements (..., 2, h, w), in short sides."""
    return float(np.linalg.norm(displacement, axis=-3).mean((-2, -1)).max())


def limit(motion: Motion, borders: Sequence[Borders], spins: Sequence[Spin | None] = ()) -> Motion:
    """Hold back each layer as far as its cells would fold, but for what spins, which never does; borders: of each layer."""
    for layer in range(motion.num_layers):
        if any(spins[layer : layer + 1]):
            continue
        turns = None
        while turns != (turns := turns_of(motion.winding[layer])):  # a stream that is held back may need fewer cross-fades
            factors = np.ones(motion.num_layers)
            factors[layer] = unfolded(motion.ring[:, layer], motion.winding[layer] / turns, borders[layer])
            if factors[layer] < 1:
                motion = scale(motion, factors)
    return motion


def unfolded(ring: np.ndarray, winding: np.ndarray, borders: Borders, strength: float = 1.0) -> float:
    """Largest factor up to 1 on `strength` times a layer's displacement at which no cell folds.

    ring (N, 2, h, w); winding (2, h, w) of one cross-fade. The Jacobian determinant of the content, border fade included,
    stays above MIN_DETERMINANT.
    """
    height, width = ring.shape[-2:]
    rows, columns = spline_matrix(height, 4 * height), spline_matrix(width, 4 * width)
    signs = (-1, 1) if winding.any() else (0,)  # of a stream, both phases at their farthest
    ends = np.concatenate([ring + sign * winding for sign in signs])
    field = strength * (rows @ ends.astype(np.float32) @ columns.T)  # (N, 2, 4h, 4w)
    fade = border_fade(4 * height, 4 * width, border_reach(float(np.sqrt((field**2).sum(1).max()))), borders)
    cell, parts = 1 / (4 * min(height, width)), []
    for at in field * fade:  # the determinant at a factor f is 1 - f trace + f^2 minors; few places come near the least at any
        by_y, by_x = np.gradient(at, cell, axis=(-2, -1))
        trace, minors = by_x[0] + by_y[1], by_x[0] * by_y[1] - by_x[1] * by_y[0]
        parts.append(np.stack([trace, minors])[:, np.maximum(trace, 0) - np.minimum(minors, 0) > 1 - MIN_DETERMINANT])
    trace, minors = np.concatenate(parts, axis=1)
    factor = 1.0
    while factor > 0.05 and (1 - factor * trace + factor**2 * minors).min(initial=1) < MIN_DETERMINANT:
        factor *= 0.93
    return factor
