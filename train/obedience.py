"""Does the motion preset obey? Measured on pictures and phrasings it never saw (PAPER.md §6).

Everything is measured on sampled displacement and on rendered frames, never on the generator's own parameters.
"""

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from loopanimate.files.pictures import open_picture
from loopanimate.metrics import is_seamless, seam
from loopanimate.motion.field import LoopField, border_fade, border_reach, close, spline_matrix, touched
from loopanimate.motion.hands import Directions
from loopanimate.network.conditioning import mask_code
from loopanimate.network.motion_codec import MotionCodec
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.render.renderer import Renderer
from loopanimate.scene.saliency import automatic_mask
from loopanimate.words.intent import Manner, manner
from loopanimate.words.read import interpret
from train.grammar import DIRECTIONS, STILL, VERBS, Motion, phrase
from train.kinds import KindClassifier, true_motion

SIDE = 256  # pixels on the short side: the motion preset sees no more
STILLNESS = 0.002  # short sides, the largest mean displacement of what should be still
WHOLE = ("shift", "bob", "bounce", "ripple", "tremble")  # kinds in which nothing is pinned: all of the object moves
TOGETHER = 12  # loops of one picture that are sampled at once
SMOOTH_HARMONICS = 7  # of a curve against itself without higher ones: jitter


def pictures(folder: str | None) -> list[tuple[str, Image.Image, Image.Image]]:
    """(name, picture, mask) of each picture with a clear object in `folder`, or of scikit-image's photographs."""
    if folder:
        found = [(path.name, open_picture(path)) for path in sorted(Path(folder).iterdir()) if path.is_file()]
    else:
        from skimage import data

        names = ("astronaut", "camera", "chelsea", "coffee", "rocket")
        found = [(name, Image.fromarray(getattr(data, name)()).convert("RGB")) for name in names]
        found.append(("motorcycle", Image.fromarray(data.stereo_motorcycle()[0])))
    chosen = []
    for name, picture in found:
        scale = SIDE / min(picture.size)
        picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.LANCZOS)
        mask, clear = automatic_mask(picture)
        if clear:
            chosen.append((name, picture, Image.fromarray((mask * 255).astype(np.uint8))))
    if not chosen:
        raise ValueError(f"expected pictures with a clear object, found none in {folder}")
    return chosen


