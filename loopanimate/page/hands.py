"""Hands that change a finished loop: the living preview moves at once, the video follows when they rest."""

import random

import gradio as gr

from loopanimate.page.base import QUIET, Events, hand
from loopanimate.page.jobs import direct, move

SLIDERS = ("motion_strength", "tempo", "effect_strength")  # in the order that page.js takes them


class HandEvents(Events):
    def wire_hands(self) -> None:
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
