#!/usr/bin/env bash
# Pillow 12.3.0: a WebP that was opened and made a thumbnail of goes on holding its full-size frames.
#
# `Image.thumbnail` changes an image in place: afterwards it has a few thousand pixels, and of a JPEG or a PNG nothing else
# is left in memory. A still WebP is read by libwebp's decoder of animations, which keeps two canvases of four bytes a pixel,
# and Pillow keeps that decoder, and the decoded pixels as the image's "file", for as long as the image lives, whatever its size
# has become. A server that keeps thumbnails of uploads, or a cache of opened pictures, so holds 11 bytes for each pixel of the
# original. A `copy()` of the thumbnail has none of that: keep the copy and drop the image.
#
# Seen, with a picture of 6000 x 4000 pixels that was made 64 x 64 (megabytes above those before it was opened):
#   jpeg: 0 MB kept, of the copy alone 0 MB
#   png: 0 MB kept, of the copy alone 0 MB
#   webp: 184 MB kept, of the copy alone 0 MB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==12.3.0 numpy==2.3.4
cat >"$folder/keep.py" <<'PYTHON'
import gc
import sys

from PIL import Image


def resident():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


with Image.open(sys.argv[1].replace("large", "small")) as small:  # what a first picture loads is not counted
    small.load()
del small
before = resident()
picture = Image.open(sys.argv[1])
picture.thumbnail((64, 64))
assert max(picture.size) == 64
held = resident() - before
picture = picture.copy()
print(round(held), round(resident() - before))
PYTHON
cat >"$folder/make.py" <<'PYTHON'
import sys

import numpy as np
from PIL import Image

y, x = np.mgrid[:4000, :6000]
pixels = np.stack([x * 255 // 6000, y * 255 // 4000, (x + y) * 255 // 10000], -1).astype(np.uint8)
for name, size in (("large", (6000, 4000)), ("small", (60, 40))):
    for kind in ("jpeg", "png", "webp"):
        Image.fromarray(pixels).resize(size).save(f"{sys.argv[1]}/{name}.{kind}", **({"method": 0} if kind == "webp" else {}))
PYTHON
"$folder/venv/bin/python" "$folder/make.py" "$folder"
for kind in jpeg png webp; do
  # blocks that are freed go back to the system at once, so that what is counted is what is held
  read -r held copied < <(MALLOC_MMAP_THRESHOLD_=1000000 "$folder/venv/bin/python" "$folder/keep.py" "$folder/large.$kind")
  echo "$kind: $held MB kept, of the copy alone $copied MB"
  if [ "$kind" = webp ]; then [ "$held" -gt 150 ] && [ "$copied" -lt 30 ]; else [ "$held" -lt 30 ]; fi
done
