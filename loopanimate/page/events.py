"""What happens on the page: which event calls what, and what is called.

A function takes the values that its event reads, by widget, and returns (or yields) what changes, by widget.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial, wraps

import gradio as gr
import numpy as np

from loopanimate.files.media import open_mask
from loopanimate.loop import Loop, LoopFile
from loopanimate.page import text
from loopanimate.page.bindings import bind, read, show
from loopanimate.page.canvas import Painting, fit, is_same_freeze, shrink, write_directions
from loopanimate.page.jobs import FORMATS, ON_ZERO, Server, Shown, direct, move, open_cached
from loopanimate.page.layout import Widgets
from loopanimate.page.work import relay
from loopanimate.presets import ASSETS, MAX_FRAMES, NATIVE_FPS
from loopanimate.scene.saliency import edit, select
from loopanimate.settings import Settings, make_settings

HISTORY = 12  # loops of this visit
UNDO = 10  # tools that can be undone
QUIET = {"api_visibility": "private", "show_progress": "hidden"}
DEVICE = {"concurrency_id": "device", "concurrency_limit": 4 if ON_ZERO else 1}  # ZeroGPU gives each job a device
CHANGES = {
    "Invert": lambda mask: 1 - mask,
    "Grow": lambda mask: edit(mask, grow=1),
    "Shrink": lambda mask: edit(mask, grow=-1),
    "Feather": lambda mask: edit(mask, feather=1),
    "Whole picture": np.ones_like,
    "Clear": np.zeros_like,
    "Unfreeze": lambda mask: mask,
}


@contextmanager
def in_words():
    """A mistake becomes a message on the page."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(text.sentence(error), print_exception=False) from None


