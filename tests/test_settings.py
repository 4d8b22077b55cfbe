import pytest

from loopanimate.settings import Hands, Settings, make_settings


def test_settings_by_name_stand_in_their_groups_and_come_back():
    settings = make_settings(prompt="it sways", seed=3, tempo=2, size="4k", preset="motion")
    assert (settings.request.seed, settings.hands.tempo, settings.output.size) == (3, 2.0, "4k")
    assert make_settings(**settings.flat()) == settings
    groups = [name for group in Settings.model_fields.values() for name in getattr(group.annotation, "model_fields", ())]
    assert len(set(groups)) == len(groups)  # one name, one setting: a flat recipe keeps them all


def test_a_change_is_checked_and_leaves_the_original_alone():
    settings = make_settings(prompt="it sways")
    assert settings.change(seed=5).request.seed == 5 and settings.request.seed == 0
    with pytest.raises(ValueError, match="^expected a motion strength of 0 to 4, got 9$"):
        settings.change(motion_strength=9)
    with pytest.raises(ValueError):
        settings.request.seed = 1  # frozen


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"prompt": "  "}, "a sentence that says what should move"),
        ({"num_frames": 16}, "odd frame count 3..35, got 16"),
        ({"mask_grow": 3000}, "-25 to 25, got 3000"),
        ({"mask_feather": -1}, "0 to 25, got -1"),
        ({"fps": 500.0}, "1 to 120 frames a second, got 500"),
        ({"fps": float("nan")}, "1 to 120 frames a second"),
        ({"tempo": float("nan")}, "0.25 to 4, got nan"),
        ({"arrows": ((0, 0, 0, 7),)}, "within the picture"),
        ({"pins": ((0.5, 0.5),) * 40}, "at most 32 arrows and pins, got 40"),
        ({"preset": "big"}, "a preset out of motion, 512, quick, got big"),
        ({"codec": "h265"}, "out of h264, vp9, av1"),
        ({"repeats": 0}, "1 to 1000"),
        ({"enlarge": "twice"}, "an enlarge out of auto, off, photo, drawing, got twice"),
        ({"added_effects": (("hail",),)}, "got hail"),
        ({"added_effects": (("snow=9",),)}, "an amount of 0 to 3 for snow, got 9"),
        ({"added_effects": (("snow=much",),)}, "a number for added effects"),
        ({"added_effects": 3}, "each a name or a name and an amount, got 3"),
        ({"added_effects": ((3,),)}, "for added effects"),
        ({"added_effects": (("snow",),) * 5000}, "effects, each a name"),
        ({"prompt": "it sways " * 1000}, "at most 2000 characters of words, got 9000"),
        ({"negative_prompt": "x" * 2001}, "at most 2000 characters of words, got 2001"),
        ({"arrows": ((0.5, 0.5, float("nan"), 0.5),)}, "within the picture (fractions 0 to 1), got (0.5, 0.5, nan, 0.5)"),
        ({"pins": ((2.0, 2.0),) * 5000}, "at most 32 arrows and pins, got 5000"),
    ],
)
def test_a_setting_out_of_range_is_one_sentence(wrong, said):
    with pytest.raises(ValueError) as raised:
        make_settings(**{"prompt": "it moves", **wrong})
    assert said in str(raised.value) and str(raised.value).startswith("expected") and "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_hands_have_ranges_of_their_own():
    assert Hands(arrows=[[0.1, 0.2, 0.3, 0.4]]).arrows == ((0.1, 0.2, 0.3, 0.4),)


def test_an_effect_is_a_name_or_a_name_and_an_amount():
    assert Hands(added_effects=[["snow"], ["fog=0.5"], ["rain", 2]]).added_effects == (
        ("snow", 1.0),
        ("fog", 0.5),
        ("rain", 2.0),
    )


def test_a_name_that_is_no_setting_is_refused():
    for wrong in ({"motion_strenght": 2}, {"temp": 2}):
        with pytest.raises(ValueError, match=f"got {next(iter(wrong))}"):
            make_settings(prompt="it moves").change(**wrong)


@pytest.mark.parametrize(
    "asked, sampler",
    [
        ({}, "quick"),
        ({"num_inference_steps": 2, "guidance_scale": 1.0}, "quick"),
        ({"num_inference_steps": 3}, "motion"),
        ({"guidance_scale": 2.0}, "motion"),
        ({"negative_prompt": "it shakes"}, "motion"),
        ({"preset": "512", "num_inference_steps": 50}, "512"),
    ],
)
def test_what_a_student_cannot_take_its_teacher_samples(asked, sampler):
    assert make_settings(prompt="it sways", **asked).sampler == sampler
