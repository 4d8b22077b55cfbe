"""What programs call: /animate and /mask."""

from collections.abc import Iterable

import gradio as gr

from loopanimate.files.pictures import open_mask
from loopanimate.files.recipe import MOST_PARTS
from loopanimate.files.sizes import output_size
from loopanimate.page import text
from loopanimate.page.base import Events, in_words
from loopanimate.page.making import DEVICE, NAMED
from loopanimate.page.shown import Shown, open_cached
from loopanimate.page.work import relay, within
from loopanimate.presets import MAX_FRAMES
from loopanimate.settings import make_settings
from loopanimate.staging import Note, note_of


class ProgramEvents(Events):
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
        call.click(self.write_mask, [picture, prompt], [mask_file, notes, places], api_name="mask", concurrency_id="finding")

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
            form, limits = NAMED[file_format], self.server.limits
            things, masks, own_size = things or [], masks or [], open_cached(picture).size
            if not isinstance(things, list) or len(things) != len(masks) or not all(isinstance(each, str) for each in things):
                raise ValueError(f"expected a list of as many things as masks, got {things!r} and {len(masks)} masks")
            if len(things) > MOST_PARTS:
                raise ValueError(f"expected at most {MOST_PARTS} things, got {len(things)}")
            limits.check_output(settings, form, output_size(settings.output.size, *own_size))
            parts = [(thing, open_mask(path, own_size)) for thing, path in zip(things, masks)]
            layer = None if mask is None else open_mask(mask, own_size)

            def make():
                (loop,) = yield from self.server.sample_loops(picture, settings, 1, layer, machine, parts)
                shown = Shown(picture, layer, loop, parts)
                return loop, (yield from self.server.write(shown, settings, form, True, machine))

            loop, file = yield from relay(within(make(), limits.seconds), lambda _: gr.skip())
        yield str(file.path), *self.list_places(loop.notes, [note.place for note in loop.notes], own_size)

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
            mask = self.server.save_mask(self.server.find_mask(opened)[0], opened.size)
            return mask, *self.list_places(map(note_of, found), places, opened.size)

    def list_places(self, notes: Iterable[Note], places: list, size: tuple[int, int]) -> tuple[list[dict], list[str]]:
        said, files = [], []
        for note, place in zip(notes, places):
            where = None if place is None else len(files)
            said.append({"thing": note.thing, "said": note.said, "place": where, "unsure": note.unsure})
            if place is not None:
                files.append(self.server.save_mask(place, size))
        return said, files
