"""A1111's options: the model and the few settings by which its clients steer later requests, kept for each caller."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.names import PictureFormat
from sdrest.core.principal import Permission
from sdrest.web.dialects.a1111.bodies import OptionValues
from sdrest.web.dialects.a1111.replies import model_hash
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import LooseBody, read_body
from sdrest.web.http.keys import DEFAULT_MODEL, JOBS, MODELS, PRINCIPAL, RESIDENCY, SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.submission import chosen_model

#: What is there before anybody sets anything.
_DEFAULTS: Final = {"sd_vae": "Automatic", "CLIP_stop_at_last_layers": 1, "forge_additional_modules": []}
#: What is kept for a caller.
_KEPT: Final = frozenset({*_DEFAULTS, "samples_format", "jpeg_quality"})
#: What clients read and that is so whatever they set.
FIXED: Final = {
    "samples_save": True,
    "grid_save": False,
    "enable_pnginfo": True,
    "live_previews_enable": True,
    "show_progress_every_n_steps": 1,
    "img2img_fix_steps": True,
    "sd_checkpoints_limit": 1,
    "eta_noise_seed_delta": 0,
}


async def stored_options(request: web.Request) -> OptionValues:
    """What the caller has set, beside the model."""
    return OptionValues(**await _stored(request))


async def _stored(request: web.Request) -> dict[str, Any]:
    found: dict[str, Any] = await request.app[JOBS].store.get_value(_key(request)) or {}
    return {name: value for name, value in found.items() if name in _KEPT}


def _key(request: web.Request) -> str:
    return f"a1111.options:{request[PRINCIPAL].name}"


def title_of(model: Model) -> str:
    """The name by which A1111 calls a model: the file's, with the short hash once it is known."""
    short = model_hash(model)
    return f"{model.file_name} [{short}]" if short else model.file_name


@operation("A1111", reply=dict[str, Any], error_schema=dict[str, Any])
async def options(request: web.Request) -> web.Response:
    """The options, among them the model in use."""
    model, settings = chosen_model(request, ""), request.app[SETTINGS]
    body = {
        "sd_model_checkpoint": title_of(model),
        "sd_checkpoint_hash": model.sha256 or "",
        **_DEFAULTS,
        "samples_format": "jpg" if settings.output_format is PictureFormat.JPEG else str(settings.output_format),
        "jpeg_quality": settings.output_quality,
        **await _stored(request),
        **FIXED,
    }
    return json_reply(body)


@operation("A1111", reply=None, body=OptionValues, errors=(404, 422), error_schema=dict[str, Any])
async def set_options(request: web.Request) -> web.Response:
    """Set options; ``sd_model_checkpoint`` chooses the model. Others than those that ``GET`` shows are ignored."""
    body = await read_body(OptionValues, request)
    if name := body.sd_model_checkpoint:
        model = request.app[MODELS].catalogue.resolve(name, MAIN_TYPES)
        if model.id != chosen_model(request, "").id:
            await request.app[DEFAULT_MODEL].choose(model, request[PRINCIPAL])
    before = await _stored(request)
    after = {**before, **{name: getattr(body, name) for name in _KEPT & body.model_fields_set}}
    if after != before:
        await request.app[JOBS].store.set_value(_key(request), after)
    return json_reply(None)


@operation("A1111", reply=None, body=LooseBody, body_required=False, error_schema=dict[str, Any])
@requires(Permission.MANAGE_MODELS)
async def unload(request: web.Request) -> web.Response:
    """Give the memory of all loaded models back."""
    await request.app[RESIDENCY].unload()
    return json_reply(None)


@operation(
    "A1111", reply=None, body=LooseBody, body_required=False, errors=(404, 422, 507), error_schema=dict[str, Any]
)
async def reload(request: web.Request) -> web.Response:
    """Answer that the model is there; it is loaded by the next job that needs it."""
    chosen_model(request, "")
    return json_reply(None)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/sdapi/v1/options", options),
    ("POST", "/sdapi/v1/options", set_options),
    ("POST", "/sdapi/v1/unload-checkpoint", unload),
    ("POST", "/sdapi/v1/reload-checkpoint", reload),
)
