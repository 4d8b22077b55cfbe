"""What joins subjects, verbs and objects into events."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

from loopanimate.words.lexicon import Word, forms, meanings, natures, verb_tables, words_of
from loopanimate.words.phrases import AGENTS, SENT_OUT, Phrase, clause_of, manner_of, sort_of, starts_phrase
from loopanimate.words.wording import MARK

WEATHER = (*AGENTS, "rain", "snow", "sea", "fog", "camera")  # classes of whose motion an adjective of strength speaks
OPPOSITES = ({"open", "close"}, {"open", "shut"}, {"raise", "lower"}, {"lift", "lower"}, {"extend", "retract"})
WAYS = {"way", "toward", "along"}  # of a manner, what says where to
INDEFINITE = ("", "a", "an")
SPARED = "except"  # among the words that pick a thing out, before what it is said not to be on
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


class Builder:
    """What is known up to the word `at`, and what phrases, adverbs and verbs add to it."""

    def __init__(self, words: list[Word]):
        self.words = words
        self.at = 0
        self.events: list[Event] = []
        self.mentioned: list[Phrase] = []  # what pronouns may stand for
        self.loose: list[Phrase] = []  # places and objects with a participle, which may be all that is said of them
        self.now: list[Event] = []  # of the last verb
        self.subjects: list[Phrase] = []  # of the last verb
        self.form = ""  # of the last verb
        self.parted = False  # it belongs to a clause between commas: "the boat, pulled by a tug, moves"
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
        self.within = False  # a relative clause has begun after a comma
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

    @property
    def spares(self) -> bool:
        """Whether a place is one that what was said is not in: "it snows but not on the boat"."""
        return (self.negative or self.excepting) and self.fresh and bool(self.now) and not self.pending

    def clause_after(self) -> list[Word]:
        """The words from the next one to the end of the clause."""
        return clause_of(self.words[self.at + 1 :])

    # Phrases

    def place_left(self) -> None:
        """A preposition without a phrase is an adverb: "the sign behind"."""
        if self.prep and self.prep not in words_of("small"):
            self.add_place([self.prep])
        self.prep = ""

    def add_phrase(self, phrase: Phrase) -> None:
        """Take in a phrase: a place, an object, or what a verb will be said of."""
        if self.aux == "be" and self.waiting and not self.prep and phrase.attribute and phrase.definite in INDEFINITE:
            self.add_events(self.take_subjects("s"), phrase.attribute)  # "the tree is a swaying giant"
            return
        if self.says_whose(phrase):  # "holding a torch whose flame flickers"
            self.resolve_objects()
            self.object_due = False
        phrase.only, self.only = self.only, False
        phrase.no, self.no = phrase.no or self.no, False
        self.last = phrase
        if self.given and phrase.of is None and self.pending and not self.joiner:
            if phrase.definite.endswith(("a", "an")) and phrase.head in forms():  # "give the tassels a swing"
                phrase.nominal = forms()[phrase.head].verb
                phrase.manner |= manner_of(self.words[phrase.start])
            phrase.of = self.pending.pop() if phrase.nominal else None
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

    def says_whose(self, phrase: Phrase) -> bool:
        return any(word.text == "whose" for word in self.words[phrase.start : phrase.start + 1])

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
        waiting = self.pending[-1] if self.pending else None
        if waiting and waiting.object and not (leaves or waiting.nominal or waiting.noun == "wind"):
            waiting = None
        running = [event for event in self.now if event.thing.nominal and not event.moved] if not waiting else []
        if phrase.head in words_of("pace"):  # "at a slow pace"
            self.add_manner(phrase.manner)
            return True
        if prep == "with" and not self.fresh and meanings().get(phrase.nominal) in words_of("sound"):  # "turns with a groan"
            return True
        if phrase.noun in AGENTS:  # "sways in a strong wind"
            self.add_manner(phrase.manner)
            for event in self.now:  # "the cloak is caught by the wind", "laundry drying in the wind"
                blown = prep == "by" or sort_of(event.thing.noun) in ("bend", "hung")
                event.verb = "move" if blown and meanings().get(event.verb) == "none" else event.verb
            return True
        if waiting and (waiting.nominal and waiting.of is None and prep in words_of("of motion") or waiting.noun == "wind"):
            waiting.of = phrase
        elif not waiting and self.now and self.now[0].thing.noun in AGENTS and sort_of(phrase.noun) != "fixed":
            # "the wind plays with her hair"
            for event in self.now:
                self.retarget(event, [phrase])
        elif running and prep in words_of("over") and self.runs(running[0]):  # "ripples run over the lake"
            for event in running:
                event.verb, event.thing, event.moved = event.thing.nominal, phrase, True
        elif self.joiner == "and" and self.shared and prep in words_of("of motion"):  # "movement in the water and in the trees"
            self.say(phrase, self.shared.nominal, self.shared.manner)
        elif (
            self.joiner == "," and self.shared and prep in words_of("of motion") and self.held
        ):  # "wind in the trees, less in the grass"
            held, self.held = self.held, {}
            self.say(phrase, self.shared.nominal or "move", held)
        elif prep == "with":
            return False
        else:
            if waiting and prep == "of" and not waiting.noun:
                waiting.noun = phrase.noun
            if prep == "away from" and not waiting:
                self.add_manner({"toward": "away"})
            ahead = prep in ("up", "down") and phrase.noun == "road"  # "drives down the street" is no way of the picture
            for event in self.now if ahead and not waiting else []:
                event.manner.pop("way", None)
            if (prep in words_of("passing") or ahead) and not waiting:
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
        parts = [part for part in dict.fromkeys(parts) if part not in words_of("small")]
        if self.spares:
            parts.insert(0, SPARED)
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
        particle = following.text.split(" ")[0]  # "takes off to the left"
        means = meanings().get(f"{verb}-{particle}")
        place = particle in words_of("particle") and starts_phrase(self.word(1)) and means != "none"  # "turns on its axis"
        if means and (not place or f"{verb}-{particle}" in verb_tables()["transitive"]):
            verb = f"{verb}-{particle}"
            self.at += particle == following.text and particle not in words_of("leant on")
        self.at += following.text == "shut"  # "slams shut"
        if self.has_inner_subject():  # "the lantern that the man carries swings"
            if self.says_whose(self.pending[-1]):  # "a robot whose eyes glow turns"
                self.add_events(self.pending[-1:], verb, guessed)
            self.pending, self.outer, self.aux, self.held = self.outer, [], "", {}
            self.object_due = False
            return
        if form != "s" and self.now and self.word(-2).form and meanings().get(self.word(-2).form.verb) == "rest":
            for event in self.now:  # "stops turning", "never stops turning"
                event.verb = event.verb if meanings().get(event.verb) == "rest" else verb
            return
        if verb == "go" and form == "ing" and self.caused:  # "get the gears going"
            verb = "move"
        if verb in ("go", "turn") and following.describes and not following.is_("way", "tempo", "strength"):
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
        ends = self.aux == "be" or done in self.outer and self.aux != "rel"  # the relative clause
        if self.outer and ends and form != "ing" and self.joiner != "and":
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
            if form == "ing" and not self.subjects and self.events and self.events[-1].verb is None:  # "A tree. Swaying."
                return [self.events[-1].thing]
            commands = form == "base" and self.fresh and not self.aux and self.joiner != "and" and starts_phrase(self.word())
            return self.subjects if self.subjects and not commands else [Phrase("it", start=self.at, implied=True)]
        aside = waiting[-1].joiner == "," and waiting[-1].definite == "poss" and waiting[-1].plural
        if form == "s" and aside and len(waiting) > 1 and waiting[-2].plural is False:
            waiting = waiting[:-1]  # "the ship, its sails torn, limps"
        taken = [waiting[-1]]
        for phrase, after in zip(waiting[-2::-1], waiting[:0:-1]):
            shares = phrase.definite == "poss" and taken[0].definite == ""  # "her hair, scarf and coat"
            alike = (phrase.definite in INDEFINITE) == (taken[0].definite in INDEFINITE) and not phrase.placed or shares
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
        if form == "ing" and (taken[0].joiner == "with" or taken[0].joiner == "," and taken[0].definite == "poss"):
            self.shelf += left  # "the ship, its sails flapping, drifts"
        else:
            more = [phrase for phrase in left[:1] if self.continues(phrase)]  # "moves the curtains and the plants, …"
            for phrase in more:
                self.say(phrase, self.acted[-1].verb, self.acted[-1].manner, self.acted[-1].negative)
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
        self.events = [event for event in self.events if not (event.thing.implied and event in self.now)]

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
        within = self.within or self.joiner == "," and (self.form in ("ing", "ed") or self.aux == "be")
        self.parted = within and bool(subjects)
        self.within = False
        self.held = {}
        self.aux = self.joiner = ""
        self.negative = self.no = self.only = self.fresh = False
        self.object_due = bool(subjects)  # "to except the crack crash" says nothing of anything
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
        for event in [event for event in self.now if event.verb == "follow" and event.thing.noun != "camera"]:
            led = [other for other in self.events if other.verb and other.thing.head in [phrase.head for phrase in objects]]
            for other in led[-1:]:  # "the anchor sinks, the chain following it"
                event.verb, event.manner = other.verb, other.manner | event.manner
        if not objects or not self.now:
            return
        verbs = verb_tables()
        for event in list(self.now):
            sort = sort_of(objects[0].noun)
            if event.verb == "carry" and sort_of(event.thing.noun) == "live" and not event.manner.keys() & WAYS:
                event.verb = "hold"  # "the man carrying a lantern waits"
            if event.verb == "leave" and event.thing.implied:  # "leave the hills out of it"
                event.verb = "rest"
                self.retarget(event, objects)
            elif event.verb in verbs["emits"] and sort in SENT_OUT:  # "the dragon breathes fire"
                pours = natures()[objects[0].noun].natural == "ripple"
                event.verb = "fall" if sort in ("fall", "leaf") else "flow" if pours else "move"
                self.retarget(event, objects)
            elif self.moves(event, objects[0]):
                self.retarget(event, objects)
            elif objects[0].nominal and event.verb in verbs["does"]:  # "does a spin"
                event.verb = objects[0].nominal
                merge(event.manner, objects[0].manner)
            elif objects[0].nominal and event.thing.implied:
                event.thing, event.verb = objects[0], objects[0].nominal
            elif event.thing.implied and self.form == "s" and meanings().get(event.verb) not in ("none", "rest", None):
                self.retarget(event, objects)  # "here comes the train"
            elif objects[0].nominal and objects[0].of:
                self.say(objects[0].of, objects[0].nominal, objects[0].manner)
            else:
                self.loose += [phrase for phrase in objects if phrase.attribute]
        self.acted = list(self.now)

    def moves(self, event: Event, thing: Phrase) -> bool:
        """Whether a verb moves its object: "the wind bends them", the command "drift the fog to the left", "taps his foot"."""
        meaning = meanings().get(event.verb)
        ordered = event.thing.implied and self.form == "base" and meaning not in ("none", "rest", None)
        own = thing.definite == "poss" and sort_of(thing.noun) in ("body", "bend") and meaning in words_of("of limbs")
        return ordered or own or event.thing.noun in AGENTS or event.verb in (*verb_tables()["transitive"], "animate")

    def retarget(self, event: Event, objects: list[Phrase]) -> None:
        """Say an event of the objects of its verb: "the horse tosses its mane", "the wind moves the curtains"."""
        subject = event.thing
        if subject.implied and event.verb in words_of("adds"):
            self.drop_commands()
            for phrase in objects:  # "add ripples to the pond"
                motion = phrase.nominal or phrase.noun in AGENTS and phrase.of and "move"
                whose = phrase.of or (self.implicit(phrase.start) if phrase.noun == "motion" else phrase)
                thing, manner = (whose, event.manner | phrase.manner) if motion else (phrase, event.manner)
                self.say(thing, motion or phrase.attribute or event.verb, manner)
                self.now[0].moved = True
            return
        if subject.noun in AGENTS or meanings().get(event.verb) == "travel":  # "trots to the left, dragging the sled"
            ways = [other.manner["way"] for other in self.events if other.thing is subject and "way" in other.manner]
            own = subject.manner if subject.noun in AGENTS else {}
            event.manner = own | ({"way": ways[-1]} if ways else {}) | event.manner
        goes = sort_of(subject.noun) in ("live", "wild", "vehicle") and meanings().get(event.verb) == "travel"
        goes = goes and event.verb not in verb_tables()["emits"]  # unlike "throws a ball to the right"

        def alone() -> bool:
            return not any(other.thing is subject and other is not event for other in self.events)

        if goes and event.manner.keys() & WAYS and alone():  # "the nurse pushes the wheelchair to the right"
            self.events.append(replace(event, manner=dict(event.manner)))
        for other in self.events:  # "opens and closes its wings"
            if other.thing is subject and {other.verb, event.verb} in OPPOSITES:
                other.thing, other.moved = objects[0], True
        if subject.attribute and alone():
            self.events.append(Event(subject, subject.attribute, subject.start, subject.start))  # "a burning candle drips wax"
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
        after = self.word(1)
        does = after.is_("be", "do", "modal") or after.form and not after.noun
        goes_on = after.is_("rel") or self.excepting and len(self.waiting) > 1 and does
        ends = self.pending and self.says_enough(self.pending[-1]) and not goes_on
        if ends or joiner != "and" and self.held and (self.pending or self.now):
            self.flush()
        held = self.held
        self.begin_clause()
        self.held, self.joiner, self.aside = held, joiner, aside
        self.excepting, self.fronted = excepting and joiner == "and", fronted
        if joiner == "and" and not self.pending and not self.now:
            self.negative, self.no, self.only, self.aux = kept

    def continues(self, phrase: Phrase) -> bool:
        """Whether a phrase is one more object of the verb before it: "animate the sea and the sky"."""
        return phrase.joiner == "and" and bool(self.acted) and self.acted[-1].moved

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
        elif phrase.nominal and (phrase.noun != "motion" or phrase.of or phrase.no or phrase.manner):
            # "a soft swaying of the reeds"
            whole = phrase.no and phrase.of is None and phrase.noun == "motion"
            thing = Phrase("everything", "whole", start=phrase.start) if whole else phrase.of or self.implicit(phrase.start)
            self.say(thing, phrase.nominal, held | phrase.manner, phrase.no or self.negative, phrase.start)
            self.shared = phrase
        elif phrase.attribute and held:  # "softly glowing lanterns"
            self.say(phrase, phrase.attribute, held)
        elif phrase.noun in AGENTS and phrase.of:  # "wind in her hair"
            self.say(phrase.of, "move", held | phrase.manner, phrase.no, phrase.start)
            self.shared = phrase
        elif phrase.noun in WEATHER and phrase.noun not in AGENTS and phrase.manner:  # "heavy rain"
            self.say(phrase, "move", held | phrase.manner)
        elif phrase.no or self.negative and last:
            self.say(phrase, "rest", {})
        elif self.again and said:  # "and the leaves too"
            self.say(phrase, said.verb, said.manner)
        elif last and said and held.keys() & {"way", "toward"} and phrase.noun not in AGENTS:  # "the other one to the left"
            if listed == "and":  # "carries leaves and twigs to the right"
                merge(acted.manner, held)
            self.say(phrase, said.verb, held)
        elif last and held.keys() & {"strength", "tempo"} or phrase.only:
            self.say(phrase, "move", held if last else {})
        elif listed and not phrase.attribute and (listed == "and" and alone or acted.verb in ("animate", *words_of("adds"))):
            # "flaps its ears and its wings"
            self.say(phrase, acted.verb, acted.manner, acted.negative)
        elif self.shared and phrase.joiner == "and" and alone and not phrase.attribute:  # "motion in the hair and clothes"
            self.say(phrase, self.shared.nominal, self.shared.manner, self.shared.no)
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
        if phrase.nominal and phrase.of:  # "still except for a shimmer on the water"
            self.say(phrase.of, phrase.nominal, phrase.manner)
            return
        before = next((event for event in reversed(self.events) if event.verb and not event.thing.excepted), None)
        if before is None:  # "apart from the water nothing moves"
            self.apart.append(phrase)
        elif before.thing.no and before.thing.noun == "whole":  # "nothing moves except the clouds"
            before.thing, before.negative, before.only = phrase, False, True
            phrase.used = True
        elif not before.negative and (meanings().get(before.verb) in ("snow", "rain") or sort_of(before.thing.noun) == "fall"):
            before.thing.which += [SPARED, phrase.head, *phrase.which]  # "it snows everywhere except on the boats and the pier"
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
