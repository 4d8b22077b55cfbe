"""How near the layers of a picture are, from what is known of it: a level ground, things that stand on it, a sky.

The inverse depth of a level ground grows evenly from the horizon down. A thing that stands on it has the inverse depth of its
foot all over, so a camera moves it as one and its straight lines stay straight.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import diags, identity, kron
from scipy.sparse.linalg import spsolve

from loopanimate.motion.camera import AROUND, CELLS, Camera, Shot
from loopanimate.motion.spline import latent_grid
from loopanimate.scene.finder import Finder, drop_specks
from loopanimate.scene.parts import MAX_LAYERS, Scene, lies_in, stand
from loopanimate.scene.regions import CLASSES
from loopanimate.words.clauses import Clause
from loopanimate.words.vocabulary import SPEEDS

FAR = ("sky", "cloud", "smoke")
LEVEL = ("water", "foam", "grass", "ground", "snow")
STANDING = (  # classes that are one thing where they touch
    ("person", "face", "hair", "clothing", "cloth"),
    ("animal",),
    ("boat",),
    ("vehicle",),
    ("lamp", "object", "fire"),
)
LAND = ("tree",), ("flower",), ("rock", "waterfall"), ("building",)  # the same: far away these are the ground itself
LAYERED = ("person", "animal")  # things that are looked for, besides the salient object, to be layers
SLOW = 0.6  # factor on the amount of a slow camera: a loop's time is given
HORIZON = 0.15  # inverse depth of what stands at the horizon; the sky's is 0
LOWEST = 0.6  # share of the height that a horizon is above: what ends lower has ended before it
CUT_OFF = 0.6  # of the ground at the lower edge, where a thing before it has its foot below the edge
ALOFT = 0.5  # of a thing before all else that touches no ground ...
AFORE = 0.3  # ... and at least of any
WIDE = 0.6  # share of the picture's width from which LAND that reaches its lower edge is itself the ground, where none is seen
FOOT = 0.97  # quantile of a thing's rows that is its foot
EDGE = 0.97  # share of the picture's height below which a thing is cut off by the lower edge
AREA = (0.004, 0.6)  # least and most share of the picture of a thing that is a layer for the camera's sake
# Most share of the pixels of a thing, and of LAND, that are neither clearly it nor clearly not; most share of those around it
# that are of the same classes: the camera would tear it from them
CLARITY = (0.3, 0.45), (0.12, 0.25)
GAP = 4  # cells of `regions.classify` between pieces of one thing: half a trunk before a house
STREET = 0.05  # share of the picture's width over which the feet of houses are smoothed
LARGE = 0.03  # share of the picture from which a thing stands on the ground whatever hides its foot; smaller ones may hang
RIM = 7  # cells of `regions.classify` around a layer that say nothing of what lies behind it
SKY = 17  # cells around a layer's rim within which there is sky behind it
# How firmly a cell keeps to its inverse depth, by what it shows, against FLUENCY, how firmly to that of its neighbours'
FIRM = {"standing": 8.0, "level": 0.4, "far": 0.05}
FLUENCY = 0.8


def read_camera(clause: Clause) -> Camera:
    """What a clause of a camera that moves asks for."""
    if clause.kind in ("zoom", "pulse"):
        move = "out" if clause.toward in ("out", "away", "back") else "in"
    elif clause.kind in ("tremble", "bounce"):
        move = "shake"
    else:
        move = "slide" if clause.heading is not None else "orbit"
    heading = clause.heading or 180.0 * (clause.toward == "clockwise")
    amount = SPEEDS[clause.strength or "plainly"] / SPEEDS["plainly"] * (SLOW if clause.tempo == "slowly" else 1)
    return Camera(move, heading, amount, 2 if clause.tempo == "quickly" and move != "shake" else 1)


def set_up(scene: Scene | None, finder: Finder, cameras: Sequence[Camera]) -> tuple[Scene, Shot]:
    """A scene, None at rest, with the layers that cameras need before it, and how near each layer is."""
    if cameras or scene is None:
        moving = [mask for layer, mask in zip(scene.layers, scene.masks) if layer.stands] if scene else []
        scene = stand(scene, find_standing(finder, moving, MAX_LAYERS - (len(scene.layers) if scene else 1)))
    near = fathom(scene, finder.likely, finder.depth)
    nearest = max((plane.max() for plane, layer in zip(near, scene.layers) if layer.stands), default=AROUND)
    return scene, Shot(tuple(cameras), near, float(nearest + AROUND) / 2)


def find_standing(finder: Finder, known: Sequence[np.ndarray], most: int) -> list[np.ndarray]:
    """Masks (H, W) of at most so many things that stand before all else, front to back, without those `known` already."""
    given = [mask for name, mask in finder.given.items() if name == "camera"]
    salient, found = finder.salient
    masks = [salient] if found else []
    regions = [finder.find(thing) for thing in LAYERED]
    masks += [region.mask for region in regions if region and region.how == "named" and not region.unsure]
    things = []
    for mask in (*given, *filter(None.__ne__, (_round_off(mask, finder.likely) for mask in masks))):
        if not any(lies_in(mask, other) for other in (*known, *things)):
            things.append(mask)
    return sorted(things[:most], key=lambda mask: float(mask.mean()))


def _round_off(mask: np.ndarray, likely: np.ndarray) -> np.ndarray | None:
    """The mask of a thing with all that surely belongs to it; None if it has no clear outline, which the camera would show."""
    inside = cv2.resize(mask, likely.shape[:0:-1], interpolation=cv2.INTER_AREA) > 0.5
    if not inside.any():
        return None
    groups = [likely[[CLASSES.index(name) for name in names]].sum(0) for names in (*STANDING, *LAND)]
    own = int(np.argmax([group[inside].mean() for group in groups]))
    if own < len(STANDING):  # where the mask is doubtful, the classes decide
        sure = np.where(_reach(groups[own] > 0.5, inside), np.clip((groups[own] - 0.6) / 0.3, 0, 1), 0)
        could = np.clip(groups[own] / 0.3, 0, 1)
        sure, could = (cv2.resize(part.astype(np.float32), mask.shape[::-1]) for part in (sure, could))
        mask = np.maximum(mask * np.maximum(could, np.clip((mask - 0.6) / 0.3, 0, 1)), np.minimum(sure, mask / 0.1))
        inside = cv2.resize(mask, inside.shape[::-1], interpolation=cv2.INTER_AREA) > 0.5
    around = _grow(inside, 4) & ~_grow(inside, 1)
    attached = (groups[own][around] > 0.5).mean() if around.any() else 1
    vague = ((mask > 0.2) & (mask < 0.8)).sum() / max((mask > 0.2).sum(), 1)
    limit = CLARITY[own >= len(STANDING)]
    clear = vague < limit[0] and attached < limit[1]
    return mask if clear and AREA[0] < mask.mean() < AREA[1] else None


def _grow(mask: np.ndarray, cells: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * cells + 1,) * 2, np.uint8)) > 0


def _reach(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """The pieces of a mask (h, w) that mostly lie in a seed (h, w)."""
    return sum((piece for piece in _pieces(mask) if seed[piece].mean() > 0.5), np.zeros(mask.shape, bool))


def fathom(scene: Scene, likely: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """The inverse depth of each layer of a scene, (L, h, w) float32 in [0, 1].

    likely: as `regions.classify` gives it. known: inverse depth (h, w) in [0, 1] that a model has for the picture.
    """
    size = likely.shape[1:]
    shares, clear = [], np.ones(size, np.float32)
    for mask in scene.masks:
        mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
        shares.append(clear * mask)
        clear = clear * (1 - mask)
    shares.append(clear)
    if known is not None:  # of each layer where it is seen, a rim apart; behind others it lies between
        known, rim = cv2.resize(known, size[::-1], interpolation=cv2.INTER_AREA), np.ones((GAP, GAP))
        shares = [cv2.erode(share.astype(np.float32), rim) for share in shares]
        return np.stack([spread(known, share, latent_grid(*size, CELLS)) for share in shares]).astype(np.float32)
    standing = [layer.stands for layer in scene.layers]
    before = np.minimum(sum(share for share, stands in zip(shares, standing) if stands) + np.zeros(size, np.float32), 1)
    pieces = [list(_pieces(share > 0.5)) if stands else [] for share, stands in zip(shares, standing)]
    cut_off = any(_is_cut_off(piece) for own in pieces for piece in own)
    horizon = find_horizon(likely, 1 - before)
    rows = (np.arange(size[0]) + 0.5) / size[0]
    ground = HORIZON + ((CUT_OFF if cut_off else 1) - HORIZON) * np.clip((rows - horizon) / (1 - horizon), 0, 1)
    near, firm = survey(likely, ground, before)
    things, held = np.full(size, ALOFT), np.zeros(size)
    grid, depth = latent_grid(*size, CELLS), []
    for share, own, stands in zip(shares, pieces, standing):
        if stands:  # each thing as one; what lies between them is not seen
            alone = np.zeros(size)
            for piece in own:
                things[piece], held[piece], alone[piece] = _stand(piece, ground, horizon), FIRM["standing"], 1
            depth.append(spread(things, held * alone, grid))
            continue
        behind = firm * cv2.erode(share, np.ones((RIM, RIM)))
        # the sky goes with what stands before it: of masts and branches, no mask has all
        sky = cv2.blur(((firm == FIRM["far"]) & (near == 0) & (share > 0.5)).astype(np.float32), (SKY, SKY))
        follow = held * np.clip(4 * sky, 0, 1)
        depth.append(spread((behind * near + follow * things) / np.maximum(behind + follow, 1e-9), behind + follow, grid))
    for place, layer in enumerate(scene.layers):  # hair is as near as the head
        if layer.parent is not None:
            depth[place] = depth[layer.parent]
    return np.stack(depth).astype(np.float32)


def find_horizon(likely: np.ndarray, seen: np.ndarray) -> float:
    """Where level ground ends, as a share of the height, by what is seen (h, w) of it; else where the sky does, or the top."""
    rows = (np.arange(likely.shape[1]) + 0.5) / likely.shape[1]
    level, far = (((likely[[CLASSES.index(name) for name in names]].sum(0) > 0.5) * seen).mean(1) for names in (LEVEL, FAR))
    if level.sum() > 0.02 * len(rows):
        horizon = rows[np.searchsorted(np.cumsum(level), 0.03 * level.sum())]
    elif far.sum() > 0.02 * len(rows):
        horizon = rows[np.searchsorted(np.cumsum(far), 0.9 * far.sum())]
    else:
        horizon = 0.0
    return min(float(horizon), LOWEST)


def survey(likely: np.ndarray, ground: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse depth of what each pixel likely shows, and how firm it is, both (h, w).

    ground: of level ground, by rows (h). before: (h, w) in [0, 1], layers that stand before this, of which it says nothing.
    """
    height, width = size = likely.shape[1:]
    likeliest = likely.argmax(0)
    near, firm = np.repeat(ground[:, None], width, 1), np.full(size, FIRM["level"])
    far = np.isin(likeliest, [CLASSES.index(name) for name in FAR])
    near[far], firm[far] = 0, FIRM["far"]
    level, rows = np.isin(likeliest, [CLASSES.index(name) for name in LEVEL]), (np.arange(height) + 0.5)[:, None] / height
    firm[level & (ground[:, None] <= HORIZON)] = FIRM["far"]  # slopes
    for names in (*STANDING, *LAND):
        for piece in _pieces(np.isin(likeliest, [CLASSES.index(name) for name in names]), GAP):
            foot, columns = _foot(piece), np.flatnonzero(piece.any(0))
            below = piece[:-GAP] & ~piece[GAP:]
            lies = foot > EDGE or not below.any() or level[GAP:][below].mean() > 0.3
            if before[piece].mean() > 0.5 or not lies and (names in STANDING or piece.mean() < LARGE):
                firm[piece] = FIRM["far"]  # as near as what is around it
            elif names in LAND and level.mean() < LARGE and np.ptp(columns) > WIDE * width and foot > EDGE - 0.05:
                top = rows[np.flatnonzero(piece.any(1))[0]]  # evenly nearer down to its foot, so that lines stay straight
                rise = np.clip((rows - top) / (foot - top), 0, 1) * np.ones(width)
                near[piece] = HORIZON + (ground[int(foot * height)] - HORIZON) * rise[piece]
            elif names == ("building",):  # a street comes nearer along its houses
                feet = [np.flatnonzero(piece[:, column])[-1] for column in columns]
                feet = np.interp(
                    np.arange(width), columns, gaussian_filter1d(np.array(feet, float), STREET * width, mode="nearest")
                )
                near[piece], firm[piece] = np.tile(ground[feet.astype(int)], (height, 1))[piece], FIRM["standing"]
            else:
                near[piece], firm[piece] = ground[int(foot * height)], FIRM["standing"]
    return near, firm


