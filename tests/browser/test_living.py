"""Living pages, opened from disk and drawn by WebGL 2 in software."""

import base64
import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Error

from loopanimate.effects.build import Effect, Placed, build, shrink_place
from loopanimate.effects.names import looks
from loopanimate.files.living import motion_of, overlay_data, write_living
from loopanimate.loop import MotionLoop
from loopanimate.metrics import psnr, seam
from loopanimate.motion.border import borders_of, touched_borders
from loopanimate.motion.camera import CELLS, Camera, Shot
from loopanimate.motion.curve import Motion
from loopanimate.motion.field import Field
from loopanimate.motion.spin import spin, spins_of
from loopanimate.motion.spline import latent_grid
from loopanimate.render.overlay import Painter
from loopanimate.render.renderer import Renderer
from loopanimate.scene.expressions import Act, form_face
from loopanimate.scene.faces import find_faces
from loopanimate.settings import make_settings
from loopanimate.staging import Air
from loopanimate.words.intent import STILL, Intent
from tests.fields import curve, field_of, random_field

SIDE = 192  # pixels of the short side
# A clock of the test's own: `frame(now)` makes the calls that wait for a frame, and gives their number; `draws` counts frames.
CLOCK = """
    window.calls = [];
    window.draws = 0;
    window.requestAnimationFrame = (call) => calls.push(call);
    window.frame = (now) => calls.splice(0).map((call) => call(now)).length;
    addEventListener("DOMContentLoaded", () => {
        const inner = Drawing.prototype.draw;
        Drawing.prototype.draw = function (...given) { draws++; inner.apply(this, given); };
    });
"""


def small(photo: Image.Image, centre: tuple[float, float] = (0.45, 0.55)) -> tuple[np.ndarray, np.ndarray]:
    """A photograph with SIDE pixels on its short side, and the mask of a soft-edged oval around a centre in its middle."""
    scale = SIDE / min(photo.size)
    image = np.asarray(photo.resize([round(side * scale) for side in photo.size], Image.Resampling.LANCZOS))
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot((x / width - centre[0]) / 0.3, (y / height - centre[1]) / 0.35)
    return image, np.clip(4 * (1.1 - distance), 0, 1).astype(np.float32)


def grid(image: np.ndarray) -> tuple[int, int]:
    height, width = image.shape[:2]
    return round(12 * height / SIDE), round(12 * width / SIDE)


@pytest.fixture
def opened(browser, tmp_path):
    """A function that writes a living page and opens it."""
    contexts = []

    def open_page(image, masks, fields, query="paused=1", viewport=None, script=None, edit=str, overlay=None, **context):
        write_living(tmp_path / "loop.html", image, masks, fields, "a loop", overlay=overlay)
        (tmp_path / "loop.html").write_text(edit((tmp_path / "loop.html").read_text()))
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
        page.evaluate("window.living?.ready")
        return page

    yield open_page
    for context in contexts:
        context.close()


def draw(page, time: float | None = None) -> np.ndarray:
    """The canvas (H, W, 3) uint8 as it is, or with the loop at `time` in loops."""
    rewind = "" if time is None else f"living.walk.rewind({time});"
    url = page.evaluate(f"() => {{ {rewind} living.draw(); return document.getElementById('canvas').toDataURL() }}")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def until(page, condition: str) -> None:
    """Wait for a JavaScript condition; the page's own policy forbids Playwright's wait, which is an eval."""
    page.evaluate(f"""() => new Promise((done, failed) => {{
        setTimeout(() => failed(new Error("expected {condition}")), 30000);
        const look = () => ({condition}) ? done() : setTimeout(look, 10);
        look();
    }})""")


def test_another_motion_takes_the_place_of_the_first(opened, photos):
    image, mask = small(photos["coffee"])
    first, other = random_field(3, grid(image)), random_field(4, tuple(2 * side for side in grid(image)), (0,))
    page = opened(image, [mask], [first])
    page.evaluate("given => living.replace(given)", motion_of([other]))
    exact = Renderer(image, [mask], other).frame(0.3 * other.period)
    assert psnr(draw(page, 0.3), exact) > 42
    assert not page.errors


