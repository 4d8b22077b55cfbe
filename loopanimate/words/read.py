"""What kind of motion a sentence reads like, by the bundled sentence encoder and what its verbs mean."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from loopanimate.network.encoders import encode_text
from loopanimate.presets import ASSETS
from loopanimate.words.intent import is_said
from loopanimate.words.vocabulary import (
    AIMED,
    ALIKE,
    DIRECTED,
    DIRECTIONS,
    NATURES,
    STREAMS,
    VERBS,
    adverbs_of,
    alike_forms,
    any_of,
    clause,
    known_forms,
    similes,
    spoken_forms,
    subject_of,
)
from loopanimate.words.wordnet import FARTHER, RARER, definitions, kin, predicates, verb_in

FITTED = ASSETS / "motion" / "reader.safetensors"  # `python -m train words` writes it
SPOKEN_OF = ("it", "the clouds")
RIDGE = 0.002  # over the weight of each example; it and the next two are the best in leaving an eighth of the phrases out
NEARNESS = 0.5  # of the kernel, over squared distances of unit vectors
DEFINED = 0.55  # weight of what a verb's definitions say, beside the sentence
COMMON = ("sway", "shift")  # kinds whose verbs are words of many meanings: go, head, sail, wave
SPOKEN = 0.7  # what the score of one of them gains where the prompt has a verb of it: few prompts that are such motions fall
LIKENED = 0.2  # instead, where the verb is likened to something: "waves like cloth"
SIMILE = 0.5  # what the score of a kind gains where an unknown verb is likened to what its motions are: "like a pendulum"
SURELY = 0.45  # the least score at which a thing that is not of `STREAMS` is made a stream of
NATURE = 0.25  # what the score of a kind gains where the prompt speaks of a thing of `NATURES`
FLOWS = 0.2  # what the score of streams gains where the prompt speaks of a thing of `STREAMS`


def embed(pipe, sentences: list[str]) -> torch.Tensor:
    """Unit vectors (B, width): the mean of the token states, as all-MiniLM is meant to be read."""
    # those of like length together: little padding
    order = torch.tensor(sorted(range(len(sentences)), key=lambda place: len(sentences[place])))
    parts = [
        encode_text(pipe.tokenizer, pipe.text_encoder, [sentences[place] for place in places]).float().sum(1)  # padding is zero
        for places in order.split(64)
    ]
    embeddings = torch.cat(parts)[order.argsort()]
    return torch.nn.functional.normalize(embeddings, dim=-1)


def _features(pipe, sentences: list[str], verbs: list[str | None]) -> torch.Tensor:
    """What kinds are read from, (B, 2 x width + kinds): embeddings of sentences and of what their verbs mean, and the kinds
    of their verbs' kin."""
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
    """A verb → the kinds that it is a word of."""
    said = [(kind, verb) for kind in VERBS for verb in (*VERBS[kind], *ALIKE[kind])]
    kinds: dict[str, set[str]] = {}
    for kind, verb in said + [("stream", verb) for _, own in STREAMS.values() for verb in own]:
        kinds.setdefault(verb, set()).add(kind)
    return kinds


@cache
def _kin_kinds(verb: str | None) -> list[float]:
    """How much of a verb's kin, which it is none of itself, is of each kind, (kinds,) in [0, 1)."""
    votes = dict.fromkeys(VERBS, 0.0)
    for word, weight in kin(verb).items() if verb else ():
        kinds = _kinds_of().get(word, ())
        for kind in kinds:
            votes[kind] += weight / len(kinds)
    total = 1 + sum(votes.values())
    return [votes[kind] / total for kind in VERBS]


def read(pipe, sentence: str) -> torch.Tensor:
    """`_features` (F,) of what a sentence says that things do: of its verbs, or of all of it where it has none."""
    said = predicates(sentence)
    sentences = [clause("it", predicate) for predicate in said] or [sentence]
    return _features(pipe, sentences, [verb_in(predicate) for predicate in said] or [None]).mean(0)


@dataclass(frozen=True)
class Reader:
    """What the kind of a sentence is read with."""

    kinds: tuple[str, ...]
    examples: torch.Tensor  # (B, 2 x width + kinds), `_features` of words that are known
    weights: torch.Tensor  # (B, kinds)
    phrases: list[str]  # of streams that the model knows
    embeddings: torch.Tensor  # theirs, (phrases, width)

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """How much each kind is meant, about 0 to 1, (..., kinds), by `_features` (..., 2 x width + kinds)."""
        return _nearness(features, self.examples) @ self.weights


