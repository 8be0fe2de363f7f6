"""What a route takes and answers, written beside its handler with :func:`operation`.

The OpenAPI document and the page ``/docs`` are made from these and from nothing else; a test fails for a route without one. The
summary and the description are the handler's docstring: its first line, and the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel
from typing_extensions import TypedDict

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

H = TypeVar("H", bound=Callable[..., Awaitable[web.StreamResponse]])

_ATTRIBUTE: Final = "__operation__"


class ErrorReply(TypedDict, total=False):
    """Any error of the native API."""

    error: str
    code: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One kind of answer: a type that pydantic can describe (None: no body or bytes), and its media type."""

    schema: Any = None
    media_type: str = JSON
    description: str = "Success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one route takes and answers."""

    tag: str
    summary: str
    description: str = ""
    body: type[BaseModel] | None = None
    body_type: str = JSON
    #: Form fields that hold files.
    files: Collection[str] = ()
    body_required: bool = True
    query: type[BaseModel] | None = None
    replies: Mapping[int, Reply] = field(default_factory=dict)
    errors: Collection[int] = ()
    #: Shape of this route's error replies.
    error_schema: Any = ErrorReply


def operation(
    tag: str,
    *,
    reply: Any = None,
    status: int = 200,
    also: Mapping[int, Any] | None = None,
    errors: Collection[int] = (),
    **fields: Any,
) -> Callable[[H], H]:
    """Describe the decorated handler.

    Args:
        tag: The group it is listed under.
        reply: The answer's type, or a :class:`Reply` for anything but JSON.
        status: Status of that answer.
        also: Further answers that are no errors, by status.
        errors: Statuses of its own errors; those that any route may give (see :data:`sdrest.web.http.openapi.COMMON_ERRORS`) and
            those that follow from having a body, a query or a path parameter need not be named.
        fields: The other fields of :class:`Operation`.
    """

    def describe(handler: H) -> H:
        summary, _, description = inspect.cleandoc(handler.__doc__ or "").partition("\n")
        replies = {code: _as_reply(item) for code, item in {status: reply, **(also or {})}.items()}
        described = Operation(
            tag=tag, summary=summary, description=description.strip(), replies=replies, errors=errors, **fields
        )
        setattr(handler, _ATTRIBUTE, described)
        return handler

    return describe


def operation_of(handler: object) -> Operation | None:
    """The description of a handler; None when it has none. Wrapped handlers and bound methods are looked through."""
    found: Operation | None = getattr(inspect.unwrap(handler) if callable(handler) else handler, _ATTRIBUTE, None)
    return found


def _as_reply(item: Any) -> Reply:
    return item if isinstance(item, Reply) else Reply(item)
