"""Measured times in SQLite."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import Final

from sdrest.jobs.timings import Timing
from sdrest.storage.sqlite.database import Database
from sdrest.storage.sqlite.statements import statements

#: Weight of a new measurement once some are there: recent ones count more, one bad one changes little.
_WEIGHT: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Statements:
    record: str
    of_model: str


_SQL: Final = _Statements(**statements("timings"))


class SqliteTimings:
    """The :class:`sdrest.jobs.timings.TimingStore` of a real server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, timing: Timing) -> None:
        """See :meth:`TimingStore.record`."""
        values = {**asdict(timing), "weight": _WEIGHT}
        await self._database.write(lambda db: db.execute(_SQL.record, values).rowcount, durable=False)

    async def of_model(self, model_id: str) -> list[Timing]:
        """See :meth:`TimingStore.of_model`."""

        def query(db: sqlite3.Connection) -> list[Timing]:
            rows = db.execute(_SQL.of_model, {"model_id": model_id})
            return [Timing(**{**dict(row), "guided": bool(row["guided"])}) for row in rows]

        return await self._database.read(query)
