import math
from dataclasses import replace

import pytest
import torch

from loopanimate.network.encoders import encode_text
from loopanimate.network.noise import (
    EVEN,
    FLOOR,
    FLOWS,
    KNOTS,
    MODES,
    PLAIN,
    SIZE,
    WHERE_TO,
    Gaussian,
    NoisePrior,
    from_modes,
    lowest,
    outline,
    plain_flows,
    plain_motions,
    to_modes,
)
from loopanimate.words.read import read


def gaussian(seed: int = 0) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(1, 2, *shape, generator=generator)

    return Gaussian(
        factors=normal(SIZE, 3),
        deviation=0.1 + normal(SIZE).abs(),
        mean=normal(SIZE),
        rates=normal(len(KNOTS)),
        winding_factors=normal(SIZE, 2),
        winding_deviation=0.1 + normal(SIZE).abs(),
        winding_mean=normal(SIZE),
        roundness=torch.zeros(1, 2),  # as round as chance makes it
    )


@pytest.mark.parametrize("frames, size", [(35, (12, 12)), (7, (4, 12)), (3, (8, 4))])
def test_noise_has_the_moments_of_its_gaussian(frames, size):
    prior, progress = gaussian(), 0.7
    white = torch.randn(4000, 4, frames, *size, generator=torch.Generator().manual_seed(0))
    noise = prior.shaped(white, progress)
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
    gain = prior.spectrum(frames - 1, EVEN)
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
        factors, deviation = prior.winding_factors[0, layer], prior.winding_deviation[0, layer]
        flow = rare(flows, factors @ factors.T + torch.diag(deviation**2))
        power = torch.fft.fft(modes[layer], dim=0).abs().square().sum(1)[1:]  # each frequency on both sides of 0
        amplitude = torch.cat([prior.spectrum(count)[0, layer, 1:], prior.spectrum(count)[0, layer, [2, 1]]])
        entropy = -(power / power.sum() * (amplitude**2).log()).sum() - (power[[0, 1, 3, 4]].sum() / power.sum()) * math.log(2)
        ways = torch.linalg.svdvals(modes[layer, :, :: MODES**2] - middle[:: MODES**2])
        rounds = (ways[1] / ways[0]).log() ** 2
        expected = frame + entropy + WHERE_TO * (level + flow) + rounds
        assert prior.surprise(ring, winding, progress)[0, layer].item() == pytest.approx(expected.item(), rel=1e-3)


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
    middle = lowest(to_modes(still.shaped(white, 1.0)[:, :, :-1]))[:, 0, :, :: MODES**2]  # (B, n, 2)
    sizes = torch.linalg.svdvals(middle - middle.mean(1, keepdim=True))
    assert (sizes[:, 1] < 0.101 * sizes[:, 0]).all()
    round_ = lowest(to_modes(replace(still, roundness=torch.zeros(1, 2)).shaped(white, 1.0)[:, :, :-1]))[:, 0, :, :: MODES**2]
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
    assert torch.allclose(alone.mean, padded.mean, atol=1e-5) and (alone.deviation >= FLOOR).all()
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


def test_a_layer_turns_about_its_base_and_swells_about_its_middle():
    mask = torch.zeros(1, 1, 12, 16)
    mask[..., 3:10, 4:9] = 1
    y, x = torch.meshgrid((torch.arange(12) + 0.5) / 12, (torch.arange(16) + 0.5) / 12, indexing="ij")
    inside = mask[0, 0] > 0
    middle_x, middle_y = x[inside].mean(), y[inside].mean()
    modes = torch.zeros(1, 2, 2, PLAIN, 12, 16)
    modes[..., :MODES, :MODES] = plain_motions(mask).mT.unflatten(-1, (2, MODES, MODES)).movedim(3, 2) * 192**0.5
    fields = from_modes(modes)[0].unflatten(0, (2, 2))[0]  # (2, PLAIN, 12, 16), of the mask's layer
    base = middle_y + 2 * (y[inside] - middle_y).square().mean().sqrt()
    for index, expected in ((0, (1 + 0 * x, 0 * y)), (2, (base - y, x - middle_x)), (5, (x - middle_x, y - middle_y))):
        found = fields[:, index][:, inside].flatten()
        expected = torch.stack(expected)[:, inside].flatten()
        assert torch.cosine_similarity(found, expected, dim=0) > 0.97, index
        assert found.unflatten(0, (2, -1)).square().sum(0).mean().sqrt() == pytest.approx(1, abs=0.1)


def test_a_layer_streams_inside_and_rests_at_its_rim():
    mask = torch.zeros(1, 1, 12, 16)
    mask[..., 2:11, 4:12] = 1
    modes = torch.zeros(1, 2, 2, FLOWS, 12, 16)
    modes[..., :MODES, :MODES] = plain_flows(mask).mT.unflatten(-1, (2, MODES, MODES)).movedim(3, 2) * 192**0.5
    fields = from_modes(modes)[0].unflatten(0, (2, 2))  # (layers, 2, FLOWS, 12, 16)
    along, down, around = fields[0].movedim(1, 0)
    assert along[0, 6, 8] > 1 and along[0, 6, 8] > 1.8 * along[0, 2:11, 4].abs().max() and along[1].abs().max() < 1e-5
    assert torch.allclose(down[1], along[0], atol=1e-5) and down[0].abs().max() < 1e-5
    assert around[0, 4, 8] * around[0, 9, 8] < 0 and around[1, 6, 6] * around[1, 6, 10] < 0
    assert torch.allclose(fields[1, 0, 0], torch.ones(12, 16), atol=1e-3)  # the background streams through the frame
