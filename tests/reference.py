"""The equations of train/METHOD.md §3-4 written out plainly in float32: what the fast implementation must equal.

No library module runs here: weights are read by name, tokens are repeated for every frame, attention is softmax(QKᵀ/√d)V,
positions are sines, each half of guidance is a pass of its own, and DDIM is its formula.
"""

import math

import torch
import torch.nn.functional as F


class ReferenceUNet:
    """The network, from a LoopAnimateUNet's weights and configuration."""

    def __init__(self, unet):
        self.weights = {name: value.double().float() for name, value in unet.state_dict().items()}
        self.config = unet.config
        self.heads = self._per_block(unet.config.num_attention_heads)
        self.motion_heads = self._per_block(unet.config.motion_num_attention_heads)

    def _per_block(self, value):
        return (value,) * len(self.config.block_out_channels) if isinstance(value, int) else tuple(value)

    def __call__(self, sample, timestep, text, image):
        """sample (B, 9, N, h, w), timestep (B,), text (B, L, width), image (B, K, width) → (B, 4, N, h, w)."""
        self.frames = sample.shape[2]
        down, middle, up = self.config.injection
        tokens = {"text": text, "image": image, "none": None}
        tokens = {k: v if v is None else v.repeat_interleave(self.frames, dim=0) for k, v in tokens.items()}
        time = self.time(timestep).repeat_interleave(self.frames, dim=0)
        depth, layers = len(self.config.block_out_channels), self.config.layers_per_block
        x = self.conv("conv_in", sample.transpose(1, 2).flatten(0, 1))
        skips = [x]
        for i in range(depth):
            for j in range(layers):
                x = self.layer(f"down_blocks.{i}", j, x, time, tokens[down], i)
                skips.append(x)
            if i + 1 < depth:
                x = self.conv(f"down_blocks.{i}.downsamplers.0.conv", x, stride=2)
                skips.append(x)
        x = self.resnet("mid_block.resnets.0", x, time)
        x = self.spatial("mid_block.attentions.0", x, tokens[middle], self.heads[-1])
        x = self.resnet("mid_block.resnets.1", x, time)
        for i in range(depth):
            for j in range(layers + 1):
                x = torch.cat([x, skips.pop()], dim=1)
                x = self.layer(f"up_blocks.{i}", j, x, time, tokens[up], depth - 1 - i)
            if i + 1 < depth:
                height, width = skips[-1].shape[-2:]
                rows = torch.arange(height) * x.shape[-2] // height
                columns = torch.arange(width) * x.shape[-1] // width
                x = self.conv(f"up_blocks.{i}.upsamplers.0.conv", x[:, :, rows][:, :, :, columns])
        x = self.conv("conv_out", F.silu(self.group_norm("conv_norm_out", x, 1e-5)))
        return x.unflatten(0, (-1, self.frames)).transpose(1, 2)

    def time(self, timestep):
        half = self.config.block_out_channels[0] // 2
        angles = timestep.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
        x = torch.cat([angles.cos(), angles.sin()], dim=1)
        return self.linear("time_embedding.linear_2", F.silu(self.linear("time_embedding.linear_1", x)))

    def layer(self, block, index, x, time, tokens, level):
        x = self.resnet(f"{block}.resnets.{index}", x, time)
        if f"{block}.attentions.{index}.norm.weight" in self.weights:
            x = self.spatial(f"{block}.attentions.{index}", x, tokens, self.heads[level])
        return self.motion(f"{block}.motion_modules.{index}", x, self.motion_heads[level])

    def resnet(self, name, x, time):
        hidden = self.conv(f"{name}.conv1", F.silu(self.group_norm(f"{name}.norm1", x, 1e-5)))
        hidden = hidden + self.linear(f"{name}.time_emb_proj", F.silu(time))[:, :, None, None]
        hidden = self.conv(f"{name}.conv2", F.silu(self.group_norm(f"{name}.norm2", hidden, 1e-5)))
        if f"{name}.conv_shortcut.weight" in self.weights:
            x = self.conv(f"{name}.conv_shortcut", x)
        return x + hidden

    def spatial(self, name, x, tokens, heads):
        """Self-attention over the pixels of a frame, then cross-attention (eq. 12-15), then the feed-forward."""
        size = x.shape[-2:]
        hidden = self.conv(f"{name}.proj_in", self.group_norm(f"{name}.norm", x, 1e-6)).flatten(2).mT
        block = f"{name}.transformer_blocks.0"
        inner = self.layer_norm(f"{block}.norm1", hidden)
        hidden = hidden + self.attention(f"{block}.attn1", inner, inner, heads)
        if tokens is not None:
            hidden = hidden + self.attention(f"{block}.attn2", self.layer_norm(f"{block}.norm2", hidden), tokens, heads)
        hidden = hidden + self.feed_forward(f"{block}.ff", self.layer_norm(f"{block}.norm3", hidden))
        return x + self.conv(f"{name}.proj_out", hidden.mT.unflatten(2, size))

    def motion(self, name, x, heads):
        """Two self-attentions over the frames at each pixel, positions added to both; GroupNorm spans all frames."""
        size = x.shape[-2:]
        clip = x.unflatten(0, (-1, self.frames)).transpose(1, 2)  # (B, C, N, h, w)
        hidden = self.group_norm(f"{name}.norm", clip, 1e-6).permute(0, 3, 4, 2, 1).flatten(0, 2)  # (B·h·w, N, C)
        hidden = self.linear(f"{name}.proj_in", hidden)
        width = hidden.shape[-1]
        angles = torch.arange(self.frames)[:, None] * torch.exp(-math.log(10000) * torch.arange(0, width, 2) / width)
        positions = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)  # (N, C)
        block = f"{name}.transformer_blocks.0"
        for index in (1, 2):
            inner = self.layer_norm(f"{block}.norm{index}", hidden) + positions
            hidden = hidden + self.attention(f"{block}.attn{index}", inner, inner, heads)
        hidden = hidden + self.feed_forward(f"{block}.ff", self.layer_norm(f"{block}.norm3", hidden))
        hidden = self.linear(f"{name}.proj_out", hidden).unflatten(0, (-1, *size))  # (B, h, w, N, C)
        return x + hidden.permute(0, 3, 4, 1, 2).flatten(0, 1)

    def attention(self, name, x, tokens, heads):
        query, key, value = (
            (source @ self.weights[f"{name}.to_{part}.weight"].T).unflatten(2, (heads, -1)).transpose(1, 2)
            for part, source in (("q", x), ("k", tokens), ("v", tokens))
        )
        weights = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
        return self.linear(f"{name}.to_out.0", (weights @ value).transpose(1, 2).flatten(2))

    def feed_forward(self, name, x):
        value, gate = self.linear(f"{name}.net.0.proj", x).chunk(2, dim=-1)
        return self.linear(f"{name}.net.2", value * gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2))))

    def group_norm(self, name, x, eps):
        groups = x.unflatten(1, (self.config.norm_num_groups, -1)).flatten(2)
        centred = groups - groups.mean(-1, keepdim=True)
        normal = (centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()).view_as(x)
        shape = (-1,) + (1,) * (x.ndim - 2)
        return normal * self.weights[f"{name}.weight"].view(shape) + self.weights[f"{name}.bias"].view(shape)

    def layer_norm(self, name, x):
        centred = x - x.mean(-1, keepdim=True)
        normal = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return normal * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def conv(self, name, x, stride=1):
        weight = self.weights[f"{name}.weight"]
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)


