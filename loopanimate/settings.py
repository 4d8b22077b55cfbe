"""Everything that makes a loop besides picture and mask: one table of ranges, flags, help, JSON and sliders.

A `Request` says what is sampled, `Hands` what is changed by hand afterwards, `Output` what the file is; `Settings` holds the
three, and travels in the file. `Machine` says where it is made, and never travels.
"""

from itertools import groupby
from typing import Literal

from pydantic import field_validator, model_validator

from loopanimate.effects.names import names
from loopanimate.options import Options, build, option
from loopanimate.presets import (
    BUNDLED_SALIENT,
    DEFAULT,
    DEPTH_MODELS,
    MAX_FRAMES,
    MIN_FRAMES,
    PRESETS,
    REGIONS_MODELS,
    SALIENT_MODELS,
    check_num_frames,
)

MAX_TEXT = 2000  # characters of a prompt
MAX_DIRECTIONS = 32  # arrows and pins
MAX_AMOUNT = 3.0  # of an effect
MIN_FPS, MAX_FPS = 1, 120  # frames a second
MAX_SECONDS = 3600.0  # of a file


class Request(Options):
    """What is sampled."""

    prompt: str = option(..., "what should move, and how", flag="prompt", metavar="PROMPT")
    num_frames: int = option(MAX_FRAMES, f"frames of the network, odd, {MIN_FRAMES} to {MAX_FRAMES}")
    seed: int = option(0, "another seed gives another loop", ge=0, lt=2**63)
    num_inference_steps: int | None = option(None, "sampling steps", ge=1, le=1000, title="steps", flag="--steps", metavar="K")
    guidance_scale: float | None = option(
        None, "how much the words outweigh; 1 is none", ge=0, le=50, title="guidance", flag="--guidance", metavar="G"
    )
    negative_prompt: str = option("", "what to keep away from, where guidance is not 1", flag="--negative")
    mask_grow: float = option(0.0, "percent of the short side, negative shrinks", ge=-25, le=25, metavar="P")
    mask_feather: float = option(0.0, "percent of the short side", ge=0, le=25, metavar="P")
    mask_invert: bool = option(False, "what was masked stays, the rest moves")

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _is_short(cls, prompt: str) -> str:
        if len(prompt) > MAX_TEXT:
            raise ValueError(f"expected at most {MAX_TEXT} characters of words, got {len(prompt)}")
        if any("\ud800" <= character <= "\udfff" for character in prompt):  # what no file can carry
            raise ValueError("expected words in Unicode, got half of a surrogate pair")
        return prompt

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not any(map(str.isalpha, prompt)):
            raise ValueError(f"expected a sentence that says what should move, got {prompt.strip() or 'nothing'}")
        return prompt

    @field_validator("num_frames")
    @classmethod
    def _can_be_made(cls, num_frames: int) -> int:
        check_num_frames(num_frames)
        return num_frames


class Hands(Options):
    """What is changed by hand, without sampling again. Points are in fractions of the picture."""

    motion_strength: float = option(1.0, "factor on displacement", ge=0, le=4, metavar="S")
    tempo: float = option(
        1.0, "factor on the pace: at 2 a loop lasts half as long; the native rate keeps its own", ge=0.25, le=4, metavar="T"
    )
    arrows: tuple[tuple[float, float, float, float], ...] = option(
        (), "the first point goes to the second, in fractions of the picture; repeatable", flag="--arrow", metavar="X0,Y0,X1,Y1"
    )
    pins: tuple[tuple[float, float], ...] = option((), "a point that stays; repeatable", flag="--pin", metavar="X,Y")
    freeze: bytes | None = option(None, flag=None)  # PNG of the picture's shape, white stays
    effect_strength: float = option(1.0, "factor on light and weather", ge=0, le=2, metavar="S")
    added_effects: tuple[tuple[str, float], ...] = option(
        (),
        f"light or weather besides what the prompt says: {', '.join(names())}; repeatable",
        flag="--effect",
        metavar="NAME[=AMOUNT]",
    )

    @field_validator("added_effects", mode="before")
    @classmethod
    def _read(cls, given):
        """One text is a name, or a name and an amount: "snow", "snow=0.5"."""
        if (
            not isinstance(given, (list, tuple))
            or len(given) > len(names())
            or not all(isinstance(each, (list, tuple)) for each in given)
        ):
            raise ValueError(
                f"expected at most {len(names())} effects, each a name or a name and an amount, got {repr(given)[:50]}"
            )
        split = (each[0].split("=") if len(each) == 1 and isinstance(each[0], str) else each for each in given)
        return tuple((*each, 1.0) if len(each) == 1 else tuple(each) for each in split)

    @field_validator("added_effects")
    @classmethod
    def _drawn(cls, added):
        for name, amount in added:
            if name not in names():
                raise ValueError(f"expected an effect out of {', '.join(names())}, got {name[:40]}")
            if not 0 <= amount <= MAX_AMOUNT:
                raise ValueError(f"expected an amount of 0 to {MAX_AMOUNT:g} for {name}, got {amount:g}")
        return added

    @model_validator(mode="after")
    def _within(self):
        given = self.arrows + self.pins
        if len(given) > MAX_DIRECTIONS:
            raise ValueError(f"expected at most {MAX_DIRECTIONS} arrows and pins, got {len(given)}")
        for points in given:
            if any(not 0 <= number <= 1 for number in points):
                raise ValueError(f"expected arrows and pins within the picture (fractions 0 to 1), got {points}")
        return self


