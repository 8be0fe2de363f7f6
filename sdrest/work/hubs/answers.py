"""Asking a hub for JSON: in bounded time and size, and with a key only where it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from sdrest.core.errors import InvalidInput, NotFound, Unavailable
from sdrest.net.streaming import Open

_MAX_REPLY_BYTES: Final = 8 * 1024 * 1024
_SECONDS: Final = 20.0


def key_header(key: str, url: str, base: str) -> dict[str, str]:
    """The header with a hub's key, for addresses on the hub itself; nothing for any other host, or without a key."""
    return {"Authorization": f"Bearer {key}"} if key and _origin(url) == _origin(base) else {}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


async def ask(
    open_url: Open, url: str, headers: Mapping[str, str], *, hub: str, login_hint: str
) -> tuple[Any, Mapping[str, str]]:
    """The JSON value at ``url``, and the answer's headers.

    Raises:
        NotFound: the hub has nothing there.
        InvalidInput: it wants to know who asks, or its address must not be reached.
        Unavailable: it does not answer, or not as it should.
    """
    try:
        async with asyncio.timeout(_SECONDS), open_url(url, {**headers, "Accept": "application/json"}) as answer:
            match answer.status:
                case 200:
                    pass
                case 404:
                    raise NotFound(f"{hub} has no such model or version")
                case 401 | 403:
                    raise InvalidInput(f"{hub} wants to know who asks: {login_hint}", field="source")
                case 429:
                    raise Unavailable(f"{hub} is asked too often: try again later, or {login_hint}")
                case status:
                    raise Unavailable(f"{hub} answered {status}")
            body = bytearray()
            async for chunk in answer.chunks:
                body += chunk
                if len(body) > _MAX_REPLY_BYTES:
                    raise Unavailable(f"{hub}'s answer is too long")
            told = answer.headers
    except TimeoutError:
        raise Unavailable(f"{hub} did not answer within {_SECONDS:.0f} seconds") from None
    except Unavailable as error:
        raise error if hub in error.message else Unavailable(f"{hub} cannot be reached: {error.message}") from None
    try:
        return msgspec.json.decode(bytes(body)), told
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unavailable(f"{hub}'s answer is not what its interface promises") from None


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` where it is an object, else an empty one: hubs leave out what they do not know."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any, limit: int = 500) -> str:
    """A text or number as text, cut; empty for anything else."""
    return str(value).strip()[:limit] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def texts(value: Any, limit: int = 64) -> tuple[str, ...]:
    """The texts of a list, or a single one."""
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in map(text, items[:limit]) if item)


def number(value: Any) -> int:
    """A number as a whole one; 0 for anything else."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53 else 0
