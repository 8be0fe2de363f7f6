"""From a txt2img or img2img body of the AUTOMATIC1111 API to parameters and pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from PIL import Image, ImageFilter, ImageOps

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput, Unsupported
from sdrest.core.names import Scheduler, parse_sampler
from sdrest.core.parameters import MAX_SIDE_PX, MIN_SIDE_PX, GenerationParameters
from sdrest.jobs.allowance import Allowances
from sdrest.web.dialects.a1111.owners import DIALECT, origin_of
from sdrest.web.dialects.sdcpp.fields import hires_upscaler, parameters_from, take_extra_args
from sdrest.web.http.keys import PRINCIPAL
from sdrest.web.requests.pictures import Size, read_pictures
from sdrest.web.requests.submission import Mode

ALLOWANCES: Final = web.AppKey("allowances", Allowances)

GENERATION: Final = Mode.loose(
    DIALECT,
    GenerationParameters,
    {
        "sampler": "sampler_name",
        "strength": "denoising_strength",
        "batch_count": "batch_size",
        "init_image": "init_images",
        "mask_image": "mask",
        "hires": "enable_hr",
        "control_net_model": "alwayson_scripts",
        "control_image": "alwayson_scripts",
    },
)
_PLAIN: Final = ("negative_prompt", "seed", "steps", "cfg_scale", "width", "height", "clip_skip", "scheduler")
#: The dialect's fields of pictures, and the parameters that they are.
_PICTURES: Final = {
    "init_images": "init_image",
    "mask": "mask_image",
    "extra_images": "ref_images",
    "alwayson_scripts": "control_image",
}
_NO_NAME: Final = frozenset({"", "none", "automatic"})
#: How a picture of another size is fitted: stretched, cut, or bordered (``resize_mode``).
_STRETCH, _CUT, _BORDER = range(3)


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a body asks for: parameters, pictures by parameter, what to keep for later, and what was passed over."""

    values: dict[str, Any]
    pictures: dict[str, list[Image.Image]] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


async def asked_by(
    request: web.Request, body: Mapping[str, Any], options: Mapping[str, Any], *, from_picture: bool = False
) -> Asked:
    """What the body asks for, and its pictures.

    Args:
        request: Who asks.
        body: The body of txt2img or img2img.
        options: Those the caller has set before; ``override_settings`` go before them.
        from_picture: Whether it is img2img, which has a picture to start from, a mask, and how much may change.

    Raises:
        InvalidInput: a picture is missing or cannot be used, or a field is no number.
        Forbidden: the caller may not make pictures of that size.
        Unsupported: the body asks for a script or a ControlNet feature that is not there.
    """
    asked = _values_from(body, options)
    asked.origin |= origin_of(request, _text(body.get("force_task_id")))
    sent: dict[str, list[str]] = {}
    if unit := _control_unit(body.get("alwayson_scripts") or {}):
        sent["alwayson_scripts"] = [_control(unit, asked)]
    if body.get("extra_images"):
        sent["extra_images"] = _list(body, "extra_images")
    if not from_picture:
        pictures = await read_pictures(request, sent)
        asked.pictures |= {_PICTURES[field]: items for field, items in pictures.items()}
        return asked
    sent["init_images"] = _list(body, "init_images")[:1]
    if body.get("mask"):
        sent["mask"] = [str(body["mask"])]
    fit = _Fit(body)

    def made(sizes: Mapping[str, Sequence[Size]]) -> int:
        fit.measure(sizes["init_images"][0])
        request.app[ALLOWANCES].of(request[PRINCIPAL]).check_size(fit.width, fit.height)
        return fit.width * fit.height * (len(sizes["init_images"]) + len(sizes.get("mask", ())))

    pictures = await read_pictures(request, sent, made=made)
    asked.values |= {"strength": body.get("denoising_strength", 0.75), "width": fit.width, "height": fit.height}
    asked.pictures |= await asyncio.to_thread(_arranged, pictures, fit)
    return asked


def _values_from(body: Mapping[str, Any], options: Mapping[str, Any]) -> Asked:
    """Everything but the pictures."""
    prompt, extra = take_extra_args(_text(body.get("prompt")))
    overriding = body.get("override_settings") or {}
    if not isinstance(overriding, dict):
        raise InvalidInput("must be an object of option names and values", field="override_settings")
    settings = {**options, **overriding}
    asked = Asked(values={"prompt": prompt})
    values = asked.values
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
    if body.get("eta") not in (None, 1):
        values["eta"] = body["eta"]
    _sampler(body, asked)
    if body.get("enable_hr"):
        values["hires"] = _hires(body)
    values |= parameters_from(extra)
    if body.get("script_name"):
        raise Unsupported(f"there is no script {body['script_name']!r} here")
    return asked


