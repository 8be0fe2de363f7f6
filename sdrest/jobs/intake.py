"""From a request to a stored job: permissions, checks, completion, input pictures, an earlier result where there is one."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from sdrest.core.errors import Forbidden
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters, to_json
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.allowance import Allowances
from sdrest.jobs.earlier_results import EarlierResults
from sdrest.jobs.files import JobFiles
from sdrest.jobs.store import JobStore
from sdrest.jobs.submission import TABLES, Parameters, Prepared, Submission

#: Random seeds stay below 2³²: every client, also one with 32-bit or floating-point numbers, can send them back.
_SEED_BOUND: Final = 2**32
#: Work on the models themselves: for who may manage them.
_MANAGING: Final = frozenset({JobType.CONVERT, JobType.DOWNLOAD, JobType.LOAD, JobType.LOAD_TEST})


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
        files: JobFiles,
        preparer: Preparer,
        earlier: EarlierResults,
        *,
        max_pending: int,
        allowances: Allowances | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._files = files
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
        _demand_permission(principal, submission.type)
        if submission.priority > 0 and not principal.may(Permission.MANAGE_QUEUE):
            raise Forbidden("a priority above 0 needs the permission 'manage_queue'")
        prepared = await self._preparer.prepare(submission)
        parameters, model = prepared.parameters, prepared.model
        enlarged = submission.pictures.get("image")
        self._allowances.of(principal).check(parameters, enlarged[0].size if enlarged else None)
        if isinstance(parameters, GenerationParameters) and parameters.seed == RANDOM_SEED:
            parameters = dataclasses.replace(parameters, seed=secrets.randbelow(_SEED_BOUND))
        job_id = str(uuid.uuid4())
        if submission.pictures:
            names = await asyncio.to_thread(self._files.store_inputs, job_id, submission.pictures)
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
        async with self._files_until_stored(job_id):
            if job.result_key:
                job = await self._earlier.given_to(job, self._clock()) or job
            stored = await self._add(job, principal)
        if stored.id != job_id:
            await asyncio.to_thread(self._files.remove, job_id)
        elif job.reused_from:
            await asyncio.to_thread(self._files.keep, job_id)
        return stored, stored.id == job_id

    async def take_task(
        self, job_type: JobType, parameters: dict[str, Any], principal: Principal, **fields: Any
    ) -> Job:
        """Store a job that makes no pictures (hash, convert, download …); its parameters are checked already.

        Raises:
            Forbidden: the principal may not have such work done.
            QueueFull: as the name says.
        """
        _demand_permission(principal, job_type)
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
            Forbidden: the principal may not submit such a job.
            QueueFull, InsufficientStorage: as the names say.
        """
        _demand_permission(principal, old.type)
        if (table := TABLES.get(old.type)) is not None:
            self._allowances.of(principal).check(msgspec.convert(old.parameters, table))
        new_id = str(uuid.uuid4())
        await asyncio.to_thread(self._files.share_inputs, old.id, new_id)
        job = dataclasses.replace(
            old,
            id=new_id,
            state=JobState.PENDING,
            # Somebody else may have raised it.
            priority=old.priority if principal.may(Permission.MANAGE_QUEUE) else min(0, old.priority),
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
        async with self._files_until_stored(new_id):
            return await self._add(job, principal)

    @asynccontextmanager
    async def _files_until_stored(self, job_id: str) -> AsyncIterator[None]:
        """While a job is being stored whose files are there already: an error takes them away again.

        Who is cancelled cannot tell whether the job was stored, so then the files are left to the sweep of the next start.
        """
        try:
            yield
        except Exception:
            await asyncio.to_thread(self._files.remove, job_id)
            raise

    async def _add(self, job: Job, principal: Principal) -> Job:
        """Store a job within the principal's allowance."""
        allowance = self._allowances.of(principal)
        return await self._store.add(job, max_pending=self._max_pending, max_pending_of_principal=allowance.max_pending)


def _demand_permission(principal: Principal, job_type: JobType) -> None:
    needed = Permission.MANAGE_MODELS if job_type in _MANAGING else Permission.GENERATE
    if not principal.may(needed):
        raise Forbidden(f"{job_type} jobs need the permission {needed!r}", permission=str(needed))


def _with_files(parameters: Parameters, names: dict[str, tuple[str, ...]]) -> Parameters:
    """``parameters`` with the stored files' names in their picture fields."""
    plural = {
        field.name for field in dataclasses.fields(parameters) if isinstance(getattr(parameters, field.name), tuple)
    }
    values: dict[str, Any] = {name: files if name in plural else files[0] for name, files in names.items()}
    return dataclasses.replace(parameters, **values)
