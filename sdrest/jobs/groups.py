"""Groups of jobs as a whole: how far they are, cancelling them, trying again what failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sdrest.core.errors import Conflict, NotFound
from sdrest.core.group import Group
from sdrest.core.job import Job, JobState
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.group_store import GroupStore
from sdrest.jobs.intake import Intake
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.service import JobService

#: More than a group has, each tried again many times.
_MAX_JOBS: Final = 100_000


class Groups:
    """The one way around groups; :meth:`sdrest.jobs.intake.Intake.submit_group` is the one into the queue."""

    def __init__(self, store: GroupStore, jobs: JobService, intake: Intake) -> None:
        self._store = store
        self._jobs = jobs
        self._intake = intake

    async def get(self, group_id: str, principal: Principal) -> Group:
        """The group.

        Raises:
            NotFound: there is none of that id that the principal may see.
        """
        group = await self._store.get(group_id)
        if group is None or not principal.owns(group.principal):
            raise NotFound(f"no group {group_id}")
        return group

    async def find(self, principal: Principal, *, limit: int, offset: int = 0) -> Sequence[Group]:
        """The groups that the principal may see, newest first."""
        return await self._store.find(_whose(principal), limit=limit, offset=offset)

    async def count(self, principal: Principal) -> int:
        """How many groups the principal may see."""
        return await self._store.count(_whose(principal))

    async def jobs(self, group: Group) -> list[Job | None]:
        """The job of each place: where it was tried again the newest; None where it was deleted."""
        found: list[Job | None] = [None] * group.places
        for job in await self._jobs.store.find(JobFilter(group_id=group.id, newest_first=False, limit=_MAX_JOBS)):
            found[job.place] = job
        return found

    async def cancel(self, group: Group, principal: Principal) -> int:
        """Cancel the jobs that have not ended, the last ones first; how many there were."""
        number = 0
        for job in reversed(
            await self._jobs.store.find(JobFilter(group_id=group.id, limit=_MAX_JOBS, newest_first=False))
        ):
            if not job.is_finished:
                try:
                    await self._jobs.cancel(job.id, principal)
                except Conflict:  # it has just ended
                    continue
                number += 1
        return number

    async def retry(self, group: Group, principal: Principal) -> int:
        """Queue again what failed or was cancelled; how many jobs that are.

        Raises:
            SdrestError: as :meth:`sdrest.jobs.intake.Intake.retry`; jobs before that one are queued.
        """
        ended = [job for job in await self.jobs(group) if job and job.state in {JobState.FAILED, JobState.CANCELLED}]
        for job in ended:
            await self._intake.retry(job.id, principal)
        return len(ended)

    async def remove(self, group: Group, principal: Principal) -> None:
        """Delete a group with its jobs and their files.

        Raises:
            Conflict: some of its jobs have not ended.
        """
        jobs = await self._jobs.store.find(JobFilter(group_id=group.id, limit=_MAX_JOBS))
        active = sum(not job.is_finished for job in jobs)
        if active:
            raise Conflict(f"{active} jobs of the group have not ended; cancel it first")
        for job in jobs:
            await self._jobs.remove(job.id, principal)
        await self._store.remove(group.id)


def _whose(principal: Principal) -> str | None:
    return None if principal.may(Permission.MANAGE_QUEUE) else principal.name
