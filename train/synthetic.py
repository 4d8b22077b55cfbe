"""Procedural motion over procedural pictures: whole batches of captioned clips, made in torch on any device.

A layer's displacement is defined on the whole grid, is zero at frame 0 and comes back to zero at the end; only a stream never
turns back. Every kind of motion has one function here (`MAKERS`), built from closed curves in time and fields in space.
Clips are sampled *native* (once around the curve) or by ALSS (there and back, train/METHOD.md §2; streams turn back too).
Pictures and masks are procedural as well, so an evaluation on photographs shares none of them.
"""

import math
import random
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F

from loopanimate.motion.grid import box_of, from_hold, grid_points, warp
from loopanimate.network.conditioning import mask_code
from loopanimate.network.motion_codec import latent_grid, static_code
from loopanimate.presets import NATIVE_FPS
from loopanimate.words.kinds import KINDS
from train.grammar import Motion, draw
from train.loop_sampling import STRIDE, loop_indices

CELL = 8  # picture pixels a latent cell
HARMONICS = 12  # of a closed curve
HIGHEST = 1.8  # hertz; `MotionCodec.constrain` would take quicker harmonics away
ASPECTS = {(1, 1): 16, (4, 3): 4, (3, 4): 4, (16, 9): 2, (9, 16): 2, (21, 9): 1, (9, 21): 1}  # (height, width): weight
EDDY_SECONDS = 0.15  # an eddy reaches as far as its stream flows in this time
MAX_GRADIENT = 0.6  # of displacement by position; the Jacobian of the moved content stays above 1 - 0.6 and nothing folds
MAX_ANGLE = 0.5  # radians


@dataclass(frozen=True)
class Clips:
    """A batch of conditioned clips: what one training step reads."""

    image: torch.Tensor  # (B, 3, 8h, 8w) in [-1, 1]
    mask: torch.Tensor  # (B, 1, 8h, 8w) in [0, 1]
    static_code: torch.Tensor  # (B, 4, h, w)
    latent_mask: torch.Tensor  # (B, 1, h, w)
    middle_mask: torch.Tensor  # (B, 1, h, w), M-1
    displacement: torch.Tensor  # (B, 4, N, h, w) in short sides, unscaled
    captions: tuple[str, ...]


