"""The page: layout and events. What it does and says stands in loopanimate/studio.py and wording.py."""

import argparse
import html
import io
import os
import random
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from loopanimate import canvas, studio, wording
from loopanimate.loop import MAX_TEMPO, MIN_TEMPO, Loop, LoopFile, LoopSettings, pipeline
from loopanimate.media import open_mask, read_metadata
from loopanimate.presets import ASSETS, MAX_FRAMES, MIN_FRAMES, NATIVE_FPS, PRESETS
from loopanimate.preview import first_frame, webp
from loopanimate.recipe import of_frame, pack, unpack
from loopanimate.saliency import automatic_mask, edit, select
from loopanimate.studio import KEEP_SECONDS, Kept, new_file, opened, rendering, sampled, sampling, settings_of
from loopanimate.wording import EMPTY, player, problem, sentence, weight
from loopanimate.working import told

HISTORY = 12  # loops of this visit
JOBS = 4 if studio.ON_ZERO else 1  # at a time: ZeroGPU gives each a device, otherwise there is one
FORMATS = {"MP4": ".mp4", "WebM": ".webm", "GIF": ".gif", "WebP": ".webp", "AVIF": ".avif", "APNG": ".png", "PNG sequence": ".zip",
           "Living page": ".html"}  # fmt: skip
SUGGESTIONS = (
    "it sways gently to the left",
    "it floats up and down slowly",
    "the hair blows in the wind",
    "it rocks back and forth, the background stays still",
    "the water ripples quickly",
    "everything drifts to the right",
    "it breathes",
)


def detect(path: str | None):
    """Picture file → editor value, note on what was found."""
    if path is None:
        return None, ""
    picture = canvas.small(_open(path))
    studio.MODELS["mask"].wait()
    mask, found = automatic_mask(picture)
    return _editor(picture, mask), wording.MASKED if found else wording.NOT_FOUND


def changed(editor, tool: str):
    """The editor with its whole mask changed by one of the buttons."""
    if editor is None or editor.get("background") is None:
        return gr.skip()
    mask, freeze = canvas.read(editor["layers"])
    mask = {
        "Invert": lambda: 1 - mask,
        "Grow": lambda: edit(mask, grow=1),
        "Shrink": lambda: edit(mask, grow=-1),
        "Feather": lambda: edit(mask, feather=1),
        "Whole picture": lambda: np.ones_like(mask),
        "Clear": lambda: np.zeros_like(mask),
    }[tool]()
    return _editor(editor["background"], mask, None if tool == "Clear" else freeze)


def clicked(event: gr.SelectData, tool, editor, directions, tail):
    """A click on the board → editor, board, directions, the arrow's first click, what to do next."""
    if editor is None or editor.get("background") is None:
        return gr.skip(), gr.skip(), gr.skip(), None, "Choose a picture first."
    picture = editor["background"].convert("RGB")
    point = event.index[0] / picture.width, event.index[1] / picture.height
    mask, freeze = canvas.read(editor["layers"])
    hint, value = "", gr.skip()
    if tool in ("Add to the mask", "Take from the mask"):
        region = select(picture, *point)
        mask = np.maximum(mask, region) if tool == "Add to the mask" else np.minimum(mask, 1 - region)
        value = _editor(picture, mask, freeze)
    elif tool == "Pin":
        directions = [*directions, *canvas.texts((), (point,))]
    elif tail is None:
        return value, _board(editor, directions, point), directions, point, "Now click where this point goes."
    else:
        directions, tail = [*directions, *canvas.texts((tail + point,), ())], None
        hint = "The loop follows the arrow. Set a pin where something should stay."
    shown = canvas.board(picture, mask, freeze, *_directions(directions))
    return value, shown, directions, None, hint


def _board(editor, directions, tail=None):
    if editor is None or editor.get("background") is None:
        return None
    return canvas.board(editor["background"].convert("RGB"), *canvas.read(editor["layers"]), *_directions(directions), tail)


def _directions(texts):
    try:
        return canvas.directions(texts or [])
    except ValueError as error:
        raise gr.Error(sentence(error), print_exception=False) from None


