"""Small videos that tests make: every frame carries its number as black and white bars."""

import csv
import tarfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 8


def numbered(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A frame (H, W, 3) of BITS vertical bars, the number's binary digits from the left."""
    digits = [255 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(np.array(digits, dtype=np.uint8), width // BITS)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number(frame: np.ndarray) -> int:
    """What `numbered` wrote; of a centre crop, the bars that are left (the outermost read as 0)."""
    height, width = frame.shape[:2]
    bar = height * 64 // 48 / BITS  # the frame was 64 x 48 before its crop
    edge = (height * 64 / 48 - width) / 2
    return sum(
        1 << bit for bit in range(BITS) if 0 <= (at := int((bit + 0.5) * bar - edge)) < width and frame[:, at].mean() > 127
    )


def write_video(
    path: Path,
    frames: list[np.ndarray],
    fps: int = 24,
    times: list[float] | None = None,
    rotation: int = 0,
    gop: int = 12,
    codec: str | None = None,
    title: str = "",
    **options: str,
) -> Path:
    """H.264 (MPEG-4 for .avi) or another codec, with its options; `times` in seconds make the rate variable."""
    even = path.suffix in (".avi", ".mpeg")
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        stream = container.add_stream(codec or ("mpeg4" if path.suffix == ".avi" else "libx264"), rate=fps, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.gop_size = gop
        stream.time_base = Fraction(1, fps if even else 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            seconds = index / fps if times is None else times[index]
            frame.time_base = stream.time_base
            frame.pts = round(seconds / stream.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def scene(
    count: int, seed: int, height: int = 96, width: int = 128, amplitude: float = 5.0, drift: float = 0.0
) -> list[np.ndarray]:
    """A textured disc that sways, and drifts by `drift` pixels a frame, over a still textured background."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)

    def texture(x, y):
        waves = [(rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.5), rng.uniform(0, 6)) for _ in range(6)]
        return lambda dx: sum(np.sin((x - dx) * a + y * b + c) for a, b, c in waves)

    back, disc = texture(x, y)(0), texture(x, y)
    colours = rng.uniform(-40, 40, (2, 3))
    frames = []
    for index in range(count):
        shift = amplitude * np.sin(2 * np.pi * index / 48) + drift * index
        inside = np.clip(24.5 - np.hypot(x - width / 2 - shift, y - height / 2), 0, 1)[..., None]
        picture = (90 + 8 * back)[..., None] + colours[0]
        front = (190 + 20 * disc(shift))[..., None] + colours[1]
        frames.append(np.clip(picture * (1 - inside) + front * inside, 0, 255).astype(np.uint8))
    return frames


def write_captions(folder: Path, captions: dict[str, str]) -> None:
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "caption"))
        rows.writerows(captions.items())


def write_shard(path: Path, files: list[Path]) -> Path:
    with tarfile.open(path, "w") as tar:
        for file in files:
            tar.add(file, arcname=file.name)
    return path
