"""Captioned clips in a folder, in WebDataset shards or in a manifest of `curate` (train/METHOD.md §5).

`collect` lists them without opening a video; `Video` decodes the few frames that a loop needs. A clip that cannot be used
raises `ClipError` with the reason, and the caller skips, counts and names it.
"""

import csv
import hashlib
import io
import json
import os
import shutil
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path, PurePosixPath

import av
import numpy as np

from train.loop_sampling import STRIDE

VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
CAPTION_FILES = ("captions.csv", "captions.jsonl", "metadata.csv", "metadata.jsonl")
MAX_FPS = 30  # faster video is read at 30 frames a second; at 60, a stride would see half the motion
INDEXED = 10_000  # clips; fewer are listed in a second or two
TOLERANCE = 0.25  # share of a frame's time by which a time stamp may be off: containers round them

Skipped = dict[str, list[str]]  # reason → names of the clips


class ClipError(ValueError):
    """The reason why one clip cannot be used."""


@dataclass(frozen=True)
class Clip:
    """Where a captioned video lies."""

    id: str
    caption: str
    path: Path  # a video file, or the shard that holds it
    offset: int | None = None  # bytes into the shard; None: `path` is the video
    size: int | None = None  # bytes in the shard
    first_frame: int = 0  # first of the frames that may be used
    num_frames: int | None = None  # how many may be used; None: all to the end


class Clips(Sequence):
    """Very many clips in an index on the disk: a line of JSON each, and where each line begins.

    A line is read when it is asked for: pages of a mapped file would stay with the process.
    """

    def __init__(self, index: Path):
        self.index = index
        self._starts = np.load(index / "starts.npy", mmap_mode="r")  # (clips + 1,), bytes into clips.jsonl

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Clip:
        if not 0 <= number < len(self):
            raise IndexError(number)
        start, end = map(int, self._starts[number : number + 2])
        with open(self.index / "clips.jsonl", "rb", buffering=0) as file:
            file.seek(start)
            row = json.loads(file.read(end - start))
        return Clip(**{**row, "path": self.index.parent.parent / row["path"]})

    def __reduce__(self):
        return Clips, (self.index,)


def collect(data: str | Path) -> tuple[Sequence[Clip], Skipped]:
    """List the clips of a folder, of shards (a folder of .tar files, or one of them) or of a manifest (.jsonl), in fixed order.

    A folder holds videos and one of captions.csv, captions.jsonl, metadata.csv, metadata.jsonl with the columns `file`
    (or `file_name`), `caption` (or `text`) and, optionally, `id`. A shard holds KEY.mp4 beside KEY.txt or KEY.json.

    Returns the usable clips, and the ids of the others by reason. `INDEXED` clips or more are listed once, into an index beside
    or in the data. A new one is made when captions, manifest, shards or what lies directly in the folder change: it may be
    deleted when no run reads it, and must be where something else changed.
    Raises ValueError, in one sentence, where there is no usable clip or the captions cannot be read.
    """
    data = Path(data)
    index = data / ".clips-index" if data.is_dir() else data.with_name(f".{data.name}-index")
    if index.is_dir() and (kept := index / _signature(data)).is_dir():
        return Clips(kept), json.loads((kept / "skipped.json").read_text(encoding="utf-8"))
    skipped: Skipped = {}
    usable = _usable(_find(data), skipped)
    clips = list(islice(usable, INDEXED))
    if len(clips) == INDEXED:
        clips = _write_index(index, data, chain(clips, usable), skipped)
    if not clips:
        raise ValueError(f"expected captioned clips in {data}, found none" + (f" ({summary(skipped)})" if skipped else ""))
    return clips, skipped


