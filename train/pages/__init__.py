"""Pages that ask people what they see: one HTML file each, loops included, which needs no server.

The page draws the frames of a loop itself: a video element pauses at its wrap, which would give the cut away.
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
from imageio.v3 import imread
from PIL import Image

from loopanimate.presets import NATIVE_FPS

SIDE = 320  # pixels on the long side
HERE = Path(__file__).parent


def find_the_cut(loops: dict[str, np.ndarray]) -> str:
    """Make the page on which viewers press a key where a loop starts again; it starts at a random place.

    loops: name → ring (K, H, W, 3) uint8.
    """
    data = [{"name": name, "frames": _frames(frames)} for name, frames in loops.items()]
    return _page("find_the_cut.html", loops=data, fps=NATIVE_FPS)


def rating(folders: list[Path], captions: dict[str, str]) -> str:
    """Make the page that shows loops of evaluations side by side, in random order, to be rated as in the paper's Table 3.

    captions: of the loops, by name. Raises ValueError where the evaluations share no loop.
    """
    for folder in folders:
        if not (folder / "loops").is_dir():
            raise ValueError(f"expected the output of an evaluation in {folder}, found no loops")
    shared = [name for name in captions if all((folder / "loops" / f"{name}.mp4").is_file() for folder in folders)]
    if not shared:
        raise ValueError(f"expected loops of the same names in {', '.join(map(str, folders))}, found none")
    items = []
    for name in shared:
        rings = {str(folder): imread(folder / "loops" / f"{name}.mp4", plugin="pyav") for folder in folders}
        loops = [{"method": method, "frames": _frames(ring)} for method, ring in rings.items()]
        items.append({"name": name, "caption": captions[name], "loops": loops})
    return _page("rating.html", items=items, fps=NATIVE_FPS)


def _page(template: str, **data) -> str:
    text = (HERE / template).read_text(encoding="utf-8")
    # "</script" in a caption would end the script
    return text.replace("/*DATA*/null", json.dumps(data, ensure_ascii=False).replace("</", "<\\/"))


def _frames(frames: np.ndarray) -> list[str]:
    urls = []
    for pixels in frames:
        picture = Image.fromarray(pixels)
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=88)
        urls.append("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode())
    return urls
