"""Table 2 over captioned pictures or clips: the paper's measures, the seam's and VBench's, with loops, sheets and pages."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from loopanimate import metrics
from loopanimate.checkpoints import load_quietly
from loopanimate.files.pictures import open_picture, replacing
from loopanimate.network.encoders import encode_image
from loopanimate.pipeline import LoopAnimatePipeline
from loopanimate.scene.saliency import automatic_mask
from train.clips import VIDEO_ENDINGS, Clip, ClipError, Video, collect, summary
from train.networks import write_strip
from train.pages import find_the_cut, rating
from train.settings import EvaluateSettings
from train.sources import load

SIDE = 512  # pixels; pictures are cropped to this square, as the paper's are
SHEET = 8  # frames in a contact sheet
COLUMNS = ("CLIP-I", "MSE_F0", "FC", "Motion", "Loop-C")
SEAM = ("step", "jerk", "pause")
VBENCH = ("subject_consistency", "motion_smoothness", "dynamic_degree")
PAPER = {  # train/METHOD.md §6, Table 2: the columns, and frames of a loop
    "I2VGen-XL (paper)": (0.882, 64.0, 0.972, 0.740, 0.812, 32),
    "PIA (paper)": (0.905, 62.7, 0.985, 0.835, 0.893, 16),
    "SVD-XT (paper)": (0.946, 49.3, 0.985, 0.660, 0.945, 25),
    "LoopAnimate stage 1 (paper)": (0.948, 60.6, 0.983, 0.781, 0.970, 15),
    "LoopAnimate stage 2 (paper)": (0.953, 49.9, 0.986, 0.839, 0.971, 21),
    "LoopAnimate stage 3 (paper)": (0.956, 47.2, 0.987, 0.851, 0.969, 35),
}
MISSING = "n/a: weights missing"


@dataclass(frozen=True)
class Entry:
    """A captioned picture to animate."""

    name: str  # the clip's id as a file name
    caption: str
    picture: Image.Image  # square
    mask: Image.Image


def entries(data: str) -> list[Entry]:
    """Read captioned pictures, or the first frames of captioned clips; what cannot be read is named and left out.

    Raises ValueError where none is left.
    """
    clips, skipped = collect(data)
    found = []
    for clip in clips:
        try:
            picture = first_picture(clip)
        except ValueError as error:
            skipped.setdefault(str(error), []).append(clip.id)
            continue
        mask = Image.fromarray((automatic_mask(picture)[0] * 255).astype(np.uint8))
        # an escape instead of a plain "_", so that different ids stay different names
        name = re.sub(r'[/\\:*?"<>|=\x00-\x1f]', lambda match: f"={ord(match[0]):02X}", clip.id)
        found.append(Entry(name, clip.caption, picture, mask))
    if skipped:
        print(f"left out: {summary(skipped)}")
    if not found:
        raise ValueError(f"expected captioned pictures or clips in {data}, found none that can be read")
    return found


def first_picture(clip: Clip) -> Image.Image:
    """A picture, or the first frame of a clip: a square of at most SIDE pixels. Raises ValueError for one that is broken."""
    if clip.path.suffix.lower() in (*VIDEO_ENDINGS, ".tar"):
        with Video(clip) as video:
            if not video.num_frames:
                raise ClipError("no frames")
            return Image.fromarray(video.read([0], SIDE)[0])
    picture = open_picture(clip.path)
    side = min(SIDE, *picture.size)
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)


def image_embedder(pipe: LoopAnimatePipeline, source: str | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """Frames (N, H, W, 3) uint8 → CLIP image embeddings (N, d), by the CLIP of a folder or hub repository, or the pipeline's.

    None where the pipeline has no CLIP.
    """
    from transformers import CLIPVisionModelWithProjection

    model = load(source, CLIPVisionModelWithProjection)[0].eval().to(pipe.device) if source else pipe.image_encoder

    @torch.no_grad()
    def embed(frames: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).to(model.device).float() / 127.5 - 1
        return torch.cat([encode_image(model, part, None)[:, 0] for part in pixels.split(8)]).float().cpu().numpy()

    return embed if isinstance(model, CLIPVisionModelWithProjection) else None


def measure(frames: np.ndarray, picture: np.ndarray, embed: Callable | None) -> dict[str, float | None]:
    """Measure one loop: frames (N, H, W, 3) and the input picture (H, W, 3), uint8. A value is None where CLIP is missing."""
    values = dict.fromkeys(COLUMNS)
    if embed:
        embeddings, own = embed(frames), embed(picture[None])[0]
        values["CLIP-I"] = metrics.clip_i(embeddings, own)
        values["FC"] = metrics.frame_consistency(embeddings)
        values["Loop-C"] = metrics.loop_consistency(embeddings)
    values["MSE_F0"], values["Motion"] = metrics.mse_f0(frames[0], picture), metrics.motion(frames)
    seam = metrics.seam(frames[:-1])
    return {**values, **{f"seam {name}": seam[name] for name in SEAM}}


def loop_frames(pipe, entry: Entry, settings: EvaluateSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample one loop: frames (N, H, W, 3) and the picture as the pipeline saw it (H, W, 3), uint8."""
    size = pipe.codec.picture_size(*entry.picture.size[::-1])
    picture = entry.picture.resize(size[::-1], Image.Resampling.LANCZOS)
    clip = pipe(
        image=picture,
        mask_image=entry.mask.resize(size[::-1]),
        prompt=entry.caption,
        num_frames=settings.num_frames,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        hold_ends=settings.hold_ends,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    ).frames[0]
    return (clip * 255).round().astype(np.uint8), np.asarray(picture)


