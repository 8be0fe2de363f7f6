"""Which jobs are listed, and in which order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sdrest.core.job import Job, JobState, JobType
from sdrest.jobs.marks import Mark


class JobOrder(StrEnum):
    """What jobs are listed in order of; those that are alike there, the newest first."""

    #: When they were submitted.
    SUBMITTED = "submitted"
    #: The name of the model, in capitals or not.
    MODEL = "model"
    #: The size of the largest file, that first.
    SIZE = "size"
    #: Whether a file is a favourite, those first.
    FAVOURITES = "favourites"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is in an order other than that of submission; it is told even when the job is not there any more.

    ``key`` is what the order goes by: the model's name, the size of the largest file in bytes, or 1 for a favourite, else 0.
    """

    sequence: int
    key: str | int


def place_of(job: Job, order: JobOrder, *, is_favourite: bool) -> Place:
    """Where a job is in an order."""
    keys: dict[JobOrder, str | int] = {
        JobOrder.MODEL: job.model_name,
        JobOrder.SIZE: max((output.size_bytes for output in job.outputs), default=0),
        JobOrder.FAVOURITES: int(is_favourite),
    }
    return Place(job.sequence, keys.get(order, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list; empty fields do not restrict."""

    #: Only jobs of these ids; None: any.
    ids: Collection[str] | None = None
    states: Collection[JobState] = ()
    types: Collection[JobType] = ()
    #: Only this principal's jobs; None: everybody's.
    principal: str | None = None
    #: What must hold, as people write it: see :func:`sdrest.jobs.search.terms_of`.
    search: str = ""
    model_id: str = ""
    #: Only jobs that were made from, or with the parameters of, this output: ``<job id>/<number>``; empty: any.
    descended_from: str = ""
    #: Only jobs of this group; empty: of any, and of none.
    group_id: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    #: Only jobs that ended before this time, or at or after it.
    finished_before: datetime | None = None
    finished_after: datetime | None = None
    #: Only jobs with at least one output.
    with_outputs: bool = False
    #: Only jobs that were not thrown away: not those whose files are all in the bin.
    kept: bool = False
    #: Only jobs with something in the bin; with a time, with something that lay there before it.
    in_bin: bool = False
    binned_before: datetime | None = None
    #: Only jobs with a file that has each of these marks.
    marks: Collection[Mark] = ()
    #: Only jobs that arrived before, and after, the one of this number (:attr:`Job.sequence`): where a page begins.
    older_than: int | None = None
    newer_than: int | None = None
    order: JobOrder = JobOrder.SUBMITTED
    #: Only jobs after this place of the order; before it where the order is turned round.
    beyond: Place | None = None
    #: False: the order is turned round.
    newest_first: bool = True
    limit: int = 50
    offset: int = 0
