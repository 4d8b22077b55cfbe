"""Noun phrases, and which word of a run of words is its verb."""

from dataclasses import dataclass, field
from itertools import takewhile

from loopanimate.words.lexicon import Form, Word, meanings, natures, nouns, phrases, verb_tables, words_of
from loopanimate.words.wording import MARK, THINGS
from loopanimate.words.wordnet import definitions, lemma

SENT_OUT = ("flow", "fall", "leaf", "light")  # sorts of things that others send out
PARTED = ("ray", "grass", "hair", "sand", "fire", "wheel")  # classes of nouns of many that may be parts of a thing
AGENTS = ("wind", "storm")  # classes that move what follows
# Tags of words that follow a verb rather than a noun
ADVERBS = ("strength", "tempo", "toward", "both", "along", "flicker")
QUALITIES = ("way", "place", "still", "quick-adjective", "strong-adjective")  # tags of adjectives that may be adverbs
MANNERS = {"strong-adjective": "strength", "quick-adjective": "tempo"}


@dataclass
class Phrase:
    """A noun phrase, and how it stands in its sentence."""

    head: str
    noun: str = ""  # class of things
    plural: bool | None = False  # None: it may be either
    which: list[str] = field(default_factory=list)
    definite: str = ""  # its first determiner, or "poss"
    attribute: str = ""  # verb of a participle before it: "flowing hair"
    nominal: str = ""  # verb of which it is the noun: "swaying", "ripples"
    of: "Phrase | None" = None  # whose motion a nominal is; where a wind blows
    manner: dict[str, str] = field(default_factory=dict)  # strength and tempo that its adjectives say
    no: bool = False
    only: bool = False
    start: int = 0  # place of its first word
    implied: bool = False  # no word stands for it
    joiner: str = ""  # what joins it to the phrase before: "and", ",", "with" or nothing
    object: bool = False  # it stands right after a verb
    excepted: bool = False
    placed: bool = False  # a place has been said after it
    used: bool = False  # a verb has been said of it


def sort_of(noun: str) -> str:
    """The sort of a class of things."""
    return natures()[noun or "object"].sort


def manner_of(word: Word) -> dict[str, str]:
    """What an adjective says of a motion: "slow ripples", "a light breeze"."""
    return {name: word.tags[tag] for tag, name in MANNERS.items() if tag in word.tags}


def is_many(word: Word) -> bool:
    """Whether what follows "of" is the thing: "a flock of birds"."""
    return word.is_("many") or word.plural and "many" in phrases().get((word.text.removesuffix("s"),), {})


def starts_phrase(word: Word) -> bool:
    return word.open or word.is_("det", "poss", "else", *THINGS)


def clause_of(words: list[Word]) -> list[Word]:
    """The words up to the end of the clause."""
    return list(takewhile(lambda word: not word.is_("mark", "and", "break"), words))


def read_phrase(words: list[Word], at: int) -> tuple[int, list[Word], Phrase | None, list[Word]]:
    """Where a run of open words begins, its determiners, its owner ("the dog's ears") and the run itself."""
    start = at
    determiners: list[Word] = []
    owner = None
    while True:
        while _determines(words, at):
            determiners.append(words[at])
            at += 1
        run = _read_run(words, at)
        after, then = (*words[at + len(run) : at + len(run) + 2], MARK, MARK)[:2]
        if run and after.is_("own"):
            owner = make_phrase(run, determiners, None, start)
            determiners = [Word("'s", {"poss": ""})]
        elif (
            not (run and after.is_("of") and is_many(run[-1]) and starts_phrase(then))
            or run[-1].noun in PARTED
            and (then.text == "the" or then.is_("poss"))
        ):
            return at, determiners, owner, run
        else:
            determiners.append(run[-1])
        at += len(run) + 1


def _determines(words: list[Word], at: int) -> bool:
    word, following = (*words[at : at + 2], MARK, MARK)[:2]
    if word.is_("one") or word.text == "that":
        does = following.form is not None and following.form.form == "s" and word.text in ("one", "another")  # "one flies left"
        return (word.is_("det") or word.text in ("that", "those")) and (following.open or following.is_("one")) and not does
    return word.is_("det", "poss")


