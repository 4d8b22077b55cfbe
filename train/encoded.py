"""Loops that are encoded once and trained on many times: one file each with latents, conditions and tokens."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from loopanimate.network.encoders import encode_image, encode_text
from loopanimate.pipeline import LoopAnimatePipeline
from train.loader import Batches, Loops, epoch_order, join
from train.networks import is_whole, writing


@torch.no_grad()
def with_tokens(loops: Loops, pipe: LoopAnimatePipeline, encoder_trains: bool) -> Loops:
    """Add text tokens to loops and, if the image encoder is frozen, image tokens."""
    if loops.text_tokens is None:
        loops = replace(loops, text_tokens=encode_text(pipe.tokenizer, pipe.text_encoder, list(loops.captions)))
    if loops.image_tokens is None and not encoder_trains:
        loops = replace(loops, image_tokens=encode_image(pipe.image_encoder, loops.image, loops.mask))
    return loops


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.safetensors"


def preencode(
    load: Callable[[list[list[int]]], Iterator[Loops]], numbers: Iterable[int], pipe, encoder_trains: bool, folder: Path
) -> None:
    """Write those loops of `numbers` that `folder` lacks, or has only a part of, as a copy that was cut leaves it.

    Each is written aside and renamed.

    load: from lists of numbers, the batches of loops (`real_loops`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    todo = [number for number in numbers if not is_whole(_path(folder, number))]
    loops = load([[number] for number in todo])
    for number, loop in zip(tqdm(todo, "encoding", disable=not todo, mininterval=10), loops):
        tensors = with_tokens(loop, pipe, encoder_trains).tensors()
        if not encoder_trains:  # its tokens stand for the picture
            del tensors["image"], tensors["mask"]
        partial = folder / f"{number:08d}.partial"
        with writing("encoded loops", partial):
            save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, partial)
        partial.rename(_path(folder, number))


class EncodedDataset(Dataset):
    """Pre-encoded loops 0 .. count-1, in another order each epoch."""

    def __init__(self, folder: Path, count: int, seed: int):
        self.folder, self.count, self.seed = folder, count, seed

    def __getitem__(self, index: int) -> Loops:
        epoch, place = divmod(index, self.count)
        tensors = load_file(_path(self.folder, int(epoch_order(self.seed, epoch, self.count)[place])))
        empty = tensors["latents"].new_zeros(1, 0)
        return Loops(**{"image": empty, "mask": empty, "captions": ("",), **tensors})


def encoded_loops(dataset: EncodedDataset, batches: Batches, workers: int, device) -> Iterator[Loops]:
    for loops in DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=join):
        yield loops.to(device)
