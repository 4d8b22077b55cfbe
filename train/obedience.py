"""Does the motion preset obey? Measured on pictures and phrasings it never saw (train/METHOD.md §6).

Rows "as sampled" are about the motion before all edits. It is not the network's alone: its noise has read the words as well.
All other rows are about what is shown.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import atan2, degrees
from pathlib import Path
from statistics import median

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from tqdm import tqdm

from loopanimate.files.pictures import open_picture
from loopanimate.loop import MotionLoop
from loopanimate.network.conditioning import mask_code
from loopanimate.network.encoders import encode_text
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.sampling import obey, prover
from loopanimate.scene.parts import Part, single
from loopanimate.scene.saliency import automatic_mask
from loopanimate.settings import make_settings
from loopanimate.staging import Note
from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.read import read
from loopanimate.words.vocabulary import DIRECTIONS, STILL
from train import seams
from train.grammar import Motion, phrase
from train.recognise import KindClassifier, make_motion
from train.sample import Movement, Sample
from train.seams import percent

SIDE = 256  # pixels on the short side: the motion preset sees no more
STILLNESS = 0.002  # short sides, the largest mean displacement of what should be still
TOGETHER = 12  # loops that are sampled at once; divides those of a picture, as pictures differ in size


def entries(folder: str | None) -> list[tuple[Image.Image, np.ndarray]]:
    """The pictures with a clear object in a folder, or of scikit-image's photographs, with its mask (H, W) in [0, 1].

    Raises ValueError where there is none.
    """
    if folder:
        found = [open_picture(path) for path in sorted(Path(folder).iterdir()) if path.is_file()]
    else:
        from skimage import data

        arrays = [getattr(data, name)() for name in ("astronaut", "camera", "chelsea", "coffee", "rocket")]
        found = [Image.fromarray(array).convert("RGB") for array in (*arrays, data.stereo_motorcycle()[0])]
    clear = []
    for picture in found:
        scale = SIDE / min(picture.size)
        picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.LANCZOS)
        mask, is_clear = automatic_mask(picture)
        if is_clear:
            clear.append((picture, mask))
    if not clear:
        raise ValueError(f"expected pictures with a clear object, found none in {folder}")
    return clear


@dataclass(frozen=True)
class Case:
    """One loop of the plan. Besides the rows of its purpose, it serves all rows about loops in general."""

    entry: int  # index of the picture
    prompt: str
    motion: Motion
    seed: int
    purpose: str
    group: int = 0  # loops of one purpose that are compared with each other


def plan(pictures: int, first: int = 0) -> list[Case]:
    """36 loops a picture, in held-out phrasings; their seeds begin at `first`."""
    return [case for entry in range(pictures) for case in _cases(entry, first)]


def _cases(entry: int, first: int) -> Iterator[Case]:
    rng = random.Random(entry)

    def say(purpose, kind, seed, group=0, strength="plainly", tempo="", **named) -> Case:
        words, motion = phrase(rng, kind, "it", held_out=True, strength=strength, tempo=tempo, **named)
        return Case(entry, words, motion, first + seed, purpose, group)

    def vary(purpose, kind, group, variants) -> Iterator[Case]:
        """One phrasing in several variants."""
        state = rng.getstate()
        for variant in variants:
            rng.setstate(state)
            yield say(purpose, kind, group=group, named=False, **variant)

    for index, kind in enumerate(("shift",) * 4 + ("sway", "rock", "swing") + ("stream",) * 3):
        sides = list(DIRECTIONS) if KINDS[kind].directed == "any" else [0, 180]
        yield say("direction", kind, index, direction=rng.choice(sides), named=True)
    strengths = [{"strength": word, "seed": 20} for word in ("gently", "plainly", "strongly")]
    tempos = [{"tempo": word, "seed": 21} for word in ("slowly", "quickly")]
    for purpose, kinds, variants in (("strength", ("sway", "shift"), strengths), ("tempo", ("shift", "bob"), tempos)):
        for index, kind in enumerate(kinds):
            yield from vary(purpose, kind, 10 * entry + index, variants)
    for index, kind in enumerate(SPOKEN):
        yield say("kind", kind, 30 + index, named=False)
    for seed in (50, 51):
        yield Case(entry, rng.choice(STILL["caption"]), Motion(), first + seed, "still")
    yield from vary("seeds", "sway", entry, [{"seed": 60}, {"seed": 61}])


def evaluate(
    pipe: LoopAnimatePipeline,
    folder: str | None = None,
    num_frames: int = 35,
    sheets: str | None = None,
    limit: int | None = None,
    rendered: bool = True,
    first: int = 0,
    control: str | None = None,
    **options,
) -> dict:
    """The table of measures; `options` go to the pipeline's call.

    control: None measures the network. "untrained": one of random weights. "prior": the noise itself, which read the words,
    taken for a motion. "rules": noise that read no words, taken for a motion, so that words act by the edits alone.

    folder: of pictures; None takes scikit-image's photographs. sheets: folder for a contact sheet of each loop. limit: pictures
    at most. rendered: False leaves out what is measured on frames, which takes most of the time. first: least seed of a loop.
    """
    chosen = entries(folder)[:limit]
    cases = plan(len(chosen), first)
    if control == "untrained":
        torch.manual_seed(0)
        pipe.register_modules(unet=type(pipe.unet).from_config(pipe.unet.config).eval().to(pipe.device))
    sample = partial(_prior, words=control == "prior") if control in ("prior", "rules") else partial(_network, options=options)
    samples = []
    for start in tqdm(range(0, len(cases), TOGETHER), mininterval=5):
        batch = cases[start : start + TOGETHER]
        samples += _sample(pipe, *chosen[batch[0].entry], batch, num_frames, sample)
    if sheets:
        Path(sheets).mkdir(parents=True, exist_ok=True)
        for index, sample in enumerate(samples, 1):
            sample.sheet().save(Path(sheets) / f"{index:03d}.png")
    pairs = list(zip(cases, samples, strict=True))
    table = {"pictures": len(chosen), "loops": len(cases)}
    table["prompts taken for a known motion, percent"] = percent(bool(sample.loop.notes) for sample in samples)
    table |= _words(pairs, num_frames) | _stillness(pairs)
    if rendered:
        moving = [(case.motion.kind, sample) for case, sample in pairs if case.purpose != "still"]
        periodic = [sample for kind, sample in moving if kind != "stream"]
        sharp = [s.sharpness() for case, s in pairs if case.purpose == "kind" and case.motion.kind != "stream"]
        table["sharpness against a Lanczos warp, median"] = median(sharp)
        table["sharpness at least 0.95, percent"] = percent(value >= 0.95 for value in sharp)
        table |= seams.table([sample for _, sample in moving], periodic)
    return table


def _network(pipe, picture: Image.Image, mask: np.ndarray, prompts: list[str], generators, num_frames: int, options: dict):
    """Latents (B, 4, N, h, w) of one picture, as the network samples them."""
    return pipe(
        image=[picture] * len(prompts),
        mask_image=[Image.fromarray((mask * 255).round().astype(np.uint8))] * len(prompts),
        prompt=prompts,
        generator=generators,
        num_frames=num_frames,
        output_type="latent",
        **options,
    ).frames


def _prior(pipe, picture: Image.Image, mask: np.ndarray, prompts: list[str], generators, num_frames: int, words: bool):
    """Latents as the noise is drawn, from the same random numbers as `_network`'s; with `words`, by those of the prompts."""
    height, width = pipe.codec.picture_size(*picture.size[::-1])
    size = pipe.codec.latent_size(height, width)
    latent_mask = mask_code(torch.from_numpy(mask)[None, None], size).expand(len(prompts), -1, -1, -1)
    tokens = encode_text(pipe.tokenizer, pipe.text_encoder, prompts if words else [""] * len(prompts))
    white = randn_tensor((len(prompts), 4, num_frames, *size), generator=generators)
    with torch.no_grad():
        latents = pipe.codec.constrain(pipe.codec.noise(white, tokens.float(), latent_mask))
    latents[:, :, 0] = 0  # as sampling holds it
    return latents


