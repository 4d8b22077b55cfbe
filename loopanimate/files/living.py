"""A loop as a living page: one HTML file that draws the moving picture by WebGL, without a network and without a video."""

import base64
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from loopanimate.effects import state
from loopanimate.effects.data import CELLS, CURVE, Grid, Overlay
from loopanimate.files.pictures import encode_still, replacing
from loopanimate.motion import faces
from loopanimate.motion.border import border_fade
from loopanimate.motion.camera import OPEN
from loopanimate.motion.edits import unfolded
from loopanimate.motion.field import Field
from loopanimate.presets import NATIVE_FPS
from loopanimate.render import reference
from loopanimate.render.overlay import FINEST
from loopanimate.scene.layers import separate
from loopanimate.scene.parts import MAX_LAYERS

VERSION = 1  # of the page's data, which the scripts check too (living_page/motion.js)
PAGE = Path(__file__).parent / "living_page"
SCRIPTS = ("motion.js", "faces.js", "drawing.js", "effects.js", "player.js")
STRONGEST = 2  # highest strength on the page, as a factor on the loop's own
SLIDERS = {  # text, least, most, step
    "strength": ("Strength", 0, STRONGEST, 0.05),
    "effects": ("Light and weather", 0, STRONGEST, 0.05),
    "tempo": ("Tempo", 0.25, 2, 0.05),
}
CHECKS = {"parallax": "Follow the mouse", "wander": "Never the same twice"}  # wandering is for pages with several loops
FITS = {"fill": "Fill the screen", "fit": "Fit in whole"}
PARALLAX = 0.008, -0.004  # short sides that the nearest and the farthest move with the mouse at the screen's edge
CONSTANTS = {  # the numbers that Python and the page's scripts share
    **reference.CONSTANTS,
    "nativeFps": NATIVE_FPS,
    "strongest": STRONGEST,
    "parallax": PARALLAX,
    "faces": {
        "field": faces.FIELD,
        "bends": faces.BENDS,
        "knots": faces.KNOTS,
        "ends": faces.ENDS,
        "upperRim": faces.UPPER_RIM,
        "lowerRim": faces.LOWER_RIM,
        "soft": faces.SOFT,
        "follows": faces.FOLLOWS,
        "openWay": faces.OPEN_WAY,
        "columns": faces.GAZE + 2,
    },
    "effects": {
        "cells": CELLS,
        "curve": CURVE,
        "finest": FINEST,
        "thinnest": state.THINNEST,
        "flare": state.FLARE,
        "golden": state.GOLDEN,
        "noise": state.NOISE,
        "octaves": state.OCTAVES,
        "net": state.NET,
        "ridge": state.RIDGE,
        "contrast": state.CONTRAST,
        "shapes": state.SHAPES,
    },
}
PARALLAX_FADE = 0.1  # short sides within which they do so less towards borders where the loop itself does not fade
HARMONICS_ERROR = 1e-4  # short sides; largest error of leaving out the loop's higher harmonics
STEP = 4e-6  # short sides; rounding of the coefficients, coarser where 16 bits would not hold them
OVERSAMPLING = 8  # times in each native frame at which the curve is read
PICTURE_BYTES = 6_000_000  # a picture up to this size is kept without loss, a larger one at the best quality that fits
LOSSLESS_PIXELS = 4_000_000  # a photograph with more pixels would not fit without loss, so this is not tried
QUALITIES = (97, 95, 92, 88)  # JPEG, colour at full size
PLATE_QUALITY = 90  # WebP
EFFORT = 4  # of WebP's encoder: at 0 a picture without loss takes a fifteenth of the time and a tenth more bytes
LEVELS = 65520  # of a number of an overlay: 16 bits, and a multiple of 2 to 10, so that whole cycles stay whole


def write_living(path: str | Path, *arguments, **options) -> None:
    """Write the HTML of `living_page` to a file."""
    page = living_page(*arguments, **options)
    with replacing(Path(path)) as partial:
        partial.write_text(page, encoding="utf-8")


