"""Work that tells how it goes, as a generator: who stops listening stops the work."""

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

POLL = 0.2  # seconds between two chances to stop listening


class Stopped(Exception):
    """Raised inside the work at its next word, once nobody listens."""


def told(work: Callable[[Callable], object]) -> Iterator:
    """Runs `work(tell)` in a thread; yields the newest of what it tells every POLL seconds, None when there is nothing new,
    and returns what it returns.

    Closing the generator stops the work at its next word and waits for that.
    """
    words, stopped = queue.SimpleQueue(), threading.Event()

    def tell(word):
        if stopped.is_set():
            raise Stopped
        words.put(word)

    with ThreadPoolExecutor(1) as pool:
        # the context carries whose request this is
        future = pool.submit(contextvars.copy_context().run, work, tell)
        future.add_done_callback(lambda _: words.put(None))
        try:
            while not future.done():
                word, until = None, time.monotonic() + POLL
                while not future.done() and (left := until - time.monotonic()) > 0:
                    try:
                        word = words.get(timeout=left)
                    except queue.Empty:
                        break
                yield word
        finally:
            stopped.set()
    return future.result()
