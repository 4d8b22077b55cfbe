"""Who does what in a prompt: words → noun phrases and events, in one pass from left to right."""

import re
from dataclasses import dataclass, field, replace

from loopanimate.words.lexicon import Form, Word, is_known, longest_phrase, look_up, meanings, natures, phrases, table_of_verbs
from loopanimate.words.wordnet import definitions, lemma

CONTRACTIONS = (
    (r"[’‘`´]", "'"),
    (r"\b(ca|wo|sha)n'?t\b", "can not"),
    (r"\b(do|does|did|is|are|was|were|has|have|must|should|could|would|need)n'?t\b", r"\1 not"),
    (r"\b(it|he|she|that|there|who|what|here|everything|nothing|nobody)'s\b", r"\1 is"),
    (r"\blet's\b", "let us"),
    (r"'(re)\b", " are"),
    (r"'(m|d|ll|ve)\b", " would"),
    (r"(\w)'s\b|(\ws)'(?=\s)", r"\1\2 's "),
)
TOKENS = re.compile(r"'s|[^\W_]+(?:-[^\W_]+)*|[,;:.!?()\n–—…\"/|]")
SOFT = ","  # a comma may stand in a list; every other mark ends the sentence
CAMERA_TAGS = ("camera-in", "camera-out", "camera-shift", "camera-turn", "camera-zoom", "camera-verb")
AGENTS = ("wind", "storm")  # classes that move what follows
WEATHER = (*AGENTS, "rain", "snow", "sea", "fog", "camera")  # classes of whose motion an adjective of strength speaks
SENT_OUT = ("flow", "fall", "leaf", "light")  # sorts of things that others send out
ORDINALS = ("first", "second", "third", "fourth", "last")
ADVERBS = ("strength", "tempo", "toward", "both", "along", "flicker")
OF_MOTION = (
    "of",
    "in",
    "on",
    "across",
    "over",
    "through",
    "throughout",
    "to",
    "from",
    "inside",
    "along",
    "for",
    "by",
    "around",
)
SMALL = ("in", "on", "at", "of", "the", "to", "by", "from", "for", "with")  # prepositions that say no place by themselves


@dataclass
class Phrase:
    """A noun phrase."""

    head: str
    noun: str = ""  # class of things
    plural: bool = False
    which: list[str] = field(default_factory=list)
    definite: str = ""  # its first determiner
    owner: "Phrase | None" = None
    attribute: str = ""  # verb of a participle before it: "flowing hair"
    nominal: str = ""  # verb of which it is the noun: "swaying", "ripples"
    of: "Phrase | None" = None  # whose motion a nominal is
    manner: dict[str, str] = field(default_factory=dict)  # strength and tempo said by adjectives
    no: bool = False
    only: bool = False
    start: int = 0
    # how it stands in the sentence
    joiner: str = ""  # what joins it to the phrase before: "and", ",", "with" or nothing
    object: bool = False
    excepted: bool = False
    placed: bool = False  # a place has been said after it
    used: bool = False  # a verb has been said of it
    implied: bool = False  # no word stands for it


@dataclass
class Event:
    """That a thing does something, or, with `verb` None, is only there."""

    thing: Phrase
    verb: str | None
    start: int
    end: int
    negative: bool = False
    only: bool = False
    manner: dict[str, str] = field(default_factory=dict)  # strength, tempo, way, toward, both, along → value
    moved: bool = False  # its thing is the object of its verb
    guessed: bool = False  # the verb is not in the tables


def split(prompt: str) -> list[Word]:
    """The words and phrases of a prompt, marks included."""
    text = prompt.lower()
    for pattern, instead in CONTRACTIONS:
        text = re.sub(pattern, instead, text)
    raw = TOKENS.findall(re.sub(r"[^\w\s,;:.!?()'–—…\"/|-]", " , ", text))
    words: list[Word] = []
    free = True  # no thing but the camera has been named since the last mark
    place = 0
    while place < len(raw):
        word, size = _longest(raw, place, free)
        words.append(word)
        if word.is_("mark", "and", "break"):
            free = True
        elif (
            word.is_("it", "they", "person", "one", "everything") or word.open and word.noun != "camera" and not word.describes
        ):
            free = False
        place += size
    return words


def _longest(raw: list[str], place: int, free: bool) -> tuple[Word, int]:
    """The longest phrase that begins at a place, and how many words it takes."""
    for size in range(min(longest_phrase(), len(raw) - place), 1, -1):
        tags = phrases().get(tuple(raw[place : place + size]))
        if tags and (free or not tags.keys() <= set(CAMERA_TAGS)):
            return replace(look_up(" ".join(raw[place : place + size])), tags=tags), size
    text = raw[place]
    if text == "'s":
        return Word(text, {"own": ""}), 1
    if not text[0].isalnum():
        return Word(text, {"mark": ""}), 1
    if text[0].isdigit():
        return Word(text, {"det": ""} if text.isdigit() else {"adjective": ""}), 1
    word = look_up(text)
    if text.endswith("ly") and not (word.tags or word.noun or word.form):
        within = place > 0 and phrases().get((raw[place - 1],), {}).keys() & {"det", "poss", "adjective"}
        return replace(word, tags={"adjective" if within else "ignore": ""}), 1
    if word.is_(*CAMERA_TAGS):
        following = phrases().get(tuple(raw[place + 1 : place + 2]), {})
        kept = free and not following.keys() & {"det", "poss"}
        word = replace(word, tags={tag: value for tag, value in word.tags.items() if kept or tag not in CAMERA_TAGS})
    return word, 1


def parse(words: list[Word]) -> list[Event]:
    """The events of a prompt in order."""
    parser = _Parser(words)
    while parser.at < len(words):
        parser.step()
    parser.end_sentence()
    return parser.finish()


