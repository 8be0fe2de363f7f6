"""Jobs in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from sdrest.core.errors import QueueFull
from sdrest.core.job import Failure, Job, JobState, JobType, Output
from sdrest.jobs.store import Ending, JobFilter
from sdrest.storage.database import Database

#: Times a pending job may be passed over in favour of jobs for the loaded model.
MAX_PASSED_OVER: Final = 8

_COLUMNS: Final = (
    "id, type, state, principal, priority, parameters, model_id, model_name, attempt, created_at, started_at, finished_at, "
    "cancel_requested_at, seconds, outputs, failure, warnings, idempotency_key, webhook_url, origin, interruptions"
)

#: The next job: highest priority, then the principal who waited longest for a turn, then the oldest.
CLAIM_ORDER: Final = """
    SELECT jobs.sequence, jobs.type, jobs.priority, jobs.principal, jobs.model_id, jobs.passed_over
    FROM jobs LEFT JOIN turns ON turns.principal = jobs.principal
    WHERE jobs.state = 'pending' AND jobs.type IN ({types})
    ORDER BY jobs.priority DESC, coalesce(turns.served, 0), jobs.sequence
    LIMIT 1
"""

#: A job for a loaded model that may go before it: same priority; then in turn, as always.
PREFERRED: Final = """
    SELECT jobs.sequence, jobs.principal
    FROM jobs LEFT JOIN turns ON turns.principal = jobs.principal
    WHERE jobs.state = 'pending' AND jobs.type IN ({types}) AND jobs.priority = ? AND jobs.model_id IN ({models})
    ORDER BY coalesce(turns.served, 0), jobs.sequence
    LIMIT 1
