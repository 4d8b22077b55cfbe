"""A few lines of HTML that show a loop on a web page, and a still to whoever wants less motion."""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from loopanimate.files.formats import by_ending, check_place, list_endings
from loopanimate.files.pictures import replacing

MOVES = 'media="(prefers-reduced-motion: no-preference)"'


def check_snippet(path: str | Path, files: Sequence[Path]) -> Path:
    """Return the path, if lines of HTML can be written there, and a browser shows the loop of these files."""
    if Path(path).suffix.lower() not in (".html", ".htm") or Path(path) in files:
        raise ValueError(f"expected a snippet ending in .html, beside the loop, got {path}")
    if by_ending(files[0]).mime is None or len(files) > 1:
        shown = list_endings(lambda form: form.mime)
        raise ValueError(f"expected one file out of {shown} for --snippet, got {' and '.join(file.name for file in files)}")
    return check_place(path)


def still_beside(loop: Path, clear: bool) -> Path:
    """Where the still of a loop is written unless its place is given."""
    return loop.with_name(f"{loop.stem}-still.{'png' if clear else 'jpg'}")


def write_snippet(path: Path, loop: Path, still: Path, size: tuple[int, int], words: str) -> None:
    """Write the lines; they name `loop` and `still` as they are reached from the snippet's folder.

    size: (width, height) of the loop. words: what it shows.
    """
    source, poster = (quote(Path(os.path.relpath(file, path.parent)).as_posix()) for file in (loop, still))
    words, kind = html.escape(" ".join(words.split())), by_ending(loop).mime
    sides = f'width="{size[0]}" height="{size[1]}" style="max-width: 100%; height: auto"'
    if kind == "text/html":  # a living page rests by itself
        sides = f'width="{size[0]}" height="{size[1]}" style="max-width: 100%; border: 0"'
        lines = [f'<iframe src="{source}?panel=0" title="{words}" {sides}></iframe>']
    elif kind.startswith("video/"):
        lines = [
            f'<video autoplay loop muted playsinline poster="{poster}" aria-label="{words}" {sides}>',
            f'  <source src="{source}" type="{kind}" {MOVES}>',
            "</video>",
        ]
    else:
        lines = [
            "<picture>",
            f'  <source srcset="{source}" type="{kind}" {MOVES}>',
            f'  <img src="{poster}" alt="{words}" {sides}>',
            "</picture>",
        ]
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
