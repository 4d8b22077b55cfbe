"""One loop for several monitors: a file each, cut out of the same frames, so that they fit together and stay in step."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from loopanimate.files.animation import Spool
from loopanimate.files.formats import Coding, write_loop
from loopanimate.files.pictures import replacing
from loopanimate.files.sizes import Monitor


def write_pieces(
    paths: Sequence[Path],
    monitors: Sequence[Monitor],
    frames: Iterable[np.ndarray],
    count: int,
    coding: Coding,
    metadata: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write what each monitor shows of a loop as `write_loop` writes the whole; all files appear when the last is finished.

    frames: of all monitors together, one at a time; they wait on the disk while one file after the other is coded.
    """
    with ExitStack() as stack:
        kept = Spool(frames, stack.enter_context(TemporaryFile(dir=paths[0].parent)))
        for index, (path, monitor) in enumerate(zip(paths, monitors)):

            def tell(done: int, total: int, before: int = index) -> None:
                if progress is not None:
                    progress(before * total + done, len(paths) * total)

            pieces = (cut(pixels, monitor) for pixels in kept)
            write_loop(stack.enter_context(replacing(path)), pieces, count, coding, metadata, tell)


def cut(pixels: np.ndarray, monitor: Monitor) -> np.ndarray:
    """What a monitor shows of a frame (H, W, C), or (3H/2, W) I420."""
    if pixels.ndim == 3:
        return pixels[monitor.top : monitor.top + monitor.height, monitor.left : monitor.left + monitor.width]
    height, width = pixels.shape[0] * 2 // 3, pixels.shape[1]
    planes = [pixels[:height], *pixels[height:].reshape(2, height // 2, width // 2)]
    halves = Monitor(*(side // 2 for side in monitor))
    parts = [cut(plane[..., None], place) for plane, place in zip(planes, (monitor, halves, halves))]
    return np.concatenate([part.ravel() for part in parts]).reshape(-1, monitor.width)