"""


class SqliteJobStore:
    """The :class:`sdrest.jobs.store.JobStore` of a real server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job, *, max_pending: int, max_pending_of_principal: int | None = None) -> Job:
        """See :meth:`JobStore.add`."""

        def change(db: sqlite3.Connection) -> Job:
            if job.idempotency_key:
                known = _by_key(db, job.principal, job.idempotency_key)
                if known is not None:
                    return known
            pending = _number(db, "SELECT coalesce(sum(number), 0) FROM job_counts WHERE state = 'pending'")
            if pending >= max_pending:
                raise QueueFull(f"the queue is full: {pending} jobs are pending")
            if max_pending_of_principal is not None:
                own = _number(
                    db,
                    "SELECT coalesce(sum(number), 0) FROM job_counts WHERE state = 'pending' AND principal = ?",
                    (job.principal,),
                )
                if own >= max_pending_of_principal:
                    raise QueueFull(f"you have {own} jobs pending, as many as one user may have")
            row = _row(job)
            places = ", ".join("?" * len(row))
            db.execute(f"INSERT INTO jobs ({_COLUMNS}) VALUES ({places})", row)  # noqa: S608 - constant columns
            return job

        return await self._database.write(change)

    async def get(self, job_id: str) -> Job | None:
        """See :meth:`JobStore.get`."""
        return await self._database.read(lambda db: _get(db, job_id))

    async def by_key(self, principal: str, key: str) -> Job | None:
        """See :meth:`JobStore.by_key`."""
        return await self._database.read(lambda db: _by_key(db, principal, key))

    async def forget_key(self, job_id: str) -> None:
        """See :meth:`JobStore.forget_key`."""
        await self._database.write(
            lambda db: (
                db.execute(
                    "UPDATE jobs SET idempotency_key = '' WHERE id = ? AND state IN ('completed', 'failed', 'cancelled')",
                    (job_id,),
                ).rowcount
            )
        )

    async def find(self, wanted: JobFilter) -> Sequence[Job]:
        """See :meth:`JobStore.find`."""
        where, values = _where(wanted)
        direction = "DESC" if wanted.newest_first else "ASC"
        query = f"SELECT {_COLUMNS} FROM jobs {where} ORDER BY sequence {direction} LIMIT ? OFFSET ?"  # noqa: S608 - built here
        return await self._database.read(
            lambda db: [_job(row) for row in db.execute(query, (*values, wanted.limit, wanted.offset))]
        )

    async def count(self, wanted: JobFilter) -> int:
        """See :meth:`JobStore.count`."""
        where, values = _where(wanted)
        query = f"SELECT count(*) FROM jobs {where}"  # noqa: S608 - built here
        return await self._database.read(lambda db: _number(db, query, values))

    async def counts(self, principal: str | None = None) -> dict[JobState, int]:
        """See :meth:`JobStore.counts`."""

        def query(db: sqlite3.Connection) -> dict[JobState, int]:
            rows = db.execute(
                "SELECT state, sum(number) FROM job_counts WHERE ? IS NULL OR principal = ? GROUP BY state",
                (principal, principal),
            )
            found = {JobState(state): int(number) for state, number in rows}
            return {state: found.get(state, 0) for state in JobState}

        return await self._database.read(query)

    async def output_bytes(self) -> int:
        """See :meth:`JobStore.output_bytes`."""
        query = "SELECT coalesce(sum(json_extract(item.value, '$.size_bytes')), 0) FROM jobs, json_each(jobs.outputs) AS item"
        return await self._database.read(lambda db: _number(db, query))

    async def position(self, job_id: str) -> int | None:
        """See :meth:`JobStore.position`."""

        def query(db: sqlite3.Connection) -> int | None:
            row = db.execute(
                "SELECT sequence, priority FROM jobs WHERE id = ? AND state = 'pending'", (job_id,)
            ).fetchone()
            if row is None:
                return None
            return 1 + _number(
                db,
                "SELECT count(*) FROM jobs WHERE state = 'pending' AND (priority > ? OR (priority = ? AND sequence < ?))",
                (row["priority"], row["priority"], row["sequence"]),
            )

        return await self._database.read(query)

    async def claim(
        self,
        types: Collection[JobType],
        *,
        now: datetime,
        lease_seconds: float,
        worker: str,
        preferred_models: Collection[str] = (),
    ) -> Job | None:
        """See :meth:`JobStore.claim`."""
        names = ", ".join(f"'{job_type.value}'" for job_type in types)

        def change(db: sqlite3.Connection) -> Job | None:
            first = db.execute(CLAIM_ORDER.format(types=names)).fetchone()
            if first is None:
                return None
            chosen = first
            loaded = tuple(preferred_models)
            # Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
            is_switch = first["type"] != JobType.UPSCALE and first["model_id"] not in loaded
            if loaded and is_switch and first["passed_over"] < MAX_PASSED_OVER:
                places = ", ".join("?" * len(loaded))
                other = db.execute(
                    PREFERRED.format(types=names, models=places), (first["priority"], *loaded)
                ).fetchone()
                if other is not None:
                    db.execute("UPDATE jobs SET passed_over = passed_over + 1 WHERE sequence = ?", (first["sequence"],))
                    chosen = other
            row = db.execute(
                f"UPDATE jobs SET state = 'running', attempt = attempt + 1, started_at = ?, lease_worker = ?, lease_until = ? "  # noqa: S608 - constant columns
                f"WHERE sequence = ? AND state = 'pending' RETURNING {_COLUMNS}",
                (_text(now), worker, _text(now + timedelta(seconds=lease_seconds)), chosen["sequence"]),
            ).fetchone()
            db.execute(
                "INSERT INTO turns SELECT ?, coalesce(max(served), 0) + 1 FROM turns WHERE true "
                "ON CONFLICT (principal) DO UPDATE SET served = excluded.served",
                (chosen["principal"],),
            )
            return _job(row)

        # A power cut between this and the ending leaves the job pending: as far as anybody was told, it is.
        return await self._database.write(change, durable=False)

    async def renew(self, job_id: str, attempt: int, *, until: datetime) -> bool:
        """See :meth:`JobStore.renew`."""
        return await self._database.write(
            lambda db: (
                db.execute(
                    "UPDATE jobs SET lease_until = ? WHERE id = ? AND attempt = ? AND state = 'running'",
                    (_text(until), job_id, attempt),
                ).rowcount
                == 1
            )
        )

    async def finish(self, job_id: str, attempt: int, ending: Ending) -> Job | None:
        """See :meth:`JobStore.finish`."""

        def change(db: sqlite3.Connection) -> Job | None:
            row = db.execute(
                "UPDATE jobs SET state = ?, finished_at = ?, outputs = ?, failure = ?, seconds = ?, warnings = ?, "  # noqa: S608 - constant columns
                "lease_worker = NULL, lease_until = NULL "
                f"WHERE id = ? AND attempt = ? AND state = 'running' RETURNING {_COLUMNS}",
                (
                    ending.state,
                    _text(ending.finished_at),
                    _json(ending.outputs),
                    _json(ending.failure) if ending.failure else None,
                    ending.seconds,
                    _json(ending.warnings),
                    job_id,
                    attempt,
                ),
            ).fetchone()
            return _job(row) if row else None

        return await self._database.write(change)

    async def release(self, job_id: str, attempt: int, *, count_attempt: bool) -> Job | None:
        """See :meth:`JobStore.release`."""

        def change(db: sqlite3.Connection) -> Job | None:
            row = db.execute(
                "UPDATE jobs SET state = 'pending', attempt = attempt - ?, started_at = NULL, lease_worker = NULL, "  # noqa: S608 - constant columns
                f"lease_until = NULL WHERE id = ? AND attempt = ? AND state = 'running' RETURNING {_COLUMNS}",
                (0 if count_attempt else 1, job_id, attempt),
            ).fetchone()
            return _job(row) if row else None

        return await self._database.write(change)

    async def request_cancel(self, job_id: str, now: datetime) -> Job | None:
        """See :meth:`JobStore.request_cancel`."""

        def change(db: sqlite3.Connection) -> Job | None:
            db.execute(
                "UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, ?), "
                "finished_at = CASE state WHEN 'pending' THEN ? END, "
                "state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END "
                "WHERE id = ? AND state IN ('pending', 'running')",
                (_text(now), _text(now), job_id),
            )
            return _get(db, job_id)

        return await self._database.write(change)

    async def clear_pending(self, now: datetime, principal: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.clear_pending`."""

        def change(db: sqlite3.Connection) -> list[Job]:
            rows = db.execute(
                "UPDATE jobs SET state = 'cancelled', cancel_requested_at = ?, finished_at = ? "  # noqa: S608 - constant columns
                f"WHERE state = 'pending' AND (? IS NULL OR principal = ?) RETURNING {_COLUMNS}",
                (_text(now), _text(now), principal, principal),
            ).fetchall()
            return [_job(row) for row in rows]

        return await self._database.write(change)

    async def recover(self, now: datetime, max_interruptions: int) -> Sequence[Job]:
        """See :meth:`JobStore.recover`."""
        poisoned = Failure(
            slug="server_died",
            message=f"the server stopped abruptly while it worked on this job, {max_interruptions} times; it is not tried again",
        )

        def change(db: sqlite3.Connection) -> list[Job]:
            rows = db.execute(
                "UPDATE jobs SET interruptions = interruptions + 1, "  # noqa: S608 - constant columns
                "state = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled' "
                "             WHEN interruptions + 1 >= :most THEN 'failed' ELSE 'pending' END, "
                "finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR interruptions + 1 >= :most THEN :now END, "
                "failure = CASE WHEN cancel_requested_at IS NULL AND interruptions + 1 >= :most THEN :failure END, "
                "lease_worker = NULL, lease_until = NULL "
                f"WHERE state = 'running' RETURNING {_COLUMNS}",
                {"most": max_interruptions, "now": _text(now), "failure": _json(poisoned)},
            ).fetchall()
            return [_job(row) for row in rows]

        return await self._database.write(change)

    async def prioritise(self, job_id: str, priority: int) -> Job | None:
        """See :meth:`JobStore.prioritise`."""

        def change(db: sqlite3.Connection) -> Job | None:
            row = db.execute(
                f"UPDATE jobs SET priority = ? WHERE id = ? AND state = 'pending' RETURNING {_COLUMNS}",  # noqa: S608 - constant columns
                (priority, job_id),
            ).fetchone()
            return _job(row) if row else None

        return await self._database.write(change)

    async def remove(self, job_id: str) -> bool:
        """See :meth:`JobStore.remove`."""
        return await self._database.write(
            lambda db: (
                db.execute(
                    "DELETE FROM jobs WHERE id = ? AND state IN ('completed', 'failed', 'cancelled')", (job_id,)
                ).rowcount
                == 1
            )
        )

    async def get_value(self, key: str) -> Any:
        """See :meth:`JobStore.get_value`."""

        def query(db: sqlite3.Connection) -> Any:
            row = db.execute("SELECT value FROM key_values WHERE key = ?", (key,)).fetchone()
            return json.loads(row["value"]) if row else None

        return await self._database.read(query)

    async def set_value(self, key: str, value: Any) -> None:
        """See :meth:`JobStore.set_value`."""

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO key_values VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, json.dumps(value)),
            )

        await self._database.write(change)


def _number(db: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> int:
    return int(db.execute(query, values).fetchone()[0])


def _get(db: sqlite3.Connection, job_id: str) -> Job | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608 - constant columns
    return _job(row) if row else None


def _by_key(db: sqlite3.Connection, principal: str, key: str) -> Job | None:
    query = f"SELECT {_COLUMNS} FROM jobs WHERE principal = ? AND idempotency_key = ?"  # noqa: S608 - constant columns
    row = db.execute(query, (principal, key)).fetchone()
    return _job(row) if row else None


def _where(wanted: JobFilter) -> tuple[str, list[Any]]:
    terms: list[str] = []
    values: list[Any] = []

    def term(sql: str, *items: Any) -> None:
        terms.append(sql)
        values.extend(items)

    if wanted.states:
        term(f"state IN ({', '.join('?' * len(wanted.states))})", *wanted.states)
    if wanted.types:
        term(f"type IN ({', '.join('?' * len(wanted.types))})", *wanted.types)
    if wanted.principal is not None:
        term("principal = ?", wanted.principal)
    if wanted.model_id:
        term("model_id = ?", wanted.model_id)
    if wanted.created_after:
        term("created_at >= ?", _text(wanted.created_after))
    if wanted.created_before:
        term("created_at < ?", _text(wanted.created_before))
    if wanted.with_outputs:
        term("outputs <> '[]'")
    for word in wanted.search.split():
        like = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        term("(json_extract(parameters, '$.prompt') LIKE ? ESCAPE '\\' OR model_name LIKE ? ESCAPE '\\')", like, like)
    return (f"WHERE {' AND '.join(terms)}" if terms else "", values)


def _text(when: datetime | None) -> str | None:
    """UTC in a form that sorts as text."""
    return when.astimezone(UTC).isoformat(timespec="microseconds") if when else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _row(job: Job) -> tuple[Any, ...]:
    return (
        job.id,
        job.type,
        job.state,
        job.principal,
        job.priority,
        _json(job.parameters),
        job.model_id,
        job.model_name,
        job.attempt,
        _text(job.created_at),
        _text(job.started_at),
        _text(job.finished_at),
        _text(job.cancel_requested_at),
        job.seconds,
        _json(job.outputs),
        _json(job.failure) if job.failure else None,
        _json(job.warnings),
        job.idempotency_key,
        job.webhook_url,
        _json(job.origin),
        job.interruptions,
    )


_OUTPUTS: Final = msgspec.json.Decoder(tuple[Output, ...])
_FAILURE: Final = msgspec.json.Decoder(Failure)
_WARNINGS: Final = msgspec.json.Decoder(tuple[str, ...])


def _job(row: sqlite3.Row) -> Job:
    created_at = _time(row["created_at"])
    assert created_at is not None
    return Job(
        id=row["id"],
        type=JobType(row["type"]),
        state=JobState(row["state"]),
        principal=row["principal"],
        priority=row["priority"],
        parameters=json.loads(row["parameters"]),
        model_id=row["model_id"],
        model_name=row["model_name"],
        attempt=row["attempt"],
        created_at=created_at,
        started_at=_time(row["started_at"]),
        finished_at=_time(row["finished_at"]),
        cancel_requested_at=_time(row["cancel_requested_at"]),
        seconds=row["seconds"],
        outputs=_OUTPUTS.decode(row["outputs"]),
        failure=_FAILURE.decode(row["failure"]) if row["failure"] else None,
        warnings=_WARNINGS.decode(row["warnings"]),
        idempotency_key=row["idempotency_key"],
        webhook_url=row["webhook_url"],
        origin=json.loads(row["origin"]),
        interruptions=row["interruptions"],
    )
