import base64
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from fractions import Fraction

import av
import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence
from skimage import data

from loopanimate.files import media
from loopanimate.files.sizes import cover, cover_box, frame_rate, frame_times, inside, output_size, surround, turns
from loopanimate.metrics import psnr, seam
from loopanimate.motion.field import LoopField
from loopanimate.render.renderer import Renderer


def ring(count=8, size=(36, 49)):
    """Distinct frames of odd width: a bright bar that goes round."""
    frames = np.full((count, *size, 3), 60, np.uint8)
    for index in range(count):
        frames[index, :, index * 5 : index * 5 + 8] = (200, 120, 40)
    return frames


def saved(picture, name, tmp_path, **options):
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def test_orientation_is_applied(tmp_path):
    picture = Image.new("RGB", (60, 40), "red")
    picture.paste("blue", (0, 0, 60, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter clockwise to be upright
    opened = media.open_picture(saved(picture, "turned.jpg", tmp_path, exif=exif, quality=95))
    assert opened.size == (40, 60)
    assert opened.getpixel((37, 30))[2] > 200 and opened.getpixel((5, 30))[0] > 200


def test_transparency_lies_on_white(tmp_path):
    opened = media.open_picture(saved(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "clear.png", tmp_path))
    assert opened.mode == "RGB" and opened.getpixel((20, 20)) == (255, 255, 255)


def test_colour_profile_becomes_srgb(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = media.open_picture(saved(Image.new("RGB", (40, 40), (10, 200, 90)), "p.png", tmp_path, icc_profile=lab))
    assert max(abs(a - b) for a, b in zip(plain.getpixel((5, 5)), (10, 200, 90))) <= 1
    broken = media.open_picture(saved(Image.new("RGB", (40, 40), (10, 200, 90)), "b.png", tmp_path, icc_profile=b"nonsense"))
    assert broken.getpixel((5, 5)) == (10, 200, 90)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", "LA", "1"])
def test_any_mode_becomes_rgb(mode, tmp_path):
    picture = Image.new("L", (40, 40), 128)
    picture = Image.fromarray(np.full((40, 40), 32896, np.uint16)) if mode == "I;16" else picture.convert(mode)
    opened = media.open_picture(saved(picture, "m.tif", tmp_path))
    assert opened.mode == "RGB" and (mode == "1" or abs(opened.getpixel((9, 9))[0] - 128) < 6)


def test_heic_opens(tmp_path):
    opened = media.open_picture(saved(Image.new("RGB", (64, 48), (200, 30, 30)), "phone.heic", tmp_path))
    assert opened.size == (64, 48) and opened.getpixel((30, 20))[0] > 180


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims width x height in a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("text.png", b"just words", "not a picture"),
        ("empty.png", b"", "nothing in it"),
        ("bomb.png", bomb(40_000, 40_000), "megapixels"),
        ("large.png", bomb(12_000, 11_000), "megapixels"),
        ("cut.png", bomb(300, 300), "not a picture"),
        ("strip.png", bomb(2000, 100), "4 : 1"),
        ("dot.png", bomb(8, 8), "at least 32"),
    ],
)
def test_bad_pictures_are_refused_in_one_sentence(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        media.open_picture(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_mask_is_resized_or_refused(tmp_path):
    path = saved(Image.new("L", (100, 50), 255), "mask.png", tmp_path)
    assert media.open_mask(path, (200, 100)).shape == (100, 200)
    with pytest.raises(ValueError, match="shape 200 x 200, got 100 x 50"):
        media.open_mask(path, (200, 200))
    with pytest.raises(ValueError, match="all-black"):
        media.open_mask(saved(Image.new("L", (100, 50), 0), "black.png", tmp_path), (100, 50))


AV1 = pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="PyAV is built without libsvtav1")


@pytest.mark.parametrize(
    "ending, codec",
    [(".mp4", None), (".webm", None), pytest.param(".mp4", "av1", marks=AV1), pytest.param(".webm", "av1", marks=AV1)],
)
def test_video_holds_every_frame_once(ending, codec, tmp_path):
    path = tmp_path / f"loop{ending}"
    media.write_loop(path, iter(ring(size=(66, 97))), Fraction(8), 8, codec=codec)
    decoded = np.stack(list(iio.imiter(path, plugin="pyav")))
    assert decoded.shape == (8, 66, 96, 3)
    assert np.abs(decoded.astype(int) - ring(size=(66, 97))[:, :, :96]).mean() < 12
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(video=0))
        assert len(container.streams.audio) == 0 and stream.codec_context.pix_fmt == "yuv420p"
        assert float(frames[0].time) == 0 and abs(float(frames[-1].time) - 7 / 8) < 2e-3
        assert abs(container.duration / av.time_base - 1.0) < 2e-3
        assert stream.codec_context.colorspace == 1
        own = {".mp4": "h264", ".webm": "vp9"}[ending]
        assert stream.codec_context.codec.canonical_name == (codec or own)


def test_mp4_starts_fast(tmp_path):
    media.write_loop(tmp_path / "loop.mp4", iter(ring()), Fraction(8), 8)
    content = (tmp_path / "loop.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("ending", media.VIDEO)
def test_three_repeats_equal_one_three_times(ending, tmp_path):
    media.write_loop(tmp_path / f"one{ending}", iter(ring()), Fraction(8), 8, "words")
    media.write_loop(tmp_path / f"three{ending}", iter(ring()), Fraction(8), 8, "words", repeats=3)
    one, three = (decoded(tmp_path / f"{name}{ending}") for name in ("one", "three"))
    assert len(one) == 8
    assert np.array_equal(three, np.concatenate([one] * 3))
    assert media.read_metadata(tmp_path / f"three{ending}") == "words"
    with av.open(str(tmp_path / f"three{ending}")) as container:
        times = [float(frame.time) for frame in container.decode(container.streams.video[-1])]
        assert np.allclose(times, np.arange(24) / 8, atol=1e-3)
        assert abs(container.duration / av.time_base - 3.0) < 2e-3
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png", ".zip"])
def test_pictures_go_round_several_times_from_frames_that_come_once(ending, tmp_path):
    told = []
    media.write_loop(
        tmp_path / f"three{ending}", iter(ring()), Fraction(8), 8, "words", repeats=3, progress=lambda *done: told.append(done)
    )
    three = decoded(tmp_path / f"three{ending}").astype(int)
    assert len(three) == 24 and told[-1] == (24, 24)
    assert np.abs(three[8:] - three[:-8]).mean() < (0 if ending in (".png", ".zip") else 2) + 1e-9
    assert len(list(tmp_path.iterdir())) == 1


def circling(reach: float, fps: int, planar: bool) -> list[np.ndarray]:
    """Frames (240 x 160) of a photograph whose two layers circle at one speed, `reach` and half of it in short sides."""
    picture = cv2.resize(data.chelsea(), (240, 160), interpolation=cv2.INTER_AREA)
    turn = 2 * np.pi * np.arange(35) / 34
    displacement = np.zeros((35, 4, 12, 16), np.float32)
    for layer, start in enumerate((1, 4)):
        for axis, wave in enumerate((np.sin, np.cos)):
            displacement[:, 2 * layer + axis] = reach / (1 + layer) * (wave(turn + start) - wave(start))[:, None, None]
    mask = np.zeros((160, 240), np.float32)
    mask[40:120, 80:160] = 1
    renderer = Renderer(picture, mask, LoopField(displacement), planar=planar)
    return [renderer.frame(time) for time in frame_times(35, Fraction(fps))]


def decoded(path) -> np.ndarray:
    """Frames of a file: the brightness of a video, (K, H, W, 1), or red, green and blue of pictures."""
    if path.suffix in media.VIDEO:
        with av.open(str(path)) as container:
            return np.stack(
                [
                    frame.to_ndarray(format="yuv420p")[: frame.height, :, None]
                    for frame in container.decode(container.streams.video[-1])
                ]
            )
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as file:
            names = sorted(name for name in file.namelist() if name.endswith(".png"))
            return np.stack([np.asarray(Image.open(file.open(name))) for name in names])
    with Image.open(path) as file:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)])