class Sample:
    """One sampled loop: its displacement, and each layer's mean over where it is."""

    def __init__(
        self,
        codec: MotionCodec,
        picture: Image.Image,
        mask: Image.Image,
        prompt: str,
        latents: torch.Tensor,
        drawn: torch.Tensor,
    ):
        self.picture, self.mask, self.prompt = picture, mask, prompt
        grey = np.asarray(mask, dtype=np.float32) / 255
        directions = Directions((), (), None, grey, manner(prompt, prompt))  # as every road to a loop has them
        self.drawn = _closed(*close(codec.displacement(drawn)))  # (N, 4, h, w) in short sides, by the network alone
        self.displacement = _closed(*directions.applied(*close(codec.displacement(latents))))  # nothing put to rest
        self.inside = mask_code(torch.from_numpy(grey)[None, None], self.displacement.shape[-2:])[0, 0].numpy()  # (h, w)
        self.mean, self.size, self.jitter = self._measured(self.displacement)

    def _measured(self, displacement: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each layer over where it is: mean displacement (N, 2, xy), mean size (N, 2), mean jitter (2,)."""
        weights = np.stack([self.inside, 1 - self.inside])[:, None]  # (2, 1, h, w)
        weights = weights / np.maximum(weights.sum((-2, -1), keepdims=True), 1e-6)
        layers = displacement.reshape(-1, 2, 2, *displacement.shape[-2:])  # (N, layer, xy, h, w)
        sizes = np.linalg.norm(layers, axis=2)  # (N, layer, h, w)
        ring = (layers - np.linspace(0, 1, len(layers))[:, None, None, None, None] * layers[-1])[:-1]
        spectrum = np.fft.rfft(ring, axis=0)
        spectrum[SMOOTH_HARMONICS:] = 0
        rough = np.linalg.norm(ring - np.fft.irfft(spectrum, n=len(ring), axis=0), axis=2)
        mean = (layers * weights).sum((-2, -1))
        return mean, (sizes * weights[:, 0]).sum((-2, -1)), (rough * weights[:, 0]).sum((-2, -1)).mean(0)

    @cached_property
    def field(self) -> LoopField:
        grey = np.asarray(self.mask, dtype=np.float32) / 255
        rests = Manner(rests=manner(self.prompt, self.prompt).rests)  # the rest of it has been applied
        return LoopField(self.displacement, 1.0, Directions((), (), None, grey, rests), touched(grey))

    @cached_property
    def shown(self) -> np.ndarray:
        """Displacement as the renderer shows it (N, 4, h, w): closed, at rest where it should, unfolded."""
        return np.stack([self.field.at(time)[0] for time in range(self.field.period)])

    @cached_property
    def frames(self) -> np.ndarray:
        """The ring at the native rate, (N-1, H, W, 3) uint8."""
        grey = np.asarray(self.mask, dtype=np.float32) / 255
        renderer = Renderer(np.asarray(self.picture), grey, self.field)
        return np.stack([renderer.frame(time) for time in range(self.field.period)])

    def peak(self, layer: int = 0) -> float:
        """Mean size of a layer's displacement at its extreme."""
        return float(self.size[:, layer].max())

    def crossings(self) -> int:
        """How often the salient layer's mean displacement, along its main axis, crosses its mean over time."""
        centred = self.mean[:-1, 0] - self.mean[:-1, 0].mean(0)
        curve = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        return int((np.sign(curve) != np.sign(np.roll(curve, 1))).sum())

    @property
    def core(self) -> np.ndarray:
        """(h, w) bool: the cells that the mask mostly fills; of what is thinner than a cell, those that it fills most."""
        return self.inside > 0.5 * self.inside.max()

    def reversal(self) -> float:
        """Correlation of the salient layer's motion with itself played backwards: 1 is a ping-pong."""
        inside = self.displacement[:, :2, self.core]  # (N, 2, cells)
        centred = inside - inside.mean(0)
        return float((centred * centred[::-1]).sum() / max((centred**2).sum(), 1e-12))

    def taking_part(self) -> float:
        """Share of the cells inside the mask that move at least a fifth of what the layer does on average."""
        sizes = np.hypot(self.shown[:, 0], self.shown[:, 1]).max(0)[self.core]  # (cells,)
        return float((sizes > 0.2 * sizes.mean()).mean())

    def unfolded(self) -> tuple[int, int]:
        """Cells whose Jacobian determinant, as shown and border included, is above 0.2; and all cells, of both layers."""
        height, width = self.shown.shape[-2:]
        rows, columns = spline_matrix(height, 4 * height), spline_matrix(width, 4 * width)
        fades = [border_fade(4 * height, 4 * width, border_reach(self.field.reach), borders) for borders in self.field.borders]
        field = rows @ self.shown @ columns.T * np.repeat(fades, 2, axis=0)
        by_y, by_x = (np.gradient(field, 1 / (4 * min(height, width)), axis=axis) for axis in (-2, -1))
        determinant = (1 - by_x[:, 0::2]) * (1 - by_y[:, 1::2]) - by_x[:, 1::2] * by_y[:, 0::2]
        return int((determinant > 0.2).sum()), determinant.size

    def sharpness(self) -> float:
        """Detail inside the mask at the extreme, over that of a Lanczos warp of the picture by the same field."""
        grey = np.asarray(self.mask, dtype=np.float32) / 255
        time = int(np.hypot(self.shown[:, 0], self.shown[:, 1]).mean((-2, -1)).argmax())
        rows, columns = (spline_matrix(cells, pixels) for cells, pixels in zip(self.inside.shape, grey.shape))
        fade = border_fade(*grey.shape, border_reach(self.field.reach), self.field.borders[0]) * min(grey.shape)
        across, down = (rows @ axis @ columns.T * fade for axis in self.field.at(time)[0][:2])  # pixels
        y, x = np.mgrid[0 : across.shape[0], 0 : across.shape[1]].astype(np.float32)
        options = {"interpolation": cv2.INTER_LANCZOS4, "borderMode": cv2.BORDER_REPLICATE}
        warped = cv2.remap(np.asarray(self.picture), x - across.astype(np.float32), y - down.astype(np.float32), **options)
        deep = cv2.erode((grey > 0.9).astype(np.uint8), np.ones((9, 9))) > 0
        ours, theirs = (
            cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[deep].var()
            for frame in (self.frames[time], warped)
        )
        return float(ours / theirs)


def _closed(ring: np.ndarray, winding: np.ndarray) -> np.ndarray:
    return ring + np.linspace(0, 1, len(ring), dtype=np.float32)[:, None, None, None] * winding


@dataclass(frozen=True)
class Case:
    """One loop of the plan. `purpose` names the row that it is for; every loop serves the rows that fit all."""

    entry: int  # picture
    prompt: str
    motion: Motion
    seed: int
    purpose: str
    group: int = 0  # loops that are compared with each other


def plan(entries: int, first: int = 0) -> list[Case]:
    """36 loops a picture, in held-out phrasings; their seeds begin at `first`."""
    cases: list[Case] = []
    for entry in range(entries):
        rng = random.Random(entry)

        def case(purpose, kind, seed, group=0, strength="plainly", tempo="", entry=entry, rng=rng, **named):
            words, motion = phrase(rng, kind, "it", held_out=True, strength=strength, tempo=tempo, **named)
            return Case(entry, words, motion, first + seed, purpose, group)

        def alike(purpose, kind, group, variants, rng=rng, case=case, cases=cases):
            """One phrasing, varied."""
            state = rng.getstate()
            for variant in variants:
                rng.setstate(state)
                cases.append(case(purpose, kind, group=group, named=False, **variant))

        for index, kind in enumerate(("shift",) * 4 + ("sway", "rock", "swing") + ("stream",) * 3):
            sides = list(DIRECTIONS) if kind in ("shift", "stream") else [0, 180]
            cases.append(case("direction", kind, index, direction=rng.choice(sides), named=True))
        for index, kind in enumerate(("sway", "shift")):
            strengths = ("gently", "plainly", "strongly")
            alike("strength", kind, 10 * entry + index, [{"strength": word, "seed": 20} for word in strengths])
        for index, kind in enumerate(("shift", "bob")):
            alike("tempo", kind, 10 * entry + index, [{"tempo": word, "seed": 21} for word in ("slowly", "quickly")])
        cases += [case("kind", kind, 30 + index, named=False) for index, kind in enumerate(VERBS)]
        cases += [Case(entry, rng.choice(STILL), Motion(), first + 50 + index, "still") for index in range(2)]
        alike("seeds", "sway", entry, [{"seed": 60}, {"seed": 61}])
    return cases


def evaluate(
    pipe: LoopAnimatePipeline,
    folder: str | None = None,
    num_frames: int = 35,
    sheets: str | None = None,
    limit: int | None = None,
    rendered: bool = True,
    first: int = 0,
    **options,
) -> dict:
    """The table of measures; `options` go to the pipeline's call.

    Args:
        sheets: folder for a contact sheet of each loop.
        limit: pictures at most.
        rendered: False leaves out what is measured on frames, which takes most of the time.
        first: the least seed of a loop.
    """
    entries = pictures(folder)[:limit]
    cases = plan(len(entries), first)
    samples, taken = [], []
    batches = [
        own[start : start + TOGETHER]
        for own in (list(group) for _, group in groupby(cases, lambda case: case.entry))
        for start in range(0, len(own), TOGETHER)
    ]
    for batch in tqdm(batches, mininterval=5):
        words, notes = zip(*(interpret(case.prompt, pipe) for case in batch))  # as every road to a loop does
        taken += [note is not None for note in notes]
        _, picture, mask = entries[batch[0].entry]
        drawn = {}

        def keep(_pipe, _step, _timestep, tensors, drawn=drawn):
            drawn.update(tensors)
            return {}

        latents = pipe(
            image=[picture] * len(batch),
            mask_image=[mask] * len(batch),
            prompt=list(words),
            generator=[torch.Generator().manual_seed(case.seed) for case in batch],
            num_frames=num_frames,
            output_type="latent",
            callback_on_step_end=keep,
            **options,
        ).frames
        samples += [Sample(pipe.codec, picture, mask, *loop) for loop in zip(words, latents, drawn["latents"])]
    for index, sample in enumerate(samples if sheets else (), 1):
        _write_sheet(sample, Path(sheets) / f"{index:03d}.png")
    pairs = list(zip(cases, samples))
    table = {"pictures": len(entries), "loops": len(cases)}
    table["prompts taken for a known motion, percent"] = _share(taken)
    table |= _words(pairs, num_frames) | _stillness(pairs)
    return table | _sharpness(pairs) | _seams(pairs) if rendered else table


def _share(values) -> float:
    return 100 * float(np.mean(list(values)))


def _groups(pairs, purpose: str) -> list[list[Sample]]:
    groups: dict[int, list[Sample]] = {}
    for case, sample in pairs:
        if case.purpose == purpose:
            groups.setdefault(case.group, []).append(sample)
    return list(groups.values())


def _off_course(means: np.ndarray, motion: Motion) -> float:
    """Degrees between where a layer of mean displacements (N, 2) goes and where words ask for: at its extreme or, streaming,
    at the end of the loop."""
    dx, dy = means[-1 if motion.kind == "stream" else np.linalg.norm(means, axis=1).argmax()]
    return abs((math.degrees(math.atan2(dy, dx)) - motion.direction + 180) % 360 - 180)


def _words(pairs, num_frames: int) -> dict:
    directed = [(case, sample) for case, sample in pairs if case.purpose == "direction"]
    angles = [_off_course(sample.mean[:, 0], case.motion) for case, sample in directed]
    drawn = [_off_course(sample._measured(sample.drawn)[0][:, 0], case.motion) for case, sample in directed]
    strengths = [[sample.peak() for sample in triple] for triple in _groups(pairs, "strength")]
    tempos = [[sample.crossings() for sample in pair] for pair in _groups(pairs, "tempo")]
    named = [(case, sample) for case, sample in pairs if case.purpose == "kind"]
    classifier = KindClassifier(num_frames)
    rng, generator = random.Random(1), torch.Generator().manual_seed(1)
    recognised, sampled, ceiling = [], [], []
    for case, sample in named:
        inside = torch.from_numpy(sample.inside)[None]
        for displacement, found in ((sample.displacement, recognised), (sample.drawn, sampled)):
            moved = torch.from_numpy(displacement[None, :, :2]).transpose(1, 2).float()
            found += [kind == case.motion.kind for kind in classifier(moved, inside)]
        truth = true_motion(case.motion.kind, inside[None].expand(8, -1, -1, -1), rng, generator, num_frames)
        ceiling += [kind == case.motion.kind for kind in classifier(truth, inside.expand(8, -1, -1))]
    seeds = [
        float(np.linalg.norm(a.mean[:, 0] - b.mean[:, 0], axis=1).mean() / ((a.peak() + b.peak()) / 2))
        for a, b in _groups(pairs, "seeds")
    ]
    return {
        "direction within 45 degrees, percent": _share(angle < 45 for angle in angles),
        "direction within 90 degrees, percent": _share(angle < 90 for angle in angles),
        "direction within 45 and 90 degrees, as sampled": [_share(angle < limit for angle in drawn) for limit in (45, 90)],
        "gently < plainly < strongly, percent of triples": _share(a < b < c for a, b, c in strengths),
        "median displacement gently, plainly, strongly": [100 * float(np.median(part)) for part in zip(*strengths)],
        "slowly < quickly, percent of pairs": _share(a < b for a, b in tempos),
        "kind recognised, percent": _share(recognised),
        "kind recognised, as sampled": _share(sampled),
        "kind recognised in true motion, percent": _share(ceiling),
        "two seeds differ, median share of the size": float(np.median(seeds)),
    }


def _stillness(pairs) -> dict:
    moving = [(case, sample) for case, sample in pairs if case.purpose != "still"]
    nothing = [sample for case, sample in pairs if case.purpose == "still"]
    silent = [sample.peak(1) for _, sample in moving] + [sample.peak(layer) for sample in nothing for layer in (0, 1)]
    jitters = [sample.jitter[1] for _, sample in moving] + [sample.jitter.max() for sample in nothing]
    whole = [sample for case, sample in moving if case.motion.kind in WHOLE]
    shown = [_peak(sample.shown[:, 2:], 1 - sample.inside) for _, sample in moving]
    ratios = [_peak(sample.shown[:, 2:], 1 - sample.inside) / _peak(sample.shown[:, :2], sample.inside) for sample in whole]
    raw = [sample.peak(1) / sample.peak(0) for sample in whole]
    unfolded, cells = np.sum([sample.unfolded() for _, sample in pairs], axis=0)
    return {
        "what should be still moves less than 0.2 percent, sampled": _share(size < STILLNESS for size in silent),
        "the layer that is not named moves less than 0.2 percent, shown": _share(size < STILLNESS for size in shown),
        "median of what should be still, percent of the short side": 100 * float(np.median(silent)),
        '"nothing moves", median of the salient layer': 100 * float(np.median([sample.peak(0) for sample in nothing])),
        "jitter of what should be still, median, percent of the short side": 100 * float(np.median(jitters)),
        "its jitter under 0.1 percent": _share(jitter < 0.001 for jitter in jitters),
        "outside under a tenth of inside, shown": _share(ratio < 0.1 for ratio in ratios),
        "outside under a tenth of inside, sampled": _share(ratio < 0.1 for ratio in raw),
        "90 percent of the mask take part": _share(sample.taking_part() >= 0.9 for sample in whole),
        "median displacement of what moves, percent": 100 * float(np.median([sample.peak(0) for sample in whole])),
        "cells with a determinant above 0.2, percent": 100 * float(unfolded / cells),
    }


def _sharpness(pairs) -> dict:
    sharp = [sample.sharpness() for case, sample in pairs if case.purpose == "kind" and case.motion.kind != "stream"]
    return {
        "sharpness against a Lanczos warp, median": float(np.median(sharp)),
        "sharpness at least 0.95, percent": _share(value >= 0.95 for value in sharp),
    }


def _peak(displacement: np.ndarray, weight: np.ndarray) -> float:
    """Largest over time of the mean size of displacement (K, 2, h, w) over a layer (h, w)."""
    sizes = np.hypot(displacement[:, 0], displacement[:, 1])
    return float(((sizes * weight).sum((-2, -1)) / max(weight.sum(), 1e-6)).max() + 1e-9)


def _flows(frames: np.ndarray) -> np.ndarray:
    """Mean size of optical flow from each frame of a ring to the next, in pixels, (K,).

    At every pixel: a cross-fade of two phases moves as fast as one of them, which coarser flow takes for half of it.
    """
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setFinestScale(0)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.array([np.linalg.norm(estimator.calc(a, b, None), axis=2).mean() for a, b in zip(grey, grey[1:] + grey[:1])])


def _changes(frames: np.ndarray) -> np.ndarray:
    ring = frames.astype(np.float32)
    return np.abs(np.roll(ring, -1, axis=0) - ring).mean((1, 2, 3))


def _unpaused(changes: np.ndarray) -> np.ndarray:
    """Of each change (K,): would it be no pause at the wrap (`metrics.seam`)? What a wrap like any other place passes."""
    others = np.stack([np.delete(changes, place) for place in range(len(changes))])
    return changes >= np.percentile(others, 5, axis=1)


def _uniformity(values: list[np.ndarray]) -> float:
    """Kolmogorov-Smirnov distance to uniform of the wrap's rank among the places of its ring, over rings."""
    ranks = np.sort([((part[:-1] < part[-1]).sum() + 0.5) / len(part) for part in values])
    steps = np.arange(len(ranks) + 1) / len(ranks)
    return float(max(np.abs(ranks - steps[:-1]).max(), np.abs(ranks - steps[1:]).max()))


CONTROLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # PAPER.md §6: rings with a fault each
    # where it is farthest from its start: cut in the middle, a motion of two rounds a loop would close again
    "hard cut": lambda ring: ring[: max(6, 1 + int(np.abs(ring.astype(np.float32) - ring[0]).mean((1, 2, 3)).argmax()))],
    "doubled frame": lambda ring: np.concatenate([ring, ring[:1]]),
    "frozen": lambda ring: np.repeat(ring[:1], len(ring), axis=0),
    "eased to a stop": lambda ring: ring[
        np.round(
            len(ring)
            * (
                np.linspace(0, 1, len(ring), endpoint=False)
                - np.sin(2 * np.pi * np.linspace(0, 1, len(ring), endpoint=False)) / (2 * np.pi)
            )
        ).astype(int)
        % len(ring)
    ],
}


