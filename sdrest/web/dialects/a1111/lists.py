"""A1111's lists: what can be chosen, and the routes whose answer is always the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import psutil
from aiohttp import web

from sdrest.core.model import MAIN_TYPES, TEXT_ENCODER_TYPES, UPSCALER_TYPES, Model, ModelType
from sdrest.core.names import SAMPLER_LABELS, SCHEDULER_LABELS
from sdrest.core.principal import Permission
from sdrest.planning.checks import VIDEO_FAMILIES
from sdrest.registry.loading import missing_components
from sdrest.registry.presets import templates
from sdrest.web.dialects.a1111.names import upscaler_label
from sdrest.web.dialects.a1111.options import title_of
from sdrest.web.dialects.a1111.plots import PLOT, PROMPTS
from sdrest.web.dialects.a1111.replies import model_hash
from sdrest.web.dialects.sdcpp.fields import HIRES_UPSCALERS
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import LooseBody
from sdrest.web.http.keys import ENGINES, MODELS, REFRESHER, SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route

_ERROR: Final = dict[str, Any]


def usable_models(request: web.Request, wanted: ModelType) -> Iterable[Model]:
    """The models of these types that can be used."""
    return (model for model in request.app[MODELS].catalogue.of_type(wanted) if model.usable)


def _picture_models(request: web.Request) -> list[Model]:
    """The models that can make pictures with what is here."""
    catalogue = request.app[MODELS].catalogue
    return [
        model
        for model in usable_models(request, MAIN_TYPES)
        if not (model.architecture and model.architecture.family in VIDEO_FAMILIES)
        and not missing_components(catalogue, model)
    ]


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def samplers(_request: web.Request) -> web.Response:
    """The sampling methods."""
    return json_reply(
        [{"name": label, "aliases": [str(name), f"k_{name}"], "options": {}} for name, label in SAMPLER_LABELS.items()]
    )


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def schedulers(_request: web.Request) -> web.Response:
    """The noise schedules; ``automatic`` leaves the choice to the model."""
    names = {"automatic": "Automatic", **{str(name): label for name, label in SCHEDULER_LABELS.items()}}
    return json_reply(
        [
            {"name": name, "label": label, "aliases": [], "default_rho": -1, "need_inner_model": False}
            for name, label in names.items()
        ]
    )


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def upscalers(request: web.Request) -> web.Response:
    """The upscalers: resampling, and ESRGAN models."""
    plain = [_upscaler(name, None, 1 if name == "None" else 4) for name in ("None", "Lanczos", "Nearest")]
    models = usable_models(request, UPSCALER_TYPES)
    return json_reply(
        [*plain, *(_upscaler(upscaler_label(model), model, model.traits.get("scale", 4)) for model in models)]
    )


def _upscaler(name: str, model: Model | None, scale: int) -> dict[str, Any]:
    path = model.relative_path if model else None
    return {
        "name": name,
        "model_name": model.name if model else None,
        "model_path": path,
        "model_url": None,
        "scale": scale,
    }


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def latent_upscale_modes(_request: web.Request) -> web.Response:
    """The upscalers of the hires fix that need no model."""
    return json_reply([{"name": name} for name in HIRES_UPSCALERS if name.startswith("Latent")])


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def sd_models(request: web.Request) -> web.Response:
    """The models; ``title`` is what ``sd_model_checkpoint`` takes."""
    return json_reply(
        [
            {
                "title": title_of(model),
                "model_name": model.name,
                "hash": model_hash(model) or None,
                "sha256": model.sha256,
                "filename": model.relative_path,
                "config": None,
            }
            for model in await asyncio.to_thread(_picture_models, request)
        ]
    )


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def sd_vae(request: web.Request) -> web.Response:
    """The VAEs."""
    return json_reply(_files(usable_models(request, ModelType.VAE)))


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def sd_modules(request: web.Request) -> web.Response:
    """The VAEs and text encoders."""
    return json_reply(_files(usable_models(request, ModelType.VAE | TEXT_ENCODER_TYPES)))


def _files(models: Iterable[Model]) -> list[dict[str, Any]]:
    return [{"model_name": model.file_name, "filename": model.relative_path} for model in models]


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def loras(request: web.Request) -> web.Response:
    """The LoRAs, by the names that prompts use."""
    return json_reply(
        [
            {
                "name": model.name,
                "alias": model.title or model.name,
                "path": model.relative_path,
                "metadata": {"ss_base_model_version": model.base_model, "trigger_words": list(model.trigger_words)},
            }
            for model in usable_models(request, ModelType.LORA)
        ]
    )


@operation("A1111", reply=dict[str, Any], error_schema=_ERROR)
async def embeddings(request: web.Request) -> web.Response:
    """The textual-inversion embeddings."""
    loaded = {
        model.name: {
            "step": None,
            "sd_checkpoint": None,
            "sd_checkpoint_name": model.base_model,
            "shape": model.traits.get("hidden_size", 0),
            "vectors": model.traits.get("vectors", 1),
        }
        for model in usable_models(request, ModelType.EMBEDDING)
    }
    return json_reply({"loaded": loaded, "skipped": {}})


@operation("A1111", reply=list[dict[str, Any]], error_schema=_ERROR)
async def prompt_styles(request: web.Request) -> web.Response:
    """The prompt templates."""

    def read() -> list[dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for template in templates(request.app[MODELS].catalogue, ModelType.PROMPTS | ModelType.NEG_PROMPTS):
            style = found.setdefault(template.name, {"name": template.name, "prompt": "", "negative_prompt": ""})
            style["prompt"] = style["prompt"] or template.prompt
            style["negative_prompt"] = style["negative_prompt"] or template.negative_prompt
        return list(found.values())

    return json_reply(await asyncio.to_thread(read))


@operation("A1111", reply=dict[str, Any], error_schema=_ERROR)
async def memory(request: web.Request) -> web.Response:
    """The memory of the machine, in bytes; ``cuda`` is the first graphics processor, as it was when its engine started."""
    ram = await asyncio.to_thread(psutil.virtual_memory)
    ready = [engine.library for engine in request.app[ENGINES] if engine.library is not None]
    devices = [device for library in ready for device in library.devices if device.type in {"gpu", "igpu"}]
    cuda: dict[str, Any] = {"error": "unavailable"}
    if devices:
        free, total = devices[0].memory_free, devices[0].memory_total
        cuda = {"system": {"free": free, "used": total - free, "total": total}}
    return json_reply({"ram": {"free": ram.available, "used": ram.used, "total": ram.total}, "cuda": cuda})


@operation("A1111", reply=dict[str, Any], error_schema=_ERROR)
async def cmd_flags(request: web.Request) -> web.Response:
    """The command-line flags of that server that have a meaning here, without folders of this machine."""
    settings = request.app[SETTINGS]
    return json_reply(
        {
            "api": True,
            "nowebui": False,
            "listen": settings.host not in {"localhost", "127.0.0.1", "::1"},
            "port": settings.port,
            "cors_allow_origins": ",".join(settings.cors_origins) or None,
            "api_auth": None,
            "device_id": None,
            "lowvram": False,
            "medvram": False,
            "use_cpu": [],
        }
    )


@operation("A1111", reply=None, body=LooseBody, body_required=False, error_schema=_ERROR)
@requires(Permission.GENERATE)
async def refresh(request: web.Request) -> web.Response:
    """Look through the model folders again."""
    await request.app[REFRESHER].refresh()
    return json_reply(None)


def fixed(summary: str, value: Any, reply: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that always answers ``value``."""

    async def answer(_request: web.Request) -> web.Response:
        return json_reply(value)

    answer.__doc__ = summary
    return operation("A1111", reply=reply, error_schema=_ERROR)(answer)


