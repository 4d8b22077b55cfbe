import asyncio
import json
import time
from contextlib import contextmanager
from math import inf
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse

from app import launch
from loopanimate.files.formats import ENDINGS
from loopanimate.page import jobs
from loopanimate.page.canvas import Painting, url
from loopanimate.page.jobs import Server
from loopanimate.page.limits import MOST_BODY, OWN, PUBLIC, Guard, Limits, Rate, find_visitor, order_fairly
from loopanimate.page.work import within
from loopanimate.settings import make_settings

MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "waiting, at_work, wanted",
    [("aaab", "", "abaa"), ("aabbc", "", "abcab"), ("aab", "a", "baa"), ("aaabbb", "ab", "ababab"), ("", "a", "")],
)
def test_everybodys_first_job_comes_before_anybodys_second(waiting, at_work, wanted):
    found = order_fairly([*enumerate(waiting)], lambda event: event[1], list(at_work))
    assert "".join(name for _, name in found) == wanted
    for name in set(waiting):  # nobody's own jobs change places
        assert [number for number, own in found if own == name] == [n for n, own in enumerate(waiting) if own == name]


def test_a_visitor_calls_as_often_as_is_allowed_in_the_long_run():
    clock = [0.0]
    rate = Rate(2, now=lambda: clock[0])
    assert [rate.take("a") for _ in range(21)] == [True] * 20 + [False] and rate.take("b")
    clock[0] = 1.0
    assert [rate.take("a") for _ in range(3)] == [True, True, False]
    assert all(Rate(inf).take("a") for _ in range(1000))


@pytest.mark.parametrize("set_by", [-86_400, 86_400])
def test_a_clock_that_is_set_gives_nobody_more_calls_and_ends_no_job(monkeypatch, set_by):
    rate, work = Rate(0.1), within((word for word in range(3)), 60)
    assert rate.take("a") and not rate.take("a") and next(work) == 0
    machine = time.time() + set_by
    monkeypatch.setattr(time, "time", lambda: machine)
    assert not rate.take("a") and [*work] == [1, 2]


def connection(host: str | None, forwarded: str = "") -> HTTPConnection:
    client = None if host is None else (host, 1)
    return HTTPConnection({"type": "http", "client": client, "headers": [(b"x-forwarded-for", forwarded.encode())]})


