"""Where a region that was found ends: at its own edge in the picture, finer than what the finder says."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from PIL import Image

from loopanimate.scene.regions import long_side

SIDE = 768  # pixels on the long side of the copy that edges are looked for in
# Lengths are shares of the long side.
BAND = 0.03  # on each side of a region's edge, in which pixels may change sides
CERTAIN = 0.015  # on each side of it, of which no colours are learnt
AROUND = 0.036  # half the side of the windows, taken twice, whose colours a pixel is compared with
LEAST = 0.02  # share of a window that has to be known
NOISE = 5.0  # CIELAB; deviation that colours have at least
ALIEN = 24.0  # square of the Mahalanobis distance from which a colour is foreign, whatever it is
DOUBT = 0.02  # what masks say counts as no surer than this
THIN = 0.012  # half the width up to which something before the sky is thin
APART, FURTHER = 9.0, 4.0  # CIELAB; least distance from the colours around it, and in units of what is usual there
MOST = 18.0  # CIELAB; more than this is not usual anywhere
USUAL = 0.08  # half the side of the windows for that
SMALLEST = 6  # pixels of a thin thing at least
BESIDE = 3.0  # pixels from what is no sky in which something thin touches it
# The logarithm of the odds that something thin is no cloud, from what `find_thin` measures of it; `python -m train thin` fits it.
IS_OTHER, AT_ALL = np.array([7.34, 1.32, -2.84, 0.161, 1.15]), -4.08
STEP, SPREAD = 2.0, 2.0  # CIELAB; change to the next pixel, and deviation, up to which an area is of one colour
AREA = 0.0005  # share of the picture that one has at least
LINE_ART, LINES = 0.7, 0.005  # share of the picture that they make up where it is a drawing in lines, and that lines do
LINE = 0.012  # width of a line at most
LITTLE = 0.3  # of a mask from which a line is in it
RIM = 0.4  # mean of a mask on the lines around an area from which what they enclose is part of it


def to_lab(picture: Image.Image) -> np.ndarray:
    """A picture's CIELAB (h, w, 3) float32, whose `long_side` has at most SIDE pixels."""
    scale = min(1.0, SIDE / long_side(picture.size))
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    small = np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0), np.float32)
    return cv2.cvtColor(small / 255, cv2.COLOR_RGB2LAB)


def sharpen(mask: np.ndarray, lab: np.ndarray) -> np.ndarray:
    """Move the edge of a mask (h, w) float32 in [0, 1] to where colours (h, w, 3) change from its own to those outside.

    A pixel near the edge goes to the side whose colours around it are likelier: each side's are a normal distribution in
    soft windows about the pixel (the local classifiers of Video SnapCut, Bai et al. 2009). Where a side has none, nothing changes.
    """
    inside = (mask > 0.5).astype(np.uint8)
    outside = 1 - inside
    band = (_grow(inside, BAND) & _grow(outside, BAND)).astype(bool)
    if not band.any():
        return mask
    sure = np.clip(mask[band], DOUBT, 1 - DOUBT)
    odds, known = np.log(sure / (1 - sure)), True
    for sign, other in ((1, outside), (-1, inside)):
        learnt = 1 - _grow(other, CERTAIN)
        fit, there = _fit(lab, learnt, band)
        odds, known = odds + sign * fit, known & there
    found = mask.copy()
    found[band] = np.where(known, np.clip(2 / (1 + np.exp(-odds)) - 0.5, 0, 1), mask[band])
    return found


