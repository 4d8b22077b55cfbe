import copy
import json
import subprocess
import sys

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from loopanimate.network.unet import LoopAnimateUNet, parameter_groups, widen_conv_in
from loopanimate.presets import PRESETS
from tests.conftest import small_unet
from tests.reference import ReferenceUNet
from tests.stock import stock_unet
from train.stages import STAGES, trainable_names

TABLE_1 = {
    "conv_in": 26_240,
    "cab": 242_408_640,
    "temm": 417_137_600,
    "temm_q": 37_888_000,
    "temm_k": 37_888_000,
    "temm_v": 37_888_000,
}


def inputs(frames=5, batch=2, image_tokens=3, size=(4, 4)):
    generator = torch.Generator().manual_seed(1)
    shapes = ((batch, 9, frames, *size), (batch, 6, 32), (batch, 3, 32))
    sample, text, image = (torch.randn(shape, generator=generator) for shape in shapes)
    return sample, torch.tensor([10, 500][:batch]), text, image[:, :image_tokens]


def lively_unet(**changes) -> LoopAnimateUNet:
    """A small network in which every part counts: norms and biases off their defaults."""
    unet = small_unet(**changes)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, *((0, 0.15) if parameter.ndim > 1 else (0.5, 0.3)))
    return unet


def relative(result: torch.Tensor, truth: torch.Tensor) -> float:
    return float((result.float() - truth).norm() / truth.norm())


def plain(unet, sample, timestep, text, image):
    return unet(sample, timestep, text, image).sample


def prepared_context(unet, sample, timestep, text, image):
    context = unet.context(text, image)
    unet(sample.flip(0), timestep + 3, context=context)  # another step before
    return unet(sample, timestep, context=context).sample


def shared_halves(unet, sample, timestep, text, image):
    both = unet(sample, timestep, torch.cat([text.flip(1), text]), torch.cat([torch.zeros_like(image), image])).sample
    return both[len(sample) :]


def fused_projections(unet, *inputs):
    unet.fuse_qkv_projections()
    assert unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_qkv is not None
    return unet(*inputs).sample


def channels_last(unet, *inputs):
    return unet.to(memory_format=torch.channels_last)(*inputs).sample


def compiled_regions(unet, *inputs):
    torch._dynamo.reset()
    unet.compile_repeated_blocks(backend="eager", fullgraph=True)
    return shared_halves(unet, *inputs)


def chunked_feed_forward(unet, *inputs):
    unet.enable_forward_chunking(1)
    return unet(*inputs).sample


