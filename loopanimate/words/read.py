"""Reading a prompt: the sentence that the motion network is asked for, and what words ask of each layer.

Verbs that the network was trained on are taken as they are. Any other sentence is taken for the kind of motion that it
reads like, by the bundled sentence encoder and by what its verb means in WordNet.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from loopanimate.network.encoders import encode_text
from loopanimate.presets import ASSETS
from loopanimate.words.intent import Intent, form_intents
from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.parse import HEADINGS, Clause, alike_forms, clauses, is_rigid, join_adverbs, similes, spoken_forms
from loopanimate.words.vocabulary import NATURES, STREAMS, any_of, any_thing, say
from loopanimate.words.wordnet import FARTHER, RARER, definitions, kin, predicates, third_person, verb_in

FITTED = ASSETS / "motion" / "reader.safetensors"  # written by `python -m train words`
SUBJECTS = ("it", "the clouds")  # of the examples: an embedding depends on the subject, too
# The next three read the most phrases right when an eighth of them is left out of the fit.
RIDGE = 0.002  # per example of the kind
NEARNESS = 0.5  # of the kernel, per squared distance of features
DEFINED = 0.55  # weight of a verb's definitions beside its sentence
SURELY = 0.45  # least score at which a thing that is no stream in the vocabulary is read as one
# Scores of kinds are about 0 to 1. What the words of a prompt add to the score of a kind was set by hand, on prompts that
# were read wrong; tests/words/sentences.tsv measures all of it together.
BONUSES = {
    "spoken": 0.7,  # a verb of a vague kind is in the prompt: few prompts with one mean another kind
    "likened": 0.2,  # the same, but it is likened to something: "waves like cloth"
    "simile": 0.5,  # an unknown verb is likened to what is typical of a kind: "like a pendulum"
    "nature": 0.25,  # a thing is in the prompt that moves so by nature
    "flows": 0.2,  # a thing is in the prompt that can flow anywhere, for the kind of streams
    "rises": 1.0,  # the same, of what has a direction by nature: smoke rises, whatever its verb
}


@dataclass(frozen=True)
class Reading:
    """What a prompt asks for."""

    sentence: str  # for the network: the prompt, or the nearest sentence of its vocabulary
    note: str | None  # a sentence that says so to the person, where it is not the prompt
    layers: tuple[Intent, Intent]  # of the salient object and of the background


def read(prompt: str, pipe) -> Reading:
    """Read a prompt with the text encoder of the motion preset's pipeline.

    A prompt with a verb that the network was trained on stays as it is, unless the verb plainly means something else there
    ("it goes round"). Any other becomes the verb of the kind that it reads like, or the nearest stream, with the prompt's
    own layer, direction, strength and tempo. Whether the object is rigid is judged by the prompt, which names it; all else
    by the sentence.
    """
    parsed = clauses(prompt)
    sentence = _reword(prompt, parsed, pipe)
    if sentence is None:
        return Reading(prompt, None, form_intents(parsed, is_rigid(prompt)))
    note = f'Taken for "{sentence}", the nearest motion that the model knows.'
    return Reading(sentence, note, form_intents(clauses(sentence), is_rigid(prompt)))


def guess(pipe, predicate: str) -> dict[str, float]:
    """How much a predicate ("wibbles about") means each kind of SPOKEN, about 0 to 1."""
    scores = reader_of(pipe).scores(sentence_features(pipe, f"it {predicate}"))
    return dict(zip(SPOKEN, scores.tolist(), strict=True))


def _reword(prompt: str, parsed: list[Clause], pipe) -> str | None:
    """The sentence that a prompt is taken for; None: the network knows the prompt's own words."""
    spoken, alike = spoken_forms(), alike_forms()
    phrases = [phrase for clause in parsed for phrase in clause.phrases]
    known = [spoken[phrase] for phrase in phrases if phrase in spoken]
    if len(known) > 1 or any(kind is None or not KINDS[kind].vague for kind in known):
        return None
    nearly = [alike[phrase] for phrase in phrases if phrase not in spoken][:1]
    adverbs = join_adverbs(parsed)
    bare = any_of(tuple(adverbs.values())).sub(" ", prompt) if adverbs else prompt
    reader = reader_of(pipe)
    scores = dict(zip(SPOKEN, reader.scores(sentence_features(pipe, bare)).tolist(), strict=True))
    heading = HEADINGS.get(adverbs.get("direction", "").lower())
    possible = nearly or {*known, *_allow(scores, _find_stream(prompt), heading)}
    scores = {kind: score for kind, score in scores.items() if kind in possible}
    for kind, bonus in _weigh_words(prompt, parsed, known):
        if kind in scores:
            scores[kind] += bonus
    kind = max(scores, key=scores.get)
    if kind in known:
        return None
    subject = parsed[0].subject if parsed else "it"
    motion = say(subject, KINDS[kind].verbs[0])
    if kind == "stream" and subject == "it":  # "the snow falls" says where to as well
        motion = reader.phrases[int((reader.embeddings @ embed(pipe, [bare])[0]).argmax())]
    return " ".join([motion, *adverbs.values()])


