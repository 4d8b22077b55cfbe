import numpy as np
import torch

from loopanimate.motion.grid import warp
from loopanimate.network.motion_codec import MotionCodec, static_code


def displacement(codec: MotionCodec, latents: torch.Tensor) -> np.ndarray:
    """(N, 2 layers, 2, h, w) of one loop."""
    return codec.decode_motion(latents).unrolled()


def test_the_first_frame_is_zero():
    codec = MotionCodec()
    assert not codec.encode(torch.rand(1, 3, 1, 96, 96)).any()


def test_a_clip_becomes_its_displacements():
    generator = torch.Generator().manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.randn(1, 3, 24, 24, generator=generator), size=(192, 192), mode="bicubic")
    mask = torch.zeros(1, 1, 192, 192)
    mask[..., 48:144, 48:144] = 1
    shift = torch.zeros(1, 2, 192, 192)
    shift[:, 0], shift[:, 1] = 0.03, -0.015  # to the right and up
    moved = warp(picture, shift) * warp(mask, shift) + picture * (1 - warp(mask, shift))
    codec = MotionCodec()
    latents = codec.encode(torch.stack([picture, moved], dim=2).clamp(-1, 1), mask)
    found = displacement(codec, latents[0])
    assert np.allclose(found[1, 0, :, 5:7, 5:7].mean((-2, -1)), [0.03, -0.015], atol=0.004)
    assert np.abs(found[1, 1, :, 0]).max() < 0.004
    assert not found[0].any()


def test_static_code_is_the_picture_at_latent_size():
    grey = torch.full((1, 3, 96, 192), 0.5)
    code = static_code(grey, (12, 24))
    assert code.shape == (1, 4, 12, 24)
    assert torch.allclose(code[:, 0], torch.full((1, 12, 24), 1.0), atol=1e-5) and code[:, 1:].abs().max() < 1e-2
    large = static_code(grey[..., :1].expand(-1, -1, -1, 96).repeat(1, 1, 10, 10), (12, 12))
    assert torch.allclose(large[:, 0], code[:, 0, :, :12], atol=1e-5)


def test_saves_and_loads_its_scale(tmp_path):
    codec = MotionCodec(standard_deviation=(0.1, 0.2, 0.3, 0.4))
    codec.save_pretrained(tmp_path)
    assert MotionCodec.from_pretrained(tmp_path).config.standard_deviation == list(codec.config.standard_deviation)


def test_a_loop_is_decoded_where_its_latents_lie_wherever_the_networks_are():
    latents = torch.randn(4, 5, 12, 16)
    here, elsewhere = (codec.decode_motion(latents) for codec in (MotionCodec(), MotionCodec().to("meta")))
    assert np.array_equal(here.ring, elsewhere.ring) and np.array_equal(here.winding, elsewhere.winding)


def test_latents_are_displacement_compressed_and_back():
    generator = torch.Generator().manual_seed(0)
    displacement = 0.05 * torch.randn(2, 4, 15, 12, 12, generator=generator)
    displacement[:, :, 0] = 0
    codec = MotionCodec()
    latents = codec.compress(displacement)
    ring, winding = codec.expand(latents)
    ramp = torch.linspace(0, 1, 15).view(1, 1, -1, 1, 1)
    assert torch.allclose(ring + ramp * winding, displacement, atol=1e-6)
    assert torch.equal(winding, codec.expand(latents[:, :, [0, -1]])[1])
    scale = torch.tensor(codec.config.standard_deviation).view(1, 4, 1, 1, 1)
    faint = codec.compress(displacement * 1e-4)[:, :, 1:] * scale  # linear below the knees
    back = (displacement - ramp * displacement[:, :, -1:])[:, :, 1:] / codec.config.knee
    carried = displacement[:, :, -1:] / codec.config.stream_knee
    assert torch.allclose(faint, 1e-4 * (back + carried), atol=1e-6)
    assert not latents[:, :, 0].any()


def test_constrained_latents_lose_only_what_is_too_quick():
    turn = 2 * torch.pi * torch.arange(35) / 34
    slow = 0.03 * (torch.cos(2 * turn) - 1).view(1, 1, 35, 1, 1).expand(1, 4, 35, 12, 12)
    quick = 0.004 * torch.sin(14 * turn).view(1, 1, 35, 1, 1)
    codec = MotionCodec()

    def kept(clip):
        motion = codec.decode_motion(codec.constrain(codec.compress(clip))[0]).unrolled()
        return torch.from_numpy(motion).flatten(1, 2).transpose(0, 1)

    assert torch.allclose(kept(slow), slow[0], atol=1e-5)
    assert torch.allclose(kept(slow + quick), slow[0], atol=1e-5)
    flowing = slow + torch.linspace(0, 0.3, 35).view(1, 1, 35, 1, 1)
    assert torch.allclose(kept(flowing), flowing[0], atol=1e-4)
    assert not displacement(codec, torch.randn(4, 15, 12, 12))[0].any()
    assert np.isfinite(displacement(codec, 1e4 * torch.randn(4, 15, 12, 12))).all()
