"""What Wallpaper Engine and Lively read beside a film or a living page: title and preview, and of a page controls of their own.

The controls are those of the page itself (`living.SLIDERS` and the tables beside it).
Formats: docs.wallpaperengine.io/en/web, and Lively's schemas/livelyPropertiesSchema.json and WallpaperType.cs.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from loopanimate.files.formats import by_ending
from loopanimate.files.living import CHECKS, FITS, SLIDERS
from loopanimate.files.pictures import replacing

PREVIEW_SIDE = 512  # pixels
TYPES = {"text/html": ("web", 1), "video/mp4": ("video", 7), "video/webm": ("video", 7)}  # by what browsers call it: both's
PREVIEW = "preview.jpg"


def check_manifests(files: Sequence[Path]) -> None:
    """Raises ValueError for a loop's files if the two do not take them."""
    if by_ending(files[0]).mime not in TYPES or len(files) > 1:
        got = " and ".join(file.name for file in files)
        raise ValueError(f"expected one output ending in .mp4, .webm or .html for --manifests, got {got}")


def write_manifests(loop: Path, picture: Image.Image, title: str, several: bool = False) -> list[Path]:
    """Write project.json, LivelyInfo.json, preview.jpg, and for a page LivelyProperties.json, beside `loop`; return the paths.

    several: the page has several loops, so wandering among them is one of the controls.
    """
    title, (engine, lively) = " ".join(title.split()), TYPES[by_ending(loop).mime]
    project = {"file": loop.name, "title": title, "type": engine, "preview": PREVIEW}
    info = {
        "AppVersion": "2.0.6.6",
        "Title": title,
        "Thumbnail": PREVIEW,
        "Preview": PREVIEW,
        "Desc": "A living picture, made with LoopAnimate",
        **dict.fromkeys(("Author", "License", "Contact"), ""),
        "Type": lively,
        "FileName": loop.name,
        "Arguments": None,
        "IsAbsolutePath": False,
    }
    documents = {"project.json": project, "LivelyInfo.json": info}
    if engine == "web":
        project["general"], documents["LivelyProperties.json"] = _controls(several)
    written = [loop.with_name(name) for name in (*documents, PREVIEW)]
    for path, document in zip(written, documents.values()):
        with replacing(path) as partial:
            partial.write_text(json.dumps(document, indent=2), encoding="utf-8")
    preview = picture.copy()
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    with replacing(written[-1]) as partial:
        preview.save(partial, format="JPEG", quality=90)
    return written


def _controls(several: bool) -> tuple[dict, dict]:
    """A page's controls as Wallpaper Engine has them, and as Lively has them."""
    sliders = {
        name: {"type": "slider", "text": text, "min": least, "max": most, "step": step, "value": 1}
        for name, (text, least, most, step) in SLIDERS.items()
    }
    checks = {name: {"text": text, "value": name == "wander"} for name, text in CHECKS.items() if several or name != "wander"}
    fits = [{"label": text, "value": value} for value, text in FITS.items()]
    engine = {
        **{name: slider | {"fraction": True, "precision": 2} for name, slider in sliders.items()},
        **{name: {"type": "bool", **check} for name, check in checks.items()},
        "fit": {"type": "combo", "text": "Size", "value": "fill", "options": fits},
    }
    lively = {
        **sliders,
        **{name: {"type": "checkbox", **check} for name, check in checks.items()},
        "fit": {"type": "dropdown", "text": "Size", "value": 0, "items": list(FITS.values())},
    }
    return {"properties": {name: {"order": order, **control} for order, (name, control) in enumerate(engine.items())}}, lively
