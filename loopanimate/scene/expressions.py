"""What words have a face do: acts, and the `motion.faces.Face` that they make of its points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from loopanimate.motion.border import smoothstep
from loopanimate.motion.faces import ENDS, KNOTS, LEVELS, Eye, Face
from loopanimate.scene.bends import CHEST, FRONT, HEAD, Bender
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
CHEEKS_AT = (50, 101, 205), (280, 330, 425)  # below the left and the right eye
# Degrees
TURN, NOD, TILT, SHAKE = 8.0, 7.0, 6.0, 5.0
MOST = 12.0  # that a head goes, however strongly
HEAD_EASE, TILT_EASE = 0.75, 0.9  # seconds that a head takes
NODS, SHAKES = 1.1, 1.5  # a second
AGAIN_NODS = 0.7  # of the first nod, how far the second goes
LEAD = 0.12  # seconds that eyes look before the head turns
LED = 0.6  # of a glance, as far as they do
BREATH = 4.0  # seconds
INHALE = 0.42  # share of a breath


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
        return form_face(self.points, self.usable, self.acts, self.size, seconds, seed)

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


def form_face(
    face: FacePoints, usable: Sequence[bool], acts: Sequence[Act], size: tuple[int, int], seconds: float, seed: int
) -> Face:
    """The face of a loop of so many seconds, in short sides of the picture.

    usable: of each eye, as `can_move_eyes` says. size: W and H of the picture in pixels.
    """
    short = min(size)
    eyes = tuple(_form_eye(points, side, short) for side, points in enumerate(face.eyes) if usable[side])
    bender, rng = Bender(face, short, (size[0] / short, size[1] / short)), np.random.default_rng(seed)
    chest, head, features = [], [], []  # fields, each with its column of the curve
    lids = np.zeros((2, LEVELS))
    gaze = np.zeros((2, LEVELS))
    box = _box_of(face, eyes, short)
    for act in (part for each in acts for part in parts_of(each)):
        if act.kind == "blink":
            lids = np.maximum(lids, _blink(rng, seconds, act.pace))
        elif act.kind == "wink":
            lids[_winking(eyes, act.side)] = _wink(rng, seconds, act.pace)
        elif act.kind == "close":
            lids = np.maximum(lids, _stay(seconds, EASE / act.pace))
        elif act.kind == "gaze":
            gaze += _look(eyes, act, seconds)
        elif act.kind == "smile":
            features.append((bender.smile, act.amount * _stay(seconds, EASE / act.pace)))
        elif act.kind in ("raise-brows", "frown"):
            sides = (0, 1) if act.side is None else (act.side,)
            features.append((bender.brows(act.kind == "frown", sides), min(act.amount, 1.5) * _stay(seconds, EASE / act.pace)))
        elif act.kind == "breathe":
            chest.append((bender.breathe, min(act.amount, 1.5) * _breathe(seconds, act.pace)))
        else:
            moved, ways, led = _move_head(bender, act, rng, seconds)
            head += moved
            for way, path in zip(ways, led):
                gaze += np.outer(_reach(eyes, way, LED), path) if eyes else 0
    tilts = any(act.kind == "tilt-head" for act in acts)
    stages = [(bender.box(CHEST), chest), (bender.box(HEAD if tilts else FRONT), head), (box, features)]
    bends = [bender.bend(own, [field for field, _ in made]) for own, made in stages if made]
    columns = [column for _, made in stages for _, column in made]
    return Face(box, eyes, tuple(bends), np.stack([*lids, *gaze, *columns], axis=1).astype(np.float32))


def parts_of(act: Act) -> list[Act]:
    """An act, or those that it is made of."""
    if act.kind != "live":
        return [act]
    small = 0.6 * min(act.amount, 1.0)
    return [replace(act, kind="blink"), replace(act, kind="breathe"), replace(act, kind="gaze", amount=small)]


def _move_head(bender: Bender, act: Act, rng: np.random.Generator, seconds: float):
    """Fields of a head with their columns, and headings of the eyes that lead it with theirs."""
    whole = act.amount * {"turn-head": TURN, "nod": NOD, "tilt-head": TILT, "shake-head": SHAKE}[act.kind]
    angle = min(whole, MOST)
    first, last = (share * seconds for share in CLEAR)
    times = _times(seconds)
    if act.kind == "nod":
        length = min(2 / (NODS * act.pace), last - first)
        at = (times - first - 0.3 * (last - first - length)) / length
        nods = np.where((at > 0) & (at < 1), (1 - np.cos(4 * np.pi * at)) / 2 * np.where(at < 0.5, 1, AGAIN_NODS), 0)
        return [(bender.rotate(0, angle), nods)], [], []
    left, right = bender.rotate(1, angle), bender.rotate(1, -angle)
    if act.kind == "shake-head":
        envelope = _rise(times, first, 0.3 * (last - first), last, 0.5 * (last - first))
        swing = envelope * np.sin(
            2 * np.pi * max(1, round(SHAKES * act.pace * (last - first))) * (times - first) / (last - first)
        )
        return [(left, np.maximum(swing, 0)), (right, np.maximum(-swing, 0))], [], []
    if act.kind == "tilt-head":
        ease = min(TILT_EASE / act.pace, 0.4 * (last - first))
        aside = (-1 if np.cos(np.radians(act.heading)) < 0 else 1) if act.heading is not None else rng.choice([-1, 1])
        return [(bender.tilt(aside * angle), _rise(times, first, ease, last, ease))], [], []
    ease = min(HEAD_EASE / act.pace, 0.25 * (last - first))
    if act.heading in (90.0, 270.0):
        fields, ways = [bender.rotate(0, angle if act.heading == 90.0 else -angle)], [act.heading]
    elif act.heading is not None:
        ways = [180.0 if np.cos(np.radians(act.heading)) < 0 else 0.0]
        fields = [left if ways[0] else right]
    else:
        ways, fields = [180.0, 0.0], [left, right]
    # from one side to the other without a rest between
    middle, half = (first + last) / 2, ease if len(ways) > 1 else 0
    spans = [(first, last)] if len(ways) == 1 else [(first, middle + half), (middle - half, last)]
    lead = min(LEAD, 0.5 * ease)
    columns, led = [], []
    for place, (start, end) in enumerate(spans):
        up, down = (ease if place == 0 else 2 * half), (ease if place == len(spans) - 1 else 2 * half)
        columns.append(_rise(times, start + (lead if place == 0 else 0), up, end, down))
        # eyes go first, there and back, and rest with the head
        led.append(_rise(times, start, min(GLANCE, up), end - lead, down))
    return list(zip(fields, columns)), ways, led


def _breathe(seconds: float, pace: float) -> np.ndarray:
    """Whole breaths, which rest breathed out at the wrap."""
    first, last = (share * seconds for share in CLEAR)
    count = max(1, round(seconds * pace / BREATH))
    share = np.clip((_times(seconds) - first) / (last - first), 0, 1) * count % 1
    return np.where(share < INHALE, smoothstep(share / INHALE), smoothstep((1 - share) / (1 - INHALE)))


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
