"""Jobs as statements: what is asked about them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sdrest.core.job import Job, JobState, JobType
from sdrest.jobs.listing import JobFilter, JobOrder
from sdrest.jobs.store import AtWork, Waiting
from sdrest.storage.sql.database import Connection, Database
from sdrest.storage.sql.job_filters import Search, selection
from sdrest.storage.sql.job_rows import job_of
from sdrest.storage.sql.statements import without_comments


@dataclass(frozen=True, slots=True)
class Statements:
    """The texts of ``queries/jobs``."""

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


class SqlJobReading:
    """That part of a :class:`sdrest.jobs.store.JobStore` that changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Statements(**database.statements("jobs"))
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

    async def get(self, job_id: str) -> Job | None:
        """See :meth:`JobStore.get`."""
        return await self._database.read(lambda db: job_from(db, self._sql.get, {"id": job_id}))

    async def known(self, job_ids: Collection[str]) -> set[str]:
        """See :meth:`JobStore.known`."""
        wanted = {"ids": json.dumps([*job_ids])}
        return await self._database.read(lambda db: {row["id"] for row in db.execute(self._sql.known, wanted)})

    async def by_key(self, principal: str, key: str) -> Job | None:
        """See :meth:`JobStore.by_key`."""
        return await self._database.read(
            lambda db: job_from(db, self._sql.by_key, {"principal": principal, "key": key})
        )

    async def by_result(self, principal: str, result_key: str) -> Job | None:
        """See :meth:`JobStore.by_result`."""
        values = {"principal": principal, "key": result_key}
        return await self._database.read(lambda db: job_from(db, self._sql.by_result, values))

    async def find(self, wanted: JobFilter) -> Sequence[Job]:
        """See :meth:`JobStore.find`."""
        jobs = selection(wanted, self._search)
        query = self._sql.find.format(tables=jobs.tables, where=jobs.where, order=jobs.order)
        return await self._database.read(lambda db: jobs_from(db, query, (*jobs.values, wanted.limit, wanted.offset)))

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
        return await self._database.read(lambda db: number_of(db, self._sql.position, {"id": job_id}))

    async def highest_priority(self, *, besides: str = "") -> int | None:
        """See :meth:`JobStore.highest_priority`."""
        return await self._database.read(lambda db: number_of(db, self._sql.highest_priority, {"besides": besides}))

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

    async def get_value(self, key: str) -> Any:
        """See :meth:`JobStore.get_value`."""
        return await self._database.read(lambda db: value_of(db, self._sql.get_value, key))


def value_of(db: Connection, statement: str, key: str) -> Any:
    """What is kept under a key; None: nothing."""
    row = db.execute(statement, {"key": key}).fetchone()
    return json.loads(row["value"]) if row else None


def number_of(db: Connection, query: str, values: Mapping[str, Any]) -> int | None:
    """The number that a query answers, or None."""
    row = db.execute(query, values).fetchone()
    return int(row[0]) if row else None


def job_from(db: Connection, statement: str, values: Mapping[str, Any]) -> Job | None:
    """The job of a statement's first row, or None."""
    row = db.execute(statement, values).fetchone()
    return job_of(row) if row else None


def jobs_from(db: Connection, statement: str, values: Mapping[str, Any] | Sequence[Any]) -> list[Job]:
    """The jobs of a statement's rows."""
    return [job_of(row) for row in db.execute(statement, values).fetchall()]
