"""The page's widgets: what stands where."""

import html
from functools import partial
from pathlib import Path

import gradio as gr

from loopanimate.effects.names import names
from loopanimate.files.formats import ENDINGS, FORMATS, QUALITIES
from loopanimate.files.sizes import SIZES
from loopanimate.page import text
from loopanimate.page.bindings import limits
from loopanimate.page.jobs import Server
from loopanimate.page.limits import KEEP_SECONDS
from loopanimate.presets import ASSETS, DEFAULT, MAX_FRAMES, MIN_FRAMES, PRESETS, REGIONS_MODELS
from loopanimate.settings import Machine

SmallButton = partial(gr.Button, size="sm")
# what the page's script takes: page.js
HANDED = ("job", "living", "film", "motion", "regions", "seeds", "picked", "file", "visit")


class Layout:
    """All widgets, placed within the blocks that are open.

    `controls` has those that hold settings, by setting: "request.seed" holds `Settings.request.seed` (see bindings.py).
    """

    def __init__(self, server: Server):
        self.server, self.controls = server, {}
        self.current = gr.State(None, time_to_live=KEEP_SECONDS)  # shown.Shown on the page
        self.four_loops = gr.State(None, time_to_live=KEEP_SECONDS)  # shown.Shown to choose from, without films
        self.history = gr.State([], time_to_live=KEEP_SECONDS)  # packed shown.Shown, newest first
        gr.Markdown("# LoopAnimate\nA picture, a sentence, a seamless living wallpaper.", elem_id="title")
        self.place_examples()
        with gr.Row(elem_id="work"):
            with gr.Column(scale=3, elem_id="seen"):
                self.place_stage()
            with gr.Column(scale=2, elem_id="said"):
                self.place_prompt()
                self.place_file()
                with gr.Accordion("More", open=False):
                    self.place_more()
                with gr.Accordion("Expert", open=False):
                    self.place_expert()
                with gr.Accordion("This visit", open=False):
                    self.past = gr.HTML("", elem_id="past")
        if server.public:
            gr.Markdown(server.limits.say(), elem_id="limits")

    def place_examples(self) -> None:
        with gr.Column(elem_id="examples"):
            films = []
            for file in sorted((ASSETS / "examples").glob("*/loop.mp4")):
                name, picture = file.parent.name, next(file.parent.glob("picture.*"))
                film, still = (html.escape(f"gradio_api/file={path}") for path in (file, picture))
                films.append(
                    f'<button type="button" data-example="{html.escape(name)}"><video src="{film}" poster="{still}" muted '
                    f'playsinline preload="none" aria-hidden="true"></video>{html.escape(name.replace("-", " "))}</button>'
                )
            gr.HTML(f"<h2>Start from one of these, or from your own picture</h2><div>{''.join(films)}</div>")

    def place_stage(self) -> None:
        folder = Path(__file__).parent
        script = "".join(
            (folder / name).read_text(encoding="utf-8") for name in ("stage.js", "tools.js", "page.js", "keeping.js")
        )
        markup = (folder / "stage.html").read_text(encoding="utf-8")
        nothing = dict.fromkeys(HANDED)
        self.stage = gr.HTML("", html_template=markup, js_on_load=script, apply_default_css=False, elem_id="stage", **nothing)
        self.controls |= dict.fromkeys(("hands.arrows", "hands.pins", "hands.freeze", "output.centre"), self.stage)
        # These three take what the page's script puts into them. Hidden, because an event's data cannot replace them: Gradio
        # makes sure that a visitor uploaded the file that he names only where a file component names it.
        given = {"type": "filepath", "image_mode": None, "format": "png"}  # the file as it comes
        self.picture = gr.Image(visible="hidden", sources=["upload"], elem_id="picture", **given)
        self.dropped = gr.File(visible="hidden", elem_id="restore", file_types=[*ENDINGS])
        self.mask_in = gr.File(visible="hidden", elem_id="mask", file_types=["image"])
        with gr.Row(elem_id="hands"):
            for name, label in (("motion_strength", "Motion strength"), ("tempo", "Tempo")):
                slider = gr.Slider(**limits(f"hands.{name}"), step=0.05, label=label, min_width=120)
                self.controls[f"hands.{name}"] = slider
        self.note = gr.Markdown(elem_id="note")

    def place_prompt(self) -> None:
        label = "What should move, and how?"
        self.controls["request.prompt"] = gr.Textbox(label=label, placeholder=text.EXAMPLE, max_lines=4, elem_id="prompt")
        with gr.Row(elem_id="go"):
            self.go = gr.Button("Animate", variant="primary", scale=3, min_width=120)
            self.four = gr.Button("4 variants", scale=1, min_width=110)
        with gr.Row(elem_classes="chips"):
            self.chips = [SmallButton(words) for words in text.SHOWN_FIRST]
        self.understood = gr.HTML("", elem_id="understood")

    def place_file(self) -> None:
        gr.HTML('<p role="status"></p>', elem_id="of")  # filled by the page's script
        self.made = gr.Markdown(elem_id="made")
        with gr.Row(elem_id="file"):
            formats = [form.name for form in FORMATS]
            sizes = [
                ("as the picture", "source"),
                *((f"{text.SIZE_NAMES.get(name, name)}, {w} x {h}", name) for name, (w, h) in SIZES.items()),
                *text.SEVERAL,
            ]
            self.file_format = gr.Dropdown(formats, value="MP4", label="Format", scale=5, min_width=90)
            typed = {"allow_custom_value": True}
            size = gr.Dropdown(sizes, value="source", label="Size", scale=8, min_width=150, **typed)
            length = gr.Dropdown(text.LENGTHS, value="", label="Length", scale=6, min_width=110, **typed)
            self.controls |= {"output.size": size, "output.seconds": length}
        with gr.Row():
            self.save = gr.Button("Download MP4", interactive=False, scale=2, min_width=120, elem_id="save")

    def place_more(self) -> None:
        add = self.controls.__setitem__
        with gr.Row():
            add(
                "request.seed",
                gr.Number(0, label="Seed", info="the same one, the same loop", precision=0, minimum=0, min_width=120),
            )
            self.dice = gr.Button("🎲 Another variant", min_width=120)
        label = "Light and weather"
        add("hands.effect_strength", gr.Slider(**limits("hands.effect_strength"), step=0.05, label=label))
        looks = {"multiselect": True, "allow_custom_value": True, "info": text.ADDED}
        add("hands.added_effects", gr.Dropdown(names(), label="Add light and weather", **looks))
        with gr.Row():
            rates = gr.Dropdown(["native", "24", "30", "60"], value="30", label="Frames a second", allow_custom_value=True)
            add("output.fps", rates)
            add("output.quality", gr.Dropdown([*QUALITIES], value=QUALITIES[0], label="Quality of a video"))
        add("output.fit", gr.Checkbox(False, label="Whole picture within the size, instead of cut to it"))
        scales = [("as the picture was made", "auto"), ("smooth", "smooth"), ("squares, as in pixel art", "nearest")]
        add("output.scale", gr.Dropdown(scales, value="auto", label="Pixels"))
        add("output.enlarge", gr.Dropdown(list(text.ENLARGE), value="auto", label="A picture smaller than the size"))
        self.package = gr.Checkbox(False, label=text.PACKAGE)
        with gr.Row():
            self.project = SmallButton("Save project", min_width=120)
            self.picked = gr.UploadButton("Open a project or a finished loop", size="sm", file_types=[*ENDINGS], min_width=160)

    def place_expert(self) -> None:
        add = self.controls.__setitem__
        label = "Frames of the model (8 a second)"
        add("request.num_frames", gr.Slider(MIN_FRAMES, MAX_FRAMES, MAX_FRAMES, step=2, label=label))
        add("request.num_inference_steps", gr.Slider(0, 50, 0, step=1, label="Sampling steps", info=text.STEPS))
        add("request.guidance_scale", gr.Slider(0, 15, 0, step=0.5, label="Guidance", info=text.GUIDANCE))
        add("request.negative_prompt", gr.Textbox(label="Keep away from", info="By the slower model"))
        add("output.max_size", gr.Number(0, label="Largest file, MB", minimum=0, info="0: any"))
        add("output.codec", gr.Checkbox(False, label=text.AV1))
        presets = [(f"{name}: {preset.needs}", name) for name, preset in PRESETS.items()]
        add("preset", gr.Dropdown(presets, value=DEFAULT, label="Model"))
        info, mine = "A folder, or a hub repository (owner/name)", not self.server.public
        machine = self.server.machine if mine else Machine()
        self.checkpoint = gr.Textbox(machine.checkpoint, label="Checkpoint", info=info, visible=mine)
        info = (
            f"What finds named things, if not the bundled model: a folder or repository, such as {next(iter(REGIONS_MODELS))}"
        )
        self.regions_model = gr.Textbox(machine.regions_model, label="Model of regions", info=info, visible=mine)
        self.embed = gr.Checkbox(True, label="Settings and mask travel in the file")
        self.details = gr.Markdown(text.UNMEASURED, elem_classes="details")
