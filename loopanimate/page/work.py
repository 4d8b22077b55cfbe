"""Work in threads that a generator waits for: closing the generator stops the waiting, and the work where it can stop."""

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait

from loopanimate.memory import is_shortage, return_small_blocks

POLL = 0.2  # seconds between two chances to stop


class Stopped(Exception):
    """Raised inside the work where it next tells something, once nobody listens."""


def start(work: Callable, *arguments) -> Future:
    """Begin work in a daemon thread, which does not keep the program from ending."""
    future = Future()

    def run():
        try:
            future.set_result(work(*arguments))
        except BaseException as error:  # noqa: BLE001  whoever waits has to hear of it
            future.set_exception(MemoryError() if is_shortage(error) else error)

    threading.Thread(target=run, name="work", daemon=True).start()
    return future


def follow(work: Callable[[Callable], object]) -> Iterator:
    """Run `work(tell)` in a thread; every POLL seconds yield the newest thing told since, or None; return what it returns.

    Closing the generator stops the work where it next tells something, and waits for its end.
    """
    newest, stopped = [None], threading.Event()

    def tell(word):
        if stopped.is_set():
            raise Stopped
        newest[0] = word

    future = start(contextvars.copy_context().run, work, tell)  # the context carries whose request this is
    try:
        while wait([future], POLL).not_done:
            word, newest[0] = newest[0], None
            yield word
    finally:
        stopped.set()
        wait([future])
        return_small_blocks()
    return future.result()


def within(words: Iterator, seconds: float) -> Iterator:
    """The same words; ValueError in place of the first one that comes after so many seconds, and the work ends."""
    begun = time.monotonic()

    def check(word):
        if time.monotonic() - begun > seconds:
            raise ValueError(f"expected work of at most {seconds:.0f} seconds, got more: try a smaller size or fewer frames")
        return word

    return relay(words, check)


def relay(words: Iterator, show: Callable) -> Iterator:
    """Yield `show(word)` for each word of a generator; return what that generator returns."""
    try:
        while True:
            yield show(next(words))
    except StopIteration as end:
        return end.value
    finally:
        words.close()
