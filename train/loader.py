"""The loops that a training step reads: real clips, decoded and encoded ahead of the step, or procedural motion.

Sample k of a run depends on the seed and k alone (its clip, window, backward steps and skipped clips), so that ranks,
workers and resuming change nothing.
"""

import copy
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from loopanimate.motion.grid import warp
from loopanimate.network.conditioning import mask_code
from loopanimate.network.motion_codec import Flow, dis_flow
from loopanimate.presets import BUNDLED_SALIENT
from loopanimate.scene.saliency import automatic_mask, session
from train.clips import Clip, ClipError, Video, check_length
from train.loop_sampling import loop_indices
from train.stages import Stage
from train.synthetic import CELL, make_clips

MOTION_SIDE = 144  # pixels on the side of the frames that optical flow sees: 12 for each cell of the motion preset
MAX_TRIES = 50  # clips tried in place of one that cannot be used
_INHERITED = []  # mask detectors of the process that this one was forked from


@dataclass(frozen=True)
class Loops:
    """A batch of conditioned loops."""

    image: torch.Tensor  # (B, 3, H, W) in [-1, 1], F0
    mask: torch.Tensor  # (B, 1, H, W) in [0, 1], of F0
    latents: torch.Tensor  # (B, 4, N, h, w)
    static_code: torch.Tensor  # (B, 4, h, w), E(F0)
    latent_mask: torch.Tensor  # (B, 1, h, w), M0
    middle_mask: torch.Tensor  # (B, 1, h, w), M-1
    captions: tuple[str, ...]
    text_tokens: torch.Tensor | None = None  # (B, L, width), once encoded
    image_tokens: torch.Tensor | None = None  # (B, K, width), once encoded by a frozen encoder

    def tensors(self) -> dict[str, torch.Tensor]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}

    def to(self, *arguments) -> "Loops":
        return replace(self, **{name: value.to(*arguments) for name, value in self.tensors().items()})


def join(parts: list[Loops]) -> Loops:
    """Join batches of one shape."""
    tensors = {name: torch.cat([part.tensors()[name] for part in parts]) for name in parts[0].tensors()}
    return replace(parts[0], captions=sum((part.captions for part in parts), ()), **tensors)