def _fit(lab: np.ndarray, learnt: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logarithm of how likely each colour of some pixels is beside those learnt, (N,), and whether enough of these are near."""
    side = (2 * _pixels(AROUND, learnt) + 1,) * 2
    planes = [plane * learnt for plane in cv2.split(lab)]

    def total(plane):  # blurred twice, or the squares of windows are seen where a mask ends
        return cv2.blur(cv2.blur(plane, side), side)[where]

    share = total(learnt.astype(np.float32))

    def mean(plane):
        return total(plane) / np.maximum(share, 1e-6)

    means = [mean(plane) for plane in planes]
    off = [plane[where] - level for plane, level in zip(cv2.split(lab), means)]
    (ll, la, lb), (aa, ab), (bb,) = (
        [mean(planes[k] * planes[m]) - means[k] * means[m] + NOISE**2 * (k == m) for m in range(k, 3)] for k in range(3)
    )
    adjugate = aa * bb - ab * ab, lb * ab - la * bb, la * ab - lb * aa, ll * bb - lb * lb, la * lb - ll * ab, ll * aa - la * la
    determinant = ll * adjugate[0] + la * adjugate[1] + lb * adjugate[2]
    l, a, b = off
    distance = l * l * adjugate[0] + a * a * adjugate[3] + b * b * adjugate[5]
    distance = (distance + 2 * (l * a * adjugate[1] + l * b * adjugate[2] + a * b * adjugate[4])) / determinant
    return -(np.minimum(distance, ALIEN) + np.log(determinant)) / 2, share > LEAST


def leave_out_thin(mask: np.ndarray, lab: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """A mask (h, w) of the sky without what stands before it and is thin: branches, wires, masts, the tips of towers.

    likely: how likely the finder says sky is, (h, w) in [0, 1], which tells them from clouds.
    """
    labels, clear, measures = find_thin(mask, lab, likely)
    is_other = measures @ IS_OTHER + AT_ALL > 0
    return mask * (1 - clear * is_other[labels])


def find_thin(mask: np.ndarray, lab: np.ndarray, likely: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is thin within a mask (h, w) of the sky and of another colour (h, w, 3): parts of the sky, or things before it.

    Returns labels (h, w) from 0, how clearly each pixel is of its thing (h, w) in [0, 1], and of each label (N, 5): how likely
    it is something else, the logarithm of its length in widths, the logarithm of how far colours usually are apart there, how
    far its own are, and whether it touches what is no sky. Of what is none all are zero.
    """
    inside = mask > 0.5
    off = _continue_inside(lab, inside) if inside.any() else lab
    off = off - _smooth_out(off, 4 * _pixels(THIN, mask) + 1)
    apart = np.linalg.norm(off, axis=2) * inside
    side = (2 * _pixels(USUAL, mask) + 1,) * 2
    known = np.maximum(cv2.blur(inside.astype(np.float32), side), 1e-3)
    usual = cv2.blur(np.minimum(apart, MOST), side) / known
    clearly = apart / np.maximum(APART, FURTHER * usual)
    faint = (clearly > 0.5).astype(np.uint8)
    count, labels = cv2.connectedComponents(faint)
    flat, pixels = labels.ravel(), np.bincount(labels.ravel(), minlength=count)

    def total(plane):
        return np.bincount(flat, plane.ravel(), count)

    def most(plane):
        found = np.zeros(count)
        np.maximum.at(found, flat[flat > 0], plane.ravel()[flat > 0])
        return found

    weight = np.maximum(total(apart), 1e-6)
    width = most(cv2.distanceTransform(faint, cv2.DIST_L2, 5))
    touches = most(cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5) <= BESIDE)
    measures = np.stack(
        [
            total((1 - likely) * apart) / weight,
            np.log(pixels / (np.pi * width**2 + 1)),
            np.log(total(usual) / pixels + 0.5),
            weight / pixels,
            touches,
        ],
        axis=1,
    )
    there = (most(clearly) > 1) & (pixels >= SMALLEST) & (np.arange(count) > 0)
    return labels, np.clip(2 * clearly - 1, 0, 1), measures * there[:, None]