def living_page(
    image: np.ndarray,
    masks: Sequence[np.ndarray],
    fields: Sequence[Field],
    title: str,
    metadata: str | None = None,
    tempo: float = 1.0,
    overlay: Overlay | None = None,
    amount: float = 1.0,
    effort: int = EFFORT,
) -> str:
    """Make the HTML of a page that plays loops of one picture for ever.

    At the picture's own size and strength 1 the page draws a loop as the renderer does.

    image: (H, W, 3) uint8. masks: raw masks (H, W) in [0, 1] of all layers but the last, front to back, as the renderer takes
    them. fields: the loops, of one grid and period; the first one plays at the start, among several the page wanders.
    title: any text. metadata: text that the file carries, for `formats.read_metadata`. tempo: factor on the pace.
    overlay: light and weather over it. amount: factor on them, which the page begins with. effort: of WebP's encoder, 0 to 6.
    Raises ValueError for a number of masks that is not one less than the layers, or more layers than `MAX_LAYERS`.
    """
    layers = fields[0].layers
    if len(masks) != layers - 1 or layers > MAX_LAYERS:
        raise ValueError(
            f"expected at most {MAX_LAYERS} layers, all but the last with a mask, got {layers} with {len(masks)} masks"
        )
    title = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    parts = {
        "TITLE": html.escape(title),
        "PICTURE": _embed_picture(image, effort),
        "SLIDERS": "\n".join(
            f'<label>{text} <input type="range" name="{name}" min="{least}" max="{most}" step="{step}"></label>'
            for name, (text, least, most, step) in SLIDERS.items()
        ),
        "FITS": "".join(f'<option value="{value}">{text}</option>' for value, text in FITS.items()),
        "CHECKS": "\n".join(f'<label><input type="checkbox" name="{name}"> {text}</label>' for name, text in CHECKS.items()),
        "RECIPE": _json(metadata),
        "LOOP": _json(_data(image, masks, fields, tempo, effort) | {"overlay": overlay_data(overlay, amount)}),
        "SCRIPT": "\n".join((PAGE / name).read_text() for name in SCRIPTS),
    }
    return re.sub(f"@({'|'.join(parts)})@", lambda part: parts[part[1]], (PAGE / "page.html").read_text())


def read_picture(path: str | Path) -> bytes:
    """Read the picture of a living page, as an image file.

    Raises: ValueError, in one sentence, for the page of a newer LoopAnimate or a file that is no living page.
    """
    page = Path(path).read_text(encoding="utf-8", errors="replace")
    picture = re.search(r'<img id="picture"[^>]* src="data:image/\w+;base64,([^"]+)"', page)
    data = re.search(r'<script type="application/json" id="loop">(?:.*?"version":\s*(\d{1,9})\b)?', page)
    if not (picture and data):
        raise ValueError(f"expected a living page, got {Path(path).name}")
    version = int(data[1] or 0)  # the first pages had none
    if version > VERSION:
        raise ValueError(
            f"expected a living page of at most version {VERSION}, got version {version}: a newer LoopAnimate made it"
        )
    try:
        return base64.b64decode(picture[1])
    except ValueError:
        raise ValueError(f"expected a living page, got {Path(path).name}: its picture is damaged") from None


def motion_of(fields: Sequence[Field]) -> dict:
    """Give the part of the page's data that is motion alone; `living.replace` of the page takes it for the same picture."""
    loops = [
        quantize(field)
        | {
            "turns": field.turns,
            "even": field.even,
            "streams": [field.streams(layer) for layer in range(field.layers)],
            "peaks": field.reaches,
            "spins": field.spins,
            "limits": [  # largest factors on the displacement at which no cell folds
                max(1.0, STRONGEST * unfolded(field.ring[:, layer], field.winding[layer], field.borders[layer], STRONGEST))
                for layer in range(field.layers)
            ],
        }
        for field in fields
    ]
    rows, columns = fields[0].winding.shape[-2:]
    shape = {"version": VERSION, "rows": rows, "columns": columns, "period": fields[0].period}
    return shape | {"loops": loops, "nudge": _nudge(fields[0]), "faces": [_pack_face(face) for face in fields[0].faces]}


