"""Finished files as people keep them: what is noted on them, and which of them are one's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sdrest.core.errors import NotFound
from sdrest.core.job import Job, Output
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.marks import FileId, Mark, MarkKind, MarkStore
from sdrest.jobs.service import JobService


class Gallery:
    """Marks on files of jobs that a principal may see.

    Args:
        jobs: Whose files.
        marks: What is noted on them.
    """

    def __init__(self, jobs: JobService, marks: MarkStore) -> None:
        self._jobs = jobs
        self._marks = marks

    async def outputs(self, files: Sequence[FileId], principal: Principal) -> list[tuple[Job, Output]]:
        """The outputs of some names, in order, each once.

        Raises:
            NotFound: there is no such job or output that the principal may see.
        """
        jobs: dict[str, Job] = {}
        found = []
        for item in dict.fromkeys(files):
            if item.job_id not in jobs:
                jobs[item.job_id] = await self._jobs.get(item.job_id, principal)
            job = jobs[item.job_id]
            output = next((output for output in job.outputs if output.file == item.file), None)
            if output is None:
                raise NotFound(f"job {item.job_id} has no output {item.file!r}")
            found.append((job, output))
        return found

    async def marks_of(self, jobs: Collection[Job]) -> Mapping[FileId, Sequence[Mark]]:
        """The marks of all files of some jobs."""
        return await self._marks.of([job.id for job in jobs])

    async def mark(
        self,
        files: Sequence[FileId],
        principal: Principal,
        *,
        add: Collection[Mark] = (),
        take: Collection[Mark] = (),
    ) -> None:
        """Put marks on outputs, and take others from them.

        Raises:
            NotFound: as :meth:`outputs`; nothing was changed.
        """
        await self.outputs(files, principal)
        await self._marks.change(files, add=add, take=take)

    async def names(self, kind: MarkKind, principal: Principal) -> Sequence[str]:
        """Names of tags or albums that are in use on files that the principal may see."""
        return await self._marks.names(kind, _owner(principal))

    async def rename(self, kind: MarkKind, old: str, new: str, principal: Principal) -> None:
        """Give a tag or album another name, on all files that the principal may see; an empty one takes it from them.

        Raises:
            NotFound: none of them has it.
        """
        if not await self._marks.rename(kind, old, new, _owner(principal)) and new != old:
            raise NotFound(f"there is no {kind} {old!r}")


def _owner(principal: Principal) -> str | None:
    return None if principal.may(Permission.MANAGE_QUEUE) else principal.name
