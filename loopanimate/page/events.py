"""What happens on the page: which event calls what, and what is called.

A function takes the values that its event reads, by widget, and returns (or yields) what changes, by widget.
"""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps

import gradio as gr
import numpy as np

from loopanimate.files.formats import FORMATS
from loopanimate.files.pictures import open_mask
from loopanimate.files.recipe import Parts
from loopanimate.loop import Loop, LoopFile
from loopanimate.page import text
from loopanimate.page.bindings import bind, read, show
from loopanimate.page.canvas import TOOLS, Painting, fit, is_same_freeze, is_same_mask, shrink, shrink_mask, write_directions
from loopanimate.page.jobs import ON_ZERO, Server, Shown, direct, move, open_cached
from loopanimate.page.layout import Layout
from loopanimate.page.work import relay
from loopanimate.presets import MAX_FRAMES, NATIVE_FPS
from loopanimate.scene.plan import names, painted
from loopanimate.scene.regions import select
from loopanimate.settings import Settings, make_settings
from loopanimate.staging import Note, note_of
from loopanimate.words.clauses import read_clauses

SLIDERS = ("motion_strength", "tempo", "effect_strength")  # of hands, in the order that page.js takes them
HISTORY = 12  # loops of this visit
UNDO = 10  # tools that can be undone
QUIET = {"api_visibility": "private", "show_progress": "hidden"}
DEVICE = {"concurrency_id": "device", "concurrency_limit": 4 if ON_ZERO else 1}  # ZeroGPU gives each job a device
NAMED = {form.name: form for form in FORMATS}