def _seams(pairs) -> dict:
    moving = [sample for case, sample in pairs if case.purpose != "still"]
    measured = [seam(sample.frames) for sample in moving]
    fair = [is_seamless(m) for m in measured]
    worse = {"hard cut": [], "doubled frame": [], "frozen": [], "eased to a stop": []}
    for sample, own in zip(moving, measured):
        rings = {name: make(sample.frames) for name, make in CONTROLS.items()}
        worse["hard cut"].append(seam(rings["hard cut"])["step"] > own["step"])
        worse["doubled frame"].append(seam(rings["doubled frame"])["pause"] < own["pause"])
        worse["eased to a stop"].append(seam(rings["eased to a stop"])["pause"] < own["pause"])
        worse["frozen"].append(_changes(rings["frozen"]).max() < _changes(sample.frames).min())
    periodic = [case_sample for case_sample in pairs if case_sample[0].motion.kind not in ("stream", "still")]
    reversals = [sample.reversal() for _, sample in periodic]
    return {
        "seam step and jerk at most 1.25, no pause: percent of loops": _share(fair),
        "seam step at most 1.25": _share(m["step"] <= 1.25 for m in measured),
        "seam jerk at most 1.25": _share(m["jerk"] <= 1.25 for m in measured),
        "no pause at the wrap": _share(m["pause"] >= 1 for m in measured),
        "no pause at any other place": _share(np.concatenate([_unpaused(_changes(sample.frames)[:-1]) for sample in moving])),
        "seam rank by frame change, distance to uniform": _uniformity([_changes(sample.frames) for sample in moving]),
        "seam rank by flow, distance to uniform": _uniformity([_flows(sample.frames) for sample in moving]),
        "reversal correlation below 0.8, percent": _share(value < 0.8 for value in reversals),
        "median reversal correlation": float(np.median(reversals)),
        "controls worse than their loop, percent": {name: _share(values) for name, values in worse.items()},
    }