@dataclass(frozen=True)
class Page(Widgets):
    """The widgets and what they do."""

    server: Server

    @cached_property
    def bindings(self):
        return bind(self.controls)

    @cached_property
    def hands(self) -> set:
        """What the hands are read from, and whose loop they change."""
        names = ("arrows", "freeze", "motion_strength", "tempo")
        return {self.current, self.picture, *(self.controls[f"hands.{name}"] for name in names)}

    @cached_property
    def everything(self) -> list:
        """All that a function may change."""
        mask = (self.picture, self.editor, self.note, self.board, self.hint, self.tail, self.earlier)
        loop = (self.live, self.result, self.choice, self.made, self.save, self.details, self.past)
        return [*{*self.controls.values()}, *mask, *loop, self.current, self.four_loops, self.history]

    def wire(self) -> None:
        self.wire_mask()
        self.wire_hands()
        self.wire_jobs()
        self.wire_settings()
        self.wire_programs()

    # --- the picture and its mask

    def wire_mask(self) -> None:
        seen = {"outputs": self.everything, "api_visibility": "private", "show_progress_on": self.editor}
        quiet, painting = {"outputs": self.everything, **QUIET}, {self.editor, self.controls["hands.arrows"]}
        gr.on([self.picture.upload, self.picture.clear], self.clear_picture, None, queue=False, **quiet)
        # of two pictures that come soon after each other the last one counts
        found = self.picture.upload(self.find_object, {self.picture}, trigger_mode="always_last", **seen)
        sought = self.find.click(self.find_object, {self.picture}, **seen)
        changed = gr.on([tool.click for tool in self.tools], self.change_mask, {self.editor, self.earlier}, **quiet)
        undone = self.undo.click(self.undo_change, {self.editor, self.earlier}, **quiet)
        for drawn in (found, sought, changed, undone):
            drawn.then(None, js="() => loopanimate.paint(0)", **QUIET)
        found.then(self.draw_board, painting, **quiet)
        self.clicking.expand(self.draw_board, painting, **quiet)
        self.board.select(self.click, {self.click_means, self.tail, *painting}, self.everything, api_visibility="private")
        self.mask_in.upload(self.open_mask, {self.mask_in, self.editor}, **seen)
        self.mask_out.click(self.save_mask, {self.picture, self.editor}, **quiet)

    def clear_picture(self) -> dict:
        return {**self.start_afresh(), self.editor: None, self.note: ""}

    def start_afresh(self) -> dict:
        """Nothing of the loop and the directions that belong to another picture."""
        mask = {self.tail: None, self.earlier: [], self.board: None, self.hint: text.CLICKS, self.controls["hands.arrows"]: []}
        loop = {self.current: None, self.live: "", self.result: text.EMPTY, self.made: "", self.details: text.UNMEASURED}
        four = {self.four_loops: None, self.choice: gr.Gallery(visible=False)}
        return {**mask, self.controls["hands.freeze"]: None, **loop, **four, self.save: gr.Button(interactive=False)}

    def find_object(self, values: dict) -> dict:
        path = values[self.picture]
        if path is None:
            return {self.editor: None, self.note: ""}
        with in_words():
            small = shrink(open_cached(path))
        (mask, found), copy = self.server.find_mask(small), self.server.to_browsable(path)
        return {
            self.editor: Painting(small, mask).editor(),
            self.note: text.MASKED if found else text.NOT_FOUND,
            self.picture: gr.skip() if copy == path else copy,
        }

    def change_mask(self, values: dict, event: gr.EventData):
        """Change the whole mask by one of the tools."""
        tool, editor = event.target.value, values[self.editor]
        painting = Painting.read(editor)
        if painting is None:
            return gr.skip()
        freeze = None if tool in ("Clear", "Unfreeze") else painting.freeze
        changed = replace(painting, mask=CHANGES[tool](painting.mask), freeze=freeze)
        return {self.editor: changed.editor(), self.earlier: [*values[self.earlier][1 - UNDO :], editor["layers"]]}

    def undo_change(self, values: dict):
        earlier, editor = values[self.earlier], values[self.editor]
        if not earlier or Painting.read(editor) is None:
            return gr.skip()
        return {self.editor: {**editor, "layers": earlier[-1], "composite": None}, self.earlier: earlier[:-1]}

    def draw_board(self, values: dict) -> dict:
        painting = Painting.read(values[self.editor])
        with in_words():
            return {self.board: painting and painting.board(values[self.controls["hands.arrows"]])}

    def click(self, values: dict, event: gr.SelectData) -> dict:
        """Change the mask, set a pin, or begin or end an arrow, where the board is clicked."""
        painting, means, directions = (
            Painting.read(values[self.editor]),
            values[self.click_means],
            self.controls["hands.arrows"],
        )
        if painting is None:
            return {self.hint: text.NO_PICTURE}
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
        with in_words():
            return {**changes, directions: texts, self.board: painting.board(texts, changes[self.tail])}

    def open_mask(self, values: dict) -> dict:
        painting = Painting.read(values[self.editor])
        if painting is None:
            raise gr.Error(text.NO_PICTURE_YET, print_exception=False)
        with in_words():
            return {self.editor: Painting(painting.picture, open_mask(values[self.mask_in], painting.picture.size)).editor()}

    def save_mask(self, values: dict) -> dict:
        """Hand out the mask as it is painted, at the picture's own size."""
        path, painting = values[self.picture], Painting.read(values[self.editor])
        if path is None or painting is None:
            raise gr.Error(text.NO_PICTURE, print_exception=False)
        with in_words():
            return {self.live: gr.HTML(file=self.server.save_mask(fit(painting.mask, open_cached(path).size)))}

    # --- hands change a finished loop: the living preview moves at once, the video follows when they rest

    def wire_hands(self) -> None:
        prompt, sliders = (
            self.controls["request.prompt"],
            [self.controls[f"hands.{name}"] for name in ("motion_strength", "tempo")],
        )
        for chip in self.chips:
            chip.click(lambda words=chip.value: words, None, prompt, **QUIET)
        self.dice.click(lambda: random.randrange(2**31), None, self.controls["request.seed"], **QUIET)
        self.file_format.change(lambda name: gr.Button(f"Download {name}"), self.file_format, self.save, **QUIET)
        slid = "(...values) => loopanimate.slide(...values)"
        gr.on([slider.input for slider in sliders], None, sliders, None, js=slid, **QUIET)
        painted = {*self.hands, self.editor}
        self.controls["hands.arrows"].change(self.follow_directions, painted, self.everything, **QUIET)
        # the editor's own events would send its pictures several times a stroke
        self.live.painted(self.follow_brush, painted, self.everything, trigger_mode="always_last", **QUIET)

    def get_shown(self, values: dict) -> Shown | None:
        """The loop on the page, if its picture is there too: otherwise the controls are those of another picture."""
        shown = values[self.current]
        return shown if shown is not None and shown.path == values[self.picture] else None

    def change_settings(self, shown: Shown, values: dict, *groups: str) -> Settings:
        """A loop's settings, those of these groups as the controls have them now."""
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
        sliders = {name: values[self.controls[f"hands.{name}"]] for name in ("motion_strength", "tempo")}
        # with the time it is news to the page, even where a motion comes again
        return {self.live: gr.HTML(motion={"time": time.monotonic_ns(), "motion": motion, **sliders})}

    # --- jobs

    def wire_jobs(self) -> None:
        in_result = self.result, text.problem, text.working(text.WAITING), text.FAILED
        in_made = self.made, text.say, text.busy(text.WAITING), text.UNWRITTEN
        begun = {*self.controls.values(), self.picture, self.editor, self.checkpoint, self.embed, self.history}
        chosen = {self.four_loops, self.embed, self.history}
        output = {control for setting, control in self.controls.items() if setting.startswith("output.")}
        written = {*self.hands, *output, self.file_format, self.embed, self.checkpoint}
        runs = [
            self.run(partial(gr.on, [self.go.click, self.controls["request.prompt"].submit]), self.animate, begun, *in_result),
            self.run(self.four.click, self.animate_four, begun, *in_result),
            self.run(self.choice.select, self.choose, chosen, *in_result),
            self.run(self.save.click, self.download, written, *in_made),
            self.run(self.live.settled, self.redirect, {*self.hands, self.embed, self.history}, *in_result[:2]),
        ]
        self.live.moved(None, cancels=runs[-1], **QUIET)
        # in this order: none of them starts before the one above has been answered
        self.cancel.click(None, js="() => loopanimate.cancel()", **QUIET)
        self.cancel.click(None, cancels=runs, **QUIET)
        self.cancel.click(self.bring_back, {self.current}, self.everything, queue=False, **QUIET)

    def run(self, on: Callable, job: Callable, reads: set, place, say: Callable, waiting: str = "", failed: str = ""):
        """Run a job where it can be cancelled. What is `waiting`, `failed` or a mistake is said in its place."""

        @wraps(job)
        def work(*values):
            yield {place: gr.skip()}  # a generator that yields nothing would empty what it may change
            try:
                yield from job(*values)
            except ValueError as error:
                yield {place: say(error)}

        if waiting:
            on(None, None, place, js=f"() => loopanimate.begin({json.dumps(waiting)})", **QUIET)
        seen = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": place}
        # the newest hands count, even those that moved while a loop was rendered
        mode = "once" if waiting else "always_last"
        run = on(work, reads, self.everything, trigger_mode=mode, **DEVICE, **seen)
        run.then(None, js="() => loopanimate.rest()", **QUIET)
        run.failure(None, None, place, js=f"() => loopanimate.fail({json.dumps(failed)})", **QUIET)
        return run

    def tell(self, place, words: Iterator) -> Iterator:
        """Say in its place how work goes; return what it returns."""
        return relay(words, lambda word: {place: gr.skip() if word is None else word})

    def animate(self, values: dict):
        """Picture and controls → the loop."""
        yield {self.choice: gr.Gallery(visible=False)}
        mask, (loop,) = yield from self.sample(values, 1)
        yield from self.render(loop, values[self.picture], mask, values)

    def animate_four(self, values: dict):
        """Four seeds, as small moving pictures."""
        mask, loops = yield from self.sample(values, 4)
        pictures = [(self.server.save_glimpse(loop, 2 * NATIVE_FPS), f"seed {loop.settings.request.seed}") for loop in loops]
        yield {
            self.choice: gr.Gallery(pictures, visible=True, selected_index=None),
            self.four_loops: (values[self.picture], mask, loops),
            self.result: text.FOUR,
        }

    def sample(self, values: dict, count: int):
        """Return the painted mask, and loops of that many seeds as the controls have it."""
        path, painting = values[self.picture], Painting.read(values[self.editor])
        if path is None:
            raise ValueError("choose a picture first")
        mask = painting and painting.mask
        values = {**values, self.controls["hands.freeze"]: painting and painting.freeze_png()}
        settings, checkpoint = (
            make_settings(**read(self.bindings, values)),
            self.server.choose_checkpoint(values[self.checkpoint]),
        )
        return mask, (yield from self.tell(self.result, self.server.sample_loops(path, settings, count, mask, checkpoint)))

    def choose(self, values: dict, event: gr.SelectData):
        """One of the four seeds in full."""
        if values[self.four_loops] is None:
            raise ValueError("choose a picture first")
        path, mask, loops = values[self.four_loops]
        yield from self.render(loops[event.index], path, mask, values)
        yield {self.controls["request.seed"]: loops[event.index].settings.request.seed}

    def redirect(self, values: dict):
        """The same loop by other hands: rendered, not sampled again."""
        shown = self.get_shown(values)
        if shown is not None:
            loop = direct(shown.loop, self.change_settings(shown, values, "hands."))
            if loop.settings == shown.loop.settings:  # hands went back to where they were
                yield {self.result: text.play(shown.file.path, loop.settings.request.prompt)}
            else:
                yield from self.render(loop, shown.path, shown.mask, values, shown.living)

    def render(self, loop: Loop, path: str, mask: np.ndarray | None, values: dict, living: LoopFile | None = None):
        """The one road of a loop onto the page. living: its living page, if there is one already."""
        if living is None and (living := self.server.write_living(loop)):
            yield {self.live: text.live(living, loop), self.result: text.working("Rendering", 0.0, lives=True)}
        shown = yield from self.tell(self.result, self.server.render(loop, path, mask, values[self.embed], living))
        kept = [shown.pack(), *(earlier for earlier in values[self.history] if earlier.is_kept())][:HISTORY]
        past = [(item.thumbnail, item.caption()) for item in kept]
        yield {**self.display(shown), self.details: text.details(loop), self.history: kept, self.past: past}

    def display(self, shown: Shown) -> dict:
        return {
            self.result: text.play(shown.file.path, shown.loop.settings.request.prompt),
            self.made: text.made(shown.file, shown.loop),
            self.current: shown,
            self.controls["hands.freeze"]: shown.loop.settings.hands.freeze,
            self.save: gr.Button(interactive=True),
        }

    def download(self, values: dict):
        """The loop on the page as a file: of the format, size and rate, and by the hands, that the controls have now."""
        shown, name = values[self.current], values[self.file_format]
        if shown is None:
            raise ValueError("choose a picture first")
        groups = ("output.", "hands.") if self.get_shown(values) else ("output.",)
        settings, checkpoint = (
            self.change_settings(shown, values, *groups),
            self.server.choose_checkpoint(values[self.checkpoint]),
        )
        file = yield from self.tell(self.made, self.server.write(shown, settings, name, values[self.embed], checkpoint))
        yield {self.live: gr.HTML(file=str(file.path)), self.made: f"{name}: {text.describe(file, settings.request.seed)}"}

    def bring_back(self, values: dict) -> dict:
        """The loop that was there before what was cancelled."""
        shown = values[self.current]
        if shown is None or not shown.is_kept():
            return {self.result: text.CANCELLED, self.live: ""}
        return {**self.reopen(shown), self.made: f"Cancelled. {text.made(shown.file, shown.loop)}"}

    def reopen(self, shown: Shown) -> dict:
        living = self.server.write_living(shown.loop)  # by the hands of now
        return {**self.display(replace(shown, living=living)), self.live: text.live(living, shown.loop)}

    # --- settings that come back

    def wire_settings(self) -> None:
        seen = {"outputs": self.everything, "api_visibility": "private", "show_progress_on": self.editor}
        files = {self.dropped, self.picked, self.picture}
        taken = gr.on([self.dropped.upload, self.picked.upload], self.restore, files, **seen)
        for ended in (taken.then, taken.failure):  # room for the next one
            ended(lambda: None, None, self.dropped, queue=False, **QUIET)
        self.past.select(self.recall, {self.history}, **seen)
        if self.examples:
            gr.on([example.click for example in self.examples], self.show_example, None, **seen)

    def show_settings(self, settings: Settings, mask: np.ndarray | None, path: str) -> dict:
        """All controls as a loop's settings have them."""
        with in_words():
            painting = self.server.repaint(settings, mask, path)
        values, changes = show(self.bindings, settings)
        return {
            **self.start_afresh(),
            **values,
            self.picture: path,
            self.editor: painting.editor(),
            self.board: painting.board(values[self.controls["hands.arrows"]]),
            self.note: text.restored(mask is None, changes),
        }

    def restore(self, values: dict, event: gr.EventData) -> dict:
        """The settings of a finished loop's file."""
        with in_words():
            return self.show_settings(*self.server.restore(values[event.target], values[self.picture]))

    def recall(self, values: dict, event: gr.SelectData) -> dict:
        """A loop of this visit, with all its settings."""
        shown = values[self.history][event.index]
        if not shown.is_kept():
            raise gr.Error(text.GONE, print_exception=False)
        shown = shown.unpack()
        back = self.show_settings(shown.loop.settings, shown.mask, shown.path)
        return {**back, **self.reopen(shown), self.details: text.details(shown.loop)}

    def show_example(self, event: gr.EventData) -> dict:
        folder = ASSETS / "examples" / event.target.value.lower().replace(" ", "-")
        settings, mask, path = self.server.restore(folder / "loop.mp4", str(next(folder.glob("picture.*"))))
        loop = {self.result: text.play(folder / "loop.mp4", settings.request.prompt), self.made: text.EXAMPLE}
        return {**self.show_settings(settings, mask, path), **loop}

    # --- what programs call

    def wire_programs(self) -> None:
        with gr.Row(visible=False):  # not gr.api, which takes any path of this machine for a file that a program gives
            picture, mask, prompt = gr.File(label="picture"), gr.File(label="mask"), gr.Textbox(label="prompt")
            num_frames, seed = gr.Number(MAX_FRAMES, label="num_frames"), gr.Number(0, label="seed")
            strength, size = gr.Number(1, label="motion_strength"), gr.Textbox("source", label="size")
            file_format = gr.Textbox("MP4", label="file_format")
            loop_file, mask_file, call = gr.File(label="loop"), gr.File(label="mask"), gr.Button()
        reads = [picture, prompt, mask, num_frames, seed, strength, file_format, size]
        call.click(self.write_loop, reads, loop_file, api_name="animate", **DEVICE)
        call.click(self.write_mask, picture, mask_file, api_name="mask")

    def write_loop(self, picture, prompt, mask, num_frames, seed, motion_strength, file_format, size):
        """A picture file and a sentence → the loop as a file; without a mask the salient object moves."""
        given = {"num_frames": num_frames, "seed": seed, "motion_strength": motion_strength, "size": size or ""}
        try:
            if file_format not in FORMATS:
                raise ValueError(f"expected a format out of {', '.join(FORMATS)}, got {file_format}")
            if picture is None:
                raise ValueError("expected a picture, got none")
            settings, checkpoint = make_settings(prompt=prompt or "", **given), self.server.checkpoint
            layer = None if mask is None else open_mask(mask, open_cached(picture).size)
            (loop,) = yield from relay(self.server.sample_loops(picture, settings, 1, layer, checkpoint), lambda _: gr.skip())
            shown = Shown(picture, layer, loop)
            file = yield from relay(self.server.write(shown, settings, file_format, True, checkpoint), lambda _: gr.skip())
        except ValueError as error:
            raise gr.Error(text.plain(error), print_exception=False) from None
        yield str(file.path)

    def write_mask(self, picture):
        """A picture file → its automatic mask as a PNG of the same size, white moves."""
        if picture is None:
            raise gr.Error("expected a picture, got none", print_exception=False)
        with in_words():
            return self.server.save_mask(self.server.find_mask(open_cached(picture))[0])
