#!/usr/bin/env bash
# A click that comes while Gradio cancels is dropped, without an error and without a trace.
#
# Seen with gradio 6.31.0, playwright 1.56.0 and Debian's Chromium. A button starts a generator, trigger_mode="once" (the
# default of a click); another button cancels it and sets a text in the same click, as the guide on cancelling shows. The
# page forgets the running job only when the server has answered the request to cancel, and the server answers only when the
# generator has stopped, which takes as long as the step that it is in (a sampling step of a diffusion model, here 2
# seconds). Until then "once" counts the job as running: a second click on the first button is skipped. Nothing says so: no
# toast, no status, no event, and the function is never called. Once the step is over, the same click works.
#
# So a page may say "Cancelled" only when the job's own `then` or `failure` event comes, which Gradio fires after the server's
# answer, and not when the click on Cancel is handled.
#
# Output seen:
#   runs after the click that came at once: 1
#   runs after the same click, 4 seconds later: 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q gradio==6.31.0 playwright==1.56.0
cat >page.py <<'PY'
import shutil
import time

import gradio as gr
from playwright.sync_api import sync_playwright

runs = []


def work():
    runs.append(time.time())
    for step in range(10):
        time.sleep(2)  # a step that cannot be interrupted
        yield f"step {step}"


with gr.Blocks() as page:
    said = gr.Textbox(label="said")
    go, cancel = gr.Button("Go"), gr.Button("Cancel")
    job = go.click(work, None, said)
    cancel.click(lambda: "cancelled", None, said, cancels=[job], queue=False)
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True)
with sync_playwright() as playwright:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    view = browser.new_page()
    view.goto(address)
    field = view.get_by_label("said")

    def until(words):
        while words not in field.input_value():
            time.sleep(0.05)

    view.get_by_role("button", name="Go", exact=True).click()
    until("step 0")
    time.sleep(0.3)
    view.get_by_role("button", name="Cancel", exact=True).click()
    until("cancelled")
    view.get_by_role("button", name="Go", exact=True).click()
    time.sleep(1)
    first = len(runs)
    print("runs after the click that came at once:", first)
    time.sleep(3)
    view.get_by_role("button", name="Go", exact=True).click()
    time.sleep(1)
    print("runs after the same click, 4 seconds later:", len(runs))
    browser.close()
raise SystemExit((first, len(runs)) != (1, 2))
PY
venv/bin/python page.py
