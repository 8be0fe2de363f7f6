"""What the sdcpp API says of itself: the model in use, its defaults, and what can be chosen."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from sdrest.core.model import UPSCALER_TYPES, Model, ModelType
from sdrest.core.names import Sampler, Scheduler
from sdrest.core.parameters import (
    MAX_SIDE_PX,
    RANDOM_SEED,
    GenerationParameters,
    Hires,
    Tiling,
    VideoParameters,
    to_json,
)
from sdrest.planning.checks import VIDEO_FAMILIES
from sdrest.registry.defaults import Defaults, defaults_of
from sdrest.web.dialects.sdcpp.fields import HIRES_UPSCALERS
from sdrest.web.http.keys import MODELS, SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.requests.submission import chosen_model

IMAGE_FORMATS: Final = ("png", "jpeg", "webp")
VIDEO_FORMATS: Final = ("webm", "webp", "mp4", "gif")
_MIN_SIDE_PX: Final = 16
_MAX_BATCH: Final = 64
_SHARED_FEATURES: Final = ("init_image", "lora", "vae_tiling", "cache", "cancel_queued", "cancel_generating")
_FEATURES: Final = {
    "img_gen": (*_SHARED_FEATURES, "mask_image", "control_image", "ref_images", "hires"),
    "vid_gen": (*_SHARED_FEATURES, "end_image", "control_frames", "high_noise_sample_params"),
}


@operation("sdcpp", reply=dict[str, Any])
async def capabilities(request: web.Request) -> web.Response:
    """The default model, the defaults of each mode, and what can be chosen."""
    model = chosen_model(request, "")
    defaults = defaults_of(model)
    mode = "vid_gen" if model.architecture and model.architecture.family in VIDEO_FAMILIES else "img_gen"
    by_mode = {"img_gen": _image_defaults(defaults)} if mode == "img_gen" else {"vid_gen": _video_defaults(defaults)}
    formats = {"img_gen": list(IMAGE_FORMATS), "vid_gen": list(VIDEO_FORMATS)}
    features = dict.fromkeys(_FEATURES[mode], True)
    catalogue = request.app[MODELS].catalogue
    upscalers = ["None", *HIRES_UPSCALERS, *(item.name for item in catalogue.of_type(UPSCALER_TYPES) if item.usable)]
    return json_reply(
        {
            "model": {"name": model.file_name, "stem": model.name, "path": model.relative_path},
            "current_mode": mode,
            "supported_modes": [mode],
            "defaults": by_mode[mode],
            "defaults_by_mode": by_mode,
            "output_formats": formats[mode],
            "output_formats_by_mode": {mode: formats[mode]},
            "features": features,
            "features_by_mode": {mode: features},
            "samplers": list(Sampler),
            "schedulers": list(Scheduler),
            "loras": [_lora(item) for item in catalogue.of_type(ModelType.LORA) if item.usable],
            "upscalers": [{"name": name} for name in upscalers],
            "limits": {
                "min_width": max(_MIN_SIDE_PX, defaults.multiple),
                "max_width": MAX_SIDE_PX,
                "min_height": max(_MIN_SIDE_PX, defaults.multiple),
                "max_height": MAX_SIDE_PX,
                "max_batch_count": _MAX_BATCH,
                "max_queue_size": request.app[SETTINGS].max_pending_jobs,
            },
        }
    )


def _lora(model: Model) -> dict[str, str]:
    return {"name": model.name, "path": model.relative_path.partition("/")[2] or model.relative_path}


def _shared(defaults: Defaults) -> dict[str, Any]:
    plain = GenerationParameters()
    return {
        "prompt": "",
        "negative_prompt": "",
        "clip_skip": -1,
        "width": defaults.width,
        "height": defaults.height,
        "strength": plain.strength,
        "seed": RANDOM_SEED,
        "sample_params": _sampling(defaults, defaults.steps),
        "vae_tiling_params": to_json(Tiling()),
        "cache_mode": "disabled",
        "cache_option": "",
        "scm_mask": "",
        "scm_policy_dynamic": True,
        "output_compression": 100,
    }


def _sampling(defaults: Defaults, steps: int) -> dict[str, Any]:
    slg = GenerationParameters().skip_layers
    return {
        "scheduler": str(defaults.scheduler),
        "sample_method": str(defaults.sampler),
        "sample_steps": steps,
        "eta": None,
        "shifted_timestep": 0,
        "flow_shift": None,
        "guidance": {
            "txt_cfg": defaults.cfg_scale,
            "img_cfg": None,
            "distilled_guidance": defaults.guidance,
            "slg": {"layers": list(slg.layers), "layer_start": slg.start, "layer_end": slg.end, "scale": slg.scale},
        },
    }


def _image_defaults(defaults: Defaults) -> dict[str, Any]:
    plain, hires = GenerationParameters(), Hires()
    return {
        **_shared(defaults),
        "batch_count": plain.batch_count,
        "auto_resize_ref_image": plain.auto_resize_ref_images,
        "increase_ref_index": plain.increase_ref_index,
        "control_strength": plain.control_strength,
        "hires": {
            "enabled": hires.enabled,
            "upscaler": "Latent",
            "scale": hires.scale,
            "target_width": hires.target_width,
            "target_height": hires.target_height,
            "steps": hires.steps,
            "denoising_strength": hires.strength,
            "upscale_tile_size": hires.tile_size,
        },
        "output_format": IMAGE_FORMATS[0],
    }


def _video_defaults(defaults: Defaults) -> dict[str, Any]:
    plain = VideoParameters()
    return {
        **_shared(defaults),
        "video_frames": plain.video_frames,
        "fps": plain.fps,
        "moe_boundary": plain.moe_boundary,
        "vace_strength": plain.vace_strength,
        "high_noise_sample_params": _sampling(defaults, plain.high_noise.steps),
        "output_format": VIDEO_FORMATS[0],
    }
