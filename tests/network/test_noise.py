import math
from dataclasses import replace

import pytest
import torch

from loopanimate.motion.modes import COEFFICIENTS, WAVES, lowest, to_modes
from loopanimate.network.encoders import encode_text
from loopanimate.network.noise import KNOTS, SPECTRUM_FLOOR, STILL_DEVIATION, Gaussian, NoisePrior, outline
from loopanimate.words.read import read


def gaussian(seed: int = 0) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(1, 2, *shape, generator=generator)

    return Gaussian(
        factors=normal(COEFFICIENTS, 3),
        deviation=0.1 + normal(COEFFICIENTS).abs(),
        mean=normal(COEFFICIENTS),
        rates=normal(len(KNOTS)),
        winding_factors=normal(COEFFICIENTS, 2),
        winding_deviation=0.1 + normal(COEFFICIENTS).abs(),
        winding_mean=normal(COEFFICIENTS),
        roundness=torch.zeros(1, 2),  # as round as chance makes it
    )


@pytest.mark.parametrize("frames, size", [(35, (12, 12)), (7, (4, 12)), (3, (8, 4))])
def test_noise_has_the_moments_of_its_gaussian(frames, size):
    prior, progress = gaussian(), 0.7
    white = torch.randn(4000, 4, frames, *size, generator=torch.Generator().manual_seed(0))
    noise = prior.sample(white, progress)
    assert not noise[:, :, 0].any()
    area = (size[0] * size[1]) ** 0.5
    winding = lowest(to_modes(noise[:, :, -1:]))[:, :, 0] / area / progress  # (B, 2, D)
    assert torch.allclose(winding.mean(0), prior.winding_mean[0], atol=0.3)
    expected = prior.winding_factors[0] @ prior.winding_factors[0].mT + torch.diag_embed(prior.winding_deviation[0] ** 2)
    found = torch.stack([layer.T.cov() for layer in winding.unbind(1)])
    assert (found - expected).norm() / expected.norm() < 0.1
    ring = torch.cat([noise[:, :, :1], noise[:, :, 1:-1] - noise[:, :, -1:]], dim=2)
    modes = lowest(to_modes(ring)) / area  # (B, 2, n, D)
    centred = modes - modes.mean(0)
    spectrum = torch.fft.rfft(centred, dim=2, norm="forward")
    gain = prior.spectrum(frames - 1, SPECTRUM_FLOOR)
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
        even = prior.spectrum(count, 0.5)[..., 1:]
        assert (even.amin(-1) >= even.amax(-1) * 0.333).all()
    spectrum = prior.spectrum(320).log()  # steps of 1/40 hertz
    ratios = spectrum[..., 20] - spectrum[..., 30]  # 0.5 and 0.75 hertz are knots
    assert torch.allclose(ratios, prior.rates[..., 2] - prior.rates[..., 3], atol=1e-5)


def test_the_way_of_a_layers_middle_is_no_wider_than_it_may_be():
    prior = replace(gaussian(), roundness=torch.tensor([[math.log(0.1), 0.0]]))
    white = torch.randn(50, 4, 35, 12, 12, generator=torch.Generator().manual_seed(0))
    # free of where it goes from frame 0 on, which is the mean's
    still = replace(
        prior,
        mean=0 * prior.mean,
        winding_mean=0 * prior.winding_mean,
        winding_factors=0 * prior.winding_factors,
        winding_deviation=1e-6 * prior.winding_deviation,
    )
    middle = lowest(to_modes(still.sample(white, 1.0)[:, :, :-1]))[:, 0, :, :: WAVES**2]  # (B, n, 2)
    sizes = torch.linalg.svdvals(middle - middle.mean(1, keepdim=True))
    assert (sizes[:, 1] < 0.101 * sizes[:, 0]).all()
    round_ = lowest(to_modes(replace(still, roundness=torch.zeros(1, 2)).sample(white, 1.0)[:, :, :-1]))[:, 0, :, :: WAVES**2]
    lengths = [(part - part.mean(1, keepdim=True)).square().sum((1, 2)) for part in (middle, round_)]
    assert torch.allclose(*lengths, rtol=1e-3)


def test_padding_says_nothing_and_the_outline_is_where_the_mask_is():
    prior = NoisePrior(16)
    torch.nn.init.normal_(prior.out.weight)
    words = torch.randn(1, 3, 16)
    mask = torch.zeros(1, 1, 8, 16)
    mask[..., 4:8, 8:12] = 1
    alone = prior(words, mask)
    padded = prior(torch.cat([words, torch.zeros(1, 5, 16)], dim=1), mask)
    assert torch.allclose(alone.mean, padded.mean, atol=1e-5) and (alone.deviation >= STILL_DEVIATION).all()
    size, down, across, height, width, aspect = outline(mask)[0].tolist()
    assert size == pytest.approx(1 / 8, abs=1e-3) and aspect == pytest.approx(math.log(2))
    assert (down, across) == pytest.approx((0.5, 0.25), abs=2e-3) and height > 2 * width * 0.9


def test_the_bundled_prior_has_read_the_words(motion_pipeline):
    """Noise alone, before anything is sampled: which layer moves, where to, how quickly, whether it flows."""
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., 3:10, 4:9] = 1

    def noise(prompt):
        words = read(prompt, motion_pipeline).sentence
        tokens = encode_text(motion_pipeline.tokenizer, motion_pipeline.text_encoder, [words]).expand(64, -1, -1)
        white = torch.randn(64, 4, 35, 12, 12, generator=torch.Generator().manual_seed(0))
        return motion_pipeline.codec.noise(white, tokens, mask.expand(64, -1, -1, -1))

    def size(noise, layer):
        return noise[:, 2 * layer : 2 * layer + 2].square().mean().sqrt()

    still, sways = noise("nothing moves"), noise("the cat sways")
    assert size(still, 0) < 0.1 * size(sways, 0) and size(sways, 1) < 0.1 * size(sways, 0)
    clouds = noise("the background drifts, the cat stays still")
    assert size(clouds, 0) < 0.1 * size(clouds, 1)
    assert size(noise("it sways barely"), 0) < 0.7 * size(noise("it sways wildly"), 0)
    for word, sign in (("left", -1), ("right", 1)):
        assert (sign * noise(f"the cat moves to the {word}")[:, 0, 1:].mean((1, 2, 3)) > 0).float().mean() > 0.75
    frequency = torch.arange(18) ** 2

    def tempo(word):
        tokens = encode_text(motion_pipeline.tokenizer, motion_pipeline.text_encoder, [f"it sways {word}"])
        return (motion_pipeline.codec.prior(tokens, mask).spectrum(34)[0, 0] ** 2 * frequency).sum()

    assert tempo("quickly") > 2 * tempo("slowly")
    assert noise("the water flows")[:, :2, -1].square().mean() > 20 * sways[:, :2, -1].square().mean()