def _pack_face(face: faces.Face) -> dict:
    """What a face does, as the page's scripts read it (living_page/faces.js): numbers of 16 bits, with 0 kept as it is."""

    def pack(numbers: np.ndarray) -> str:
        return base64.b64encode(np.rint(numbers).astype("<i2").tobytes()).decode()

    steps = np.maximum(np.abs(face.curve).max(0), 1e-9) / 32767
    bends = []
    for bend in face.bends:
        step = max(float(np.abs(bend.fields).max()), 1e-9) / 32767
        fields = pack(np.moveaxis(bend.fields, 1, -1) / step)  # x and y side by side
        bends.append({"box": bend.box, "count": len(bend.fields), "step": step, "data": fields})
    return {
        "layers": face.layers,
        "strength": face.strength,
        "boxes": face.boxes,
        "reach": face.eye_reach + face.bend_reach,
        "eyes": [
            {
                "side": eye.side,
                "corner": eye.corner,
                "along": eye.along,
                "lids": [[round(float(height), 4) for height in line] for line in eye.lids],
                "iris": eye.iris,
            }
            for eye in face.eyes
        ],
        "curve": {"steps": steps.tolist(), "data": pack(face.curve / steps)},
        "bends": bends,
    }


def _nudge(field: Field) -> dict:
    """How far each cell of each layer moves with the mouse: bytes (L, h, w), in steps."""
    nearest, farthest = PARALLAX
    layers, _, *grid = field.winding.shape
    order = np.linspace(1, 0, layers).reshape(-1, 1, 1)  # a first layer alone is the nearest
    nudge = farthest + (nearest - farthest) * (order * np.ones(grid) if field.near is None else field.near)
    nudge[[borders == OPEN for borders in field.borders]] *= border_fade(*grid, PARALLAX_FADE)
    step = max(map(abs, PARALLAX)) / 127
    return {"step": step, "data": base64.b64encode(np.rint(nudge / step).astype(np.int8).tobytes()).decode()}


def quantize(field: Field) -> dict:
    """Turn a field's closed curve into 16-bit coefficients, as the page's scripts read it (living_page/motion.js).

    "data" holds the winding, then cosine and sine of each harmonic of the loop: (1 + 2 harmonics, L, h, w, 2) as base64, in
    units of "windingStep" and "step", coefficients of a spline over the cells. There are as many harmonics as
    `HARMONICS_ERROR` asks for.
    """
    count = OVERSAMPLING * field.period
    curve = _coefficients(field.curve(np.arange(count) / OVERSAMPLING)).reshape(count, -1)  # (T, L·2·h·w)
    spectrum = np.fft.rfft(curve, axis=0) * 2 / count
    angles = 2 * np.pi * np.outer(np.arange(count) / count, np.arange(1, len(spectrum)))
    waves = np.stack([np.cos(angles) - 1, np.sin(angles)], axis=-1)  # (T, K, 2): zero at frame 0, as the field is
    terms = np.stack([spectrum.real, -spectrum.imag], axis=1)[1:]  # (K, 2, L·2·h·w)
    for harmonics in range(1, len(spectrum)):
        used_waves, used_terms = waves[:, :harmonics].reshape(count, -1), terms[:harmonics].reshape(2 * harmonics, -1)
        if np.abs(used_waves @ used_terms - curve).max() <= HARMONICS_ERROR:
            break
    parts = _coefficients(field.winding).reshape(1, -1), used_terms
    steps = [max(STEP, float(np.abs(part).max()) / 32767) for part in parts]
    numbers = np.concatenate([np.rint(part / step) for part, step in zip(parts, steps)]).reshape(-1, *field.winding.shape)
    data = np.moveaxis(numbers, 2, -1).astype("<i2").tobytes()
    return {"windingStep": steps[0], "step": steps[1], "data": base64.b64encode(data).decode()}


def _coefficients(values: np.ndarray) -> np.ndarray:
    """Compute B-spline coefficients of the natural cubic splines through values (..., h, w), the splines of `motion.grid`.

    A natural spline continues straight past its ends, so the coefficients beyond follow from the last two.
    """
    inverses = []
    for cells in values.shape[-2:]:
        matrix = np.eye(cells)
        for i in range(1, cells - 1):
            matrix[i, i - 1 : i + 2] = np.array([1, 4, 1]) / 6
        inverses.append(np.linalg.inv(matrix))
    return inverses[0] @ values @ inverses[1].T


