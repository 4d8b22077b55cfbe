"""Table 2 over captioned pictures or clips: the paper's measures, the seam's and VBench's, with loops, sheets and pages."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from loopanimate.presets import MAX_FRAMES
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
RESAMPLES = 2000  # of pictures, for an interval
SHOWN = 40  # loops on the page "find the cut", which holds their frames
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


@dataclass(frozen=True)
class Trained:
    """How a checkpoint's last stage was trained."""

    num_frames: int
    masked: bool  # False: Z_M was ones


def as_trained(pipe: LoopAnimatePipeline) -> Trained:
    """What its training.json says; without one, as stage 3 was. The motion preset's mask is where its layers lie, too."""
    file = Path(pipe.config.get("_name_or_path") or "none") / "training.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    is_masked = pipe.codec.is_motion or told.get("numbers", {}).get("mask") != "ones"
    return Trained(told.get("num_frames", MAX_FRAMES), is_masked)


def clips_of(folder: Path, chosen: list[Entry]) -> dict[str, tuple[Entry, Path]]:
    """The clips of each picture in a folder, by the names of their loops.

    The clip of cat.png is cat.mp4 or cat.png.mp4; of several seeds, cat-0.mp4, cat-1.mp4, … or cat.png-0.mp4, ….
    Raises ValueError where a picture has none: means over other pictures could not be compared.
    """
    names = {name: entry for entry in chosen for name in (Path(entry.name).stem, entry.name)}
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name, _, seed = (path.stem, "", "0") if path.stem in names else path.stem.rpartition("-")
        if path.suffix.lower() in VIDEO_ENDINGS and name in names and seed.isdigit():
            found[f"{names[name].name}-{seed}"] = names[name], path
    lacking = {entry.name for entry in chosen} - {entry.name for entry, _ in found.values()}
    if lacking:
        raise ValueError(
            f"expected a clip of each picture in {folder}, such as {Path(min(lacking)).stem}.mp4,"
            f" found none of {len(lacking)} pictures"
        )
    return found


