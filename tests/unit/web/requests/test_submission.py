"""What clients of other servers write, and what is understood."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from sdrest.core.errors import InvalidInput
from sdrest.web.dialects.openai.editing import repaint_mask
from sdrest.web.dialects.sdcpp.fields import parameters_from, take_extra_args
from sdrest.web.requests.submission import loosened, loras


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ({"sampler": "DPM++ 2M Karras"}, {"sampler": "dpm++2m", "scheduler": "karras"}),
        ({"sampler": "DPM++ 2M Karras", "scheduler": "Simple"}, {"sampler": "dpm++2m", "scheduler": "Simple"}),
        ({"sampler": "k_euler_a", "scheduler": "Automatic"}, {"sampler": "euler_a"}),
        ({"sampler": "Automatic", "scheduler": None}, {}),
        ({"clip_skip": 1.0}, {}),
        ({"clip_skip": 2.0, "steps": 20.0, "cfg_scale": 7.5}, {"clip_skip": 2, "steps": 20, "cfg_scale": 7.5}),
        ({"sampler": "nonsense"}, {"sampler": "nonsense"}),
    ],
)
def test_names_are_read_loosely(written: dict[str, Any], understood: dict[str, Any]) -> None:
    assert loosened(written)[0] == understood


def test_an_unknown_scheduler_is_left_out_with_a_warning() -> None:
    values, warnings = loosened({"scheduler": "Turbo"})
    assert values == {}
    assert "'Turbo'" in warnings[0]


@pytest.mark.parametrize(
    "written",
    [
        [{"name": "ink", "multiplier": 0.5}],
        [{"path": "ink", "weight": 0.5}],
        [{"model": "ink", "strength": 0.5}],
        {"ink": 0.5},
    ],
)
def test_loras_are_read_in_every_form(written: Any) -> None:
    assert loras(written) == [{"name": "ink", "multiplier": 0.5}]


@pytest.mark.parametrize("written", ["ink", [3], 5])
def test_other_lora_forms_are_refused(written: Any) -> None:
    with pytest.raises(InvalidInput):
        loras(written)


def test_extra_args_are_taken_out_of_the_prompt() -> None:
    assert take_extra_args('a <sd_cpp_extra_args>{"seed": 3}</sd_cpp_extra_args>cat') == ("a cat", {"seed": 3})
    with pytest.raises(InvalidInput, match="not JSON"):
        take_extra_args("<sd_cpp_extra_args>{seed}</sd_cpp_extra_args>")


def test_sdcpp_fields_become_parameters() -> None:
    body = {
        "prompt": "p",
        "clip_skip": -1,
        "init_image": None,
        "sample_params": {
            "sample_method": "heun",
            "sample_steps": 9,
            "eta": None,
            "guidance": {"txt_cfg": 4.0, "distilled_guidance": 2.0, "slg": {"layers": [7], "layer_start": 0.1}},
        },
        "hires": {"enabled": True, "upscaler": "Latent (bicubic)", "denoising_strength": 0.4},
        "cache_mode": "dbcache",
        "cache_option": "threshold=0.1, Fn=2",
        "vae_tiling_params": {"enabled": True},
        "lora": [{"path": "ink"}],
    }
    assert parameters_from(body) == {
        "prompt": "p",
        "clip_skip": -1,
        "sampler": "heun",
        "steps": 9,
        "cfg_scale": 4.0,
        "guidance": 2.0,
        "skip_layers": {"layers": [7], "start": 0.1},
        "hires": {"enabled": True, "strength": 0.4, "upscaler": "latent_bicubic"},
        "cache": {"mode": "dbcache", "residual_diff_threshold": "0.1", "fn_compute_blocks": "2"},
        "vae_tiling": {"enabled": True},
        "loras": [{"path": "ink"}],
    }


def test_a_transparent_mask_is_read_by_its_alpha_and_an_opaque_one_by_its_light() -> None:
    by_alpha = Image.new("RGBA", (2, 1), (255, 255, 255, 255))
    by_alpha.putpixel((0, 0), (0, 0, 0, 0))
    assert list(repaint_mask(by_alpha).tobytes()) == [255, 0]
    by_light = Image.new("RGBA", (2, 1), (255, 255, 255, 255))
    by_light.putpixel((1, 0), (0, 0, 0, 255))
    assert list(repaint_mask(by_light).tobytes()) == [255, 0]
