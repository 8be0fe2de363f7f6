"""From a txt2img or img2img body of the AUTOMATIC1111 API to parameters and pictures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput, Unsupported
from sdrest.core.model import MAIN_TYPES, TEXT_ENCODER_TYPES, UPSCALER_TYPES, ModelType
from sdrest.core.names import Scheduler, parse_sampler
from sdrest.core.parameters import MAX_SIDE_PX, MIN_SIDE_PX, GenerationParameters
from sdrest.jobs.allowance import Allowances
from sdrest.outputs.infotext import parse_infotext
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.presets import find_template
from sdrest.web.dialects.a1111.bodies import ControlUnit, Image2Image, Making, OptionValues, Text2Image
from sdrest.web.dialects.a1111.fitting import Fit, control_fitted
from sdrest.web.dialects.a1111.names import upscaler_named
from sdrest.web.dialects.a1111.owners import DIALECT, origin_of
from sdrest.web.dialects.a1111.plots import script_named
from sdrest.web.dialects.a1111.scripts import control_unit, draws_prompts, ignored_parts, other_scripts
from sdrest.web.dialects.a1111.told import ignored_fields
from sdrest.web.dialects.sdcpp.fields import hires_upscaler, parameters_from, take_extra_args
from sdrest.web.http.keys import MODELS, PRINCIPAL
from sdrest.web.requests.infotexts import form_texts_of_infotext
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
        "guidance": "distilled_cfg_scale",
        "img_cfg_scale": "image_cfg_scale",
        "model": "override_settings.sd_model_checkpoint",
        "vae_model": "override_settings.sd_vae",
        "init_image": "init_images",
        "mask_image": "mask",
        "ref_images": "extra_images",
        "hires": "enable_hr",
        "hires.scale": "hr_scale",
        "hires.steps": "hr_second_pass_steps",
        "hires.target_width": "hr_resize_x",
        "hires.target_height": "hr_resize_y",
        "hires.upscaler": "hr_upscaler",
        "hires.upscale_model": "hr_upscaler",
        "hires.strength": "denoising_strength",
        "inpaint.padding": "inpaint_full_res_padding",
        "inpaint.blur": "mask_blur",
        "control_net_model": "alwayson_scripts",
        "control_strength": "alwayson_scripts",
        "control_image": "alwayson_scripts",
    },
)
_PLAIN: Final = ("negative_prompt", "seed", "steps", "cfg_scale", "width", "height", "clip_skip", "scheduler")
#: The dialect's fields of pictures that are taken as they are, and the parameters that they are.
_CONTROL: Final = "alwayson_scripts"
_PICTURES: Final = {"extra_images": "ref_images", _CONTROL: "control_image"}
_NO_NAME: Final = frozenset({"", "none", "automatic"})
#: Which component a file is that Forge calls a module.
_MODULES: Final = {
    ModelType.VAE: "vae_model",
    ModelType.CLIP_L: "clip_l_model",
    ModelType.CLIP_G: "clip_g_model",
    ModelType.T5XXL: "t5xxl_model",
    ModelType.LLM: "llm_model",
    ModelType.LLM_VISION: "llm_vision_model",
}


_MODULE_TYPES: Final = ModelType.VAE | TEXT_ENCODER_TYPES


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a body asks for: parameters, pictures by parameter, what to keep for later, and what was passed over."""

    values: dict[str, Any]
    pictures: dict[str, list[Image.Image]] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


async def asked_by(request: web.Request, body: Text2Image | Image2Image, options: OptionValues) -> Asked:
    """What the body asks for, and its pictures.

    Args:
        request: Who asks.
        body: The body of txt2img, or of img2img, which has a picture to start from, a mask, and how much may change.
        options: Those the caller has set before; ``override_settings`` go before them.

    Raises:
        InvalidInput: a picture is missing or cannot be used, or a number is out of range.
        Forbidden: the caller may not make pictures of that size.
        Unsupported: the body asks for what is not there.
    """
    catalogue = request.app[MODELS].catalogue
    asked = await asyncio.to_thread(values_from, body, options, catalogue)
    asked.origin |= origin_of(request, body.force_task_id)
    sent: dict[str, Sequence[str]] = {"extra_images": body.extra_images} if body.extra_images else {}
    if unit := control_unit(body.alwayson_scripts):
        _take_control(unit, asked)
        sent[_CONTROL] = [unit.picture]
    if isinstance(body, Text2Image):
        pictures = await read_pictures(request, sent, made=lambda sizes: _pixels(asked) * len(sizes.get(_CONTROL, ())))
    else:
        pictures = await _read_started(request, body, sent, asked)
    if unit and _pixels(asked):
        size = asked.values["width"], asked.values["height"]
        pictures[_CONTROL] = [await asyncio.to_thread(control_fitted, pictures[_CONTROL][0], size, unit.resize_mode)]
    asked.pictures |= {_PICTURES[name]: items for name, items in pictures.items() if name in _PICTURES}
    return asked


