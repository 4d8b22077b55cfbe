"""Who does what in a prompt: words → events, in one pass from left to right."""

from collections.abc import Callable
from itertools import pairwise, takewhile

from loopanimate.words.events import Builder, Event, merge
from loopanimate.words.lexicon import Word, meanings, words_of
from loopanimate.words.phrases import (
    ADVERBS,
    AGENTS,
    QUALITIES,
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

UNSPOKEN = ("camera", *AGENTS)  # classes that "it" does not stand for
MOVERS = ("live", "wild", "vehicle", "boat", "bend", "hung", "wheel", "float")  # sorts of places that move rather than hold
CAMERA_VERBS = {"in": "zoom", "out": "zoom", "zoom": "zoom", "shift": "shift", "turn": "turn", "rest": "rest", "shake": "shake"}


def parse(words: list[Word]) -> list[Event]:
    """The events of a prompt in the order of their things."""
    parser = _Parser(words)
    while parser.at < len(words):
        parser.step()
    parser.end_sentence()
    parser.describe([phrase for phrase in parser.loose if phrase.attribute != "rest"])
    return sorted(parser.events, key=lambda event: event.start)


class _Parser(Builder):
    """The methods named after tags take a word; False leaves it to the next of STEPS."""

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
        elif word.text == ":" and (
            following.is_("still") or following.form and (not following.noun or self.word(2).is_("mark"))
        ):
            return  # "hair: flowing", "water: ripples"
        elif word.text == "?" and self.waiting and self.fresh and following.form and self.word(2).is_("mark"):
            return  # "the trees? sway."
        elif word.text == ":" and self.waiting and following.is_("strength", "tempo"):  # "clouds: fast"
            return
        elif word.text in ":?" and (self.waiting or self.now) and following.is_("nothing", "nobody"):  # "bridge: nothing"
            self.at += 2
            self.still(following, self.word())
        elif word.text == ":" and self.waiting and self.names_act(1):  # "clouds: slow drift"
            self.given = True
        elif word.text == "(" and (aside := self.names_aside()):
            self.at += aside + 2
        else:
            heads = word.text == ":" and self.waiting and self.waiting[-1].nominal and self.waiting[-1].of is None
            heading = self.pending.pop() if heads else None
            self.end_sentence()
            self.heading = heading

    def names_aside(self) -> int:
        """How many words between brackets say only what a thing is: "the cranes (the birds) fly"."""
        inner = list(takewhile(lambda word: word.text != ")", self.words[self.at + 1 :]))
        names = all(word.open and not (word.form and not word.noun) or word.is_("det", "poss") for word in inner)
        return len(inner) if names else 0

    def break_(self, word: Word, following: Word) -> bool | None:
        clause = self.clause_after()
        if word.text == "as" and not any(
            after.form and not before.is_("det", "poss", "of") for before, after in pairwise(clause)
        ):
            return False
        if word.text == "but" and self.waiting and self.held:  # "slowly but steadily"
            return None
        if word.text == "but" and starts_phrase(following):
            said = self.pending or [event.thing for event in self.now]
            apart = not self.fresh and not any(word.form and not word.noun or word.is_("be", "do", "still") for word in clause)
            all_of = said and (said[-1].noun == "whole" or said[-1].head in ("everyone", "everybody"))
            if all_of and (apart or self.fresh and self.pending):  # "freeze all but the sea"
                self.except_(word, following)
                self.object_due = False
                return None
        if word.text == "then" and self.subjects and following.form and following.form.form == self.form:
            self.pause("and")  # "hops, then flies off"
            return None
        negative = self.negative and word.text == "but" and following.is_("way")
        for event in self.now if "that" in word.text else []:  # "animate the bird so that its wings flap"
            event.verb = None if event.verb == "animate" else event.verb
        self.end_sentence()
        self.negative, self.again = negative, word.text == "and also" and not any(map(_says, clause))

    def and_(self, word: Word, following: Word) -> None:
        denied = self.negative or bool(self.now and self.now[-1].negative)
        negative = word.text == "nor" or word.text == "or" and denied
        ahead = pairwise(self.clause_after()) if word.text == "nor" and self.negative else ()
        does = any(after.form and not before.is_("det", "poss") for before, after in ahead)
        listed = self.waiting if does else []  # "neither the boat nor the sea moves"
        self.negative = self.negative and not listed
        self.pause("and")
        for phrase in listed:
            phrase.no = True
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
        if word.text == "not" and self.joiner == "," and self.waiting and starts_phrase(following):
            self.excepting = True  # "the sky, not the sea, moves"
            return
        self.negative = True
        if word.text.startswith(("without", "avoid", "get rid", "remove")):
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
        if following.form and following.form.form == "ing" and not following.noun:  # "instead of swaying"
            self.at += 1 + len(self.clause_after())
            return
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
            if event.verb in words_of("posture") and sort_of(likeness) in ("rigid", "fixed"):  # "stands like a rock"
                event.verb = "rest"
        ways = (place for place, other in enumerate(clause) if other.is_("way", "toward", "tempo"))
        self.at += 1 + next(ways, len(clause))  # "race like horses to the left"

    def ignore(self, word: Word, following: Word) -> None:
        viewer = Phrase("person", "person", start=self.at)
        if word.text in ("you", "i", "we") and self.begins_relative(viewer):  # "the lantern I hold glows"
            self.add_phrase(viewer)
            return
        if word.text in ("you", "i", "we", "one") and self.now and not self.fresh:  # "so fast that you can hardly see it"
            self.at += 1 + len(self.clause_after())
        if self.prep in words_of("small"):  # "nearest to us"
            self.prep = ""

    def again_(self, word: Word, following: Word) -> bool | None:
        if not self.pending and word.is_("ignore"):
            return False
        self.again = True

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
        ordinal = [f"{which}_{word.text.replace(' ', '_')}" for which in phrase.which if which in words_of("ordinal")][:1]
        phrase.which += [next((side for side in words_of("side") if side in word.text), word.text), *ordinal]
        phrase.placed = True

    def adverb(self, word: Word, following: Word) -> bool | None:
        if word.is_("prep") and starts_phrase(following):
            return False
        self.place_left()
        self.add_manner({tag: word.tags[tag].replace("-", "") or word.text for tag in ADVERBS if tag in word.tags})

    def place(self, word: Word, following: Word) -> None:
        self.place_left()
        value = word.tags["place"]
        somebodys = self.word(-1).is_("det", "poss")
        if word.text == "back" and self.now and not self.waiting and not somebodys:  # "leans back", but not "down her back"
            self.add_manner({"toward": "back"})
            return
        if self.pending and self.pending[-1].noun == "motion" and value == "background":  # "no motion in the background"
            self.pending[-1].of = Phrase(value, value)
            return
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
        if word.is_("do") and following.text in ("a", "an") and self.names_act(2):
            self.verb("do", "s")
            return None
        if word.is_("be") or gets:
            self.aux = "be"
        elif word.is_("do"):
            self.aux = "do"
        elif word.text == "to" or not self.aux:
            self.aux = "modal"

    def names_act(self, ahead: int) -> bool:
        """Whether the noun of a motion comes so many words ahead, or adjectives and then it: "does a slow spin"."""
        while self.word(ahead).describes:
            ahead += 1
        return bool(make_phrase([self.word(ahead)], [], None, 0).nominal)

    def cause(self, word: Word, following: Word) -> None:
        if self.has_inner_subject() and word.form:  # "the birds you see fly"
            self.at += 1
            self.verb(*word.form)
            return
        if self.waiting and following.text in ("a", "an") and self.names_act(2):  # "the dog gives a shake"
            self.at += 1
            self.verb("do", "s")
            return
        if self.joiner == "," and self.pending and self.continues(self.pending[0]):
            self.flush()  # "animate the sea and the sky, keep her still"
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
        if self.waiting and self.names_mover(self.last):  # "a couple on a swing that swings"
            self.shelf, self.pending, antecedent = self.shelf + self.waiting, [], self.last
        self.outer, self.within = [] if aside else self.waiting, aside
        self.resolve_objects()
        self.pending = [antecedent]
        antecedent.object = antecedent.excepted = self.excepting = False
        self.prep, self.joiner, self.aux = "", "", "rel"

    def names_mover(self, phrase: Phrase) -> bool:
        """Whether a place is what the one verb of a relative clause right after it is about."""
        verbs = [word for word in self.clause_after() if word.form]
        near = phrase.joiner == "at" and self.word(-1).text == phrase.head and len(verbs) == 1
        return near and sort_of(phrase.noun) in MOVERS and self.word().text != "who"

    # The camera

    def quality(self, word: Word, following: Word) -> bool | None:
        ahead = 1
        while self.word(ahead).is_(*QUALITIES, "adjective"):
            ahead += 1
        if not any(tag.startswith("camera-") for tag in self.word(ahead).tags):
            return False
        self.qualities |= manner_of(word)

    def camera(self, word: Word, following: Word) -> bool | None:
        name = next((tag.removeprefix("camera-") for tag in word.tags if tag.startswith("camera-")), None)
        if name is None:
            return False
        if self.object_due:  # "add a zoom"
            self.drop_commands()
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
        way = {"way": word.tags["way"]} if "way" in word.tags else {}  # "truck left"
        merge(self.now[0].manner, self.qualities | way | ({"toward": name} if name in ("in", "out") else {}))
        self.qualities = {}

    # Things

    def pronoun(self, word: Word, following: Word) -> bool | None:
        if self.prep:
            spared = self.spares and word.is_("it", "they", "person")
            self.add_place([self.prep, *([self.referent(word).head] if spared else [])])
        elif word.text == "all" and (self.waiting or following.is_("det", "poss")):
            return None
        elif word.text == "other" and following.open:  # "no other movement"
            return False
        elif word.is_("everything"):
            self.add_phrase(Phrase("everything", "whole", start=self.at))
        elif word.is_("one"):
            which = ["other"] if "other" in word.text else []
            self.add_phrase(self.another(which, word.text not in ("one", "another", "the other")))
        else:  # "the wind bends them", "leave them alone"
            moved = self.now and (self.now[0].verb in ("leave", "follow") or self.now[0].thing.noun in AGENTS)
            if word.text not in words_of("reflexive") or self.commanded or moved and not self.waiting:
                self.add_phrase(self.referent(word))

    def referent(self, word: Word) -> Phrase:
        """What a personal pronoun stands for."""

        def its(phrase: Phrase) -> bool:
            """Whether it belongs to what "it" stands for: "its tail curls and it swims"."""
            return phrase.start < len(self.words) and self.words[phrase.start].text == "its"

        tests: dict[str, Callable[[Phrase], bool]] = {
            "it": lambda phrase: not (phrase.plural or phrase.noun in UNSPOKEN or phrase.joiner == "with" or its(phrase)),
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
            if not determiners and word.is_("one"):  # "one flies left, another right"
                self.pronoun(word, following)
            return None
        acts = self.joiner == "and" and self.form == "base" and run[-1].form and run[-1].form.form == "base"  # "open and close"
        if not (determiners or acts) and all(word.describes for word in run) and (self.waiting or self.object_due):
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
        elif determiners and [word.text for word in head] == ["other"]:  # "one rocks, the other stays"
            self.add_phrase(self.another(["other"], False))
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

    def run_begins(self, word: Word, following: Word) -> bool:
        """Whether a noun phrase or a verb begins here: also with what is an adverb elsewhere, "left boat", "slow clouds"."""
        if word.text == "her" and self.commanded and following.form and following.form.form == "base" and not following.noun:
            return False
        if word.is_("det", "poss"):
            return word.text != "her" or following.open or following.is_("way", "place", "quick-adjective")
        if word.open or word.text in ("that", "other"):
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
        parted = self.parted and self.joiner == "," and not (waiting or determiners) and self.subjects[-1].plural is False
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
            object_due=self.object_due,
            described=self.form in ("ing", "ed") and not (waiting or self.object_due) and not self.fresh or parted,
            single=self.form in ("ing", "ed") and bool(self.subjects) and self.subjects[-1].plural is False,
        )


def _says(word: Word) -> bool:
    """Whether a word says what something does."""
    return bool(word.form and not word.noun) or word.is_("be", "do", "still", "modal")


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
