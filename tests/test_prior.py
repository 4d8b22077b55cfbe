import math

import pytest
import torch

from loopanimate.encoders import encode_text
from loopanimate.prior import FLOOR, KNOTS, SIZE, WHERE_TO, Gaussian, NoisePrior, lowest, outline, to_modes
from loopanimate.words import interpret


def gaussian(seed: int = 0) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(1, 2, *shape, generator=generator)

    return Gaussian(
        normal(SIZE, 3), 0.1 + normal(SIZE).abs(), normal(SIZE), normal(len(KNOTS)), 0.1 + normal(SIZE).abs(), normal(SIZE)
    )


@pytest.mark.parametrize("frames, size", [(35, (12, 12)), (7, (4, 12)), (3, (8, 4))])
def test_noise_has_the_moments_of_its_gaussian(frames, size):
    prior, progress = gaussian(), 0.7
    white = torch.randn(4000, 4, frames, *size, generator=torch.Generator().manual_seed(0))
    noise = prior.shaped(white, progress)
    assert not noise[:, :, 0].any()
    area = (size[0] * size[1]) ** 0.5
    winding = lowest(to_modes(noise[:, :, -1:]))[:, :, 0] / area / progress  # (B, 2, D)
    assert torch.allclose(winding.mean(0), prior.winding_mean[0], atol=0.2)
    assert torch.allclose(winding.std(0), prior.winding_deviation[0], rtol=0.1)
    ring = torch.cat([noise[:, :, :1], noise[:, :, 1:-1] - noise[:, :, -1:]], dim=2)
    modes = lowest(to_modes(ring)) / area  # (B, 2, n, D)
    centred = modes - modes.mean(0)
    spectrum = torch.fft.rfft(centred, dim=2, norm="forward")
    gain = prior.spectrum(frames - 1)
    covariance = prior.root() @ prior.root().mT
    for frequency in range(1, frames // 2 + 1):
        waves = spectrum[:, :, frequency].movedim(0, 1)  # (2, B, D)
        found = (waves.mT @ waves.conj()).real / len(white)
        expected = covariance[0] * gain[0, :, frequency, None, None] ** 2
        assert (found - expected).norm() / expected.norm() < 0.1
    assert torch.allclose(
        (modes[:, :, 1:].mean(0) - modes[:, :, :1].mean(0)).mean(1) * (frames - 2) / (frames - 1), prior.mean[0], atol=0.25
    )


def test_a_spectrum_is_of_unit_variance_and_has_the_rates_at_their_knots():
    prior = gaussian()
    for count in (2, 6, 34, 33):
        often = torch.full((count // 2 + 1,), 2.0)
        often[-1] = 1.0 if count % 2 == 0 else 2.0
        assert torch.allclose((prior.spectrum(count) ** 2 * often).sum(-1), torch.ones(1, 2))
    spectrum = prior.spectrum(320).log()  # steps of 1/40 hertz
    ratios = spectrum[..., 20] - spectrum[..., 30]  # 0.5 and 0.75 hertz are knots
    assert torch.allclose(ratios, prior.rates[..., 2] - prior.rates[..., 3], atol=1e-5)


def test_surprise_is_the_density_of_frames_time_mean_and_winding_and_the_entropy_of_power():
    """On motion so large that what all of it trembles by is nothing; densities of a t distribution, by their definition."""
    prior, count, progress = gaussian(), 6, 0.5
    ring, winding = 100 * torch.randn(1, 4, count, 4, 4), 100 * torch.randn(1, 4, 1, 4, 4)
    modes = lowest(to_modes(ring))[0] / 4  # (2, n, D)

    def rare(numbers, covariance):
        """(n, D) → the mean of -log of a t density of D degrees of freedom, a number, but for its constant."""
        far = (numbers @ covariance.inverse() * numbers).sum(-1)
        return (SIZE * torch.log1p(far / SIZE) + 0.5 * covariance.logdet()).mean() / SIZE

    for layer in range(2):
        middle = modes[layer].mean(0)
        covariance = prior.root()[0, layer] @ prior.root()[0, layer].T
        frame, level = rare(modes[layer] - middle, covariance), rare((middle - prior.mean[0, layer])[None], covariance)
        flows = lowest(to_modes(winding))[0, layer] / 4 / progress - prior.winding_mean[0, layer]
        flow = rare(flows, torch.diag(prior.winding_deviation[0, layer] ** 2))
        power = torch.fft.fft(modes[layer], dim=0).abs().square().sum(1)[1:]  # each frequency on both sides of 0
        amplitude = torch.cat([prior.spectrum(count)[0, layer, 1:], prior.spectrum(count)[0, layer, [2, 1]]])
        entropy = -(power / power.sum() * (amplitude**2).log()).sum() - (power[[0, 1, 3, 4]].sum() / power.sum()) * math.log(2)
        expected = frame + entropy + WHERE_TO * (level + flow)
        assert prior.surprise(ring, winding, progress)[0, layer].item() == pytest.approx(expected.item(), rel=1e-3)


def test_padding_says_nothing_and_the_outline_is_where_the_mask_is():
    prior = NoisePrior(16)
    torch.nn.init.normal_(prior.out.weight)
    words = torch.randn(1, 3, 16)
    mask = torch.zeros(1, 1, 8, 16)
    mask[..., 4:8, 8:12] = 1
    alone = prior(words, mask)
    padded = prior(torch.cat([words, torch.zeros(1, 5, 16)], dim=1), mask)
    assert torch.allclose(alone.mean, padded.mean, atol=1e-5) and (alone.deviation >= FLOOR).all()
    size, down, across, height, width, aspect = outline(mask)[0].tolist()
    assert size == pytest.approx(1 / 8, abs=1e-3) and aspect == pytest.approx(math.log(2))
    assert (down, across) == pytest.approx((0.5, 0.25), abs=2e-3) and height > 2 * width * 0.9


def test_the_bundled_prior_has_read_the_words(motion_pipeline):
    """Noise alone, before anything is sampled: which layer moves, where to, how quickly, whether it flows."""
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., 3:10, 4:9] = 1

    def noise(prompt):
        words, _ = interpret(prompt, motion_pipeline)
        tokens = encode_text(motion_pipeline.tokenizer, motion_pipeline.text_encoder, [words]).expand(64, -1, -1)
        white = torch.randn(64, 4, 35, 12, 12, generator=torch.Generator().manual_seed(0))
        return motion_pipeline.codec.noise(white, tokens, mask.expand(64, -1, -1, -1))

    def size(noise, layer):
        return noise[:, 2 * layer : 2 * layer + 2].square().mean().sqrt()

    still, sways = noise("nothing moves"), noise("the cat sways")
    assert size(still, 0) < 0.25 * size(sways, 0) and size(sways, 1) < 0.25 * size(sways, 0)
    clouds = noise("the background drifts, the cat stays still")
    assert size(clouds, 0) < 0.25 * size(clouds, 1)
    assert size(noise("it sways barely"), 0) < 0.7 * size(noise("it sways wildly"), 0)
    for word, sign in (("left", -1), ("right", 1)):
        assert (sign * noise(f"the cat moves to the {word}")[:, 0, 1:].mean((1, 2, 3)) > 0).float().mean() > 0.85
    quick, slow = (
        noise(f"it sways {word}").diff(dim=2)[:, :2].square().mean() / size(noise(f"it sways {word}"), 0) ** 2
        for word in ("quickly", "slowly")
    )
    assert quick > 2 * slow
    assert noise("the water flows")[:, :2, -1].square().mean() > 20 * sways[:, :2, -1].square().mean()
