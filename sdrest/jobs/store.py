"""What the job service needs from durable storage."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from sdrest.core.errors import QueueFull
from sdrest.core.job import Failure, Job, JobState, JobType, Output
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.quotas import Budget

#: How long a job is a worker's without a renewal.
LEASE_SECONDS: Final = 30.0
#: Whose a lease is while the server of its worker has gone and the worker has not come to another one.
NO_SERVER: Final = "-"
#: Key of the value that says whether the queue is paused.
PAUSED_KEY: Final = "queue.paused"


def new_lease_id() -> str:
    """An id that no claim has had, nor will have, on any machine."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended; what :meth:`JobStore.finish` writes."""

    state: JobState
    finished_at: datetime
    #: All files that were made, whatever the state.
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    seconds: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which jobs an engine can carry out, beyond their types."""

    #: Ids of the models whose files are there.
    at_hand: Collection[str] = ()
    #: Whether it can get the files of others.
    fetches: bool = True
    #: Memory for models and their work; None: as much as any job takes.
    memory_bytes: int | None = None
    #: Ids of jobs that it could not carry out.
    besides: Collection[str] = ()


#: The reach of an engine that can carry out all there is.
ANY_JOB: Final = Reach()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an engine put a job back that another one may carry out."""

    reason: str
    #: What that takes at the least, as far as is known by now.
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs that wait for an engine, as far as it takes the same to carry them out."""

    type: JobType
    model_id: str
    model_name: str
    memory_bytes: int
    number: int = 1
    #: When the oldest of them came.
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """How many jobs for a model a worker carries out."""

    worker: str
    model_id: str
    model_name: str
    number: int


def server_died(times: int) -> Failure:
    """Why a job fails that was running at so many abrupt ends of the server."""
    message = f"the server stopped abruptly while it worked on this job, {times} times; it is not tried again"
    return Failure(slug="server_died", message=message)


def lost_source(source_id: str, source: JobState | None, reason: str = "") -> tuple[JobState, Failure]:
    """How a job ends that waited for a picture of another one that will not come.

    Args:
        source_id: Id of the other job.
        source: How that one ended; None: it is not there any more.
        reason: Why it failed, where that is known.
    """
    whose = f"the job {source_id}, whose picture it waited for,"
    if source is JobState.CANCELLED:
        return JobState.CANCELLED, Failure(slug="source_cancelled", message=f"{whose} was cancelled")
    if source is None:
        return JobState.FAILED, Failure(slug="source_gone", message=f"{whose} is not there any more")
    return JobState.FAILED, Failure(slug="source_failed", message=f"{whose} failed" + (f": {reason}" if reason else ""))


def check_room(new: int, *, pending: int, own: int, max_pending: int, max_pending_of_principal: int | None) -> None:
    """Refuse what would not fit into the queue.

    Args:
        new: How many jobs are to be added.
        pending: How many are pending.
        own: How many of these are the same principal's.
        max_pending: How many may be.
        max_pending_of_principal: How many of the principal's may be; None: as many.

    Raises:
        QueueFull: one of the bounds would be passed.
    """
    if pending + new > max_pending:
        what = "the queue is full" if new == 1 else f"the queue has no room for {new} jobs"
        raise QueueFull(f"{what}: {pending} jobs are pending" + (f", {max_pending} may be" if new > 1 else ""))
    if max_pending_of_principal is not None and own + new > max_pending_of_principal:
        most = "as many as" if new == 1 else f"and asked for {new} more; {max_pending_of_principal} are what"
        raise QueueFull(f"you have {own} jobs pending, {most} one user may have")


class JobStore(Protocol):
    """Durable jobs. Every method is atomic, and returns when the change is on disk.

    A claim gives its job a lease, with an id of its own and an end. Whoever writes for a running job names the lease, and where
    there are several servers the one whose it is: once somebody else has taken over the job or the lease, nothing is written.
    Files that go with a change of a job are moved by a function that is called, on any thread, when the change is made and nobody
    can have seen it: the job is nobody else's while that runs, and if it raises, nothing has changed.

    The wish to cancel wins over everything but success: an attempt at a job with ``cancel_requested_at`` that is ended as failed,
    released, or found running at start ends as cancelled.
    """

    async def add(
        self,
        job: Job,
        *,
        max_pending: int,
        max_pending_of_principal: int | None = None,
        budgets: Sequence[Budget] = (),
    ) -> Job:
        """Store a new job; with an idempotency key already used by its principal, return that job instead.

        It is pending, or finished because an earlier result is its own; the bounds are for pending ones. A pending one that has a
        charge counts with it for its day, and when it has ended with what it came to (:func:`sdrest.jobs.quotas.settled`).

        Raises:
            QueueFull: ``max_pending`` jobs are pending already, or the principal's own bound is reached.
            QuotaReached: one of the budgets would be passed.
        """
        ...

    async def get(self, job_id: str) -> Job | None:
        """The job, or None."""
        ...

    async def known(self, job_ids: Collection[str]) -> set[str]:
        """Those of the ids that are ids of jobs."""
        ...

    async def by_key(self, principal: str, key: str) -> Job | None:
        """The principal's job with that idempotency key, or None."""
        ...

    async def by_result(self, principal: str, result_key: str) -> Job | None:
        """The principal's newest completed job with that result key, or None."""
        ...

    async def forget_key(self, job_id: str) -> None:
        """Take the idempotency key from an ended job, so that the same request makes a new one."""
        ...

    async def find(self, wanted: JobFilter) -> Sequence[Job]:
        """The jobs that match, in the order that is wanted."""
        ...

    async def count(self, wanted: JobFilter) -> int:
        """How many jobs match, whatever the limit and offset."""
        ...

    async def counts(self, principal: str | None = None) -> dict[JobState, int]:
        """Number of jobs by state."""
        ...

    async def output_bytes(self) -> int:
        """Size of all outputs of all jobs."""
        ...

    async def position(self, job_id: str) -> int | None:
        """How many pending jobs were submitted before this pending one, plus one; None when it is not pending."""
        ...

    async def highest_priority(self, *, besides: str = "") -> int | None:
        """The highest priority of all pending jobs but one; None when there is no other."""
        ...

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
        """Take the next pending job of ``types`` within ``reach``: highest priority first, then principals in turn, then oldest
        first; none that waits for others.

        None as well while the queue is paused (:data:`PAUSED_KEY`). The job becomes running with its attempt counted up and a new
        lease, which is ``worker``'s of ``server`` (empty where there is one server only). Jobs for ``preferred_models``, and
        after them those for models at hand, may go before others of the same priority, whoever's they are, within a bound that the
        implementation keeps so that nobody waits for ever.
        """
        ...

    async def renew(self, lease_ids: Collection[str], *, until: datetime, server: str | None = None) -> Sequence[Job]:
        """Extend leases, only ``server``'s where that is given; the jobs, as they are now, of those that still hold one."""
        ...

    async def take_over(self, lease_id: str, *, server: str, worker: str, until: datetime) -> Job | None:
        """Let a lease be another server's and worker's from now on; its job, or None when it holds none any more.

        The attempt goes on as it is. Whoever had the lease before may write nothing more for it.
        """
        ...

    async def note_output(
        self,
        job_id: str,
        lease_id: str,
        output: Output,
        place: Callable[[], None] = lambda: None,
        *,
        server: str | None = None,
    ) -> bool:
        """Note a file that a running attempt has finished, instead of an older one of that name.

        ``server`` is whose the lease must be; None: anybody's. ``place`` puts the file there. False when the lease no longer holds
        the job: nothing is written or placed then.
        """
        ...

    async def finish(
        self,
        job_id: str,
        lease_id: str,
        ending: Ending,
        place: Callable[[], None] = lambda: None,
        *,
        server: str | None = None,
    ) -> Job | None:
        """End a running attempt; None when its lease no longer holds the job (nothing is written or placed then).

        ``server`` as in :meth:`note_output`.
        """
        ...

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
        """Put a running job back to pending, keeping its place and its ``outputs``; None as :meth:`finish`.

        The attempt counts unless the server handed it back. The reason of a refusal becomes one of the job's warnings. A job that
        was to be cancelled is cancelled instead.
        """
        ...

    async def waiting(self) -> Sequence[Waiting]:
        """The pending jobs that wait for nothing but an engine."""
        ...

    async def at_work(self) -> Sequence[AtWork]:
        """The running jobs, by worker and model."""
        ...

    async def request_cancel(self, job_id: str, now: datetime) -> Job | None:
        """Cancel a pending job at once, or note the intent on a running one; the job after it, or None if unknown."""
        ...

    async def clear_pending(self, now: datetime, principal: str | None = None) -> Sequence[Job]:
        """Cancel all pending jobs (of one principal); the cancelled jobs."""
        ...

    async def recover(
        self,
        now: datetime,
        max_interruptions: int,
        *,
        server: str | None = None,
        tidy: Callable[[Job], None] = lambda _job: None,
    ) -> Sequence[Job]:
        """Re-queue running jobs that nobody works on, noting the interruption, or cancel those that were to be; the changed jobs.

        These are the ones whose lease is over, and at the start of a ``server`` also those that it had. A job that was running at
        ``max_interruptions`` abrupt ends fails: it may be what ends the server. ``tidy`` is called with each, as it was: its files
        go with the change.
        """
        ...

    async def follow(self, now: datetime) -> Sequence[Job]:
        """See to the pending jobs that wait for pictures of others: the changed jobs.

        Of what a job waits for, that is taken away which is completed. A job is cancelled, or fails, when one that it waits for was
        cancelled, failed, or is not there any more (:func:`lost_source`); and so do those that wait for it in turn.
        """
        ...

    async def prioritise(self, job_id: str, priority: int) -> Job | None:
        """Set the priority of a pending job; None when it is not pending."""
        ...

    async def remove(self, job_id: str) -> bool:
        """Delete a finished job; False when there is no such finished job."""
        ...

    async def change_bin(self, job_id: str, change: Callable[[Job], Job]) -> Job | None:
        """Change which files an ended job has and which lie in its bin; None when there is no such ended job.

        ``change`` is called on any thread within the transaction, with the job as it is, and answers with the job as it is to be;
        only ``outputs`` and ``bin`` count. The job is not used again as an earlier result: it may lack something.
        """
        ...

    async def get_value(self, key: str) -> Any:
        """A small JSON value kept beside the jobs (``paused`` …), or None."""
        ...

    async def set_value(self, key: str, value: Any) -> None:
        """Keep a small JSON value."""
        ...
