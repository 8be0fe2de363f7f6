"""The outbox of webhooks as statements."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sdrest.jobs.webhooks import Delivery
from sdrest.storage.sql.database import Connection, Database
from sdrest.storage.sql.times import as_text, as_time


@dataclass(frozen=True, slots=True)
class _Statements:
    due: str
    next_due: str
    done: str
    postpone: str


class SqlOutbox:
    """The :class:`sdrest.jobs.webhooks.Outbox` of a real server, on any database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _Statements(**database.statements("webhooks"))

    async def due(self, now: datetime, limit: int, *, except_to: Collection[str] = ()) -> list[Delivery]:
        """See :meth:`Outbox.due`."""
        # An address goes on after its receiver with one of these, or ends there.
        prefixes = [receiver + end for receiver in except_to for end in "/?#"]
        values = {"now": as_text(now), "prefixes": json.dumps(prefixes), "limit": limit}

        def query(db: Connection) -> list[Delivery]:
            rows = db.execute(self._sql.due, values)
            return [Delivery(row["id"], row["job_id"], row["url"], row["attempts"]) for row in rows]

        return await self._database.read(query)

    async def next_due(self, after: datetime) -> datetime | None:
        """See :meth:`Outbox.next_due`."""
        values = {"after": as_text(after)}
        return await self._database.read(lambda db: as_time(db.execute(self._sql.next_due, values).fetchone()[0]))

    async def done(self, delivery_id: int) -> None:
        """See :meth:`Outbox.done`."""
        await self._database.write(lambda db: db.execute(self._sql.done, {"id": delivery_id}).rowcount)

    async def postpone(self, delivery_id: int, until: datetime) -> None:
        """See :meth:`Outbox.postpone`."""
        values = {"id": delivery_id, "until": as_text(until)}
        await self._database.write(lambda db: db.execute(self._sql.postpone, values).rowcount)
