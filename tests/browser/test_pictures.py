"""A second decoder: pictures look as a browser shows them."""

import base64
import io
import re

import numpy as np
from PIL import Image

from loopanimate.files.pictures import open_picture
from tests.files.odd_files import SCENE, all_files, as_rgb, chunk, cicp, draw_scene, gama, png

KINDS = {"png": "png", "jpg": "jpeg", "webp": "webp", "gif": "gif", "bmp": "bmp", "avif": "avif", "ico": "x-icon"}
SIDES = 32, 64  # of the pictures that are compared: others fill the page
# What Chromium 156 shows otherwise: small pictures are not enlarged, films play, fewer bits in 16 stay dark, a WebP's EXIF is
# not read, and an AVIF's alpha is of another range than libavif's decoder gives it.
OTHERWISE = re.compile(r"sprite|animated|12in16|turned[2-8]\.webp|RGBA\.avif")


def colours() -> dict[str, bytes]:
    """Colours, not only greys, by code points of PNG; Chromium's gamut, its tone curve and its gammas are ours."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 8, 3)).repeat(8, 0).repeat(8, 1)
    points = [(primaries, transfer) for primaries in (1, 4, 5, 6, 9, 11, 12) for transfer in (1, 4, 5, 8, 13, 16, 18)]
    files = {f"points{one}-{two}.png": png(pixels, 8, cicp(one, two)) for one, two in points}
    return files | {"gamma.png": png(as_rgb(draw_scene()[..., 0]), 8, gama(0.7)), "none.png": png(SCENE, 8, chunk(b"abCd"))}


def test_pictures_look_as_a_browser_shows_them(browser):
    files = colours() | {
        odd.name: odd.content
        for odd in all_files()
        if isinstance(odd.wanted, np.ndarray)
        and odd.name.rsplit(".")[-1] in KINDS
        and not OTHERWISE.search(odd.name)
        and SIDES[0] <= min(odd.wanted.shape[:2]) <= max(odd.wanted.shape[:2]) <= SIDES[1]
    }
    page = browser.new_page(viewport={"width": 32 * 64, "height": 64 * (1 + len(files) // 32)})
    sources = [
        f"data:image/{KINDS[name.rsplit('.')[-1]]};base64,{base64.b64encode(content).decode()}"
        for name, content in files.items()
    ]
    page.set_content(
        "<style>* {margin: 0} body {display: grid; grid-template-columns: repeat(32, 64px); grid-auto-rows: 64px;"
        "align-items: start; justify-items: start}</style>" + "".join(f'<img src="{source}">' for source in sources)
    )
    shown = page.evaluate("Promise.all([...document.images].map((image) => image.decode().then(() => 1, () => 0)))")
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    page.close()
    off = {}
    for place, (name, content) in enumerate(files.items()):
        ours = np.asarray(open_picture(content)).astype(int)
        top, left = place // 32 * 64, place % 32 * 64
        off[name] = np.abs(ours - pixels[top : top + ours.shape[0], left : left + ours.shape[1]]).mean()
    off = {name: amount for (name, amount), is_shown in zip(off.items(), shown) if is_shown}
    assert len(off) > 300
    wrong = {name: round(float(amount), 1) for name, amount in off.items() if amount > 2}
    assert not wrong
