"""Jobs in memory: what is asked about them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sdrest.core.job import Job, JobState, JobType
from sdrest.jobs.listing import JobFilter, JobOrder, Place, place_of
from sdrest.jobs.marks import FAVOURITE, Mark
from sdrest.jobs.search import Term, terms_of
from sdrest.jobs.store import AtWork, Waiting


@dataclass(slots=True)
class Entry:
    """A job and what the store keeps beside it; marks with the file that they are on."""

    job: Job
    sequence: int
    passed_over: int = 0
    lease_server: str = ""
    lease_worker: str = ""
    lease_until: datetime | None = None
    marks: set[tuple[str, Mark]] = field(default_factory=set)

    def change(self, **fields: Any) -> Job:
        """The job with other values, from now on."""
        self.job = dataclasses.replace(self.job, **fields)
        return self.job


class MemoryJobReading:
    """That part of a :class:`sdrest.jobs.store.JobStore` that changes nothing."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._values: dict[str, str] = {}

    async def get(self, job_id: str) -> Job | None:
        """See :meth:`JobStore.get`."""
        entry = self.entries.get(job_id)
        return entry.job if entry else None

    async def known(self, job_ids: Collection[str]) -> set[str]:
        """See :meth:`JobStore.known`."""
        return {*job_ids} & self.entries.keys()

    async def by_key(self, principal: str, key: str) -> Job | None:
        """See :meth:`JobStore.by_key`."""
        return next(
            self._jobs(lambda job: key != "" and (job.principal, job.idempotency_key) == (principal, key)), None
        )

    async def by_result(self, principal: str, result_key: str) -> Job | None:
        """See :meth:`JobStore.by_result`."""
        wanted = (JobState.COMPLETED, principal, result_key)
        found = [*self._jobs(lambda job: (job.state, job.principal, job.result_key) == wanted)]
        return found[-1] if found else None

    async def find(self, wanted: JobFilter) -> Sequence[Job]:
        """See :meth:`JobStore.find`."""
        found = self._matching(wanted)
        found.sort(key=lambda entry: _position(_place(entry, wanted.order)), reverse=not wanted.newest_first)
        return [entry.job for entry in found][wanted.offset : wanted.offset + wanted.limit]

    async def count(self, wanted: JobFilter) -> int:
        """See :meth:`JobStore.count`."""
        return len(self._matching(wanted))

    async def counts(self, principal: str | None = None) -> dict[JobState, int]:
        """See :meth:`JobStore.counts`."""
        states = [job.state for job in self._jobs(lambda job: principal in {None, job.principal})]
        return {state: states.count(state) for state in JobState}

    async def output_bytes(self) -> int:
        """See :meth:`JobStore.output_bytes`."""
        return sum(
            output.size_bytes for job in self._jobs() for output in (*job.outputs, *(item.output for item in job.bin))
        )

    async def position(self, job_id: str) -> int | None:
        """See :meth:`JobStore.position`."""
        in_order = sorted(self._pending(), key=lambda entry: (-entry.job.priority, entry.sequence))
        ids = [entry.job.id for entry in in_order]
        return ids.index(job_id) + 1 if job_id in ids else None

    async def highest_priority(self, *, besides: str = "") -> int | None:
        """See :meth:`JobStore.highest_priority`."""
        return max((entry.job.priority for entry in self._pending(lambda job: job.id != besides)), default=None)

    async def waiting(self) -> Sequence[Waiting]:
        """See :meth:`JobStore.waiting`."""
        found: dict[tuple[JobType, str, int], list[Job]] = {}
        for entry in self._pending(lambda job: not job.waits_for):
            job = entry.job
            found.setdefault((job.type, job.model_id, job.memory_bytes), []).append(job)
        return [
            Waiting(
                type=job_type,
                model_id=model_id,
                model_name=max(job.model_name for job in jobs),
                memory_bytes=memory_bytes,
                number=len(jobs),
                oldest=min(job.created_at for job in jobs),
            )
            for (job_type, model_id, memory_bytes), jobs in found.items()
        ]

    async def at_work(self) -> Sequence[AtWork]:
        """See :meth:`JobStore.at_work`."""
        found: dict[tuple[str, str], list[str]] = {}
        for entry in self._running():
            found.setdefault((entry.lease_worker, entry.job.model_id), []).append(entry.job.model_name)
        return [
            AtWork(worker=worker, model_id=model_id, model_name=max(names), number=len(names))
            for (worker, model_id), names in found.items()
        ]

    async def get_value(self, key: str) -> Any:
        """See :meth:`JobStore.get_value`."""
        return json.loads(self._values.get(key, "null"))

    def _jobs(self, wanted: Callable[[Job], bool] = lambda _job: True) -> Iterator[Job]:
        return (entry.job for entry in self.entries.values() if wanted(entry.job))

    def _matching(self, wanted: JobFilter) -> list[Entry]:
        marked = [entry for entry in self.entries.values() if {*wanted.marks} <= {mark for _, mark in entry.marks}]
        found = [entry for entry in marked if _matches(entry.job, wanted)]
        if wanted.beyond is None or wanted.order is JobOrder.SUBMITTED:
            return found
        places = [(entry, _position(_place(entry, wanted.order))) for entry in found]
        mark = _position(wanted.beyond)
        return [entry for entry, place in places if (place > mark if wanted.newest_first else place < mark)]

    def _pending(self, wanted: Callable[[Job], bool] = lambda _job: True) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.job.state is JobState.PENDING and wanted(entry.job)]

    def _running(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.job.state is JobState.RUNNING]


