"""The smooth displacements of a face's features, a head and a chest, out of a mesh with depth: fields of `motion.faces.Bend`.

A head turns as its mesh does, rotated in space and seen from afar: what is near goes farther than what is deep, and its outline
stays. Around the mesh, hair and ears have the depth of an ellipsoid about the same axis, which the ears lie on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates

from loopanimate.motion.border import smoothstep
from loopanimate.motion.faces import FIELD, Bend, Box
from loopanimate.scene.faces import BROWS, OVAL, FacePoints

UNSEEN = 1e-4  # short sides; what moves less is left alone, and costs nothing
BRIM = 0.14  # face heights within its outline in which what features do fades
# Points of the mesh
MOUTH, FOREHEAD, CHIN, EARS, EYES = (61, 291), 10, 152, (234, 454), (33, 263)
# of a smile, in half widths of the mouth across and the like down: how much wider, how far up its corners and the cheeks, how
# far down its middle
WIDER, CORNERS, CHEEKS, MIDDLE = 0.13, 0.27, 0.16, 0.05
HALF_MOUTH = 0.145  # face heights
# Face heights, from the middle between the ears on: across, and down along the face. The chin of a face is at 0.5, its crown
# with hair at -0.9.
HEAD = (-1.5, -1.9, 1.5, 1.25)  # box of all that a head takes along
FRONT = (-1.0, -1.2, 1.0, 1.0)  # box of all that goes with its front where it turns or nods
CHEST = (-2.2, 0.4, 2.2, 3.0)
SEEN = 1.2  # of an angle that a head is turned by: as its outline stays, the mesh read 0.8 of it off 34 portraits, and 0.96 with this
CROWN, HALF_HEAD = -0.1, (0.62, 0.85)  # middle of the ellipsoid, and its half axes across and down
BULGE = 0.5  # its depth
DEPTH = (
    1.12  # of a head over the mesh's: of adults, from the ears to the tip of the nose are 0.69 face heights, in the mesh 0.61
)
SKIN = 0.3  # over which depth goes from the mesh's outline to the ellipsoid's
WAIST = 0.75  # where the neck stands, about which a head tilts
NECK = 0.5, 1.2  # between which the neck bends
HAIR = 0.75, 1.45  # across, between which what a head takes along fades
LIFT, WIDEN = 0.028, 0.02  # that shoulders rise in a breath; share of their distance from the middle that they move apart
COLLAR, SHOULDERS, BELLY = 0.62, 1.05, 2.9  # between which breath begins, is full, and ends
FLANKS = 1.3, 2.1  # across, between which it fades
RAISE, FROWN, KNIT = 0.05, 0.03, 0.03  # that brows go up; that their inner ends go down, and towards each other
ABOVE, BELOW, BESIDE = 0.13, 0.05, 0.06  # deviations of what a brow takes along
EDGE = 0.12  # short sides from the picture's borders in which all of it fades
PROFILE = 40  # degrees; photographs turned by up to 35 were seen to turn well, a drawing of 48 got a bent nose
STEEP = 0.6  # change of a displacement over the distance, at most: where a head meets the picture's border it would fold
ROUNDS = 6  # of the inversion of a displacement; of 8 degrees, the fourth changes nothing that is seen


@dataclass(frozen=True)
class Pose:
    """A head in space, in short sides of the picture."""

    centre: np.ndarray  # (3,), amid the ears; x, y and depth
    axes: np.ndarray  # (3, 3), unit vectors: across, down, into the picture
    height: float  # of the face

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll in degrees: positive where it is turned to the picture's left, raised, tilted to the right."""
        across, down, _ = self.axes
        return tuple(
            float(np.degrees(np.arctan2(*pair)))
            for pair in ((-across[2], across[0]), (-down[2], down[1]), (across[1], across[0]))
        )


def pose_of(mesh: np.ndarray) -> Pose:
    """The pose of a mesh (468, 3), in its unit."""
    across, down = mesh[EARS[1]] - mesh[EARS[0]], mesh[CHIN] - mesh[FOREHEAD]
    height = float(np.linalg.norm(down))
    across = across / np.linalg.norm(across)
    down = down - across * (across @ down)
    down /= np.linalg.norm(down)
    return Pose(mesh[list(EARS)].mean(0), np.stack([across, down, np.cross(across, down)]), height)


def is_profile(face: FacePoints) -> bool:
    """Whether a face is seen from the side, so that its outline is the nose's."""
    return abs(pose_of(face.mesh).angles[0]) > PROFILE


def shows_shoulders(face: FacePoints, size: tuple[int, int]) -> bool:
    """Whether a picture (W x H pixels) reaches down to the shoulders of a face."""
    pose = pose_of(face.mesh)
    below = pose.centre[:2] + (SHOULDERS * pose.height) * pose.axes[1, :2]
    return bool((below > 0).all() and (below < size).all())


