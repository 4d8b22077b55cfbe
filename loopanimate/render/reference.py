"""The definition of a frame, slow and plain. `Renderer` and `TorchRenderer` are tested against it alone.

Every layer shows at p what stood at p - d(p). The displacement d is the cubic spline through the field's cells, times the
fade at the picture's borders. Layers are composited from back to front: colour + (1 - alpha) * what lies behind.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from loopanimate.motion.border import BORDER_REACH, MAX_BORDER, MIN_BORDER, border_fade, border_reach
from loopanimate.motion.faces import ENDS, FIELD, KNOTS, eye_frame, shift_eye
from loopanimate.motion.field import ALIKE, MEAN_SIGMA, Field
from loopanimate.motion.spline import spline_matrix
from loopanimate.render.planes import HALF_WAY, cut, enlarge

# The numbers that the living page's script shares; lengths in short sides of the picture.
CONSTANTS = {
    "alikeness": ALIKE * MEAN_SIGMA,  # two phases of a stream that are r apart correlate by exp(-alikeness * r)
    "meanSigma": MEAN_SIGMA,  # short sides over the deviation of the blur that gives a stream's local mean
    "border": [BORDER_REACH, MIN_BORDER, MAX_BORDER],  # width over the largest displacement; least and greatest width
    "halfWay": HALF_WAY.tolist(),  # weights of ten pixels in a row for the point amid them (`enlarge`)
}


def correlate(apart: np.ndarray, sigma: float) -> np.ndarray:
    """Correlation, beside the local mean, of two phases of a stream `apart` from each other; `sigma` in the same unit."""
    return np.exp(-ALIKE / sigma * apart)


def restore_contrast(correlation, weight: float):
    """Gain on a cross-fade of two phases: the less they correlate, the more contrast their blend loses."""
    return 1 / ((1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * correlation) ** 0.5


def draw(image: np.ndarray, masks: Sequence[np.ndarray], field: Field, time: float, planar: bool = False) -> np.ndarray:
    """Draw the frame at `time`; arguments and result as `Renderer` has them."""
    if planar:
        image, *masks = (part[: part.shape[0] // 2 * 2, : part.shape[1] // 2 * 2] for part in (image, *masks))
    displacement, weights = field.at(time)
    drawn = []
    for planes in cut(image, masks, field, planar):
        frame = 0.0
        for k in reversed(range(field.layers)):
            large = np.stack([part if planes.ratio == 2 else enlarge(part) for part in planes.layers[k]]).astype(np.float64)
            faces = [face for face in field.faces if k in face.layers]
            # faces move where the layer is sampled: one sample of the picture is sharper than two
            acting = [face.at(time / field.period) for face in faces]
            shown = show(large, field, k, displacement[k], weights[k], acting)
            colours, alpha = shown[: len(planes.picture)], shown[len(planes.picture) :] / 255  # the background has no alpha
            frame = np.rint(colours + (1 - alpha) * frame if len(alpha) else colours)  # whole: at rest it is the very picture
        drawn.append(np.clip(frame, 0, 255).astype(np.uint8))
    return np.concatenate([part.ravel() for part in drawn]).reshape(-1, image.shape[1]) if planar else np.dstack(drawn[0])


def _show_eyes(read, eyes: Sequence, x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    """What stood at places (H, W), eyes moved as `motion.faces.shift_eye` says; read: places → planes (C, ...).

    pixel: size of one, in short sides as places are.
    """
    shown = read(x, y)
    for eye, now in eyes:
        (ax, ay), (cx, cy) = eye.along, eye.corner
        u, v = eye_frame(eye, x, y)
        over, under = (np.interp(u, np.linspace(*ENDS, KNOTS), eye.lids[part]) for part in (0, 3))
        inside = (u > ENDS[0]) & (u < ENDS[1]) & (v > over) & (v < under)
        sources, shares = shift_eye(eye, now, u[inside], v[inside], pixel / np.hypot(ax, ay))
        ball, lower, upper = (read(cx + u * ax - v * ay, cy + u * ay + v * ax) for u, v in sources)
        for lid, covers in zip((lower, upper), shares):
            ball = ball + covers * (lid - ball)
        shown[:, inside] = ball
    return shown


def _read_bend(field: np.ndarray, box: Sequence[float], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The displacement (2, FIELD, FIELD) of a bend at places in short sides: linear between its points, 0 beyond its box."""
    left, top, right, bottom = box
    at = (y - top) / (bottom - top) * (FIELD - 1), (x - left) / (right - left) * (FIELD - 1)
    return [map_coordinates(plane, at, order=1, mode="constant", output=np.float64) for plane in field]


def show(large: np.ndarray, field: Field, layer: int, displacement: np.ndarray, weight: float, acting=()) -> np.ndarray:
    """Draw the enlarged planes (C, 2H, 2W) of a layer, moved by displacement (2, h, w); the result is (C, H, W).

    acting: what each face in it does, as `Face.at` has it.
    """
    height, width = large.shape[1] // 2, large.shape[2] // 2
    short = min(height, width)
    rows, columns = (spline_matrix(*sides) for sides in zip(displacement.shape[1:], (height, width)))
    fade = short * border_fade(height, width, border_reach(field.reach), field.borders[layer])
    y, x = np.mgrid[:height, :width]

    def sample(displacement):
        dx, dy = fade * (rows @ displacement @ columns.T)  # pixels
        across, down = (x - dx + 0.5) / short, (y - dy + 0.5) / short
        for box, bend in (bend for _, bends in acting for bend in bends):
            away = _read_bend(bend, box, across, down)
            across, down = across - away[0], down - away[1]
        return _show_eyes(read, [eye for eyes, _ in acting for eye in eyes], across, down, 1 / short)

    def read(x, y):
        places = [2 * (short * y - 0.5), 2 * (short * x - 0.5)]
        return np.stack([map_coordinates(plane, places, order=1, mode="nearest") for plane in large])

    winding = field.winding[layer]
    if not winding.any():
        return sample(displacement)
    blend = (1 - weight) * sample(displacement) + weight * sample(displacement - winding)
    sigma = short / MEAN_SIGMA
    mean = np.stack([gaussian_filter(plane[::2, ::2], max(1, sigma), mode="mirror") for plane in large])
    gain = restore_contrast(correlate(fade * np.hypot(*(rows @ winding @ columns.T)), sigma), weight)
    return np.clip(mean + gain * (blend - mean), 0, 255)