_NO_MODELS: Final = list[dict[str, Any]]
#: By the second name webuiapi and others tell whether there is ControlNet.
_SCRIPTS: Final = {route: ["controlnet", "controlnet m2m", PROMPTS, PLOT] for route in ("txt2img", "img2img")}

ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/sdapi/v1/samplers", samplers),
    ("GET", "/sdapi/v1/schedulers", schedulers),
    ("GET", "/sdapi/v1/upscalers", upscalers),
    ("GET", "/sdapi/v1/latent-upscale-modes", latent_upscale_modes),
    ("GET", "/sdapi/v1/sd-models", sd_models),
    ("GET", "/sdapi/v1/sd-vae", sd_vae),
    ("GET", "/sdapi/v1/sd-modules", sd_modules),
    ("GET", "/sdapi/v1/loras", loras),
    ("GET", "/sdapi/v1/embeddings", embeddings),
    ("GET", "/sdapi/v1/memory", memory),
    ("GET", "/sdapi/v1/hypernetworks", fixed("Hypernetworks: none.", [], _NO_MODELS)),
    ("GET", "/sdapi/v1/face-restorers", fixed("Face restorers: none.", [], _NO_MODELS)),
    ("GET", "/sdapi/v1/realesrgan-models", fixed("RealESRGAN models: see upscalers.", [], _NO_MODELS)),
    ("GET", "/sdapi/v1/prompt-styles", prompt_styles),
    ("GET", "/sdapi/v1/scripts", fixed("Names of scripts.", _SCRIPTS, dict[str, list[str]])),
    ("GET", "/sdapi/v1/script-info", fixed("Details of scripts: none.", [], _NO_MODELS)),
    ("GET", "/sdapi/v1/extensions", fixed("Extensions: none.", [], _NO_MODELS)),
    ("GET", "/sdapi/v1/cmd-flags", cmd_flags),
    ("GET", "/internal/ping", fixed("A sign of life.", {}, dict[str, Any])),
    ("POST", "/sdapi/v1/refresh-checkpoints", refresh),
    ("POST", "/sdapi/v1/refresh-loras", refresh),
    ("POST", "/sdapi/v1/refresh-vae", refresh),
    ("POST", "/sdapi/v1/refresh-embeddings", refresh),
    ("POST", "/sdapi/v1/refresh-vae-and-text-encoders", refresh),
)
