"""Reading requests of the OpenAI API: JSON or forms, parameters under many names, pictures as files or URLs, both kinds of mask."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

import msgspec
from aiohttp import web
from PIL import Image

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput, ModelNotFound
from sdrest.core.model import MAIN_TYPES
from sdrest.core.parameters import GenerationParameters, limits_of
from sdrest.registry.defaults import defaults_of
from sdrest.web.dialects.openai.bodies import ImageBody, OpenAIBody, whole_number
from sdrest.web.dialects.openai.files import with_files
from sdrest.web.dialects.sdcpp.fields import parameters_from, take_extra_args
from sdrest.web.http.bodies import parse_json, read_file, read_object, read_parts, validate
from sdrest.web.http.keys import MODELS
from sdrest.web.requests.pictures import Sent, read_pictures
from sdrest.web.requests.submission import chosen_model

#: The parts and fields that hold pictures, and what they are here.
_PICTURE_FIELDS: Final = {
    "image": "image",
    "images": "image",
    "image_url": "image",
    "image_urls": "image",
    "input_reference": "image",
    "mask": "mask",
}
#: Names that clients send by habit and that mean no file: the caller's default model is used for them.
_PRODUCT_NAMES: Final = re.compile(
    r"(dall-e|(chat)?gpt-(image|\d)\w*|o\d|sora|sd-cpp-local|stable-diffusion)\b.*", re.IGNORECASE
)
#: A part that is one of several: ``image[]``, ``image[0]``.
_LIST_PART: Final = re.compile(r"(\w+)\[(\d{0,4})\]", re.ASCII)
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
}
#: By how much a quality changes the model's own number of steps.
_STEPS_FACTOR: Final = {"low": 0.5, "high": 1.5, "hd": 1.5}


B = TypeVar("B", bound=OpenAIBody)


@dataclass(frozen=True, slots=True)
class Request(Generic[B]):
    """A request's fields, its pictures by role (``image``, ``mask``), and a digest of both."""

    body: B
    pictures: Mapping[str, list[Image.Image]] = field(default_factory=dict)
    digest: str = ""


async def read_request(request: web.Request, kind: type[B]) -> Request[B]:
    """The request, whatever its encoding, its fields checked.

    Raises:
        InvalidInput: the body is not what its content type says, a field is wrong, or a picture cannot be used.
    """
    if request.content_type in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        fields, sent = await _read_form(request)
    else:
        fields = await read_object(request)
        sent = {name: list(_texts(fields.pop(name, None))) for name in _PICTURE_FIELDS}
    sent = {name: await with_files(request, items, name) for name, items in sent.items()}
    body = validate(kind, fields)
    digest = await asyncio.to_thread(digest_of, request.path, fields, sent)
    pictures: dict[str, list[Image.Image]] = {}
    for name, items in (await read_pictures(request, {name: items for name, items in sent.items() if items})).items():
        pictures.setdefault(_PICTURE_FIELDS[name], []).extend(items)
    return Request(body, pictures, digest)


async def _read_form(request: web.Request) -> tuple[dict[str, Any], dict[str, list[Sent]]]:
    fields: dict[str, Any] = {}
    sent: dict[str, list[tuple[int, Sent]]] = {}
    for part, value in (await read_parts(request)).items():
        match = _LIST_PART.fullmatch(part)
        name, index = (match[1], int(match[2] or 0)) if match else (part, 0)
        is_picture = name in _PICTURE_FIELDS
        if isinstance(value, web.FileField):
            if not is_picture:
                raise InvalidInput("this route takes no such file", field=name)
            sent.setdefault(name, []).append((index, await read_file(request, value)))
        elif not is_picture:
            fields[name] = _form_value(str(value))
        elif value:
            sent.setdefault(name, []).append((index, str(value)))
    # Parts without a number keep their order.
    return fields, {name: [item for _, item in sorted(items, key=itemgetter(0))] for name, items in sent.items()}


def digest_of(path: str, fields: Mapping[str, Any], sent: Mapping[str, list[Sent]] = MappingProxyType({})) -> str:
    """The same for the same request sent again; blocks."""
    found = hashlib.sha256(path.encode())
    found.update(msgspec.json.encode(fields, order="sorted"))
    for name, items in sorted(sent.items()):
        for item in items:
            found.update(f"{name} {len(item)} ".encode())
            found.update(item.encode() if isinstance(item, str) else item)
    return found.hexdigest()


def _form_value(text: str) -> Any:
    """A form field; lists and objects (``loras``) are written as JSON there."""
    if text[:1] in {"[", "{"}:
        with contextlib.suppress(InvalidInput):
            return parse_json(text)
        return text
    return None if text == "" else text


def _texts(value: Any) -> Iterator[str]:
    """The pictures' texts in a JSON value: one, a list, or objects with ``image_url``, ``url`` or ``b64_json``."""
    match value:
        case str() if value:
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case Mapping():
            for key in ("image_url", "file_id", "url", "b64_json", "data"):
                if value.get(key):
                    yield from _texts(value[key])
                    return
            raise InvalidInput("must have an image_url (an http(s) or data: URL) or a file_id", field="image")
        case _:
            return


def plain_values(request: web.Request, body: OpenAIBody) -> dict[str, Any]:
    """The parameters among a request's fields.

    Raises:
        InvalidInput: the prompt's embedded extras are not right, or ask for too many pictures.
        ModelNotFound: ``model`` is neither a file nor a name that OpenAI's clients send by habit.
    """
    beside = body.model_extra or {}
    values = {name: beside[name] for name in _PARAMETERS if name in beside}
    values |= {there: beside[here] for here, there in _ALSO_KNOWN_AS.items() if here in beside}
    values["prompt"], extra = take_extra_args(body.prompt)
    values |= {"model": body.model, **parameters_from(extra)}
    values["model"] = model_name(request, str(values["model"]))
    if body.size is not None:
        values["width"], values["height"] = body.size
    return values


def picture_values(request: web.Request, body: ImageBody) -> dict[str, Any]:
    """The parameters of a request for pictures: :func:`plain_values`, their number, their file format, and the steps that its
    quality means.

    Raises:
        InvalidInput, ModelNotFound: as :func:`plain_values`.
    """
    values = plain_values(request, body)
    count = body.n if body.n is not None else values.get("batch_count", 1)
    try:
        values["batch_count"] = whole_number(count, 1, bounds.OPENAI_PICTURES)
    except ValueError as error:
        raise InvalidInput(str(error), field="n") from None
    values |= {"output_format": body.output_format, "output_quality": max(1, body.output_compression)}
    factor = _STEPS_FACTOR.get(body.quality)
    if factor is not None and "steps" not in values:
        values["steps"] = max(1, round(defaults_of(chosen_model(request, values["model"])).steps * factor))
    return values


def model_name(request: web.Request, name: str) -> str:
    """The model to ask for; empty (the default one) for product names of OpenAI that no file or alias has.

    Raises:
        ModelNotFound: no such model.
    """
    try:
        return request.app[MODELS].catalogue.resolve(name, MAIN_TYPES).id if name else ""
    except ModelNotFound:
        if _PRODUCT_NAMES.fullmatch(name):
            return ""
        raise
