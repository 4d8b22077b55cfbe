"""The wallpaper as a living page: one HTML file that plays a loop as a field, drawn by WebGL, not as a video."""

import base64
import html
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from loopanimate.files.media import replacing
from loopanimate.motion.border import BORDER_REACH, MAX_BORDER, MIN_BORDER
from loopanimate.motion.field import ALIKE, MEAN_SIGMA
from loopanimate.presets import NATIVE_FPS
from loopanimate.render.renderer import _Flat
from loopanimate.scene.layers import Layers, solve, split

PAGE = Path(__file__).parent / "living_page"
SCRIPTS = ("motion.js", "drawing.js", "player.js")
STRONGEST = 2.0  # the page's slider, as a factor on the loop's own strength
HARMONICS_ERROR = 1e-4  # short sides, of leaving out the loop's higher harmonics
STEP = 4e-6  # short sides, of a quantised coefficient, where 16 bits hold it
OVERSAMPLED = 8  # moments of a native frame at which the curve is read
PICTURE_BYTES = 6_000_000  # a picture is kept without loss up to here, then at the first quality that fits
LOSSLESS_PIXELS = 4_000_000  # beyond, a photograph without loss would not fit: not tried
QUALITIES = (97, 95, 92, 88)  # JPEG, colour at full size
PLATE_QUALITY = 90  # WebP


def write_living(path: str | Path, *arguments, **options) -> None:
    """Write the HTML of `living_page` to a file."""
    page = living_page(*arguments, **options)
    with replacing(Path(path)) as partial:
        partial.write_text(page, encoding="utf-8")


def living_page(
    image: np.ndarray,
    mask: np.ndarray,
    fields: Sequence[_Flat],
    title: str,
    metadata: str | None = None,
    tempo: float = 1.0,
) -> str:
    """HTML that plays a picture (H, W, 3) uint8 for ever, without a network.

    mask: (H, W) in [0, 1], the raw mask, as the renderer takes it. fields: the loops, all of one grid and period; the
    first plays at the start, and with several the page wanders among them. title: any text. tempo: factor on the pace.
    metadata: text that the file carries, for `media.read_metadata`.
    At the picture's own size and strength 1 the page draws a loop as the renderer does.
    """
    title = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    parts = {
        "TITLE": html.escape(title),
        "PICTURE": _data_url(*_picture(image)),
        "RECIPE": _json(metadata),
        "LOOP": _json(_loop(image, mask, fields, tempo)),
        "SCRIPT": "\n".join((PAGE / name).read_text() for name in SCRIPTS),
    }
    return re.sub("@(TITLE|PICTURE|RECIPE|LOOP|SCRIPT)@", lambda part: parts[part[1]], (PAGE / "page.html").read_text())


def motion_of(fields: Sequence[_Flat]) -> dict:
    """What the page's script needs of the motion alone: `living.replace` takes it, for another motion of the same picture."""
    loops = [
        quantised(field)
        | {
            "turns": field.turns,
            "even": field.even,
            "streams": [bool(field.winding[part].any()) for part in (slice(0, 2), slice(2, 4))],
            "peaks": field.reaches,
            "limits": field.headroom(STRONGEST),
        }
        for field in fields
    ]
    return {"rows": fields[0].winding.shape[-2], "columns": fields[0].winding.shape[-1], "loops": loops}


