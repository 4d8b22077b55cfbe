"""Work that tells how it goes, as a generator: who stops listening stops the work."""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

POLL = 0.2  # seconds between two chances to stop listening


class Stopped(Exception):
    """Raised inside the work at its next word, once nobody listens."""


def told(work: Callable[[Callable], object]) -> Iterator:
    """Runs `work(tell)` in a thread; yields what it tells, None when it has nothing to say, and returns what it returns.

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
            while not (future.done() and words.empty()):
                try:
                    word = words.get(timeout=POLL)
                except queue.Empty:
                    word = None
                yield word
        finally:
            stopped.set()
    return future.result()
