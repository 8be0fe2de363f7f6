"""The audit trail: one log line for each event of consequence, never with a secret."""

from __future__ import annotations

from typing import Final

import structlog

_log = structlog.get_logger("sdrest.audit")

#: Longest text taken from a request into a line.
_LONGEST: Final = 100


def record(event: str, **facts: object) -> None:
    """Write an audit line. Texts are cut and escaped: what a caller sends cannot forge a line."""
    _log.info(event, audit=True, **{name: _clean(value) for name, value in facts.items()})


def alarm(event: str, **facts: object) -> None:
    """Write an audit line about something that may be an attack: a warning, so that it is kept where information is not."""
    _log.warning(event, audit=True, **{name: _clean(value) for name, value in facts.items()})


def _clean(value: object) -> object:
    if not isinstance(value, str):
        return value
    return value[:_LONGEST].encode("unicode_escape").decode("ascii")