def _read_run(words: list[Word], at: int) -> list[Word]:
    """The open words from a place on, and adjectives before their noun that are adverbs elsewhere."""
    run: list[Word] = []
    for word, following in zip(words[at:], [*words[at + 1 :], MARK]):
        heads = word.text in ("one", "ones", "others") or word.text == "other" and not (following.open or following.is_("one"))
        if heads and (run or at and words[at - 1].is_("det", "poss")):
            return [*run, word]
        named = any(word.noun and not word.describes for word in run)
        before_noun = not named and " " not in word.text and (following.open or following.is_("one", "way"))
        quality = before_noun and (word.is_(*QUALITIES) or word.text in ("nearest", "opposite", "other"))
        if not (word.open or quality):
            break
        run.append(word)
    return run


def make_phrase(run: list[Word], determiners: list[Word], owner: Phrase | None, start: int) -> Phrase:
    """The phrase of a run of words that ends with its noun."""
    *before, head = run
    phrase = Phrase(head.text, head.noun, head.plural, [word.text for word in before], start=start)
    if determiners:
        phrase.definite = "poss" if determiners[-1].is_("poss") else determiners[0].text
    for word in before:
        if word.is_("place") and word.tags["place"] != word.text:
            phrase.which.append(word.tags["place"])
        if compound := word is before[-1] and _compound(word, head):
            phrase.noun = compound
        elif word.form and word.form.form == "ing":
            phrase.attribute = word.form.verb
        elif word.text in words_of("unmoved"):
            phrase.attribute = "rest"
        elif word.text in words_of("melted"):
            phrase.noun = "sand"
        phrase.manner |= manner_of(word)
    if owner:
        phrase.which.append(owner.head)
    phrase.nominal = verb_tables()["nominal"].get(head.text.removesuffix("s") if head.plural else head.text, "")
    if head.noun == "motion" and phrase.attribute:  # "a breathing motion"
        phrase.nominal = phrase.attribute
    if not phrase.nominal and head.form and not head.noun and head.form.form in ("ing", "base"):
        phrase.nominal = head.form.verb
    for word in determiners if phrase.nominal or phrase.noun in AGENTS else []:  # "lots of wind"
        phrase.manner |= manner_of(word)
    things = [word for word in before if word.noun and not word.is_("strong-adjective")]  # "a light shimmer"
    if phrase.nominal and things:
        phrase.of = Phrase(things[-1].text, things[-1].noun, things[-1].plural, start=start)
    elif phrase.nominal:
        phrase.of = owner
    return phrase


def _compound(before: Word, head: Word) -> str:
    """The class of what two words name together: "rocking chair", "conveyor belt"."""
    return nouns().get(f"{before.text}-{head.text}", ("",))[0]


@dataclass(frozen=True)
class Surroundings:
    """What stands around a run of words."""

    determiners: list[Word]
    ahead: list[Word]  # the words after it
    prep: str  # the preposition before it
    aux: str  # "be", "do", "modal", "rel" or "": what waits for a verb
    infinitive: bool  # "make", "let", "do" came before
    negated: bool  # "not", or "no" after a subject
    joined: str  # form of the verb that a comma or "and" joins it to; "" where it joins none
    listed: bool  # a comma or "and" stands before it
    subject: Phrase | None  # what waits for a verb
    compound: bool  # several things do
    relative: bool  # what a relative clause is about waits for its own verb
    begun: bool  # something has been said before
    object_due: bool  # a verb has just been said
    single: bool  # that is one thing
    described: bool  # a participle has been said of what may still get its verb: "the ship seen in the distance moves"

    @property
    def in_place(self) -> bool:
        """Whether a noun is due and no verb: "under the street lights"."""
        return bool(self.prep) and not self.subject and not self.relative


