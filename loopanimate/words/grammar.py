"""Who does what in a prompt: words → events, in one pass from left to right."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from loopanimate.words.lexicon import Word, meanings, verb_tables
from loopanimate.words.phrases import (
    ADVERBS,
    AGENTS,
    QUALITIES,
    SENT_OUT,
    SMALL,
    Phrase,
    Surroundings,
    find_verb,
    make_phrase,
    manner_of,
    read_phrase,
    sort_of,
    starts_phrase,
)
from loopanimate.words.wording import MARK, THINGS

# Prepositions between a noun of motion and what moves: "ripples on the lake"
OF_MOTION = (
    "of",
    "in",
    "on",
    "across",
    "over",
    "through",
    "throughout",
    "to",
    "into",
    "from",
    "inside",
    "along",
    "for",
    "around",
)
OVER = ("over", "across", "on", "through", "along")  # between ripples that run and the water: "ripples run over the lake"
PASSING = ("across", "past", "along", "through")  # prepositions of a way
WEATHER = (*AGENTS, "rain", "snow", "sea", "fog", "camera")  # classes of whose motion an adjective of strength speaks
LEANT_ON = ("against", "on")  # particles that stand before a place: "leans against the wall"
GOING = ("go", "travel", "fly", "fall", "rise")  # manners of what may come before its thing: "here comes the train"
REFLEXIVE = ("itself", "themselves", "herself", "himself", "them", "him", "her")
ORDINALS = ("first", "second", "third", "fourth", "last")
SIDES = ("left", "right", "top", "bottom", "below", "above")
INDEFINITE = ("", "a", "an")
CAMERA_VERBS = {"in": "zoom", "out": "zoom", "zoom": "zoom", "shift": "shift", "turn": "turn", "rest": "rest", "shake": "shake"}
DIAGONALS = {("0", "90"): "45", ("180", "90"): "135", ("180", "270"): "225", ("0", "270"): "315"}  # by two ways, sorted as text


@dataclass
class Event:
    """That a thing does something, or, where `verb` is None, that it is there."""

    thing: Phrase
    verb: str | None
    start: int  # place of the thing's first word
    first: int  # place of the first word of what says it
    negative: bool = False
    only: bool = False
    manner: dict[str, str] = field(default_factory=dict)  # strength, tempo, way, toward, both, along → value
    likeness: str = ""  # class of what it is likened to: "moves like a pendulum"
    moved: bool = False  # its thing is the object of its verb
    guessed: bool = False  # no table has the verb


def merge(manner: dict[str, str], more: dict[str, str]) -> None:
    """Add adverbs: two ways become the one between them, of other doubles the first counts."""
    for name, value in more.items():
        both = DIAGONALS.get(tuple(sorted((manner.get(name, ""), value)))) if name == "way" else None
        manner[name] = both or (value if name == "way" else manner.get(name, value))


def parse(words: list[Word]) -> list[Event]:
    """The events of a prompt in the order of their things."""
    parser = _Parser(words)
    while parser.at < len(words):
        parser.step()
    parser.end_sentence()
    parser.describe(parser.loose)
    return sorted(parser.events, key=lambda event: event.start)


class _Parser:
    """What is known up to the word `at`. The methods named after tags take a word; False leaves it to the next of STEPS."""

    def __init__(self, words: list[Word]):
        self.words = words
        self.at = 0
        self.events: list[Event] = []
        self.mentioned: list[Phrase] = []  # what pronouns may stand for
        self.loose: list[Phrase] = []  # places and objects with a participle, which may be all that is said of them
        self.now: list[Event] = []  # of the last verb
        self.subjects: list[Phrase] = []  # of the last verb
        self.form = ""  # of the last verb
        self.last: Phrase | None = None  # phrase
        self.apart: list[Phrase] = []  # exceptions to what has not been said yet
        self.qualities: dict[str, str] = {}  # what adjectives before a word of the camera's say
        self.begin_sentence()

    def begin_sentence(self) -> None:
        self.pending: list[Phrase] = []  # phrases that no verb has been said of
        self.outer: list[Phrase] = []  # what a relative clause is about, until its own verb comes
        self.shelf: list[Phrase] = []  # what "with" was said of: "the train, with smoke rising, rolls"
        self.shared: Phrase | None = None  # a nominal that may be of several things
        self.heading: Phrase | None = None  # of a list: "subtle movements: hair, leaves"
        self.caused = False  # "make", "let", "could you": an infinitive follows
        self.given = False  # "give the clouds a slow drift"
        self.existential = False  # "there are"
        self.acted: list[Event] = []  # events whose objects may go on after "and"
        self.begin_clause()

    def begin_clause(self) -> None:
        self.prep = ""  # that waits for its phrase
        self.joiner = ""  # the comma or "and" that the clause began with
        self.aux = ""  # "be", "do", "modal" or "rel", until its verb comes
        self.negative = self.no = self.only = self.again = self.excepting = False
        self.held: dict[str, str] = {}  # adverbs that wait for a verb
        self.fronted: list[str] = []  # a place that was said before its thing
        self.aside = False  # it is one of adjectives: "the moon, half hidden, glows"
        self.fresh = True  # it has no verb yet
        self.object_due = False

    # Looking around

    def word(self, ahead: int = 0) -> Word:
        place = self.at + ahead
        return self.words[place] if 0 <= place < len(self.words) else MARK

    @property
    def waiting(self) -> list[Phrase]:
        """Phrases that wait for a verb."""
        return [phrase for phrase in self.pending if not phrase.object]

    @property
    def commanded(self) -> bool:
        """Whether "let" or "make" came just before: "let them dance"."""
        return self.caused and self.fresh and not self.pending

    def clause_after(self) -> list[Word]:
        """The words from the next one to the end of the clause."""
        rest = self.words[self.at + 1 :]
        end = next((place for place, word in enumerate(rest) if word.is_("mark", "and", "break")), len(rest))
        return rest[:end]

    def step(self) -> None:
        before, word, following = self.at, self.word(), self.word(1)
        for tags, take in STEPS:
            if (not tags or word.is_(*tags)) and take(self, word, following) is not False:
                break
        if self.at == before:
            self.at += 1

    # Marks and little words

    def mark(self, word: Word, following: Word) -> None:
        if word.text == ",":
            self.pause(",")
        elif word.text == ":" and (following.is_("still") or self.names_verb(following)):  # "hair: flowing"
            return
        else:
            heads = word.text == ":" and self.waiting and self.waiting[-1].nominal and self.waiting[-1].of is None
            heading = self.pending.pop() if heads else None
            self.end_sentence()
            self.heading = heading

    def names_verb(self, word: Word) -> bool:
        """Whether the word after a colon is the verb of what stands before it: "water: ripples"."""
        return bool(word.form) and (not word.noun or self.word(2).is_("mark"))

    def break_(self, word: Word, following: Word) -> bool | None:
        clause = self.clause_after()
        if word.text == "as" and not any(
            word.form and place and not clause[place - 1].is_("det", "poss", "of") for place, word in enumerate(clause)
        ):
            return False
        if word.text == "but" and self.waiting and self.held:  # "slowly but steadily"
            return None
        if word.text == "but" and starts_phrase(following):
            said = self.pending or [event.thing for event in self.now]
            apart = not self.fresh and not any(word.form and not word.noun or word.is_("be", "do", "still") for word in clause)
            if said and said[-1].noun == "whole" and (apart or self.fresh and self.pending):  # "freeze all but the sea"
                self.except_(word, following)
                self.object_due = False
                return None
        negative = self.negative and word.text == "but" and following.is_("way")
        self.end_sentence()
        self.negative = negative
        return None

    def and_(self, word: Word, following: Word) -> None:
        negative = word.text in ("or", "nor") and (self.negative or bool(self.now and self.now[-1].negative))
        self.pause("and")
        self.negative = negative

    def nothing(self, word: Word, following: Word) -> None:
        head, noun = ("person", "person") if word.is_("nobody") else ("everything", "whole")
        self.add_phrase(Phrase(head, noun, no=True, start=self.at))

    def no_(self, word: Word, following: Word) -> None:
        self.no = True

    def not_(self, word: Word, following: Word) -> None:
        if following.is_("way", "toward"):  # "not to the left but to the right"
            self.at += 2
            return
        self.negative = True
        if word.text in ("without", "avoid"):
            self.resolve_objects()
            self.object_due = False

    def onlybut(self, word: Word, following: Word) -> None:
        self.only = True

    def only_(self, word: Word, following: Word) -> None:
        phrase_next = starts_phrase(following) and not (following.form and not following.noun) or following.is_("strength")
        if word.text == "alone" and self.pending:
            if self.pending[-1].object:
                self.still(word, following)
            else:
                self.pending[-1].only = True
        elif word.is_("just"):
            self.only = self.fresh and not self.pending and phrase_next
        elif phrase_next or following.is_("cause"):
            self.only = True
        elif not self.fresh:
            self.resolve_objects()
            for event in self.now:
                event.only = True
        elif self.pending:  # "clouds only"
            self.pending[-1].only = True

    def except_(self, word: Word, following: Word) -> None:
        if following.is_("way", "toward"):  # "moves, but not to the left"
            self.at += 2
            return
        self.pause("")
        self.excepting = True

    def else_(self, word: Word, following: Word) -> None:
        if word.text in ("else", "otherwise"):
            return
        alone = word.text.startswith("nothing") and following.is_("mark")
        if alone:
            self.resolve_objects()
            for phrase in self.pending:  # "waves and clouds, nothing else"
                phrase.only = True
            self.flush()
        moving = [event for event in self.events if event.verb and not event.negative and meanings().get(event.verb) != "rest"]
        if alone and moving:  # "the sand trickles, nothing else"
            for event in moving:
                event.only = True
            return
        rest = Phrase("everything", "whole", which=["else"], no=word.text.startswith("nothing"), start=self.at)
        if self.prep and self.pending and self.pending[-1].nominal:  # "no movement in the rest of the room"
            self.pending[-1].of, self.prep = rest, ""
        else:
            self.add_phrase(rest)
        if word.text.endswith(" of") or following.is_("of"):
            self.at += 1 + following.is_("of")
            while self.word().is_("det", "poss") or self.word().open and not self.word().form:
                self.at += 1

    def like(self, word: Word, following: Word) -> bool | None:
        if following.is_("strength", "tempo") or word.text == "like" and not self.now and not self.pending:
            return None
        for place, other in enumerate(clause := self.clause_after()):  # "as if a light wind were blowing"
            if any(noun.noun in AGENTS for noun in clause[place + 1 : place + 3]):
                self.add_manner(manner_of(other))
        likeness = next((other.noun for other in clause if other.noun), "")
        for event in self.now if self.now and not self.fresh and not self.waiting else []:
            event.likeness = likeness
        self.at += 1 + len(clause)
        return None

    def ignore(self, word: Word, following: Word) -> None:
        viewer = Phrase("person", "person", start=self.at)
        if word.text in ("you", "i", "we") and self.begins_relative(viewer):  # "the lantern I hold glows"
            self.add_phrase(viewer)
            return
        if word.text in ("you", "i", "we", "one") and self.now and not self.fresh:  # "so fast that you can hardly see it"
            self.at += 1 + len(self.clause_after())
        if self.prep in SMALL:  # "nearest to us"
            self.prep = ""

    def again_(self, word: Word, following: Word) -> bool | None:
        if not self.pending and word.is_("ignore"):
            return False
        self.again = True
        return None

    def place_left(self) -> None:
        """A preposition without a phrase is an adverb: "the sign behind"."""
        if self.prep and self.prep not in SMALL:
            self.add_place([self.prep])
        self.prep = ""

    def prep_(self, word: Word, following: Word) -> None:
        self.place_left()
        if word.text == "from" and following.form and following.form.form == "ing":  # "keep her from moving"
            self.negative = True
            return
        self.prep = word.text
        self.object_due = False

    def way(self, word: Word, following: Word) -> None:
        if self.negative and not self.now and not self.aux:
            self.negative = False
            return
        self.place_left()
        self.prep = word.text if word.text in ("up", "down") else ""
        if not self.waiting or self.aux:
            self.add_manner({"way": word.tags["way"]})
            return
        phrase = self.waiting[-1]  # a place if a verb comes: "the boat to the left rocks"
        self.held["way"] = word.tags["way"]
        ordinal = next((f"{which}_{word.text.replace(' ', '_')}" for which in phrase.which if which in ORDINALS), None)
        phrase.which += [next((side for side in SIDES if side in word.text), word.text)] + [ordinal] * bool(ordinal)
        phrase.placed = True

    def adverb(self, word: Word, following: Word) -> bool | None:
        if word.is_("prep") and starts_phrase(following):
            return False
        self.place_left()
        self.add_manner({tag: word.tags[tag].replace("-", "") or word.text for tag in ADVERBS if tag in word.tags})
        return None

    def place(self, word: Word, following: Word) -> None:
        self.place_left()
        value = word.tags["place"]
        if self.pending and self.pending[-1].noun == "whole" and value == "background":
            self.pending[-1].head = self.pending[-1].noun = value
        self.add_place([value, *word.text.split()])

    def be(self, word: Word, following: Word) -> bool | None:
        infinitive = following.form and following.form.form == "base" or following.is_("be", "cause", "still")
        gets = word.text in ("get", "got", "has", "have", "had") and following.form and following.form.form == "ed"
        causes = word.is_("cause") and starts_phrase(following) and not (following.form and not following.noun)
        if not gets and (word.text == "to" and not infinitive or causes or not word.is_("be", "do", "modal")):
            return False
        self.as_subjects()
        if word.is_("be") or gets:
            self.aux = "be"
        elif word.is_("do"):
            self.aux = "do"
        elif word.text == "to" or not self.aux:
            self.aux = "modal"
        return None

    def cause(self, word: Word, following: Word) -> None:
        if self.has_inner_subject() and word.form:  # "the birds you see fly"
            self.at += 1
            self.verb(*word.form)
            return
        if self.fresh and self.pending and not word.text.startswith("keep"):
            self.mentioned += self.pending
            self.pending = []
        self.aux = ""
        self.caused = True
        self.given = word.text.startswith("giv")
        self.existential = word.text.startswith("there")
        self.object_due = False

    def animate(self, word: Word, following: Word) -> bool | None:
        if not word.is_("animate") and not (word.text in ("start", "begin") and following.is_("det", "poss")):
            return False
        self.verb("animate", "base" if self.fresh and not self.pending else "s")
        return None

    def still(self, word: Word, following: Word) -> None:
        if word.text == "still" and following.form and following.form.form != "ing":
            return
        if self.now and not self.pending and not self.fresh and not self.aux:  # "stands still"
            for event in self.now:
                event.verb = "rest"
            return
        self.as_subjects()
        if self.negative:
            self.aux, self.negative = "", False
            self.take_subjects("s")
            return
        if not self.pending and not ((self.aux or self.joiner) and self.subjects):
            self.pending = [Phrase("everything", "whole", start=self.at)]
        self.drop_commands()
        self.add_events(self.take_subjects("s"), "rest")

    def rel(self, word: Word, following: Word) -> bool | None:
        if word.text == "that" and not (self.pending or self.now) or following.open and following.noun and not following.form:
            return False if word.text == "that" else None
        aside = self.joiner == ","
        antecedent = self.waiting[-1] if self.waiting and not aside else self.last
        if antecedent is None:
            return None
        self.outer = [] if aside else self.waiting
        self.resolve_objects()
        self.pending = [antecedent]
        antecedent.object = antecedent.excepted = self.excepting = False
        self.prep, self.joiner, self.aux = "", "", "rel"
        return None

    # The camera

    def quality(self, word: Word, following: Word) -> bool | None:
        ahead = 1
        while self.word(ahead).is_(*QUALITIES, "adjective"):
            ahead += 1
        if not _is_camera(self.word(ahead)):
            return False
        self.qualities |= manner_of(word)
        return None

    def camera(self, word: Word, following: Word) -> bool | None:
        name = next((tag.removeprefix("camera-") for tag in word.tags if tag.startswith("camera-")), None)
        if name is None:
            return False
        camera = next((phrase for phrase in self.pending if phrase.noun == "camera"), None)
        camera = camera or Phrase("camera", "camera", start=self.at)
        self.pending = [phrase for phrase in self.pending if phrase is not camera]
        if self.pending and self.joiner:  # "gentle waves, static camera"
            held, self.held = self.held, {}
            self.flush()
            self.held = held
        self.pending = []
        turns = word.text in ("orbit", "circle around")
        self.add_events([camera], "turn" if turns else CAMERA_VERBS.get(name, "shift"))
        merge(self.now[0].manner, self.qualities | ({"toward": name} if name in ("in", "out") else {}))
        self.qualities = {}
        return None

    # Things

    def pronoun(self, word: Word, following: Word) -> None:
        if self.prep:
            self.add_place([self.prep])
        elif word.text == "all" and (self.waiting or following.is_("det", "poss")):
            return
        elif word.is_("everything"):
            self.add_phrase(Phrase("everything", "whole", start=self.at))
        elif word.is_("one"):
            self.add_phrase(self.another(["other"] if "other" in word.text else [], word.text not in ("one", "the other")))
        elif word.text not in REFLEXIVE or self.commanded or self.now and self.now[0].verb == "leave" and not self.waiting:
            self.add_phrase(self.referent(word))

    def referent(self, word: Word) -> Phrase:
        """What a personal pronoun stands for."""
        tests: dict[str, Callable[[Phrase], bool]] = {
            "it": lambda phrase: not phrase.plural and phrase.noun not in ("camera", *AGENTS) and phrase.joiner != "with",
            "they": lambda phrase: phrase.plural is not False,
            "person": lambda phrase: phrase.noun == "person" and not phrase.plural,
            "animal": lambda phrase: phrase.noun in ("animal", "bird", "fish") and not phrase.plural,
        }
        name = next(tag for tag in tests if tag in word.tags)
        doing = {phrase.head for phrase in self.subjects} if self.object_due else set()  # "the captain turns it"
        free = [phrase for phrase in self.mentioned if phrase.head not in doing]
        fitting = [phrase for phrase in free if tests[name](phrase)]
        if name == "person" and not fitting:  # "the cow? leave her alone"
            fitting = [phrase for phrase in free if tests["animal"](phrase)]
        earlier = fitting[-1] if fitting else None
        if earlier:
            return Phrase(earlier.head, earlier.noun, earlier.plural, definite="the", start=self.at)
        return Phrase("it", start=self.at) if name == "it" else Phrase("person", "person", name == "they", start=self.at)

    def another(self, which: list[str], plural: bool) -> Phrase:
        """What "one" stands for: the last thing that did something, or else was named."""
        named = [phrase for phrase in (*self.mentioned, *self.subjects) if phrase.noun not in ("camera", *AGENTS)]
        earlier = next((phrase for phrase in reversed(named) if not phrase.implied), Phrase("it"))
        return Phrase(earlier.head, earlier.noun, plural, which, "the", start=self.at)

    def run(self, word: Word, following: Word) -> bool | None:
        """A noun phrase, the verb after it, or both."""
        if not self.run_begins(word, following):
            return False
        if word.text in ("both", "each") and self.waiting and not (self.prep or self.joiner):  # "they both bob"
            return None
        start = self.at
        self.at, determiners, owner, run = read_phrase(self.words, start)
        self.mentioned += [owner] if owner else []
        if not run:
            if determiners and determiners[-1].text == "her" and self.prep:
                self.add_place([self.prep])
            return None
        if not determiners and all(word.describes for word in run) and (self.waiting or self.object_due):
            self.qualify(run)
            return None
        if run[-1].is_("one"):
            self.at += len(run)
            one = self.another([word.text for word in run[:-1]], run[-1].text in ("ones", "others"))
            one.start = start
            self.add_phrase(one)
            return None
        ends = run[-1].form and (len(run) > 1 or run[-1].form.form == "s" and not run[-1].noun)
        if self.prep in ("up", "down") and ends and not self.pending:
            self.prep = ""  # "as the sun goes down the lanterns glow", "down comes the rain"
        if self.has_inner_subject() and not determiners and run[0].form:  # "the dog she is walking wags its tail"
            self.at += 1
            self.verb(*run[0].form)
            return None
        found = find_verb(run, self.surroundings(determiners, self.words[self.at + len(run) :]))
        head = run[: found[0]] if found else run
        if head and self.outer and not determiners and all(word.describes for word in head):  # "sails that are white billow"
            self.outer[-1].which += [word.text for word in head]
        elif head:
            noun = max((place for place, word in enumerate(head) if not word.describes), default=len(head) - 1)
            phrase = make_phrase(head[: noun + 1], determiners, owner, start)
            phrase.which += [word.text for word in head[noun + 1 :]]
            self.add_phrase(phrase)
        elif determiners and self.prep:  # "the light behind her dances"
            self.add_place([self.prep])
        self.at += len(head)
        if found:
            self.at += 1
            self.verb(*found[1], guessed=run[found[0]].form is None)
        return None

    def run_begins(self, word: Word, following: Word) -> bool:
        """Whether a noun phrase or a verb begins here: also with what is an adverb elsewhere, "left boat", "slow clouds"."""
        if word.text == "her" and self.commanded and following.form and following.form.form == "base" and not following.noun:
            return False
        if word.is_("det", "poss"):
            return word.text != "her" or following.open or following.is_("way", "place", "quick-adjective")
        if word.open or word.text == "that":
            return True
        if " " in word.text or not word.is_(*QUALITIES) or not self.fresh or self.pending:
            return False
        return following.open and bool(following.noun) and not (following.form and following.form.form == "base")

    def qualify(self, run: list[Word]) -> None:
        """Adjectives after their noun or verb: "the sea is calm", "branches heavy with snow", "swings open"."""
        self.at += len(run)
        more = self.word().is_("and") and self.word(1).describes  # "the water, dark and deep, moves"
        self.aside = self.aside or self.joiner == "," and (len(run) > 1 or run[0].form is not None or more)
        waiting = self.waiting or self.subjects
        waiting[-1].which += [word.text for word in run]
        if self.aux == "be" and self.pending and not self.outer:
            self.describe(waiting)
            self.form = "base" if waiting[-1].plural else "s"
            self.subjects, self.pending, self.aux = waiting, [], ""

    def surroundings(self, determiners: list[Word], ahead: list[Word]) -> Surroundings:
        waiting = self.waiting
        joins = self.joiner and self.subjects and not self.pending
        return Surroundings(
            determiners=determiners,
            ahead=[*ahead, MARK],
            prep=self.prep,
            aux=self.aux,
            infinitive=self.caused or self.aux in ("modal", "do"),
            negated=self.negative or self.no and bool(waiting),
            joined=self.form if joins else "",
            listed=bool(self.joiner),
            subject=waiting[-1] if waiting else None,
            compound=bool(waiting) and self.joiner == "and",
            relative=bool(self.outer),
            begun=not self.fresh or bool(self.subjects),
            described=self.form in ("ing", "ed") and not (self.fresh or waiting or self.object_due),
        )

    def add_phrase(self, phrase: Phrase) -> None:
        """Take in a phrase: a place, an object, or what a verb will be said of."""
        phrase.only, self.only = self.only, False
        phrase.no, self.no = phrase.no or self.no, False
        self.last = phrase
        if self.given and phrase.nominal and phrase.of is None and self.pending and not self.joiner:
            phrase.of = self.pending.pop()
        prep, self.prep = self.prep, ""
        if prep and self.after_prep(prep, phrase):
            return
        if not prep and self.begins_relative(phrase):  # "the balloon he is holding tugs upwards"
            self.outer, self.pending = self.waiting, self.waiting[-1:]
        phrase.joiner, self.joiner = "with" if prep else self.joiner, ""
        phrase.excepted = self.excepting and phrase.noun != "whole"
        phrase.which += self.fronted
        self.fronted = []
        phrase.object = self.object_due and phrase.joiner != "and"
        self.pending.append(phrase)
        self.mentioned.append(phrase)

    def begins_relative(self, phrase: Phrase) -> bool:
        """Whether a phrase right after another is the subject of a relative clause without "that": two verbs follow."""
        if not self.waiting or not self.fresh or self.outer or self.joiner or self.aux:
            return False
        about, named = self.waiting[-1], bool(phrase.definite) or phrase.noun == "person"
        if not named or about.excepted or about.nominal or about.noun in ("whole", *AGENTS):
            return False
        clause = self.clause_after()
        verbs = [place for place, word in enumerate(clause) if word.form and not clause[place - 1].is_("det", "poss")]
        if len(verbs) < 2:
            return False
        helped = any(word.is_("be", "do", "modal") for word in clause[verbs[0] + 1 :])  # "the hat he wears is blown off"
        return helped or clause[verbs[-1]].form.form in ("s", "base")

    def after_prep(self, prep: str, phrase: Phrase) -> bool:
        """Take in a phrase after a preposition. False: after "with", it may have a verb of its own: "with its rotor spinning"."""
        leaves = bool(self.now) and self.now[0].verb == "leave"  # "leaving ripples in the pond"
        waiting = self.pending[-1] if self.pending and (leaves or not self.pending[-1].object) else None
        running = [event for event in self.now if event.thing.nominal and not event.moved] if not waiting else []
        if phrase.noun in AGENTS:  # "sways in a strong wind"
            self.add_manner(phrase.manner)
            for event in self.now if prep == "by" else []:  # "the cloak is caught by the wind"
                event.verb = "move" if meanings().get(event.verb) == "none" else event.verb
            return True
        if waiting and (waiting.nominal and waiting.of is None and prep in OF_MOTION or waiting.noun == "wind"):
            waiting.of = phrase
        elif not waiting and self.now and self.now[0].thing.noun in AGENTS:  # "the wind plays with her hair"
            for event in self.now:
                self.retarget(event, [phrase])
        elif running and prep in OVER and self.runs(running[0]):  # "ripples run over the lake"
            for event in running:
                event.verb, event.thing, event.moved = event.thing.nominal, phrase, True
        elif self.joiner == "and" and self.shared and prep in OF_MOTION:  # "movement in the water and in the trees"
            self.say(phrase, self.shared.nominal, self.shared.manner)
        elif prep == "with":
            return False
        else:
            if waiting and prep == "of" and not waiting.noun:
                waiting.noun = phrase.noun
            if prep in PASSING and not waiting:
                self.add_manner({"along": prep})
            self.add_place([prep, phrase.head, *phrase.which])
            self.loose += [phrase] if phrase.attribute else []
            phrase.joiner = "at"
            self.mentioned.insert(max(len(self.mentioned) - 1, 0), phrase)  # what it is a place of is nearer to pronouns
            return True
        self.mentioned.append(phrase)
        return True

    @staticmethod
    def runs(event: Event) -> bool:
        """Whether a motion without a name of its own passes over something."""
        passes = meanings().get(event.verb) in ("go", "travel", "spread", "flow")
        return passes and event.thing.nominal != "move" and event.thing.definite in INDEFINITE

    def add_place(self, words: list[str]) -> None:
        """Add words to what says where the thing at hand is."""
        self.prep = ""
        parts = [words[0].replace(" ", "_"), *words[0].split(), *words[1:]]
        parts = [part for part in dict.fromkeys(parts) if part not in SMALL]
        if self.fresh and not self.pending:  # "behind her the sea glitters"
            self.fronted += parts
            return
        if words[0] == "behind" and self.waiting and self.waiting[-1].noun == "whole":  # "everything behind her"
            self.waiting[-1].head = self.waiting[-1].noun = "background"
        for phrase in self.pending[-1:] or [event.thing for event in self.now]:
            phrase.which += [part for part in parts if part not in phrase.which]
            phrase.placed = True

    def add_manner(self, manner: dict[str, str]) -> None:
        """Adverbs go to the verb before them in their clause, or wait for the next."""
        here = not self.fresh or "way" in manner and not self.joiner
        if self.now and here and not self.waiting and not self.aux:
            for event in self.now:
                merge(event.manner, manner)
        else:
            merge(self.held, manner)

    # Verbs

    def verb(self, verb: str, form: str, guessed: bool = False) -> None:
        following = self.word()
        if f"{verb}-{following.text}" in meanings():
            verb = f"{verb}-{following.text}"
            self.at += following.text not in LEANT_ON
        if self.has_inner_subject():  # "the lantern that the man carries swings"
            self.pending, self.outer, self.aux, self.held = self.outer, [], "", {}
            self.object_due = False
            return
        if form != "s" and self.now and self.word(-2).form and meanings().get(self.word(-2).form.verb) == "rest":
            for event in self.now:  # "stops turning", "never stops turning"
                event.verb = event.verb if meanings().get(event.verb) == "rest" else verb
            return
        if verb == "go" and following.describes and not following.is_("way"):
            verb = "become"
        self.place_left()
        subjects = self.take_subjects(form, verb)
        self.form = form
        self.again = False
        self.add_events(subjects, verb, guessed)

    def has_inner_subject(self) -> bool:
        """Whether a relative clause has a subject of its own, so that its verb says nothing of what it is about."""
        inner = self.pending[-1:] if len(self.pending) > 1 and self.outer and self.pending[-2] is self.outer[-1] else []
        return any(phrase.joiner not in ("and", "with") for phrase in inner)

    def as_subjects(self) -> None:
        """What looked like an object has a verb of its own after it."""
        for phrase in self.pending:
            phrase.object = False

    def take_subjects(self, form: str, verb: str = "") -> list[Phrase]:
        """The phrases that the verb at hand is said of; nothing waits for a verb any longer."""
        finite = form in ("s", "base")
        done = self.now[0].thing if self.now else None  # what the verb before is said of
        if self.outer and self.aux != "rel" and form != "ing" and (done in self.outer or self.aux == "be"):
            self.outer[-1].which += [phrase.head for phrase in self.pending if phrase not in self.outer]
            self.events = [event for event in self.events if event.thing is not self.outer[-1]]
            taken, self.outer, self.pending, self.aux = self.outer, [], [], ""
            return taken
        if self.participle_over(form):
            self.resolve_objects()  # "the woman holding the umbrella walks"
            return self.subjects
        waiting = [phrase for phrase in self.pending if not (phrase.object and self.joiner)]
        if waiting and waiting[-1].joiner == "with" and self.joiner == "and" and form != "ing" and self.now:
            waiting = []  # "pulses with light and spins"
        if not waiting and self.shelf and self.joiner == "," and form == "s":
            taken, self.shelf = self.shelf[-1:], []
            return taken
        if not waiting:
            self.resolve_objects()
            self.pending = []
            commands = form == "base" and self.fresh and not self.aux and self.joiner != "and" and starts_phrase(self.word())
            return self.subjects if self.subjects and not commands else [Phrase("it", start=self.at, implied=True)]
        taken = [waiting[-1]]
        for phrase, after in zip(waiting[-2::-1], waiting[:0:-1]):
            alike = (phrase.definite in INDEFINITE) == (taken[0].definite in INDEFINITE) and not phrase.placed
            listed = after.joiner == "," and waiting[-1].joiner == "and" and alike
            glows = phrase.attribute and phrase.joiner == "with"  # "with glowing eyes and a cloak moving"
            if glows or not (after.joiner == "and" or after.excepted or listed):
                break
            taken.insert(0, phrase)
        if taken[0].joiner == "with" and len(waiting) > 1:
            walks = meanings().get(verb) in ("go", "none") and sort_of(waiting[-2].noun) in ("live", "wild", "vehicle")
            if finite or walks:  # "the boat with the red sail rocks"
                waiting[-2].which.append(waiting[-1].head)
                taken = [waiting[-2]]
        for phrase in taken[1:]:
            phrase.only = phrase.only or taken[0].only
        if any(phrase.object for phrase in waiting):
            self.drop_commands()
        left = [phrase for phrase in waiting if phrase not in taken]
        self.apart += [phrase for phrase in left if phrase.excepted]
        left = [phrase for phrase in left if not phrase.excepted]
        if form == "ing" and taken[0].joiner == "with":
            self.shelf += left
        else:
            self.describe(left)
        self.pending = []
        return taken

    def participle_over(self, form: str) -> bool:
        """Whether a plain verb goes with what a participle was said of, and not with the participle's object."""
        if self.form != "ing" or self.fresh or not self.now or not self.pending or self.waiting:
            return False
        subject = self.now[0].thing
        return form in ("s", "base") and subject.plural != (form == "s") and not subject.implied

    def drop_commands(self) -> None:
        """ "Watch the leaves fall" says nothing of who watches."""
        gone = [event for event in self.now if event.thing.implied]
        self.events = [event for event in self.events if event not in gone]

    def add_events(self, subjects: list[Phrase], verb: str, guessed: bool = False) -> None:
        excepted = [phrase for phrase in subjects if phrase.excepted]
        subjects = [phrase for phrase in subjects if not phrase.excepted] or self.subjects
        self.now = []
        first = min((phrase.start for phrase in subjects if not phrase.used), default=self.at - 1)
        for phrase in subjects:
            manner = dict(self.held)
            if phrase.placed and not self.aux:
                manner.pop("way", None)
            if phrase.nominal or phrase.noun in WEATHER:
                manner |= phrase.manner
            if phrase.nominal and phrase.of:
                phrase.which.append(phrase.of.head)
            negative = self.negative or phrase.no or self.no
            if negative and meanings().get(verb) == "rest":  # "never stops"
                verb, negative = "move", False
            self.now.append(
                Event(phrase, verb, phrase.start, first, negative, phrase.only or self.only, manner, guessed=guessed)
            )
            phrase.used = True
        self.events += self.now
        self.subjects = subjects
        self.held = {}
        self.aux = self.joiner = ""
        self.negative = self.no = self.only = self.fresh = False
        self.object_due = True
        said, subjects = self.now, self.subjects
        excepted, self.apart = excepted + self.apart, []
        for phrase in excepted:
            self.exception(phrase)
        self.now, self.subjects = said, subjects
        self.excepting = self.excepting and not excepted

    def resolve_objects(self) -> None:
        """Phrases right after a verb: what it moves, or what it is merely about."""
        objects = [phrase for phrase in self.pending if phrase.object]
        self.pending = self.waiting
        if not objects or not self.now:
            return
        verbs = verb_tables()
        for event in list(self.now):
            sort = sort_of(objects[0].noun)
            if event.verb == "leave" and event.thing.implied:  # "leave the hills out of it"
                event.verb = "rest"
                self.retarget(event, objects)
            elif event.verb in verbs["emits"] and sort in SENT_OUT:  # "the dragon breathes fire"
                event.verb = "fall" if sort in ("fall", "leaf") else "move"
                self.retarget(event, objects)
            elif event.thing.noun in AGENTS or event.verb in verbs["transitive"] or event.verb == "animate":
                self.retarget(event, objects)
            elif objects[0].nominal and event.thing.implied:
                event.thing, event.verb = objects[0], objects[0].nominal
            elif event.thing.implied and self.form == "s" and meanings().get(event.verb) in GOING:
                self.retarget(event, objects)  # "here comes the train"
            elif objects[0].nominal and objects[0].of:
                self.say(objects[0].of, objects[0].nominal, objects[0].manner)
            else:
                self.loose += [phrase for phrase in objects if phrase.attribute]
        self.acted = list(self.now)

    def retarget(self, event: Event, objects: list[Phrase]) -> None:
        """Say an event of the objects of its verb: "the horse tosses its mane", "the wind moves the curtains"."""
        subject = event.thing
        if subject.noun in AGENTS:
            ways = [other.manner["way"] for other in self.events if other.thing is subject and "way" in other.manner]
            event.manner = subject.manner | ({"way": ways[-1]} if ways else {}) | event.manner
        if objects[0].attribute and event.verb == "add":
            event.verb = objects[0].attribute
        event.thing, event.moved, event.only = objects[0], True, event.only or objects[0].only
        for phrase in objects:
            phrase.used = True
            if phrase.definite == "poss" and not subject.implied:
                phrase.which += subject.which
        more = [replace(event, thing=phrase, manner=dict(event.manner)) for phrase in objects[1:]]
        self.events += more
        self.now += more

    # Ends of clauses

    def pause(self, joiner: str) -> None:
        """A comma or "and": what waits for a verb may go on waiting."""
        self.place_left()
        self.resolve_objects()
        self.finish_aux()
        kept = self.negative, self.no, self.only, self.aux
        excepting, fronted = self.excepting, self.fronted
        joiner, aside = "" if self.aside else joiner, self.aside and joiner == "and"
        if self.pending and self.says_enough(self.pending[-1]) and not self.word(1).is_("rel"):
            self.flush()
            held = {}
        else:
            if joiner != "and" and self.held and (self.pending or self.now):
                self.flush()
            held = self.held
        self.begin_clause()
        self.aside = aside
        self.held, self.joiner, self.excepting, self.fronted = held, joiner, excepting and joiner == "and", fronted
        if joiner == "and" and not self.pending and not self.now:
            self.negative, self.no, self.only, self.aux = kept

    def says_enough(self, phrase: Phrase) -> bool:
        """Whether a phrase needs no verb: "no wind", "slow ripples on the lake", "the leaves too"."""
        if self.negative or self.again or self.excepting or self.existential or phrase.no:
            return True
        return bool(phrase.nominal and (phrase.of or phrase.definite or phrase.manner) or phrase.noun in AGENTS and phrase.of)

    def finish_aux(self, final: bool = False) -> None:
        """ "The clouds do", "the wheel does not": the verb before, or rest."""
        aux, self.aux = self.aux, self.aux if self.aux == "modal" else ""
        aux = "do" if aux == "modal" and final and not self.negative else aux
        if aux not in ("do", "be", "modal") or not (self.pending or self.now):
            return
        said = next((event for event in reversed(self.events) if event.verb and event.thing.noun != "camera"), None)
        if self.negative and self.pending and aux == "be" and said and said.verb == "rest":  # "is still, the other is not"
            self.negative = False
            self.add_events(self.take_subjects("s"), "move")
        elif self.negative and (self.pending or self.subjects):
            self.negative = False
            self.add_events(self.take_subjects("s"), "rest")
        elif aux == "do" and said and (self.pending or self.again):
            self.add_events(self.take_subjects("s"), said.verb)
        self.aux = ""

    def flush(self) -> None:
        """Say of what got no verb what adverbs, "no", "too" and its own words say of it."""
        left, self.pending = self.pending, []
        for before, phrase in pairwise(left):  # "just the hair and the dress"
            phrase.only = phrase.only or before.only and phrase.joiner == "and"
        held, self.held = self.held, {}
        for phrase in left:
            self.say_without_verb(phrase, held, alone=len(left) == 1, last=phrase is left[-1])
        if left or not held:
            return
        events = self.now or self.events[-1:]
        for event in events:
            if event.verb is None and held.keys() & {"strength", "tempo"}:  # "Waves. Slow."
                event.verb = "move"
            merge(event.manner, held)
        self.held = {} if events else held

    def say_without_verb(self, phrase: Phrase, held: dict[str, str], alone: bool, last: bool) -> None:
        said = next((event for event in reversed(self.events) if event.verb and event.verb != "rest"), None)
        acted = self.acted[-1] if self.acted and self.acted[-1].moved else None
        listed = phrase.joiner if acted else ""
        if phrase.excepted:
            self.exception(phrase)
        elif phrase.noun in AGENTS and not (phrase.of or phrase.no):  # "strong gusts from the left"
            self.describe([phrase])
        elif phrase.nominal and (
            phrase.noun != "motion" or phrase.of or phrase.no or phrase.manner
        ):  # "a soft swaying of the reeds"
            whole = phrase.no and phrase.of is None and phrase.noun == "motion"
            thing = Phrase("everything", "whole", start=phrase.start) if whole else phrase.of or self.implicit(phrase.start)
            self.say(thing, phrase.nominal, held | phrase.manner, phrase.no or self.negative, phrase.start)
            self.shared = phrase
        elif phrase.attribute and held:  # "softly glowing lanterns"
            self.say(phrase, phrase.attribute, held)
        elif phrase.noun in AGENTS and phrase.of:  # "wind in her hair"
            self.say(phrase.of, "move", held | phrase.manner, phrase.no, phrase.start)
        elif phrase.noun in WEATHER and phrase.noun not in AGENTS and phrase.manner:  # "heavy rain"
            self.say(phrase, "move", held | phrase.manner)
        elif phrase.no or self.negative and last:
            self.say(phrase, "rest", {})
        elif self.again and said:  # "and the leaves too"
            self.say(phrase, said.verb, said.manner)
        elif last and said and held.keys() & {"way", "toward"} and phrase.noun not in AGENTS:  # "the other one to the left"
            if listed:  # "carries leaves and twigs to the right"
                merge(acted.manner, held)
            self.say(phrase, said.verb, held)
        elif last and held.keys() & {"strength", "tempo"} or phrase.only:
            self.say(phrase, "move", held if last else {})
        elif listed and (listed == "and" and alone or acted.verb == "animate"):  # "flaps its ears and its wings"
            self.say(phrase, acted.verb, acted.manner, acted.negative)
        elif self.heading and not phrase.attribute:
            self.say(phrase, self.heading.nominal, self.heading.manner)
        else:
            self.describe([phrase])

    def implicit(self, start: int) -> Phrase:
        """What a motion is of where no thing is named."""
        camera = self.now and self.now[-1].thing.noun == "camera"
        return self.now[-1].thing if camera else Phrase("it", start=start, implied=True)

    def exception(self, phrase: Phrase) -> None:
        """A thing apart from those before it: it rests where they move, and moves where they rest."""
        before = next((event for event in reversed(self.events) if event.verb and not event.thing.excepted), None)
        if before is None:  # "apart from the water nothing moves"
            self.apart.append(phrase)
        elif before.thing.no and before.thing.noun == "whole":  # "nothing moves except the clouds"
            before.thing, before.negative, before.only = phrase, False, True
            phrase.used = True
        else:
            rests = before.negative or meanings().get(before.verb) == "rest"
            self.say(phrase, "move" if rests else "rest", {})

    def say(self, phrase: Phrase, verb: str, manner: dict[str, str], negative: bool = False, start: int | None = None) -> None:
        phrase.used = True
        start = phrase.start if start is None else start
        event = Event(phrase, verb, start, start, negative, phrase.only, dict(manner))
        self.events.append(event)
        self.now = [event]
        self.subjects = [phrase]

    def describe(self, phrases: list[Phrase]) -> None:
        """Say of phrases that got no verb what their participle says, if anything."""
        self.events += [
            Event(phrase, phrase.attribute or None, phrase.start, phrase.start) for phrase in phrases if not phrase.used
        ]

    def end_sentence(self) -> None:
        """A full stop or a word like "while": nothing waits for a verb any longer, but adverbs may."""
        self.place_left()
        self.resolve_objects()
        self.finish_aux(final=True)
        for phrase in [event.thing for event in self.now] if self.fronted else []:
            phrase.which += self.fronted
        self.flush()
        self.describe(self.shelf)
        held = self.held
        if held and self.at >= len(self.words):
            self.say(self.implicit(0), "move", held)
        self.begin_sentence()
        self.held = held


