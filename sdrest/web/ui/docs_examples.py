"""Examples for trying routes out, made from their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: What fields of these names hold, where a schema takes it; the others are left out of an example unless they must be given.
_USUAL: Final[Mapping[str, Any]] = {
    "prompt": "a red apple",
    "input": "a red apple",
    "width": 512,
    "height": 512,
    "steps": 8,
    "seed": 42,
    "count": 2,
    "url": "https://example.org/picture.png",
}
_DEPTH: Final = 6


def resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema itself, where it is a reference to one of the document."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def example_of(document: Mapping[str, Any], schema: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value that a schema takes: of an object what must be given, and what is usual."""
    schema = resolved(document, schema)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema.get("default", schema["enum"][0])
    kinds = _kinds(document, schema)
    if name in _USUAL and _is_kind(_USUAL[name], kinds):
        return _USUAL[name]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return example_of(document, schema[key][0], name, depth)
    kind = schema.get("type", "object" if "properties" in schema else "any")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return _object(document, schema, depth)
    if schema.get("default") is not None:
        return schema["default"]
    if kind == "array":
        least = schema.get("minItems", 1)
        return [example_of(document, schema.get("items", {}), "", depth + 1)] * least if depth < _DEPTH else []
    return _plain(schema, str(kind))


def _object(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    must = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    return {
        name: example_of(document, item, name, depth + 1)
        for name, item in properties.items()
        if depth < _DEPTH and (name in must or (depth == 0 and _is_usual(document, name, item)))
    }


def _is_usual(document: Mapping[str, Any], name: str, schema: Mapping[str, Any]) -> bool:
    return name in _USUAL and _is_kind(_USUAL[name], _kinds(document, schema))


def _plain(schema: Mapping[str, Any], kind: str) -> Any:
    if kind in {"integer", "number"}:
        return max(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1), 0)
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    return "text"[: schema.get("maxLength", 4)].ljust(schema.get("minLength", 0), "x")


def _kinds(document: Mapping[str, Any], schema: Mapping[str, Any]) -> set[str]:
    """The types that a schema takes."""
    schema = resolved(document, schema)
    found = schema.get("type", ())
    kinds = {found} if isinstance(found, str) else set(found)
    for item in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        kinds |= _kinds(document, item)
    return kinds


def _is_kind(value: Any, kinds: set[str]) -> bool:
    return bool(kinds & ({"string"} if isinstance(value, str) else {"integer", "number"}))
