"""What comes with a finished file, and how several files come as one."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from loopanimate.files.formats import by_ending
from loopanimate.files.manifests import TYPES as MANIFESTS
from loopanimate.files.manifests import write_manifests
from loopanimate.files.pictures import replacing, write_still
from loopanimate.files.snippet import still_beside, write_snippet
from loopanimate.loop import Loop, LoopFile
from loopanimate.settings import Output

SNIPPET = "snippet.html"  # in a package


def write_package(file: LoopFile, loop: Loop, output: Output) -> list[Path]:
    """Write, beside a finished file, what goes with it, and return the paths: what Wallpaper Engine and Lively read, a still,
    and lines for a web page; of each as far as they take the format."""
    kind, words, written = by_ending(file.path).mime, loop.settings.request.prompt, []
    if file.others or kind is None:
        return written
    if kind in MANIFESTS:
        written += write_manifests(file.path, loop.view(output).picture, words)
    still = still_beside(file.path, clear=False)
    write_still(still, next(loop.frames([0.0], output)))
    snippet = file.path.with_name(SNIPPET)
    write_snippet(snippet, file.path, still, file.size, words)
    return [*written, still, snippet]


def zip_together(files: Sequence[Path]) -> Path:
    """One file for a browser to take: a .zip of files beside each other."""
    target = files[0].with_name(f"{files[0].stem}-files.zip")
    with replacing(target) as partial, ZipFile(partial, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    return target