def _data(image: np.ndarray, masks: Sequence[np.ndarray], fields: Sequence[Field], tempo: float, effort: int) -> dict:
    """Collect everything that the page's scripts need besides the picture."""
    motion = motion_of(fields)
    reach = max(limit * peak for loop in motion["loops"] for limit, peak in zip(loop["limits"], loop["peaks"]))
    reach += max((face.bend_reach for face in fields[0].faces), default=0)
    apart = int(np.ceil(2 * reach * min(image.shape[:2])))  # pixels that two layers may come apart
    shape = {"width": image.shape[1], "height": image.shape[0]}
    return {
        "constants": CONSTANTS,
        **shape,
        "tempo": tempo,
        "layers": _layers(image, masks, fields[0], apart, effort),
        **motion,
    }


def _layers(image: np.ndarray, masks: Sequence[np.ndarray], field: Field, apart: int, effort: int) -> list[dict]:
    """Describe the layers that can be seen, front to back: touched borders, alpha, and the plate behind.

    The last one has no alpha: it covers the whole picture, as the background does or a layer before it may.
    """
    # borders: left, top, right, bottom
    layers = [{"borders": [int(end) for ends in zip(*borders[::-1]) for end in ends]} for borders in field.borders]
    for index, (layer, cut) in enumerate(zip(layers, separate(image, masks, apart))):
        if (cut.alpha == 255).all():
            return layers[: index + 1]
        layer["alpha"] = _embed(cut.alpha, "WEBP", lossless=True, method=effort)
        # the plate is kept only where layers that come so far apart can show it, and where it is not the picture anyway
        depth = cv2.distanceTransform((cut.alpha == 255).astype(np.uint8), cv2.DIST_L2, 3)
        shown = (cut.plate != image).any(-1) & (depth <= apart + 2)
        if shown.any():
            (top, bottom), (left, right) = (np.flatnonzero(shown.any(axis))[[0, -1]] + (0, 1) for axis in (1, 0))
            pixels = np.dstack([cut.plate, shown * np.uint8(255)])[top:bottom, left:right]
            layer["plate"] = {
                "at": [int(left), int(top)],
                "source": _embed(pixels, "WEBP", quality=PLATE_QUALITY, method=effort),
            }
        image = cut.plate
    return layers


def overlay_data(overlay: Overlay | None, amount: float) -> dict | None:
    """Light and weather as the page's scripts read them (living_page/effects.js): planes are pictures, rows have 16 bits."""
    if not overlay:
        return None
    planes: list[str] = []

    def replace(value):
        if isinstance(value, dict) and value.keys() == set(Grid.model_fields):
            planes.append(_embed(np.frombuffer(value["values"], np.uint8).reshape(value["rows"], value["columns"]), "PNG"))
            return len(planes) - 1
        if isinstance(value, dict):
            return {name: _pack_rows(inner) if name == "rows" else replace(inner) for name, inner in value.items()}
        return [replace(inner) for inner in value] if isinstance(value, tuple) else value

    data = replace(overlay.model_dump())
    return data | {"planes": planes, "amount": amount}


def _pack_rows(rows: Sequence[Sequence[float]]) -> dict:
    """Each column in 16 bits between its least and its most; of a column that is the same in all rows, only that."""
    table = np.array(rows)
    low, step = table.min(0), np.ptp(table, axis=0) / LEVELS
    numbers = np.rint((table - low)[:, step > 0] / step[step > 0]).astype("<u2")
    data = base64.b64encode(numbers.tobytes()).decode()
    return {"count": len(table), "low": low.tolist(), "step": step.tolist(), "data": data}


def _embed_picture(image: np.ndarray, effort: int) -> str:
    """Encode the picture (H, W, 3) as a data URL: without loss, or at the best quality that fits."""
    ways = [("WEBP", {"lossless": True, "method": effort})] if image.shape[0] * image.shape[1] <= LOSSLESS_PIXELS else []
    for kind, options in [*ways, *(("JPEG", {"quality": quality, "subsampling": 0}) for quality in QUALITIES)]:
        url = _embed(image, kind, **options)
        if len(url) * 3 / 4 <= PICTURE_BYTES:
            break
    return url


def _embed(pixels: np.ndarray, kind: str, **options) -> str:
    """Encode pixels as a data URL, by one of Pillow's formats."""
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encode_still(pixels, kind, **options)).decode()}"


def _json(value: dict | str | None) -> str:
    """Write JSON that can stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
