import math

import pytest
import torch

from loopanimate.motion.modes import COEFFICIENTS, WAVES, lowest, to_modes
from tests.network.test_noise import gaussian
from train.prior import DIRECTION_WEIGHT, surprise


def test_surprise_is_the_density_of_frames_time_mean_and_winding_and_the_entropy_of_power():
    """On motion so large that what all of it trembles by is nothing; densities of a t distribution, by their definition."""
    prior, count, progress = gaussian(), 6, 0.5
    ring, winding = 100 * torch.randn(1, 4, count, 4, 4), 100 * torch.randn(1, 4, 1, 4, 4)
    modes = lowest(to_modes(ring))[0] / 4  # (2, n, D)

    def rare(numbers, covariance):
        """(n, D) → the mean of -log of a t density of D degrees of freedom, a number, but for its constant."""
        far = (numbers @ covariance.inverse() * numbers).sum(-1)
        return (COEFFICIENTS * torch.log1p(far / COEFFICIENTS) + 0.5 * covariance.logdet()).mean() / COEFFICIENTS

    for layer in range(2):
        middle = modes[layer].mean(0)
        covariance = prior.root()[0, layer] @ prior.root()[0, layer].T
        frame, level = rare(modes[layer] - middle, covariance), rare((middle - prior.mean[0, layer])[None], covariance)
        flows = lowest(to_modes(winding))[0, layer] / 4 / progress - prior.winding_mean[0, layer]
        factors, deviation = prior.winding_factors[0, layer], prior.winding_deviation[0, layer]
        flow = rare(flows, factors @ factors.T + torch.diag(deviation**2))
        power = torch.fft.fft(modes[layer], dim=0).abs().square().sum(1)[1:]  # each frequency on both sides of 0
        amplitude = torch.cat([prior.spectrum(count)[0, layer, 1:], prior.spectrum(count)[0, layer, [2, 1]]])
        entropy = -(power / power.sum() * (amplitude**2).log()).sum() - (power[[0, 1, 3, 4]].sum() / power.sum()) * math.log(2)
        ways = torch.linalg.svdvals(modes[layer, :, :: WAVES**2] - middle[:: WAVES**2])
        rounds = (ways[1] / ways[0]).log() ** 2
        expected = frame + entropy + DIRECTION_WEIGHT * (level + flow) + rounds
        assert surprise(prior, ring, winding, progress)[0, layer].item() == pytest.approx(expected.item(), rel=1e-3)
