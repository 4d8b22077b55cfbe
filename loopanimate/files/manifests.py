"""What Wallpaper Engine and Lively read beside a living page: a title, a preview, and controls of their own.

The controls' names are the settings of the page (living_page/player.js).
Formats: docs.wallpaperengine.io/en/web, and Lively's schemas/livelyPropertiesSchema.json.
"""

import json
from pathlib import Path

from PIL import Image

from loopanimate.files.living import STRONGEST
from loopanimate.files.pictures import replacing

PREVIEW_SIDE = 512  # pixels
SLIDERS = {"strength": ("Strength", 0, STRONGEST, 0.05), "tempo": ("Tempo", 0.25, 2, 0.05)}  # text, least, most, step
CHECKS = {"parallax": "Follow the mouse"}
FITS = {"fill": "Fill the screen", "fit": "Fit in whole"}


def write_manifests(page: Path, picture: Image.Image, title: str, several: bool) -> list[Path]:
    """Write project.json, LivelyInfo.json, LivelyProperties.json and preview.jpg beside `page`; return their paths.

    several: the page has several loops, so a control lets it wander among them.
    """
    title = " ".join(title.split())
    checks = CHECKS | ({"wander": "Never the same twice"} if several else {})
    lively, engine = {}, {}
    for name, (text, least, most, step) in SLIDERS.items():
        lively[name] = {"type": "slider", "text": text, "min": least, "max": most, "step": step, "value": 1}
        engine[name] = lively[name] | {"fraction": True, "precision": 2}
    for name, text in checks.items():
        lively[name] = {"type": "checkbox", "text": text, "value": name == "wander"}
        engine[name] = lively[name] | {"type": "bool"}
    lively["fit"] = {"type": "dropdown", "text": "Size", "value": 0, "items": list(FITS.values())}
    options = [{"label": text, "value": value} for value, text in FITS.items()]
    engine["fit"] = {"type": "combo", "text": "Size", "value": "fill", "options": options}
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
            "Author": "",
            "License": "",
            "Contact": "",
            "Type": 1,  # a web page that uses the mouse and needs no network
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
