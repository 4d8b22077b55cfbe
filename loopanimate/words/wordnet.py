"""What verbs mean: their synonyms, kin and definitions in WordNet (`assets/wordnet`)."""

import re
from dataclasses import dataclass
from functools import cache

from loopanimate.presets import ASSETS

FOLDER = ASSETS / "wordnet"
FIELDS = ("29", "30", "35", "38", "39")  # lexicographers' files of verbs of the body, change, contact, motion and perception
SENSES = 4  # the most frequent ones
LONGEST = 3  # words
RARER = 0.8  # weight of a verb's next sense
FARTHER = 0.5  # of verbs two steps away, or of a narrower meaning
ENDINGS = (("ies", "y"), ("es", "e"), ("es", ""), ("s", ""), ("ing", "e"), ("ing", ""), ("ed", "e"), ("ed", ""))
NOT_BEFORE = frozenset(  # a verb
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "its",
        "his",
        "her",
        "my",
        "your",
        "their",
        "our",
        "of",
        "in",
        "on",
        "at",
        "with",
        "by",
        "from",
        "into",
        "like",
        "as",
        "some",
        "every",
    ]
)
LEADS = frozenset(
    [
        "it",
        "he",
        "she",
        "they",
        "to",
        "can",
        "could",
        "should",
        "will",
        "would",
        "is",
        "are",
        "and",
        "starts",
        "begins",
        "keeps",
    ]
)


@cache
def _offsets() -> dict[str, list[str]]:
    """Any verb → where its senses begin in data.verb, the most frequent first."""
    offsets = {}
    for line in (FOLDER / "index.verb").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            offsets[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    return offsets


@dataclass(frozen=True)
class Synset:
    """One sense of the verbs that share it."""

    field: str
    words: tuple[str, ...]
    wider: tuple[str, ...]  # offsets of the senses that it is a way of
    narrower: tuple[str, ...]  # and of those that are ways of it
    meaning: str


@cache
def _synset(offset: str) -> Synset:
    with open(FOLDER / "data.verb", "rb") as file:
        file.seek(int(offset))
        entry, _, gloss = file.readline().decode("utf-8").partition(" | ")
    fields = entry.split()
    end = 4 + 2 * int(fields[3], 16)
    pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
    others = list(zip(pointers[0::4], pointers[1::4], pointers[2::4]))  # relation, offset, part of speech
    wider, narrower = (tuple(other for said, other, part in others if said == sign and part == "v") for sign in "@~")
    words = tuple(word.replace("_", " ") for word in fields[4:end:2])
    meaning, *_examples = gloss.split('; "')
    return Synset(fields[1], words, wider, narrower, meaning.strip())


def _senses(verb: str) -> list[Synset]:
    """Of those fields, the most frequent first."""
    return [sense for sense in map(_synset, _offsets().get(verb, ())) if sense.field in FIELDS][:SENSES]


@cache
def definitions(verb: str) -> tuple[str, ...]:
    """ "revolve" → "revolve, go around, rotate: turn on or around an axis or a center", ...; nothing if it is no verb."""
    return tuple(f"{', '.join(sense.words)}: {sense.meaning}" for sense in _senses(verb))


@cache
def kin(verb: str) -> dict[str, float]:
    """Other verbs of a verb's senses, of what these are ways of, and of ways of doing it: "edge" → "inch", "advance", ...

    The nearer and the more frequent the sense, the larger the number.
    """
    found: dict[str, float] = {}

    def name(sense: Synset, weight: float) -> None:
        for word in sense.words:
            if word != verb:
                found[word] = found.get(word, 0.0) + weight

    for rank, sense in enumerate(_senses(verb)):
        weight = RARER**rank
        name(sense, weight)
        for narrower in sense.narrower:
            name(_synset(narrower), FARTHER * weight)
        for wider in map(_synset, sense.wider):
            name(wider, weight)
            for widest in wider.wider:
                name(_synset(widest), FARTHER * weight)
    return found


def _lemma(word: str) -> str:
    """The verb that a word is a form of, or the word."""
    for ending, instead in ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word:
            for verb in (stem + instead, stem[:-1]):  # "hopping"
                if verb in _offsets() and (verb != stem[:-1] or stem[-2:-1] == stem[-1:]):
                    return verb
    return word


def verb_in(predicate: str) -> str | None:
    """The longest verb that a predicate begins with, in whatever form: "goes round the tree" → "go round"."""
    first, *rest = predicate.lower().split()[:LONGEST]
    for count in range(len(rest), -1, -1):
        verb = " ".join([_lemma(first), *rest[:count]])
        if definitions(verb):
            return verb
    return None


def predicates(sentence: str) -> list[str]:
    """What a sentence says that things do, each from its verb's first form to the end of its clause.

    Of words that may be nouns as well, those in a verb's place: "the green leaves rustle in the wind" → "rustle in the wind".
    """
    found, certain = [], []
    for words in (
        clause.split() for clause in re.split(r"[,;:.!?]| and | while ", re.sub(r"[^a-z,;:.!?'-]+", " ", sentence.lower()))
    ):
        for place, word in enumerate(words):
            before = words[place - 1] if place else ""
            after = words[place + 1] if place + 1 < len(words) else ""
            if before in NOT_BEFORE or not definitions(_lemma(word)):
                continue
            if word.endswith("s") and definitions(_lemma(after)) and before not in LEADS:  # "green leaves rustle"
                continue
            predicate = " ".join([_lemma(word), *words[place + 1 :]])
            found.append(predicate)
            # "leaves rustle", but "rustling: the leaves"
            if before in LEADS or (word != _lemma(word) and (place or word.endswith("ing"))):
                certain.append(predicate)
                break
    return certain or found[-1:]
