"""A prompt as the words and phrases of the tables: contractions spelt out, the longest phrase in each place."""

import re
from dataclasses import replace

from loopanimate.words.lexicon import Word, longest_phrase, look_up, nouns, phrases

SPELT_OUT = (
    (r"[’‘`´]", "'"),
    (r"\b(ca|wo|sha)n'?t\b", "can not"),
    (r"\b(do|does|did|is|are|was|were|has|have|must|should|could|would|need)n'?t\b", r"\1 not"),
    (r"\b(it|he|she|that|there|who|what|here|everything|nothing|nobody)'s\b", r"\1 is"),
    (r"\blet's\b", "let us"),
    (r"'re\b", " are"),
    (r"\bthe only (?:movement|motion|thing moving|part moving) (?:is|are|should be) ([^,.;]+)", r"only \1 moves"),
    (r"\bu\b", "you"),
    (r"(?<=\w) yes(?= *[,.;!]| *$)", " is moving"),
    (r"(?<=\w) no(?= *[,.;!]| *$)", " is not moving"),
    (r"(?<=\w) -+ (?=\w)", " , "),
    (r"(?<=\w) '?n'? (?=\w)", " and "),
    (r"\b(slow|fast|quick|slowly|quickly|gently|softly|wildly|ever|free)-(\w+ing)\b", r"\1 \2"),
    (r"\bwind-?(?:blown|swept|tossed|tousled)\b", "blowing"),
    (r"\bthe inside of\b", "the interior of"),
    (r"\b(left|right|upper|lower|top|bottom) half\b", r"\1 side"),
    (r"\bto and fro\b", "back and forth"),
    (r"\b(?:(?:is|are) )?(?:just )?a blur\b", "blur"),
    (r"\bslow(s?) (?:((?:the )?\w+) )?down\b", r"slowly move\1 \2"),
    (r"\bspeed(s?) (?:((?:the )?\w+) )?up\b", r"quickly move\1 \2"),
    (r"\bnot (?:to )?the (?:left|right)\b(?! \w)", ""),
    (r"\b(chang\w+) colou?rs?\b", r"\1"),
    (r"\b(rain\w*) cats and dogs\b", r"\1"),
    (r"\b(mov\w+) (?:a muscle|an inch)\b", r"\1"),
    (r"\b(is|are) the only (thing|part|one)s? (that |which )?(is |are |should )?(moves?|moving|animated)\b", "alone moves"),
    (r"\b(the only thing (that|which)|all that|what) (moves|should move|is moving) (is|are) ([^,.;]+)", r"only \5 moves"),
    (r"\bwhat(ever)? is (?=behind|around|beside|in |on |above|below|under)", "everything "),
    (r"\b(left|right|upper|lower|bigger|smaller|last) (?:one )?of the (?:two|three|four) (\w+)s\b", r"\1 \2"),
    (r"\botherwise,? (nothing|everything)\b", r"\1 else"),
    (r"\b(left|right|top|bottom|side|edge|corner|half|middle|cent(er|re)) of the (picture|image|frame|screen|scene)\b", r"\1"),
    (r"\b((?:to|towards?|from|on|at) the (?:far )?(?:left|right))(?:-hand)? (?:side|edge|border|end)\b(?! of)", r"\1"),
    (r"'(m|d|ll|ve)\b", " would"),
    (r"(\w)'s\b|(\ws)'(?=\s)", r"\1\2 's "),
    (r"[^\w\s,;:.!?()'–—…\"/|-]", " , "),  # an emoji parts clauses
)
TOKENS = re.compile(r"'s|[^\W_]+(?:-[^\W_]+)*|[,;:.!?()\n–—…\"/|]")
SAID_OF = ("adjective", "place", "still")  # tags of adjectives that are verbs before what they move
THINGS = ("it", "they", "person", "one", "everything")  # tags of words that stand for things
LONGEST = 40  # letters of a word that is read: spelling is compared letter by letter
MARK = Word("", {"mark": ""})  # what stands before and after a prompt


