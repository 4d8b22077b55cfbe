"""Everything that makes a loop besides picture and mask: one table of ranges, flags, help, JSON and sliders.

A `Request` says what is sampled, `Hands` what is changed by hand afterwards, `Output` what the file is; `Settings` holds the
three, and travels in the file. `Machine` says where it is made, and never travels.
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from loopanimate.options import Options, build
from loopanimate.presets import MAX_FRAMES, MIN_FRAMES, PRESETS, check_num_frames

MAX_DIRECTIONS = 32  # arrows and pins
MIN_FPS, MAX_FPS = 1, 120  # frames a second


class Request(Options):
    """What is sampled."""

    prompt: str = Field(description="what should move, and how", json_schema_extra={"flag": "prompt", "metavar": "PROMPT"})
    num_frames: int = Field(MAX_FRAMES, description=f"frames of the network, odd, {MIN_FRAMES} to {MAX_FRAMES}")
    seed: int = Field(0, ge=0, lt=2**63, description="another seed gives another loop")
    num_inference_steps: int | None = Field(
        None, ge=1, le=1000, title="steps", description="sampling steps", json_schema_extra={"flag": "--steps", "metavar": "K"}
    )
    guidance_scale: float | None = Field(
        None,
        ge=0,
        le=50,
        title="guidance",
        description="how much the words outweigh; 1 is none",
        json_schema_extra={"flag": "--guidance", "metavar": "G"},
    )
    negative_prompt: str = Field(
        "", description="what to keep away from, where guidance is not 1", json_schema_extra={"flag": "--negative"}
    )
    mask_grow: float = Field(
        0.0, ge=-25, le=25, description="percent of the short side, negative shrinks", json_schema_extra={"metavar": "P"}
    )
    mask_feather: float = Field(0.0, ge=0, le=25, description="percent of the short side", json_schema_extra={"metavar": "P"})
    mask_invert: bool = Field(False, description="what was masked stays, the rest moves")

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("expected a sentence that says what should move, got nothing")
        return prompt

    @field_validator("num_frames")
    @classmethod
    def _can_be_made(cls, num_frames: int) -> int:
        check_num_frames(num_frames)
        return num_frames


class Hands(Options):
    """What is changed by hand, without sampling again. Points are in fractions of the picture."""

    motion_strength: float = Field(1.0, ge=0, le=4, description="factor on displacement", json_schema_extra={"metavar": "S"})
    tempo: float = Field(
        1.0,
        ge=0.25,
        le=4,
        description="factor on the pace: at 2 a loop lasts half as long; the native rate keeps its own",
        json_schema_extra={"metavar": "T"},
    )
    arrows: tuple[tuple[float, float, float, float], ...] = Field(
        (),
        description="the first point goes to the second, in fractions of the picture; repeatable",
        json_schema_extra={"flag": "--arrow", "metavar": "X0,Y0,X1,Y1"},
    )
    pins: tuple[tuple[float, float], ...] = Field(
        (), description="a point that stays; repeatable", json_schema_extra={"flag": "--pin", "metavar": "X,Y"}
    )
    freeze: bytes | None = Field(None, json_schema_extra={"flag": None})  # PNG of the picture's shape, white stays

    @model_validator(mode="after")
    def _within(self):
        given = self.arrows + self.pins
        if any(not 0 <= number <= 1 for point in given for number in point):
            raise ValueError(f"expected arrows and pins within the picture (fractions 0 to 1), got {given}")
        if len(given) > MAX_DIRECTIONS:
            raise ValueError(f"expected at most {MAX_DIRECTIONS} arrows and pins, got {len(given)}")
        return self


class Output(Options):
    """What the file is. What a format can hold of it is checked against `files.formats`."""

    fps: Literal["native"] | float | None = Field(
        None,
        title="frames a second",
        description="frames a second (default: 30, 12.5 for GIF); native writes exactly N - 1 frames",
        json_schema_extra={"metavar": "native|N"},
    )
    size: str = Field("source", description="source, a name or WxH", json_schema_extra={"metavar": "source|4k|WxH"})
    fit: bool = Field(False, description="the whole picture within the size, blurred around it, instead of cut to the size")
    quality: Literal["wallpaper", "share", "small"] = Field("wallpaper", description="of a video, WebP or AVIF")
    codec: Literal["h264", "vp9", "av1"] | None = Field(
        None, description="of a video (default: h264 in mp4, vp9 in webm, av1 in avif)"
    )
    max_size: float | None = Field(
        None,
        gt=0,
        le=1e6,
        title="largest size in megabytes",
        description="megabytes of a video or WebP file, which is coded more coarsely until it fits",
        json_schema_extra={"metavar": "MB"},
    )
    repeats: int = Field(1, ge=1, le=1000, description="rounds of the loop in the file", json_schema_extra={"metavar": "R"})

    @field_validator("fps")
    @classmethod
    def _shown(cls, fps):
        if isinstance(fps, float) and not MIN_FPS <= fps <= MAX_FPS:
            raise ValueError(f"expected {MIN_FPS} to {MAX_FPS} frames a second, got {fps:g}")
        return fps

    @field_validator("max_size", mode="before")
    @classmethod
    def _megabytes(cls, size):
        return size.upper().removesuffix("MB") if isinstance(size, str) else size


class Settings(Options):
    """What a finished file's recipe carries."""

    preset: str = Field("motion", description=f"one of {', '.join(PRESETS)}", json_schema_extra={"metavar": "|".join(PRESETS)})
    request: Request
    hands: Hands = Hands()
    output: Output = Output()

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {preset}")
        return preset

    def flat(self) -> dict:
        """All settings by name, without the groups that they stand in: the names are unique."""
        return {"preset": self.preset, **vars(self.request), **vars(self.hands), **vars(self.output)}

    def change(self, **values) -> "Settings":
        """The settings with some of them, by name, replaced; ValueError in one sentence for what does not fit."""
        return make_settings(**{**self.flat(), **values})


class Machine(Options):
    """Where a loop is made: nobody's to choose for another, so no file carries it."""

    checkpoint: str | None = Field(
        None, description="folder or hub repository; without it the preset's own", json_schema_extra={"metavar": "DIR|REPO"}
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"


def make_settings(**values) -> Settings:
    """Settings from values by name, whatever group they stand in; ValueError in one sentence for what does not fit."""
    return build(Settings, values)
