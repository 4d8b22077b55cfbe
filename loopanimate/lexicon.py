"""What verbs mean: their synonyms and definitions in WordNet (`assets/wordnet`)."""

import re
from functools import cache

from loopanimate.presets import ASSETS

FOLDER = ASSETS / "wordnet"
FIELDS = ("29", "30", "35", "38", "39")  # lexicographers' files of verbs of the body, change, contact, motion and perception
SENSES = 4  # the most frequent ones
LONGEST = 3  # words
ENDINGS = (("ies", "y"), ("es", "e"), ("es", ""), ("s", ""), ("ing", "e"), ("ing", ""), ("ed", "e"), ("ed", ""))
NOT_BEFORE = frozenset(  # a verb
    "a an the this that these those its his her my your their our of in on at with by from into like as some every".split()
)
LEADS = frozenset("it he she they to can could should will would is are and starts begins keeps".split())


@cache
def _offsets() -> dict[str, list[str]]:
    """Any verb → where its senses begin in data.verb, the most frequent first."""
    offsets = {}
    for line in (FOLDER / "index.verb").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            offsets[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    return offsets


@cache
def definitions(verb: str) -> tuple[str, ...]:
    """ "revolve" → "revolve, go around, rotate: turn on or around an axis or a center", ...; nothing if it is no verb."""
    found = []
    with open(FOLDER / "data.verb", "rb") as file:
        for offset in _offsets().get(verb, ()):
            file.seek(int(offset))
            entry, _, gloss = file.readline().decode("utf-8").partition(" | ")
            fields = entry.split()
            if fields[1] in FIELDS:
                synonyms = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
                meaning, *_examples = gloss.split('; "')
                found.append(f"{', '.join(synonyms)}: {meaning.strip()}".replace("_", " "))
    return tuple(found[:SENSES])


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
