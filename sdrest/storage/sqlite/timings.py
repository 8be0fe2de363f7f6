"""Measured times in SQLite."""

from __future__ import annotations

import sqlite3
from typing import Final

from sdrest.jobs.timings import Timing
from sdrest.storage.sqlite.database import Database

#: Weight of a new measurement once some are there: recent ones count more, one bad one changes little.
_WEIGHT: Final = 0.25

_RECORD: Final = """
    INSERT INTO timings (model_id, width, height, guided, seconds_per_step, seconds_per_picture, samples)
    VALUES (:model_id, :width, :height, :guided, :seconds_per_step, :seconds_per_picture, 1)
    ON CONFLICT (model_id, width, height, guided) DO UPDATE SET
        seconds_per_step = seconds_per_step + max(:weight, 1.0 / (samples + 1)) * (excluded.seconds_per_step - seconds_per_step),
        seconds_per_picture = seconds_per_picture
            + max(:weight, 1.0 / (samples + 1)) * (excluded.seconds_per_picture - seconds_per_picture),
        samples = samples + 1
"""


class SqliteTimings:
    """The :class:`sdrest.jobs.timings.TimingStore` of a real server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, timing: Timing) -> None:
        """See :meth:`TimingStore.record`."""
        values = {
            "model_id": timing.model_id,
            "width": timing.width,
            "height": timing.height,
            "guided": int(timing.guided),
            "seconds_per_step": timing.seconds_per_step,
            "seconds_per_picture": timing.seconds_per_picture,
            "weight": _WEIGHT,
        }
        await self._database.write(lambda db: db.execute(_RECORD, values).rowcount, durable=False)

    async def of_model(self, model_id: str) -> list[Timing]:
        """See :meth:`TimingStore.of_model`."""

        def query(db: sqlite3.Connection) -> list[Timing]:
            rows = db.execute("SELECT * FROM timings WHERE model_id = ?", (model_id,))
            return [Timing(**{**dict(row), "guided": bool(row["guided"])}) for row in rows]

        return await self._database.read(query)
