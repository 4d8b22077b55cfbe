"""What words have a face do: acts, and the `motion.faces.Face` that they make of its points."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from loopanimate.motion.border import smoothstep
from loopanimate.motion.faces import ENDS, FIELD, KNOTS, LEVELS, Eye, Face
from loopanimate.scene.faces import OVAL, EyePoints, FacePoints

AMOUNTS = {"barely": 0.4, "gently": 0.6, "": 1.0, "plainly": 1.0, "strongly": 1.5, "wildly": 2.0}  # by names of STRENGTHS
PACES = {"slowly": 0.6, "": 1.0, "quickly": 1.5}  # by names of TEMPOS
# Seconds
CLOSING, SHUT, OPENING = 0.1, 0.06, 0.2  # of a blink
APART = 2.4  # from one blink to the next, about
AGAIN = 0.14  # between the two of a doubled one
DOUBLED = 0.3  # share of blinks that are
GLANCE = 0.13  # that an iris is on its way
EASE = 0.7  # that a smile, or a lid that stays closed, takes
CLEAR = 0.08, 0.93  # shares of the loop before and after which a face is at rest, so that nothing happens at the wrap
LOOK = 0.12  # lengths of the eye that an iris goes
LIFT = 0.09  # the same, up or down
ROOM = 0.85  # of the white beside an iris that it may cross
SHORTEST = 6  # pixels of an eye that is seen moving
OPEN = 0.2  # of an eye's length, below which it is closed already
# Distances in 8-bit CIELAB from the cheek of what is below an eye, at most, and below the better one of both: of 40 faces they
# leave out those behind dark glasses and drawn eyes that are larger than any real ones; side light comes to 84 and 52.
UNLIKE, BOTH_UNLIKE = 95, 60
MEET = 0.92  # of the eye's opening from above: where the lids meet
WIDE = 0.07  # of its length that an eye reaches beyond its corners
IRIS = 1.12  # of its radius, within which an iris with its rim moves in one piece
EVEN = 0.06  # of its length; deviation of the Gaussian that lets what a lid does fade beside the corners
LASHES = 0.55  # of the way of a lid that its skin has at least to be stretched over
BELOW = 0.45  # lengths of the eye that the lower lid's skin reaches down
UNSEEN = 1e-4  # short sides; what moves less is left alone, and costs nothing
BRIM = 0.14  # face heights within its outline in which a smile fades
# of a smile, in half widths of the mouth across and the like down: how much wider, how far up its corners and the cheeks, how
# far down its middle
WIDER, CORNERS, CHEEKS, MIDDLE = 0.13, 0.27, 0.16, 0.05
MOUTH, FOREHEAD, CHIN = (61, 291), 10, 152  # points of the mesh
CHEEKS_AT = (50, 101, 205), (280, 330, 425)  # below the left and the right eye
HALF_MOUTH = 0.145  # face heights


@dataclass(frozen=True)
class Act:
    """What a clause has a face do."""

    kind: str  # of FACE_KINDS
    heading: float | None = None  # degrees, x right and y down
    side: int | None = None  # of an eye in the picture: 0 left, 1 right
    amount: float = 1.0
    pace: float = 1.0


@dataclass(frozen=True)
class Actor:
    """A face of a picture (W x H), and what it does."""

    points: FacePoints
    size: tuple[int, int]  # W, H
    usable: tuple[bool, ...]  # of each eye, as `can_move_eyes` says
    acts: tuple[Act, ...]

    def form(self, seconds: float, seed: int) -> Face:
        """The face of a loop of so many seconds, in short sides of the picture."""
        return form_face(self.points, self.usable, self.acts, min(self.size), seconds, seed)

    @property
    def mask(self) -> np.ndarray:
        """(H, W) float32: 1 on the face."""
        return outline(self.points, self.size)


def outline(face: FacePoints, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: 1 on a face of a picture of that size, W and H."""
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(mask, [np.rint(face.mesh[list(OVAL), :2]).astype(np.int32)], 1)
    return mask.astype(np.float32)


