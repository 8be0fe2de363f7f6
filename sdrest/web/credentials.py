"""Credentials in the headers of a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from sdrest.core.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token or an API key."""

    text: str


@dataclass(frozen=True, slots=True)
class Key:
    """An API key under its own header."""

    text: str


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and a password."""

    username: str
    password: str


Credentials = Bearer | Key | Basic


def credentials_in(headers: Mapping[str, str]) -> Credentials | None:
    """What the headers hold: ``Authorization: Bearer …``, ``X-API-Key``, ``Authorization: Basic …``, or nothing.

    ``Basic`` and ``Bearer`` with nothing behind them, as some clients send when no password is set, count as nothing.

    Raises:
        Unauthorized: the header is there and not of one of these forms.
    """
    if key := headers.get("X-API-Key", "").strip():
        return Key(key)
    scheme, _, rest = headers.get("Authorization", "").strip().partition(" ")
    rest = rest.strip()
    if not rest:
        return None
    if scheme.lower() == "bearer":
        return Bearer(rest)
    if scheme.lower() == "basic":
        return _basic(rest)
    raise Unauthorized("Authorization must be of the form 'Bearer TOKEN' or 'Basic …'")


def _basic(text: str) -> Basic | None:
    """User name and password of RFC 7617, in UTF-8."""
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("the Basic credentials are not base64 of 'name:password'") from None
    if not colon:
        raise Unauthorized("the Basic credentials are not base64 of 'name:password'")
    return Basic(username, password) if username or password else None
