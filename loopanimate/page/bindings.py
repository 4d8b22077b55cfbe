"""Which control of the page is which setting: the one table that both directions and the sliders' ends follow from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from loopanimate.page.canvas import Painting
from loopanimate.settings import Settings


def keep(value):
    return value


@dataclass(frozen=True)
class Binding:
    setting: str  # where it stands in Settings, such as "request.seed"
    control: gr.components.Component
    read: Callable[[Any], Any]  # what the control holds → the setting
    show: Callable[[Any], Any] | None  # the setting → what the control holds; None: it is painted (Painting)

    @property
    def name(self) -> str:
        return self.setting.rpartition(".")[2]


READ = {  # where a control holds something else than the setting
    "request.prompt": lambda words: words or "",
    "request.seed": lambda number: number or 0,
    "request.num_inference_steps": lambda steps: steps or None,
    "request.guidance_scale": lambda scale: scale or None,
    "request.negative_prompt": lambda words: words or "",
    "hands.arrows": lambda text: painting.arrows if (painting := Painting.read(text)) else (),
    "hands.pins": lambda text: painting.pins if (painting := Painting.read(text)) else (),
    "hands.freeze": lambda text: (painting := Painting.read(text)) and painting.freeze_png(),
    "hands.added_effects": lambda texts: tuple((text,) for text in texts or ()),
    "output.centre": lambda text: (painting := Painting.read(text)) and painting.centre,
    "output.size": lambda size: size or "source",
    "output.seconds": lambda seconds: (seconds or "").strip().removesuffix("s").strip() or None,
    "output.codec": lambda is_av1: "av1" if is_av1 else None,
    "output.max_size": lambda megabytes: megabytes or None,
}
SHOW = {
    "request.num_inference_steps": lambda steps: steps or 0,
    "request.guidance_scale": lambda scale: scale or 0,
    "hands.arrows": None,
    "hands.pins": None,
    "hands.freeze": None,
    "output.centre": None,
    "hands.added_effects": lambda added: [name if amount == 1 else f"{name}={amount:g}" for name, amount in added],
    "output.fps": lambda fps: f"{fps:g}" if isinstance(fps, float) else fps or "30",
    "output.size": str.lower,
    "output.seconds": lambda seconds: f"{seconds:g}" if seconds else "",
    "output.codec": lambda codec: codec == "av1",
    "output.max_size": lambda megabytes: megabytes or 0,
}


def bind(controls: dict[str, gr.components.Component]) -> tuple[Binding, ...]:
    """The table, of the page's controls by setting. `mask_grow` and the like have none: they go into the painted mask."""
    return tuple(Binding(name, control, READ.get(name, keep), SHOW.get(name, keep)) for name, control in controls.items())


def limits(setting: str) -> dict:
    """The ends and the default of a setting, as arguments of a slider."""
    group, name = setting.split(".")
    field = Settings.model_fields[group].annotation.model_fields[name]
    ends = {end: getattr(part, end) for part in field.metadata for end in ("ge", "le") if hasattr(part, end)}
    return {"minimum": ends["ge"], "maximum": ends["le"], "value": field.default}


def read(bindings: Iterable[Binding], values: dict) -> dict:
    """The settings, by name, that controls with these values ask for. Raises ValueError for what cannot be read."""
    given = {}
    for binding in bindings:
        try:
            given[binding.name] = binding.read(values[binding.control])
        except (TypeError, AttributeError):  # no page of ours sent it
            raise ValueError(f"expected {binding.setting} as the page sends it, got something else") from None
    return given


def show(bindings: Iterable[Binding], settings: Settings) -> tuple[dict, list[str]]:
    """What the controls hold for these settings, and in words what they cannot hold in full."""
    given, values, changes = settings.flat(), {}, []
    for binding in bindings:
        if binding.show is None:
            continue
        value, control = binding.show(given[binding.name]), binding.control
        most = getattr(control, "maximum", None)
        if most is not None and value > most:
            changes.append(f"{control.label} {most:g}, not {value:g}")
            value = most
        values[control] = value
    return values, changes