def _write_index(index: Path, data: Path, clips: Iterator[Clip], skipped: Skipped) -> Sequence[Clip]:
    """Write aside, then rename, as other processes may do the same. Where nothing can be written, the clips as a list."""
    try:
        index.mkdir(exist_ok=True)  # changes its folder's time, which the signature holds
    except OSError as error:
        print(f"no index of clips can be written, so each start lists them anew: {error}")
        return list(clips)
    final = index / _signature(data)
    partial, starts = final.with_name(f"{final.name}.{os.getpid()}"), array("q", [0])
    partial.mkdir(exist_ok=True)
    with open(partial / "clips.jsonl", "wb") as file:
        for clip in clips:
            row = {**vars(clip), "path": os.path.relpath(clip.path, index.parent)}
            starts.append(starts[-1] + file.write(json.dumps(row, ensure_ascii=False).encode()))
    np.save(partial / "starts.npy", np.array(starts))
    (partial / "skipped.json").write_text(json.dumps(skipped, ensure_ascii=False), encoding="utf-8")
    with suppress(OSError):  # another process was first
        partial.rename(final)
    shutil.rmtree(partial, ignore_errors=True)
    return Clips(final)


def _signature(data: Path) -> str:
    """A name for the state of a collection: names, sizes and times of what it is listed from, and the time of its folder."""
    files = [data / name for name in CAPTION_FILES if (data / name).is_file()] + sorted(data.glob("*.tar"))
    stats = [(file.name, stat.st_size, stat.st_mtime_ns) for file, stat in ((file, file.stat()) for file in files or [data])]
    return hashlib.sha256(f"{stats} {data.stat().st_mtime_ns}".encode()).hexdigest()[:16]


def _usable(found: Iterator[tuple[Clip, str | None]], skipped: Skipped) -> Iterator[Clip]:
    """The clips that can be used; the ids of all others go into `skipped`, by reason."""
    seen = set()
    for clip, reason in found:
        reason = reason or (not clip.caption.strip() and "no caption") or (clip.id in seen and "duplicate id")
        if reason:
            skipped.setdefault(reason, []).append(clip.id)
        else:
            seen.add(clip.id)
            yield clip


def _find(data: Path) -> Iterator[tuple[Clip, str | None]]:
    """All clips of a collection, each with the reason why it cannot be used, if there is one."""
    if data.suffix == ".jsonl" and data.is_file():
        return _from_manifest(data)
    elif data.suffix == ".tar" and data.is_file():
        return _from_shards([data])
    elif not data.is_dir():
        raise ValueError(f"expected a folder of captioned clips, a .tar shard or a manifest.jsonl, got {data}")
    elif shards := sorted(data.glob("*.tar")):
        return _from_shards(shards)
    return _from_folder(data)


def summary(skipped: Skipped) -> str:
    """Say in one line how many clips were skipped for each reason, and name the first three of them."""
    named = {reason: ", ".join(ids if len(ids) <= 3 else [*ids[:3], "..."]) for reason, ids in skipped.items()}
    return "; ".join(f"{len(skipped[reason])} {reason}: {ids}" for reason, ids in sorted(named.items()))


def _rows(path: Path) -> Iterator[dict]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file) if path.suffix == ".csv" else (json.loads(line) for line in file if line.strip())
            for row in rows:
                is_object = isinstance(row, dict)
                if not is_object:
                    raise ValueError(f"expected one JSON object a line in {path}")
                yield row
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise ValueError(f"expected UTF-8 {path.suffix[1:].upper()} in {path}, got {error}") from None


def _from_folder(folder: Path):
    captions = next((folder / name for name in CAPTION_FILES if (folder / name).is_file()), None)
    if captions is None:
        raise ValueError(f"expected one of {', '.join(CAPTION_FILES)} in {folder}, found none")
    named = set()
    for row in _rows(captions):
        file, caption = row.get("file") or row.get("file_name"), row.get("caption") or row.get("text") or ""
        if not file:
            raise ValueError(f"expected the columns file and caption in {captions}, got {', '.join(map(str, row))}")
        path = folder / str(file)
        named.add(str(path))
        yield Clip(str(row.get("id") or file), str(caption), path), None if path.is_file() else "no such file"
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_ENDINGS and str(path) not in named:
            yield Clip(path.relative_to(folder).as_posix(), "", path), "no caption"


