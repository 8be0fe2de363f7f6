"""What a picture came from, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sdrest.core.errors import NotFound
from sdrest.core.job import Job, Output, number_of, numbered
from sdrest.core.principal import Principal
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.service import JobService

#: What a job has of an output whose parameters it was made with; of one that it was given, this is the parameter's name.
PARAMETERS: Final = "parameters"


class Presence(StrEnum):
    """Whether an output is there."""

    THERE = "there"
    AWAITED = "awaited"
    BINNED = "binned"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An output that a job was made from. ``job`` and ``output`` are None where that is not there any more, or not yet."""

    #: What it is for the job: a parameter that is a picture, or :data:`PARAMETERS`.
    relation: str
    job_id: str
    presence: Presence
    job: Job | None = None
    output: Output | None = None


@dataclass(frozen=True, slots=True)
class Descendant:
    """A job that was made from an output; ``relation`` as for :class:`Ancestor`."""

    relation: str
    job: Job


async def ancestors(jobs: JobService, job: Job, principal: Principal) -> list[Ancestor]:
    """The outputs that a job was made from. Those that the principal may not see are as good as deleted."""
    return [await _ancestor(jobs, relation, source, principal) for relation, source in _relations(job)]


async def descendants(
    jobs: JobService, job: Job, output: Output, principal: Principal, *, limit: int, older_than: int | None = None
) -> list[Descendant]:
    """Jobs with files that were made from an output and that the principal may see, the newest first."""
    source = f"{job.id}/{number_of(output.file)}"
    wanted = JobFilter(descended_from=source, with_outputs=True, older_than=older_than, limit=limit)
    return [Descendant(_relation(found, source), found) for found in await jobs.find(wanted, principal)]


def _relations(job: Job) -> Sequence[tuple[str, str]]:
    """What a job has of which outputs."""
    given = [(file.rpartition("_")[0], source) for file, source in job.sources.items()]
    return [*given, *([(PARAMETERS, job.varied_from)] if job.varied_from else [])]


def _relation(job: Job, source: str) -> str:
    return next(relation for relation, found in _relations(job) if found == source)


async def _ancestor(jobs: JobService, relation: str, source: str, principal: Principal) -> Ancestor:
    job_id, _, number = source.partition("/")
    try:
        job = await jobs.get(job_id, principal)
    except NotFound:
        return Ancestor(relation, job_id, Presence.DELETED)
    output = numbered(job.outputs, int(number))
    if output is not None:
        return Ancestor(relation, job_id, Presence.THERE, job, output)
    if numbered((item.output for item in job.bin), int(number)) is not None:
        return Ancestor(relation, job_id, Presence.BINNED, job)
    return Ancestor(relation, job_id, Presence.DELETED if job.is_finished else Presence.AWAITED, job)