def _editor(picture: Image.Image, mask: np.ndarray, freeze: np.ndarray | None = None) -> dict:
    return {"background": picture, "layers": [canvas.layer(mask, freeze)], "composite": None}


def _open(path: str) -> Image.Image:
    try:
        return opened(path)
    except ValueError as error:
        raise gr.Error(sentence(error).replace(path, Path(path).name), print_exception=False) from None


def page() -> gr.Blocks:
    with gr.Blocks(title="LoopAnimate", delete_cache=(600, KEEP_SECONDS)) as blocks:
        gr.Markdown("# LoopAnimate\nA picture, a sentence, a seamless living wallpaper.")
        current, seeds4, history = (gr.State(value, time_to_live=KEEP_SECONDS) for value in (None, None, []))
        tail, earlier = gr.State(None), gr.State([])
        with gr.Row():
            with gr.Column():
                picture = gr.Image(
                    label="Picture",
                    type="filepath",
                    sources=["upload", "clipboard"],
                    height=220,
                    format="png",
                    elem_id="picture",
                )
                # the file as it came: gr.Image would open it itself, and answer a bad one without a sentence
                picture.preprocess = lambda file: file and file.path
                red, blue = ((f"rgb{colour}", canvas.OPACITY) for colour in (canvas.RED, canvas.BLUE))
                editor = gr.ImageEditor(
                    label="What moves (red)",
                    type="pil",
                    format="png",
                    sources=(),
                    transforms=(),
                    layers=False,
                    brush=gr.Brush(colors=[red, blue], default_color=red, color_mode="fixed"),
                    height=420,
                    # the editor centres a layer within the largest canvas it has had: one of 800 would shift the mask
                    canvas_size=(32, 32),
                    elem_id="editor",
                )
                note = gr.Markdown()
                with gr.Row(elem_classes="tools"):
                    again = gr.Button("Find the object again", size="sm")
                    tools = [
                        gr.Button(name, size="sm") for name in ("Invert", "Grow", "Shrink", "Feather", "Whole picture", "Clear")
                    ]
                    undo = gr.Button("Undo", size="sm")
                with gr.Accordion("Click to select, draw arrows, set pins", open=False) as clicking:
                    tool = gr.Radio(
                        ["Add to the mask", "Take from the mask", "Arrow", "Pin"], value="Arrow", label="A click means"
                    )
                    board = gr.Image(label="Click here", interactive=False, type="pil", format="png", buttons=[])
                    hint = gr.Markdown("Two clicks draw an arrow: this point goes there. A pin stays where it is.")
                    directions = gr.Dropdown(
                        [], multiselect=True, allow_custom_value=True, label="Arrows and pins",
                        info="In percent of the picture; × removes one, and you can type them: arrow 20 30 45 30, pin 50 50",
                    )  # fmt: skip
                with gr.Accordion("Mask as a file", open=False), gr.Row():
                    mask_in = gr.UploadButton("Upload a mask (white moves)", file_types=["image"], size="sm")
                    mask_out = gr.DownloadButton("Download the mask", size="sm")
            with gr.Column():
                prompt = gr.Textbox(label="What should move, and how?", placeholder=SUGGESTIONS[0], lines=2, max_lines=4)
                with gr.Row(elem_classes="chips"):
                    chips = [gr.Button(text, size="sm") for text in SUGGESTIONS]
                with gr.Row():
                    go = gr.Button("Animate", variant="primary", scale=3)
                    four = gr.Button("Four seeds", scale=1)
                    cancel = gr.Button("Cancel", variant="stop", visible=False)
                live = gr.HTML("", elem_id="living")
                moved, settled = gr.Textbox(visible="hidden"), gr.Button(visible="hidden", elem_id="settled")
                result = gr.HTML(EMPTY, label="Loop")
                choice = gr.Gallery(label="Four seeds: click one to see it in full", columns=4, height=180, visible=False,
                                    allow_preview=False, buttons=[], object_fit="cover")  # fmt: skip
                made = gr.Markdown()
                with gr.Row():
                    file_format = gr.Dropdown(list(FORMATS), value="MP4", label="Format", scale=1, min_width=120)
                    size = gr.Dropdown(["source", "1080p", "1440p", "4k", "phone"], value="source", label="Size", scale=1,
                                       min_width=120)  # fmt: skip
                    save = gr.Button("Download MP4", interactive=False, scale=2)
                ready = gr.DownloadButton("File", visible="hidden", elem_id="ready")
                with gr.Accordion("More", open=False):
                    with gr.Row():
                        seed = gr.Number(0, label="Seed", precision=0, minimum=0)
                        dice = gr.Button("🎲 Another seed")
                    strength = gr.Slider(0, 3, 1, step=0.05, label="Motion strength")
                    tempo = gr.Slider(MIN_TEMPO, MAX_TEMPO, 1, step=0.05, label="Tempo")
                    num_frames = gr.Slider(MIN_FRAMES, MAX_FRAMES, MAX_FRAMES, step=2, label="Frames of the model (8 a second)")
                    repeats = gr.Slider(1, 20, 1, step=1, label="Turns in the file")
                    with gr.Row():
                        fps = gr.Dropdown(["native", "24", "30", "60"], value="30", label="Frames a second")
                        quality = gr.Dropdown(["wallpaper", "share", "small"], value="wallpaper", label="Quality of a video")
                        largest = gr.Number(0, label="Largest file, MB", minimum=0, info="0: any")
                    fit = gr.Checkbox(False, label="Whole picture within the size, instead of cut to it")
                    av1 = gr.Checkbox(False, label="AV1 in MP4 and WebM: smaller files, a slight step at the wrap")
                    with gr.Row():
                        steps = gr.Slider(0, 50, 0, step=1, label="Sampling steps", info="0: the model's own")
                        guidance = gr.Slider(0, 15, 0, step=0.5, label="Guidance", info="0: the model's own; 1: none")
                    negative = gr.Textbox(label="Keep away from", info="Heard where guidance is not 1")
                    preset = gr.Dropdown([(f"{name}: {item.needs}", name) for name, item in PRESETS.items()], value="motion",
                                         label="Model")  # fmt: skip
                    checkpoint = gr.Textbox(studio.OPTIONS["checkpoint"], label="Checkpoint", info="A folder, or a hub repository (owner/name)",
                                            visible="SPACE_ID" not in os.environ)  # fmt: skip
                    embed = gr.Checkbox(True, label="Settings and mask travel in the file")
                    dropped = gr.File(label="Drop a finished loop here to get its settings back", elem_id="restore", height=110,
                                      file_types=[".mp4", ".webm", ".gif", ".webp", ".png", ".apng"])  # fmt: skip
                with gr.Accordion("Details", open=False):
                    details = gr.Markdown("Seam and stillness are measured when a loop is made.", elem_classes="details")
                with gr.Accordion("This visit", open=False):
                    past = gr.Gallery(
                        label="Click one to get all its settings back", columns=4, allow_preview=False, buttons=[]
                    )
        examples = sorted(folder for folder in (ASSETS / "examples").glob("*/") if (folder / "loop.mp4").is_file())
        picks = []
        if examples:
            gr.Markdown("## Or start from one of these")
            with gr.Row(elem_classes="examples"):
                for folder in examples:
                    with gr.Column(min_width=0, elem_classes="example"):
                        gr.HTML(f'<video src="gradio_api/file={html.escape(str(folder / "loop.mp4"))}" loop muted autoplay playsinline '
                                f'aria-label="{html.escape(folder.name)}"></video>')  # fmt: skip
                        picks.append(gr.Button(folder.name.replace("-", " ").capitalize(), size="sm"))

        controls = [
            editor,
            prompt,
            num_frames,
            seed,
            strength,
            tempo,
            steps,
            guidance,
            negative,
            preset,
            checkpoint,
            fps,
            size,
            fit,
            repeats,
            directions,
        ]
        outputs = [result, live, made, save, current, details, history, past, choice, seeds4]

        def showing(shown, past_loops):
            kept = [shown, *past_loops][:HISTORY]
            return {
                result: player(shown.file, shown.loop.settings.prompt),
                made: wording.made(shown.file, shown.loop),
                current: shown,
                details: wording.details(shown.loop),
                history: kept,
                past: [(item.thumbnail, item.caption()) for item in kept],
                save: gr.Button(interactive=True),
            }

        def animate_one(path, embed, past_loops, *values):
            """Picture and controls → the loop, in steps."""
            try:
                if path is None:
                    raise ValueError("choose a picture first")
                settings, mask = settings_of(*values)
                steps_told = Kept(sampling(path, settings, [settings.seed], mask))
                for word in steps_told:
                    yield {result: word or gr.skip(), choice: gr.Gallery(visible=False)}
                loop = steps_told.result[0]
                page = studio.living(loop)
                yield {live: wording.living(page, loop), result: wording.working("Rendering", 0.0, lives=bool(page))}
                written = Kept(rendering(loop, path, mask, embed, page))
                for word in written:
                    yield {result: word or gr.skip()}
            except ValueError as error:
                yield {result: problem(error)}
                return
            yield showing(written.result, past_loops)

        def animate_four(path, *values):
            """Four seeds, as small moving pictures."""
            try:
                if path is None:
                    raise ValueError("choose a picture first")
                settings, mask = settings_of(*values)
                steps_told = Kept(sampling(path, settings, [settings.seed + index for index in range(4)], mask))
                for word in steps_told:
                    yield {result: word or gr.skip()}
            except ValueError as error:
                yield {result: problem(error)}
                return
            pictures = []
            for loop in steps_told.result:
                file = new_file(".webp")
                file.write_bytes(webp(loop, studio.GLIMPSE_SIDE, 2 * NATIVE_FPS))
                pictures.append((str(file), f"seed {loop.settings.seed}"))
            yield {
                choice: gr.Gallery(pictures, visible=True, selected_index=None),
                seeds4: (path, mask, steps_told.result),
                result: wording.FOUR,
            }

        def choose(event: gr.SelectData, found, embed, past_loops):
            yield {result: gr.skip()}
            if found is None:
                return
            path, mask, loops = found
            loop = loops[event.index]
            page = studio.living(loop)
            yield {live: wording.living(page, loop), result: wording.working("Rendering", 0.0, lives=bool(page))}
            written = Kept(rendering(loop, path, mask, embed, page))
            for word in written:
                yield {result: word or gr.skip()}
            yield {**showing(written.result, past_loops), seed: loop.settings.seed}

        def by_hand(shown, texts, strength, tempo) -> Loop:
            arrows, pins = canvas.directions(texts or [])
            settings = replace(shown.loop.settings, arrows=arrows, pins=pins, motion_strength=strength, tempo=tempo)
            settings.check()
            return replace(shown.loop, settings=settings)

        def moves(shown, texts, strength, tempo):
            """What the living preview needs to move as directed, long before it is rendered."""
            if shown is None or shown.living is None:
                return ""
            try:
                return studio.moved(by_hand(shown, texts, strength, tempo))
            except ValueError:
                return ""  # `directed` says what is wrong

        def directed(shown, embed, past_loops, texts, strength, tempo):
            """The same loop with other directions, strength or tempo: rendered, not sampled again."""
            yield {result: gr.skip()}  # a generator that yields nothing would empty every output
            if shown is None:
                return
            try:
                loop = by_hand(shown, texts, strength, tempo)
                if loop.settings == shown.loop.settings:
                    return
                written = Kept(rendering(loop, shown.path, shown.mask, embed, shown.living))
                for word in written:
                    yield {result: word or gr.skip()}
            except ValueError as error:
                yield {result: problem(error)}
                return
            yield showing(written.result, past_loops)

        def download(shown, name, size, fit, quality, largest, av1, fps, repeats, embed):
            """The loop on the page as a file of that format, size and rate."""
            yield {made: gr.skip()}
            if shown is None:
                return
            ending = FORMATS[name]
            rate = fps if fps == "native" else float(fps)
            settings = replace(shown.loop.settings, size=size, fit=fit, quality=quality, max_size=largest or None, fps=rate,
                               repeats=int(repeats), codec="av1" if av1 and ending in (".mp4", ".webm") else None)  # fmt: skip
            try:
                loop = shown.loop
                if (size, fit) != (loop.settings.size, loop.settings.fit):
                    steps_told = Kept(sampling(shown.path, settings, [settings.seed], shown.mask))
                    for word in steps_told:
                        yield {made: "Fitting the motion to the size …"}
                    loop = steps_told.result[0]
                # an animation format cannot hold every rate: GIF takes its own default
                loop = replace(
                    loop, settings=replace(settings, fps=None) if ending == ".gif" and rate != "native" else settings
                )
                target = new_file(ending)
                recipe = pack(settings, shown.mask) if embed else None
                writing = Kept(told(lambda tell: loop.write(target, recipe, lambda *done: tell(done))))
                for word in writing:
                    if word is not None:
                        yield {made: f"Writing frame {word[0]} of {word[1]} …"}
            except ValueError as error:
                yield {made: f"**{sentence(error)}**"}
                return
            file = writing.result
            wide, high = file.size
            if ending in (".mp4", ".webm"):  # even sides
                wide, high = wide // 2 * 2, high // 2 * 2
            yield {
                ready: gr.DownloadButton(value=str(target)),
                made: f"{name}: {wide} x {high}, {file.seconds:.2f} s, {file.frames} frames, {weight(target)}, seed {settings.seed}.",
            }

        def settings_back(settings: LoopSettings, mask, path):
            """Every control as a loop's settings have it."""
            small = canvas.small(_open(path))
            mask = np.ones(small.size[::-1], np.float32) if mask is None else canvas.fit(mask, small.size)
            mask = edit(mask, settings.mask_grow, settings.mask_feather, settings.mask_invert)  # of the command line
            freeze = None
            if settings.freeze:
                freeze = np.asarray(Image.open(io.BytesIO(settings.freeze)).convert("L").resize(small.size), np.float32) / 255
            rate = f"{settings.fps:g}" if isinstance(settings.fps, float) else settings.fps or "30"
            return {
                picture: path,
                editor: _editor(small, mask, freeze),
                prompt: settings.prompt,
                num_frames: settings.num_frames,
                seed: settings.seed,
                strength: settings.motion_strength,
                tempo: settings.tempo,
                steps: settings.num_inference_steps or 0,
                guidance: settings.guidance_scale or 0,
                negative: settings.negative_prompt,
                preset: settings.preset,
                fps: rate,
                size: settings.size.lower(),
                fit: settings.fit,
                quality: settings.quality,
                largest: settings.max_size or 0,
                av1: settings.codec == "av1",
                repeats: settings.repeats,
                directions: canvas.texts(settings.arrows, settings.pins),
                note: "The settings are back, mask included.",
            }

        def restored(file, path):
            """A finished loop's own settings; its first frame is the picture where none is there."""
            if file is None:
                return {note: gr.skip()}
            try:
                settings, mask = unpack(read_metadata(file))
                if path is None:
                    path, frame = str(new_file(".png")), first_frame(file)
                    if mask is not None:
                        frame, settings, mask = of_frame(frame, settings, mask)
                    frame.save(path)
            except ValueError as error:
                raise gr.Error(sentence(error), print_exception=False) from None
            return settings_back(settings, mask, path)

        def recalled(event: gr.SelectData, kept):
            shown = kept[event.index]
            return {
                **settings_back(shown.loop.settings, shown.mask, shown.path),
                live: wording.living(shown.living, shown.loop),
                result: player(shown.file, shown.loop.settings.prompt),
                made: wording.made(shown.file, shown.loop),
                current: shown,
                details: wording.details(shown.loop),
                save: gr.Button(interactive=True),
            }

        def example(folder, kept):
            settings, mask = unpack(read_metadata(folder / "loop.mp4"))
            path = next(str(file) for file in sorted(folder.iterdir()) if file.stem == "picture")
            found = {
                **settings_back(settings, mask, path),
                result: player(LoopFile(folder / "loop.mp4", 0, 0, (0, 0)), settings.prompt),
            }
            return {**found, made: "A finished example. Change anything and press Animate."}

        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        job = {"api_visibility": "private", "concurrency_id": "device", "concurrency_limit": JOBS,
               "show_progress": "minimal", "show_progress_on": result}  # fmt: skip
        seen = {"api_visibility": "private", "show_progress_on": editor}

        picture.upload(detect, picture, [editor, note], **seen)
        picture.clear(lambda: (None, ""), None, [editor, note], **quiet)
        again.click(detect, picture, [editor, note], **seen)
        for button in tools:
            button.click(lambda value, past: [*past[-9:], value["layers"]] if value else past, [editor, earlier], earlier, **quiet).then(
                lambda value, name=button.value: changed(value, name), editor, editor, **quiet)  # fmt: skip
        undo.click(_undone, [editor, earlier], [editor, earlier], **quiet)
        mask_in.upload(_uploaded, [mask_in, editor], editor, **seen)
        mask_out.click(_saved_mask, editor, mask_out, **quiet)
        clicking.expand(_board, [editor, directions], board, **quiet)
        board.select(
            clicked, [tool, editor, directions, tail], [editor, board, directions, tail, hint], api_visibility="private"
        )
        directions.change(_board, [editor, directions], board, **quiet)
        for chip, text in zip(chips, SUGGESTIONS):
            chip.click(lambda text=text: text, None, prompt, **quiet)
        dice.click(lambda: random.randrange(2**31), None, seed, **quiet)
        file_format.change(lambda name: gr.Button(f"Download {name}"), file_format, save, **quiet)

        by_hands = [directions, strength, tempo]
        gr.on(
            [strength.input, tempo.input],
            None,
            [strength, tempo],
            None,
            js="(...values) => loopanimate.slid(...values)",
            **quiet,
        )
        gr.on([directions.change], moves, [current, *by_hands], moved, **quiet).then(
            None, [moved, strength, tempo], None, js="(...values) => loopanimate.replace(...values)", **quiet
        )
        jobs = []
        runs = [
            ([go.click, prompt.submit], animate_one, [picture, embed, history, *controls]),
            ([four.click], animate_four, [picture, *controls]),
            ([choice.select], choose, [seeds4, embed, history]),
            ([directions.change, settled.click], directed, [current, embed, history, *by_hands]),
        ]
        for triggers, function, inputs in runs:
            if function is not directed:
                waits = wording.working("Waiting for its turn …")
                gr.on(
                    triggers, lambda text=waits: (gr.Button(visible=True), text), None, [cancel, result], queue=False, **quiet
                )
            run = gr.on(triggers, function, inputs, [*outputs, seed] if function is choose else outputs, **job)
            run.then(lambda: gr.Button(visible=False), None, cancel, queue=False, js="() => loopanimate.rest()", **quiet)
            jobs.append(run)
        wrote = save.click(download, [current, file_format, size, fit, quality, largest, av1, fps, repeats, embed], [ready, made],
                           **{**job, "show_progress_on": made})  # fmt: skip
        wrote.then(None, js="() => setTimeout(() => document.querySelector('#ready')?.click(), 300)")
        cancel.click(lambda: (wording.CANCELLED, gr.Button(visible=False)), None,
                     [result, cancel], cancels=[*jobs, wrote], queue=False, **quiet)  # fmt: skip
        everything = [picture, *[item for item in controls if item is not checkpoint], quality, largest, av1, note]
        dropped.upload(restored, [dropped, picture], everything, **seen)
        past.select(recalled, history, [*everything, result, live, made, current, details, save], **seen)
        for button, folder in zip(picks, examples):
            button.click(lambda kept, folder=folder: example(folder, kept), history, [*everything, result, made], **seen)

        with gr.Row(visible=False):  # what programs call
            given, given_mask = gr.File(label="picture"), gr.File(label="mask")
            words, count, number = (
                gr.Textbox(label="prompt"),
                gr.Number(MAX_FRAMES, label="num_frames"),
                gr.Number(0, label="seed"),
            )
            power, kind, pixels = (
                gr.Number(1, label="motion_strength"),
                gr.Textbox("MP4", label="file_format"),
                gr.Textbox("source", label="size"),
            )
            made_file, found_mask = gr.File(label="loop"), gr.File(label="mask")
            hidden = gr.Button()
        hidden.click(loop_file, [given, words, given_mask, count, number, power, kind, pixels], made_file, api_name="animate",
                     concurrency_id="device", concurrency_limit=JOBS)  # fmt: skip
        hidden.click(mask_file, given, found_mask, api_name="mask")
        gr.Markdown(f"The motion model is {PRESETS['motion'].needs}. The 512 model {PRESETS['512'].needs}.")
    return blocks