def find_verb(run: list[Word], around: Surroundings) -> tuple[int, Form] | None:
    """Where the verb of a run is, and what it is: of the words that can be one, the last of the fittest."""
    found = [place for place in range(len(run)) if _may_be_verb(run, place, around)]
    finite = [place for place in found if run[place].form.form in ("s", "base") and place and run[place - 1].noun]
    if finite and around.determiners and around.determiners[0].text == "whose":  # "a robot whose eyes glow red turns"
        return finite[0], run[finite[0]].form
    if found:
        place = max(found, key=lambda place: (_fitness(run, place), place))
        return place, run[place].form
    return _unknown_verb(run, around)


def _fitness(run: list[Word], place: int) -> int:
    """How well a verb suits its place: it agrees with the noun before it, is no noun, has something to send out."""
    word, after = run[place], run[place + 1] if place + 1 < len(run) else MARK
    if f"{word.form.verb}-{after.text}" in meanings():  # "hangs limp"
        return 5
    if not word.noun and _sends_out(word, after):
        return 4
    rests = meanings().get(word.form.verb) == "rest"
    if rests and after.form and after.form.form != "s":  # "stops turning", "stays closed"
        return 4
    agrees = place > 0 and (word.form.form in ("ing", "ed") or run[place - 1].plural != (word.form.form == "s"))
    return 2 * agrees + (not word.noun)


def _sends_out(word: Word, after: Word) -> bool:
    """Whether it is a verb before what it sends out: "breathes fire"."""
    return word.form.verb in verb_tables()["emits"] and bool(after.noun) and sort_of(after.noun) in SENT_OUT


def _unknown_verb(run: list[Word], around: Surroundings) -> tuple[int, Form] | None:
    """The last word, where it is in no table and a verb is due: "the gizmo wibbles"."""
    last, place = run[-1], len(run) - 1
    passive = around.aux == "be" and last.text.endswith("ed")
    if last.form or last.noun or last.tags or last.derived and not passive:
        return None
    ends = last.text.endswith(("s", "ing")) and not last.text.endswith("ss")
    if place:
        many = around.subject.plural if around.prep and around.subject else run[-2].plural
        due = run[-2].noun and (ends or many and definitions(lemma(last.text))) and not around.in_place
    else:
        after_aux = around.aux and (ends or around.aux != "be" or passive)
        due = not around.determiners and (after_aux or around.subject and ends and not around.prep)
    return (place, Form(lemma(last.text), "s")) if due else None


def _may_be_verb(run: list[Word], place: int, around: Surroundings) -> bool:
    if run[place].form is None:
        return False
    after = run[place + 1] if place + 1 < len(run) else None
    named = run[place].form.form == "ing" or run[place].form.form == "base" and not place and not around.determiners
    if named and not after and around.ahead[0].is_("of") and meanings()[run[place].form.verb] != "none":
        return False  # "no swaying of the reeds", "swirl of leaves"
    return _may_follow(run[place], run[place - 1], after, around) if place else _may_begin(run[0], after, around)


def _may_begin(word: Word, after: Word | None, around: Surroundings) -> bool:
    """Whether the first word of a run can be its verb."""
    form = word.form.form
    alone = after is None or f"{word.form.verb}-{after.text}" in meanings()
    alone = alone or meanings().get(word.form.verb) == "rest" and after.form is not None  # "stays shut"
    moves = word.form.verb in verb_tables()["transitive"] and not after.form if after else False  # "cheers and waves flags"
    alone = alone or around.joined == form and bool(after.noun) and (moves or not word.noun)  # "flies and breathes fire"
    alone = alone or around.joined == form and after.describes and around.ahead[0].is_("mark")  # "and glows green"
    if around.determiners:  # "the light behind her dances"
        her = [determiner.text for determiner in around.determiners] == ["her"]
        return bool(her and around.prep and around.subject and alone and form != "base" and not _verb_ahead(around))
    if around.prep:  # "the sign behind buzzes"
        due = around.prep not in words_of("small") and (around.subject or around.relative) and alone
        many = form == "base" and around.subject is not None and around.subject.plural  # "the stars above twinkle"
        return bool(due) and (many or form in ("s", "ing")) and not (word.noun and _verb_ahead(around))
    if around.aux == "be" and form in ("s", "base"):
        return around.relative
    if around.aux or around.negated and not (word.noun and around.subject is None):
        return not (form == "ing" and after and after.noun and around.aux != "be")
    if form == "ing":
        has_object = meanings()[word.form.verb] == "none" and bool(around.subject or around.begun) and not around.listed
        sent = bool(after) and _sends_out(word, after)  # "trailing sparkles"
        return alone or sent or has_object and bool(after.noun)  # "leaving ripples"
    if form == "ed":
        return alone and (around.subject is not None or around.begun)
    if form == "s":
        due = around.subject and not around.listed or around.relative or around.described or around.joined == "s"
        return alone and bool(due or not word.noun)
    if around.subject and not (around.listed and word.noun) or around.relative:
        return True
    if after and after.noun:
        return not word.noun and not word.describes
    ahead, then = [*around.ahead, MARK][:2]
    named = around.object_due or ahead.is_("prep") and starts_phrase(then) and not around.infinitive  # "crow on a grave"
    due = not word.noun or not named and ahead.is_("det", "poss", "it", "everything", "way", *ADVERBS)
    return due and not word.describes and word.noun not in AGENTS or around.joined == "base"