def _nearness(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return torch.exp(-NEARNESS * (some.unsqueeze(-2) - others).square().sum(-1))


def _examples() -> dict[str, list[tuple[str, str]]]:
    """Of each kind, sentences with their verbs; of one subject and of many, as an embedding is of the subject, too."""
    examples = {
        kind: [(clause(subject, verb), verb) for verb in (*VERBS[kind], *ALIKE[kind]) for subject in SPOKEN_OF]
        for kind in VERBS
    }
    examples["stream"] += [(clause(subject, verb), verb) for subject, (_, own) in STREAMS.items() for verb in (*own, "flow")]
    return examples


def fit(pipe) -> Reader:
    """Kernel ridge regression from the words of every kind, each of equal weight: seconds, most of them for embeddings."""
    features, targets, doubt = [], [], []
    for place, examples in enumerate(_examples().values()):
        sentences, verbs = zip(*examples)
        features.append(_features(pipe, sentences, [verb_in(verb) for verb in verbs]))
        targets += [place] * len(examples)
        doubt += [RIDGE * len(examples)] * len(examples)
    known = torch.cat(features).half().float()  # as they are stored
    kernel = torch.cat([_nearness(part, known) for part in known.split(64)])
    kinds = torch.nn.functional.one_hot(torch.tensor(targets), len(VERBS)).to(known)
    weights = torch.linalg.solve(kernel + torch.diag(torch.tensor(doubt).to(known)), kinds)
    phrases = _phrases()
    return Reader(tuple(VERBS), known, weights, phrases, embed(pipe, phrases))


def _phrases() -> list[str]:
    phrases = [clause("it", verb) for verb in VERBS["stream"]]
    return phrases + [clause(subject, verb) for subject, (_, own) in STREAMS.items() for verb in (*own, "flow")]


def _origin(pipe) -> str:
    """What a fit depends on, as a digest: the words and the text encoder."""
    digest = hashlib.sha256(json.dumps([_examples(), _phrases(), RIDGE, NEARNESS, DEFINED, RARER, FARTHER]).encode())
    for weight in pipe.text_encoder.state_dict().values():
        digest.update(weight.detach().half().cpu().contiguous().numpy())
    return digest.hexdigest()


def save(pipe, path: Path = FITTED) -> None:
    """Fits anew and writes it where `reader_of` looks."""
    reader = fit(pipe)
    tensors = {"examples": reader.examples.half(), "weights": reader.weights, "embeddings": reader.embeddings}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"origin": _origin(pipe)})


@lru_cache(maxsize=1)
def reader_of(pipe) -> Reader:
    """The bundled fit where it is of these words and this text encoder, or a new one."""
    with safe_open(FITTED, "pt") as file:
        if file.metadata()["origin"] == _origin(pipe):
            examples, weights, embeddings = (
                file.get_tensor(name).float().to(pipe.text_encoder.device) for name in ("examples", "weights", "embeddings")
            )
            return Reader(tuple(VERBS), examples, weights, _phrases(), embeddings)
    return fit(pipe)


def interpret(prompt: str, pipe) -> tuple[str, str | None]:
    """What the motion model is asked for a prompt, and a sentence about it where that is not the prompt itself.

    A prompt that holds no motion word of its vocabulary is taken for the kind of motion that it reads like, by the bundled
    sentence encoder (`pipe`'s): for the kind's own verb, or the stream nearest in meaning, with the prompt's own layer,
    direction, strength and tempo. So is one whose only known word plainly means another motion there: "it goes round".
    """
    spoken, alike = spoken_forms(), alike_forms()
    matches = [match for match in any_of(tuple(known_forms())).finditer(prompt) if is_said(match, prompt)]
    found = [match.group().lower() for match in matches]
    known = [spoken[words] for words in found if words in spoken]
    if len(known) > 1 or any(kind not in COMMON for kind in known):
        return prompt, None
    adverbs = adverbs_of(prompt)
    reader = reader_of(pipe)
    bare = re.sub(r"\b(" + "|".join(map(re.escape, adverbs)) + r")\b", " ", prompt) if adverbs else prompt
    scores = reader.scores(read(pipe, bare))
    nearly = [alike[words] for words in found if words not in spoken][:1]
    where = [angle for angle, words in DIRECTIONS.items() if any(word.lower() in words for word in adverbs)]
    allowed = reader.kinds if not where else DIRECTED if where[0] in (0, 180) else AIMED
    things = any_of(tuple(thing.removeprefix("the ") for thing in STREAMS)).findall(prompt)
    unlikely = not things and scores[reader.kinds.index("stream")] < SURELY
    if unlikely or where and reader.kinds[int(scores.argmax())] not in AIMED:  # it does not go anywhere by itself
        allowed = [kind for kind in allowed if kind != "stream"]
    barred = [kind not in (nearly or (*allowed, *known)) for kind in reader.kinds]
    scores = scores.masked_fill(torch.tensor(barred, device=scores.device), -torch.inf)
    if things:  # smoke that rises by nature streams whatever is said; water may do as well
        heading, _ = STREAMS[f"the {things[0].lower()}"]
        scores[reader.kinds.index("stream")] += FLOWS if heading is None else 1.0
    for nature, named in NATURES.items():
        if any_of(tuple(form for thing in named for form in (thing, f"{thing}s"))).search(prompt):
            scores[reader.kinds.index(nature)] += NATURE
    likened = any(re.match(r"\s+(like|as)\b", prompt[match.end() :], re.IGNORECASE) for match in matches)
    for kind in known:
        scores[reader.kinds.index(kind)] += LIKENED if likened else SPOKEN
    for simile in [] if known else any_of(tuple(similes())).findall(prompt)[:1]:
        scores[reader.kinds.index(similes()[simile.lower()])] += SIMILE
    kind = reader.kinds[int(scores.argmax())]
    if kind in known:
        return prompt, None
    subject = subject_of(prompt)
    motion = clause(subject, VERBS[kind][0])
    if kind == "stream" and subject == "it":  # fire rises and snow falls
        motion = reader.phrases[int((reader.embeddings @ embed(pipe, [bare])[0]).argmax())]
    taken = " ".join([motion, *adverbs])
    return taken, f'Taken for "{taken}", the nearest motion that the model knows.'
