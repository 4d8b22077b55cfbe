"""Everything that the page says, in HTML or Markdown. Words that people typed are escaped."""

import base64
import html
import os
import re
import tempfile
from pathlib import Path

from loopanimate.files.formats import by_ending
from loopanimate.loop import Loop, LoopFile
from loopanimate.page.preview import draw_places, measure
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
EMPTY = '<div class="empty">Your loop will play here.<br>Choose a picture, say what should move, press Animate.</div>'
MASKED = (
    "Red moves. Paint what else should, erase what should not; blue stays frozen. As long as you paint nothing, what your "
    "sentence names moves instead: it is found for you."
)
NOT_FOUND = (
    "**No clear object found**, so the whole picture is marked. Leave it, erase what should stay, "
    "or clear it and click on what should move (below)."
)
CLICKS = "Two clicks draw an arrow: this point goes there. A pin stays where it is."
HEAD = "Now click where this point goes."
DIRECTED = "The loop follows the arrow. Set a pin where something should stay."
DIRECTIONS = "In percent of the picture; × removes one, and you can type them: arrow 20 30 45 30, pin 50 50"
ADDED = "Besides what the sentence says; an amount may follow: snow=0.5"
AV1 = "AV1 in MP4 and WebM: smaller; at small, with a step at the wrap"
UNMEASURED = "Seam and stillness are measured when a loop is made."
NO_PICTURE = "choose a picture first"
GONE = "the files of this loop went after an hour: choose its picture again and press Animate"
EXAMPLE = "A finished example. Change anything and press Animate."
WAITING = "Waiting for its turn …"
FAILED = (
    '<div class="problem" role="alert">That did not work. If a message names what is wrong, change it; '
    "then press Animate again.</div>"
)
UNWRITTEN = "**The file was not written. If a message names what is wrong, change it; then press Download again.**"
CANCELLED = '<div class="empty">Cancelled. Change anything and press Animate.</div>'
FOUR = '<div class="empty">Four seeds are ready below: click one to see it in full.</div>'
MEASURES = {
    "step": "Seam step (1.25 or less is none)",
    "jerk": "Seam jerk (1.25 or less is none)",
    "pause": "Seam pause (below 1 it stops there)",
    "inside": "Mean change where red, of 255",
    "outside": "Mean change elsewhere, of 255",
}


# folders of uploads and finished files
TEMPORARY = {tempfile.gettempdir(), os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir())}


def plain(error: Exception) -> str:
    """A mistake's own words, without the folders that visitors' files lie in."""
    folders = "|".join(re.escape(folder.rstrip("/")) for folder in TEMPORARY)
    return re.sub(rf"(?:{folders})/(?:[^/\s]+/)*", "", str(error))


def sentence(error: Exception) -> str:
    words = plain(error)
    return html.escape(words[:1].upper() + words[1:] + ".")


def problem(error: Exception) -> str:
    return f'<div class="problem" role="alert">{sentence(error)}</div>'


def working(words: str, share: float | None = None, glimpse: bytes | None = None, lives: bool = False) -> str:
    """How the work goes. lives: the living preview plays above, so the glimpse is for browsers that cannot draw it."""
    picture = '<div class="empty">Your loop is on its way.</div>'
    if glimpse:
        picture = f'<img alt="The motion so far" src="data:image/webp;base64,{base64.b64encode(glimpse).decode()}">'
    bar = f'<progress aria-label="Progress" max="1" value="{share:.3f}"></progress>' if share is not None else ""
    kind = "result lives" if lives else "result"
    return f'<div class="{kind}" aria-busy="true">{picture}{bar}<p role="status">{html.escape(words)}</p></div>'


def say(error: Exception) -> str:
    return f"**{sentence(error)}**"


def play(file: Path, prompt: str) -> str:
    source = html.escape(f"gradio_api/file={file}")
    label = html.escape(prompt)
    return f'<div class="result"><video src="{source}" loop muted autoplay playsinline controls aria-label="{label}"></video></div>'


def live(page: LoopFile | None, loop: Loop) -> str:
    """The living preview, a page within the page."""
    if page is None:
        return ""
    strength, (width, height) = loop.settings.hands.motion_strength, page.size
    return (
        f'<iframe class="living" title="The motion, live" data-strength="{strength}" tabindex="-1" '
        f'style="aspect-ratio: {width} / {height}" srcdoc="{html.escape(page.path.read_text(encoding="utf-8"))}"></iframe>'
    )


def describe(file: LoopFile, seed: int) -> str:
    (width, height), size = file.size, file.path.stat().st_size
    weight = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"
    return f"{width} x {height}, {file.seconds:.2f} s, {file.frames} frames, {weight}, seed {seed}."


def made(file: LoopFile, loop: Loop) -> str:
    width, height = by_ending(file.path).size(*loop.size())
    words = describe(file, loop.settings.request.seed)
    words += f" The download has {width} x {height}." if max(width, height) > SHOWN_SIDE else ""
    return words


def understood(loop: Loop) -> str:
    """Each clause of the sentence with what became of it, in the colour that its place has in the picture beside."""
    if not loop.notes:
        return ""
    colours = [f"hsl({round(40 + 360 * place * 0.381966) % 360}, 90%, 60%)" for place in range(len(loop.notes))]
    lines, picture = [f"<li>{_chip(note, colour)}</li>" for note, colour in zip(loop.notes, colours)], ""
    if any(note.place is not None for note in loop.notes):
        drawn = base64.b64encode(draw_places(loop.picture, [note.place for note in loop.notes], colours)).decode()
        picture = f'<img alt="What the words were found to name" src="data:image/webp;base64,{drawn}">'
    return f'<div class="understood">{picture}<ul>{"".join(lines)}</ul></div>'


def _chip(note: Note, colour: str) -> str:
    """A clause; where it has a thing, a button that takes that thing's mask to the editor."""
    mark = f'<span style="background: {colour if note.place is not None else "none"}">{"?" if note.unsure else ""}</span>'
    if not note.thing:
        return mark + html.escape(note.said)
    title = html.escape(f"Mend where “{note.thing}” is")
    return (
        f'<button type="button" data-thing="{html.escape(note.thing)}" title="{title}">{mark}{html.escape(note.said)}</button>'
    )


def mending(thing: str) -> str:
    return (
        f"Red is **{html.escape(thing)}** now. Paint or erase until it is right, then press Animate. "
        "Choose it again below the loop to go back to what moves as a whole."
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
