"""A small classifier that tells kinds of motion apart from displacement fields alone.

It is trained on true procedural motion and asked about sampled motion: what it still recognises there, beside what it
recognises in true motion under the same masks, is how much of the words' meaning reached the field.
"""

import random

import torch
import torch.nn.functional as F

from loopanimate.motion.grid import grid_points
from loopanimate.network.conditioning import mask_code
from loopanimate.presets import NATIVE_FPS
from train.grammar import VERBS, draw_motion
from train.synthetic import displacements, pictures

CELLS = 12
HARMONICS = 8
VOTES = 7  # networks that decide together: one alone draws the line between a bounce and bobbing anywhere


def features(displacement: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """What one layer's motion looks like, (B, F), free of its size.

    Args:
        displacement: (B, 2, N, h, w) in short sides, zero at frame 0.
        inside: (B, h, w) in [0, 1], where the layer is.
    """
    _, _, frames, height, width = displacement.shape
    weight = inside / inside.sum((-2, -1), keepdim=True).clamp(min=1e-6)  # (B, h, w)
    winding = displacement[:, :, -1:]
    ramp = torch.linspace(0, 1, frames, device=displacement.device).view(1, 1, -1, 1, 1)
    ring = (displacement - ramp * winding)[:, :, :-1]
    x, y = grid_points(height, width, displacement.device)
    x, y = (axis - (weight * axis).sum((-2, -1), keepdim=True) for axis in (x, y))  # (B, h, w)
    scale = (weight * (x**2 + y**2)).sum((-2, -1), keepdim=True).sqrt().clamp(min=1e-3)
    x, y = x / scale, y / scale

    def mean(values):  # over the layer
        return (values * weight[:, None]).sum((-2, -1))  # (B, N-1)

    along, down = ring[:, 0], ring[:, 1]  # (B, N-1, h, w)
    size = mean(along**2 + down**2).mean(1).clamp(min=1e-10).sqrt()  # (B,)
    modes = (
        torch.stack(  # (B, 8, N-1): translation, rotation, divergence, two shears, bending in height
            [
                mean(along),
                mean(down),
                mean(down * x[:, None] - along * y[:, None]),
                mean(along * x[:, None] + down * y[:, None]),
                mean(along * x[:, None] - down * y[:, None]),
                mean(along * y[:, None] + down * x[:, None]),
                mean(along * (y * y)[:, None]),
                mean(down * (x * x)[:, None]),
            ],
            dim=1,
        )
        / size[:, None, None]
    )
    energy = modes.square().mean(-1)
    together = F.normalize(modes, dim=-1) @ F.normalize(modes, dim=-1).mT  # (B, 8, 8); which way a turn shifts says about what
    row, column = torch.triu_indices(8, 8, 1)
    centred = modes - modes.mean(-1, keepdim=True)
    one_sided = modes.mean(-1) / modes.square().mean(-1).clamp(min=1e-6).sqrt()
    spectrum = torch.fft.rfft(centred, dim=-1).abs().square()[..., 1 : HARMONICS + 1].sum(1)  # (B, HARMONICS)
    spectrum = spectrum / spectrum.sum(-1, keepdim=True).clamp(min=1e-9)
    local = (ring.square().sum(1).mean(1) / size[:, None, None] ** 2).clamp(max=20)  # (B, h, w), energy by place
    places = torch.stack([(weight * local * place).sum((-2, -1)) for place in (x, y, x * x, y * y)], dim=1)
    spread = (weight * local.sqrt()).sum((-2, -1))[:, None]
    # waves: how much of the energy a single spatial mode leaves over
    flat = (ring * weight.sqrt()[:, None, None]).permute(0, 2, 1, 3, 4).flatten(2)  # (B, N-1, 2hw)
    gram = torch.linalg.eigvalsh(flat @ flat.mT).clamp(min=0).flip(-1)[:, :4]
    modes_left = gram / gram.sum(-1, keepdim=True).clamp(min=1e-12)
    flows = (weight * winding[:, :, 0].square().sum(1)).sum((-2, -1)).sqrt()  # (B,)
    share = torch.stack([flows / (flows + size), torch.log(size + 1e-4)], dim=1)
    crossings = (centred[:, :4].diff(dim=-1).sign().diff(dim=-1) != 0).float().mean(-1)
    return torch.cat(
        [
            energy.clamp(max=20).sqrt(),
            one_sided,
            spectrum.sqrt(),
            places,
            spread,
            modes_left,
            share,
            crossings,
            together[:, row, column],
        ],
        dim=1,
    )


def true_motion(
    kind: str, support: torch.Tensor, rng: random.Random, generator: torch.Generator, num_frames: int
) -> torch.Tensor:
    """Procedural motion (B, 2, N, h, w) of one kind, one for each mask (B, 1, h, w), as its words would have it."""
    motions = [(draw_motion(rng, kind)[0],) for _ in range(len(support))]
    phase = (torch.arange(num_frames) / (num_frames - 1)).expand(len(support), -1)
    return displacements(motions, support, phase, (num_frames - 1) / NATIVE_FPS, generator)[:, 0]


class KindClassifier:
    """Kind of motion from `features`: a few networks of two layers, trained here on true motion under procedural masks."""

    def __init__(self, num_frames: int, clips: int = 160, batches: int = 4, epochs: int = 400, seed: int = 0):
        self.kinds = tuple(VERBS)
        rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        inputs, labels = [], []
        for _ in range(batches):
            for label, kind in enumerate(self.kinds):
                _, mask = pictures(clips, 8 * CELLS, 8 * CELLS, generator)
                support = mask_code(mask, (CELLS, CELLS))
                inputs.append(features(true_motion(kind, support, rng, generator, num_frames), support[:, 0]))
                labels += [label] * clips
        inputs, labels = torch.cat(inputs), torch.tensor(labels)
        self.mean, self.deviation = inputs.mean(0), inputs.std(0).clamp(min=1e-3)
        normal = self._normal(inputs)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.networks = [self._trained(normal, labels, epochs) for _ in range(VOTES)]

    def _trained(self, inputs: torch.Tensor, labels: torch.Tensor, epochs: int) -> torch.nn.Module:
        network = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], 96), torch.nn.SiLU(), torch.nn.Dropout(0.2), torch.nn.Linear(96, len(self.kinds))
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
        for _ in range(epochs):
            picked = torch.randint(len(labels), (1024,))
            loss = F.cross_entropy(network(inputs[picked]), labels[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return network.eval()

    def _normal(self, inputs: torch.Tensor) -> torch.Tensor:
        return ((inputs - self.mean) / self.deviation).clamp(-5, 5)

    @torch.no_grad()
    def __call__(self, displacement: torch.Tensor, inside: torch.Tensor) -> list[str]:
        """Kinds of motions (B, 2, N, h, w) of layers (B, h, w)."""
        inputs = self._normal(features(displacement, inside))
        votes = sum(network(inputs).softmax(1) for network in self.networks)
        return [self.kinds[i] for i in votes.argmax(1).tolist()]
