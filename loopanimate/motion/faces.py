"""What a face does in a loop, as plain data that every renderer draws, and what it is at a time.

A face moves within its own picture, before its layer moves: in the planes of that layer, what is shown at p stood at q - d(q)
first, where q = p less the smooth displacements of its bends, one after the other, the body's and head's before the features',
and d is an eye's. In an eye's frame u runs from its left corner, 0, to its right one, 1, and v is down, in the same unit. The upper lid's skin is stretched down to its edge, the lower
lid's up to its own, and between both the eyeball shows, whose iris moves in one piece. Beside the corners both lids still move
a little, or what lashes draw there would break. `shift_eye` is the definition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loopanimate.motion.border import smoothstep

LEVELS = 256  # of what a face does in one loop, linear between
KNOTS, ENDS = 25, (-0.3, 1.3)  # of an eye's curves, linear between, and u at the first and the last
FIELD = 65  # points of a smooth displacement along each side of its box
BENDS = 3  # of a face, at most: its body's, its head's and its features'
# An eye's curves: skin moves from `over` to `under`, lids end at `upper` and `lower`; closed, these sink and rise so far.
LIDS = ("over", "upper", "lower", "under", "sinks", "rises")
UPPER_RIM, LOWER_RIM = 0.035, 0.02  # lengths of the eye that a lid's edge, with its lashes, reaches beyond its curve
SOFT = 0.035  # of the same, over which that edge fades
FOLLOWS = 0.9, 0.4  # of an iris' way up or down that the upper and the lower lid go with it
OPEN_WAY = 2.0  # lengths of an iris' way that the white beyond it gives way behind the corner that it moves to
CARRIED = 0.5  # share of a layer before a face that lies where a head or a body bends, from which it is a part of that
SHOWN = 0.25  # share of a face that a layer has at least, to show it: hair before it has less
GAZE = 2  # number of the first of a curve's columns for gaze, after those of both lids


Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Eye:
    """An eye that can be moved, in short sides of what is shown."""

    side: int  # 0: the left one in the picture, 1: the right one
    corner: tuple[float, float]  # the left one, x and y
    along: tuple[float, float]  # from there to the right corner
    lids: np.ndarray  # (6, KNOTS) float32, LIDS in lengths of the eye, at even steps of u between ENDS
    iris: tuple[float, float, float]  # u, v and radius, in lengths of the eye

    @property
    def box(self) -> Box:
        """All that it moves."""
        u, v = np.tile(np.linspace(*ENDS, KNOTS), 2), self.lids[[0, 3]].ravel()
        (along_x, along_y), (x, y) = self.along, self.corner
        across, down = x + u * along_x - v * along_y, y + u * along_y + v * along_x
        return float(across.min()), float(down.min()), float(across.max()), float(down.max())


@dataclass(frozen=True)
class Bend:
    """Smooth displacements that add up, in short sides of what is shown."""

    box: Box  # nothing beyond it moves
    fields: np.ndarray  # (K, 2, FIELD, FIELD) float32, their outermost points at the box's edge and zero

    @property
    def reach(self) -> np.ndarray:
        """(K,): the farthest that each goes, in short sides."""
        return np.hypot(self.fields[:, 0], self.fields[:, 1]).max((1, 2))


@dataclass(frozen=True)
class Face:
    """What a face does, in short sides of what is shown."""

    box: Box  # of the face and its eyes
    eyes: tuple[Eye, ...]
    bends: tuple[Bend, ...]
    curve: np.ndarray  # (LEVELS, 4 + K) float32: how far each eye is closed, gaze in x and y, and of each field how much
    layers: tuple[int, ...] = ()  # that show it
    strength: float = 1.0  # factor on the curve; above 1 it counts as 1

    def crop(self, part: tuple[float, float, float, float], sides: tuple[float, float]) -> "Face":
        """The face in a part of the picture, in short sides of that; sides: (width, height) of the picture in its own."""
        low, high = np.reshape(part, (2, 2)) * sides
        scale = 1 / float((high - low).min())

        def place(box: Box) -> Box:
            return tuple(((np.reshape(box, (2, 2)) - low) * scale).ravel().tolist())

        eyes = tuple(
            replace(
                eye, corner=tuple(((eye.corner - low) * scale).tolist()), along=tuple((np.array(eye.along) * scale).tolist())
            )
            for eye in self.eyes
        )
        bends = tuple(Bend(place(bend.box), bend.fields * np.float32(scale)) for bend in self.bends)
        curve = self.curve.copy()
        curve[:, GAZE : GAZE + 2] *= scale
        return replace(self, box=place(self.box), eyes=eyes, bends=bends, curve=curve)

    def at(self, share: float) -> tuple[list[tuple[Eye, tuple[float, float, float]]], list[tuple[Box, np.ndarray]]]:
        """What moves at a share of the loop: eyes with (how closed, gaze along u and v); boxes with displacements (2, FIELD, FIELD)."""
        place = share % 1 * LEVELS
        before = int(place)
        now = self.curve[before] + (place - before) * (self.curve[(before + 1) % LEVELS] - self.curve[before])
        now = now * min(self.strength, 1.0)
        x, y, *amounts = now[GAZE:].tolist()
        moving, fields = [], []
        for eye in self.eyes:
            length = eye.along[0] ** 2 + eye.along[1] ** 2
            gaze = (x * eye.along[0] + y * eye.along[1]) / length, (y * eye.along[0] - x * eye.along[1]) / length
            if now[eye.side] > 0 or any(gaze):
                moving.append((eye, (float(now[eye.side]), *gaze)))
        for bend in self.bends:
            own, amounts = amounts[: len(bend.fields)], amounts[len(bend.fields) :]
            if any(own):
                fields.append((bend.box, np.tensordot(np.float32(own), bend.fields, 1)))
        return moving, fields

    def share_of(self, mask: np.ndarray) -> float:
        """How much of the face a mask (H, W) in [0, 1] has, in [0, 1]."""
        height, width = mask.shape
        left, top, right, bottom = (edge * min(mask.shape) for edge in self.box)
        y, x = np.mgrid[-0.75:0.75:16j, -0.75:0.75:16j]
        oval = np.hypot(x, y) < 0.75
        columns = np.clip((left + right + x[oval] * (right - left)) / 2, 0, width - 1).astype(int)
        rows = np.clip((top + bottom + y[oval] * (bottom - top)) / 2, 0, height - 1).astype(int)
        return float(mask[rows, columns].mean())

    def layers_of(self, masks: Sequence[np.ndarray]) -> tuple[int, ...]:
        """The layers that show a good part of the face, by the masks (H, W) of all layers but the last, front to back."""
        clear, shares = 1.0, []
        for mask in masks:
            shares.append(self.share_of(clear * mask))
            clear = clear * (1 - mask)
        shares.append(self.share_of(clear) if masks else 1.0)
        return tuple(layer for layer, share in enumerate(shares) if share >= SHOWN)

    @property
    def boxes(self) -> list[Box]:
        """All boxes beyond which nothing moves."""
        return [self.box, *(bend.box for bend in self.bends)]

    def carry(self, masks: Sequence[np.ndarray]) -> "Face | None":
        """What the head and the body do to layers before the face that are parts of them, as hair is; masks as `layers_of` has them."""
        bends = tuple(bend for bend in self.bends if bend.box != self.box)
        layers = tuple(
            layer
            for layer, mask in enumerate(masks[: min(self.layers, default=0)])
            if any(_part_inside(mask, bend.box) > CARRIED for bend in bends)
        )
        columns = GAZE + 2 + sum(len(bend.fields) for bend in bends)
        return replace(self, eyes=(), bends=bends, curve=self.curve[:, :columns], layers=layers) if layers else None

    def active(self, share: float) -> list[Box]:
        """The boxes in which anything moves at a share of the loop."""
        eyes, bends = self.at(share)
        return [eye.box for eye, _ in eyes] + [box for box, _ in bends]

    @property
    def eye_reach(self) -> float:
        """The farthest that anything of an eye goes, in short sides."""
        lids = [float(np.hypot(*eye.along) * np.abs(eye.lids[4:]).max()) for eye in self.eyes]
        return max([*lids, float(np.hypot(*self.curve[:, GAZE : GAZE + 2].T).max())])

    @property
    def bend_reach(self) -> float:
        """The farthest that bends together take anything, in short sides."""
        reaches = np.concatenate([bend.reach for bend in self.bends]) if self.bends else np.zeros(0)
        return float((np.abs(self.curve[:, GAZE + 2 :]) @ reaches).max(initial=0))


def _part_inside(mask: np.ndarray, box: Box) -> float:
    """The share of a mask (H, W) that lies in a box of short sides."""
    left, top, right, bottom = (max(0, round(edge * min(mask.shape))) for edge in box)
    return float(mask[top:bottom, left:right].sum() / max(mask.sum(), 1e-6))


def eye_frame(eye: Eye, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in short sides → u and v."""
    across, down = x - eye.corner[0], y - eye.corner[1]
    length = eye.along[0] ** 2 + eye.along[1] ** 2
    return (across * eye.along[0] + down * eye.along[1]) / length, (down * eye.along[0] - across * eye.along[1]) / length


