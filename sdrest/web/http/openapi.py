"""The OpenAPI 3.1 document, made from the routes of the running application and the models that validate their input."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web
from pydantic import TypeAdapter

from sdrest import __version__
from sdrest.core.principal import Permission
from sdrest.web.http.access import is_public, permission_of
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import FORM, JSON, Operation, Reply, operation, operation_of

#: Statuses that any route may answer with: credentials, permissions and Host check, limits, and what must not happen.
COMMON_ERRORS: Final = (401, 403, 429, 500, 503)
#: Paths below these are pages and files for people.
PAGES: Final = ("/ui", "/static", "/docs")
#: Routes of the native API that answer under another path too.
_ALIASES: Final = {"/health": "/api/health"}
_REF: Final = "#/components/schemas/{model}"
_PARAMETER: Final = re.compile(r"\{(\w+)(?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}")


@dataclass(frozen=True, slots=True)
class DocumentedRoute:
    """One method on one path, with its description; ``operation`` is None when nobody wrote one."""

    method: str
    path: str
    operation: Operation | None
    permission: Permission


def documented_routes(app: web.Application) -> Iterator[DocumentedRoute]:
    """The routes of the application, pages left out; of the two prefixes of the native API only ``/api``."""
    seen = set()
    for route in app.router.routes():
        info = route.resource.get_info() if route.resource is not None else {}
        written = info.get("formatter") or info.get("path") or ""
        path = _PARAMETER.sub(r"{\1}", written.removeprefix(base_of(app)))
        unversioned = "/api" + path.removeprefix("/api/v1") if path.startswith("/api/v1/") else _ALIASES.get(path, path)
        key = (route.method, unversioned)
        if not path or path == "/" or route.method in {"HEAD", "OPTIONS", "*"} or path.startswith(PAGES) or key in seen:
            continue
        seen.add(key)
        permission = permission_of(route.method, route.handler)
        yield DocumentedRoute(route.method, unversioned, operation_of(route.handler), permission)


def document(app: web.Application) -> dict[str, Any]:
    """The whole document as JSON values."""
    routes = [(route, route.operation) for route in documented_routes(app) if route.operation is not None]
    schemas = _Schemas([operation for _, operation in routes])
    paths: dict[str, dict[str, Any]] = {}
    for route, described in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, described, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sdrest",
            "version": __version__,
            "description": "Every path below /api answers below /api/v1 as well. Unknown fields are refused, with the "
            "nearest legal name; numbers may be sent as strings of digits.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": base_of(app) or "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(described.tag for _, described in routes)],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "Access token or API key."},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


class _Schemas:
    """JSON schemas of every type that the operations name, shared definitions pulled out."""

    def __init__(self, operations: list[Operation]) -> None:
        wanted: list[tuple[Any, str]] = []
        for described in operations:
            wanted.extend((kind, "validation") for kind in (described.body, described.query) if kind is not None)
            wanted.extend((reply.schema, "serialization") for reply in described.replies.values() if reply.schema)
            wanted.append((described.error_schema, "serialization"))
        unique = {(_key(kind), mode): (kind, mode) for kind, mode in wanted}
        inputs: list[Any] = [(key, mode, TypeAdapter(kind)) for (key, mode), (kind, _) in unique.items()]
        self._schemas, found = TypeAdapter.json_schemas(inputs, ref_template=_REF)
        self.definitions: dict[str, Any] = found.get("$defs", {})

    def of(self, kind: Any, mode: str) -> dict[str, Any]:
        """The schema (or a reference to it) of a type as it is read or written."""
        return self._schemas[_key(kind), mode]  # type: ignore[index]

    def resolved(self, kind: Any) -> dict[str, Any]:
        """The schema of an input type itself, never a reference."""
        schema = self.of(kind, "validation")
        reference = schema.get("$ref", "")
        return self.definitions[reference.rpartition("/")[2]] if reference else schema


def _key(kind: Any) -> str:
    """A name of a type that is the same for the same type only."""
    return f"{getattr(kind, '__qualname__', '') or repr(kind)}#{id(kind)}"


def _operation(route: DocumentedRoute, described: Operation, schemas: _Schemas) -> dict[str, Any]:
    names = _PARAMETER.findall(route.path)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]
    errors = {*COMMON_ERRORS, *described.errors}
    if names:
        errors.add(404)
    if described.query is not None:
        errors.add(400)
        parameters.extend(_query(schemas.resolved(described.query)))
    result: dict[str, Any] = {
        "tags": [described.tag],
        "summary": described.summary,
        "operationId": _operation_id(route),
        "parameters": parameters,
        "responses": {str(status): _response(reply, schemas) for status, reply in described.replies.items()},
    }
    if described.description:
        result["description"] = described.description
    if is_public(route.method, route.path):
        result["security"] = [{}]
    else:
        result["description"] = f"{described.description}\n\nNeeds the permission `{route.permission}`.".strip()
    if described.body is not None:
        errors |= {400, 413}
        result["requestBody"] = _body(described, schemas)
    error_schema = schemas.of(described.error_schema, "serialization")
    for status in sorted(errors - described.replies.keys()):
        result["responses"][str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {JSON: {"schema": error_schema}},
        }
    return result


def _operation_id(route: DocumentedRoute) -> str:
    words = re.sub(r"\W+", "_", route.path.removeprefix("/api")).strip("_")
    return f"{route.method.lower()}_{words}"


def _query(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, item in schema.get("properties", {}).items():
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": item.get("description", ""),
            "schema": {key: value for key, value in item.items() if key not in {"title", "description"}},
        }


def _body(described: Operation, schemas: _Schemas) -> dict[str, Any]:
    assert described.body is not None
    schema = schemas.of(described.body, "validation")
    if described.body_type == FORM and described.files:
        schema = {**schemas.resolved(described.body)}
        binary = {"type": "string", "contentMediaType": "application/octet-stream"}
        schema["properties"] = {**schema["properties"], **dict.fromkeys(described.files, binary)}
    return {"required": described.body_required, "content": {described.body_type: {"schema": schema}}}


def _response(reply: Reply, schemas: _Schemas) -> dict[str, Any]:
    if reply.schema is None:
        content: dict[str, Any] = {} if reply.media_type == JSON else {reply.media_type: {}}
    else:
        content = {reply.media_type: {"schema": schemas.of(reply.schema, "serialization")}}
    return {"description": reply.description, **({"content": content} if content else {})}


class OpenApi:
    """Serves the document; it is made at the first request."""

    def __init__(self) -> None:
        self._document: dict[str, Any] | None = None
        self._lock = asyncio.Lock()

    async def document(self, app: web.Application) -> dict[str, Any]:
        """The document of the application."""
        async with self._lock:
            if self._document is None:
                self._document = await asyncio.to_thread(document, app)
            return self._document

    @operation("system", reply=dict[str, Any])
    async def handle(self, request: web.Request) -> web.Response:
        """This API as an OpenAPI 3.1 document."""
        body = msgspec.json.encode(await self.document(request.app))
        return web.Response(body=body, content_type=JSON, charset="utf-8")
