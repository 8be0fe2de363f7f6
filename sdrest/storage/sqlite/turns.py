"""Whose job is next: by priority, in turn among the principals, and for loaded models first within a bound.

The queries step along indices from one principal to the next: what a turn costs grows with the principals that have pending jobs,
not with the jobs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from typing import Final

from sdrest.core.job import JobType

#: Times a pending job may be passed over in favour of jobs for the loaded model.
MAX_PASSED_OVER: Final = 8

_HIGHEST: Final = """
    SELECT max((SELECT max(priority) FROM jobs WHERE state = 'pending' AND type = types.value)) FROM json_each(?) AS types
"""

#: The oldest job of the principal who waited longest for a turn. A lane is a type, or a type and a model; ``waiting`` are the
#: principals of each lane that have pending jobs of the priority, ``firsts`` the oldest such job of each.
_NEXT: Final = """
    WITH RECURSIVE
    lanes (type, model_id) AS ({lanes}),
    waiting (type, model_id, principal) AS (
        SELECT type, model_id, (
            SELECT min(jobs.principal) FROM jobs WHERE {in_lane} AND jobs.type = lanes.type
        ) FROM lanes
        UNION ALL
        SELECT type, model_id, (
            SELECT min(jobs.principal) FROM jobs WHERE {in_lane} AND jobs.type = lanes.type AND jobs.principal > lanes.principal
        ) FROM waiting AS lanes WHERE principal IS NOT NULL
    ),
    firsts (principal, sequence) AS (
        SELECT principal, (
            SELECT min(jobs.sequence) FROM jobs WHERE {in_lane} AND jobs.type = lanes.type AND jobs.principal = lanes.principal
        ) FROM waiting AS lanes WHERE principal IS NOT NULL
    )
    SELECT sequence, type, principal, model_id, passed_over FROM jobs WHERE sequence = (
        SELECT sequence FROM firsts LEFT JOIN turns USING (principal) ORDER BY coalesce(served, 0), sequence LIMIT 1
    )
"""
_FIRST: Final = _NEXT.format(
    lanes="SELECT value, NULL FROM json_each(:types)", in_lane="jobs.state = 'pending' AND jobs.priority = :priority"
)
_FIRST_OF_MODELS: Final = _NEXT.format(
    lanes="SELECT types.value, models.value FROM json_each(:types) AS types, json_each(:models) AS models",
    in_lane="jobs.state = 'pending' AND jobs.priority = :priority AND jobs.model_id = lanes.model_id",
)


def take_turn(db: sqlite3.Connection, types: Collection[JobType], loaded: Collection[str]) -> int | None:
    """``sequence`` of the pending job of these types that is next, its principal's turn noted; None when there is none.

    ``loaded``: ids of the models that are loaded. Their jobs may pass the first one over, :data:`MAX_PASSED_OVER` times at most.
    """
    wanted = json.dumps([*types])
    priority = db.execute(_HIGHEST, (wanted,)).fetchone()[0]
    if priority is None:
        return None
    lanes = {"types": wanted, "models": json.dumps([*loaded]), "priority": priority}
    chosen = first = db.execute(_FIRST, lanes).fetchone()
    # Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
    is_switch = first["type"] != JobType.UPSCALE and first["model_id"] not in loaded
    if loaded and is_switch and first["passed_over"] < MAX_PASSED_OVER:
        other = db.execute(_FIRST_OF_MODELS, lanes).fetchone()
        if other is not None:
            db.execute("UPDATE jobs SET passed_over = passed_over + 1 WHERE sequence = ?", (first["sequence"],))
            chosen = other
    db.execute(
        "INSERT INTO turns SELECT ?, coalesce(max(served), 0) + 1 FROM turns WHERE true "
        "ON CONFLICT (principal) DO UPDATE SET served = excluded.served",
        (chosen["principal"],),
    )
    return int(chosen["sequence"])
