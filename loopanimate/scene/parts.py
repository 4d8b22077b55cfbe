"""Parts of a scene: the things that a sentence names, each with a region and a motion of its own, as layers front to back.

Every part is sampled as the salient object of its own row of a batch. What stands still is a layer too, where a part lies
behind it: water under a boat, sky behind a tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from loopanimate.motion.border import smoothstep
from loopanimate.motion.curve import Motion
from loopanimate.scene.layers import COVERED, continue_behind
from loopanimate.words.intent import STILL, Intent

MAX_LAYERS = 8  # that a living page can draw: WebGL 2 promises a shader 16 textures, and a layer that streams takes two
MAX_PARTS = 6  # besides what stands still and the background
TOUCHING = 0.1  # share of a cell from which two layers meet there
INSIDE = 0.7  # share of a part that lies in another one that carries it
SMALLER = 0.8  # share of the other's pixels that a part of it has at most
PIECES = 8  # of a cell along each side, in which masks are held against each other
FAR = 0.4  # of the pace at the near end of what recedes, the pace at its far end
RIM = 1 / 15  # short sides from its rim with what lies farther behind in which a part behind still things comes to rest


@dataclass(frozen=True)
class Part:
    """A thing that moves."""

    sentence: str  # what the network is asked for
    intent: Intent
    mask: np.ndarray  # (H, W) in [0, 1]
    behind: bool = False  # still things stand before it, and its outline stays
    rooted: bool = False  # but for that with what lies farther behind, which moves with it
    recedes: str = ""  # "up" where it lies flat and its far end is its top, "down" where it is overhead


@dataclass(frozen=True)
class Layer:
    """What a layer of the loop shows."""

    intent: Intent
    row: int | None  # the part that it shows; None stands still
    channels: int = 0  # of that row: 0 the salient object's, 1 the background's
    settled: bool = False  # it comes to rest towards what lies farther behind
    parent: int | None = None  # the layer that carries it along
    stands: bool = False  # before all that does not, upright


@dataclass(frozen=True)
class Scene:
    """The layers of a loop, front to back, the background last."""

    parts: tuple[Part, ...]  # one row of the batch each
    layers: tuple[Layer, ...]
    masks: tuple[np.ndarray, ...]  # (H, W) in [0, 1], of all layers but the last

    @property
    def intents(self) -> tuple[Intent, ...]:
        return tuple(layer.intent for layer in self.layers)

    @property
    def moving(self) -> np.ndarray:
        """(H, W) in [0, 1], all that the parts claim."""
        return np.maximum.reduce([part.mask for part in self.parts])


def single(part: Part, background: Intent) -> Scene:
    """One object before a background that may move too, as the network samples both."""
    return Scene((part,), (Layer(part.intent, 0), Layer(background, 0, channels=1)), (part.mask,))


def stack(parts: Sequence[Part]) -> Scene:
    """Several parts, of each kind front to back: what stands before, what is still, what lies behind that."""
    order = sorted(parts, key=lambda part: part.behind)
    front, behind = ([row for row, part in enumerate(order) if part.behind == side] for side in (False, True))
    layers = [Layer(order[row].intent, row, parent=_parent(order, row, front), stands=True) for row in front]
    masks = [order[row].mask for row in front]
    layers.append(Layer(STILL, None))
    if behind:
        masks.append(1 - np.maximum.reduce([order[row].mask for row in behind]))
        layers += [Layer(order[row].intent, row, settled=row != behind[-1] and not order[row].rooted) for row in behind]
        masks += [order[row].mask for row in behind[:-1]]
    return Scene(tuple(order), tuple(layers), tuple(masks))


def stand(scene: Scene | None, masks: Sequence[np.ndarray]) -> Scene:
    """The scene with layers for things that stand still before what does not stand; None: before a picture at rest."""
    scene = scene or Scene((), (Layer(STILL, None),), ())
    front = sum(layer.stands for layer in scene.layers)
    layers = []
    for layer, mask in zip(scene.layers[:front], scene.masks):
        holds = (front + place for place, other in enumerate(masks) if lies_in(mask, other))
        layers.append(layer if layer.parent is not None else replace(layer, parent=next(holds, None)))
    layers += [Layer(STILL, None, stands=True) for _ in masks]
    return Scene(scene.parts, (*layers, *scene.layers[front:]), (*scene.masks[:front], *masks, *scene.masks[front:]))


def lies_in(mask: np.ndarray, other: np.ndarray) -> bool:
    """Whether a thing is part of another one, by their masks."""
    return (mask * (other > 0.3)).sum() > INSIDE * mask.sum()


def is_part(mask: np.ndarray, whole: np.ndarray) -> bool:
    """Whether a thing lies in a clearly larger one."""
    return lies_in(mask, whole) and mask.sum() < SMALLER * whole.sum()


def _parent(parts: Sequence[Part], row: int, front: Sequence[int]) -> int | None:
    """The place of the nearest part behind this one that this one lies in: hair on a head, a sail on a boat."""
    holds = (place for place, other in enumerate(front) if other > row and lies_in(parts[row].mask, parts[other].mask))
    return next(holds, None)


def carry(scene: Scene, motion: Motion) -> Motion:
    """Let parts move with the parts that they lie in; what carries is carried first."""
    for place in reversed(range(len(scene.layers))):
        parent = scene.layers[place].parent
        if parent is not None:
            motion = motion.replace(place, motion.ring[:, place] + motion.ring[:, parent])
    return motion


def compose(scene: Scene, motions: Sequence[Motion], weights: np.ndarray) -> Motion:
    """One motion of all layers from what each row of the batch sampled; weights (L, h, w) as `weigh` gives them."""
    frames, _, *field = motions[0].ring.shape
    ring = np.zeros((frames, len(scene.layers), *field), np.float32)
    winding = np.zeros((len(scene.layers), *field), np.float32)
    for place, layer in enumerate(scene.layers):
        if layer.row is None:
            continue
        free = _settle(weights, place) if layer.settled else 1
        if scene.parts[layer.row].recedes:
            free = free * _recede(weights[place], scene.parts[layer.row].recedes == "up")
        ring[:, place] = motions[layer.row].ring[:, layer.channels] * free
        winding[place] = motions[layer.row].winding[layer.channels] * free
    return Motion(ring, winding)


def _settle(weights: np.ndarray, place: int) -> np.ndarray:
    """How freely a layer moves in each cell, (h, w) in [0, 1]: 0 at the rim of the layers behind it."""
    behind = weights[place + 1 :].sum(0)
    rim = np.minimum(weights[place], cv2.dilate(behind, np.ones((3, 3), np.uint8))) > TOUCHING
    rim |= (behind > 0.5) & (cv2.dilate(rim.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    if not rim.any():
        return np.ones(rim.shape, np.float32)
    distance = cv2.distanceTransform((~rim).astype(np.uint8), cv2.DIST_L2, 5)
    return smoothstep(np.clip(distance / (RIM * min(rim.shape)), 0, 1)).astype(np.float32)


def _recede(weight: np.ndarray, up: bool) -> np.ndarray:
    """How much faster what is near seems to move than what is far, by its weight (h, w): (h, 1), 1 in the mean.

    Its far end is the row where it ends towards the horizon; none is seen of what the picture's own border cuts there.
    """
    rows = weight.sum(1)
    seen = np.flatnonzero(rows > TOUCHING * rows.max(initial=0))
    if not len(seen) or (up and seen[0] == 0) or (not up and seen[-1] == len(rows) - 1):
        return np.ones((len(rows), 1), np.float32)
    far = seen[0] if up else seen[-1]
    share = np.clip(np.abs(np.arange(len(rows)) - far) / max(np.ptp(seen), 1), 0, 1)
    pace = np.where((np.arange(len(rows)) < far) == up, FAR, FAR + (1 - FAR) * share)
    return (pace / np.average(pace, weights=rows))[:, None].astype(np.float32)


def weigh(masks: Sequence[np.ndarray], motion: Motion) -> np.ndarray:
    """How much of each cell shows each layer, (L, h, w) float32 in [0, 1], by all layers' masks but the last's.

    Masks are multiplied in pieces of a cell, and continue behind each other as layers do: two that share a cell, or a soft
    rim, cover it whole, not to three quarters.
    """
    cells = motion.winding.shape[:-3:-1]
    pieces = tuple(PIECES * side for side in cells)
    clear, weights = np.ones(pieces[::-1], np.float32), []
    for mask in masks:
        cover = cv2.resize(mask, pieces, interpolation=cv2.INTER_AREA).astype(np.float32)
        cover = continue_behind(cover, clear < 1 - COVERED)
        weights.append(clear * cover)
        clear = clear * (1 - cover)
    return np.stack([cv2.resize(weight, cells, interpolation=cv2.INTER_AREA) for weight in (*weights, clear)])
