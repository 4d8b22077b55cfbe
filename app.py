"""The page: python app.py [--port N] [--share] [--checkpoint DIR|REPO]."""

import argparse
from pathlib import Path

import gradio as gr

from loopanimate import page
from loopanimate.page.events import Page
from loopanimate.page.jobs import KEEP_SECONDS, ON_ZERO, Server
from loopanimate.presets import ASSETS


def launch(server: Server, **options) -> gr.Blocks:
    """Build the page and serve it, with these options of Gradio's `launch`; the models are loaded meanwhile."""
    with gr.Blocks(title="LoopAnimate", delete_cache=(600, KEEP_SECONDS)) as blocks:
        Page(server)
    if ON_ZERO:
        server.load("motion", server.checkpoint).result()  # ZeroGPU wants the model on its device before the first request
    blocks.queue(max_size=32).launch(
        allowed_paths=[server.folder.name, str(ASSETS / "examples")],
        css_paths=Path(page.__file__).with_name("page.css"),
        footer_links=["api", "gradio", "settings"],
        prevent_thread_lock=True,
        **options,
    )
    _ = server.saliency, server.load("motion", server.checkpoint)
    return blocks


def main() -> None:
    parser = argparse.ArgumentParser(description="LoopAnimate's page.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="a public link, by Gradio")
    parser.add_argument("--checkpoint", help="folder or hub repository of a LoopAnimate checkpoint")
    options = parser.parse_args()
    server = Server(options.checkpoint, public=options.share)
    launch(server, server_port=options.port, share=options.share).block_thread()


if __name__ == "__main__":
    main()