def split(prompt: str) -> list[Word]:
    """The words, phrases and marks of a prompt."""
    text = re.sub(rf"(\S{{{LONGEST}}})\S+", r"\1", prompt.lower())
    for pattern, instead in SPELT_OUT:
        text = re.sub(pattern, instead, text)
    tokens = TOKENS.findall(text)
    words: list[Word] = []
    free = True  # no thing but the camera has been named since the last mark, so "pull back" is a camera's
    place = 0
    while place < len(tokens):
        word, size = _longest(tokens, place, free)
        if word.is_("and") and _joins_adjectives(words[-1:], tokens[place + 1 : place + 3]):
            place += 1
            continue
        words.append(word)
        place += size
        if word.is_("mark", "and", "break"):
            free = True
        elif word.is_(*THINGS) or word.open and word.noun != "camera" and not (word.describes or _orders(word)):
            free = False
    return words


def _joins_adjectives(before: list[Word], after: list[str]) -> bool:
    """Whether an "and" is between two adjectives of one noun: "pink and white petals"."""
    both = [*before, *map(look_up, after[:1])]
    plain = all(word.describes and not word.tags.keys() & {"way", "place"} for word in both)
    return len(after) == 2 and len(both) == 2 and plain and bool(look_up(after[1]).noun)


def _longest(tokens: list[str], place: int, free: bool) -> tuple[Word, int]:
    """The longest phrase that begins at a place, and how many tokens it takes."""
    for size in range(min(longest_phrase(), len(tokens) - place), 1, -1):
        tags = phrases().get(tuple(tokens[place : place + size]))
        after = tokens[place + size : place + size + 1]
        if tags and after and tags.keys() & {"place", "way"} and _before_noun(tokens[place + size - 1], after[0]):
            continue
        noun = look_up(after[0]) if tags and after and "toward" in tags and size > 2 else MARK
        if noun.noun and not (noun.form or noun.tags):  # "into the night sky"
            continue
        cameras = [tag for tag in tags or () if tag.startswith("camera-")]
        named = tokens[place] in nouns() and place and look_up(tokens[place - 1]).is_("det", "poss")  # "the truck to the left"
        if tags and (free and not named or not cameras):
            return look_up(" ".join(tokens[place : place + size])), size
    return _single(tokens[place], *(tokens[at] if 0 <= at < len(tokens) else "" for at in (place - 1, place + 1)), free), 1


def _orders(word: Word) -> bool:
    """Whether it is a verb that may ask for a motion of the camera: "add a slow zoom out"."""
    return bool(word.form) and word.form.form == "base" and not word.noun


def _is_named(word: Word, before: Word) -> bool:
    """Whether a word of the camera's names a thing: "the track", "an electric arc"."""
    return bool(word.noun) and (before.is_("det", "poss") or word.is_("camera-verb") and before.is_("adjective"))


def _before_noun(last: str, after: str) -> bool:
    """Whether a phrase like "on the left" goes on with its noun: "on the left tree"."""
    word, noun = look_up(last), look_up(after)
    return word.is_("adjective") and (noun.is_("one", "many") or bool(noun.noun) and not noun.form and not noun.tags)


def _single(token: str, before: str, after: str, free: bool) -> Word:
    if token == "'s":
        return Word(token, {"own": ""})
    if not token[0].isalnum():
        return Word(token, {"mark": ""})
    if token[0].isdigit():
        return Word(token, {"det" if token.isdigit() else "adjective": ""})
    word = look_up(token)
    begins = not before[:1].isalnum() or look_up(before).is_("and", "break")
    if begins and word.form and word.form.form == "base" and not word.is_("prep") and look_up(after).is_("det", "poss"):
        return replace(word, tags={tag: value for tag, value in word.tags.items() if tag not in SAID_OF})  # "lower the bucket"
    if token.endswith("ly") and not (word.tags or word.noun or word.form):  # any other adverb says nothing that is shown
        within = look_up(before).is_("det", "poss", "adjective")
        return replace(word, tags={"adjective" if within else "ignore": ""})
    if not free or look_up(after).is_("det", "poss") or _is_named(word, look_up(before)):
        return replace(word, tags={tag: value for tag, value in word.tags.items() if not tag.startswith("camera-")})
    return word
