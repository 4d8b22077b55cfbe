"""Video files of loops: H.264, VP9, AV1 and AVIF, streamed frame by frame, with a wrap that cannot be found.

A loop starts on a key frame again and again, and a key frame is coded afresh: between it and the last frame before it,
all coding errors change at once. At 60 frames a second that jump is many times what moves (a seam step of 8 on one
photograph at CRF 18). So the key frame is coded nearly without loss, quality falls from there as slowly as predicted
frames let it, and over the last `RAMP` seconds it is raised again, step by step, to meet the key frame: an error that
fades over many frames is no seam. It costs about one more key frame. SVT-AV1 offers no such ramp: for
a wall it codes every frame so finely that the wrap is like any other place, in 1.1 to 1.7 times the bytes of H.264; its
coarser files are the smallest, and show a step there.
"""

import os
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

AHEAD = 3  # frames: coding takes unlike times, and neither side should wait
RAMP, RAMP_STEPS = 0.75, 6  # seconds before the wrap; steps in which quality rises
RAMP_BITS = 16  # at the key frame and at the ramp's end, times the bits of the rest
# Slow motion changes a frame by less than x264 thinks worth coding: it repeats frames, and then jumps.
X264_MOVES = "fast-pskip=0:dct-decimate=0:deadzone-inter=8:b-pyramid=none"
BT709 = 1
RECIPE = uuid.uuid5(uuid.NAMESPACE_URL, "loopanimate:recipe").bytes  # names the box of an AVIF file's text
os.environ.setdefault("SVT_LOG", "1")  # errors only


@dataclass(frozen=True)
class Codec:
    """A video codec: FFmpeg's encoder, and its constant rate factors by use and the worst; less is better."""

    encoder: str
    levels: dict[str, int]
    worst: int


CODECS = {
    "h264": Codec("libx264", {"wallpaper": 18, "share": 23, "small": 28}, 51),
    "vp9": Codec("libvpx-vp9", {"wallpaper": 12, "share": 24, "small": 36}, 63),
    "av1": Codec("libsvtav1", {"wallpaper": 2, "share": 26, "small": 40}, 63),
}
FORMATS = {  # container, codecs that it takes: its own, and those to ask for
    ".mp4": ("mp4", ("h264", "av1")),
    ".webm": ("webm", ("vp9", "av1")),
    ".avif": ("avif", ("av1",)),
}


def codec_of(ending: str, codec: str | None) -> Codec:
    """The codec of a file, None: the format's own; ValueError for one that the format or this machine cannot write."""
    named = codec or FORMATS[ending][1][0]
    if named not in FORMATS[ending][1]:
        raise ValueError(f"expected a codec out of {', '.join(FORMATS[ending][1])} for {ending}, got {named}")
    found = CODECS[named]
    if found.encoder not in av.codecs_available:
        raise ValueError(f"expected a build of PyAV with {found.encoder} for {named} in {ending}, got one without it")
    return found


def encode(
    path: Path, frames: Iterable[np.ndarray], fps: Fraction, count: int, metadata: str | None, codec: Codec, level: int
) -> None:
    """One turn of `count` frames, (H, W, 3) RGB or (3H/2, W) I420 uint8, into a file of `FORMATS`.

    Odd sides of RGB frames lose their last row or column. level: constant rate factor.
    """
    options = {"crf": str(level)} | {"libx264": _x264, "libvpx-vp9": _vp9, "libsvtav1": _av1}[codec.encoder](count, fps)
    with _opened(path, metadata) as container:
        stream = None
        for index, pixels in enumerate(ahead(frames)):
            frame = _planes(pixels)
            if stream is None:
                stream = container.add_stream(codec.encoder, rate=fps, options=options)
                stream.height, stream.width = frame.height, frame.width
                stream.pix_fmt = "yuv420p"
                stream.time_base = 1 / fps
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = BT709
                context.color_range = 1  # limited
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def repeat(turn: Path, path: Path, repeats: int, seconds: Fraction, metadata: str | None) -> None:
    """A file of `repeats` turns from a file of one that lasts `seconds`: packets are copied, nothing is coded again."""
    with _opened(path, metadata) as out:
        stream = None
        for index in range(repeats):
            with av.open(str(turn)) as source:
                moving = source.streams.video[-1]  # an AVIF file's first is its still picture
                stream = stream or out.add_stream_from_template(moving, opaque=True)  # no encoder is opened
                for packet in source.demux(moving):
                    if packet.dts is None:  # the flush at the end
                        continue
                    offset = round(index * seconds / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    out.mux(packet)


def read_comment(path: Path) -> str | None:
    """The text that a file carries; av.FFmpegError or OSError for what is no video."""
    if path.suffix.lower() != ".avif":
        with av.open(str(path)) as container:
            return {key.lower(): value for key, value in container.metadata.items()}.get("comment")
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"uuid" and file.read(16) == RECIPE:
                return file.read(length - 24).decode()
            if length < 8:
                break
            file.seek(length - 8 - 16 * (head[4:] == b"uuid"), os.SEEK_CUR)
    return None


@contextmanager
def _opened(path: Path, metadata: str | None) -> Iterator[av.container.OutputContainer]:
    """A new file's container; the text becomes its comment, or in AVIF, which has none, a box of its own at the end."""
    kind = FORMATS[path.suffix.lower()][0]
    with av.open(str(path), "w", format=kind, options={"movflags": "+faststart"} if kind == "mp4" else {}) as container:
        if metadata and kind != "avif":
            container.metadata["comment"] = metadata
        yield container
    if metadata and kind == "avif":
        content = RECIPE + metadata.encode()
        with path.open("ab") as file:
            file.write((8 + len(content)).to_bytes(4, "big") + b"uuid" + content)


def _x264(count: int, fps: Fraction) -> dict[str, str]:
    length = min(round(RAMP * fps), count // 2)
    starts = [count - length + length * step // RAMP_STEPS for step in range(RAMP_STEPS + 1)]
    zones = [(0, 0, RAMP_BITS)]
    zones += [
        (start, end - 1, RAMP_BITS ** ((step + 1) / RAMP_STEPS))
        for step, (start, end) in enumerate(zip(starts, starts[1:]))
        if 0 < start < end
    ]
    zoned = "/".join(f"{first},{last},b={bits:.2f}" for first, last, bits in zones)
    # one key frame a turn, no other: each would be a seam of its own
    return {"preset": "veryfast", "x264-params": f"keyint=infinite:scenecut=0:open-gop=0:{X264_MOVES}:zones={zoned}"}


def _vp9(count: int, fps: Fraction) -> dict[str, str]:
    return {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "g": "9999"}


def _av1(count: int, fps: Fraction) -> dict[str, str]:
    return {"preset": "5", "g": "9999", "svtav1-params": "scd=0:enable-tf=0"}


def _planes(pixels: np.ndarray) -> av.VideoFrame:
    if pixels.ndim == 2:
        frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        frame.colorspace, frame.color_range = BT709, 1
        return frame
    even = np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def ahead(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same frames, the next `AHEAD` being made while one is used."""
    source = iter(frames)
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, source, None) for _ in range(AHEAD))
        while (pixels := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, source, None))
            yield pixels