def _continue_inside(lab: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Colours (h, w, 3) with those of the nearest pixel inside (h, w) for all that are outside."""
    labels = cv2.distanceTransformWithLabels((~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    nearest = np.zeros(labels.max() + 1, np.intp)
    nearest[labels[inside]] = np.flatnonzero(inside)
    return lab.reshape(-1, 3)[nearest[labels]]


def _smooth_out(lab: np.ndarray, side: int) -> np.ndarray:
    """The median of each plane in windows of `side` pixels, which nothing thinner than half of one is in."""
    planes = [cv2.split(lab)[0] * 2.55, *(plane + 128 for plane in cv2.split(lab)[1:])]
    around = [cv2.medianBlur(np.clip(plane, 0, 255).astype(np.uint8), side).astype(np.float32) for plane in planes]
    return np.dstack([around[0] / 2.55, around[1] - 128, around[2] - 128])


@dataclass(frozen=True)
class Areas:
    """Areas of one colour in a picture."""

    labels: np.ndarray  # (h, w) int, of areas and what is none
    even: np.ndarray  # (N,) bool, whether a label is of an area
    boxes: np.ndarray  # (N, 5) left, top, width, height and pixels of each label

    @cached_property
    def inside(self) -> np.ndarray:
        return self.even[self.labels]

    @property
    def is_line_art(self) -> bool:
        return self.even.sum() > 1 and bool(LINE_ART < self.inside.mean() < 1 - LINES)

    def mean(self, mask: np.ndarray) -> np.ndarray:
        """The mean of a mask (h, w) in each, (N,)."""
        return np.bincount(self.labels.ravel(), mask.ravel(), len(self.even)) / np.maximum(self.boxes[:, 4], 1)


def find_areas(lab: np.ndarray) -> Areas:
    """The areas of one colour of a picture in CIELAB (h, w, 3); none where it surely is no drawing in lines."""
    planes, around = cv2.split(lab), np.ones((3, 3), np.uint8)
    smooth = np.logical_and.reduce([cv2.dilate(plane, around) - cv2.erode(plane, around) <= STEP for plane in planes])
    smooth &= smooth.mean() > LINE_ART
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(smooth.astype(np.uint8), connectivity=4)
    wide = cv2.erode(smooth.astype(np.uint8), np.ones((_pixels(LINE, smooth) + 1,) * 2))  # what is thinner is a line
    even = np.bincount(labels[wide > 0], minlength=len(boxes)) > 0
    areas = Areas(labels, even & (boxes[:, cv2.CC_STAT_AREA] > AREA * smooth.size), boxes)
    for plane in planes:
        areas.even[:] &= areas.mean(plane * plane) - areas.mean(plane) ** 2 <= SPREAD**2
    return areas


def fill_outlines(mask: np.ndarray, areas: Areas) -> np.ndarray:
    """In a drawing in lines, have each of its areas as a whole, with its outline, in or out of a mask (h, w).

    A line and the paper on both sides of it look alike inside and outside of what is drawn; a mask that ends anywhere within
    an area moves half a line.
    """
    reach, own = _pixels(LINE, mask), areas.even & (areas.mean(mask) > 0.5)
    around = np.ones((2 * reach + 1,) * 2, np.uint8)
    for number in np.flatnonzero(areas.even & ~own):
        left, top, width, height, _ = areas.boxes[number]
        box = slice(max(0, top - reach), top + height + reach), slice(max(0, left - reach), left + width + reach)
        rim = (cv2.dilate((areas.labels[box] == number).astype(np.uint8), around) > 0) & ~areas.inside[box]
        paper = left == 0 or top == 0 or left + width == mask.shape[1] or top + height == mask.shape[0]
        own[number] = not paper and rim.any() and mask[box][rim].mean() > RIM
    filled, outside = own[areas.labels], (areas.even & ~own)[areas.labels]
    lines = filled.astype(np.uint8)
    for _ in range(reach + 2):  # a line and its soft edges, and not what is beyond
        lines = cv2.dilate(lines, np.ones((3, 3), np.uint8)) & (filled | ~areas.inside)
    # the rest are lines and small parts, which nothing shines through
    return (filled | (lines > 0) | ~outside & (mask > LITTLE)).astype(np.float32)


def _pixels(share: float, like: np.ndarray) -> int:
    return max(1, round(share * long_side(like.shape)))


def _grow(mask: np.ndarray, share: float) -> np.ndarray:
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _pixels(share, mask) + 1,) * 2))
