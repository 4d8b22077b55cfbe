import base64
import io
import json
import os
import subprocess
import sys
import tracemalloc
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence
from skimage import data

from loopanimate.files import chunks
from loopanimate.files.formats import ENDINGS, QUALITIES, Coding, by_ending, check, check_output, read_metadata, write_loop
from loopanimate.files.pictures import with_endings
from loopanimate.files.video import AHEAD
from loopanimate.metrics import psnr, seam
from loopanimate.presets import NATIVE_FPS
from tests.files.test_pictures import bomb

AV1 = pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="PyAV is built without libsvtav1")


def each(wanted=lambda form: True, codecs=True):
    """Parametrize a test by ending and codec of the wanted formats that frames are written to."""
    cases = [
        (ending, codec)
        for ending, form in ENDINGS.items()
        if form.write and wanted(form)
        for codec in (form.codecs or (None,))[: None if codecs else 1]
    ]
    return pytest.mark.parametrize(
        "ending, codec", [pytest.param(*case, marks=AV1 if case[1] == "av1" else ()) for case in cases]
    )


def film(form) -> bool:
    return form.kind == "film"


def write(path, frames, fps=8, metadata=None, progress=None, **coding):
    write_loop(path, iter(frames), len(frames), Coding(Fraction(fps), **coding), metadata, progress)
    return path


def ring(count=8, size=(66, 97)):
    """Return distinct frames of odd width: a bright bar goes round."""
    frames = np.full((count, *size, 3), 60, np.uint8)
    for index in range(count):
        frames[index, :, index * 11 : index * 11 + 16] = (200, 120, 40)
    return frames


def circling(reach: float, fps: int, planar: bool) -> list[np.ndarray]:
    """Return frames (160, 240) of a photograph that circles with `reach` pixels, its middle with twice as many."""

    def shift(layer, x, y):  # by Lanczos' kernel, as OpenCV's warps round to 32nds of a pixel
        places = np.arange(-8, 9) - np.array([[x], [y]])
        kernels = np.sinc(places) * np.sinc(places / 3) * (np.abs(places) < 3)
        return cv2.sepFilter2D(layer, -1, *(kernels / kernels.sum(1, keepdims=True)), borderType=cv2.BORDER_REFLECT)

    picture = cv2.resize(data.chelsea(), (240, 160), interpolation=cv2.INTER_AREA).astype(np.float32)
    mask = np.zeros((160, 240, 1), np.float32)
    mask[40:120, 80:160] = 1
    middle, frames, count = np.dstack([picture * mask, mask]), [], round(34 * fps / NATIVE_FPS)
    for angle in 2 * np.pi * np.arange(count) / count:
        x, y = reach * np.sin(angle), reach * np.cos(angle)
        front = shift(middle, 2 * x, 2 * y)
        pixels = np.clip(shift(picture, x, y) * (1 - front[..., 3:]) + front[..., :3], 0, 255).astype(np.uint8)
        frames.append(cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420) if planar else pixels)
    return frames


def film_of(path):
    """Return the file that has the frames, where several belong together."""
    return with_endings(path, by_ending(path).beside)[0]


def size_of(path) -> int:
    """Return the bytes of a file, and of those that belong to it."""
    return sum(each.stat().st_size for each in with_endings(path, by_ending(path).beside))


def decode(path) -> np.ndarray:
    """Return the frames of a file: the luma of a film in 4:2:0 (K, H, W, 1), otherwise (K, H, W, 3)."""
    kind, path, own = by_ending(path).kind, film_of(path), path
    if own.suffix == ".mov":
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    if kind == "film":
        with av.open(str(path)) as container:
            return np.stack(
                [
                    frame.to_ndarray(format="yuv420p")[: frame.height, :, None]
                    for frame in container.decode(container.streams.video[-1])
                ]
            )
    if kind == "sequence":
        with zipfile.ZipFile(path) as file:
            names = sorted(name for name in file.namelist() if name.endswith(".png"))
            return np.stack([np.asarray(Image.open(file.open(name))) for name in names])
    with Image.open(path) as file:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)])


