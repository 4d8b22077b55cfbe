"""What the page says: progress, results, measures and mistakes, in HTML or Markdown. Words of people are escaped."""

import base64
import html
import os
import re
import tempfile
from pathlib import Path

from loopanimate.loop import Loop, LoopFile
from loopanimate.page.preview import measures

SHOWN_SIDE = 1280  # pixels on the long side of the loop on the page; the file has the size that was asked for
EMPTY = '<div class="empty">Your loop will play here.<br>Choose a picture, say what should move, press Animate.</div>'
MASKED = "Red moves. Paint what else should, erase what should not; blue stays frozen."
CLICKS = "Two clicks draw an arrow: this point goes there. A pin stays where it is."
UNMEASURED = "Seam and stillness are measured when a loop is made."
NOT_FOUND = (
    "**No clear object found**, so the whole picture is marked. Leave it, erase what should stay, "
    "or clear it and click on what should move (below)."
)
GONE = "The files of this loop went after an hour. Choose its picture again and press Animate."
FAILED = (
    '<div class="problem" role="alert">That did not work. If a message names what is wrong, change it; '
    "then press Animate again.</div>"
)
UNWRITTEN = "**The file was not written. If a message names what is wrong, change it; then press Download again.**"
CANCELLED = '<div class="empty">Cancelled. Change anything and press Animate.</div>'
FOUR = '<div class="empty">Four seeds are ready below: click one to see it in full.</div>'


def folders(*roots: str) -> re.Pattern:
    """What stands before a file's own name where it lies below one of these folders."""
    return re.compile("|".join(rf"{re.escape(root.rstrip('/'))}/(?:[^/\s]+/)*" for root in roots))


# of uploads and finished files
TEMPORARY = folders(tempfile.gettempdir(), os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir()))


def working(text: str, share: float | None = None, glimpse: bytes | None = None, lives: bool = False) -> str:
    """lives: the living preview plays above, so that the glimpse is for browsers that cannot draw it."""
    picture = (
        f'<img alt="The motion so far" src="data:image/webp;base64,{base64.b64encode(glimpse).decode()}">'
        if glimpse
        else ('<div class="empty">Your loop is on its way.</div>')
    )
    bar = f'<progress aria-label="Progress" max="1" value="{share:.3f}"></progress>' if share is not None else ""
    kind = "result lives" if lives else "result"
    return f'<div class="{kind}" aria-busy="true">{picture}{bar}<p role="status">{html.escape(text)}</p></div>'


def problem(error: Exception) -> str:
    return f'<div class="problem" role="alert">{sentence(error)}</div>'


def player(file: LoopFile, prompt: str) -> str:
    return (
        f'<div class="result"><video src="gradio_api/file={html.escape(str(file.path))}" loop muted autoplay playsinline '
        f'controls aria-label="{html.escape(prompt)}"></video></div>'
    )


def living(page: Path | None, loop: Loop) -> str:
    """The living preview, a page within the page."""
    if page is None:
        return ""
    width, height = loop.picture.size
    return (
        f'<iframe class="living" title="The motion, live" data-strength="{loop.settings.motion_strength}" tabindex="-1" '
        f'style="aspect-ratio: {width} / {height}" srcdoc="{html.escape(page.read_text(encoding="utf-8"))}"></iframe>'
    )


def made(file: LoopFile, loop: Loop) -> str:
    width, height = file.size
    full = loop.size
    text = f"{width} x {height}, {file.seconds:.2f} s, {file.frames} frames, {weight(file.path)}, seed {loop.settings.seed}."
    text += f" The download has {full[0]} x {full[1]}." if max(full) > SHOWN_SIDE else ""
    return f"{text} {html.escape(loop.note)}" if loop.note else text


def details(loop: Loop) -> str:
    settings, found = loop.settings, measures(loop)
    names = {
        "step": "Seam step (1.25 or less is none)",
        "jerk": "Seam jerk (1.25 or less is none)",
        "pause": "Seam pause (below 1 it stops there)",
        "inside": "Mean change where red, of 255",
        "outside": "Mean change elsewhere, of 255",
    }
    rows = {names[name]: f"{value:.2f}" for name, value in found.items()}
    rows |= {
        "Seed": settings.seed,
        "Frames of the model": settings.num_frames,
        "Motion strength": f"{settings.motion_strength:g}",
        "Tempo": f"{settings.tempo:g}",
        "Arrows and pins": len(settings.arrows) + len(settings.pins),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def restored(found: bool, changes: list[str]) -> str:
    """found: the mask was not in the file. changes: what the page takes less of than the file says."""
    text = "The settings are back; the mask is found again." if found else "The settings are back, mask included."
    return f"{text} Within this page's limits: {', '.join(changes)}." if changes else text


def plain(error: Exception) -> str:
    """A mistake's own words, without the folders that visitors' files lie in."""
    return TEMPORARY.sub("", str(error))


def sentence(error: Exception) -> str:
    text = plain(error)
    return html.escape(text[:1].upper() + text[1:] + ".")


def weight(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"
