"""The page's widgets: what stands where."""

import html
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from loopanimate.files.media import ENDINGS, PAGE
from loopanimate.files.sizes import SIZES
from loopanimate.page import canvas, text
from loopanimate.page.bindings import limits
from loopanimate.page.jobs import FORMATS, KEEP_SECONDS, Server
from loopanimate.presets import ASSETS, MAX_FRAMES, MIN_FRAMES, PRESETS

LOOPS = [*ENDINGS, PAGE]  # endings of files that may carry settings
TOOLS = ("Clear", "Invert", "Grow", "Shrink", "Feather", "Whole picture", "Unfreeze")  # each changes the whole mask


@dataclass(frozen=True)
class Widgets:
    controls: dict[str, gr.components.Component]  # by the setting that they hold (bindings.py)
    current: gr.State  # jobs.Shown on the page, or None
    four_loops: gr.State  # picture's path, mask and the four loops to choose from, or None
    history: gr.State  # packed jobs.Shown, newest first
    tail: gr.State  # first click of an arrow, (x, y) in fractions of the picture, or None
    earlier: gr.State  # layers of the editor before each tool
    picture: gr.Image
    editor: gr.ImageEditor
    note: gr.Markdown
    find: gr.Button
    tools: list[gr.Button]
    undo: gr.Button
    mask_in: gr.UploadButton
    mask_out: gr.Button
    clicking: gr.Accordion
    click_means: gr.Radio
    board: gr.Image
    hint: gr.Markdown
    chips: list[gr.Button]
    go: gr.Button
    four: gr.Button
    cancel: gr.Button
    live: gr.HTML
    result: gr.HTML
    choice: gr.Gallery
    made: gr.Markdown
    file_format: gr.Dropdown
    save: gr.Button
    dropped: gr.File
    picked: gr.UploadButton
    dice: gr.Button
    checkpoint: gr.Textbox
    embed: gr.Checkbox
    details: gr.Markdown
    past: gr.Gallery
    examples: list[gr.Button]


def lay_out(server: Server) -> Widgets:
    """Place all widgets within the blocks that are open."""
    w = SimpleNamespace(controls={})
    gr.Markdown("# LoopAnimate\nA picture, a sentence, a seamless living wallpaper.")
    w.current, w.four_loops, w.history = (gr.State(value, time_to_live=KEEP_SECONDS) for value in (None, None, []))
    w.tail, w.earlier, w.controls["hands.freeze"] = gr.State(None), gr.State([]), gr.State(None)
    with gr.Row():
        with gr.Column():
            _place_picture(w)
            _place_mask_tools(w)
            _place_board(w)
        with gr.Column():
            _place_prompt(w)
            _place_loop(w)
            with gr.Accordion("More", open=False):
                _place_more(w, server)
            with gr.Accordion("Details", open=False):
                w.details = gr.Markdown(text.UNMEASURED, elem_classes="details")
            with gr.Accordion("This visit", open=False):
                w.past = gr.Gallery(label="Click one to get all its settings back", columns=4, allow_preview=False, buttons=[])
    _place_examples(w)
    gr.Markdown(text.MODELS)
    return Widgets(**vars(w))


def _place_picture(w) -> None:
    w.picture = gr.Image(
        label="Picture", type="filepath", sources=["upload", "clipboard"], height=220, format="png", elem_id="picture"
    )
    # the file as it came: gr.Image would open it itself, and answer a bad one without a sentence
    w.picture.preprocess = lambda file: file and file.path
    red, blue = ((f"rgb{colour}", canvas.OPACITY) for colour in (canvas.RED, canvas.BLUE))
    w.editor = gr.ImageEditor(
        label="What moves (red)",
        type="pil",
        format="png",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(colors=[red, blue], default_color=red, color_mode="fixed"),
        height=420,
        canvas_size=(32, 32),  # a layer is centred in the largest canvas that there was: one of 800 would shift the mask
        elem_id="editor",
    )
    w.note = gr.Markdown()


def _place_mask_tools(w) -> None:
    first, *others = TOOLS
    with gr.Row(elem_classes="tools"):
        w.find = gr.Button("Find the object again", size="sm")
        w.tools = [gr.Button(first, size="sm")]
        w.undo = gr.Button("Undo", size="sm")
    with gr.Accordion("Change the whole mask, or take it from a file", open=False):
        with gr.Row(elem_classes="tools"):
            w.tools += [gr.Button(name, size="sm") for name in others]
        with gr.Row(elem_classes="tools"):
            w.mask_in = gr.UploadButton("Upload a mask (white moves)", file_types=["image"], size="sm")
            w.mask_out = gr.Button("Download the mask", size="sm")


def _place_board(w) -> None:
    with gr.Accordion("Click to select, draw arrows, set pins", open=False) as w.clicking:
        tools = ["Add to the mask", "Take from the mask", "Arrow", "Pin"]
        w.click_means = gr.Radio(tools, value="Arrow", label="A click means")
        w.board = gr.Image(label="Click here", interactive=False, type="pil", format="png", buttons=[])
        w.hint = gr.Markdown(text.CLICKS)
        w.controls["hands.arrows"] = w.controls["hands.pins"] = gr.Dropdown(
            [], multiselect=True, allow_custom_value=True, label="Arrows and pins", info=text.DIRECTIONS
        )


