"""The colours of a picture as sRGB: by its colour profile, or by the code points or the gamma that its format has for them.

What has code points or a gamma is shown as Chromium shows it, light above white too.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import cv2
import numpy as np
import pillow_heif
from PIL import Image, ImageCms

# x, y of white, red, green and blue, by code points of ITU-T H.273; any other is taken for sRGB's
PRIMARIES = {
    1: (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),  # sRGB, BT.709
    4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),  # NTSC of 1953
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),  # BT.601 of 625 lines
    6: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # BT.601 of 525 lines
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # DCI-P3
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
}
SRGB, VIDEO = 13, (1, 6, 14, 15)  # code points of transfer characteristics: VIDEO is BT.709's, by whatever name
WHITE, PEAK = 203, 1000  # candela per square metre: diffuse white (BT.2408), and from where on everything is white
PLAIN_GAMMA = 0.45455  # of a PNG, where it stands for sRGB unless the file gives primaries too
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong with a file is said in our words
STRIP = 128  # rows that are converted at a time: the numbers of a whole picture would take gigabytes


@dataclass(frozen=True)
class Encoding:
    """What the numbers of a picture mean."""

    primaries: tuple[float, ...]  # as in PRIMARIES
    light: Callable[[np.ndarray], np.ndarray]  # levels (..., 3) in [0, 1] → linear light, of which 1 is white
    bits: int = 8  # of a level
    is_hdr: bool = False  # there may be light above white


def find_encoding(file: Image.Image, stream: BinaryIO) -> Encoding | None:
    """The encoding that an opened file states; None where it has a profile instead, or is sRGB as far as anybody knows.

    stream: the file's bytes, of which PNG's code points are read (cICP, which outranks a profile).
    """
    points, bits = _read_cicp(stream) if file.format == "PNG" else None, 8
    if points is None and "icc_profile" in file.info:
        return None
    if file.format in ("AVIF", "HEIF"):
        stream.seek(0)
        info = file.info if file.format == "HEIF" else pillow_heif.open_heif(stream).info  # Pillow does not tell an AVIF's
        stated, bits = info.get("nclx_profile") or {}, info.get("bit_depth", 8)
        points = stated.get("color_primaries", 1), stated.get("transfer_characteristics", SRGB)
        points = points[0], SRGB if points[1] in VIDEO else points[1]  # as encoders of films leave it
    if points is not None:
        primaries, light = PRIMARIES.get(points[0], PRIMARIES[1]), LIGHT.get(points[1], _light_of_srgb)
        is_plain = primaries == PRIMARIES[1] and light is _light_of_srgb
        return None if is_plain else Encoding(primaries, light, bits, light in (_light_of_pq, _light_of_hlg))
    gamma, primaries = file.info.get("gamma", 0), file.info.get("chromaticity")
    if gamma <= 0 or "srgb" in file.info or (primaries is None and abs(gamma - PLAIN_GAMMA) < 5e-4):
        return None
    return Encoding(tuple(primaries or PRIMARIES[1]), partial(_power, exponent=1 / gamma))


def _read_cicp(stream: BinaryIO) -> tuple[int, int] | None:
    """The code points of primaries and transfer characteristics in a PNG's cICP chunk, which stands before its pixels."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8 and head[4:] != b"IDAT":
        if head[4:] == b"cICP":
            return tuple(stream.read(2))
        stream.seek(int.from_bytes(head[:4], "big") + 4, io.SEEK_CUR)
    return None


def read_deep(file: Image.Image, stream: BinaryIO, bits: int = 16) -> tuple[np.ndarray, int] | None:
    """The levels of a file at their full depth, (H, W) or (H, W, C), and which one is white; None where they cannot be had.

    Pillow keeps 8 bits of colours. bits: of an AVIF's or HEIF's level.
    """
    stream.seek(0)
    if file.format == "HEIF":
        pixels = np.asarray(pillow_heif.open_heif(stream, convert_hdr_to_8bit=False))
        white = (2**bits - 1) << (16 - bits)
    else:
        pixels = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        white = 2**bits - 1 if file.format == "AVIF" else 65535
        if pixels is not None and pixels.ndim == 3:
            pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    if pixels is None or pixels.dtype == np.uint8 or sorted(pixels.shape[:2]) != sorted(file.size):
        return None
    return pixels, white