@pytest.mark.parametrize(
    "ending, fps, codec",
    [
        *((".mp4", 60, None), (".webm", 60, None), (".webp", 30, None), (".gif", 25, None), (".png", 30, None)),
        *(pytest.param(ending, 60, codec, marks=AV1) for ending, codec in ((".mp4", "av1"), (".webm", "av1"), (".avif", None))),
    ],
)
def test_no_seam_is_left_in_the_decoded_file(ending, fps, codec, tmp_path):
    frames = circling(0.02, fps, ending in media.VIDEO)
    media.write_loop(tmp_path / f"loop{ending}", iter(frames), Fraction(fps), len(frames), codec=codec)
    shown = decoded(tmp_path / f"loop{ending}")
    measures = seam(shown)
    assert len(shown) == len(frames)
    assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25
    if (ending, codec) != (".webm", None):  # VP9 nearly repeats a frame at its key frame
        assert measures["pause"] >= 0.9
    if ending in media.VIDEO:
        assert sum(packet.is_keyframe for packet in _packets(tmp_path / f"loop{ending}")) == 1
    else:
        assert psnr(shown, np.stack(frames)) > 32


def test_slow_motion_does_not_halt_in_a_decoded_video(tmp_path):
    frames = circling(0.004, 60, True)  # less than a 50th of a pixel a frame
    media.write_loop(tmp_path / "loop.mp4", iter(frames), Fraction(60), len(frames))
    rings = [decoded(tmp_path / "loop.mp4")[..., 0].astype(np.float32), np.stack(frames)[:, :160].astype(np.float32)]
    shown, given = (np.abs(np.roll(ring, -1, 0) - ring).mean((1, 2)) for ring in rings)
    assert np.percentile(shown / given, 5) > 0.5


