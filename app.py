"""The page: layout and events. What it does and says stands in loopanimate/page/studio.py and wording.py."""

import argparse
import html
import json
import random
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from loopanimate.files.media import ENDINGS, PAGE, open_mask
from loopanimate.files.recipe import pack
from loopanimate.files.sizes import SIZES
from loopanimate.loop import MAX_STRENGTH, MAX_TEMPO, MIN_TEMPO, LoopFile, LoopSettings, pipeline
from loopanimate.page import canvas, studio, wording
from loopanimate.page.preview import webp
from loopanimate.page.studio import KEEP_SECONDS, Kept, new_file, opened, rendering, sampled, sampling, settings_of
from loopanimate.page.wording import EMPTY, player, problem, sentence, weight
from loopanimate.page.working import told
from loopanimate.presets import ASSETS, MAX_FRAMES, MIN_FRAMES, NATIVE_FPS, PRESETS
from loopanimate.scene.regions import select
from loopanimate.scene.saliency import automatic_mask, edit

PAGE_FOLDER = Path(studio.__file__).parent
HISTORY = 12  # loops of this visit
JOBS = 4 if studio.ON_ZERO else 1  # at a time: ZeroGPU gives each a device, otherwise there is one
FORMATS = {
    "MP4": ".mp4",
    "WebM": ".webm",
    "GIF": ".gif",
    "WebP": ".webp",
    "AVIF": ".avif",
    "APNG": ".png",
    "PNG sequence": ".zip",
    "Living page": ".html",
}
SUGGESTIONS = (
    "it sways gently to the left",
    "it floats up and down slowly",
    "the hair blows in the wind",
    "it rocks back and forth, the background stays still",
    "the water ripples quickly",
    "everything drifts to the right",
    "it breathes",
)