def _sample(pipe, picture: Image.Image, mask: np.ndarray, batch: list[Case], num_frames: int, sample) -> list[Sample]:
    """Loops of one picture, as `loop.make_loops` makes them, but with a prompt each and together; latents by `sample`."""
    readings = [read(case.prompt, pipe) for case in batch]
    generators = [torch.Generator().manual_seed(case.seed) for case in batch]
    latents = sample(pipe, picture, mask, [reading.sentence for reading in readings], generators, num_frames)
    samples = []
    for case, reading, clip in zip(batch, readings, latents, strict=True):
        sampled = pipe.codec.decode_motion(clip)
        scene = single(Part(reading.sentence, reading.layers[0], mask), reading.layers[1])
        motion = obey([sampled], scene, prover(picture, scene.masks))
        notes = (Note(reading.note),) if reading.note else ()
        settings = make_settings(prompt=case.prompt, num_frames=num_frames, seed=case.seed)
        loop = MotionLoop(picture, scene.masks, mask, True, settings, notes, motion, scene.intents)
        samples.append(Sample(loop, sampled))
    return samples


def _groups(pairs, purpose: str) -> list[list[Sample]]:
    groups: dict[int, list[Sample]] = {}
    for case, sample in pairs:
        if case.purpose == purpose:
            groups.setdefault(case.group, []).append(sample)
    return list(groups.values())


def off_course(means: np.ndarray, motion: Motion) -> float:
    """Degrees between where a layer's mean displacement (N, 2) goes and where words say.

    It goes where it is farthest; a stream, where it is at the end of the loop.
    """
    dx, dy = means[-1 if motion.kind == "stream" else np.linalg.norm(means, axis=1).argmax()]
    return abs((degrees(atan2(dy, dx)) - motion.direction + 180) % 360 - 180)


