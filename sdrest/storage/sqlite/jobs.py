"""Jobs in SQLite."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sdrest.core.errors import QueueFull
from sdrest.core.job import Job, JobState, JobType, Output, with_output
from sdrest.jobs.store import PAUSED_KEY, Ending, JobFilter, new_lease_id, server_died
from sdrest.storage.sqlite.database import Database
from sdrest.storage.sqlite.job_rows import as_json, job_of, outputs_of, row_of, where_of
from sdrest.storage.sqlite.statements import statements
from sdrest.storage.sqlite.times import as_text
from sdrest.storage.sqlite.turns import take_turn


@dataclass(frozen=True, slots=True)
class _Statements:
    pending: str
    add: str
    end_new: str
    get: str
    known: str
    by_key: str
    by_result: str
    forget_key: str
    find: str
    count: str
    counts: str
    output_bytes: str
    position: str
    highest_priority: str
    claim: str
    renew: str
    outputs: str
    set_outputs: str
    finish: str
    release: str
    request_cancel: str
    clear_pending: str
    lost: str
    recover: str
    prioritise: str
    remove: str
    get_value: str
    set_value: str


_SQL: Final = _Statements(**statements("jobs"))


class SqliteJobStore:
    """The :class:`sdrest.jobs.store.JobStore` of a real server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job, *, max_pending: int, max_pending_of_principal: int | None = None) -> Job:
        """See :meth:`JobStore.add`."""

        def change(db: sqlite3.Connection) -> Job:
            if job.idempotency_key:
                known = _job(db, _SQL.by_key, {"principal": job.principal, "key": job.idempotency_key})
                if known is not None:
                    return known
            if job.is_finished:
                db.execute(_SQL.add, row_of(dataclasses.replace(job, state=JobState.PENDING)))
                # As an ending, so that all that hangs on endings hears of it.
                db.execute(_SQL.end_new, {"id": job.id, "state": job.state})
                return job
            pending = db.execute(_SQL.pending, {"principal": job.principal}).fetchone()
            if pending["number"] >= max_pending:
                raise QueueFull(f"the queue is full: {pending['number']} jobs are pending")
            if max_pending_of_principal is not None and pending["own"] >= max_pending_of_principal:
                raise QueueFull(f"you have {pending['own']} jobs pending, as many as one user may have")
            db.execute(_SQL.add, row_of(job))
            return job

        return await self._database.write(change)

    async def get(self, job_id: str) -> Job | None:
        """See :meth:`JobStore.get`."""
        return await self._database.read(lambda db: _job(db, _SQL.get, {"id": job_id}))

    async def known(self, job_ids: Collection[str]) -> set[str]:
        """See :meth:`JobStore.known`."""
        wanted = {"ids": json.dumps([*job_ids])}
        return await self._database.read(lambda db: {row["id"] for row in db.execute(_SQL.known, wanted)})

    async def by_key(self, principal: str, key: str) -> Job | None:
        """See :meth:`JobStore.by_key`."""
        return await self._database.read(lambda db: _job(db, _SQL.by_key, {"principal": principal, "key": key}))

    async def by_result(self, principal: str, result_key: str) -> Job | None:
        """See :meth:`JobStore.by_result`."""
        values = {"principal": principal, "key": result_key}
        return await self._database.read(lambda db: _job(db, _SQL.by_result, values))

    async def forget_key(self, job_id: str) -> None:
        """See :meth:`JobStore.forget_key`."""
        await self._database.write(lambda db: db.execute(_SQL.forget_key, {"id": job_id}).rowcount)

    async def find(self, wanted: JobFilter) -> Sequence[Job]:
        """See :meth:`JobStore.find`."""
        where, values = where_of(wanted)
        query = _SQL.find.format(where=where, direction="DESC" if wanted.newest_first else "ASC")
        return await self._database.read(lambda db: _jobs(db, query, (*values, wanted.limit, wanted.offset)))

    async def count(self, wanted: JobFilter) -> int:
        """See :meth:`JobStore.count`."""
        where, values = where_of(wanted)
        query = _SQL.count.format(where=where)
        return await self._database.read(lambda db: int(db.execute(query, values).fetchone()[0]))

    async def counts(self, principal: str | None = None) -> dict[JobState, int]:
        """See :meth:`JobStore.counts`."""

        def query(db: sqlite3.Connection) -> dict[JobState, int]:
            rows = db.execute(_SQL.counts, {"principal": principal})
            found = {JobState(state): int(number) for state, number in rows}
            return {state: found.get(state, 0) for state in JobState}

        return await self._database.read(query)

    async def output_bytes(self) -> int:
        """See :meth:`JobStore.output_bytes`."""
        return await self._database.read(lambda db: int(db.execute(_SQL.output_bytes).fetchone()[0]))

    async def position(self, job_id: str) -> int | None:
        """See :meth:`JobStore.position`."""
        return await self._database.read(lambda db: _number(db, _SQL.position, {"id": job_id}))

    async def highest_priority(self, *, besides: str = "") -> int | None:
        """See :meth:`JobStore.highest_priority`."""
        return await self._database.read(lambda db: _number(db, _SQL.highest_priority, {"besides": besides}))

    async def claim(
        self,
        types: Collection[JobType],
        *,
        now: datetime,
        lease_seconds: float,
        worker: str,
        server: str = "",
        preferred_models: Collection[str] = (),
    ) -> Job | None:
        """See :meth:`JobStore.claim`."""
        until = as_text(now + timedelta(seconds=lease_seconds))
        lease = {"lease_id": new_lease_id(), "server": server, "worker": worker, "until": until}
        values = {"now": as_text(now), **lease}

        def change(db: sqlite3.Connection) -> Job | None:
            if _value(db, PAUSED_KEY):
                return None
            sequence = take_turn(db, types, preferred_models)
            return None if sequence is None else _job(db, _SQL.claim, {**values, "sequence": sequence})

        # A power cut between this and the ending leaves the job pending: as far as anybody was told, it is.
        return await self._database.write(change, durable=False)

    async def renew(self, lease_ids: Collection[str], *, until: datetime) -> Sequence[Job]:
        """See :meth:`JobStore.renew`."""
        values = {"lease_ids": json.dumps([*lease_ids]), "until": as_text(until)}
        return await self._database.write(lambda db: _jobs(db, _SQL.renew, values), durable=False)

    async def note_output(
        self, job_id: str, lease_id: str, output: Output, place: Callable[[], None] = lambda: None
    ) -> bool:
        """See :meth:`JobStore.note_output`."""

        def change(db: sqlite3.Connection) -> bool:
            row = db.execute(_SQL.outputs, {"id": job_id, "lease_id": lease_id}).fetchone()
            if row is None:
                return False
            place()
            outputs = with_output(outputs_of(row), output)
            db.execute(_SQL.set_outputs, {"id": job_id, "outputs": as_json(outputs)})
            return True

        # After a power cut the file is made once more.
        return await self._database.write(change, durable=False)

    async def finish(
        self, job_id: str, lease_id: str, ending: Ending, place: Callable[[], None] = lambda: None
    ) -> Job | None:
        """See :meth:`JobStore.finish`."""
        values = {
            "id": job_id,
            "lease_id": lease_id,
            "state": ending.state,
            "now": as_text(ending.finished_at),
            "outputs": as_json(ending.outputs),
            "failure": as_json(ending.failure) if ending.failure else None,
            "seconds": ending.seconds,
            "warnings": as_json(ending.warnings),
        }
        return await self._database.write(lambda db: _placed(_job(db, _SQL.finish, values), place))

    async def release(
        self,
        job_id: str,
        lease_id: str,
        *,
        now: datetime,
        count_attempt: bool,
        outputs: tuple[Output, ...],
        place: Callable[[], None] = lambda: None,
    ) -> Job | None:
        """See :meth:`JobStore.release`."""
        values = {
            "id": job_id,
            "lease_id": lease_id,
            "now": as_text(now),
            "count": count_attempt,
            "outputs": as_json(outputs),
        }
        return await self._database.write(lambda db: _placed(_job(db, _SQL.release, values), place))

    async def request_cancel(self, job_id: str, now: datetime) -> Job | None:
        """See :meth:`JobStore.request_cancel`."""

        def change(db: sqlite3.Connection) -> Job | None:
            db.execute(_SQL.request_cancel, {"id": job_id, "now": as_text(now)})
            return _job(db, _SQL.get, {"id": job_id})

        return await self._database.write(change)

    async def clear_pending(self, now: datetime, principal: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.clear_pending`."""
        values = {"now": as_text(now), "principal": principal}
        return await self._database.write(lambda db: _jobs(db, _SQL.clear_pending, values))

    async def recover(
        self,
        now: datetime,
        max_interruptions: int,
        *,
        server: str | None = None,
        tidy: Callable[[Job], None] = lambda _job: None,
    ) -> Sequence[Job]:
        """See :meth:`JobStore.recover`."""
        whose = {"now": as_text(now), "server": server}
        values = {**whose, "most": max_interruptions, "failure": as_json(server_died(max_interruptions))}

        def change(db: sqlite3.Connection) -> Sequence[Job]:
            # Files first: who is killed meanwhile finds the jobs running once more.
            for job in _jobs(db, _SQL.lost, whose):
                tidy(job)
            return _jobs(db, _SQL.recover, values)

        return await self._database.write(change)

    async def prioritise(self, job_id: str, priority: int) -> Job | None:
        """See :meth:`JobStore.prioritise`."""
        return await self._database.write(lambda db: _job(db, _SQL.prioritise, {"id": job_id, "priority": priority}))

    async def remove(self, job_id: str) -> bool:
        """See :meth:`JobStore.remove`."""
        return await self._database.write(lambda db: db.execute(_SQL.remove, {"id": job_id}).rowcount == 1)

    async def get_value(self, key: str) -> Any:
        """See :meth:`JobStore.get_value`."""
        return await self._database.read(lambda db: _value(db, key))

    async def set_value(self, key: str, value: Any) -> None:
        """See :meth:`JobStore.set_value`."""
        values = {"key": key, "value": json.dumps(value)}
        await self._database.write(lambda db: db.execute(_SQL.set_value, values).rowcount)


def _value(db: sqlite3.Connection, key: str) -> Any:
    row = db.execute(_SQL.get_value, {"key": key}).fetchone()
    return json.loads(row["value"]) if row else None


def _placed(job: Job | None, place: Callable[[], None]) -> Job | None:
    """The job after a change, whose files go to their place with it."""
    if job is not None:
        place()
    return job


def _number(db: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> int | None:
    row = db.execute(query, values).fetchone()
    return int(row[0]) if row else None


def _job(db: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> Job | None:
    row = db.execute(statement, values).fetchone()
    return job_of(row) if row else None


def _jobs(db: sqlite3.Connection, statement: str, values: Mapping[str, Any] | Sequence[Any]) -> list[Job]:
    return [job_of(row) for row in db.execute(statement, values).fetchall()]