def reference_loop(network, code, mask, text, image, empty, noise, timesteps, alphas, guidance):
    """DDIM sampling of a loop with held ends and guidance on words and picture (train/METHOD.md §3, eq. 5-11).

    code: E(F0) (B, 4, h, w); mask (B, 1, h, w) at latent size; text, empty (B, L, width); image (B, 1, width); noise
    (B, 4, N, h, w); timesteps descending; alphas: cumulative products, [t] for each and [-1] for the end of sampling.
    """
    frames = noise.shape[2]
    given = torch.cat([torch.zeros_like(noise), torch.ones_like(noise[:, :1])], dim=1)
    for end in (0, frames - 1):
        given[:, :4, end], given[:, 4:, end] = code, mask
    clip = code[:, :, None].repeat(1, 1, frames, 1, 1)

    def noised(alpha):
        return alpha.sqrt() * clip + (1 - alpha).sqrt() * noise

    latents = noised(alphas[timesteps[0]])
    for index, timestep in enumerate(timesteps):
        last = index + 1 == len(timesteps)
        now, after = alphas[timestep], alphas[-1] if last else alphas[timesteps[index + 1]]
        sample, time = torch.cat([latents, given], dim=1), torch.tensor([timestep] * len(noise))
        without = network(sample, time, empty, torch.zeros_like(image))
        prediction = without + guidance * (network(sample, time, text, image) - without)
        clean = (latents - (1 - now).sqrt() * prediction) / now.sqrt()
        latents = after.sqrt() * clean + (1 - after).sqrt() * prediction
        held = clip if last else noised(after)
        latents[:, :, [0, -1]] = held[:, :, [0, -1]]
    return latents
