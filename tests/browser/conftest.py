"""A running page, in this process, and an installed Chromium driven by Playwright."""

import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from app import launch
from loopanimate import loop
from loopanimate.page.jobs import Server

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)

# WebGL 2 without a graphics card, and nothing else by way of it: a video that plays would take all of two cores
CHROMIUM_OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="package")
def server():
    return Server()


@pytest.fixture(scope="package")
def blocks(server):
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    blocks = launch(server, server_port=free_port(), quiet=True)
    yield blocks
    blocks.close()


@pytest.fixture(scope="package")
def address(blocks):
    return blocks.local_url.rstrip("/")


@pytest.fixture(scope="package")
def browser():
    if CHROMIUM is None:
        assert os.environ.get("CI") != "true", "expected an installed Chromium for the browser tests, found none"
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield launched
        launched.close()


@pytest.fixture
def context(browser):
    """A visitor who has not been here before."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(120_000)
    yield context
    context.close()


@pytest.fixture
def page(context, address):
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("window.loopanimate")
    yield page
    page.close()


@pytest.fixture
def picture(photos, tmp_path):
    """A small photograph of odd sides: videos have even ones."""
    photos["coffee"].resize((301, 201)).save(tmp_path / "coffee.png")
    return tmp_path / "coffee.png"


@pytest.fixture
def gate(monkeypatch):
    """An event: while it is cleared, films come a frame at a time, so that a hand goes on in the middle of one."""
    gate, write = threading.Event(), loop.write_loop

    def slowly(frames):
        for pixels in frames:
            gate.wait(0.2)
            yield pixels

    def write_slowly(path, frames, *given):
        write(path, slowly(frames) if path.suffix == ".mp4" else frames, *given)

    monkeypatch.setattr(loop, "write_loop", write_slowly)
    gate.set()
    yield gate
    gate.set()
