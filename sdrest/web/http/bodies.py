"""What clients send, read within bounds and checked: bodies, JSON, forms, queries.

What cannot be read is the client's mistake, never a 500. A checked body tells everything that is wrong with it at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDictProxy
from pydantic import BaseModel, ConfigDict, ValidationError

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput, SdrestError, did_you_mean
from sdrest.web.http.keys import HELD, REQUEST_ID, SETTINGS

log = structlog.get_logger(__name__)

#: Bodies up to this size are read at once: a worker thread would cost more than it spares the event loop.
INLINE_BYTES: Final = 64 * 1024
_LARGEST_NUMBER: Final = 10**bounds.JSON_DIGITS
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)

Q = TypeVar("Q", bound=BaseModel)


class Body(BaseModel):
    """Base of all JSON bodies of the native API."""

    # Built when first used: most bodies never are, and all of them together take as long as the rest of the start.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_enum_values=False, defer_build=True)


class LooseBody(BaseModel):
    """Any object: fields that are not known are ignored."""

    model_config = ConfigDict(extra="allow", defer_build=True)


@contextmanager
def readable(request: web.Request, what: str = "the body") -> Iterator[None]:
    """Turn whatever goes wrong while a body is read into an error of the client's; what nobody thought of is logged with its trace.

    Raises:
        InvalidInput: the block failed.
    """
    try:
        yield
    except (SdrestError, web.HTTPException, ConnectionError):
        raise
    except (HttpProcessingError, ValueError, LookupError, AssertionError) as error:
        reason = error.message if isinstance(error, HttpProcessingError) else str(error)
        raise InvalidInput(f"{what} cannot be read: {reason or type(error).__name__}") from None
    except Exception as error:
        log.exception("a body could not be read", path=request.path)
        raise InvalidInput(f"{what} cannot be read (request {request[REQUEST_ID]})") from error


@contextmanager
def understandable(what: str = "the body") -> Iterator[None]:
    """Turn what nobody thought of while a read body is interpreted into an error of the client's; it is logged with its trace.

    Raises:
        InvalidInput: the block failed.
    """
    try:
        yield
    except (SdrestError, web.HTTPException, ValidationError, OSError):
        raise
    except Exception as error:
        log.exception("a body could not be understood")
        identity = structlog.contextvars.get_contextvars().get("request_id", "")
        raise InvalidInput(f"{what} cannot be understood (request {identity})") from error


async def read_bytes(request: web.Request, *, most: int | None = None) -> bytes:
    """The body. It is not kept by the request: it goes when the caller lets it go.

    Args:
        request: Whose body.
        most: Bytes that it may have; None: what the server's setting says.

    Raises:
        InvalidInput: it does not come as its head says.
        TooManyRequests: the server works on as many bodies as it may.
        web.HTTPRequestEntityTooLarge: it is larger than it may be.
    """
    largest = most or request.app[SETTINGS].max_body_bytes
    body = bytearray()
    with readable(request):
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > largest:
                raise web.HTTPRequestEntityTooLarge(largest)
            request[HELD].take_bytes(len(chunk))
    return bytes(body)


async def read_json(request: web.Request, *, most: int | None = None) -> Any:
    """The value of a JSON body; a large one is parsed on a worker thread. An empty body is None.

    Raises:
        InvalidInput, TooManyRequests, web.HTTPRequestEntityTooLarge: as :func:`read_bytes` and :func:`parse_json`.
    """
    text = await read_bytes(request, most=most)
    if not text.strip():
        return None
    return parse_json(text) if len(text) <= INLINE_BYTES else await asyncio.to_thread(parse_json, text)


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object.

    Raises:
        InvalidInput: as :func:`read_json`, or it is no object.
    """
    value = await read_json(request)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput("the body must be a JSON object")
    return value


def parse_json(text: bytes | str, *, what: str = "the body", field: str = "body") -> Any:
    """The value of a JSON text in UTF-8.

    Numbers that are none (NaN, infinities, 1e999), halves of characters, and keys that an object has twice are refused.

    Args:
        text: The JSON text.
        what: What it is, for messages.
        field: Where it stands in the request.

    Raises:
        InvalidInput: it is not JSON (says where), or passes a bound of :mod:`sdrest.core.bounds`.
    """
    try:
        data = (text.encode() if isinstance(text, str) else text).removeprefix(_BYTE_ORDER_MARK)
        if data.count(b",") + data.count(b"[") + data.count(b"{") > bounds.JSON_VALUES:
            raise InvalidInput(f"{what} has more than {bounds.JSON_VALUES} values", field=field)
        value = msgspec.json.decode(data)
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}", field=field) from None
    except RecursionError:
        raise InvalidInput(_too_deep(what), field=field) from None
    keys = _check(value, what, field)
    # Every key is followed by a colon; within strings there may be more of them.
    if data.count(b":") != keys and _STRING.sub(b"", data).count(b":") != keys:
        raise InvalidInput(f"{what} has the key {_doubled(data)!r} twice in one object", field=field)
    return value


