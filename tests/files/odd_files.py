"""Odd and hostile files, each with what has to come out of it: pixels, or one sentence.

    python -m tests.files.odd_files        the table

`tests/files/test_pictures.py` runs the same files; `tests/browser/test_pictures.py` has Chromium decode those that it can.
"""

import io
import os
import re
import resource
import struct
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageCms, TiffImagePlugin

from loopanimate.files.pictures import open_mask, open_picture
from loopanimate.files.video import open_encoder

REFUSED = r"^expected (a picture|at most 120 megapixels|sides of at most)[^\n]*$"
EXACT, LOSSY = 1.0, 5.0  # mean difference of levels


def draw_scene(width: int = 64, height: int = 48) -> np.ndarray:
    """(H, W, 3) uint8, smooth, and another picture however it is turned or mirrored."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.rint(np.stack([30 + 200 * x, 220 - 180 * y, 60 + 150 * x * y], -1)).astype(np.uint8)


SCENE = draw_scene()
GREY = np.asarray(Image.fromarray(SCENE).convert("L"))
CLEAR = np.rint(np.linspace(255, 0, 64)).astype(np.uint8)[None].repeat(48, 0)  # alpha


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, -1)


def over_white(pixels: np.ndarray = SCENE, alpha: np.ndarray = CLEAR) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)


@dataclass(frozen=True)
class Odd:
    name: str  # with the ending that says what it is, or pretends to
    content: bytes
    wanted: np.ndarray | str | None = REFUSED  # (H, W, 3), words that the sentence matches, or None: either, but no traceback
    tolerance: float = EXACT


# --- PNG, whose odd forms no library writes


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]  # Adam7
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def png(pixels: np.ndarray, bits: int = 8, *chunks: bytes, palette=None, interlaced: bool = False, end: bool = True) -> bytes:
    """A PNG of pixels (H, W[, C]) in `bits` a level; a palette (n, 3) makes them indices."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    height, width, channels = pixels.shape

    def rows(part: np.ndarray) -> bytes:
        levels = part.reshape(len(part), -1)
        spread = np.unpackbits(levels.astype(">u2").view(np.uint8).reshape(*levels.shape, 2), axis=-1)[..., 16 - bits :]
        packed = np.packbits(spread.reshape(len(part), -1), axis=1)
        return b"".join(b"\0" + row.tobytes() for row in packed)

    data = (
        b"".join(rows(pixels[y::dy, x::dx]) for x, y, dx, dy in PASSES if pixels[y::dy, x::dx].size)
        if interlaced
        else rows(pixels)
    )
    kind = 3 if palette is not None else COLOURS[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    colours = b"" if palette is None else chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes())
    behind = [part for part in chunks if part[4:8] == b"tRNS"]
    before = [part for part in chunks if part[4:8] != b"tRNS"]
    parts = [chunk(b"IHDR", header), *before, colours, *behind, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND") * end]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bomb(width: int, height: int, data: bytes = b"\0" * 1000) -> bytes:
    """A PNG of a few bytes that claims width x height."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND")


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(*corners: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(corner * 100_000) for corner in corners)))


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


# --- colour


TO_XYZ = {  # columns red, green, blue under D50, as their makers' profiles have them
    "srgb": [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]],
    "p3": [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]],
    "adobe": [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]],
}


def profile(space: str = "RGB ", of: str = "p3", gamma: float = 563 / 256) -> bytes:
    """A colour profile (ICC.1, version 2) of a gamma and, for RGB, of a matrix."""

    def fixed(*numbers: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"x\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * 78, b"cprt": b"text\0\0\0\0x\0\0\0"}
    tags[b"wtpt"] = fixed(0.9642, 1, 0.8249)
    if space == "RGB ":
        tags |= {name: fixed(*column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), np.transpose(TO_XYZ[of]))}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    else:
        tags[b"kTRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        tag += b"\0" * (-len(tag) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(data), len(tag))
        data += tag
    size = 132 + 12 * len(tags) + len(data)
    head = struct.pack(">I4xI4s4s4s12x4s28x", size, 0x02100000, b"mntr", space.encode(), b"XYZ ", b"acsp")
    head += struct.pack(">iii", 63190, 65536, 54061)  # D50
    return head.ljust(128, b"\0") + table + data


def encode(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)).astype(np.uint8)


def by_profile(pixels: np.ndarray = SCENE, of: str = "p3", gamma: float = 563 / 256) -> np.ndarray:
    return encode((pixels / 255) ** gamma @ np.linalg.solve(TO_XYZ["srgb"], TO_XYZ[of]).T)


def linear(pixels: np.ndarray = SCENE) -> np.ndarray:
    """Linear light of sRGB, in [0, 1]."""
    levels = pixels / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


# --- files of libraries


def save(picture: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture.copy()  # an encoder leaves its settings
    picture.save(file, kind, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 and pixels.shape[-1] in (3, 4) else "minisblack")
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def avif(pixels: np.ndarray, transfer: int, primaries: int) -> bytes:
    """An AVIF of 10 bits from levels (H, W, 3) uint16."""
    file = io.BytesIO()
    matrix = 9 if primaries == 9 else 1
    with av.open(file, "w", format="avif") as container:
        stream = container.add_stream("libsvtav1", rate=Fraction(1), options={"crf": "1", "preset": "8"})
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p10le"
        marks = {"color_trc": transfer, "color_primaries": primaries, "colorspace": matrix, "color_range": 2}
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=matrix, dst_color_range=2)
        for name, mark in marks.items():
            setattr(stream.codec_context, name, mark)
            setattr(frame, name, mark)
        frame.pts = 0
        open_encoder(stream.codec_context)
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    return file.getvalue()


def heic(pixels: np.ndarray, **options) -> bytes:
    """A HEIC of 8 or, from uint16, 10 bits."""
    mode = ("RGB" if pixels.shape[2] == 3 else "RGBA") + ";16" * (pixels.dtype == np.uint16)
    file = io.BytesIO()
    picture = pillow_heif.from_bytes(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes())
    picture.save(file, quality=-1, chroma=444, **options)
    return file.getvalue()


def turned(orientation: int) -> np.ndarray:
    """The scene as a camera stores it that says `orientation`."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    picture = Image.fromarray(SCENE)
    return np.asarray(picture.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else picture)


def exif(orientation: object) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


# --- the cases

# What Chromium 156 shows of greys of 8 bits: (PNG's chunk, level, shown)
CHROMIUM = [
    *((gama(1.0), *pair) for pair in ((32, 99), (128, 188), (224, 241))),
    *((gama(0.55556), *pair) for pair in ((32, 43), (128, 146), (224, 230))),
    *((gama(0.45455), *pair) for pair in ((32, 32), (128, 128))),
    *((gama(0.45455) + chrm(0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), *pair) for pair in ((32, 26), (128, 129))),
    (gama(1.0) + chunk(b"sRGB", b"\0"), 128, 128),
    (gama(0), 128, 128),
    *((cicp(9, 16), *pair) for pair in ((32, 5), (64, 30), (96, 70), (128, 132), (160, 213), (208, 255))),
    *((cicp(9, 18), *pair) for pair in ((32, 14), (64, 43), (128, 99), (192, 189), (224, 228))),
    *((cicp(12, 13), *pair) for pair in ((32, 32), (128, 128))),
    *((cicp(1, 8), *pair) for pair in ((32, 99), (128, 188))),
    *((cicp(1, 1), *pair) for pair in ((32, 20), (128, 121))),
]


def png_files() -> Iterator[Odd]:
    ramp = np.arange(64 * 48).reshape(48, 64)
    palette = np.unique(SCENE[::6, ::4].reshape(-1, 3), axis=0)[:128]
    for interlaced in (False, True):
        how = {"interlaced": interlaced}
        for bits in (1, 2, 4, 8, 16):
            grey = (ramp * 7 + ramp // 64) % 2**bits
            shown = np.rint(grey * (255 / (2**bits - 1))).astype(np.uint8)
            yield Odd(f"grey{bits}{interlaced}.png", png(grey, bits, **how), as_rgb(shown))
            clear = chunk(b"tRNS", struct.pack(">H", int(grey[0, 1])))
            wanted = as_rgb(np.where(grey == grey[0, 1], 255, shown).astype(np.uint8))
            yield Odd(f"clear-grey{bits}{interlaced}.png", png(grey, bits, clear, **how), wanted)
            if bits < 16:
                few = palette[: 2**bits]
                index = ramp % len(few)
                yield Odd(f"palette{bits}{interlaced}.png", png(index, bits, palette=few, **how), few[index])
                half = chunk(b"tRNS", bytes([0, 128][: len(few)]))
                wanted = over_white(few[index], np.array([0, 128, *[255] * 254])[index])
                yield Odd(f"clear-palette{bits}{interlaced}.png", png(index, bits, half, palette=few, **how), wanted)
        for bits in (8, 16):
            scale = 257 if bits == 16 else 1
            rgb, alpha, grey = (part.astype(int) * scale for part in (SCENE, CLEAR[..., None], GREY[..., None]))
            yield Odd(f"rgb{bits}{interlaced}.png", png(rgb, bits, **how), SCENE)
            yield Odd(f"rgba{bits}{interlaced}.png", png(np.dstack([rgb, alpha]), bits, **how), over_white())
            yield Odd(f"la{bits}{interlaced}.png", png(np.dstack([grey, alpha]), bits, **how), over_white(as_rgb(GREY)))
            clear = chunk(b"tRNS", struct.pack(">3H", *map(int, rgb[3, 5])))
            wanted = np.where((SCENE == SCENE[3, 5]).all(-1, keepdims=True), np.uint8(255), SCENE)
            yield Odd(f"clear-rgb{bits}{interlaced}.png", png(rgb, bits, clear, **how), wanted)
    for index, (chunks, level, shown) in enumerate(CHROMIUM):
        for bits, scale in ((8, 1), (16, 257)):
            wanted = np.full((32, 32, 3), shown, np.uint8)
            grey = np.full((32, 32), level * scale)
            yield Odd(f"chromium{index}-{bits}.png", png(np.dstack([grey] * 3), bits, chunks), wanted)
            yield Odd(f"chromium{index}-grey{bits}.png", png(grey, bits, chunks), wanted)
    linear16 = np.rint(65535 * linear())
    yield Odd("linear16.png", png(linear16, 16, gama(1.0)), SCENE)
    yield Odd(
        "linear-palette.png",
        png(np.zeros((48, 64)), 8, gama(1.0), palette=[[128, 32, 224]]),
        np.full((48, 64, 3), (188, 99, 241)),
    )
    yield Odd(
        "linear-rgba.png",
        png(np.dstack([np.full((48, 64, 3), 128), CLEAR]), 8, gama(1.0)),
        over_white(np.full((48, 64, 3), 188)),
    )
    for name, chunks in {
        "strange-gamma": gama(40_000),
        "flat-primaries": gama(0.5) + chrm(0.3, 0.3, *[0.2] * 6),
        "zero-primaries": gama(0.5) + chrm(*[0] * 8),
        "short-gamma": chunk(b"gAMA", b"\0"),
        "short-points": chunk(b"cICP", b"\x09"),
        "bad-points": cicp(200, 77),
        "bad-exif": chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        "bad-profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(b"nonsense")),
        "text-bomb": chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(80_000_000))),
        "profile-bomb": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(80_000_000))),
        "many-chunks": chunk(b"tEXt", b"a\0b") * 20_000,
        "unknown-chunk": chunk(b"abCd", bytes(1000)),
        "two-headers": png(SCENE)[8:33],
    }.items():
        yield Odd(f"{name}.png", png(SCENE, 8, chunks), None)
    embedded = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile()))
    grey, shown = np.full((48, 64, 3), 128), np.full((48, 64, 3), 188)
    yield Odd("points-before-profile.png", png(grey, 8, cicp(1, 8), embedded), shown)
    yield Odd("profile-before-gamma.png", png(SCENE, 8, gama(1.0), embedded), by_profile())
    yield Odd("no-end.png", png(SCENE, end=False), SCENE)
    yield Odd("tail.png", png(SCENE) + b"<script>" * 500, SCENE)
    yield Odd("index-beyond.png", png(np.full((48, 64), 200), palette=[[9, 9, 9]]), None)
    yield Odd("no-palette.png", png(np.zeros((48, 64)), 8, palette=np.zeros((0, 3))), None)
    content = bytearray(png(SCENE))
    content[-20] ^= 255
    yield Odd("bad-sum.png", bytes(content))
    yield Odd("bits12in16.png", png(SCENE.astype(int) * 16 + 8, 16), SCENE)
    yield Odd("grey12in16.png", png(GREY.astype(int) * 16 + 8, 16), as_rgb(GREY))


