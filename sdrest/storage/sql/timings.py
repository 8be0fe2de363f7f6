"""Measured times as statements."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from sdrest.jobs.timings import Timing
from sdrest.storage.sql.database import Connection, Database

#: Weight of a new measurement once some are there: recent ones count more, one bad one changes little.
_WEIGHT: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Statements:
    record: str
    of_model: str


class SqlTimings:
    """The :class:`sdrest.jobs.timings.TimingStore` of a real server, on any database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _Statements(**database.statements("timings"))

    async def record(self, timing: Timing) -> None:
        """See :meth:`TimingStore.record`."""
        values = {**asdict(timing), "weight": _WEIGHT}
        await self._database.write(lambda db: db.execute(self._sql.record, values).rowcount, durable=False)

    async def of_model(self, model_id: str) -> list[Timing]:
        """See :meth:`TimingStore.of_model`."""

        def query(db: Connection) -> list[Timing]:
            rows = db.execute(self._sql.of_model, {"model_id": model_id})
            return [Timing(**{**dict(row), "guided": bool(row["guided"])}) for row in rows]

        return await self._database.read(query)
