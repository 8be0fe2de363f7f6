"""Jobs in SQLite."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sdrest.core.errors import QueueFull
from sdrest.core.job import Job, JobState, JobType, Output, with_output
from sdrest.jobs.store import Ending, JobFilter, server_died
from sdrest.storage.sqlite.database import Database
from sdrest.storage.sqlite.job_rows import COLUMNS, as_json, job_of, outputs_of, row_of, where_of
from sdrest.storage.sqlite.times import as_text
from sdrest.storage.sqlite.turns import take_turn

#: A running job whose cancelling was asked for.
_UNWANTED: Final = "cancel_requested_at IS NOT NULL"


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
            if job.is_finished:
                _insert(db, dataclasses.replace(job, state=JobState.PENDING))
                # As an ending, so that all that hangs on endings hears of it.
                db.execute("UPDATE jobs SET state = ? WHERE id = ?", (job.state, job.id))
                return job
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
            _insert(db, job)
            return job

        return await self._database.write(change)

    async def get(self, job_id: str) -> Job | None:
        """See :meth:`JobStore.get`."""
        return await self._database.read(lambda db: _get(db, job_id))

    async def known(self, job_ids: Collection[str]) -> set[str]:
        """See :meth:`JobStore.known`."""
        query = "SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        return await self._database.read(lambda db: {row["id"] for row in db.execute(query, (json.dumps([*job_ids]),))})

    async def by_key(self, principal: str, key: str) -> Job | None:
        """See :meth:`JobStore.by_key`."""
        return await self._database.read(lambda db: _by_key(db, principal, key))

    async def by_result(self, principal: str, result_key: str) -> Job | None:
        """See :meth:`JobStore.by_result`."""
        query = (
            f"SELECT {COLUMNS} FROM jobs WHERE result_key = ? AND result_key <> '' AND principal = ? "  # noqa: S608 - constant columns
            "AND state = 'completed' ORDER BY sequence DESC LIMIT 1"
        )

        def find(db: sqlite3.Connection) -> Job | None:
            row = db.execute(query, (result_key, principal)).fetchone()
            return job_of(row) if row else None

        return await self._database.read(find)

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
        where, values = where_of(wanted)
        direction = "DESC" if wanted.newest_first else "ASC"
        query = f"SELECT {COLUMNS} FROM jobs {where} ORDER BY sequence {direction} LIMIT ? OFFSET ?"  # noqa: S608 - built here
        return await self._database.read(
            lambda db: [job_of(row) for row in db.execute(query, (*values, wanted.limit, wanted.offset))]
        )

    async def count(self, wanted: JobFilter) -> int:
        """See :meth:`JobStore.count`."""
        where, values = where_of(wanted)
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
            pending = "SELECT count(*) FROM jobs INDEXED BY jobs_pending WHERE state = 'pending' AND "
            higher = _number(db, pending + "priority > ?", (row["priority"],))
            return (
                1 + higher + _number(db, pending + "priority = ? AND sequence < ?", (row["priority"], row["sequence"]))
            )

        return await self._database.read(query)

    async def highest_priority(self, *, besides: str = "") -> int | None:
        """See :meth:`JobStore.highest_priority`."""
        query = (
            "SELECT priority FROM jobs INDEXED BY jobs_pending WHERE state = 'pending' AND id <> ? "
            "ORDER BY priority DESC LIMIT 1"
        )

        def find(db: sqlite3.Connection) -> int | None:
            row = db.execute(query, (besides,)).fetchone()
            return int(row["priority"]) if row else None

        return await self._database.read(find)

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

        def change(db: sqlite3.Connection) -> Job | None:
            sequence = take_turn(db, types, preferred_models)
            if sequence is None:
                return None
            row = db.execute(
                f"UPDATE jobs SET state = 'running', attempt = attempt + 1, started_at = ?, lease_worker = ?, lease_until = ? "  # noqa: S608 - constant columns
                f"WHERE sequence = ? AND state = 'pending' RETURNING {COLUMNS}",
                (as_text(now), worker, as_text(now + timedelta(seconds=lease_seconds)), sequence),
            ).fetchone()
            return job_of(row)

        # A power cut between this and the ending leaves the job pending: as far as anybody was told, it is.
        return await self._database.write(change, durable=False)

    async def renew(self, job_id: str, attempt: int, *, until: datetime) -> bool:
        """See :meth:`JobStore.renew`."""
        return await self._database.write(
            lambda db: (
                db.execute(
                    "UPDATE jobs SET lease_until = ? WHERE id = ? AND attempt = ? AND state = 'running'",
                    (as_text(until), job_id, attempt),
                ).rowcount
                == 1
            ),
            durable=False,
        )

    async def note_output(self, job_id: str, attempt: int, output: Output) -> bool:
        """See :meth:`JobStore.note_output`."""

        def change(db: sqlite3.Connection) -> bool:
            row = db.execute(
                "SELECT outputs FROM jobs WHERE id = ? AND attempt = ? AND state = 'running'", (job_id, attempt)
            ).fetchone()
            if row is None:
                return False
            outputs = with_output(outputs_of(row), output)
            db.execute("UPDATE jobs SET outputs = ? WHERE id = ?", (as_json(outputs), job_id))
            return True

        # After a power cut the file is made once more.
        return await self._database.write(change, durable=False)

    async def finish(self, job_id: str, attempt: int, ending: Ending) -> Job | None:
        """See :meth:`JobStore.finish`."""

        def change(db: sqlite3.Connection) -> Job | None:
            row = db.execute(
                "UPDATE jobs SET finished_at = :now, outputs = :outputs, seconds = :seconds, warnings = :warnings, "  # noqa: S608 - constant columns
                f"state = CASE WHEN {_UNWANTED} AND :state = 'failed' THEN 'cancelled' ELSE :state END, "
                f"failure = CASE WHEN {_UNWANTED} THEN NULL ELSE :failure END, lease_worker = NULL, lease_until = NULL "
                f"WHERE id = :id AND attempt = :attempt AND state = 'running' RETURNING {COLUMNS}",
                {
                    "state": ending.state,
                    "now": as_text(ending.finished_at),
                    "outputs": as_json(ending.outputs),
                    "failure": as_json(ending.failure) if ending.failure else None,
                    "seconds": ending.seconds,
                    "warnings": as_json(ending.warnings),
                    "id": job_id,
                    "attempt": attempt,
                },
            ).fetchone()
            return job_of(row) if row else None

        return await self._database.write(change)

    async def release(
        self, job_id: str, attempt: int, *, now: datetime, count_attempt: bool, outputs: tuple[Output, ...]
    ) -> Job | None:
        """See :meth:`JobStore.release`."""

        def change(db: sqlite3.Connection) -> Job | None:
            row = db.execute(
                f"UPDATE jobs SET state = CASE WHEN {_UNWANTED} THEN 'cancelled' ELSE 'pending' END, "  # noqa: S608 - constant columns
                f"finished_at = CASE WHEN {_UNWANTED} THEN :now END, outputs = :outputs, "
                f"attempt = attempt - CASE WHEN :count OR {_UNWANTED} THEN 0 ELSE 1 END, "
                f"started_at = CASE WHEN {_UNWANTED} THEN started_at END, lease_worker = NULL, lease_until = NULL "
                f"WHERE id = :id AND attempt = :attempt AND state = 'running' RETURNING {COLUMNS}",
                {
                    "now": as_text(now),
                    "outputs": as_json(outputs),
                    "count": count_attempt,
                    "id": job_id,
                    "attempt": attempt,
                },
            ).fetchone()
            return job_of(row) if row else None

        return await self._database.write(change)

    async def request_cancel(self, job_id: str, now: datetime) -> Job | None:
        """See :meth:`JobStore.request_cancel`."""

        def change(db: sqlite3.Connection) -> Job | None:
            db.execute(
                "UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, ?), "
                "finished_at = CASE state WHEN 'pending' THEN ? END, "
                "state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END "
                "WHERE id = ? AND state IN ('pending', 'running')",
                (as_text(now), as_text(now), job_id),
            )
            return _get(db, job_id)

        return await self._database.write(change)

    async def clear_pending(self, now: datetime, principal: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.clear_pending`."""

        def change(db: sqlite3.Connection) -> list[Job]:
            rows = db.execute(
                "UPDATE jobs SET state = 'cancelled', cancel_requested_at = ?, finished_at = ? "  # noqa: S608 - constant columns
                f"WHERE state = 'pending' AND (? IS NULL OR principal = ?) RETURNING {COLUMNS}",
                (as_text(now), as_text(now), principal, principal),
            ).fetchall()
            return [job_of(row) for row in rows]

        return await self._database.write(change)

    async def recover(self, now: datetime, max_interruptions: int) -> Sequence[Job]:
        """See :meth:`JobStore.recover`."""
        poisoned = server_died(max_interruptions)

        def change(db: sqlite3.Connection) -> list[Job]:
            rows = db.execute(
                "UPDATE jobs SET interruptions = interruptions + 1, "  # noqa: S608 - constant columns
                f"state = CASE WHEN {_UNWANTED} THEN 'cancelled' "
                "             WHEN interruptions + 1 >= :most THEN 'failed' ELSE 'pending' END, "
                f"finished_at = CASE WHEN {_UNWANTED} OR interruptions + 1 >= :most THEN :now END, "
                f"failure = CASE WHEN NOT {_UNWANTED} AND interruptions + 1 >= :most THEN :failure END, "
                f"started_at = CASE WHEN {_UNWANTED} OR interruptions + 1 >= :most THEN started_at END, "
                "lease_worker = NULL, lease_until = NULL "
                f"WHERE state = 'running' RETURNING {COLUMNS}",
                {"most": max_interruptions, "now": as_text(now), "failure": as_json(poisoned)},
            ).fetchall()
            return [job_of(row) for row in rows]

        return await self._database.write(change)

    async def prioritise(self, job_id: str, priority: int) -> Job | None:
        """See :meth:`JobStore.prioritise`."""

        def change(db: sqlite3.Connection) -> Job | None:
            row = db.execute(
                f"UPDATE jobs SET priority = ? WHERE id = ? AND state = 'pending' RETURNING {COLUMNS}",  # noqa: S608 - constant columns
                (priority, job_id),
            ).fetchone()
            return job_of(row) if row else None

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


def _insert(db: sqlite3.Connection, job: Job) -> None:
    row = row_of(job)
    places = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO jobs ({COLUMNS}) VALUES ({places})", row)  # noqa: S608 - constant columns


def _get(db: sqlite3.Connection, job_id: str) -> Job | None:
    row = db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608 - constant columns
    return job_of(row) if row else None


def _by_key(db: sqlite3.Connection, principal: str, key: str) -> Job | None:
    query = f"SELECT {COLUMNS} FROM jobs WHERE principal = ? AND idempotency_key = ? AND idempotency_key <> ''"  # noqa: S608 - constant columns
    row = db.execute(query, (principal, key)).fetchone()
    return job_of(row) if row else None
