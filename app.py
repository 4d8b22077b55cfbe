"""The page: layout, events and error wording. Everything it does stands in loopanimate/loop.py."""

import argparse
import html
import random
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from loopanimate.loop import LoopSettings, make_loop, pipeline
from loopanimate.media import open_picture
from loopanimate.presets import MAX_FRAMES, MIN_FRAMES, PRESETS
from loopanimate.saliency import automatic_mask, session

EDITOR_SIDE = 640  # pixels on the long side of the mask editor's copy
TINT = (255, 64, 64)  # of what moves, in the editor
OPACITY = 0.55  # of the tint where the mask is white
KEEP_SECONDS = 3600  # finished files on disk
FORMATS = {"MP4": ".mp4", "WebM": ".webm", "GIF": ".gif", "WebP": ".webp", "APNG": ".png"}
SUGGESTIONS = (
    "it sways gently to the left",
    "it floats up and down slowly",
    "the hair blows in the wind",
    "it rocks back and forth, the background stays still",
    "the water ripples quickly",
    "everything drifts to the right",
    "it breathes",
)
STYLE = """
.result video {width: 100%; border-radius: 8px; display: block}
.empty {min-height: 240px; display: grid; place-items: center; text-align: center; opacity: .7}
.chips {flex-wrap: wrap; gap: 6px !important}
.chips button {flex: 0 1 auto; min-width: 0; width: auto}
"""
EMPTY = '<div class="empty">Your loop will play here.</div>'
FILES = tempfile.TemporaryDirectory(prefix="loopanimate-")
OPTIONS = {"checkpoint": None}


class Warm(threading.Thread):
    """Loads one model off the start-up path; whoever needs it first waits for it."""

    def __init__(self, load, *arguments):
        super().__init__(daemon=True)
        self.load, self.arguments = load, arguments

    def run(self):
        try:
            self.load(*self.arguments)
        except ValueError:
            pass  # said again, in words, to the first person who needs it


MASKS = Warm(session)


def detect(path: str | None):
    """Picture file → editor value, note on what was found."""
    if path is None:
        return None, ""
    picture = _open(path)
    MASKS.join()
    small = picture.copy()
    small.thumbnail((EDITOR_SIDE, EDITOR_SIDE), Image.Resampling.LANCZOS)
    mask, found = automatic_mask(small)
    tint = np.zeros((*mask.shape, 4), np.uint8)
    tint[..., :3] = TINT
    tint[..., 3] = np.rint(mask * OPACITY * 255)
    layer = Image.fromarray(tint)
    note = (
        "Red moves. Mend it with brush and eraser, or leave it."
        if found
        else "**No clear object found**, so the whole picture is marked. Erase what should stay, or leave it."
    )
    return {"background": small, "layers": [layer], "composite": None}, note


def painted_mask(editor: dict | None, size: tuple[int, int]) -> np.ndarray | None:
    """The editor's layers as a mask (H, W) in [0, 1] of `size` (width, height); None where nothing is loaded."""
    if editor is None or not editor.get("layers"):
        return None
    alpha = np.max([np.asarray(layer.convert("RGBA"))[..., 3] for layer in editor["layers"]], axis=0)
    mask = Image.fromarray(np.clip(alpha / (OPACITY * 255), 0, 1).astype(np.float32))
    return np.clip(np.asarray(mask.resize(size, Image.Resampling.BICUBIC)), 0, 1)


def animate(path, editor, prompt, num_frames, seed, strength, fps, size, grow, feather, invert, file_format,
            progress=gr.Progress()):  # fmt: skip
    """Everything on the page → player, file to download, the loop itself, what was made."""
    if path is None:
        raise gr.Error("Choose a picture first.", print_exception=False)
    picture = _open(path)
    try:
        settings = LoopSettings(
            prompt=prompt or "",
            checkpoint=OPTIONS["checkpoint"],
            num_frames=int(num_frames),
            seed=int(seed if seed is not None else 0),
            motion_strength=strength,
            fps="native" if fps == "native" else float(fps),
            size=size,
            mask_grow=grow,
            mask_feather=feather,
            mask_invert=invert,
        )
        settings.check()
        progress(0, desc="Waiting for the model")
        MODEL.join()
        MASKS.join()
        loop = make_loop(
            picture,
            settings,
            painted_mask(editor, picture.size),
            lambda step, steps: progress((step, steps + 1), desc="Sampling the motion", unit="steps"),
        )
        progress(0.95, desc="Rendering")
        shown = loop.write(_new_file(".mp4"))
    except ValueError as error:
        raise gr.Error(_sentence(error), print_exception=False) from None
    width, height = shown.size
    note = f"{width} x {height}, {shown.seconds:.2f} s, {shown.frames} frames, {_weight(shown.path)}, seed {settings.seed}."
    player = (
        f'<div class="result"><video src="gradio_api/file={html.escape(str(shown.path))}" loop muted autoplay playsinline '
        f'controls aria-label="{html.escape(settings.prompt)}"></video></div>'
    )
    return player, download(loop, file_format, shown.path), loop, note


def download(loop, file_format: str, ready: Path | None = None):
    """The loop as a file of that format, on the download button."""
    if loop is None:
        return gr.DownloadButton(value=None, interactive=False)
    ending = FORMATS[file_format]
    if ready is not None and ready.suffix == ending:
        path = ready
    else:
        path = _new_file(ending)
        # an animation format cannot hold every rate: GIF takes its own default
        settings = replace(loop.settings, fps=None) if ending == ".gif" else loop.settings
        try:
            replace(loop, settings=settings).write(path)
        except ValueError as error:
            raise gr.Error(_sentence(error), print_exception=False) from None
    return gr.DownloadButton(f"Download {file_format} ({_weight(path)})", value=path, interactive=True)


