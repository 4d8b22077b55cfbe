import json
import subprocess
import sys

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from loopanimate.presets import PRESETS
from loopanimate.unet import LoopAnimateUNet, parameter_groups, widen_conv_in
from tests.conftest import small_unet
from train.stages import STAGES, trainable_names

TABLE_1 = {
    "conv_in": 26_240,
    "cab": 242_408_640,
    "temm": 417_137_600,
    "temm_q": 37_888_000,
    "temm_k": 37_888_000,
    "temm_v": 37_888_000,
}


def inputs(frames=5, batch=2):
    generator = torch.Generator().manual_seed(1)
    shapes = ((batch, 9, frames, 4, 4), (batch, 6, 32), (batch, 3, 32))
    sample, text, image = (torch.randn(shape, generator=generator) for shape in shapes)
    return sample, torch.tensor([10, 500][:batch]), text, image


def test_parameters_of_table_1():
    printed = subprocess.run([sys.executable, "-m", "train", "params", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout) == TABLE_1


def test_trainable_sets_of_the_three_stages():
    with torch.device("meta"):
        large = LoopAnimateUNet(**PRESETS["512"].unet)
    for unet, counted in ((small_unet(), False), (large, True)):
        sizes = {name: parameter.numel() for name, parameter in unet.named_parameters()}
        temm = {name for name in sizes if ".motion_modules." in name}
        conv = {"conv_in.weight", "conv_in.bias"}
        cab = {name for name in sizes if ".attentions." in name and ".transformer_blocks." in name}
        query_value = {name for name in temm if ".to_q." in name or ".to_v." in name}
        expected = {1: conv | cab | temm, 2: conv | temm, 3: conv | query_value}
        for index, names in expected.items():
            assert trainable_names(unet, STAGES["512"][index]) == names
            assert trainable_names(unet, STAGES["motion"][index]) == names
        if counted:
            counts = [sum(sizes[name] for name in expected[index]) for index in (1, 2, 3)]
            assert counts == [26_240 + 242_408_640 + 417_137_600, 26_240 + 417_137_600, 26_240 + 2 * 37_888_000]


def test_stages_are_the_papers():
    assert [(s.f, s.num_frames, s.learning_rate, s.iterations) for s in STAGES["512"].values()] == [
        (8, 15, 2e-4, 200_000),
        (11, 21, 6e-5, 100_000),
        (18, 35, 2e-5, 100_000),
    ]


@pytest.mark.parametrize(
    "injection",
    [("image", "text", "text"), ("image", "none", "text"), ("text",) * 3, ("image",) * 3, ("text", "text", "image")],
)
def test_injection_plan_decides_what_is_read(injection):
    unet = small_unet(injection=injection)
    sample, timestep, text, image = inputs()
    with torch.no_grad():
        reference = unet(sample, timestep, text, image).sample
        other_text = unet(sample, timestep, text + 1, image).sample
        other_image = unet(sample, timestep, text, image + 1).sample
    assert torch.equal(reference, other_text) == ("text" not in injection)
    assert torch.equal(reference, other_image) == ("image" not in injection)


def test_none_adds_nothing():
    skipped, reading = small_unet(injection=("image", "none", "text")), small_unet()
    skipped.load_state_dict(reading.state_dict())
    for block in reading.mid_block.attentions[0].transformer_blocks:
        torch.nn.init.zeros_(block.attn2.to_out[0].weight), torch.nn.init.zeros_(block.attn2.to_out[0].bias)
    with torch.no_grad():
        assert torch.allclose(skipped(*inputs()).sample, reading(*inputs()).sample, atol=1e-6)


def test_shared_tokens_equal_repeated_tokens():
    unet = small_unet()
    attention = unet.up_blocks[1].attentions[0].transformer_blocks[0].attn2
    hidden, tokens = torch.randn(10, 16, 16), torch.randn(2, 6, 32)
    repeated = AttnProcessor2_0()(attention, hidden, tokens.repeat_interleave(5, dim=0))
    assert torch.allclose(attention.processor(attention, hidden, tokens), repeated, atol=1e-6)


def test_checkpointing_reaches_both_transformers_and_changes_nothing():
    calls = {}
    for enabled in (False, True):
        unet = small_unet().train()
        if enabled:
            unet.enable_gradient_checkpointing()
        counts = {"spatial": 0, "motion": 0}
        for name, module in unet.named_modules():
            if name.endswith(".proj_in"):
                kind = "motion" if ".motion_modules." in name else "spatial"
                module.register_forward_hook(lambda *_, kind=kind: counts.update({kind: counts[kind] + 1}))
        unet(*inputs()).sample.square().mean().backward()
        gradients = torch.cat([p.grad.flatten() for p in unet.parameters() if p.grad is not None])
        calls[enabled] = (dict(counts), gradients)
    for kind in ("spatial", "motion"):
        assert calls[True][0][kind] == 2 * calls[False][0][kind]
    assert torch.allclose(calls[True][1], calls[False][1], atol=1e-6)


def test_wide_conv_in_starts_at_the_pretrained_function():
    narrow = torch.nn.Conv2d(4, 16, 3, padding=1)
    wide = widen_conv_in(narrow)
    pixels = torch.randn(1, 9, 6, 6)
    assert torch.allclose(wide(pixels), narrow(pixels[:, :4]), atol=1e-6)


def test_takes_35_frames_and_no_more():
    unet = small_unet()
    with torch.no_grad():
        assert unet(*inputs(frames=35)).sample.shape == (2, 4, 35, 4, 4)
        with pytest.raises((ValueError, RuntimeError)):
            unet(*inputs(frames=37))


def test_saves_and_loads(tmp_path):
    unet = small_unet(injection=("image", "none", "text"))
    unet.save_pretrained(tmp_path)
    again = LoopAnimateUNet.from_pretrained(tmp_path)
    assert tuple(again.config.injection) == ("image", "none", "text")
    with torch.no_grad():
        assert torch.equal(unet(*inputs()).sample, again(*inputs()).sample)


def test_refuses_an_unknown_injection():
    with pytest.raises(ValueError, match="injection"):
        small_unet(injection=("image", "words", "text"))


def test_every_parameter_group_is_in_the_network():
    groups = parameter_groups(small_unet())
    assert set(groups["temm_q"]) | set(groups["temm_v"]) < set(groups["temm"])
    assert not set(groups["cab"]) & set(groups["temm"])