def _place_prompt(w) -> None:
    w.controls["request.prompt"] = gr.Textbox(label="What should move, and how?", placeholder=text.SUGGESTIONS[0], max_lines=4)
    with gr.Row(elem_classes="chips"):
        w.chips = [gr.Button(words, size="sm") for words in text.SUGGESTIONS]
    with gr.Row():
        w.go = gr.Button("Animate", variant="primary", scale=3)
        w.four = gr.Button("Four seeds", scale=1)
        w.cancel = gr.Button("Cancel", variant="stop", elem_id="cancel")


def _place_loop(w) -> None:
    # the living preview, which runs the page's script: it plays what comes as `motion`, and saves what comes as `file`
    script = Path(__file__).with_name("page.js").read_text()
    w.live = gr.HTML("", elem_id="living", js_on_load=script, motion=None, file=None)
    w.result = gr.HTML(text.EMPTY, label="Loop")
    looks = {"allow_preview": False, "buttons": [], "object_fit": "cover"}
    label = "Four seeds: click one to see it in full"
    w.choice = gr.Gallery(label=label, columns=4, height=180, visible=False, **looks)
    w.made = gr.Markdown()
    with gr.Row():
        looks = {"scale": 1, "min_width": 120}
        w.file_format = gr.Dropdown(list(FORMATS), value="MP4", label="Format", **looks)
        sizes = ["source", *SIZES]
        w.controls["output.size"] = gr.Dropdown(sizes, value="source", label="Size", allow_custom_value=True, **looks)
        w.save = gr.Button("Download MP4", interactive=False, scale=2)
    # Takes what is dropped on the page, whatever is folded. Hidden, because an event's data cannot replace it: Gradio makes
    # sure that a visitor uploaded the file that he names only where a file component names it.
    w.dropped = gr.File(visible="hidden", elem_id="restore", file_types=LOOPS)


def _place_more(w, server: Server) -> None:
    controls = w.controls
    with gr.Row():
        controls["request.seed"] = gr.Number(0, label="Seed", precision=0, minimum=0)
        w.dice = gr.Button("🎲 Another seed")
    controls["hands.motion_strength"] = gr.Slider(**limits("hands.motion_strength"), step=0.05, label="Motion strength")
    controls["hands.tempo"] = gr.Slider(**limits("hands.tempo"), step=0.05, label="Tempo")
    label = "Frames of the model (8 a second)"
    controls["request.num_frames"] = gr.Slider(MIN_FRAMES, MAX_FRAMES, MAX_FRAMES, step=2, label=label)
    controls["output.repeats"] = gr.Slider(**limits("output.repeats") | {"maximum": 20}, step=1, label="Turns in the file")
    with gr.Row():
        rates, qualities = ["native", "24", "30", "60"], ["wallpaper", "share", "small"]
        controls["output.fps"] = gr.Dropdown(rates, value="30", label="Frames a second", allow_custom_value=True)
        controls["output.quality"] = gr.Dropdown(qualities, value="wallpaper", label="Quality of a video")
        controls["output.max_size"] = gr.Number(0, label="Largest file, MB", minimum=0, info="0: any")
    controls["output.fit"] = gr.Checkbox(False, label="Whole picture within the size, instead of cut to it")
    controls["output.codec"] = gr.Checkbox(False, label=text.AV1)
    with gr.Row():
        own = "0: the model's own"
        controls["request.num_inference_steps"] = gr.Slider(0, 50, 0, step=1, label="Sampling steps", info=own)
        controls["request.guidance_scale"] = gr.Slider(0, 15, 0, step=0.5, label="Guidance", info=f"{own}; 1: none")
    controls["request.negative_prompt"] = gr.Textbox(label="Keep away from", info="Heard where guidance is not 1")
    presets = [(f"{name}: {preset.needs}", name) for name, preset in PRESETS.items()]
    controls["preset"] = gr.Dropdown(presets, value="motion", label="Model")
    info, mine = "A folder, or a hub repository (owner/name)", not server.public
    w.checkpoint = gr.Textbox(server.checkpoint if mine else None, label="Checkpoint", info=info, visible=mine)
    w.embed = gr.Checkbox(True, label="Settings and mask travel in the file")
    w.picked = gr.UploadButton("Settings of a finished loop (or drop it on the page)", size="sm", file_types=LOOPS)


def _place_examples(w) -> None:
    w.examples = []
    folders = sorted(file.parent for file in (ASSETS / "examples").glob("*/loop.mp4"))
    if folders:
        gr.Markdown("## Or start from one of these")
    with gr.Row(elem_classes="examples"):
        for folder in folders:
            with gr.Column(min_width=0, elem_classes="example"):
                source, label = html.escape(f"gradio_api/file={folder / 'loop.mp4'}"), html.escape(folder.name)
                gr.HTML(f'<video src="{source}" loop muted autoplay playsinline aria-label="{label}"></video>')
                w.examples.append(gr.Button(folder.name.replace("-", " ").capitalize(), size="sm"))
