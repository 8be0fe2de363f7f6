"""Whose job is next: by priority, in turn among the principals, and for loaded models first within a bound.

The queries step along indices from one principal to the next: what a turn costs grows with the principals that have pending jobs,
not with the jobs.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sdrest.core.job import JobType
from sdrest.storage.sql.database import CLAIMING, ONE_ROW, Connection

#: Times a pending job may be passed over in favour of jobs for the loaded model.
MAX_PASSED_OVER: Final = 8


@dataclass(frozen=True, slots=True)
class _Statements:
    highest: str
    lanes_of_types: str
    lanes_of_models: str
    first: str
    pass_over: str
    serve: str


_IN_LANE: Final = (
    "jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = :priority AND jobs.type = lanes.type"
)


class Turns:
    """Takes turns with the statements of a database."""

    #: No two may be taken at a time.
    alone = CLAIMING

    def __init__(self, statements: dict[str, str]) -> None:
        self._sql = _Statements(**statements)
        self._first = self._sql.first.format(lanes=self._sql.lanes_of_types, in_lane=_IN_LANE)
        self._first_of_models = self._sql.first.format(
            lanes=self._sql.lanes_of_models, in_lane=f"{_IN_LANE} AND jobs.model_id = lanes.model_id"
        )

    def take(self, db: Connection, types: Collection[JobType], loaded: Collection[str]) -> int | None:
        """``sequence`` of the pending job of these types that is next, its principal's turn noted; None when there is none.

        ``loaded``: ids of the models that are loaded. Their jobs may pass the first one over, :data:`MAX_PASSED_OVER` times at
        most.
        """
        wanted = {"types": json.dumps([*types]), "models": json.dumps([*loaded])}
        while (priority := db.execute(self._sql.highest, wanted).fetchone()[0]) is not None:
            lanes = {**wanted, "priority": priority}
            chosen = first = db.execute(self._first, lanes).fetchone()
            if first is None:  # the last one of that priority was cancelled meanwhile
                continue
            # Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
            is_switch = first["type"] != JobType.UPSCALE and first["model_id"] not in loaded
            if loaded and is_switch and first["passed_over"] < MAX_PASSED_OVER:
                other = db.execute(self._first_of_models, lanes).fetchone()
                if other is not None:
                    db.execute(self._sql.pass_over, {"sequence": first["sequence"]})
                    chosen = other
            db.execute(self._sql.serve, {"principal": chosen["principal"]})
            return int(chosen["sequence"])
        return None


class TurnsInOneCall:
    """Takes turns with a function of the database, which does the same and can be called beside itself."""

    alone = ONE_ROW

    def __init__(self, statement: str) -> None:
        self._statement = statement

    def take(self, db: Connection, types: Collection[JobType], loaded: Collection[str]) -> int | None:
        """See :meth:`Turns.take`."""
        wanted = {"types": json.dumps([*types]), "models": json.dumps([*loaded]), "most_passed_over": MAX_PASSED_OVER}
        found: int | None = db.execute(self._statement, wanted).fetchone()[0]
        return found


def turns_of(statements: dict[str, str]) -> Turns | TurnsInOneCall:
    """What a database has for taking turns."""
    return TurnsInOneCall(statements["take"]) if "take" in statements else Turns(statements)
