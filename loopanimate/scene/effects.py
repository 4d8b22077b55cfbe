"""Where effects that words ask for are in a picture, and what is said of them."""

import re
from dataclasses import replace
from itertools import chain, takewhile

import cv2
import numpy as np

from loopanimate.effects.build import PLACE_SIDE, WHOLE, Placed, build, shrink_place
from loopanimate.effects.data import Effect
from loopanimate.effects.names import Colour, colours, look_of, looks, read_colours
from loopanimate.effects.weather import LOOKS
from loopanimate.options import IF_NOT_THERE, IF_WRONG, SHOW_IT
from loopanimate.scene.finder import Finder, Region, drop_specks, name_of
from loopanimate.scene.places import place_of
from loopanimate.words.clauses import Clause
from loopanimate.words.events import SPARED
from loopanimate.words.lexicon import look_up, nouns
from loopanimate.words.vocabulary import PACE

IN_THE_AIR = ("snow", "rain", "petals", "leaves", "particles", "fog")  # all over the picture
HIGH = ("star", "sun", "lightning", "aurora")  # classes of things in the sky
SHINING = ("light", "candle", "sign", "lamplike", "fire", "star", "sun", "ray", "lightning", "aurora")
FOUND_BY_ITSELF = ("twinkle", "sparkle", "rays", "lightning")  # points of light, or what comes from the brightest place
ON_THINGS = ("sparkle", "fire")  # effects that may be on something else than what has them: "the sun glitters on the water"
POINTS = ("twinkle", "sparkle")  # looks of points of light that the picture has
FORMED = ("fog", "smoke")  # classes that are drawn where the picture does not show them: "fog rolls in"
RISING = {"steam": re.compile(r"\bsteam"), "smoke": re.compile(r"\b(?:smok|fum)")}  # looks → what words say: "the pot steams"
AMOUNTS = {"barely": 0.4, "gently": 0.6, "": 1.0, "plainly": 1.0, "strongly": 1.6, "wildly": 2.2}  # by names of STRENGTHS
FLASHES = re.compile(r"\b(?:flash|strob)")
UNDER_FOG = ("water", "foam", "grass", "ground", "snow")  # classes that fog lies on: "over the lake" ...
FOG_LIES = 0.1, 0.04  # ... by so many short sides above them, and the deviation of its soft edge
STANDS_OUT = 0.12  # how much brighter than most of the sky what is lit in it is at least, of 1
ALIKE, RICH = 0.35, 0.3  # most difference from a named colour, both with their largest part at 1; least saturation
OF_COLOUR = 0.0008, 0.15  # least and most share of the picture that a thing of a named colour has
FRONT = 0.7  # share of the picture from which an object in front is all there is to see
STRUCK = {"water": ("water", "foam"), "ground": ("ground",)}  # names of STRIKES → classes of the finder
COLOURS, LIGHTS = "|".join(colours()), "glow|light|shin|gleam|shimmer|puls|flicker|burn|blink|flash"
OF_LIGHT = re.compile(rf"\b({COLOURS}) (?:{LIGHTS})|\b(?:{LIGHTS})\w* (?:in )?({COLOURS})\b")
WHERE_COLOURED = f"Not found, so what has its colour is taken for it. {IF_WRONG}"
WHERE_BRIGHT = f"Not found, so what is brightest is taken for it. {IF_WRONG}"


def forms_in_the_air(clause: Clause) -> bool:
    """Whether a thing that the picture does not show can be drawn into it."""
    return nouns().get(clause.thing, ("",))[0] in FORMED


def place_effect(clause: Clause, finder: Finder) -> tuple[Placed | None, Region | None, str]:
    """The effect of a clause in its place, the region of that, and a sentence; no effect where there is nothing to show it."""
    effect, region, said = _place_effect(clause, finder)
    if effect is None or effect.effect.look not in POINTS or _has_points(effect, finder):
        return effect, region, said
    anywhere = Placed(effect.effect)
    shines = nouns().get(clause.thing, ("",))[0] in SHINING and not (region and region.how == "painted")
    if shines and _has_points(anywhere, finder):  # lit windows, of which the finder took a few for lamps
        return anywhere, None, f"{name_of(clause.thing, clause.which)}: {looks()[effect.effect.look].said}."
    return None, region, f"{name_of(clause.thing, clause.which)}: no points of light are found there."


def _has_points(effect: Placed, finder: Finder) -> bool:
    return bool(build([effect], np.asarray(finder.picture), WHOLE, None, 1.0, 0))