def _from_shards(shards: list[Path]):
    """List the videos in shards by reading the headers alone; a video is read later, from its offset."""
    for shard in shards:
        members, captions, malformed = {}, {}, set()
        try:
            with tarfile.open(shard, "r:") as tar:
                for member in tar:
                    name = PurePosixPath(member.name)
                    key, _, ending = name.name.partition(".")
                    key = str(name.parent / key)
                    if f".{ending}" in VIDEO_ENDINGS:
                        members[key] = member
                    elif ending == "txt":
                        captions[key] = tar.extractfile(member).read().decode("utf-8", "replace")
                    elif ending == "json":
                        try:
                            row = json.loads(tar.extractfile(member).read())
                            captions.setdefault(key, str(row.get("caption") or row.get("text") or ""))
                        except (ValueError, AttributeError):
                            malformed.add(key)
        except (tarfile.TarError, ValueError, AttributeError, EOFError) as error:
            yield Clip(shard.name, "", shard), f"shard breaks off ({error})"
        for key, member in members.items():
            whole = member.offset_data + member.size <= shard.stat().st_size
            clip = Clip(key, captions.get(key, ""), shard, member.offset_data, member.size)
            unread = "malformed .json" if key in malformed - set(captions) else None
            yield clip, unread if whole else "shard breaks off"


def _from_manifest(manifest: Path):
    for row in _rows(manifest):
        if not {"id", "file", "caption", "kept"} <= set(row):
            raise ValueError(f"expected id, file, caption and kept in each line of {manifest}, got {', '.join(row)}")
        if row["kept"]:
            path = manifest.parent / row["file"]
            part = {name: row[name] for name in ("offset", "size", "first_frame", "num_frames") if row.get(name) is not None}
            yield Clip(row["id"], row["caption"], path, **part), None if path.is_file() else "no such file"


def relative(clip: Clip, folder: Path) -> dict:
    """Describe a clip as a row of a manifest that lies in `folder`; `_from_manifest` reads it back."""
    file = os.path.relpath(clip.path, folder)
    return {"id": clip.id, "file": file, "caption": clip.caption, "offset": clip.offset, "size": clip.size}


