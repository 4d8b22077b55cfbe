"""Everything that the page says, in HTML or Markdown. Words that people typed are escaped."""

import base64
import html
import os
import re
import tempfile
import unicodedata

from PIL import ImageColor

from loopanimate.files.formats import by_ending
from loopanimate.loop import Loop, LoopFile
from loopanimate.page.preview import measure
from loopanimate.staging import Note

SHOWN_SIDE = 1280  # pixels on the long side of the loop on the page; a download has the size that was asked for
SUGGESTIONS = (
    "the waves roll in, the clouds drift to the left",
    "her hair blows in the wind, the face stays still",
    "the trees sway, leaves drift down",
    "the boat rocks gently, the water ripples",
    "snow falls gently",
    "the candle flickers",
    "it breathes slowly",
)
MASKED = "Red moves as long as your sentence names nothing else. Paint or click to change it."
NOT_FOUND = "No clear object found, so the whole picture is marked. Select or paint what should move, or leave it."
LOOKING = "Looking at the picture …"
ADDED = "Besides what the sentence says; an amount may follow: snow=0.5"
AV1 = "AV1 in MP4 and WebM: smaller; at small, with a step at the wrap"
UNMEASURED = "Seam and stillness are measured when a loop is made."
NO_PICTURE = "choose a picture first"
GONE = "the files of this loop went after an hour: choose its picture again and press Animate"
NO_SENTENCE = f"say what should move, such as “{SUGGESTIONS[0]}”"
WAITING = "Waiting for its turn …"
BEGUN = "Starting …"
FAILED = "That did not work. If a message names what is wrong, change it; then try again."
MEASURES = {
    "step": "Seam step (1.25 or less is none)",
    "jerk": "Seam jerk (1.25 or less is none)",
    "pause": "Seam pause (below 1 it stops there)",
    "inside": "Mean change where it moves, of 255",
    "outside": "Mean change elsewhere, of 255",
}


# folders of uploads and finished files
TEMPORARY = {tempfile.gettempdir(), os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir())}


def plain(error: Exception) -> str:
    """A mistake's own words, without the folders that visitors' files lie in."""
    folders = "|".join(re.escape(folder.rstrip("/")) for folder in TEMPORARY)
    return re.sub(rf"(?:{folders})/(?:[^/\s]+/)*", "", str(error))


def sentence(error: Exception) -> str:
    """A mistake as a person is told of it: what is needed, and what came."""
    words = re.sub("^expected ", "this needs ", plain(error))
    words = re.sub(r", got (?=\S)", ". It was given ", words, count=1) if words.startswith("this needs") else words
    return html.escape(words[:1].upper() + words[1:] + ".")


def slug(words: str, most: int = 40) -> str:
    """Words as part of a file's name."""
    plain_words = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKD", words.lower()).encode("ascii", "ignore").decode())
    return (
        plain_words.strip("-")[: most + 1].rpartition("-")[0] if len(plain_words.strip("-")) > most else plain_words.strip("-")
    )


def working(words: str, share: float | None = None, glimpse: bytes | None = None) -> dict:
    """How the work goes: words, the share that is done, and the motion so far as WebP."""
    picture = glimpse and f"data:image/webp;base64,{base64.b64encode(glimpse).decode()}"
    return {"words": html.escape(words), "share": share, "glimpse": picture}


def left(seconds: float) -> str:
    return f"about {max(1, round(seconds))} s left"


def describe(file: LoopFile, seed: int) -> str:
    (width, height), size = file.size, file.path.stat().st_size
    weight = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"
    return f"{width} x {height}, {file.seconds:.2f} s, {file.frames} frames, {weight}, seed {seed}."


def made(file: LoopFile, loop: Loop) -> str:
    width, height = by_ending(file.path).size(*loop.size())
    words = describe(file, loop.settings.request.seed)
    words += f" The download has {width} x {height}." if max(width, height) > SHOWN_SIDE else ""
    return words


def colours(loop: Loop) -> list[tuple[int, int, int]]:
    """A colour for each note."""
    return [ImageColor.getrgb(f"hsl({round(40 + 360 * place * 0.381966) % 360}, 90%, 60%)") for place in range(len(loop.notes))]


def understood(loop: Loop) -> str:
    """Each clause of the sentence with what became of it, in the colour that its place has in the picture."""
    lines = [f"<li>{_chip(note, colour)}</li>" for note, colour in zip(loop.notes, colours(loop))]
    return f'<ul class="understood">{"".join(lines)}</ul>' if lines else ""


def _chip(note: Note, colour: tuple[int, int, int]) -> str:
    """A clause; where it has a thing, a button that has that thing's mask painted on."""
    colour = f"rgb{colour}" if note.place is not None else "none"
    mark = f'<span style="background: {colour}">{"?" if note.unsure else ""}</span>'
    if not note.thing:
        return mark + html.escape(note.said)
    title = html.escape(f"Mend where “{note.thing}” is")
    return (
        f'<button type="button" data-thing="{html.escape(note.thing)}" title="{title}">{mark}{html.escape(note.said)}</button>'
    )


def details(loop: Loop) -> str:
    request, hands = loop.settings.request, loop.settings.hands
    rows = {MEASURES[name]: f"{value:.2f}" for name, value in measure(loop).items()} | {
        "Seed": request.seed,
        "Frames of the model": request.num_frames,
        "Motion strength": f"{hands.motion_strength:g}",
        "Light and weather": f"{hands.effect_strength:g}",
        "Tempo": f"{hands.tempo:g}",
        "Arrows and pins": len(hands.arrows) + len(hands.pins),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def restored(found: bool, changes: list[str]) -> str:
    """found: the mask was not in the file. changes: settings that the page holds less of than the file says."""
    words = "The settings are back; the mask is found again." if found else "The settings are back, mask included."
    return f"{words} Within this page's limits: {', '.join(changes)}." if changes else words
