"""Video files of loops: H.264, VP9 and AV1, streamed frame by frame, with a wrap that cannot be found.

A loop starts on a key frame again and again, and a key frame is coded afresh: between it and the last frame before it,
all coding errors change at once. At 60 frames a second that jump is many times what moves (a seam step of 8 on one
photograph at CRF 18). So the key frame is coded nearly without loss, quality falls from there as slowly as predicted
frames let it, and over the last `RAMP` seconds it is raised again, step by step, to meet the key frame: an error that
fades over many frames is no seam. It costs about one more key frame.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RAMP, RAMP_STEPS = 0.75, 6  # seconds before the wrap; steps in which quality rises
RAMP_BITS = 16  # at the key frame and at the ramp's end, times the bits of the rest
# Slow motion changes a frame by less than x264 thinks worth coding: it repeats frames, and then jumps.
X264_MOVES = "fast-pskip=0:dct-decimate=0:deadzone-inter=8:b-pyramid=none"
# by use: constant rate factors of H.264 and of VP9, less is better
QUALITIES = {"wallpaper": (18, 12), "share": (23, 24), "small": (28, 36)}
BT709 = 1
FORMATS = {".mp4": "mp4", ".webm": "webm"}


def encode(path: Path, frames: Iterable[np.ndarray], fps: Fraction, count: int, metadata: str | None,
           quality: str) -> None:  # fmt: skip
    """One turn of `count` frames, (H, W, 3) RGB or (3H/2, W) I420 uint8, into an MP4 or WebM file.

    Odd sides of RGB frames lose their last row or column. quality: one of `QUALITIES`.
    """
    kind = FORMATS[path.suffix.lower()]
    codec, options = ("libx264", _x264(count, fps, quality)) if kind == "mp4" else ("libvpx-vp9", _vp9(quality))
    container_options = {"movflags": "+faststart"} if kind == "mp4" else {}
    with av.open(str(path), "w", format=kind, options=container_options) as container:
        if metadata:
            container.metadata["comment"] = metadata
        stream = None
        for index, pixels in enumerate(ahead(frames)):
            frame = _planes(pixels)
            if stream is None:
                stream = container.add_stream(codec, rate=fps, options=options)
                stream.height, stream.width = frame.height, frame.width
                stream.pix_fmt = "yuv420p"
                stream.time_base = 1 / fps
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = BT709
                context.color_range = 1  # limited
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def repeat(turn: Path, path: Path, repeats: int, seconds: Fraction) -> None:
    """A file of `repeats` turns from a file of one that lasts `seconds`: packets are copied, nothing is coded again."""
    kind = FORMATS[path.suffix.lower()]
    container_options = {"movflags": "+faststart"} if kind == "mp4" else {}
    with av.open(str(path), "w", format=kind, options=container_options) as out:
        stream = None
        for index in range(repeats):
            with av.open(str(turn)) as source:
                if stream is None:
                    out.metadata.update(
                        {key.lower(): value for key, value in source.metadata.items() if key.lower() == "comment"}
                    )
                    stream = out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is None:  # the flush at the end
                        continue
                    offset = round(index * seconds / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    out.mux(packet)


def _x264(count: int, fps: Fraction, quality: str) -> dict[str, str]:
    length = min(round(RAMP * fps), count // 2)
    starts = [count - length + length * step // RAMP_STEPS for step in range(RAMP_STEPS + 1)]
    zones = [(0, 0, RAMP_BITS)]
    zones += [(start, end - 1, RAMP_BITS ** ((step + 1) / RAMP_STEPS))
              for step, (start, end) in enumerate(zip(starts, starts[1:])) if 0 < start < end]  # fmt: skip
    zoned = "/".join(f"{first},{last},b={bits:.2f}" for first, last, bits in zones)
    # one key frame a turn, no other: each would be a seam of its own
    return {
        "preset": "veryfast",
        "crf": str(QUALITIES[quality][0]),
        "x264-params": f"keyint=infinite:scenecut=0:open-gop=0:{X264_MOVES}:zones={zoned}",
    }


def _vp9(quality: str) -> dict[str, str]:
    return {"crf": str(QUALITIES[quality][1]), "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "g": "9999"}


def _planes(pixels: np.ndarray) -> av.VideoFrame:
    if pixels.ndim == 2:
        frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        frame.colorspace, frame.color_range = BT709, 1
        return frame
    even = np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def ahead(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same frames, the next one being made while one is used."""
    source = iter(frames)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, None)
        while (pixels := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield pixels
