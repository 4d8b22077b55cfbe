"""Work in threads that a generator waits for: closing the generator stops the waiting, and the work where it can stop."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait

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
            future.set_exception(error)

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
    return future.result()


def relay(words: Iterator, show: Callable) -> Iterator:
    """Yield `show(word)` for each word of a generator; return what that generator returns."""
    try:
        while True:
            yield show(next(words))
    except StopIteration as end:
        return end.value
    finally:
        words.close()