def _pieces(clear: np.ndarray, gap: int = 0) -> Iterator[np.ndarray]:
    """The pieces of a mask (h, w) of booleans that are no specks, each as such a mask; what is a gap apart is one."""
    clear = drop_specks(clear.astype(np.uint8)) > 0
    count, labels = cv2.connectedComponents(_grow(clear, gap).astype(np.uint8))
    return (clear & (labels == piece) for piece in range(1, count))


def _foot(piece: np.ndarray) -> float:
    """Where a thing stands, as a share of the height."""
    return float(np.quantile(np.nonzero(piece)[0], FOOT)) / len(piece)


def _is_cut_off(piece: np.ndarray) -> bool:
    """Whether a thing goes on below the picture."""
    return piece[int(EDGE * len(piece)) :].any(0).sum() > 0.2 * piece.any(0).sum()


def _stand(piece: np.ndarray, ground: np.ndarray, horizon: float) -> float:
    """Inverse depth of a thing before all else."""
    foot = _foot(piece)
    return 1.0 if _is_cut_off(piece) else max(AFORE, float(ground[int(foot * len(piece))])) if foot > horizon else ALOFT


def spread(near: np.ndarray, firm: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The smooth map (h, w) on a grid that is nearest to what is known, by least squares; what is unknown lies between."""
    weight = cv2.resize(firm, grid[::-1], interpolation=cv2.INTER_AREA) + 1e-4
    wanted = cv2.resize(firm * near + 1e-4 * near, grid[::-1], interpolation=cv2.INTER_AREA)
    steps = [diags([-1.0, 1.0], [0, 1], shape=(side - 1, side)) for side in grid]
    down, across = (step.T @ step for step in steps)
    smooth = kron(down, identity(grid[1])) + kron(identity(grid[0]), across)
    return spsolve((diags(weight.ravel()) + FLUENCY * smooth).tocsc(), wanted.ravel()).reshape(grid)
