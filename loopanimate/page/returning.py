"""Settings that come back: from a finished loop's file, from this visit, from an example."""

import json
import shutil
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.processing_utils import save_file_to_cache

from loopanimate.files.formats import by_ending
from loopanimate.files.project import is_project
from loopanimate.files.recipe import Parts
from loopanimate.files.sizes import centre_of
from loopanimate.page import text
from loopanimate.page.base import QUIET, hand
from loopanimate.page.bindings import read, show
from loopanimate.page.making import JobEvents
from loopanimate.page.masks import MaskEvents
from loopanimate.page.preview import first_frame
from loopanimate.presets import ASSETS
from loopanimate.settings import Settings, make_settings


class ReturnEvents(MaskEvents, JobEvents):
    def wire_returns(self) -> None:
        files = {self.dropped, self.picked, self.picture}
        taken = self.listen([self.dropped.upload, self.picked.upload], self.restore, files)
        for ended in (taken.then, taken.failure):  # room for the next one
            ended(lambda: None, None, self.dropped, queue=False, **QUIET)
        taken.success(None, js="() => loopanimate.returned()", **QUIET)
        self.listen(self.stage.recalled, self.recall, {self.history})
        self.stage.visited(None, None, self.past, js="() => loopanimate.visits()", **QUIET)
        self.listen(self.project.click, self.save_project, {self.picture, *self.holding("")})
        shown = self.listen(self.stage.example, self.show_example, None, trigger_mode="always_last")
        shown.success(None, js="() => loopanimate.wish('animate')", **QUIET)
        # kept by the browser, which gives them back when the page is opened again
        kept = {name: control for name, control in self.controls.items() if control is not self.stage}
        controls, names = [*kept.values()], json.dumps([*kept])
        keep = f"(...values) => loopanimate.keep({names}, values)"
        gr.on([control.change for control in controls], None, controls, None, js=keep, **QUIET)
        self.stage.kept(None, controls, controls, js=f"(...values) => loopanimate.controls({names}, values)", **QUIET)

    def show_settings(
        self, settings: Settings, mask: np.ndarray | None, path: str, parts: Parts = (), revision: str | None = None, **words
    ) -> dict:
        """All controls as a loop's settings have them, and what else the stage's script takes."""
        path = save_file_to_cache(path, self.picture.GRADIO_CACHE)  # as Gradio will call it
        painting, (values, changes) = self.server.repaint(settings, mask, path, parts, revision), show(self.bindings, settings)
        stage = {self.picture: path, self.stage: self.paint(painting, **words)}
        return {
            **self.start_afresh(settings.request.prompt),
            **values,
            **stage,
            self.note: text.restored(mask is None, changes),
        }

    def restore(self, values: dict, event: gr.EventData) -> dict:
        """The settings of a finished loop's file, and its film where a browser plays it."""
        file = values[event.target]
        settings, mask, path, parts = self.server.restore(file, values[self.picture])
        is_film = not is_project(file) and (by_ending(file).mime or "").startswith("video/")
        words = {"film": watch(file, settings, mask)} if is_film else {}
        return self.show_settings(settings, mask, path, parts, **words)

    def save_project(self, values: dict) -> dict:
        painting = self.read_painting(values)
        if not (values[self.controls["request.prompt"]] or "").strip():
            raise ValueError(text.NO_SENTENCE)
        settings = make_settings(**read(self.bindings, values))
        file = self.server.save_project(painting.path, settings, painting.mask, painting.parts)
        return {self.stage: hand(painting.path, file={"path": str(file), "name": file.name})}

    def recall(self, values: dict, event: gr.EventData) -> dict:
        """A loop that was made since the page was opened, with all its settings."""
        shown = next((each for each in values[self.history] if each.thumbnail == event.thumbnail), None)
        if shown is None or not shown.is_kept():
            raise ValueError(text.GONE)
        shown, words = self.reopen(shown.unpack())
        settings = self.show_settings(shown.loop.settings, shown.mask, shown.path, shown.parts, shown.revision, **words)
        return {**settings, **self.display(shown), self.note: settings[self.note]}

    def show_example(self, event: gr.EventData) -> dict:
        """A finished loop; it is made anew at once, so that hands and download are there for it too."""
        folder = next(folder for folder in (ASSETS / "examples").iterdir() if folder.name == event.name)
        picture = next(folder.glob("picture.*"))
        named = shutil.copy(picture, self.server.new_file(picture.suffix, folder.name))
        settings, mask, path, parts = self.server.restore(folder / "loop.mp4", str(named), sure=True)
        return self.show_settings(settings, mask, path, parts, film=watch(folder / "loop.mp4", settings, mask))


def watch(file: str | Path, settings: Settings, mask: np.ndarray | None) -> dict:
    """A finished film, as the stage's script takes it."""
    whole = mask is not None and settings.output.size == "source"
    centre = centre_of(mask, (1, 1)) if whole else None
    return {
        "source": f"gradio_api/file={file}",
        "words": settings.request.prompt,
        "size": first_frame(file).size,
        "centre": centre,
    }