class _Parser:
    """What is known up to word `at`."""

    def __init__(self, words: list[Word]):
        self.words = words
        self.at = 0
        self.events: list[Event] = []
        self.mentioned: list[Phrase] = []
        self.loose: list[Phrase] = []  # phrases whose participle may be all that is said of them
        self.begin_sentence()
        self.now: list[Event] = []  # the events of the last verb
        self.subjects: list[Phrase] = []  # of the last verb

    def begin_sentence(self) -> None:
        self.existential = False  # "there are"
        self.caused = False  # "make", "let", "could you": an infinitive follows
        self.pending: list[Phrase] = []  # phrases that no verb has been said of
        self.outer: list[Phrase] | None = None  # what a relative clause is about, until its verb is over
        self.begin_clause()

    def begin_clause(self) -> None:
        self.prep = ""
        self.joiner = ""
        self.aux = ""  # "be", "do" or "modal", until its verb comes
        self.negative = self.no = self.only = self.again = False
        self.excepting = False
        self.held: dict[str, str] = {}  # adverbs that wait for a verb
        self.fresh = True  # no verb since the clause began
        self.object_open = False

    # looking around

    def word(self, ahead: int = 0) -> Word:
        place = self.at + ahead
        return self.words[place] if 0 <= place < len(self.words) else Word("", {"mark": ""})

    def starts_phrase(self, word: Word) -> bool:
        return word.open or word.is_("det", "poss", "it", "they", "person", "one", "everything", "else")

    # one word or phrase

    def step(self) -> None:
        word = self.word()
        following = self.word(1)
        take = next((getattr(self, f"_{name}") for name, test in STEPS if test(self, word, following)), None)
        if take is None or not take(word, following):
            self.at += 1

    def _mark(self, word: Word, following: Word) -> None:
        if word.text == SOFT:
            self.pause(",")
        else:
            self.end_sentence()

    def _break(self, word: Word, following: Word) -> None:
        all_but = self.fresh and self.pending and self.pending[-1].noun == "whole"
        if word.text == "but" and self.starts_phrase(following) and (all_but or self._bare_exception()):
            self.excepting, self.object_open = True, False
            return
        negative = self.negative
        self.end_sentence(keep=True)
        self.negative = negative and word.text == "but" and following.is_("way")

    def _bare_exception(self) -> bool:
        """Whether "but the clouds" ends a sentence about nothing: "nothing moves but the clouds"."""
        if not (self.now and self.now[0].thing.no and self.now[0].thing.noun == "whole"):
            return False
        rest = [word for word in self.words[self.at + 1 :]]
        end = next((place for place, word in enumerate(rest) if word.is_("mark", "break")), len(rest))
        return not any(word.form and not word.noun for word in rest[:end])

    def _and(self, word: Word, following: Word) -> None:
        negative = self.negative or bool(self.now and self.now[-1].negative and word.text in ("or", "nor"))
        self.pause("and")
        self.negative = negative and word.text in ("or", "nor")

    def _camera(self, word: Word, following: Word) -> None:
        tag = next(tag for tag in word.tags if tag.startswith("camera-"))
        self.pending = [phrase for phrase in self.pending if phrase.noun == "camera"]
        camera = self.pending.pop() if self.pending else Phrase("camera", "camera", start=self.at)
        self.pending = []
        verbs = {
            "camera-in": "zoom",
            "camera-out": "zoom",
            "camera-shift": "shift",
            "camera-turn": "turn",
            "camera-rest": "rest",
        }
        verbs |= {"camera-shake": "shake", "camera-zoom": "zoom"}
        verb = verbs.get(tag) or {"orbit": "turn", "circle around": "turn"}.get(word.text, "shift")
        camera.manner |= self.camera_manner
        self.add_events([camera], verb)
        if tag in ("camera-in", "camera-out"):
            self.now[0].manner["toward"] = tag.removeprefix("camera-")
        self.camera_manner = {}

    camera_manner: dict[str, str] = {}

    def _strong(self, word: Word, following: Word) -> None:
        """An adjective of strength or tempo before a camera's phrase."""
        self.camera_manner = self.camera_manner | adjective_manner(word)

    def _nothing(self, word: Word, following: Word) -> None:
        head, noun = ("person", "person") if word.is_("nobody") else ("everything", "whole")
        self.add_phrase(Phrase(head, noun, no=True, start=self.at))

    def _no(self, word: Word, following: Word) -> None:
        self.no = True

    def _not(self, word: Word, following: Word) -> bool | None:
        if following.is_("way", "toward"):
            self.at += 2
            return True
        self.negative = True
        if word.text in ("without", "avoid"):
            self.object_open = False
            self.resolve_objects()
        return None

    def _onlybut(self, word: Word, following: Word) -> None:
        self.only = True

    def _only(self, word: Word, following: Word) -> None:
        if word.text == "alone" and self.pending and not self.pending[-1].object and self.fresh:
            self.pending[-1].only = True
            return
        if word.text == "alone" and any(phrase.object for phrase in self.pending):
            self._still(word, following)
            return
        next_is_phrase = (
            self.starts_phrase(following) and not (following.form and not following.noun) or following.is_("strength")
        )
        if word.is_("just") and not (self.fresh and not self.pending and next_is_phrase):
            if word.text == "alone" and self.now:
                self.now[-1].only = True
            return
        if next_is_phrase:
            self.only = True
        else:
            self.resolve_objects()
            for event in self.now:
                event.only = True

    def _except(self, word: Word, following: Word) -> None:
        self.pause("")
        self.excepting = True

    def _else(self, word: Word, following: Word) -> bool | None:
        if word.text in ("else", "otherwise"):
            return None
        if self.prep and self.pending and self.pending[-1].nominal:  # "no movement in the rest of the room"
            self.pending[-1].of = Phrase("everything", "whole", which=["else"], start=self.at)
            self.prep = ""
        else:
            self.add_phrase(Phrase("everything", "whole", which=["else"], no=word.text.startswith("nothing"), start=self.at))
        if word.text.endswith(" of") or following.is_("of"):
            self.at += 1 + following.is_("of")
            while self.word().is_("det", "poss") or self.word().open and not self.word().form:
                self.at += 1
            return True
        return None

    def _pronoun(self, word: Word, following: Word) -> None:
        if self.prep:
            self.add_place([self.prep])
            return
        start = self.at
        if word.is_("everything"):
            self.add_phrase(Phrase("everything", "whole", plural=False, start=start))
        elif word.is_("one"):
            earlier = self.antecedent(
                lambda phrase: phrase.noun not in ("person", "whole", "camera", *AGENTS) or not phrase.implied
            )
            plural = word.text not in ("one", "the other", "other")
            self.add_phrase(self.copy_of(earlier, ["other"] if "other" in word.text else [], plural))
        elif word.text in ("itself", "themselves", "herself", "himself", "them", "him"):
            return
        else:
            self.add_phrase(self.referent(word))

    def referent(self, word: Word) -> Phrase:
        """What a pronoun stands for."""
        if word.is_("it"):
            fits = [p for p in self.mentioned if not p.plural and p.noun not in ("camera", *AGENTS) and not p.joiner == "with"]
            chosen = fits[-1] if fits else None
            other = Phrase("it", "", start=self.at)
        elif word.is_("they"):
            fits = [p for p in self.mentioned if p.plural]
            chosen = fits[-1] if fits else None
            other = Phrase("person", "person", plural=True, start=self.at)
        else:
            fits = [p for p in self.mentioned if p.noun == "person" and not p.plural]
            chosen = fits[-1] if fits else None
            other = Phrase("person", "person", start=self.at)
        return self.copy_of(chosen, [], chosen.plural) if chosen else other

    def antecedent(self, test) -> Phrase:
        fits = [phrase for phrase in [*self.mentioned, *self.subjects] if test(phrase) and not phrase.implied]
        return fits[-1] if fits else Phrase("it", "")

    def copy_of(self, phrase: Phrase, which: list[str], plural: bool) -> Phrase:
        """Another phrase with the same head."""
        kept = [] if which is None else list(which)
        return Phrase(phrase.head, phrase.noun, plural, kept, "the", start=self.at)

    def _prep(self, word: Word, following: Word) -> None:
        if self.prep and self.prep not in SMALL:
            self.add_place([self.prep])
        self.prep = word.text
        self.object_open = False

    def _of(self, word: Word, following: Word) -> None:
        self.prep = "of"
        self.object_open = False

    def _way(self, word: Word, following: Word) -> None:
        if self.negative and not self.now and not self.aux:
            self.negative = False
            return
        if self.prep and self.prep not in SMALL:
            self.add_place([self.prep])
        self.prep = word.text if word.text in ("up", "down") else ""
        waiting = [phrase for phrase in self.pending if not phrase.object]
        if waiting and not self.aux:
            self.held["way"] = word.tags["way"]
            waiting[-1].which.append(self._place_of(word.text))
            ordinal = next((which for which in waiting[-1].which if which in ORDINALS), None)
            if ordinal:
                waiting[-1].which.append(f"{ordinal}_{word.text.replace(' ', '_')}")
            waiting[-1].placed = True
        else:
            self.add_manner({"way": word.tags["way"]})

    @staticmethod
    def _place_of(text: str) -> str:
        return next((side for side in ("left", "right", "top", "bottom", "below", "above") if side in text), text)

    def _adverb(self, word: Word, following: Word) -> None:
        if self.prep and self.prep not in SMALL:
            self.add_place([self.prep])
        self.prep = ""
        self.add_manner({tag: word.tags[tag].replace("-", "") or word.text for tag in ADVERBS if tag in word.tags})

    def _place(self, word: Word, following: Word) -> None:
        value = word.tags["place"]
        if self.prep and self.prep not in SMALL:
            self.add_place([self.prep])
        self.prep = ""
        if self.pending and self.pending[-1].noun == "whole" and value == "background":
            self.pending[-1].head, self.pending[-1].noun = value, "background"
        self.add_place([value, *word.text.split()])

    def _still(self, word: Word, following: Word) -> None:
        if following.form and following.form.form != "ing" and word.text == "still":
            return
        recent = self.now and not self.pending and (self.fresh is False)
        if recent and not self.aux:
            for event in self.now:
                event.verb = "rest"
            return
        self.as_subjects()
        if self.negative:
            self.aux, self.negative = "", False
            self.take_subjects("s")
            return
        if not self.pending and not (self.aux and self.subjects):
            self.pending = [Phrase("everything", "whole", start=self.at)]
        self.drop_commands()
        self.add_events(self.take_subjects("s"), "rest")

    def _be(self, word: Word, following: Word) -> None:
        self.as_subjects()
        self.aux = "be" if word.is_("be") else "do" if word.is_("do") else self.aux or "modal"
        if self.negative and word.is_("do"):
            self.negative = True

    def _cause(self, word: Word, following: Word) -> None:
        if self.fresh and self.pending and word.text.split()[0] not in ("keep", "keeps"):
            self.mentioned += self.pending
            self.pending = []
        self.aux = ""
        self.caused = True
        self.existential = word.text.startswith("there")
        self.object_open = False

    def _animate(self, word: Word, following: Word) -> None:
        self.verb("animate", "base" if self.fresh and not self.pending else "s")

    def _rel(self, word: Word, following: Word) -> bool | None:
        if word.text == "that" and not (self.pending or self.now) or following.open and following.noun and not following.form:
            return self._run(word, following) if word.text == "that" else None
        last = self.last_phrase
        waiting = [phrase for phrase in self.pending if not phrase.object]
        if waiting and self.joiner != ",":
            antecedent = waiting[-1]
        else:
            antecedent = last
        if antecedent is None:
            return None
        self.outer = waiting if waiting and self.joiner != "," and antecedent in waiting else None
        self.resolve_objects()
        self.pending = [antecedent]
        antecedent.object = antecedent.excepted = self.excepting = False
        self.prep = ""
        self.aux = "rel"
        return None

    last_phrase: Phrase | None = None

    def _like(self, word: Word, following: Word) -> bool | None:
        if following.is_("strength", "tempo"):
            return None
        if word.text == "like" and not self.now and not self.pending:
            return None
        self.at += 1
        while not self.word().is_("mark", "and", "break") or self.word().text == "as":
            if self.at >= len(self.words):
                break
            if self.word().is_("strong-adjective") and any(self.word(ahead).noun in AGENTS for ahead in (1, 2)):
                self.add_manner(adjective_manner(self.word()))
            self.at += 1
        return True

    def _ignore(self, word: Word, following: Word) -> bool | None:
        if word.text in ("you", "i", "we", "one") and self.now and not self.fresh:
            while self.at < len(self.words) and not self.word().is_("mark", "and", "break"):
                self.at += 1
            return True
        return None

    def _again(self, word: Word, following: Word) -> None:
        self.again = True

    # noun phrases, and the verb after one

    def _run(self, word: Word, following: Word) -> bool:
        start = self.at
        determiners = []
        owner = None
        while True:
            while self.determines():
                determiners.append(self.word())
                self.at += 1
            run = self.read_run()
            after = self.word(len(run))
            if after.is_("own") and run:
                owner = self.make_phrase(run, determiners, None, start)
                self.mentioned.append(owner)
                self.at += len(run) + 1
                determiners = [Word("'s", {"poss": ""})]
                continue
            if after.is_("of") and run and is_many(run[-1]) and self.starts_phrase(self.word(len(run) + 1)):
                self.at += len(run) + 1
                continue
            break
        if not run:
            if self.at == start:
                self.at += 1
            elif self.prep and determiners[-1].text == "her":
                self.add_place([self.prep])
            return True
        waiting = [phrase for phrase in self.pending if not phrase.object]
        if not determiners and all(word.describes for word in run) and waiting and not self.joiner:
            self.at += len(run)  # "the sea is calm", "branches heavy with snow"
            waiting[-1].which += [word.text for word in run]
            if self.aux == "be":
                self.describe(waiting)
                self.subjects, self.pending, self.aux = waiting, [], ""
            return True
        if run[-1].is_("one"):
            self.at += len(run)
            earlier = self.antecedent(lambda phrase: phrase.noun not in ("camera", *AGENTS))
            one = self.copy_of(earlier, [adjective.text for adjective in run[:-1]], run[-1].text in ("ones", "others"))
            one.start = start
            self.add_phrase(one)
            return True
        if self.prep in ("up", "down") and len(run) > 1 and run[-1].form and not self.pending:
            self.prep = ""  # "as the sun goes down the lanterns glow"
        verb, form = self.find_verb(run, determiners)
        head = run if verb is None else run[:verb]
        at = self.at + len(head)
        if head:
            self.add_phrase(self.make_phrase(head, determiners, owner, start))
        elif determiners and self.prep:  # "the light behind her dances"
            self.add_place([self.prep])
        self.at = at
        if verb is not None:
            self.at += 1
            self.verb(form.verb, form.form, guessed=run[verb].form is None)
        return True

    def determines(self) -> bool:
        word, following = self.word(), self.word(1)
        if word.is_("one") or word.text == "that":
            return (word.is_("det") or word.text in ("that", "those")) and (following.open or following.is_("one"))
        return word.is_("det", "poss")

    def read_run(self) -> list[Word]:
        """The open words from here on, and adjectives among them that are adverbs elsewhere."""
        run: list[Word] = []
        while True:
            word, following = self.word(len(run)), self.word(len(run) + 1)
            named = any(w.noun and not w.describes for w in run)
            adjectival = (
                not named
                and " " not in word.text
                and word.is_("way", "place", "still", "quick-adjective", "strong-adjective", "prep")
                and (not word.is_("prep") or word.text in ("nearest", "opposite"))
                and (following.open or following.is_("one", "way"))
            )
            if (
                word.is_("one")
                and (run or self.word(-1).is_("det", "poss"))
                and word.text in ("one", "ones", "others", "other")
            ):
                return [*run, word]
            if not (word.open or adjectival) or word.is_("mark"):
                return run
            run.append(word)

    def make_phrase(self, run: list[Word], determiners: list[Word], owner: Phrase | None, start: int) -> Phrase:
        head = run[-1]
        before = run[:-1]
        phrase = Phrase(head.text, head.noun, head.plural, start=start, owner=owner)
        if determiners:
            phrase.definite = "poss" if determiners[-1].is_("poss") else determiners[0].text
        phrase.which = [word.text for word in before]
        phrase.which += [word.tags["place"] for word in before if word.is_("place") and word.tags["place"] != word.text]
        for word in before:
            if word.form and word.form.form == "ing":
                phrase.attribute = word.form.verb
            phrase.manner |= adjective_manner(word)
        if owner:
            phrase.which.append(owner.head)
        nominal = table_of_verbs()["nominal"]
        singular = head.text.removesuffix("s") if head.plural else head.text
        if singular in nominal:
            phrase.nominal = nominal[singular]
        elif head.form and not head.noun and head.form.form in ("ing", "base"):
            phrase.nominal = head.form.verb
        if phrase.nominal:
            things = [word for word in before if word.noun]
            if things:
                phrase.of = Phrase(things[-1].text, things[-1].noun, things[-1].plural, start=start)
            elif owner:
                phrase.of = owner
        if not phrase.noun:  # "guinea pig": an unknown head
            phrase.noun = ""
        return phrase

    def find_verb(self, run: list[Word], determiners: list[Word]) -> tuple[int | None, Form | None]:
        """Where the verb of a run is, and what it is: the last word that can be one in its place."""
        determined = bool(determiners)
        subject = bool([phrase for phrase in self.pending if not phrase.object])
        found = [place for place in range(len(run)) if self.can_be_verb(run, place, determiners, subject)]
        if found:
            place = max(found, key=lambda place: (self.fitness(run, place), place))
            return place, run[place].form
        last = run[-1]
        unknown = not last.form and not last.noun and not last.tags and not last.derived
        ends = last.text.endswith("s") and not last.text.endswith("ss") or last.text.endswith("ing")
        if unknown and (len(run) > 1 and run[-2].noun and (ends or definitions(lemma(last.text)) and run[-2].plural)):
            if not (self.prep and not subject):
                return len(run) - 1, Form(lemma(last.text), "s")
        if unknown and len(run) == 1 and not determined and (self.aux and self.aux != "be" or self.aux == "be" and ends):
            return 0, Form(lemma(last.text), "s")
        if unknown and len(run) == 1 and not determined and subject and ends and not self.prep:
            return 0, Form(lemma(last.text), "s")
        return None, None

    def fitness(self, run: list[Word], place: int) -> int:
        """How well a verb suits its place: it agrees with the noun before it, is no noun, has something to send out."""
        word, after = run[place], run[place + 1] if place + 1 < len(run) else None
        if word.form.verb in table_of_verbs()["emits"] and after and sort_of(after.noun) in SENT_OUT and place:
            return 4
        agrees = place > 0 and (word.form.form in ("ing", "ed") or run[place - 1].plural != (word.form.form == "s"))
        return 2 * agrees + (not word.noun)

    def can_be_verb(self, run: list[Word], place: int, determiners: list[Word], subject: bool) -> bool:
        word, form = run[place], run[place].form
        if form is None:
            return False
        after = run[place + 1] if place + 1 < len(run) else None
        following = self.word(len(run))
        if place == 0:
            if determiners:
                her = determiners[-1].text == "her" and len(determiners) == 1
                return (
                    her
                    and bool(self.prep)
                    and subject
                    and after is None
                    and form.form != "base"
                    and not self._verb_ahead(len(run))
                )
            if self.prep:
                adverbial = self.prep not in SMALL and (subject or self.outer) and after is None
                return bool(adverbial) and form.form in ("s", "ing") and (not word.noun or not self._verb_ahead(1))
            if self.aux == "be" and form.form in ("s", "base"):
                return self.outer is not None
            if self.aux or self.negative and not word.noun or self.no and subject:
                return not (form.form == "ing" and after is not None and after.noun and self.aux != "be")
            if form.form == "ing":
                return after is None
            if form.form == "ed":
                return after is None and (subject or not self.fresh or bool(self.subjects))
            if form.form == "base":
                if subject or self.outer:
                    return True
                joined = bool(self.joiner and self.now and not self.pending)
                if after is not None and after.noun:
                    return not word.noun and not word.describes
                command = following.is_("det", "poss", "it", "everything", *ADVERBS, "way", "both") or not word.noun
                return command and not word.describes and word.noun not in AGENTS or joined and self.last_form == "base"
            joined = bool(self.joiner and self.now and not self.pending and self.now[-1].verb)
            joined = joined and self.last_form == "s"
            return after is None and (subject and not self.joiner or bool(self.outer) or joined or not word.noun)
        before = run[place - 1]
        if before.describes or before.is_("way", "place", "still", "quick-adjective", "strong-adjective") and not before.noun:
            return False
        attributive = before.form and before.form.form == "ing" and not before.noun
        if attributive and word.noun:
            return False
        if form.form == "ing":
            return not (after and after.noun and before.form and not before.noun)  # "add falling snow"
        if form.form == "ed":
            return after is None or not after.noun
        if self.finite_next(len(run)):
            return False
        if form.form == "base" and (self.caused or self.aux in ("modal", "do")):
            return after is None or not after.noun
        waiting = [phrase for phrase in self.pending if not phrase.object]
        plural = waiting[-1].plural if self.prep and waiting else before.plural or bool(waiting and self.joiner == "and")
        agrees = plural != (form.form == "s")
        if not word.noun:
            return True
        if not determiners and word.noun == before.noun and not following.is_(*ADVERBS, "way"):
            return False
        if self.prep and not subject and not self.outer:
            return False
        return agrees or form.form == "base" and not determiners and after is None and not self.prep

    def finite_next(self, ahead: int) -> bool:
        """Whether a plain verb comes next, with or without an adverb before it: what stands before it is a noun."""
        while self.word(ahead).is_("strength", "tempo") or self.word(ahead).text.endswith("ly"):
            ahead += 1
        word = self.word(ahead)
        if word.is_("like"):
            return False
        return (
            word.is_("be", "do")
            or word.is_("modal")
            and word.text != "to"
            or bool(word.form and not word.noun and word.form.form in ("s", "base"))
        )

    def _verb_ahead(self, ahead: int) -> bool:
        """Whether a plain verb comes before the clause ends."""
        for word in self.words[self.at + ahead :]:
            if word.is_("mark", "and", "break"):
                return False
            if word.is_("be", "do", "modal") or word.form and not word.noun:
                return True
        return False

    def add_phrase(self, phrase: Phrase) -> None:
        """Take in a noun phrase: a place, an object or what a verb will be said of."""
        phrase.only, self.only = self.only, False
        phrase.no, self.no = phrase.no or self.no, False
        self.last_phrase = phrase
        if self.prep:
            prep, self.prep = self.prep, ""
            if self.after_prep(prep, phrase):
                return
        phrase.joiner = phrase.joiner or self.joiner
        phrase.excepted = self.excepting
        phrase.object = self.object_open and phrase.joiner != "and"
        self.joiner = ""
        self.pending.append(phrase)
        self.mentioned.append(phrase)

    def after_prep(self, prep: str, phrase: Phrase) -> bool:
        """Whether a phrase after a preposition is a place or the like, not what a verb will be said of."""
        waiting = self.pending[-1] if self.pending and not self.pending[-1].object else None
        if waiting and (waiting.nominal and waiting.of is None and prep in OF_MOTION or waiting.noun == "wind"):
            if phrase.noun in AGENTS:
                return True
            waiting.of = phrase
            self.mentioned.append(phrase)
            return True
        if not waiting and self.now and self.now[0].thing.noun in AGENTS and prep != "like":
            self.give_agents(phrase)
            self.mentioned.append(phrase)
            return True
        if phrase.noun in AGENTS:
            if phrase.manner:
                self.add_manner(phrase.manner)
            return True
        if prep == "with":
            phrase.joiner = "with"
            return False
        nominals = [event for event in self.now if event.thing.nominal and event.thing.nominal != "move"]
        if not waiting and nominals and prep in ("over", "across", "on", "through", "along") and not nominals[0].moved:
            if meanings().get(nominals[0].verb) in ("go", "travel", "spread", "flow") and nominals[0].thing.definite in (
                "",
                "a",
                "an",
            ):
                for event in nominals:
                    phrase.manner |= event.thing.manner
                    event.verb, event.thing, event.moved = event.thing.nominal, phrase, True
                self.mentioned.append(phrase)
                return True
        if waiting and prep == "of" and not waiting.noun:
            waiting.noun = phrase.noun
        self.add_place([prep, phrase.head, *phrase.which])
        phrase.joiner = "at"
        self.mentioned.insert(max(len(self.mentioned) - 1, 0), phrase)
        self.placed = [phrase]
        if phrase.attribute:
            self.loose.append(phrase)
        return True

    def add_place(self, words: list[str]) -> None:
        """Add words to what says where the thing at hand is."""
        self.prep = ""
        parts = [words[0].replace(" ", "_"), *(p for p in words[0].split() if p not in SMALL), *words[1:]]
        parts = [part for part in dict.fromkeys(parts) if part not in SMALL]
        targets = self.pending[-1:] or [event.thing for event in self.now]
        for phrase in targets:
            phrase.which += [part for part in parts if part not in phrase.which]
            phrase.placed = True

    def give_agents(self, phrase: Phrase) -> None:
        for event in self.now:
            if event.thing.noun in AGENTS:
                event.manner = event.thing.manner | event.manner
                event.thing, event.moved = phrase, True

    def add_manner(self, manner: dict[str, str]) -> None:
        """Adverbs go to the verb before them in their clause, or wait for the next."""
        waiting = [phrase for phrase in self.pending if not phrase.object]
        if self.now and not waiting and not self.aux and (not self.fresh or "way" in manner and not self.joiner):
            for event in self.now:
                merge(event.manner, manner)
        else:
            merge(self.held, manner)

    # verbs

    last_form = ""

    def verb(self, verb: str, form: str, guessed: bool = False) -> None:
        following = self.word()
        if f"{verb}-{following.text}" in meanings():
            verb = f"{verb}-{following.text}"
            self.at += 1
        if verb == "go" and following.describes and not following.is_("way"):
            verb = "become"
        self.prep_left()
        subjects = self.take_subjects(form, verb)
        self.last_form = form
        if self.again:
            self.again = False
        excepted = [phrase for phrase in subjects if phrase.excepted]
        self.add_events([phrase for phrase in subjects if not phrase.excepted] or self.subjects, verb, guessed)
        for phrase in excepted:
            self.exception(phrase)
        self.excepting = self.excepting and not excepted

    def prep_left(self) -> None:
        if self.prep and self.prep not in SMALL:
            self.add_place([self.prep])
        self.prep = ""

    def as_subjects(self) -> None:
        """What looked like an object has a verb of its own after it."""
        for phrase in self.pending:
            phrase.object = False

    def take_subjects(self, form: str, verb: str = "") -> list[Phrase]:
        """The phrases that the verb at hand is said of."""
        waiting = [phrase for phrase in self.pending if not (phrase.object and self.joiner)]
        participle = self.last_form == "ing" and self.now and not self.fresh and self.now[0].thing.plural == (form == "base")
        if (
            waiting
            and all(phrase.object for phrase in waiting)
            and participle
            and form in ("s", "base")
            and not self.now[0].thing.implied
        ):
            self.resolve_objects()  # "the woman holding the umbrella walks"
            return self.subjects
        if self.outer is not None and self.aux != "rel" and (self.now and self.now[0].thing in self.outer or self.aux == "be"):
            if form in ("s", "base", "ed"):
                self.outer[-1].which += [phrase.head for phrase in self.pending if phrase not in self.outer]
                self.pending = []
                waiting, self.outer, self.aux = self.outer, None, ""
        if self.joiner == "and" and form != "ing" and waiting and waiting[-1].joiner == "with" and self.now:
            waiting = []
        if self.pending and not waiting:
            self.resolve_objects()
        if not waiting:
            self.pending = []
            if form == "base" and self.fresh and not self.aux and not self.joiner == "and" and self.starts_phrase(self.word()):
                return [Phrase("it", "", start=self.at, implied=True)]
            return self.subjects or [Phrase("it", "", start=self.at, implied=True)]
        taken = [waiting[-1]]
        listed = waiting[-1].joiner == "and"
        for phrase, next_one in zip(reversed(waiting[:-1]), reversed(waiting[1:])):
            parallel = (
                bool(phrase.definite in ("", "a", "an")) == bool(taken[0].definite in ("", "a", "an")) and not phrase.placed
            )
            if next_one.joiner == "and" or next_one.excepted or listed and next_one.joiner == "," and parallel:
                taken.insert(0, phrase)
            else:
                break
        if taken[0].joiner == "with" and len(waiting) > 1:
            walks = meanings().get(verb) in ("go", "none") and sort_of(waiting[-2].noun) in ("live", "wild", "vehicle")
            if form in ("s", "base") or walks:  # "the boat with the red sail rocks", "people with umbrellas walking"
                taken = [waiting[-2]]
        if any(phrase.object for phrase in waiting):
            self.drop_commands()
        self.describe([phrase for phrase in waiting if phrase not in taken])
        self.pending = []
        return taken

    def drop_commands(self) -> None:
        """ "watch the leaves fall" says nothing of who watches."""
        gone = [event for event in self.now if event.thing.implied]
        self.events = [event for event in self.events if event not in gone]

    def add_events(self, subjects: list[Phrase], verb: str | None, guessed: bool = False) -> None:
        self.now = []
        for phrase in subjects:
            self.as_used(phrase)
            manner = dict(self.held)
            if phrase.placed and not self.aux:
                manner.pop("way", None)
            strength_of_motion = phrase.nominal or phrase.noun in WEATHER
            manner = manner | (phrase.manner if strength_of_motion else {})
            negative = self.negative or phrase.no or self.no
            event = Event(phrase, verb, phrase.start, self.at, negative, phrase.only or self.only, manner, guessed=guessed)
            self.now.append(event)
        self.events += self.now
        self.subjects = subjects
        self.held = {}
        self.aux = ""
        self.negative = self.no = self.only = False
        self.joiner = ""
        self.fresh = False
        self.object_open = True

    def as_used(self, phrase: Phrase) -> None:
        phrase.used = True

    def resolve_objects(self) -> None:
        """Phrases right after a verb: what it moves, or what it is merely about."""
        objects = [phrase for phrase in self.pending if phrase.object]
        self.pending = [phrase for phrase in self.pending if not phrase.object]
        if not objects or not self.now:
            return
        for event in [*self.now]:
            if event.verb in table_of_verbs()["emits"] and sort_of(objects[0].noun) in SENT_OUT:
                event.verb = "fall" if sort_of(objects[0].noun) in ("fall", "leaf") else "move"
                self.retarget(event, objects)
            elif event.thing.noun in AGENTS or event.verb in table_of_verbs()["transitive"] or event.verb == "animate":
                self.retarget(event, objects)
            elif objects[0].nominal and event.thing.implied:
                event.thing, event.verb = objects[0], objects[0].nominal
            elif objects[0].attribute:
                self.loose += objects
        self.objects_of = list(self.now)

    def retarget(self, event: Event, objects: list[Phrase]) -> None:
        if event.thing.noun in AGENTS:
            event.manner = event.thing.manner | event.manner
        subject = event.thing
        if objects[0].attribute and event.verb == "add":
            event.verb = objects[0].attribute
        event.thing, event.moved = objects[0], True
        event.only = event.only or objects[0].only
        for phrase in objects:
            phrase.used = True
            if phrase.definite == "poss" and not subject.implied and subject.noun != "agent":
                phrase.which += subject.which
        for phrase in objects[1:]:
            self.events.append(replace(event, thing=phrase, manner=event.manner))
            self.now.append(self.events[-1])

    objects_of: list[Event] = []

    # ends of clauses

    def pause(self, joiner: str) -> None:
        """A comma or "and": what waits may go on waiting."""
        self.prep_left()
        self.resolve_objects()
        self.ellipsis()
        if (
            self.pending
            and not self.word(1).is_("rel")
            and (
                self.negative
                or self.again
                or self.excepting
                or self.pending[-1].no
                or self.existential
                or self._alone(self.pending[-1])
            )
        ):
            excepting = self.excepting
            self.flush()
            self.begin_clause()
            self.excepting = excepting
        elif joiner != "and" and self.held and (self.pending or self.now):
            self.flush(hold=not self.pending)
        held = self.held
        negative, no, only = self.negative, self.no, self.only
        excepting = self.excepting and joiner == "and"
        if self.joiner == "," and joiner == "and":
            joiner = "and"
        aux = self.aux
        self.begin_clause()
        self.held = held
        self.excepting = excepting
        self.joiner = joiner
        if not self.pending and joiner == "and" and not self.now:
            self.negative, self.no, self.only, self.aux = negative, no, only, aux

    def _alone(self, phrase: Phrase) -> bool:
        return bool(phrase.nominal and (phrase.of or phrase.definite or phrase.manner) or phrase.noun in AGENTS and phrase.of)

    def ellipsis(self) -> None:
        """ "The clouds do", "the wheel does not": the verb before, or rest."""
        if self.aux not in ("do", "be", "modal") or not (self.pending or self.now):
            self.aux = "" if self.aux != "modal" else self.aux
            return
        said = next((event for event in reversed(self.events) if event.verb and event.thing.noun != "camera"), None)
        if self.negative and self.pending and self.aux == "be" and said and said.verb == "rest":
            self.negative = False
            self.add_events(self.take_subjects("s"), "move")
        elif self.negative and (self.pending or self.subjects):
            self.add_events(self.take_subjects("s"), "rest")
            self.now[-1].negative = False
        elif self.aux == "do" and said and (self.pending or self.again):
            self.add_events(self.take_subjects("s"), said.verb)
        self.aux = ""

    def flush(self, hold: bool = False) -> None:
        """Phrases that get no verb: what adverbs, "no", "too" or their own words say of them."""
        phrases_left, self.pending = self.pending, []
        held, self.held = self.held, {}
        said = next((event for event in reversed(self.events) if event.verb and event.verb != "rest"), None)
        for phrase in phrases_left:
            if phrase.excepted:
                self.exception(phrase)
            elif phrase.nominal:
                thing = phrase.of or self.implicit(phrase)
                noun_of_all = Phrase("everything", "whole", start=phrase.start)
                bare = phrase.of is None and phrase.noun == "motion"
                thing = noun_of_all if phrase.no and bare else thing
                merge(held, phrase.manner)
                self.say(thing, phrase.nominal, held, negative=phrase.no or self.negative, start=phrase.start)
            elif phrase.attribute and held:
                self.say(phrase, phrase.attribute, held, start=phrase.start)
            elif phrase.noun in WEATHER and phrase.manner and phrase.noun not in AGENTS:
                self.say(phrase, "move", held | phrase.manner, start=phrase.start)
            elif phrase.noun in AGENTS and phrase.of:
                self.say(phrase.of, "move", held | phrase.manner, start=phrase.start)
            elif phrase.no or self.negative and phrase is phrases_left[-1]:
                self.say(phrase, "rest", {}, start=phrase.start)
            elif self.again and said:
                self.say(phrase, said.verb, dict(said.manner), start=phrase.start)
            elif phrase is phrases_left[-1] and held.keys() & {"way", "toward"} and said and phrase.noun not in AGENTS:
                self.say(phrase, said.verb, held, start=phrase.start)
            elif phrase is phrases_left[-1] and held.keys() & {"strength", "tempo"}:
                self.say(phrase, "move", held, start=phrase.start)
            elif phrase.joiner == "and" and self.objects_of and self.objects_of[-1].moved and len(phrases_left) == 1:
                event = self.objects_of[-1]
                self.say(phrase, event.verb, dict(event.manner), negative=event.negative, start=phrase.start)
            elif phrase.only:
                self.say(phrase, "move", {}, start=phrase.start)
            else:
                self.describe([phrase])
        if not phrases_left and held:
            if self.now:
                for event in self.now:
                    merge(event.manner, held)
            elif self.events and self.events[-1].verb is None and held.keys() & {"strength", "tempo"}:
                self.events[-1].verb = "move"
                merge(self.events[-1].manner, held)
            elif self.events:
                merge(self.events[-1].manner, held)
            elif hold:
                self.held = held
            else:
                self.say(Phrase("it", "", implied=True), "move", held)

    def implicit(self, phrase: Phrase) -> Phrase:
        if self.now and self.now[-1].thing.noun == "camera":
            return self.now[-1].thing
        return Phrase("it", "", start=phrase.start, implied=True)

    def exception(self, phrase: Phrase) -> None:
        before = next((event for event in reversed(self.events) if event.verb and not event.thing.excepted), None)
        if before is not None and before.thing.no and before.thing.noun == "whole":
            before.thing, before.negative, before.only, before.verb = phrase, False, True, before.verb
            phrase.used = True
        elif before is not None and (before.negative or meanings().get(before.verb) == "rest"):
            self.say(phrase, "move", {}, start=phrase.start)
            self.now[-1].guessed = True
        else:
            self.say(phrase, "rest", {}, start=phrase.start)

    def say(self, phrase: Phrase, verb: str | None, manner: dict[str, str], negative: bool = False, start: int = 0) -> None:
        event = Event(phrase, verb, start or phrase.start, self.at, negative, phrase.only, dict(manner))
        phrase.used = verb is not None
        self.events.append(event)
        self.now = [event]
        self.subjects = [phrase]

    def describe(self, left: list[Phrase]) -> None:
        for phrase in left:
            if not phrase.used:
                self.events.append(Event(phrase, phrase.attribute or None, phrase.start, self.at))

    def end_sentence(self, keep: bool = False) -> None:
        """A full stop or a word like "while": nothing waits any longer."""
        self.prep_left()
        self.resolve_objects()
        self.ellipsis()
        self.flush(hold=True)
        held = self.held
        self.objects_of = []
        now = self.now
        self.begin_sentence()
        self.held = held
        self.now = now

    placed: list[Phrase] = []

    def finish(self) -> list[Event]:
        for phrase in self.loose:
            if phrase.attribute and not phrase.used:
                self.events.append(Event(phrase, phrase.attribute, phrase.start, phrase.start))
        return sorted(self.events, key=lambda event: event.start)