def _packets(path):
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize(
    "ending, rate",
    [(".gif", 8), (".gif", 12.5), (".webp", 30), (".png", 30), (".apng", 8), pytest.param(".avif", 30, marks=AV1)],
)
def test_animations_hold_every_frame_and_last_exactly(ending, rate, tmp_path):
    path = tmp_path / f"loop{ending}"
    media.write_loop(path, iter(ring()), Fraction(rate), 8)
    with Image.open(path) as file:
        assert file.n_frames == 8 and file.info.get("loop", 0) == 0
        total = 0
        for index in range(8):
            file.seek(index)
            file.load()
            total += file.info["duration"]
    tick = {".gif": 10, ".avif": 8}.get(ending, 1)  # Pillow rounds each of AVIF's durations
    assert abs(total - 8000 / rate) <= tick


@pytest.mark.parametrize("ending", media.ENDINGS)
def test_metadata_comes_back(ending, tmp_path):
    path = tmp_path / f"loop{ending}"
    mask = base64.b64encode(np.random.default_rng(0).bytes(6000)).decode()
    text = json.dumps({"prompt": 'she "sways" <gently>\n\u00e0 gauche \U0001f30a', "seed": 7, "mask": mask}, ensure_ascii=False)
    media.write_loop(path, iter(ring()), Fraction(8), 8, text)
    assert media.read_metadata(path) == text
    media.write_loop(path, iter(ring()), Fraction(8), 8)
    assert not media.read_metadata(path)
    path.write_bytes(b"no loop")
    assert media.read_metadata(path) is None and media.read_metadata(tmp_path / f"none{ending}") is None


