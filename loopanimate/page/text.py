"""Everything that the page says, in HTML or Markdown. Words that people typed are escaped."""

import base64
import html
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageColor

from loopanimate.files.formats import Format
from loopanimate.loop import Loop, LoopFile
from loopanimate.memory import SHORT
from loopanimate.page.preview import measure
from loopanimate.staging import Note
from loopanimate.words.clauses import Clause, read_clauses
from loopanimate.words.kinds import FACE_KINDS, KINDS
from loopanimate.words.revise import AMOUNTS

SHOWN_SIDE = 1280  # pixels on the long side of the loop on the page; a download has the size that was asked for


@dataclass(frozen=True)
class Suggestion:
    words: str
    shows: tuple[str, ...] = ()  # classes (scene/regions.py) that the picture has to show besides what the words name
    anywhere: bool = False  # it names nothing that has to be found


SUGGESTIONS = (  # of each group the first that fits the picture
    (
        Suggestion(
            "the waves roll in, the clouds drift to the left", ("foam", "cloud")
        ),  # a lake has no waves, nor a clear sky clouds
        Suggestion("the waves roll in", ("foam",)),
        Suggestion("the boat rocks gently, the water ripples"),
        Suggestion("the waterfall flows down"),
        Suggestion("the water ripples, the clouds drift to the left", ("cloud",)),
        Suggestion("the water ripples, the trees sway gently"),
        Suggestion("the water ripples"),
    ),
    (Suggestion("the hair blows in the wind, the face stays still"), Suggestion("the hair blows in the wind")),
    (Suggestion("the portrait comes alive", ("face",)), Suggestion("the clothes sway gently")),
    (Suggestion("the clouds drift to the left", ("cloud",)),),
    (
        Suggestion("the flowers sway gently"),
        Suggestion("the trees sway, leaves drift down"),
        Suggestion("the grass sways in the wind"),
    ),
    (Suggestion("the fire burns"), Suggestion("the candle flickers"), Suggestion("smoke rises slowly")),
    (Suggestion("the camera moves in slowly", anywhere=True),),
    (
        Suggestion("snow falls gently", ("sky",), anywhere=True),
        Suggestion("snow falls gently", ("cloud",), anywhere=True),
        Suggestion("dust drifts slowly", anywhere=True),  # within doors
    ),
    (Suggestion("it breathes slowly", ("animal",)), Suggestion("it breathes slowly", ("clothing",))),
)
SUGGESTED = 6
SHOWN_FIRST = [group[0].words for group in SUGGESTIONS][:SUGGESTED]  # before anybody has looked at a picture
SNOW = "snow falls gently"  # shows on any picture
EXAMPLE = SHOWN_FIRST[0]
MASKED = "Red moves as long as your sentence names nothing else. Paint or click to change it."
NOT_FOUND = (
    "No clear object found: the whole picture moves as long as your sentence names nothing. Paint or click to change it."
)
FLAT = f"This picture has one colour, so no motion in it can be seen; light and weather can: “{SNOW}”."
STAYS = "The picture that you had is still there."
LOOKING = "Looking at the picture …"
ADDED = "Besides what the sentence says; an amount may follow: snow=0.5"
AV1 = "AV1 in MP4 and WebM: smaller; at small, with a step at the wrap"
PACKAGE = "With a still, and what Wallpaper Engine, Lively and web pages need, in one .zip"
SIZE_NAMES = {  # where a size's own name is no word
    "1080p": "Full HD",
    "1440p": "1440p screen",
    "4k": "4K",
    "8k": "8K",
    "android": "Android phone",
    "iphone": "iPhone",
    "wallpaper-engine": "Wallpaper Engine",
    "lively": "Lively Wallpaper",
}
SEVERAL = [  # sizes of several monitors; others can be typed
    ("two monitors of 1080p", "1920x1080,1920x1080"),
    ("three monitors of 1080p", "1920x1080,1920x1080,1920x1080"),
]
LENGTHS = [("one round", ""), *((f"about {seconds} s", str(seconds)) for seconds in (10, 15, 30, 60))]  # others can be typed
ENLARGE = (  # of a picture smaller than the size: what is said of each way, and its name
    ("drawn sharper, from 1.5 times its size on", "auto"),
    ("drawn sharper, as a photograph: its texture stays", "photo"),
    ("drawn sharper, as a drawing: clean lines", "drawing"),
    ("only enlarged", "off"),
)
STEPS = "0: the model's own; above 2 the slower model samples"
GUIDANCE = "0: the model's own, 1: none; any other is the slower model's"
ENLARGING = "Enlarging the picture …"
UNMEASURED = "Seam and stillness are measured when a loop is made."
NO_PICTURE = "choose a picture first"
GONE = "the files of this loop went after an hour: choose its picture again and press Animate"
NO_SENTENCE = f"say what should move, such as “{EXAMPLE}”"
WAITING = "Waiting for its turn …"
BEGUN = "Starting …"
CHOSEN = "Rendering it in full …"
FAILED = "That did not work. If a message names what is wrong, change it; then try again."
NOT_UNDERSTOOD = "“{}” is no motion that is known here: say it in other words, or leave it out."
WAYS = {180: ("←", "To the left"), 270: ("↑", "Up"), 90: ("↓", "Down"), 0: ("→", "To the right")}  # degrees, y down
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
    if isinstance(error, MemoryError):
        return f"{SHORT}, or try again later"
    if isinstance(error, OSError):  # not a visitor's, so its path is nobody's business
        return f"expected room and files on the server's disk, got: {error.strerror or type(error).__name__}: try again later"
    folders = "|".join(re.escape(folder.rstrip("/")) for folder in TEMPORARY)
    return re.sub(rf"(?:{folders})/(?:[^/\s]+/)*", "", str(error))


