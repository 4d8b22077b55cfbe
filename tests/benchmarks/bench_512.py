"""What the 512 preset's own forward pass saves: python -m tests.benchmarks.bench_512.

The same pipeline, weights, steps and prompt twice, interleaved: with our network, and with diffusers' motion UNet as it is
(eager, tokens repeated for every frame). Weights are random: speed does not depend on them. On a CUDA GPU at full size in
bfloat16, with peak memory and the share of the card's measured matrix rate; on a CPU at a small size in float32. What is
*counted* (floating-point operations, bytes of live tensors) is of the full size and needs no GPU.
"""

import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from loopanimate.checkpoints import load_pipeline
from loopanimate.network.codecs import VAECodec
from loopanimate.network.unet import LoopAnimateUNet
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.presets import PRESETS
from tests.stock import stock_unet
from train.stages import STAGES, trainable_names

PROMPT = "it sways gently to the left"


@dataclass(frozen=True)
class Size:
    unet: dict  # arguments of LoopAnimateUNet
    vae: dict  # of AutoencoderKL
    text: dict  # of CLIPTextConfig
    vision: dict  # of CLIPVisionConfig
    side: int  # pixels
    frames: tuple[int, ...]  # the last is the one compared
    steps: int
    rounds: int  # of each network, after one to warm up


