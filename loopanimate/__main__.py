"""python -m loopanimate PICTURE "PROMPT" --output LOOP.mp4: one picture, one loop, no page.

argparse instead of tyro, because a mistake must be one line here, and tyro draws a box.
"""

import argparse
import signal
import sys
from dataclasses import fields, replace

import numpy as np
from PIL import Image

from loopanimate.files.formats import FORMATS, QUALITIES, Format, check, check_output, list_endings
from loopanimate.files.manifests import write_manifests
from loopanimate.files.pictures import open_mask, open_picture, replacing
from loopanimate.files.recipe import pack, small_png
from loopanimate.files.sizes import SIZES
from loopanimate.files.video import CODECS
from loopanimate.loop import LoopSettings, check_page, make_loops
from loopanimate.presets import PRESETS

MAX_VARIATIONS = 8


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"error: {message} (see --help)\n")


def _fps(text: str) -> float | str:
    if text == "native":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected native or frames a second, got {text!r}") from None


def _megabytes(text: str) -> float:
    try:
        return float(text.upper().removesuffix("MB"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected megabytes, got {text!r}") from None


def _numbers(count: int):
    def read(text: str) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in text.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise argparse.ArgumentTypeError(f"expected {count} numbers with commas between, got {text!r}")
        return numbers

    return read


def _parser() -> Parser:
    parser = Parser(prog="python -m loopanimate", description="Turn a picture into a seamless loop.")
    default = {field.name: field.default for field in fields(LoopSettings)}
    add = parser.add_argument
    graded = list_endings(lambda form: form.graded)
    codecs = ", ".join(f"{form.codecs[0]} in {form.endings[0]}" for form in FORMATS if form.codecs)
    rates = "".join(f", {float(form.rate):g} for {form.name}" for form in FORMATS if form.rates)
    formats = ", ".join(f"{' or '.join(form.endings)} ({form.name})" for form in FORMATS)
    add("picture", metavar="PICTURE", help="JPEG, PNG, WebP, HEIC, ...")
    add("prompt", metavar="PROMPT", help="what should move, and how")
    add("--output", required=True, metavar="LOOP.mp4", help=f"the ending chooses: {formats}")
    add("--mask", metavar="M.png", help="white moves; without it the salient object is found")
    add("--save-mask", metavar="M.png", help="write the mask that was used")
    add("--preset", choices=list(PRESETS), default=default["preset"])
    add("--checkpoint", metavar="DIR|REPO", help="folder or hub repository; without it the preset's own")
    add("--num-frames", type=int, default=default["num_frames"], metavar="N", help="odd, 3 to 35 (default: %(default)s)")
    add("--seed", type=int, default=default["seed"], help="another seed, another loop (default: %(default)s)")
    add("--steps", dest="num_inference_steps", type=int, metavar="K", help="sampling steps")
    add("--guidance", dest="guidance_scale", type=float, metavar="G", help="how much the words outweigh; 1 is none")
    add(
        "--negative", dest="negative_prompt", default="", metavar="TEXT", help="what to keep away from, where guidance is not 1"
    )
    add("--motion-strength", type=float, default=default["motion_strength"], metavar="S", help="0 to 4 (default: 1)")
    add(
        "--tempo",
        type=float,
        default=default["tempo"],
        metavar="T",
        help="0.25 to 4: at 2 a turn lasts half as long (default: 1)",
    )
    add(
        "--arrow",
        dest="arrows",
        type=_numbers(4),
        action="append",
        default=[],
        metavar="X0,Y0,X1,Y1",
        help="the first point goes to the second, in fractions of the picture; repeatable",
    )
    add("--pin", dest="pins", type=_numbers(2), action="append", default=[], metavar="X,Y", help="stays; repeatable")
    add("--freeze", metavar="M.png", help="white stays")
    add("--fps", type=_fps, metavar="native|N", help=f"default {Format.rate}{rates}; native writes exactly N - 1 frames")
    add("--size", default=default["size"], metavar="source|4k|WxH", help=f"also {', '.join(SIZES)} (default: source)")
    add("--fit", action="store_true", help="the whole picture within the size, blurred around it; without it, cut to the size")
    add("--quality", choices=list(QUALITIES), default=default["quality"], help=f"of {graded} (default: %(default)s)")
    add("--codec", choices=list(CODECS), help=f"of a video (default: {codecs})")
    add("--max-size", type=_megabytes, metavar="MB", help=f"of {graded}: coded more coarsely until it fits")
    add("--repeats", type=int, default=default["repeats"], metavar="R", help="turns in the file (default: 1)")
    add("--variations", type=int, default=1, metavar="V", help="loops that an html page wanders among (default: 1)")
    add("--manifests", action="store_true", help="write Wallpaper Engine's and Lively's files beside an html page")
    add("--mask-grow", type=float, default=0.0, metavar="P", help="percent of the short side, negative shrinks")
    add("--mask-feather", type=float, default=0.0, metavar="P", help="percent of the short side")
    add("--mask-invert", action="store_true", help="what was masked stays, the rest moves")
    add("--no-metadata", action="store_true", help="leave settings and mask out of the file")
    add("--device", choices=("auto", "cpu", "cuda"), default=default["device"])
    return parser


def main(arguments: list[str] | None = None) -> None:
    options = vars(_parser().parse_args(arguments))
    source, output, mask_path, save_mask, freeze, silent, variations, manifests = (
        options.pop(name)
        for name in ("picture", "output", "mask", "save_mask", "freeze", "no_metadata", "variations", "manifests")
    )
    options |= {name: tuple(options[name]) for name in ("arrows", "pins")}
    settings = LoopSettings(**options)
    try:
        settings.check()
        check(check_output(output), settings.fps, settings.codec, settings.max_size)
        check_living(output, settings, variations, manifests)
        if save_mask:
            check_output_mask(save_mask)
        picture = open_picture(source)
        mask = open_mask(mask_path, picture.size) if mask_path else None
        if freeze:
            settings = replace(settings, freeze=small_png(open_mask(freeze, picture.size)))
        seeds = [settings.seed + index for index in range(variations)]
        loop, *others = make_loops(picture, settings, seeds, mask, _show_progress)
        recipe = None if silent else pack(settings, mask)
        written = loop.write_page(output, others, recipe) if others else loop.write(output, recipe)
        if manifests:
            write_manifests(written.path, loop.picture, settings.prompt, several=bool(others))
        if save_mask:
            with replacing(check_output_mask(save_mask)) as partial:
                Image.fromarray((loop.mask * 255).round().astype(np.uint8)).save(partial, format="PNG")
    except (ValueError, OSError) as error:
        print(f"\rerror: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("\rstopped: nothing was written", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    if not loop.found:
        print("No clear object in the picture, so all of it moves; --mask says what should.")
    if loop.note:
        print(loop.note)
    width, height = written.size
    print(f"{output}: {width} x {height}, {written.frames} frames, {written.seconds:.2f} s, seed {settings.seed}")


def check_living(output: str, settings: LoopSettings, variations: int, manifests: bool) -> None:
    """Raises ValueError for what only a living page can hold, or for a living page of settings that make none."""
    if not 1 <= variations <= MAX_VARIATIONS:
        raise ValueError(f"expected 1 to {MAX_VARIATIONS} variations, got {variations}")
    if check(output).kind == "page":
        check_page(settings)
    elif variations > 1 or manifests:
        pages = list_endings(lambda form: form.kind == "page")
        raise ValueError(f"expected an output ending in {pages} for --variations and --manifests, got {output}")


def check_output_mask(path: str):
    """The mask's path, if it ends in .png and can be written."""
    if not path.lower().endswith(".png"):
        raise ValueError(f"expected a mask file ending in .png, got {path}")
    return check_output(path)


def _show_progress(step: int, steps: int) -> None:
    if sys.stderr.isatty():
        print(f"\rsampling {step}/{steps}", end="\n" if step == steps else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is half-written goes
    main()
