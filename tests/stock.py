"""diffusers' own motion UNet as the network of train/METHOD.md §4: what ours is compared with, in numbers and in speed."""

import torch
from diffusers import UNetMotionModel

from loopanimate.network.unet import INJECTION, LoopAnimateUNet


class StockUNet(UNetMotionModel):
    """The forward pass of diffusers, tokens repeated for every frame; only who reads what is added, by hooks."""

    def route(self, injection: tuple[str, str, str] = INJECTION) -> "StockUNet":
        for source, blocks in zip(injection, (self.down_blocks, [self.mid_block], self.up_blocks)):
            for block in blocks:
                block.register_forward_pre_hook(_reads(source), with_kwargs=True)
        return self

    def context(self, text, image):
        """What LoopAnimatePipeline asks of its network; here nothing is prepared."""
        return text, image

    def forward(self, sample, timestep, text=None, image=None, context=None, cache=None):
        text, image = context or (text, image)
        frames, sets = sample.shape[2], len(text) // len(sample)
        tokens = {"text": text.repeat_interleave(frames, dim=0), "image": image.repeat_interleave(frames, dim=0)}
        return super().forward(torch.cat([sample] * sets), timestep, tokens)


def _reads(source: str):
    def choose(block, args, kwargs):
        if "encoder_hidden_states" in kwargs:
            kwargs["encoder_hidden_states"] = kwargs["encoder_hidden_states"][source]
        return args, kwargs

    return choose


def stock_unet(unet: LoopAnimateUNet) -> StockUNet:
    """The stock network with the weights of ours; they share memory."""
    names = StockUNet._get_init_keys(UNetMotionModel)
    config = {name: value for name, value in unet.config.items() if name in names}
    stock = StockUNet(**config).route(unet.config.injection)
    stock.load_state_dict(unet.state_dict(), assign=True)
    return stock.to(unet.device).eval()