def _place_effect(clause: Clause, finder: Finder) -> tuple[Placed | None, Region | None, str]:
    name, look = name_of(clause.thing, clause.which), look_of(clause.effect or "fog", clause.thing)
    if look is None:
        return None, None, f'"{clause.text}" is understood, but not drawn.'
    kind = nouns().get(clause.thing, ("",))[0]
    if look == "fog" and kind != "fog":
        look = next((rising for rising, words in RISING.items() if words.search(clause.text)), look)
    side = next(
        (word for word, said in (("behind", ("behind",)), ("before", ("before", "front"))) if {*said} & {*clause.which}), "both"
    )
    if clause.effect in ("", "glow", "sparkle", "twinkle", "flicker") and is_aurora(clause):
        look = "aurora"
    look = "caustics" if kind == "caustic" else look
    asked = Effect(
        look=look, amount=AMOUNTS[clause.strength], pace=PACE[clause.tempo], heading=_wind(clause), side=side,
        colours=_colours(clause),
    )  # fmt: skip
    if look == "lamp" and FLASHES.search(clause.text):
        asked = asked.model_copy(update={"look": "flash"})
    said = looks()[asked.look].said
    if look in RISING:
        return _place_rising(clause, kind, asked, finder)
    if asked.name in IN_THE_AIR and look != "embers":
        region, where = _find_air(clause, finder)
        strikes = _find_struck(finder) if asked.name == "rain" else {}
        said = f"{clause.thing}: {said}{f' {side} what stands in front' if side != 'both' else ''}{where}."
        return Placed(asked, region and shrink_place(region.mask), strikes), region, said
    region = find_place(clause, finder)
    if region is not None:
        guess = f" {IF_NOT_THERE}" if region.unsure else ""
        return Placed(asked, shrink_place(region.mask)), region, f"{name}: {said}.{guess}"
    if asked.name in FOUND_BY_ITSELF and kind in (*SHINING, "whole"):
        return Placed(asked), None, f"{name}: {said}."
    likely = _find_coloured(finder, asked.colours) if kind in SHINING else None
    if likely is not None:
        return Placed(asked, shrink_place(likely)), None, f"{name}: {said}. {WHERE_COLOURED}"
    if kind in SHINING or look == "embers":
        return Placed(asked), None, f"{name}: {said}. {WHERE_BRIGHT}"
    return None, None, f"{name}: not found. {SHOW_IT}"


def _place_rising(clause: Clause, kind: str, asked: Effect, finder: Finder) -> tuple[Placed | None, Region | None, str]:
    """Steam and smoke, from the top of what they are said to rise from, or of what steams."""
    sources = [word for word in clause.which if word in nouns()] if kind == "smoke" else [clause.thing]
    for source in sources:
        region = finder.find(source, () if kind == "smoke" else clause.which)
        if region is not None:
            guess = f" {IF_NOT_THERE}" if region.unsure else ""
            asked = asked if asked.side != "both" else asked.model_copy(update={"side": "before"})
            return Placed(asked, shrink_place(region.mask)), region, f"{source}: {looks()[asked.look].said}.{guess}"
    missing = f"the {sources[0]} that it rises from is not found" if sources else "not found"
    return None, None, f"{name_of(clause.thing, clause.which)}: {missing}. {SHOW_IT}"


def is_aurora(clause: Clause) -> bool:
    return nouns().get(clause.thing, ("",))[0] == "aurora" or "northern" in clause.which


def _colours(clause: Clause) -> tuple[Colour, ...]:
    """The colours of an effect: of adjectives of its thing, not of what it is at ("snow falls on the red barn"), or of light."""
    own = takewhile(lambda word: word in colours() or look_up(word).describes, clause.which)
    return read_colours(own) or read_colours(filter(None, chain(*OF_LIGHT.findall(clause.text))))


def _find_struck(finder: Finder) -> dict[str, np.ndarray]:
    """Where rain is seen to strike, by names of STRIKES."""
    found = {kind: finder.look(*finder.judge_classes(classes)) for kind, classes in STRUCK.items()}
    return {kind: shrink_place(region.mask) for kind, region in found.items() if region is not None}


def _wind(clause: Clause) -> float | None:
    """Down and up are the way of what falls and rises, and no wind."""
    return None if clause.heading in (90.0, 270.0) and clause.effect != "fog" else clause.heading


def find_place(clause: Clause, finder: Finder) -> Region | None:
    """Where an effect is: on its thing, on what it is said to be on ("the sun glitters on the water"), or in the sky."""
    kind = nouns().get(clause.thing, ("",))[0]
    given = _find_given(clause, finder)
    if given is not None:
        return given
    if is_aurora(clause):
        return finder.look(*finder.judge("sky"))
    for word in clause.which:  # the last resort of these is the thing itself
        if word in nouns() and place_of(word).regions and clause.effect in ON_THINGS:
            region = finder.look(*finder.judge(word))
            if region is not None:
                return region
    if kind in HIGH and clause.effect != "sparkle":
        sky = finder.look(*finder.judge("sky"))
        return sky and replace(sky, mask=_stand_out(finder, sky.mask)) if kind == "sun" else sky
    region = finder.find(clause.thing, clause.which) if place_of(clause.thing).regions else None
    return None if region is not None and region.guessed and kind in SHINING else region