def is_many(word: Word) -> bool:
    return word.is_("many") or word.plural and "many" in phrases().get((word.text.removesuffix("s"),), {})


def sort_of(noun: str) -> str:
    return natures()[noun or "object"].sort


def merge(manner: dict[str, str], more: dict[str, str]) -> None:
    """Add adverbs; two ways become one between them, of other doubles the first counts."""
    for name, value in more.items():
        if name == "way" and name in manner and manner[name] != value:
            manner[name] = DIAGONALS.get(frozenset((manner[name], value)), value)
        else:
            manner.setdefault(name, value)


DIAGONALS = {
    frozenset(("90", "0")): "45",
    frozenset(("90", "180")): "135",
    frozenset(("270", "180")): "225",
    frozenset(("270", "0")): "315",
}


def adjective_manner(word: Word) -> dict[str, str]:
    """What an adjective says of a motion: "slow ripples", "a light breeze"."""
    names = {"strong-adjective": "strength", "quick-adjective": "tempo"}
    return {names[tag]: word.tags[tag] for tag in names if tag in word.tags}


def _is(*tags: str):
    return lambda parser, word, following: word.is_(*tags)


# What a word is taken for: the first row whose test it passes
STEPS = (
    ("mark", _is("mark")),
    ("break", lambda parser, word, following: word.text == "as" and parser.as_while(following)),
    ("like", _is("like")),
    ("except", _is("except")),
    ("onlybut", _is("onlybut")),
    ("camera", lambda parser, word, following: any(tag.startswith("camera-") for tag in word.tags)),
    ("strong", lambda parser, word, following: word.is_("strong-adjective", "quick-adjective") and parser.before_camera()),
    ("else", _is("else")),
    ("nothing", _is("nothing", "nobody")),
    ("no", _is("no")),
    ("not", _is("not")),
    ("break", _is("break")),
    ("and", _is("and")),
    ("only", _is("only", "just")),
    (
        "animate",
        lambda parser, word, following: word.is_("animate") or word.text in ("start", "begin") and following.is_("det", "poss"),
    ),
    ("again", lambda parser, word, following: word.is_("again") and (parser.pending or not word.is_("ignore"))),
    ("ignore", _is("ignore")),
    ("rel", _is("rel")),
    ("run", lambda parser, word, following: parser.run_here(word, following)),
    ("pronoun", _is("it", "they", "person", "one", "everything")),
    (
        "be",
        lambda parser, word, following: (
            word.is_("be", "do")
            or word.text in ("get", "got")
            and following.form
            and following.form.form == "ed"
            or word.is_("modal")
            and parser.modal_here(word, following)
        ),
    ),
    ("still", _is("still")),
    ("cause", _is("cause")),
    ("way", _is("way")),
    ("place", _is("place")),
    (
        "adverb",
        lambda parser, word, following: word.is_(*ADVERBS) and not (word.is_("prep") and parser.starts_phrase(following)),
    ),
    ("of", _is("of")),
    ("prep", _is("prep")),
    ("run", lambda parser, word, following: word.open or word.is_("det", "poss")),
)