@pytest.mark.parametrize(
    "host, forwarded, wanted",
    [
        ("8.8.8.8", "", "8.8.8.8"),
        ("8.8.8.8", "1.2.3.4", "8.8.8.8"),  # whoever comes directly says nothing about where from
        ("10.0.0.1", "spoofed, 1.2.3.4", "1.2.3.4"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("testclient", "5.6.7.8", "5.6.7.8"),
        (None, "", ""),
    ],
)
def test_a_visitor_is_an_address(host, forwarded, wanted):
    assert find_visitor(connection(host, forwarded)) == wanted


def test_a_file_of_too_many_pixels_is_refused_before_any_work():
    large = make_settings(prompt="it sways", size="8k", fps=60)
    with pytest.raises(
        ValueError, match=r"^expected at most 4,500 megapixels in all frames of a file, got 8,\d+: choose [^\n]*$"
    ):
        PUBLIC.check_output(large, ENDINGS[".mp4"], (7680, 4320))
    OWN.check_output(large, ENDINGS[".mp4"], (7680, 4320))
    usual = make_settings(prompt="it sways", size="4k", fps=30, tempo=0.25)
    PUBLIC.check_output(usual, ENDINGS[".mp4"], (3840, 2160))
    often = make_settings(prompt="it sways", fps=25, repeats=1000)
    with pytest.raises(ValueError, match="a shorter length"):  # which wait on the disk
        PUBLIC.check_output(often, ENDINGS[".gif"], (640, 480))
    PUBLIC.check_output(often, ENDINGS[".webm"], (640, 480))


def test_what_is_said_of_the_limits_has_their_numbers():
    said = PUBLIC.say()
    for number in ("100 MB", "120 megapixels", "2,000 characters", "32 painted", "4,500", "6 jobs", "300 seconds", "1 hour."):
        assert number in said


def test_work_that_takes_too_long_ends():
    ended = []

    def work():
        try:
            while True:
                yield time.sleep(0.01)
        finally:
            ended.append(True)

    with pytest.raises(ValueError, match="at most 0 seconds"):
        list(within(work(), 0.05))
    assert ended

    def quick():
        yield 1
        return 7

    def listen():
        return (yield from within(quick(), inf))

    words = listen()
    assert next(words) == 1
    with pytest.raises(StopIteration) as end:
        next(words)
    assert end.value.value == 7


def test_no_more_parts_are_painted_than_are_read():
    mask = np.ones((4, 4), np.float32)
    text = Painting("picture.png", mask, parts=tuple((f"thing {n}", mask) for n in range(33))).write("x")
    with pytest.raises(ValueError, match="expected what is painted"):
        Painting.read(text)
    assert url(mask) and Painting.read(Painting("picture.png", mask, parts=(("thing", mask),)).write("x")).parts


@pytest.fixture
def guarded():
    """A guard before an app that answers with how many bytes it got."""

    async def app(scope, receive, send):
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    held = [0.0]
    guard = Guard(app, Limits(1, 100, 1, 1, 1, 1, 1, calls=5), lambda: held[0])

    def ask(method: str, path: str, host: str = "8.8.8.8", **given) -> httpx.Response:
        async def send():
            transport = httpx.ASGITransport(guard, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
                return await client.request(method, path, **given)

        return asyncio.run(send())

    return SimpleNamespace(ask=ask, held=held)


def test_every_answer_has_headers_that_a_browser_heeds(guarded):
    page, file = guarded.ask("GET", "/"), guarded.ask("GET", "/gradio_api/file=/x/loop.html")
    for answer in (page, file, guarded.ask("POST", "/", content=b"x")):
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"]
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    assert file.headers["content-security-policy"].startswith("sandbox;")  # a stranger's page runs nothing here


def test_large_requests_are_refused_unless_they_are_uploads(guarded):
    large = b"x" * (MOST_BODY + 1)

    async def pieces():
        for _ in range(MOST_BODY // MEGABYTE + 1):
            yield b"x" * MEGABYTE

    assert guarded.ask("POST", "/gradio_api/queue/join", content=large).status_code == 413
    assert guarded.ask("POST", "/gradio_api/queue/join", content=pieces()).status_code == 413  # says no length
    assert guarded.ask("POST", "/gradio_api/upload", content=large).text == str(len(large))
    guarded.held[0] = 101.0
    answer = guarded.ask("POST", "/gradio_api/upload", content=b"x")
    assert answer.status_code == 507 and answer.text.endswith("in an hour.")


def test_who_calls_too_often_is_told_so_and_others_are_served(guarded):
    found = [guarded.ask("POST", "/", content=b"x").status_code for _ in range(60)]
    assert found[:50] == [200] * 50 and found[-1] == 429
    assert guarded.ask("POST", "/", host="9.9.9.9", content=b"x").status_code == 200
    assert guarded.ask("GET", "/").status_code == 200


@pytest.fixture
def public(monkeypatch, tmp_path):
    """A page for strangers, whose jobs wait until they are let go."""
    from tests.browser.conftest import free_port

    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for name in ("load", "load_models", "session"):
        monkeypatch.setattr(jobs, name, lambda *_: None)
    server, begun, lets_go, ended = Server(public=True), [], [], []

    def sample_loops(self, path, settings, *_):
        begun.append(settings.request.prompt)
        try:
            while settings.request.prompt not in lets_go:
                yield time.sleep(0.02)
        finally:
            ended.append(settings.request.prompt)
        raise ValueError(f"expected to be let go, got {settings.request.prompt}")

    monkeypatch.setattr(Server, "sample_loops", sample_loops)
    blocks = launch(server, server_port=free_port(), quiet=True)
    kept = {"server": server, "begun": begun, "lets_go": lets_go, "ended": ended, "blocks": blocks}
    yield SimpleNamespace(address=blocks.local_url.rstrip("/"), **kept)
    blocks.close()


@contextmanager
def visit(public, address: str):
    with httpx.Client(base_url=public.address, headers={"x-forwarded-for": address}, timeout=60) as client:
        yield client


def until(holds) -> None:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < 60
        time.sleep(0.02)


def test_strangers_take_turns_and_reach_no_file(public, tmp_path):
    small, secret = tmp_path / "small.png", tmp_path.parent / "secret.png"
    for path in (small, secret):
        Image.new("RGB", (64, 48), "red").save(path)

    with visit(public, "1.1.1.1") as greedy, visit(public, "2.2.2.2") as modest:
        assert f"{PUBLIC.jobs:g} jobs at once are yours" in greedy.get("/").text
        uploaded = greedy.post("/gradio_api/upload", files={"files": small.read_bytes()}).json()[0]
        assert uploaded.startswith(str(public.server.folder.uploads))
        too_large = greedy.post("/gradio_api/upload", files={"files": b"x" * int(PUBLIC.upload * 2**20 + 1)})
        assert too_large.status_code == 413

        def ask(client, prompt: str, path: str = uploaded, **given) -> httpx.Response:
            values = {
                "picture": {"path": path, "meta": {"_type": "gradio.FileData"}},
                "prompt": prompt,
                "num_frames": 9,
                **given,
            }
            order = (
                "picture",
                "prompt",
                "mask",
                "num_frames",
                "seed",
                "strength",
                "format",
                "size",
                "things",
                "masks",
                "e",
                "s",
            )
            usual = {"seed": 0, "strength": 1, "format": "MP4", "size": "source", "things": [], "masks": [], "e": [], "s": 1}
            data = [(usual | values).get(name) for name in order]
            return client.post("/gradio_api/call/animate", json={"data": data})

        def answer(client, asked: httpx.Response) -> str:
            return client.get(f"/gradio_api/call/animate/{asked.json()['event_id']}").text

        # what it is given is only what was uploaded, and what is served only what is its own
        assert "error" in answer(greedy, ask(greedy, "it sways", str(secret)))
        assert "error" in answer(greedy, ask(greedy, "it sways", f"{uploaded}/../../../../secret.png"))
        assert greedy.get(f"/gradio_api/file={secret}").status_code == 403
        assert greedy.get(f"/gradio_api/file={public.server.folder.path}/../secret.png").status_code == 403
        assert public.begun == []

        asked = [ask(greedy, f"it sways {letter}") for letter in "abcdefg"]
        assert [each.status_code for each in asked] == [200] * 6 + [503] and "wait for one" in asked[-1].text
        until(lambda: public.begun)
        later = ask(modest, "the modest sways")
        public.lets_go.append("it sways a")
        until(lambda: len(public.begun) > 1)
        assert public.begun == ["it sways a", "the modest sways"]
        public.lets_go += ["the modest sways", *(f"it sways {letter}" for letter in "bcdef")]
        assert "let go, got the modest sways" in answer(modest, later)
        assert "let go, got it sways f" in answer(greedy, asked[5])
        assert ask(greedy, "it sways a").status_code == 200  # there is room again

        # a visitor who goes away leaves neither a job at work nor one that waits
        function = next(number for number, fn in public.blocks.fns.items() if fn.api_name == "animate")
        picture, _, *others = json.loads(asked[0].request.content)["data"]
        for prompt in ("one goes", "two go"):
            joined = {"data": [picture, prompt, *others], "fn_index": function, "session_hash": "gone"}
            assert greedy.post("/gradio_api/queue/join", json=joined).status_code == 200
        with greedy.stream("GET", "/gradio_api/queue/data?session_hash=gone") as answers:
            until(lambda: public.begun[-1] == "one goes")
            next(answers.iter_lines())
        until(lambda: "one goes" in public.ended)
        public.lets_go.append("the next one sways")
        assert "let go, got the next one" in answer(modest, ask(modest, "the next one sways"))
        assert "two go" not in public.begun
