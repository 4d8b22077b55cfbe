"""The page: python app.py [--port N] [--share] [--checkpoint DIR|REPO]."""

import argparse
from pathlib import Path

import gradio as gr

from loopanimate import page
from loopanimate.page.events import Page
from loopanimate.page.jobs import KEEP_SECONDS, ON_ZERO, Server
from loopanimate.presets import ASSETS

PAGE = Path(page.__file__).parent


def build(server: Server) -> gr.Blocks:
    with gr.Blocks(title="LoopAnimate", delete_cache=(600, KEEP_SECONDS)) as blocks:
        Page(server)
    return blocks.queue(max_size=32)


def main() -> None:
    parser = argparse.ArgumentParser(description="LoopAnimate's page.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="a public link, by Gradio")
    parser.add_argument("--checkpoint", help="folder or hub repository of a LoopAnimate checkpoint")
    options = parser.parse_args()
    server = Server(options.checkpoint, public=options.share)
    if ON_ZERO:
        server.load("motion", options.checkpoint).result()  # ZeroGPU wants the model on its device before the first request
    blocks = build(server)
    blocks.launch(
        server_port=options.port,
        share=options.share,
        allowed_paths=[server.folder.name, str(ASSETS / "examples")],
        css=(PAGE / "page.css").read_text(),
        footer_links=["api", "gradio", "settings"],
        prevent_thread_lock=True,
    )
    _ = server.saliency, server.load("motion", options.checkpoint)  # off the start-up path
    blocks.block_thread()


if __name__ == "__main__":
    main()
