"""What networks compute on the grid that motion is known on: cell centres, warps, and where a layer is held.

Lengths are in short sides of the picture, x to the right and y down.
"""

import torch
import torch.nn.functional as F

WIDE = 1.3  # width over height from which cloth counts as fixed at its side: a flag


def grid_points(height: int, width: int, device: str | torch.device = "cpu") -> torch.Tensor:
    """Cell centres (2, h, w), x then y."""
    short = min(height, width)
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return (torch.stack([x, y]) + 0.5) / short


def warp(values: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """Move values (B, C, h, w) by displacement (B, 2, h, w): the result at p is the value that stood at p - d(p)."""
    height, width = values.shape[-2:]
    sides = torch.tensor([width, height], device=values.device) / min(height, width)
    source = (grid_points(height, width, values.device) - displacement) / sides.view(1, 2, 1, 1) * 2 - 1
    return F.grid_sample(values, source.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)


def box_of(support: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Left, top, right and bottom, (..., 1, 1), of the centres of the cells that layers (..., h, w) mostly fill."""
    inside = support > 0.5 * support.amax((-2, -1), keepdim=True)  # relative: something thinner than a cell has a box too
    x, y = (axis.expand_as(support) for axis in grid_points(*support.shape[-2:], support.device))
    low = [torch.where(inside, axis, axis.amax()).amin((-2, -1), keepdim=True) for axis in (x, y)]
    high = [torch.where(inside, axis, axis.amin()).amax((-2, -1), keepdim=True) for axis in (x, y)]
    return *low, high[0], torch.maximum(high[1], low[1] + 0.1)


def from_hold(support: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distance from where layers (..., h, w) are fixed, three tensors of that shape.

    First the height above the base, as a share of the layer's height. Then the distance from where cloth is fixed, as a
    share of its length and in short sides. Cloth is fixed at its base; where it is wide and does not stand at the frame's
    edge, at one side (the frame's side, if it touches one).
    """
    x, y = grid_points(*support.shape[-2:], support.device)
    left, top, right, bottom = box_of(support)
    rise = ((bottom - y) / (bottom - top)).clamp(0, 1.25)
    held_right = (right >= x.amax() - 1e-4) & (left > x.amin() + 1e-4)
    sideways = (right - left > WIDE * (bottom - top)) & (bottom < y.amax() - 1e-4)
    along = torch.where(sideways, torch.where(held_right, right - x, x - left), bottom - y)
    flying = (along / torch.where(sideways, right - left, bottom - top).clamp(min=0.1)).clamp(0, 1.25)
    return rise, flying, along