def _is_camera(word: Word) -> bool:
    return any(tag.startswith("camera-") for tag in word.tags)


# Tags and what takes a word that has one of them; of several rows the first that does not leave it
STEPS = (
    (("mark",), _Parser.mark),
    (("like", "break"), lambda parser, word, following: word.text == "as" and parser.break_(word, following)),
    (("like",), _Parser.like),
    (("except",), _Parser.except_),
    (("onlybut",), _Parser.onlybut),
    ((), _Parser.camera),
    (("strong-adjective", "quick-adjective"), _Parser.quality),
    (("else",), _Parser.else_),
    (("nothing", "nobody"), _Parser.nothing),
    (("no",), _Parser.no_),
    (("not",), _Parser.not_),
    (("break",), _Parser.break_),
    (("and",), _Parser.and_),
    (("only", "just"), _Parser.only_),
    (("animate", "modal"), _Parser.animate),
    (("again",), _Parser.again_),
    (("ignore",), _Parser.ignore),
    (("rel",), _Parser.rel),
    (("det", "poss", *QUALITIES), _Parser.run),
    (THINGS, _Parser.pronoun),
    (("be", "do", "modal", "cause"), _Parser.be),
    (("still",), _Parser.still),
    (("cause",), _Parser.cause),
    (("way",), _Parser.way),
    (("place",), _Parser.place),
    (ADVERBS, _Parser.adverb),
    (("of", "prep"), _Parser.prep_),
    ((), _Parser.run),
)
