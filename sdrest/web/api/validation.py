"""Asking before submitting: would this be accepted, how long would it take, how much memory would it need."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import psutil
from aiohttp import web
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.parameters import GenerationParameters, to_json
from sdrest.jobs.timings import estimate_seconds
from sdrest.web.api.generate import SUBMIT_ERRORS
from sdrest.web.http.bodies import Body, read_json, validate
from sdrest.web.http.keys import ENGINES, INTAKE, TIMINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.native_modes import MODES, TEXT2IMG
from sdrest.web.requests.submission import submission
from sdrest.work.workshop import Workshop

WORKSHOP: Final = web.AppKey("workshop", Workshop)


class ValidateBody(Body):
    """The fields of the generation route that is meant, in any state."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text2img", "img2img", "inpainting", "controlnet", "upscale", "video"] = Field(
        "text2img", description="The route that is meant, POST /api/generate/<type>; its fields are given here as well."
    )


class Problem(TypedDict):
    """One thing wrong with one field."""

    field: str
    message: str


class Validation(TypedDict):
    """Whether a request would be accepted, and as what."""

    valid: bool
    errors: list[Problem]
    warnings: list[str]
    normalized: dict[str, Any] | None


class TimeView(TypedDict):
    """Expected time and where it comes from; null when nothing is known."""

    seconds: float | None
    basis: str


class MemoryView(TypedDict):
    """Expected memory in bytes; null where nothing is known."""

    model: int | None
    compute: int | None
    vae: int | None
    total: int | None
    available: int


class EstimateView(TypedDict):
    """Expected time and memory."""

    model: str
    time: TimeView
    memory: MemoryView
    fits: bool


@operation("discovery", body=ValidateBody, reply=Validation)
async def check(request: web.Request) -> web.Response:
    """Validate generation parameters without submitting them. All faults are told at once."""
    value = await read_json(request)
    mode = MODES[validate(ValidateBody, value).type]
    value.pop("type", None)
    try:
        asked = await submission(request, mode, value)
        with mode.naming():
            prepared = await request.app[INTAKE].check(asked)
    except InvalidInput as error:
        return json_reply(_invalid([{"field": item.field, "message": item.message} for item in error.problems]))
    except SdrestError as error:
        return json_reply(_invalid([{"field": "model", "message": error.message}]))
    normalized = {mode.names.get(name, name): item for name, item in to_json(prepared.parameters).items()}
    if prepared.model is not None and "model" in normalized:
        normalized["model"] = prepared.model.name
    reply: Validation = {"valid": True, "errors": [], "warnings": list(prepared.warnings), "normalized": normalized}
    return json_reply(reply)


def _invalid(problems: list[Problem]) -> Validation:
    return {"valid": False, "errors": problems, "warnings": [], "normalized": None}


@operation("discovery", body=TEXT2IMG.body, reply=EstimateView, errors=SUBMIT_ERRORS)
async def estimate(request: web.Request) -> web.Response:
    """Estimate the time, from what this machine has measured, and the memory of a generation."""
    asked = await submission(request, TEXT2IMG, await read_json(request))
    with TEXT2IMG.naming():
        prepared = await request.app[INTAKE].check(asked)
    parameters, model = prepared.parameters, prepared.model
    assert isinstance(parameters, GenerationParameters)
    assert model is not None
    expected = await estimate_seconds(
        request.app[TIMINGS],
        model.id,
        width=parameters.width,
        height=parameters.height,
        guided=parameters.cfg_scale != 1.0,
        steps=parameters.steps,
        count=parameters.batch_count,
    )
    demand = (await asyncio.to_thread(request.app[WORKSHOP].plan, model, parameters)).demand
    total = demand.weights + demand.compute
    available = psutil.virtual_memory().available + request.app[ENGINES].memory_bytes
    reply: EstimateView = {
        "model": model.name,
        "time": {"seconds": expected.seconds, "basis": expected.basis},
        "memory": {
            "model": demand.weights,
            "compute": demand.compute or None,
            "vae": None,
            "total": total,
            "available": min(available, demand.budget),
        },
        "fits": total < min(available, demand.budget),
    }
    return json_reply(reply)


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/validate", check),
    ("POST", "/estimate", estimate),
)