def _pixels(asked: Asked) -> int:
    """The pixels of a picture of the size that is asked for; 0 when none is, or one that will be refused."""
    sides = [asked.values.get(name) for name in ("width", "height")]
    known = [side for side in sides if isinstance(side, int) and MIN_SIDE_PX <= side <= MAX_SIDE_PX]
    return known[0] * known[1] if len(known) == len(sides) else 0


async def _read_started(
    request: web.Request, body: Image2Image, sent: dict[str, Sequence[str]], asked: Asked
) -> dict[str, list[Image.Image]]:
    """Read the pictures of img2img, with the others; what they are to become is put into ``asked``."""
    if not body.init_images:
        raise InvalidInput("must be a list of at least one picture", field="init_images")
    sent["init_images"] = body.init_images[:1]
    if body.mask:
        sent["mask"] = [body.mask]
    fit = Fit(body)

    def made(sizes: Mapping[str, Sequence[Size]]) -> int:
        fit.measure(sizes["init_images"][0])
        request.app[ALLOWANCES].of(request[PRINCIPAL]).check_size(fit.width, fit.height)
        return fit.width * fit.height * sum(len(sizes.get(name, ())) for name in ("init_images", "mask", _CONTROL))

    pictures = await read_pictures(request, sent, made=made)
    strength = 0.75 if body.denoising_strength is None else body.denoising_strength
    asked.values |= {"strength": strength, **fit.parameters(masked=bool(body.mask))}
    asked.warnings += fit.warnings
    asked.pictures |= await asyncio.to_thread(fit.arranged, pictures)
    return pictures


def values_from(body: Text2Image | Image2Image, options: OptionValues, catalogue: Catalogue) -> Asked:
    """Everything but the pictures. Reads files."""
    if body.script_name.lower() not in _NO_NAME and not script_named(body.script_name):
        raise Unsupported(f"there is no script {body.script_name!r} here")
    if body.restore_faces:
        raise Unsupported(
            "there is no face restoration here (restore_faces): it needs models that this server does not run"
        )
    asked = Asked(values={})
    values = asked.values
    if body.infotext:
        values |= _written(body.infotext, catalogue, asked.warnings)
    prompt, extra = take_extra_args(body.prompt)
    if prompt or not values.get("prompt"):
        values["prompt"] = prompt
    given = {name: getattr(body, name) for name in _PLAIN if name in body.model_fields_set}
    values |= {name: value for name, value in given.items() if value is not None}
    _sampler(body, asked)
    values["batch_count"] = body.batch_size * body.n_iter
    values |= _chosen(body, options, catalogue)
    if body.distilled_cfg_scale is not None:
        values["guidance"] = body.distilled_cfg_scale
    if body.lora or body.loras:
        values["loras"] = body.lora or body.loras
    if draws_prompts(body.alwayson_scripts):
        values["dynamic_prompts"] = True
        if body.batch_size * body.n_iter > 1:
            asked.warnings.append("Dynamic Prompts draws one text for all pictures of a request")
    if body.tiling:
        values |= {"circular_x": True, "circular_y": True}
    # 1.0 is what clients send when nobody chose anything; it is right for some samplers and wrong for others.
    if body.eta not in {None, 1.0}:
        values["eta"] = body.eta
    if isinstance(body, Image2Image) and body.image_cfg_scale is not None:
        values["img_cfg_scale"] = body.image_cfg_scale
    if isinstance(body, Text2Image) and body.enable_hr:
        values["hires"] = _hires(body, catalogue)
    asked.warnings += _styled(body.styles, catalogue, values)
    asked.warnings += [*ignored_fields(body), *other_scripts(body.alwayson_scripts)]
    values |= parameters_from(extra)
    return asked