@each()
def test_a_file_holds_every_frame_once_at_the_size_that_is_reported(ending, codec, tmp_path):
    shown = decode(write(tmp_path / f"loop{ending}", ring(), codec=codec)).astype(float)
    width, height = by_ending(ending).size(97, 66)
    assert shown.shape[:3] == (8, height, width) and (width == 96) == by_ending(ending).planar
    given = ring()[:, :height, :width].astype(float)
    if shown.shape[3] == 1:
        given = 16 + given @ [[0.1826], [0.6142], [0.062]]  # BT.709, limited
    assert np.abs(shown - given).mean() <= (0 if ending in (".png", ".apng", ".zip") else 12)


@each(film)
def test_a_film_starts_at_0_and_lasts_exactly(ending, codec, tmp_path):
    path = film_of(write(tmp_path / f"loop{ending}", ring(), codec=codec))
    with av.open(str(path)) as container:
        stream = container.streams.video[-1]
        times = [float(frame.time) for frame in container.decode(stream)]
        assert np.allclose(times, np.arange(8) / 8, atol=2e-3) and abs(container.duration / av.time_base - 1.0) < 2e-3
        assert len(container.streams.audio) == 0
        assert stream.codec_context.pix_fmt.startswith("yuv444p1" if ending == ".mov" else "yuv420p")
        assert stream.codec_context.color_primaries == stream.codec_context.color_trc == 1
        assert stream.codec_context.colorspace == 1 and stream.codec_context.codec.canonical_name == codec
    if ending == ".mp4":  # so that it plays before all of it has come
        content = path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    "ending, rate",
    [(".gif", 8), (".gif", 12.5), (".webp", 30), (".png", 30), (".apng", 8), pytest.param(".avif", 30, marks=AV1)],
)
def test_animations_last_exactly(ending, rate, tmp_path):
    with Image.open(write(tmp_path / f"loop{ending}", ring(), rate)) as file:
        assert file.n_frames == 8 and file.info.get("loop", 0) == 0
        total = 0
        for index in range(8):
            file.seek(index)
            file.load()
            total += file.info["duration"]
    tick = {".gif": 10, ".avif": 8}.get(ending, 1)  # milliseconds; Pillow rounds each of AVIF's durations
    assert abs(total - 8000 / rate) <= tick


@each(codecs=False)
def test_three_turns_are_one_three_times(ending, codec, tmp_path):
    told = []
    one = decode(write(tmp_path / f"one{ending}", ring(), 10, "words")).astype(int)
    path = write(tmp_path / f"three{ending}", ring(), 10, "words", lambda *done: told.append(done), repeats=3)
    three = decode(path).astype(int)
    assert len(three) == 24 and read_metadata(path) == "words"
    assert len(list(tmp_path.iterdir())) == 2 + 2 * len(by_ending(ending).beside)
    near = {".gif": 2, ".webp": 2, ".mov": 0.02}.get(ending, 1e-9)  # FFmpeg decodes ProRes that was copied to fewer bits
    assert np.abs(three - np.concatenate([one] * 3)).mean() < near
    assert told[-1] == ((8, 8) if film(by_ending(ending)) else (24, 24))  # a film's turn is coded once
    if film(by_ending(ending)):
        with av.open(str(film_of(path))) as container:
            times = [float(frame.time) for frame in container.decode(container.streams.video[-1])]
            assert np.allclose(times, np.arange(24) / 10, atol=1e-3) and abs(container.duration / av.time_base - 2.4) < 2e-3


@each(lambda form: form.kind != "sequence")
def test_no_seam_is_left_in_the_decoded_file(ending, codec, tmp_path):
    form, fps = by_ending(ending), 60 if film(by_ending(ending)) else 25
    frames = circling(1.6, fps, form.planar)
    shown = decode(write(tmp_path / f"loop{ending}", frames, fps, codec=codec))
    measures = seam(shown)
    assert len(shown) == len(frames) and measures["step"] <= 1.25 and measures["jerk"] <= 1.25
    if codec != "vp9":  # which nearly repeats a frame at its key frame
        assert measures["pause"] >= 0.9
    if form.planar:
        with av.open(str(film_of(tmp_path / f"loop{ending}"))) as container:
            assert sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size) == 1
    else:
        assert psnr(shown, np.stack(frames)) > 32


