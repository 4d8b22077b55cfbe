"""Faces: where they are in a picture, and 468 points with depth on each, by MediaPipe's networks (assets/faces).

Points are numbered as MediaPipe numbers them; "left" and "right" are the picture's.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image

from loopanimate.presets import ASSETS

NETWORKS = ASSETS / "faces"
LONG_SIDE = 1536  # pixels of the copy that faces are looked for in
TILES = (1.0, 0.67, 0.4)  # of the short side, squares that are searched beside the whole: the detector sees 128 pixels
STEP = 0.67  # of a tile from one to the next, at most
SCORE = 0.4  # of the detector, from which the mesh is asked; the mesh alone says what is a face
PRESENCE = (
    4.0  # the mesh's logit from which it is one; of 399 pictures without faces, two had something above 2, none above 3.4
)
SAME = 0.3  # intersection over union from which two detections are one face
AROUND = 1.5  # sides of the box that the mesh sees, over those of the detection
ROUNDS = 2  # times that the mesh is asked, each about what it found before
ANCHORS = ((8, 2), (16, 6))  # pixels between the detector's anchors, and how many stand at each
CORNERS = ((33, 133), (362, 263))  # of the left and the right eye, the left corner first
BROWS = ((46, 53, 52, 65, 55), (285, 295, 282, 283, 276))  # lower edges of the brows, from left to right
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)  # around the face, from the forehead's middle on
EYE_BOX = 2.3  # lengths of an eye that the network of eyes sees
RIM = 16  # of its points, around the eye: the outer corner, the lower lid, the inner corner, the upper lid


@dataclass(frozen=True)
class EyePoints:
    """An eye, in pixels of the picture."""

    lower: np.ndarray  # (9, 2), of the lower lid's edge from the left to the right corner
    upper: np.ndarray  # (9, 2)
    brow: np.ndarray  # (5, 2), of the brow's lower edge from left to right
    iris: np.ndarray  # (2,), its middle
    radius: float


@dataclass(frozen=True)
class FacePoints:
    """A face, in pixels of the picture."""

    mesh: np.ndarray  # (468, 3), x, y and depth, the nearer the less
    presence: float  # a logit
    eyes: tuple[EyePoints, EyePoints]  # the picture's left, then right

    @property
    def box(self) -> np.ndarray:
        """(4,): left, top, right, bottom."""
        return np.concatenate([self.mesh[:, :2].min(0), self.mesh[:, :2].max(0)])


@cache
def network(name: str):
    """Open a network of assets/faces. OpenCV's newer engine would drop all outputs but one, without a word."""
    return cv2.dnn.readNetFromTFLite(str(NETWORKS / f"{name}.tflite"), cv2.dnn.ENGINE_CLASSIC)


def _ask(name: str, pixels: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
    """pixels: (h, w, 3) float32 RGB."""
    net = network(name)
    net.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
    return net.forward(outputs)


def find_faces(picture: Image.Image) -> list[FacePoints]:
    """All faces of a picture, the largest first."""
    scale = min(1.0, LONG_SIDE / max(picture.size))
    size = [max(1, round(side * scale)) for side in picture.size]
    pixels = np.asarray(picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))
    fine = pixels if scale == 1 else np.asarray(picture)
    ratio = np.array(picture.size) / size
    found: list[FacePoints] = []
    for box in _detect(pixels):
        centre, side, angle = box
        face = mesh_of(fine, np.array(centre) * ratio, side * ratio[0], angle)
        if face is not None and not any(_overlap(face.box, other.box) > SAME for other in found):
            found.append(face)
    return sorted(found, key=lambda face: -float(np.prod(face.box[2:] - face.box[:2])))


def _detect(pixels: np.ndarray) -> list[tuple[np.ndarray, float, float]]:
    """Where faces may be, the likeliest first: middle (2,), side and angle of the box that the mesh is to see."""
    height, width = pixels.shape[:2]
    long, short = max(height, width), min(height, width)
    squares = [((width - long) / 2, (height - long) / 2, long)] if long > short else []
    for side in (share * short for share in TILES):
        across, down = (1 + int(np.ceil((whole - side) / (STEP * side) - 1e-6)) for whole in (width, height))
        squares += [(x, y, side) for y in np.linspace(0, height - side, down) for x in np.linspace(0, width - side, across)]
    boxes = [box for square in squares for box in _detect_in(pixels, *square)]
    kept: list[np.ndarray] = []
    for box in sorted(boxes, key=lambda box: -box[-1]):
        if all(_overlap(box[:4], other[:4]) < SAME for other in kept):
            kept.append(box)
    return [_region(box) for box in kept]


