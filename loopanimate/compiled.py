"""Functions that numba compiles, and when."""

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import update_wrapper
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from numba import njit

FAST = {"fastmath": True, "error_model": "numpy"}
OF_EVERY_LOOP = "loopanimate.scene.matting", "loopanimate.render.kernels"  # modules whose kernels no loop is without


class Kernel:
    """A function that is compiled when it is first called, for one signature, and cached on disk where possible.

    A machine's first time takes 10 s for all kernels, of which a loop without faces, light and weather needs half; then 0.1 s.
    """

    all: ClassVar[list["Kernel"]] = []  # in the order of imports
    compiling = threading.Lock()  # else two threads that want a kernel would both compile it

    def __init__(self, function: Callable, signature: str):
        update_wrapper(self, function)
        self.signature, self.compiled = signature, None
        self.all.append(self)

    def __call__(self, *arguments):
        return self.ready()(*arguments)

    def ready(self) -> Callable:
        """Compile it, or take it from the cache, unless that has been done."""
        if self.compiled is None:
            with self.compiling:
                if self.compiled is None:
                    dispatcher = self._prepare()
                    dispatcher.compile(self.signature)
                    dispatcher.disable_compile()  # other types would be compiled while a frame waits
                    self.compiled = dispatcher
        return self.compiled

    def is_missing(self) -> bool:
        """Could it be on disk, and is not? Numba names its index by function and line."""
        line, folder = self.__wrapped__.__code__.co_firstlineno, self._prepare().stats.cache_path
        return bool(folder) and not any(Path(folder).glob(f"*.{self.__qualname__}-{line}.*.nbi"))

    def _prepare(self):
        dispatcher = njit(nogil=True, **FAST)(self.__wrapped__)
        with suppress(RuntimeError):  # no folder can be written to
            dispatcher.enable_caching()
        return dispatcher


def compile_kernel(signature: str) -> Callable[[Callable], Kernel]:
    """Decorate a function that numba is to compile for a signature."""
    return lambda function: Kernel(function, signature)


def compile_all() -> None:
    """Compile all kernels of what has been imported, while nobody waits for one."""
    for kernel in Kernel.all:
        kernel.ready()


def compile_meanwhile() -> subprocess.Popen | None:
    """On a machine's first time, have a process compile what every loop needs, for this one to find in the cache.

    A command imports torch meanwhile, which takes as long and holds the lock that a thread would wait for. None where all is
    cached, or no cache can be written.
    """
    for module in OF_EVERY_LOOP:
        import_module(module)
    if not any(kernel.is_missing() for kernel in Kernel.all):
        return None
    script = f"import {', '.join(OF_EVERY_LOOP)}\nfrom loopanimate.compiled import compile_all\ncompile_all()"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
