"""The OpenAI image API under ``/v1``, as the ``openai`` SDK, litellm, Open WebUI and others speak it."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest.core import bounds
from sdrest.core.architecture import Architecture
from sdrest.core.errors import FieldProblem, InvalidInput, ModelNotFound
from sdrest.core.job import Job
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.parameters import GenerationParameters, limits_of
from sdrest.web.dialects.openai import replies
from sdrest.web.dialects.openai.inputs import Request, read_request, repaint_mask, repeated, transparency
from sdrest.web.dialects.sdcpp.fields import parameters_from
from sdrest.web.http.bodies import LooseBody
from sdrest.web.http.keys import JOBS, MODELS
from sdrest.web.http.operations import FORM, Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.loose_values import take_extra_args
from sdrest.web.requests.submission import Wanted, chosen_model, submit
from sdrest.web.requests.waiting import wait_until_completed

#: Names that clients send by habit and that mean no file: the caller's default model is used for them.
_PRODUCT_NAMES: Final = re.compile(
    r"(dall-e|gpt-image|chatgpt-image|gpt-4|gpt-5|sora|sd-cpp-local|stable-diffusion)\b.*", re.IGNORECASE
)
_SIZE: Final = re.compile(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})")
_FORMATS: Final = ("png", "jpeg", "webp")
#: Architectures that take a picture with an instruction as a reference, instead of painting over it.
_EDITING: Final = frozenset({Architecture.FLUX2, Architecture.FLUX2_KLEIN, Architecture.QWEN_IMAGE})
_EDITING_NAMES: Final = re.compile(r"kontext|edit|pix2pix", re.IGNORECASE)
_VARIATION_STRENGTH: Final = 0.6

#: Every plain parameter may be sent beside OpenAI's own fields (``extra_body`` of the SDK), under its own name or one of these.
_PARAMETERS: Final = frozenset(
    item.name for item in dataclasses.fields(GenerationParameters) if not limits_of(item).picture
)
_ALSO_KNOWN_AS: Final = {
    "sampling_method": "sampler",
    "sample_method": "sampler",
    "sampler_name": "sampler",
    "num_inference_steps": "steps",
    "cfg": "cfg_scale",
    "guidance_scale": "cfg_scale",
    "denoising_strength": "strength",
    "lora": "loras",
    "n": "batch_count",
}
_NAMES: Final = {"batch_count": "n", "width": "size", "height": "size"}

_ERROR: Final = dict[str, dict[str, Any]]
_SUBMIT_ERRORS: Final = (404, 409, 422, 507)
_IMAGES: Final = Reply(dict[str, Any], description="The pictures; with `stream` the events of the SDK instead")


async def submitted(
    request: web.Request, incoming: Request, values: dict[str, Any], pictures: dict[str, list[Image.Image]]
) -> Job:
    """The job for a request; the one of its first sending when the client sends it again.

    Raises:
        SdrestError: as :func:`sdrest.web.requests.submission.submit`.
    """
    earlier = await repeated(request, incoming.digest)
    if earlier is not None:
        return earlier
    wanted = Wanted(
        dialect="openai",
        values=values,
        pictures={name: items for name, items in pictures.items() if items},
        names=_NAMES,
        origin={"request": incoming.digest},
    )
    return await submit(request, wanted)


def plain_values(request: web.Request, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters among a request's fields.

    Raises:
        InvalidInput: ``n``, ``size`` or the prompt's embedded extras are not right.
        ModelNotFound: ``model`` is neither a file nor a name that OpenAI's clients send by habit.
    """
    values = {name: fields[name] for name in _PARAMETERS if name in fields}
    values |= {there: fields[here] for here, there in _ALSO_KNOWN_AS.items() if fields.get(here) is not None}
    values["prompt"], extra = take_extra_args(str(fields.get("prompt") or ""))
    values |= parameters_from(extra)
    values["model"] = model_name(request, str(values.get("model") or ""))
    count = str(values.get("batch_count") or 1)
    if not count.isdecimal() or not 1 <= int(count) <= bounds.OPENAI_PICTURES:
        raise InvalidInput(f"must be a whole number from 1 to {bounds.OPENAI_PICTURES}", field="n")
    values["batch_count"] = int(count)
    if size := asked_size(fields):
        values["width"], values["height"] = size
    return values


def model_name(request: web.Request, name: str) -> str:
    """The model to ask for; empty (the default one) for product names of OpenAI that no file or alias has.

    Raises:
        ModelNotFound: no such model.
    """
    try:
        return request.app[MODELS].resolve(name, MAIN_TYPES).id if name else ""
    except ModelNotFound:
        if _PRODUCT_NAMES.fullmatch(name):
            return ""
        raise


