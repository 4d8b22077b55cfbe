"""The Gaussian that the motion preset's noise is drawn from, given the words and the mask of a loop.

Diffusion from white noise decides everything that words ask for in its first few steps, when the network can tell little of
any single loop. So the noise has a prior that depends on the condition (PriorGrad, Lee et al., 2022): which of the lowest
spatial modes move, which move together, where to and how quickly, over all loops that fit words and mask. The network is
left with what no Gaussian holds: outlines, curves, the picture.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from loopanimate.motion.modes import (
    AXES,
    COEFFICIENTS,
    LAYERS,
    PLAIN_FLOWS,
    PLAIN_MOTIONS,
    WAVES,
    cosines,
    from_modes,
    lowest,
    plain_flows,
    plain_motions,
    to_modes,
)
from loopanimate.presets import NATIVE_FPS

# Hertz at which a spectrum is given; between them its logarithm is linear. From just under the lowest frequency of a loop of
# 35 frames to half the frame rate, in steps of about one and a half.
KNOTS = (0.23, 0.35, 0.5, 0.75, 1.1, 1.6, 2.4, 4.0)
# Added to the amplitude of every frequency of the noise, as a share of the strongest one's. With motion's own spectrum a
# curve and its harmonics came out of the noise together, so that their relative phases, which make a bounce, could not be
# foreseen: bounces were recognised as bobbing.
SPECTRUM_FLOOR = 0.5
# Standard deviations, in latents, of each number of a layer that never moves and of the winding of one that never flows.
# Three times as much made layers move that words put to rest.
STILL_DEVIATION = 0.01
STILL_WINDING_DEVIATION = 0.01

# What `NoisePrior` gives before it is fitted: near the mean of procedural motion, so that fitting begins with small steps.
INITIAL_DEVIATION = 0.65  # latents, of a layer's shift as a whole; finer modes have less
INITIAL_PLAIN_MOTION = 0.15  # size of each of `plain_motions`, as a share of the layer's
INITIAL_PLAIN_FLOW = 0.3  # size of each of `plain_flows`, as a share of the winding's
INITIAL_ROUNDNESS = 0.5  # width of the path of a layer's middle, as a share of its length
INITIAL_CORNER = 1.3  # hertz, above which motion becomes rare

# Sizes of `NoisePrior`, small enough to be fitted in minutes on a CPU.
FREE_FACTORS = 3  # ways in which modes move together, beside `plain_motions`
QUERIES = 8  # things read from a sentence
WIDTH = 256  # of the hidden layers
# Limits on the logarithm of the factors that the network applies to initial sizes. A layer's whole size may shrink further:
# where it stands still, everything that goes with it must vanish.
MAX_LOG_FACTOR = 4.0
MAX_LOG_SIZE = 8.0


@dataclass(frozen=True)
class Gaussian:
    """A distribution of loops, layer by layer: all tensors are (B, 2 layers, ...).

    A layer at one time is D numbers, the amplitudes of its lowest spatial modes (`motion.modes`): the root mean squares, in
    latents, of the fields that they stand for, on any grid. Beyond the lowest modes, amplitudes fall with the square of the
    wave number. The ring (what comes back) is stationary in time, with one covariance between modes and one spectrum, less
    its value at frame 0; `mean` is where it goes from there. The winding (how far a stream travels) is one field.
    """

    factors: torch.Tensor  # (B, 2, D, K): the ring's covariance is factors @ factors.T + diag(deviation²)
    deviation: torch.Tensor  # (B, 2, D)
    mean: torch.Tensor  # (B, 2, D)
    rates: torch.Tensor  # (B, 2, KNOTS), logarithm of the amplitude at each of KNOTS
    winding_factors: torch.Tensor  # (B, 2, D, K), as above, of a loop whose reference stream travels one unit of latents
    winding_deviation: torch.Tensor  # (B, 2, D)
    winding_mean: torch.Tensor  # (B, 2, D)
    roundness: torch.Tensor  # (B, 2), logarithm of the greatest width of a layer's middle's path, as a share of its length

    def root(self) -> torch.Tensor:
        """The lower triangular root of the ring's covariance, (B, 2, D, D)."""
        return _root(self.factors, self.deviation)

    def winding_root(self) -> torch.Tensor:
        """The lower triangular root of the winding's covariance, (B, 2, D, D)."""
        return _root(self.winding_factors, self.winding_deviation)

    def spectrum(self, count: int, floor: float = 0.0) -> torch.Tensor:
        """Amplitude of each frequency of `count` frames, (B, 2, count // 2 + 1): zero at 0 hertz, of unit variance in all.

        floor: added to each amplitude, as a share of the strongest one.
        """
        frequency = torch.arange(1, count // 2 + 1, device=self.rates.device) * NATIVE_FPS / count
        knots = torch.tensor(KNOTS, device=frequency.device)
        right = torch.searchsorted(knots, frequency).clamp(1, len(KNOTS) - 1)
        share = ((frequency / knots[right - 1]).log() / (knots[right] / knots[right - 1]).log()).clamp(0, 1)
        rates = torch.lerp(self.rates[..., right - 1], self.rates[..., right], share.to(self.rates))  # (B, 2, J)
        rates = torch.logaddexp(rates, rates.amax(-1, keepdim=True) + math.log(floor)) if floor else rates
        weights = frequency_weights(count, rates.device)
        rates = rates - 0.5 * torch.logsumexp(2 * rates + weights.log(), dim=-1, keepdim=True)
        return F.pad(rates.exp(), (1, 0))

    def sample(self, white: torch.Tensor, progress: float) -> torch.Tensor:
        """White noise (B, 4, N, h, w) → a loop of this Gaussian as latents of the same shape and type, zero at frame 0.

        progress: how far the reference stream travels in N frames, in latents (`MotionCodec.progress`).
        """
        dtype, white = white.dtype, white.to(self.deviation)
        count, (height, width) = white.shape[2] - 1, white.shape[3:]
        modes = to_modes(white)  # (B, 2, 2, N, h, w)
        rows, columns = (torch.arange(side, device=white.device) * min(height, width) / side for side in (height, width))
        # relative to the highest of the lowest modes: the inverse square of the wave number
        falloff = (2 * (WAVES - 1) ** 2 / (rows[:, None] ** 2 + columns**2).clamp(min=1)).clamp(max=1).to(white)  # (h, w)
        finer = modes * falloff

        ring = lowest(modes[:, :, :, :count]) @ self.root().mT  # (B, 2, n, D)
        ring = _with_lowest(finer[:, :, :, :count] * _beyond(self.deviation, STILL_DEVIATION), ring)
        gain = self.spectrum(count, SPECTRUM_FLOOR) * count**0.5  # (B, 2, J)
        ring = torch.fft.irfft(torch.fft.rfft(ring, dim=3) * gain[:, :, None, :, None, None], n=count, dim=3)
        ring[:, :, :, :, 0, 0] = self._narrow(ring[:, :, :, :, 0, 0])
        correlation = torch.fft.irfft(gain**2, n=count)  # of each frame with frame 0
        mean = _with_lowest(torch.zeros_like(ring[:, :, :, :1]), self.mean[:, :, None])
        ring = ring - ring[:, :, :, :1] + mean * (1 - correlation)[:, :, None, :, None, None]
        ring = torch.cat([ring, torch.zeros_like(ring[:, :, :, :1])], dim=3)

        winding = self.winding_mean[:, :, None] + lowest(modes[:, :, :, -1:]) @ self.winding_root().mT
        beyond = _beyond(self.winding_deviation, STILL_WINDING_DEVIATION)
        winding = progress * _with_lowest(finer[:, :, :, -1:] * beyond, winding)
        begun = (torch.arange(count + 1, device=white.device) > 0).to(white).view(-1, 1, 1)
        return (from_modes(begun * (ring + winding)) * (height * width) ** 0.5).to(dtype)

    def _narrow(self, path: torch.Tensor) -> torch.Tensor:
        """Paths (B, 2, 2, n) of the layers' middles, made no wider than `roundness` allows and kept as long.

        Back-and-forth motion lies on a line of unknown direction, which a Gaussian cannot express.
        """
        axes, size, times = torch.linalg.svd(path, full_matrices=False)
        width = torch.minimum(size[..., 1], size[..., 0] * self.roundness.exp())
        sizes = torch.stack([(size.square().sum(-1) - width**2).clamp(min=0).sqrt(), width], dim=-1)
        return axes @ (sizes[..., None] * times)


class NoisePrior(nn.Module):
    """Text tokens and mask → `Gaussian`; two hidden layers, fitted by train/prior.py."""

    def __init__(self, text_width: int):
        super().__init__()
        self.projection = nn.Linear(text_width, text_width, bias=False)
        self.queries = nn.Linear(text_width, QUERIES, bias=False)
        self.read = nn.Linear(QUERIES * text_width, WIDTH)
        self.hidden = nn.Linear(WIDTH + 6, WIDTH)  # and the numbers of `outline`
        self.parts = {  # numbers for each layer, in the order of the output
            "size": 1,
            "factors": COEFFICIENTS * FREE_FACTORS,
            "deviation": COEFFICIENTS,
            "mean": COEFFICIENTS,
            "rates": len(KNOTS),
            "plain": PLAIN_MOTIONS,
            "plain_mean": PLAIN_MOTIONS,
            "winding_size": 1,
            "winding_deviation": COEFFICIENTS,
            "winding_mean": COEFFICIENTS,
            "flows": PLAIN_FLOWS,
            "flows_mean": PLAIN_FLOWS,
            "roundness": 1,
        }
        self.out = nn.Linear(WIDTH, LAYERS * sum(self.parts.values()))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def read_words(self, text_tokens: torch.Tensor) -> torch.Tensor:
        """Features (B, WIDTH) of text_tokens (B, L, text_width); tokens of zeros are padding."""
        text_tokens = text_tokens.to(self.out.weight)
        is_word = text_tokens.ne(0).any(-1)[:, None]  # (B, 1, L)
        states = self.projection(text_tokens)
        share = self.queries(states).mT.masked_fill(~is_word, -1e4).softmax(-1)  # (B, QUERIES, L)
        return self.read((share @ states).flatten(1))

    def forward(self, text_tokens: torch.Tensor, latent_mask: torch.Tensor) -> Gaussian:
        """text_tokens (B, L, text_width) as in `read_words`; latent_mask (B, 1, h, w) in [0, 1]."""
        features, latent_mask = self.read_words(text_tokens), latent_mask.to(self.out.weight)
        features = F.silu(self.hidden(torch.cat([features, outline(latent_mask)], dim=1)))
        values = self.out(features).unflatten(1, (LAYERS, -1)).split(list(self.parts.values()), dim=-1)
        part = dict(zip(self.parts, values, strict=True))
        waves = torch.arange(WAVES, device=features.device)
        level = (INITIAL_DEVIATION / (1 + waves[:, None] ** 2 + waves**2)).flatten().repeat(AXES)  # (D,)
        # All parts are shares of the layer's size: an error too small to matter in what moves far is large in what rests.
        size = _factor(part["size"], MAX_LOG_SIZE)  # (B, 2, 1)
        deviation = STILL_DEVIATION + size * level * _factor(part["deviation"])
        free = part["factors"].unflatten(-1, (COEFFICIENTS, FREE_FACTORS))
        # factors that begin alike would stay alike, so each begins near a direction of its own
        unlike = cosines(COEFFICIENTS)[1 : FREE_FACTORS + 1].T.to(free) * COEFFICIENTS**0.5  # (D, FREE_FACTORS)
        free = free + 0.1 * unlike
        plain = size[..., None] * INITIAL_PLAIN_MOTION * plain_motions(latent_mask) * _factor(part["plain"])[..., None, :]
        factors = torch.cat([size[..., None] * level[:, None] * free, plain], dim=-1)
        winding_size = _factor(part["winding_size"], MAX_LOG_SIZE)
        winding_deviation = STILL_WINDING_DEVIATION + level * winding_size * _factor(part["winding_deviation"])
        flows = INITIAL_PLAIN_FLOW * winding_size[..., None] * plain_flows(latent_mask) * _factor(part["flows"])[..., None, :]
        knots = torch.tensor(KNOTS, device=features.device)
        return Gaussian(
            factors=factors,
            deviation=deviation,
            mean=part["mean"] * (deviation**2 + factors.square().sum(-1)).sqrt()
            + (plain @ part["plain_mean"][..., None])[..., 0],
            rates=MAX_LOG_FACTOR * torch.tanh(part["rates"] / MAX_LOG_FACTOR)
            - 0.5 * torch.log1p((knots / INITIAL_CORNER) ** 6),
            winding_factors=flows,
            winding_deviation=winding_deviation,
            winding_mean=part["winding_mean"] * winding_deviation + (flows @ part["flows_mean"][..., None])[..., 0],
            roundness=math.log(INITIAL_ROUNDNESS) + part["roundness"][..., 0],
        )


def frequency_weights(count: int, device) -> torch.Tensor:
    """How often each frequency above 0 counts in the whole spectrum of `count` frames, (count // 2,).

    Twice, as it stands on both sides of 0, but once at half the frame rate.
    """
    weights = torch.full((count // 2,), 2.0, device=device)
    if count % 2 == 0:
        weights[-1] = 1.0
    return weights


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


def _root(factors: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Root (..., D, D), lower triangular, of the covariance of factors (..., D, K) and deviations (..., D)."""
    return torch.linalg.cholesky(factors @ factors.mT + torch.diag_embed(deviation**2))


def _factor(logarithm: torch.Tensor, limit: float = MAX_LOG_FACTOR) -> torch.Tensor:
    return torch.exp(limit * torch.tanh(logarithm / limit))


def _beyond(deviation: torch.Tensor, still: float) -> torch.Tensor:
    """Amplitude of the finer modes, (B, 2, 1, 1, 1, 1): that of the highest of the lowest ones, without its floor."""
    return (deviation[..., -1:] - still)[..., None, None, None]


def _with_lowest(modes: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Modes (B, 2, 2, n, h, w) with their lowest replaced, in place, by `low` (B, 2, n, D)."""
    modes[..., :WAVES, :WAVES] = low.unflatten(-1, (AXES, WAVES, WAVES)).movedim(3, 2)
    return modes
