"""Do two checkouts make the same loops? python -m tests.benchmarks.same_loops BEFORE AFTER [PICTURE ...]

Runs each checkout's own command line over pictures and words, and compares the native frames: the share of pixels at most
2 levels apart, and the largest difference. Pictures: scikit-image's and scikit-learn's, unless some are named.
"""

import subprocess
import sys
import tempfile
from itertools import cycle
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image

CASES = (  # words, further arguments
    ("it sways gently to the left", ()),
    ("it drifts to the right", ()),
    ("it bobs up and down", ()),
    ("it bounces", ()),
    ("it rocks back and forth slowly", ()),
    ("it swings strongly", ()),
    ("it turns", ()),
    ("it breathes", ()),
    ("it ripples quickly", ()),
    ("it flutters", ()),
    ("it trembles", ()),
    ("it flows to the left", ()),
    ("in the background the clouds drift by", ()),
    ("everything drifts to the left", ()),
    ("the camera zooms in slowly", ()),
    ("nothing moves", ()),
    ("it sways", ("--arrow", "0.5,0.5,0.56,0.45")),
    ("it moves", ("--pin", "0.5,0.5")),
    ("it sways gently", ("--size", "270x480")),
    ("it flows to the right", ("--size", "300x400", "--fit")),
    ("it shakes", ("--motion-strength", "2")),
    ("it moves up", ("--num-frames", "15")),
)


def pictures(folder: Path) -> list[Path]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    arrays = {name: getattr(data, name)() for name in ("astronaut", "camera", "chelsea", "coffee", "rocket")}
    arrays |= {name: load_sample_image(f"{name}.jpg") for name in ("flower", "china")}
    for name, array in arrays.items():
        Image.fromarray(array).convert("RGB").save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in arrays]


def frames(checkout: Path, picture: Path, words: str, arguments: tuple[str, ...], output: Path) -> np.ndarray:
    """Native frames (N - 1, H, W, 3) uint8 that a checkout's command writes."""
    command = [sys.executable, "-m", "loopanimate", str(picture), words, "--fps", "native", "--output", str(output), *arguments]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    with ZipFile(output) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))
        return np.stack([np.asarray(Image.open(file.open(name))) for name in names])


def main(before: str, after: str, *given: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = [Path(path).absolute() for path in given] or pictures(folder)
        for (words, arguments), picture in zip(CASES, cycle(chosen)):
            first, second = (
                frames(Path(checkout), picture, words, arguments, folder / f"{side}.zip").astype(int)
                for side, checkout in (("before", before), ("after", after))
            )
            apart = np.abs(first - second).max(-1)
            said = f"{picture.stem:12} {words} {' '.join(arguments)}"
            print(f"{100 * (apart <= 2).mean():9.4f} % at most 2 levels apart, {apart.max():3d} at most  {said}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
