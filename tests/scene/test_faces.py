"""Faces: found where they are, nowhere else, and in the same places however the picture is turned or enlarged."""

import hashlib
from functools import cache

import cv2
import numpy as np
from PIL import Image
from skimage import data

from loopanimate.scene import faces


@cache
def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


@cache
def found() -> faces.FacePoints:
    (face,) = faces.find_faces(astronaut())
    return face


def test_the_networks_are_those_of_their_card():
    card = (faces.NETWORKS / "README.md").read_text()
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() in card for path in faces.NETWORKS.glob("*.tflite"))


def test_a_face_is_found_with_its_eyes_in_it():
    face = found()
    left, top, right, bottom = face.box
    assert (160, 50, 260, 160) < tuple(face.box) < (200, 90, 290, 190)
    for eye in face.eyes:
        assert left < eye.upper[0, 0] < eye.iris[0] < eye.upper[-1, 0] < right
        assert top < eye.upper[4, 1] < eye.iris[1] < eye.lower[4, 1] < bottom  # which reads y down
        length = np.linalg.norm(eye.upper[-1] - eye.upper[0])
        assert 0.15 * length < eye.radius < 0.35 * length


def test_nothing_is_found_where_there_is_no_face():
    for pixels in (data.coffee(), data.rocket(), data.chelsea(), np.full((64, 1000, 3), 128, np.uint8)):
        assert faces.find_faces(Image.fromarray(pixels)) == []


def test_points_go_with_the_picture():
    turn = cv2.getRotationMatrix2D((256, 256), 25, 1.0)
    turned = cv2.warpAffine(data.astronaut(), turn, (512, 512))
    (again,) = faces.find_faces(Image.fromarray(turned))
    expected = np.column_stack([found().mesh[:, :2], np.ones(468)]) @ turn.T
    assert np.linalg.norm(again.mesh[:, :2] - expected, axis=1).mean() < 0.02 * np.ptp(found().mesh[:, 1])


def test_a_small_face_of_a_large_picture_is_found():
    small = astronaut().resize((320, 320), Image.Resampling.LANCZOS)
    scene = Image.new("RGB", (1400, 900), (90, 120, 90))
    scene.paste(small, (1000, 500))
    (face,) = faces.find_faces(scene)
    expected = found().mesh[:, :2] * 320 / 512 + [1000, 500]
    assert np.linalg.norm(face.mesh[:, :2] - expected, axis=1).mean() < 3
