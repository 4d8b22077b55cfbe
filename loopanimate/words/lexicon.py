"""The words of prompts: what things are, what verbs mean for them, and the little words of the grammar.

Tables beside this file: `things.tsv`, `classes.tsv`, `verbs.tsv`, `manners.tsv`, `faces.tsv`, `grammar.tsv`, `lists.tsv`; each says what its columns are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from loopanimate.words.wordnet import definitions, kin, lemma, third_person

SHORTEST_TYPO = 5  # letters: shorter words have too many neighbours


class Form(NamedTuple):
    """A verb as a sentence has it."""

    verb: str  # infinitive
    form: str  # "base", "s", "ing" or "ed"


class Nature(NamedTuple):
    """What a class of things does: a row of classes.tsv."""

    sort: str
    natural: str
    effect: str


@dataclass(frozen=True)
class Word:
    """A word or phrase and all that it can be."""

    text: str
    tags: dict[str, str]  # tags of grammar.tsv → their values
    noun: str = ""  # its class, of a thing
    plural: bool | None = False  # of a thing; None: it may be either
    form: Form | None = None  # of a verb

    @property
    def open(self) -> bool:
        """Whether it can be in a noun phrase or a verb rather than between them."""
        return not self.tags.keys() - {"adjective", "strong-adjective", "quick-adjective", "many"}

    @property
    def describes(self) -> bool:
        """Whether it is an adjective and no noun."""
        return not self.noun and (bool(self.tags.keys() & {"adjective", "strong-adjective", "quick-adjective"}) or self.derived)

    @property
    def derived(self) -> bool:
        return not self.form and bool(re.fullmatch(r"\w{3,}(ful|ous|less|ish|ical|able|ible|ed)|\w+-\w+", self.text))

    def is_(self, *tags: str) -> bool:
        return not self.tags.keys().isdisjoint(tags)


def _rows(name: str) -> Iterator[list[str]]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return (line.split("\t") for line in lines if line and not line.startswith("#"))


@cache
def natures() -> dict[str, Nature]:
    """A class of things → what it does."""
    _, *rows = _rows("classes.tsv")
    return {name: Nature(sort, natural, "" if effect == "-" else effect) for name, sort, natural, effect in rows}


@cache
def manners() -> dict[str, dict[str, str]]:
    """A manner → the sorts of things → a kind, an effect, "none", "=" or "*"."""
    (_, *sorts), *rows = _rows("manners.tsv")
    return {name: dict(zip(sorts, cells, strict=True)) for name, *cells in rows}


@cache
def faces() -> dict[tuple[str, str], str]:
    """A class of things and a verb, meaning or kind → what a face does."""
    _, *rows = _rows("faces.tsv")
    return {(name, one): does for name, would, does in rows for one in would.split()}


@cache
def _things() -> list[tuple[str, str, str]]:
    """The class of each noun, its singular and its plural."""
    words = [(name, *word.partition(":")[::2]) for name, words in _rows("things.tsv") for word in words.split()]
    return [(name, single, plural or third_person(single)) for name, single, plural in words]


@cache
def nouns() -> dict[str, tuple[str, bool | None]]:
    """A noun → its class, and whether it is a plural; None: it may be, "sheep"."""
    found: dict[str, tuple[str, bool | None]] = {}
    for name, single, plural in _things():
        found[plural] = (name, True)
        found[single] = (name, None if single == plural else False)
    return found


@cache
def singular(noun: str) -> str:
    """A noun of the tables in the singular; of any other, all but its last "s"."""
    return next((single for _, single, plural in _things() if noun in (single, plural)), noun.removesuffix("s"))


@cache
def verb_tables() -> dict[str, dict[str, str]]:
    """A table of verbs.tsv → its verbs → their further forms, between colons."""
    tables: dict[str, dict[str, str]] = {}
    for name, words in _rows("verbs.tsv"):
        tables.setdefault(name, {}).update(word.partition(":")[::2] for word in words.split())
    return tables


TABLES_ABOUT = ("transitive", "up", "down", "nominal", "does", "emits")  # that tell more of verbs which other tables have


@cache
def meanings() -> dict[str, str]:
    """A verb → its manner, kind, effect, "rest" or "none"."""
    return {verb: name for name, verbs in verb_tables().items() if name not in TABLES_ABOUT for verb in verbs}


@cache
def likely_meaning(verb: str) -> str | None:
    """What most of a verb's kin in WordNet mean, for verbs that no table has.

    Of 300 known verbs, each without its own entry, it finds 59 % of the kinds for ten sorts of things; the fitted reader 41 %.
    """
    votes: dict[str, float] = {}
    for other, weight in kin(verb).items():
        if other in meanings():
            votes[meanings()[other]] = votes.get(meanings()[other], 0.0) + weight
    return max(votes, key=votes.get, default=None)


@cache
def forms() -> dict[str, Form]:
    """Every form of every verb of one word."""
    found: dict[str, Form] = {}
    for name, verbs in verb_tables().items():
        if name in TABLES_ABOUT:
            continue
        for verb, uneven in verbs.items():
            if "-" in verb:
                continue
            past = uneven.split(":") if uneven else _endings(verb, "ed")
            for text in past:
                found.setdefault(text, Form(verb, "ed"))
            for text in _endings(verb, "ing"):
                found.setdefault(text, Form(verb, "ing"))
            found[third_person(verb)] = Form(verb, "s")
    for name, verbs in verb_tables().items():
        if name not in TABLES_ABOUT:
            found.update((verb, Form(verb, "base")) for verb in verbs if "-" not in verb)
    return found


def _endings(verb: str, ending: str) -> list[str]:
    """ "hop" → "hopping"; both spellings where the last consonant may be doubled."""
    if verb.endswith("ie") and ending == "ing":
        return [f"{verb[:-2]}ying"]
    if verb.endswith("e") and not (verb.endswith(("ee", "oe", "ye")) and ending == "ing"):
        return [verb[:-1] + ending]
    if ending == "ed" and re.search(r"[^aeiou]y$", verb):
        return [f"{verb[:-1]}ied"]
    doubles = re.search(r"[^aeiou][aeiou][bdgklmnprt]$", verb)
    return [verb + ending] + ([verb + verb[-1] + ending] if doubles else [])


@cache
def phrases() -> dict[tuple[str, ...], dict[str, str]]:
    """Words of grammar.tsv → their tags → values."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for tag, value, texts in _rows("grammar.tsv"):
        for text in texts.split(", "):
            found.setdefault(tuple(text.split()), {})[tag] = value
    return found


