"""The page's widgets: what stands where."""

import html
from functools import partial
from pathlib import Path

import gradio as gr

from loopanimate.effects.names import names
from loopanimate.files.formats import ENDINGS, FORMATS, QUALITIES
from loopanimate.files.sizes import SIZES
from loopanimate.page import canvas, text
from loopanimate.page.bindings import limits
from loopanimate.page.jobs import KEEP_SECONDS, Server
from loopanimate.presets import ASSETS, MAX_FRAMES, MIN_FRAMES, PRESETS, REGIONS_MODELS
from loopanimate.settings import Machine

SmallButton = partial(gr.Button, size="sm")


class Layout:
    """All widgets, placed within the blocks that are open.

    `controls` has those that hold settings, by setting: "request.seed" holds `Settings.request.seed` (see bindings.py).
    """

    def __init__(self, server: Server):
        self.server, self.controls = server, {"hands.freeze": gr.State(None)}
        gr.Markdown("# LoopAnimate\nA picture, a sentence, a seamless living wallpaper.")
        self.current = gr.State(None, time_to_live=KEEP_SECONDS)  # jobs.Shown on the page
        self.four_loops = gr.State(None, time_to_live=KEEP_SECONDS)  # picture's path, mask, and the loops to choose from
        self.history = gr.State([], time_to_live=KEEP_SECONDS)  # packed jobs.Shown, newest first
        self.tail = gr.State(None)  # first click of an arrow, (x, y) in fractions of the picture
        self.automatic = gr.State()  # the mask (h, w) that the editor was given, before anyone painted
        self.chosen = gr.State(None)  # the thing of the sentence whose mask the editor has; None: what moves
        self.parts = gr.State({})  # things and their masks (h, w) in [0, 1], as painted
        self.earlier = gr.State([])  # layers of the editor before each tool
        with gr.Row():
            with gr.Column():
                self.place_picture()
                self.place_mask_tools()
                self.place_board()
            with gr.Column():
                self.place_prompt()
                self.place_loop()
                with gr.Accordion("More", open=False):
                    self.place_request_and_output()
                with gr.Accordion("Details", open=False):
                    self.details = gr.Markdown(text.UNMEASURED, elem_classes="details")
                with gr.Accordion("This visit", open=False):
                    label = "Click one to get all its settings back"
                    self.past = gr.Gallery(label=label, columns=4, allow_preview=False, buttons=[])
        self.place_examples()
        gr.Markdown(f"The motion model is {PRESETS['motion'].needs}. The 512 model {PRESETS['512'].needs}.")

    def place_picture(self) -> None:
        given = {"type": "filepath", "image_mode": None, "format": "png"}  # the file as it comes
        self.picture = gr.Image(label="Picture", sources=["upload", "clipboard"], height=220, elem_id="picture", **given)
        red, blue = ((f"rgb{colour}", canvas.OPACITY) for colour in (canvas.RED, canvas.BLUE))
        self.editor = gr.ImageEditor(
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
        self.note = gr.Markdown()

    def place_mask_tools(self) -> None:
        first, *others = canvas.TOOLS
        with gr.Row(elem_classes="tools"):
            self.find = SmallButton("Find the object again")
            self.tools = [SmallButton(first)]
            self.undo = SmallButton("Undo")
        with gr.Accordion("Change the whole mask, or take it from a file", open=False):
            with gr.Row(elem_classes="tools"):
                self.tools += [SmallButton(name) for name in others]
            with gr.Row(elem_classes="tools"):
                self.mask_in = gr.UploadButton("Upload a mask (white moves)", file_types=["image"], size="sm")
                self.mask_out = SmallButton("Download the mask")

    def place_board(self) -> None:
        with gr.Accordion("Click to select, draw arrows, set pins", open=False) as self.clicking:
            tools = ["Add to the mask", "Take from the mask", "Arrow", "Pin"]
            self.click_means = gr.Radio(tools, value="Arrow", label="A click means")
            self.board = gr.Image(label="Click here", interactive=False, type="pil", format="png", buttons=[])
            self.hint = gr.Markdown(text.CLICKS)
            self.controls["hands.arrows"] = self.controls["hands.pins"] = gr.Dropdown(
                [], multiselect=True, allow_custom_value=True, label="Arrows and pins", info=text.DIRECTIONS
            )

    def place_prompt(self) -> None:
        label = "What should move, and how?"
        self.controls["request.prompt"] = gr.Textbox(label=label, placeholder=text.SUGGESTIONS[0], max_lines=4)
        with gr.Row(elem_classes="chips"):
            self.chips = [SmallButton(words) for words in text.SUGGESTIONS]
        with gr.Row():
            self.go = gr.Button("Animate", variant="primary", scale=3)
            self.four = gr.Button("Four seeds", scale=1)
            self.cancel = gr.Button("Cancel", variant="stop", elem_id="cancel")

    def place_loop(self) -> None:
        # the living preview, which runs the page's script: it plays what comes as `motion`, and saves what comes as `file`
        script = Path(__file__).with_name("page.js").read_text()
        self.live = gr.HTML("", elem_id="living", js_on_load=script, motion=None, file=None)
        self.result = gr.HTML(text.EMPTY, label="Loop")
        label, looks = "Four seeds: click one to see it in full", {"columns": 4, "height": 180, "object_fit": "cover"}
        self.choice = gr.Gallery(label=label, visible=False, allow_preview=False, buttons=[], **looks)
        self.understood = gr.HTML("", elem_id="understood")
        self.made = gr.Markdown()
        with gr.Row():
            names, sizes, looks = [form.name for form in FORMATS], ["source", *SIZES], {"scale": 1, "min_width": 120}
            self.file_format = gr.Dropdown(names, value="MP4", label="Format", **looks)
            size = gr.Dropdown(sizes, value="source", label="Size", allow_custom_value=True, **looks)
            self.controls["output.size"] = size
            self.save = gr.Button("Download MP4", interactive=False, scale=2)
        # Takes what is dropped on the page, whatever is folded. Hidden, because an event's data cannot replace it: Gradio
        # makes sure that a visitor uploaded the file that he names only where a file component names it.
        self.dropped = gr.File(visible="hidden", elem_id="restore", file_types=[*ENDINGS])

    def place_request_and_output(self) -> None:
        add, own = self.controls.__setitem__, "0: the model's own"
        with gr.Row():
            add("request.seed", gr.Number(0, label="Seed", precision=0, minimum=0))
            self.dice = gr.Button("🎲 Another seed")
        add("hands.motion_strength", gr.Slider(**limits("hands.motion_strength"), step=0.05, label="Motion strength"))
        label = "Light and weather"
        add("hands.effect_strength", gr.Slider(**limits("hands.effect_strength"), step=0.05, label=label))
        looks = {"multiselect": True, "allow_custom_value": True, "info": text.ADDED}
        add("hands.added_effects", gr.Dropdown(names(), label="Add light and weather", **looks))
        add("hands.tempo", gr.Slider(**limits("hands.tempo"), step=0.05, label="Tempo"))
        label = "Frames of the model (8 a second)"
        add("request.num_frames", gr.Slider(MIN_FRAMES, MAX_FRAMES, MAX_FRAMES, step=2, label=label))
        add("output.repeats", gr.Slider(**limits("output.repeats") | {"maximum": 20}, step=1, label="Turns in the file"))
        with gr.Row():
            rates = gr.Dropdown(["native", "24", "30", "60"], value="30", label="Frames a second", allow_custom_value=True)
            add("output.fps", rates)
            add("output.quality", gr.Dropdown([*QUALITIES], value=QUALITIES[0], label="Quality of a video"))
            add("output.max_size", gr.Number(0, label="Largest file, MB", minimum=0, info="0: any"))
        add("output.fit", gr.Checkbox(False, label="Whole picture within the size, instead of cut to it"))
        add("output.codec", gr.Checkbox(False, label=text.AV1))
        with gr.Row():
            add("request.num_inference_steps", gr.Slider(0, 50, 0, step=1, label="Sampling steps", info=own))
            add("request.guidance_scale", gr.Slider(0, 15, 0, step=0.5, label="Guidance", info=f"{own}; 1: none"))
        add("request.negative_prompt", gr.Textbox(label="Keep away from", info="Heard where guidance is not 1"))
        presets = [(f"{name}: {preset.needs}", name) for name, preset in PRESETS.items()]
        add("preset", gr.Dropdown(presets, value="motion", label="Model"))
        info, mine = "A folder, or a hub repository (owner/name)", not self.server.public
        machine = self.server.machine if mine else Machine()
        self.checkpoint = gr.Textbox(machine.checkpoint, label="Checkpoint", info=info, visible=mine)
        info = (
            f"What finds named things, if not the bundled model: a folder or repository, such as {next(iter(REGIONS_MODELS))}"
        )
        self.regions_model = gr.Textbox(machine.regions_model, label="Model of regions", info=info, visible=mine)
        self.embed = gr.Checkbox(True, label="Settings and mask travel in the file")
        label = "Settings of a finished loop (or drop it on the page)"
        self.picked = gr.UploadButton(label, size="sm", file_types=[*ENDINGS])

    def place_examples(self) -> None:
        gr.Markdown("## Or start from one of these")
        self.examples = {}  # folder by button
        with gr.Row(elem_classes="examples"):
            for file in sorted((ASSETS / "examples").glob("*/loop.mp4")):
                with gr.Column(min_width=0, elem_classes="example"):
                    source, name = html.escape(f"gradio_api/file={file}"), file.parent.name.replace("-", " ")
                    gr.HTML(f'<video src="{source}" loop muted autoplay playsinline aria-label="{html.escape(name)}"></video>')
                    self.examples[SmallButton(name.capitalize())] = file.parent