@torch.no_grad()
def encode_loops(codec, frames: torch.Tensor, masks: torch.Tensor, captions: tuple[str, ...], flow: Flow = dis_flow) -> Loops:
    """Encode frames (B, N, S, S, 3) uint8 with masks (B, 2, S, S) in [0, 1] of F0 and F-1 for training.

    flow: the optical flow that a motion codec uses.
    """
    clip = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1  # (B, 3, N, S, S)
    image, mask = clip[:, :, 0], masks[:, :1]
    latents = (codec.encode(clip, mask, flow) if codec.is_motion else codec.encode(clip, mask)).float()
    size = latents.shape[-2:]
    latent_mask, middle_mask = mask_code(mask, size), mask_code(masks[:, 1:], size)
    if not codec.is_motion:
        return Loops(image, mask, latents, latents[:, :, 0], latent_mask, middle_mask, captions)
    # motion latents say where the mask went, so it need not be detected again
    ring, winding = codec.expand(latents)
    middle_mask = warp(latent_mask, (ring + winding / 2)[:, :2, latents.shape[2] // 2])
    small = [F.interpolate(value, size=[CELL * cells for cells in size], mode="area") for value in (image, mask)]
    return Loops(*small, latents, codec.static_code(image), latent_mask, middle_mask, captions)


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order in which an epoch goes through `count` items, (count,)."""
    return np.random.default_rng([seed, epoch]).permutation(np.arange(count, dtype=np.int32))  # half of int64's memory


class LoopDataset(Dataset):
    """Sample k: a window of a clip as the frames of one loop (train/METHOD.md §2), with its masks.

    An item is (loops, skipped), where skipped lists (id, reason) for clips that k fell on and that cannot be used. Motion
    latents whose optical flow needs no network are encoded here, in the loader's processes; otherwise the loops are frames
    and masks, which the device encodes.
    """

    def __init__(self, clips: Sequence[Clip], f: int, seed: int, codec, masks: bool, flow: Flow = dis_flow):
        self.clips, self.f, self.seed, self.flow = clips, f, seed, flow
        self.side = MOTION_SIDE if codec.is_motion else codec.factor * codec.config.short_side  # pixels of a clip's square
        self.masked = (masks or codec.is_motion, masks and not codec.is_motion)  # F0 and F-1: detect the mask; else all ones
        # the loader's processes have no GPU
        self.codec = copy.deepcopy(codec).cpu() if codec.is_motion and flow is dis_flow else None

    def __getitem__(self, index: int) -> tuple[tuple, list[tuple[str, str]]]:
        rng = random.Random(f"{self.seed} {index}")
        epoch, place = divmod(index, len(self.clips))
        clip, skipped = self.clips[epoch_order(self.seed, epoch, len(self.clips))[place]], []
        for _ in range(MAX_TRIES):
            try:
                return self._loop(clip, rng), skipped
            except ClipError as error:
                skipped.append((clip.id, str(error)))
            clip = self.clips[rng.randrange(len(self.clips))]
        return None, skipped

    def _loop(self, clip: Clip, rng: random.Random):
        with Video(clip) as video:
            start = rng.randrange(video.num_frames - check_length(video, self.f) + 1)
            frames = video.read([start + index for index in loop_indices(self.f, rng)], self.side)
        masks = np.ones((2, self.side, self.side), np.float32)
        for mask, frame, detects in zip(masks, frames[[0, self.f - 1]], self.masked):
            if detects:
                mask[:] = automatic_mask(Image.fromarray(frame))[0]
        batch = torch.from_numpy(frames)[None], torch.from_numpy(masks)[None], (clip.caption,)
        return encode_loops(self.codec, *batch) if self.codec else batch


class Batches:
    """The sample numbers of one process: `batch` numbers for each of the micro-batches `first`, `first` + `stride`, …"""

    def __init__(self, batch: int, first: int, last: int, stride: int):
        self.batch, self.numbers = batch, range(first, last, stride)

    def __iter__(self) -> Iterator[list[int]]:
        return ([number * self.batch + item for item in range(self.batch)] for number in self.numbers)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV to one thread while processes are forked: others do not live on there, and OpenCV would wait for them."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def start_worker(_: int = 0) -> None:
    """Keep a process of a loader to one core."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the mask detector
    torch.set_num_threads(1)  # torch's other threads do not live on in a fork
    if session.cache_info().currsize:
        _INHERITED.append(session(BUNDLED_SALIENT))  # its threads do not live on in a fork, so it can neither be used nor ended
        session.cache_clear()


def real_loops(
    dataset: LoopDataset, batches: Batches, workers: int, codec, device, skipped: Callable[[str, str], None]
) -> Iterator[Loops]:
    """Loops of each list of `batches`, on `device`; `skipped(id, reason)` is called for every clip that cannot be used.

    Raises: ValueError if MAX_TRIES clips in a row cannot be used.
    """
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=list, worker_init_fn=start_worker)
    with one_opencv_thread():
        items_ahead = iter(loader)
    for items in items_ahead:
        for loop, problems in items:
            for problem in problems:
                skipped(*problem)
            if loop is None:
                raise ValueError(
                    f"expected clips of enough frames that decode, got {len(problems)} in a row that do not,"
                    f" the last: {problems[-1][0]} ({problems[-1][1]})"
                )
        loops = [loop for loop, _ in items]
        if dataset.codec:
            yield join(loops).to(device)
        else:
            frames, masks, captions = zip(*loops)
            batch = torch.cat(frames).to(device), torch.cat(masks).to(device), sum(captions, ())
            yield encode_loops(codec, *batch, dataset.flow)


def procedural_loops(codec, stage: Stage, sampling: str, numbered: Iterator[tuple[int, int]], device) -> Iterator[Loops]:
    """One batch of procedural motion for each (step, seed) of `numbered`."""
    for step, seed in numbered:
        clips = make_clips(*stage.shape(step, codec.config.short_side), seed, sampling, device, focus=stage.focus(step))
        latents = codec.compress(clips.displacement)
        yield Loops(clips.image, clips.mask, latents, clips.static_code, clips.latent_mask, clips.middle_mask, clips.captions)
