"""Build the Salient Dataset: keep the clips in which the object that the caption names stays to the end (train/METHOD.md §5).

Every clip gets a row with its scores and, if it is rejected, the reason. Training reads the manifest of all rows.
"""

import json
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from loopanimate.files.pictures import replacing
from loopanimate.scene.saliency import automatic_mask
from train.clips import Clip, ClipError, Video, check_length, collect, relative
from train.loader import one_opencv_thread, start_worker
from train.loop_sampling import STRIDE
from train.plots import bars_and_histograms
from train.settings import CurateSettings, check_same
from train.sources import load

SIDE = 192  # pixels of the square frames that are judged
MAX_JUDGED = 64  # frames a clip, every STRIDE-th; what comes after them is not trained on
SCORES = ("cut", "motion", "area_first", "area_last", "stays", "similarity")
LIMITS = {"cut": "max_cut", "motion": "min_motion", "stays": "min_stays", "similarity": "min_caption"}  # score: its option
REJECTED = {"first_frame": None, "num_frames": None, **dict.fromkeys(SCORES), "kept": False, "reason": None}


def judge(clip: Clip, settings: CurateSettings) -> dict:
    """Make the row of one clip: its scores, whether it is kept, and the reason if it is not.

    Of a clip with camera cuts, its longest shot is judged, if a loop fits into it; "cut" is of the whole clip.
    """
    row = dict(REJECTED)
    try:
        with Video(clip) as video:
            needed = check_length(video, settings.f)
            count = min(video.num_frames, STRIDE * (MAX_JUDGED - 1) + 1)
            frames = video.read(list(range(0, count, STRIDE)), SIDE)
    except ClipError as error:
        return {**row, "reason": str(error)}
    flows = list(map(flow_between, frames, frames[1:]))
    row["cut"] = max(flow.residual for flow in flows)
    cuts = [index for index, flow in enumerate(flows) if flow.residual > settings.max_cut]
    first, last = max(pairwise([-1, *cuts, len(flows)]), key=lambda ends: ends[1] - ends[0])  # the cuts beside a shot
    frames, flows = frames[first + 1 : last + 1], flows[first + 1 : last]
    row["first_frame"], row["num_frames"] = STRIDE * (first + 1), STRIDE * (len(frames) - 1) + 1
    if cuts and row["num_frames"] < needed:
        return {**row, "reason": "camera cut"}
    if not cuts:
        row["num_frames"] = count
    (first, clear_first), (last, clear_last) = (automatic_mask(Image.fromarray(frames[k])) for k in (0, -1))
    inside = last > 0.5
    row["area_first"], row["area_last"] = float((first > 0.5).mean()) * clear_first, float(inside.mean()) * clear_last
    carried = carry(first, flows)
    row["motion"] = float(np.mean([flow.motion for flow in flows]))
    overlap = float(np.minimum(carried, inside).sum() / max(np.maximum(carried, inside).sum(), 1e-6))
    row["stays"] = overlap if clear_first and clear_last else 0.0
    if settings.caption_check and clear_first:
        row["similarity"] = similarity(settings.clip, crop(frames[0], first), clip.caption)
    unlike = row["similarity"] is not None and row["similarity"] < settings.min_caption
    reasons = {
        "nothing moves": row["motion"] < settings.min_motion,
        "no salient object at the start": not clear_first,
        "no salient object at the end": not clear_last,
        "the object does not stay": row["stays"] < settings.min_stays,
        "the object is not what the caption names": unlike,
    }
    row["reason"] = next((reason for reason, fails in reasons.items() if fails), None)
    return {**row, "kept": row["reason"] is None}


@dataclass(frozen=True)
class Flow:
    """From one judged frame to the next."""

    source: np.ndarray  # (S, S, xy), where each pixel of the later frame was in the earlier one
    residual: float  # mean absolute difference of both after flow, over the later one's standard deviation: large at a cut
    motion: float  # 95th percentile of displacement, in short sides