def test_motion_of_another_version_is_refused_and_the_loop_plays_on(opened, blob):
    image, mask = blob
    page = opened(image, [mask], [random_field(3, (12, 16))])
    before = draw(page, 0.3)
    with pytest.raises(Error, match="Expected data of version 1 for this living picture, got 2"):
        page.evaluate("given => living.replace(given)", motion_of([random_field(4, (12, 16))]) | {"version": 2})
    assert "got 2" in page.inner_text("#note")
    assert np.array_equal(draw(page, 0.3), before)


def test_a_page_of_another_version_shows_its_picture_and_says_so(opened, blob):
    image, mask = blob
    fields = [random_field(3, (12, 16))]
    page = opened(image, [mask], fields, edit=lambda text: text.replace('"version":1', '"version":7'), viewport=(300, 400))
    assert "Expected data of version 1 for this living picture, got 7" in page.inner_text("#note")
    assert page.locator("#picture").is_visible() and not page.locator("#canvas").is_visible()


@pytest.mark.parametrize(
    "name, streams", [("astronaut", ()), ("chelsea", (1,)), ("coffee", (0,)), ("rocket", (0, 1)), ("flower", ())]
)
def test_the_page_draws_what_the_renderer_draws(opened, photos, name, streams):
    image, mask = small(photos[name])
    field = random_field(len(name), grid(image), streams, borders=touched_borders(mask))
    renderer = Renderer(image, [mask], field)
    page = opened(image, [mask], [field])
    assert np.array_equal(draw(page, 0), image)
    for time in (0.11, 0.37, 0.5, 0.83):
        frame = renderer.frame(time * field.period)
        assert psnr(frame, image) < 32  # it moves
        assert psnr(draw(page, time), frame) > 42
    assert page.errors == []
    assert all(url.startswith(("file:", "data:")) for url in page.requests)


def test_a_wheel_turns_whole_at_any_strength(opened, photos):
    image = small(photos["coffee"])[0]
    rows, columns = np.indices(image.shape[:2])
    mask = (np.hypot(rows - 100, columns - 150) < 60).astype(np.float32)
    cells, borders = grid(image), borders_of([mask])
    still = Motion(np.zeros((35, 2, 2, *cells), np.float32), np.zeros((2, 2, *cells), np.float32))
    spins = spins_of((Intent(rounds=0.25), STILL), [mask], 34)
    field = Field(spin(still, 0, spins[0]), borders, spins=[True, False])
    renderer, page = Renderer(image, [mask], field), opened(image, [mask], [field])
    for strength in (1, 0.4, 2):
        page.evaluate("strength => living.set({ strength })", strength)
        for time in (0.25, 0.6):
            frame = renderer.frame(time * field.period)
            assert psnr(frame, image) < 30 and psnr(draw(page, time), frame) > 42
    page.evaluate("living.set({ strength: 0 })")
    assert np.array_equal(draw(page, 0.25), image)


@pytest.mark.parametrize("moves", [False, True])
def test_the_page_draws_faces_as_the_renderer_does(opened, photos, moves):
    image, mask = small(photos["astronaut"])
    moving = random_field(4, grid(image), borders=touched_borders(mask))
    motion = Motion(moving.ring * moves, np.zeros_like(moving.winding))
    acts = (Act("blink"), Act("gaze", 180.0), Act("smile"), Act("turn-head", 0.0), Act("tilt-head", 180.0), Act("breathe"))
    face = form_face(find_faces(photos["astronaut"])[0], (True, True), acts, photos["astronaut"].size, 4.25, 0)
    still = Field(motion, moving.borders)
    field = Field(motion, moving.borders, faces=[replace(face, layers=face.layers_of([mask]))])
    without, renderer, page = Renderer(image, [mask], still), Renderer(image, [mask], field), opened(image, [mask], [field])
    assert np.array_equal(draw(page, 0), image)
    shut = float(face.curve[:, 0].argmax() / len(face.curve))
    (left, top), (right, bottom) = np.rint(np.reshape(face.box, (2, 2)) * SIDE).astype(int)
    for time in (shut, 0.3, 0.5, 0.6):
        frame, plain = renderer.frame(time * field.period), without.frame(time * field.period)
        assert psnr(draw(page, time), frame) > 42
        drawn, frame, plain = (each[top:bottom, left:right] for each in (draw(page, time), frame, plain))
        assert psnr(drawn, frame) > psnr(plain, frame) + 6  # the page shows the face's motion, not only all else
    page.evaluate("living.set({ strength: 0 })")
    assert np.array_equal(draw(page, 0.5), image)
    page.evaluate("given => (living.set({ strength: 1 }), living.replace(given))", motion_of([still]))
    assert psnr(draw(page, 0.5), without.frame(0.5 * field.period)) > 42
    assert page.errors == []


