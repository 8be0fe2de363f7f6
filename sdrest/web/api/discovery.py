"""What a client may ask for: samplers, schedulers, and every parameter with its limits."""

from __future__ import annotations

import dataclasses
import typing
from enum import StrEnum
from typing import Any, Final, NotRequired

from aiohttp import web
from typing_extensions import TypedDict

from sdrest.core.names import SAMPLER_LABELS, SCHEDULER_LABELS, Sampler, Scheduler
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters, limits_of
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route

_SAMPLER_NOTES: Final[dict[Sampler, str]] = {
    Sampler.EULER: "First order, deterministic; the usual choice for flow models.",
    Sampler.EULER_A: "First order with fresh noise in every step; needs few steps, does not converge.",
    Sampler.HEUN: "Second order, two evaluations a step.",
    Sampler.DPM2: "Second order, two evaluations a step.",
    Sampler.DPMPP2S_A: "Second order, single step, with fresh noise.",
    Sampler.DPMPP2M: "Second order, multistep; good with the karras schedule.",
    Sampler.DPMPP2MV2: "Variant of DPM++ 2M with less error at few steps.",
    Sampler.IPNDM: "Pseudo-numerical multistep.",
    Sampler.IPNDM_V: "Pseudo-numerical multistep for uneven schedules.",
    Sampler.LCM: "For latent-consistency models: few steps, little guidance.",
    Sampler.DDIM_TRAILING: "DDIM with trailing time steps.",
    Sampler.TCD: "For trajectory-consistency models; eta sets the noise.",
    Sampler.RES_MULTISTEP: "Exponential multistep integrator.",
    Sampler.RES_2S: "Exponential integrator, two evaluations a step.",
    Sampler.ER_SDE: "Extended reverse-time stochastic solver.",
}
_ANCESTRAL: Final = frozenset({Sampler.EULER_A, Sampler.DPMPP2S_A, Sampler.LCM, Sampler.TCD, Sampler.ER_SDE})
_TWO_EVALUATIONS: Final = frozenset({Sampler.HEUN, Sampler.DPM2, Sampler.DPMPP2S_A, Sampler.RES_2S})
_SCHEDULER_NOTES: Final[dict[Scheduler, str]] = {
    Scheduler.DISCRETE: "The model's own time steps, evenly spaced.",
    Scheduler.KARRAS: "Denser at low noise (Karras et al. 2022).",
    Scheduler.EXPONENTIAL: "Evenly spaced in the logarithm of the noise.",
    Scheduler.AYS: "Tables tuned for SD1.5, SDXL and SVD (Align Your Steps).",
    Scheduler.GITS: "Tables found by search; needs at least 2 steps.",
    Scheduler.SGM_UNIFORM: "Even time steps without the last one.",
    Scheduler.SIMPLE: "Every n-th time step.",
    Scheduler.SMOOTHSTEP: "Denser at both ends.",
    Scheduler.KL_OPTIMAL: "Closed form that minimises a KL bound.",
    Scheduler.LCM: "For latent-consistency models.",
    Scheduler.BONG_TANGENT: "Two joined tangent curves.",
}
_PARTS: Final = {"text2img": GenerationParameters, "upscale": UpscaleParameters, "video": VideoParameters}


class SamplerView(TypedDict):
    """A sampling method."""

    name: str
    label: str
    aliases: list[str]
    description: str
    ancestral: bool
    evaluations_per_step: int


class Samplers(TypedDict):
    """All sampling methods."""

    samplers: list[SamplerView]


class SchedulerView(TypedDict):
    """A noise schedule."""

    name: str
    label: str
    aliases: list[str]
    description: str


class Schedulers(TypedDict):
    """All noise schedules."""

    schedulers: list[SchedulerView]


class ParameterView(TypedDict):
    """One parameter: its JSON type, default and limits."""

    type: str
    description: str
    default: NotRequired[Any]
    min: NotRequired[float]
    max: NotRequired[float]
    max_length: NotRequired[int]
    values: NotRequired[list[str]]
    model_type: NotRequired[str]
    fields: NotRequired[dict[str, Any]]


class Parameters(TypedDict):
    """The parameters of pictures, and of the other kinds of jobs."""

    parameters: dict[str, ParameterView]
    upscale: dict[str, ParameterView]
    video: dict[str, ParameterView]


@operation("discovery", reply=Samplers)
async def samplers(request: web.Request) -> web.Response:
    """All sampling methods and their properties."""
    del request
    found: list[SamplerView] = [
        {
            "name": sampler.value,
            "label": SAMPLER_LABELS[sampler],
            "aliases": _aliases(sampler, SAMPLER_LABELS[sampler]),
            "description": _SAMPLER_NOTES[sampler],
            "ancestral": sampler in _ANCESTRAL,
            "evaluations_per_step": 2 if sampler in _TWO_EVALUATIONS else 1,
        }
        for sampler in Sampler
    ]
    return json_reply({"samplers": found})


@operation("discovery", reply=Schedulers)
async def schedulers(request: web.Request) -> web.Response:
    """All noise schedules and their properties."""
    del request
    found: list[SchedulerView] = [
        {
            "name": scheduler.value,
            "label": SCHEDULER_LABELS[scheduler],
            "aliases": _aliases(scheduler, SCHEDULER_LABELS[scheduler]),
            "description": _SCHEDULER_NOTES[scheduler],
        }
        for scheduler in Scheduler
    ]
    return json_reply({"schedulers": found})


@operation("discovery", reply=Parameters)
async def parameters(request: web.Request) -> web.Response:
    """Every parameter with its type, default, limits and meaning; the same table validates requests."""
    del request
    tables = {name: table_view(table) for name, table in _PARTS.items()}
    return json_reply(
        {"parameters": tables["text2img"], "upscale": tables["upscale"], "video": tables["video"]},
    )


def table_view(table: type, rename: tuple[tuple[str, str], ...] = (("sampler", "sampling_method"),)) -> dict[str, Any]:
    """A parameter table under the names that the native routes use."""
    names = dict(rename)
    hints = typing.get_type_hints(table)
    return {names.get(item.name, item.name): _parameter(item, hints[item.name]) for item in dataclasses.fields(table)}


def _parameter(item: dataclasses.Field[Any], hint: Any) -> ParameterView:
    limits = limits_of(item)
    view: ParameterView = {"type": _type(hint), "description": limits.help}
    if limits.picture:
        view["type"] = "list of pictures" if typing.get_origin(hint) is tuple else "picture"
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        view["fields"] = table_view(hint)
        return view
    if item.default is not dataclasses.MISSING:
        view["default"] = item.default
    if limits.ge is not None:
        view["min"] = limits.ge
    if limits.le is not None:
        view["max"] = limits.le
    if limits.max_length is not None:
        view["max_length"] = limits.max_length
    if limits.model_type:
        view["model_type"] = limits.model_type
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        view["values"] = list(hint)
    return view


def _type(hint: Any) -> str:
    """The name of a JSON type."""
    if typing.get_origin(hint) is tuple:
        return f"list of {_type(typing.get_args(hint)[0])}"
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if options:
        return _type(options[0])
    if issubclass(hint, StrEnum):
        return "string"
    return {bool: "boolean", int: "integer", float: "number", str: "string"}.get(hint, "object")


def _aliases(name: str, label: str) -> list[str]:
    return [spelling for spelling in (label, f"k_{name}") if spelling != name]


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/samplers", samplers),
    ("GET", "/schedulers", schedulers),
    ("GET", "/parameters", parameters),
)