def _check(value: Any, what: str, field: str) -> int:
    """The number of keys. Level by level, so that depth costs no stack."""
    level: list[Any] = [[value]]
    keys = 0
    for _ in range(bounds.JSON_DEPTH + 1):
        within: list[Any] = []
        for item in level:
            keys += len(item) if isinstance(item, dict) else 0
            for child in item.values() if isinstance(item, dict) else item:
                if isinstance(child, dict | list):
                    within.append(child)
                elif isinstance(child, int) and not -_LARGEST_NUMBER < child < _LARGEST_NUMBER:
                    raise InvalidInput(f"{what} holds a number of more than {bounds.JSON_DIGITS} digits", field=field)
        if not within:
            return keys
        level = within
    raise InvalidInput(_too_deep(what), field=field)


def _doubled(data: bytes) -> str:
    """A key that an object in a JSON text has twice."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        found.extend(name for name, number in Counter(name for name, _ in pairs).items() if number > 1)

    json.loads(data, object_pairs_hook=look)
    return found[0]


def _too_deep(what: str) -> str:
    return f"{what} has lists and objects more than {bounds.JSON_DEPTH} deep"


Parts = MultiDictProxy[str | bytearray | bytes | web.FileField]


async def read_parts(request: web.Request, *, most: int | None = None) -> Parts:
    """The fields and files of a form; large files lie in temporary files. ``most`` is as for :func:`read_bytes`.

    Raises:
        InvalidInput: the body is not the form that its content type says, or a text holds halves of characters.
        web.HTTPRequestEntityTooLarge: it is larger than a body may be.
    """
    if most is not None and request.content_length is None:
        raise web.HTTPLengthRequired
    if most is not None and (request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, request.content_length or 0)
    with readable(request, "the form"):
        parts = await request.post()
        for value in parts.values():
            if isinstance(value, str):
                value.encode()
    return parts


async def read_file(request: web.Request, part: web.FileField) -> bytes:
    """What an uploaded file holds.

    Raises:
        TooManyRequests: the server works on as many bodies as it may.
    """
    data = await asyncio.to_thread(part.file.read)
    request[HELD].take_bytes(len(data))
    return data


def idempotency_key(request: web.Request) -> str:
    """The ``Idempotency-Key`` header; empty without one.

    Raises:
        InvalidInput: it is too long, or no text.
    """
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > bounds.IDEMPOTENCY_KEY or not key.isprintable():
        raise InvalidInput(f"must have at most {bounds.IDEMPOTENCY_KEY} printable characters", field="Idempotency-Key")
    return key


def validate(model: type[Q], value: object) -> Q:
    """``value`` as a body.

    Raises:
        InvalidInput: with one problem for each faulty or unknown field; the nearest legal name is given for unknown ones.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput("the body must be a JSON object")
    try:
        with understandable():
            return model.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(_problems(model, error)) from None


async def read_body(model: type[Q], request: web.Request, *, most: int | None = None) -> Q:
    """The JSON body of a request, checked; a large one on a worker thread.
    ``most``: as for :func:`read_bytes`.

    Raises:
        InvalidInput: as :func:`read_json` and :func:`validate`.
    """
    text = await read_bytes(request, most=most)

    def checked() -> Q:
        return validate(model, parse_json(text))

    return checked() if len(text) <= INLINE_BYTES else await asyncio.to_thread(checked)


def parse_query(model: type[Q], request: web.Request) -> Q:
    """The query of a request as a model with one field for each name; a repeated name is a list.

    Raises:
        InvalidInput: as :func:`validate`.
    """
    plural = {
        name for name, field in model.model_fields.items() if typing.get_origin(field.annotation) in {list, tuple, set}
    }
    query = request.query
    values = {name: query.getall(name) if name in plural else query[name] for name in query}
    try:
        with understandable("the query"):
            return model.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(_problems(model, error)) from None


def _problems(model: type[BaseModel], error: ValidationError) -> Iterable[FieldProblem]:
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "body"
        if item["type"] == "extra_forbidden":
            known = _fields_at(model, item["loc"][:-1])
            near = did_you_mean(str(item["loc"][-1]), known)
            yield FieldProblem(where, "unknown field" + (near or f"; known: {', '.join(sorted(known))}"))
        else:
            message = item["msg"].removeprefix("Value error, ")
            yield FieldProblem(where, message[:1].lower() + message[1:])


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> Iterable[str]:
    """The field names legal at a place within a body."""
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        if field is None:
            return ()
        current = field.annotation
        while not (isinstance(current, type) and not isinstance(current, types.GenericAlias)):
            current = typing.get_args(current)[0]
    return current.model_fields.keys() if issubclass(current, BaseModel) else ()
