"""Dense optical flow by RAFT (Teed and Deng, 2020), which needs torchvision and its weights."""

from functools import partial

import torch
import torch.nn.functional as F

from loopanimate.network.motion_codec import Flow, dis_flow

SMALLEST = 128  # pixels on a side, as RAFT's coarsest correlations are an eighth of an eighth of it
TOGETHER = 8  # pairs of frames in a batch, which bounds memory


def estimator(name: str, device: str | torch.device = "cpu") -> Flow:
    """The optical flow called "dis" or "raft"; RAFT's weights are downloaded once, to torch's own cache.

    Raises ValueError, in one sentence, if torchvision or the weights are missing.
    """
    if name == "dis":
        return dis_flow
    try:
        from torchvision.models.optical_flow import Raft_Large_Weights, raft_large
    except (ImportError, RuntimeError) as error:  # RuntimeError: one that was built for another torch
        raise ValueError(f"expected torchvision beside torch {torch.__version__} for RAFT, got: {error}") from None
    try:
        network = raft_large(weights=Raft_Large_Weights.DEFAULT, progress=False)
    except (OSError, RuntimeError) as error:
        weights = Raft_Large_Weights.DEFAULT.url
        folder = f"{torch.hub.get_dir()}/checkpoints"
        raise ValueError(f"expected RAFT's weights in {folder}, or to fetch {weights} there, got: {error}") from None
    return partial(raft_flow, network.eval().requires_grad_(False).to(device))


@torch.no_grad()
def raft_flow(network: torch.nn.Module, clip: torch.Tensor) -> torch.Tensor:
    """As `motion_codec.dis_flow`, by a network from pairs (B, 3, H, W) in [-1, 1] to ever finer flows (B, 2, H, W)."""
    height, width = clip.shape[-2:]
    size = [max(SMALLEST, 8 * round(side / 8)) for side in (height, width)]
    frames = F.interpolate(clip.transpose(0, 1).float(), size=size, mode="bilinear", antialias=True)
    flows = [network(later, frames[:1].expand_as(later))[-1] for later in frames[1:].split(TOGETHER)]
    flow = F.interpolate(torch.cat(flows), size=(height, width), mode="bilinear")
    return flow * flow.new_tensor([width / size[1], height / size[0]]).view(2, 1, 1)
