"""Films of loops (H.264, VP9, AV1, AVIF and ProRes), coded frame by frame so that nobody finds the wrap.

A player that repeats a film starts at its key frame each time. A key frame is coded afresh: between the last frame and it,
all coding errors change at once. At 60 frames a second that jump is many times the motion (a seam step of 8 on one
photograph at CRF 18). So the key frame is coded nearly without loss. Quality falls from there as slowly as predicted frames
allow, and over the last `RAMP` seconds rises again, step by step, to meet the key frame: an error that fades over many
frames is not seen. It costs about one more key frame. SVT-AV1 has no such ramp, so it codes every frame finely, and all by
one quantizer (`aq-mode=0`). It codes the last frames well only where others follow: without them it ends a slow round on a
repeat of the frame before. So `AHEAD_AV1` frames of the next round are coded too, and their packets left out.
`tests.benchmarks.bench_formats` measures all of it.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import cycle, islice, pairwise, repeat, takewhile
from pathlib import Path

import av
import numpy as np

from loopanimate.files import chunks
from loopanimate.files.cutouts import fill_clear
from loopanimate.files.pictures import replacing

AHEAD = 3  # frames that wait to be coded: some take longer to code than others, and the renderer should not wait
RAMP, RAMP_STEPS = 0.75, 6  # seconds before the wrap over which quality rises, and in how many steps
RAMP_BITS = 16  # bits of the key frame and of the ramp's end, as a factor on those of other frames
# Beyond this CRF and rate the factor grows with the rate, in full at the second CRF: what shows is the jump over the motion.
RAMP_LEVELS, RAMP_FPS = (23, 28), 30
# Slow motion changes a frame by less than x264 thinks worth coding: without these it repeats frames, and then jumps.
X264_MOVES = "fast-pskip=0:dct-decimate=0:deadzone-inter=8:b-pyramid=none"
VP9 = {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "g": "9999"}
AV1 = {"preset": "5", "g": "9999", "svtav1-params": "scd=0:enable-tf=0:aq-mode=0"}
AHEAD_AV1 = 17  # frames: one more than SVT-AV1 codes as a group at this preset; 64 did no better
PRORES = {"profile": "4444", "alpha_bits": "16", "vendor": "apl0", "flags": "+qscale"}
LAMBDA = 118  # FFmpeg's unit of a quantizer
BT709 = 1
LIMITED, FULL = 1, 2  # range of the planes' levels
os.environ.setdefault("SVT_LOG", "1")  # errors only


@dataclass(frozen=True)
class Coding:
    """How a loop is written, whatever the format."""

    fps: Fraction  # frames a second, as `Format.frame_rate` gives it
    quality: str = "wallpaper"  # one of formats.QUALITIES
    codec: str | None = None  # a name in CODECS; None: the format's own
    max_size: float | None = None  # megabytes (10^6 bytes); None: any
    repeats: int = 1  # rounds of the loop in the file
    exact: bool = False  # frames have few colours, all of which the first has: those are kept


def _x264(count: int, fps: Fraction, level: int) -> dict[str, str]:
    length = min(round(RAMP * fps), count // 2)
    starts = [count - length + length * step // RAMP_STEPS for step in range(RAMP_STEPS + 1)]
    coarse = np.interp(level, RAMP_LEVELS, (0, 1))
    most = RAMP_BITS * float(max(1, fps / RAMP_FPS)) ** coarse
    zones = [(0, 0, most)]
    zones += [
        (start, end - 1, most ** ((step + 1) / RAMP_STEPS))
        for step, (start, end) in enumerate(pairwise(starts))
        if 0 < start < end
    ]
    zoned = "/".join(f"{first},{last},b={bits:.2f}" for first, last, bits in zones)
    # one key frame a round and no other: each would be a seam of its own
    zoned = f"keyint=infinite:scenecut=0:open-gop=0:{X264_MOVES}:zones={zoned}"
    return {"crf": str(level), "preset": "veryfast", "x264-params": zoned}


@dataclass(frozen=True)
class Codec:
    encoder: str  # FFmpeg's name
    options: Callable[[int, Fraction, int], dict[str, str]]  # the encoder's: frames of a round, frames a second, level
    levels: dict[str, int]  # constant rate factor, or quantizer, by quality; less is finer
    worst: int  # the coarsest of them
    ahead: int = 0  # frames of the next round that are coded and left out
    opaque: str = "yuv420p"  # FFmpeg's name of the pixels that it takes ...
    clear: str | None = None  # ... and of those with alpha; None: it keeps none


def _constant(options: dict[str, str]) -> Callable[[int, Fraction, int], dict[str, str]]:
    return lambda count, fps, level: options | {"crf": str(level)}


CODECS = {
    "h264": Codec("libx264", _x264, {"wallpaper": 18, "share": 23, "small": 28}, 51),
    "vp9": Codec("libvpx-vp9", _constant(VP9), {"wallpaper": 12, "share": 24, "small": 36}, 63, clear="yuva420p"),
    "av1": Codec("libsvtav1", _constant(AV1), {"wallpaper": 2, "share": 3, "small": 26}, 63, AHEAD_AV1),
    "prores": Codec(  # every frame is a key frame
        "prores_ks",
        lambda count, fps, level: PRORES | {"global_quality": str(LAMBDA * level)},
        {"wallpaper": 4, "share": 8, "small": 16},
        31,
        opaque="yuv444p10le",
        clear="yuva444p10le",
    ),
}


def write_film(
    path: Path,
    frames: Iterable[np.ndarray],
    count: int,
    coding: Coding,
    level: int,
    text: str | None,
    container: str,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a film of `coding.repeats` rounds. One round is coded once, and its packets are copied.

    Args:
        frames: one round of `count` frames, (3H/2, W) I420 or (H, W, 3) RGB uint8, or (H, W, 4), of which alpha is left out
            if the codec has none; or as PyAV has them.
        coding: its codec is named, never None.
        level: constant rate factor, or quantizer.
        container: FFmpeg's name.
        tags: QuickTime's metadata by key; a film with such has its index at its end.
    """
    codec, fps = CODECS[coding.codec], coding.fps
    options, to_planes = codec.options(count, fps, level), partial(_to_planes, codec=codec)

    def write_round(target: Path, text: str | None, tags: Mapping[str, str] | None) -> None:
        with _open(target, text, container, tags) as file:
            going_on = map(to_planes, _go_on(ahead(frames), codec.ahead))
            encode(file, codec.encoder, going_on, fps, fps, options, count)

    if coding.repeats == 1:
        write_round(path, text, tags)
    else:
        with replacing(path.with_name(f"{path.stem}.round{path.suffix}"), keep=False) as single:
            write_round(single, None, None)
            repeat_tracks([single], path, coding.repeats, count / fps, text, container, tags)
    if text and container == "avif":  # FFmpeg's muxer drops it
        chunks.add_avif_text(path, text)