def can_move_eyes(face: FacePoints, pixels: np.ndarray) -> list[bool]:
    """Whether each eye of a face is open and to be seen, in a picture (H, W, 3) uint8."""
    unlike = [_unlike_skin(face, side, pixels) for side in (0, 1)]
    seen = min(unlike) <= BOTH_UNLIKE
    return [seen and _opens(eye) and apart <= UNLIKE for eye, apart in zip(face.eyes, unlike)]


def _opens(eye: EyePoints) -> bool:
    length = np.linalg.norm(eye.upper[-1] - eye.upper[0])
    return length >= SHORTEST and np.linalg.norm(eye.lower - eye.upper, axis=1).max() > OPEN * length


def _unlike_skin(face: FacePoints, side: int, pixels: np.ndarray) -> float:
    """How far the colour below an eye is from that of the cheek, in 8-bit CIELAB. Dark glasses and large drawn eyes are far."""
    eye = face.eyes[side]
    down = np.array([eye.upper[0, 1] - eye.upper[-1, 1], eye.upper[-1, 0] - eye.upper[0, 0]])
    below = _colours(pixels, np.concatenate([eye.lower[2:7] + share * down for share in (0.15, 0.25)]))
    cheek = np.median(_colours(pixels, face.mesh[list(CHEEKS_AT[side]), :2]), axis=0)
    return float(np.median(np.linalg.norm(below - cheek, axis=1)))


def _colours(pixels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P, 3) of 8-bit CIELAB at points (P, 2)."""
    x, y = (np.clip(np.rint(part).astype(int), 0, side - 1) for part, side in zip(points.T, pixels.shape[1::-1]))
    return cv2.cvtColor(pixels[y, x][None], cv2.COLOR_RGB2LAB)[0].astype(np.float32)


def form_face(face: FacePoints, usable: Sequence[bool], acts: Sequence[Act], short: int, seconds: float, seed: int) -> Face:
    """The face of a loop of so many seconds, in short sides of the picture.

    usable: of each eye, as `can_move_eyes` says. short: pixels of the picture's short side.
    """
    eyes = tuple(_form_eye(points, side, short) for side, points in enumerate(face.eyes) if usable[side])
    rng = np.random.default_rng(seed)
    fields, columns = [], []
    lids = np.zeros((2, LEVELS))
    gaze = np.zeros((2, LEVELS))
    box = _box_of(face, eyes, short)
    for act in acts:
        if act.kind == "blink":
            lids = np.maximum(lids, _blink(rng, seconds, act.pace))
        elif act.kind == "wink":
            lids[_winking(eyes, act.side)] = _wink(rng, seconds, act.pace)
        elif act.kind == "close":
            lids = np.maximum(lids, _stay(seconds, EASE / act.pace))
        elif act.kind == "gaze":
            gaze += _look(eyes, act, seconds)
        elif act.kind == "smile":
            fields.append(_smile(face, box, short))
            columns.append(act.amount * _stay(seconds, EASE / act.pace))
    curve = np.stack([*lids, *gaze, *columns], axis=1).astype(np.float32)
    return Face(box, eyes, np.stack(fields) if fields else np.zeros((0, 2, FIELD, FIELD), np.float32), curve)


def _form_eye(eye: EyePoints, side: int, short: int) -> Eye:
    # the white of an eye reaches a little beyond the corners that the network marks
    wide = eye.upper[-1] - eye.upper[0]
    corner, along = eye.upper[0] - WIDE * wide, (1 + 2 * WIDE) * wide
    length = float(along @ along)

    def frame(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = points - corner
        return away @ along / length, (away[:, 1] * along[0] - away[:, 0] * along[1]) / length

    ends = np.linspace(*ENDS, KNOTS)

    def line(points: np.ndarray) -> np.ndarray:
        u, v = frame(points)
        order = np.argsort(u)
        u, kept = np.unique(u[order], return_index=True)
        return PchipInterpolator(u, v[order][kept])(np.clip(ends, u[0], u[-1]))

    corners = np.stack([corner, corner + along])
    upper, lower = (line(np.concatenate([corners[:1], lid[1:-1], corners[1:]])) for lid in (eye.upper, eye.lower))
    lower = np.maximum(lower, upper)
    opening = gaussian_filter1d(lower - upper, EVEN / (ends[1] - ends[0]), mode="constant")
    least = upper - LASHES * opening - 0.08
    over, under = np.minimum(line(eye.brow), least), lower + BELOW
    (iris_u,), (iris_v,) = frame(eye.iris[None])
    radius = IRIS * eye.radius / length**0.5
    lids = np.stack([over, upper, lower, under, MEET * opening, (MEET - 1) * opening]).astype(np.float32)
    place = tuple((corner / short).tolist()), tuple((along / short).tolist())
    return Eye(side, *place, lids, (float(iris_u), float(iris_v), float(radius)))


def _box_of(face: FacePoints, eyes: Sequence[Eye], short: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a face and of all that its eyes move."""
    points = [face.mesh[:, :2] / short]
    for eye in eyes:
        u, v = np.tile(np.linspace(*ENDS, KNOTS), 2), eye.lids[[0, 3]].ravel()
        points.append(eye.corner + np.outer(u, eye.along) + np.outer(v, [-eye.along[1], eye.along[0]]))
    points = np.concatenate(points)
    return tuple(np.concatenate([points.min(0), points.max(0)]).tolist())