@pytest.mark.parametrize("codec, quality, fps, reach", [
    pytest.param("av1", "wallpaper", 30, 1.6, marks=AV1), pytest.param("av1", "share", 60, 1.6, marks=AV1),
    pytest.param("av1", "share", 30, 0.4, marks=AV1), ("h264", "small", 60, 1.6), ("h264", "small", 60, 0.4),
])  # fmt: skip
def test_slow_loops_of_coarser_qualities_show_no_step_either(codec, quality, fps, reach, tmp_path):
    frames = circling(reach, fps, True)
    measures = seam(decode(write(tmp_path / "loop.mp4", frames, fps, codec=codec, quality=quality)))
    assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25


def test_a_gif_has_the_colours_of_all_frames_and_what_rests_does_not_flicker(tmp_path):
    frames = [cv2.resize(data.chelsea(), (120, 80), interpolation=cv2.INTER_AREA) for _ in range(8)]
    for index, pixels in enumerate(frames[1:]):  # light that the first frame has not, over the middle
        pixels[20:60, 30:90] = np.clip(pixels[20:60, 30:90] * [0.2, 0.3, 0.4] + [0, 20 * index, 150], 0, 255)
    shown = decode(write(tmp_path / "loop.gif", frames))
    assert (shown[:, :20] == shown[0, :20]).all() and (shown[:, 60:] == shown[0, 60:]).all()
    assert psnr(*(np.stack([cv2.GaussianBlur(pixels, (0, 0), 1) for pixels in each]) for each in (shown, frames))) > 38


def cut_out(count=6, size=(66, 96)) -> list[np.ndarray]:
    """Return frames (H, W, 4) of a disc with a soft rim, and every level of alpha in a ramp."""
    frames, (y, x) = [], np.mgrid[: size[0], : size[1]]
    for index in range(count):
        alpha = np.clip((20 - np.hypot(x - 48 - 2 * index, y - 33)) / 6 + 0.5, 0, 1)
        alpha[:6] = np.linspace(0, 1, size[1])
        frames.append((np.dstack([alpha > 0] * 3 + [alpha]) * np.array([220, 90, 40, 255])).round().astype(np.uint8))
    return frames


def decode_clear(path) -> np.ndarray:
    """Return the frames of a file, (K, H, W, 4)."""
    if path.suffix == ".zip":
        return decode(path)
    if by_ending(path).kind == "animation" or path.suffix == ".avif":
        with Image.open(path) as file:
            return np.stack([np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(file)])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if path.suffix == ".mov":
            return np.stack([frame.to_ndarray(format="rgba") for frame in container.decode(stream)])
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own VP9 drops alpha
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet if packet.size else None)]
    colours = [frame.reformat(format="yuv420p").to_ndarray(format="rgb24") for frame in frames]
    alphas = [np.frombuffer(frame.planes[3], np.uint8).reshape(frame.height, -1)[:, : frame.width] for frame in frames]
    return np.stack([np.dstack(parts) for parts in zip(colours, alphas)])


@pytest.mark.parametrize("repeats", [1, 2])
@each(lambda form: form.keeps_alpha(None) if form.write else False, codecs=False)
def test_a_cut_out_stays_one(ending, codec, repeats, tmp_path):
    given, path = np.stack(cut_out() * repeats), tmp_path / f"loop{ending}"
    shown = decode_clear(write(path, cut_out(), repeats=repeats))
    assert shown.shape == given.shape
    wrong = np.abs(shown[..., 3].astype(int) - given[..., 3])
    assert wrong.max() == 0 if ending not in (".webm", ".avif") else wrong.mean() < 0.3  # coded as brightness is
    for behind in (0, 255):  # a rim that is too dark or too light would show over one of them
        over = [
            behind + (pixels[..., :3].astype(float) - behind) * pixels[..., 3:] / 255 for pixels in (shown, given.astype(float))
        ]
        assert np.abs(over[0] - over[1]).mean() < (0.1 if ending in (".png", ".apng", ".zip") else 1.5)
    assert ending != ".webm" or b"\x53\xc0\x81\x01" in path.read_bytes()  # AlphaMode 1: without it browsers show no alpha