def evaluate(settings: EvaluateSettings) -> dict:
    """Write OUTPUT/table.md, table.json, loops/, sheets/, find_the_cut.html and, with --against, rating.html.

    Returns the mean of each measure over all loops. Raises ValueError, in one sentence, for what cannot be read or loaded.
    """
    pipe = load_quietly(settings.preset, settings.checkpoint)
    chosen, embed = entries(settings.data), image_embedder(pipe, settings.clip)
    folder = Path(settings.output)
    for name in ("loops", "sheets"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, loops = {}, {}
    for entry in tqdm(chosen, "evaluating"):
        for seed in range(settings.seeds):
            name = f"{entry.name}-{seed}"
            frames, picture = loop_frames(pipe, entry, settings, seed)
            rows[name] = {"caption": entry.caption, **measure(frames, picture, embed)}
            strip = write_strip(frames, folder / "loops" / f"{name}.mp4", SHEET)
            Image.fromarray(strip).save(folder / "sheets" / f"{name}.png")
            loops[name] = frames[:-1]
    columns = {name: [row[name] for row in rows.values()] for name in (*COLUMNS, *(f"seam {part}" for part in SEAM))}
    means = {name: None if None in values else float(np.mean(values)) for name, values in columns.items()}
    means |= vbench(folder / "loops", folder)
    table = {"settings": settings.model_dump(), "mean": means, "loops": rows}

    def write(name: str, text: str) -> None:
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")

    write("table.json", json.dumps(table, indent=2))
    write("table.md", markdown(settings, means, rows))
    write("find_the_cut.html", find_the_cut(loops))
    if settings.against:
        captions = {name: row["caption"] for name, row in rows.items()}
        write("rating.html", rating([folder, *map(Path, settings.against)], captions))
    return means


def _cell(value: float | str | None) -> str:
    return MISSING if value is None else value if isinstance(value, str) else f"{value:.3f}"


def markdown(settings: EvaluateSettings, means: dict, rows: dict) -> str:
    """Format Table 2 beside the paper's own numbers, the other measures, and a table of all loops."""
    own = f"this run: {settings.preset}, {settings.checkpoint or 'bundled'}"
    methods = {**PAPER, own: (*(means[name] for name in COLUMNS), settings.num_frames)}
    lines = ["| method | CLIP-I ↑ | MSE_F0 ↓ | FC ↑ | Motion ↑ | Loop-C ↑ | frames |", "|---" * 7 + "|"]
    for name, (*values, frames) in methods.items():
        lines.append(f"| {name} | {' | '.join(map(_cell, values))} | {frames} |")
    lines += ["", "The paper's numbers are of its own 99 pictures, which are not public: compare them with care.", ""]
    others = {name: value for name, value in means.items() if name not in COLUMNS}
    lines += ["| measure | mean |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in others.items()), ""]
    names = [name for name in next(iter(rows.values())) if name != "caption"]
    lines += [f"| loop | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {loop} | {' | '.join(_cell(row[name]) for name in names)} |" for loop, row in rows.items()]
    return "\n".join(lines) + "\n"


def vbench(loops: Path, folder: Path) -> dict[str, float | str]:
    """Measure a folder of loops by the vbench package, if it is installed with its models."""
    try:
        import vbench as package
    except ImportError:
        return dict.fromkeys((f"VBench {name}" for name in VBENCH), "n/a: vbench is not installed")
    results, partial = {}, folder / "vbench"
    info = Path(package.__file__).parent / "VBench_full_info.json"
    for name in VBENCH:
        try:
            judge = package.VBench("cuda" if torch.cuda.is_available() else "cpu", str(info), str(partial))
            judge.evaluate(videos_path=str(loops), name=name, dimension_list=[name], mode="custom_input")
            results[f"VBench {name}"] = float(json.loads((partial / f"{name}_eval_results.json").read_text())[name][0])
        except (OSError, RuntimeError) as error:
            results[f"VBench {name}"] = f"{MISSING} ({str(error).splitlines()[0]})"
    shutil.rmtree(partial, ignore_errors=True)
    return results