def shift_eye(
    eye: Eye, now: Sequence[float], u: np.ndarray, v: np.ndarray, pixel: float
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """What is shown at places of an eye's frame.

    now: how closed, and gaze along u and v. pixel: size of one, in lengths of the eye.
    Returns three sources (u, v): of the eyeball, of the lower lid over it, of the upper lid over both; and the shares of the two
    lids in [0, 1].
    """
    closed, gaze_u, gaze_v = now
    over, upper, lower, under, sinks, rises = (np.interp(u, np.linspace(*ENDS, KNOTS), lid) for lid in eye.lids)
    follows = np.maximum(4 * u * (1 - u), 0) * (1 - closed) * gaze_v
    sinks, rises = closed * sinks + FOLLOWS[0] * follows, closed * rises + FOLLOWS[1] * follows
    upper_edge, lower_edge = upper + sinks + UPPER_RIM, lower + rises - LOWER_RIM
    soft = max(SOFT, 1.5 * pixel)
    shares = (
        smoothstep(np.clip((v - lower_edge) / soft + 0.5, 0, 1)),
        smoothstep(np.clip((upper_edge - v) / soft + 0.5, 0, 1)),
    )
    from_upper = v - sinks * smoothstep(np.clip((v - over) / (upper_edge - over), 0, 1))
    from_lower = v - rises * smoothstep(np.clip((under - v) / (under - lower_edge), 0, 1))
    middle, _, radius = eye.iris
    middle = middle + gaze_u
    room = np.where(u < middle, middle, 1 - middle) - radius + np.where((u - middle) * gaze_u > 0, OPEN_WAY * abs(gaze_u), 0)
    moved = 1 - smoothstep(np.clip((np.abs(u - middle) - radius) / np.maximum(room, 0.02), 0, 1))
    ball_u = np.clip(u - gaze_u * moved, 0, 1)
    high, low = (np.interp(ball_u, np.linspace(*ENDS, KNOTS), lid) for lid in eye.lids[1:3])
    ball_v = np.clip(v - gaze_v * moved, np.minimum(high + UPPER_RIM, low - LOWER_RIM), np.maximum(low - LOWER_RIM, high))
    moves = bool(gaze_u or gaze_v)
    return ((ball_u, ball_v) if moves else (u, v), (u, from_lower), (u, from_upper)), shares