def _write_sheet(sample: Sample, path: Path) -> None:
    """Eight frames of a loop with its words, and an x-t slice over two turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = sample.frames
    shown = [cv2.resize(frames[len(frames) * k // 8], None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA) for k in range(8)]
    sheet = np.concatenate([np.concatenate(shown[:4], axis=1), np.concatenate(shown[4:], axis=1)])
    rows = np.flatnonzero(sample.inside.max(1) > 0.5)
    row = int((rows.mean() + 0.5) / sample.inside.shape[0] * frames.shape[1]) if len(rows) else frames.shape[1] // 2
    slice_ = np.concatenate([frames[:, row], frames[:, row]])  # (2K, W, 3), time downwards
    slice_ = cv2.resize(slice_, (sheet.shape[1], 4 * len(frames)), interpolation=cv2.INTER_NEAREST)
    title = np.full((26, sheet.shape[1], 3), 255, np.uint8)
    cv2.putText(title, sample.prompt[:90], (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    Image.fromarray(np.concatenate([title, sheet, slice_])).save(path)


def report(table: dict, as_json: bool) -> str:
    if as_json:
        return json.dumps(table, indent=2)
    width = max(map(len, table))

    def said(value):
        if isinstance(value, dict):
            return ", ".join(f"{name} {said(part)}" for name, part in value.items())
        return ", ".join(map(said, value)) if isinstance(value, list) else f"{value:.4g}"

    return "\n".join(f"{name:{width}}  {said(value)}" for name, value in table.items())