def _find_stream(prompt: str) -> str | None:
    """The first thing of a prompt that can flow, a name of STREAMS."""
    thing = any_of(tuple(thing.removeprefix("the ") for thing in STREAMS)).search(prompt)
    return thing and f"the {thing.group().lower()}"


def _allow(scores: dict[str, float], flowing: str | None, heading: float | None) -> set[str]:
    """The kinds that can go where a prompt says, in degrees; streams only of what can flow or plainly does."""
    best = KINDS[max(scores, key=scores.get)]
    unlikely = flowing is None and scores["stream"] < SURELY or heading is not None and best.directed != "any"
    directed = ("any", "side", "none") if heading is None else ("any", "side") if heading in (0, 180) else ("any",)
    return {name for name in SPOKEN if KINDS[name].directed in directed and not (unlikely and KINDS[name].flows)}


def _weigh_words(prompt: str, parsed: list[Clause], known: list[str]) -> Iterator[tuple[str, float]]:
    """What the words of a prompt add to the scores of kinds; `known` has the kind of its trained verb."""
    flowing = _find_stream(prompt)
    if flowing is not None:
        yield "stream", BONUSES["flows" if STREAMS[flowing].heading is None else "rises"]
    for kind, things in NATURES.items():
        if any_thing(things).search(prompt):
            yield kind, BONUSES["nature"]
    for kind in known:
        yield kind, BONUSES["likened" if any(clause.likened for clause in parsed) else "spoken"]
    simile = None if known else any_of(tuple(similes())).search(prompt)
    if simile:
        yield similes()[simile.group().lower()], BONUSES["simile"]


def embed(pipe, sentences: list[str]) -> torch.Tensor:
    """Unit vectors (B, width): the mean of the token states, as all-MiniLM is meant to be read."""
    # sentences of similar length together need little padding
    order = torch.tensor(sorted(range(len(sentences)), key=lambda place: len(sentences[place])))
    parts = [
        encode_text(pipe.tokenizer, pipe.text_encoder, [sentences[place] for place in places]).float().sum(1)  # padding is zero
        for places in order.split(64)
    ]
    embeddings = torch.cat(parts)[order.argsort()]
    return torch.nn.functional.normalize(embeddings, dim=-1)


def sentence_features(pipe, sentence: str) -> torch.Tensor:
    """Features (F,) of what a sentence says that things do: the mean over its verbs, or of all of it where it has none."""
    said = predicates(sentence)
    sentences = [" ".join(["it", third_person(verb), *rest]) for verb, *rest in map(str.split, said)] or [sentence]
    return _features(pipe, sentences, [verb_in(predicate) for predicate in said] or [None]).mean(0)


def _features(pipe, sentences: list[str], verbs: list[str | None]) -> torch.Tensor:
    """Features (B, F = 2 x width + kinds): embeddings of sentences and of their verbs' definitions, and the kinds of the
    verbs' kin."""
    said = embed(pipe, sentences)
    texts = [definitions(verb) if verb else () for verb in verbs]
    places = {text: place for place, text in enumerate(dict.fromkeys(text for each in texts for text in each))}
    embedded = embed(pipe, list(places)) if places else said
    meant = [embedded[[places[text] for text in each]].mean(0) if each else torch.zeros_like(said[0]) for each in texts]
    meant = torch.nn.functional.normalize(torch.stack(meant), dim=-1)
    related = torch.tensor([_kin_kinds(verb) for verb in verbs]).to(said)
    return torch.cat([said, DEFINED * meant, related], dim=1)


@cache
def _kinds_of() -> dict[str, set[str]]:
    """A verb phrase → the kinds that it says."""
    kinds: dict[str, set[str]] = {}
    said = [(kind, (*KINDS[kind].verbs, *KINDS[kind].alike)) for kind in SPOKEN]
    for kind, verbs in said + [("stream", stream.verbs) for stream in STREAMS.values()]:
        for verb in verbs:
            kinds.setdefault(verb.base, set()).add(kind)
    return kinds


