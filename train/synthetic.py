"""Procedural motion over pictures: whole batches of captioned clips made in torch, on any device.

Each layer's displacement is a closed curve of random harmonics, carried by a field of the motion's kind over the whole
grid, that starts at zero by subtracting d(p, 0) (DESIGN.md §2). Streams never turn back: a stationary velocity field, coded
by its winding. Sampled *native* (once around the curve) or by ALSS (there and back, PAPER.md §2; streams then go with the
rest). Pictures and masks are procedural too, so none is shared with any evaluation.
"""

import math
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from loopanimate.motion.field import box_of, from_hold, grid_points, warp
from loopanimate.network.conditioning import mask_code
from loopanimate.network.motion_codec import latent_grid, static_code
from loopanimate.presets import NATIVE_FPS
from train.grammar import KINDS, Motion, draw
from train.loop_sampling import STRIDE, loop_indices

CELL = 8  # picture pixels a latent cell
HARMONICS = 12
ASPECTS = {(1, 1): 16, (4, 3): 4, (3, 4): 4, (16, 9): 2, (9, 16): 2, (21, 9): 1, (9, 21): 1}  # (height, width): weight
EDDY_SECONDS = 0.15  # of a stream's own progress: how far its eddies reach
MAX_GRADIENT = 0.6  # of displacement by position: the content's Jacobian stays above 1 - 0.6