def piecewise_feed_forward(unet, *inputs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loopanimate.network.unet.INNER_VALUES", 500)
        return unet(*inputs).sample


def foreign_processor(unet, *inputs):
    unet.set_attn_processor(AttnProcessor())
    return shared_halves(unet, *inputs)


SPEED_UPS = [
    plain,
    prepared_context,
    shared_halves,
    fused_projections,
    channels_last,
    chunked_feed_forward,
    piecewise_feed_forward,
    foreign_processor,
]


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


def test_a_projection_of_text_is_of_text_alone():
    projecting, plain = small_unet(projects_text=True), small_unet()
    plain.load_state_dict({name: value for name, value in projecting.state_dict().items() if "text_projection" not in name})
    sample, timestep, text, image = inputs()
    with torch.no_grad():
        expected = plain(sample, timestep, text @ projecting.text_projection.weight.mT, image).sample
        assert torch.allclose(projecting(sample, timestep, text, image).sample, expected, atol=1e-6)
    assert "text_projection.weight" not in plain.state_dict()


def test_none_adds_nothing():
    skipped, reading = small_unet(injection=("image", "none", "text")), small_unet()
    skipped.load_state_dict(reading.state_dict())
    for block in reading.mid_block.attentions[0].transformer_blocks:
        torch.nn.init.zeros_(block.attn2.to_out[0].weight), torch.nn.init.zeros_(block.attn2.to_out[0].bias)
    with torch.no_grad():
        assert torch.allclose(skipped(*inputs()).sample, reading(*inputs()).sample, atol=1e-6)


@pytest.mark.parametrize("way", SPEED_UPS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("image_tokens", [1, 3])  # the 512 preset has one, the motion preset more
def test_every_way_equals_the_equations(way, image_tokens):
    unet, given = lively_unet(), inputs(image_tokens=image_tokens, size=(6, 10))
    with torch.no_grad():
        assert relative(way(unet, *given), ReferenceUNet(unet)(*given)) < 1e-5


@pytest.mark.slow
def test_compiled_regions_equal_the_equations_without_a_graph_break():
    test_every_way_equals_the_equations(compiled_regions, image_tokens=1)


@pytest.mark.parametrize("injection", [("image", "none", "text"), ("text", "text", "image"), ("none", "none", "text")])
def test_every_injection_plan_equals_the_equations(injection):
    unet, given = lively_unet(injection=injection), inputs(frames=3)
    with torch.no_grad():
        assert relative(shared_halves(unet, *given), ReferenceUNet(unet)(*given)) < 1e-5


def test_deeper_networks_equal_the_equations():
    changes = {
        "down_block_types": ("CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion", "DownBlockMotion"),
        "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion"),
        "block_out_channels": (16, 32, 32),
        "layers_per_block": 2,
    }
    unet, given = lively_unet(**changes), inputs(frames=3, size=(6, 10))
    with torch.no_grad():
        assert relative(shared_halves(unet, *given), ReferenceUNet(unet)(*given)) < 1e-5


def test_bfloat16_errs_no_more_than_stock():
    unet = lively_unet()
    unet.load_state_dict({name: value.bfloat16().float() for name, value in unet.state_dict().items()})
    reference, ours = ReferenceUNet(unet), copy.deepcopy(unet).bfloat16()
    stock, errors = stock_unet(ours), {"ours": [], "stock": []}
    with torch.no_grad():
        for shift in range(6):
            sample, timestep, text, image = (value + shift for value in inputs(image_tokens=1))
            given = [value.bfloat16() for value in (sample, text, image)]
            truth = reference(given[0].float(), timestep, given[1].float(), given[2].float())
            rounded = (given[0], timestep, *given[1:])
            errors["ours"].append(relative(shared_halves(ours, *rounded), truth))
            errors["stock"].append(relative(stock(*rounded).sample, truth))
    assert sum(errors["ours"]) <= 1.1 * sum(errors["stock"]), errors


def test_cached_features_of_the_same_step_change_nothing_and_of_another_little():
    unet, given = lively_unet(), inputs()
    sample, timestep, text, image = given
    cache = {}
    with torch.no_grad():
        whole = unet(*given, cache=cache).sample
        again = unet(*given, cache=cache).sample
        later = unet(0.98 * sample, timestep, text, image).sample
        reused = unet(0.98 * sample, timestep, text, image, cache=cache).sample
    assert torch.equal(again, whole)
    assert 0 < relative(reused, later) < relative(whole, later)


def test_processors_can_be_exchanged():
    unet, given = lively_unet(), inputs()
    seen = []

    class Recording(AttnProcessor2_0):
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
            seen.append(encoder_hidden_states is not None)
            return super().__call__(attn, hidden_states, encoder_hidden_states, **kwargs)

    with torch.no_grad():
        before = unet(*given).sample
        unet.set_attn_processor(Recording())
        recorded = unet(*given).sample
        unet.set_attn_processor(AttnProcessor2_0())
        unet.set_default_attn_processor()
        default = unet(*given).sample
    assert any(seen) and not all(seen) and len(seen) == len(unet.attn_processors)
    assert torch.allclose(recorded, before, atol=1e-5) and torch.allclose(default, before, atol=1e-5)


def test_layerwise_casting_keeps_the_result_near():
    unet, given = lively_unet(), inputs()
    with torch.no_grad():
        before = unet(*given).sample
        unet.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
        assert unet.conv_in.weight.dtype == torch.bfloat16
        assert relative(unet(*given).sample, before) < 0.05


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
                module.register_forward_hook(lambda *_, kind=kind, counts=counts: counts.update({kind: counts[kind] + 1}))
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


def test_freeu_is_refused_as_it_would_do_nothing():
    with pytest.raises(NotImplementedError, match="no FreeU"):
        small_unet().enable_freeu(0.9, 0.2, 1.2, 1.4)


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


def test_refuses_another_network():
    with pytest.raises(ValueError, match="injection"):
        small_unet(injection=("image", "words", "text"))
    with pytest.raises(ValueError, match="mid block"):
        small_unet(use_motion_mid_block=True)


def test_every_parameter_group_is_in_the_network():
    groups = parameter_groups(small_unet())
    assert set(groups["temm_q"]) | set(groups["temm_v"]) < set(groups["temm"])
    assert not set(groups["cab"]) & set(groups["temm"])