def _times(seconds: float) -> np.ndarray:
    return np.arange(LEVELS) / LEVELS * seconds


def _rise(times: np.ndarray, start: float, rise: float, end: float, fall: float) -> np.ndarray:
    """From 0 at `start` to 1, and from 1 to 0 at `end`, seconds; `rise` and `fall` long."""
    up, down = np.clip((times - start) / rise, 0, 1), np.clip((end - times) / fall, 0, 1)
    return smoothstep(up) * smoothstep(down)


def _blink_at(start: float, seconds: float, pace: float) -> np.ndarray:
    """One blink, quick enough for a short loop; it ends before the wrap, wherever it is to start."""
    scale = min(1 / pace, 0.6 * seconds / (CLOSING + SHUT + OPENING))
    length = scale * (CLOSING + SHUT + OPENING)
    start = min(start, CLEAR[1] * seconds - length)
    return _rise(_times(seconds), start, scale * CLOSING, start + length, scale * OPENING)


def _blink(rng: np.random.Generator, seconds: float, pace: float) -> np.ndarray:
    """Blinks now and then, none at the wrap."""
    last = CLEAR[1] * seconds - (2 * (CLOSING + SHUT + OPENING) + AGAIN) / pace
    first = CLEAR[0] * seconds
    count = max(1, round(seconds / APART))
    closed = np.zeros(LEVELS)
    for number in range(count):
        start = first + max(last - first, 0) * (number + rng.uniform(0.1, 0.9)) / count
        closed = np.maximum(closed, _blink_at(start, seconds, pace))
        if last > first and rng.uniform() < DOUBLED:
            again = start + (CLOSING + SHUT + OPENING + AGAIN * rng.uniform(0.5, 1)) / pace
            closed = np.maximum(closed, _blink_at(again, seconds, pace))
    return closed


def _wink(rng: np.random.Generator, seconds: float, pace: float) -> np.ndarray:
    return _blink_at(seconds * rng.uniform(0.3, 0.5), seconds, 0.7 * pace)


def _winking(eyes: Sequence[Eye], side: int | None) -> int:
    """The eye that winks: the one that words name, or the nearer one, which is the larger."""
    sizes = {eye.side: float(np.hypot(*eye.along)) for eye in eyes}
    return side if side in sizes else max(sizes, key=sizes.get, default=0)


def _stay(seconds: float, ease: float) -> np.ndarray:
    """There for most of the loop, and back."""
    first, last = (share * seconds for share in CLEAR)
    ease = min(ease, 0.3 * (last - first))
    return _rise(_times(seconds), first, ease, last, ease)