@dataclass(frozen=True)
class Clips:
    """A batch of conditioned clips: what one training step reads."""

    image: torch.Tensor  # (B, 3, 8h, 8w) in [-1, 1]
    mask: torch.Tensor  # (B, 1, 8h, 8w) in [0, 1]
    static_code: torch.Tensor  # (B, 4, h, w)
    latent_mask: torch.Tensor  # (B, 1, h, w)
    middle_mask: torch.Tensor  # (B, 1, h, w), M-1
    displacement: torch.Tensor  # (B, 4, N, h, w) in short sides, unscaled
    captions: list[str]
    motions: list[tuple[Motion, Motion]]  # of the salient layer and the background


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
    """`batch` clips of `num_frames` frames, the same for the same seed and device.

    Args:
        short: cells on the short side; the aspect is drawn, unless `size` (h, w) gives the grid.
        sampling: "native" closed curves, or "alss".
        focus: of `grammar.draw`.
        drawn: by `grammar.draw`, `batch` of them; None draws.
    """
    rng = random.Random(seed)
    generator = torch.Generator(device).manual_seed(rng.getrandbits(62))
    height, width = size or latent_grid(*rng.choices(*zip(*ASPECTS.items()))[0], short)
    image, mask = pictures(batch, CELL * height, CELL * width, generator)
    drawn = drawn or [draw(rng, focus) for _ in range(batch)]
    phase = torch.stack([_phases(num_frames, sampling, rng) for _ in range(batch)]).to(device)  # (B, N), turns
    duration = (num_frames - 1) / NATIVE_FPS
    latent_mask = mask_code(mask, (height, width))
    supports = torch.cat([latent_mask, torch.ones_like(latent_mask)], dim=1)  # (B, 2, h, w)
    motions = [(salient, background) for _, salient, background in drawn]
    # "everything moves" is one motion: both layers then share their support and their draw
    shared = torch.tensor([a == b and a.amplitude > 0 for a, b in motions], device=device)
    supports = torch.where(shared.view(-1, 1, 1, 1), torch.ones_like(supports), supports)
    fields = displacements(motions, supports, phase, duration, generator)  # (B, 2, 2, N, h, w)
    fields[:, 0] = torch.where(shared.view(-1, 1, 1, 1, 1), fields[:, 1], fields[:, 0])
    return Clips(
        image=image,
        mask=mask,
        static_code=static_code(image, (height, width)),
        latent_mask=latent_mask,
        middle_mask=warp(latent_mask, fields[:, 0, :, num_frames // 2]),
        displacement=fields.flatten(1, 2),
        captions=[caption for caption, _, _ in drawn],
        motions=motions,
    )


def _phases(num_frames: int, sampling: str, rng: random.Random) -> torch.Tensor:
    if sampling == "native":
        return torch.arange(num_frames) / (num_frames - 1)
    if sampling != "alss":
        raise ValueError(f'expected sampling "native" or "alss", got {sampling!r}')
    f = (num_frames + 1) // 2
    return torch.tensor(loop_indices(f, rng)) / (2 * STRIDE * (f - 1))  # the far end is half-way around the curve


def _uniform(generator, shape, low=0.0, high=1.0):
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def displacements(
    motions: list[tuple[Motion, ...]], support: torch.Tensor, phase: torch.Tensor, duration: float, generator: torch.Generator
) -> torch.Tensor:
    """Displacement fields (B, L, 2, N, h, w) in short sides of `motions` (B rows of L layers).

    Args:
        support: (B, L, h, w), where each layer is.
        phase: (B, N), turns of the closed curve at each frame.
        duration: seconds of one turn.
    """
    device = support.device
    batch, layers = support.shape[:2]

    def table(value):
        return torch.tensor([[value(motion) for motion in row] for row in motions], device=device)

    kind = table(lambda motion: KINDS.index(motion.kind))  # (B, L)
    amplitude = table(lambda motion: float(motion.amplitude))
    cycles = table(lambda motion: float(motion.frequency)) * duration
    named = table(lambda motion: motion.direction is not None)
    angle = table(lambda motion: math.radians(motion.direction or 0.0))
    part = table(lambda motion: {"top": 1.0, "bottom": -1.0}.get(motion.part, 0.0))
    first, second, lag = _basis(kind, named, angle, part, cycles, support, generator)
    rotates = ((kind == KINDS.index("rock")) | (kind == KINDS.index("swing")) | (kind == KINDS.index("turn")))[..., None]

    # Time: harmonics around the tempo, weights falling in octaves, two modes with phases of their own.
    shape = (batch, layers, 2, HARMONICS)
    harmonic = torch.arange(1, HARMONICS + 1, device=device, dtype=torch.float32)
    octaves = torch.log2(harmonic / cycles.clamp(min=1.0)[..., None, None])  # (B, L, 1, J)
    spread = torch.where(octaves > 0, 0.7, 0.5)
    weights = torch.exp(-0.5 * (octaves / spread) ** 2) * torch.exp(
        0.7 * torch.randn(shape, generator=generator, device=device)
    )
    weights = weights * (harmonic <= max(1.0, 1.8 * duration))  # nothing that `MotionCodec.constrain` would take away
    offsets = _uniform(generator, shape, 0, 2 * math.pi)
    weights = weights / weights.norm(dim=-1, keepdim=True)

    # Where on the curve the loop starts: anywhere, or near its low end where the words name a direction.
    dense = torch.arange(128, device=device) / 128
    curve = (weights[:, :, 0, :, None] * torch.cos(2 * math.pi * harmonic[:, None] * dense + offsets[:, :, 0, :, None])).sum(2)
    low, high = curve.amin(-1, keepdim=True), curve.amax(-1, keepdim=True)
    share = (curve - low) / (high - low)
    allowed = ((share >= 0.06) & (share <= 0.22)) | ~named[..., None]  # (B, L, 128)
    start = torch.multinomial(allowed.flatten(0, 1).float(), 1, generator=generator).view(batch, layers)
    at_start = curve.gather(-1, start[..., None])  # (B, L, 1)
    peak = (curve - at_start).abs().amax(-1)  # (B, L)

    begin = (start / 128)[..., None, None, None]
    turns = torch.cat([phase[:, None, :, None, None] + begin, begin], dim=2) - lag[:, :, None]  # (B, L, N+1, h, w)
    modes = []
    for mode in range(2):
        argument = turns[..., None] * (2 * math.pi * harmonic) + offsets[:, :, mode, None, None, None]
        values = (torch.cos(argument) * weights[:, :, mode, None, None, None]).sum(-1)  # (B, L, N+1, h, w)
        modes.append((values[:, :, :-1] - values[:, :, -1:]) / peak[..., None, None, None])
    along, across = modes
    # a bounce: parabolas between contacts, as many a loop as the tempo comes nearest to, no two of one height; from the ground
    hops = cycles.round().clamp(min=1)[:, :, None]  # (B, L, 1)
    heights = torch.exp(0.35 * torch.randn((batch, layers, HARMONICS), generator=generator, device=device))
    aloft = hops * phase[:, None]  # (B, L, N)
    height = 4 * (aloft % 1) * (1 - aloft % 1) * heights.gather(-1, (aloft % hops).long().clamp(max=HARMONICS - 1))
    height = (height / height.abs().amax(-1, keepdim=True).clamp(min=1e-6))[..., None, None]  # (B, L, N, 1, 1)
    bounces, streams = (kind == KINDS.index("bounce"))[..., None, None, None], kind == KINDS.index("stream")
    along, across = torch.where(bounces, height, along), torch.where(bounces, 0.0, across)

    norm = ((first.square().sum(2) * support).sum((-2, -1)) / support.sum((-2, -1)).clamp(min=1e-6)).sqrt()  # (B, L)
    reach = amplitude / norm.clamp(min=1e-6)  # radians for rotations, short sides per unit of the basis else
    reach = torch.where(rotates[..., 0], reach.clamp(max=0.5), reach)[..., None, None, None]  # (B, L, 1, 1, 1)
    theta = along * reach
    across = torch.where(rotates[..., None, None], 1 - torch.cos(theta), across * reach)
    along = torch.where(rotates[..., None, None], torch.sin(theta), theta)
    # a stream's second mode is its eddies, which come back while the first runs on
    flow = streams[..., None, None, None]
    along = torch.where(flow, phase[:, None, :, None, None] * reach * duration, along)
    across = torch.where(flow, across * EDDY_SECONDS, across)
    field = first[:, :, :, None] * along[:, :, None] + second[:, :, :, None] * across[:, :, None]
    # a stream is shown a short way at a time (`LoopField`), so nothing folds however far it runs
    return torch.where(flow[..., None], field, field * (MAX_GRADIENT / _gradient(field)).clamp(max=1.0))


def _gradient(field: torch.Tensor) -> torch.Tensor:
    """Largest change of displacement by position over a clip, (B, L, 1, 1, 1, 1)."""
    cell = 1 / min(field.shape[-2:])
    steps = [field.diff(dim=dim).square().sum(2).amax((-3, -2, -1)) for dim in (-2, -1)]  # (B, L) each
    return (torch.maximum(*steps).sqrt() / cell).clamp(min=1e-6)[..., None, None, None, None]


def _basis(kind, named, angle, part, cycles, support, generator):
    """The two spatial modes (B, L, 2, h, w) and the lag in turns (B, L, h, w) of each layer's kind of motion."""
    batch, layers, height, width = support.shape
    points = grid_points(height, width, support.device)  # (2, h, w)
    x, y = (points[i].expand(batch, layers, -1, -1) for i in range(2))
    total = support.sum((-2, -1), keepdim=True).clamp(min=1e-6)
    center_x, center_y = (support * x).sum((-2, -1), keepdim=True) / total, (support * y).sum((-2, -1), keepdim=True) / total
    _, top, _, bottom = box_of(support)
    rise, flying, along = from_hold(support)
    extent = (support * ((x - center_x) ** 2 + (y - center_y) ** 2)).sum((-2, -1), keepdim=True) / total
    radius = 2.5 * extent.sqrt().clamp(min=0.04)

    def around(pivot_x, pivot_y, far):
        """Position from a pivot, levelling off beyond `far` so that no field runs away off its layer."""
        offset_x, offset_y = x - pivot_x, y - pivot_y
        level = (1 + ((offset_x**2 + offset_y**2) / far**2) ** 2) ** -0.25
        return torch.stack([offset_x * level, offset_y * level], dim=2)  # (B, L, 2, h, w)

    def perpendicular(q):
        return torch.stack([-q[:, :, 1], q[:, :, 0]], dim=2)

    shape = (batch, layers)
    cells = (..., None, None)
    is_kind = {name: kind == i for i, name in enumerate(KINDS)}
    free = _uniform(generator, shape, 0, 2 * math.pi)
    side = torch.where(_uniform(generator, shape) < 0.5, 0.0, math.pi)
    tilt = 0.15 * torch.randn(shape, generator=generator, device=support.device)
    upright = torch.where(_uniform(generator, shape) < 0.5, math.pi / 2, -math.pi / 2) + tilt
    unnamed = torch.where(is_kind["sway"], side + tilt, torch.where(is_kind["bob"], upright, free))
    unnamed = torch.where(is_kind["shift"], side + (free / math.pi - 1), unnamed)  # up and down is bobbing
    unnamed = torch.where(is_kind["bounce"], -math.pi / 2 + 0.3 * tilt, unnamed)
    heading = torch.where(named, angle + torch.where(is_kind["sway"], 0.5, 0.8) * tilt, unnamed)
    way = torch.stack([heading.cos(), heading.sin()], dim=2)[..., None, None].expand(-1, -1, -1, height, width)
    cross = perpendicular(way) * (0.35 * torch.randn(shape, generator=generator, device=support.device))[..., None, None, None]
    sign = torch.where(named, torch.cos(angle), torch.where(side > 0, -1.0, 1.0))[..., None, None, None]
    bend = (rise ** _uniform(generator, shape, 1.1, 2.0)[cells])[:, :, None]
    rock, swing = around(center_x, bottom, 2 * radius), around(center_x, top, 2 * radius)
    middle = around(center_x, center_y, radius)
    wobble = _uniform(generator, (batch, layers, 2), -0.2, 0.2)[..., None, None]
    # from the rim inwards: a stream does not cross it
    rim = F.pad(support.flatten(0, 1)[:, None], (2,) * 4, mode="replicate")
    deep = F.avg_pool2d(F.avg_pool2d(rim, 3, stride=1), 3, stride=1).view_as(support)
    edge = 0.5 * deep.amax((-2, -1), keepdim=True).clamp(min=1e-3)
    deep = ((deep - edge) / edge).clamp(0, 1)[:, :, None]
    swirl = perpendicular(around(center_x + wobble[:, :, 0], center_y + wobble[:, :, 1], radius)) / radius[:, :, None]
    swirl = swirl * _uniform(generator, shape, -0.7, 0.7)[..., None, None, None]
    focus = around(center_x + wobble[:, :, 0], center_y + wobble[:, :, 1], 2.0)
    tremor = perpendicular(way) * _uniform(generator, shape, 0.3, 1.0)[..., None, None, None]
    modes = {
        "still": (way * 0, cross * 0),
        "sway": (way * bend, cross * bend),
        "shift": (way, cross),
        "bob": (way, cross),
        "bounce": (way, cross * 0),
        "rock": (perpendicular(rock) * sign, rock),
        "swing": (-perpendicular(swing) * sign, swing),
        "turn": (perpendicular(middle) * sign, middle),
        "pulse": (middle, cross * 0),
        "ripple": (way, cross),
        "flutter": (way * flying[:, :, None], cross * flying[:, :, None]),
        "stream": ((way + swirl) * deep, (swirl + 2 * cross) * deep),
        "tremble": (way, tremor),
        "zoom": (focus * sign, cross * 0),
    }
    choose = kind[..., None, None, None, None].expand(-1, -1, 1, 2, height, width)
    both = [torch.stack([modes[name][i] for name in KINDS], dim=2).gather(2, choose)[:, :, 0] for i in range(2)]
    # Parts: a smooth step half-way up the layer
    step = torch.sigmoid((rise - 0.5) * 10 * part[cells])
    step = torch.where(part[cells] == 0, 1.0, step)[:, :, None]
    # Lag: the tip follows the base, waves travel; in turns of the curve
    trail = _uniform(generator, shape, 0.0, 0.12)[cells] * rise
    length = _uniform(generator, shape, 0.5, 1.1)
    travel = _uniform(generator, shape, 0, 2 * math.pi)
    wave = (x * travel.cos()[cells] + y * travel.sin()[cells]) / length[cells]
    lag = torch.where(is_kind["ripple"][cells], wave, torch.where(is_kind["sway"][cells], trail, 0.0))
    lag = torch.where(is_kind["flutter"][cells], along / length[cells], lag)
    return both[0] * step, both[1] * step, lag / cycles.clamp(min=1.0)[cells]


def pictures(batch: int, height: int, width: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Procedural pictures (B, 3, H, W) in [-1, 1] with a salient shape (B, 1, H, W) in [0, 1]."""
    mask = _masks(batch, height, width, generator)
    paint = [_texture(batch, height, width, generator) for _ in range(2)]
    return paint[0] * mask + paint[1] * (1 - mask), mask


def _texture(batch: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Falling-spectrum noise between random colours over a gradient, (B, 3, H, W) in [-1, 1]."""
    device = generator.device
    noise = torch.zeros(batch, 2, height, width, device=device)
    slope = _uniform(generator, (batch, 2, 1, 1), 0.45, 0.9)
    for octave in range(6):
        cells = torch.randn(batch, 2, 2 ** (octave + 1), 2 ** (octave + 1), generator=generator, device=device)
        noise += F.interpolate(cells, size=(height, width), mode="bilinear", align_corners=False) * slope**octave
    points = grid_points(height, width, device)
    turn = _uniform(generator, (batch, 1, 1), 0, 2 * math.pi)
    ramp = (points[0] * turn.cos() + points[1] * turn.sin())[:, None]  # (B, 1, H, W)
    colors = _uniform(generator, (batch, 3, 3, 1, 1), -1, 1)
    contrast = _uniform(generator, (batch, 1, 1, 1), 0.05, 0.5)
    paint = 0.6 * colors[:, 0] + ramp * colors[:, 1] * 0.5 + (noise * contrast).sum(1, keepdim=True) * colors[:, 2]
    grey = (paint + noise[:, 1:] * contrast * 0.3).mean(1, keepdim=True)
    return torch.lerp(grey.expand_as(paint), paint, _uniform(generator, (batch, 1, 1, 1), 0.05, 0.8)).clamp(-1, 1)


def _masks(batch: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Shapes such as salient objects have: blobs, blobs that stand on a trunk or run off the frame, half-planes, all."""
    device = generator.device
    points = grid_points(height, width, device)
    box_x, box_y = width / min(height, width), height / min(height, width)
    column = (batch, 1, 1)
    center_x, center_y = box_x * _uniform(generator, column, 0.25, 0.75), box_y * _uniform(generator, column, 0.25, 0.75)
    x, y = points[0] - center_x, points[1] - center_y  # (B, H, W)
    angle, stretch = torch.atan2(y, x), torch.exp(0.35 * torch.randn(column, generator=generator, device=device))
    size = _uniform(generator, column, 0.12, 0.42)
    rim = torch.zeros(batch, height, width, device=device)
    for k in range(1, 7):
        rim += (
            0.3
            * torch.randn(column, generator=generator, device=device)
            / k
            * torch.cos(k * angle + _uniform(generator, column, 0, 2 * math.pi))
        )
    blob = size * (1 + rim.clamp(-0.6, 0.8)) - ((x / stretch) ** 2 + (y * stretch) ** 2).sqrt()
    trunk_width = size * torch.where(_uniform(generator, column) < 0.5, 0.15, _uniform(generator, column, 0.5, 1.1))
    trunk = torch.minimum(trunk_width * (1 + 0.5 * y.clamp(0, 1)) - x.abs(), y)
    standing = torch.maximum(blob, trunk)
    wave = 0.06 * torch.sin(points[0] * _uniform(generator, column, 3, 12) + _uniform(generator, column, 0, 6))
    horizon = (y + wave) * torch.where(_uniform(generator, column) < 0.5, -1.0, 1.0)
    draw = _uniform(generator, column)
    shape = torch.where(draw < 0.45, blob, torch.where(draw < 0.8, standing, torch.where(draw < 0.93, horizon, 1.0)))
    return torch.sigmoid(shape / _uniform(generator, column, 0.004, 0.03))[:, None]