@contextmanager
def in_words():
    """A mistake becomes a message on the page."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(sentence(error), print_exception=False) from None


def detect(path: str | None):
    """Picture file → editor value, note on what was found, the file or a copy that browsers show."""
    if path is None:
        return None, "", gr.skip()
    with in_words():
        picture = canvas.small(opened(path))
    studio.MODELS["mask"].wait()
    mask, found = automatic_mask(picture)
    copy = studio.browsable(path)
    return _editor(picture, mask), wording.MASKED if found else wording.NOT_FOUND, gr.skip() if copy == path else copy


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
        "Unfreeze": lambda: mask,
    }[tool]()
    return _editor(editor["background"], mask, None if tool in ("Clear", "Unfreeze") else freeze)


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
    with in_words():
        return canvas.directions(texts or [])


def _editor(picture: Image.Image, mask: np.ndarray, freeze: np.ndarray | None = None) -> dict:
    return {"background": picture, "layers": [canvas.layer(mask, freeze)], "composite": None}


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
                    find = gr.Button("Find the object again", size="sm")
                    tools = [gr.Button("Clear", size="sm")]
                    undo = gr.Button("Undo", size="sm")
                with gr.Accordion("Change the whole mask, or take it from a file", open=False):
                    with gr.Row(elem_classes="tools"):
                        tools += [
                            gr.Button(name, size="sm")
                            for name in ("Invert", "Grow", "Shrink", "Feather", "Whole picture", "Unfreeze")
                        ]
                    with gr.Row(elem_classes="tools"):
                        mask_in = gr.UploadButton("Upload a mask (white moves)", file_types=["image"], size="sm")
                        mask_out = gr.Button("Download the mask", size="sm")
                with gr.Accordion("Click to select, draw arrows, set pins", open=False) as clicking:
                    tool = gr.Radio(
                        ["Add to the mask", "Take from the mask", "Arrow", "Pin"], value="Arrow", label="A click means"
                    )
                    board = gr.Image(label="Click here", interactive=False, type="pil", format="png", buttons=[])
                    hint = gr.Markdown(wording.CLICKS)
                    directions = gr.Dropdown(
                        [],
                        multiselect=True,
                        allow_custom_value=True,
                        label="Arrows and pins",
                        info="In percent of the picture; × removes one, and you can type them: arrow 20 30 45 30, pin 50 50",
                    )
            with gr.Column():
                prompt = gr.Textbox(label="What should move, and how?", placeholder=SUGGESTIONS[0], max_lines=4)
                with gr.Row(elem_classes="chips"):
                    chips = [gr.Button(text, size="sm") for text in SUGGESTIONS]
                with gr.Row():
                    go = gr.Button("Animate", variant="primary", scale=3)
                    four = gr.Button("Four seeds", scale=1)
                    cancel = gr.Button("Cancel", variant="stop", visible=False)
                live = gr.HTML("", elem_id="living")
                moved, freeze = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden")
                settled, painted = (gr.Button(visible="hidden", elem_id=name) for name in ("settled", "painted"))
                result = gr.HTML(EMPTY, label="Loop")
                choice = gr.Gallery(
                    label="Four seeds: click one to see it in full",
                    columns=4,
                    height=180,
                    visible=False,
                    allow_preview=False,
                    buttons=[],
                    object_fit="cover",
                )
                made = gr.Markdown()
                with gr.Row():
                    file_format = gr.Dropdown(list(FORMATS), value="MP4", label="Format", scale=1, min_width=120)
                    size = gr.Dropdown(
                        ["source", *SIZES], value="source", label="Size", scale=1, min_width=120, allow_custom_value=True
                    )
                    save = gr.Button("Download MP4", interactive=False, scale=2)
                ready = gr.Textbox(visible="hidden")  # the path of a file that is handed out as it is written here
                # mounted whatever is folded, for what is dropped on the page
                dropped = gr.File(visible="hidden", elem_id="restore", file_types=[*ENDINGS, PAGE])
                with gr.Accordion("More", open=False):
                    with gr.Row():
                        seed = gr.Number(0, label="Seed", precision=0, minimum=0)
                        dice = gr.Button("🎲 Another seed")
                    strength = gr.Slider(0, MAX_STRENGTH, 1, step=0.05, label="Motion strength")
                    tempo = gr.Slider(MIN_TEMPO, MAX_TEMPO, 1, step=0.05, label="Tempo")
                    num_frames = gr.Slider(MIN_FRAMES, MAX_FRAMES, MAX_FRAMES, step=2, label="Frames of the model (8 a second)")
                    repeats = gr.Slider(1, 20, 1, step=1, label="Turns in the file")
                    with gr.Row():
                        fps = gr.Dropdown(
                            ["native", "24", "30", "60"], value="30", label="Frames a second", allow_custom_value=True
                        )
                        quality = gr.Dropdown(["wallpaper", "share", "small"], value="wallpaper", label="Quality of a video")
                        largest = gr.Number(0, label="Largest file, MB", minimum=0, info="0: any")
                    fit = gr.Checkbox(False, label="Whole picture within the size, instead of cut to it")
                    av1 = gr.Checkbox(
                        False, label="AV1 in MP4 and WebM: smaller at share and small, with a slight step at the wrap there"
                    )
                    with gr.Row():
                        steps = gr.Slider(0, 50, 0, step=1, label="Sampling steps", info="0: the model's own")
                        guidance = gr.Slider(0, 15, 0, step=0.5, label="Guidance", info="0: the model's own; 1: none")
                    negative = gr.Textbox(label="Keep away from", info="Heard where guidance is not 1")
                    preset = gr.Dropdown(
                        [(f"{name}: {item.needs}", name) for name, item in PRESETS.items()], value="motion", label="Model"
                    )
                    public = studio.OPTIONS["public"]
                    checkpoint = gr.Textbox(
                        None if public else studio.OPTIONS["checkpoint"],
                        label="Checkpoint",
                        info="A folder, or a hub repository (owner/name)",
                        visible=not public,
                    )
                    embed = gr.Checkbox(True, label="Settings and mask travel in the file")
                    picked = gr.UploadButton(
                        "Settings of a finished loop (or drop it on the page)", size="sm", file_types=[*ENDINGS, PAGE]
                    )
                with gr.Accordion("Details", open=False):
                    details = gr.Markdown(wording.UNMEASURED, elem_classes="details")
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
                        gr.HTML(
                            f'<video src="gradio_api/file={html.escape(str(folder / "loop.mp4"))}" loop muted autoplay playsinline '
                            f'aria-label="{html.escape(folder.name)}"></video>'
                        )
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
        outputs = [result, live, made, save, current, freeze, details, history, past, choice, seeds4]

        def showing(shown, past_loops):
            kept = [shown.packed(), *(item for item in past_loops if item.is_kept())][:HISTORY]
            return {
                result: player(shown.file, shown.loop.settings.prompt),
                made: wording.made(shown.file, shown.loop),
                current: shown,
                freeze: studio.as_text(shown.loop.settings.freeze),
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

        def moves(shown, path, *hands):
            """What the living preview needs to move as directed, long before it is rendered."""
            if shown is None or shown.path != path or shown.living is None:
                return ""
            try:
                return studio.moved(studio.directed(shown.loop, *hands))
            except ValueError:
                return ""  # `directed` says what is wrong

        def frozen(value, shown, path, texts, freeze, *others):
            """What is painted to stay, where that is news, and what `moves` says."""
            text = studio.as_text(studio.frozen(value))
            return (gr.skip(), gr.skip()) if text == freeze else (text, moves(shown, path, texts, text, *others))

        def directed(shown, embed, past_loops, path, *hands):
            """The same loop with other directions, frozen places, strength or tempo: rendered, not sampled again."""
            yield {result: gr.skip()}  # a generator that yields nothing would empty every output
            if shown is None or shown.path != path:  # the controls are those of another picture
                return
            try:
                loop = studio.directed(shown.loop, *hands)
                if loop is shown.loop:
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
            try:
                rate = studio.rate(fps)
                settings = replace(
                    shown.loop.settings,
                    size=size or "none",
                    fit=fit,
                    quality=quality,
                    max_size=largest or None,
                    fps=rate,
                    repeats=int(repeats),
                    codec="av1" if av1 and ending in (".mp4", ".webm") else None,
                )
                fitted = Kept(studio.resized(shown, settings))
                for word in fitted:
                    yield {made: "Fitting the motion to the size …"}
                loop = fitted.result
                if ending == ".gif" and rate != "native":  # it cannot hold every rate, and takes its own default
                    loop = replace(loop, settings=replace(settings, fps=None))
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
                ready: str(target),
                made: f"{name}: {wide} x {high}, {file.seconds:.2f} s, {file.frames} frames, {weight(target)}, seed {settings.seed}.",
            }

        def afresh():
            """Nothing of the loop and the directions that belong to another picture."""
            return {
                directions: [],
                tail: None,
                earlier: [],
                board: None,
                hint: wording.CLICKS,
                current: None,
                seeds4: None,
                choice: gr.Gallery(visible=False),
                live: "",
                result: EMPTY,
                made: "",
                details: wording.UNMEASURED,
                save: gr.Button(interactive=False),
            }

        def settings_back(settings: LoopSettings, mask, path):
            """Every control as a loop's settings have it."""
            with in_words():
                small, layer, freeze = studio.painted(settings, mask, path)
            rate = f"{settings.fps:g}" if isinstance(settings.fps, float) else settings.fps or "30"
            given = {
                steps: settings.num_inference_steps or 0,
                guidance: settings.guidance_scale or 0,
                repeats: settings.repeats,
            }
            within = {slider: min(value, slider.maximum) for slider, value in given.items()}
            changes = [
                f"{slider.label} {within[slider]:g}, not {value:g}"
                for slider, value in given.items()
                if value != within[slider]
            ]
            return {
                **afresh(),
                **within,
                picture: path,
                editor: _editor(small, layer, freeze),
                board: canvas.board(small, layer, freeze, settings.arrows, settings.pins),
                prompt: settings.prompt,
                num_frames: settings.num_frames,
                seed: settings.seed,
                strength: settings.motion_strength,
                tempo: settings.tempo,
                negative: settings.negative_prompt,
                preset: settings.preset,
                fps: rate,
                size: settings.size.lower(),
                fit: settings.fit,
                quality: settings.quality,
                largest: settings.max_size or 0,
                av1: settings.codec == "av1",
                directions: canvas.texts(settings.arrows, settings.pins),
                note: wording.restored(mask is None, changes),
            }

        def restored(file, path):
            """A finished loop's own settings."""
            with in_words():
                return settings_back(*studio.recovered(file, path))

        def again(shown):
            """A loop of this visit on the page."""
            page = studio.living(shown.loop)  # as it is directed by now
            return {
                live: wording.living(page, shown.loop),
                result: player(shown.file, shown.loop.settings.prompt),
                made: wording.made(shown.file, shown.loop),
                current: replace(shown, living=page),
                freeze: studio.as_text(shown.loop.settings.freeze),
            }

        def recalled(event: gr.SelectData, kept):
            shown = kept[event.index]
            if not shown.is_kept():
                raise gr.Error(wording.GONE, print_exception=False)
            shown = shown.unpacked()
            back = settings_back(shown.loop.settings, shown.mask, shown.path)
            for control in (quality, largest, av1):  # of a download, not of a loop of this page
                del back[control]
            return {**back, **again(shown), details: wording.details(shown.loop), save: gr.Button(interactive=True)}

        def cancelled(shown):
            """The loop that was there before."""
            if shown is None or not shown.is_kept():
                return {result: wording.CANCELLED, live: ""}
            back = again(shown)
            return {**back, made: f"Cancelled. {back[made]}"}

        def example(folder):
            settings, mask, path = studio.recovered(
                folder / "loop.mp4", next(str(file) for file in folder.iterdir() if file.stem == "picture")
            )
            return {
                **settings_back(settings, mask, path),
                result: player(LoopFile(folder / "loop.mp4", 0, 0, (0, 0)), settings.prompt),
                made: "A finished example. Change anything and press Animate.",
            }

        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        job = {
            "api_visibility": "private",
            "concurrency_id": "device",
            "concurrency_limit": JOBS,
            "show_progress": "minimal",
            "show_progress_on": result,
        }
        seen = {"api_visibility": "private", "show_progress_on": editor}

        fresh = [directions, tail, earlier, board, hint, current, seeds4, choice, live, result, made, details, save]
        for event in (picture.upload, picture.clear):
            event(lambda: {**afresh(), editor: None, note: ""}, None, [*fresh, editor, note], queue=False, **quiet)
        # of two pictures that come soon after each other the last one counts
        found = picture.upload(detect, picture, [editor, note, picture], trigger_mode="always_last", **seen)
        found.then(_board, [editor, directions], board, **quiet)
        sought = find.click(detect, picture, [editor, note, picture], **seen)
        drawn_anew = [
            button.click(
                lambda value, past: [*past[-9:], value["layers"]] if value else past, [editor, earlier], earlier, **quiet
            ).then(lambda value, name=button.value: changed(value, name), editor, editor, **quiet)
            for button in tools
        ]
        drawn_anew.append(undo.click(_undone, [editor, earlier], [editor, earlier], **quiet))
        mask_in.upload(_uploaded, [mask_in, editor], editor, **seen)
        mask_out.click(_saved_mask, [picture, editor], ready, **quiet)
        ready.change(None, ready, None, js="(path) => loopanimate.hand(path)", **quiet)
        clicking.expand(_board, [editor, directions], board, **quiet)
        board.select(
            clicked, [tool, editor, directions, tail], [editor, board, directions, tail, hint], api_visibility="private"
        )
        directions.change(_board, [editor, directions], board, **quiet)
        for chip, text in zip(chips, SUGGESTIONS):
            chip.click(lambda text=text: text, None, prompt, **quiet)
        dice.click(lambda: random.randrange(2**31), None, seed, **quiet)
        file_format.change(lambda name: gr.Button(f"Download {name}"), file_format, save, **quiet)

        by_hands = [picture, directions, freeze, strength, tempo]
        for drawn in (*drawn_anew, found, sought):
            drawn.then(None, js="() => loopanimate.painted(0)", **quiet)
        gr.on(
            [strength.input, tempo.input],
            None,
            [strength, tempo],
            None,
            js="(...values) => loopanimate.slid(...values)",
            **quiet,
        )
        # the editor's own events would send its pictures several times a stroke
        for change in (
            directions.change(moves, [current, *by_hands], moved, **quiet),
            painted.click(frozen, [editor, current, *by_hands], [freeze, moved], **quiet),
        ):
            change.then(None, [moved, strength, tempo], None, js="(...values) => loopanimate.replace(...values)", **quiet)
        told_in_result = (result, wording.working("Waiting for its turn …"), wording.FAILED)
        told_in_made = (made, "Waiting for its turn …", wording.UNWRITTEN)
        runs = [
            ([go.click, prompt.submit], animate_one, [picture, embed, history, *controls], outputs, told_in_result),
            ([four.click], animate_four, [picture, *controls], outputs, told_in_result),
            ([choice.select], choose, [seeds4, embed, history], [*outputs, seed], told_in_result),
            (
                [save.click],
                download,
                [current, file_format, size, fit, quality, largest, av1, fps, repeats, embed],
                [ready, made],
                told_in_made,
            ),
        ]
        jobs = []
        for triggers, function, inputs, changes, (place, waits, failed) in runs:
            name = json.dumps(function.__name__)
            gr.on(triggers, None, None, [cancel, place], js=f"() => loopanimate.begin({name}, {json.dumps(waits)})", **quiet)
            run = gr.on(triggers, function, inputs, changes, **{**job, "show_progress_on": place})
            run.then(None, None, cancel, js=f"() => loopanimate.end({name})", **quiet)
            run.failure(None, None, [cancel, place], js=f"() => loopanimate.failed({name}, {json.dumps(failed)})", **quiet)
            jobs.append(run)
        run = settled.click(directed, [current, embed, history, *by_hands], outputs, **job)
        for ended in (run.then, run.failure):
            ended(None, js="() => loopanimate.rest()", **quiet)
        # in this order: none of them starts before the one above has been answered
        cancel.click(None, None, cancel, js="() => loopanimate.cancelled()", **quiet)
        cancel.click(None, cancels=[*jobs, run], **quiet)
        cancel.click(cancelled, current, [result, live, made, current, freeze], queue=False, **quiet)

        everything = [picture, note, freeze, *{*controls, quality, largest, av1, *fresh} - {checkpoint}]
        taken = dropped.upload(restored, [dropped, picture], everything, **seen)
        for ended in (taken.then, taken.failure):  # room for the next one
            ended(lambda: None, None, dropped, queue=False, **quiet)
        picked.upload(restored, [picked, picture], everything, **seen)
        past.select(recalled, history, everything, **seen)
        for button, folder in zip(picks, examples):
            button.click(lambda folder=folder: example(folder), None, everything, **seen)

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
        hidden.click(
            loop_file,
            [given, words, given_mask, count, number, power, kind, pixels],
            made_file,
            api_name="animate",
            concurrency_id="device",
            concurrency_limit=JOBS,
        )
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
        settings = studio.asked(prompt, num_frames, seed, motion_strength, size)
        pixels = opened(picture)
        layer = None if mask is None else open_mask(mask, pixels.size)
        for _ in studio.loading(settings):
            yield gr.skip()
        for word in sampled(pixels, settings, [settings.seed], layer):
            if isinstance(word, list):
                loop = word[0]
            else:
                yield gr.skip()
        target = new_file(FORMATS[file_format])
        for _ in told(lambda tell: loop.write(target, pack(settings, layer), lambda *done: tell(done))):
            yield gr.skip()
    except ValueError as error:
        raise gr.Error(wording.plain(error), print_exception=False) from None
    yield str(target)