def _look(eyes: Sequence[Eye], act: Act, seconds: float) -> np.ndarray:
    """(2, LEVELS): the way of irises, x and y in short sides, there and back; without a heading to either side."""
    if not eyes:
        return np.zeros((2, LEVELS))
    first, last = (share * seconds for share in CLEAR)
    glance = min(GLANCE / act.pace, 0.15 * (last - first))
    times, spans = _times(seconds), [(first, last)]
    ways = [act.heading]
    if act.heading is None:
        ways = [180.0, 0.0]
        spans = [(first + (last - first) * low, first + (last - first) * high) for low, high in ((0, 0.45), (0.55, 1))]
    path = np.zeros((2, LEVELS))
    for way, (start, end) in zip(ways, spans):
        there = _rise(times, start + 0.1 * (end - start), glance, end - 0.1 * (end - start), glance)
        path += np.outer(_reach(eyes, way, act.amount), there)
    return path


def _reach(eyes: Sequence[Eye], heading: float, amount: float) -> np.ndarray:
    """How far irises go that way, (2,) in short sides: as far as asked, and within each eye."""
    way = np.array([np.cos(np.radians(heading)), np.sin(np.radians(heading))])
    far = np.inf
    for eye in eyes:
        along = np.array(eye.along)
        length = float(np.hypot(*along))
        across, down = float(way @ along) / length, float(way @ [-along[1], along[0]]) / length
        middle, _, radius = eye.iris
        room = ROOM * max(0.02, (1 - middle if across > 0 else middle) - radius)
        asked = amount * np.hypot(LOOK * across, LIFT * down)
        far = min(far, length * min(asked, room / max(abs(across), 1e-6), 2 * LIFT / max(abs(down), 1e-6)))
    return far * way


def _grid(box: Sequence[float]) -> np.ndarray:
    """Places (2, FIELD, FIELD), x then y, of a box's points, in its unit."""
    return np.stack(np.meshgrid(np.linspace(box[0], box[2], FIELD), np.linspace(box[1], box[3], FIELD)))


def _smile(face: FacePoints, box: Sequence[float], short: int) -> np.ndarray:
    """The displacement of a smile, (2, FIELD, FIELD) in short sides."""
    mesh = face.mesh[:, :2] / short
    left, right = mesh[list(MOUTH)]
    height = float(np.linalg.norm(mesh[CHIN] - mesh[FOREHEAD]))
    half, size = float(np.linalg.norm(right - left)) / 2, HALF_MOUTH * height
    across = (right - left) / (2 * half)
    down = np.array([-across[1], across[0]])
    places = _grid(box)
    away = places - ((left + right) / 2)[:, None, None]
    x, y = np.tensordot(across, away, 1) / half, np.tensordot(down, away, 1) / size

    def bump(x, y, wide, high):
        return np.exp(-0.5 * ((x / wide) ** 2 + (y / high) ** 2))

    aside = WIDER * x * bump(x, y, 1.4, 0.9)
    corners = (1 - bump(x, 0, 0.8, 1)) / (1 - np.exp(-0.5 / 0.8**2))  # a bow: 0 in the middle, 1 at the corners
    up = CORNERS * corners * bump(np.maximum(abs(x) - 1, 0), y, 0.5, 0.6) + CHEEKS * bump(abs(x) - 1.4, y + 1.7, 0.8, 0.8)
    up = up - MIDDLE * bump(x, y, 0.5, 0.5)
    fade = _inside(mesh[list(OVAL)], places, BRIM * height)
    moved = (half * aside * across[:, None, None] - size * up * down[:, None, None]) * fade
    return (moved * smoothstep(np.clip(np.hypot(*moved) / UNSEEN - 1, 0, 1))).astype(np.float32)


def _inside(outline: np.ndarray, places: np.ndarray, brim: float) -> np.ndarray:
    """(h, w) in [0, 1]: 0 at an outline (P, 2) and beyond, 1 from a brim within."""
    outline = np.ascontiguousarray(outline, np.float32)
    depth = [cv2.pointPolygonTest(outline, place, True) for place in places.reshape(2, -1).T.tolist()]
    return smoothstep(np.clip(np.reshape(depth, places.shape[1:]) / brim, 0, 1))