def _may_follow(word: Word, before: Word, after: Word | None, around: Surroundings) -> bool:
    """Whether a later word of a run can be its verb."""
    form = word.form.form
    plainly = form == "s" and not word.noun  # no noun can be meant
    inside = around.determiners and around.in_place and not around.described
    if form == "base" and not word.noun and inside:  # "at a glacial pace"
        return False
    quality = before.describes or before.is_(*QUALITIES) and not before.noun
    if quality and not plainly and not (around.relative and around.aux == "be"):
        return False
    participle = before.form and not before.noun  # before it
    told = participle and before.form.form == "base" and not (around.subject or around.determiners)
    if participle and word.noun and (before.form.form == "ing" or told):  # "rolling waves", "add ripples"
        return False
    if before.form and word.text == "shut" or _compound(before, word):  # "slams shut"
        return False
    if form == "ing":
        return not (participle and after and after.noun)  # "add falling snow"
    if form == "ed":
        return not (after and after.noun)
    inner = around.subject and around.determiners and not (around.prep or around.listed)  # "the flag the men carry is torn"
    if _verb_next(around) and not inner:
        return False
    if form == "base" and around.infinitive:
        return not (after and after.noun) or _sends_out(word, after)
    opens = form == "base" and before.noun and before.plural and not before.form  # "doors open", unlike "swings open"
    if word.describes and not opens:
        return False
    light = bool(before.noun) and before.is_("adjective") and form == "base"
    if light and [determiner.text for determiner in around.determiners] == ["a"]:  # "a light shimmer"
        return False
    if not word.noun:
        return True
    compound = not (around.determiners or before.plural) and word.noun == before.noun  # "cloud sky"
    ends = around.single and form == "s" and around.ahead[0].is_("mark", "way", *ADVERBS)  # "the lamp carried by a man swings"
    if around.in_place and not (ends and around.described) or compound and not around.ahead[0].is_("way", *ADVERBS):
        return False
    many = any(word.is_("many") or word.text in words_of("one of") for word in around.determiners)  # agrees with either number
    if word.noun == "light" and many:  # "a string of fairy lights"
        return False
    plural = around.subject.plural if around.prep and around.subject else before.plural
    alone = form == "base" and after is None and not around.determiners and not around.prep
    loose = alone and word.noun not in ("light", *AGENTS)  # "boat rock", unlike "candle light"
    return loose or many or ends or around.compound or plural != (form == "s")


def _verb_next(around: Surroundings) -> bool:
    """Whether a plain verb comes next, with or without an adverb before it, so that what stands before it is a noun."""
    words = (word for word in around.ahead if not (word.is_("strength", "tempo") or word.text.endswith("ly")))
    word = next(words, MARK)
    plain = word.form and not word.noun and word.form.form in ("s", "base")
    return not word.is_("like") and bool(word.is_("be", "do") or word.is_("modal") and word.text != "to" or plain)


def _verb_ahead(around: Surroundings) -> bool:
    """Whether a verb comes before the clause ends."""
    return any(word.is_("be", "do", "modal") or word.form and not word.noun for word in clause_of(around.ahead))
