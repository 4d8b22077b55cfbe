"""Verbs in WordNet (`assets/wordnet`): their definitions and kin, and where a sentence has them."""

import re
from dataclasses import dataclass
from functools import cache

from loopanimate.presets import ASSETS
from loopanimate.words.vocabulary import BEFORE_NOUNS, BEFORE_VERBS

FOLDER = ASSETS / "wordnet"
FIELDS = ("29", "30", "35", "38", "39")  # lexicographers' files of verbs of the body, change, contact, motion and perception
SENSES = 4  # the most frequent ones of a verb that are read
LONGEST = 3  # words of a verb: "go round"
RARER = 0.8  # weight of a sense beside the next more frequent one
FARTHER = 0.5  # weight of verbs that are two steps away or mean a special case
# WordNet's own rules for a verb's endings; "ying" stands for the exceptions ("lying").
ENDINGS = (("ying", "ie"), ("ies", "y"), ("es", "e"), ("es", ""), ("s", ""), ("ing", "e"), ("ing", ""), ("ed", "e"), ("ed", ""))


@cache
def _offsets() -> dict[str, list[str]]:
    """Each verb → the places of its senses in data.verb, the most frequent first."""
    offsets = {}
    for line in (FOLDER / "index.verb").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            offsets[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    return offsets


@dataclass(frozen=True)
class Synset:
    """One sense, and the verbs that have it."""

    field: str  # number of its lexicographers' file
    words: tuple[str, ...]
    wider: tuple[str, ...]  # places of the senses that it is a special case of
    narrower: tuple[str, ...]  # places of its special cases
    meaning: str


@cache
def _synset(offset: str) -> Synset:
    with open(FOLDER / "data.verb", "rb") as file:
        file.seek(int(offset))
        entry, _, gloss = file.readline().decode("utf-8").partition(" | ")
    fields = entry.split()
    end = 4 + 2 * int(fields[3], 16)
    pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
    others = list(zip(pointers[0::4], pointers[1::4], pointers[2::4]))  # relation, place, part of speech
    wider, narrower = (tuple(other for relation, other, part in others if relation == sign and part == "v") for sign in "@~")
    words = tuple(word.replace("_", " ") for word in fields[4:end:2])
    meaning, *_examples = gloss.split('; "')
    return Synset(fields[1], words, wider, narrower, meaning.strip())


def _senses(verb: str) -> list[Synset]:
    """The most frequent senses of a verb that are of FIELDS."""
    return [sense for sense in map(_synset, _offsets().get(verb, ())) if sense.field in FIELDS][:SENSES]


def is_verb(word: str) -> bool:
    """Whether a word is the infinitive of a verb, of motion or not."""
    return word in _offsets()


@cache
def definitions(verb: str) -> tuple[str, ...]:
    """ "revolve" → "revolve, go around, rotate: turn on or around an axis or a center", ...; empty for what is no such verb."""
    return tuple(f"{', '.join(sense.words)}: {sense.meaning}" for sense in _senses(verb))


@cache
def kin(verb: str) -> dict[str, float]:
    """Verbs related to a verb, with weights: "edge" → "inch", "advance", ...

    They share a sense of it, or have a wider or narrower one. The nearer and the more frequent that sense, the larger the
    weight.
    """
    found: dict[str, float] = {}

    def add(sense: Synset, weight: float) -> None:
        for word in sense.words:
            if word != verb:
                found[word] = found.get(word, 0.0) + weight

    for rank, sense in enumerate(_senses(verb)):
        weight = RARER**rank
        add(sense, weight)
        for narrower in sense.narrower:
            add(_synset(narrower), FARTHER * weight)
        for wider in map(_synset, sense.wider):
            add(wider, weight)
            for widest in wider.wider:
                add(_synset(widest), FARTHER * weight)
    return found


def lemma(word: str) -> str:
    """The infinitive of a verb's form, or the word itself if it is none."""
    for ending, instead in ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word:
            for verb in (stem + instead, stem[:-1]):  # "hopping" has its consonant twice
                if verb in _offsets() and (verb != stem[:-1] or stem[-2:-1] == stem[-1:]):
                    return verb
    return word


def third_person(verb: str) -> str:
    """A verb of one word as it stands after "it"; needed for verbs that words.tsv does not list with their forms."""
    if verb == "have":
        return "has"
    verb = re.sub(r"(?<![aeiou])y$", "ie", verb)
    return verb + ("es" if re.search(r"(s|x|z|ch|sh|[^aeiou]o)$", verb) else "s")


def verb_in(predicate: str) -> str | None:
    """The longest verb of WordNet that a predicate begins with, in whatever form: "goes round the tree" → "go round"."""
    first, *rest = predicate.lower().split()[:LONGEST]
    for count in range(len(rest), -1, -1):
        verb = " ".join([lemma(first), *rest[:count]])
        if definitions(verb):
            return verb
    return None


def predicates(sentence: str) -> list[str]:
    """What a sentence says that things do, each from the infinitive of its verb to the end of its clause.

    Words that may be nouns as well count only in a verb's place: "the green leaves rustle in the wind" → "rustle in the
    wind".
    """
    found, certain = [], []
    cleaned = re.sub(r"[^a-z,;:.!?'-]+", " ", sentence.lower())
    for words in (clause.split() for clause in re.split(r"[,;:.!?]| and | while ", cleaned)):
        for place, word in enumerate(words):
            before = words[place - 1] if place else ""
            after = words[place + 1] if place + 1 < len(words) else ""
            if before in BEFORE_NOUNS or not definitions(lemma(word)):
                continue
            if word.endswith("s") and definitions(lemma(after)) and before not in BEFORE_VERBS:  # "green leaves rustle"
                continue
            predicate = " ".join([lemma(word), *words[place + 1 :]])
            found.append(predicate)
            # "leaves rustle" is uncertain as "leaves" may be the verb, "rustling: the leaves" is not
            if before in BEFORE_VERBS or (word != lemma(word) and (place or word.endswith("ing"))):
                certain.append(predicate)
                break
    return certain or found[-1:]