class Output(Options):
    """What the file is. What a format can hold of it is checked against `files.formats`."""

    fps: Literal["native"] | float | None = option(
        None,
        "frames a second (default: 30, 12.5 for GIF); native writes exactly N - 1 frames",
        title="frames a second",
        metavar="native|N",
    )
    size: str = option(
        "source",
        "source, WxH, or 1080p, 1440p, 4k, 8k, ultrawide, phone, android, iphone, wallpaper-engine, lively, sticker; of "
        "several monitors WxH,WxH from left to right, or WxH+X+Y each, which writes a file for each",
        metavar="source|NAME|WxH",
    )
    centre: tuple[float, float] | None = option(
        None,
        "what the picture is cut around where the size has another shape, in fractions of it (default: the middle of what moves, or the subject where that is nearly everything)",
        metavar=("X", "Y"),
    )
    fit: bool = option(False, "the whole picture within the size, blurred around it, instead of cut to the size")
    scale: Literal["auto", "smooth", "nearest"] = option(
        "auto", "nearest keeps the squares and the colours of pixel art; auto takes it for pictures that were enlarged that way"
    )
    enlarge: Literal["auto", "off", "photo", "drawing"] = option(
        "auto",
        "a picture smaller than the size, once, by a network: auto from 1.5 x on; photo whatever the factor; drawing, too, "
        "and cleans lines and coding noise; off leaves it to Lanczos",
    )
    quality: Literal["wallpaper", "share", "small"] = option(
        "wallpaper", "of a video, WebP or AVIF; AV1's small shows a step at the wrap"
    )
    codec: Literal["h264", "vp9", "av1"] | None = option(None, "of a video (default: h264 in mp4, vp9 in webm, av1 in avif)")
    max_size: float | None = option(
        None,
        "megabytes of a video, WebP or AVIF file, which is coded more coarsely until it fits",
        gt=0,
        le=1e6,
        title="largest size in megabytes",
        metavar="MB",
    )
    seconds: float | None = option(
        None,
        "length of the file: whole rounds, at the pace that comes nearest",
        gt=0,
        le=MAX_SECONDS,
        title="length in seconds",
        metavar="S",
    )
    repeats: int = option(1, "rounds of the loop in the file", ge=1, le=1000, metavar="R")

    @field_validator("fps")
    @classmethod
    def _can_be_shown(cls, fps):
        if isinstance(fps, float) and not MIN_FPS <= fps <= MAX_FPS:
            raise ValueError(f"expected {MIN_FPS} to {MAX_FPS} frames a second, got {fps:g}")
        return fps

    @field_validator("centre")
    @classmethod
    def _is_inside(cls, centre):
        if centre is not None and not all(0 <= share <= 1 for share in centre):
            raise ValueError(f"expected a centre within the picture (fractions 0 to 1), got {centre}")
        return centre

    @field_validator("max_size", mode="before")
    @classmethod
    def _megabytes(cls, size):
        return size.upper().removesuffix("MB") if isinstance(size, str) else size


class Settings(Options):
    """What a finished file's recipe carries."""

    preset: str = option(DEFAULT, f"one of {', '.join(PRESETS)}", metavar="|".join(PRESETS))
    request: Request
    hands: Hands = Hands()
    output: Output = Output()

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {preset[:40]}")
        return preset

    @property
    def sampler(self) -> str:
        """The preset that samples: the teacher of one that takes neither so many steps nor guidance."""
        preset, request = PRESETS[self.preset], self.request
        guided = request.negative_prompt or request.guidance_scale not in (None, preset.guidance_scale)
        more = (request.num_inference_steps or 0) > preset.num_inference_steps
        return preset.student_of if preset.student_of and (guided or more) else self.preset

    def flat(self) -> dict:
        """All settings by name, without the groups that they stand in: the names are unique."""
        return {"preset": self.preset, **vars(self.request), **vars(self.hands), **vars(self.output)}

    def change(self, **values) -> "Settings":
        """The settings with some of them, by name, replaced; ValueError in one sentence for what does not fit."""
        return make_settings(**{**self.flat(), **values})


class Machine(Options):
    """Where a loop is made: nobody's to choose for another, so no file carries it."""

    checkpoint: str | None = option(None, "folder or hub repository; without it the preset's own", metavar="DIR|REPO")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where the networks run; auto takes CUDA where there is one")
    regions_model: str | None = option(
        None,
        "what finds the things that words name: CLIPSeg, a folder or hub repository, such as "
        + ", ".join(f"{name} ({licence})" for name, (_, licence) in REGIONS_MODELS.items())
        + " (default: the bundled one)",
        metavar="DIR|REPO[@REVISION]",
    )
    depth_model: str | None = option(
        None,
        "what says how near things are to a camera that moves: Depth Anything, a folder or hub repository, such as "
        + ", ".join(f"{name} ({licence})" for name, (_, licence) in DEPTH_MODELS.items())
        + " (default: the ground, the sky and what stands, as the bundled model of regions has them)",
        metavar="DIR|REPO[@REVISION]",
    )
    salient_model: Literal[tuple(SALIENT_MODELS)] = option(
        BUNDLED_SALIENT,
        "what finds the object that stands out, downloaded by rembg but for the bundled one: "
        + ", ".join(
            f"{', '.join(names)} ({licence})"
            for licence, names in groupby(SALIENT_MODELS, lambda name: SALIENT_MODELS[name].licence)
        ),
        metavar="NAME",
    )


def make_settings(**values) -> Settings:
    """Settings from values by name, whatever group they stand in; ValueError in one sentence for what does not fit."""
    known = {"preset", *Request.model_fields, *Hands.model_fields, *Output.model_fields}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"expected settings out of {', '.join(sorted(known))}, got {', '.join(unknown)}")
    return build(Settings, values)
