import gc
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from loopanimate.files import pictures
from loopanimate.files.pictures import mask_size, open_mask, open_picture
from loopanimate.memory import import_networks
from loopanimate.page.canvas import small_copy

GIVES_BACK = """
import threading
from pathlib import Path
from PIL import Image
from loopanimate.memory import return_large_blocks, return_small_blocks
return_large_blocks()

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

def work():
    first = [Image.new("RGB", (2000, 2000)) for _ in range(9)]  # 16 megabytes each
    small = [bytes(100_000) for _ in range(1000)]
    kept.append(bytes(100_000))
    del first, small

kept, before = [], megabytes()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
return_small_blocks()
print(megabytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has to be told")
def test_what_pictures_took_goes_back_to_the_system():
    found = subprocess.run([sys.executable, "-c", GIVES_BACK], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 30


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG", "TIFF", "GIF"])
def test_an_opened_picture_keeps_no_decoder(tmp_path, kind):
    Image.effect_noise((64, 48), 50).convert("RGB").save(tmp_path / "picture", kind)
    assert type(open_picture(tmp_path / "picture")) is Image.Image


def test_masks_of_large_pictures_are_opened_no_larger_than_they_are_kept(tmp_path, monkeypatch):
    Image.linear_gradient("L").save(tmp_path / "mask.png")
    monkeypatch.setattr(pictures, "MASK_PIXELS", 64 * 64)
    mask = open_mask(tmp_path / "mask.png", (256, 256))
    assert mask.shape == mask_size(256, 256) == (64, 64) and np.ptp(mask) > 0.9
    with pytest.raises(ValueError, match="shape 200 x 100"):
        open_mask(tmp_path / "mask.png", (200, 100))


def test_levels_are_counted_strip_by_strip_as_at_once():
    levels = np.random.default_rng(0).uniform(0, 1, (300, 5, 3)).astype(np.float32)
    levels[3, 1], levels[299, 2], levels[150, 0] = np.nan, np.inf, -np.inf
    wanted = np.rint(np.clip(np.nan_to_num(levels, posinf=2.0**32, neginf=0) * np.float32(255), 0, 255))
    assert np.array_equal(pictures._to_bytes(levels), wanted.astype(np.uint8))


def test_a_small_copy_has_the_pictures_shape():
    picture = Image.linear_gradient("L").convert("RGB").resize((2000, 1000))
    assert small_copy(picture, 640).size == (640, 320) and small_copy(picture, 4000).size == (2000, 1000)
    assert small_copy(Image.new("RGB", (4000, 3)), 640).size == (640, 1)


def test_what_networks_import_is_not_looked_through_for_garbage():
    kept = [[] for _ in range(1000)]
    found = import_networks.__wrapped__()
    assert found.load_quietly and gc.isenabled()
    assert not {id(one) for one in gc.get_objects()} & set(map(id, kept))