def quantised(field: _Flat) -> dict:
    """A field's closed curve as the page's script reads it (living_page/motion.js).

    The winding, then cosine and sine of the loop's harmonics, as 16-bit coefficients (h, w, 4) of a spline over the
    cells. There are as many harmonics as HARMONICS_ERROR asks for: of sampled motion, those that the codec passes.
    "error" is the largest difference from the field at any place and time, in short sides.
    """
    count = OVERSAMPLED * field.period
    curve = _coefficients(field.curve(np.arange(count) / OVERSAMPLED)).reshape(count, -1)  # (T, 4·h·w)
    spectrum = np.fft.rfft(curve, axis=0) * 2 / count
    angles = 2 * np.pi * np.outer(np.arange(count) / count, np.arange(1, len(spectrum)))
    waves = np.stack([np.cos(angles) - 1, np.sin(angles)], axis=-1)  # (T, K, 2): all zero at frame 0, as the field is
    terms = np.stack([spectrum.real, -spectrum.imag], axis=1)[1:]  # (K, 2, 4·h·w)
    for harmonics in range(1, len(spectrum)):
        kept = waves[:, :harmonics].reshape(count, -1), terms[:harmonics].reshape(2 * harmonics, -1)
        if np.abs(kept[0] @ kept[1] - curve).max() <= HARMONICS_ERROR:
            break
    winding = _coefficients(field.winding).reshape(1, -1)
    steps = [max(STEP, float(np.abs(part).max()) / 32767) for part in (winding, kept[1])]
    whole = [np.rint(part / step) for part, step in zip((winding, kept[1]), steps)]
    error = np.abs(kept[0] @ whole[1] * steps[1] - curve).max() + np.abs(whole[0] * steps[0] - winding).max()
    numbers = np.concatenate(whole).reshape(1 + 2 * harmonics, *field.winding.shape).transpose(0, 2, 3, 1)
    return {
        "harmonics": harmonics,
        "windingStep": steps[0],
        "step": steps[1],
        "error": float(error),
        "data": base64.b64encode(numbers.astype("<i2").tobytes()).decode(),
    }


def _coefficients(values: np.ndarray) -> np.ndarray:
    """B-spline coefficients of the natural cubic splines through values (..., h, w), as `spline_matrix` has them.

    A natural spline continues straight past its ends, so the coefficients beyond follow from the last two.
    """
    inverses = []
    for cells in values.shape[-2:]:
        matrix = np.eye(cells)
        for i in range(1, cells - 1):
            matrix[i, i - 1 : i + 2] = np.array([1, 4, 1]) / 6
        inverses.append(np.linalg.inv(matrix))
    return inverses[0] @ values @ inverses[1].T


def _loop(image: np.ndarray, mask: np.ndarray, fields: Sequence[_Flat], tempo: float) -> dict:
    """Everything that the page's script needs besides the picture."""
    mask, fields = mask[0], [_Flat(field) for field in fields]
    motion = motion_of(fields)
    reach = max(limit * own for loop in motion["loops"] for limit, own in zip(loop["limits"], loop["peaks"]))
    apart = int(np.ceil(2 * reach * min(image.shape[:2])))  # pixels that the layers may come apart
    layers = solve(image, *split(image, mask, apart))
    whole = bool((layers.alpha == 255).all())
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "seconds": fields[0].period / NATIVE_FPS / tempo,
        "border": [BORDER_REACH, MIN_BORDER, MAX_BORDER],
        "held": [int(held) for ends in zip(*fields[0].borders[0][::-1]) for held in ends],  # left, top, right, bottom
        "meanSigma": MEAN_SIGMA,
        "alikeness": ALIKE * MEAN_SIGMA,
        "plate": None if whole else _plate(image, layers, apart),
        "alpha": None if whole else _data_url("webp", _saved(layers.alpha, "WEBP", lossless=True)),
        **motion,
    }


def _plate(image: np.ndarray, layers: Layers, apart: int) -> dict | None:
    """What lies behind the salient layer, where layers that come so far apart can show it; elsewhere it is the picture."""
    depth = cv2.distanceTransform((layers.alpha == 255).astype(np.uint8), cv2.DIST_L2, 3)
    shown = (layers.plate != image).any(-1) & (depth <= apart + 2)
    if not shown.any():
        return None
    (top, bottom), (left, right) = (np.flatnonzero(shown.any(axis))[[0, -1]] + (0, 1) for axis in (1, 0))
    pixels = np.dstack([layers.plate, shown * np.uint8(255)])[top:bottom, left:right]
    return {"at": [int(left), int(top)], "source": _data_url("webp", _saved(pixels, "WEBP", quality=PLATE_QUALITY))}


def _picture(image: np.ndarray) -> tuple[str, bytes]:
    """The picture (H, W, 3) as a file: its type and bytes."""
    if image.shape[0] * image.shape[1] <= LOSSLESS_PIXELS:
        saved = _saved(image, "WEBP", lossless=True)
        if len(saved) <= PICTURE_BYTES:
            return "webp", saved
    for quality in QUALITIES:
        saved = _saved(image, "JPEG", quality=quality, subsampling=0)
        if len(saved) <= PICTURE_BYTES:
            break
    return "jpeg", saved


def _saved(pixels: np.ndarray, file_format: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=file_format, **options)
    return file.getvalue()


def _data_url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _json(value: dict | str | None) -> str:
    """JSON that can stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
