"""Jobs as statements: what changes them."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from sdrest.core.job import Job, JobState, JobType, Output, with_output
from sdrest.jobs.quotas import Budget
from sdrest.jobs.store import (
    ANY_JOB,
    PAUSED_KEY,
    Ending,
    Reach,
    Refusal,
    check_room,
    lost_source,
    new_lease_id,
    server_died,
)
from sdrest.storage.sql.database import ADDING, ONE_ROW, Connection, Database, check_prompt
from sdrest.storage.sql.job_reading import SqlJobReading, job_from, jobs_from, value_of
from sdrest.storage.sql.job_rows import as_json, binned_at, output_columns, outputs_of, row_of
from sdrest.storage.sql.quotas import SqlQuotaStore
from sdrest.storage.sql.times import as_text
from sdrest.storage.sql.turns import turns_of


class SqlJobStore(SqlJobReading):
    """The :class:`sdrest.jobs.store.JobStore` of a real server, on any database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._quotas = SqlQuotaStore(database)
        self._turns = turns_of(database.statements("turns"))

    async def add(
        self,
        job: Job,
        *,
        max_pending: int,
        max_pending_of_principal: int | None = None,
        budgets: Sequence[Budget] = (),
    ) -> Job:
        """See :meth:`JobStore.add`."""

        def change(db: Connection) -> Job:
            if job.idempotency_key:
                known = job_from(db, self._sql.by_key, {"principal": job.principal, "key": job.idempotency_key})
                if known is not None:
                    return known
            self.add_all(
                db,
                [job],
                max_pending=max_pending,
                max_pending_of_principal=max_pending_of_principal,
                budgets=budgets,
            )
            return job

        return await self._database.write(change, alone=ADDING)

    def add_all(
        self,
        db: Connection,
        jobs: Sequence[Job],
        *,
        max_pending: int,
        max_pending_of_principal: int | None,
        budgets: Sequence[Budget],
    ) -> None:
        """Add jobs of one principal within a transaction of kind :data:`ADDING`; none has an idempotency key that was used before.

        Raises:
            QueueFull, QuotaReached: as :meth:`add`.
        """
        waiting = [job for job in jobs if not job.is_finished]
        if waiting:
            pending = db.execute(self._sql.pending, {"principal": waiting[0].principal}).fetchone()
            check_room(
                len(waiting),
                pending=pending["number"],
                own=pending["own"],
                max_pending=max_pending,
                max_pending_of_principal=max_pending_of_principal,
            )
        self._quotas.count(db, waiting, budgets)
        for job in jobs:
            if job.is_finished:
                db.execute(self._sql.add, row_of(dataclasses.replace(job, state=JobState.PENDING)))
                # As an ending, so that all that hangs on endings hears of it.
                db.execute(self._sql.end_new, {"id": job.id, "state": job.state})
            else:
                db.execute(self._sql.add, row_of(job))

    async def forget_key(self, job_id: str) -> None:
        """See :meth:`JobStore.forget_key`."""
        await self._database.write(lambda db: db.execute(self._sql.forget_key, {"id": job_id}).rowcount)

    async def claim(
        self,
        types: Collection[JobType],
        *,
        now: datetime,
        lease_seconds: float,
        worker: str,
        server: str = "",
        preferred_models: Collection[str] = (),
        reach: Reach = ANY_JOB,
    ) -> Job | None:
        """See :meth:`JobStore.claim`."""
        until = as_text(now + timedelta(seconds=lease_seconds))
        lease = {"lease_id": new_lease_id(), "server": server, "worker": worker, "until": until}
        values = {"now": as_text(now), **lease}

        def change(db: Connection) -> Job | None:
            if value_of(db, self._sql.get_value, PAUSED_KEY):
                return None
            while (sequence := self._turns.take(db, types, preferred_models, reach)) is not None:
                job = job_from(db, self._sql.claim, {**values, "sequence": sequence})
                if job is not None:  # else it was cancelled meanwhile
                    return job
            return None

        # A power cut between this and the ending leaves the job pending: as far as anybody was told, it is.
        return await self._database.write(change, durable=False, alone=self._turns.alone)

    async def renew(self, lease_ids: Collection[str], *, until: datetime, server: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.renew`."""
        values = {"lease_ids": json.dumps([*lease_ids]), "until": as_text(until), "server": server}
        return await self._database.write(
            lambda db: jobs_from(db, self._sql.renew, values), durable=False, alone=ONE_ROW
        )

    async def take_over(self, lease_id: str, *, server: str, worker: str, until: datetime) -> Job | None:
        """See :meth:`JobStore.take_over`."""
        values = {"lease_id": lease_id, "server": server, "worker": worker, "until": as_text(until)}
        return await self._database.write(lambda db: job_from(db, self._sql.take_over, values), alone=ONE_ROW)

    async def note_output(
        self,
        job_id: str,
        lease_id: str,
        output: Output,
        place: Callable[[], None] = lambda: None,
        *,
        server: str | None = None,
    ) -> bool:
        """See :meth:`JobStore.note_output`."""
        whose = {"id": job_id, "lease_id": lease_id, "server": server}

        def change(db: Connection) -> bool:
            asked_at = time.monotonic()
            row = db.execute(self._sql.outputs, whose).fetchone()
            if row is None:
                return False
            check_prompt(asked_at)
            place()
            outputs = with_output(outputs_of(row), output)
            db.execute(self._sql.set_outputs, {"id": job_id, **output_columns(outputs)})
            return True

        # After a power cut the file is made once more.
        return await self._database.write(change, durable=False, alone=ONE_ROW)

    async def finish(
        self,
        job_id: str,
        lease_id: str,
        ending: Ending,
        place: Callable[[], None] = lambda: None,
        *,
        server: str | None = None,
    ) -> Job | None:
        """See :meth:`JobStore.finish`."""
        values = {
            "id": job_id,
            "lease_id": lease_id,
            "server": server,
            "state": ending.state,
            "now": as_text(ending.finished_at),
            **output_columns(ending.outputs),
            "failure": as_json(ending.failure) if ending.failure else None,
            "seconds": ending.seconds,
            "warnings": as_json(ending.warnings),
        }
        return await self._database.write(lambda db: self._ended(db, self._sql.finish, values, place), alone=ONE_ROW)

    async def release(
        self,
        job_id: str,
        lease_id: str,
        *,
        now: datetime,
        count_attempt: bool,
        outputs: tuple[Output, ...],
        place: Callable[[], None] = lambda: None,
        server: str | None = None,
        refusal: Refusal | None = None,
    ) -> Job | None:
        """See :meth:`JobStore.release`."""
        values = {
            "id": job_id,
            "lease_id": lease_id,
            "server": server,
            "now": as_text(now),
            "count": count_attempt,
            **output_columns(outputs),
            "memory_bytes": refusal.memory_bytes if refusal else 0,
        }

        def change(db: Connection) -> Job | None:
            job = job_from(db, self._sql.get, {"id": job_id}) if refusal else None
            warnings = as_json((*job.warnings, refusal.reason)) if job and refusal else None
            return self._ended(db, self._sql.release, {**values, "warnings": warnings}, place)

        return await self._database.write(change, alone=ONE_ROW)

    def _ended(
        self, db: Connection, statement: str, values: Mapping[str, Any], place: Callable[[], None] = lambda: None
    ) -> Job | None:
        """The job after a change that may have ended it, whose files go to their place with it."""
        asked_at = time.monotonic()
        job = self._quotas.settle(db, job_from(db, statement, values))
        if job is not None:
            check_prompt(asked_at)
            place()
        return job

    def _all_ended(self, db: Connection, statement: str, values: Mapping[str, Any]) -> list[Job]:
        """The jobs after a change that may have ended them."""
        jobs = jobs_from(db, statement, values)
        for job in jobs:
            self._quotas.settle(db, job)
        return jobs

    async def request_cancel(self, job_id: str, now: datetime) -> Job | None:
        """See :meth:`JobStore.request_cancel`."""

        def change(db: Connection) -> Job | None:
            changed = db.execute(self._sql.request_cancel, {"id": job_id, "now": as_text(now)}).rowcount
            job = job_from(db, self._sql.get, {"id": job_id})
            return self._quotas.settle(db, job) if changed else job

        return await self._database.write(change, alone=ONE_ROW)

    async def clear_pending(self, now: datetime, principal: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.clear_pending`."""
        values = {"now": as_text(now), "principal": principal}
        return await self._database.write(lambda db: self._all_ended(db, self._sql.clear_pending, values))

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
        values = {"now": whose["now"], "most": max_interruptions, "failure": as_json(server_died(max_interruptions))}

        def change(db: Connection) -> Sequence[Job]:
            # Files first: who is killed meanwhile finds the jobs running once more.
            db.execute(self._sql.sum_up)
            asked_at = time.monotonic()
            lost = jobs_from(db, self._sql.lost, whose)
            check_prompt(asked_at)
            for job in lost:
                tidy(job)
            ids = json.dumps([job.id for job in lost])
            return self._all_ended(db, self._sql.recover, {**values, "ids": ids}) if lost else []

        return await self._database.write(change)

    async def follow(self, now: datetime) -> Sequence[Job]:
        """See :meth:`JobStore.follow`."""

        def change(db: Connection) -> Sequence[Job]:
            changed: dict[str, Job] = {}
            while settled := db.execute(self._sql.settled_sources).fetchall():
                for rows in _by_job(settled):
                    job = self._without(db, rows, now)
                    if job is not None:
                        changed[job.id] = job
            return [*changed.values()]

        settled = await self._database.read(lambda db: db.execute(self._sql.settled_sources).fetchone())
        return await self._database.write(change) if settled else []

    def _without(self, db: Connection, settled: Sequence[Any], now: datetime) -> Job | None:
        """A job that need not wait for some sources any more: it goes on, or ends because one of them will not come."""
        job_id = settled[0]["id"]
        for row in settled:
            state = JobState(row["state"]) if row["state"] else None
            if state is not JobState.COMPLETED:
                reason = json.loads(row["failure"])["message"] if row["failure"] else ""
                ending, failure = lost_source(row["source_id"], state, reason)
                values = {"id": job_id, "now": as_text(now), "state": ending, "failure": as_json(failure)}
                return self._ended(db, self._sql.end_waiting, values)
        done = {row["source_id"] for row in settled}
        left = [source_id for source_id in json.loads(settled[0]["waits_for"]) if source_id not in done]
        return job_from(db, self._sql.wait_on, {"id": job_id, "waits_for": json.dumps(left)})

    async def prioritise(self, job_id: str, priority: int) -> Job | None:
        """See :meth:`JobStore.prioritise`."""
        return await self._database.write(
            lambda db: job_from(db, self._sql.prioritise, {"id": job_id, "priority": priority}), alone=ONE_ROW
        )

    async def remove(self, job_id: str) -> bool:
        """See :meth:`JobStore.remove`."""
        return await self._database.write(
            lambda db: db.execute(self._sql.remove, {"id": job_id}).rowcount == 1, alone=ONE_ROW
        )

    async def change_bin(self, job_id: str, change: Callable[[Job], Job]) -> Job | None:
        """See :meth:`JobStore.change_bin`."""

        def rewrite(db: Connection) -> Job | None:
            before = job_from(db, self._sql.ended, {"id": job_id})
            if before is None:
                return None
            after = change(before)
            columns = {**output_columns(after.outputs), "bin": as_json(after.bin), "binned_at": binned_at(after)}
            return job_from(db, self._sql.set_bin, {"id": job_id, **columns})

        return await self._database.write(rewrite, alone=ONE_ROW)

    async def set_value(self, key: str, value: Any) -> None:
        """See :meth:`JobStore.set_value`."""
        values = {"key": key, "value": json.dumps(value)}
        await self._database.write(lambda db: db.execute(self._sql.set_value, values).rowcount, alone=ONE_ROW)


def _by_job(rows: Sequence[Any]) -> list[list[Any]]:
    """Rows in order, those of each job together."""
    return [[*items] for _, items in groupby(rows, key=itemgetter("id"))]
