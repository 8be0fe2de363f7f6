"""JSON replies."""

from __future__ import annotations

import asyncio
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


async def big_reply(value: object, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """As :func:`json_reply`, for values that hold pictures: written on a worker thread."""
    return await asyncio.to_thread(json_reply, value, headers=headers)


def json_text(value: Any) -> str:
    """``value`` as JSON text, for event streams."""
    return msgspec.json.encode(value).decode()