def encode(
    file: av.container.OutputContainer,
    encoder: str,
    frames: Iterable[av.VideoFrame],
    fps: Fraction,
    ticks: Fraction | int,
    options: dict[str, str],
    count: int | None = None,
) -> None:
    """Encode frames into a file's only stream, which counts so many ticks a second; the first frame says what they are.

    count: frames that the file gets; what follows them is coded and left out.
    """
    stream, end = None, None if count is None else span(count, fps, ticks)[0]

    def mux(packets: list[av.Packet]) -> None:
        file.mux([packet for packet in packets if end is None or packet.pts < end])

    for index, frame in enumerate(frames):
        frame.pts, frame.duration = span(index, fps, ticks)
        frame.time_base = 1 / Fraction(ticks)
        if stream is None:
            stream = file.add_stream(encoder, rate=fps, options=options)
            context = stream.codec_context
            stream.height, stream.width, stream.pix_fmt = frame.height, frame.width, frame.format.name
            stream.time_base = context.time_base = frame.time_base
            context.colorspace = context.color_primaries = context.color_trc = frame.colorspace
            context.color_range = frame.color_range
            open_encoder(context)
        mux(stream.encode(frame))
    mux(stream.encode())


def open_encoder(context: av.VideoCodecContext) -> None:
    """Open an encoder, and have all threads scheduled as this one was.

    Where it may (root, in most containers), SVT-AV1 puts the thread that opens it and all of its own under SCHED_FIFO at
    priority 99 and leaves them there (findings/): nothing else runs beside it, and what the thread starts later inherits it.
    """
    if not sys.platform.startswith("linux"):
        context.open()
        return
    tasks, caller = Path("/proc/self/task"), threading.get_native_id()
    was, others = (os.sched_getscheduler(0), os.sched_getparam(0)), set(os.listdir(tasks)) - {str(caller)}
    context.open()
    for task in set(os.listdir(tasks)) - others:
        with suppress(ProcessLookupError):
            os.sched_setscheduler(int(task), *was)


def span(index: int, fps: Fraction, ticks: Fraction | int) -> tuple[int, int]:
    """Return start and duration of a frame in ticks."""
    start, end = (round((index + step) * ticks / fps) for step in (0, 1))
    return start, end - start


