"""python -m loopanimate PICTURE "PROMPT" --output LOOP.mp4: one picture, one loop, no page."""

import signal
import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from loopanimate import options
from loopanimate.files.formats import FORMATS, check, check_output, list_endings
from loopanimate.files.manifests import write_manifests
from loopanimate.files.pictures import open_mask, open_picture, replacing
from loopanimate.files.recipe import pack, small_png
from loopanimate.files.sizes import output_size
from loopanimate.settings import Machine, Settings


class Files(options.Options):
    """What the command reads and writes besides the loop's settings."""

    picture: str = options.option(..., "JPEG, PNG, WebP, HEIC, ...", flag="picture", metavar="PICTURE")
    output: str = options.option(
        ...,
        "the ending chooses: " + ", ".join(f"{' or '.join(form.endings)} ({form.name})" for form in FORMATS),
        metavar="LOOP.mp4",
    )
    mask: str | None = options.option(
        None, "white moves; without it the words say what, or the salient object", metavar="M.png"
    )
    save_mask: str | None = options.option(
        None, "write where it moves, or, where nothing does, where light and weather may be", metavar="M.png"
    )
    freeze: str | None = options.option(None, "white stays", metavar="M.png")
    variations: int = options.option(1, "loops that an html page wanders among", ge=1, le=8, metavar="V")
    manifests: bool = options.option(False, "write Wallpaper Engine's and Lively's files beside an html page")
    metadata: bool = options.option(True, "settings and mask travel in the file")


def main(arguments: list[str] | None = None) -> None:
    parser = options.Parser(prog="python -m loopanimate", description="Turn a picture into a seamless loop.")
    options.add(parser, Files)
    options.add(parser, Settings)
    options.add(parser, Machine)
    words = "what of the sentence a mask is of, or a clause of its own, and the mask; repeatable, masks of one thing are joined"
    parser.add_argument("--part", nargs=2, action="append", default=[], metavar=("WORDS", "M.png"), help=words)
    none = "draw no light and weather, whatever --effect and --effect-strength say"
    parser.add_argument("--no-effects", action="store_true", help=none)
    given = vars(parser.parse_args(arguments))
    if given["no_effects"]:
        given["effect_strength"] = 0.0
    with options.exit_on_mistake():
        files, machine = options.build(Files, given), options.build(Machine, given)
        settings = options.build(Settings, {name: value for name, value in given.items() if name not in ("output", "freeze")})
        try:
            animate(files, settings, machine, given["part"])
        except KeyboardInterrupt:
            print("\rstopped: nothing was written", file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT) from None


def animate(files: Files, settings: Settings, machine: Machine, given: Sequence[tuple[str, str]] = ()) -> None:
    """Make the files that were asked for; whatever can be known to be wrong is refused before any work."""
    output, wanted = check_output(files.output), settings.output
    is_page = check(output, wanted.fps, wanted.codec, wanted.max_size).kind == "page"
    if not is_page and (files.variations > 1 or files.manifests):
        pages = list_endings(lambda form: form.kind == "page")
        raise ValueError(f"expected an output ending in {pages} for --variations and --manifests, got {output}")
    if is_page and settings.preset != "motion":
        raise ValueError(f"expected the motion preset for a living page, got {settings.preset}: it makes frames, not motion")
    mask_output = check_mask_output(files.save_mask) if files.save_mask else None
    seeds = [settings.request.seed + index for index in range(files.variations)]
    settings.change(seed=seeds[-1])  # refuses a seed beyond the largest
    picture = open_picture(files.picture)
    output_size(wanted.size, *picture.size)
    mask = open_mask(files.mask, picture.size, print) if files.mask else None
    parts = [(words, open_mask(path, picture.size, print)) for words, path in given]
    if files.freeze:
        settings = settings.change(freeze=small_png(open_mask(files.freeze, picture.size, print)))

    # torch and diffusers take seconds to import: mistakes are said before
    from loopanimate.checkpoints import load_quietly, load_regions_model
    from loopanimate.loop import make_loops
    from loopanimate.scene.finder import Models

    pipe = load_quietly(settings.preset, machine.checkpoint, machine.device)
    named = load_regions_model(machine.regions_model, machine.device) if machine.regions_model else None
    loop, *others = make_loops(
        pipe, picture, settings, seeds, mask, _show_progress, given=parts, models=Models(named, machine.salient_model)
    )
    recipe = pack(settings, mask, parts) if files.metadata else None
    written = loop.write_page(output, others, metadata=recipe) if others else loop.write(output, metadata=recipe)
    if files.manifests:
        write_manifests(written.path, loop.view().picture, settings.request.prompt, several=bool(others))
    if mask_output:
        with replacing(mask_output) as partial:
            Image.fromarray((loop.mask * 255).round().astype(np.uint8)).save(partial, format="PNG")
    if not loop.found:
        print("No clear object in the picture, so all of it moves; --mask says what should.")
    for said in dict.fromkeys(note.said for note in loop.notes):
        print(said)
    if mask_output:
        print(f"{mask_output}: {'what moves' if loop.masks else 'where light and weather may be, as nothing moves'}")
    width, height = written.size
    print(f"{output}: {width} x {height}, {written.frames} frames, {written.seconds:.2f} s, seed {settings.request.seed}")


def check_mask_output(path: str):
    """The mask's path, if it ends in .png and can be written; ValueError in one sentence if not."""
    if not path.lower().endswith(".png"):
        raise ValueError(f"expected a mask file ending in .png, got {path}")
    return check_output(path)


def _show_progress(step: int, steps: int) -> None:
    if sys.stderr.isatty():
        print(f"\rsampling {step}/{steps}", end="\n" if step == steps else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: half-written files go
    main()
