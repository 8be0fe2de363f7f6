"""Jobs as statements."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from sdrest.core.job import Job, JobState, JobType, Output, with_output
from sdrest.jobs.quotas import Budget
from sdrest.jobs.store import (
    ANY_JOB,
    PAUSED_KEY,
    AtWork,
    Ending,
    JobFilter,
    JobOrder,
    Reach,
    Refusal,
    Waiting,
    check_room,
    lost_source,
    new_lease_id,
    server_died,
)
from sdrest.storage.sql.database import ADDING, ONE_ROW, Connection, Database
from sdrest.storage.sql.job_filters import Search, selection
from sdrest.storage.sql.job_rows import as_json, binned_at, job_of, output_columns, outputs_of, row_of
from sdrest.storage.sql.quotas import SqlQuotaStore
from sdrest.storage.sql.statements import without_comments
from sdrest.storage.sql.times import as_text
from sdrest.storage.sql.turns import turns_of


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
    key_model: str
    key_size: str
    key_favourites: str
    search_index: str
    search_text: str
    search_model: str
    search_seed: str
    search_lora: str
    count: str
    counts: str
    output_bytes: str
    position: str
    highest_priority: str
    claim: str
    renew: str
    take_over: str
    waiting: str
    at_work: str
    outputs: str
    set_outputs: str
    finish: str
    release: str
    request_cancel: str
    clear_pending: str
    lost: str
    recover: str
    sum_up: str
    settled_sources: str
    wait_on: str
    end_waiting: str
    prioritise: str
    remove: str
    ended: str
    set_bin: str
    get_value: str
    set_value: str


class SqlJobStore:
    """The :class:`sdrest.jobs.store.JobStore` of a real server, on any database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _Statements(**database.statements("jobs"))
        self._quotas = SqlQuotaStore(database)
        self._search = Search(
            {
                "text": self._sql.search_text,
                "model": self._sql.search_model,
                "seed": self._sql.search_seed,
                "lora": self._sql.search_lora,
            },
            {
                JobOrder.MODEL: without_comments(self._sql.key_model),
                JobOrder.SIZE: without_comments(self._sql.key_size),
                JobOrder.FAVOURITES: without_comments(self._sql.key_favourites),
            },
            index=without_comments(self._sql.search_index),
        )
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
                known = _job(db, self._sql.by_key, {"principal": job.principal, "key": job.idempotency_key})
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

    async def get(self, job_id: str) -> Job | None:
        """See :meth:`JobStore.get`."""
        return await self._database.read(lambda db: _job(db, self._sql.get, {"id": job_id}))

    async def known(self, job_ids: Collection[str]) -> set[str]:
        """See :meth:`JobStore.known`."""
        wanted = {"ids": json.dumps([*job_ids])}
        return await self._database.read(lambda db: {row["id"] for row in db.execute(self._sql.known, wanted)})

    async def by_key(self, principal: str, key: str) -> Job | None:
        """See :meth:`JobStore.by_key`."""
        return await self._database.read(lambda db: _job(db, self._sql.by_key, {"principal": principal, "key": key}))

    async def by_result(self, principal: str, result_key: str) -> Job | None:
        """See :meth:`JobStore.by_result`."""
        values = {"principal": principal, "key": result_key}
        return await self._database.read(lambda db: _job(db, self._sql.by_result, values))

    async def forget_key(self, job_id: str) -> None:
        """See :meth:`JobStore.forget_key`."""
        await self._database.write(lambda db: db.execute(self._sql.forget_key, {"id": job_id}).rowcount)

    async def find(self, wanted: JobFilter) -> Sequence[Job]:
        """See :meth:`JobStore.find`."""
        jobs = selection(wanted, self._search)
        query = self._sql.find.format(tables=jobs.tables, where=jobs.where, order=jobs.order)
        return await self._database.read(lambda db: _jobs(db, query, (*jobs.values, wanted.limit, wanted.offset)))

    async def count(self, wanted: JobFilter) -> int:
        """See :meth:`JobStore.count`."""
        jobs = selection(wanted, self._search)
        query = self._sql.count.format(tables=jobs.tables, where=jobs.where)
        return await self._database.read(lambda db: int(db.execute(query, jobs.values).fetchone()[0]))

    async def counts(self, principal: str | None = None) -> dict[JobState, int]:
        """See :meth:`JobStore.counts`."""

        def query(db: Connection) -> dict[JobState, int]:
            rows = db.execute(self._sql.counts, {"principal": principal})
            found = {JobState(state): int(number) for state, number in rows}
            return {state: found.get(state, 0) for state in JobState}

        return await self._database.read(query)

    async def output_bytes(self) -> int:
        """See :meth:`JobStore.output_bytes`."""
        return await self._database.read(lambda db: int(db.execute(self._sql.output_bytes).fetchone()[0]))

    async def position(self, job_id: str) -> int | None:
        """See :meth:`JobStore.position`."""
        return await self._database.read(lambda db: _number(db, self._sql.position, {"id": job_id}))

    async def highest_priority(self, *, besides: str = "") -> int | None:
        """See :meth:`JobStore.highest_priority`."""
        return await self._database.read(lambda db: _number(db, self._sql.highest_priority, {"besides": besides}))

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
            if _value(db, self._sql.get_value, PAUSED_KEY):
                return None
            while (sequence := self._turns.take(db, types, preferred_models, reach)) is not None:
                job = _job(db, self._sql.claim, {**values, "sequence": sequence})
                if job is not None:  # else it was cancelled meanwhile
                    return job
            return None

        # A power cut between this and the ending leaves the job pending: as far as anybody was told, it is.
        return await self._database.write(change, durable=False, alone=self._turns.alone)

    async def renew(self, lease_ids: Collection[str], *, until: datetime, server: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.renew`."""
        values = {"lease_ids": json.dumps([*lease_ids]), "until": as_text(until), "server": server}
        return await self._database.write(lambda db: _jobs(db, self._sql.renew, values), durable=False, alone=ONE_ROW)

    async def take_over(self, lease_id: str, *, server: str, worker: str, until: datetime) -> Job | None:
        """See :meth:`JobStore.take_over`."""
        values = {"lease_id": lease_id, "server": server, "worker": worker, "until": as_text(until)}
        return await self._database.write(lambda db: _job(db, self._sql.take_over, values), alone=ONE_ROW)

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
            row = db.execute(self._sql.outputs, whose).fetchone()
            if row is None:
                return False
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
            job = _job(db, self._sql.get, {"id": job_id}) if refusal else None
            warnings = as_json((*job.warnings, refusal.reason)) if job and refusal else None
            return self._ended(db, self._sql.release, {**values, "warnings": warnings}, place)

        return await self._database.write(change, alone=ONE_ROW)

    def _ended(
        self, db: Connection, statement: str, values: Mapping[str, Any], place: Callable[[], None] = lambda: None
    ) -> Job | None:
        """The job after a change that may have ended it, whose files go to their place with it."""
        job = self._quotas.settle(db, _job(db, statement, values))
        if job is not None:
            place()
        return job

    def _all_ended(self, db: Connection, statement: str, values: Mapping[str, Any]) -> list[Job]:
        """The jobs after a change that may have ended them."""
        jobs = _jobs(db, statement, values)
        for job in jobs:
            self._quotas.settle(db, job)
        return jobs

    async def waiting(self) -> Sequence[Waiting]:
        """See :meth:`JobStore.waiting`."""

        def query(db: Connection) -> Sequence[Waiting]:
            return [
                Waiting(
                    type=JobType(row["type"]),
                    model_id=row["model_id"],
                    model_name=row["model_name"],
                    memory_bytes=row["memory_bytes"],
                    number=row["number"],
                    oldest=datetime.fromisoformat(row["oldest"]),
                )
                for row in db.execute(self._sql.waiting)
            ]

        return await self._database.read(query)

    async def at_work(self) -> Sequence[AtWork]:
        """See :meth:`JobStore.at_work`."""

        def query(db: Connection) -> Sequence[AtWork]:
            return [
                AtWork(worker=row[0], model_id=row[1], model_name=row[2], number=row[3])
                for row in db.execute(self._sql.at_work)
            ]

        return await self._database.read(query)

    async def request_cancel(self, job_id: str, now: datetime) -> Job | None:
        """See :meth:`JobStore.request_cancel`."""

        def change(db: Connection) -> Job | None:
            changed = db.execute(self._sql.request_cancel, {"id": job_id, "now": as_text(now)}).rowcount
            job = _job(db, self._sql.get, {"id": job_id})
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
            lost = _jobs(db, self._sql.lost, whose)
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
        return _job(db, self._sql.wait_on, {"id": job_id, "waits_for": json.dumps(left)})

    async def prioritise(self, job_id: str, priority: int) -> Job | None:
        """See :meth:`JobStore.prioritise`."""
        return await self._database.write(
            lambda db: _job(db, self._sql.prioritise, {"id": job_id, "priority": priority}), alone=ONE_ROW
        )

    async def remove(self, job_id: str) -> bool:
        """See :meth:`JobStore.remove`."""
        return await self._database.write(
            lambda db: db.execute(self._sql.remove, {"id": job_id}).rowcount == 1, alone=ONE_ROW
        )

    async def change_bin(self, job_id: str, change: Callable[[Job], Job]) -> Job | None:
        """See :meth:`JobStore.change_bin`."""

        def rewrite(db: Connection) -> Job | None:
            before = _job(db, self._sql.ended, {"id": job_id})
            if before is None:
                return None
            after = change(before)
            columns = {**output_columns(after.outputs), "bin": as_json(after.bin), "binned_at": binned_at(after)}
            return _job(db, self._sql.set_bin, {"id": job_id, **columns})

        return await self._database.write(rewrite, alone=ONE_ROW)

    async def get_value(self, key: str) -> Any:
        """See :meth:`JobStore.get_value`."""
        return await self._database.read(lambda db: _value(db, self._sql.get_value, key))

    async def set_value(self, key: str, value: Any) -> None:
        """See :meth:`JobStore.set_value`."""
        values = {"key": key, "value": json.dumps(value)}
        await self._database.write(lambda db: db.execute(self._sql.set_value, values).rowcount, alone=ONE_ROW)


def _by_job(rows: Sequence[Any]) -> list[list[Any]]:
    """Rows in order, those of each job together."""
    return [[*items] for _, items in groupby(rows, key=itemgetter("id"))]


def _value(db: Connection, statement: str, key: str) -> Any:
    row = db.execute(statement, {"key": key}).fetchone()
    return json.loads(row["value"]) if row else None


def _number(db: Connection, query: str, values: Mapping[str, Any]) -> int | None:
    row = db.execute(query, values).fetchone()
    return int(row[0]) if row else None


def _job(db: Connection, statement: str, values: Mapping[str, Any]) -> Job | None:
    row = db.execute(statement, values).fetchone()
    return job_of(row) if row else None


def _jobs(db: Connection, statement: str, values: Mapping[str, Any] | Sequence[Any]) -> list[Job]:
    return [job_of(row) for row in db.execute(statement, values).fetchall()]
