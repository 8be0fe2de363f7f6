"""Whose job is next: by priority, in turn among the principals, and for loaded models first within a bound.

The queries step along indices from one principal to the next: what a turn costs grows with the principals that have pending jobs,
not with the jobs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sdrest.core.job import JobType
from sdrest.jobs.store import Reach
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
    "jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = :priority AND jobs.type = lanes.type {within}"
)


class Turns:
    """Takes turns with the statements of a database."""

    #: No two may be taken at a time.
    alone = CLAIMING

    def __init__(self, statements: dict[str, str]) -> None:
        self._sql = _Statements(**statements)

    def take(self, db: Connection, types: Collection[JobType], loaded: Collection[str], reach: Reach) -> int | None:
        """``sequence`` of the pending job of these types that is next, its principal's turn noted; None when there is none.

        ``loaded``: ids of the models that are loaded. Their jobs, and after them those for models that are at hand, may pass the
        first one over, :data:`MAX_PASSED_OVER` times at most.
        """
        wanted = _values(types, loaded, reach)
        within = _within(reach)
        while (priority := db.execute(self._sql.highest.format(within=within), wanted).fetchone()[0]) is not None:
            lanes = {**wanted, "priority": priority}
            chosen = first = db.execute(self._first(within), lanes).fetchone()
            if first is None:  # the last one of that priority was cancelled meanwhile
                continue
            for models in _preferred(first["type"], first["model_id"], loaded, reach.at_hand):
                if first["passed_over"] < MAX_PASSED_OVER:
                    other = db.execute(self._first_of_models(within), {**lanes, "models": models}).fetchone()
                    if other is not None:
                        db.execute(self._sql.pass_over, {"sequence": first["sequence"]})
                        chosen = other
                        break
            db.execute(self._sql.serve, {"principal": chosen["principal"]})
            return int(chosen["sequence"])
        return None

    def _first(self, within: str) -> str:
        return self._sql.first.format(lanes=self._sql.lanes_of_types, in_lane=_IN_LANE.format(within=within))

    def _first_of_models(self, within: str) -> str:
        in_lane = f"{_IN_LANE.format(within=within)} AND jobs.model_id = lanes.model_id"
        return self._sql.first.format(lanes=self._sql.lanes_of_models, in_lane=in_lane)


def _preferred(first: str, model_id: str, loaded: Collection[str], at_hand: Collection[str]) -> Iterator[str]:
    """For which models (as JSON) jobs may go before the first one, which is of that type and for that model."""
    # Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
    if loaded and first != JobType.UPSCALE and model_id not in loaded:
        yield json.dumps([*loaded])
    if at_hand and model_id not in loaded and model_id not in at_hand:
        yield json.dumps([*at_hand])


def _within(reach: Reach) -> str:
    """The condition that a job can be carried out, as far as there is anything to ask."""
    parts = []
    if reach.memory_bytes is not None:
        parts.append("AND jobs.memory_bytes <= :memory_bytes")
    if not reach.fetches:
        parts.append("AND jobs.model_id IN (SELECT value FROM json_each(:at_hand))")
    if reach.besides:
        parts.append("AND jobs.id NOT IN (SELECT value FROM json_each(:besides))")
    return " ".join(parts)


def _values(types: Collection[JobType], loaded: Collection[str], reach: Reach) -> dict[str, Any]:
    return {
        "types": json.dumps([*types]),
        "models": json.dumps([*loaded]),
        "at_hand": json.dumps([*reach.at_hand]),
        "fetches": reach.fetches,
        "memory_bytes": reach.memory_bytes,
        "besides": json.dumps([*reach.besides]),
    }


class TurnsInOneCall:
    """Takes turns with a function of the database, which does the same and can be called beside itself."""

    alone = ONE_ROW

    def __init__(self, statement: str) -> None:
        self._statement = statement

    def take(self, db: Connection, types: Collection[JobType], loaded: Collection[str], reach: Reach) -> int | None:
        """See :meth:`Turns.take`."""
        wanted = {**_values(types, loaded, reach), "most_passed_over": MAX_PASSED_OVER}
        found: int | None = db.execute(self._statement, wanted).fetchone()[0]
        return found


def turns_of(statements: dict[str, str]) -> Turns | TurnsInOneCall:
    """What a database has for taking turns."""
    return TurnsInOneCall(statements["take"]) if "take" in statements else Turns(statements)
