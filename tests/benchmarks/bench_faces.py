"""Read what faces do off exported loops, by the networks that found them: one line a picture, then how many are within limits.

python -m tests.benchmarks.bench_faces FOLDER [NAME ...]: every picture of the folder, or those whose names begin so. Each act
is exported as H.264 with the product's own settings and decoded. The pose is the mean of what the mesh says of a frame and of
its mirror image, as it reads one way farther than the other.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from loopanimate.files.formats import write_loop
from loopanimate.files.video import Coding
from loopanimate.metrics import seam
from loopanimate.motion.border import borders_of
from loopanimate.motion.curve import Motion
from loopanimate.motion.faces import GAZE, Face
from loopanimate.motion.field import Field
from loopanimate.render.renderer import Renderer
from loopanimate.scene.bends import pose_of, shows_shoulders
from loopanimate.scene.expressions import TILT, TURN, Act, can_move_eyes, form_face
from loopanimate.scene.faces import AROUND, OVAL, EyePoints, FacePoints, find_faces, mesh_of
from loopanimate.scene.finder import Finder
from loopanimate.staging import find_people

FPS, FRAMES, PERIOD = 30, 90, 24  # of 3 seconds
SHORT = 720  # pixels
MOUTH = (61, 291, 0, 17, 13, 14)
LIMITS = {  # names of measures → least and most
    "shut": (0, 0.15),  # openness of eyes at a blink's extreme, of that at rest, as the network of eyes reads it
    "iris": (-1, 0.5),  # correlation of what is at the iris' place then with the iris
    "open again": (0.98, 1.02),
    "gaze": (0.8, 1.2),  # of what was asked, as far as the picture of the iris has gone
    "gaze, by the network": (0.8, 1.2),
    "wink: eye": (0, 0.003),  # what the other eye, the mouth and the outline move, in face heights
    "wink: mouth": (0, 0.003),
    "wink: head": (0, 0.003),
    "left": (TURN - 2, TURN + 2),  # degrees
    "right": (TURN - 2, TURN + 2),
    "tilt": (TILT - 2, TILT + 2),
    "step": (0, 1.25),  # of what heads and chests do; where only eyes move, most frames differ by the codec's noise alone
    "jerk": (0, 1.25),
    "wrap": (0, 0.1),  # mean difference of the last frame and the first, in levels of 255
}


def export(image: np.ndarray, masks: list[np.ndarray], face: Face) -> np.ndarray:
    """The decoded frames (FRAMES, H, W, 3) of a face before a picture at rest."""
    layers = len(masks) + 1
    motion = Motion(np.zeros((PERIOD + 1, layers, 2, 8, 8), np.float32), np.zeros((layers, 2, 8, 8), np.float32))
    field = Field(motion, borders_of(masks), faces=[replace(face, layers=face.layers_of(masks))])
    renderer = Renderer(image, masks, field, planar=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loop.mp4"
        times = np.arange(FRAMES) / FRAMES * PERIOD
        write_loop(path, map(renderer.frame, times), FRAMES, Coding(Fraction(FPS)))
        with av.open(str(path)) as file:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def read(frame: np.ndarray, rest: FacePoints) -> FacePoints:
    """The face of a frame, looked for where it is at rest."""
    low, high = rest.box[:2], rest.box[2:]
    across = rest.mesh[263, :2] - rest.mesh[33, :2]
    found = mesh_of(frame, (low + high) / 2, AROUND * float((high - low).max()), float(np.arctan2(across[1], across[0])))
    return found or rest


def angles(frame: np.ndarray, rest: FacePoints) -> np.ndarray:
    """Yaw, pitch and roll in degrees."""
    width = frame.shape[1]
    mirrored = replace(rest, mesh=rest.mesh * [-1, 1, 1] + [width, 0, 0])
    swapped = mirrored.mesh.copy()
    swapped[[33, 263]] = swapped[[263, 33]]
    other = pose_of(read(np.ascontiguousarray(frame[:, ::-1]), replace(mirrored, mesh=swapped)).mesh).angles
    return (np.array(pose_of(read(frame, rest).mesh).angles) + np.array(other) * [-1, 1, -1]) / 2


def openness(face: FacePoints) -> np.ndarray:
    return np.array([np.linalg.norm(eye.lower - eye.upper, axis=1).max() / np.ptp(eye.upper[:, 0]) for eye in face.eyes])


def measure(picture: Image.Image) -> dict[str, float]:
    image = np.asarray(picture)
    rest = find_faces(picture)[0]
    usable = can_move_eyes(rest, image)
    height = float(np.linalg.norm(rest.mesh[152] - rest.mesh[10]))
    measures: dict[str, float] = {}
    seams, wraps = [], []

    def play(act: Act, masks=()) -> tuple[np.ndarray, Face]:
        face = form_face(rest, usable, [act], picture.size, FRAMES / FPS, 0)
        frames = export(image, list(masks), face)
        wraps.append(float(np.abs(frames[0].astype(np.float32) - frames[-1]).mean()))
        if face.bends:
            seams.append(seam(frames[:, ::4, ::4]))
        return frames, face

    def at(face: Face, column: np.ndarray) -> int:
        return round(float(np.abs(column).argmax()) / len(face.curve) * FRAMES) % FRAMES

    if any(usable):
        frames, face = play(Act("blink"))
        own = [side for side in (0, 1) if usable[side]]
        closed = np.array([openness(read(frame, rest)) for frame in frames[[0, -1]]])
        around = at(face, face.curve[:, own[0]])
        least = min(
            float((openness(read(frames[k], rest)) / closed[0])[own].max()) for k in range(around - 1, min(around + 3, FRAMES))
        )
        shut = frames[min(around + 1, FRAMES - 1)]
        alike = float(np.mean([_find_iris(frames[0], shut, rest.eyes[side], 0)[1] for side in own]))
        measures |= {"shut": least, "iris": alike, "open again": float((closed[1] / closed[0])[own].mean())}
        frames, face = play(Act("gaze", 180.0))
        k = at(face, face.curve[:, GAZE]) + 3
        asked = np.hypot(*face.curve[min(round(k / FRAMES * len(face.curve)), 255), GAZE : GAZE + 2]) * min(picture.size)
        measures["gaze"] = float(np.mean([_find_iris(frames[0], frames[k], rest.eyes[side], asked)[0] for side in own]) / asked)
        before, after = (np.mean([read(frames[j], rest).eyes[side].iris[0] for side in own]) for j in (0, k))
        measures["gaze, by the network"] = float((before - after) / asked)
        frames, face = play(Act("wink"))
        winks = int(face.curve[:, :2].max(0).argmax())
        ends = [read(frames[j], rest) for j in (0, at(face, face.curve[:, winks]))]
        other = [np.concatenate([each.eyes[1 - winks].upper, each.eyes[1 - winks].lower]) for each in ends]
        groups = {"eye": other, "mouth": [each.mesh[list(MOUTH), :2] for each in ends]}
        groups["head"] = [each.mesh[list(OVAL), :2] for each in ends]
        for name, (before, after) in groups.items():
            measures[f"wink: {name}"] = float(np.linalg.norm(after.mean(0) - before.mean(0)) / height)
    for name, heading, sign in (("left", 180.0, 1), ("right", 0.0, -1)):
        frames, face = play(Act("turn-head", heading))
        turned = angles(frames[FRAMES // 2], rest) - angles(frames[0], rest)
        measures[name] = float(sign * turned[0])
    frames, face = play(Act("tilt-head", 0.0), find_people(Finder(picture), [rest]))
    measures["tilt"] = float((angles(frames[FRAMES // 2], rest) - angles(frames[0], rest))[2])
    if shows_shoulders(rest, picture.size):
        play(Act("breathe"))
    return measures | {name: max(each[name] for each in seams) for name in ("step", "jerk")} | {"wrap": max(wraps)}


def _find_iris(before: np.ndarray, after: np.ndarray, eye: EyePoints, asked: float) -> tuple[float, float]:
    """How far to the left an iris went, in pixels, as the place where its picture correlates best, and that correlation."""
    scale, radius = 4, 0.8 * eye.radius
    gray = [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for frame in (before, after)
    ]
    reach = 2 * asked + 2
    (x, y), high = eye.iris, min(radius, 0.5 * float((eye.lower - eye.upper)[:, 1].max()))

    def cut(image: np.ndarray, more: float) -> np.ndarray:
        edges = (y - high - 0.3 * more, y + high + 0.3 * more, x - radius - more, x + radius + more)
        top, bottom, left, right = (round(scale * edge) for edge in edges)
        return image[top:bottom, left:right]

    likeness = cv2.matchTemplate(cut(gray[1], reach), cut(gray[0], 0), cv2.TM_CCOEFF_NORMED)
    _, column = np.unravel_index(likeness.argmax(), likeness.shape)
    return reach - column / scale, float(likeness.max())


def pictures(folder: Path, names: list[str]) -> Iterator[tuple[str, Image.Image]]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp") and (not names or path.name.startswith(tuple(names))):
            picture = Image.open(path).convert("RGB")
            scale = SHORT / min(picture.size)
            yield path.stem, picture.resize([2 * round(side * scale / 2) for side in picture.size], Image.Resampling.LANCZOS)


def main(folder: str, *names: str) -> None:
    known: dict[str, list[float]] = {name: [] for name in LIMITS}
    for name, picture in pictures(Path(folder), list(names)):
        if not find_faces(picture):
            print(f"{name}: no face", flush=True)
            continue
        measures = measure(picture)
        for key, value in measures.items():
            known[key].append(value)
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in measures.items()), flush=True)
    for key, values in known.items():
        low, high = LIMITS[key]
        within = sum(low <= value <= high for value in values)
        middle = np.median(values) if values else np.nan
        print(f"{key}: {within} of {len(values)} within {low:g} to {high:g}, median {middle:.3g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
