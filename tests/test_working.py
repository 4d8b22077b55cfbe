import time

import pytest
from loopanimate.page.working import POLL, told


def test_the_newest_word_is_heard_and_the_result_returned():
    def work(tell):
        for word in range(5):
            tell(word)
        time.sleep(2 * POLL)
        return 7

    def listen():
        return (yield from told(work))

    heard, listening = [], listen()
    with pytest.raises(StopIteration) as ended:
        while True:
            heard.append(next(listening))
    assert heard[0] == 4 and set(heard[1:]) <= {None} and ended.value.value == 7


def test_who_stops_listening_stops_the_work():
    steps = []

    def work(tell):
        for step in range(1000):
            tell(step)
            steps.append(step)
            time.sleep(0.01)

    listening = told(work)
    next(listening)
    listening.close()  # waits for the work to end
    done = len(steps)
    time.sleep(0.05)
    assert done == len(steps) < 1000


def test_an_error_is_raised_where_it_is_listened_to():
    with pytest.raises(ValueError, match="no such"):
        list(told(lambda tell: (_ for _ in ()).throw(ValueError("no such"))))
