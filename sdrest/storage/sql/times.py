"""Times as texts of one width and zone, which compare as the times do."""

from __future__ import annotations

from datetime import UTC, datetime


def as_text(when: datetime | None) -> str | None:
    """A time for a column, in UTC; at the ends of time, where there is no such time in UTC, as if it were in UTC already."""
    if when is None:
        return None
    try:
        when = when.astimezone(UTC)
    except OverflowError:
        when = when.replace(tzinfo=UTC)
    return when.isoformat(timespec="microseconds")


def as_time(text: str | None) -> datetime | None:
    """The time in a column that may be empty."""
    return datetime.fromisoformat(text) if text else None
