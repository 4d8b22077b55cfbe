"""A running page and a browser: `python app.py` in its own process, an installed Chromium driven by Playwright."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)

# WebGL 2 without a graphics card
CHROMIUM_OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def waited(url: str, server: subprocess.Popen, log) -> str:
    """The address, once the server answers there."""
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return url
        except (urllib.error.URLError, TimeoutError):
            assert server.poll() is None, (log.seek(0), log.read())[1]
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="package")
def address(tmp_path_factory):
    port = free_port()
    log = open(tmp_path_factory.mktemp("page") / "log", "w+")
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    server = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, stdout=log, stderr=log, env=environment
    )
    try:
        yield waited(f"http://127.0.0.1:{port}", server, log)
    finally:
        server.terminate()
        server.wait(timeout=30)


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
def page(browser, address):
    opened = browser.new_page(viewport={"width": 1440, "height": 1000})
    opened.set_default_timeout(120_000)
    opened.goto(address)
    opened.get_by_role("button", name="Animate", exact=True).wait_for()
    yield opened
    opened.close()


@pytest.fixture
def picture(photos, tmp_path):
    photos["coffee"].save(tmp_path / "coffee.png")
    return tmp_path / "coffee.png"
