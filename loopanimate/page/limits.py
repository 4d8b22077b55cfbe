"""What strangers may ask of a server: stated here alone, held by the server on every road to it, and shown on its page."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import inf, prod

from gradio import Blocks
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from loopanimate.files.formats import Format
from loopanimate.files.pictures import MAX_PIXELS
from loopanimate.files.recipe import MOST_PARTS
from loopanimate.files.sizes import count_rounds, frame_times
from loopanimate.settings import MAX_DIRECTIONS, MAX_TEXT, Settings

KEEP_SECONDS = 3600  # uploads, finished files and what is remembered of a visit
MEGABYTE = 1_000_000
MOST_BODY = 64 * MEGABYTE  # bytes of a request that is no upload: all masks that can be painted take a third of it
REMEMBERED = 1000  # visitors whose rate is counted
UPLOAD = "/gradio_api/upload"
NOBODY = ("", "127.0.0.1", "::1")  # whose requests a tunnel to this machine has, where it names nobody
HEAVY = ("device", "finding")  # concurrency ids of what takes seconds
HEADERS = {
    "x-content-type-options": "nosniff",  # a picture is never run as a script
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    # the page may stand in a hub's frame, but no link or form of it leads out of its own site
    "content-security-policy": "object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
}
FILE_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'; media-src 'self'"  # of a file alone
)


@dataclass(frozen=True)
class Limits:
    """What a server gives; inf where there is no limit."""

    upload: float  # megabytes of a file
    disk: float  # megabytes of all visitors' files together
    queue: int  # jobs that wait, of all visitors
    jobs: float  # of one visitor, at work or waiting
    seconds: float  # of a job, from its turn on
    megapixels: float  # of all frames of a file together
    visits: int  # visitors whose loops are remembered; each takes up to 100 megabytes, after a large picture
    calls: float  # of one visitor a second; as many as 10 seconds' at once

    def check_output(self, settings: Settings, form: Format, size: tuple[int, int]) -> None:
        """Raise ValueError, before any work, for a file that is too much; size: (width, height) of a frame."""
        if form.kind == "page" or self.megapixels == inf:
            return
        output, fps = settings.output, form.frame_rate(settings.output.fps)
        count = len(frame_times(settings.request.num_frames, fps, 1 if output.fps == "native" else settings.hands.tempo))
        if form.kind != "film":  # a film's rounds are copied
            count *= count_rounds(output.size, output.repeats, count / fps)
        if (found := prod(size) * count / MEGABYTE) > self.megapixels:
            raise ValueError(
                f"expected at most {self.megapixels:,.0f} megapixels in all frames of a file, got {found:,.0f}: choose a smaller "
                "size, fewer frames a second or a shorter length"
            )

    def say(self) -> str:
        """The limits for people, in Markdown."""
        hours = KEEP_SECONDS // 3600
        return (
            f"Others use this page too. A file may have {self.upload:,.0f} MB, a picture {MAX_PIXELS // MEGABYTE} megapixels, a "
            f"sentence {MAX_TEXT:,} characters, a loop {MOST_PARTS} painted things and {MAX_DIRECTIONS} arrows and pins, a "
            f"finished file {self.megapixels:,.0f} megapixels in all its frames. {self.jobs:g} jobs at once are yours, of "
            f"{self.seconds:.0f} seconds each; visitors take turns. What you bring and what is made of it is seen by nobody else, "
            f"and deleted after {hours} hour{'s' * (hours > 1)}."
        )


OWN = Limits(upload=1000, disk=inf, queue=64, jobs=inf, seconds=inf, megapixels=inf, visits=1000, calls=inf)
PUBLIC = Limits(upload=100, disk=5000, queue=64, jobs=6, seconds=300, megapixels=4500, visits=50, calls=20)


def find_visitor(connection: HTTPConnection) -> str:
    """Whose request it is: an address. A proxy, which has a private one, names it last of those that it forwards for."""
    own = connection.client.host if connection.client else ""
    try:
        is_proxy = not ip_address(own).is_global
    except ValueError:
        is_proxy = True
    forwarded = connection.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64]
    return forwarded if is_proxy and forwarded else own


class Rate:
    """How often each visitor calls: `calls` a second in the long run."""

    def __init__(self, calls: float, now: Callable[[], float] = time.monotonic):
        self.calls, self.most, self.now = calls, 10 * calls, now
        self.left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # calls, and when they were counted

    def take(self, visitor: str) -> bool:
        """Whether the visitor may call once more."""
        if self.calls == inf:
            return True
        now = self.now()
        left, counted = self.left.pop(visitor, (self.most, now))
        left = min(self.most, left + (now - counted) * self.calls)
        self.left[visitor] = max(0.0, left - 1), now
        if len(self.left) > REMEMBERED:
            self.left.popitem(last=False)
        return left >= 1


class Guard:
    """What stands before all of a page's roads (ASGI): headers, and limits that no page can hold by itself."""

    def __init__(self, app, limits: Limits, held: Callable[[], float] = lambda: 0.0):
        """held: megabytes of all visitors' files."""
        self.app, self.limits, self.held, self.rate = app, limits, held, Rate(limits.calls)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_file, is_upload = "/file=" in scope["path"], scope["path"].rstrip("/").endswith(UPLOAD)
        headers = HEADERS | {"content-security-policy": FILE_POLICY} if is_file else HEADERS
        taken, started = 0, False

        async def send_guarded(message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                known = {name.lower() for name, _ in message.get("headers", ())}
                new = [(name.encode(), value.encode()) for name, value in headers.items() if name.encode() not in known]
                message = {**message, "headers": [*message.get("headers", ()), *new]}
            await send(message)

        async def receive_guarded():
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if not is_upload and taken > MOST_BODY:
                raise TooLarge
            return message

        refused = self._refuse(scope, is_upload) if scope["method"] == "POST" else None
        if refused is not None:
            return await refused(scope, receive, send_guarded)
        try:
            await self.app(scope, receive_guarded, send_guarded)
        except TooLarge:
            if not started:
                await _refuse_body()(scope, receive, send_guarded)

    def _refuse(self, scope, is_upload: bool) -> PlainTextResponse | None:
        connection = HTTPConnection(scope)
        visitor = find_visitor(connection)
        if visitor not in NOBODY and not self.rate.take(visitor):
            return PlainTextResponse("Too many requests: wait a few seconds.", 429)
        length = connection.headers.get("content-length", "0")
        if not is_upload and (not length.isdigit() or int(length) > MOST_BODY):
            return _refuse_body()
        if is_upload and self.held() > self.limits.disk:
            return PlainTextResponse("This server's disk is full of other visitors' files: try again in an hour.", 507)
        return None


class TooLarge(Exception):
    """Raised where a request's body exceeds what it said, or what is taken."""


def _refuse_body() -> PlainTextResponse:
    return PlainTextResponse(f"This request is larger than {MOST_BODY // MEGABYTE} MB.", 413)


def take_turns(blocks: Blocks, limits: Limits) -> None:
    """Let visitors take turns in the queue of a page, which else is first come, first served; refuse who asks for too much."""
    queue, push = blocks._queue, blocks._queue.push  # Gradio has no other way to order its queue, or to bound it by visitor

    async def push_fairly(body, request, username):
        fn = blocks.fns.get(body.fn_index)
        if fn is not None:
            visitor, most = _name(request, body.session_hash), limits.jobs if fn.concurrency_id in HEAVY else 10 * limits.jobs
            if _list_visitors(queue, fn.concurrency_id).count(visitor) >= most:
                return False, f"You have {most:g} jobs here already: wait for one of them.", "queue_full"
        answer = await push(body, request, username)
        if fn is not None and (waiting := queue.event_queue_per_concurrency_id.get(fn.concurrency_id)):
            at_work = _list_visitors(queue, fn.concurrency_id)[len(waiting.queue) :]
            waiting.queue[:] = order_fairly(waiting.queue, _visitor_of, at_work)
            queue.broadcast_estimations(fn.concurrency_id)  # each hears its place
        return answer

    queue.push = push_fairly


def _list_visitors(queue, concurrency_id: str) -> list[str]:
    """Whose the events of one kind are: those that wait, and those at work."""
    waiting = queue.event_queue_per_concurrency_id.get(concurrency_id)
    at_work = [event for events in queue.active_jobs if events for event in events if event.concurrency_id == concurrency_id]
    return [_visitor_of(event) for event in [*(waiting.queue if waiting else ()), *at_work]]


def _visitor_of(event) -> str:
    return _name(event.request, event.session_hash)


def _name(request: HTTPConnection, session: str | None) -> str:
    """The visitor of a request to the queue; behind a tunnel to this machine, which names nobody, the session."""
    visitor = find_visitor(request)
    return session or visitor if visitor in NOBODY else visitor


def order_fairly(waiting: list, visitor_of: Callable, at_work: list[str] = ()) -> list:
    """Those who wait, so that everybody's first comes before anybody's second; who is at work has had one."""
    rounds, ranks = Counter(at_work), []
    for event in waiting:
        visitor = visitor_of(event)
        ranks.append(rounds[visitor])
        rounds[visitor] += 1
    return [waiting[place] for place in sorted(range(len(waiting)), key=ranks.__getitem__)]