def _detect_in(pixels: np.ndarray, left: float, top: float, side: float) -> list[np.ndarray]:
    """Faces in a square of the picture, which may reach beyond it: left, top, right, bottom, both eyes' x, y, score."""
    seen = 128
    to_square = np.array([[side / seen, 0, left], [0, side / seen, top]], np.float32)
    inner = _look(pixels, to_square, seen) / 127.5 - 1
    scores, regressed = _ask("face_detection_short_range", inner, ("classificators", "regressors"))
    scores = 1 / (1 + np.exp(-np.clip(scores.ravel(), -50, 50)))
    grids = [
        np.repeat(np.stack(np.meshgrid(at := (np.arange(seen // step) + 0.5) * step, at), -1).reshape(-1, 2), count, 0)
        for step, count in ANCHORS
    ]
    anchors, regressed = np.concatenate(grids), regressed.reshape(-1, 8, 2)
    found = []
    for place in np.flatnonzero(scores > SCORE):
        middle, size = anchors[place] + regressed[place, 0], regressed[place, 1]
        eyes = (anchors[place] + regressed[place, 2:4]).ravel()
        corners = np.concatenate([middle - size / 2, middle + size / 2, eyes]) * side / seen
        found.append(np.append(corners + np.tile([left, top], 4), scores[place]))
    return found


def _region(box: np.ndarray) -> tuple[np.ndarray, float, float]:
    across = box[6:8] - box[4:6]
    return (box[:2] + box[2:4]) / 2, AROUND * float((box[2:4] - box[:2]).max()), float(np.arctan2(across[1], across[0]))


def _turned(centre: np.ndarray, side: float, angle: float, seen: int, mirrored: bool = False) -> np.ndarray:
    """The affine map (2, 3) from pixels of a square that a network sees to those of the picture."""
    cos, sin = np.cos(angle) * side / seen, np.sin(angle) * side / seen
    turned = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1 if mirrored else 1, 1])
    return np.column_stack([turned, centre - turned @ np.full(2, seen / 2)])


def _look(pixels: np.ndarray, to_picture: np.ndarray, seen: int) -> np.ndarray:
    """(seen, seen, 3) float32: what a network sees; black beyond the picture."""
    scale = float(np.hypot(*to_picture[:, 0]))
    if scale > 2:  # linear samples alone would alias
        low, high = np.floor((corners := _corners(to_picture, seen)).min(0)), np.ceil(corners.max(0))
        low, high = np.clip(low, 0, pixels.shape[1::-1]).astype(int), np.clip(high, 0, pixels.shape[1::-1]).astype(int)
        if (high - low).min() > 0:
            part = pixels[low[1] : high[1], low[0] : high[0]]
            size = np.maximum(1, np.rint((high - low) / scale)).astype(int)
            shrunk = (high - low) / size
            pixels = cv2.resize(part, size.tolist(), interpolation=cv2.INTER_AREA)
            to_picture = np.column_stack([to_picture[:, :2] / shrunk[:, None], (to_picture[:, 2] - low) / shrunk])
    offset = to_picture @ [0.5, 0.5, 1] - 0.5  # the middle of a pixel is half a pixel from its corner
    matrix = np.column_stack([to_picture[:, :2], offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pixels, matrix, (seen, seen), flags=flags, borderMode=cv2.BORDER_CONSTANT).astype(np.float32)


def _corners(to_picture: np.ndarray, seen: int) -> np.ndarray:
    return np.array([[x, y, 1] for x in (0, seen) for y in (0, seen)]) @ to_picture.T


def mesh_of(pixels: np.ndarray, centre: np.ndarray, side: float, angle: float) -> FacePoints | None:
    """The face in a square of a picture (H, W, 3) uint8; None where the mesh says that there is none."""
    seen = 192
    for _ in range(ROUNDS):
        to_picture = _turned(centre, side, angle, seen)
        points, presence = _ask("face_landmark", _look(pixels, to_picture, seen) / 255, ("conv2d_21", "conv2d_31"))
        if float(presence.ravel()[0]) < PRESENCE:
            return None
        points = points.reshape(-1, 3)
        mesh = np.column_stack(
            [np.column_stack([points[:, :2], np.ones(len(points))]) @ to_picture.T, points[:, 2] * side / seen]
        )
        across = mesh[263, :2] - mesh[33, :2]
        angle = float(np.arctan2(across[1], across[0]))
        turned = mesh[:, :2] @ [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        low, high = turned.min(0), turned.max(0)
        centre = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ ((low + high) / 2)
        side = AROUND * float((high - low).max())
    eyes = tuple(_find_eye(pixels, mesh, place) for place in (0, 1))
    return FacePoints(mesh, float(presence.ravel()[0]), eyes)


def _find_eye(pixels: np.ndarray, mesh: np.ndarray, place: int) -> EyePoints:
    seen = 64
    first, last = mesh[list(CORNERS[place]), :2]
    across = last - first
    to_picture = _turned(
        (first + last) / 2, EYE_BOX * float(np.hypot(*across)), float(np.arctan2(across[1], across[0])), seen, place == 1
    )
    names = ("output_eyes_contours_and_brows", "output_iris")
    around, iris = (part.reshape(-1, 3)[:, :2] for part in _ask("iris_landmark", _look(pixels, to_picture, seen) / 255, names))
    around, iris = (np.column_stack([part, np.ones(len(part))]) @ to_picture.T for part in (around[:RIM], iris))
    lower, upper = around[:9], around[[0, *range(9, 16), 8]]
    if place == 1:
        lower, upper = lower[::-1], upper[::-1]
    radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    return EyePoints(lower, upper, mesh[list(BROWS[place]), :2], iris[0], radius)


def _overlap(some: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes: left, top, right, bottom."""
    sides = np.minimum(some[2:4], other[2:4]) - np.maximum(some[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / max(sum(float(np.prod(box[2:4] - box[:2])) for box in (some, other)) - shared, 1e-9)