@cache
def words_of(name: str) -> tuple[str, ...]:
    """The words of a list of lists.tsv."""
    return next(tuple(words.split(", ")) for other, words in _rows("lists.tsv") if other == name)


@cache
def longest_phrase() -> int:
    return max(map(len, phrases()))


@lru_cache(maxsize=4096)
def spelling(word: str) -> str:
    """A known word one slip of the pen away from one that is not known, or the word itself."""
    if len(word) < SHORTEST_TYPO or is_known(word) or definitions(lemma(word)) or not word.isascii():
        return word
    splits = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    near = [a + b[1] + b[0] + b[2:] for a, b in splits if len(b) > 1]
    near += [a + b[1:] for a, b in splits if b] + [a + letter + b for a, b in splits for letter in letters]
    near += [a + letter + b[1:] for a, b in splits if b for letter in letters]
    near = [other for other in near if len(other) >= SHORTEST_TYPO - 1 and other.endswith("ly") >= word.endswith("ly")]
    return next(filter(is_known, near), word)


def is_known(word: str) -> bool:
    return word in forms() or word in nouns() or (word,) in phrases()


@lru_cache(maxsize=4096)
def look_up(text: str) -> Word:
    """All that a word or phrase can be."""
    right = text if " " in text else spelling(text)
    name, plural = nouns().get(right) or ("", right.endswith("s") and not right.endswith("ss"))
    if not (name or " " in right or right.endswith("ing") or is_known(right) or definitions(lemma(right))):
        ends = (right[place:] for place in range(3, len(right) - 3))
        name = next((nouns()[end][0] for end in ends if end in nouns()), "")  # "torchlight" is a light
    return Word(text, phrases().get(tuple(right.split()), {}), name, plural, forms().get(right))