def _written(infotext: str, catalogue: Catalogue, warnings: list[str]) -> dict[str, Any]:
    """The parameters in a text that A1111 or sdrest wrote; a model that is not here is told."""
    if len(infotext) > bounds.INFOTEXT:
        raise InvalidInput(f"must have at most {bounds.INFOTEXT} characters", field="infotext")
    found = form_texts_of_infotext(parse_infotext(infotext))
    values: dict[str, Any] = dict(found.texts)
    if found.loras:
        values["loras"] = [{"name": name, "multiplier": weight} for name, weight in found.loras]
    for name, wanted in (("model", MAIN_TYPES), ("vae_model", ModelType.VAE)):
        if name in values and catalogue.find(values[name], wanted) is None:
            warnings.append(f"the infotext names {values.pop(name)!r}, which is not here")
    return values


def _chosen(body: Making, options: OptionValues, catalogue: Catalogue) -> dict[str, Any]:
    """Model, components, clip skip and file format, by the body's options, or else by those that were set before."""
    now, before = body.override_settings, options
    values: dict[str, Any] = {}
    if model := now.sd_model_checkpoint or before.sd_model_checkpoint or body.model:
        values["model"] = model
    vae = now.sd_vae or before.sd_vae
    if vae.lower() not in _NO_NAME:
        values["vae_model"] = vae
    if body.clip_skip is None:
        clip_skip = before.CLIP_stop_at_last_layers
        if now.CLIP_stop_at_last_layers is not None:
            clip_skip = now.CLIP_stop_at_last_layers
        if clip_skip is not None:
            values["clip_skip"] = clip_skip
    if (form := now.picture_format or before.picture_format) is not None:
        values["output_format"] = str(form)
    quality = before.jpeg_quality if now.jpeg_quality is None else now.jpeg_quality
    if quality is not None:
        values["output_quality"] = max(1, min(100, quality))
    modules = before.forge_additional_modules if now.forge_additional_modules is None else now.forge_additional_modules
    for name in modules or ():
        if name.lower() in _NO_NAME:
            continue
        # Forge's clients send paths of its machine; the file's name is what tells.
        file_name = name.replace("\\", "/").rpartition("/")[2]
        module = catalogue.find(name, _MODULE_TYPES) or catalogue.resolve(file_name, _MODULE_TYPES)
        values[_MODULES[module.type]] = module.name
    return values


def _sampler(body: Making, asked: Asked) -> None:
    """The sampler; one that is not there is replaced by the model's own with a warning: clients send the names of their day."""
    name = body.sampler_name or body.sampler_index
    if name.lower() in _NO_NAME:
        return
    if parse_sampler(name) is not None:
        asked.values["sampler"] = name
        return
    asked.warnings.append(f"the sampler {name!r} is not known here; the model's own is used")
    last = name.split()[-1].lower()
    if last in set(Scheduler) and not body.scheduler:
        asked.values["scheduler"] = last


def _hires(body: Text2Image, catalogue: Catalogue) -> dict[str, Any]:
    steps = body.hr_steps if body.hr_second_pass_steps is None else body.hr_second_pass_steps
    fields = {
        "scale": body.hr_scale,
        "target_width": body.hr_resize_x,
        "target_height": body.hr_resize_y,
        "steps": steps,
        "strength": body.denoising_strength,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    upscaler = upscaler_named(body.hr_upscaler, catalogue.of_type(UPSCALER_TYPES))
    return {"enabled": True, **given, **hires_upscaler(upscaler)}


def _styled(styles: Sequence[str], catalogue: Catalogue, values: dict[str, Any]) -> Iterator[str]:
    """Put the prompts into the templates of these names; a sentence for each that is not there."""
    for name in styles:
        found = False
        for negative in (False, True):
            with contextlib.suppress(InvalidInput):
                template = find_template(catalogue, name, negative=negative)
                values["prompt"] = template.around(str(values.get("prompt") or ""))
                values["negative_prompt"] = template.around_negative(str(values.get("negative_prompt") or ""))
                found = True
        if not found:
            yield f"the style {name!r} is not here and has no effect"


def _take_control(unit: ControlUnit, asked: Asked) -> None:
    """Put a ControlNet unit's values into ``asked``."""
    asked.values |= {"control_net_model": unit.model, "canny": unit.module.lower() == "canny"}
    if unit.weight is not None:
        asked.values["control_strength"] = unit.weight
    asked.warnings += ignored_parts(unit)
