"""JSON replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web


def json_reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """``value`` as a JSON reply; datetimes become ISO-8601 strings in UTC."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def json_text(value: Any) -> str:
    """``value`` as JSON text, for event streams."""
    return msgspec.json.encode(value).decode()
