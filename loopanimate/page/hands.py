"""Hands that change a finished loop: the living preview moves at once, the video follows when they rest."""

import random

import gradio as gr

from loopanimate.page import text
from loopanimate.page.base import QUIET, Events, hand
from loopanimate.page.jobs import direct, move
from loopanimate.words.revise import revise

SLIDERS = ("motion_strength", "tempo", "effect_strength")  # in the order that page.js takes them


class HandEvents(Events):
    def wire_hands(self) -> None:
        prompt = self.controls["request.prompt"]
        self.listen(
            prompt.change, self.show_clauses, {prompt, self.current, self.picture}, queue=False, trigger_mode="always_last"
        )
        self.listen(self.stage.revised, self.revise, {prompt, self.current, self.picture}, trigger_mode="multiple")
        for chip in self.chips:
            chip.click(lambda words=chip.value: words, None, self.controls["request.prompt"], **QUIET)
        self.dice.click(lambda: random.randrange(2**31), None, self.controls["request.seed"], **QUIET)
        self.file_format.change(lambda name: gr.Button(f"Download {name}"), self.file_format, self.save, **QUIET)
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
        shown = self.get_shown(values)
        return {self.understood: text.understood(values[self.controls["request.prompt"]] or "", shown and shown.loop)}

    def revise(self, values: dict, event: gr.EventData) -> dict:
        """Other words for a clause, which its chip asked for; that they changed shows them on the chips."""
        prompt = self.controls["request.prompt"]
        change = {name: event.change[name] for name in ("strength", "heading", "remove") if name in event.change}
        words = revise(values[prompt] or "", int(event.index), **change)
        return {prompt: words, self.note: text.REVISED if self.get_shown(values) else ""}
