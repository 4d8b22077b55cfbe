"""LoopAnimateUNet: diffusers' motion UNet with nine input channels, 36 positions and routed cross-attention.

It has the method's TEMM (motion modules with positions to 36, none in the mid block) and MITDF (the down blocks read image
tokens, the mid and up blocks text tokens): train/METHOD.md §4, eq. 12-15. Layers and their names are diffusers'; the forward pass
is ours, so that nothing is computed twice (`python -m tests.benchmarks.bench_512` measures what that saves).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ModelMixin, UNetMotionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import FeedForward, _chunked_feed_forward
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, FusedAttnProcessor2_0
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import UNetMotionOutput
from diffusers.models.upsampling import Upsample2D
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch.utils.checkpoint import checkpoint

# diffusers reloads a class from another library only if its module has ModelMixin too
__all__ = ["LoopAnimateUNet", "ModelMixin", "parameter_groups", "widen_conv_in"]

POSITIONS = 36  # train/METHOD.md §4, TEMM
INNER_VALUES = 2**26  # numbers that a feed-forward computes at a time: 128 MB in half precision
INJECTION = ("image", "text", "text")  # down, mid, up: the method's row of the injection ablation


class Attended(NamedTuple):
    """What one cross-attention reads, which is the same at every sampling step and in every frame.

    With one token it is a `constant` (B, 1, C), because softmax over one key is 1; with more, `keys` and `values`
    (B, heads, L, d). Attention processors that are not diffusers' own get the `tokens` (B, L, width).
    """

    constant: torch.Tensor | None = None
    keys: torch.Tensor | None = None
    values: torch.Tensor | None = None
    tokens: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """What all cross-attentions read: for each spatial transformer one Attended a block, () if it reads nothing."""

    batch: int
    attended: dict[Transformer2DModel, tuple[Attended, ...]]


class PiecewiseFeedForward(FeedForward):
    """A feed-forward in pieces: its inner values, 12 times its input, would be the peak of all memory."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        pieces = -(-8 * hidden_states.numel() // INNER_VALUES)
        # pieces save nothing where gradients keep the inner values or a compiler fuses them away
        if pieces == 1 or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(hidden_states)
        result = torch.empty_like(hidden_states)
        for rows, place in zip(hidden_states.chunk(pieces), result.chunk(pieces)):
            place.copy_(super().forward(rows))
        return result


class RoutedTransformer(Transformer2DModel):
    """A spatial transformer whose cross-attention reads an `Attended` that all frames of a clip share."""

    def forward(self, hidden_states: torch.Tensor, attended: tuple[Attended, ...], rows: int) -> torch.Tensor:
        """hidden_states (b·N, C, h, w) → (rows, C, h, w), repeated where it reads `rows` / b·N sets of tokens; else as large."""
        hidden, inner_dim = self._operate_on_continuous_inputs(hidden_states)  # (b·N, h·w, C)
        for index, block in enumerate(self.transformer_blocks):
            hidden = hidden + block.attn1(block.norm1(hidden))
            if attended:
                hidden = repeat_rows(hidden, rows)
                hidden = hidden + _cross_attention(block.attn2, block.norm2, hidden, attended[index])
            wide = block.norm3(hidden)
            if block._chunk_size is None:
                hidden = hidden + block.ff(wide)
            else:
                hidden = hidden + _chunked_feed_forward(block.ff, wide, block._chunk_dim, block._chunk_size)
        residual = repeat_rows(hidden_states, len(hidden))
        return self._get_output_for_continuous_inputs(hidden, residual, len(hidden), *hidden_states.shape[-2:], inner_dim)


