"""What is thin before the sky: the weights by which `loopanimate/scene/edges.py` tells wires and branches from clouds.

Labels are too coarse for it. So lines of the colours of things are drawn over labelled skies, and what `find_thin` finds is
something else where it lies on such a line, or where the label says so, and sky where it lies deep in a labelled sky that
nothing was drawn on.
"""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image
from scipy.optimize import minimize
from scipy.special import expit
from tqdm import tqdm

from loopanimate.scene import edges
from loopanimate.scene.finder import Finder
from loopanimate.scene.places import place_of
from loopanimate.scene.regions import CLASSES
from train.regions import UNKNOWN, Example, load_examples
from train.settings import ThinSettings

SIDE = 1024  # pixels on the long side of the pictures
SKY = CLASSES.index("sky"), CLASSES.index("cloud")
LEAST = 0.15  # share of a picture that is sky
# Pictures with branches, birds, wires or lightning in what is labelled as sky, which therefore are no examples of it.
OCCUPIED = frozenset(
    ["p0071", "p0103", "p0289", "p1010", "p1403", "p1405", "p1671"]
    + ["p1676", "q-bare-trees", "s0697", "s2389", "s2495", "t0029"]
)
LINES, COLOURS = 7, 200  # drawn over each picture; taken of each picture to draw with
WIDTHS = 1.2 / 768, 9 / 768  # long sides
LENGTHS = 0.05, 0.5  # long sides
FINER = 4  # how much finer lines are drawn than pixels
QUALITIES = 75, 95  # of the JPEG that a picture is saved as with its lines
DRAWN, FAINT = 0.6, 0.3  # share of a pixel that a line has where it is one, and where something found is on it
DEEP = 0.02  # long sides within a labelled sky, where its label is surely right
SURE = 0.9  # share of something that a label is of
WORSE = 4.0  # how much worse a cloud that stands is than a wire that drifts
RIDGE = 0.05  # pull of weights to zero, of measures of unit deviation
LARGEST = 400  # pixels of a thing from which more do not count


@dataclass(frozen=True)
class Thing:
    """Something thin that was found."""

    measures: np.ndarray  # of `find_thin`
    is_other: bool
    pixels: int


def fit(asked: ThinSettings) -> dict:
    """The weights, by pictures that are not held out."""
    random = np.random.default_rng(asked.seed)
    examples = _load(asked)
    if len(examples) > asked.count:
        examples = [examples[place] for place in sorted(random.choice(len(examples), asked.count, replace=False))]
    palette, things = _mix_palette(examples, random), []
    for example in tqdm(examples, unit=" pictures", disable=None):
        lines, picture = draw_lines(example, palette, random)
        deep, other = _mark(example)
        things += find_things(picture, lines > FAINT, 0.5, True)
        things += find_things(example.picture, deep, SURE, False) + find_things(example.picture, other, SURE, True)
    weights, constant = solve(things)
    return {"IS_OTHER": [float(f"{weight:.3g}") for weight in weights], "AT_ALL": round(constant, 2), "things": len(things)}


def check(asked: ThinSettings) -> dict:
    """What the weights in use do on the pictures that are held out, in % of pixels: of lines, and of sky that nothing is before."""
    random, examples = np.random.default_rng(asked.seed), _load(asked)
    palette, counts = _mix_palette(examples, random), np.zeros((2, 2))
    for example in tqdm(examples, unit=" pictures", disable=None):
        lines, picture = draw_lines(example, palette, random)
        sky = np.isin(example.labels, SKY)
        for place, (pixels, mark) in enumerate([(picture, sky & (lines > DRAWN)), (example.picture, _mark(example)[0])]):
            mask, lab, likely = find_sky(pixels)
            there = _shrink(mark, mask.shape) > 0.5
            stands = (edges.leave_out_thin(mask, lab, likely) < 0.5) & there
            if place:  # what was no sky before is another matter
                stands &= mask >= 0.5
            counts[place] += stands.sum(), there.sum()
    lines, sky = 100 * counts[:, 0] / counts[:, 1]
    return {"lines that stand": round(float(lines), 1), "sky that stands": round(float(sky), 3)}


def find_things(picture: np.ndarray, mark: np.ndarray, least: float, is_other: bool) -> list[Thing]:
    """What is thin in a picture (H, W, 3) and lies in a mark (H, W), by a share of its pixels of more than `least`."""
    labels, _, measures = edges.find_thin(*find_sky(picture))
    pixels = np.bincount(labels.ravel())
    on = np.bincount(labels.ravel(), _shrink(mark, labels.shape).ravel()) / pixels
    return [Thing(measures[k], is_other, pixels[k]) for k in np.flatnonzero((on > least) & measures.any(1))]


