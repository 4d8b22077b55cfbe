"""Living pages, opened from disk and drawn by WebGL 2 in software."""

import base64
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from loopanimate.files.living import motion_of, write_living
from loopanimate.metrics import psnr, seam
from loopanimate.motion.field import LoopField, touched
from loopanimate.render.renderer import Renderer
from tests.fields import curve, random_field

SIDE = 192  # pixels of the short side


def small(photo: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """A photograph with SIDE pixels on its short side, and a soft-edged mask in its middle."""
    scale = SIDE / min(photo.size)
    image = np.asarray(photo.resize([round(side * scale) for side in photo.size], Image.Resampling.LANCZOS))
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot((x / width - 0.45) / 0.3, (y / height - 0.55) / 0.35)
    return image, np.clip(4 * (1.1 - distance), 0, 1).astype(np.float32)


def grid(image: np.ndarray) -> tuple[int, int]:
    height, width = image.shape[:2]
    return round(12 * height / SIDE), round(12 * width / SIDE)


@pytest.fixture
def opened(browser, tmp_path):
    """A function that writes a living page and opens it: (page, drawn), drawn(time in loops) gives the canvas's pixels."""
    contexts = []

    def open_page(image, mask, fields, query="paused=1", title="a loop", viewport=None, script=None, **context):
        write_living(tmp_path / "loop.html", image, mask, fields, title)
        height, width = viewport or image.shape[:2]
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **context))
        page = contexts[-1].new_page()
        page.errors, page.requests = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: page.requests.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(f"file://{tmp_path}/loop.html?{query}")
        page.evaluate("living.ready")
        return page

    yield open_page
    for context in contexts:
        context.close()


def drawn(page, time: float | None = None) -> np.ndarray:
    """The canvas (H, W, 3) uint8 as it is, or with the loop at `time` in loops."""
    rewind = "" if time is None else f"living.walk.rewind({time});"
    url = page.evaluate(f"() => {{ {rewind} living.draw(); return document.getElementById('canvas').toDataURL() }}")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def until(page, condition: str) -> None:
    """Waits for a JavaScript condition; the page's own policy forbids Playwright's wait, which is an eval."""
    for _ in range(500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"expected {condition} within ten seconds")


def test_another_motion_takes_the_place_of_the_first(opened, photos):
    image, mask = small(photos["coffee"])
    first, other = random_field(3, grid(image)), random_field(4, tuple(2 * side for side in grid(image)), (0,))
    page = opened(image, mask, [first])
    page.evaluate("given => living.replace(given)", motion_of([other]))
    exact = Renderer(image, mask, other).frame(0.3 * other.period)
    assert psnr(drawn(page, 0.3), exact) > 38
    assert not page.errors


@pytest.mark.parametrize(
    "name, streams", [("astronaut", ()), ("chelsea", (1,)), ("coffee", (0,)), ("rocket", (0, 1)), ("flower", ())]
)
def test_the_page_draws_what_the_renderer_draws(opened, photos, name, streams):
    image, mask = small(photos[name])
    field = random_field(len(name), grid(image), streams, borders=touched(mask))
    renderer = Renderer(image, mask, field)
    page = opened(image, mask, [field])
    assert np.array_equal(drawn(page, 0), image)
    for time in (0.11, 0.37, 0.5, 0.83):
        frame = renderer.frame(time * field.period)
        assert psnr(frame, image) < 32  # it moves
        assert psnr(drawn(page, time), frame) > 38
    assert page.errors == []
    assert all(url.startswith(("file:", "data:")) for url in page.requests)


@pytest.mark.parametrize("drift", [0.0, 0.1])
def test_the_page_has_no_seam(opened, blob, drift):
    image, mask = blob
    page = opened(image, mask, [LoopField(curve(layer=1 if drift else 0, drift=drift))])
    measures = seam(np.stack([drawn(page, k / 34) for k in range(34)]))
    assert measures["step"] <= 1.25 and measures["jerk"] <= 1.25 and measures["pause"] >= 1


