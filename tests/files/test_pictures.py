import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from loopanimate.files.pictures import open_mask, open_picture


def save(picture, name, tmp_path, **options):
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def test_orientation_is_applied(tmp_path):
    picture = Image.new("RGB", (60, 40), "red")
    picture.paste("blue", (0, 0, 60, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    opened = open_picture(save(picture, "turned.jpg", tmp_path, exif=exif, quality=95))
    assert opened.size == (40, 60)
    assert opened.getpixel((37, 30))[2] > 200 and opened.getpixel((5, 30))[0] > 200


def test_transparency_becomes_white(tmp_path):
    opened = open_picture(save(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "clear.png", tmp_path))
    assert opened.mode == "RGB" and opened.getpixel((20, 20)) == (255, 255, 255)


def test_colour_profile_becomes_srgb(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for content in (profile, b"nonsense"):
        opened = open_picture(save(Image.new("RGB", (40, 40), (10, 200, 90)), "p.png", tmp_path, icc_profile=content))
        assert max(abs(a - b) for a, b in zip(opened.getpixel((5, 5)), (10, 200, 90))) <= 1


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", "LA", "1"])
def test_any_mode_becomes_rgb(mode, tmp_path):
    picture = Image.new("L", (40, 40), 128)
    picture = Image.fromarray(np.full((40, 40), 32896, np.uint16)) if mode == "I;16" else picture.convert(mode)
    opened = open_picture(save(picture, "m.tif", tmp_path))
    assert opened.mode == "RGB" and (mode == "1" or abs(opened.getpixel((9, 9))[0] - 128) < 6)


def test_heic_opens(tmp_path):
    opened = open_picture(save(Image.new("RGB", (64, 48), (200, 30, 30)), "phone.heic", tmp_path))
    assert opened.size == (64, 48) and opened.getpixel((30, 20))[0] > 180


def test_pictures_from_memory():
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "green").save(file, "PNG")
    assert open_picture(file.getvalue()).size == (40, 40)
    with pytest.raises(ValueError, match="nothing in it"):
        open_picture(b"")


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims width x height."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"just words", "not a picture"),
        (b"", "nothing in it"),
        (bomb(40_000, 40_000), "megapixels"),
        (bomb(12_000, 11_000), "megapixels"),
        (bomb(300, 300), "not a picture"),
        (bomb(2000, 100), "4 : 1"),
        (bomb(8, 8), "at least 32"),
    ],
    ids=["text", "empty", "huge bomb", "bomb", "cut off", "strip", "dot"],
)
def test_bad_pictures_are_refused_in_one_sentence(content, words, tmp_path):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        open_picture(tmp_path / "bad.png")
    assert "\n" not in str(caught.value)


def test_a_mask_is_resized_or_refused(tmp_path):
    path = save(Image.new("L", (100, 50), 255), "mask.png", tmp_path)
    assert open_mask(path, (200, 100)).shape == (100, 200)
    with pytest.raises(ValueError, match="shape 200 x 200, got 100 x 50"):
        open_mask(path, (200, 200))
    with pytest.raises(ValueError, match="all-black"):
        open_mask(save(Image.new("L", (100, 50), 0), "black.png", tmp_path), (100, 50))
