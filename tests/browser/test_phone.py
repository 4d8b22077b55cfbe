"""The page on a phone: real touches, sent by Chromium's own protocol."""

import pytest
from playwright.sync_api import expect

from tests.browser.steps import VIDEO, animate, mask_of, painted, prepare, press, put, until, upload

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


@pytest.fixture
def phone(browser, address):
    context = browser.new_context(**PHONE)
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("window.loopanimate")
    yield page
    context.close()


def touch(page, *paths, steps=10):
    """Fingers, each from one place to another in pixels of the screen, at the same time."""
    session = page.context.new_cdp_session(page)

    def send(kind, share):
        points = [
            {"x": x0 + share * (x1 - x0), "y": y0 + share * (y1 - y0), "id": i} for i, (x0, y0, x1, y1) in enumerate(paths)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if kind != "touchEnd" else []})

    send("touchStart", 0)
    for step in range(1, steps + 1):
        send("touchMove", step / steps)
    send("touchEnd", 1)


def place(page, x, y):
    """A place of the picture, in fractions, on the screen."""
    box = page.locator(".view").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def scrolled(page) -> float:
    return page.evaluate("scrollY")


def test_a_swipe_over_the_picture_scrolls_and_paints_only_with_a_tool(phone, picture):
    upload(phone, picture)
    before = mask_of(phone)
    press(phone, "Mask")
    (x, y), far = place(phone, 0.5, 0.8), 160
    touch(phone, (x, y, x, y - far))
    until(phone, lambda: scrolled(phone), lambda down: down > far / 2)
    assert painted(phone)["mask"] is None and (mask_of(phone) == before).all()
    phone.evaluate("scrollTo(0, 0)")
    phone.locator(".tools [data-tool=brush]").tap()
    (x0, y0), (x1, y1) = place(phone, 0.2, 0.1), place(phone, 0.2, 0.9)
    touch(phone, (x0, y0, x1, y1))
    assert scrolled(phone) == 0
    column = mask_of(phone)[20:180, 60]
    assert column.all()


def test_two_fingers_zoom_and_leave_no_stroke(phone, picture):
    upload(phone, picture)
    phone.locator(".tools [data-tool=brush]").tap()
    (x0, y), (x1, _) = place(phone, 0.4, 0.5), place(phone, 0.6, 0.5)
    touch(phone, (x0, y, x0 - 60, y), (x1, y, x1 + 60, y))
    scale = until(
        phone, lambda: phone.evaluate("new DOMMatrix(document.querySelector('.still').style.transform).a"), lambda a: a > 1.5
    )
    assert scale == pytest.approx((x1 - x0 + 120) / (x1 - x0), rel=0.1)
    assert painted(phone)["mask"] is None and scrolled(phone) == 0
    phone.locator(".tools [data-tool=brush]").tap()  # put away, so the page scrolls again
    assert phone.evaluate("getComputedStyle(document.querySelector('.view')).touchAction") == "auto"


def test_from_picture_to_loop_without_a_scroll_and_its_strength_in_view(phone, picture):
    upload(phone, picture)
    heights = [
        phone.locator(where).first.bounding_box()["y"]
        for where in (".view", "#said textarea", "#go .primary, #go button.primary")
    ]
    assert heights == sorted(heights) and heights[-1] + 40 < 844
    prepare(phone, picture_again(phone, picture), frames=3, steps=1)
    phone.evaluate("scrollTo(0, 0)")
    animate(phone)
    assert scrolled(phone) == 0
    seen = "(e => { const b = e.getBoundingClientRect(); return b.top >= 0 && b.bottom <= innerHeight && b.height > 100 })"
    assert phone.evaluate(f"{seen}({VIDEO})")
    slider = phone.get_by_label("range slider for Motion strength")
    box = slider.bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] <= 844
    put(phone, "Motion strength", 0.5)
    assert phone.evaluate(f"{seen}(document.querySelector('.view'))")


def picture_again(page, path):
    """The same picture under another name: it comes as another one."""
    other = path.with_name("again.png")
    other.write_bytes(path.read_bytes() + b" ")
    return other


def test_what_a_finger_hits_is_large_enough(phone, picture):
    upload(phone, picture)
    small = phone.evaluate("""() => [...document.querySelectorAll("main button, main select, main textarea")]
        .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
        .map((one) => [one, one.getBoundingClientRect()])
        .filter(([one, box]) => box.height && Math.min(box.width, box.height) < 40)
        .map(([one, box]) => [one.outerHTML.slice(0, 80), box.width, box.height])""")
    assert not small, small
    expect(phone.locator("body")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_finger_hits_a_sliders_small_button_from_around_it(phone, picture):
    prepare(phone, picture, frames=3, steps=1)
    hit = phone.evaluate("""() => [...document.querySelectorAll(".reset-button")].filter((one) => one.offsetParent).map((one) => {
        one.scrollIntoView({ block: "center" });
        const box = one.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
        const at = (...place) => document.elementFromPoint(...place)?.closest(".reset-button") === one;
        return at(x, y - 19) && at(x, y + 19);
    })""")
    assert hit and all(hit), hit
