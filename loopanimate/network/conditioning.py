"""What the network is told about a loop and the stack that it reads, for training and inference (train/METHOD.md §3, eq. 5-11).

The paper's names: static and dynamic stacking latent code (Z_SD) and fine-grained semantic mask (Z_M).
"""

import torch
import torch.nn.functional as F


def mask_code(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Average a mask (B, 1, H, W) in [0, 1] over the cells of the latent size (h, w)."""
    return F.interpolate(mask, size=size, mode="area")


def condition(
    static_code: torch.Tensor,
    mask: torch.Tensor | None,
    num_frames: int,
    dynamic_code: torch.Tensor | None = None,
    dynamic_mask: torch.Tensor | None = None,
    keep: torch.Tensor | None = None,
) -> torch.Tensor:
    """[Z_SD 4 | Z_M 1], what the network is told about the loop.

    Args:
        static_code: (B, 4, h, w), E(F0), for the positions 0 and N-1.
        mask: (B, 1, h, w), M0 at latent size; None as in stage 1, ones everywhere.
        num_frames: N, odd.
        dynamic_code: (B, 4, h, w), E(F-1), for the position f-1; None at inference.
        dynamic_mask: (B, 1, h, w), M-1.
        keep: (B,) bool, False where training hides E(F-1) and M-1; None keeps all.

    Returns: (B, 5, N, h, w). A hidden F-1 gives exactly the condition of inference. Raises ValueError for an even N.
    """
    if num_frames % 2 == 0:
        raise ValueError(f"expected an odd frame count, got {num_frames}")
    batch, _, height, width = static_code.shape
    middle = num_frames // 2
    codes = static_code.new_zeros(batch, 4, num_frames, height, width)
    masks = static_code.new_ones(batch, 1, num_frames, height, width)
    if dynamic_code is not None:
        kept = static_code.new_ones(batch) if keep is None else keep.to(static_code.dtype)
        kept = kept.view(batch, 1, 1, 1)
        codes[:, :, middle] = dynamic_code * kept
        if mask is not None and dynamic_mask is not None:
            masks[:, :, middle] = torch.where(kept > 0, dynamic_mask, 1.0)
    codes[:, :, 0] = codes[:, :, -1] = static_code
    if mask is not None:
        masks[:, :, 0] = masks[:, :, -1] = mask
    return torch.cat([codes, masks], dim=1)  # (B, 5, N, h, w)


def stack(latents: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    """[Z_t 4 | Z_SD 4 | Z_M 1]: the UNet's input, (B, 9, N, h, w)."""
    return torch.cat([latents, condition], dim=1)
