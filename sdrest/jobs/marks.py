"""What people note on finished files: favourites, tags, and albums that they are in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

MarkKind = Literal["favourite", "tag", "album"]


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One thing noted; ``name`` is empty for a favourite."""

    kind: MarkKind
    name: str = ""


FAVOURITE: Final = Mark("favourite")


@dataclass(frozen=True, slots=True, order=True)
class FileId:
    """One file of a job: an output, or what lies in its bin."""

    job_id: str
    file: str


class MarkStore(Protocol):
    """Durable marks. They go with their job."""

    async def of(self, job_ids: Collection[str]) -> Mapping[FileId, Sequence[Mark]]:
        """The marks of all files of some jobs, in order."""
        ...

    async def change(self, files: Collection[FileId], *, add: Collection[Mark], take: Collection[Mark]) -> None:
        """Put marks on each of the files, and take others from it. Files of jobs that are not there are passed over."""
        ...

    async def names(self, kind: MarkKind, principal: str | None) -> Sequence[str]:
        """All names in use on files of one principal (None: of everybody), in order."""
        ...

    async def rename(self, kind: MarkKind, old: str, new: str, principal: str | None) -> int:
        """Give all marks of a name another name, or take them away where that is empty; how many there were."""
        ...
