"""The bin: finished files that were thrown away, until they are put back or it is emptied."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sdrest.core.errors import Conflict, NotFound
from sdrest.core.job import Binned, Job, with_output
from sdrest.core.principal import ANYONE, Principal
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.marks import FileId
from sdrest.jobs.service import JobService

_BATCH: Final = 100
_OLDEST: Final = JobFilter(in_bin=True, newest_first=False, limit=_BATCH)


class Bin:
    """Throws files of ended jobs away, puts them back, and removes for good what has lain there long enough.

    Args:
        jobs: Whose files.
        days: How long what was thrown away can be put back; 0: it is removed at once.
        clock: The time.
    """

    def __init__(
        self, jobs: JobService, *, days: float, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._jobs = jobs
        self.keep_for = timedelta(days=days)
        self._clock = clock

    async def throw_away(self, files: Collection[FileId], principal: Principal) -> None:
        """Put outputs of ended jobs into the bin.

        Raises:
            NotFound: there is no such job or output that the principal may see; nothing was changed.
            Conflict: a job has not ended; nothing was changed.
        """
        now, chosen = self._clock(), await self._chosen(files, principal, is_there=_is_output)
        for job_id, names in chosen.items():
            await self._jobs.store.change_bin(job_id, lambda job, names=names: _thrown_away(job, names, now))  # type: ignore[misc]
            if not self.keep_for:
                await self._remove(job_id, names)

    async def throw_away_job(self, job_id: str, principal: Principal) -> Sequence[FileId]:
        """Put all files of an ended job into the bin; one without any is removed. The files that can be put back.

        Raises:
            NotFound, Conflict: as :meth:`throw_away`.
        """
        job = await self._jobs.get(job_id, principal)
        files = [FileId(job.id, output.file) for output in job.outputs]
        if files:
            await self.throw_away(files, principal)
        elif not job.bin:
            await self._jobs.remove(job.id, principal)
        return files if self.keep_for else []

    async def put_back(self, files: Collection[FileId], principal: Principal) -> None:
        """Make files in the bin outputs of their jobs again.

        Raises:
            NotFound: one is not there for the principal; nothing was changed.
        """
        chosen = await self._chosen(files, principal, is_there=_is_binned)
        for job_id, names in chosen.items():
            await self._jobs.store.change_bin(job_id, lambda job, names=names: _put_back(job, names))  # type: ignore[misc]

    async def remove(self, files: Collection[FileId], principal: Principal) -> None:
        """Remove files in the bin for good.

        Raises:
            NotFound: one is not there for the principal; nothing was removed.
        """
        for job_id, names in (await self._chosen(files, principal, is_there=_is_binned)).items():
            await self._remove(job_id, names)

    async def empty(self, principal: Principal) -> int:
        """Remove for good all that the principal sees in the bin; how many files."""
        return await self._empty(JobFilter(in_bin=True, limit=_BATCH), principal)

    async def expire(self) -> int:
        """Remove for good what was thrown away long enough ago; how many files."""
        wanted = JobFilter(in_bin=True, binned_before=self._clock() - self.keep_for, newest_first=False, limit=_BATCH)
        return await self._empty(wanted, ANYONE)

    async def shrink(self, size_bytes: int) -> None:
        """Remove for good what lies in the bins of the oldest jobs, until so many bytes are free or all bins are empty."""
        while size_bytes > 0 and (jobs := await self._jobs.store.find(_OLDEST)):
            for job in jobs:
                if size_bytes > 0:
                    size_bytes -= sum(item.output.size_bytes for item in job.bin)
                    await self._remove(job.id, [item.output.file for item in job.bin])

    async def _empty(self, wanted: JobFilter, principal: Principal) -> int:
        number = 0
        while jobs := await self._jobs.find(wanted, principal):
            for job in jobs:
                names = {
                    item.output.file for item in job.bin if not wanted.binned_before or item.at < wanted.binned_before
                }
                number += len(names)
                await self._remove(job.id, names)
        return number

    async def _remove(self, job_id: str, names: Collection[str]) -> None:
        """Remove files that are in the bin, and the job with its last one. Nobody can put them back meanwhile."""

        def change(job: Job) -> Job:
            gone = {item.output.file for item in job.bin} & {*names}
            self._jobs.files.remove_outputs(job_id, gone)
            return dataclasses.replace(job, bin=tuple(item for item in job.bin if item.output.file not in gone))

        job = await self._jobs.store.change_bin(job_id, change)
        if job is not None and not job.outputs and not job.bin:
            with contextlib.suppress(NotFound):  # somebody else was quicker
                await self._jobs.remove(job_id, ANYONE)

    async def _chosen(
        self, files: Collection[FileId], principal: Principal, *, is_there: Callable[[Job, str], bool]
    ) -> Mapping[str, Collection[str]]:
        """Names of files by job, after a look whether all are there."""
        chosen: dict[str, set[str]] = {}
        for item in files:
            chosen.setdefault(item.job_id, set()).add(item.file)
        for job_id, names in chosen.items():
            job = await self._jobs.get(job_id, principal)
            if not job.is_finished:
                raise Conflict(f"job {job_id} is {job.state}; its files can be deleted when it has ended")
            for name in names:
                if not is_there(job, name):
                    raise NotFound(f"job {job_id} has no such file {name!r}")
        return chosen


def _is_output(job: Job, name: str) -> bool:
    return any(output.file == name for output in job.outputs)


def _is_binned(job: Job, name: str) -> bool:
    return any(item.output.file == name for item in job.bin)


def _thrown_away(job: Job, names: Collection[str], now: datetime) -> Job:
    gone = tuple(Binned(output=output, at=now) for output in job.outputs if output.file in names)
    kept = tuple(output for output in job.outputs if output.file not in names)
    return dataclasses.replace(job, outputs=kept, bin=(*job.bin, *gone))


def _put_back(job: Job, names: Collection[str]) -> Job:
    outputs = job.outputs
    for item in job.bin:
        if item.output.file in names:
            outputs = with_output(outputs, item.output)
    return dataclasses.replace(
        job, outputs=outputs, bin=tuple(item for item in job.bin if item.output.file not in names)
    )