FULL = Size(
    unet=PRESETS["512"].unet,
    vae={"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
    text={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    vision={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "projection_dim": 768,
    },
    side=512,
    frames=(15, 21, 35),
    steps=25,
    rounds=3,
)
SMALL = Size(
    unet={"block_out_channels": (64, 128, 128, 128), "cross_attention_dim": 64, "norm_num_groups": 16},
    vae={"block_out_channels": (16, 16, 16, 16), "norm_num_groups": 8},
    text={"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4},
    vision={"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "projection_dim": 64},
    side=160,
    frames=(5, 7, 11),
    steps=2,
    rounds=5,
)


def build(size: Size, device: str, dtype: torch.dtype) -> LoopAnimatePipeline:
    """The 512 preset's pipeline with random weights, made on the device in their final precision."""
    torch.set_default_dtype(dtype)
    with torch.device(device):
        blocks = len(size.vae["block_out_channels"])
        vae = AutoencoderKL(
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            **size.vae,
        )
        words = ["<|startoftext|>", "<|endoftext|>", "l", "l</w>"]
        pipe = LoopAnimatePipeline(
            unet=LoopAnimateUNet(**size.unet).eval(),
            scheduler=DDIMScheduler(**PRESETS["512"].scheduler),
            codec=VAECodec.from_vae(vae, size.side // 8).eval(),
            image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**size.vision, patch_size=14)).eval(),
            tokenizer=CLIPTokenizer({word: i for i, word in enumerate(words)}, [], model_max_length=77),
            text_encoder=CLIPTextModel(CLIPTextConfig(**size.text, max_position_embeddings=77)).eval(),
            guidance_scale=PRESETS["512"].guidance_scale,
        )
    torch.set_default_dtype(torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sample(pipe: LoopAnimatePipeline, size: Size, frames: int) -> torch.Tensor:
    image = torch.rand(1, 3, size.side, size.side, generator=torch.Generator().manual_seed(0))
    return pipe(
        image=image,
        prompt=PROMPT,
        num_frames=frames,
        num_inference_steps=size.steps,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
    ).frames


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_gigabytes(pipe: LoopAnimatePipeline, call: Callable[[], object]) -> float:
    """Most memory that was allocated, as if `pipe` were alone on the GPU."""
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    networks = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    own = sum(t.nbytes for part in networks for t in (*part.parameters(), *part.buffers()) if t.is_cuda)
    return (torch.cuda.max_memory_allocated() - before + own) / 1e9


def matrix_rate() -> float:
    """Measured TFLOP/s of a large bfloat16 matrix product."""
    left, right = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 20 * 2 * 8192**3 / min(seconds(lambda: [left @ right for _ in range(20)]) for _ in range(4)) / 1e12


class FusedAttention(torch.autograd.Function):
    """The memory of a fused attention kernel: no scores; the backward pass needs its inputs and its result."""

    @staticmethod
    def forward(ctx, query, key, value):
        result = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, result)
        return result

    @staticmethod
    def backward(ctx, gradient):
        return tuple(torch.empty_like(saved) for saved in ctx.saved_tensors[:3])


def fused_attention():
    """Attention as the fused kernels of a GPU do it; tensors without data would take the path that keeps the scores."""
    return mock.patch.object(F, "scaled_dot_product_attention", lambda *qkv, **_: FusedAttention.apply(*qkv[:3]))


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive at one time."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.known = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.known:
                storage = tensor.untyped_storage()
                self.known.add(storage._cdata)
                self.live += storage.nbytes()
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        return result

    def _freed(self, key: int, size: int):
        self.known.discard(key)
        self.live -= size


def counted(frames: int) -> dict[str, dict[str, float]]:
    """Operations (T) and peak bytes of activations (GB, bfloat16) of one guided step at full size, by network."""
    result = {}
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"), torch.no_grad():
        ours = LoopAnimateUNet(**FULL.unet).eval()
        networks = {"stock": (stock_unet(ours), 2), "ours": (ours, 2), "ours, one half of guidance": (ours, 1)}
        for name, (unet, halves) in networks.items():
            noisy, timestep = torch.empty(1, 9, frames, FULL.side // 8, FULL.side // 8), torch.empty(1, dtype=torch.long)
            context = unet.context(torch.empty(halves, 77, 768), torch.empty(halves, 1, 768))
            with FlopCounterMode(display=False) as operations:
                unet(noisy, timestep, context=context)
            with fused_attention(), LiveBytes() as memory:
                unet(noisy, timestep, context=context)
            result[name] = {"T": operations.get_total_flops() / 1e12, "GB": memory.peak / 1e9}
    torch.set_default_dtype(torch.float32)
    return result


def counted_training(frames: int, checkpointing: bool) -> float:
    """GB that a float32 training step of stage 3 holds at most at full size, batch 1: weights, activations, gradients."""
    with torch.device("meta"):
        unet = LoopAnimateUNet(**FULL.unet).train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
        trained = trainable_names(unet, STAGES["512"][3])
        for name, parameter in unet.named_parameters():
            parameter.requires_grad_(name in trained)
        noisy, text, image = torch.empty(1, 9, frames, 64, 64), torch.empty(1, 77, 768), torch.empty(1, 1, 768)
        with fused_attention(), LiveBytes() as memory:
            unet(noisy, torch.empty(1, dtype=torch.long), text, image).sample.square().mean().backward()
    moments = 2 * sum(parameter.nbytes for parameter in unet.parameters() if parameter.requires_grad)  # AdamW's
    return (memory.peak + moments + sum(parameter.nbytes for parameter in unet.parameters())) / 1e9


def training_gigabytes() -> float:
    """Peak memory of a stage 3 step: 35 frames at 512 x 512, batch 1, weights in float32, gradient checkpointing."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before, stage = torch.cuda.memory_allocated(), STAGES["512"][3]
    with torch.device("cuda"):
        unet = LoopAnimateUNet(**FULL.unet).train()
        noisy, text, image = torch.randn(1, 9, 35, 64, 64), torch.randn(1, 77, 768), torch.randn(1, 1, 768)
    unet.enable_gradient_checkpointing()
    trained = trainable_names(unet, stage)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(name in trained)
    optimizer = torch.optim.AdamW([p for p in unet.parameters() if p.requires_grad], lr=stage.learning_rate)
    for _ in range(2):
        with torch.autocast("cuda", torch.bfloat16):
            loss = unet(noisy, 500, text, image).sample.float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return (torch.cuda.max_memory_allocated() - before) / 1e9


def approximations() -> None:
    """What the opt-in approximations cost in deviation, on the bundled model's trained weights."""
    pipe = load_pipeline("motion", device="cpu")
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))

    def loop(**options):
        return pipe(
            image=image,
            prompt=PROMPT,
            num_frames=15,
            num_inference_steps=12,
            guidance_scale=2.0,
            output_type="latent",
            generator=torch.Generator().manual_seed(0),
            **options,
        ).frames

    exact = loop()
    for options in ({"cache_interval": 2}, {"cache_interval": 3}, {"guidance_interval": (0.0, 0.5)}):
        deviation = (loop(**options) - exact).norm() / exact.norm()
        print(f"approximation {options}: the bundled model's latents deviate by {deviation:.1%}")


def main() -> None:
    count = counted(35)
    for name, values in count.items():
        print(f"counted, one step of 35 frames, {name}: {values['T']:.1f} T operations, {values['GB']:.2f} GB of activations")
    print(f"operations removed: {1 - count['ours']['T'] / count['stock']['T']:.1%}")
    kept, recomputed = counted_training(35, False), counted_training(35, True)
    print(f"counted, a float32 training step of stage 3: {kept:.0f} GB, {recomputed:.0f} GB with gradient checkpointing")
    approximations()
    cuda = torch.cuda.is_available()
    size, device = (FULL, "cuda") if cuda else (SMALL, "cpu")
    ours = build(size, device, torch.bfloat16 if cuda else torch.float32)
    stock = LoopAnimatePipeline(**{**ours.components, "unet": stock_unet(ours.unet)}, guidance_scale=7.5)
    stock.set_progress_bar_config(disable=True)
    if cuda:
        ours.speed_up()
    frames, times = size.frames[-1], {"stock": [], "ours": []}
    for turn in range(size.rounds + 1):
        for name, pipe in (("stock", stock), ("ours", ours)):
            spent = seconds(lambda pipe=pipe: sample(pipe, size, frames))
            if turn:  # the first compiles and warms up
                times[name].append(spent)
    taken = {name: statistics.median(values) for name, values in times.items()}
    print(f"{device}, {frames} frames of {size.side} x {size.side}, {size.steps} steps, guidance on, median of {size.rounds}:")
    for name, value in taken.items():
        print(f"  {name}: {value:.2f} s a loop ({min(times[name]):.2f} to {max(times[name]):.2f})")
    print(f"  ratio {taken['stock'] / taken['ours']:.2f}")
    for fewer in size.frames[:-1]:
        sample(ours, size, fewer)
        spent = statistics.median(seconds(lambda n=fewer: sample(ours, size, n)) for _ in range(size.rounds))
        growth = taken["ours"] / spent / (frames / fewer)
        print(f"  {fewer} frames: {spent:.2f} s; growth to {frames} is {growth:.2f} x linear")
    if cuda:
        achieved, rate = size.steps * count["ours"]["T"] / taken["ours"], matrix_rate()
        print(f"  {achieved:.0f} TFLOP/s, {achieved / rate:.0%} of the {rate:.0f} TFLOP/s of a matrix product")
        for name, pipe in (("stock", stock), ("ours", ours)):
            print(f"  peak memory, {name}: {peak_gigabytes(pipe, lambda pipe=pipe: sample(pipe, size, frames)):.1f} GB")
        latents = sample(ours, size, frames)
        decoding = peak_gigabytes(ours, lambda: ours.codec.decode(latents))
        print(f"  peak memory, decoding: {decoding:.1f} GB")
        del stock, ours
        lean = build(size, "cpu", torch.bfloat16)
        lean.enable_model_cpu_offload()
        print(f"  peak memory, offloaded: {peak_gigabytes(lean, lambda: sample(lean, size, frames)):.1f} GB")
        lean.maybe_free_model_hooks()
        print(f"  peak memory, a training step of stage 3: {training_gigabytes():.1f} GB")
    else:
        print("no CUDA device: seconds, memory and matrix rate at full size were not measured")


if __name__ == "__main__":
    main()
