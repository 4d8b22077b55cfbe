"""Functions that numba compiles, and when."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps

from numba import njit

FAST = {"fastmath": True, "error_model": "numpy"}
KERNELS: list[Callable] = []  # what compiles each, in the order of imports


def compile_kernel(signature: str):
    """Compile a function when it is first called, and cache the result on disk where possible.

    A machine's first time takes 10 s for all kernels, of which a loop without faces, light and weather needs half; then 0.1 s.
    """

    def compile_function(function):
        @cache
        def ready():
            dispatcher = njit(nogil=True, **FAST)(function)
            with suppress(RuntimeError):  # no folder can be written to
                dispatcher.enable_caching()
            dispatcher.compile(signature)
            dispatcher.disable_compile()  # other types would be compiled while a frame waits
            return dispatcher

        @wraps(function)
        def run(*arguments):
            return ready()(*arguments)

        KERNELS.append(ready)
        return run

    return compile_function


def compile_all() -> None:
    """Compile all kernels of what has been imported, while nobody waits for one."""
    for ready in KERNELS:
        ready()