def asked_size(fields: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height in pixels; None for ``auto``.

    Raises:
        InvalidInput: it is not written as ``WIDTHxHEIGHT``.
    """
    text = str(fields.get("size") or "auto").strip()
    if text.lower() == "auto":
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidInput("must be auto or WIDTHxHEIGHT in pixels, for example 512x512", field="size")
    return int(match[1]), int(match[2])


def asked_format(fields: Mapping[str, Any]) -> replies.Format:
    """How the client wants its pictures.

    Raises:
        InvalidInput: a value is none of those that there are.
    """
    problems = []
    output_format = str(fields.get("output_format") or "png").lower().replace("jpg", "jpeg")
    if output_format not in _FORMATS:
        problems.append(FieldProblem("output_format", f"must be one of: {', '.join(_FORMATS)}"))
    response_format = str(fields.get("response_format") or "")
    if response_format not in {"", "url", "b64_json"}:
        problems.append(FieldProblem("response_format", "must be url or b64_json"))
    compression = str(fields.get("output_compression") or 100)
    if not compression.isdecimal() or int(compression) > 100:
        problems.append(FieldProblem("output_compression", "must be a whole number from 0 to 100"))
    if problems:
        raise InvalidInput(problems)
    quality = str(fields.get("quality") or "auto")
    return replies.Format(output_format, int(compression), response_format, quality)


async def answer(
    request: web.Request, incoming: Request, values: dict[str, Any], pictures: dict[str, list[Image.Image]], kind: str
) -> web.StreamResponse:
    """Submit, and answer with the pictures or with a stream of events.

    Raises:
        SdrestError: as :func:`submitted` and :func:`sdrest.web.requests.waiting.wait_until_completed`.
    """
    form = asked_format(incoming.fields)
    if str(incoming.fields.get("stream") or "").lower() not in {"true", "1"}:
        job = await submitted(request, incoming, values, pictures)
        return await replies.images_reply(request, await wait_until_completed(request, job), form)
    partial = str(incoming.fields.get("partial_images") or 0)
    if not partial.isdecimal() or int(partial) > 3:
        raise InvalidInput("must be a whole number from 0 to 3", field="partial_images")
    if int(partial):
        values.setdefault("preview", "proj")
    broadcast = request.app[JOBS].broadcast
    events = broadcast.subscribe(replies.wants_event)
    try:
        job = await submitted(request, incoming, values, pictures)
        return await replies.stream_reply(request, job, form, partial_images=int(partial), kind=kind, events=events)
    finally:
        broadcast.unsubscribe(events)


@operation("OpenAI", reply=_IMAGES, body=LooseBody, errors=_SUBMIT_ERRORS, error_schema=_ERROR)
async def generations(request: web.Request) -> web.StreamResponse:
    """Make pictures from a prompt.

    OpenAI's fields, and every generation parameter beside them. Other fields are ignored.
    """
    incoming = await read_request(request)
    if not str(incoming.fields.get("prompt") or "").strip():
        raise InvalidInput("a prompt is needed", field="prompt")
    return await answer(request, incoming, plain_values(request, incoming.fields), {}, "image_generation")


@operation("OpenAI", reply=_IMAGES, body=LooseBody, body_type=FORM, errors=_SUBMIT_ERRORS, error_schema=_ERROR)
async def edits(request: web.Request) -> web.StreamResponse:
    """Change pictures by a prompt.

    One picture with a mask is repainted where the mask is transparent (or white, when the mask is opaque); one without is painted
    over, or given to an editing model as its reference; several are references. A form, or JSON with data URLs.
    """
    incoming = await read_request(request)
    if not incoming.pictures.get("image"):
        raise InvalidInput("a picture is needed", field="image")
    values = plain_values(request, incoming.fields)
    by_reference = edits_by_reference(chosen_model(request, values["model"]))
    pictures = await asyncio.to_thread(_edited, incoming.pictures, by_reference=by_reference)
    if "mask_image" in pictures:
        values.setdefault("strength", 1.0)
    return await answer(request, incoming, values, pictures, "image_edit")


def _edited(sent: Mapping[str, list[Image.Image]], *, by_reference: bool) -> dict[str, list[Image.Image]]:
    """The pictures of an edit by parameter; blocks."""
    images, masks = sent["image"], sent.get("mask")
    mask = repaint_mask(masks[0]) if masks else transparency(images[0]) if len(images) == 1 else None
    if mask is not None:
        return {"init_image": [images[0].convert("RGB")], "mask_image": [mask], "ref_images": images[1:]}
    if len(images) > 1 or by_reference:
        return {"ref_images": images}
    return {"init_image": [images[0].convert("RGB")]}


@operation("OpenAI", reply=_IMAGES, body=LooseBody, body_type=FORM, errors=_SUBMIT_ERRORS, error_schema=_ERROR)
async def variations(request: web.Request) -> web.StreamResponse:
    """Make pictures like a given one."""
    incoming = await read_request(request)
    images = incoming.pictures.get("image", ())
    if not images:
        raise InvalidInput("a picture is needed", field="image")
    values = {"strength": _VARIATION_STRENGTH, **plain_values(request, incoming.fields)}
    picture = await asyncio.to_thread(images[0].convert, "RGB")
    return await answer(request, incoming, values, {"init_image": [picture]}, "image_variation")


def edits_by_reference(model: Model) -> bool:
    """Whether the model changes a picture by instruction."""
    return model.architecture in _EDITING or _EDITING_NAMES.search(model.name) is not None


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
