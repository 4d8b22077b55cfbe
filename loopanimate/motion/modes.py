"""Spatial modes: a displacement field as a sum of cosines, and the fields with which a layer moves as a whole."""

import torch
import torch.nn.functional as F

from loopanimate.motion.grid import grid_points

LAYERS, AXES = 2, 2
WAVES = 4  # cosines along each side that count as low, of 0 to 3 half waves
COEFFICIENTS = AXES * WAVES**2  # D, numbers that hold the lowest modes of one layer at one time
PLAIN_MOTIONS = 11  # fields of `plain_motions`
PLAIN_FLOWS = 3  # fields of `plain_flows`


def cosines(count: int) -> torch.Tensor:
    """The orthonormal cosine transform (DCT-II) of `count` cells, (count, count)."""
    order, place = torch.arange(count)[:, None], torch.arange(count) + 0.5
    waves = torch.cos(torch.pi * order * place / count) * (2 / count) ** 0.5
    waves[0] /= 2**0.5
    return waves


def to_modes(fields: torch.Tensor) -> torch.Tensor:
    """Fields (B, 4, n, h, w) → their spatial modes by layer and axis, (B, 2, 2, n, h, w)."""
    down, across = (cosines(side).to(fields) for side in fields.shape[-2:])
    return (down @ fields @ across.T).unflatten(1, (LAYERS, AXES))


def from_modes(modes: torch.Tensor) -> torch.Tensor:
    """The inverse of `to_modes`."""
    down, across = (cosines(side).to(modes) for side in modes.shape[-2:])
    return (down.T @ modes @ across).flatten(1, 2)


def lowest(modes: torch.Tensor) -> torch.Tensor:
    """Modes (B, 2, 2, n, h, w) → each layer's lowest ones at each time, (B, 2, n, D)."""
    return modes[..., :WAVES, :WAVES].movedim(2, 3).flatten(3)


def plain_motions(latent_mask: torch.Tensor) -> torch.Tensor:
    """The ways in which each layer can move as a whole, as their lowest modes, (B, 2, D, PLAIN_MOTIONS).

    In this order: shift in x, shift in y, rotation about the base, the top and the middle, swelling, bending of the top in
    x and in y, growing from left to right in x and in y, shear. Each is measured from the layer's own middle and extent
    (mask (B, 1, h, w) in [0, 1] or the whole grid) and has a root mean square of one over the layer.
    """
    height, width = latent_mask.shape[-2:]
    x, y = grid_points(height, width, latent_mask.device)  # (h, w) each
    weight = _weights(torch.cat([latent_mask, torch.ones_like(latent_mask)], dim=1))

    def mean(values):
        return (weight * values).sum((-2, -1), keepdim=True)

    middle_x, middle_y = mean(x), mean(y)
    # half the layer's width and height, as two standard deviations; never less than 0.03 short sides
    wide, high = (2 * mean((axis - middle) ** 2).sqrt().clamp(min=0.03) for axis, middle in ((x, middle_x), (y, middle_y)))
    far = (wide**2 + high**2).sqrt()

    def around(pivot_y):
        """Offsets from (middle_x, pivot_y) that level off beyond the layer."""
        across, down = (x - middle_x).expand_as(weight), y - pivot_y
        level = (1 + ((across**2 + down**2) / (2 * far) ** 2) ** 2) ** -0.25
        return across * level, down * level

    one, none = torch.ones_like(weight), torch.zeros_like(weight)
    rise = ((middle_y + high - y) / (2 * high)).clamp(0, 1.25)  # 0 at the base, 1 at the top
    along = ((x - middle_x + wide) / (2 * wide)).clamp(0, 1.25)  # 0 at the left, 1 at the right
    fields = [(one, none), (none, one)]
    for pivot in (middle_y + high, middle_y - high, middle_y):
        across, down = around(pivot)
        fields.append((-down, across))
    fields += [(across, down), (rise**1.5, none), (none, rise**1.5), (along, none), (none, along), (down, across)]
    return _columns(fields, weight)


def plain_flows(latent_mask: torch.Tensor) -> torch.Tensor:
    """The ways in which each layer can stream as a whole, as their lowest modes, (B, 2, D, PLAIN_FLOWS).

    In x, in y and around the middle. A stream rests at its layer's rim (mask (B, 1, h, w) in [0, 1] or the whole grid) and
    has a root mean square of one over the layer.
    """
    layers = torch.cat([latent_mask, torch.ones_like(latent_mask)], dim=1)
    inside = F.avg_pool2d(F.pad(layers, (2,) * 4, mode="replicate"), 5, stride=1)
    edge = 0.5 * inside.amax((-2, -1), keepdim=True).clamp(min=1e-3)  # a layer thinner than a cell never reaches 1
    inside = ((inside - edge) / edge).clamp(0, 1) + 1e-4  # 0 at the rim, 1 deep inside
    weight = _weights(layers)
    x, y = grid_points(*latent_mask.shape[-2:], latent_mask.device)
    x, y = (axis - (weight * axis).sum((-2, -1), keepdim=True) for axis in (x, y))
    none = torch.zeros_like(inside)
    return _columns([(inside, none), (none, inside), (-y * inside, x * inside)], weight)


def _weights(layers: torch.Tensor) -> torch.Tensor:
    """Layers (B, 2, h, w) as weights that add up to one over the grid; an empty layer weighs alike everywhere."""
    weight = layers + 1e-4
    return weight / weight.sum((-2, -1), keepdim=True)


def _columns(fields: list[tuple[torch.Tensor, torch.Tensor]], weight: torch.Tensor) -> torch.Tensor:
    """K pairs of x and y (B, 2, h, w) → lowest modes (B, 2, D, K) of these fields, each of unit size over `weight`."""
    fields = torch.stack([torch.stack(pair, dim=2) for pair in fields], dim=3)  # (B, 2, 2, K, h, w)
    size = (weight[:, :, None, None] * fields.square()).sum((2, -2, -1), keepdim=True).sqrt()
    modes = to_modes((fields / size).flatten(1, 2).to(weight))  # (B, 2, 2, K, h, w)
    return lowest(modes).mT / (fields.shape[-2] * fields.shape[-1]) ** 0.5