def profiled_files() -> Iterator[Odd]:
    """A profile counts whatever the mode, and before alpha does."""
    scene = Image.fromarray(SCENE)
    few = scene.quantize(200)
    clear = Image.fromarray(np.dstack([SCENE, CLEAR]))
    for of in ("p3", "adobe"):
        given = {"icc_profile": profile(of=of)}
        wanted = by_profile(of=of)
        for kind in ("PNG", "WEBP", "TIFF", "JPEG"):
            options = given | (
                {"lossless": True} if kind == "WEBP" else {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
            )
            tolerance = LOSSY if kind == "JPEG" else EXACT
            yield Odd(f"{of}.{kind.lower()}", save(scene, kind, **options), wanted, tolerance)
            if kind != "JPEG":
                yield Odd(
                    f"{of}-clear.{kind.lower()}",
                    save(clear, kind, **options, **({"exact": True} if kind == "WEBP" else {})),
                    over_white(wanted),
                )
        palette = by_profile(np.asarray(few.convert("RGB")), of)
        yield Odd(f"{of}-palette.png", save(few, "PNG", **given), palette)
        yield Odd(f"{of}-palette.tif", save(few, "TIFF", **given), palette)
        yield Odd(f"{of}-grey.png", save(GREY, "PNG", **given), by_profile(as_rgb(GREY), of))
        yield Odd(f"{of}.avif", save(scene, "AVIF", quality=98, subsampling="4:4:4", **given), wanted, LOSSY)
        yield Odd(f"{of}.heic", save(scene, "HEIF", quality=98, **given), wanted, LOSSY)
    dark = {"icc_profile": profile("GRAY", gamma=1.0)}
    wanted = as_rgb(encode(GREY / 255))
    for kind in ("PNG", "TIFF"):
        yield Odd(f"grey-profile.{kind.lower()}", save(GREY, kind, **dark), wanted)
    yield Odd("grey-profile-clear.png", save(Image.fromarray(np.dstack([GREY, CLEAR])), "PNG", **dark), over_white(wanted))
    yield Odd("profile-of-others.png", save(scene, "PNG", **dark), SCENE)
    yield Odd("profile-of-others.jpg", save(scene.convert("CMYK"), "JPEG", quality=98, icc_profile=profile()), SCENE, 9)


def deep_files() -> Iterator[Odd]:
    """More than 8 bits, or fractions."""
    rgb16, grey16 = SCENE.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257
    rgb, grey = SCENE.astype(np.float32) / 255, GREY.astype(np.float32) / 255
    holes = grey.copy()
    holes[0, :4] = np.nan, np.inf, -np.inf, -5
    shown = GREY.copy()
    shown[0, :4] = 0, 255, 0, 0
    bright = grey.copy()
    bright[5, :9] = 40
    spots = GREY.copy()
    spots[5, :9] = 255
    for name, levels, wanted in (
        ("uint16", grey16, GREY),
        ("uint12", GREY.astype(np.uint16) * 16 + 8, GREY),
        ("uint10", GREY.astype(np.uint16) * 4 + 2, GREY),
        ("uint32", GREY.astype(np.uint32) * 0x01010101, GREY),
        ("int32", GREY.astype(np.int32) * 257, GREY),
        ("int16", (GREY.astype(np.int16) - 128).clip(0) * 32, np.rint((GREY.astype(int) - 128).clip(0) * 32 / 4095 * 255)),
        ("float32", grey, GREY),
        ("float64", grey.astype(float), GREY),
        ("float255", grey * 255, GREY),
        ("float65535", grey * 65535, GREY),
        ("float-holes", holes, shown),
        ("float-highlights", bright, spots),
        ("rgb16", rgb16, SCENE),
        ("rgb12", SCENE.astype(np.uint16) * 16 + 8, SCENE),
        ("rgba16", np.dstack([rgb16, CLEAR.astype(np.uint16) * 257]), over_white()),
        ("rgb-float", rgb, SCENE),
        ("rgb-float255", rgb * 255, SCENE),
        ("rgba-float", np.dstack([rgb, np.ones_like(grey)]), SCENE),
    ):
        for order in "<>":
            wanted = wanted if wanted.ndim == 3 else as_rgb(wanted)
            extra = {"extrasamples": ["unassalpha"]} if "rgba" in name else {}
            yield Odd(f"{name}{'lb'[order == '>']}.tif", tiff(levels, byteorder=order, **extra), wanted)
    yield Odd("rgb16-zlib.tif", tiff(rgb16, compression="zlib"), SCENE)
    yield Odd("planes.tif", tiff(SCENE.transpose(2, 0, 1), planarconfig="separate", photometric="rgb"), SCENE)
    yield Odd(
        "planes16.tif", tiff(rgb16.transpose(2, 0, 1), planarconfig="separate", photometric="rgb")
    )  # nobody reads it right
    yield Odd("tiles.tif", tiff(SCENE, tile=(16, 16)), SCENE)
    yield Odd("tiles16.tif", tiff(rgb16, tile=(16, 16)), SCENE)
    yield Odd("big.tif", tiff(SCENE, bigtiff=True), SCENE)
    yield Odd("white-is-zero.tif", tiff(255 - GREY, photometric="miniswhite"), as_rgb(GREY))
    yield Odd("pfm.pfm", b"Pf\n64 48\n-1.0\n" + grey[::-1].astype("<f4").tobytes(), as_rgb(GREY))
    for top in (1, 15, 100, 1023, 65535):
        levels = np.rint(SCENE / 255 * top).astype(int)
        wide = ">u2" if top > 255 else np.uint8
        wanted = np.rint(levels / top * 255).astype(np.uint8)
        yield Odd(f"top{top}.ppm", b"P6 64 48 %d\n" % top + levels.astype(wide).tobytes(), wanted, 1.5)
        yield Odd(f"plain{top}.ppm", b"P3 64 48 %d\n" % top + b" ".join(b"%d" % level for level in levels.ravel()), wanted, 1.5)
    yield Odd("jp2-16.jp2", save(grey16, "JPEG2000"), as_rgb(GREY))
    # HDR: what Chromium shows of greys, which hardly depend on the coding
    for kind, make in (("avif", lambda levels, transfer: avif(levels, transfer, 9)), ("heic", _hdr_heic)):
        for transfer, pairs in ((16, ((64, 30), (128, 132), (160, 213))), (18, ((64, 43), (128, 99), (192, 189)))):
            for level, shown in pairs:
                levels = np.full((64, 64, 3), level * 257, np.uint16)
                yield Odd(f"hdr{transfer}-{level}.{kind}", make(levels, transfer), np.full((64, 64, 3), shown, np.uint8), 2)
        yield Odd(f"ten-bits.{kind}", make(draw_scene(64, 64).astype(np.uint16) * 257, 13), None)
    yield Odd("plain10.avif", avif(draw_scene(64, 64).astype(np.uint16) * 257, 13, 1), draw_scene(64, 64), LOSSY)
    yield Odd("film10.avif", avif(draw_scene(64, 64).astype(np.uint16) * 257, 1, 1), draw_scene(64, 64), LOSSY)


def _hdr_heic(levels: np.ndarray, transfer: int) -> bytes:
    return heic(levels, color_primaries=9, transfer_characteristics=transfer, matrix_coefficients=9, full_range_flag=1)


def plain_files() -> Iterator[Odd]:
    """Every format and mode that Pillow writes, turned ones, animations, several pages."""
    scene, clear = Image.fromarray(SCENE), Image.fromarray(np.dstack([SCENE, CLEAR]))
    one = np.where(GREY > 127, np.uint8(255), np.uint8(0))
    few = scene.quantize(64)
    lab = ImageCms.profileToProfile(scene, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")
    for kind, ending, modes in (
        ("BMP", "bmp", "1 L P RGB"),
        ("DDS", "dds", "L RGB RGBA"),
        ("GIF", "gif", "1 L P"),
        ("ICNS", "icns", ""),
        ("PCX", "pcx", "1 L P RGB"),
        ("PNG", "png", "1 L LA P RGB RGBA"),
        ("PPM", "ppm", "1 L RGB"),
        ("QOI", "qoi", "RGB RGBA"),
        ("SGI", "sgi", "L RGB RGBA"),
        ("TGA", "tga", "1 L LA P RGB RGBA"),
        ("TIFF", "tif", "1 L LA P RGB RGBA CMYK LAB"),
        ("WEBP", "webp", "RGB RGBA"),
        ("JPEG2000", "jp2", "L RGB RGBA"),
        ("AVIF", "avif", "RGB RGBA"),
        ("JPEG", "jpg", "L RGB CMYK"),
        ("HEIF", "heic", "L RGB RGBA"),
    ):
        lossy = kind in ("AVIF", "JPEG", "HEIF")
        options = {"quality": 97} if lossy else {"lossless": True, "exact": True} if kind == "WEBP" else {}
        for mode in modes.split():
            picture, wanted = {
                "1": (Image.fromarray(one).convert("1"), as_rgb(one)),
                "L": (Image.fromarray(GREY), as_rgb(GREY)),
                "LA": (Image.fromarray(np.dstack([GREY, CLEAR])), over_white(as_rgb(GREY))),
                "P": (few, np.asarray(few.convert("RGB"))),
                "RGB": (scene, SCENE),
                "RGBA": (clear, over_white()),
                "CMYK": (scene.convert("CMYK"), SCENE),
                "LAB": (lab, SCENE),
            }[mode]
            tolerance = LOSSY if lossy else 2.0 if mode == "LAB" else EXACT
            yield Odd(f"{mode}.{ending}", save(picture, kind, **options), wanted, tolerance)
    for name, options in {
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_rows": 1},
        "subsampled": {"subsampling": 2},
        "rgb": {"keep_rgb": True},
        "optimized": {"optimize": True},
        "comment": {"comment": b"\xff\xd8<svg" * 100},
        "long-exif": {"exif": exif(1) + bytes(40_000)},
    }.items():
        yield Odd(f"{name}.jpg", save(scene, "JPEG", quality=95, **options), SCENE, LOSSY)
    jpeg = save(scene, "JPEG", quality=95)
    film = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(30_000)
    note = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><GCamera:MicroVideo>1</GCamera:MicroVideo></x:xmpmeta>"
    xmp = b"\xff\xe1" + struct.pack(">H", 2 + len(note)) + note
    yield Odd("motion-photo.jpg", jpeg[:2] + xmp + jpeg[2:] + film, SCENE, LOSSY)
    yield Odd(
        "gain-map.jpg",
        jpeg[:2] + xmp.replace(b"MicroVideo", b"hdrgm:Vers") + jpeg[2:] + save(GREY[::2, ::2].copy(), "JPEG"),
        SCENE,
        LOSSY,
    )
    yield Odd(
        "two.jpg", save(scene, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))], quality=95), SCENE, LOSSY
    )
    yield Odd("no-end.jpg", jpeg[:-2], None)
    yield Odd("pages.tif", save(scene, "TIFF", save_all=True, append_images=[Image.new("RGB", (64, 48))]), SCENE)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield Odd(f"{compression}.tif", save(scene, "TIFF", compression=compression), SCENE, LOSSY)
    yield Odd("group4.tif", save(Image.fromarray(one).convert("1"), "TIFF", compression="group4"), as_rgb(one))
    for kind, ending, options in (
        ("GIF", "gif", {}),
        ("PNG", "png", {}),
        ("WEBP", "webp", {"lossless": True}),
        ("AVIF", "avif", {"quality": 97}),
    ):
        content = save(scene, kind, save_all=True, append_images=[Image.new("RGB", (64, 48))], duration=100, **options)
        yield Odd(f"animated.{ending}", content, SCENE, LOSSY)
    yield Odd("interlaced.gif", save(few, "GIF", interlace=1), np.asarray(few.convert("RGB")))
    hole = few.copy()
    hole.info["transparency"] = hole.getpixel((9, 9))
    wanted = np.where((np.asarray(few) == hole.info["transparency"])[..., None], 255, np.asarray(few.convert("RGB")))
    yield Odd("clear.gif", save(hole, "GIF", transparency=hole.info["transparency"]), wanted)
    yield Odd("icon.ico", save(draw_scene(64, 64), "ICO", sizes=[(16, 16), (64, 64)]), draw_scene(64, 64))
    yield Odd(
        "several.heic", save(scene, "HEIF", save_all=True, append_images=[Image.new("RGB", (64, 48))], quality=97), SCENE, LOSSY
    )
    yield Odd(
        "premultiplied.tif",
        tiff(np.dstack([np.rint(SCENE * (CLEAR[..., None] / 255)).astype(np.uint8), CLEAR]), extrasamples=["assocalpha"]),
        over_white(),
        2,
    )
    for orientation in range(1, 9):
        for kind, ending, options in (
            ("JPEG", "jpg", {"quality": 97, "subsampling": 0}),
            ("PNG", "png", {}),
            ("WEBP", "webp", {"lossless": True}),
            ("AVIF", "avif", {"quality": 97}),
            ("HEIF", "heic", {"quality": 97}),
        ):
            content = save(turned(orientation), kind, exif=exif(orientation), **options)
            yield Odd(f"turned{orientation}.{ending}", content, SCENE, LOSSY)
        for name, stored in (
            ("", turned(orientation)),
            ("-float", turned(orientation) / np.float32(255)),
            ("-12", turned(orientation).astype(np.uint16) * 16 + 8),
        ):
            tag = (0x0112, 3, 1, orientation, True)
            yield Odd(f"turned{orientation}{name}.tif", tiff(stored, extratags=[tag]), SCENE)
    for name, orientation in (("zero", 0), ("nine", 9), ("large", 65535), ("several", (6, 1))):
        with warnings.catch_warnings(action="ignore"):
            content = save(SCENE, "JPEG", quality=95, exif=exif(orientation))
        yield Odd(f"turned-{name}.jpg", content, None)
    for width, height in ((1, 1), (16, 16), (1, 16), (3, 31), (31, 400)):
        factor = -(-32 // min(width, height))
        wanted = draw_scene(width, height).repeat(factor, 0).repeat(factor, 1)
        yield Odd(f"sprite{width}x{height}.png", png(draw_scene(width, height)), wanted)
    for width, height in ((640, 40), (40, 640), (5760, 1080), (480, 40)):
        yield Odd(
            f"long{width}x{height}.png", save(draw_scene(width, height), "PNG", compress_level=1), draw_scene(width, height)
        )


def sources() -> dict[str, bytes]:
    """One good file of each ending."""
    kinds = {
        "jpg": "JPEG",
        "png": "PNG",
        "webp": "WEBP",
        "gif": "GIF",
        "bmp": "BMP",
        "tif": "TIFF",
        "avif": "AVIF",
        "heic": "HEIF",
    }
    kinds |= {"jp2": "JPEG2000", "tga": "TGA", "ppm": "PPM", "pcx": "PCX", "sgi": "SGI", "qoi": "QOI", "dds": "DDS"}
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (64, 64, 3), np.uint8)  # of which no decoder can guess the rest
    made = {ending: save(noise, kind) for ending, kind in kinds.items()}
    return made | {
        "ico": save(noise, "ICO", sizes=[(64, 64)]),
        "icns": save(noise, "ICNS"),
        "pj.jpg": save(noise, "JPEG", progressive=True),
    }