@contextmanager
def in_words(say: Callable = text.sentence):
    """A mistake becomes a message on the page."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(say(error), print_exception=False) from None


class Page(Layout):
    """The widgets and what they do."""

    def __init__(self, server: Server):
        super().__init__(server)
        self.bindings = bind(self.controls)
        states = [self.current, self.four_loops, self.history, self.controls["hands.freeze"], self.controls["request.seed"]]
        self.of_loop = [
            self.live,
            self.result,
            self.choice,
            self.understood,
            self.made,
            self.save,
            self.details,
            self.past,
            self.cancel,
            *states,
        ]
        mask = [self.picture, self.editor, self.automatic, self.note, self.board, self.hint, self.tail, self.earlier]
        mask += [self.chosen, self.parts]
        self.everything = [*{*self.controls.values(), *mask, *self.of_loop}]  # all that a function may change
        self.wire_mask()
        self.wire_hands()
        self.wire_jobs()
        self.wire_settings()
        self.wire_programs()

    def holding(self, *groups: str) -> set:
        """The controls of groups of settings."""
        return {control for setting, control in self.controls.items() if setting.startswith(groups)}

    def listen(self, events, function: Callable, reads: set | None, **options):
        """Call a function at an event, or at any of a list of events; its mistakes become messages on the page."""
        on = partial(gr.on, events) if isinstance(events, list) else events
        return on(in_words()(function), reads, self.everything, **{"api_visibility": "private", **options})

    # --- the picture and its mask

    def wire_mask(self) -> None:
        seen, quiet = partial(self.listen, show_progress_on=self.editor), partial(self.listen, show_progress="hidden")
        painting, changes = {self.editor, self.controls["hands.arrows"]}, {self.editor, self.earlier}
        quiet([self.picture.upload, self.picture.clear], self.clear_picture, None, queue=False)
        # of two pictures that come soon after each other the last one counts
        # the picture as it came, as Gradio opens it itself otherwise, and answers a bad one without a sentence
        found = seen(self.picture.upload, self.find_object, {self.picture}, trigger_mode="always_last", preprocess=False)
        sought = seen(self.find.click, self.find_object, {self.picture}, preprocess=False)
        changed = quiet([tool.click for tool in self.tools], self.change_mask, changes)
        for drawn in (found, sought, changed, quiet(self.undo.click, self.undo_change, changes)):
            drawn.then(None, js="() => loopanimate.paint(0)", **QUIET)
        quiet(found.then, self.draw_board, painting)
        quiet(self.clicking.expand, self.draw_board, painting)
        self.listen(self.board.select, self.click, {self.click_means, self.tail, *painting})
        named = {self.picture, self.editor, self.current, self.automatic, self.chosen, self.parts}
        seen(self.live.chosen, self.choose_thing, named).then(self.draw_board, painting, [self.board], **QUIET)
        seen(self.mask_in.upload, self.open_mask, {self.mask_in, self.editor})
        quiet(self.mask_out.click, self.save_mask, {self.picture, self.editor})

    def clear_picture(self) -> dict:
        return {**self.start_afresh(), self.editor: None, self.note: ""}

    def start_afresh(self) -> dict:
        """Nothing of the loop and the directions that belong to another picture."""
        mask = {
            self.tail: None,
            self.earlier: [],
            self.automatic: None,
            self.chosen: None,
            self.parts: {},
            self.board: None,
            self.hint: text.CLICKS,
            self.controls["hands.arrows"]: [],
        }
        loop = {
            self.current: None,
            self.live: "",
            self.result: text.EMPTY,
            self.understood: "",
            self.made: "",
            self.details: text.UNMEASURED,
        }
        four = {self.four_loops: None, self.choice: gr.Gallery(visible=False)}
        return {**mask, self.controls["hands.freeze"]: None, **loop, **four, self.save: gr.Button(interactive=False)}

    def find_object(self, values: dict) -> dict:
        if values[self.picture] is None:
            return {self.editor: None, self.note: ""}
        path = values[self.picture]["path"]
        try:
            small = shrink(open_cached(path))
        except ValueError as error:
            return {self.picture: None, self.editor: None, self.note: text.say(error)}
        (mask, found), copy = self.server.find_mask(small), self.server.to_browsable(path)
        return {
            self.editor: Painting(small, mask).editor(),
            self.automatic: mask,
            self.note: text.MASKED if found else text.NOT_FOUND,
            self.picture: gr.skip() if copy == path else copy,
        }

    def read_painting(self, values: dict) -> Painting:
        painting = Painting.read(values[self.editor])
        if painting is None:
            raise ValueError(text.NO_PICTURE)
        return painting

    def choose_thing(self, values: dict, event: gr.EventData):
        """Give the editor the mask of a thing that the sentence names, to be mended; chosen again, what moves as a whole."""
        shown = self.get_shown(values)
        if shown is None:
            raise ValueError(text.GONE)
        painting, parts = self.read_painting(values), self.read_parts(values)
        if values[self.chosen] is None and shown.mask is not None:  # which was of what moves first
            parts = {
                **painted(read_clauses(shown.loop.settings.request.prompt), fit(shown.mask, painting.picture.size), ()),
                **parts,
            }
        thing = event.thing if event.thing != values[self.chosen] else None
        if thing is None:
            mask, note = self.server.find_mask(painting.picture)[0], text.MASKED
        else:
            found = next((note.place for note in shown.loop.notes if note.thing == thing), None)
            mask = parts.get(thing, np.zeros(painting.mask.shape, np.float32) if found is None else found / np.float32(255))
            mask, note = fit(mask, painting.picture.size), text.mending(thing)
        drawn = replace(painting, mask=mask).editor()
        return {
            self.editor: drawn,
            self.automatic: mask,
            self.chosen: thing,
            self.parts: parts,
            self.note: note,
            self.earlier: [],
        }

    def read_parts(self, values: dict) -> dict:
        """The masks that were painted for things that the sentence names, with the one that is in the editor."""
        painting, chosen = Painting.read(values[self.editor]), values[self.chosen]
        if painting is None or chosen is None or is_same_mask(painting.mask, values[self.automatic]):
            return values[self.parts]
        return {**values[self.parts], chosen: painting.mask}

    def change_mask(self, values: dict, event: gr.EventData) -> dict:
        """Change the whole mask by one of the tools."""
        tool, painting = event.target.value, self.read_painting(values)
        freeze = None if tool in ("Clear", "Unfreeze") else painting.freeze
        changed = replace(painting, mask=TOOLS[tool](painting.mask), freeze=freeze)
        earlier = [*values[self.earlier][1 - UNDO :], values[self.editor]["layers"]]
        return {self.editor: changed.editor(), self.earlier: earlier}

    def undo_change(self, values: dict):
        earlier = values[self.earlier]
        if not earlier:
            return gr.skip()
        return {self.editor: {**values[self.editor], "layers": earlier[-1], "composite": None}, self.earlier: earlier[:-1]}

    def draw_board(self, values: dict) -> dict:
        painting = Painting.read(values[self.editor])
        return {self.board: painting and painting.board(values[self.controls["hands.arrows"]])}

    def click(self, values: dict, event: gr.SelectData) -> dict:
        """Change the mask, set a pin, or begin or end an arrow, where the board is clicked."""
        painting, means, directions = self.read_painting(values), values[self.click_means], self.controls["hands.arrows"]
        point = tuple(place / side for place, side in zip(event.index, painting.picture.size))
        texts, tail, changes = values[directions], values[self.tail], {self.tail: None, self.hint: ""}
        if means.endswith("mask"):
            region, mask = select(painting.picture, *point), painting.mask
            mask = np.maximum(mask, region) if means.startswith("Add") else np.minimum(mask, 1 - region)
            painting = replace(painting, mask=mask)
            changes[self.editor] = painting.editor()
        elif means == "Pin":
            texts = [*texts, *write_directions("pin", [point])]
        elif tail is None:
            changes = {self.tail: point, self.hint: text.HEAD}
        else:
            texts = [*texts, *write_directions("arrow", [(*tail, *point)])]
            changes[self.hint] = text.DIRECTED
        return {**changes, directions: texts, self.board: painting.board(texts, changes[self.tail])}

    def open_mask(self, values: dict) -> dict:
        picture = self.read_painting(values).picture
        return {self.editor: Painting(picture, open_mask(values[self.mask_in], picture.size, gr.Info)).editor()}

    def save_mask(self, values: dict) -> dict:
        """Hand out the mask as it is painted, at the picture's own size."""
        mask = fit(self.read_painting(values).mask, open_cached(values[self.picture]).size)
        return {self.live: gr.HTML(file=self.server.save_mask(mask))}

    # --- hands change a finished loop: the living preview moves at once, the video follows when they rest

    def wire_hands(self) -> None:
        for chip in self.chips:
            chip.click(lambda words=chip.value: words, None, self.controls["request.prompt"], **QUIET)
        self.dice.click(lambda: random.randrange(2**31), None, self.controls["request.seed"], **QUIET)
        self.file_format.change(lambda name: gr.Button(f"Download {name}"), self.file_format, self.save, **QUIET)
        sliders = [self.controls[f"hands.{name}"] for name in SLIDERS]
        slide = "(...values) => loopanimate.slide(...values)"
        gr.on([slider.input for slider in sliders], None, sliders, None, js=slide, **QUIET)
        painted = {self.current, self.picture, self.editor, *self.holding("hands.")}
        quiet = partial(self.listen, show_progress="hidden")
        quiet(self.controls["hands.arrows"].change, self.follow_directions, painted)
        quiet(self.controls["hands.added_effects"].input, self.move, painted)
        # the editor's own events would send its pictures several times a stroke
        quiet(self.live.painted, self.follow_brush, painted, trigger_mode="always_last")

    def get_shown(self, values: dict) -> Shown | None:
        """The loop on the page, if its picture is there too: otherwise the controls are those of another picture."""
        shown = values[self.current]
        return shown if shown is not None and shown.path == values[self.picture] else None

    def change_settings(self, shown: Shown, values: dict, *groups: str) -> Settings:
        """A loop's settings, with these groups as the controls have them now."""
        bindings = [binding for binding in self.bindings if binding.setting.startswith(groups)]
        return shown.loop.settings.change(**read(bindings, values))

    def follow_directions(self, values: dict) -> dict:
        return {**self.draw_board(values), **self.move(values)}

    def follow_brush(self, values: dict):
        """Take over what is painted to stay, where that is news."""
        painting, freeze = Painting.read(values[self.editor]), self.controls["hands.freeze"]
        painted = painting and painting.freeze_png()
        if is_same_freeze(painted, values[freeze]):
            return gr.skip()
        return {freeze: painted, **self.move({**values, freeze: painted})}

    def move(self, values: dict) -> dict:
        """Hand the living preview its motion by these hands, long before that is rendered."""
        shown, motion = self.get_shown(values), None
        if shown is None:
            return {}
        try:
            motion = move(direct(shown.loop, self.change_settings(shown, values, "hands.")))
        except ValueError:
            pass  # `redirect` says what is wrong
        sliders = {name: values[self.controls[f"hands.{name}"]] for name in SLIDERS}
        # with the time it is news to the page, even where a motion comes again
        return {self.live: gr.HTML(motion={"time": time.monotonic_ns(), "motion": motion, **sliders})}

    # --- jobs

    def wire_jobs(self) -> None:
        in_result = self.result, text.problem, text.working(text.WAITING), text.FAILED
        in_made = self.made, text.say, text.WAITING, text.UNWRITTEN
        kept, hands = {self.embed, self.history}, {self.current, self.picture, *self.holding("hands.")}
        masks = {self.editor, self.automatic, self.chosen, self.parts}
        asked = {self.picture, self.checkpoint, self.regions_model, *masks, *self.holding(""), *kept}
        written = {self.file_format, self.embed, self.checkpoint, *self.holding("output."), *hands}
        begin = partial(gr.on, [self.go.click, self.controls["request.prompt"].submit])
        runs = [
            self.run(begin, self.animate_one, asked, *in_result),
            self.run(self.four.click, self.animate_four, asked, *in_result),
            self.run(self.choice.select, self.choose, {self.four_loops, *kept}, *in_result),
            self.run(self.save.click, self.download, written, *in_made),
            self.run(self.live.settled, self.redirect, {*hands, *kept}, self.result, text.problem),
        ]
        self.cancel.click(None, None, self.cancel, js="() => loopanimate.cancel()", **QUIET)
        self.cancel.click(None, cancels=runs, **QUIET)
        self.listen(self.live.cancelled, self.bring_back, {self.current}, queue=False, show_progress="hidden")

    def run(self, on: Callable, job: Callable, reads: set, place, say: Callable, waiting: str = "", failed: str = ""):
        """Run a job that can be cancelled. That it waits, that it failed, or what its mistake is, is said in its place."""

        @wraps(job)
        def work(*values):
            yield {place: gr.skip()}  # a generator that yields nothing would empty what it may change
            try:
                yield from job(*values)
            except ValueError as error:
                yield {place: say(error)}

        name = json.dumps(job.__name__)
        if waiting:
            on(None, None, place, js=f"() => loopanimate.begin({name}, {json.dumps(waiting)})", **QUIET)
        seen = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": place}
        # the newest hands count, even those that moved while a loop was rendered
        run = on(work, reads, self.of_loop, trigger_mode="once" if waiting else "always_last", **DEVICE, **seen)
        run.then(None, js=f"() => loopanimate.end({name})", **QUIET)
        run.failure(None, None, place, js=f"() => loopanimate.fail({name}, {json.dumps(failed)})", **QUIET)
        return run

    def tell(self, place, words: Iterator) -> Iterator:
        """Say in its place how work goes; return what it returns."""
        return relay(words, lambda word: {place: gr.skip() if word is None else word})

    def animate_one(self, values: dict):
        """Picture and controls → the loop."""
        yield {self.choice: gr.Gallery(visible=False)}
        mask, parts, (loop,) = yield from self.sample(values, 1)
        yield from self.render(loop, values[self.picture], mask, parts, values)

    def animate_four(self, values: dict):
        """Four seeds, as small moving pictures."""
        mask, parts, loops = yield from self.sample(values, 4)
        pictures = [(self.server.save_glimpse(loop, 2 * NATIVE_FPS), f"seed {loop.settings.request.seed}") for loop in loops]
        choice = gr.Gallery(pictures, visible=True, selected_index=None)
        yield {self.choice: choice, self.four_loops: (values[self.picture], mask, parts, loops), self.result: text.FOUR}

    def sample(self, values: dict, count: int):
        """Return the painted mask, those of things, and loops of that many seeds as the controls have it."""
        if values[self.picture] is None:
            raise ValueError(text.NO_PICTURE)
        painting = Painting.read(values[self.editor])
        machine = self.server.choose(checkpoint=values[self.checkpoint], regions_model=values[self.regions_model])
        mask, freeze = painting and painting.mask, painting and painting.freeze_png()
        if values[self.chosen] or mask is not None and is_same_mask(mask, values[self.automatic]):
            mask = None  # nobody painted what moves as a whole: the words say it
        settings = make_settings(**read(self.bindings, {**values, self.controls["hands.freeze"]: freeze}))
        named = names(read_clauses(settings.request.prompt))
        parts = [(thing, own) for thing, own in self.read_parts(values).items() if thing in named]
        sampling = self.server.sample_loops(values[self.picture], settings, count, mask, machine, parts)
        loops = yield from self.tell(self.result, sampling)
        found = any(note.place is not None for note in loops[0].notes)
        if mask is None and loops[0].masks and not found:  # the object that was found, not what words name
            mask = shrink_mask(loops[0].mask)
        return mask, parts, loops

    def choose(self, values: dict, event: gr.SelectData):
        """One of the four seeds in full."""
        if values[self.four_loops] is None:
            raise ValueError(text.GONE)
        path, mask, parts, loops = values[self.four_loops]
        yield from self.render(loops[event.index], path, mask, parts, values)
        yield {self.controls["request.seed"]: loops[event.index].settings.request.seed}

    def redirect(self, values: dict):
        """The same loop by other hands: rendered, not sampled again."""
        shown = self.get_shown(values)
        if shown is not None:
            loop = direct(shown.loop, self.change_settings(shown, values, "hands."))
            if loop.settings == shown.loop.settings:  # hands went back to where they were
                yield {self.result: text.play(shown.file.path, loop.settings.request.prompt)}
            else:
                yield from self.render(loop, shown.path, shown.mask, shown.parts, values, shown.living)

    def render(
        self, loop: Loop, path: str, mask: np.ndarray | None, parts: Parts, values: dict, living: LoopFile | None = None
    ):
        """The one road of a loop onto the page. living: its living page, if there is one already."""
        if living is None and (living := self.server.write_living(loop)):
            yield {self.live: text.live(living, loop), self.result: text.working("Rendering", 0.0, lives=True)}
        shown = yield from self.tell(self.result, self.server.render(loop, path, mask, parts, values[self.embed], living))
        kept = [shown.pack(), *(earlier for earlier in values[self.history] if earlier.is_kept())][:HISTORY]
        yield {**self.display(shown), self.history: kept, self.past: [(item.thumbnail, item.caption()) for item in kept]}

    def display(self, shown: Shown) -> dict:
        return {
            self.result: text.play(shown.file.path, shown.loop.settings.request.prompt),
            self.made: text.made(shown.file, shown.loop),
            self.understood: text.understood(shown.loop),
            self.details: shown.details,
            self.current: shown,
            self.controls["hands.freeze"]: shown.loop.settings.hands.freeze,
            self.save: gr.Button(interactive=True),
        }

    def download(self, values: dict):
        """The loop on the page as a file: of the format, size and rate, and by the hands, that the controls have now."""
        shown, form = values[self.current], NAMED[values[self.file_format]]
        machine = self.server.choose(checkpoint=values[self.checkpoint])
        if shown is None:
            raise ValueError(text.GONE)
        settings = self.change_settings(shown, values, "output.", *(["hands."] if self.get_shown(values) else []))
        writing = self.server.write(shown, settings, form, values[self.embed], machine)
        file = yield from self.tell(self.made, writing)
        yield {self.live: gr.HTML(file=str(file.path)), self.made: f"{form.name}: {text.describe(file, settings.request.seed)}"}

    def bring_back(self, values: dict) -> dict:
        """The loop that was there before what was cancelled."""
        shown, idle = values[self.current], {self.cancel: "Cancel"}
        if shown is None or not shown.is_kept():
            return {self.result: text.CANCELLED, self.live: "", **idle}
        return {**self.reopen(shown), self.made: f"Cancelled. {text.made(shown.file, shown.loop)}", **idle}

    def reopen(self, shown: Shown) -> dict:
        living = self.server.write_living(shown.loop)  # by the hands of now
        return {**self.display(replace(shown, living=living)), self.live: text.live(living, shown.loop)}

    # --- settings that come back

    def wire_settings(self) -> None:
        seen, files = partial(self.listen, show_progress_on=self.editor), {self.dropped, self.picked, self.picture}
        taken = seen([self.dropped.upload, self.picked.upload], self.restore, files)
        for ended in (taken.then, taken.failure):  # room for the next one
            ended(lambda: None, None, self.dropped, queue=False, **QUIET)
        seen(self.past.select, self.recall, {self.history})
        seen([example.click for example in self.examples], self.show_example, None)

    def show_settings(self, settings: Settings, mask: np.ndarray | None, path: str, parts: Parts = ()) -> dict:
        """All controls as a loop's settings have them."""
        painting, (values, changes) = self.server.repaint(settings, mask, path), show(self.bindings, settings)
        board = painting.board(values[self.controls["hands.arrows"]])
        shown = {self.picture: path, self.editor: painting.editor(), self.board: board}
        if mask is None:  # found again, not painted: the words say what moves
            shown[self.automatic] = painting.mask
        return {
            **self.start_afresh(),
            **values,
            **shown,
            self.parts: dict(parts),
            self.note: text.restored(mask is None, changes),
        }

    def restore(self, values: dict, event: gr.EventData) -> dict:
        """The settings of a finished loop's file."""
        return self.show_settings(*self.server.restore(values[event.target], values[self.picture]))

    def recall(self, values: dict, event: gr.SelectData) -> dict:
        """A loop of this visit, with all its settings."""
        shown = values[self.history][event.index]
        if not shown.is_kept():
            raise ValueError(text.GONE)
        shown = shown.unpack()
        return {**self.show_settings(shown.loop.settings, shown.mask, shown.path, shown.parts), **self.reopen(shown)}

    def show_example(self, event: gr.EventData) -> dict:
        folder = self.examples[event.target]
        settings, mask, path, parts = self.server.restore(folder / "loop.mp4", str(next(folder.glob("picture.*"))))
        loop = {self.result: text.play(folder / "loop.mp4", settings.request.prompt), self.made: text.EXAMPLE}
        return {**self.show_settings(settings, mask, path, parts), **loop}

    # --- what programs call

    def wire_programs(self) -> None:
        with gr.Row(visible=False):  # not gr.api, which takes any path of this machine for a file that a program gives
            picture, mask, prompt = gr.File(label="picture"), gr.File(label="mask"), gr.Textbox("", label="prompt")
            num_frames, seed = gr.Number(MAX_FRAMES, label="num_frames"), gr.Number(0, label="seed")
            strength, size = gr.Number(1, label="motion_strength"), gr.Textbox("source", label="size")
            file_format = gr.Textbox("MP4", label="file_format")
            things, masks = gr.JSON([], label="things"), gr.File([], label="masks", file_count="multiple")
            effects, effect_strength = gr.JSON([], label="effects"), gr.Number(1, label="effect_strength")
            loop_file, mask_file, call = gr.File(label="loop"), gr.File(label="mask"), gr.Button()
            notes, places = gr.JSON(label="notes"), gr.File(label="places", file_count="multiple")
        reads = [picture, prompt, mask, num_frames, seed, strength, file_format, size, things, masks]
        reads += [effects, effect_strength]
        call.click(self.write_loop, reads, [loop_file, notes, places], api_name="animate", **DEVICE)
        call.click(self.write_mask, [picture, prompt], [mask_file, notes, places], api_name="mask")

    def write_loop(
        self,
        picture,
        prompt,
        mask,
        num_frames,
        seed,
        motion_strength,
        file_format,
        size,
        things,
        masks,
        effects,
        effect_strength,
    ):
        """A picture file and a sentence → the loop as a file, and what `write_mask` says of the sentence.

        Without a mask what the sentence names moves, or the salient object. things: names such as "the left boat", which
        the masks are of, in their order. effects: light and weather besides what the sentence says, such as "snow=0.5".
        """
        given = {"num_frames": num_frames, "seed": seed, "motion_strength": motion_strength, "size": size or "nothing"}
        given["effect_strength"] = effect_strength
        with in_words(text.plain):
            if file_format not in NAMED:
                raise ValueError(f"expected a format out of {', '.join(NAMED)}, got {file_format}")
            if picture is None:
                raise ValueError("expected a picture, got none")
            if not isinstance(effects or [], list) or not all(isinstance(each, str) for each in effects or []):
                raise ValueError(f"expected a list of effects, got {effects!r}")
            given["added_effects"] = tuple((each,) for each in effects or [])
            settings, machine = make_settings(prompt=prompt or "", **given), self.server.machine
            things, masks, own_size = things or [], masks or [], open_cached(picture).size
            if not isinstance(things, list) or len(things) != len(masks) or not all(isinstance(each, str) for each in things):
                raise ValueError(f"expected a list of as many things as masks, got {things!r} and {len(masks)} masks")
            parts = [(thing, open_mask(path, own_size)) for thing, path in zip(things, masks)]
            layer = None if mask is None else open_mask(mask, own_size)
            sampling = self.server.sample_loops(picture, settings, 1, layer, machine, parts)
            (loop,) = yield from relay(sampling, lambda _: gr.skip())
            shown = Shown(picture, layer, loop, parts)
            file = yield from relay(self.server.write(shown, settings, NAMED[file_format], True, machine), lambda _: gr.skip())
        places = [None if note.place is None else note.place / np.float32(255) for note in loop.notes]
        yield str(file.path), *self.list_places(loop.notes, places, own_size)

    def write_mask(self, picture, prompt):
        """A picture file → its automatic mask as a PNG of the same size, white moves; with a sentence also what that names.

        Returns: the mask; for each clause its thing, what is said of it, the place of its mask in the list of files or null,
        and whether somebody should look at that mask; the files, PNGs of the picture's size.
        """
        with in_words(text.plain):
            if picture is None:
                raise ValueError("expected a picture, got none")
            opened = open_cached(picture)
            found = self.server.find_things(opened, prompt) if prompt else []
            places = [outcome.region and outcome.region.mask for outcome in found]
            mask = self.server.save_mask(self.server.find_mask(opened)[0])
            return mask, *self.list_places(map(note_of, found), places, opened.size)

    def list_places(self, notes: Iterable[Note], places: list, size: tuple[int, int]) -> tuple[list[dict], list[str]]:
        said, files = [], []
        for note, place in zip(notes, places):
            where = None if place is None else len(files)
            said.append({"thing": note.thing, "said": note.said, "place": where, "unsure": note.unsure})
            if place is not None:
                files.append(self.server.save_mask(fit(place, size)))
        return said, files
