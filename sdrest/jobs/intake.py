"""From a request to a stored job: permissions, checks, completion, input pictures, an earlier result where there is one."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from sdrest.core.errors import Forbidden
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters, to_json
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.allowance import Allowances
from sdrest.jobs.reuse import EarlierResults
from sdrest.jobs.spool import Spool
from sdrest.jobs.store import JobStore
from sdrest.jobs.submission import Parameters, Prepared, Submission

#: Random seeds stay below 2³²: every client, also one with 32-bit or floating-point numbers, can send them back.
_SEED_BOUND: Final = 2**32


class Preparer(Protocol):
    """Checks a submission against the models that are there and fills in what the client left open."""

    async def prepare(self, submission: Submission) -> Prepared:
        """The complete parameters, the main model and what else is known of the job.

        Raises:
            InvalidInput: all that is wrong, one problem for each field.
            ModelNotFound, ModelUnusable, InsufficientMemory, InsufficientStorage, Unsupported: as the names say.
        """
        ...


class Intake:
    """Takes requests in; each method gives a job that is on disk."""

    def __init__(
        self,
        store: JobStore,
        spool: Spool,
        preparer: Preparer,
        earlier: EarlierResults,
        *,
        max_pending: int,
        allowances: Allowances | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._spool = spool
        self._preparer = preparer
        self._earlier = earlier
        self._max_pending = max_pending
        self._allowances = allowances or Allowances()
        self._clock = clock

    async def check(self, submission: Submission) -> Prepared:
        """What would be stored; raises as :meth:`Preparer.prepare`."""
        return await self._preparer.prepare(submission)

    async def take(self, submission: Submission) -> tuple[Job, bool]:
        """The job of a submission, and whether it is new: an idempotency key used before brings back the job it was used for.

        Raises:
            Forbidden: the principal may not generate, or not with this priority.
            InvalidInput, ModelNotFound, ModelUnusable, InsufficientMemory, InsufficientStorage, Unsupported, QueueFull.
        """
        principal = submission.principal
        _demand_generating(principal)
        if submission.priority > 0 and not principal.may(Permission.MANAGE_QUEUE):
            raise Forbidden("a priority above 0 needs the permission 'manage_queue'")
        prepared = await self._preparer.prepare(submission)
        parameters, model = prepared.parameters, prepared.model
        self._allowances.of(principal).check(parameters)
        if isinstance(parameters, GenerationParameters) and parameters.seed == RANDOM_SEED:
            parameters = dataclasses.replace(parameters, seed=secrets.randbelow(_SEED_BOUND))
        job_id = str(uuid.uuid4())
        if submission.pictures:
            names = await asyncio.to_thread(self._spool.store_inputs, job_id, submission.pictures)
            parameters = _with_files(parameters, names)
        job = Job(
            id=job_id,
            type=submission.type,
            principal=principal.name,
            priority=submission.priority,
            parameters=to_json(parameters),
            model_id=model.id if model else "",
            model_name=model.name if model else "",
            created_at=self._clock(),
            idempotency_key=submission.idempotency_key,
            webhook_url=submission.webhook_url,
            origin=dict(submission.origin),
            warnings=(*submission.warnings, *prepared.warnings),
            result_key=prepared.result_key,
        )
        try:
            if job.result_key:
                job = await self._earlier.given_to(job, self._clock()) or job
            stored = await self._add(job, principal)
        except BaseException:
            await self._drop(job)
            raise
        if stored.id != job_id:
            await self._drop(job)
            return stored, False
        return stored, True

    async def take_task(
        self, job_type: JobType, parameters: dict[str, Any], principal: Principal, **fields: Any
    ) -> Job:
        """Store a job that makes no pictures (hash, convert, download …); its parameters are checked already.

        Raises:
            QueueFull: as the name says.
        """
        job = Job(
            id=str(uuid.uuid4()),
            type=job_type,
            principal=principal.name,
            parameters=parameters,
            created_at=self._clock(),
            **fields,
        )
        return await self._add(job, principal)

    async def take_again(self, old: Job, principal: Principal) -> Job:
        """Store a new job with the parameters, seed and input pictures of an old one.

        Raises:
            Forbidden: the principal may not generate.
            QueueFull: as the name says.
        """
        _demand_generating(principal)
        new_id = str(uuid.uuid4())
        await asyncio.to_thread(self._spool.copy_inputs, old.id, new_id)
        job = dataclasses.replace(
            old,
            id=new_id,
            state=JobState.PENDING,
            attempt=0,
            interruptions=0,
            created_at=self._clock(),
            started_at=None,
            finished_at=None,
            cancel_requested_at=None,
            seconds=None,
            outputs=(),
            failure=None,
            idempotency_key="",
            reused_from="",
        )
        return await self._add(job, principal)

    async def _add(self, job: Job, principal: Principal) -> Job:
        """Store a job within the principal's allowance."""
        allowance = self._allowances.of(principal)
        return await self._store.add(job, max_pending=self._max_pending, max_pending_of_principal=allowance.max_pending)

    async def _drop(self, job: Job) -> None:
        """Remove the files of a job that was not stored."""
        await asyncio.to_thread(self._spool.remove, job.id)
        if job.reused_from:
            await self._earlier.taken_back(job)


def _demand_generating(principal: Principal) -> None:
    if not principal.may(Permission.GENERATE):
        raise Forbidden("generating needs the permission 'generate'")


def _with_files(parameters: Parameters, names: dict[str, tuple[str, ...]]) -> Parameters:
    """``parameters`` with the stored files' names in their picture fields."""
    plural = {
        field.name for field in dataclasses.fields(parameters) if isinstance(getattr(parameters, field.name), tuple)
    }
    values: dict[str, Any] = {name: files if name in plural else files[0] for name, files in names.items()}
    return dataclasses.replace(parameters, **values)
