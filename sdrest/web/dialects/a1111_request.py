"""From a txt2img or img2img body of the AUTOMATIC1111 API to parameters and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from PIL import Image, ImageFilter, ImageOps

from sdrest.core.errors import InvalidInput, Unsupported
from sdrest.core.names import Scheduler, parse_sampler
from sdrest.web.dialects.loose import take_extra_args
from sdrest.web.dialects.sdcpp_fields import hires_upscaler, parameters_from
from sdrest.web.dialects.submit import Wanted
from sdrest.web.pictures import read_picture, read_pictures

#: The dialect's names of parameters, for messages.
NAMES: Final = {
    "sampler": "sampler_name",
    "strength": "denoising_strength",
    "batch_count": "batch_size",
    "init_image": "init_images",
    "mask_image": "mask",
    "hires": "enable_hr",
    "control_net_model": "alwayson_scripts",
    "control_image": "alwayson_scripts",
}
_PLAIN: Final = ("negative_prompt", "seed", "steps", "cfg_scale", "width", "height", "clip_skip", "scheduler")
_NO_NAME: Final = frozenset({"", "none", "automatic"})
#: How a picture of another size is fitted: stretched, cut, or bordered (``resize_mode``).
_STRETCH, _CUT, _BORDER = range(3)


async def wanted_from(request: web.Request, body: Mapping[str, Any], options: Mapping[str, Any]) -> Wanted:
    """What the body asks for. ``options`` are those the caller has set before; ``override_settings`` go before them.

    Raises:
        InvalidInput: a picture cannot be used.
        Unsupported: the body asks for a script or a ControlNet feature that is not there.
    """
    prompt, extra = take_extra_args(_text(body.get("prompt")))
    overriding = body.get("override_settings") or {}
    if not isinstance(overriding, dict):
        raise InvalidInput("must be an object of option names and values", field="override_settings")
    settings = {**options, **overriding}
    wanted = Wanted(dialect="a1111", names=NAMES, values={"prompt": prompt})
    values = wanted.values
    values |= {name: body[name] for name in _PLAIN if body.get(name) is not None}
    values["batch_count"] = _number(body, "batch_size", 1) * _number(body, "n_iter", 1)
    values["model"] = settings.get("sd_model_checkpoint") or body.get("model") or None
    values["guidance"] = body.get("distilled_cfg_scale")
    values["loras"] = body.get("lora") or body.get("loras")
    values.setdefault("clip_skip", settings.get("CLIP_stop_at_last_layers"))
    vae = _text(settings.get("sd_vae"))
    if vae.lower() not in _NO_NAME:
        values["vae_model"] = vae
    if body.get("tiling"):
        values |= {"circular_x": True, "circular_y": True}
    # 1.0 is what clients send when nobody chose anything; it is right for some samplers and wrong for others.
    if body.get("eta") not in {None, 1}:
        values["eta"] = body["eta"]
    _sampler(body, wanted)
    if body.get("enable_hr"):
        values["hires"] = _hires(body)
    if task := body.get("force_task_id"):
        wanted.origin["task_id"] = str(task)
    values |= parameters_from(extra)
    if body.get("script_name"):
        raise Unsupported(f"there is no script {body['script_name']!r} here")
    await _scripts(request, body.get("alwayson_scripts") or {}, wanted)
    if body.get("extra_images"):
        wanted.pictures["ref_images"] = (await read_pictures(request, {"extra_images": body["extra_images"]}))[
            "extra_images"
        ]
    return wanted


async def add_init_image(request: web.Request, body: Mapping[str, Any], wanted: Wanted) -> None:
    """What img2img has beyond txt2img: the picture, the mask, and how much may change.

    Raises:
        InvalidInput: there is no picture, or one cannot be used.
    """
    images = body.get("init_images") or ()
    if not isinstance(images, Sequence) or isinstance(images, str) or not images:
        raise InvalidInput("at least one picture is needed", field="init_images")
    picture = await read_picture(request, str(images[0]), field="init_images.0")
    mode, size = _number(body, "resize_mode", 0), _size(body, picture)
    wanted.pictures["init_image"] = [_fitted(picture.convert("RGB"), size, mode)]
    wanted.values["strength"] = body.get("denoising_strength", 0.75)
    wanted.values["width"], wanted.values["height"] = size
    if body.get("mask"):
        mask = _mask(await read_picture(request, str(body["mask"]), field="mask"))
        if body.get("inpainting_mask_invert"):
            mask = ImageOps.invert(mask)
        if blur := max(_number(body, "mask_blur", 0), _number(body, "mask_blur_x", 0)):
            mask = mask.filter(ImageFilter.GaussianBlur(blur))
        wanted.pictures["mask_image"] = [_fitted(mask, size, mode)]


def _mask(picture: Image.Image) -> Image.Image:
    """White where to repaint; A1111's own page sends an RGBA drawing, whose opaque parts are meant."""
    if "A" in picture.getbands() and picture.getchannel("A").getextrema()[0] == 0:
        return picture.getchannel("A")
    return picture.convert("L")


