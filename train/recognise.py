"""A small classifier of kinds of motion: trained on procedural motion, asked about what was sampled.

How often it recognises the kind that words named, beside how often it does so in procedural motion under the same masks, says
how much of the words' meaning reached the motion.
"""

import random

import torch
import torch.nn.functional as F

from loopanimate.motion.grid import grid_points
from loopanimate.network.conditioning import mask_code
from loopanimate.presets import NATIVE_FPS
from loopanimate.words.kinds import SPOKEN
from train.grammar import draw_motion
from train.synthetic import CELL, displacements, pictures

CELLS = 12  # of the square grid that the classifier is trained on
HARMONICS = 8  # of the spectrum that it sees
VOTES = 7  # networks that decide together: a single one draws the line between a bounce and bobbing at random


def features(displacement: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Describe one layer's motion by numbers (B, F) that do not depend on its size.

    displacement: (B, 2, N, h, w) in short sides, zero at frame 0. inside: (B, h, w) in [0, 1], where the layer is.
    """
    _, _, frames, height, width = displacement.shape
    weight = inside / inside.sum((-2, -1), keepdim=True).clamp(min=1e-6)  # (B, h, w)
    winding = displacement[:, :, -1:]
    ring = (displacement - torch.linspace(0, 1, frames, device=winding.device).view(1, 1, -1, 1, 1) * winding)[:, :, :-1]
    x, y = (axis - (weight * axis).sum((-2, -1), keepdim=True) for axis in grid_points(height, width, winding.device))
    scale = (weight * (x**2 + y**2)).sum((-2, -1), keepdim=True).sqrt().clamp(min=1e-3)
    x, y = x / scale, y / scale  # (B, h, w), from the layer's middle
    along, down = ring.unbind(1)  # (B, N-1, h, w)
    size = (weight[:, None] * (along**2 + down**2)).sum((-2, -1)).mean(1).clamp(min=1e-10).sqrt()  # (B,)

    moments = (  # translation, rotation, divergence, two shears, bending along either axis
        *(along, down, down * x[:, None] - along * y[:, None], along * x[:, None] + down * y[:, None]),
        *(along * x[:, None] - down * y[:, None], along * y[:, None] + down * x[:, None]),
        *(along * (y * y)[:, None], down * (x * x)[:, None]),
    )
    modes = torch.stack([(weight[:, None] * moment).sum((-2, -1)) for moment in moments], dim=1)  # (B, 8, N-1)
    modes = modes / size[:, None, None]
    energy = modes.square().mean(-1)
    one_sided = modes.mean(-1) / energy.clamp(min=1e-6).sqrt()
    unit, (row, column) = F.normalize(modes, dim=-1), torch.triu_indices(8, 8, 1)
    together = (unit @ unit.mT)[:, row, column]  # (B, 28) correlations: a pivot ties rotation to a shift
    centred = modes - modes.mean(-1, keepdim=True)
    spectrum = torch.fft.rfft(centred, dim=-1).abs().square()[..., 1 : HARMONICS + 1].sum(1)  # (B, HARMONICS)
    spectrum = spectrum / spectrum.sum(-1, keepdim=True).clamp(min=1e-9)
    crossings = (centred[:, :4].diff(dim=-1).sign().diff(dim=-1) != 0).float().mean(-1)

    local = (ring.square().sum(1).mean(1) / size[:, None, None] ** 2).clamp(max=20)  # (B, h, w), energy of each cell
    places = torch.stack([(weight * local * place).sum((-2, -1)) for place in (x, y, x * x, y * y)], dim=1)
    spread = (weight * local.sqrt()).sum((-2, -1))[:, None]
    # energy of the four strongest spatial modes: a wave that travels needs more than one
    flat = (ring * weight.sqrt()[:, None, None]).transpose(1, 2).flatten(2)  # (B, N-1, 2hw)
    gram = torch.linalg.eigvalsh(flat @ flat.mT).clamp(min=0).flip(-1)[:, :4]
    strongest = gram / gram.sum(-1, keepdim=True).clamp(min=1e-12)
    flows = (weight * winding[:, :, 0].square().sum(1)).sum((-2, -1)).sqrt()  # (B,)
    share = torch.stack([flows / (flows + size), torch.log(size + 1e-4)], dim=1)
    energy = energy.clamp(max=20).sqrt()
    return torch.cat([energy, one_sided, spectrum.sqrt(), places, spread, strongest, share, crossings, together], dim=1)


def make_motion(
    kind: str, support: torch.Tensor, rng: random.Random, generator: torch.Generator, num_frames: int
) -> torch.Tensor:
    """Make procedural motion (B, 2, N, h, w) of one kind, as words would ask for it, under masks (B, 1, h, w)."""
    motions = [(draw_motion(rng, kind)[0],) for _ in range(len(support))]
    phase = (torch.arange(num_frames) / (num_frames - 1)).expand(len(support), -1)
    return displacements(motions, support, phase, (num_frames - 1) / NATIVE_FPS, generator)[:, 0]


class KindClassifier:
    """A few small networks over `features`, trained when it is made: on `batches` x `clips` motions of each kind."""

    def __init__(self, num_frames: int, clips: int = 160, batches: int = 4, epochs: int = 400, seed: int = 0):
        rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        inputs = []
        for _ in range(batches):
            for kind in SPOKEN:
                support = mask_code(pictures(clips, CELL * CELLS, CELL * CELLS, generator)[1], (CELLS, CELLS))
                inputs.append(features(make_motion(kind, support, rng, generator, num_frames), support[:, 0]))
        labels = torch.arange(len(SPOKEN)).repeat_interleave(clips).repeat(batches)
        inputs = torch.cat(inputs)
        self.mean, self.deviation = inputs.mean(0), inputs.std(0).clamp(min=1e-3)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.networks = [self._train(self._normalise(inputs), labels, epochs) for _ in range(VOTES)]

    def _train(self, inputs: torch.Tensor, labels: torch.Tensor, epochs: int) -> torch.nn.Module:
        network = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], 96), torch.nn.SiLU(), torch.nn.Dropout(0.2), torch.nn.Linear(96, len(SPOKEN))
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
        for _ in range(epochs):
            chosen = torch.randint(len(labels), (1024,))
            loss = F.cross_entropy(network(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return network.eval()

    def _normalise(self, inputs: torch.Tensor) -> torch.Tensor:
        return ((inputs - self.mean) / self.deviation).clamp(-5, 5)

    @torch.no_grad()
    def __call__(self, displacement: torch.Tensor, inside: torch.Tensor) -> list[str]:
        """The kinds of motions (B, 2, N, h, w) of layers that stand at (B, h, w)."""
        inputs = self._normalise(features(displacement, inside))
        votes = sum(network(inputs).softmax(1) for network in self.networks)
        return [SPOKEN[index] for index in votes.argmax(1).tolist()]
