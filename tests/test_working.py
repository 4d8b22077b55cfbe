import time

import pytest

from loopanimate.working import told


def test_words_come_in_order_and_the_result_at_the_end():
    def work(tell):
        for word in "abc":
            tell(word)
        return 7

    def listen():
        return (yield from told(work))

    heard, listening = [], listen()
    with pytest.raises(StopIteration) as ended:
        while True:
            heard.append(next(listening))
    assert [word for word in heard if word] == ["a", "b", "c"] and ended.value.value == 7


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
