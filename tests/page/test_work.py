import threading

import pytest

from loopanimate.page.work import follow, relay, start


def test_the_newest_word_is_told_and_the_result_returned():
    heard = threading.Event()

    def work(tell):
        for word in range(5):
            tell(word)
        assert heard.wait(30)
        return 7

    def listen():
        return (yield from relay(follow(work), str))

    words = []
    listening = listen()
    with pytest.raises(StopIteration) as ended:
        while True:
            words.append(next(listening))
            heard.set()
    assert words[0] == "4" and set(words[1:]) <= {"None"} and ended.value.value == 7


@pytest.mark.parametrize("relayed", [False, True])
def test_closing_stops_the_work_and_waits_for_its_end(relayed):
    ended = threading.Event()

    def work(tell):
        try:
            while True:
                tell(1)
        finally:
            ended.set()

    listening = relay(follow(work), str) if relayed else follow(work)
    next(listening)
    listening.close()
    assert ended.is_set()


def test_a_mistake_is_raised_where_the_result_is_wanted():
    def work(tell):
        raise ValueError("no such")

    with pytest.raises(ValueError, match="no such"):
        list(follow(work))
    assert isinstance(start(work, None).exception(30), ValueError)