@cache
def _kin_kinds(verb: str | None) -> list[float]:
    """How much of a verb's kin, without the verb itself, is of each kind, (kinds,) in [0, 1)."""
    votes = dict.fromkeys(SPOKEN, 0.0)
    for word, weight in kin(verb).items() if verb else ():
        kinds = _kinds_of().get(word, ())
        for kind in kinds:
            votes[kind] += weight / len(kinds)
    total = 1 + sum(votes.values())
    return [vote / total for vote in votes.values()]


@dataclass(frozen=True)
class Reader:
    """Kernel ridge regression from features to SPOKEN, and the streams that the network knows."""

    examples: torch.Tensor  # (B, F), features of known phrases
    weights: torch.Tensor  # (B, kinds)
    phrases: list[str]  # of streams
    embeddings: torch.Tensor  # theirs, (phrases, width)

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """How much each kind is meant, about 0 to 1, (..., kinds), by features (..., F)."""
        return _kernel(features, self.examples) @ self.weights


def _kernel(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return torch.exp(-NEARNESS * (some.unsqueeze(-2) - others).square().sum(-1))


def _examples() -> dict[str, list[tuple[str, str]]]:
    """Sentences with their verbs, by kind."""
    examples = {
        kind: [(say(subject, verb), verb.base) for verb in (*KINDS[kind].verbs, *KINDS[kind].alike) for subject in SUBJECTS]
        for kind in SPOKEN
    }
    examples["stream"] += _streams()
    return examples


def _streams() -> list[tuple[str, str]]:
    """Sentences in which the things that can flow do so, with their verbs."""
    flow = KINDS["stream"].verbs[0]
    return [(say(thing, verb), verb.base) for thing, stream in STREAMS.items() for verb in (*stream.verbs, flow)]


def _phrases() -> list[str]:
    return [say("it", verb) for verb in KINDS["stream"].verbs] + [sentence for sentence, _ in _streams()]


def fit(pipe) -> Reader:
    """Fit a reader to the vocabulary, every kind of equal weight: seconds, most of them for embeddings."""
    features, targets, doubt = [], [], []
    for place, examples in enumerate(_examples().values()):
        sentences, verbs = zip(*examples)
        features.append(_features(pipe, sentences, [verb_in(verb) for verb in verbs]))
        targets += [place] * len(examples)
        doubt += [RIDGE * len(examples)] * len(examples)
    known = torch.cat(features).half().float()  # as the file stores them
    kernel = torch.cat([_kernel(part, known) for part in known.split(64)])
    kinds = torch.nn.functional.one_hot(torch.tensor(targets), len(SPOKEN)).to(known)
    weights = torch.linalg.solve(kernel + torch.diag(torch.tensor(doubt).to(known)), kinds)
    phrases = _phrases()
    return Reader(known, weights, phrases, embed(pipe, phrases))


def _origin(pipe) -> str:
    """A digest of all that a fit depends on: vocabulary, numbers, text encoder."""
    digest = hashlib.sha256(json.dumps([_examples(), _phrases(), RIDGE, NEARNESS, DEFINED, RARER, FARTHER]).encode())
    for weight in pipe.text_encoder.state_dict().values():
        digest.update(weight.detach().half().cpu().contiguous().numpy())
    return digest.hexdigest()


def save(pipe, path: str | Path) -> None:
    """Fit anew and write the reader to a file, whole or not at all; it may then take the place of FITTED."""
    reader = fit(pipe)
    tensors = {"examples": reader.examples.half(), "weights": reader.weights, "embeddings": reader.embeddings}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    partial = Path(f"{path}.partial")
    save_file(tensors, partial, metadata={"origin": _origin(pipe)})
    partial.replace(path)


def load(pipe) -> Reader | None:
    """The bundled reader; None if it was fitted to another vocabulary or text encoder."""
    with safe_open(FITTED, "pt") as file:
        if file.metadata()["origin"] != _origin(pipe):
            return None
        names = ("examples", "weights", "embeddings")
        tensors = {name: file.get_tensor(name).float().to(pipe.text_encoder.device) for name in names}
    return Reader(**tensors, phrases=_phrases())


def check_fit(pipe) -> None:
    """Fit anew and compare with the bundled reader; raises ValueError where it was fitted to something else."""
    bundled, anew = load(pipe), fit(pipe)
    names = {"examples": 1e-3, "weights": 1e-2, "embeddings": 1e-4}  # largest differences that rounding explains
    if bundled is None or not all(
        torch.allclose(getattr(bundled, name), getattr(anew, name), atol=atol) for name, atol in names.items()
    ):
        raise ValueError(f"expected a reader of this vocabulary and text encoder in {FITTED}: fit it anew")


@lru_cache(maxsize=1)
def reader_of(pipe) -> Reader:
    """The bundled reader where it fits, or else a new fit."""
    return load(pipe) or fit(pipe)
