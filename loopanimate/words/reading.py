"""Temporary bridge to the reading."""

from dataclasses import dataclass

from loopanimate.words.intent import Intent, courses, manner, ways
from loopanimate.words.read import interpret


@dataclass(frozen=True)
class Reading:
    sentence: str
    note: str | None
    layers: tuple[Intent, Intent]


def read(prompt: str, pipe) -> Reading:
    sentence, note = interpret(prompt, pipe)
    how = manner(prompt, sentence)
    layers = []
    for layer, (course, way) in enumerate(zip(courses(sentence), ways(sentence))):
        front = layer == 0
        layers.append(
            Intent(
                frozenset(),
                course.heading,
                way,
                course.speed,
                rigid=front and how.rigid,
                hinge=how.hinge if front else None,
                hold=front and how.held,
                waving=front and how.waving,
                in_place=front and how.in_place,
                hops=how.hops if front else None,
                rests=how.rests[layer],
            )
        )
    return Reading(sentence, note, tuple(layers))