def broken_files() -> Iterator[Odd]:
    """Cut off, damaged, of the wrong ending, and no pictures at all."""
    rng = np.random.default_rng(1)
    good = sources()
    for ending, content in good.items():
        for quarter in range(4):
            yield Odd(
                f"cut{quarter}.{ending}",
                content[: len(content) * quarter // 4],
                None if ending in ("icns", "dds") and quarter else REFUSED,
            )
        yield Odd(f"short.{ending}", content[:-1], None)
        yield Odd(f"head.{ending}", content[:12] + rng.bytes(3000), None)
        for index in range(6):
            damaged = bytearray(content)
            for place in rng.integers(0, min(len(content), 700 if index < 4 else 10**9), 1 + index):
                damaged[place] = rng.integers(256)
            yield Odd(f"damaged{index}.{ending}", bytes(damaged), None)
    plain = [
        (f"scene.{ending}", save(SCENE, kind))
        for ending, kind in (("png", "PNG"), ("bmp", "BMP"), ("tif", "TIFF"), ("qoi", "QOI"))
    ]
    for ending in ("jpg", "png", "txt", "mp4", "", "heic"):
        for name, content in plain:
            yield Odd(f"{name}.{ending}", content, SCENE)
    for name, content in {
        "empty.png": b"",
        "byte.jpg": b"\xff",
        "words.png": b"just words",
        "words.tga": b"just words, and more of them, to make up a header of eighteen bytes",
        "page.html": b"<!doctype html><svg></svg>",
        "paper.pdf": b"%PDF-1.7\n%%EOF",
        "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(x) run\n",
        "meta.wmf": b"\xd7\xcd\xc6\x9a\0\0" + bytes(500),
        "film.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(500),
        "film.mpg": b"\0\0\x01\xb3\x14\0\xf0\x15" + bytes(500),
        "sound.wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(500),
        "archive.zip": b"PK\3\4" + bytes(500),
        "library.so": b"\x7fELF" + bytes(500),
        "grid.hdf": b"\x89HDF\r\n\x1a\n" + bytes(500),
        "stub.fits": b"SIMPLE  =                    T" + bytes(500),
        "large.jxl": b"\xff\x0a" + bytes(500),
        "bomb.png": bomb(40_000, 40_000),
        "bomb2.png": bomb(12_000, 11_000),
        "hollow.png": bomb(300, 300),
        "strip.png": bomb(3300, 200),
        "nothing.png": bomb(0, 30),
        "negative.png": bomb(2**31 - 1, 1),
        "bomb.gif": b"GIF89a\xff\xff\xff\xff\0\0\0" + b",\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;",
        "bomb.bmp": b"BM"
        + struct.pack("<IIIIiiHHIIiiII", 1000, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(900),
        "minus.bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 1000, 0, 54, 40, -64, -64, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(900),
        "bomb.ppm": b"P6 50000 50000 255\n" + bytes(900),
        "bomb.qoi": b"qoif" + struct.pack(">IIBB", 60_000, 60_000, 3, 0) + bytes(900),
        "bomb.tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 65535, 65535, 24, 0) + bytes(900),
        "bomb.jpg": _resized_jpeg(),
        "bomb.webp": b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8X"
        + struct.pack("<IIHBHB", 10, 0, 0x3FFF, 0x3F, 0x3FFF, 0x3F)
        + bytes(200),
        "bomb.ico": _icon(bomb(30_000, 30_000)),
        "bomb2.ico": _icon(bomb(12_000, 11_000, bytes(400_000_000))),
        "bomb.tif": _tiff_header(60_000, 60_000, 8),
        "bomb-float.tif": _tiff_header(60_000, 60_000, 32),
        "loop.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    }.items():
        yield Odd(name, content)
    drawn = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>'
    yield Odd("drawing.svg", drawn, "^expected a picture .*SVG, which has no pixels: export it as PNG$")


def _resized_jpeg() -> bytes:
    content = bytearray(save(SCENE, "JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = b"\xff\xff\xff\xff"
    return bytes(content)


def _icon(inside: bytes) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inside), 22) + inside


def _tiff_header(width: int, height: int, bits: int) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in (
        (256, width),
        (257, height),
        (258, (bits,) * 3),
        (259, 1),
        (262, 2),
        (273, 8),
        (277, 3),
        (278, height),
        (279, 100),
    ):
        tags[name] = value
    tags[339] = (3 if bits == 32 else 1,) * 3
    file = io.BytesIO()
    file.write(b"II*\0\x08\0\0\0")
    tags.save(file)
    return file.getvalue() + bytes(900)


def all_files() -> Iterator[Odd]:
    for group in (png_files, profiled_files, deep_files, plain_files, broken_files):
        yield from group()


# --- masks of a picture of 64 x 48


def disc() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return np.where(np.hypot(x - 40, y - 20) < 12, np.uint8(255), np.uint8(0))


def all_masks() -> Iterator[Odd]:
    """wanted: levels (H, W), words of the sentence, or None for either."""
    hard, black, white = disc(), np.zeros((48, 64), np.uint8), np.full((48, 64), 255, np.uint8)
    y, x = np.mgrid[:48, :64]
    soft = np.rint(255 * np.clip(1.5 - np.hypot(x - 40, y - 20) / 16, 0, 1)).astype(np.uint8)
    red = np.stack([white, black, black], -1)
    for name, mask in (("hard", hard), ("soft", soft)):
        for kind in ("PNG", "TIFF", "WEBP"):
            if kind == "WEBP":
                options = {"lossless": True, "exact": True}
            else:
                options = {}
            for what, content in {
                "grey": mask if kind != "WEBP" else as_rgb(mask),
                "rgb": as_rgb(mask),
                "opaque": np.dstack([as_rgb(mask), white]),
                "all-clear": np.dstack([as_rgb(mask), black]),  # of a program that forgot alpha
                "black-clear": np.dstack([as_rgb(mask), mask]),
                "white-on-clear": np.dstack([as_rgb(white), mask]),
                "black-on-clear": np.dstack([as_rgb(black), mask]),
                "red-brush": np.dstack([red, mask]),
                "cut-out": np.dstack([SCENE, mask]),
                "nearly-opaque": np.dstack([as_rgb(mask), 255 - (x % 2).astype(np.uint8)]),
            }.items():
                yield Odd(f"{name}-{what}.{kind.lower()}", save(content, kind, **options), mask)
        if name == "hard":
            eraser = np.where(x < 20, np.uint8(0), np.uint8(255))  # black and white, of which a part was rubbed out
            yield Odd("rubbed-out.png", save(np.dstack([as_rgb(mask), eraser]), "PNG"), np.where(eraser, mask, 0))
            stroke = np.where(y > 40, np.uint8(255), mask)
            yield Odd(
                "strokes.png",
                save(np.dstack([as_rgb(np.where(y > 40, 0, 255).astype(np.uint8)), stroke]), "PNG"),
                mask * (y <= 40),
            )
        for kind in ("PNG", "TIFF"):
            yield Odd(f"{name}-la.{kind.lower()}", save(np.dstack([white, mask]), kind), mask)
            yield Odd(f"{name}-16.{kind.lower()}", save(mask.astype(np.uint16) * 257, kind), mask)
            yield Odd(f"{name}-profile.{kind.lower()}", save(mask, kind, icc_profile=profile("GRAY", gamma=1.0)), mask)
        yield Odd(f"{name}-12in16.png", save(mask.astype(np.uint16) * 16, "PNG"), mask)
        yield Odd(f"{name}-float.tif", tiff(mask / np.float32(255)), mask)
        yield Odd(f"{name}-float255.tif", tiff(mask.astype(np.float32)), mask)
        yield Odd(f"{name}-float64.tif", tiff(mask / 255), mask)
        yield Odd(f"{name}-uint32.tif", tiff(mask.astype(np.uint32) * 0x01010101), mask)
        yield Odd(f"{name}-gamma.png", png(mask, 8, gama(1.0)), mask)
        yield Odd(f"{name}-interlaced.png", png(mask, interlaced=True), mask)
        yield Odd(f"{name}.jpg", save(mask, "JPEG", quality=95), mask, 4)
        yield Odd(f"{name}-cmyk.jpg", save(Image.fromarray(as_rgb(mask)).convert("CMYK"), "JPEG", quality=95), mask, 4)
        yield Odd(f"{name}.avif", save(as_rgb(mask), "AVIF", quality=95), mask, 4)
        yield Odd(f"{name}.heic", save(as_rgb(mask), "HEIF", quality=95), mask, 4)
        large = np.asarray(Image.fromarray(mask).resize((320, 240), Image.Resampling.BILINEAR))
        yield Odd(f"{name}-large.png", save(large, "PNG"), mask, 6)
        small = np.asarray(Image.fromarray(mask).resize((16, 12), Image.Resampling.BOX))
        yield Odd(f"{name}-small.png", save(small, "PNG"), mask, 12)
        for orientation in range(1, 9):
            undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
            stored = Image.fromarray(mask)
            stored = stored.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else stored
            yield Odd(f"{name}-turned{orientation}.png", save(stored, "PNG", exif=exif(orientation)), mask)
    index = hard // 255
    yield Odd("one-bit.png", png(index, 1), hard)
    yield Odd("palette.png", png(index, 1, palette=[[0, 0, 0], [255, 255, 255]]), hard)
    yield Odd("palette-swapped.png", png(1 - index, 2, palette=[[255, 255, 255], [0, 0, 0]]), hard)
    yield Odd("palette-clear.png", png(index, 8, chunk(b"tRNS", b"\0\xff"), palette=[[255, 255, 255], [255, 0, 0]]), hard)
    yield Odd("labels.png", png(index, 8), hard)
    yield Odd("labels16.png", png(index, 16), hard)
    yield Odd("labels.tif", tiff(index.astype(np.int32)), hard)
    yield Odd("bool.tif", save(Image.fromarray(hard).convert("1"), "TIFF", compression="group4"), hard)
    yield Odd("clear.gif", save(Image.fromarray(index * np.uint8(3)), "GIF", transparency=0), hard)
    for name, mask in (
        ("one-pixel", np.where((x == 5) & (y == 9), np.uint8(255), np.uint8(0))),
        ("all", white),
        ("borders", np.where((x < 1) | (x > 62) | (y < 1) | (y > 46), np.uint8(255), np.uint8(0))),
        ("islands", np.where((x // 8 + y // 8) % 2, np.uint8(255), np.uint8(0))),
    ):
        yield Odd(f"{name}.png", save(mask, "PNG"), mask)
        if mask.min() == 0:
            yield Odd(f"{name}-alpha.png", save(np.dstack([red, mask]), "PNG"), mask)
    nothing = "^expected a mask with something white"
    for name, content in {
        "black": save(black, "PNG"),
        "black-opaque": save(np.dstack([as_rgb(black), white]), "PNG"),
        "grey": save(black + 100, "PNG"),
        "faint": save(np.dstack([red, hard // 4]), "PNG"),
        "float": save(Image.fromarray(black.astype(np.float32)), "TIFF"),
    }.items():
        yield Odd(f"nothing-{name}.png", content, nothing)
    yield Odd(
        "shape.png",
        save(np.full((48, 48), 255, np.uint8), "PNG"),
        "^expected a mask of the picture's shape 64 x 48, got 48 x 48",
    )
    yield Odd("upright.png", save(hard.T.copy(), "PNG"), "^expected a mask of the picture's shape 64 x 48, got 48 x 64")
    for odd in broken_files():
        if odd.wanted is REFUSED:
            yield odd


def check(odd: Odd, folder: Path, is_mask: bool = False) -> tuple[str, str]:
    """What came of a file, and what is wrong: "read", "opened" (damaged, so nobody knows what is right), "refused", "wrong"
    or "traceback"."""
    path = folder / odd.name
    path.write_bytes(odd.content)
    try:
        if is_mask:
            pixels = np.rint(255 * open_mask(path, (64, 48))).astype(int)
        else:
            pixels = np.asarray(open_picture(path)).astype(int)
    except ValueError as error:
        said, words = str(error).replace(str(path), odd.name), odd.wanted if isinstance(odd.wanted, str) else "^expected "
        right = not isinstance(odd.wanted, np.ndarray) and re.match(words, said) and "\n" not in said
        return ("refused", "") if right else ("wrong", f"{odd.name}: {said}")
    except Exception as error:  # noqa: BLE001 what no decoder may let through
        return "traceback", f"{odd.name}: {error!r}"
    finally:
        path.unlink()
    if odd.wanted is None:
        return "opened", ""
    if isinstance(odd.wanted, str) or pixels.shape != odd.wanted.shape:
        return "wrong", f"{odd.name}: {pixels.shape} came out"
    off = np.abs(pixels - odd.wanted.astype(int)).mean()
    return ("read", "") if off <= odd.tolerance else ("wrong", f"{odd.name}: {off:.1f} levels off")


def main() -> None:
    os.environ.setdefault("SVT_LOG", "1")
    for what, files, is_mask in (("pictures", all_files(), False), ("masks", all_masks(), True)):
        count = Counter()
        with tempfile.TemporaryDirectory() as folder:
            for odd in files:
                came, why = check(odd, Path(folder), is_mask)
                count[came] += 1
                if why:
                    print(why)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{what}: {count.total()} tried, {count['read']} read right, {count['opened']} damaged ones opened, "
              f"{count['refused']} refused in one sentence, "
              f"{count['wrong']} wrong, {count['traceback']} tracebacks, {peak:.2f} GB at most")  # fmt: skip


if __name__ == "__main__":
    main()