def test_a_sequence_holds_the_exact_frames(tmp_path):
    media.write_loop(tmp_path / "loop.zip", iter(ring()), Fraction(8), 8)
    with zipfile.ZipFile(tmp_path / "loop.zip") as file:
        names = file.namelist()
        assert names == [f"frame-{index:04d}.png" for index in range(8)]
        assert np.array_equal(np.stack([iio.imread(file.read(name)) for name in names]), ring())


@pytest.mark.parametrize(
    "ending, repeats", [(".mp4", 1), (".mp4", 3), (".webm", 1), (".webp", 1), pytest.param(".avif", 1, marks=AV1)]
)
def test_a_largest_size_is_kept_and_filled_without_rendering_again(ending, repeats, tmp_path):
    frames, path, taken, told = circling(0.02, 8, ending in media.VIDEO), tmp_path / f"loop{ending}", [], []
    media.write_loop(path, iter(frames), Fraction(8), len(frames), repeats=repeats)
    whole = path.stat().st_size
    media.write_loop(
        path,
        (taken.append(0) or frame for frame in frames),
        Fraction(8),
        len(frames),
        repeats=repeats,
        max_size=whole / 3e6,
        progress=lambda *done: told.append(done),
    )
    assert told.count((len(frames), len(frames))) >= 2  # who waits can stop each time that it is coded
    assert 0.7 * whole / 3 < path.stat().st_size <= whole / 3
    assert len(decoded(path)) == repeats * len(frames) == repeats * len(taken)
    media.write_loop(path, iter(frames), Fraction(8), len(frames), repeats=repeats, max_size=1.02 * whole / 1e6)
    assert path.stat().st_size == pytest.approx(whole, rel=0.01)  # x264's threads may differ by some bytes
    with pytest.raises(ValueError, match="expected a largest size"):
        media.write_loop(path, iter(frames), Fraction(8), len(frames), repeats=repeats, max_size=0.001)
    assert path.stat().st_size == pytest.approx(whole, rel=0.01) and len(list(tmp_path.iterdir())) == 1


def test_codecs_and_sizes_that_a_format_cannot_have_are_refused(monkeypatch):
    for ending, codec, size, words in (
        (".mp4", "vp9", None, "h264, av1 for .mp4, got vp9"),
        (".gif", "av1", None, "codec only"),
        (".gif", None, 10, "size only"),
        (".html", None, 10, "size only"),
    ):
        with pytest.raises(ValueError, match=words):
            media.check_coding(ending, codec, size)
    for ending in (*media.ENDINGS, media.PAGE):
        media.check_coding(ending, None, None)
    monkeypatch.setattr(av, "codecs_available", {"libx264"})
    with pytest.raises(ValueError, match="a build of PyAV with libsvtav1"):
        media.check_coding(".mp4", "av1", None)


def test_nothing_is_half_written(tmp_path):
    def broken():
        yield ring()[0]
        raise RuntimeError("cut")

    for ending in (".mp4", ".gif"):
        path = tmp_path / f"loop{ending}"
        path.write_bytes(b"the old loop")
        with pytest.raises(RuntimeError, match="cut"):
            media.write_loop(path, broken(), Fraction(8), 8)
        assert path.read_bytes() == b"the old loop"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on a file's size stands for a full disk")