def _before_camera(self: _Parser) -> bool:
    ahead = 1
    while self.word(ahead).is_("strong-adjective", "quick-adjective", "adjective"):
        ahead += 1
    return self.word(ahead).is_(*CAMERA_TAGS)


def _modal_here(self: _Parser, word: Word, following: Word) -> bool:
    """Whether "to" and the like stand before a verb; "keep" and "get" before a thing cause something."""
    if word.text == "to":
        return bool(following.form and following.form.form == "base") or following.is_("be", "cause", "still")
    return not (word.is_("cause") and self.starts_phrase(following) and not (following.form and not following.noun))


def _run_here(self: _Parser, word: Word, following: Word) -> bool:
    """Whether a word that is an adverb elsewhere begins a noun phrase: "left boat", "slow clouds"."""
    if word.is_("poss", "det"):
        return not (word.text == "her" and not following.open and not following.is_("way", "place", "quick-adjective"))
    if " " in word.text or not word.is_("way", "place", "quick-adjective", "strong-adjective", "still"):
        return False
    if word.open:
        return True
    begins = self.fresh and not self.pending
    return begins and following.open and bool(following.noun) and not (following.form and following.form.form == "base")


def _as_while(self: _Parser, following: Word) -> bool:
    """Whether "as" means "while": a verb follows in its clause."""
    if not self.starts_phrase(following):
        return False
    rest = self.words[self.at + 1 :]
    end = next((place for place, word in enumerate(rest) if word.is_("mark", "and", "break")), len(rest))
    return any(word.form and place and not rest[place - 1].is_("det", "poss", "of") for place, word in enumerate(rest[:end]))


_Parser.as_while = _as_while
_Parser.before_camera = _before_camera
_Parser.modal_here = _modal_here
_Parser.run_here = _run_here