class _Fit:
    """How the pictures of img2img are brought to the size that is asked for, and the mask is changed.

    Raises:
        InvalidInput: a field is no number, or out of range.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.mode = _number(body, "resize_mode", 0)
        self.width, self.height = _number(body, "width", 0), _number(body, "height", 0)
        self.blur = max(_number(body, "mask_blur", 0), _number(body, "mask_blur_x", 0))
        self.inverts = bool(body.get("inpainting_mask_invert"))
        self._given = {name for name in ("width", "height") if body.get(name) is not None}
        if self.blur > bounds.MASK_BLUR_PX:
            raise InvalidInput(f"must be at most {bounds.MASK_BLUR_PX} pixels", field="mask_blur")

    def measure(self, own: Size) -> None:
        """Take the sides that the body does not give from the picture of size ``own``; both must be such as can be made."""
        self.width = self.width if "width" in self._given else own[0]
        self.height = self.height if "height" in self._given else own[1]
        problems = [
            FieldProblem(name, f"{side} pixels: must be from {MIN_SIDE_PX} to {MAX_SIDE_PX}")
            for name, side in (("width", self.width), ("height", self.height))
            if not MIN_SIDE_PX <= side <= MAX_SIDE_PX
        ]
        if problems:
            raise InvalidInput(problems)

    def fitted(self, picture: Image.Image) -> Image.Image:
        """``picture`` in the size, unless it is to be stretched: that is done with every picture later."""
        size = (self.width, self.height)
        if self.mode == _CUT:
            return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        if self.mode == _BORDER:
            return ImageOps.pad(picture, size, Image.Resampling.LANCZOS)
        return picture


def _arranged(pictures: Mapping[str, Sequence[Image.Image]], fit: _Fit) -> dict[str, list[Image.Image]]:
    """The pictures of img2img by parameter; blocks."""
    found = {_PICTURES[field]: list(items) for field, items in pictures.items()}
    found["init_image"] = [fit.fitted(found["init_image"][0].convert("RGB"))]
    if "mask_image" in found:
        mask = _mask(found["mask_image"][0])
        if fit.inverts:
            mask = ImageOps.invert(mask)
        if fit.blur > 0:
            mask = mask.filter(ImageFilter.GaussianBlur(fit.blur))
        found["mask_image"] = [fit.fitted(mask)]
    return found


def _mask(picture: Image.Image) -> Image.Image:
    """White where to repaint; A1111's own page sends an RGBA drawing, whose opaque parts are meant."""
    if "A" in picture.getbands() and picture.getchannel("A").getextrema()[0] == 0:
        return picture.getchannel("A")
    return picture.convert("L")


def _sampler(body: Mapping[str, Any], asked: Asked) -> None:
    """The sampler; one that is not there is replaced by the model's own with a warning: clients send the names of their day."""
    name = _text(body.get("sampler_name") or body.get("sampler_index"))
    if not name or name.lower() in _NO_NAME or parse_sampler(name) is not None:
        asked.values["sampler"] = name or None
        return
    asked.warnings.append(f"the sampler {name!r} is not known here; the model's own is used")
    last = name.split()[-1].lower()
    if last in set(Scheduler) and not body.get("scheduler"):
        asked.values["scheduler"] = last


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


def _control_unit(scripts: Any) -> Mapping[str, Any] | None:
    """The ControlNet unit at work in ``alwayson_scripts``; other scripts that would be at work are refused."""
    if not isinstance(scripts, Mapping):
        raise InvalidInput("must be an object of scripts", field="alwayson_scripts")
    found = None
    for name, script in scripts.items():
        arguments = script.get("args", ()) if isinstance(script, Mapping) else ()
        if not isinstance(arguments, list):
            continue
        units = [unit for unit in arguments if isinstance(unit, Mapping)]
        if name.lower().startswith("controlnet"):
            active = [
                unit for unit in units if unit.get("enabled", True) and _text(unit.get("model")).lower() not in _NO_NAME
            ]
            if len(active) > 1:
                raise Unsupported("the native library takes one ControlNet unit at a time")
            found = active[0] if active else found
        elif name.lower() == "adetailer" and units and arguments[0] is not False:
            raise Unsupported("there is no ADetailer here")
    return found


def _control(unit: Mapping[str, Any], asked: Asked) -> str:
    """Put a ControlNet unit's values into ``asked``; its picture as it was sent."""
    module = _text(unit.get("module")).lower()
    if module not in _NO_NAME and module != "canny":
        raise Unsupported(f"there is no ControlNet preprocessor {module!r} here; there are none and canny")
    text = unit.get("image") or unit.get("input_image")
    if isinstance(text, Mapping):
        text = text.get("image")
    if not text:
        raise InvalidInput("an enabled ControlNet unit needs an image", field="alwayson_scripts")
    asked.values |= {
        "control_net_model": _text(unit.get("model")),
        "control_strength": unit.get("weight"),
        "canny": module == "canny",
    }
    if unit.get("guidance_start") or unit.get("guidance_end") not in (None, 1):
        asked.warnings.append("guidance_start and guidance_end are not supported: the ControlNet works in every step")
    return str(text)


def _list(body: Mapping[str, Any], name: str) -> list[str]:
    items = body.get(name)
    if not isinstance(items, list) or not items:
        raise InvalidInput("must be a list of at least one picture", field=name)
    return [str(item) for item in items]


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput("must be a whole number", field=name) from None


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
