"""python -m loopanimate PICTURE "PROMPT" --output LOOP.mp4: one picture, one loop, no page. `batch LIST` makes many."""

import signal
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from loopanimate import options
from loopanimate.compiled import compile_meanwhile
from loopanimate.files.cutouts import open_alpha, put_behind
from loopanimate.files.formats import ENDINGS, FORMATS, check, check_output, check_place, files_of, list_endings, read_metadata
from loopanimate.files.length import fit_length
from loopanimate.files.manifests import check_manifests, write_manifests
from loopanimate.files.pictures import STILLS, check_still, open_mask, open_picture, replacing, write_still
from loopanimate.files.recipe import fingerprint, pack, small_png
from loopanimate.files.sizes import output_size, size_limit
from loopanimate.files.snippet import check_snippet, still_beside, write_snippet
from loopanimate.memory import import_networks, return_large_blocks
from loopanimate.presets import PRESETS
from loopanimate.settings import Machine, Settings
from loopanimate.view import squares_of


class Files(options.Options):
    """What the command reads and writes besides the loop's settings."""

    picture: str = options.option(..., "JPEG, PNG, WebP, HEIC, ...", flag="picture", metavar="PICTURE")
    output: str = options.option(
        ...,
        "the ending chooses: " + ", ".join(f"{' or '.join(form.endings)} ({form.name})" for form in FORMATS),
        metavar="LOOP.mp4",
        short="-o",
    )
    mask: str | None = options.option(
        None, "white moves; without it the words say what, or the salient object", metavar="M.png"
    )
    save_mask: str | None = options.option(
        None, "write where it moves, or, where nothing does, where light and weather may be", metavar="M.png"
    )
    freeze: str | None = options.option(None, "white stays", metavar="M.png")
    background: str | None = options.option(
        None,
        "what stands behind a cut-out, as black or #1e90ff (default: nothing where the format keeps transparency, else white)",
        metavar="COLOUR",
    )
    poster: str | None = options.option(None, "write the first frame", metavar="P.jpg")
    variations: int = options.option(1, "loops that an html page wanders among", ge=1, le=8, metavar="V")
    manifests: bool = options.option(
        False, "write a preview and what Wallpaper Engine and Lively read beside a page, mp4 or webm"
    )
    snippet: str | None = options.option(
        None, "write lines of HTML that show the loop on a web page, or its still to who wants less motion", metavar="S.html"
    )
    metadata: bool = options.option(True, "settings and mask travel in the file")


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["batch"]:
        from loopanimate.batch import main

        return main(arguments[1:])
    parser = options.Parser(prog="python -m loopanimate", description="Turn a picture into a seamless loop.")
    add_settings(parser)
    words = "what of the sentence a mask is of, or a clause of its own, and the mask; repeatable, masks of one thing are joined"
    parser.add_argument("--part", nargs=2, action="append", default=[], metavar=("WORDS", "M.png"), help=words)
    given = read_settings(parser, arguments)
    with options.exit_on_mistake():
        files, machine = options.build(Files, given), options.build(Machine, given)
        settings = options.build(Settings, {name: value for name, value in given.items() if name not in ("output", "freeze")})
        try:
            said = animate(files, settings, machine, given["part"], _show_progress, load_once)
            print(*map(options.for_terminal, said), sep="\n")
        except KeyboardInterrupt:
            print("\rstopped: nothing was written", file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT) from None


def add_settings(parser: options.Parser, skip: Collection[str] = ()) -> None:
    """Add the options of files, settings and machine, except what `skip` names of files, and then the prompt."""
    options.add(parser, Files, skip)
    options.add(parser, Settings, ("prompt",) if skip else ())
    options.add(parser, Machine)
    none = "draw no light and weather, whatever --effect and --effect-strength say"
    parser.add_argument("--no-effects", action="store_true", help=none)


def read_settings(parser: options.Parser, arguments: Sequence[str]) -> dict:
    """The options that were given, to a parser that `add_settings` has added to."""
    given = vars(parser.parse_args(arguments))
    return given | {"effect_strength": 0.0} if given.pop("no_effects") else given


def load_all(preset: str, machine: Machine):
    """The pipeline, and the models that find things and their depth."""
    checkpoints = import_networks()
    return checkpoints.load_quietly(preset, machine.checkpoint, machine.device), checkpoints.load_models(machine)


def load_once(preset: str, machine: Machine):
    """The same for a command that makes one loop: its kernels are compiled meanwhile."""
    compile_meanwhile()
    return load_all(preset, machine)


