"""What all events of the page share: how one calls a function, and how mistakes become words.

A function takes the values that its event reads, by widget, and returns (or yields) what changes, by widget.
"""

import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import gradio as gr

from loopanimate.page import text
from loopanimate.page.bindings import bind, read
from loopanimate.page.jobs import Server
from loopanimate.page.layout import Layout
from loopanimate.page.shown import Shown
from loopanimate.settings import Settings

QUIET = {"api_visibility": "private", "show_progress": "hidden"}


MISTAKES = (ValueError, MemoryError, OSError)  # a visitor's, and a machine's that is short of memory or of room on its disk


@contextmanager
def in_words(say: Callable = text.sentence):
    """A mistake becomes a message on the page."""
    try:
        yield
    except MISTAKES as error:
        raise gr.Error(say(error), print_exception=False) from None


def hand(path: str | None, painted: str | None = None, **words: dict) -> gr.HTML:
    """What the stage gets: a painting, and what else its script takes, by name (layout.HANDED); all of the picture at `path`,
    for which it must not come too late. With the time it is news, even where the same comes again.
    """
    of = {"of": path, "time": time.monotonic_ns()}
    words = {name: {**word, **of} for name, word in words.items()}
    return gr.HTML(**words) if painted is None else gr.HTML(painted, **words)


class Events(Layout):
    """The widgets, and how events reach them."""

    def __init__(self, server: Server):
        super().__init__(server)
        self.bindings = bind(self.controls)
        shown = [self.stage, self.note, self.understood, self.made, self.save, self.details]
        states = [self.current, self.four_loops, self.history]
        self.of_loop = [*shown, *states, self.controls["request.seed"]]
        self.everything = [
            *{*self.controls.values(), *self.of_loop, *self.chips, self.picture}
        ]  # all that a function may change

    def holding(self, *groups: str) -> set:
        """The controls of groups of settings."""
        return {control for setting, control in self.controls.items() if setting.startswith(groups)}

    def listen(self, events, function: Callable, reads: set | None, **options):
        """Call a function at an event, or at any of a list of events; its mistakes become messages on the page."""
        on = partial(gr.on, events) if isinstance(events, list) else events
        return on(in_words()(function), reads, self.everything, **{**QUIET, **options})

    def get_shown(self, values: dict) -> Shown | None:
        """The loop on the page, if its picture is there too: otherwise the controls are those of another picture."""
        shown = values[self.current]
        if shown is None or shown.path != values[self.picture] or not Path(shown.path).is_file():
            return None
        return shown.open_picture()

    def change_settings(self, shown: Shown, values: dict, *groups: str) -> Settings:
        """A loop's settings, with these groups as the controls have them now."""
        bindings = [binding for binding in self.bindings if binding.setting.startswith(groups)]
        return shown.loop.settings.change(**read(bindings, values))

    def start_afresh(self, prompt: str | None = None) -> dict:
        """Nothing of a loop that belongs to another picture; chips of the sentence alone."""
        words = {self.understood: text.understood(prompt or ""), self.made: "", self.details: text.UNMEASURED, self.note: ""}
        return {**words, self.current: None, self.four_loops: None, self.save: gr.Button(interactive=False)}
