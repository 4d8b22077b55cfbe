"""Wheels that words turn round and round: which clauses are of them, where whole ones are seen, and how quickly they go."""

from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
from PIL import Image

from loopanimate.motion.spin import MARGIN, is_clear, is_even, is_round
from loopanimate.options import SHOW_IT
from loopanimate.scene.finder import Region
from loopanimate.scene.places import is_plural
from loopanimate.words.clauses import Clause
from loopanimate.words.lexicon import nouns
from loopanimate.words.vocabulary import PACE

SAILS = ("blades", "sails", "vanes")  # of many, and one wheel
ROUNDS = 0.25  # a second, that a wheel turns whose pace is not said
FOUND_SIDE = 600  # pixels of the short side of the copy in which circles are looked for
RADII = 0.03, 0.35  # short sides of the picture, least and most, of a wheel of a vehicle
EDGES = 200, 0.75  # of the circles that are looked for: the gradient of an edge, how much of a circle is one
IN = 0.6  # share of a wheel that its vehicle's region has at least: through a bicycle's one sees what is behind
ON_ITS_TYRE = 1.0  # radii from a rim down to the lowest of the vehicle and its shadow, at most
ALIKE, LEVEL, APART = 1.2, 0.4, 6.0  # of two rims of a side: radii, difference of height and least distance in radii


def is_of_wheel(clause: Clause) -> bool:
    return clause.kind == "turn" and nouns().get(clause.thing, ("",))[0] == "wheel"


def rounds_of(clause: Clause, region: Region) -> float:
    """Rounds a second, clockwise, that a wheel turns; 0 for all else, and for what is not seen whole or not round, such as a mill.

    The sails of a mill are round about their middle only: they have to be painted, and are not as narrow as two wheels are.
    """
    painted = region.how == "painted"
    if not (is_of_wheel(clause) or painted and clause.kind == "turn" and clause.thing in SAILS):
        return 0.0
    if not is_clear(region.mask) or not (is_round(region.mask) or painted and is_even(region.mask)):
        return 0.0
    return ROUNDS * PACE[clause.tempo] * (-1 if clause.toward == "counterclockwise" else 1)


def find_wheels(clause: Clause, region: Region, picture: Image.Image) -> Region | None:
    """Of a region of what is to turn, the whole wheels if it is of several: those that are painted, or a vehicle's, if seen.

    Returns: the region itself for all else; None: there is no whole wheel.
    """
    if not _is_several(clause):
        return region
    if region.how != "painted":
        region = replace(region, mask=_find_discs(region.mask, picture))
    whole = [each.mask for each in take_apart(clause, region) if rounds_of(clause, each)]
    return replace(region, mask=np.maximum.reduce(whole)) if whole else None


def say_why_none(clause: Clause, region: Region) -> str:
    """Why nothing of a region turns on and on."""
    if region.how != "painted":
        return f"no whole wheel was found. {SHOW_IT}"
    if not all(is_clear(each.mask) for each in take_apart(clause, region)):
        return f"what is painted comes nearer to the border than {round(100 * MARGIN)} % of the shorter side, where no wheel can turn."
    return "what is painted is not round, as a wheel is that turns on and on."


def take_apart(clause: Clause, region: Region) -> list[Region]:
    """Regions that move for themselves: of wheels each about its own middle."""
    if not _is_several(clause):
        return [region]
    count, pieces = cv2.connectedComponents((region.mask > 0.05).astype(np.uint8))
    return [replace(region, mask=region.mask * (pieces == piece)) for piece in range(1, count)]


def _is_several(clause: Clause) -> bool:
    return is_of_wheel(clause) and is_plural(clause.thing) and clause.thing not in SAILS


def _find_discs(vehicle: np.ndarray, picture: Image.Image) -> np.ndarray:
    """The mask (H, W) of a vehicle's wheels, seen from its side: circles of one size at its foot, on one level."""
    scale, found = min(1.0, FOUND_SIDE / min(picture.size)), np.zeros_like(vehicle)
    pixels = cv2.resize(np.asarray(picture), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    vehicle, short = cv2.resize(vehicle, pixels.shape[1::-1], interpolation=cv2.INTER_AREA), min(pixels.shape[:2])
    if vehicle.max() <= 0.5:
        return found
    grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), short / 500)
    least, most = (round(share * short) for share in RADII)
    circles = cv2.HoughCircles(grey, cv2.HOUGH_GRADIENT_ALT, 1.5, 2 * least, None, *EDGES, least, most)
    lowest = np.flatnonzero((vehicle > 0.5).any(1))[-1]
    within = [
        circle
        for circle in (circles.reshape(-1, 3) if circles is not None else [])
        if circle[1] + (1 + ON_ITS_TYRE) * circle[2] > lowest and vehicle[_disc(circle, vehicle.shape) > 0.5].mean() > IN
    ]
    pairs = [(one, other) for one, other in combinations(within, 2) if _is_pair(one, other)]
    # rims: a tyre looks the same however it turns, and what is around it does not turn
    for circle in min(pairs, key=lambda pair: pair[0][2] + pair[1][2], default=()):
        found = np.maximum(found, _disc(circle / scale, found.shape))
    return found


def _disc(circle: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.clip(circle[2] - np.hypot(x - circle[0], y - circle[1]) + 0.5, 0, 1).astype(np.float32)


def _is_pair(circle: np.ndarray, other: np.ndarray) -> bool:
    (x, y), radius = np.abs(circle[:2] - other[:2]), max(circle[2], other[2])
    return bool(radius < ALIKE * min(circle[2], other[2]) and y < LEVEL * radius and x > APART * radius)