def _size(body: Mapping[str, Any], picture: Image.Image) -> tuple[int, int]:
    return _number(body, "width", picture.width), _number(body, "height", picture.height)


def _fitted(picture: Image.Image, size: tuple[int, int], mode: int) -> Image.Image:
    if mode == _CUT:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    if mode == _BORDER:
        return ImageOps.pad(picture, size, Image.Resampling.LANCZOS)
    return picture


def _sampler(body: Mapping[str, Any], wanted: Wanted) -> None:
    """The sampler; one that is not there is replaced by the model's own with a warning: clients send the names of their day."""
    name = _text(body.get("sampler_name") or body.get("sampler_index"))
    if not name or name.lower() in _NO_NAME or parse_sampler(name) is not None:
        wanted.values["sampler"] = name or None
        return
    wanted.warnings.append(f"the sampler {name!r} is not known here; the model's own is used")
    last = name.split()[-1].lower()
    if last in set(Scheduler) and not body.get("scheduler"):
        wanted.values["scheduler"] = last


def _hires(body: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        "scale": body.get("hr_scale"),
        "target_width": body.get("hr_resize_x"),
        "target_height": body.get("hr_resize_y"),
        "steps": body.get("hr_second_pass_steps", body.get("hr_steps")),
        "strength": body.get("denoising_strength"),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return {"enabled": True, **given, **hires_upscaler(_text(body.get("hr_upscaler")))}


async def _scripts(request: web.Request, scripts: Mapping[str, Any], wanted: Wanted) -> None:
    """ControlNet from ``alwayson_scripts``; other scripts that would be at work are refused."""
    for name, script in scripts.items():
        arguments = script.get("args", ()) if isinstance(script, Mapping) else ()
        units = [unit for unit in arguments if isinstance(unit, Mapping)]
        if name.lower().startswith("controlnet"):
            active = [
                unit for unit in units if unit.get("enabled", True) and _text(unit.get("model")).lower() not in _NO_NAME
            ]
            if len(active) > 1:
                raise Unsupported("the native library takes one ControlNet unit at a time")
            if active:
                await _control(request, active[0], wanted)
        elif name.lower() == "adetailer" and units and (not arguments or arguments[0] is not False):
            raise Unsupported("there is no ADetailer here")


async def _control(request: web.Request, unit: Mapping[str, Any], wanted: Wanted) -> None:
    module = _text(unit.get("module")).lower()
    if module not in _NO_NAME and module != "canny":
        raise Unsupported(f"there is no ControlNet preprocessor {module!r} here; there are none and canny")
    text = unit.get("image") or unit.get("input_image")
    if isinstance(text, Mapping):
        text = text.get("image")
    if not text:
        raise InvalidInput("an enabled ControlNet unit needs an image", field="alwayson_scripts")
    wanted.pictures["control_image"] = [await read_picture(request, str(text), field="alwayson_scripts")]
    wanted.values |= {
        "control_net_model": _text(unit.get("model")),
        "control_strength": unit.get("weight"),
        "canny": module == "canny",
    }
    if unit.get("guidance_start") or unit.get("guidance_end") not in {None, 1}:
        wanted.warnings.append("guidance_start and guidance_end are not supported: the ControlNet works in every step")


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InvalidInput("must be a whole number", field=name) from None


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
