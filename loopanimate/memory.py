"""What large pictures and networks took goes back to the system, where libraries would keep it for the next time."""

import ctypes
import sys
from functools import cache

# Bytes. A block from this size on is given back as soon as it is freed: less than Pillow's blocks of a picture (16 megabytes),
# more than a frame of 4K (12), which is taken again and again. glibc raises its own limit to 32 as soon as one was freed.
LARGE = 15 * 2**20
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # of mallopt(3)
ARENAS = 2  # heaps of small blocks, of which each thread else has one of its own


def return_large_blocks() -> None:
    """Set glibc's allocator so, once a process: it keeps them in holes that the next picture does not fit. Others do so anyhow."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in ((MMAP_THRESHOLD, LARGE), (TRIM_THRESHOLD, LARGE), (ARENA_MAX, ARENAS)):
            mallopt(option, value)


@cache
def run_options():
    """How a network of onnxruntime is run, so that its arena shrinks afterwards: the bundled two would keep half a gigabyte."""
    from onnxruntime import RunOptions

    options = RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
