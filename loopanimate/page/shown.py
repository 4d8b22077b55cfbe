"""The loop on the page: what is known of it, what hands and formats change of it, and its picture."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from loopanimate.animate import check_appearance
from loopanimate.files.formats import Format, read_metadata
from loopanimate.files.pictures import encode_still, open_picture
from loopanimate.files.recipe import Parts
from loopanimate.loop import Loop, LoopFile, MotionLoop
from loopanimate.page import canvas
from loopanimate.scene.regions import is_plain
from loopanimate.settings import Output, Settings
from loopanimate.view import is_fit

_open_once, _opening = lru_cache(maxsize=4)(open_picture), Lock()


def open_cached(path: str | Path) -> Image.Image:
    """A picture; who asks for it while somebody else opens it waits: a large one, opened twice, would fill the memory."""
    with _opening:
        return _open_once(path)


@lru_cache(maxsize=64)
def is_flat(path: str) -> bool:
    """Whether a picture has one colour all over, so that no motion in it can be seen."""
    return is_plain(np.asarray(canvas.shrink(open_cached(path).convert("RGB"))))


@dataclass(frozen=True)
class Shown:
    """The loop on the page."""

    path: str  # of the picture
    mask: np.ndarray | None  # (h, w) in [0, 1], as painted
    loop: Loop
    parts: Parts = ()  # things that the sentence names and their masks, as painted
    file: LoopFile | None = None
    thumbnail: str | None = None
    living: LoopFile | None = None  # the living page in which hands may change it; frames have none
    details: str = ""
    revision: str = ""  # of its masks, as the page's script calls what is painted
    before: "Shown | None" = None  # the loop whose film is there while this one has none

    @property
    def finished(self) -> "Shown | None":
        """The newest loop that has a film."""
        return self if self.file else self.before

    def is_kept(self) -> bool:
        """Whether its files are still there: they go after KEEP_SECONDS."""
        return self.file is not None and all(Path(path).is_file() for path in (self.path, self.file.path, self.thumbnail))

    def drop_picture(self) -> "Shown":
        """The form that waits for what the visitor does next: a hundred large pictures would fill the memory."""
        return replace(self, loop=replace(self.loop, picture=None))

    def open_picture(self) -> "Shown":
        return replace(self, loop=replace(self.loop, picture=open_cached(self.path)))

    def pack(self) -> "Shown":
        """The form that the visit's history keeps: masks as PNG, and no picture, which is read from its file again."""
        return self._convert(None, lambda mask: encode_still(np.rint(mask * 255).astype(np.uint8), "PNG", compress_level=1))

    def unpack(self) -> "Shown":
        return self._convert(open_cached(self.path), lambda png: np.asarray(Image.open(io.BytesIO(png)), np.float32) / 255)

    def _convert(self, picture: Image.Image | None, form: Callable) -> "Shown":
        loop = replace(self.loop, picture=picture, mask=form(self.loop.mask), masks=tuple(map(form, self.loop.masks)))
        parts = [(words, form(own)) for words, own in self.parts]
        return replace(self, loop=loop, mask=None if self.mask is None else form(self.mask), parts=parts)

    @property
    def name(self) -> str:
        """Of the picture, as its file is called."""
        return Path(self.path).stem

    def caption(self) -> str:
        settings = self.loop.settings
        return f"seed {settings.request.seed}, strength {settings.hands.motion_strength:g}: {settings.request.prompt}"


def plain(output: Output) -> Output:
    """An output as the film on the page has it: without what only a download takes."""
    return Output(**{name: getattr(output, name) for name in ("fps", "size", "centre", "fit", "scale", "enlarge")})


def hold(output: Output, form: Format) -> Output:
    """An output as far as a format can hold it."""
    held = {"codec": output.codec if output.codec in form.codecs else None}
    if form.rates and output.fps not in ("native", *form.rates):
        held["fps"] = None  # the format's own
    return output.model_copy(update=held)


def is_film(shown: Shown, settings: Settings, form: Format, recipe: str | None) -> bool:
    """Whether the file that is asked for is the film on the page, which then needs no rendering."""
    if recipe is None or not shown.is_kept() or shown.file.path.suffix not in form.endings:
        return False
    size = form.size(*shown.loop.size(settings.output))
    same = settings == shown.loop.settings and settings.output == plain(settings.output) and size == shown.file.size
    return same and read_metadata(shown.file.path) == recipe


def is_cut_out(loop: Loop) -> bool:
    """Whether its frames are a part of the picture, which hands may choose another of without sampling it again."""
    output, (width, height) = loop.settings.output, loop.picture.size
    wide, high = loop.size()
    return (
        isinstance(loop, MotionLoop)
        and output.size != "source"
        and not is_fit(output, loop.alpha)
        and wide * height != high * width
    )


def direct(loop: Loop, settings: Settings) -> Loop:
    """The loop by other hands. Raises ValueError for hands that it cannot follow."""
    if not isinstance(loop, MotionLoop):
        check_appearance(settings.hands)
    return replace(loop, settings=settings)
