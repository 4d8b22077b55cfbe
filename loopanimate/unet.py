"""LoopAnimateUNet: diffusers' motion UNet with nine input channels, 36 positions and routed cross-attention.

PAPER.md §4: TEMM (motion modules with positions to 36, none in the mid block) and MITDF (eq. 12-15: the down blocks
read image tokens, the mid and up blocks text tokens).
"""

from functools import partial

import torch
from diffusers import ModelMixin, UNetMotionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionOutput

# ModelMixin: diffusers reloads a class of ours only from a module that shows it
__all__ = ["LoopAnimateUNet", "ModelMixin", "parameter_groups", "widen_conv_in"]

POSITIONS = 36  # PAPER.md §4, TEMM
INJECTION = ("image", "text", "text")  # down, mid, up: the method's row of the injection ablation


class LoopAnimateUNet(UNetMotionModel):
    """Predicts noise or velocity of a clip's latents from the 9-channel stack, image tokens and text tokens.

    `injection` names what the (down, mid, up) blocks cross-attend to: "image", "text" or "none" (that branch is
    skipped, its residual passes), which expresses every row of the injection ablation (PAPER.md §6).
    """

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
        addition_embed_type: None = None,  # the parent's forward reads it in the config
    ):
        # the parent's __init__ without its decorator, which would add arguments we do not take to our config
        UNetMotionModel.__init__.__wrapped__(
            self,
            sample_size=sample_size,
            in_channels=in_channels,
            out_channels=out_channels,
            down_block_types=tuple(down_block_types),
            up_block_types=tuple(up_block_types),
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            cross_attention_dim=cross_attention_dim,
            num_attention_heads=num_attention_heads,
            motion_num_attention_heads=motion_num_attention_heads,
            motion_max_seq_length=motion_max_seq_length,
            use_motion_mid_block=use_motion_mid_block,
        )
        if len(injection) != 3 or not set(injection) <= {"image", "text", "none"}:
            raise ValueError(
                f'expected an injection plan of three of "image", "text", "none" (down, mid, up), got {injection!r}'
            )
        for source, blocks in zip(injection, (self.down_blocks, [self.mid_block], self.up_blocks)):
            for block in blocks:
                for module in block.modules():
                    if isinstance(module, Attention) and module.is_cross_attention:
                        module.set_processor(SkipAttention() if source == "none" else ClipAttention())
                block.register_forward_pre_hook(partial(_route, source), with_kwargs=True)
        # diffusers checkpoints only the resnets here; the attention activations are most of the memory.
        for module in self.modules():
            if isinstance(module, (AnimateDiffTransformer3D, Transformer2DModel)):
                module.forward = partial(self._recompute, module.forward)

    def _recompute(self, forward, *args, **kwargs):
        if torch.is_grad_enabled() and self.is_gradient_checkpointing:
            return torch.utils.checkpoint.checkpoint(forward, *args, use_reentrant=False, **kwargs)
        return forward(*args, **kwargs)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | int,
        encoder_hidden_states: torch.Tensor,
        image_hidden_states: torch.Tensor,
        return_dict: bool = True,
    ) -> UNetMotionOutput | tuple[torch.Tensor]:
        """
        Args:
            sample: (B, 9, N, h, w), the stack of `conditioning.stack`; N odd frames up to 35.
            timestep: scalar or (B,).
            encoder_hidden_states: (B, L, width) text tokens.
            image_hidden_states: (B, K, width) image tokens.

        Returns: (B, 4, N, h, w), noise or velocity as the scheduler is configured.
        """
        tokens = {"text": encoder_hidden_states, "image": image_hidden_states, "none": None}
        return super().forward(sample, timestep, tokens, return_dict=return_dict)


class ClipAttention(AttnProcessor2_0):
    """Attention processor for tokens that all frames of a clip share: keys and values are computed once a clip.

    hidden_states (B·N, h·w, C) against encoder_hidden_states (B, L, width), equal to repeating the tokens N times.
    """

    def __call__(self, attn, hidden_states, encoder_hidden_states, *args, **kwargs):
        queries = hidden_states.reshape(encoder_hidden_states.shape[0], -1, hidden_states.shape[-1])  # (B, N·h·w, C)
        return super().__call__(attn, queries, encoder_hidden_states, *args, **kwargs).view_as(hidden_states)


class SkipAttention:
    """Attention processor of the injection ablation's "none": adds nothing to the residual stream."""

    def __call__(self, attn, hidden_states, *args, **kwargs):
        return torch.zeros_like(hidden_states)


def _route(source: str, block, args, kwargs):
    if "encoder_hidden_states" in kwargs:
        kwargs["encoder_hidden_states"] = kwargs["encoder_hidden_states"][source]
    return args, kwargs


def widen_conv_in(conv: torch.nn.Conv2d, in_channels: int = 9) -> torch.nn.Conv2d:
    """A pretrained (C, 4, k, k) convolution as one of `in_channels`: old channels first, zeros for the new ones.

    Zeros, where the paper draws at random, so that training starts at the pretrained function (PAPER.md §5).
    """
    wide = torch.nn.Conv2d(in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : conv.in_channels] = conv.weight
        wide.bias.copy_(conv.bias)
    return wide.to(conv.weight.dtype)


def parameter_groups(unet: UNetMotionModel) -> dict[str, list[str]]:
    """Names of the UNet's parameters by module of Table 1 (PAPER.md §4): conv_in, cab, temm, temm_q, temm_k, temm_v."""
    names = [name for name, _ in unet.named_parameters()]
    temm = [name for name in names if ".motion_modules." in name]
    return {
        "conv_in": [name for name in names if name.startswith("conv_in.")],
        "cab": [name for name in names if ".attentions." in name and ".transformer_blocks." in name],
        "temm": temm,
        "temm_q": [name for name in temm if ".to_q." in name],
        "temm_k": [name for name in temm if ".to_k." in name],
        "temm_v": [name for name in temm if ".to_v." in name],
    }
