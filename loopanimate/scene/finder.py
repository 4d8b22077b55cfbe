"""Where the things are that words name: by a model, among several by their size and place, or the salient object."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

import cv2
import numpy as np
from PIL import Image

from loopanimate.presets import BUNDLED_SALIENT
from loopanimate.scene.edges import Areas, fill_outlines, find_areas, leave_out_thin, sharpen, to_lab
from loopanimate.scene.faces import FacePoints, find_faces
from loopanimate.scene.places import Place, is_plural, place_of
from loopanimate.scene.regions import CLASSES, classify, long_side
from loopanimate.scene.saliency import automatic_mask
from loopanimate.words.lexicon import look_up

SURE, SURE_ASKED = 0.3, 0.4  # mean likelihood of a region's pixels from which it is found, by classes and if asked in words ...
CLEAR = 0.55  # ... and from which nobody needs to be asked
FAIRLY = 0.6  # of a region's mean likelihood: what it surrounds that is less likely, a ball on the grass, is no part of it
HOLE = 0.02  # share of the picture below which it is a thing
NAMED = 0.3  # likelihood from which a model that is asked in words means a pixel, as CLIPSeg's authors cut theirs
HARDLY = 0.1  # share of a piece of the salient object, of the region of what words name, below which it is something else
OTHERWISE = 0.6  # mean likelihood of another class from which the salient object surely is no such thing
BEHIND, SURELY = ("sky", "cloud", "water"), 0.7  # classes of what is seen through things, and how likely it surely is there
LEAST = 0.0015  # share of the picture that a region has at least
SPECK = 0.0005  # share of the picture that a piece of a region has at least
PIECE = 0.15  # share of the largest piece that a piece has at least, to count as a thing of its own
BORDER = 1 / 128  # long sides of the grid that a region's soft edge reaches beyond its pixels
SAME = 0.5  # intersection over union from which a region is the salient object ...
WITHIN = 0.6  # ... and share of it in the object, in a drawing in lines
EDGE = 0.012  # long sides, half the width from which doubt about a salient object is no edge of it


@dataclass(frozen=True)
class Region:
    """A place of the picture that words name."""

    mask: np.ndarray  # (H, W) float32 in [0, 1]
    how: str  # "named", "salient", "painted", "whole"
    sure: float  # in [0, 1]

    @property
    def guessed(self) -> bool:
        """Whether it is the salient object, for want of anything better."""
        return self.how == "salient" and self.sure < 1

    @property
    def unsure(self) -> bool:
        """Whether somebody should look at it."""
        return self.sure < CLEAR


@dataclass(frozen=True)
class Models:
    """What a Finder finds things with."""

    named: Callable[[Image.Image, str], np.ndarray] | None = None  # picture, words → likelihood (h, w); None: the bundled one
    salient: str = BUNDLED_SALIENT  # of presets.SALIENT_MODELS
    depth: Callable[[Image.Image], np.ndarray] | None = None  # inverse depth (h, w) in [0, 1]; None: by the bundled classes


BUNDLED = Models()


class Finder:
    """Finds things in one picture."""

    def __init__(
        self,
        picture: Image.Image,
        given: Mapping[str, np.ndarray] | None = None,
        edit: Callable[[np.ndarray], np.ndarray] = lambda mask: mask,
        models: Models = BUNDLED,
    ):
        """given: things by `name_of` and masks (H, W), painted or clicked, in place of what would be found. edit: of every mask."""
        self.picture, self.given, self.edit, self.models = picture, given or {}, edit, models

    @cached_property
    def likely(self) -> np.ndarray:
        """The likelihoods of the bundled model's classes."""
        return classify(self.picture)

    @cached_property
    def lab(self) -> np.ndarray:
        """The colours that edges of regions are looked for in."""
        return to_lab(self.picture)

    @cached_property
    def areas(self) -> Areas:
        """Its areas of one colour."""
        return find_areas(self.lab)

    @cached_property
    def depth(self) -> np.ndarray | None:
        """Inverse depth (h, w) in [0, 1], where a model of its own says it."""
        return self.models.depth and self.models.depth(self.picture)

    @cached_property
    def salient(self) -> tuple[np.ndarray, bool]:
        return automatic_mask(self.picture, self.models.salient)

    @cached_property
    def faces(self) -> list[FacePoints]:
        """All faces, the largest first."""
        return find_faces(self.picture)

    def find(self, thing: str, which: Sequence[str] = ()) -> Region | None:
        """The region of a thing, of those that `which` picks out ("left", "small", "background"); None: it is not there."""
        region = self._find(thing, which)
        return region and replace(region, mask=self.edit(region.mask))

    def _find(self, thing: str, which: Sequence[str]) -> Region | None:
        given = self.given.get(name_of(thing, which), self.given.get(thing))
        if given is not None:
            return Region(given, "painted", 1.0)
        if thing == "everything":
            return Region(np.ones(self.picture.size[::-1], np.float32), "whole", 1.0)
        if thing in ("it", "background"):
            mask, found = self.salient
            return Region(1 - mask if found and thing == "background" else mask, "salient" if found else "whole", 1.0)
        place = place_of(thing)
        region = self.look(*self.judge(thing, which), which, is_plural(thing), place.behind)
        if not place.alone:
            return region and self.sharpen(region, place)
        mask, found = self.salient
        # "she" may be a robot, and any noun may be of a thing that the model does not know
        if region is None and found and (thing == "person" or not self._is_other(place.regions)):
            return Region(mask, "salient", 0.5)
        if region is None:
            return None
        one = found and PICKING.isdisjoint(which)
        if not (one and self._is_same(region.mask, mask := keep_pieces(mask, region.mask))):
            return self.sharpen(region, place)
        mask = mask * (1 - self._lies_behind(place.regions))  # whose edge is the better one
        decides = np.ones_like(mask) if is_plural(thing) else find_doubt(mask)
        return replace(region, mask=np.maximum(mask, self.sharpen(region, place).mask * decides) if decides.any() else mask)

    def _lies_behind(self, regions: Sequence[str]) -> np.ndarray:
        """Where sky or water surely is, (H, W) in [0, 1]: also between sails, which are one thing to what finds the salient."""
        own = [CLASSES.index(name) for name in BEHIND if name not in regions]
        likely = cv2.resize(self.likely[own].sum(0), self.picture.size, interpolation=cv2.INTER_LINEAR)
        return np.clip((likely - SURELY) / (1 - SURELY) * 2, 0, 1)

    def _is_same(self, region: np.ndarray, salient: np.ndarray) -> bool:
        """Whether a region is the salient object, of which classes find some lines only in a drawing in lines."""
        within = float((region * salient).sum() / max(region.sum(), 1e-6))
        return _overlap(region, salient) > SAME or within > WITHIN and self.areas.is_line_art

    def _is_other(self, regions: Sequence[str]) -> bool:
        """Whether the salient object surely is of a class of its own that is none of these."""
        if "object" in regions:
            return False
        inside = cv2.resize(self.salient[0], self.likely.shape[:0:-1], interpolation=cv2.INTER_AREA)
        means = (self.likely * inside).sum((1, 2)) / max(inside.sum(), 1e-6)
        return max(mean for name, mean in zip(CLASSES, means) if name not in regions) > OTHERWISE

    def judge(self, thing: str, which: Sequence[str] = ()) -> tuple[np.ndarray, np.ndarray | float]:
        """How likely each place shows a thing, (h, w) in [0, 1], and how likely something else; it is there where it is likelier."""
        if self.models.named is None:
            return self.judge_classes(place_of(thing).regions)
        return self.models.named(self.picture, describe(thing, which)), NAMED

    def judge_classes(self, regions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """How likely any of some classes of the bundled model is, and how likely the likeliest other one."""
        own = [CLASSES.index(name) for name in regions]
        return self.likely[own].sum(0), np.delete(self.likely, own, axis=0).max(0)

    def look(
        self,
        likely: np.ndarray,
        other: np.ndarray | float,
        which: Sequence[str] = (),
        several: bool = False,
        behind: bool = False,
    ) -> Region | None:
        """Where one thing is likelier than others; of its pieces, those that words pick out. likely, other: as `judge` says.

        behind: small things on it are no part of it.
        """
        clear, bundled = drop_specks((likely > other).astype(np.uint8)), self.models.named is None
        if which:
            clear = pick(clear, which, several)
        if clear.mean() < LEAST or (sure := float(likely[clear > 0].mean())) < (SURE if bundled else SURE_ASKED):
            return None
        border = np.ones((2 * round(BORDER * long_side(clear.shape)) + 1,) * 2, np.uint8)
        near = cv2.dilate(clear, border)
        if bundled and behind:
            near &= 1 - find_holes(clear.astype(bool) & (likely > FAIRLY * sure))
        mask = cv2.resize(near * likely / (likely + other), self.picture.size, interpolation=cv2.INTER_CUBIC)
        return Region(np.clip(2 * mask - 0.5, 0, 1), "named", sure)

    def sharpen(self, region: Region, place: Place) -> Region:
        """A region that `look` found, with its edge where the picture has one."""
        size = self.lab.shape[1::-1]
        mask = cv2.resize(region.mask, size, interpolation=cv2.INTER_AREA)
        mask = fill_outlines(mask, self.areas) if self.areas.is_line_art else sharpen(mask, self.lab)
        if place.farthest and self.models.named is None:
            likely = self.judge_classes(place.regions)[0]
            mask = leave_out_thin(mask, self.lab, cv2.resize(likely, size, interpolation=cv2.INTER_LINEAR))
        return replace(region, mask=cv2.resize(mask, self.picture.size, interpolation=cv2.INTER_LINEAR))


SIDES = {  # words → what a piece is chosen by, the largest first: of its area, and its middle (x, y) in [0, 1]
    ("left", "leftmost"): lambda area, x, y: -x,
    ("right", "rightmost"): lambda area, x, y: x,
    ("top", "upper", "highest", "above"): lambda area, x, y: -y,
    ("bottom", "lower", "lowest", "below", "front", "foreground", "nearest", "closest", "near"): lambda area, x, y: y,
    ("middle", "central", "center", "centre"): lambda area, x, y: -abs(x - 0.5),
    ("big", "bigger", "biggest", "large", "larger", "largest", "tall", "tallest"): lambda area, x, y: area,
    ("small", "smaller", "smallest", "little", "tiny", "far", "distant", "background"): lambda area, x, y: -area,
}

PICKING = frozenset(word for words in SIDES for word in words)
AFTER = ("above", "below")  # stand after what they pick out


def name_of(thing: str, which: Sequence[str] = ()) -> str:
    """What a thing is called that words pick out: "left boat", "clouds above"."""
    picking = [word for word in which if word in PICKING]
    return " ".join([*(word for word in picking if word not in AFTER), thing, *(word for word in picking if word in AFTER)])


def describe(thing: str, which: Sequence[str] = ()) -> str:
    """What a model is asked for: the thing, with the words that say what it looks like, "red boat"."""
    looks = takewhile(lambda word: look_up(word).describes, which)  # from a noun on they are of something else
    return " ".join([*(word for word in looks if word not in PICKING), thing])


def keep_pieces(mask: np.ndarray, region: np.ndarray) -> np.ndarray:
    """A mask (H, W) without the pieces of which a region (H, W) has hardly any: who stands beside the horse is no part of it."""
    _, pieces = cv2.connectedComponents((mask > 0.05).astype(np.uint8))
    whole, own = (np.bincount(pieces.ravel(), values.ravel()) for values in (mask, mask * region))
    return mask * (own > HARDLY * whole)[pieces]


def find_doubt(mask: np.ndarray) -> np.ndarray:
    """Where a mask (H, W) is neither clear nor opaque, wider than an edge is: in [0, 1]. A white shirt would be torn there."""
    wide = 2 * round(EDGE * long_side(mask.shape)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    doubt = cv2.morphologyEx(((mask > 0.05) & (mask < 0.95)).astype(np.float32), cv2.MORPH_OPEN, disc)
    return cv2.GaussianBlur(doubt, (0, 0), wide / 4)


def drop_specks(clear: np.ndarray) -> np.ndarray:
    """A mask (h, w) uint8 without pieces that are too small to be seen moving."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(clear)
    large = stats[:, cv2.CC_STAT_AREA] > SPECK * clear.size
    return clear * large[labels]


def find_holes(fairly: np.ndarray) -> np.ndarray:
    """What is small and surrounded by what is fairly likely, and is not, (h, w) uint8."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.pad(~fairly, 1, constant_values=True).astype(np.uint8))
    holes = (stats[:, cv2.CC_STAT_AREA] < HOLE * fairly.size).astype(np.uint8)
    return (holes[labels] * (labels > 0))[1:-1, 1:-1].astype(np.uint8)


def pick(clear: np.ndarray, which: Sequence[str], several: bool = False) -> np.ndarray:
    """Of the pieces of a mask (h, w) uint8, the one that words pick out, or, of several things, all that rank above average."""
    rank = next((rank for words, rank in SIDES.items() for word in which if word in words), None)
    count, labels, stats, middles = cv2.connectedComponentsWithStats(clear)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if rank is None or count <= 2:
        return clear
    height, width = clear.shape
    pieces = [place for place in range(count - 1) if areas[place] > PIECE * areas.max()]
    ranks = np.array([rank(areas[place], *(middles[place + 1] / (width, height))) for place in pieces])
    chosen = ranks >= (ranks.mean() if several else ranks.max())
    return np.isin(labels, np.array(pieces)[chosen] + 1).astype(np.uint8)


def _overlap(some: np.ndarray, other: np.ndarray) -> float:
    return float(np.minimum(some, other).sum() / max(np.maximum(some, other).sum(), 1e-6))