def _place(entry: Entry, order: JobOrder) -> Place:
    return place_of(entry.job, order, is_favourite=FAVOURITE in {mark for _, mark in entry.marks})


def _position(place: Place) -> tuple[Any, int]:
    """What comes first has the least: names in their order, the largest numbers, and of those that are alike the newest job."""
    return (place.key.lower() if isinstance(place.key, str) else -place.key, -place.sequence)


def _matches(job: Job, wanted: JobFilter) -> bool:
    ended_before = wanted.finished_before is None or (job.finished_at and job.finished_at < wanted.finished_before)
    ended_after = wanted.finished_after is None or (job.finished_at and job.finished_at >= wanted.finished_after)
    return bool(
        (wanted.ids is None or job.id in wanted.ids)
        and (not wanted.states or job.state in wanted.states)
        and (not wanted.types or job.type in wanted.types)
        and wanted.principal in {None, job.principal}
        and wanted.model_id in {"", job.model_id}
        and wanted.group_id in {"", job.group_id}
        and wanted.descended_from in {"", job.varied_from, *job.sources.values()}
        and (wanted.created_after is None or job.created_at >= wanted.created_after)
        and (wanted.created_before is None or job.created_at < wanted.created_before)
        and ended_before
        and ended_after
        and (job.outputs or not wanted.with_outputs)
        and (job.outputs or not job.bin or not wanted.kept)
        and (job.bin or not wanted.in_bin)
        and (wanted.binned_before is None or any(item.at < wanted.binned_before for item in job.bin))
        and (wanted.older_than is None or job.sequence < wanted.older_than)
        and (wanted.newer_than is None or job.sequence > wanted.newer_than)
        and all(_holds(job, term) != term.is_excluded for term in terms_of(wanted.search))
    )


def _holds(job: Job, term: Term) -> bool:
    """Whether the text of a term, be it excluded or not, is where it is looked for."""
    prompt, loras = str(job.parameters.get("prompt", "")), job.parameters.get("loras", ())
    if term.field == "seed":
        return int(term.text) in {job.parameters.get("seed"), *(output.seed for output in job.outputs)}
    places = {
        "text": [prompt, job.model_name],
        "model": [job.model_name],
        "lora": [str(item["name"]) for item in loras],
    }
    return any(term.text.lower() in place.lower() for place in places[term.field])
