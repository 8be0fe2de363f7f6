"""Whose job is next: by priority, in turn among the principals, and for loaded models first within a bound.

The queries step along indices from one principal to the next: what a turn costs grows with the principals that have pending jobs,
not with the jobs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sdrest.core.job import JobType
from sdrest.storage.sqlite.statements import statements

#: Times a pending job may be passed over in favour of jobs for the loaded model.
MAX_PASSED_OVER: Final = 8


@dataclass(frozen=True, slots=True)
class _Statements:
    highest: str
    first: str
    pass_over: str
    serve: str


_SQL: Final = _Statements(**statements("turns"))
_IN_LANE: Final = "jobs.state = 'pending' AND jobs.priority = :priority AND jobs.type = lanes.type"
_FIRST: Final = _SQL.first.format(lanes="SELECT value, NULL FROM json_each(:types)", in_lane=_IN_LANE)
_FIRST_OF_MODELS: Final = _SQL.first.format(
    lanes="SELECT types.value, models.value FROM json_each(:types) AS types, json_each(:models) AS models",
    in_lane=f"{_IN_LANE} AND jobs.model_id = lanes.model_id",
)


def take_turn(db: sqlite3.Connection, types: Collection[JobType], loaded: Collection[str]) -> int | None:
    """``sequence`` of the pending job of these types that is next, its principal's turn noted; None when there is none.

    ``loaded``: ids of the models that are loaded. Their jobs may pass the first one over, :data:`MAX_PASSED_OVER` times at most.
    """
    wanted = {"types": json.dumps([*types]), "models": json.dumps([*loaded])}
    priority = db.execute(_SQL.highest, wanted).fetchone()[0]
    if priority is None:
        return None
    lanes = {**wanted, "priority": priority}
    chosen = first = db.execute(_FIRST, lanes).fetchone()
    # Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
    is_switch = first["type"] != JobType.UPSCALE and first["model_id"] not in loaded
    if loaded and is_switch and first["passed_over"] < MAX_PASSED_OVER:
        other = db.execute(_FIRST_OF_MODELS, lanes).fetchone()
        if other is not None:
            db.execute(_SQL.pass_over, {"sequence": first["sequence"]})
            chosen = other
    db.execute(_SQL.serve, {"principal": chosen["principal"]})
    return int(chosen["sequence"])
