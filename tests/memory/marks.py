"""Marks in memory: the whole meaning of :class:`sdrest.jobs.marks.MarkStore` in plain Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sdrest.jobs.marks import FileId, Mark, MarkKind
from tests.memory.jobs import MemoryJobStore
from tests.memory.reading import Entry


class MemoryMarkStore:
    """The :class:`sdrest.jobs.marks.MarkStore` beside the jobs of a :class:`MemoryJobStore`."""

    def __init__(self, jobs: MemoryJobStore) -> None:
        self._jobs = jobs

    async def of(self, job_ids: Collection[str]) -> Mapping[FileId, Sequence[Mark]]:
        """See :meth:`MarkStore.of`."""
        found: dict[FileId, list[Mark]] = {}
        for job_id in job_ids:
            if (entry := self._jobs.entries.get(job_id)) is not None:
                for file, mark in sorted(entry.marks):
                    found.setdefault(FileId(job_id, file), []).append(mark)
        return found

    async def change(self, files: Collection[FileId], *, add: Collection[Mark], take: Collection[Mark]) -> None:
        """See :meth:`MarkStore.change`."""
        for item in files:
            if (entry := self._jobs.entries.get(item.job_id)) is not None:
                entry.marks -= {(item.file, mark) for mark in take}
                entry.marks |= {(item.file, mark) for mark in add}

    async def names(self, kind: MarkKind, principal: str | None) -> Sequence[str]:
        """See :meth:`MarkStore.names`."""
        return sorted({mark.name for entry in self._entries(principal) for _, mark in entry.marks if mark.kind == kind})

    async def rename(self, kind: MarkKind, old: str, new: str, principal: str | None) -> int:
        """See :meth:`MarkStore.rename`."""
        number = 0
        for entry in self._entries(principal) if new != old else ():
            files = {file for file, mark in entry.marks if mark == Mark(kind, old)}
            entry.marks -= {(file, Mark(kind, old)) for file in files}
            entry.marks |= {(file, Mark(kind, new)) for file in files if new}
            number += len(files)
        return number

    def _entries(self, principal: str | None) -> list[Entry]:
        return [entry for entry in self._jobs.entries.values() if principal in {None, entry.job.principal}]
