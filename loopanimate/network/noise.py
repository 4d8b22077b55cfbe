"""What words and mask say about a loop before anything is sampled: the Gaussian that its noise is drawn from.

Diffusion from white noise decides all that words ask for in its first few steps, out of the little that they explain of any
single loop. So the motion preset's noise has a prior that depends on the condition (PriorGrad, Lee et al., 2022): of all
loops that words and mask allow, the mean, which of the lowest spatial modes move, which move together, and how quickly.
What is left to the network is what no Gaussian holds: outlines, curves, the picture.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from loopanimate.motion.grid import grid_points
from loopanimate.presets import NATIVE_FPS

LAYERS, AXES = 2, 2
MODES = 4  # half waves along each side of the picture
SIZE = AXES * MODES * MODES  # D, of a layer
FACTORS = 3  # ways in which modes move together, besides those of `plain_motions`
PLAIN = 11  # motions of a layer as a whole: `plain_motions`
PLAIN_SIZE = 0.15  # of each beside the layer's size, before anything is fitted
FLOWS = 3  # streams of a layer as a whole: `plain_flows`
FLOW_SIZE = 0.3  # of each beside the winding's size, before anything is fitted
ROUND = 0.5  # width of the way that a layer's middle takes, over its length, before anything is fitted
QUERIES = 8  # what is read from a sentence
WIDTH = 256
KNOTS = (0.23, 0.35, 0.5, 0.75, 1.1, 1.6, 2.4, 4.0)  # hertz, between which the logarithm of the spectrum is linear
CORNER = 1.3  # hertz: slower motion is as frequent as any, quicker motion soon is none, before anything is fitted
STRENGTH = 0.65  # before anything is fitted, of the mode that is level
EVEN = 0.5  # of the strongest frequency's amplitude, which all of the noise's have besides their own: `Gaussian.shaped`
FLOOR = 0.01  # standard deviation of a mode that never moves
STANDING = 0.01  # of the winding's mode of a layer that never flows
WHERE_TO = 4.0  # weight of what a direction decides: two numbers of many
STRETCH = 4.0  # limit of a logarithm that the network adds ...
SIZE_STRETCH = 8.0  # ... to a layer's size: where it stands still, what goes with it must be nothing


@dataclass(frozen=True)
class Gaussian:
    """Of the ring (what comes back) and the winding of each layer, in its D lowest modes: (B, 2 layers, ...).

    A mode's amplitude is the field's root mean square, on any grid. Beyond the lowest modes it falls with the square of
    the wave number. The ring is stationary noise, its covariance that of the modes times that of time, minus what it is at
    frame 0; the mean is where it goes from there.
    """

    factors: torch.Tensor  # (B, 2, D, FACTORS + PLAIN)
    deviation: torch.Tensor  # (B, 2, D), beside the factors
    mean: torch.Tensor  # (B, 2, D)
    rates: torch.Tensor  # (B, 2, KNOTS), logarithm of the amplitude at each frequency
    winding_factors: torch.Tensor  # (B, 2, D, FLOWS), of a loop whose reference stream has progressed by one unit of latents
    winding_deviation: torch.Tensor  # (B, 2, D)
    winding_mean: torch.Tensor  # (B, 2, D)
    roundness: torch.Tensor  # (B, 2), logarithm of how wide the way of a layer's middle is at most, over its length

    def root(self) -> torch.Tensor:
        """The lower triangular root of the ring's covariance, (B, 2, D, D)."""
        return _root(self.factors, self.deviation)

    def spectrum(self, count: int, even: float = 0.0) -> torch.Tensor:
        """Amplitude of each frequency of `count` frames, (B, 2, count // 2 + 1): none at 0, in all of unit variance.

        even: share of the strongest frequency's amplitude that all have besides their own.
        """
        frequency = torch.arange(1, count // 2 + 1, device=self.rates.device) * NATIVE_FPS / count
        knots = torch.tensor(KNOTS, device=frequency.device)
        right = torch.searchsorted(knots, frequency).clamp(1, len(KNOTS) - 1)
        share = ((frequency / knots[right - 1]).log() / (knots[right] / knots[right - 1]).log()).clamp(0, 1)
        rates = torch.lerp(self.rates[..., right - 1], self.rates[..., right], share.to(self.rates))  # (B, 2, J)
        rates = torch.logaddexp(rates, rates.amax(-1, keepdim=True) + math.log(even)) if even else rates
        rates = rates - 0.5 * torch.logsumexp(2 * rates + _often(count, rates.device).log(), dim=-1, keepdim=True)
        return F.pad(rates.exp(), (1, 0))

    def shaped(self, white: torch.Tensor, progress: float) -> torch.Tensor:
        """White noise (B, 4, N, h, w) → ring and winding of this Gaussian, (B, 4, N, h, w), zero at frame 0.

        progress: the latent of the reference stream's winding after N frames. Quick frequencies get more noise than motion
        has of them (`EVEN`): with motion's own spectrum a curve and its harmonics rise out of the noise together, and what
        is a relation between their phases, as a bounce is, could not be foreseen.
        """
        dtype, white = white.dtype, white.to(self.deviation)
        count, height, width = white.shape[2] - 1, *white.shape[3:]
        rows, columns = (torch.arange(side, device=white.device) * min(height, width) / side for side in (height, width))
        falls = (2 * (MODES - 1) ** 2 / (rows[:, None] ** 2 + columns**2).clamp(min=1)).clamp(max=1).to(white)
        modes = to_modes(white)  # (B, 2, 2, N, h, w)
        last = (slice(None), slice(None), slice(SIZE - 1, SIZE))  # the highest of the lowest modes
        high = modes * falls

        def with_low(values: torch.Tensor, low: torch.Tensor, beyond: torch.Tensor) -> torch.Tensor:
            """(B, 2, 2, n, h, w), its lowest modes replaced by (B, 2, n, D)."""
            values = values * beyond[..., None, None, None]
            values[..., :MODES, :MODES] = low.unflatten(-1, (AXES, MODES, MODES)).movedim(3, 2)
            return values

        ring = lowest(modes[:, :, :, :count]) @ self.root().mT  # (B, 2, n, D)
        ring = with_low(high[:, :, :, :count], ring, self.deviation[last] - FLOOR)
        gain = self.spectrum(count, EVEN) * count**0.5  # (B, 2, J)
        ring = torch.fft.irfft(torch.fft.rfft(ring, dim=3) * gain[:, :, None, :, None, None], n=count, dim=3)
        ring[:, :, :, :, 0, 0] = self._straight(ring[:, :, :, :, 0, 0])
        kept = torch.fft.irfft(gain**2, n=count)  # correlation with frame 0
        level = torch.zeros_like(ring[:, :, :, :1])
        level = with_low(level, self.mean[:, :, None], torch.zeros_like(self.deviation[last]))
        ring = ring - ring[:, :, :, :1] + level * (1 - kept)[:, :, None, :, None, None]
        ring = torch.cat([ring, torch.zeros_like(ring[:, :, :, :1])], dim=3)

        flows = _root(self.winding_factors, self.winding_deviation)
        low = self.winding_mean[:, :, None] + lowest(modes[:, :, :, -1:]) @ flows.mT
        winding = progress * with_low(high[:, :, :, -1:], low, self.winding_deviation[last] - STANDING)
        begun = (torch.arange(count + 1, device=white.device) > 0).to(white).view(-1, 1, 1)
        return (from_modes(begun * (ring + winding)) * (height * width) ** 0.5).to(dtype)

    def _straight(self, middle: torch.Tensor) -> torch.Tensor:
        """Ways (B, 2, 2, n) of the layers' middles, no wider than `roundness` lets them be, and as long in all.

        What goes to and fro keeps to a line, whose direction is anyone's guess: so does no Gaussian.
        """
        axes, size, times = torch.linalg.svd(middle, full_matrices=False)
        width = torch.minimum(size[..., 1], size[..., 0] * self.roundness.exp())
        narrow = torch.stack([(size.square().sum(-1) - width**2).clamp(min=0).sqrt(), width], dim=-1)
        return axes @ (narrow[..., None] * times)

    def surprise(self, ring: torch.Tensor, winding: torch.Tensor, progress: float) -> torch.Tensor:
        """How little a ring (B, 4, N-1, h, w) and a winding (B, 4, 1, h, w) are expected, (B, 2), in nats.

        Negative logarithms of the density of a frame and, with more weight, of the time mean and the winding, each the mean
        over its numbers, and the cross entropy of the ring's power over frequency. The densities are a t distribution's of
        D degrees of freedom: a Gaussian's but far out, where a single clip would outweigh all others. All of a ring trembles
        a little (`FLOOR`): what is exactly zero would have any density.
        """
        area = (ring.shape[-2] * ring.shape[-1]) ** 0.5
        count = ring.shape[2]
        modes = lowest(to_modes(ring)) / area  # (B, 2, n, D)
        middle = modes.mean(2, keepdim=True)
        modes = modes - middle
        numbers = torch.cat([middle - self.mean[:, :, None], modes], dim=2)
        numbers = numbers + FLOOR * torch.randn_like(numbers)
        root = self.root()
        spheres = torch.linalg.solve_triangular(root, numbers.mT, upper=False).square().mean(2).log1p()  # (B, 2, n + 1)
        logarithm = root.diagonal(dim1=-2, dim2=-1).log().mean(-1)
        level, frames = (part + logarithm for part in (spheres[..., 0], spheres[..., 1:].mean(-1)))
        power = torch.fft.rfft(modes, dim=2)[:, :, 1:].abs().square().mean(-1) * _often(count, ring.device)  # (B, 2, J)
        power = power / power.sum(-1, keepdim=True).clamp(min=(count * FLOOR) ** 2 / 100)
        entropy = -(power * (self.spectrum(count)[..., 1:] ** 2 * _often(count, ring.device)).log()).sum(-1)
        flows = lowest(to_modes(winding))[:, :, 0] / area / progress - self.winding_mean  # (B, 2, D)
        root = _root(self.winding_factors, self.winding_deviation)
        flows = torch.linalg.solve_triangular(root, flows[..., None], upper=False)
        flow = flows.square().mean((-2, -1)).log1p() + root.diagonal(dim1=-2, dim2=-1).log().mean(-1)
        ways = torch.linalg.svdvals(modes[..., :: MODES**2].mT)  # (B, 2, 2)
        width = (ways[..., 1] / ways[..., 0].clamp(min=FLOOR)).clamp(0.01, 1).log()
        rounds = (width - self.roundness).square() * (ways[..., 0] > 10 * FLOOR * count**0.5)  # of what goes anywhere
        return frames + entropy + WHERE_TO * (level + flow) + rounds


class NoisePrior(nn.Module):
    """Text tokens and mask → `Gaussian`; two hidden layers, fitted by `train/prior.py`."""

    def __init__(self, text_width: int):
        super().__init__()
        self.projection = nn.Linear(text_width, text_width, bias=False)
        self.queries = nn.Linear(text_width, QUERIES, bias=False)
        self.read = nn.Linear(QUERIES * text_width, WIDTH)
        self.hidden = nn.Linear(WIDTH + 6, WIDTH)
        self.parts = {
            "size": 1,
            "factors": SIZE * FACTORS,
            "deviation": SIZE,
            "mean": SIZE,
            "rates": len(KNOTS),
            "plain": PLAIN,
            "plain_mean": PLAIN,
            "winding_size": 1,
            "winding_deviation": SIZE,
            "winding_mean": SIZE,
            "flows": FLOWS,
            "flows_mean": FLOWS,
            "roundness": 1,
        }
        self.out = nn.Linear(WIDTH, LAYERS * sum(self.parts.values()))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def meaning(self, text_tokens: torch.Tensor) -> torch.Tensor:
        """What is read from text_tokens (B, L, text_width), zeros where nothing is said, (B, WIDTH)."""
        text_tokens = text_tokens.to(self.out.weight)
        said = text_tokens.ne(0).any(-1)[:, None]  # (B, 1, L)
        states = self.projection(text_tokens)
        share = self.queries(states).mT.masked_fill(~said, -1e4).softmax(-1)  # (B, QUERIES, L)
        return self.read((share @ states).flatten(1))

    def forward(self, text_tokens: torch.Tensor, latent_mask: torch.Tensor) -> Gaussian:
        """text_tokens as in `meaning`; latent_mask (B, 1, h, w) in [0, 1]."""
        features, latent_mask = self.meaning(text_tokens), latent_mask.to(self.out.weight)
        features = F.silu(self.hidden(torch.cat([features, outline(latent_mask)], dim=1)))
        values = self.out(features).unflatten(1, (LAYERS, -1)).split(list(self.parts.values()), dim=-1)
        part = dict(zip(self.parts, values, strict=True))
        waves = torch.arange(MODES, device=features.device)
        level = (STRENGTH / (1 + waves[:, None] ** 2 + waves**2)).flatten().repeat(AXES)  # (D,)
        knots = torch.tensor(KNOTS, device=features.device)
        # relative to the layer's size: an error that is nothing in what moves far is much in what stands still
        size = _stretch(part["size"], SIZE_STRETCH)  # (B, 2, 1)
        deviation = FLOOR + size * level * _stretch(part["deviation"])
        factors = part["factors"].unflatten(-1, (SIZE, FACTORS)) + 0.1 * _unlike(features.device)
        plain = plain_motions(latent_mask)  # (B, 2, D, PLAIN)
        whole = size[..., None] * PLAIN_SIZE * plain * _stretch(part["plain"])[..., None, :]
        factors = torch.cat([size[..., None] * level[:, None] * factors, whole], dim=-1)
        winding_size = _stretch(part["winding_size"], SIZE_STRETCH)
        winding_deviation = STANDING + level * winding_size * _stretch(part["winding_deviation"])
        flows = FLOW_SIZE * winding_size[..., None] * plain_flows(latent_mask) * _stretch(part["flows"])[..., None, :]
        return Gaussian(
            factors=factors,
            deviation=deviation,
            mean=part["mean"] * (deviation**2 + factors.square().sum(-1)).sqrt()
            + (whole @ part["plain_mean"][..., None])[..., 0],
            rates=STRETCH * torch.tanh(part["rates"] / STRETCH) - 0.5 * torch.log1p((knots / CORNER) ** 6),
            winding_factors=flows,
            winding_deviation=winding_deviation,
            winding_mean=part["winding_mean"] * winding_deviation + (flows @ part["flows_mean"][..., None])[..., 0],
            roundness=math.log(ROUND) + part["roundness"][..., 0],
        )


def _root(factors: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """The lower triangular root of a covariance, (..., D, D), of factors (..., D, K) and deviations (..., D)."""
    return torch.linalg.cholesky(factors @ factors.mT + torch.diag_embed(deviation**2))


def _often(count: int, device) -> torch.Tensor:
    """How often each frequency above 0 stands in the spectrum of `count` frames, (count // 2,)."""
    often = torch.full((count // 2,), 2.0, device=device)
    if count % 2 == 0:
        often[-1] = 1.0
    return often


def _stretch(logarithm: torch.Tensor, limit: float = STRETCH) -> torch.Tensor:
    return torch.exp(limit * torch.tanh(logarithm / limit))


def _unlike(device) -> torch.Tensor:
    """(D, FACTORS), columns at right angles: factors that begin alike would stay alike."""
    return cosines(SIZE)[1 : FACTORS + 1].T.to(device) * SIZE**0.5


def outline(latent_mask: torch.Tensor) -> torch.Tensor:
    """Size, place and extent of what masks (B, 1, h, w) hold, and the picture's aspect, (B, 6), each about one."""
    height, width = latent_mask.shape[-2:]
    y, x = (2 * (torch.arange(side, device=latent_mask.device) + 0.5) / side - 1 for side in (height, width))
    mask = latent_mask[:, 0] + 1e-4
    mass = mask.sum((-2, -1))
    down, across = mask.sum(-1) / mass[:, None], mask.sum(-2) / mass[:, None]  # (B, h), (B, w)
    place = [down @ y, across @ x]
    extent = [(part @ axis**2 - middle**2).clamp(min=0).sqrt() for part, axis, middle in zip((down, across), (y, x), place)]
    aspect = torch.full_like(mass, math.log(width / height))
    return torch.stack([mass / (height * width), *place, *extent, aspect], dim=1)


def plain_motions(latent_mask: torch.Tensor) -> torch.Tensor:
    """The lowest modes of what each layer can do as a whole, in its own frame, (B, 2, D, PLAIN).

    To the side and up, rotation about its base, top and middle, swelling, bending along its height both ways, growing from
    its left to its right both ways, a shear; each of unit root mean square over its layer: the mask's, or all.
    latent_mask (B, 1, h, w).
    """
    height, width = latent_mask.shape[-2:]
    x, y = grid_points(height, width, latent_mask.device)  # (h, w) each
    weight = torch.cat([latent_mask, torch.ones_like(latent_mask)], dim=1) + 1e-4
    weight = weight / weight.sum((-2, -1), keepdim=True)  # (B, 2, h, w)

    def mean(values):
        return (weight * values).sum((-2, -1), keepdim=True)

    middle_x, middle_y = mean(x), mean(y)
    wide, high = (2 * mean((axis - middle) ** 2).sqrt().clamp(min=0.03) for axis, middle in ((x, middle_x), (y, middle_y)))
    far = (wide**2 + high**2).sqrt()

    def around(pivot_y):
        """Offsets from (middle_x, pivot_y) that level off beyond the layer."""
        across, down = (x - middle_x).expand_as(weight), y - pivot_y
        level = (1 + ((across**2 + down**2) / (2 * far) ** 2) ** 2) ** -0.25
        return across * level, down * level

    one, none = torch.ones_like(weight), torch.zeros_like(weight)
    rise = ((middle_y + high - y) / (2 * high)).clamp(0, 1.25)  # 0 at the base, 1 at the top
    along = ((x - middle_x + wide) / (2 * wide)).clamp(0, 1.25)
    fields = [(one, none), (none, one)]
    for pivot in (middle_y + high, middle_y - high, middle_y):
        across, down = around(pivot)
        fields.append((-down, across))
    fields += [(across, down), (rise**1.5, none), (none, rise**1.5), (along, none), (none, along), (down, across)]
    return _columns(fields, weight)


def plain_flows(latent_mask: torch.Tensor) -> torch.Tensor:
    """The lowest modes of how each layer can stream as a whole, in its own frame, (B, 2, D, FLOWS).

    To the side, down and around its middle, at rest at its rim; each of unit root mean square over its layer.
    latent_mask (B, 1, h, w).
    """
    layers = torch.cat([latent_mask, torch.ones_like(latent_mask)], dim=1)
    deep = F.avg_pool2d(F.pad(layers, (2,) * 4, mode="replicate"), 5, stride=1)
    edge = 0.5 * deep.amax((-2, -1), keepdim=True).clamp(min=1e-3)  # also of what is thinner than a cell
    deep = ((deep - edge) / edge).clamp(0, 1) + 1e-4
    weight = layers + 1e-4
    weight = weight / weight.sum((-2, -1), keepdim=True)
    x, y = grid_points(*latent_mask.shape[-2:], latent_mask.device)
    x, y = (axis - (weight * axis).sum((-2, -1), keepdim=True) for axis in (x, y))
    none = torch.zeros_like(deep)
    return _columns([(deep, none), (none, deep), (-y * deep, x * deep)], weight)


def _columns(fields: list[tuple[torch.Tensor, torch.Tensor]], weight: torch.Tensor) -> torch.Tensor:
    """Pairs of x and y (B, 2, h, w) → the lowest modes (B, 2, D, K) of fields of unit root mean square over `weight`."""
    fields = torch.stack([torch.stack(pair, dim=2) for pair in fields], dim=3)  # (B, 2, 2, K, h, w)
    size = (weight[:, :, None, None] * fields.square()).sum((2, -2, -1), keepdim=True).sqrt()
    modes = to_modes((fields / size).flatten(1, 2).to(weight))  # (B, 2, 2, K, h, w)
    return lowest(modes).mT / (fields.shape[-2] * fields.shape[-1]) ** 0.5


def cosines(count: int) -> torch.Tensor:
    """The orthonormal cosine transform (DCT-II) of `count` cells, (count, count)."""
    order, place = torch.arange(count)[:, None], torch.arange(count) + 0.5
    waves = torch.cos(torch.pi * order * place / count) * (2 / count) ** 0.5
    waves[0] /= 2**0.5
    return waves


def to_modes(fields: torch.Tensor) -> torch.Tensor:
    """(B, 4, n, h, w) → their spatial modes by layer and axis, (B, 2, 2, n, h, w)."""
    down, across = (cosines(side).to(fields) for side in fields.shape[-2:])
    return (down @ fields @ across.T).unflatten(1, (LAYERS, AXES))


def from_modes(modes: torch.Tensor) -> torch.Tensor:
    down, across = (cosines(side).to(modes) for side in modes.shape[-2:])
    return (down.T @ modes @ across).flatten(1, 2)


def lowest(modes: torch.Tensor) -> torch.Tensor:
    """(B, 2, 2, n, h, w) → each layer's lowest modes at each time, (B, 2, n, D)."""
    return modes[..., :MODES, :MODES].movedim(2, 3).flatten(3)