def _words(pairs, num_frames: int) -> dict:
    directed = [(case.motion, sample) for case, sample in pairs if case.purpose == "direction"]
    shown = [off_course(sample.shown.mean[:, 0], motion) for motion, sample in directed]
    sampled = [off_course(sample.sampled.mean[:, 0], motion) for motion, sample in directed]
    strengths = [[sample.shown.peak() for sample in triple] for triple in _groups(pairs, "strength")]
    sampled_strengths = [[sample.sampled.peak() for sample in triple] for triple in _groups(pairs, "strength")]
    tempos = [[sample.shown.crossings() for sample in pair] for pair in _groups(pairs, "tempo")]
    seeds = [
        float(np.linalg.norm(a.mean[:, 0] - b.mean[:, 0], axis=1).mean() / ((a.peak() + b.peak()) / 2))
        for a, b in ((one.shown, other.shown) for one, other in _groups(pairs, "seeds"))
    ]
    return {
        **{f"direction within {limit} degrees, percent": percent(angle < limit for angle in shown) for limit in (45, 90)},
        **{f"direction within {limit} degrees, as sampled": percent(angle < limit for angle in sampled) for limit in (45, 90)},
        "gently < plainly < strongly, percent of triples": percent(a < b < c for a, b, c in strengths),
        "gently < plainly < strongly, as sampled": percent(a < b < c for a, b, c in sampled_strengths),
        "median displacement gently, plainly, strongly": [100 * median(part) for part in zip(*strengths)],
        "slowly < quickly, percent of pairs": percent(a < b for a, b in tempos),
        **_kinds(pairs, num_frames),
        "two seeds differ, median share of the size": median(seeds),
    }


def _kinds(pairs, num_frames: int) -> dict:
    """How often the kind that words name is recognised: as shown, as sampled, and in procedural motion under the same masks."""
    classify = KindClassifier(num_frames)
    rng, generator = random.Random(1), torch.Generator().manual_seed(1)
    rows = ("kind recognised, percent", "kind recognised, as sampled", "kind recognised in true motion, percent")
    verdicts = {row: [] for row in rows}
    for kind, sample in [(case.motion.kind, sample) for case, sample in pairs if case.purpose == "kind"]:
        inside = torch.from_numpy(sample.inside)[None]
        truth = make_motion(kind, inside[None].expand(8, -1, -1, -1), rng, generator, num_frames)
        own = [torch.from_numpy(move.displacement[None, :, 0]).transpose(1, 2) for move in (sample.shown, sample.sampled)]
        for row, motions in zip(verdicts.values(), (*own, truth)):
            row += [found == kind for found in classify(motions.float(), inside.expand(len(motions), -1, -1))]
    return {name: percent(row) for name, row in verdicts.items()}


def _stillness(pairs) -> dict:
    def outside(movement: Movement) -> float:
        return movement.peak(1) / max(movement.peak(0), 1e-9)

    moving = [sample for case, sample in pairs if case.purpose != "still"]
    nothing = [sample for case, sample in pairs if case.purpose == "still"]
    whole = [sample for case, sample in pairs if case.purpose != "still" and KINDS[case.motion.kind].whole]
    silent = [(sample, 1) for sample in moving] + [(sample, layer) for sample in nothing for layer in (0, 1)]
    peaks = [sample.sampled.peak(layer) for sample, layer in silent]
    jitters = [sample.sampled.jitter(layer) for sample, layer in silent]
    shown, sampled = [outside(sample.shown) for sample in whole], [outside(sample.sampled) for sample in whole]
    return {
        "what should be still moves less than 0.2 percent, sampled": percent(size < STILLNESS for size in peaks),
        "the layer that is not named moves less than 0.2 percent, shown": percent(s.shown.peak(1) < STILLNESS for s in moving),
        "median of what should be still, percent of the short side": 100 * median(peaks),
        '"nothing moves", median of the salient layer': 100 * median(sample.sampled.peak(0) for sample in nothing),
        "jitter of what should be still, median, percent of the short side": 100 * median(jitters),
        "its jitter under 0.1 percent": percent(jitter < 0.001 for jitter in jitters),
        "outside under a tenth of inside, shown": percent(ratio < 0.1 for ratio in shown),
        "outside under a tenth of inside, sampled": percent(ratio < 0.1 for ratio in sampled),
        "90 percent of the mask take part": percent(sample.taking_part() >= 0.9 for sample in whole),
        "median displacement of what moves, percent": 100 * median(sample.shown.peak() for sample in whole),
        "median displacement of what moves, as sampled": 100 * median(sample.sampled.peak() for sample in whole),
    }


def report(table: dict) -> str:
    """The table as lines of text."""
    width = max(map(len, table))

    def show(value) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{name} {show(part)}" for name, part in value.items())
        return ", ".join(map(show, value)) if isinstance(value, list) else f"{value:.4g}"

    return "\n".join(f"{name:{width}}  {show(value)}" for name, value in table.items())