def loop_file(picture, prompt, mask, num_frames, seed, motion_strength, file_format, size):
    """A picture file and a sentence → the loop as a file; without a mask the salient object moves."""
    try:
        if file_format not in FORMATS:
            raise ValueError(f"expected a format out of {', '.join(FORMATS)}, got {file_format}")
        if picture is None:
            raise ValueError("expected a picture, got none")
        settings = LoopSettings(prompt or "", num_frames=int(num_frames), seed=int(seed), motion_strength=motion_strength,
                                size=size, checkpoint=studio.OPTIONS["checkpoint"])  # fmt: skip
        settings.check()
        pixels = opened(picture)
        layer = None if mask is None else open_mask(mask, pixels.size)
        studio.ready()
        for word in sampled(pixels, settings, [settings.seed], layer):
            if isinstance(word, list):
                loop = word[0]
            else:
                yield gr.skip()
        target = new_file(FORMATS[file_format])
        for _ in told(lambda tell: loop.write(target, pack(settings, layer), lambda *done: tell(done))):
            yield gr.skip()
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None
    yield str(target)


def mask_file(picture):
    """A picture file → its automatic mask as a PNG of the same size, white moves."""
    if picture is None:
        raise gr.Error("expected a picture, got none", print_exception=False)
    studio.MODELS["mask"].wait()
    mask, _ = automatic_mask(_open(picture))
    target = new_file(".png")
    Image.fromarray((mask * 255).round().astype(np.uint8)).save(target)
    return str(target)


