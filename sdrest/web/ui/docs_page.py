"""The page ``/docs``: the OpenAPI document for people, who can try the routes there.

The page lists the routes; what there is to know about one is fetched when it is opened. ``/docs/GROUP`` has all of a group at once,
for readers without scripts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import NotFound
from sdrest.web.http.openapi import OpenApi
from sdrest.web.ui.docs_examples import example_of, resolved
from sdrest.web.ui.page_contexts import DocsEntry, DocsField, DocsPage, DocsReply
from sdrest.web.ui.rendering import page, part

_DEPTH: Final = 4
_FORM: Final = "multipart/form-data"
#: A route that is no exchange of one request and one reply.
_CONNECTION: Final = ("/ws", "/connect")


class Documentation:
    """Draws the document that ``openapi`` serves."""

    def __init__(self, openapi: OpenApi) -> None:
        self._openapi = openapi
        self._groups: Mapping[str, Sequence[DocsEntry]] | None = None

    async def show(self, request: web.Request) -> web.Response:
        """This API as a page for people: all of its routes."""
        return await self._page(request, await self._read(request), is_full=False)

    async def show_group(self, request: web.Request) -> web.Response:
        """All that there is to know about the routes of a group."""
        name, groups = request.match_info["group"], await self._read(request)
        if name not in groups:
            raise NotFound(f"the API has no group {name!r}")
        return await self._page(request, {name: groups[name]}, is_full=True)

    async def show_entry(self, request: web.Request) -> web.Response:
        """What there is to know about a route, as a part of the page."""
        entries = (await self._read(request)).get(request.match_info["group"], ())
        found = next((entry for entry in entries if entry.id == request.match_info["entry"]), None)
        if found is None:
            raise NotFound(f"the API has no route {request.match_info['entry']!r}")
        return part(request, "parts/docs_entry.html", entry=found)

    async def _read(self, request: web.Request) -> Mapping[str, Sequence[DocsEntry]]:
        if self._groups is None:
            document = await self._openapi.document(request.app)
            self._groups = await asyncio.to_thread(read_groups, document)
        return self._groups

    async def _page(
        self, request: web.Request, groups: Mapping[str, Sequence[DocsEntry]], *, is_full: bool
    ) -> web.Response:
        info = (await self._openapi.document(request.app))["info"]
        return page(request, "docs_page.html", DocsPage(info=info, groups=groups, is_full=is_full))


def read_groups(document: Mapping[str, Any]) -> Mapping[str, Sequence[DocsEntry]]:
    """The routes of an OpenAPI document, in its groups."""
    groups: dict[str, list[DocsEntry]] = {tag["name"]: [] for tag in document["tags"]}
    base = document["servers"][0]["url"].removesuffix("/")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_entry(document, method, base + path, operation))
    return groups


def _entry(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> DocsEntry:
    fields = [
        _field(item["schema"], item["name"], item["required"], item.get("description", ""), where=item["in"])
        for item in operation["parameters"]
    ]
    body = operation.get("requestBody", {}).get("content", {})
    form: list[DocsField] = []
    example = ""
    for media_type, content in body.items():
        fields.extend(_fields(document, content["schema"], where=media_type))
        if media_type == _FORM:
            form = [field for field in fields if field.where == _FORM and "." not in field.name]
        else:
            example = json.dumps(example_of(document, content["schema"]), indent=2, ensure_ascii=False)
    replies = [
        DocsReply(
            status=status,
            description=reply["description"],
            content=[
                (media_type, [*_fields(document, content["schema"])] if "schema" in content else [])
                for media_type, content in reply.get("content", {}).items()
            ],
        )
        for status, reply in operation["responses"].items()
    ]
    return DocsEntry(
        id=operation["operationId"],
        group=operation["tags"][0],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        fields=fields,
        good=[reply for reply in replies if reply.status < "4"],
        errors=[reply for reply in replies if reply.status >= "4"],
        asked=[_begun(document, field, item) for field, item in zip(fields, operation["parameters"], strict=False)],
        form=form,
        example=example,
        can_try=not path.endswith(_CONNECTION),
    )


def _begun(document: Mapping[str, Any], field: DocsField, parameter: Mapping[str, Any]) -> DocsField:
    """A field of the address with an example, where there must be something and it is no name of a thing here."""
    if parameter["in"] == "path" or not parameter["required"]:
        return field
    return replace(field, example=str(example_of(document, parameter["schema"], field.name)))


def _fields(
    document: Mapping[str, Any], schema: Mapping[str, Any], *, where: str = "", prefix: str = "", depth: int = 0
) -> Iterator[DocsField]:
    """The fields of an object schema, those of objects within it under dotted names."""
    schema = resolved(document, schema)
    required = schema.get("required", ())
    for name, item in schema.get("properties", {}).items():
        target = resolved(document, item)
        yield _field({**target, **item}, prefix + name, name in required, item.get("description", ""), where=where)
        inner = resolved(document, target.get("items", target))
        if depth < _DEPTH and "properties" in inner:
            mark = "[]." if "items" in target else "."
            yield from _fields(document, inner, where=where, prefix=prefix + name + mark, depth=depth + 1)


def _field(schema: Mapping[str, Any], name: str, required: bool, description: str, *, where: str) -> DocsField:
    default = schema.get("default")
    return DocsField(
        name=name,
        where=where,
        type=_type(schema),
        required=required,
        default="" if default in (None, "", [], {}) else json.dumps(default, ensure_ascii=False),
        description=description or schema.get("description", ""),
        is_file="contentMediaType" in schema,
    )


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
    documentation = Documentation(openapi)
    app.router.add_get("/docs", documentation.show)
    app.router.add_get("/docs/{group}", documentation.show_group)
    app.router.add_get("/docs/{group}/{entry}", documentation.show_entry)
