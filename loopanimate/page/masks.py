"""The picture and its mask: what finds it, what a click selects, what comes from a file and goes into one."""

from functools import lru_cache

import gradio as gr

from loopanimate.files.pictures import open_mask
from loopanimate.page import text
from loopanimate.page.base import QUIET, Events, hand
from loopanimate.page.bindings import show
from loopanimate.page.canvas import Painting, fit, shrink, small_size, url
from loopanimate.page.shown import is_flat, open_cached
from loopanimate.scene.regions import Selector
from loopanimate.settings import Hands, make_settings

selector_of = lru_cache(maxsize=8)(lambda path: Selector(shrink(open_cached(path))))


class MaskEvents(Events):
    def wire_masks(self) -> None:
        # the picture as it came, as Gradio opens it itself otherwise, and answers a bad one without a sentence
        prompt = self.holding("request.prompt")
        came, asked = {self.picture, self.stage, *prompt}, {self.picture, self.current, *prompt}
        self.listen(self.picture.upload, self.clear_picture, asked, queue=False, preprocess=False)
        # of two pictures that come soon after each other the last one counts
        self.listen(self.picture.upload, self.find_object, came, trigger_mode="always_last", preprocess=False)
        self.listen(self.stage.picked, self.select, {self.picture}, trigger_mode="multiple", concurrency_limit=None)
        opened = self.listen(self.mask_in.upload, self.open_mask, {self.mask_in, self.picture, self.stage})
        for ended in (opened.then, opened.failure):  # room for the next one
            ended(lambda: None, None, self.mask_in, queue=False, **QUIET)
        self.listen(self.stage.handed, self.save_mask, {self.picture, self.stage})

    def clear_picture(self, values: dict) -> dict:
        """Nothing of the former picture, nor what was asked of it; a file that cannot be read to its end leaves all as it is."""
        try:
            open_cached(values[self.picture]["path"])
        except ValueError:  # `find_object` says what is wrong
            return gr.skip()
        changes = {
            **self.start_afresh(values[self.controls["request.prompt"]]),
            self.stage: hand(None, "", job=text.working(text.LOOKING)),
        }
        shown, prompt = values[self.current], self.controls["request.prompt"]
        if shown is not None:
            settings = make_settings(prompt=values[prompt] or "it moves").model_copy(update={"hands": Hands()})
            hands = [binding for binding in self.bindings if binding.setting.startswith("hands.")]
            changes |= show(hands, settings)[0]
            if values[prompt] == shown.loop.settings.request.prompt:
                changes[prompt] = ""
        return changes

    def find_object(self, values: dict) -> dict:
        path = values[self.picture]["path"]
        try:
            picture = open_cached(path)
        except ValueError as error:
            before, said = Painting.read(values[self.stage]), text.sentence(error)
            if before is None:
                return {self.picture: None, self.stage: hand(None, "", job={"words": said, "problem": True})}
            said = {"words": f"{said} {text.STAYS}", "problem": True}
            return {self.picture: before.path, self.stage: hand(before.path, job=said)}
        mask, found = self.server.find_mask(picture)
        painting = Painting(path, fit(mask, small_size(picture.size)))
        # once more, as the last words of what was made of the former picture may have come meanwhile
        afresh = self.start_afresh(values[self.controls["request.prompt"]])
        note = text.FLAT if is_flat(path) else text.MASKED if found else text.NOT_FOUND
        return {**afresh, self.stage: self.paint(painting, fresh=True), self.note: note}

    def paint(self, painting: Painting, fresh: bool = False, **words) -> gr.HTML:
        """Put a painting, and what else the script takes, onto the stage."""
        address = f"gradio_api/file={self.server.show_picture(painting.path)}"
        return hand(painting.path, painting.write(address, fresh), **words)

    def read_painting(self, values: dict) -> Painting:
        painting = Painting.read(values[self.stage])
        if painting is None or painting.path != values[self.picture]:
            raise ValueError(text.NO_PICTURE)
        return painting

    def select(self, values: dict, event: gr.EventData) -> dict:
        """Find the thing at a place of the picture: it is clicked, or a hand is over it."""
        path, (x, y) = values[self.picture], (min(1.0, max(0.0, float(part))) for part in (event.x, event.y))
        if path is None:
            raise ValueError(text.NO_PICTURE)
        flags = {"takes": bool(event.takes), "over": bool(event.over)}
        return {self.stage: hand(path, picked={"mask": url(selector_of(path).select(x, y)), **flags})}

    def open_mask(self, values: dict) -> dict:
        self.read_painting(values)
        path = values[self.picture]
        mask = open_mask(values[self.mask_in], small_size(open_cached(path).size), gr.Info)
        return {self.stage: hand(path, picked={"mask": url(mask), "replaces": True})}

    def save_mask(self, values: dict) -> dict:
        """Hand out the mask as it is painted, at the picture's own size."""
        painting, path = self.read_painting(values), values[self.picture]
        drawn = painting.automatic if painting.mask is None else painting.mask
        file = self.server.save_mask(drawn if painting.shown is None else painting.shown, open_cached(path).size)
        return {self.stage: hand(path, file={"path": file, "name": "mask.png"})}
