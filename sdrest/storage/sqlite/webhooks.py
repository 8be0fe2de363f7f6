"""The outbox of webhooks in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime

from sdrest.jobs.webhooks import Delivery
from sdrest.storage.sqlite.database import Database
from sdrest.storage.sqlite.times import as_text, as_time


class SqliteOutbox:
    """The :class:`sdrest.jobs.webhooks.Outbox` of a real server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: datetime, limit: int, *, except_to: Collection[str] = ()) -> list[Delivery]:
        """See :meth:`Outbox.due`."""
        # An address goes on after its receiver with one of these, or ends there.
        prefixes = [receiver + end for receiver in except_to for end in "/?#"]
        wanted = " AND substr(url || '/', 1, ?) <> ?" * len(prefixes)
        values = [value for prefix in prefixes for value in (len(prefix), prefix)]

        def query(db: sqlite3.Connection) -> list[Delivery]:
            rows = db.execute(
                f"SELECT id, job_id, url, attempts FROM webhooks WHERE due_at <= ?{wanted} ORDER BY due_at LIMIT ?",  # noqa: S608 - constant
                (as_text(now), *values, limit),
            )
            return [Delivery(row["id"], row["job_id"], row["url"], row["attempts"]) for row in rows]

        return await self._database.read(query)

    async def next_due(self, after: datetime) -> datetime | None:
        """See :meth:`Outbox.next_due`."""

        def query(db: sqlite3.Connection) -> datetime | None:
            return as_time(
                db.execute("SELECT min(due_at) FROM webhooks WHERE due_at > ?", (as_text(after),)).fetchone()[0]
            )

        return await self._database.read(query)

    async def done(self, delivery_id: int) -> None:
        """See :meth:`Outbox.done`."""
        await self._database.write(lambda db: db.execute("DELETE FROM webhooks WHERE id = ?", (delivery_id,)).rowcount)

    async def postpone(self, delivery_id: int, until: datetime) -> None:
        """See :meth:`Outbox.postpone`."""
        await self._database.write(
            lambda db: (
                db.execute(
                    "UPDATE webhooks SET attempts = attempts + 1, due_at = ? WHERE id = ?",
                    (as_text(until), delivery_id),
                ).rowcount
            )
        )