class Bender:
    """Makes the bends of one face, in short sides of the picture; size: (W, H) of the picture in the same unit."""

    def __init__(self, face: FacePoints, short: int, size: tuple[float, float]):
        self.mesh, self.size, self.pose = face.mesh / short, size, pose_of(face.mesh / short)
        across = sum(self.mesh[pair[1], :2] - self.mesh[pair[0], :2] for pair in (EYES, MOUTH))
        self.across = across / np.linalg.norm(across)
        self.down = np.array([-self.across[1], self.across[0]])

    def box(self, edges: Box) -> Box:
        """A box around one of the face's own frame, in face heights."""
        corners = np.array([[edges[x], edges[y]] for x in (0, 2) for y in (1, 3)]) * self.pose.height
        places = self.pose.centre[:2] + corners @ np.stack([self.across, self.down])
        low, high = np.maximum(places.min(0), 0), np.minimum(places.max(0), self.size)
        return tuple(np.concatenate([low, np.maximum(high, low + 1e-3)]).tolist())

    def own(self, places: np.ndarray) -> np.ndarray:
        """Places (2, h, w) in face heights across and down from amid the ears."""
        return np.tensordot(np.stack([self.across, self.down]), places - self.pose.centre[:2, None, None], 1) / self.pose.height

    def bend(self, box: Box, fields: Sequence[Callable[[np.ndarray], np.ndarray]]) -> Bend:
        """fields: functions from places (2, h, w) to how far what stands there goes (2, h, w)."""
        places = grid(box)
        fade = np.minimum.reduce([*places, *(side - part for part, side in zip(places, self.size))]) / EDGE
        edges = np.minimum.reduce([np.minimum(at, FIELD - 1 - at) for at in np.mgrid[:FIELD, :FIELD]]) / 2
        fade = smoothstep(np.clip(fade, 0, 1)) * smoothstep(np.clip(edges, 0, 1))
        return Bend(box, np.stack([_invert(_flatten(field(places) * fade, box), box) for field in fields]))

    def rotate(self, axis: int, degrees: float) -> Callable[[np.ndarray], np.ndarray]:
        """Turn the head about its own axis across (0) or down (1)."""
        cos, sin = np.cos(np.radians(SEEN * degrees)), np.sin(np.radians(SEEN * degrees))
        x, y, z = self.pose.axes[axis]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        turn = sin * cross + (1 - cos) * cross @ cross

        def field(places: np.ndarray) -> np.ndarray:
            away = np.concatenate([places - self.pose.centre[:2, None, None], self._depth(places)[None]])
            return np.tensordot(turn, away, 1)[:2] * self._taken(places)

        return field

    def tilt(self, degrees: float) -> Callable[[np.ndarray], np.ndarray]:
        """Tilt the head in the picture's plane, clockwise, on a neck that bends."""
        stand = self.pose.centre[:2] + WAIST * self.pose.height * self.down

        def field(places: np.ndarray) -> np.ndarray:
            # a neck that bends: each place turns by its own share of the angle
            angle = np.radians(degrees) * self._taken(places)
            x, y = places - stand[:, None, None]
            return np.stack([(np.cos(angle) - 1) * x - np.sin(angle) * y, np.sin(angle) * x + (np.cos(angle) - 1) * y])

        return field

    def breathe(self, places: np.ndarray) -> np.ndarray:
        u, v = self.own(places)
        share = _between(v, COLLAR, SHOULDERS) * (1 - _between(v, SHOULDERS, BELLY)) * (1 - _between(abs(u), *FLANKS))
        return self.pose.height * (WIDEN * u * share * self.across[:, None, None] - LIFT * share * self.down[:, None, None])

    def brows(self, frown: bool, sides: Sequence[int] = (0, 1)) -> Callable[[np.ndarray], np.ndarray]:
        """Raise the brows, or draw them down and together."""

        def field(places: np.ndarray) -> np.ndarray:
            u, v = self.own(places)
            moved = np.zeros_like(places)
            for side in sides:
                points = self.own(self.mesh[list(BROWS[side]), :2].T[:, :, None])[..., 0]
                inner, sign = points[0, -1 if side == 0 else 0], 1 - 2 * side
                length = abs(points[0, -1] - points[0, 0])
                order = np.argsort(points[0])
                down = v - np.interp(u, points[0, order], points[1, order])
                beyond = np.maximum(np.maximum(points[0].min() - u, u - points[0].max()), 0)
                share = np.exp(-0.5 * ((down / np.where(down > 0, BELOW, ABOVE)) ** 2 + (beyond / BESIDE) ** 2))
                near = np.exp(-0.5 * ((u - inner) / (0.6 * length)) ** 2)
                goes = (sign * KNIT * near, FROWN * near) if frown else (0, -RAISE)
                moved += share * (goes[0] * self.across[:, None, None] + goes[1] * self.down[:, None, None])
            fade = inside(self.mesh[list(OVAL), :2], places, 0.5 * BRIM * self.pose.height)
            return self.pose.height * moved * fade

        return field

    def smile(self, places: np.ndarray) -> np.ndarray:
        left, right = self.mesh[list(MOUTH), :2]
        height = float(np.linalg.norm(self.mesh[CHIN, :2] - self.mesh[FOREHEAD, :2]))
        half, size = float(np.linalg.norm(right - left)) / 2, HALF_MOUTH * height
        across = (right - left) / (2 * half)
        down = np.array([-across[1], across[0]])
        away = places - ((left + right) / 2)[:, None, None]
        x, y = np.tensordot(across, away, 1) / half, np.tensordot(down, away, 1) / size

        def bump(x, y, wide, high):
            return np.exp(-0.5 * ((x / wide) ** 2 + (y / high) ** 2))

        aside = WIDER * x * bump(x, y, 1.4, 0.9)
        corners = (1 - bump(x, 0, 0.8, 1)) / (1 - np.exp(-0.5 / 0.8**2))  # a bow: 0 in the middle, 1 at the corners
        up = CORNERS * corners * bump(np.maximum(abs(x) - 1, 0), y, 0.5, 0.6) + CHEEKS * bump(abs(x) - 1.4, y + 1.7, 0.8, 0.8)
        up = up - MIDDLE * bump(x, y, 0.5, 0.5)
        fade = inside(self.mesh[list(OVAL), :2], places, BRIM * height)
        return (half * aside * across[:, None, None] - size * up * down[:, None, None]) * fade

    def _taken(self, places: np.ndarray) -> np.ndarray:
        """(h, w) in [0, 1]: how much of a head's way its places go."""
        u, v = self.own(places)
        return (1 - _between(v, *NECK)) * (1 - _between(np.hypot(u, np.minimum(v + 0.4, 0)), *HAIR))

    def _depth(self, places: np.ndarray) -> np.ndarray:
        """(h, w): depth of the head's front at places, from the axis on, negative before it."""
        u, v = self.own(places)
        round_off = np.clip(1 - (u / HALF_HEAD[0]) ** 2 - ((v - CROWN) / HALF_HEAD[1]) ** 2, 0, 1)
        behind = -BULGE * self.pose.height * round_off**2
        known, depth = self.mesh[:, :2], DEPTH * (self.mesh[:, 2] - self.pose.centre[2])
        points = places.reshape(2, -1).T
        front = LinearNDInterpolator(known, depth)(points)
        front = np.where(np.isnan(front), NearestNDInterpolator(known, depth)(points), front).reshape(u.shape)
        away = np.maximum(-reach_inside(self.mesh[list(OVAL), :2], places), 0) / (SKIN * self.pose.height)
        share = smoothstep(np.clip(1 - away, 0, 1))
        return gaussian_filter(share * front + (1 - share) * behind, 1.0)


