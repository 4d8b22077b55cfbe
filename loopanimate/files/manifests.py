"""What Wallpaper Engine and Lively read beside a living page: title, preview, and controls of their own.

The controls are those of the page itself (`living.SLIDERS` and the tables beside it).
Formats: docs.wallpaperengine.io/en/web, and Lively's schemas/livelyPropertiesSchema.json.
"""

import json
from pathlib import Path

from PIL import Image

from loopanimate.files.living import CHECKS, FITS, SLIDERS
from loopanimate.files.pictures import replacing

PREVIEW_SIDE = 512  # pixels


def write_manifests(page: Path, picture: Image.Image, title: str, several: bool) -> list[Path]:
    """Write project.json, LivelyInfo.json, LivelyProperties.json and preview.jpg beside `page`; return their paths.

    several: the page has several loops, so wandering among them is one of the controls.
    """
    title = " ".join(title.split())
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
    documents = {
        "project.json": {
            "file": page.name,
            "title": title,
            "type": "web",
            "preview": "preview.jpg",
            "general": {
                "properties": {name: {"order": order, **control} for order, (name, control) in enumerate(engine.items())}
            },
        },
        "LivelyInfo.json": {
            "AppVersion": "2.0.6.6",
            "Title": title,
            "Thumbnail": "preview.jpg",
            "Preview": "preview.jpg",
            "Desc": "A living picture, made with LoopAnimate",
            **dict.fromkeys(("Author", "License", "Contact"), ""),
            "Type": 1,  # a web page that reads the mouse and needs no network
            "FileName": page.name,
            "Arguments": None,
            "IsAbsolutePath": False,
        },
        "LivelyProperties.json": lively,
    }
    written = [page.with_name(name) for name in (*documents, "preview.jpg")]
    for path, document in zip(written, documents.values()):
        with replacing(path) as partial:
            partial.write_text(json.dumps(document, indent=2), encoding="utf-8")
    preview = picture.copy()
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    with replacing(written[-1]) as partial:
        preview.save(partial, format="JPEG", quality=90)
    return written
