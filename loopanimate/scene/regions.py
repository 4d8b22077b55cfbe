"""Regions of a picture: what a click selects, and where things are that words name."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from loopanimate.memory import run_options
from loopanimate.presets import ASSETS

SIDE, SUPERPIXELS = 320, 250  # pixels on the long side of the copy that is searched; parts that it is divided into
ONE_COLOUR = 6  # levels of 255 between the pixels of a picture of one colour: what JPEG makes of one, and nobody sees
ALIKE, UNLIKE = 14.0, 30.0  # distances in CIELAB up to which superpixels are one thing, and from which surely two


# The order is that of the bundled finder's outputs, which `train/regions.py` makes.
CLASSES = (
    "sky",
    "cloud",
    "water",
    "waterfall",
    "foam",
    "fire",
    "smoke",
    "tree",
    "grass",
    "flower",
    "rock",
    "ground",
    "snow",
    "building",
    "person",
    "face",
    "hair",
    "clothing",
    "animal",
    "boat",
    "vehicle",
    "cloth",
    "lamp",
    "object",
)
FINDER = ASSETS / "regions" / "regions.onnx"
MEAN, STD = 127 / 255, 128 / 255  # as EfficientNet-Lite takes pictures in [0, 1]
LONG_SIDE = 640  # pixels of what the finder sees
WIDEST = 2  # to 1; of what is wider, lengths are of its short side
PANORAMA = 3  # to 1; what is wider is seen in pieces of WIDEST, each as a picture of its own, which overlap by half
STRIDE = 4  # pixels of that in a cell of what it says
# of the filter that finds a region's edge: radius in long sides of the grid, and variance of luma in [0, 1]
GUIDED_RADIUS, GUIDED_SOFTNESS = 1 / 32, 1e-3


class Selector:
    """What a click selects in a picture: the thing at a point.

    The clicked superpixel and all of its colour that are connected with it seed GrabCut, which finds the thing's edge. The
    superpixels are found once, so that a hand that looks for a thing is answered while it moves.
    """

    def __init__(self, picture: Image.Image):
        from skimage.color import rgb2lab
        from skimage.segmentation import slic

        scale = min(1.0, SIDE / max(picture.size))
        self.size = tuple(max(1, round(side * scale)) for side in picture.size)
        self.pixels = np.asarray(picture.resize(self.size, Image.Resampling.LANCZOS))
        self.segments = slic(self.pixels, n_segments=SUPERPIXELS, compactness=10, start_label=0)
        lab, count = rgb2lab(self.pixels), np.bincount(self.segments.ravel())
        sums = [np.bincount(self.segments.ravel(), lab[..., c].ravel()) for c in range(3)]
        self.colours = np.stack(sums, axis=1) / count[:, None]

    def select(self, x: float, y: float) -> np.ndarray:
        """x and y in fractions of the picture → a mask (h, w) float32 of 0 and 1, of at most SIDE pixels a side."""
        segments = self.segments
        row, column = min(int(y * self.size[1]), self.size[1] - 1), min(int(x * self.size[0]), self.size[0] - 1)
        distance = np.linalg.norm(self.colours - self.colours[segments[row, column]], axis=1)
        labels = cv2.connectedComponents((distance < ALIKE)[segments].astype(np.uint8), connectivity=4)[1]
        seed = labels == labels[row, column]
        trimap = np.where(distance[segments] < UNLIKE, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
        reach = cv2.dilate(seed.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        trimap[~reach] = cv2.GC_BGD
        trimap[seed] = cv2.GC_PR_FGD
        trimap[cv2.erode(seed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = cv2.GC_FGD
        trimap[segments == segments[row, column]] = cv2.GC_FGD
        if (trimap == cv2.GC_BGD).any():
            mode = cv2.GC_INIT_WITH_MASK
            cv2.grabCut(self.pixels[..., ::-1].copy(), trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, mode)
        chosen = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        labels = cv2.connectedComponents(chosen, connectivity=4)[1]
        return (labels == labels[row, column]).astype(np.float32)


@lru_cache(maxsize=1)
def session():
    """Open the bundled finder."""
    import onnxruntime

    return onnxruntime.InferenceSession(FINDER, providers=["CPUExecutionProvider"])


def long_side(size: tuple[int, int]) -> int:
    """What shares of the long side are of: of a panorama, the long side that a picture of its height would have."""
    return min(max(size), WIDEST * min(size))


def is_plain(pixels: np.ndarray) -> bool:
    """Whether pixels (H, W, 3), uint8, have one colour all over."""
    return int(np.ptp(pixels, (0, 1)).max()) <= ONE_COLOUR


def classify(picture: Image.Image) -> np.ndarray:
    """How likely each class is everywhere, (classes, h, w) float32 in [0, 1], on a grid as fine as the finder sees.

    In a picture of one colour nothing is likely: the network would see sky or sea there.
    """
    scale = LONG_SIDE / long_side(picture.size)
    size = tuple(max(32, 32 * round(side * scale / 32)) for side in picture.size)
    return _classify(size, picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0).tobytes())


@lru_cache(maxsize=8)
def _classify(size: tuple[int, int], pixels: bytes) -> np.ndarray:
    """What the finder says of RGB pixels of its own size; kept, as sentence after sentence asks about one picture."""
    pixels = np.frombuffer(pixels, np.uint8).reshape(*size[::-1], 3)
    if is_plain(pixels):
        return np.zeros((len(CLASSES), *(side // STRIDE for side in size[::-1])), np.float32)
    pixels = pixels.astype(np.float32) / 255
    likely = _see_pieces(pixels) if max(size) > PANORAMA * min(size) else _see(pixels)
    guide = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), likely.shape[:0:-1], interpolation=cv2.INTER_AREA)
    refined = np.stack([refine(plane, guide) for plane in likely])
    refined.flags.writeable = False
    return refined


def _see(pixels: np.ndarray) -> np.ndarray:
    """What the network says of a picture (H, W, 3) in [0, 1] and of its mirror image, on average, (classes, H / 4, W / 4)."""
    planes = ((pixels - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    own, mirrored = (  # one after the other: both at once take twice the memory
        session().run(None, {"pictures": np.ascontiguousarray(seen)}, run_options())[0][0]
        for seen in (planes, planes[..., ::-1])
    )
    return (own + mirrored[..., ::-1]) / 2


def _see_pieces(pixels: np.ndarray) -> np.ndarray:
    """`_see` of a panorama: the network is told where in the picture it looks, and knows none that wide."""
    short, long = sorted(pixels.shape[:2])
    piece, upright = WIDEST * short, pixels.shape[0] == long
    grid = [side // STRIDE for side in pixels.shape[:2]]
    total, weight = np.zeros((len(CLASSES), *grid), np.float32), np.zeros(grid, np.float32)
    for start in np.linspace(0, long - piece, -(-(long - piece) // short) + 1):
        first = 32 * round(start / 32)
        along, across = slice(first, first + piece), slice(None)
        seen = _see(pixels[along] if upright else pixels[:, along])
        rising = np.arange(1, piece // STRIDE + 1)
        share = np.minimum(rising, rising[::-1])[:, None] if upright else np.minimum(rising, rising[::-1])
        along = slice(first // STRIDE, (first + piece) // STRIDE)
        cells = (along, across) if upright else (across, along)
        total[(across, *cells)] += seen * share
        weight[cells] += share
    return total / weight


def refine(plane: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """The guided filter (He et al., 2010): smooth a plane (h, w) where the guide is even, and keep the guide's edges."""
    side = (2 * round(GUIDED_RADIUS * long_side(plane.shape)) + 1,) * 2
    mean, like, both, square = (cv2.blur(part, side) for part in (guide, plane, guide * plane, guide * guide))
    slope = (both - mean * like) / (square - mean * mean + GUIDED_SOFTNESS)
    offset = like - slope * mean
    return np.clip(cv2.blur(slope, side) * guide + cv2.blur(offset, side), 0, 1)
