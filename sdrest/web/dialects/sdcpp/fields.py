"""Fields of stable-diffusion.cpp's own server API (its ``api.md``) and the parameters that they set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sdrest.core.errors import InvalidInput
from sdrest.core.names import HiresUpscaler
from sdrest.core.parameters import RANDOM_SEED
from sdrest.web.http.bodies import parse_json

_PLAIN: Final = (
    "prompt", "negative_prompt", "clip_skip", "width", "height", "strength", "seed", "batch_count", "increase_ref_index",
    "control_strength", "model", "video_frames", "fps", "moe_boundary", "vace_strength", "upscale_model", "upscale_factor",
    "preview",
)  # fmt: skip
_RENAMED: Final = {
    "auto_resize_ref_image": "auto_resize_ref_images",
    "embed_image_metadata": "embed_metadata",
    "lora": "loras",
    "vae_tiling_params": "vae_tiling",
}
_SAMPLING: Final = {
    "sample_method": "sampler",
    "scheduler": "scheduler",
    "sample_steps": "steps",
    "eta": "eta",
    "shifted_timestep": "shifted_timestep",
    "flow_shift": "flow_shift",
}
_GUIDANCE: Final = {"txt_cfg": "cfg_scale", "img_cfg": "img_cfg_scale", "distilled_guidance": "guidance"}
_SLG: Final = {"layers": "layers", "layer_start": "start", "layer_end": "end", "scale": "scale"}
_HIGH_NOISE: Final = frozenset({"steps", "cfg_scale", "guidance", "sampler", "scheduler", "eta", "flow_shift"})
_HIRES: Final = {
    "enabled": "enabled",
    "scale": "scale",
    "target_width": "target_width",
    "target_height": "target_height",
    "steps": "steps",
    "denoising_strength": "strength",
    "upscale_tile_size": "tile_size",
}
#: Names of the built-in upscalers as A1111 and the sdcpp API write them.
HIRES_UPSCALERS: Final = {
    "Latent": HiresUpscaler.LATENT,
    "Latent (nearest)": HiresUpscaler.LATENT_NEAREST,
    "Latent (nearest-exact)": HiresUpscaler.LATENT_NEAREST_EXACT,
    "Latent (antialiased)": HiresUpscaler.LATENT_ANTIALIASED,
    "Latent (bicubic)": HiresUpscaler.LATENT_BICUBIC,
    "Latent (bicubic antialiased)": HiresUpscaler.LATENT_BICUBIC_ANTIALIASED,
    "Lanczos": HiresUpscaler.LANCZOS,
    "Nearest": HiresUpscaler.NEAREST,
}
_UPSCALERS_FOLDED: Final = {name.casefold(): value for name, value in HIRES_UPSCALERS.items()}
#: ``cache_option`` keys where they differ from the parameter's name.
_CACHE_OPTIONS: Final = {
    "threshold": "reuse_threshold",
    "start": "start_percent",
    "end": "end_percent",
    "decay": "error_decay_rate",
    "relative": "use_relative_threshold",
    "reset": "reset_error_on_compute",
    "Fn": "fn_compute_blocks",
    "Bn": "bn_compute_blocks",
    "warmup": "max_warmup_steps",
    "w": "spectrum_w",
    "m": "spectrum_m",
    "lam": "spectrum_lam",
    "window": "spectrum_window_size",
    "flex": "spectrum_flex_window",
    "stop": "spectrum_stop_percent",
}

_EXTRA_ARGS: Final = re.compile(r"<sd_cpp_extra_args>(.*?)</sd_cpp_extra_args>", re.DOTALL)

#: Picture fields; the parameters have the same names.
PICTURES: Final = ("init_image", "mask_image", "control_image", "ref_images", "end_image", "control_frames")


def parameters_from(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a body of the sdcpp API sets; nulls and fields that are not known are left out."""
    values = {name: body[name] for name in _PLAIN if body.get(name) is not None}
    values |= {there: body[here] for here, there in _RENAMED.items() if body.get(here) is not None}
    if isinstance(seed := values.get("seed"), int | float) and seed < 0:
        values["seed"] = RANDOM_SEED
    sampling = _object(body, "sample_params")
    values |= _sampled(sampling)
    if sampling.get("custom_sigmas"):
        values["custom_sigmas"] = sampling["custom_sigmas"]
    slg = _object(_object(sampling, "guidance"), "slg")
    if slg:
        values["skip_layers"] = _taken(slg, _SLG)
    if high := _object(body, "high_noise_sample_params"):
        values["high_noise"] = {name: value for name, value in _sampled(high).items() if name in _HIGH_NOISE}
    if hires := _object(body, "hires"):
        values["hires"] = _taken(hires, _HIRES) | hires_upscaler(str(hires.get("upscaler") or ""))
    if (mode := body.get("cache_mode")) and mode != "disabled":
        values["cache"] = _cache(body, str(mode))
    return values


def take_extra_args(prompt: str) -> tuple[str, dict[str, Any]]:
    """A prompt without its ``<sd_cpp_extra_args>{…}</sd_cpp_extra_args>`` block, and the block's fields (sdcpp names).

    Clients of stable-diffusion.cpp's own server put fields there that the OpenAI and A1111 bodies have no place for.

    Raises:
        InvalidInput: the block is not a JSON object.
    """
    match = _EXTRA_ARGS.search(prompt)
    if match is None:
        return prompt, {}
    extra = parse_json(match[1], what="sd_cpp_extra_args", field="prompt")
    if not isinstance(extra, dict):
        raise InvalidInput("sd_cpp_extra_args must be a JSON object", field="prompt")
    return (prompt[: match.start()] + prompt[match.end() :]).strip(), extra


def hires_upscaler(name: str) -> dict[str, Any]:
    """The hires fields that an upscaler's name sets: one of the built-in ones, or an ESRGAN model."""
    if not name or name.casefold() == "none":
        return {}
    known = _UPSCALERS_FOLDED.get(name.casefold())
    if known is not None:
        return {"upscaler": str(known)}
    return {"upscaler": str(HiresUpscaler.MODEL), "upscale_model": name}


def _sampled(sampling: Mapping[str, Any]) -> dict[str, Any]:
    return _taken(sampling, _SAMPLING) | _taken(_object(sampling, "guidance"), _GUIDANCE)


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}


def _taken(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {there: body[here] for here, there in names.items() if body.get(here) is not None}


def _cache(body: Mapping[str, Any], mode: str) -> dict[str, Any]:
    cache: dict[str, Any] = {"mode": mode}
    for part in str(body.get("cache_option") or "").split(","):
        key, equals, value = part.partition("=")
        if equals:
            cache[_cache_field(key.strip(), mode)] = value.strip()
    if body.get("scm_mask"):
        cache["scm_mask"] = body["scm_mask"]
    if body.get("scm_policy_dynamic") is not None:
        cache["scm_policy_dynamic"] = body["scm_policy_dynamic"]
    return cache


def _cache_field(key: str, mode: str) -> str:
    if key == "threshold" and mode not in {"easycache", "ucache"}:
        return "residual_diff_threshold"
    if key == "warmup" and mode == "spectrum":
        return "spectrum_warmup_steps"
    return _CACHE_OPTIONS.get(key, key)