def test_ten_minutes_bring_no_drift_and_no_growth(opened, blob):
    image, mask = blob
    page = opened(image, mask, [random_field(5, (12, 16), (1,))], query="paused=1&panel=0")
    session = page.context.new_cdp_session(page)

    def heap() -> int:
        session.send("HeapProfiler.collectGarbage")
        return session.send("Runtime.getHeapUsage")["usedSize"]

    run = "(frames) => { for (let i = 0; i < frames; i++) { living.advance(1 / 60); if (i % 180 === 0) living.draw() } }"
    page.evaluate(run, 600)
    before = heap()
    page.evaluate(run, 600 * 60 - 600)
    assert heap() - before < 200_000  # bytes; one frame's arrays are 25 000
    time = page.evaluate("living.walk.now.time")
    expected = (600 / 4.25) % 1
    assert abs(time - expected) < 1e-9
    assert psnr(drawn(page), drawn(page, expected)) > 60


def test_options_in_the_address(opened, blob):
    image, mask = blob
    field = random_field(6, (12, 16))
    page = opened(image, mask, [field], query="paused=1&strength=0&tempo=2&fps=30&fit=fit&parallax=1&panel=0&unknown=1")
    assert page.evaluate("living.settings") == {
        "strength": 0,
        "tempo": 2,
        "fps": 30,
        "fit": "fit",
        "parallax": True,
        "wander": False,
        "paused": True,
        "panel": False,
    }
    assert np.array_equal(drawn(page, 0.4), image)
    page.evaluate("living.advance(1)")
    assert page.evaluate("living.walk.now.time") == pytest.approx((0.4 + 2 / 4.25) % 1)
    assert page.locator("#panel").is_hidden()
    page.evaluate("living.set({ strength: 'nonsense', tempo: -1, fit: 'other' })")
    assert page.evaluate("[living.settings.strength, living.settings.tempo, living.settings.fit]") == [0, 2, "fit"]


def test_strength_is_the_renderers(opened, blob):
    image, mask = blob
    field = random_field(7, (12, 16), reach=0.008)
    half = random_field(7, (12, 16), reach=0.004)
    page = opened(image, mask, [field], query="paused=1&strength=0.5")
    assert psnr(drawn(page, 0.3), Renderer(image, mask, half).frame(0.3 * 34)) > 38


def test_fit_and_fill(opened, blob):
    image, mask = blob  # 96 x 128
    page = opened(image, mask, [random_field(8, (12, 16))], query="paused=1&fit=fit", viewport=(96, 200))
    whole = drawn(page, 0)
    assert not whole[:, :36].any() and not whole[:, 164:].any() and np.array_equal(whole[:, 36:164], image)
    page.evaluate("living.set({ fit: 'fill' })")
    filled = drawn(page)
    enlarged = cv2.resize(image, (200, 150), interpolation=cv2.INTER_CUBIC)[27:123]
    assert psnr(filled, enlarged) > 30


def test_a_small_screen_gets_a_small_picture(opened, photos):
    image, mask = small(photos["coffee"])
    page = opened(image, mask, [random_field(8, grid(image))], viewport=(96, 144))
    reduced = cv2.resize(image, (144, 96), interpolation=cv2.INTER_AREA)
    assert psnr(drawn(page, 0), reduced) > 30