def convert(pixels: np.ndarray, white: int, encoding: Encoding) -> Image.Image:
    """A picture of levels (H, W) or (H, W, C), of which `white` is the highest, as sRGB; an alpha channel is left out."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        pixels = np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1)[..., :1], (*pixels.shape[:2], 3))
    to_wide = _matrix(encoding.primaries, PRIMARIES[9])  # where light above white is brought into range
    to_srgb, whole = _matrix(PRIMARIES[9], PRIMARIES[1]), _matrix(encoding.primaries, PRIMARIES[1])
    out = np.empty((*pixels.shape[:2], 3), np.uint8)
    for top in range(0, len(pixels), STRIP):
        light = encoding.light(np.minimum(pixels[top : top + STRIP, :, :3] / np.float32(white), 1))
        light = _compress(np.maximum(light @ to_wide.T, 0)) @ to_srgb.T if encoding.is_hdr else light @ whole.T
        light = np.clip(light, 0, 1)
        levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        out[top : top + STRIP] = np.rint(255 * levels)
    return Image.fromarray(out)


def apply_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    """A picture in L, RGB, CMYK or LAB as sRGB; with a profile that is broken, or of other colours than it has, as it is."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}.get(given.profile.xcolor_space.strip())
        if (picture.mode, mode) == ("L", "RGB"):
            picture = picture.convert("RGB")
        if picture.mode == mode:
            return ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        pass
    return picture


def from_lab(picture: Image.Image) -> Image.Image:
    """A picture in CIELAB as sRGB."""
    return ImageCms.profileToProfile(picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB")


def _matrix(source: tuple[float, ...], target: tuple[float, ...]) -> np.ndarray:
    """(3, 3): linear light of some primaries to that of others; white stays white. Degenerate primaries are left alone."""
    try:
        (rgb, white), (other, wanted) = map(_to_xyz, (source, target))
        adapt = np.linalg.solve(BRADFORD, np.diag(BRADFORD @ wanted / (BRADFORD @ white)) @ BRADFORD)
        matrix = np.linalg.solve(other, adapt @ rgb)
    except np.linalg.LinAlgError:
        matrix = np.full((3, 3), np.nan)
    return (matrix if np.isfinite(matrix).all() else np.eye(3)).astype(np.float32)


def _to_xyz(primaries: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) linear light to CIE XYZ, and the XYZ of white."""
    with np.errstate(divide="ignore", invalid="ignore"):
        white, *corners = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in np.reshape(primaries, (4, 2)))
    corners = np.stack(corners, axis=1)
    return corners * np.linalg.solve(corners, white), white


def _compress(light: np.ndarray) -> np.ndarray:
    """Bring light (..., 3), of which 1 is white, into [0, 1] by its strongest channel, so that hues stay.

    Light up to white is halved; from there a curve bends up to the peak: the quadratic Bézier from (1, 0.5) by (1.65, 0.825)
    to (PEAK / WHITE, 1), which SMPTE ST 2094-50 calls the operator of reference white.
    """
    most, peak = light.max(-1, keepdims=True), PEAK / WHITE
    rest = peak - 2.3
    along = (np.sqrt(1.69 + 4 * rest * np.clip(most - 1, 0, peak - 1)) - 1.3) / (2 * rest)
    gain = np.where(most <= 1, 0.5, (0.5 + along * (0.65 - 0.15 * along)) / np.maximum(most, 1))
    return light * gain.astype(np.float32)


def _light_of_srgb(levels: np.ndarray) -> np.ndarray:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _light_of_pq(levels: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084."""
    root = levels ** (32 / 2523)
    return 10_000 / WHITE * (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)


def _light_of_hlg(levels: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, on a screen of PEAK, whose system gamma is 1.2."""
    scene = np.where(levels <= 0.5, levels**2 / 3, (np.exp((levels - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return PEAK / WHITE * scene * (scene @ np.array([0.2627, 0.678, 0.0593], np.float32))[..., None] ** 0.2


def _power(levels: np.ndarray, exponent: float) -> np.ndarray:
    return levels**exponent


LIGHT = {4: partial(_power, exponent=2.2), 5: partial(_power, exponent=2.8), 8: partial(_power, exponent=1.0)}
LIGHT |= dict.fromkeys(VIDEO, partial(_power, exponent=2.4)) | {16: _light_of_pq, 18: _light_of_hlg}