def _see(finder: Finder) -> np.ndarray:
    """The picture (h, w, 3) in [0, 1], small."""
    scale = min(1.0, PLACE_SIDE / max(finder.picture.size))
    return cv2.resize(np.asarray(finder.picture), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) / np.float32(255)


def _stand_out(finder: Finder, mask: np.ndarray) -> np.ndarray:
    """What is far brighter than most of a place (H, W): the moon in its sky; all of the place where nothing is."""
    light = _see(finder).mean(2)
    inside = light[cv2.resize(mask, light.shape[::-1]) > 0.5]
    low, high = np.quantile(inside, (0.5, 0.998)) if inside.size else (0, 0)
    bright = np.clip((light - (low + high) / 2) / max((high - low) / 4, 1e-6), 0, 1)
    return mask * cv2.resize(bright, mask.shape[::-1]) if high - low > STANDS_OUT else mask


def _find_coloured(finder: Finder, wanted: tuple[Colour, ...]) -> np.ndarray | None:
    """The mask of what has a named colour, (h, w), small; None: nothing has, or much of the picture."""
    picture = _see(finder)
    most, least = picture.max(2), picture.min(2)
    rich = (most > RICH) & (most - least > RICH * most)
    tints = picture / np.maximum(most, 1e-6)[..., None]
    alike = [np.abs(tints - np.array(colour) / max(colour)).max(2) < ALIKE for colour in wanted if np.ptp(colour) > RICH]
    found = drop_specks((rich & np.any(alike, axis=0)).astype(np.uint8)) if alike else np.zeros(1)
    return found.astype(np.float32) if OF_COLOUR[0] < found.mean() < OF_COLOUR[1] else None


def _find_under_fog(clause: Clause, finder: Finder) -> Region | None:
    """What fog is said to be on, "over the lake", and the air above it."""
    for word in clause.which:
        regions = place_of(word).regions if word in nouns() else ()
        region = finder.look(*finder.judge(word)) if regions and {*regions} & {*UNDER_FOG} else None
        if region is not None and not region.unsure:
            short = min(region.mask.shape)
            above = cv2.dilate(region.mask, np.ones((round(FOG_LIES[0] * short) + 1, 1)), anchor=(0, 0))
            return replace(region, mask=cv2.GaussianBlur(above, (0, 0), FOG_LIES[1] * short))
    return None


def _find_air(clause: Clause, finder: Finder) -> tuple[Region | None, str]:
    """Where weather is, None for all over, and words on that: within its mask, if one came, and not on what is spared."""
    region = _find_given(clause, finder)
    said = ", where its mask is" if region else ""
    if region is None and forms_in_the_air(clause):
        region = _find_under_fog(clause, finder)
    words = spared_by(clause)
    things = [word for word in words if word in nouns() or word == "person"]
    for thing in things:
        spared = finder.find(thing, [word for word in words if word not in things])
        said += f", not on the {thing}" if spared else f", also on the {thing}, which is not found"
        if spared:
            region = replace(spared, mask=(1 - spared.mask) * (region.mask if region else 1))
    return region, said


def spared_by(clause: Clause) -> tuple[str, ...]:
    """The words for what weather is not on."""
    return clause.which[clause.which.index(SPARED) + 1 :] if SPARED in clause.which else ()


def _find_given(clause: Clause, finder: Finder) -> Region | None:
    """The mask that came for a thing, or for what it is said to be on."""
    names = [name_of(clause.thing, clause.which), clause.thing, *(clause.which if clause.effect in ON_THINGS else ())]
    name = next((name for name in names if name in finder.given), None)
    return name and finder.find(name)


def passes_behind(effect: Effect) -> bool:
    """Whether what stands in front hides some of it."""
    return effect.look in LOOKS or effect.look in ("fire", "fog")


def find_front(finder: Finder, front: list[np.ndarray]) -> np.ndarray | None:
    """(h, w) uint8, small: what stands in front, masks (H, W) that are known and the salient object; None: nothing does.

    What is known may be a piece of it: of her of whom the hair moves, the face stands before the snow too.
    """
    mask, found = finder.salient
    if not (front or found):
        return None
    mask = np.maximum.reduce([*front, *([mask] if found else [])])
    return shrink_place(mask) if mask.mean() < FRONT else None