def test_the_page_draws_faces_beside_each_other(opened, photos):
    """Boxes overlap, and what one face moves stays where another one's box is."""
    image, mask = small(photos["astronaut"])
    size, found = photos["astronaut"].size, find_faces(photos["astronaut"])[0]
    beside = replace(found, mesh=found.mesh + [0.35 * size[0], 0, 0])
    faces = [
        form_face(points, (False, False), [Act(kind, 180.0)], size, 4.25, 0)
        for points, kind in ((found, "turn-head"), (beside, "turn-head"))
    ]
    still = random_field(4, grid(image), borders=touched_borders(mask))
    motion = Motion(0 * still.ring, np.zeros_like(still.winding))
    fields = [Field(motion, still.borders, faces=[replace(face, layers=(1,)) for face in part]) for part in (faces, faces[1:])]
    page = opened(image, [0 * mask], fields[:1])
    (left, top), (right, bottom) = np.rint(np.reshape(faces[0].bends[0].box, (2, 2)) * SIDE).astype(int)
    for time in (0.5, 0.3):
        both, second = (Renderer(image, [0 * mask], field).frame(time * field.period) for field in fields)
        drawn = draw(page, time)[top:bottom, left:right]
        both, second = (frame[top:bottom, left:right] for frame in (both, second))
        assert psnr(drawn, both) > 33 > psnr(second, both) + 6  # where both move a little, the page shows the later one
    assert np.array_equal(draw(page, 0), image) and page.errors == []


@pytest.mark.parametrize("look", looks())
def test_the_page_draws_light_and_weather_as_the_renderer_does(opened, photos, look, tmp_path):
    image, mask = small(photos["rocket"])
    field = random_field(4, grid(image))
    overlay = build([Placed(Effect(look=look))], image, (0, 0, 1, 1), shrink_place(mask), 4.25, 1)
    page = opened(image, [mask], [field], overlay=overlay)
    weight = (tmp_path / "loop.html").stat().st_size
    renderer, painter = Renderer(image, [mask], field), Painter(overlay, image.shape[1::-1])
    changed = False
    for time in (0.0, 0.13, 0.37, 0.83):
        frame = renderer.frame(time * field.period)
        drawn = painter.draw(frame.copy(), time)
        assert psnr(draw(page, time), drawn) > 38
        changed |= not np.array_equal(frame, drawn)
    page.evaluate("living.set({ effects: 0 })")
    assert psnr(draw(page, 0.37), renderer.frame(0.37 * field.period)) > 42
    assert changed and page.errors == []
    write_living(tmp_path / "loop.html", image, [mask], [field], "a loop")
    assert weight - (tmp_path / "loop.html").stat().st_size < 60_000


@pytest.mark.parametrize("look", ["snow", "sparkle", "glow", "rays", "fog", "embers"])
def test_the_page_draws_light_before_a_camera_as_the_renderer_does(opened, photos, look):
    image, mask = small(photos["rocket"])
    shape = latent_grid(*image.shape[:2], CELLS)
    near = np.stack([np.full(shape, 0.8), np.linspace(0, 0.5, shape[0])[:, None] * np.ones(shape[1])]).astype(np.float32)
    shot = Shot((Camera("slide", 200, amount=1.5), Camera("in")), near)
    still = Motion(np.zeros((35, 2, 2, 12, 22), np.float32), np.zeros((2, 2, 12, 22), np.float32))
    air, notes = Air((Placed(Effect(look=look)),), shrink_place(mask)), ()
    loop = MotionLoop(
        Image.fromarray(image),
        (mask,),
        mask,
        True,
        make_settings(prompt="it moves"),
        notes,
        still,
        (STILL, STILL),
        shot=shot,
        air=air,
    )
    view = loop.view()
    overlay, field = loop.overlay(view), loop.field(view)
    page = opened(image, [mask], [field], overlay=overlay)
    renderer, painter = Renderer(image, [mask], field), Painter(overlay, image.shape[1::-1])
    stuck = Painter(overlay.model_copy(update={"tracks": ()}), image.shape[1::-1])
    for time in (0.2, 0.5):
        frame = renderer.frame(time * field.period)
        seen, drawn = draw(page, time), painter.draw(frame.copy(), time)
        assert psnr(seen, drawn) > 38 and not np.array_equal(drawn, stuck.draw(frame.copy(), time))
    assert page.errors == []


