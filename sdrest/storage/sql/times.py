"""Times as texts of one width and zone, which compare as the times do."""

from __future__ import annotations

from datetime import UTC, datetime


def as_text(when: datetime | None) -> str | None:
    """A time for a column, in UTC."""
    return when.astimezone(UTC).isoformat(timespec="microseconds") if when else None


def as_time(text: str | None) -> datetime | None:
    """The time in a column that may be empty."""
    return datetime.fromisoformat(text) if text else None