def mask_file(picture):
    """A picture file → its automatic mask as a PNG of the same size, white moves."""
    if picture is None:
        raise gr.Error("expected a picture, got none", print_exception=False)
    studio.MODELS["mask"].wait()
    with in_words():
        mask, _ = automatic_mask(opened(picture))
    return _written(mask)


def _undone(editor, earlier):
    if not earlier or editor is None or editor.get("background") is None:
        return gr.skip(), gr.skip()
    return {"background": editor["background"], "layers": earlier[-1], "composite": None}, earlier[:-1]


def _uploaded(file, editor):
    if editor is None or editor.get("background") is None:
        raise gr.Error("Choose a picture first, then its mask.", print_exception=False)
    with in_words():
        return _editor(editor["background"], open_mask(file, editor["background"].size))


def _saved_mask(path, editor):
    """The file of the mask as it is painted, of the picture's own size."""
    if path is None or editor is None or not editor.get("layers"):
        raise gr.Error("Choose a picture first.", print_exception=False)
    with in_words():
        return _written(canvas.fit(canvas.read(editor["layers"])[0], opened(path).size))


def _written(mask: np.ndarray) -> str:
    target = new_file(".png")
    Image.fromarray((mask * 255).round().astype(np.uint8)).save(target)
    return str(target)


def main() -> None:
    parser = argparse.ArgumentParser(description="LoopAnimate's page.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="a public link, by Gradio")
    parser.add_argument("--checkpoint", help="folder or hub repository of a LoopAnimate checkpoint")
    options = parser.parse_args()
    studio.OPTIONS["checkpoint"] = options.checkpoint
    studio.OPTIONS["public"] |= options.share
    studio.MODELS["motion"] = studio.Warm(pipeline, "motion", options.checkpoint, "auto")
    if studio.ON_ZERO:
        studio.MODELS["motion"].run()  # ZeroGPU wants the model on its device before the first request
    blocks = page()
    blocks.queue(max_size=32)
    blocks.launch(
        server_port=options.port,
        share=options.share,
        allowed_paths=[studio.FILES.name, str(ASSETS / "examples")],
        css=(PAGE_FOLDER / "page.css").read_text(),
        js=(PAGE_FOLDER / "page.js").read_text(),
        footer_links=["api", "gradio", "settings"],
        prevent_thread_lock=True,
    )
    studio.MODELS["mask"].start()
    if not studio.ON_ZERO:
        studio.MODELS["motion"].start()
    blocks.block_thread()


if __name__ == "__main__":
    main()
