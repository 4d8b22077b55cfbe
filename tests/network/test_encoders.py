import random

import numpy as np
import pytest
import torch

from loopanimate.network.encoders import CLIP_MEAN, CLIP_STD, encode_image, encode_text
from train.grammar import draw
from train.networks import whitening


def cubic_matrix(pixels: int, side: int) -> np.ndarray:
    """(side, pixels): Keys' cubic convolution (a = -0.75) at pixel centres, four taps however small the result."""
    matrix = np.zeros((side, pixels))
    for row in range(side):
        centre = (row + 0.5) * pixels / side - 0.5
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            x, a = abs(centre - tap), -0.75
            near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
            matrix[row, min(max(tap, 0), pixels - 1)] += near if x <= 1 else far
    return matrix


def test_a_picture_is_squashed_without_antialias(small_512):
    picture = torch.rand(1, 3, 70, 90, generator=torch.Generator().manual_seed(0))
    side = small_512.image_encoder.config.image_size
    small = cubic_matrix(70, side) @ picture.double().numpy() @ cubic_matrix(90, side).T
    normal = (small - np.reshape(CLIP_MEAN, (1, 3, 1, 1))) / np.reshape(CLIP_STD, (1, 3, 1, 1))
    with torch.no_grad():
        expected = small_512.image_encoder(torch.from_numpy(normal).float()).image_embeds
        tokens = encode_image(small_512.image_encoder, picture * 2 - 1, torch.ones(1, 1, 70, 90))
    assert tokens.shape == (1, 1, 32) and torch.allclose(tokens[:, 0], expected, atol=1e-4)


def test_a_prompt_has_the_same_tokens_in_any_company(motion_pipeline):
    tokenizer, encoder = motion_pipeline.tokenizer, motion_pipeline.text_encoder
    prompts = ["it sways", "the tall grass behind the house sways slowly and gently to the left, the background stays still"]
    together, alone = encode_text(tokenizer, encoder, prompts), encode_text(tokenizer, encoder, prompts[:1])
    assert together.shape == (2, tokenizer.model_max_length, 384) and alone.shape[1:] == together.shape[1:]
    assert torch.allclose(together[:1], alone, atol=1e-5) and not alone[0, 5:].any()


@pytest.mark.slow
def test_whitened_captions_spread_alike_in_every_direction(motion_pipeline):
    rng = random.Random(1)
    captions = [draw(rng)[0] for _ in range(512)]
    states = encode_text(motion_pipeline.tokenizer, motion_pipeline.text_encoder, captions)
    states = states[states.any(-1)]
    spreads = []
    for tokens in (states, states @ whitening(motion_pipeline)):
        variances = torch.linalg.eigvalsh(tokens.mT @ tokens / len(tokens)).flip(0)
        spreads.append(float(variances[0] / variances[99]))
    assert spreads[0] > 30 and spreads[1] < 3
