"""The automatic mask: the salient object of a picture; and edits of a mask."""

import os
import sys
from functools import lru_cache
from importlib.util import find_spec, module_from_spec

import cv2
import numpy as np
from PIL import Image
from scipy.special import expit

from loopanimate.memory import run_options
from loopanimate.presets import ASSETS, BUNDLED_SALIENT, SALIENT_MODELS
from loopanimate.scene.edges import fill_outlines, find_areas, to_lab

CLEAR = 0.5  # raw saliency from which a pixel surely is the object
MIN_AREA, MAX_AREA = 0.003, 0.9  # shares of the picture that a clear object has
MIN_CERTAINTY = 0.45  # share of clear pixels among those above FLOOR
FLOOR = 0.1  # raw saliency up to which a pixel surely is background


@lru_cache(maxsize=1)
def session(model: str):
    """Open rembg's session of a model of SALIENT_MODELS: over the bundled weights, or over those that rembg has or downloads.

    Raises: ValueError, in one sentence, where it can neither be found nor downloaded.
    """
    home = os.environ.get("U2NET_HOME")
    if model == BUNDLED_SALIENT:
        os.environ["U2NET_HOME"] = str(ASSETS / "saliency")
    # `import rembg` also imports PyMatting, whose functions numba then compiles for a minute, and no mask needs them. So stand
    # an empty module in for the package while its session is imported: its __init__, which asks for PyMatting, does not run.
    given = sys.modules.get("rembg")
    sys.modules["rembg"] = given or module_from_spec(find_spec("rembg"))
    try:
        from rembg.session_factory import new_session

        return new_session(model, providers=["CPUExecutionProvider"])
    except Exception as error:  # of requests, pooch and onnxruntime, which share nothing narrower
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"expected rembg to load or download {model}, but it cannot: {reason}") from error
    finally:
        if given is None:
            del sys.modules["rembg"]
        os.environ.pop("U2NET_HOME", None)
        if home is not None:
            os.environ["U2NET_HOME"] = home


def saliency(picture: Image.Image, model: str = BUNDLED_SALIENT) -> np.ndarray:
    """Raw saliency (H, W) float32 in [0, 1], before any normalisation."""
    side = SALIENT_MODELS[model].side
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")  # a copy of a large one takes 200 megabytes
    small = picture.resize((side, side), Image.Resampling.LANCZOS)  # as rembg does it
    raw = _run(session(model), model, small.tobytes())
    return np.clip(cv2.resize(raw, picture.size, interpolation=cv2.INTER_CUBIC), 0, 1)


@lru_cache(maxsize=8)
def _run(network, model: str, pixels: bytes) -> np.ndarray:
    """What a network says of RGB pixels of its own size; kept, as the page asks about one picture again and again."""
    how = SALIENT_MODELS[model]
    size = how.side, how.side
    inputs = network.normalize(Image.frombytes("RGB", size, pixels), how.mean, how.std, size)
    raw = network.inner_session.run(None, inputs, run_options())[0][0, 0]
    return expit(raw) if how.gives_logits else raw


def automatic_mask(picture: Image.Image, model: str = BUNDLED_SALIENT) -> tuple[np.ndarray, bool]:
    """Find the salient object: its mask (H, W) float32 in [0, 1], and whether there is a clear one.

    Without a clear object the mask is ones everywhere. Raw saliency is judged, because something always is the most salient:
    a clear object is neither tiny nor everything, and makes up most of what is salient at all.
    """
    raw = saliency(picture, model)
    clear = float((raw > CLEAR).mean())
    certainty = clear / max(float((raw > FLOOR).mean()), 1e-6)
    if not (MIN_AREA <= clear <= MAX_AREA and certainty >= MIN_CERTAINTY):
        return np.ones_like(raw), False
    mask, areas = np.clip((raw - FLOOR) / (raw.max() - FLOOR), 0, 1), find_areas(to_lab(picture))
    if areas.is_line_art:
        small = cv2.resize(mask, areas.labels.shape[::-1], interpolation=cv2.INTER_AREA)
        mask = cv2.resize(fill_outlines(small, areas), picture.size, interpolation=cv2.INTER_LINEAR)
    return mask, True


def edit(mask: np.ndarray, grow: float = 0.0, feather: float = 0.0, invert: bool = False) -> np.ndarray:
    """Grow (shrink where negative), feather and invert a mask (H, W), in that order.

    grow, feather: in percent of the short side; feather is the standard deviation of the blur.
    """
    unit = min(mask.shape) / 100
    radius = round(abs(grow) * unit)
    if radius:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
        mask = (cv2.dilate if grow > 0 else cv2.erode)(mask, disc)
    if feather * unit > 0.1:
        mask = cv2.GaussianBlur(mask, (0, 0), feather * unit)
    return 1 - mask if invert else mask