def clip_frames(entry: Entry, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All frames of a clip, cropped to the picture's square, and the picture: (N, S, S, 3) and (S, S, 3) uint8."""
    with Video(Clip(entry.name, entry.caption, path)) as video:
        return video.read(range(video.num_frames), entry.picture.size[0]), np.asarray(entry.picture)


def image_embedder(pipe: LoopAnimatePipeline | None, source: str | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """Frames (N, H, W, 3) uint8 → CLIP image embeddings (N, d), by the CLIP of a folder or hub repository, or the pipeline's.

    None where the pipeline has no CLIP.
    """
    from transformers import CLIPVisionModelWithProjection

    model = pipe and pipe.image_encoder
    if source:
        device = pipe.device if pipe else "cuda" if torch.cuda.is_available() else "cpu"
        model = load(source, CLIPVisionModelWithProjection)[0].eval().to(device)

    @torch.no_grad()
    def embed(frames: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).to(model.device).float() / 127.5 - 1
        return torch.cat([encode_image(model, part, None)[:, 0] for part in pixels.split(8)]).float().cpu().numpy()

    return embed if isinstance(model, CLIPVisionModelWithProjection) else None


def measure(frames: np.ndarray, ring: np.ndarray, picture: np.ndarray, embed: Callable | None) -> dict[str, float | None]:
    """Measure one loop, all uint8; a value is None where CLIP is missing.

    frames (N, H, W, 3) as a method gives them; ring: the frames that are played, without a last one that is the first again;
    picture (H, W, 3).
    """
    values = dict.fromkeys(COLUMNS)
    if embed:
        embeddings, own = embed(frames), embed(picture[None])[0]
        values["CLIP-I"] = metrics.clip_i(embeddings, own)
        values["FC"] = metrics.frame_consistency(embeddings)
        values["Loop-C"] = metrics.loop_consistency(embeddings)
    values["MSE_F0"], values["Motion"] = metrics.mse_f0(frames[0], picture), metrics.motion(frames)
    seam = metrics.seam(ring)
    return {**values, **{f"seam {name}": seam[name] for name in SEAM}}


def loop_frames(pipe, entry: Entry, settings: EvaluateSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample one loop: frames (N, H, W, 3) and the picture as the pipeline saw it (H, W, 3), uint8.

    A checkpoint that was trained with masks of ones, as stage 1 is, gets one.
    """
    trained = as_trained(pipe)
    size = pipe.codec.picture_size(*entry.picture.size[::-1])
    picture = entry.picture.resize(size[::-1], Image.Resampling.LANCZOS)
    clip = pipe(
        image=picture,
        mask_image=entry.mask.resize(size[::-1]) if trained.masked else None,
        prompt=entry.caption,
        num_frames=settings.num_frames or trained.num_frames,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        hold_ends=settings.hold_ends,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    ).frames[0]
    return (clip * 255).round().astype(np.uint8), np.asarray(picture)


def evaluate(settings: EvaluateSettings) -> dict:
    """Write OUTPUT/table.md, table.json, loops/, sheets/, find_the_cut.html and, with --against, rating.html.

    The loops are sampled, or read from --videos. Returns the mean of each measure over pictures. Raises ValueError, in one
    sentence, for what cannot be read or loaded.
    """
    pipe = None if settings.videos else load_quietly(settings.preset, settings.checkpoint)
    chosen, embed = entries(settings.data), image_embedder(pipe, settings.clip)
    folder, others = Path(settings.output), [_table(Path(path)) for path in settings.against]
    if settings.videos:
        tasks = {name: partial(clip_frames, *found) for name, found in clips_of(Path(settings.videos), chosen).items()}
    else:
        seeds = range(settings.seeds)
        tasks = {
            f"{entry.name}-{seed}": partial(loop_frames, pipe, entry, settings, seed) for entry in chosen for seed in seeds
        }
    captions = {entry.name: entry.caption for entry in chosen}
    for name in ("loops", "sheets"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, loops = {}, {}
    for name, make in tqdm(tasks.items(), "evaluating"):
        frames, picture = make()
        closed = np.concatenate([frames, frames[:1]]) if settings.videos else frames  # the last frame is the first
        caption = captions[_picture(name)]
        rows[name] = {"caption": caption, "frames": len(frames), **measure(frames, closed[:-1], picture, embed)}
        strip = write_strip(closed, folder / "loops" / f"{name}.mp4", SHEET)
        Image.fromarray(strip).save(folder / "sheets" / f"{name}.png")
        if len(loops) < SHOWN:
            loops[name] = closed[:-1]
    names = (*COLUMNS, *(f"seam {part}" for part in SEAM))
    columns = {name: by_picture(rows, name) for name in names}
    means = {name: mean(values) for name, values in columns.items()} | vbench(folder / "loops", folder)
    intervals = {name: interval(values) for name, values in columns.items()}
    table = {"settings": settings.model_dump(), "mean": means, "interval": intervals, "loops": rows}

    def write(name: str, text: str) -> None:
        with replacing(folder / name) as path:
            path.write_text(text, encoding="utf-8")

    write("table.json", json.dumps(table, indent=2))
    write("table.md", markdown(table, others))
    write("find_the_cut.html", find_the_cut(loops))
    if settings.against:
        shown = {name: row["caption"] for name, row in rows.items() if all(name in other["loops"] for other in others)}
        write("rating.html", rating([folder, *map(Path, settings.against)], shown))
    return means


def _table(folder: Path) -> dict:
    file = folder / "table.json"
    table = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "interval" not in table:
        raise ValueError(f"expected the output of `evaluate --data` of this version, with a table.json, got {folder}")
    return table


def _picture(loop: str) -> str:
    """The picture of a loop's name: seeds of one picture are not independent of each other."""
    return loop.rpartition("-")[0]


def by_picture(rows: dict[str, dict], name: str) -> dict[str, float] | None:
    """The mean of a measure over the loops of each picture; None where one lacks it."""
    values = defaultdict(list)
    for loop, row in rows.items():
        values[_picture(loop)].append(row[name])
    lacks = any(None in part for part in values.values())
    return None if lacks else {picture: float(np.mean(part)) for picture, part in values.items()}


def mean(values: dict[str, float] | None) -> float | None:
    return float(np.mean(list(values.values()))) if values else None


def interval(values: dict[str, float] | None) -> tuple[float, float] | None:
    """The 95 percent interval of the mean over pictures, by the bootstrap; None for fewer than two."""
    if not values or len(values) < 2:
        return None
    array = np.array(list(values.values()))
    means = array[np.random.default_rng(0).integers(len(array), size=(RESAMPLES, len(array)))].mean(1)
    return tuple(map(float, np.percentile(means, (2.5, 97.5))))


def _cell(value: float | str | None, between: tuple[float, float] | None = None) -> str:
    text = MISSING if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    return text + (f" ({between[0]:.3f} to {between[1]:.3f})" if between else "")


def _name(table: dict) -> str:
    settings = table["settings"]
    return settings.get("videos") or f"{settings['preset']}, {settings['checkpoint'] or 'bundled'}"


def markdown(table: dict, others: list[dict]) -> str:
    """Format Table 2 beside the paper's own numbers and other evaluations, the other measures, and a table of all loops."""
    means, rows = table["mean"], table["loops"]
    lines = ["| method | CLIP-I ↑ | MSE_F0 ↓ | FC ↑ | Motion ↑ | Loop-C ↑ | frames |", "|---" * 7 + "|"]
    for name, (*values, frames) in PAPER.items():
        lines.append(f"| {name} | {' | '.join(map(_cell, values))} | {frames} |")
    for one in (table, *others):
        cells = [_cell(one["mean"][name], one["interval"][name]) for name in COLUMNS]
        frames = sorted({row["frames"] for row in one["loops"].values()})
        name = f"this run: {_name(one)}" if one is table else _name(one)
        lines.append(f"| {name} | {' | '.join(cells)} | {' to '.join(map(str, frames[:: max(1, len(frames) - 1)]))} |")
    for other in others:
        cells = []
        for name in COLUMNS:
            ours, theirs = by_picture(rows, name), by_picture(other["loops"], name)
            both = (
                {}
                if ours is None or theirs is None
                else {picture: ours[picture] - theirs[picture] for picture in ours if picture in theirs}
            )
            cells.append(_cell(mean(both), interval(both)))
        lines.append(f"| this run minus {_name(other)}, paired | {' | '.join(cells)} | |")
    lines += ["", "In brackets: 95 percent intervals of the mean, by the bootstrap over pictures.", ""]
    lines += ["The paper's numbers are of its own 99 pictures, which are not public: compare them with care.", ""]
    rest = {name: _cell(value, table["interval"].get(name)) for name, value in means.items() if name not in COLUMNS}
    lines += ["| measure | mean |", "|---|---|", *(f"| {name} | {cell} |" for name, cell in rest.items()), ""]
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
