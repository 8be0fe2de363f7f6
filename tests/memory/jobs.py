"""Jobs in memory, gone with the process: the whole meaning of :class:`sdrest.jobs.store.JobStore` in plain Python."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
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
from sdrest.storage.sql.turns import MAX_PASSED_OVER
from tests.memory.quotas import MemoryQuotaStore
from tests.memory.reading import Entry, MemoryJobReading


class MemoryJobStore(MemoryJobReading):
    """A :class:`sdrest.jobs.store.JobStore` that is gone with the process."""

    def __init__(self) -> None:
        super().__init__()
        #: What the jobs have used in a day, and how much they may.
        self.quotas = MemoryQuotaStore()
        self._sequence = 0
        self._served: dict[str, int] = {}

    async def add(
        self,
        job: Job,
        *,
        max_pending: int,
        max_pending_of_principal: int | None = None,
        budgets: Sequence[Budget] = (),
    ) -> Job:
        """See :meth:`JobStore.add`."""
        if job.idempotency_key and (known := await self.by_key(job.principal, job.idempotency_key)):
            return known
        self.add_all([job], max_pending=max_pending, max_pending_of_principal=max_pending_of_principal, budgets=budgets)
        return job

    def add_all(
        self,
        jobs: Sequence[Job],
        *,
        max_pending: int,
        max_pending_of_principal: int | None,
        budgets: Sequence[Budget],
    ) -> None:
        """Add jobs of one principal that have no idempotency keys of others, all or none; raises as :meth:`add`."""
        waiting = [job for job in jobs if not job.is_finished]
        if waiting:
            check_room(
                len(waiting),
                pending=len(self._pending()),
                own=len(self._pending(lambda other: other.principal == waiting[0].principal)),
                max_pending=max_pending,
                max_pending_of_principal=max_pending_of_principal,
            )
        self.quotas.count(waiting, budgets)
        for job in jobs:
            self._sequence += 1
            self.entries[job.id] = Entry(dataclasses.replace(job, sequence=self._sequence), self._sequence)

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
        entry = None if await self.get_value(PAUSED_KEY) else self._take_turn(types, preferred_models, reach)
        if entry is None:
            return None
        entry.lease_server, entry.lease_worker = server, worker
        entry.lease_until = now + timedelta(seconds=lease_seconds)
        return entry.change(
            state=JobState.RUNNING, attempt=entry.job.attempt + 1, started_at=now, lease_id=new_lease_id()
        )

    def _take_turn(self, types: Collection[JobType], loaded: Collection[str], reach: Reach) -> Entry | None:
        waiting = self._pending(lambda job: job.type in types and not job.waits_for and _is_within(job, reach))
        highest = max((entry.job.priority for entry in waiting), default=0)
        in_turn = sorted(
            (entry for entry in waiting if entry.job.priority == highest),
            key=lambda entry: (self._served.get(entry.job.principal, 0), entry.sequence),
        )
        if not in_turn:
            return None
        chosen = first = in_turn[0]
        if first.passed_over < MAX_PASSED_OVER and first.job.model_id not in loaded:
            other = None
            if first.job.type is not JobType.UPSCALE:
                other = next((entry for entry in in_turn if entry.job.model_id in loaded), None)
            if other is None and first.job.model_id not in reach.at_hand:
                other = next((entry for entry in in_turn if entry.job.model_id in reach.at_hand), None)
            if other is not None:
                first.passed_over += 1
                chosen = other
        self._served[chosen.job.principal] = max(self._served.values(), default=0) + 1
        return chosen

    async def renew(self, lease_ids: Collection[str], *, until: datetime, server: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.renew`."""
        held = [
            entry
            for entry in self._running()
            if entry.job.lease_id in lease_ids and server in {None, entry.lease_server}
        ]
        for entry in held:
            entry.lease_until = until
        return [entry.job for entry in held]

    async def take_over(self, lease_id: str, *, server: str, worker: str, until: datetime) -> Job | None:
        """See :meth:`JobStore.take_over`."""
        entry = next((entry for entry in self._running() if entry.job.lease_id == lease_id), None)
        if entry is None:
            return None
        entry.lease_server, entry.lease_worker, entry.lease_until = server, worker, until
        return entry.job

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
        entry = self._held(job_id, lease_id, server)
        if entry is None:
            return False
        place()
        entry.change(outputs=with_output(entry.job.outputs, output))
        return True

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
        entry = self._held(job_id, lease_id, server)
        if entry is None:
            return None
        place()
        unwanted = ending.state is JobState.FAILED and entry.job.cancel_requested_at is not None
        return self._end(
            entry,
            state=JobState.CANCELLED if unwanted else ending.state,
            failure=None if unwanted else ending.failure,
            finished_at=ending.finished_at,
            outputs=ending.outputs,
            seconds=ending.seconds,
            warnings=ending.warnings,
        )

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
        entry = self._held(job_id, lease_id, server)
        if entry is None:
            return None
        place()
        if refusal is not None:
            entry.change(
                memory_bytes=max(entry.job.memory_bytes, refusal.memory_bytes),
                warnings=(*entry.job.warnings, refusal.reason),
            )
        if entry.job.cancel_requested_at is not None:
            return self._end(entry, state=JobState.CANCELLED, finished_at=now, outputs=outputs)
        number = entry.job.attempt if count_attempt else entry.job.attempt - 1
        return entry.change(state=JobState.PENDING, attempt=number, started_at=None, outputs=outputs)

    async def request_cancel(self, job_id: str, now: datetime) -> Job | None:
        """See :meth:`JobStore.request_cancel`."""
        entry = self.entries.get(job_id)
        if entry is None or entry.job.is_finished:
            return entry.job if entry else None
        asked_at = entry.job.cancel_requested_at or now
        if entry.job.state is JobState.PENDING:
            return self._end(entry, state=JobState.CANCELLED, cancel_requested_at=asked_at, finished_at=now)
        return entry.change(cancel_requested_at=asked_at)

    async def clear_pending(self, now: datetime, principal: str | None = None) -> Sequence[Job]:
        """See :meth:`JobStore.clear_pending`."""
        return [
            self._end(entry, state=JobState.CANCELLED, cancel_requested_at=now, finished_at=now)
            for entry in self._pending(lambda job: principal in {None, job.principal})
        ]

    async def recover(
        self,
        now: datetime,
        max_interruptions: int,
        *,
        server: str | None = None,
        tidy: Callable[[Job], None] = lambda _job: None,
    ) -> Sequence[Job]:
        """See :meth:`JobStore.recover`."""
        changed = []
        for entry in self._running():
            assert entry.lease_until is not None
            if entry.lease_server != server and entry.lease_until >= now:
                continue
            tidy(entry.job)
            job = entry.change(interruptions=entry.job.interruptions + 1)
            if job.cancel_requested_at is not None:
                self._end(entry, state=JobState.CANCELLED, finished_at=now)
            elif job.interruptions >= max_interruptions:
                self._end(entry, state=JobState.FAILED, finished_at=now, failure=server_died(max_interruptions))
            else:
                entry.change(state=JobState.PENDING, started_at=None)
            changed.append(entry.job)
        return changed

    async def follow(self, now: datetime) -> Sequence[Job]:
        """See :meth:`JobStore.follow`."""
        changed: dict[str, Job] = {}
        while settled := [
            (entry, change)
            for entry in self._pending(lambda job: bool(job.waits_for))
            if (change := self._after_sources(entry.job, now))
        ]:
            for entry, change in settled:
                changed[entry.job.id] = self._end(entry, **change) if "state" in change else entry.change(**change)
        return [*changed.values()]

    def _after_sources(self, job: Job, now: datetime) -> dict[str, Any]:
        """What changes of a job because of sources that have ended, or are not there; empty: it waits on."""
        left = []
        for source_id in job.waits_for:
            source = self.entries.get(source_id)
            if source is None or (source.job.is_finished and source.job.state is not JobState.COMPLETED):
                reason = source.job.failure.message if source and source.job.failure else ""
                state, failure = lost_source(source_id, source.job.state if source else None, reason)
                return {"state": state, "failure": failure, "finished_at": now}
            if not source.job.is_finished:
                left.append(source_id)
        return {"waits_for": tuple(left)} if len(left) < len(job.waits_for) else {}

    async def prioritise(self, job_id: str, priority: int) -> Job | None:
        """See :meth:`JobStore.prioritise`."""
        entry = self.entries.get(job_id)
        if entry is None or entry.job.state is not JobState.PENDING:
            return None
        return entry.change(priority=priority)

    async def forget_key(self, job_id: str) -> None:
        """See :meth:`JobStore.forget_key`."""
        entry = self.entries.get(job_id)
        if entry is not None and entry.job.is_finished:
            entry.change(idempotency_key="")

    async def remove(self, job_id: str) -> bool:
        """See :meth:`JobStore.remove`."""
        entry = self.entries.get(job_id)
        if entry is None or not entry.job.is_finished:
            return False
        del self.entries[job_id]
        return True

    async def change_bin(self, job_id: str, change: Callable[[Job], Job]) -> Job | None:
        """See :meth:`JobStore.change_bin`."""
        entry = self.entries.get(job_id)
        if entry is None or not entry.job.is_finished:
            return None
        after = change(entry.job)
        return entry.change(outputs=after.outputs, bin=after.bin, result_key="")

    async def set_value(self, key: str, value: Any) -> None:
        """See :meth:`JobStore.set_value`."""
        self._values[key] = json.dumps(value)

    def _end(self, entry: Entry, **fields: Any) -> Job:
        job = entry.change(**fields)
        self.quotas.settle(job)
        return job

    def _held(self, job_id: str, lease_id: str, server: str | None) -> Entry | None:
        entry = self.entries.get(job_id)
        if entry is None or (entry.job.state, entry.job.lease_id) != (JobState.RUNNING, lease_id):
            return None
        return entry if server in {None, entry.lease_server} else None


def _is_within(job: Job, reach: Reach) -> bool:
    return (
        (reach.memory_bytes is None or job.memory_bytes <= reach.memory_bytes)
        and (reach.fetches or job.model_id in reach.at_hand)
        and job.id not in reach.besides
    )
