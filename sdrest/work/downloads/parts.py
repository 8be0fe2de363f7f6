"""Keeping the unfinished files of downloads for as long as their jobs may go on, and no longer."""

from __future__ import annotations

import asyncio
from typing import Final

from sdrest.core.events import Event, JobChanged, JobRemoved
from sdrest.core.job import JobState, JobType
from sdrest.jobs.events import Broadcast, Listener
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import JobStore
from sdrest.registry.incoming import IncomingFiles
from sdrest.work.downloads.sources import part_key

#: A failed download goes on where it was when it is tried again.
_STATES: Final = (JobState.PENDING, JobState.RUNNING, JobState.FAILED)
_MAX_JOBS: Final = 100_000


class Parts:
    """Removes what belongs to no job any more: at the start everything, later what downloads leave behind."""

    def __init__(self, files: IncomingFiles, store: JobStore, broadcast: Broadcast) -> None:
        self._files = files
        self._store = store
        self.listener = Listener("parts", broadcast, self._heard, self._accepts)

    async def sweep(self, *, uploads: bool = False) -> None:
        """Remove the parts of jobs that are over; ``uploads``: those of uploads as well, none of which may be going on."""
        if await asyncio.to_thread(self._files.is_empty):
            return
        jobs = await self._store.find(JobFilter(types=(JobType.DOWNLOAD,), states=_STATES, limit=_MAX_JOBS))
        failed = {part_key(job.parameters) for job in jobs if job.is_finished}
        going_on = {part_key(job.parameters) for job in jobs if not job.is_finished}
        await asyncio.to_thread(self._files.sweep, going_on, failed, uploads=uploads)

    @staticmethod
    def _accepts(event: Event) -> bool:
        match event:
            case JobChanged(job=job):
                return job.type is JobType.DOWNLOAD and job.is_finished
            case _:
                return isinstance(event, JobRemoved)

    async def _heard(self, _event: Event) -> None:
        await self.sweep()
