"""Whose job is next: by priority, in turn among the principals, and for loaded models first within a bound."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from sdrest.core.job import JobType

#: Times a pending job may be passed over in favour of jobs for the loaded model.
MAX_PASSED_OVER: Final = 8

#: The next job: highest priority, then the principal who waited longest for a turn, then the oldest.
_FIRST: Final = """
    SELECT jobs.sequence, jobs.type, jobs.priority, jobs.principal, jobs.model_id, jobs.passed_over
    FROM jobs LEFT JOIN turns ON turns.principal = jobs.principal
    WHERE jobs.state = 'pending' AND jobs.type IN ({types})
    ORDER BY jobs.priority DESC, coalesce(turns.served, 0), jobs.sequence
    LIMIT 1
"""

#: A job for a loaded model that may go before it: same priority; then in turn, as always.
_PREFERRED: Final = """
    SELECT jobs.sequence, jobs.principal
    FROM jobs LEFT JOIN turns ON turns.principal = jobs.principal
    WHERE jobs.state = 'pending' AND jobs.type IN ({types}) AND jobs.priority = ? AND jobs.model_id IN ({models})
    ORDER BY coalesce(turns.served, 0), jobs.sequence
    LIMIT 1
"""


def take_turn(db: sqlite3.Connection, types: Collection[JobType], loaded: Collection[str]) -> int | None:
    """``sequence`` of the pending job of these types that is next, its principal's turn noted; None when there is none.

    ``loaded``: ids of the models that are loaded. Their jobs may pass the first one over, :data:`MAX_PASSED_OVER` times at most.
    """
    names = ", ".join(f"'{job_type.value}'" for job_type in types)
    first = db.execute(_FIRST.format(types=names)).fetchone()
    if first is None:
        return None
    chosen = first
    # Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
    is_switch = first["type"] != JobType.UPSCALE and first["model_id"] not in loaded
    if loaded and is_switch and first["passed_over"] < MAX_PASSED_OVER:
        places = ", ".join("?" * len(loaded))
        other = db.execute(_PREFERRED.format(types=names, models=places), (first["priority"], *loaded)).fetchone()
        if other is not None:
            db.execute("UPDATE jobs SET passed_over = passed_over + 1 WHERE sequence = ?", (first["sequence"],))
            chosen = other
    db.execute(
        "INSERT INTO turns SELECT ?, coalesce(max(served), 0) + 1 FROM turns WHERE true "
        "ON CONFLICT (principal) DO UPDATE SET served = excluded.served",
        (chosen["principal"],),
    )
    return int(chosen["sequence"])
