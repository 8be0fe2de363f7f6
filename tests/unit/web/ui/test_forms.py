"""What a posted form stands for, and where complaints about it belong."""

from __future__ import annotations

from sdrest.core.errors import FieldProblem, InvalidInput, ModelNotFound, QueueFull
from sdrest.web.requests.infotexts import form_texts_of_infotext
from sdrest.web.ui.fields import texts_of
from sdrest.web.ui.forms import Posted, body_values, field_errors
from sdrest.web.ui.tabs import TABS

TAB = TABS["txt2img"]


def test_nested_fields_switches_and_lists_become_json_values() -> None:
    posted = Posted(
        texts={
            "prompt": "a\nb",
            "hires.enabled": "on",
            "hires.scale": "1.5",
            "vae_tiling.enabled": "off",
            "skip_layers.layers": "7, 8;9",
            "eta": "",
        },
        lora_rows=[("style", "0.5")],
    )
    assert body_values(TAB, posted, {}) == {
        "prompt": "a\nb",
        "hires": {"enabled": True, "scale": "1.5"},
        "vae_tiling": {"enabled": False},
        "skip_layers": {"layers": ["7", "8", "9"]},
        "loras": [{"name": "style", "multiplier": "0.5"}],
    }


def test_fields_left_at_another_models_defaults_are_not_taken_for_the_users_choice() -> None:
    posted = Posted(texts={"prompt": "x", "width": "1024", "steps": "7"})
    assert body_values(TAB, posted, {"width": "1024", "steps": "20"}) == {"prompt": "x", "steps": "7"}


def test_fields_that_the_tab_does_not_show_are_ignored() -> None:
    assert body_values(TABS["upscale"], Posted(texts={"prompt": "x", "upscale_factor": "2"}), {}) == {
        "upscale_factor": "2"
    }


def test_complaints_find_the_nearest_field_and_the_rest_is_said_above() -> None:
    error = InvalidInput(
        [
            FieldProblem("skip_layers.layers.0", "not a number"),
            FieldProblem("loras.1.name", "unknown"),
            FieldProblem("ghost", "strange"),
        ]
    )
    by_field, rest = field_errors(error, (*TAB.field_names, "loras"))
    assert by_field == {"skip_layers.layers": "not a number", "loras": "unknown"}
    assert rest == ("ghost: strange",)
    assert field_errors(ModelNotFound("no such model"), TAB.field_names) == ({"model": "no such model"}, ())
    assert field_errors(QueueFull("full"), TAB.field_names) == ({}, ("full",))


def test_an_infotext_fills_the_form_with_what_this_server_knows() -> None:
    parts = {"prompt": "fox", "Steps": "9", "Sampler": "DPM++ 2M Karras", "Size": "640x448", "Hires upscaler": "x"}
    assert form_texts_of_infotext(parts).texts == {
        "prompt": "fox",
        "steps": "9",
        "width": "640",
        "height": "448",
        "sampler": "dpm++2m",
        "scheduler": "karras",
    }
    assert form_texts_of_infotext({"Sampler": "of the future", "Size": "large"}).texts == {}


def test_a_jobs_parameters_become_form_texts() -> None:
    texts = texts_of(
        {"steps": 8, "cfg_scale": 2.0, "canny": True, "hires": {"scale": 1.25}, "custom_sigmas": [1.0, 0.5]}
    )
    assert texts == {"steps": "8", "cfg_scale": "2", "canny": "on", "hires.scale": "1.25", "custom_sigmas": "1, 0.5"}