def test_it_plays_pauses_and_sleeps(opened, blob):
    image, mask = blob
    page = opened(image, mask, [random_field(9, (12, 16))], query="", viewport=(500, 800))
    time = "living.walk.now.time"
    until(page, f"{time} > 0.02")
    page.keyboard.press("Space")
    assert page.evaluate("living.settings.paused")
    stopped = page.evaluate(time)
    page.wait_for_timeout(150)
    assert page.evaluate(time) == stopped
    page.mouse.move(40, 40)
    page.get_by_role("button", name="Play").click()
    until(page, f"{time} > {stopped} + 0.01")
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { value: true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    page.wait_for_timeout(100)
    asleep = page.evaluate(time)
    page.wait_for_timeout(150)
    assert page.evaluate(time) == asleep
    page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')) }")
    until(page, f"{time} > {asleep} + 0.01")


def test_frames_are_capped_and_a_change_is_drawn_at_once(opened, blob):
    image, mask = blob
    count = "window.draws = 0; addEventListener('DOMContentLoaded', () => { const inner = Drawing.prototype.draw; Drawing.prototype.draw = function (...given) { draws++; inner.apply(this, given) } })"
    page = opened(image, mask, [random_field(9, (12, 16))], query="fps=10&panel=0", script=count)
    before = page.evaluate("draws")
    page.wait_for_timeout(1500)
    assert 1 <= page.evaluate("draws") - before <= 17
    page.evaluate("living.set({ paused: true })")
    page.wait_for_timeout(300)
    stopped = page.evaluate("draws")
    page.evaluate("living.set({ strength: 0 })")
    page.wait_for_timeout(300)
    assert page.evaluate("draws") == stopped + 1


def test_the_panel_steers_and_hides_itself(opened, photos):
    image, mask = small(photos["coffee"])
    page = opened(image, mask, [random_field(9, grid(image))], viewport=(400, 700))
    panel = page.locator("#panel")
    assert not panel.is_visible()
    page.mouse.move(50, 50)
    panel.wait_for(state="visible")
    page.get_by_label("Strength").fill("0.3")
    page.get_by_label("Size of the picture").select_option("fit")
    assert page.evaluate("[living.settings.strength, living.settings.fit]") == [0.3, "fit"]
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(60, 50)
    panel.wait_for(state="hidden", timeout=10_000)


def test_less_motion_is_honoured(opened, blob):
    image, mask = blob
    page = opened(image, mask, [random_field(9, (12, 16))], query="", reduced_motion="reduce")
    assert page.evaluate("living.settings.paused")
    assert np.array_equal(drawn(page), image)


def test_without_webgl_the_picture_stays(opened, blob):
    image, mask = blob
    page = opened(
        image, mask, [random_field(9, (12, 16))], query="", script="HTMLCanvasElement.prototype.getContext = () => null"
    )
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    assert np.array_equal(shot, image)
    assert page.errors == []


def test_a_lost_context_comes_back(opened, blob):
    image, mask = blob
    page = opened(image, mask, [random_field(9, (12, 16))])
    before = drawn(page, 0.3)
    page.evaluate(
        "() => { window.lose = document.getElementById('canvas').getContext('webgl2').getExtension('WEBGL_lose_context'); lose.loseContext() }"
    )
    until(page, "!document.documentElement.classList.contains('playing')")
    page.evaluate("lose.restoreContext()")
    until(page, "document.documentElement.classList.contains('playing')")
    assert np.array_equal(drawn(page), before)


def test_the_mouse_moves_the_layers_apart(opened, blob):
    image, mask = blob
    page = opened(image, mask, [random_field(9, (12, 16))], query="paused=1&strength=0&parallax=1")
    still = drawn(page)
    page.mouse.move(120, 48)
    page.evaluate("living.advance(5)")
    moved = drawn(page)
    assert np.array_equal(still, image) and not np.array_equal(moved, image)
    assert np.abs(moved[0].astype(int) - image[0]).max() <= 4  # the border stays


def test_several_loops_never_repeat_and_never_jump(opened, blob):
    image, mask = blob
    fields = [random_field(seed, (12, 16), streams) for seed, streams in ((1, ()), (2, (1,)), (3, (0, 1)))]
    page = opened(image, mask, fields, query="paused=1&panel=0")
    path = np.array(
        page.evaluate("""() => {
        let drawn = 1; // the same walk in every run of this test
        Math.random = () => (drawn = (drawn * 48271) % 2147483647) / 2147483647;
        const seen = [], played = new Set();
        for (let i = 0; i < 12000; i++) {
            living.walk.advance(1 / 400);
            played.add(living.walk.motions.indexOf(living.walk.now.motion));
            const state = living.walk.state(1, () => 0);
            // of a stream, where its content is: between the two phases in their shares
            const place = (channel) => {
                const at = (6 * 16 + 8) * 4 + channel, phase = state.phases[channel >> 1];
                return state.displacement[at] - phase * state.winding[at];
            };
            seen.push([0, 1, 2, 3].map(place));
        }
        return [...seen, [played.size, 0, 0, 0]];
    }""")
    )
    path, played = path[:-1], path[-1, 0]
    assert played == 3
    speed = np.diff(path, axis=0)
    jerk = np.diff(speed, axis=0)
    alone = []
    for field in fields:
        ring = np.array([field.curve(t)[:, 6, 8] for t in np.arange(0, 34, 34 / 400)])
        alone.append((np.abs(np.diff(ring, axis=0)).max(), np.abs(np.diff(ring, n=2, axis=0)).max()))
    # no faster, no more abrupt than the strongest visit alone may be, but for the blend's own share
    assert np.abs(speed).max() < 2 * max(step for step, _ in alone)
    assert np.abs(jerk).max() < 3 * max(bend for _, bend in alone)
    turns = path.reshape(30, 400, 4)
    distances = [np.abs(turns[i] - turns[j]).max() for i in range(30) for j in range(i)]
    assert min(distances) > 1e-4  # a repeat would be 0; of 435 pairs, some come near
