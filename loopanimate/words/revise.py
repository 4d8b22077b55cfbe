"""A sentence in other words: one of its clauses stronger or weaker, another way, or left out."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from loopanimate.words.clauses import Clause, read_clauses
from loopanimate.words.lexicon import phrases
from loopanimate.words.vocabulary import DIRECTIONS, STRENGTHS, any_of

AMOUNTS = tuple(name for name in STRENGTHS if name != "plainly")  # from the least; "" stands in their middle
BETWEEN = r"(?:\s*[,.;!\n]\s*|\s+)(?:(?:and|but|while|as)\s+)?"  # what parts clauses


def revise(prompt: str, index: int, *, strength: str | None = None, heading: int | None = -1, remove: bool = False) -> str:
    """The prompt with one of its clauses changed.

    Args:
        index: of the clause.
        strength: a name of STRENGTHS, or "" for none; None leaves it as it is.
        heading: degrees, x right and y down, or None for none; -1 leaves it as it is.
        remove: leave the clause out.

    Each way to write it is read again, and the first that says just what was wanted is taken: words of other clauses stay as
    they were typed. Raises: ValueError where no way does.
    """
    if strength not in (None, "", *STRENGTHS) or heading not in (None, -1, *DIRECTIONS):
        raise ValueError(f"expected a strength or a heading that words can say, got {strength!r} and {heading!r}")
    said = read_clauses(prompt)
    if not 0 <= index < len(said):
        raise ValueError(f"expected one of the {len(said)} clauses of the sentence, got number {index + 1}")
    if remove:
        wanted, tries = said[:index] + said[index + 1 :], _without(prompt, said, index)
    else:
        change = {} if strength is None else {"strength": strength}
        change |= {} if heading == -1 else {"heading": None if heading is None else float(heading)}
        wanted = [replace(clause, **change) if place == index else clause for place, clause in enumerate(said)]
        tables = [*(["strength"] if strength is not None else []), *(["way"] if heading != -1 else [])]
        words = [STRENGTHS[strength][0]] if strength else []
        words += [DIRECTIONS[heading][0]] if heading not in (None, -1) else []
        tries = _reword(prompt, said, index, tables, words)
    changed = None if remove else index
    for text in tries:
        if _meanings(read_clauses(text), changed) == _meanings(wanted, changed):
            return text
    raise ValueError(f"expected a clause that can be said so, got {said[index].text!r}: change its words")


def _meanings(said: Iterable[Clause], changed: int | None) -> list[Clause]:
    """What can be compared: of the clause that is changed not its kind, as a dog that runs to the left gets there."""
    forget = {"kind": None, "known": True, "effect": "", "full": True}
    return [replace(clause, text="", **(forget if place == changed else {})) for place, clause in enumerate(said)]


def _spans(prompt: str, said: Iterable[Clause]) -> list[tuple[int, int]] | None:
    """Where each clause stands in the prompt; None where one was read in other words than it was typed in."""
    spans, after = [], 0
    for clause in said:
        words = re.escape(clause.text).replace(r"\ ", r"\W+")
        found = re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE).search(prompt, after)
        if found is None:
            return None
        spans.append(found.span())
        after = found.end()
    return spans


def _texts(prompt: str, said: list[Clause]) -> Iterator[tuple[str, str, str, int]]:
    """The sentence as what stands before a clause, the clause and what follows, as it was typed and as it was read."""
    spans = _spans(prompt, said)
    if spans:
        yield from ((prompt[:start], prompt[start:end], prompt[end:], place) for place, (start, end) in enumerate(spans))
    texts = [clause.text for clause in said]
    for place, text in enumerate(texts):
        yield ", ".join([*texts[:place], ""]), text, ", ".join(["", *texts[place + 1 :]]), place


def _without(prompt: str, said: list[Clause], index: int) -> Iterator[str]:
    for before, _, after, place in _texts(prompt, said):
        if place == index:
            yield re.sub(rf"{BETWEEN}$", "", before) + after if before.strip() else re.sub(rf"^{BETWEEN}", "", after)
            yield before + re.sub(rf"^{BETWEEN}", "", after)
    yield ", ".join(clause.text for place, clause in enumerate(said) if place != index)


def _reword(prompt: str, said: list[Clause], index: int, tables: list[str], words: list[str]) -> Iterator[str]:
    known = tuple(" ".join(phrase) for phrase, tags in phrases().items() if tags.keys() & {*tables})
    for before, text, after, place in _texts(prompt, said):
        if place != index:
            continue
        plain = [text]
        while found := list(any_of(known).finditer(plain[-1])):  # the last word first: "the left boat drifts to the left"
            start, end = found[-1].span()
            plain.append(re.sub(r"\s{2,}", " ", plain[-1][:start] + plain[-1][end:]).strip(" ,"))
        for bare in reversed(plain):
            yield before + " ".join([bare, *words]) + after
            yield before + " ".join([*words, bare]) + after
