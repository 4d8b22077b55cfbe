"""What a run is judged by while it trains: loss and sample loops of clips that it never trains on, by its running mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel

from loopanimate.network.encoders import encode_text
from loopanimate.pipeline import LoopAnimatePipeline
from train.clips import collect
from train.encoded import with_tokens
from train.flow import estimator
from train.loader import Batches, LoopDataset, Loops, procedural_loops, real_loops
from train.networks import encoding, write_strip
from train.objectives import TrainedNetworks, clip_loss, draw
from train.settings import TrainSettings
from train.stages import Stage

HELD_OUT = 9_000_000_000_000  # first seed of held-out draws and procedural motion; no run gets so far
BATCHES = 16  # of loops whose loss is taken
SAMPLES = 2  # loops that are sampled
SHEET = 5  # frames of a sample loop in the log


@torch.no_grad()
def held_out_loss(networks, pipe: LoopAnimatePipeline, batches: list[Loops], stage: Stage, seed: int = HELD_OUT) -> float:
    """The training loss of `batches`, with the same draws each time, which lie evenly over the schedule of noise."""
    empty, together = encode_text(pipe.tokenizer, pipe.text_encoder, [""]), sum(len(loops.latents) for loops in batches)
    losses, first = [], 0
    for loops in batches:
        draws = draw(loops, seed, first, together, pipe, stage)
        losses += [clip_loss(networks, pipe.scheduler, loops, draws, empty, stage).item()] * len(loops.latents)
        first += len(loops.latents)
    return float(np.mean(losses))


class Validation:
    """Loss and sample loops of the same loops, draws and seeds each time.

    The loops are those of --validation; without it, held-out procedural motion, or clips of --data, of which only samples
    are made: their loss would be that of training.
    """

    def __init__(self, accelerator: Accelerator, settings: TrainSettings, stage: Stage, pipe: LoopAnimatePipeline):
        self.accelerator, self.stage, self.pipe = accelerator, stage, pipe
        self.networks = TrainedNetworks(pipe.unet, pipe.image_encoder if stage.trains_encoder else None)
        source = settings.validation or settings.data
        self.is_held_out = bool(settings.validation or not settings.data)
        count = BATCHES if self.is_held_out else SAMPLES
        if source:
            clips = collect(source)[0]
            dataset = LoopDataset(clips, stage.f, HELD_OUT, pipe.codec, stage.salient, estimator(settings.flow, pipe.device))
            numbers = Batches(1, 0, min(count, len(clips)), 1)
            loops = real_loops(dataset, numbers, 0, pipe.codec, accelerator.device, lambda *_: None)
        else:
            seeds = enumerate(range(HELD_OUT, HELD_OUT + count), stage.iterations)
            loops = procedural_loops(pipe.codec, stage, settings.sampling, seeds, accelerator.device)
        with encoding(accelerator, pipe):
            encoded = (with_tokens(batch, pipe, stage.trains_encoder) for batch in loops)
            self.batches = [batch.to(pipe.unet.dtype) for batch in islice(encoded, count)]

    def run(self, step: int, folder, parameters: list[torch.nn.Parameter], ema: EMAModel | None) -> None:
        """Log the loss and write the samples into FOLDER/samples, by the running mean where there is one."""
        with _averaged(parameters, ema), self.accelerator.autocast():
            self.networks.eval()
            if self.is_held_out:
                loss = held_out_loss(self.networks, self.pipe, self.batches, self.stage)
                self.accelerator.log({"validation_loss": loss}, step=step)
            for number, loops in enumerate(self.batches[:SAMPLES]):
                self._sample(loops, folder / "samples", f"{step:07d}-{number}")
            self.networks.train()

    def _sample(self, loops: Loops, folder, name: str) -> None:
        image, mask = (value[:1].float() for value in (loops.image, loops.mask))
        clip = self.pipe(
            image=image / 2 + 0.5,
            mask_image=mask,
            prompt=loops.captions[0],
            num_frames=self.stage.num_frames,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).frames[0]
        folder.mkdir(exist_ok=True)
        strip = write_strip((clip * 255).round().astype(np.uint8), folder / f"{name}.webp", SHEET)
        for tracker in self.accelerator.trackers:
            tracker.writer.add_image(f"sample-{name.split('-')[1]}", strip, int(name.split("-")[0]), dataformats="HWC")


@contextmanager
def _averaged(parameters: list[torch.nn.Parameter], ema: EMAModel | None) -> Iterator[None]:
    """Let networks have their running mean for a while."""
    if ema:
        ema.store(parameters)
        ema.copy_to(parameters)
    yield
    if ema:
        ema.restore(parameters)