def animate(
    files: Files,
    settings: Settings,
    machine: Machine,
    given: Sequence[tuple[str, str]] = (),
    progress: Callable[[int, int], None] | None = None,
    load: Callable = load_all,
    again: bool = True,
) -> list[str]:
    """Make the files that were asked for, and return what is said of them, in lines.

    Whatever can be known to be wrong is refused before any work.

    Args:
        given: words and their masks' files.
        again: False returns no lines where the output has been written with these settings, of these files.
    """
    output, wanted = check_output(files.output), settings.output
    form = check(output, wanted.fps, wanted.codec, size_limit(wanted.size, wanted.max_size), wanted.size)
    is_page = form.kind == "page"
    if is_page and wanted.seconds is not None:
        raise ValueError(f"expected no length in seconds for {output}: a living page plays for ever")
    fit_length(settings, form)  # refuses what cannot be
    poster = check_place(check_still(files.poster)) if files.poster else None
    if not is_page and files.variations > 1:
        pages = list_endings(lambda form: form.kind == "page")
        raise ValueError(f"expected an output ending in {pages} for --variations, got {output}")
    written_to = files_of(output, wanted.size)
    if files.manifests:
        check_manifests(written_to)
    snippet = check_snippet(files.snippet, written_to) if files.snippet else None
    if is_page and PRESETS[settings.preset].checkpoint is None:
        raise ValueError(
            f"expected the quick or motion preset for a living page, got {settings.preset}: it makes frames, not motion"
        )
    if is_page and wanted.scale == "nearest":
        raise ValueError(f"expected a picture or a film for --scale nearest, got {output}: a living page is smooth")
    mask_output = check_mask_output(files.save_mask) if files.save_mask else None
    seeds = [settings.request.seed + index for index in range(files.variations)]
    settings.change(seed=seeds[-1])  # refuses a seed beyond the largest
    picture, alpha = open_picture(files.picture), open_alpha(files.picture)
    if alpha is not None and files.background is not None:
        picture, alpha = put_behind(picture, alpha, files.background), None
    output_size(wanted.size, *picture.size)
    mask = open_mask(files.mask, picture.size, print) if files.mask else None
    parts = [(words, open_mask(path, picture.size, print)) for words, path in given]
    if files.freeze:
        settings = settings.change(freeze=small_png(open_mask(files.freeze, picture.size, print)))
    moves = PRESETS[settings.preset].checkpoint is not None  # the picture, and not frames of its own
    squares = squares_of(picture, wanted, alpha) if moves and not is_page else None
    sources = [*filter(None, (files.picture, files.mask, files.freeze, *(path for _, path in given)))]
    recipe = pack(settings, mask, parts, squares=squares, sources=fingerprint(sources)) if files.metadata else None
    if not again and _is_written(written_to, recipe, sources):
        return []

    pipe, models = load(settings.sampler, machine)
    from loopanimate.animate import make_loops  # with torch, which takes seconds to import: mistakes are said before

    loop, *others = make_loops(pipe, picture, settings, seeds, mask, progress, given=parts, models=models, alpha=alpha)
    written = loop.write_page(output, others, metadata=recipe) if others else loop.write(output, metadata=recipe)
    if files.manifests:
        write_manifests(written.path, loop.view().picture, settings.request.prompt, several=bool(others))
    if snippet and not is_page:
        poster = poster or still_beside(output, loop.alpha is not None and form.keeps_alpha(wanted.codec))
    if poster:
        clear = STILLS[poster.suffix.lower()] != "JPEG"
        write_still(poster, next(loop.frames([0.0], clear=clear)))
    if snippet:
        write_snippet(snippet, written.path, poster or written.path, written.size, settings.request.prompt)
    if mask_output:
        with replacing(mask_output) as partial:
            Image.fromarray((loop.mask * 255).round().astype(np.uint8)).save(partial, format="PNG")
    lines = [*dict.fromkeys(note.said for note in loop.notes)]
    if not loop.found:
        lines.insert(0, "No clear object in the picture, so all of it moves; --mask says what should.")
    if mask_output:
        lines.append(f"{mask_output}: {'what moves' if loop.masks else 'where light and weather may be, as nothing moves'}")
    if alpha is not None and (loop.alpha is None or not form.keeps_alpha(wanted.codec)):
        keep = ", ".join(ending for ending, each in ENDINGS.items() if each.keeps_alpha(None))
        lines.append(
            f"White stands behind the picture: {keep} of the quick and motion presets keep it clear, --background sets a colour."
        )
    lines += filter(None, (written.length, written.enlarged))
    width, height = written.size
    about = f"{width} x {height}, {written.frames} frames, {written.seconds:.2f} s, seed {settings.request.seed}"
    return [*lines, f"{' and '.join(map(str, written_to))}: {about}"]


def _is_written(files: Sequence[Path], recipe: str | None, sources: Sequence[str]) -> bool:
    """Have an output's files been written with this recipe, of these sources? A file is there once it is whole.

    What carries no recipe counts as of these sources if it is younger than they, which is wrong once a clock was set back.
    """
    if not all(file.exists() for file in files):
        return False
    if recipe is not None:
        return read_metadata(files[0]) == recipe
    return all(files[0].stat().st_mtime >= Path(source).stat().st_mtime for source in sources)


def check_mask_output(path: str):
    """The mask's path, if it ends in .png and can be written; ValueError in one sentence if not."""
    if not path.lower().endswith(".png"):
        raise ValueError(f"expected a mask file ending in .png, got {path}")
    return check_place(path)


def _show_progress(step: int, steps: int) -> None:
    if sys.stderr.isatty():
        print(f"\rsampling {step}/{steps}", end="\n" if step == steps else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: half-written files go
    return_large_blocks()
    main()