def test_light_and_weather_change_with_the_hands_and_stay_in_the_picture(opened, photos):
    image, mask = small(photos["coffee"])
    field = random_field(4, grid(image))
    snow, fog = (build([Placed(Effect(look=look))], image, (0, 0, 1, 1), None, 4.25, 1) for look in ("snow", "fog"))
    page = opened(image, [mask], [field], overlay=snow)
    page.evaluate("given => living.replace(given)", motion_of([field]) | {"overlay": overlay_data(fog, 1.0)})
    until(page, "painter.overlay.fogs.length === 1")
    frame = Renderer(image, [mask], field).frame(0.3 * field.period)
    assert psnr(draw(page, 0.3), Painter(fog, image.shape[1::-1]).draw(frame, 0.3)) > 38
    page.evaluate("given => living.replace(given)", motion_of([field]) | {"overlay": None})
    until(page, "painter === null")
    page = opened(image, [mask], [field], overlay=snow, query="paused=1&fit=fit", viewport=(300, image.shape[1]))
    assert not draw(page, 0.3)[:40].any()


@pytest.mark.parametrize("layers, streams", [(3, ()), (3, (1,)), (4, (0, 3)), (8, tuple(range(8)))])
def test_the_page_draws_any_number_of_layers(opened, photos, layers, streams):
    centres = [(0.35, 0.6), (0.6, 0.5), (0.45, 0.3), (0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8)][: layers - 1]
    image, masks = small(photos["coffee"])[0], [small(photos["coffee"], centre)[1] for centre in centres]
    field = random_field(layers, grid(image), streams, layers=layers)
    renderer = Renderer(image, masks, field)
    page = opened(image, masks, [field])
    assert np.array_equal(draw(page, 0), image)
    for time in (0.11, 0.37, 0.83):
        frame = renderer.frame(time * field.period)
        assert psnr(frame, image) < 32  # it moves
        assert psnr(draw(page, time), frame) > 42
    assert page.errors == []


def test_what_lies_behind_a_whole_layer_is_left_out(opened, photos):
    image, mask = small(photos["coffee"])
    masks = [mask, np.ones_like(mask), mask]
    field = random_field(5, grid(image), layers=4)
    page = opened(image, masks, [field])
    assert page.evaluate("drawing.layers.length") == 2
    assert np.array_equal(draw(page, 0), image)
    assert psnr(draw(page, 0.37), Renderer(image, masks, field).frame(0.37 * field.period)) > 42


@pytest.mark.parametrize("drift", [0.0, 0.1])
def test_the_page_has_no_seam(opened, blob, drift):
    image, mask = blob
    field = field_of(curve(layer=1 if drift else 0, drift=drift))
    page, renderer = opened(image, [mask], [field]), Renderer(image, [mask], field)
    measures = seam(np.stack([draw(page, k / 34) for k in range(34)]))
    exact = seam(np.stack([renderer.frame(k) for k in range(34)]))
    assert measures["step"] <= 1.25 and measures["jerk"] <= max(1.25, 1.05 * exact["jerk"]) and measures["pause"] >= 1


def test_ten_minutes_bring_no_drift_and_no_growth(opened, blob):
    image, mask = blob
    page = opened(image, [mask], [random_field(5, (12, 16), (1,))], query="paused=1&panel=0")
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
    assert psnr(draw(page), draw(page, expected)) > 60


def test_options_in_the_address(opened, blob):
    image, mask = blob
    field = random_field(6, (12, 16))
    page = opened(image, [mask], [field], query="paused=1&strength=0&tempo=2&fps=30&fit=fit&parallax=1&panel=0&unknown=1")
    assert page.evaluate("living.settings") == {
        "strength": 0,
        "effects": 1,
        "tempo": 2,
        "fps": 30,
        "fit": "fit",
        "parallax": True,
        "wander": False,
        "paused": True,
        "panel": False,
    }
    assert np.array_equal(draw(page, 0.4), image)
    page.evaluate("living.advance(1)")
    assert page.evaluate("living.walk.now.time") == pytest.approx((0.4 + 2 / 4.25) % 1)
    assert page.locator("#panel").is_hidden()
    page.evaluate("living.set({ strength: 'nonsense', tempo: -1, fit: 'other' })")
    assert page.evaluate("[living.settings.strength, living.settings.tempo, living.settings.fit]") == [0, 2, "fit"]


