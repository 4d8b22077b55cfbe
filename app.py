"""The page: python app.py [--port N] [--share], and the options of `settings.Machine`."""

import os
import signal
from concurrent.futures import wait
from contextlib import suppress
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from loopanimate import options, page
from loopanimate.compiled import compile_all
from loopanimate.memory import return_large_blocks
from loopanimate.page.events import Page
from loopanimate.page.jobs import ON_ZERO, Server
from loopanimate.page.limits import Guard, take_turns
from loopanimate.page.work import start
from loopanimate.presets import ASSETS, DEFAULT
from loopanimate.settings import Machine


def launch(server: Server, **given) -> gr.Blocks:
    """Build the page and serve it, with these options of Gradio's `launch`; the models are loaded meanwhile."""
    limits, folder = server.limits, server.folder
    os.environ["GRADIO_TEMP_DIR"] = str(folder.uploads)
    with gr.Blocks(title="LoopAnimate") as blocks:
        Page(server)
    if ON_ZERO:
        for model in (server.load(DEFAULT, server.machine), server.load_models(server.machine)):
            model.result()  # ZeroGPU wants the models on its device before the first request
    take_turns(blocks.queue(max_size=limits.queue), limits)
    blocks.launch(
        allowed_paths=[str(folder.path), str(ASSETS / "examples")],
        max_file_size=int(limits.upload * 2**20),  # in which Gradio counts, and says, megabytes
        state_session_capacity=limits.visits,
        app_kwargs={"middleware": [Middleware(Guard, limits, folder.count_megabytes)]},
        css_paths=Path(page.__file__).with_name("page.css"),
        # fonts of the machine: Gradio's own are there without a network in some weights only, and letters of others stand between
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        footer_links=["api", "gradio", "settings"],
        prevent_thread_lock=True,
        **given,
    )
    loading = server.saliency, server.load_models(server.machine), server.load(DEFAULT, server.machine)
    start(lambda: wait(loading) and compile_all())
    return blocks


def main() -> None:
    return_large_blocks()
    parser = options.Parser(description="LoopAnimate's page.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="a public link, by Gradio")
    options.add(parser, Machine)
    given = parser.parse_args()
    with options.exit_on_mistake():
        server = Server(options.build(Machine, given), public=given.share)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: visitors' files go
    with suppress(KeyboardInterrupt):
        launch(server, server_port=given.port, share=given.share).block_thread()


if __name__ == "__main__":
    main()