def test_slow_motion_does_not_halt_in_a_film(tmp_path):
    frames = circling(0.32, 60, True)  # at most a 50th of a pixel a frame
    rings = decode(write(tmp_path / "loop.mp4", frames, 60))[..., 0], np.stack(frames)[:, :160]
    shown, given = (np.abs(np.roll(ring, -1, 0).astype(np.float32) - ring).mean((1, 2)) for ring in rings)
    assert np.percentile(shown / given, 5) > 0.5


@each(codecs=False)
def test_metadata_comes_back(ending, codec, tmp_path):
    path = tmp_path / f"loop{ending}"
    mask = base64.b64encode(np.random.default_rng(0).bytes(6000)).decode()
    text = json.dumps({"prompt": 'she "sways" <gently>\n\u00e0 gauche \U0001f30a', "seed": 7, "mask": mask}, ensure_ascii=False)
    assert read_metadata(write(path, ring(), metadata=text)) == text
    assert not read_metadata(write(path, ring()))
    path.write_bytes(b"no loop")
    assert read_metadata(path) is None and read_metadata(tmp_path / f"none{ending}") is None


def test_a_text_made_to_harm_is_none(tmp_path):
    with zipfile.ZipFile(tmp_path / "loop.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(chunks.SEQUENCE_TEXT, bytes(chunks.MAX_TEXT + 1))
    nested = '<script type="application/json" id="recipe">' + "[" * 100_000 + "</script>"
    (tmp_path / "loop.html").write_text(nested)
    (tmp_path / "loop.png").write_bytes(bomb(40_000, 40_000))
    for path in tmp_path.iterdir():
        assert read_metadata(path) is None, path


def test_a_large_gif_gets_its_text_without_being_read_into_memory(tmp_path):
    file = io.BytesIO()
    Image.new("P", (4, 4)).save(file, "GIF")
    path = tmp_path / "large.gif"
    path.write_bytes(file.getvalue())
    with path.open("ab") as file:
        file.truncate(40_000_000)
    tracemalloc.start()
    chunks.add_gif_text(path, "words")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read_metadata(path) == "words" and peak < 4e6


@each(lambda form: form.graded, codecs=False)
def test_a_largest_size_is_kept_and_filled_without_rendering_again(ending, codec, tmp_path):
    frames, path, taken, told = circling(1.6, 8, by_ending(ending).planar), tmp_path / f"loop{ending}", [], []
    whole = size_of(write(path, frames, repeats=2))
    write_loop(
        path,
        (taken.append(0) or frame for frame in frames),
        len(frames),
        Coding(Fraction(8), max_size=whole / 3e6, repeats=2),
        progress=lambda done, count: told.append(done == count),
    )
    assert sum(told) >= 2  # progress is told each time that it is coded, so that a person can stop
    assert 0.7 * whole / 3 < size_of(path) <= whole / 3
    assert len(decode(path)) == 2 * len(frames) == 2 * len(taken)
    write(path, frames, repeats=2, max_size=1.02 * whole / 1e6)
    assert size_of(path) == pytest.approx(whole, rel=0.01)  # x264's files differ by some bytes
    with pytest.raises(ValueError, match="expected a largest size"):
        write(path, frames, repeats=2, max_size=0.001)
    assert size_of(path) == pytest.approx(whole, rel=0.01)
    assert len(list(tmp_path.iterdir())) == 1 + len(by_ending(ending).beside)


@each(lambda form: form.graded)
def test_a_coarser_quality_takes_fewer_bytes(ending, codec, tmp_path):
    frames = circling(1.6, 8, by_ending(ending).planar)[:8]
    sizes = [size_of(write(tmp_path / f"{name}{ending}", frames, quality=name, codec=codec)) for name in QUALITIES]
    assert sizes[0] > 1.15 * sizes[1] > 1.15**2 * sizes[2]


@pytest.mark.parametrize(
    "ending, fps, codec, size, words",
    [
        (".mp4", 500, None, None, "1 to 120 frames a second, got 500"),
        (".html", 0, None, None, "1 to 120 frames a second, got 0"),
        (".gif", 30, None, None, "a GIF rate of 10, 12.5, 20, 25, 50 or native, got 30"),
        (".mp4", None, "vp9", None, "a codec out of h264, av1 for .mp4, got vp9"),
        (".gif", None, "av1", None, "a codec only with .mp4, .webm, .*, got av1 for .gif"),
        (".gif", None, None, 10, "a largest size only with .mp4, .webm, .*, got one for .gif"),
        (".html", None, None, 10, "a largest size only with"),
        (".avi", None, None, None, "ending in .mp4, .webm, .*, .html, got .avi"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_any_work(ending, fps, codec, size, words):
    with pytest.raises(ValueError, match=words):
        check(ending, fps, codec, size)


def test_what_a_format_can_hold_passes(monkeypatch):
    rates = {".gif": Fraction(25, 2)}
    for ending, form in ENDINGS.items():
        assert check(f"A.Loop{ending.upper()}", "native") is form and form.frame_rate("native") == NATIVE_FPS
        assert form.frame_rate(None) == rates.get(ending, 30) and form.frame_rate(25) == 25
    assert check(".webm", 59.94, "av1", 5).frame_rate(59.94) == Fraction(2997, 50)
    monkeypatch.setattr(av, "codecs_available", {"libx264"})
    with pytest.raises(ValueError, match="a build of PyAV with libsvtav1"):
        check(".mp4", codec="av1")


def test_outputs_are_checked_before_any_work(tmp_path):
    assert check_output(tmp_path / "loop.mp4") == tmp_path / "loop.mp4" and not list(tmp_path.iterdir())
    (tmp_path / "folder.mp4").mkdir()
    for name, words in (("loop.avi", "ending in"), ("no/loop.mp4", "can be written"), ("folder.mp4", "got the folder")):
        with pytest.raises(ValueError, match=words):
            check_output(tmp_path / name)


def test_nothing_is_half_written(tmp_path):
    def break_off():
        yield ring()[0]
        raise RuntimeError("cut")

    for ending in (".mp4", ".gif"):
        path = tmp_path / f"loop{ending}"
        path.write_bytes(b"the old loop")
        with pytest.raises(RuntimeError, match="cut"):
            write_loop(path, break_off(), 8, Coding(Fraction(8)))
        assert path.read_bytes() == b"the old loop"
    assert len(list(tmp_path.iterdir())) == 2


@AV1
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="Linux tells how each thread is scheduled")
def test_no_encoder_takes_the_machine(tmp_path):
    """SVT-AV1 asks for real-time threads, and gets them where it may: as root in most containers."""

    def scheduled():
        return {os.sched_getscheduler(int(task)) for task in os.listdir("/proc/self/task")}

    def watched():
        for pixels in ring():
            yield pixels
            seen.append(scheduled())

    before, seen = scheduled(), []
    write_loop(tmp_path / "loop.avif", watched(), 8, Coding(Fraction(8)))
    opened = seen[AHEAD + 1 :]  # frames before these are made while the encoder opens, for which moment it has its way
    assert len(opened) > 2 and all(policies <= before for policies in (*opened, scheduled()))


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on a file's size stands for a full disk")
def test_a_full_disk_leaves_no_file(tmp_path):
    script = f"""
import resource, signal, av, numpy as np
from fractions import Fraction
from loopanimate.files.formats import ENDINGS, Coding, write_loop
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
frames = np.random.default_rng(0).integers(0, 256, (12, 128, 128, 3), dtype=np.uint8)
for ending, form in ENDINGS.items():
    if form.write is None or form.codecs == ("av1",) and "libsvtav1" not in av.codecs_available:
        continue
    try:
        write_loop({str(tmp_path)!r} + "/loop" + ending, iter(frames), 12, Coding(Fraction(10)), "words")
        print(ending, "was written")
    except OSError:
        pass
print("done")
"""
    shown = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert shown.stdout == "done\n", shown.stdout + shown.stderr
    assert not list(tmp_path.iterdir())
