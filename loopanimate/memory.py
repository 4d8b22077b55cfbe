"""What large pictures and networks took goes back to the system; networks are built one at a time."""

import ctypes
import gc
import re
import sys
import threading
from functools import cache
from importlib import import_module
from types import ModuleType

# Bytes. A block from this size on is given back as soon as it is freed: less than Pillow's blocks of a picture (16 megabytes),
# more than a frame of 4K (12), which is taken again and again. glibc raises its own limit to 32 as soon as one was freed.
LARGE = 15 * 2**20
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # of mallopt(3)
SHORTAGE = re.compile(
    "can't allocate memory|can't start new thread|bad_alloc|(insufficient|failed to allocate|cannot allocate) memory",
    re.IGNORECASE,
)
SHORT = "expected more free memory, got none: choose a smaller picture or size"  # said of it
ARENAS = 2  # heaps of small blocks, of which each thread else has one of its own
# Hold it to build a network: while diffusers or transformers load one, what other threads build has no values, "no data!"
LOADING = threading.Lock()


def return_large_blocks() -> None:
    """Set glibc's allocator so, once a process: it keeps them in holes that the next picture does not fit. Others do so anyhow."""
    for option, value in ((MMAP_THRESHOLD, LARGE), (TRIM_THRESHOLD, LARGE), (ARENA_MAX, ARENAS)):
        _ask_glibc("mallopt", option, value)


def return_small_blocks() -> None:
    """Give back whole pages of what is free, after a job: 300 megabytes of holes between small blocks, after 20 loops."""
    _ask_glibc("malloc_trim", 0)


def _ask_glibc(name: str, *numbers: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*numbers)


@cache
def import_networks() -> ModuleType:
    """`loopanimate.checkpoints`, and with it torch, diffusers and transformers, for a program that will use them to its end.

    They make a million objects that stay. Looked through for garbage again and again, those take a twelfth of a command's time.
    """
    gc.disable()
    try:
        return import_module("loopanimate.checkpoints")
    finally:
        gc.freeze()
        gc.enable()


@cache
def run_options():
    """How a network of onnxruntime is run, so that its arena shrinks afterwards: the bundled two would keep half a gigabyte."""
    from onnxruntime import RunOptions

    options = RunOptions()
    options.log_severity_level = 4  # what goes wrong is raised, and said in our words
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that there was no memory left: numpy and Pillow have a type for it, other libraries words."""
    return isinstance(error, MemoryError) or isinstance(error, Exception) and bool(SHORTAGE.search(str(error)))