class LoopAnimateUNet(UNetMotionModel):
    """Predicts noise or velocity of a clip's latents from the 9-channel stack, image tokens and text tokens.

    `injection` names what the (down, mid, up) blocks cross-attend to: "image", "text" or "none" (that branch is skipped,
    its residual passes). It expresses every row of the injection ablation (train/METHOD.md §6). With `projects_text` the text
    tokens pass through one linear layer first, shared by all blocks: a text encoder trained for something else separates
    "left" from "right" by little.
    """

    _repeated_blocks = ("ResnetBlock2D", "RoutedTransformer", "AnimateDiffTransformer3D")  # `compile_repeated_blocks`

    @register_to_config
    def __init__(
        self,
        sample_size: int | None = None,
        in_channels: int = 9,
        out_channels: int = 4,
        down_block_types: tuple[str, ...] = ("CrossAttnDownBlockMotion",) * 3 + ("DownBlockMotion",),
        up_block_types: tuple[str, ...] = ("UpBlockMotion",) + ("CrossAttnUpBlockMotion",) * 3,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
        cross_attention_dim: int = 768,
        num_attention_heads: int | tuple[int, ...] = 8,
        motion_num_attention_heads: int | tuple[int, ...] = 8,
        motion_max_seq_length: int = POSITIONS,
        use_motion_mid_block: bool = False,
        injection: tuple[str, str, str] = INJECTION,
        projects_text: bool = False,
        addition_embed_type: None = None,  # kept in saved configs
    ):
        if use_motion_mid_block:
            raise ValueError("expected use_motion_mid_block=False: the method has no motion module in the mid block")
        # the parent's __init__ without its decorator, which would add arguments we do not take to our config
        given = {name: self.config[name] for name in signature(UNetMotionModel.__init__).parameters if name in self.config}
        UNetMotionModel.__init__.__wrapped__(self, **given)
        width = cross_attention_dim
        self.text_projection = torch.nn.Linear(width, width, bias=False) if projects_text else torch.nn.Identity()
        # change the forward pass of layers and nothing else: names and weights stay diffusers'
        for module in self.modules():
            if isinstance(module, FeedForward):
                module.__class__ = PiecewiseFeedForward
        self.inject(injection)

    def inject(self, injection: tuple[str, str, str]) -> None:
        """Set what the (down, mid, up) blocks read from now on; raises ValueError for an unknown plan."""
        if len(injection) != 3 or not set(injection) <= {"image", "text", "none"}:
            raise ValueError(
                f'expected an injection plan of three of "image", "text", "none" (down, mid, up), got {injection!r}'
            )
        self._sources = {}
        for source, blocks in zip(injection, (self.down_blocks, [self.mid_block], self.up_blocks)):
            for block in blocks:
                for transformer in getattr(block, "attentions", ()):
                    transformer.__class__ = RoutedTransformer
                    self._sources[transformer] = source

    @apply_forward_hook
    def context(self, text_tokens: torch.Tensor, image_tokens: torch.Tensor) -> Context:
        """Compute once a prompt what all cross-attentions read: text (B, L, width), image (B, K, width)."""
        tokens = {"text": self.text_projection(text_tokens), "image": image_tokens}
        attended = {}
        for transformer, source in self._sources.items():
            blocks = transformer.transformer_blocks if source != "none" else ()
            attended[transformer] = tuple(_prepare_tokens(block.attn2, tokens[source]) for block in blocks)
        return Context(len(text_tokens), attended)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | int,
        encoder_hidden_states: torch.Tensor | None = None,
        image_hidden_states: torch.Tensor | None = None,
        context: Context | None = None,
        cache: dict[str, torch.Tensor] | None = None,
        return_dict: bool = True,
    ) -> UNetMotionOutput | tuple[torch.Tensor]:
        """
        Args:
            sample: (B, 9, N, h, w), the stack of `conditioning.stack`; N odd frames up to 35.
            timestep: scalar or (B,).
            encoder_hidden_states: (G·B, L, width) text tokens: G sets for the same latents (guidance takes two, all
                unconditional ones first). Whatever comes before the first token is read is computed once for all sets.
            image_hidden_states: (G·B, K, width) image tokens.
            context: the result of `context()`, instead of these two.
            cache: an empty one is filled with the features that enter the last up block; a filled one replaces their
                computation, so that only the first down block and the last up block run. That is an approximation.

        Returns: sample (G·B, 4, N, h, w), noise or velocity as the scheduler's prediction type says.
        """
        context = context or self.context(encoder_hidden_states, image_hidden_states)
        batch, _, num_frames = sample.shape[:3]
        timestep = torch.as_tensor(timestep, device=sample.device).expand(batch)
        embedding = self.time_embedding(self.time_proj(timestep).to(self.dtype))
        # diffusers would checkpoint only the resnets, but the attentions' activations are most of the memory
        saves_memory = torch.is_grad_enabled() and self.is_gradient_checkpointing
        call = partial(checkpoint, use_reentrant=False) if saves_memory else _call
        run = Pass(call, context, embedding.repeat_interleave(num_frames, dim=0), num_frames)

        shallow = [self.conv_in(sample.transpose(1, 2).flatten(0, 1))]  # (B·N, C, h, w) each
        hidden = run.block(self.down_blocks[0], shallow[0], kept=shallow)
        cache = {} if cache is None else cache
        if "features" not in cache:
            cache["features"] = self._run_deep(run, hidden, shallow[-1].shape[-2:])
        hidden = run.block(self.up_blocks[-1], cache["features"], read=shallow)
        hidden = self.conv_out(self.conv_act(self.conv_norm_out(repeat_rows(hidden, run.rows))))
        hidden = hidden.unflatten(0, (context.batch, num_frames)).transpose(1, 2)  # (G·B, 4, N, h, w)
        return UNetMotionOutput(sample=hidden) if return_dict else (hidden,)

    def _run_deep(self, run: "Pass", hidden: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Run all between the first down block and the last up block, for which the result has the `size` (h, w)."""
        kept = []
        for block in self.down_blocks:
            if block is not self.down_blocks[0]:
                hidden = run.block(block, hidden, kept=kept)
            if block.downsamplers is not None:
                hidden = block.downsamplers[0](hidden)
                kept.append(hidden)
        first, *resnets = self.mid_block.resnets
        hidden = run.resnet(first, hidden)
        for transformer, resnet in zip(self.mid_block.attentions, resnets):
            hidden = run.resnet(resnet, run.transformer(transformer, hidden))
        for block in self.up_blocks[:-1]:
            hidden = run.block(block, hidden, read=kept)
            # to the size of the next skip, as sides need not be multiples of the deepest factor
            hidden = upsample(block.upsamplers[0], hidden, kept[-1].shape[-2:] if kept else size)
        return hidden

    def enable_freeu(self, s1: float, s2: float, b1: float, b2: float) -> None:
        """Refused: FreeU scales skips inside diffusers' up blocks, whose forward passes do not run here."""
        raise NotImplementedError("expected no FreeU: LoopAnimateUNet runs its own forward pass, which has none")


@dataclass(frozen=True)
class Pass:
    """One forward pass: what its layers get besides their input (rows, C, h, w)."""

    call: Callable[..., torch.Tensor]  # runs a layer, with a gradient checkpoint where one is wanted
    context: Context
    embedding: torch.Tensor  # (B·N, time)
    num_frames: int

    @property
    def rows(self) -> int:
        return self.context.batch * self.num_frames

    def block(self, block, hidden: torch.Tensor, kept: list | None = None, read: list | None = None) -> torch.Tensor:
        """Run the layers of a down block, which add their outputs to `kept`, or of an up block, which pops them of `read`."""
        for index, resnet in enumerate(block.resnets):
            if read is not None:
                hidden = torch.cat([hidden, repeat_rows(read.pop(), len(hidden))], dim=1)
            hidden = self.resnet(resnet, hidden)
            if hasattr(block, "attentions"):
                hidden = self.transformer(block.attentions[index], hidden)
            hidden = self.call(block.motion_modules[index], hidden, num_frames=self.num_frames)
            if kept is not None:
                kept.append(hidden)
        return hidden

    def resnet(self, layer, hidden: torch.Tensor) -> torch.Tensor:
        return self.call(layer, hidden, repeat_rows(self.embedding, len(hidden)))

    def transformer(self, layer: RoutedTransformer, hidden: torch.Tensor) -> torch.Tensor:
        return self.call(layer, hidden, self.context.attended[layer], self.rows)


def _call(module, *args, **kwargs):
    return module(*args, **kwargs)


def repeat_rows(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    """Repeat a tensor as a whole along its first dimension until it has `rows`."""
    return tensor if len(tensor) == rows else tensor.repeat(rows // len(tensor), *(1,) * (tensor.ndim - 1))


def upsample(upsampler: Upsample2D, hidden: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Upsample by 2 (nearest) and convolve by 3 x 3, as one convolution by 2 x 2 before the upsampling.

    Each output pixel sees at most 2 x 2 different input pixels, so the weights that fall on equal pixels are added up, in
    one kernel for each of the four places in a doubled pixel: 16 multiplications instead of 36.
    """
    conv, (height, width) = upsampler.conv, hidden.shape[-2:]
    usable = type(conv) is torch.nn.Conv2d and (conv.weight.dtype, conv.weight.device) == (hidden.dtype, hidden.device)
    if size != (2 * height, 2 * width) or not usable:  # an odd side, an adapter, weights on another device or of another type
        return upsampler(hidden, output_size=size)
    weight = conv.weight.to(torch.promote_types(conv.weight.dtype, torch.float32))  # sums in half precision would lose digits
    for axis in (2, 3):  # [w0, w1 + w2] reads the pixel before and its own, [w0 + w1, w2] its own and the one after
        first, middle, last = weight.unbind(axis)
        pairs = torch.stack([torch.stack([first, middle + last], axis), torch.stack([first + middle, last], axis)])
        weight = pairs.flatten(0, 1)  # (2·O, I, …), then (4·O, I, 2, 2): column place, row place, channel
    places = F.conv2d(hidden, weight.to(hidden.dtype), conv.bias.repeat(4), padding=1).unflatten(1, (2, 2, -1))
    rows = [
        torch.stack([places[:, x, y, :, y : y + height, x : x + width] for x in range(2)], dim=-1).flatten(-2) for y in range(2)
    ]  # (B·N, O, h, 2w) each
    return torch.stack(rows, dim=-2).flatten(-3, -2)  # (B·N, O, 2h, 2w)


def _prepare_tokens(attention: Attention, tokens: torch.Tensor) -> Attended:
    if type(attention.processor) not in (AttnProcessor2_0, FusedAttnProcessor2_0):
        return Attended(tokens=tokens)
    values = attention.to_v(tokens)  # (B, L, C)
    if tokens.shape[1] == 1:
        return Attended(constant=attention.to_out[0](values))
    heads = (attention.heads, -1)
    return Attended(
        keys=attention.to_k(tokens).unflatten(2, heads).transpose(1, 2), values=values.unflatten(2, heads).transpose(1, 2)
    )


def _cross_attention(attention: Attention, norm: torch.nn.Module, hidden: torch.Tensor, attended: Attended) -> torch.Tensor:
    """Cross-attention of hidden (B·N, h·w, C) to its clip's tokens, as if they were repeated for N frames; broadcasts to hidden."""
    if attended.constant is not None:
        return attended.constant.repeat_interleave(len(hidden) // len(attended.constant), dim=0)  # (B·N, 1, C)
    tokens = attended.tokens if attended.keys is None else attended.keys
    queries = norm(hidden).reshape(len(tokens), -1, hidden.shape[-1])  # (B, N·h·w, C)
    if attended.keys is None:
        return attention(queries, encoder_hidden_states=tokens).view_as(hidden)
    queries = attention.to_q(queries).unflatten(2, (attention.heads, -1)).transpose(1, 2)  # (B, heads, N·h·w, d)
    mixed = F.scaled_dot_product_attention(queries, attended.keys, attended.values)
    return attention.to_out[0](mixed.transpose(1, 2).flatten(2)).view_as(hidden)


def widen_conv_in(conv: torch.nn.Conv2d, in_channels: int = 9) -> torch.nn.Conv2d:
    """Widen a pretrained (C, 4, k, k) convolution to `in_channels`: old channels first, zeros for the new ones.

    The paper draws the new ones at random; with zeros training starts at the pretrained function (train/METHOD.md §5).
    """
    wide = torch.nn.Conv2d(in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : conv.in_channels] = conv.weight
        wide.bias.copy_(conv.bias)
    return wide.to(conv.weight.dtype)


def parameter_groups(unet: UNetMotionModel) -> dict[str, list[str]]:
    """Names of the UNet's parameters by module of Table 1 (train/METHOD.md §4): conv_in, cab, temm, temm_q, temm_k, temm_v."""
    names = [name for name, _ in unet.named_parameters()]
    temm = [name for name in names if ".motion_modules." in name]
    return {
        "conv_in": [name for name in names if name.startswith("conv_in.")],
        "cab": [name for name in names if ".attentions." in name and ".transformer_blocks." in name],
        "temm": temm,
        **{f"temm_{part}": [name for name in temm if f".to_{part}." in name] for part in "qkv"},
    }