def repeat_tracks(
    singles: Sequence[Path],
    path: Path,
    repeats: int,
    seconds: Fraction,
    *about,
    models: Mapping[int, av.container.InputContainer] | None = None,
) -> None:
    """Copy the packets of films that last `seconds` to a film of `repeats` rounds, a track each.

    about: as `_open` takes it. models: films whose stream a track is taken for, by its place; else it is its own.
    """
    with _open(path, *about) as out, ExitStack() as stack:
        tracks = []
        for index in range(repeats):
            sources = [stack.enter_context(av.open(str(single))) for single in singles]
            moving = [source.streams.video[-1] for source in sources]  # the first of an AVIF file is its still picture
            if not index:
                for place, own in enumerate(moving):
                    model = (models or {}).get(place)
                    tracks.append(out.add_stream_from_template(model.streams.video[0] if model else own, opaque=True))
                    tracks[-1].metadata.update({name: value for name, value in own.metadata.items() if name == "alpha_mode"})
            for packets in zip(*(source.demux(own) for source, own in zip(sources, moving))):
                for packet, track in zip(packets, tracks):
                    if packet.dts is None:  # the empty packet at the end
                        continue
                    offset = round(index * seconds / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, track
                    out.mux(packet)
            stack.pop_all().close()


def _open(path: Path, text: str | None, container: str, tags: Mapping[str, str] | None = None) -> av.container.OutputContainer:
    """Open a new film that will carry `text`."""
    flags = {"movflags": "+use_metadata_tags" if tags else "+faststart"} if container in ("mp4", "mov") else {}
    file = av.open(str(path), "w", format=container, options=flags)
    file.metadata.update(tags or {})
    if text:
        file.metadata["comment"] = text
    return file


def even(width: int, height: int) -> tuple[int, int]:
    """Return the sides that 4:2:0 colour keeps of a picture: it has one colour for 2 x 2 pixels, so an odd side loses one."""
    return width // 2 * 2, height // 2 * 2


def to_pixels(planes: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB of a frame (3H/2, W) I420 as films have it; RGB stays as it is."""
    if planes.ndim == 3:
        return planes
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return frame.reformat(
        format="rgb24", src_colorspace="ITU709", src_color_range="MPEG", dst_color_range="JPEG", threads=1
    ).to_ndarray()


def _to_planes(pixels: np.ndarray | av.VideoFrame, codec: Codec) -> av.VideoFrame:
    if isinstance(pixels, av.VideoFrame):
        return pixels
    if pixels.ndim == 3:
        return convert(pixels, codec.opaque, codec.clear)
    return _tell_colours(av.VideoFrame.from_ndarray(pixels, format=codec.opaque))


def convert(pixels: np.ndarray, opaque: str, clear: str | None = None) -> av.VideoFrame:
    """RGB (H, W, 3), or with alpha (H, W, 4), uint8, as planes of a codec: FFmpeg's names of those without alpha and with."""
    if opaque == "yuv420p":
        width, height = even(*pixels.shape[1::-1])
        pixels = pixels[:height, :width]
    coloured = fill_clear(pixels)[..., :3] if pixels.shape[2] == 4 else pixels
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(coloured), format="rgb24")
    # by one thread: of several, one writes past its last row's end over what another has written (findings/)
    frame = frame.reformat(format=opaque, dst_colorspace="ITU709", dst_color_range=LIMITED, threads=1)
    if pixels.shape[2] == 4 and clear:
        frame = _add_alpha(frame, pixels[..., 3], clear)
    return _tell_colours(frame)


def _tell_colours(frame: av.VideoFrame) -> av.VideoFrame:
    frame.colorspace = frame.color_primaries = frame.color_trc = BT709
    frame.color_range = LIMITED
    return frame


def _add_alpha(frame: av.VideoFrame, alpha: np.ndarray, name: str) -> av.VideoFrame:
    """The frame with alpha (H, W) uint8 as one more plane. FFmpeg's own way from 8 to 10 bits and back is a level too high."""
    clear = av.VideoFrame(frame.width, frame.height, name)
    for plane, source in zip(clear.planes, frame.planes):
        plane.update(source)
    plane = clear.planes[3]
    if name.endswith("10le"):
        alpha = np.where(alpha == 255, 1023, alpha.astype("<u2") * 4).astype("<u2")
    rows = np.zeros((plane.height, plane.line_size // alpha.itemsize), alpha.dtype)
    rows[:, : plane.width] = alpha
    plane.update(rows)
    return clear


def _go_on(frames: Iterable[np.ndarray], more: int) -> Iterator[np.ndarray]:
    """Yield one round of frames, and so many of the next."""
    first = []
    for pixels in frames:
        if len(first) < more:
            first.append(pixels)
        yield pixels
    yield from islice(cycle(first), more)


def ahead(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the same frames, and make the next `AHEAD` in a thread while one is used."""
    made = in_order(lambda source: next(source, None), repeat(iter(frames)), workers=1, most=AHEAD)
    return takewhile(lambda pixels: pixels is not None, made)


def in_order(function: Callable, items: Iterable, workers: int = os.cpu_count() or 1, most: int | None = None) -> Iterator:
    """Yield `function(item)` in order, computed in threads at most `most` items ahead (default: one a worker)."""
    coming = deque()
    with ThreadPoolExecutor(workers) as threads:
        for item in items:
            coming.append(threads.submit(function, item))
            if len(coming) > (most or workers):
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
