"""Jobs: what samples, renders and writes. Each can be cancelled, and tells how it goes on the picture."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import wraps

import gradio as gr
import numpy as np

from loopanimate.files.formats import FORMATS
from loopanimate.loop import Loop
from loopanimate.page import text
from loopanimate.page.base import MISTAKES, QUIET, Events, hand
from loopanimate.page.bindings import read, show
from loopanimate.page.canvas import Painting, shrink_mask, url
from loopanimate.page.jobs import CHOICE_SIDE, ON_ZERO
from loopanimate.page.shown import Shown, direct, hold, is_cut_out, is_flat
from loopanimate.page.work import relay, within
from loopanimate.presets import NATIVE_FPS
from loopanimate.scene.plan import names, names_things, painted
from loopanimate.settings import make_settings
from loopanimate.staging import Note
from loopanimate.words.clauses import read_clauses

HISTORY = 12  # loops of this visit
DEVICE = {"concurrency_id": "device", "concurrency_limit": 4 if ON_ZERO else 1}  # ZeroGPU gives each job a device
NAMED = {form.name: form for form in FORMATS}


class JobEvents(Events):
    def wire_jobs(self) -> None:
        offered = {self.current, self.picture, self.file_format, *self.holding("output."), *self.holding("hands.")}
        kept = {self.embed, self.history, *offered}
        asked = {self.checkpoint, self.regions_model, *self.holding(""), *kept}
        written = {self.embed, self.package, self.checkpoint, *offered}
        for events, wish in (
            ([self.go.click, self.controls["request.prompt"].submit], "animate"),
            ([self.four.click], "four"),
            ([self.save.click], "download"),
        ):
            gr.on(events, None, js=f"() => loopanimate.wish({json.dumps(wish)})", **QUIET)
        runs = [
            self.run(self.stage.animate, self.animate_one, asked),
            self.run(self.stage.four, self.animate_four, asked),
            self.run(self.stage.chose, self.choose, {self.four_loops, *kept}),
            self.run(self.stage.download, self.download, written),
            self.run(self.stage.settled, self.redirect, kept, "always_last"),
        ]
        self.stage.stop(None, cancels=runs, **QUIET)
        said = [self.file_format, *self.holding("output.", "hands.tempo") - {self.stage}]
        for events in ([each.change for each in said], self.stage.offered):
            self.listen(events, self.offer, offered, queue=False, trigger_mode="always_last")
        self.listen(self.stage.cancelled, self.bring_back, {self.controls["request.prompt"], *offered}, queue=False)

    def run(self, on: Callable, job: Callable, reads: set, mode: str = "once"):
        """Run a job that can be cancelled. That it waits, how it goes, and what its mistake is, is said on the picture."""

        @wraps(job)
        def work(*values):
            path = values[0][self.picture]
            begun = text.CHOSEN if job == self.choose else text.BEGUN
            yield {self.stage: hand(path, job=text.working(begun))}  # its turn has come
            try:
                yield from within(job(*values), self.server.limits.seconds)
            except MISTAKES as error:
                yield {self.stage: hand(path, job={"words": text.sentence(error), "problem": True})}

        name = json.dumps(job.__name__)
        on(None, js=f"() => loopanimate.begin({name}, {json.dumps(text.WAITING)})", **QUIET)
        # the newest hands count, even those that moved while a loop was rendered
        run = on(work, reads, self.of_loop, trigger_mode=mode, **DEVICE, **QUIET)
        run.success(None, js=f"() => loopanimate.end({name})", **QUIET)
        run.failure(None, js=f"() => loopanimate.fail({name}, {json.dumps(text.FAILED)})", **QUIET)
        return run

    def tell(self, path: str, words: Iterator) -> Iterator:
        """Say on the picture how work goes; return what it returns."""
        return relay(words, lambda word: {self.stage: gr.skip() if word is None else hand(path, job=word)})

    def animate_one(self, values: dict):
        """Picture and controls → the loop."""
        (sampled,) = yield from self.sample(values, 1)
        yield from self.render(sampled, values)

    def animate_four(self, values: dict):
        """The loops of four seeds, as moving pictures to choose from."""
        path = values[self.picture]
        sampled = yield from self.sample(values, 4)
        seeds = []
        for count, each in enumerate(sampled):
            yield {self.stage: hand(path, job=text.working(f"Drawing variant {count + 1} of 4", count / 4))}
            film = f"gradio_api/file={self.server.save_glimpse(each.loop, 2 * NATIVE_FPS, CHOICE_SIDE)}"
            seeds.append({"source": film, "seed": each.loop.settings.request.seed})
        yield {self.stage: hand(path, seeds={"seeds": seeds}), self.four_loops: [each.drop_picture() for each in sampled]}

    def sample(self, values: dict, count: int):
        """Return loops of that many seeds as the controls have it; nothing of them is rendered."""
        path, painting = values[self.picture], Painting.read(values[self.stage])
        if path is None or painting is None or painting.path != path:
            raise ValueError(text.NO_PICTURE)
        if not (values[self.controls["request.prompt"]] or "").strip():
            raise ValueError(text.NO_SENTENCE)
        machine = self.server.choose(checkpoint=values[self.checkpoint], regions_model=values[self.regions_model])
        settings, mask = make_settings(**read(self.bindings, values)), painting.mask
        named = names(read_clauses(settings.request.prompt))
        parts = [(thing, own) for thing, own in painting.parts if thing in named]
        loops = yield from self.tell(path, self.server.sample_loops(path, settings, count, mask, machine, parts))
        found = any(note.place is not None for note in loops[0].notes)
        if mask is None and loops[0].masks and not found:  # the object that was found, not what words name
            mask = shrink_mask(loops[0].mask)
        return [Shown(path, mask, loop, parts, revision=painting.revision or "") for loop in loops]

    def choose(self, values: dict, event: gr.EventData):
        """One of the four variants in full."""
        four = values[self.four_loops]
        if four is None or four[0].path != values[self.picture]:
            raise ValueError(text.GONE)
        chosen = four[int(event.index)].open_picture()
        yield {self.controls["request.seed"]: chosen.loop.settings.request.seed}
        yield from self.render(chosen, values)

    def redirect(self, values: dict):
        """The same loop by other hands: rendered, not sampled again."""
        shown = self.get_shown(values)
        if shown is not None:
            loop = self.direct(shown, values)
            if loop.settings == shown.loop.settings and shown.file:  # hands went back to where they were
                yield {self.stage: hand(shown.path, film=self.film(shown))}
            else:
                same = loop.settings.output == shown.loop.settings.output  # otherwise it is cut elsewhere
                yield from self.render(replace(shown, loop=loop, living=shown.living if same else None), values)

    def direct(self, shown: Shown, values: dict) -> Loop:
        """A loop by the hands that the controls have now; of one that is cut out of its picture they say where, too."""
        is_cut = is_cut_out(shown.loop)
        return direct(shown.loop, self.change_settings(shown, values, "hands.", *["output.centre"] * is_cut))

    def render(self, sampled: Shown, values: dict):
        """The one road of a loop onto the page. Its living page is written, unless it has one already."""
        earlier, loop, stage = self.get_shown(values), sampled.loop, {}
        sampled = replace(sampled, file=None, details=text.UNMEASURED, before=earlier and earlier.finished)
        if sampled.living is None and (living := self.server.write_living(loop)):
            sampled = replace(sampled, living=living)
            rendering = text.working(self.server.say_rendering(), 0.0)
            stage = {self.stage: hand(sampled.path, living=self.living(sampled), job=rendering)}
        yield {**self.display(sampled), **stage}  # whoever wants the file need not wait for the film
        shown = yield from self.tell(sampled.path, self.server.render(sampled, values[self.embed]))
        kept = [shown.pack(), *(earlier for earlier in values[self.history] if earlier.is_kept())][:HISTORY]
        yield {
            **self.display(shown),
            **self.offer({**values, self.current: shown.drop_picture()}),  # and again by what controls are once it is there
            self.stage: hand(shown.path, **self.on_stage(shown), visit=self.visit(shown)),
            self.history: kept,
        }

    def visit(self, shown: Shown) -> dict:
        """What the browser keeps of a loop: a project that makes it again, and a glimpse of it."""
        project = self.server.save_project(shown.path, shown.loop.settings, shown.mask, shown.parts)
        return {"project": str(project), "thumbnail": shown.thumbnail, "caption": shown.caption()}

    def on_stage(self, shown: Shown) -> dict:
        """What the script takes of a loop: its film, and where the words' things are."""
        loop = shown.loop
        return {"film": self.film(shown), "regions": self.regions(loop.settings.request.prompt, loop.notes)}

    def regions(self, prompt: str, notes: Sequence[Note]) -> dict:
        """Where the things of a sentence are, those that were not found too; which of them a whole mask is of, and whether what
        is found without words would move."""
        said = read_clauses(prompt)
        regions = [
            {"thing": note.thing, "colour": colour, "place": url(None if note.place is None else note.place / np.float32(255))}
            for note, colour in zip(notes, text.colours(notes))
            if note.thing
        ]
        first = next(iter(painted(said, np.ones((1, 1)), ())), "")
        return {"regions": regions, "first": first, "whole": not names_things(said)}

    def film(self, shown: Shown) -> dict:
        return {"source": f"gradio_api/file={shown.file.path}", "size": shown.file.size, **self.made_of(shown)}

    def living(self, shown: Shown) -> dict:
        """The living preview, a page within the page."""
        content, strength = shown.living.path.read_text(encoding="utf-8"), shown.loop.settings.hands.motion_strength
        return {"page": content, "strength": strength, "size": shown.living.size, **self.made_of(shown)}

    def made_of(self, shown: Shown) -> dict:
        """What a loop is of, by which the script tells whether anything was changed that only Animate makes; what a file of
        another shape is cut around, and whether this loop is cut so already."""
        settings, is_cut = shown.loop.settings, is_cut_out(shown.loop)
        asked = [binding for binding in self.bindings if binding.setting.startswith(("request.", "preset"))]
        controls = show(asked, settings)[0]
        request = {binding.setting: controls[binding.control] for binding in asked if binding.name != "prompt"}
        centre = shown.loop.centre if settings.output.size == "source" else None
        return {
            "words": settings.request.prompt,
            "request": request,
            "revision": shown.revision,
            "centre": settings.output.centre or shown.loop.centre if is_cut else centre,
            "cut": is_cut,
        }

    def display(self, shown: Shown) -> dict:
        """What is said of a loop beside the stage; what Download would give is said once the script has its film (`offer`)."""
        return {
            self.understood: text.understood(shown.loop.settings.request.prompt, shown.loop.notes, True),
            self.details: shown.details,
            self.note: text.FLAT if is_flat(shown.path) else "",
            self.current: shown.drop_picture(),
            self.save: gr.Button(interactive=True),
        }

    def download(self, values: dict):
        """The loop on the page as a file: of the format, size and rate, and by the hands, that the controls have now."""
        shown, form = self.get_shown(values), NAMED[values[self.file_format]]
        if shown is None:
            raise ValueError(text.GONE)
        machine = self.server.choose(checkpoint=values[self.checkpoint])
        settings = self.change_settings(shown, values, "output.", "hands.")
        asked = settings, form, values[self.embed], machine, values[self.package]
        file = yield from self.tell(shown.path, self.server.write(shown, *asked))
        handed = hand(shown.path, file={"path": str(file.path), "name": file.path.name})
        yield {self.stage: handed, self.made: text.describe(form, file, settings.request.seed)}

    def offer(self, values: dict) -> dict:
        """What Download would give: the loop that is there, as the controls have its file."""
        shown, form, said, size = self.get_shown(values), NAMED[values[self.file_format]], "", ""
        if shown is not None:
            try:
                loop = replace(shown.loop, settings=self.change_settings(shown, values, "output.", "hands."))
                file = loop.foretell(hold(loop.settings.output, form), form)
                said, size = text.describe(form, file, loop.settings.request.seed, shown.file), ", {} x {}".format(*file.size)
            except ValueError:
                pass  # Download says what is wrong
        return {self.made: said, self.save: gr.Button(f"Download {form.name}{size}", interactive=shown is not None)}

    def bring_back(self, values: dict):
        """The loop that was there before what was cancelled; by other hands than its film's it plays live alone."""
        shown = self.get_shown(values)
        shown = shown and shown.finished
        if shown is None or not shown.is_kept():  # what was cancelled may have come to its end beside another picture
            afresh = self.start_afresh(values[self.controls["request.prompt"]])
            return {widget: value for widget, value in afresh.items() if widget is not self.note}
        shown = shown.open_picture()
        loop = self.direct(shown, values)
        if loop.settings != shown.loop.settings and (living := self.server.write_living(loop)):
            now = replace(shown, loop=loop, file=None, living=living, before=shown.drop_picture())
            return {**self.display(now), self.stage: hand(now.path, living=self.living(now))}
        shown, words = self.reopen(shown)
        return {**self.display(shown), self.stage: hand(shown.path, **words)}

    def reopen(self, shown: Shown) -> tuple[Shown, dict]:
        """A loop that was there before, with a living page by its hands, and what the script takes of it."""
        shown = replace(shown, living=self.server.write_living(shown.loop))
        return shown, self.on_stage(shown) | ({"living": self.living(shown)} if shown.living else {})