@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif", ".webp", ".png", ".zip", pytest.param(".avif", marks=AV1)])
def test_a_full_disk_leaves_no_file(ending, tmp_path):
    script = f"""
import resource, signal, numpy as np
from fractions import Fraction
from loopanimate.files.media import write_loop
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
frames = np.random.default_rng(0).integers(0, 256, (12, 128, 128, 3), dtype=np.uint8)
try:
    write_loop({str(tmp_path / f"loop{ending}")!r}, iter(frames), Fraction(10), 12, "words")
except OSError as error:
    print("refused:", error)
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stdout.startswith("refused:"), shown.stderr
    assert not list(tmp_path.iterdir())


def test_outputs_are_checked_before_any_work(tmp_path):
    assert media.check_output(tmp_path / "loop.mp4") == tmp_path / "loop.mp4"
    assert not list(tmp_path.iterdir())
    for path, words in ((tmp_path / "loop.avi", "ending in"), (tmp_path / "no" / "loop.mp4", "can be written")):
        with pytest.raises(ValueError, match=words):
            media.check_output(path)


def test_rates_and_times():
    assert frame_rate(None, ".mp4") == 30 and frame_rate(None, ".gif") == Fraction(25, 2) and frame_rate("native", ".gif") == 8
    assert frame_times(35, Fraction(8)) == list(range(34))
    assert frame_times(9, Fraction(8), tempo=2.0) == [0, 2, 4, 6] and len(frame_times(9, Fraction(8), tempo=0.5)) == 16
    assert len(frame_times(35, Fraction(60))) == 255 and frame_times(3, Fraction(8)) == [0, 1]
    with pytest.raises(ValueError, match="GIF rate"):
        frame_rate(30, ".gif")
    with pytest.raises(ValueError, match="1 to 120"):
        frame_rate(500, ".mp4")


def test_sizes():
    assert output_size("source", 451, 300) == (451, 300) and output_size("4K", 1, 1) == output_size("4k", 1, 1) == (3840, 2160)
    assert output_size("640x360", 1, 1) == (640, 360)
    for wrong in ("huge", "0x9", "100x5000", "12"):
        with pytest.raises(ValueError, match="expected a size"):
            output_size(wrong, 1, 1)


def test_cover_cuts_picture_and_mask_alike():
    picture = Image.fromarray(np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2))
    mask = np.repeat((np.arange(100, dtype=np.float32) / 99)[None], 100, 0)
    wide, layer = cover(picture, mask, (50, 100))
    assert wide.size == (50, 100) and layer.shape == (100, 50)
    assert np.allclose(np.asarray(wide)[50, :, 0] / 99, layer[50], atol=0.02)
    assert 41 <= np.asarray(wide)[50, 0, 0] <= 43  # around the mask, which is brighter to the right


def test_the_cut_keeps_what_is_masked_in_the_middle():
    mask = np.zeros((100, 300), np.float32)
    mask[40:60, 200:220] = 1
    assert cover_box(mask, (100, 100)) == (160, 0, 260, 100)
    mask[40:60, 280:300] = 20
    assert cover_box(mask, (100, 100)) == (200, 0, 300, 100)  # no farther than the picture reaches
    assert cover_box(mask, (600, 200)) == (0, 0, 300, 100)


def test_the_cut_stays_within_the_picture_whatever_is_rounded():
    mask = np.ones((300, 451), np.float32)
    mask[:, :400] = 0
    for size in [(960, 540), *((wide, high) for wide in range(30, 1000, 17) for high in range(30, 600, 7))]:
        left, top, right, bottom = cover_box(mask, size)
        assert 0 <= left < right <= 451 and 0 <= top < bottom <= 300, size


def test_a_picture_shown_whole_stands_within_the_size():
    assert inside((1920, 1080), 300, 300) == (1080, 1080) and inside((1080, 1920), 451, 300) == (1080, 718)
    assert inside((640, 360), 1280, 720) == (640, 360)
    assert inside((167, 340), 379, 107) == (166, 48)  # an odd side holds no more than the even one before it
    around = np.asarray(surround(Image.new("RGB", (300, 200), (200, 100, 50)), (640, 640)), int)
    assert around.shape == (640, 640, 3) and np.abs(around - [120, 60, 30]).max() <= 3


def test_a_destination_that_pauses_at_each_wrap_gets_a_minute():
    assert turns("Lively", 1, Fraction(17, 4)) == 15 and turns("lively", 20, Fraction(17, 4)) == 20
    assert turns("4k", 1, Fraction(17, 4)) == 1


def test_pictures_from_memory():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "green").save(buffer, "PNG")
    assert media.open_picture(buffer.getvalue()).size == (40, 40)
    with pytest.raises(ValueError, match="nothing in it"):
        media.open_picture(b"")