def _open(path: str) -> Image.Image:
    try:
        return open_picture(path)
    except ValueError as error:
        raise gr.Error(_sentence(error).replace(path, Path(path).name), print_exception=False) from None


def _sentence(error: ValueError) -> str:
    text = str(error)
    return html.escape(text[:1].upper() + text[1:] + ".")


def _weight(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"


def _new_file(ending: str) -> Path:
    """A name for a finished file; old ones go."""
    folder = Path(FILES.name)
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > KEEP_SECONDS:
            old.unlink(missing_ok=True)
    return folder / f"loop-{random.getrandbits(48):012x}{ending}"


def page() -> gr.Blocks:
    tint = f"rgb({TINT[0]}, {TINT[1]}, {TINT[2]})"
    with gr.Blocks(title="LoopAnimate", delete_cache=(600, KEEP_SECONDS)) as blocks:
        gr.Markdown("# LoopAnimate\nA picture, a sentence, a seamless living wallpaper.")
        loop = gr.State(None, time_to_live=KEEP_SECONDS)
        with gr.Row():
            with gr.Column():
                picture = gr.Image(label="Picture", type="filepath", sources=["upload", "clipboard"], height=260, format="png")
                # the file as it came: gr.Image would open it itself, and answer a bad one without a sentence
                picture.preprocess = lambda file: file and file.path
                editor = gr.ImageEditor(
                    label="What moves (red)",
                    type="pil",
                    format="png",
                    sources=(),
                    transforms=(),
                    layers=False,
                    brush=gr.Brush(colors=[(tint, OPACITY)], default_color=(tint, OPACITY), color_mode="fixed"),
                    height=420,
                    # the editor centres a layer within the largest canvas it has had: one of 800 would shift the mask
                    canvas_size=(32, 32),
                )
                note = gr.Markdown()
                with gr.Row():
                    again = gr.Button("Find the object again", size="sm")
            with gr.Column():
                prompt = gr.Textbox(label="What should move, and how?", placeholder=SUGGESTIONS[0], lines=2, max_lines=4)
                with gr.Row(elem_classes="chips"):
                    chips = [gr.Button(text, size="sm") for text in SUGGESTIONS]
                go = gr.Button("Animate", variant="primary")
                result = gr.HTML(EMPTY, label="Loop")
                made = gr.Markdown()
                with gr.Row():
                    file_format = gr.Dropdown(list(FORMATS), value="MP4", label="Format", scale=1)
                    save = gr.DownloadButton("Download", interactive=False, scale=2)
                with gr.Accordion("More", open=False):
                    num_frames = gr.Slider(MIN_FRAMES, MAX_FRAMES, MAX_FRAMES, step=2, label="Frames of the model (8 a second)")
                    with gr.Row():
                        seed = gr.Number(0, label="Seed", precision=0, minimum=0)
                        dice = gr.Button("🎲 Another seed")
                    strength = gr.Slider(0, 3, 1, step=0.05, label="Motion strength")
                    fps = gr.Dropdown(["native", "24", "30", "60"], value="30", label="Frames a second")
                    size = gr.Dropdown(["source", "1080p", "1440p", "4k", "phone"], value="source", label="Size")
                    grow = gr.Slider(-5, 5, 0, step=0.5, label="Grow or shrink the mask, percent")
                    feather = gr.Slider(0, 5, 0, step=0.25, label="Feather the mask, percent")
                    invert = gr.Checkbox(False, label="Move what is not marked instead")
        gr.Markdown(f"The motion model is {PRESETS['motion'].needs}. The 512 model {PRESETS['512'].needs}.")

        picture.upload(detect, picture, [editor, note], api_name="mask", show_progress_on=editor)
        picture.clear(lambda: (None, ""), None, [editor, note], api_visibility="private")
        again.click(detect, picture, [editor, note], api_visibility="private", show_progress_on=editor)
        for chip, text in zip(chips, SUGGESTIONS):
            chip.click(lambda text=text: text, None, prompt, api_visibility="private", show_progress="hidden")
        dice.click(lambda: random.randrange(2**31), None, seed, api_visibility="private", show_progress="hidden")
        inputs = [picture, editor, prompt, num_frames, seed, strength, fps, size, grow, feather, invert, file_format]
        gr.on([go.click, prompt.submit], animate, inputs, [result, save, loop, made], api_name="animate",
              concurrency_limit=1, show_progress_on=result)  # fmt: skip
        file_format.change(download, [loop, file_format], save, api_visibility="private")
    return blocks


def main() -> None:
    global MODEL
    parser = argparse.ArgumentParser(description="LoopAnimate's page.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="a public link, by Gradio")
    parser.add_argument("--checkpoint", help="folder or hub repository of a LoopAnimate checkpoint")
    options = parser.parse_args()
    OPTIONS["checkpoint"] = options.checkpoint
    MODEL = Warm(pipeline, "motion", options.checkpoint, "auto")
    blocks = page()
    blocks.queue(max_size=32)
    blocks.launch(
        server_port=options.port,
        share=options.share,
        allowed_paths=[FILES.name],
        css=STYLE,
        prevent_thread_lock=True,
    )
    MASKS.start()
    MODEL.start()
    blocks.block_thread()


MODEL = Warm(pipeline, "motion", None, "auto")

if __name__ == "__main__":
    main()
