#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2, x86-64): VideoFrame.reformat() gives other pixels from one call to the next.
#
# A frame of RGB whose width is no multiple of 16 becomes 10-bit YUV. By default libswscale cuts the frame into as many bands of
# rows as it takes threads. Its vector code writes whole vectors, and so past the end of the last row of a band; PyAV's rows are
# padded to 8 bytes only, so those bytes belong to the first row of the next band, which another thread may have written already.
# One would expect the same frame from the same pixels; instead, now and then, the first few pixels of a row at a third or two
# thirds of the height are of another colour. With threads=1 the next row always comes later and puts them right.
#
# Seen: 97 x 66, 20000 conversions each: with threads=1 none differs; by default some do (a few to most of them), in columns 0 to
# 14 of the rows 22 and 44 only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import av
import numpy as np

rgb = np.random.default_rng(0).integers(0, 255, (66, 97, 3), np.uint8)


def planes(**options):
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv444p10le", **options)
    return np.stack([np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes])


def count(**options):
    differ, rows, columns = 0, set(), set()
    for _ in range(20000):
        _, row, column = np.nonzero(planes(**options) != right)
        differ += bool(len(row))
        rows.update(row.tolist())
        columns.update(column.tolist())
    return differ, sorted(rows), max(columns, default=None)


right = planes(threads=1)
print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info)
one, several = count(threads=1), count()
print("one thread: differ, rows, last column:", *one)
print("by default: differ, rows, last column:", *several)
assert one[0] == 0 and several[0] > 0 and set(several[1]) <= {22, 44} and several[2] < 16
PY