def find_sky(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sky's mask before thin things are left out of it, colours, and how likely it is, as `Finder` has them."""
    finder, place = Finder(Image.fromarray(picture)), place_of("sky")
    region = finder.look(*finder.judge("sky"), behind=place.behind)
    size = finder.lab.shape[1::-1]
    likely = cv2.resize(finder.judge_classes(place.regions)[0], size, interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(size[::-1], np.float32) if region is None else cv2.resize(region.mask, size, interpolation=cv2.INTER_AREA)
    return edges.sharpen(mask, finder.lab), finder.lab, likely


def draw_lines(example: Example, palette: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lines before a picture's sky: their share of each pixel (H, W) in [0, 1], and the picture with them (H, W, 3) uint8."""
    height, width = example.labels.shape
    cover, picture = np.zeros((height, width), np.float32), example.picture.astype(np.float32)
    starts = np.argwhere(np.isin(example.labels, SKY))[:, ::-1]
    for _ in range(LINES):
        start, angle = starts[random.integers(len(starts))], random.uniform(0, 2 * np.pi)
        length = random.uniform(*LENGTHS) * max(height, width)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        bend = (start + end) / 2 + random.normal(0, 0.08 * length, 2) * (random.random() < 0.6)
        along = np.linspace(0, 1, 60)[:, None]
        points = np.int32(FINER * ((1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end))
        thick = FINER * max(height, width) * np.exp(random.uniform(*np.log(WIDTHS)))
        thinner = 0.8 * (random.random() < 0.4)
        canvas = np.zeros((FINER * height, FINER * width), np.uint8)
        for share, one, other in zip(along[:, 0], points, points[1:]):
            cv2.line(canvas, one.tolist(), other.tolist(), 255, max(1, round(thick * (1 - thinner * share))))
        line = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
        line = cv2.GaussianBlur(line, (0, 0), random.uniform(0.3, 0.9))
        grain = 4 * cv2.GaussianBlur(random.normal(0, 25, (height, width)).astype(np.float32), (0, 0), 3)
        colour = np.clip(palette[random.integers(len(palette))] + grain[..., None], 0, 255)
        picture += (colour - picture) * line[..., None]
        cover = np.maximum(cover, line)
    saved = io.BytesIO()
    Image.fromarray(np.uint8(np.clip(picture, 0, 255))).save(saved, "JPEG", quality=int(random.integers(*QUALITIES)))
    with Image.open(saved) as file:
        return cover, np.asarray(file)


def solve(things: list[Thing]) -> tuple[np.ndarray, float]:
    """A logistic regression's weights of the measures, and its constant."""
    measures = np.stack([thing.measures for thing in things])
    sign = np.array([1 if thing.is_other else -1 for thing in things])
    weight = np.sqrt([min(thing.pixels, LARGEST) for thing in things]) * np.where(sign > 0, 1, WORSE)
    deviation = np.maximum(measures.std(0), 1e-6)

    def loss(found):
        odds = sign * (measures / deviation @ found[:-1] + found[-1])
        share = weight / weight.sum() * -sign * expit(-odds)
        pull = RIDGE / len(things) * found[:-1]
        slope = np.append(share @ (measures / deviation) + 2 * pull, share.sum())
        return weight @ np.logaddexp(0, -odds) / weight.sum() + pull @ found[:-1], slope

    found = minimize(loss, np.zeros(measures.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return found[:-1] / deviation, float(found[-1])


def _load(asked: ThinSettings) -> list[Example]:
    examples = load_examples(asked.pictures, asked.check, SIDE)
    return [each for each in examples if np.isin(each.labels, SKY).mean() > LEAST]


def _mix_palette(examples: list[Example], random: np.random.Generator) -> np.ndarray:
    """Colours (N, 3) of what is no sky, of each picture as many."""
    others = [example.picture[~np.isin(example.labels, (*SKY, UNKNOWN))] for example in examples]
    return np.concatenate([pixels[random.integers(len(pixels), size=COLOURS)] for pixels in others if len(pixels)])


def _mark(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """Where the sky surely is, and where something else is, (H, W) bool."""
    sky = np.isin(example.labels, SKY)
    side = 2 * round(DEEP * max(sky.shape)) + 1
    deep = cv2.erode(sky.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return deep & (example.name not in OCCUPIED), ~sky & (example.labels != UNKNOWN)


def _shrink(mark: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.resize(mark.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
