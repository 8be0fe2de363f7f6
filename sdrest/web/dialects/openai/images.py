"""The OpenAI image API under ``/v1``, as the ``openai`` SDK, litellm, Open WebUI and others speak it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import InvalidInput
from sdrest.core.job import Job
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.parameters import GenerationParameters
from sdrest.web.dialects.openai import replies
from sdrest.web.dialects.openai.bodies import ImageBody
from sdrest.web.dialects.openai.editing import edited, edits_by_reference
from sdrest.web.dialects.openai.inputs import (
    Request,
    model_name,
    picture_values,
    read_request,
)
from sdrest.web.dialects.openai.repeats import submitted_once
from sdrest.web.dialects.openai.streams import wants_event
from sdrest.web.http.keys import JOBS, MODELS
from sdrest.web.http.operations import FORM, Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.results import wait_until_completed
from sdrest.web.requests.submission import Mode, Pictures, chosen_model

_VARIATION_STRENGTH: Final = 0.6
_NAMES: Final = {
    "batch_count": "n",
    "width": "size",
    "height": "size",
    "init_image": "image",
    "ref_images": "image",
    "mask_image": "mask",
}
MODE: Final = Mode.loose("openai", GenerationParameters, _NAMES)

_FILES: Final = ("image", "mask")
_ERROR: Final = dict[str, dict[str, Any]]
_SUBMIT_ERRORS: Final = (404, 409, 422, 507)
_IMAGES: Final = Reply(dict[str, Any], description="The pictures; with `stream` the events of the SDK instead")


async def _answer(
    request: web.Request, incoming: Request[ImageBody], values: dict[str, Any], pictures: Pictures, kind: str
) -> web.StreamResponse:
    """Submit, and answer with the pictures or with a stream of events.

    Raises:
        SdrestError: as :func:`sdrest.web.requests.submission.submitted` and
            :func:`sdrest.web.requests.results.wait_until_completed`.
    """
    body = incoming.body
    form = replies.asked_format(body, replies.response_format(body))
    warnings = replies.passed_over(body)

    async def submit() -> Job:
        return await submitted_once(request, MODE, values, incoming.digest, pictures=pictures, warnings=warnings)

    if not body.stream:
        job = await submit()
        return await replies.images_reply(request, await wait_until_completed(request, job), form)
    if body.partial_images:
        values.setdefault("preview", "proj")
    broadcast = request.app[JOBS].broadcast
    events = broadcast.subscribe(wants_event)
    try:
        job = await submit()
        return await replies.stream_reply(
            request, job, form, partial_images=body.partial_images, kind=kind, events=events
        )
    finally:
        broadcast.unsubscribe(events)


@operation("OpenAI", reply=_IMAGES, body=ImageBody, errors=_SUBMIT_ERRORS, error_schema=_ERROR)
async def generations(request: web.Request) -> web.StreamResponse:
    """Make pictures from a prompt.

    OpenAI's fields, and every generation parameter beside them. Other fields are ignored.
    """
    incoming = await read_request(request, ImageBody)
    if not incoming.body.prompt.strip():
        raise InvalidInput("a prompt is needed", field="prompt")
    return await _answer(request, incoming, picture_values(request, incoming.body), {}, "image_generation")


@operation(
    "OpenAI", reply=_IMAGES, body=ImageBody, body_type=FORM, files=_FILES, errors=_SUBMIT_ERRORS, error_schema=_ERROR
)
async def edits(request: web.Request) -> web.StreamResponse:
    """Change pictures by a prompt.

    One picture with a mask is repainted where the mask is transparent (or white, when the mask is opaque); one without is painted
    over, or given to an editing model as its reference; several are references. A form, or JSON with data URLs.
    """
    incoming = await read_request(request, ImageBody)
    if not incoming.pictures.get("image"):
        raise InvalidInput("a picture is needed", field="image")
    values = picture_values(request, incoming.body)
    by_reference = edits_by_reference(chosen_model(request, values["model"]))
    pictures = await asyncio.to_thread(edited, incoming.pictures, by_reference=by_reference)
    if "mask_image" in pictures:
        values.setdefault("strength", 1.0)
    return await _answer(request, incoming, values, pictures, "image_edit")


@operation(
    "OpenAI", reply=_IMAGES, body=ImageBody, body_type=FORM, files=_FILES, errors=_SUBMIT_ERRORS, error_schema=_ERROR
)
async def variations(request: web.Request) -> web.StreamResponse:
    """Make pictures like a given one."""
    incoming = await read_request(request, ImageBody)
    images = incoming.pictures.get("image", ())
    if not images:
        raise InvalidInput("a picture is needed", field="image")
    values = {"strength": _VARIATION_STRENGTH, **picture_values(request, incoming.body)}
    picture = await asyncio.to_thread(images[0].convert, "RGB")
    return await _answer(request, incoming, values, {"init_image": [picture]}, "image_variation")


@operation("OpenAI", reply=dict[str, Any], error_schema=_ERROR)
async def models(request: web.Request) -> web.Response:
    """The models that can be asked for."""
    usable = [model for model in request.app[MODELS].catalogue.of_type(MAIN_TYPES) if model.usable]
    return json_reply({"object": "list", "data": [_model_view(model) for model in usable]})


@operation("OpenAI", reply=dict[str, Any], errors=(404,), error_schema=_ERROR)
async def model(request: web.Request) -> web.Response:
    """One model, by any of its names."""
    name = request.match_info["name"]
    found = chosen_model(request, model_name(request, name))
    return json_reply({**_model_view(found), "id": name})


def _model_view(model: Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": model.mtime_ns // 10**9, "owned_by": "sdrest"}


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/v1/models", models),
    ("GET", "/v1/models/{name:.+}", model),
    ("POST", "/v1/images/generations", generations),
    ("POST", "/v1/images/edits", edits),
    ("POST", "/v1/images/variations", variations),
)
