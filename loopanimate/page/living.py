"""The living preview of a loop, with which the page answers hands before anything is rendered."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from loopanimate.files.living import motion_of, overlay_data
from loopanimate.files.recipe import small_png
from loopanimate.loop import Loop, LoopFile, MotionLoop
from loopanimate.motion.field import Field
from loopanimate.motion.hands import extent
from loopanimate.page import canvas
from loopanimate.page.preview import shrink
from loopanimate.view import View

LIVING_SIDE = 800  # pixels on the long side of the living preview
SEEN = 0.05  # of a loop's largest motion: what less does not show


def move(loop: Loop) -> dict | None:
    """How the living preview moves, the strength that it is drawn for, and what frozen places slow; None for a loop of frames."""
    if not isinstance(loop, MotionLoop):
        return None
    small, hands = preview(loop), loop.settings.hands
    view = small.view()
    field = small.field(view)
    air = {"overlay": overlay_data(small.overlay(view), hands.effect_strength)}
    motion = {"own": hands.motion_strength, "loops": motion_of([field]) | air}
    return motion | ({"reach": canvas.url(stilled(field, small, view))} if hands.freeze else {})


def stilled(field: Field, loop: MotionLoop, view: View) -> np.ndarray:
    """The share of its motion that frozen places take from each place, (h, w) in [0, 1]. field: the loop's in that view."""
    free = loop.settings.change(freeze=small_png(np.zeros((2, 2))))  # nothing, on as fine a grid
    kept, whole = (extent(each.ring, each.winding).max(0) for each in (field, replace(loop, settings=free).field(view)))
    return np.where(whole > SEEN * whole.max(), np.clip(1 - kept / np.maximum(whole, 1e-6), 0, 1), 0).astype(np.float32)


def preview(loop: MotionLoop) -> MotionLoop:
    """The loop as the page plays with it: small, at its own pace, and at once, so the network does not enlarge its picture."""
    return shrink(replace(loop, settings=loop.settings.change(tempo=1.0, enlarge="off")), LIVING_SIDE)


def write_preview(loop: MotionLoop, path: Path) -> LoopFile:
    return preview(loop).write_page(path, effort=0)  # it is on its way for a moment: bytes cost less than time
