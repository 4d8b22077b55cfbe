"""Hands that change a finished loop: the living preview moves at once, the video follows when they rest."""

import random
from itertools import zip_longest

import gradio as gr

from loopanimate.page import text
from loopanimate.page.base import QUIET, Events, hand
from loopanimate.page.living import move
from loopanimate.page.shown import direct
from loopanimate.settings import MAX_TEXT
from loopanimate.words.revise import revise

SLIDERS = ("motion_strength", "tempo", "effect_strength")  # in the order that page.js takes them


class HandEvents(Events):
    def wire_hands(self) -> None:
        prompt, finding = (
            self.controls["request.prompt"],
            {"trigger_mode": "always_last", "concurrency_id": "finding", "preprocess": False},
        )
        self.listen(
            prompt.change, self.show_clauses, {prompt, self.current, self.picture}, queue=False, trigger_mode="always_last"
        )
        self.listen(
            self.stage.worded, self.foresee, {prompt, self.current, self.picture, self.note, self.regions_model}, **finding
        )
        self.listen(self.stage.arrived, self.suggest, {self.picture, self.regions_model}, **finding)
        prompt.change(None, js="() => loopanimate.worded()", **QUIET)
        self.listen(self.stage.revised, self.revise, {prompt}, trigger_mode="multiple")
        for chip in self.chips:
            chip.click(None, chip, prompt, js="words => words", **QUIET)
        self.dice.click(lambda: random.randrange(2**31), None, self.controls["request.seed"], **QUIET)
        sliders = [self.controls[f"hands.{name}"] for name in SLIDERS]
        slide = "(...values) => loopanimate.slide(...values)"
        gr.on([slider.input for slider in sliders], None, sliders, None, js=slide, **QUIET)
        reads = {self.current, self.picture, *self.holding("hands.")}
        newest = {"trigger_mode": "always_last"}
        self.listen(self.stage.directed, self.move, reads, **newest)
        self.listen(self.controls["hands.added_effects"].input, self.move, reads, **newest)

    def move(self, values: dict):
        """Hand the living preview its motion by these hands, long before that is rendered."""
        shown, motion = self.get_shown(values), None
        if shown is None:
            return gr.skip()
        try:
            motion = move(direct(shown.loop, self.change_settings(shown, values, "hands.")))
        except ValueError:
            pass  # `redirect` says what is wrong
        sliders = {name: values[self.controls[f"hands.{name}"]] for name in SLIDERS}
        return {self.stage: hand(shown.path, motion={"motion": motion, **sliders})}

    def show_clauses(self, values: dict) -> dict:
        """The chips of a sentence while it is typed, with what is known of the loop that is there."""
        shown, prompt = self.get_shown(values), values[self.controls["request.prompt"]] or ""
        notes = shown.loop.notes if shown else ()
        return {self.understood: text.understood(prompt, notes, bool(shown) and shown.loop.settings.request.prompt == prompt)}

    def foresee(self, values: dict) -> dict:
        """What a sentence would move, before anything is made: its things in the picture, and what would become of each."""
        values = self.with_path(values)
        path, prompt, shown = values[self.picture], values[self.controls["request.prompt"]] or "", self.get_shown(values)
        if path is None or len(prompt) > MAX_TEXT:  # Animate says so
            return gr.skip()
        if shown and shown.loop.settings.request.prompt == prompt:
            notes = shown.loop.notes
        else:
            machine = self.server.choose(regions_model=values[self.regions_model])
            try:
                notes = self.server.foresee(path, prompt, machine) if any(map(str.isalpha, prompt)) else []
            except ValueError as error:
                return {self.understood: text.not_read(error)}
        changes = {self.stage: hand(path, regions=self.regions(prompt, notes))}
        unnamed = text.MASKED, text.NOT_FOUND  # said of words that name nothing
        if any(note.thing or note.clause for note in notes) and values[self.note] in unnamed:
            changes[self.note] = ""
        return changes | {self.understood: text.understood(prompt, notes, True)}

    def with_path(self, values: dict) -> dict:
        """The values of an event without preprocessing, which would answer a bad picture with a traceback."""
        picture = values[self.picture]
        return {**values, self.picture: picture and picture["path"]}

    def suggest(self, values: dict) -> dict:
        """Sentences that fit the picture."""
        path = self.with_path(values)[self.picture]
        if path is None:
            return gr.skip()
        try:
            fitting = self.server.suggest(path, self.server.choose(regions_model=values[self.regions_model]))
        except ValueError:  # of a picture that cannot be read somebody else says so
            return gr.skip()
        return {chip: gr.Button(words or "", visible=words is not None) for chip, words in zip_longest(self.chips, fitting)}

    def revise(self, values: dict, event: gr.EventData) -> dict:
        """Other words for a clause, which its chip asked for; that they changed shows them on the chips."""
        prompt = self.controls["request.prompt"]
        change = {name: event.change[name] for name in ("strength", "heading", "remove") if name in event.change}
        words = revise(values[prompt] or "", int(event.index), **change)
        return {prompt: words}
