"""The one table of controls and settings: everything is in it once, and goes both ways."""

import gradio as gr
import numpy as np
import pytest

from loopanimate.files.recipe import open_small_png, small_png
from loopanimate.page.bindings import bind, read, show
from loopanimate.page.canvas import Painting
from loopanimate.page.events import Page
from loopanimate.page.jobs import Server
from loopanimate.settings import Machine, Settings, make_settings

# into the painted mask, and into a length in seconds
BAKED = {"request.mask_grow", "request.mask_feather", "request.mask_invert", "output.repeats"}
CHANGED = {
    "prompt": "it breathes",
    "num_frames": 9,
    "seed": 7,
    "num_inference_steps": 12,
    "guidance_scale": 1.5,
    "negative_prompt": "blur",
    "motion_strength": 0.55,
    "tempo": 2.0,
    "arrows": ((0.2, 0.3, 0.45, 0.3),),
    "pins": ((0.5, 0.123), (0.1, 0.9)),
    "freeze": small_png(np.eye(8)),
    "effect_strength": 0.5,
    "added_effects": (("snow", 1.0), ("embers", 0.25)),
    "fps": 12.5,
    "size": "1080p",
    "centre": (0.25, 0.5),
    "fit": True,
    "scale": "nearest",
    "enlarge": "drawing",
    "quality": "small",
    "codec": "av1",
    "max_size": 2.5,
    "seconds": 12.5,
}


@pytest.fixture(scope="module")
def page():
    with gr.Blocks():
        return Page(Server())


def paths() -> set[str]:
    groups = {name: field.annotation for name, field in Settings.model_fields.items()}
    models = {name: model for name, model in groups.items() if hasattr(model, "model_fields")}
    return {"preset"} | {f"{group}.{name}" for group, model in models.items() for name in model.model_fields}


def test_strangers_see_no_fields_for_models(page):
    with gr.Blocks():
        public = Page(Server(Machine(regions_model="/a/folder"), public=True))
    assert page.checkpoint.visible and page.regions_model.visible
    assert not public.checkpoint.visible and not public.regions_model.visible and not public.regions_model.value


def test_every_setting_has_its_control(page):
    assert {binding.setting for binding in page.bindings} == paths() - BAKED
    assert set(CHANGED) == {binding.name for binding in page.bindings} - {"preset"}


def paint(page, values, settings):
    """Put what hands drew where the page's script has it."""
    hands = settings.hands
    freeze = None if hands.freeze is None else open_small_png(hands.freeze)
    drawn = Painting(
        "a.png", np.zeros((8, 8), np.float32), None, (), freeze, hands.arrows, hands.pins, None, settings.output.centre
    )
    return {**values, page.stage: drawn.write("a.png")}


@pytest.mark.parametrize("changes", [{"prompt": "it sways"}, CHANGED, {**CHANGED, "fps": "native", "preset": "512"}])
def test_what_controls_show_is_what_they_ask_for(page, changes):
    settings = make_settings(**changes)
    values, said = show(page.bindings, settings)
    asked = make_settings(**read(page.bindings, paint(page, values, settings)))
    assert asked == settings.change(fps=settings.output.fps or 30.0) and not said


def test_controls_begin_with_the_defaults(page):
    values = {binding.control: binding.control.value for binding in page.bindings}
    values |= {page.controls["request.prompt"]: "it sways", page.stage: ""}
    assert make_settings(**read(page.bindings, values)) == make_settings(prompt="it sways", fps=30.0)


def test_the_ends_of_every_slider_are_allowed(page):
    for binding in bind(page.controls):
        if isinstance(binding.control, gr.Slider):
            for value in (binding.control.minimum, binding.control.maximum):
                make_settings(**{"prompt": "it sways", binding.name: binding.read(value)})


def test_what_a_control_cannot_hold_is_said(page):
    values, said = show(page.bindings, make_settings(prompt="x", num_inference_steps=60, motion_strength=3.5))
    assert said == ["Sampling steps 50, not 60"]
    assert values[page.controls["request.num_inference_steps"]] == 50 and values[page.controls["hands.motion_strength"]] == 3.5


@pytest.mark.parametrize(
    "name, typed", [("output.fps", "abc"), ("output.fps", ""), ("output.fps", "500"), ("hands.arrows", "x")]
)
def test_what_is_mistyped_gets_a_sentence(page, name, typed):
    settings = make_settings(prompt="it sways")
    values = paint(page, show(page.bindings, settings)[0], settings)
    with pytest.raises(ValueError, match="^expected"):
        make_settings(**read(page.bindings, {**values, page.controls[name]: typed}))
