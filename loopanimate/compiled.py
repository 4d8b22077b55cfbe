"""Functions that numba compiles, and how."""

from contextlib import suppress

from numba import njit

FAST = {"fastmath": True, "error_model": "numpy"}


def compile_kernel(signature: str):
    """Compile a function at import, and cache the result on disk where possible: the first time takes seconds."""

    def compile_function(function):
        dispatcher = njit(nogil=True, **FAST)(function)
        with suppress(RuntimeError):  # no folder can be written to
            dispatcher.enable_caching()
        dispatcher.compile(signature)
        dispatcher.disable_compile()  # other types would be compiled while the first frame waits
        return dispatcher

    return compile_function
