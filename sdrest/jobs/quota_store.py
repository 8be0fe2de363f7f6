"""What quotas need from durable storage, beside what :class:`sdrest.jobs.store.JobStore` counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from sdrest.core.use import Limits, Use


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUse:
    """What somebody has used in a day."""

    #: A user, a guest, or an API key as ``key:NAME``.
    subject: str
    #: Whose key it is, where its use is also its owner's; else empty.
    owner: str = ""
    use: Use


class QuotaStore(Protocol):
    """Durable counts and limits. Jobs are counted by the store that takes them, in the same transaction."""

    async def limits(self, subjects: Collection[str] | None = None) -> Mapping[str, Limits]:
        """The limits that were set for some subjects (None: for all), of those that have any."""
        ...

    async def set_limits(self, subject: str, limits: Limits) -> None:
        """Set a subject's own limits; with nothing said in them, it has what everybody has."""
        ...

    async def used(self, day: date, subjects: Collection[str] | None = None) -> Sequence[DayUse]:
        """What subjects (None: all) have used on a day (UTC), by name; none where that is nothing yet."""
        ...
