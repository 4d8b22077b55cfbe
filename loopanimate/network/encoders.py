"""Image and text tokens of each preset: what the UNet's cross-attention reads (train/METHOD.md §4, §7)."""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class PatchEncoder(ModelMixin, ConfigMixin):
    """The motion preset's image encoder, which trains with the UNet: picture and mask to a small grid of tokens."""

    @register_to_config
    def __init__(self, image_size: int = 96, channels: tuple[int, int] = (48, 96), width: int = 384):
        super().__init__()
        first, second = channels
        self.patches = nn.Sequential(
            nn.Conv2d(4, first, 4, stride=4),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(second, width, 3, stride=2, padding=1),
        )
        self.positions = nn.Parameter(torch.randn(1, (image_size // 16) ** 2, width) * 0.02)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """image (B, 3, H, W) in [-1, 1], mask (B, 1, H, W) in [0, 1] → tokens (B, K, width)."""
        size = (self.config.image_size,) * 2
        pixels = torch.cat([F.interpolate(image, size=size, mode="area"), F.interpolate(mask, size=size, mode="area")], 1)
        tokens = self.patches(pixels.to(self.dtype)).flatten(2).mT  # (B, K, width)
        return self.norm(tokens + self.positions)


def encode_image(image_encoder: ModelMixin, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Image tokens (B, K, width) of pictures (B, 3, H, W) in [-1, 1] with masks (B, 1, H, W).

    A CLIP vision model gives one token, its projected embedding. It sees the picture squashed to its square, bicubic without
    antialias, because sd-image-variations was trained so (train/METHOD.md §7).
    """
    if isinstance(image_encoder, PatchEncoder):
        return image_encoder(image, mask)
    side = image_encoder.config.image_size
    pixels = F.interpolate(image.float() / 2 + 0.5, size=(side, side), mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(values, device=image.device).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return image_encoder(((pixels - mean) / std).to(image_encoder.dtype)).image_embeds[:, None]  # (B, 1, width)


@torch.no_grad()
def encode_text(tokenizer, text_encoder, prompts: list[str]) -> torch.Tensor:
    """Text tokens (B, L, width), where L is the tokenizer's `model_max_length`; "" is the unconditional prompt.

    CLIP reads its padding, as Stable Diffusion always did. A BERT encoder does not, and its padding becomes zeros, so that
    a prompt's tokens do not depend on the prompts beside it.
    """
    length, is_bert = tokenizer.model_max_length, text_encoder.config.model_type == "bert"
    padding = "longest" if is_bert else "max_length"
    tokens = tokenizer(prompts, padding=padding, truncation=True, max_length=length, return_tensors="pt")
    if text_encoder.device.type != "meta":  # sequential offload moves inputs itself
        tokens = tokens.to(text_encoder.device)
    if not is_bert:
        return text_encoder(tokens.input_ids).last_hidden_state
    states = text_encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    states = states * tokens.attention_mask[:, :, None].to(states.dtype)
    return F.pad(states, (0, 0, 0, length - states.shape[1]))
