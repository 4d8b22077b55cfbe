"""Does the bundled model obey? Measured on its latents, over pictures it never saw (PAPER.md §6)."""

import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from loopanimate.conditioning import mask_code
from loopanimate.media import open_picture
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.saliency import automatic_mask

SIDE = 256  # pixels on the short side: the motion preset sees no more
VERBS = ("sways", "moves", "rocks", "drifts")
KINDS = ("floats up and down", "breathes", "ripples", "trembles", "turns back and forth", "waves in the wind")
STILL = ("nothing moves", "everything stays still")


def pictures(folder: str | None) -> list[tuple[str, Image.Image, Image.Image]]:
    """(name, picture, mask) of each picture with a clear object in `folder`, or of scikit-image's photographs."""
    if folder:
        found = [(path.name, open_picture(path)) for path in sorted(Path(folder).iterdir()) if path.is_file()]
    else:
        from skimage import data

        found = [(name, Image.fromarray(getattr(data, name)())) for name in ("astronaut", "chelsea", "coffee", "rocket")]
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


class Loops:
    """Displacements in short sides, and each layer's mean over where it is, of one sampled loop."""

    def __init__(self, pipe: LoopAnimatePipeline, picture, mask, prompt: str, seed: int, num_frames: int, **options):
        latents = pipe(image=picture, mask_image=mask, prompt=prompt, num_frames=num_frames, output_type="latent",
                       generator=torch.Generator().manual_seed(seed), **options).frames[0]  # fmt: skip
        self.displacement = pipe.codec.displacement(latents)[:-1]  # (N-1, 4, h, w)
        grey = torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255)[None, None]
        inside = mask_code(grey, self.displacement.shape[-2:])[0, 0].numpy()
        weights = np.stack([inside, 1 - inside])[:, None]  # (2, 1, h, w)
        weights = weights / weights.sum((-2, -1), keepdims=True)
        layers = self.displacement.reshape(-1, 2, 2, *self.displacement.shape[-2:])  # (N-1, layer, xy, h, w)
        self.mean = (layers * weights).sum((-2, -1))  # (N-1, layer, xy)
        sizes = np.linalg.norm(layers, axis=2)  # (N-1, layer, h, w)
        self.size = (sizes * weights[:, 0]).sum((-2, -1))  # (N-1, layer): mean displacement
        spectrum = np.fft.rfft(layers, axis=0)
        spectrum[7:] = 0
        rough = layers - np.fft.irfft(spectrum, n=len(layers), axis=0)
        self.jitter = float((np.linalg.norm(rough, axis=2) * weights[:, 0]).sum((-2, -1)).mean(0).max())

    def extreme(self, layer: int = 0) -> np.ndarray:
        """Mean displacement (dx, dy) of a layer where it is largest."""
        means = self.mean[:, layer]
        return means[np.linalg.norm(means, axis=1).argmax()]

    def peak(self, layer: int) -> float:
        """Mean size of a layer's displacement at its extreme."""
        return float(self.size[:, layer].max())


def evaluate(pipe: LoopAnimatePipeline, folder: str | None = None, seeds: int = 2, num_frames: int = 35, **options) -> dict:
    """The table of measures; `options` go to the pipeline's call."""
    found = pictures(folder)
    bar = tqdm(total=len(found) * seeds * (2 * len(VERBS) + 3 + len(KINDS) + len(STILL)))

    def sample(entry, prompt, seed):
        bar.update()
        return Loops(pipe, entry[1], entry[2], prompt, seed, num_frames, **options)

    angles, ordered, still, silent, ratios, jitters, peaks = [], [], [], [], [], [], []
    for entry in found:
        for seed in range(seeds):
            for verb in VERBS:
                for word, sign in (("left", -1), ("right", 1)):
                    loop = sample(entry, f"it {verb} to the {word}", seed)
                    dx, dy = loop.extreme()
                    angles.append(abs(math.degrees(math.atan2(dy, sign * dx))))
                    ratios.append(loop.peak(1) / loop.peak(0))
                    peaks.append(loop.peak(0))
                    jitters.append(loop.jitter)
            strengths = [sample(entry, f"it sways {word}", seed).peak(0) for word in ("gently", "clearly", "strongly")]
            ordered.append(strengths[0] < strengths[1] < strengths[2])
            for kind in KINDS:
                loop = sample(entry, f"it {kind}, the background stays still", seed)
                ratios.append(loop.peak(1) / loop.peak(0))
                silent.append(loop.peak(1))
                jitters.append(loop.jitter)
            for words in STILL:
                loop = sample(entry, words, seed)
                still.append(max(loop.peak(0), loop.peak(1)))
    bar.close()
    return {
        "pictures": len(found),
        "loops": bar.total,
        "direction within 90 degrees": float(np.mean(np.array(angles) < 90)),
        "direction within 45 degrees": float(np.mean(np.array(angles) < 45)),
        "strength ordered": float(np.mean(ordered)),
        "object's displacement, percent of the short side (median)": 100 * float(np.median(peaks)),
        "still picture, percent of the short side (median)": 100 * float(np.median(still)),
        "still background, percent of the short side (median)": 100 * float(np.median(silent)),
        "background over object (median)": float(np.median(ratios)),
        "background under a tenth of the object": float(np.mean(np.array(ratios) < 0.1)),
        "jitter, percent of the short side (median)": 100 * float(np.median(jitters)),
    }


def report(table: dict, as_json: bool) -> str:
    if as_json:
        return json.dumps(table, indent=2)
    width = max(map(len, table))
    return "\n".join(f"{name:{width}}  {value:.4g}" for name, value in table.items())