def grid(box: Box) -> np.ndarray:
    """Places (2, FIELD, FIELD), x then y, of a box's points, in its unit."""
    return np.stack(np.meshgrid(np.linspace(box[0], box[2], FIELD), np.linspace(box[1], box[3], FIELD)))


def reach_inside(outline: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(h, w): distance of places from an outline (P, 2), negative beyond it."""
    outline = np.ascontiguousarray(outline, np.float32)
    depth = [cv2.pointPolygonTest(outline, place, True) for place in places.reshape(2, -1).T.tolist()]
    return np.reshape(depth, places.shape[1:])


def inside(outline: np.ndarray, places: np.ndarray, brim: float) -> np.ndarray:
    """(h, w) in [0, 1]: 0 at an outline (P, 2) and beyond, 1 from a brim within."""
    return smoothstep(np.clip(reach_inside(outline, places) / brim, 0, 1))


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return smoothstep(np.clip((values - low) / (high - low), 0, 1))


def _flatten(forward: np.ndarray, box: Box) -> np.ndarray:
    """A displacement (2, FIELD, FIELD), made smaller where it is too steep."""
    steps = (np.array(box[2:]) - box[:2]) / (FIELD - 1)
    slopes = [np.gradient(part, step, axis=axis) for part in forward for axis, step in ((1, steps[0]), (0, steps[1]))]
    return forward * min(1.0, STEEP / max(np.abs(slopes).max(), 1e-6))


def _invert(forward: np.ndarray, box: Box) -> np.ndarray:
    """What has come to each place from how far it has come, by where it goes from each: (2, FIELD, FIELD) float32."""
    steps = (np.array(box[2:]) - box[:2]) / (FIELD - 1)
    at, back = np.mgrid[:FIELD, :FIELD], forward
    for _ in range(ROUNDS):
        source = at[0] - back[1] / steps[1], at[1] - back[0] / steps[0]
        back = np.stack([map_coordinates(part, source, order=1, mode="nearest") for part in forward])
    return (back * smoothstep(np.clip(np.hypot(*back) / UNSEEN - 1, 0, 1))).astype(np.float32)