class Video:
    """The frames of a clip on an even grid of time: frame k is the one shown at k / fps.

    At a constant rate of up to MAX_FPS it is the k-th frame. Opening reads the times of all packets but decodes no picture, so
    `num_frames` is right for variable rates and for files that do not say it. `read` decodes from the key frame before the
    first wanted frame; from the beginning of the file where the container has no times (.avi) or no index (.mpg), or where
    that fails.

    Raises ClipError where the file is no video or does not decode.
    """

    def __init__(self, clip: Clip):
        self._clip = clip
        self._open()
        with _failing("does not decode"):
            packets = [packet for packet in self._container.demux(self._stream) if packet.size and not packet.is_discard]
        name = self._container.format.name
        self._untimed = name == "avi"  # stores only the order of decoding, so the times of presentation are guesses
        self._seeks = not (self._untimed or name.startswith("mpeg"))  # MPEG program and transport streams have no index
        stamps = [packet.dts if self._untimed or packet.pts is None else packet.pts for packet in packets]
        if not stamps:
            raise ClipError("no frames")
        if None in stamps:
            raise ClipError("does not decode (frames without a time)")
        self._stamps = np.sort(stamps) * float(self._stream.time_base)  # seconds, in order of presentation
        span = self._stamps[-1] - self._stamps[0]
        self.fps = min((len(stamps) - 1) / span, MAX_FPS) if span > 0 else float(MAX_FPS)
        available = int(span * self.fps + 1 + 1e-6)
        self.first_frame = min(clip.first_frame, available)
        self.num_frames = available - self.first_frame
        if clip.num_frames is not None:
            self.num_frames = min(self.num_frames, clip.num_frames)

    def _open(self) -> None:
        with _failing("not a video"):
            source = str(self._clip.path)
            if self._clip.offset is not None:
                with open(self._clip.path, "rb") as shard:
                    shard.seek(self._clip.offset)
                    source = io.BytesIO(shard.read(self._clip.size))
            self._container = av.open(source, metadata_errors="replace")
        if not self._container.streams.video:
            raise ClipError("no video track")
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1  # clips are decoded in parallel by the loader's processes
        self._stream.codec_context.options = {"err_detect": "explode"}  # otherwise a damaged picture has grey patches

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._container.close()

    def read(self, indices: list[int], side: int) -> np.ndarray:
        """Decode the frames at `indices`, counted from `first_frame`: (len(indices), side, side, 3) uint8, centre-cropped.

        Raises ClipError where a picture is damaged or missing.
        """
        wanted = sorted(set(indices))
        times = self._stamps[0] + (np.array(wanted) + self.first_frame) / self.fps
        shown = self._stamps[np.searchsorted(self._stamps, times + TOLERANCE / self.fps, side="right") - 1]
        frames = []
        if self._seeks:
            with suppress(ClipError, av.error.FFmpegError, OSError):  # an open group of pictures, an index that misleads
                self._container.seek(int(shown[0] / self._stream.time_base), stream=self._stream, backward=True)
                frames = self._decode(shown, side)
        if not frames:
            self._container.close()
            self._open()
            with _failing("does not decode"):
                frames = self._decode(shown, side)
        order = {index: position for position, index in enumerate(wanted)}
        return np.stack([frames[order[index]] for index in indices])

    def _decode(self, shown: np.ndarray, side: int) -> list[np.ndarray]:
        """Decode the frames that are presented at the times `shown`, ascending, in seconds.

        Raises ClipError where a picture is damaged, out of order or missing, as it also is where decoding starts after it.
        """
        tolerance = TOLERANCE / self.fps
        frames, passed = [], None
        decoded = self._container.decode(self._stream)
        timed = zip(self._stamps, decoded) if self._untimed else ((frame.time, frame) for frame in decoded)
        for time, frame in timed:
            if frame.is_corrupt:  # although it may not be wanted itself: later frames are predicted from it
                raise ClipError("does not decode (a damaged picture)")
            if time is None or (passed is None and time > shown[0] + tolerance):
                break
            if passed is not None and time < passed:
                raise ClipError("does not decode (frames out of order)")
            passed = time
            if time < shown[len(frames)] - tolerance:
                continue
            pixels = _square(frame, self._stream.sample_aspect_ratio, side)
            while len(frames) < len(shown) and time >= shown[len(frames)] - tolerance:
                frames.append(pixels)
            if len(frames) == len(shown):
                return frames
        raise ClipError("does not decode (frames are missing)")


def _square(frame: av.VideoFrame, aspect, side: int) -> np.ndarray:
    """Turn a frame upright, make its pixels square, scale its short side to `side`, crop its middle: (side, side, 3) uint8."""
    width, height = frame.width * float(aspect or 1), frame.height
    scale = side / min(width, height)
    size = {"width": max(side, round(width * scale)), "height": max(side, round(height * scale))}
    pixels = frame.to_ndarray(format="rgb24", interpolation="AREA", **size)
    pixels = np.rot90(pixels, round(frame.rotation / 90))
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


@contextmanager
def _failing(how: str) -> Iterator[None]:
    """Turn what the libraries raise into a ClipError that says how the clip fails, and why."""
    try:
        yield
    except ClipError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ClipError(f"{how} ({getattr(error, 'strerror', None) or str(error) or type(error).__name__})") from None


def check_length(video: Video, f: int) -> int:
    """Count the frames that a loop of `f` forward frames needs; raise ClipError where the clip is shorter."""
    needed = STRIDE * (f - 1) + 1
    if video.num_frames < needed:
        raise ClipError(f"shorter than {needed} frames")
    return needed