def _undone(editor, earlier):
    if not earlier or editor is None or editor.get("background") is None:
        return gr.skip(), gr.skip()
    return {"background": editor["background"], "layers": earlier[-1], "composite": None}, earlier[:-1]


def _uploaded(file, editor):
    if editor is None or editor.get("background") is None:
        raise gr.Error("Choose a picture first, then its mask.", print_exception=False)
    try:
        return _editor(editor["background"], open_mask(file, editor["background"].size))
    except ValueError as error:
        raise gr.Error(sentence(error).replace(str(file), Path(file).name), print_exception=False) from None


def _saved_mask(editor):
    if editor is None or not editor.get("layers"):
        return gr.skip()
    target = new_file(".png")
    Image.fromarray((canvas.read(editor["layers"])[0] * 255).round().astype(np.uint8)).save(target)
    return str(target)


def main() -> None:
    parser = argparse.ArgumentParser(description="LoopAnimate's page.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="a public link, by Gradio")
    parser.add_argument("--checkpoint", help="folder or hub repository of a LoopAnimate checkpoint")
    options = parser.parse_args()
    studio.OPTIONS["checkpoint"] = options.checkpoint
    studio.MODELS["motion"] = studio.Warm(pipeline, "motion", options.checkpoint, "auto")
    if studio.ON_ZERO:
        studio.MODELS["motion"].run()  # ZeroGPU wants the model on its device before the first request
    blocks = page()
    blocks.queue(max_size=32)
    blocks.launch(
        server_port=options.port,
        share=options.share,
        allowed_paths=[studio.FILES.name, str(ASSETS / "examples")],
        css=(ASSETS / "page.css").read_text(),
        js=(ASSETS / "page.js").read_text(),
        footer_links=["api", "gradio", "settings"],
        prevent_thread_lock=True,
    )
    studio.MODELS["mask"].start()
    if not studio.ON_ZERO:
        studio.MODELS["motion"].start()
    blocks.block_thread()


if __name__ == "__main__":
    main()
