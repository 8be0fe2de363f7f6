"""The page ``/docs``: the OpenAPI document for people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web

from sdrest.web.http.openapi import OpenApi
from sdrest.web.ui.page_contexts import DocsPage
from sdrest.web.ui.rendering import page

_DEPTH: Final = 4


class Documentation:
    """Draws the document that ``openapi`` serves."""

    def __init__(self, openapi: OpenApi) -> None:
        self._openapi = openapi

    async def show(self, request: web.Request) -> web.Response:
        """This API as a page for people."""
        document = await self._openapi.document(request.app)
        return page(request, "docs_page.html", await asyncio.to_thread(_context, document))


def _context(document: Mapping[str, Any]) -> DocsPage:
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    base = document["servers"][0]["url"].removesuffix("/")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_entry(document, method, base + path, operation))
    return DocsPage(info=document["info"], groups=groups)


def _entry(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    fields = [
        {
            "name": item["name"],
            "where": item["in"],
            **_field(item["schema"], item["required"], item.get("description", "")),
        }
        for item in operation["parameters"]
    ]
    body = operation.get("requestBody", {}).get("content", {})
    for media_type, content in body.items():
        fields.extend({"where": media_type, **field} for field in _fields(document, content["schema"]))
    replies = []
    for status, reply in operation["responses"].items():
        shown = [
            {"type": media_type, "fields": list(_fields(document, content["schema"])) if "schema" in content else []}
            for media_type, content in reply.get("content", {}).items()
        ]
        replies.append({"status": status, "description": reply["description"], "content": shown})
    return {
        "method": method.upper(),
        "path": path,
        "id": operation["operationId"],
        "summary": operation["summary"],
        "description": operation.get("description", ""),
        "fields": fields,
        "good": [reply for reply in replies if reply["status"] < "4"],
        "errors": [reply for reply in replies if reply["status"] >= "4"],
    }


def _fields(
    document: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[dict[str, Any]]:
    """The fields of an object schema, those of objects within it under dotted names."""
    schema = _resolved(document, schema)
    required = schema.get("required", ())
    for name, item in schema.get("properties", {}).items():
        target = _resolved(document, item)
        yield {"name": prefix + name, **_field({**target, **item}, name in required, item.get("description", ""))}
        inner = _resolved(document, target.get("items", target))
        if depth < _DEPTH and "properties" in inner:
            mark = "[]." if "items" in target else "."
            yield from _fields(document, inner, prefix + name + mark, depth + 1)


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _field(schema: Mapping[str, Any], required: bool, description: str) -> dict[str, Any]:
    default = schema.get("default")
    return {
        "type": _type(schema),
        "required": required,
        "default": "" if default in (None, "", [], {}) else json.dumps(default, ensure_ascii=False),
        "description": description or schema.get("description", ""),
    }


def _type(schema: Mapping[str, Any]) -> str:
    """A schema's type in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(item) for item in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(str(item) for item in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (("minimum", "≥"), ("maximum", "≤"))
        if abs(schema.get(key, 2e9)) < 1e9
    ]
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if kind == "array":
        kind = f"list of {_type(schema.get('items', {}))}"
    return " ".join((kind, *bounds))


def add_documentation(app: web.Application) -> None:
    """Serve the description of all routes of ``app``, for programs and for people."""
    openapi = OpenApi()
    app.router.add_get("/openapi.json", openapi.handle)
    app.router.add_get("/docs", Documentation(openapi).show)
