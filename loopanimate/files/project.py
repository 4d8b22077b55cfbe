"""A project: a picture, what was painted on it and a recipe in one ZIP, to go on with elsewhere.

It holds two files: `recipe.json`, which `files.recipe` packs and unpacks with its masks in it, and the picture as it came.
"""

import re
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from loopanimate.files.formats import UNREADABLE
from loopanimate.files.pictures import replacing
from loopanimate.files.recipe import MOST_TEXT

ENDING = ".loop.zip"
RECIPE, PICTURE = "recipe.json", re.compile(r"picture(\.[a-z0-9]{1,5})?")
MOST_BYTES = 400_000_000  # of a picture's file: as many megapixels as are read, not compressed


def is_project(path: str | Path) -> bool:
    try:
        with ZipFile(path) as file:
            return RECIPE in file.namelist()
    except UNREADABLE:
        return False


def write_project(path: Path, picture: Path, recipe: str) -> Path:
    ending = picture.suffix.lower()
    name = f"picture{ending}"
    with replacing(path) as target, ZipFile(target, "w") as file:
        file.writestr(RECIPE, recipe, ZIP_DEFLATED)
        file.write(picture, name if PICTURE.fullmatch(name) else "picture")
    return path


def read_project(path: str | Path, to: Path) -> tuple[str, Path]:
    """The recipe of a project, and its picture's file, which is called `to` with the picture's own ending.

    No more is read than the sizes that the file says, and no name in it becomes a path.

    Raises: ValueError in one sentence for anything but the two files of a project.
    """
    try:
        with ZipFile(path) as file:
            sizes = {each.filename: each.file_size for each in file.infolist()}
            (name,) = sizes.keys() - {RECIPE}
            ending = PICTURE.fullmatch(name)[1] or ""
            if len(file.infolist()) != 2 or sizes[RECIPE] > 4 * MOST_TEXT or sizes[name] > MOST_BYTES:
                raise ValueError("files of other sizes")
            with file.open(RECIPE) as stream:
                recipe = stream.read(4 * MOST_TEXT + 1).decode("utf-8")
            target = to.with_name(to.name + ending)
            with file.open(name) as stream, target.open("wb") as written:  # no more is read than the size that was checked
                shutil.copyfileobj(stream, written)
    except UNREADABLE:  # RuntimeError: a password, or a compression that zipfile does not know
        raise ValueError(f"expected a project that LoopAnimate saved, got {Path(path).name}") from None
    return recipe, target