def flow_between(before: np.ndarray, after: np.ndarray) -> Flow:
    """Optical flow between two frames (S, S, 3)."""
    before, after = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    points = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).astype(np.float32)  # (S, S, xy)
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = estimator.calc(after, before, None)  # after(p) = before(p + flow)
    explained = cv2.remap(before, points + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    residual = cv2.absdiff(after, explained).mean() / max(after.std(), 8.0)
    return Flow(points + flow, float(residual), float(np.percentile(np.linalg.norm(flow, axis=-1), 95)) / SIDE)


def carry(mask: np.ndarray, flows: list[Flow]) -> np.ndarray:
    """A mask (S, S) of a first frame, carried by the flow to the last."""
    carried = (mask > 0.5).astype(np.float32)
    for flow in flows:
        carried = cv2.remap(carried, flow.source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return carried


def crop(frame: np.ndarray, mask: np.ndarray) -> Image.Image:
    """Cut the object out on grey, to its box."""
    box = Image.fromarray((mask > 0.5).astype(np.uint8)).getbbox()
    picture = frame * mask[..., None] + 128 * (1 - mask[..., None])
    return Image.fromarray(picture.round().astype(np.uint8)).crop(box)


@lru_cache(maxsize=1)  # once in every process that judges
def clip_model(source: str):
    """Load (model, processor) of a CLIP checkpoint; raise ValueError, in one sentence, where it cannot be had."""
    from transformers import CLIPModel, CLIPProcessor

    try:
        model, processor = load(source, CLIPModel, CLIPProcessor)
    except ValueError as error:
        raise ValueError(f"{error}; name a folder with --clip, or leave the check out with --no-caption-check") from error
    return model.eval(), processor


def similarity(source: str, picture: Image.Image, caption: str) -> float:
    """CLIP cosine of a picture and a caption."""
    import torch

    model, processor = clip_model(source)
    inputs = processor(text=[caption], images=picture, return_tensors="pt", truncation=True)
    with torch.no_grad():
        output = model(**inputs)
    return float(torch.cosine_similarity(output.image_embeds, output.text_embeds)[0])


def curate(settings: CurateSettings) -> Counter:
    """Write OUTPUT/manifest.jsonl and summary.svg; return how many clips were kept, and rejected for each reason.

    Rows are appended in the order of the collection: a run that was cut goes on after its last whole row.
    """
    folder = Path(settings.output)
    clips, skipped = collect(settings.data)
    if settings.caption_check:
        clip_model(settings.clip)  # fails before any work, if it fails
    folder.mkdir(parents=True, exist_ok=True)
    settings_now = settings.model_dump(mode="json", exclude={"output", "processes", "ray"})
    check_same(folder / "curate.json", settings_now)
    with replacing(folder / "curate.json") as path:
        path.write_text(json.dumps(settings_now, indent=2))
    manifest, growing = folder / "manifest.jsonl", folder / "manifest.partial"
    if not manifest.is_file():
        done = _whole_rows(growing)
        todo = partial(filter, lambda clip: clip.id not in done, clips)  # anew each time: very many clips are no list
        rows = with_ray(todo(), settings, folder) if settings.ray else with_processes(todo(), settings)
        with open(growing, "a", encoding="utf-8") as file, one_opencv_thread():
            if not file.tell():
                unread = {"file": "", "caption": "", "kept": False}
                for reason, names in skipped.items():
                    file.writelines(_line({"id": name, **unread, "reason": reason}) for name in names)
            for clip, row in tqdm(zip(todo(), rows), "curating", total=len(clips), initial=len(done), mininterval=5):
                file.write(_line({**relative(clip, folder), **row}))
                file.flush()
        growing.rename(manifest)
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    counts = Counter(row["reason"] or "kept" for row in rows)
    limits = {score: getattr(settings, name) for score, name in LIMITS.items()}
    scores = {name: [row[name] for row in rows if row.get(name) is not None] for name in SCORES}
    with replacing(folder / "summary.svg") as path:
        path.write_text(bars_and_histograms(counts, scores, limits), encoding="utf-8")
    return counts


def _line(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _whole_rows(growing: Path) -> set[str]:
    """Ids of the rows that a cut run left. A last line without an end is removed from the file."""
    data = growing.read_bytes() if growing.is_file() else b""
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(growing, len(whole))
    return {row["id"] for row in map(json.loads, whole.splitlines()) if row["file"]}


def with_processes(clips: Iterable[Clip], settings: CurateSettings) -> Iterator[dict]:
    """Judge clips in several processes, in order. A clip whose decoder takes its process down gets a row like any other."""
    ahead, todo = deque(), iter(clips)
    pool = ProcessPoolExecutor(settings.processes, initializer=start_worker)
    try:
        while True:
            while len(ahead) < 4 * settings.processes and (clip := next(todo, None)) is not None:
                ahead.append((clip, pool.submit(judge, clip, settings)))
            if not ahead:
                return
            clip, future = ahead.popleft()
            try:
                yield future.result()
            except BrokenProcessPool:  # by this clip or by one that was judged beside it; judged alone, it shows
                pool.shutdown()
                with ProcessPoolExecutor(1, initializer=start_worker) as alone:
                    try:
                        row = alone.submit(judge, clip, settings).result()
                    except BrokenProcessPool:
                        row = {**REJECTED, "reason": "crashes its decoder"}
                pool = ProcessPoolExecutor(settings.processes, initializer=start_worker)
                ahead = deque((clip, pool.submit(judge, clip, settings)) for clip, _ in ahead)
                yield row
    finally:
        pool.shutdown(cancel_futures=True)


def with_ray(clips: Iterable[Clip], settings: CurateSettings, folder: Path) -> Iterable[dict]:
    """Judge clips over a Ray cluster, every node of which must see them; FOLDER/manifest.parquet holds the rows as well."""
    try:
        import ray
    except ImportError:
        raise ValueError('expected Ray for --ray: pip install "ray[data]"') from None
    # absolute paths, as a worker has a current folder of its own
    items = [{"number": number, "clip": replace(clip, path=clip.path.absolute())} for number, clip in enumerate(clips)]
    folder, table = folder.absolute(), str(folder.absolute() / "manifest.parquet")

    def row(item: dict) -> dict:
        return {"number": item["number"], **relative(item["clip"], folder), **judge(item["clip"], settings)}

    ray.data.from_items(items).map(row).sort("number").write_parquet(table)
    return ({name: row[name] for name in REJECTED} for row in ray.data.read_parquet(table).sort("number").iter_rows())