def sentence(error: Exception) -> str:
    """A mistake as a person is told of it: what is needed, and what came."""
    words = re.sub("^expected ", "this needs ", plain(error))
    words = re.sub(r", got (?=\S)", ". It was given ", words, count=1) if words.startswith("this needs") else words
    return html.escape(words[:1].upper() + words[1:].removesuffix(".") + ".")


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


def describe(form: Format, file: LoopFile, seed: int, shown: LoopFile | None = None) -> str:
    """A file that Download gave, or would give: that has no bytes yet. shown: the film on the page, if it is there."""
    (width, height), written = file.size, file.path.is_file()
    parts = [f"{form.name}, {width} x {height}", f"{file.seconds:.2f} s", f"{file.frames} frames"]
    if written:
        size = file.path.stat().st_size
        parts.append(f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB")
    said = [f"{'Downloaded' if written else 'The file'}: {', '.join(parts)}, seed {seed}.", file.length]
    if written:
        said.append(file.enlarged)
    elif shown and shown.size != file.size:
        said.append("Shown here at {} x {}.".format(*shown.size))
    return " ".join(filter(None, said))


def colours(notes: Sequence[Note]) -> list[tuple[int, int, int]]:
    """A colour for each note."""
    return [ImageColor.getrgb(f"hsl({round(40 + 360 * place * 0.381966) % 360}, 90%, 60%)") for place in range(len(notes))]


def understood(prompt: str, notes: Sequence[Note] = (), made: bool = False) -> str:
    """Each clause of a sentence as a chip: what becomes of it, in the colour that its place has in the picture, and buttons that
    change the sentence's words. made: the notes are of these very words."""
    taken = any(not (note.thing or note.clause) for note in notes)  # for something else, as a note says
    notes, chips = list(zip(notes, colours(notes))), []
    for index, clause in enumerate(read_clauses(prompt)):
        same = [pair for pair in notes if clause.text == pair[0].clause] or [pair for pair in notes if _is_of(pair[0], clause)]
        note, colour = (
            same[0] if same else (Note("" if not made or clause.kind or taken else NOT_UNDERSTOOD.format(clause.text)), ())
        )
        notes = [pair for pair in notes if pair[0] is not note]
        chips.append(f'<li data-clause="{index}">{_chip(note, colour, clause)}{_handles(clause)}</li>')
    chips += [f"<li>{_chip(note, colour)}</li>" for note, colour in notes if made]
    return f'<ul class="understood">{"".join(chips)}</ul>' if chips else ""


def not_read(error: Exception) -> str:
    """In place of the chips of a sentence: why it has none."""
    return f'<ul class="understood"><li><p>{sentence(error)}</p></li></ul>'


def _is_of(note: Note, clause: Clause) -> bool:
    return bool(note.thing) and note.thing.endswith(clause.thing)


def _chip(note: Note, colour: tuple[int, ...], clause: Clause | None = None) -> str:
    """What is said of a clause; where it has a thing, a button that has that thing's mask painted on."""
    said = html.escape(note.said or clause.text)
    colour = f"rgb{colour}" if note.place is not None else "none"
    mark = f'<span style="background: {colour}">{"?" if note.unsure or note.said.startswith("“") else ""}</span>'
    if not note.thing:
        return f"<p>{mark}{said}</p>"
    thing, title = html.escape(note.thing), html.escape(f"Mend where “{note.thing}” is")
    return f'<button type="button" data-thing="{thing}" title="{title}">{mark}{said}</button>'


def _handles(clause: Clause) -> str:
    """What changes a clause's words: less and more, a way, and leaving it out."""
    name, moves, parts = html.escape(clause.text), clause.kind not in (None, "rest"), []

    def button(sign: str, label: str, change: dict, more: str = "") -> str:
        label = html.escape(f"{label}: {clause.text}")
        return (
            f'<button type="button" data-revise="{html.escape(json.dumps(change))}" aria-label="{label}" {more}>{sign}</button>'
        )

    if moves:
        amounts = [*AMOUNTS[:2], "", *AMOUNTS[2:]]
        place = amounts.index(clause.strength if clause.strength in amounts else "")
        less, more = (amounts[min(max(place + by, 0), len(amounts) - 1)] for by in (-1, 1))
        ends = ["disabled" if other == amounts[place] else "" for other in (less, more)]
        scale = f'<meter min="0" max="{len(amounts) - 1}" value="{place}" aria-label="How strongly: {name}"></meter>'
        parts += [
            button("−", "Weaker", {"strength": less}, ends[0]),
            scale,
            button("+", "Stronger", {"strength": more}, ends[1]),
        ]
    kind = KINDS.get(clause.kind) or FACE_KINDS.get(clause.kind)
    if moves and (clause.heading is not None or kind and kind.directed not in ("none", False)):
        for heading, (sign, label) in WAYS.items():
            on = clause.heading == heading
            parts.append(button(sign, label, {"heading": None if on else heading}, f'aria-pressed="{str(on).lower()}"'))
    parts.append(button("×", "Leave out", {"remove": True}))
    return f'<span class="handles">{"".join(parts)}</span>'


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