def make_clips(
    batch: int,
    num_frames: int,
    short: int,
    seed: int,
    sampling: str = "native",
    device: str | torch.device = "cpu",
    size: tuple[int, int] | None = None,
    focus: float = 0.0,
    drawn: list[tuple[str, Motion, Motion]] | None = None,
) -> Clips:
    """Make `batch` clips of `num_frames` frames; the same seed and device give the same clips.

    short: cells on the short side; the aspect is drawn, unless `size` (h, w) gives the grid. sampling: "native" or "alss".
    focus: as in `grammar.draw`. drawn: captions with their motions, as it gives them; None draws them here.
    """
    rng = random.Random(seed)
    generator = torch.Generator(device).manual_seed(rng.getrandbits(62))
    height, width = size or latent_grid(*rng.choices(*zip(*ASPECTS.items()))[0], short)
    image, mask = pictures(batch, CELL * height, CELL * width, generator)
    drawn = drawn or [draw(rng, focus) for _ in range(batch)]
    phase = torch.stack([_phases(num_frames, sampling, rng) for _ in range(batch)])  # (B, N)
    duration = (num_frames - 1) / NATIVE_FPS
    latent_mask = mask_code(mask, (height, width))
    supports = torch.cat([latent_mask, torch.ones_like(latent_mask)], dim=1)  # (B, 2, h, w)
    motions = [(salient, background) for _, salient, background in drawn]
    everything = [salient == background for salient, background in motions]  # moves as one, over the whole picture
    apart = [(Motion() if one else salient, background) for one, (salient, background) in zip(everything, motions)]
    fields = displacements(apart, supports, phase, duration, generator)  # (B, 2, 2, N, h, w)
    fields[everything, 0] = fields[everything, 1]
    return Clips(
        image=image,
        mask=mask,
        static_code=static_code(image, (height, width)),
        latent_mask=latent_mask,
        middle_mask=warp(latent_mask, fields[:, 0, :, num_frames // 2]),
        displacement=fields.flatten(1, 2),
        captions=tuple(caption for caption, _, _ in drawn),
    )


def _phases(num_frames: int, sampling: str, rng: random.Random) -> torch.Tensor:
    """The share of the closed curve, in [0, 1], that has passed at each of N frames; ALSS turns back half-way round."""
    if sampling == "native":
        return torch.arange(num_frames) / (num_frames - 1)
    if sampling != "alss":
        raise ValueError(f'expected sampling "native" or "alss", got {sampling!r}')
    f = (num_frames + 1) // 2
    return torch.tensor(loop_indices(f, rng)) / (2 * STRIDE * (f - 1))


def _uniform(generator: torch.Generator, shape, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def _normal(generator: torch.Generator, shape) -> torch.Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def displacements(
    motions: list[tuple[Motion, ...]], support: torch.Tensor, phase: torch.Tensor, duration: float, generator: torch.Generator
) -> torch.Tensor:
    """Make the displacement (B, L, 2, N, h, w), in short sides, of `motions`: B rows of L layers.

    support: (B, L, h, w) in [0, 1], where each layer is. phase: (B, N), the share of the closed curve that has passed at each
    frame. duration: seconds that the whole curve lasts.
    """
    batch, num_layers = support.shape[:2]
    flat, support, phase = sum(motions, ()), support.flatten(0, 1), phase.to(support).repeat_interleave(num_layers, dim=0)
    field = support.new_zeros(len(flat), 2, phase.shape[1], *support.shape[1:])
    order = sorted((index for index, motion in enumerate(flat) if motion.kind != "still"), key=lambda index: flat[index].kind)
    if order:
        layers = Layers([flat[index] for index in order], support[order], phase[order], duration, generator)
        counts = Counter(flat[index].kind for index in order)
        parts = zip(counts.items(), accumulate(counts.values()))
        # a slice, as it copies nothing
        moved = torch.cat([MAKERS[kind](layers.take(slice(end - count, end))) for (kind, count), end in parts])
        flows = torch.tensor([KINDS[flat[index].kind].flows for index in order], device=field.device).view(-1, 1, 1, 1, 1)
        # hold back what is steeper than MAX_GRADIENT, but streams: the renderer shows only a short way of them at a time
        cell = 1 / min(field.shape[-2:])
        steps = [moved.diff(dim=dim).square().sum(1).amax((-3, -2, -1)).sqrt() / cell for dim in (-2, -1)]  # (R,) each
        held = moved * (MAX_GRADIENT / torch.maximum(*steps).clamp(min=1e-6)).clamp(max=1.0).view(-1, 1, 1, 1, 1)
        field[order] = torch.where(flows, moved, held)
    return field.unflatten(0, (batch, num_layers))


class Layers:
    """R moving layers, front and back alike: where they are, what their words ask for, and a closed curve in time for each."""

    def __init__(self, motions: list[Motion], support: torch.Tensor, phase: torch.Tensor, duration: float, generator):
        def column(values) -> torch.Tensor:
            return torch.tensor(list(values), device=support.device)  # (R,)

        self.support, self.phase, self.duration, self.generator = support, phase, duration, generator
        self.amplitude = column(float(motion.amplitude) for motion in motions)
        self.cycles = column(float(motion.frequency) for motion in motions) * duration  # in one curve
        self.named = column(motion.direction is not None for motion in motions)  # bool: the words name a direction ...
        self.angle = column(math.radians(motion.direction or 0.0) for motion in motions)  # ... this one
        self.x, self.y = (axis.expand_as(support) for axis in grid_points(*support.shape[-2:], support.device))  # (R, h, w)
        self.total = support.sum((-2, -1), keepdim=True).clamp(min=1e-6)  # (R, 1, 1)
        self.center_x, self.center_y = ((support * axis).sum((-2, -1), keepdim=True) / self.total for axis in (self.x, self.y))
        _, self.top, _, self.bottom = box_of(support)  # (R, 1, 1) each
        self.rise, self.flying, self.from_pole = from_hold(support)  # (R, h, w) each
        spread = (support * ((self.x - self.center_x) ** 2 + (self.y - self.center_y) ** 2)).sum((-2, -1), keepdim=True)
        self.radius = 2.5 * (spread / self.total).sqrt().clamp(min=0.04)  # (R, 1, 1)
        part = column({"top": 10.0, "bottom": -10.0}.get(motion.part, 0.0) for motion in motions)[:, None, None]
        half = torch.sigmoid((self.rise - 0.5) * part)  # a smooth step half-way up the layer
        self.moving = torch.where(part == 0, 1.0, half)[:, None]  # (R, 1, h, w)
        self._draw_curves()

    def _draw_curves(self) -> None:
        """Draw two closed curves for each layer: random harmonics, weights falling by octaves around the tempo.

        A loop starts anywhere on the first curve or, where words name a direction, near the curve's low end.
        """
        shape, device = (len(self.support), 2, HARMONICS), self.support.device
        harmonic = torch.arange(1, HARMONICS + 1, device=device, dtype=torch.float32)
        relative = harmonic / self.cycles.clamp(min=1.0)[:, None]  # (R, J), of each harmonic's frequency to the tempo
        self.delays = 2 * math.pi * relative  # radians in a cycle of the tempo
        octaves = torch.log2(relative)[:, None]  # (R, 1, J)
        falling = torch.exp(-0.5 * (octaves / torch.where(octaves > 0, 0.7, 0.5)) ** 2)
        weights = falling * torch.exp(0.7 * _normal(self.generator, shape))
        weights = weights * (harmonic <= max(1.0, HIGHEST * self.duration))
        weights = weights / weights.norm(dim=-1, keepdim=True)
        offsets = _uniform(self.generator, shape, 0, 2 * math.pi)

        places = torch.arange(128, device=device) / 128  # where a loop may start
        waves = torch.cos(2 * math.pi * harmonic[:, None] * places + offsets[:, 0, :, None])  # (R, J, 128)
        curve = (weights[:, :1] @ waves)[:, 0]  # (R, 128)
        low, high = curve.aminmax(dim=-1, keepdim=True)
        share = (curve - low) / (high - low)
        allowed = ((share >= 0.06) & (share <= 0.22)) | ~self.named[:, None]
        start = torch.multinomial(allowed.float(), 1, generator=self.generator)  # (R, 1)
        peak = (curve - curve.gather(1, start)).abs().amax(1).view(-1, 1, 1, 1)

        begun = torch.cat([self.phase, torch.zeros_like(self.phase[:, :1])], dim=1) + start / 128  # the start itself is last
        angle = 2 * math.pi * harmonic * begun[:, None, :, None] + offsets[:, :, None]  # (R, 2, N+1, J)
        self.cosines, self.sines = (wave(angle) * weights[:, :, None] / peak for wave in (torch.cos, torch.sin))

    def take(self, rows: slice) -> "Layers":
        """Some of the layers."""
        part = object.__new__(Layers)
        vars(part).update({name: value[rows] if torch.is_tensor(value) else value for name, value in vars(self).items()})
        return part

    def curves(self, lag: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Both closed curves, (R, 1, N, h or 1, w or 1), zero at the start; the first one's largest size is 1.

        lag: (R, h, w), cycles of the tempo by which each cell comes later.
        """
        if lag is None:
            values = self.cosines.sum(-1)[..., None, None]
        else:
            delay = self.delays[:, :, None] * lag.flatten(1)[:, None]  # (R, J, hw)
            # cos(angle - delay), summed over the harmonics
            values = self.cosines.flatten(1, 2) @ delay.cos() + self.sines.flatten(1, 2) @ delay.sin()
            values = values.view(*self.cosines.shape[:3], *lag.shape[1:])
        values = values[:, :, :-1] - values[:, :, -1:]
        return values[:, :1], values[:, 1:]

    def uniform(self, low: float, high: float) -> torch.Tensor:
        return _uniform(self.generator, len(self.support), low, high)  # (R,)

    def normal(self, deviation: float) -> torch.Tensor:
        return deviation * _normal(self.generator, len(self.support))  # (R,)

    def either(self, one: float, other: float) -> torch.Tensor:
        return torch.where(self.uniform(0, 1) < 0.5, one, other)  # (R,)

    def around(self, x: torch.Tensor, y: torch.Tensor, far: torch.Tensor | float) -> torch.Tensor:
        """Position (R, 2, h, w) from a pivot; it stops growing beyond `far`, or the field would run away off its layer."""
        position = torch.stack([self.x - x, self.y - y], dim=1)
        return position * ((1 + (position.square().sum(1) / far**2) ** 2) ** -0.25)[:, None]

    def from_pivot(self, kind: str) -> torch.Tensor:
        """Position (R, 2, h, w) from the pivot of a kind: at that share of the height, in the middle of the width."""
        pivot = self.top + KINDS[kind].pivot * (self.bottom - self.top)
        return self.around(self.center_x, pivot, 2 * self.radius)

    def near_center(self) -> tuple[torch.Tensor, torch.Tensor]:
        """A point (R, 1, 1) within 0.2 short sides of the layer's centre, by axis."""
        return tuple(center + self.uniform(-0.2, 0.2)[:, None, None] for center in (self.center_x, self.center_y))

    def ways(self, heading: torch.Tensor, off_course: float = 0.12) -> tuple[torch.Tensor, torch.Tensor]:
        """A unit vector (R, 2, 1, 1) along the heading, in radians, and a shorter one across it, of random length.

        A direction that words name takes the heading's place, and is missed by `off_course` radians (standard deviation).
        """
        heading = torch.where(self.named, self.angle + self.normal(off_course), heading)
        way = torch.stack([heading.cos(), heading.sin()], dim=1)[..., None, None]
        return way, _perpendicular(way) * _cells(self.normal(0.35))

    def sign(self) -> torch.Tensor:
        """-1 or 1 (R, 1, 1, 1): to the left or right first where words say so, else either."""
        return _cells(torch.where(self.named, self.angle.cos(), self.either(1.0, -1.0)))

    def scale(self, mode: torch.Tensor) -> torch.Tensor:
        """Factor (R, 1, 1, 1) that gives a mode (R, 2, h, w) the amplitude of the words, root mean square over the layer."""
        size = ((mode.square().sum(1) * self.support).sum((-2, -1)) / self.total[:, 0, 0]).sqrt()
        return _cells(self.amplitude / size.clamp(min=1e-6))


def _cells(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]  # (R,) → (R, 1, 1, 1)


def _perpendicular(vectors: torch.Tensor) -> torch.Tensor:
    return torch.stack([-vectors[:, 1], vectors[:, 0]], dim=1)


def _wave(layers: Layers, first: torch.Tensor, second: torch.Tensor | None = None, lag: torch.Tensor | None = None):
    """There and back: one or two spatial modes (R, 2, h or 1, w or 1), each on a curve of its own."""
    along, across = layers.curves(lag)
    first = first * layers.moving
    scale = layers.scale(first)
    field = (first * scale)[:, :, None] * along
    return field if second is None else field + (second * layers.moving * scale)[:, :, None] * across


def _rotation(layers: Layers, arm: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    """Rotation to and fro about the pivot that `arm` (R, 2, h, w) is measured from, at most MAX_ANGLE; sign (R, 1, 1, 1)."""
    arm = arm * layers.moving
    tangent = _perpendicular(arm) * sign
    angle = layers.curves()[0] * layers.scale(tangent).clamp(max=MAX_ANGLE)[:, :, None]  # (R, 1, N, 1, 1)
    return tangent[:, :, None] * angle.sin() + arm[:, :, None] * (1 - angle.cos())


def sway(layers: Layers) -> torch.Tensor:
    """Bend from the base to a side; the tip follows late."""
    way, across = layers.ways(layers.either(0.0, math.pi) + layers.normal(0.15), off_course=0.075)
    bend = layers.rise[:, None] ** _cells(layers.uniform(1.1, 2.0))
    return _wave(layers, way * bend, across * bend, lag=layers.uniform(0.0, 0.12)[:, None, None] * layers.rise)


def shift(layers: Layers) -> torch.Tensor:
    """Go anywhere within a radian of a side: going up and down is bobbing."""
    return _wave(layers, *layers.ways(layers.either(0.0, math.pi) + layers.uniform(-1.0, 1.0)))


def bob(layers: Layers) -> torch.Tensor:
    """Go up and down."""
    return _wave(layers, *layers.ways(layers.either(math.pi / 2, -math.pi / 2) + layers.normal(0.15)))


def bounce(layers: Layers) -> torch.Tensor:
    """Hop: parabolas in time between contacts, at the whole number of hops nearest to the tempo, no two of one height."""
    way = layers.ways(layers.normal(0.045) - math.pi / 2)[0] * layers.moving
    hops = layers.cycles.round().clamp(min=1)[:, None]  # (R, 1)
    number, passed = (hops * layers.phase % hops).long(), hops * layers.phase % 1  # (R, N) each
    heights = torch.exp(0.35 * _normal(layers.generator, (len(hops), HARMONICS)))
    height = 4 * passed * (1 - passed) * heights.gather(1, number.clamp(max=HARMONICS - 1))
    height = height / height.amax(1, keepdim=True).clamp(min=1e-6)
    return (way * layers.scale(way))[:, :, None] * height[:, None, :, None, None]


def rock(layers: Layers) -> torch.Tensor:
    """Tilt about the base."""
    return _rotation(layers, layers.from_pivot("rock"), layers.sign())


def swing(layers: Layers) -> torch.Tensor:
    """Hang from the top and swing."""
    return _rotation(layers, layers.from_pivot("swing"), -layers.sign())


def turn(layers: Layers) -> torch.Tensor:
    """Turn to and fro about the centre."""
    return _rotation(layers, layers.around(layers.center_x, layers.center_y, layers.radius), layers.sign())


def pulse(layers: Layers) -> torch.Tensor:
    """Grow and shrink about the centre."""
    return _wave(layers, layers.around(layers.center_x, layers.center_y, layers.radius))


def ripple(layers: Layers) -> torch.Tensor:
    """A plane wave of any direction and wavelength runs through."""
    travel, length = layers.uniform(0, 2 * math.pi)[:, None, None], layers.uniform(0.5, 1.1)[:, None, None]
    lag = (layers.x * travel.cos() + layers.y * travel.sin()) / length
    return _wave(layers, *layers.ways(layers.uniform(0, 2 * math.pi)), lag=lag)


def flutter(layers: Layers) -> torch.Tensor:
    """Wave like cloth: the more, the farther from where it is fixed, and waves run along it from there."""
    ways = layers.ways(layers.uniform(0, 2 * math.pi))
    length = layers.uniform(0.5, 1.1)[:, None, None]
    return _wave(layers, *(way * layers.flying[:, None] for way in ways), lag=layers.from_pole / length)


def tremble(layers: Layers) -> torch.Tensor:
    """Shake: nearly as much across as along. The grammar asks for it small and quick."""
    way, _ = layers.ways(layers.uniform(0, 2 * math.pi))
    return _wave(layers, way, _perpendicular(way) * _cells(layers.uniform(0.3, 1.0)))


def zoom(layers: Layers) -> torch.Tensor:
    """Spread from a point near the centre, or shrink to it, as before a camera that goes in or out."""
    return _wave(layers, layers.around(*layers.near_center(), 2.0) * layers.sign())


def stream(layers: Layers) -> torch.Tensor:
    """Flow on for ever through a field that swirls and eddies, and does not cross the layer's rim."""
    way, across = layers.ways(layers.uniform(0, 2 * math.pi))
    swirl = _perpendicular(layers.around(*layers.near_center(), layers.radius)) / layers.radius[:, None]
    swirl = swirl * _cells(layers.uniform(-0.7, 0.7))
    padded = F.pad(layers.support[:, None], (2,) * 4, mode="replicate")
    deep = F.avg_pool2d(F.avg_pool2d(padded, 3, stride=1), 3, stride=1)  # (R, 1, h, w)
    edge = 0.5 * deep.amax((-2, -1), keepdim=True).clamp(min=1e-3)
    deep = ((deep - edge) / edge).clamp(0, 1)
    flow, eddy = (way + swirl) * deep, (swirl + 2 * across) * deep
    scale = layers.scale(flow)  # to short sides a second
    passed = (layers.duration * layers.phase)[:, None, :, None, None]  # seconds
    return (flow * scale)[:, :, None] * passed + (eddy * scale)[:, :, None] * EDDY_SECONDS * layers.curves()[1]


MAKERS = {  # of every kind but "still": layers → displacement (R, 2, N, h, w) in short sides
    maker.__name__: maker
    for maker in (sway, shift, bob, bounce, rock, swing, turn, pulse, ripple, flutter, tremble, zoom, stream)
}


def pictures(batch: int, height: int, width: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Make procedural pictures (B, 3, H, W) in [-1, 1] with a salient shape (B, 1, H, W) in [0, 1]."""
    mask = _masks(batch, height, width, generator)
    front, behind = (_textures(batch, height, width, generator) for _ in range(2))
    return torch.lerp(behind, front, mask), mask


def _textures(count: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Noise of a falling spectrum between random colours, over a gradient: (count, 3, H, W) in [-1, 1]."""

    def uniform(low: float, high: float, channels: int = 1) -> torch.Tensor:
        return _uniform(generator, (count, channels, 1, 1), low, high)

    slope, noise = uniform(0.45, 0.9, channels=2), torch.zeros(count, 2, height, width, device=generator.device)
    for octave in range(6):
        cells = _normal(generator, (count, 2, 2 ** (octave + 1), 2 ** (octave + 1)))
        noise += F.interpolate(cells, size=(height, width), mode="bilinear", align_corners=False) * slope**octave
    x, y = grid_points(height, width, generator.device)
    angle = uniform(0, 2 * math.pi)
    gradient = x * angle.cos() + y * angle.sin()  # (count, 1, H, W)
    base, towards, between = uniform(-1, 1, channels=9).split(3, dim=1)
    contrast = uniform(0.05, 0.5)
    colours = 0.6 * base + 0.5 * gradient * towards + (noise * contrast).sum(1, keepdim=True) * between
    grey = (colours + 0.3 * noise[:, 1:] * contrast).mean(1, keepdim=True)
    return torch.lerp(grey, colours, uniform(0.05, 0.8)).clamp(-1, 1)


def _masks(batch: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Shapes as salient objects have, (B, 1, H, W): blobs, blobs on a trunk or running off the frame, half-planes, all."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return _uniform(generator, (batch, 1, 1), low, high)

    x, y = grid_points(height, width, generator.device)
    x_waves = x
    x, y = (axis - side / min(height, width) * uniform(0.25, 0.75) for axis, side in ((x, width), (y, height)))  # (B, H, W)
    stretch, size = torch.exp(0.35 * _normal(generator, (batch, 1, 1))), uniform(0.12, 0.42)
    angle = torch.atan2(y, x)
    rim = sum(0.3 / k * _normal(generator, (batch, 1, 1)) * torch.cos(k * angle + uniform(0, 2 * math.pi)) for k in range(1, 7))
    blob = size * (1 + rim.clamp(-0.6, 0.8)) - ((x / stretch) ** 2 + (y * stretch) ** 2).sqrt()
    trunk_width = size * torch.where(uniform(0, 1) < 0.5, 0.15, uniform(0.5, 1.1))
    trunk = torch.minimum(trunk_width * (1 + 0.5 * y.clamp(0, 1)) - x.abs(), y)
    standing = torch.maximum(blob, trunk)
    wave = 0.06 * torch.sin(x_waves * uniform(3, 12) + uniform(0, 6))
    horizon = (y + wave) * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    draw = uniform(0, 1)
    shape = torch.where(draw < 0.45, blob, torch.where(draw < 0.8, standing, torch.where(draw < 0.93, horizon, 1.0)))
    return torch.sigmoid(shape / uniform(0.004, 0.03))[:, None]