def test_strength_is_the_renderers(opened, blob):
    image, mask = blob
    field = random_field(7, (12, 16), reach=0.008)
    half = random_field(7, (12, 16), reach=0.004)
    page = opened(image, [mask], [field], query="paused=1&strength=0.5")
    assert psnr(draw(page, 0.3), Renderer(image, [mask], half).frame(0.3 * 34)) > 38


def test_fit_and_fill(opened, blob):
    image, mask = blob  # 96 x 128
    page = opened(image, [mask], [random_field(8, (12, 16))], query="paused=1&fit=fit", viewport=(96, 200))
    whole = draw(page, 0)
    assert not whole[:, :36].any() and not whole[:, 164:].any() and np.array_equal(whole[:, 36:164], image)
    page.evaluate("living.set({ fit: 'fill' })")
    filled = draw(page)
    enlarged = cv2.resize(image, (200, 150), interpolation=cv2.INTER_CUBIC)[27:123]
    assert psnr(filled, enlarged) > 30


def test_a_small_screen_gets_a_small_picture(opened, photos):
    image, mask = small(photos["coffee"])
    page = opened(image, [mask], [random_field(8, grid(image))], viewport=(96, 144))
    reduced = cv2.resize(image, (144, 96), interpolation=cv2.INTER_AREA)
    assert psnr(draw(page, 0), reduced) > 30


def play(page, *times: float) -> list[int]:
    """Show frames at times in milliseconds on the page's CLOCK; the numbers of frames that were drawn."""
    return page.evaluate("times => times.map((now) => { const before = draws; frame(now); return draws - before; })", times)


