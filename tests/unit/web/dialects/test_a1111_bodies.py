"""What is read out of A1111's bodies, and what clients are told of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdrest.core.errors import InvalidInput, ModelNotFound, Unsupported
from sdrest.core.model import Model, ModelFormat, ModelType
from sdrest.registry.catalogue import Catalogue
from sdrest.web.dialects.a1111.bodies import Image2Image, OptionValues, Text2Image
from sdrest.web.dialects.a1111.fitting import Fit, control_fitted
from sdrest.web.dialects.a1111.request import values_from
from sdrest.web.dialects.a1111.scripts import control_unit, ignored_parts, other_scripts
from sdrest.web.dialects.a1111.told import ignored_fields
from sdrest.web.http.bodies import validate


def text2image(**fields: Any) -> Text2Image:
    return validate(Text2Image, fields)


def image2image(**fields: Any) -> Image2Image:
    return validate(Image2Image, {"init_images": ["x"], **fields})


def values(**fields: Any) -> dict[str, Any]:
    return values_from(text2image(**fields), OptionValues(), Catalogue()).values


def warnings(**fields: Any) -> list[str]:
    return values_from(text2image(**fields), OptionValues(), Catalogue()).warnings


#: As webuiapi sends it when nobody chose anything.
USUAL: dict[str, Any] = {
    "enable_hr": False, "denoising_strength": 0.7, "firstphase_width": 0, "firstphase_height": 0, "hr_scale": 2,
    "hr_upscaler": "Latent",
    "hr_second_pass_steps": 0, "hr_resize_x": 0, "hr_resize_y": 0, "hr_checkpoint_name": None, "hr_sampler_name": None,
    "hr_prompt": "", "prompt": "a fox", "styles": [], "seed": -1, "subseed": -1, "subseed_strength": 0.0, "seed_resize_from_h": 0,
    "seed_resize_from_w": 0, "sampler_name": "Euler a", "batch_size": 1, "n_iter": 2, "steps": None, "cfg_scale": 7.0, "width": 512,
    "height": 512, "restore_faces": False, "tiling": False, "eta": 1.0, "s_churn": 0, "s_tmax": 0, "s_tmin": 0, "s_noise": 1,
    "override_settings": {}, "script_args": None, "script_name": None, "send_images": True, "alwayson_scripts": {},
}  # fmt: skip


def test_what_clients_always_send_is_told_of_with_no_word() -> None:
    assert warnings(**USUAL) == []
    assert values(**USUAL) == {
        "prompt": "a fox", "seed": -1, "cfg_scale": 7.0, "width": 512, "height": 512, "sampler": "Euler a", "batch_count": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subseed_strength", 0.3),
        ("seed_resize_from_w", 512),
        ("seed_resize_from_h", 512),
        ("s_churn", 1.5),
        ("s_min_uncond", 1),
        ("s_noise", 1.1),
        ("s_tmax", 5),
        ("refiner_checkpoint", "refiner.safetensors"),
        ("disable_extra_networks", True),
        ("firstphase_width", 256),
        ("styles", ["of old"]),
        ("infotext", "a fox\nSteps: 3, Sampler: Euler, Seed: 5, Model: of old"),
        ("override_settings", {"samples_format": "jxl"}),
        ("override_settings", {"eta_noise_seed_delta": 31337}),
        ("override_settings", {"token_merging_ratio": 0.3}),
        ("override_settings", {"sd_hypernetwork": "x"}),
        ("alwayson_scripts", {"Tiled Diffusion": {"args": ["True", "MultiDiffusion"]}}),
        ("sampler_name", "UniPC"),
    ],
)
def test_what_has_no_effect_is_told(field: str, value: Any) -> None:
    told = warnings(**{field: value})
    assert len(told) == 1
    assert "has no effect" in told[0] or "not" in told[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hr_checkpoint_name", "other.safetensors"),
        ("hr_sampler_name", "DPM2"),
        ("hr_prompt", "sharper"),
        ("hr_cfg", 3.0),
    ],
)
def test_parts_of_a_second_pass_are_told_only_where_there_is_one(field: str, value: Any) -> None:
    assert list(ignored_fields(text2image(enable_hr=False, **{field: value}))) == []
    (told,) = ignored_fields(text2image(enable_hr=True, **{field: value}))
    assert field in told


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"initial_noise_multiplier": 1.2}, "initial_noise"), ({"latent_mask": "x"}, "latent_mask")],
)
def test_what_img2img_ignores_is_told(fields: dict[str, Any], word: str) -> None:
    (told,) = ignored_fields(image2image(**fields))
    assert word in told


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"inpainting_fill": 2, "mask": "m"}, "inpainting_fill 2"),
        ({"inpainting_fill": 3, "mask": "m"}, "inpainting_fill 3"),
        ({"resize_mode": 3}, "resize_mode 3"),
        ({"init_images": ["a", "b"]}, "init_images"),
    ],
)
def test_what_pictures_cannot_become_is_told(fields: dict[str, Any], word: str) -> None:
    (told,) = Fit(image2image(**fields)).warnings
    assert word in told


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"resize_mode": 4}, "resize_mode"),
        ({"resize_mode": -1}, "resize_mode"),
        ({"inpainting_fill": 9}, "inpainting_fill"),
        ({"mask_blur": 257}, "mask_blur"),
        ({"mask_blur_x": 1, "mask_blur_y": -1, "mask_blur": -1}, "mask_blur"),
        ({"inpaint_full_res_padding": 5000}, "inpaint_full_res_padding"),
    ],
)
def test_numbers_out_of_their_range_are_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Fit(image2image(**fields))
    assert [problem.field for problem in caught.value.problems] == [field]


def test_masks_mean_what_they_mean_there() -> None:
    fit = Fit(image2image(mask="m"))
    fit.measure((64, 48))
    assert fit.parameters(masked=True) == {
        "width": 64,
        "height": 48,
        "inpaint": {"only_masked": True, "padding": 0, "fill": "surroundings", "blur": 4, "keep": True},
    }
    assert fit.parameters(masked=False) == {"width": 64, "height": 48}
    whole = {
        "inpaint_full_res": 0,
        "inpainting_fill": 1,
        "mask_blur_x": 2,
        "mask_blur_y": 3,
        "inpaint_full_res_padding": 8,
    }
    fit = Fit(image2image(mask="m", **whole))
    fit.measure((64, 48))
    assert fit.parameters(masked=True)["inpaint"] == {
        "only_masked": False, "padding": 8, "fill": "original", "blur": 3, "keep": True,
    }  # fmt: skip


@pytest.mark.parametrize(("mode", "size"), [(0, (100, 40)), (1, (64, 64)), (2, (64, 64))])
def test_pictures_are_stretched_cut_or_bordered(mode: int, size: tuple[int, int]) -> None:
    fit = Fit(image2image(resize_mode=mode, width=64, height=64))
    fit.measure((100, 40))
    picture = Image.new("RGB", (100, 40), "red")
    (made,) = fit.arranged({"init_images": [picture]})["init_image"]
    assert made.size == size
    assert (made.getpixel((32, 2)) == (0, 0, 0)) is (mode == 2)


def test_options_that_are_to_stay_are_told_where_to_go() -> None:
    assert warnings(override_settings_restore_afterwards=False) == []
    kept = warnings(override_settings={"CLIP_stop_at_last_layers": 2}, override_settings_restore_afterwards=False)
    assert len(kept) == 1
    assert "POST options" in kept[0]


@pytest.mark.parametrize(
    ("said", "size", "has_border"),
    [
        ("Just Resize", (100, 40), False),
        (0, (100, 40), False),
        ("Crop and Resize", (64, 64), False),
        ("Scale to Fit (Inner Fit)", (64, 64), False),
        (1, (64, 64), False),
        ("Resize and Fill", (64, 64), True),
        ("Envelope (Outer Fit)", (64, 64), True),
        (2, (64, 64), True),
    ],
)
def test_control_pictures_of_another_shape_are_fitted_as_their_unit_says(
    said: object, size: tuple[int, int], has_border: bool
) -> None:
    mode = unit_of({**UNIT, "resize_mode": said}).resize_mode
    made = control_fitted(Image.new("RGB", (100, 40), "red"), (64, 64), mode)
    assert made.size == size
    assert (made.getpixel((32, 2)) == (0, 0, 0)) is has_border
    square = Image.new("RGB", (80, 80))
    assert control_fitted(square, (64, 64), mode) is square
    assert unit_of(UNIT).resize_mode == "Crop and Resize"


UNIT: dict[str, Any] = {"model": "control_v11p_sd15_canny [d14c016b]", "module": "canny", "image": "x", "weight": 0.5}


def unit_of(*args: Any, name: str = "ControlNet") -> Any:
    return control_unit(text2image(alwayson_scripts={name: {"args": list(args)}}).alwayson_scripts)


@pytest.mark.parametrize("name", ["ControlNet", "controlnet", "ControlNet Integrated"])
@pytest.mark.parametrize(
    "unit", [UNIT, {**UNIT, "image": {"image": "x", "mask": None}}, {**UNIT, "image": "", "input_image": "x"}]
)
def test_a_control_unit_is_read_in_every_form(name: str, unit: dict[str, Any]) -> None:
    found = unit_of({"enabled": False, "model": "other"}, unit, None, {"model": "None"}, name=name)
    assert (found.model, found.weight, found.picture) == (UNIT["model"], 0.5, "x")
    assert list(ignored_parts(found)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"guidance_start": 0.2},
        {"guidance_end": 0.8},
        {"control_mode": "My prompt is more important"},
        {"control_mode": 2},
        {"threshold_a": 33},
        {"mask": "x"},
        {"image": {"image": "x", "mask": "y"}},
    ],
)
def test_parts_of_a_control_unit_that_have_no_effect_are_told(change: dict[str, Any]) -> None:
    assert len(list(ignored_parts(unit_of({**UNIT, **change})))) == 1


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ({**UNIT, "module": "openpose"}, Unsupported),
        ({"module": "reference_only", "image": "x"}, Unsupported),
        ({"module": "canny", "image": "x"}, InvalidInput),
        ({**UNIT, "image": None}, InvalidInput),
        ({**UNIT, "weight": []}, InvalidInput),
        ("a text", InvalidInput),
        ([[UNIT]], InvalidInput),
        (7, InvalidInput),
    ],
)
def test_units_that_cannot_be_are_refused(unit: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        unit_of(unit)


def test_two_units_are_one_too_many() -> None:
    with pytest.raises(Unsupported, match="one ControlNet unit"):
        unit_of(UNIT, UNIT)


@pytest.mark.parametrize(
    "args",
    [
        [],
        [False, False, {"ad_model": "face_yolov8n.pt"}],
        [True, False, {"ad_model": "None"}, {"ad_model": "None"}],
        [{"ad_model": "None"}],
        [{"ad_model": "face_yolov8n.pt", "ad_tab_enable": False}],
    ],
)
def test_an_adetailer_that_is_off_is_no_trouble(args: list[Any]) -> None:
    assert list(other_scripts(text2image(alwayson_scripts={"ADetailer": {"args": args}}).alwayson_scripts)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"alwayson_scripts": {"ADetailer": {"args": [True, False, {"ad_model": "face_yolov8n.pt"}]}}},
        {"restore_faces": True},
        {"script_name": "loopback"},
    ],
)
def test_what_is_not_there_is_refused_with_the_reason(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="there is no"):
        values(**fields)


def test_an_infotext_fills_in_what_the_body_leaves_open() -> None:
    text = "a fox\nNegative prompt: dogs\nSteps: 9, Sampler: DPM++ 2M Karras, CFG scale: 5, Seed: 77, Size: 640x448"
    found = values(infotext=text, steps=4)
    assert found == {
        "prompt": "a fox", "negative_prompt": "dogs", "steps": 4, "sampler": "dpm++2m", "scheduler": "karras", "cfg_scale": "5",
        "seed": "77", "width": "640", "height": "448", "batch_count": 1,
    }  # fmt: skip


def test_options_of_the_request_go_before_those_set_before() -> None:
    before = OptionValues(sd_model_checkpoint="old", CLIP_stop_at_last_layers=3, sd_vae="old.vae")
    found = values_from(text2image(), before, Catalogue()).values
    assert (found["model"], found["clip_skip"], found["vae_model"]) == ("old", 3, "old.vae")
    now = {"sd_model_checkpoint": "new [0123456789]", "CLIP_stop_at_last_layers": 1.0, "sd_vae": "Automatic"}
    found = values_from(text2image(override_settings=now), before, Catalogue()).values
    assert (found["model"], found["clip_skip"]) == ("new [0123456789]", 1)
    assert "vae_model" not in found


def test_modules_of_forge_are_components() -> None:
    files = [("ae.safetensors", ModelType.VAE), ("clip_l.safetensors", ModelType.CLIP_L), ("t5.gguf", ModelType.T5XXL)]
    catalogue = Catalogue(
        Model(
            id=file, name=file.partition(".")[0], type=kind, path=Path("/m") / file, relative_path=f"x/{file}", size=1, mtime_ns=0,
            format=ModelFormat.SAFETENSORS,
        )
        for file, kind in files
    )  # fmt: skip
    modules = ["C:\\forge\\models\\VAE\\ae.safetensors", "/forge/text_encoder/clip_l.safetensors", "t5"]
    body = text2image(override_settings={"forge_additional_modules": modules})
    found = values_from(body, OptionValues(), catalogue).values
    assert {name: found[name] for name in found if name.endswith("_model")} == {
        "vae_model": "ae", "clip_l_model": "clip_l", "t5xxl_model": "t5",
    }  # fmt: skip
    with pytest.raises(ModelNotFound):
        values_from(text2image(override_settings={"forge_additional_modules": ["of old"]}), OptionValues(), catalogue)
