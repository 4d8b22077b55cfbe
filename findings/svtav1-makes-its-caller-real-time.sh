#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2, SVT-AV1 4.1.0, Linux x86-64): opening libsvtav1 makes the thread that opens it a real-time one, for good.
#
# One would expect an encoder to be scheduled as the program that uses it is, by its nice value. Where the process may ask for it
# (root with CAP_SYS_NICE, as on most virtual machines and in containers that keep it), the opening thread and the some forty of
# the encoder's own come out under SCHED_FIFO at the highest priority, 99. The encoder's threads end; the caller's priority stays after
# the file is closed, and each thread and process that it starts later inherits it: a server that has once written AV1 or AVIF
# goes on real-time, before all else on the machine, whatever its nice value. No option of the encoder or of FFmpeg asks for it or
# turns it off; os.sched_setscheduler() on each thread of /proc/self/task does, and encoding goes on.
#
# Seen as root: before SCHED_OTHER 0; opened SCHED_FIFO 99, and so 40 of 41 threads; closed SCHED_FIFO 99; a child SCHED_FIFO 99.
# libx264 in its place: SCHED_OTHER 0 throughout. Without the privilege nothing changes, and the script says so and stops.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q av==18.1.0 numpy==2.2.6
SVT_LOG=1 "$folder/venv/bin/python" - <<'PY'
import io
import os
import subprocess
import sys
import threading

import av
import numpy as np

NAMES = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO"}


def state(task=0):
    return f"{NAMES.get(os.sched_getscheduler(task))} {os.sched_getparam(task).sched_priority}"


def child():
    code = "import os; print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)"
    policy, priority = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    return f"{NAMES.get(int(policy))} {priority}"


def may():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        return False
    return True


def encode(name):
    seen = [state()]
    with av.open(io.BytesIO(), "w", format="mp4") as file:
        stream = file.add_stream(name, rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.open()
        tasks = [state(int(task)) for task in os.listdir("/proc/self/task")]
        seen += [state(), f"{tasks.count('SCHED_FIFO 99')} of {len(tasks)}"]
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8), "rgb24")))
        file.mux(stream.encode())
    print(name, "before, opened, real-time threads, closed, a child:", *(seen := [*seen, state(), child()]), sep="; ")
    found[name] = seen


if not may():
    raise SystemExit("this process may not make threads real-time, and so SVT-AV1 does not either")
print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info)
found = {}
for name in ("libx264", "libsvtav1"):
    thread = threading.Thread(target=encode, args=(name,))
    thread.start()
    thread.join()
plain, realtime = found["libx264"], found["libsvtav1"]
assert {plain[0], plain[1], plain[3], plain[4]} == {"SCHED_OTHER 0"} and plain[2].startswith("0 of"), plain
assert realtime[0] == "SCHED_OTHER 0" and {realtime[1], realtime[3], realtime[4]} == {"SCHED_FIFO 99"}, realtime
assert int(realtime[2].split()[0]) > 30, realtime
PY