def test_it_plays_pauses_and_sleeps(opened, blob):
    image, mask = blob
    page = opened(image, [mask], [random_field(9, (12, 16))], query="", viewport=(500, 800), script=CLOCK)

    def seconds() -> float:
        return page.evaluate("living.walk.now.time") * 4.25

    assert play(page, 1000, 1100, 1200) == [1, 1, 1] and seconds() == pytest.approx(0.2)
    page.keyboard.press("Space")
    assert page.evaluate("living.settings.paused")
    assert play(page, 1300, 1400, 1500) == [1, 0, 0] and seconds() == pytest.approx(0.2)
    page.mouse.move(40, 40)
    page.get_by_role("button", name="Play").click()
    assert play(page, 1600, 1700) == [1, 1] and seconds() > 0.3
    asleep = seconds()
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { value: true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    assert play(page, 5000, 5100, 5200) == [1, 0, 0] and seconds() == pytest.approx(asleep)
    page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')) }")
    assert play(page, 9000, 9100) == [1, 1] and seconds() == pytest.approx(asleep + 0.1)


def test_frames_are_capped_and_a_change_is_drawn_at_once(opened, blob):
    image, mask = blob
    page = opened(image, [mask], [random_field(9, (12, 16))], query="fps=10&panel=0", script=CLOCK)
    assert sum(play(page, *(1000 + 1000 * k / 60 for k in range(90)))) == 16  # of 90: ten a second and one more at the start
    page.evaluate("living.set({ paused: true })")
    play(page, 3000)
    page.evaluate("living.set({ strength: 0 })")
    assert play(page, 4000, 4016, 4033) == [1, 0, 0]


def test_pages_side_by_side_draw_once_a_frame(opened, blob, tmp_path):
    image, mask = blob
    page = opened(image, [mask], [random_field(9, (12, 16))], script=CLOCK)
    (tmp_path / "both.html").write_text(2 * '<iframe src="loop.html?panel=0" width="128" height="96"></iframe>')
    page.goto(f"file://{tmp_path}/both.html")
    for frame in page.frames[1:]:  # some browsers call in each as often as there are iframes, at the same time
        frame.evaluate("living.ready")
        assert play(frame, 1000, 1000, 1016, 1016, 1016, 1033) == [1, 0, 1, 0, 0, 1]
        frame.evaluate("living.set({ paused: true, strength: 0.5 })")
        assert play(frame, 1033, 1050, 1050, 1066) == [0, 1, 0, 0]  # a change waits for the next frame


def test_the_panel_steers_and_hides_itself(opened, photos):
    image, mask = small(photos["coffee"])
    page = opened(image, [mask], [random_field(9, grid(image))], viewport=(400, 700))
    panel = page.locator("#panel")
    assert not panel.is_visible()
    page.mouse.move(50, 50)
    panel.wait_for(state="visible")
    assert not page.get_by_label("Never the same twice").is_visible()  # there is one loop
    page.get_by_label("Strength").fill("0.3")
    page.get_by_label("Size of the picture").select_option("fit")
    assert page.evaluate("[living.settings.strength, living.settings.fit]") == [0.3, "fit"]
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(60, 50)
    panel.wait_for(state="hidden", timeout=10_000)


def test_less_motion_is_honoured(opened, blob):
    image, mask = blob
    page = opened(image, [mask], [random_field(9, (12, 16))], query="", reduced_motion="reduce")
    assert page.evaluate("living.settings.paused")
    assert np.array_equal(draw(page), image)


def test_without_webgl_the_picture_stays(opened, blob):
    image, mask = blob
    page = opened(
        image, [mask], [random_field(9, (12, 16))], query="", script="HTMLCanvasElement.prototype.getContext = () => null"
    )
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    assert np.array_equal(shot, image)
    assert page.errors == []


def test_a_lost_context_comes_back(opened, blob):
    image, mask = blob
    page = opened(image, [mask], [random_field(9, (12, 16))])
    before = draw(page, 0.3)
    page.evaluate(
        "() => { window.lose = document.getElementById('canvas').getContext('webgl2').getExtension('WEBGL_lose_context'); lose.loseContext() }"
    )
    until(page, "!document.documentElement.classList.contains('playing')")
    page.evaluate("lose.restoreContext()")
    until(page, "document.documentElement.classList.contains('playing')")
    assert np.array_equal(draw(page), before)


def test_the_mouse_moves_the_layers_apart(opened, blob):
    image, mask = blob
    page = opened(image, [mask], [random_field(9, (12, 16))], query="paused=1&strength=0&parallax=1")
    still = draw(page)
    page.mouse.move(120, 48)
    page.evaluate("living.advance(5)")
    moved = draw(page)
    assert np.array_equal(still, image) and not np.array_equal(moved, image)
    assert np.abs(moved[0].astype(int) - image[0]).max() <= 4  # the border stays


def test_several_loops_never_repeat_and_never_jump(opened, blob):
    image, mask = blob
    fields = [random_field(seed, (12, 16), streams) for seed, streams in ((1, ()), (2, (1,)), (3, (0, 1)))]
    page = opened(image, [mask], fields, query="paused=1&panel=0")
    path = np.array(
        page.evaluate("""() => {
        let drawn = 1; // the same walk in every run of this test
        Math.random = () => (drawn = (drawn * 48271) % 2147483647) / 2147483647;
        const seen = [], played = new Set();
        for (let i = 0; i < 12000; i++) {
            living.walk.advance(1 / 400);
            played.add(living.walk.motions.indexOf(living.walk.now.motion));
            const state = living.walk.state(1);
            // of a stream, where its content is: between the two phases in their shares
            const place = (channel) => {
                const layer = channel >> 1, at = ((12 * layer + 6) * 16 + 8) * 2 + (channel & 1), phase = living.walk.phases[layer];
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
        ring = np.array([field.curve(t)[:, :, 6, 8].ravel() for t in np.arange(0, 34, 34 / 400)])
        alone.append((np.abs(np.diff(ring, axis=0)).max(), np.abs(np.diff(ring, n=2, axis=0)).max()))
    # no faster, no more abrupt than the strongest visit alone may be, but for the blend's own share
    assert np.abs(speed).max() < 2 * max(step for step, _ in alone)
    assert np.abs(jerk).max() < 3 * max(bend for _, bend in alone)
    turns = path.reshape(30, 400, 4)
    distances = [np.abs(turns[i] - turns[j]).max() for i in range(30) for j in range(i)]
    assert min(distances) > 1e-4  # a repeat would be 0; of 435 pairs, some come near
