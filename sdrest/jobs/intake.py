"""The one way into the queue, for every dialect, the pages and the command line: submit jobs, and try ended ones again."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import msgspec
import structlog

from sdrest.core.errors import Conflict, Forbidden, InvalidInput, OutcomeUnknown
from sdrest.core.group import Group
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import RANDOM_SEED, SEED_BOUND, Components, GenerationParameters, to_json
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.allowance import Allowances
from sdrest.jobs.group_store import GroupStore
from sdrest.jobs.quotas import Quotas
from sdrest.jobs.service import JobService
from sdrest.jobs.submission import (
    TABLES,
    Picture,
    Prepare,
    Submission,
    input_names,
    promising,
    sources_of,
    with_files,
)

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Work on the models themselves: for who may manage them.
_MANAGING: Final = frozenset({JobType.CONVERT, JobType.DOWNLOAD, JobType.LOAD, JobType.LOAD_TEST})


class Intake:
    """Checks what is asked for, completes it, and has it stored.

    Args:
        jobs: Where the jobs go.
        prepare: Checks a submission and completes it.
        groups: Where groups of jobs go.
        max_pending: How many jobs may wait.
        allowances: How much each principal may ask for at a time.
        quotas: How much each may have made in a day; None: nothing is counted.
    """

    def __init__(
        self,
        jobs: JobService,
        prepare: Prepare,
        groups: GroupStore,
        *,
        max_pending: int,
        allowances: Allowances | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self._jobs = jobs
        #: What :meth:`submit` would store. Nothing is stored.
        self.check = prepare
        self._groups = groups
        self._max_pending = max_pending
        self._allowances = allowances or Allowances()
        self._quotas = quotas or Quotas()

    async def submit(self, submission: Submission) -> Job:
        """Check, complete and store a job; it is on disk when this returns.

        With an idempotency key that its principal has used before, the earlier job is returned.

        Raises:
            Forbidden: the principal may not generate, or not so much, or not with this priority.
            InvalidInput, ModelNotFound, ModelUnusable, InsufficientMemory, InsufficientStorage, Unsupported, QueueFull,
                QuotaReached: as the names say.
        """
        job = await self._job_of(submission)
        async with self._files_until_stored([job.id]):
            stored = await self._add(await self._with_earlier_result(job), submission.principal)
        if stored.id != job.id:
            await asyncio.to_thread(self._jobs.files.remove, job.id)
        elif stored.reused_from:
            await asyncio.to_thread(self._jobs.files.keep, job.id)
        return stored

    async def submit_group(self, group: Group, submissions: Sequence[Submission]) -> Group:
        """Check, complete and store the jobs of a group, one for each of its places; all are on disk when this returns, or none.

        They have the same input pictures. They are queued so that models and their parts change as seldom as can be. With an
        idempotency key that its principal has used before, the earlier group is returned.

        Raises:
            InvalidInput: one of them cannot be made; the message says which.
            SdrestError: as :meth:`submit`.
        """
        principal = submissions[0].principal
        made: list[Job] = []
        async with self._files_until_stored(made):
            for place, submission in enumerate(submissions):
                with _at_place(group, place):
                    job = await self._job_of(submission, inputs_of=made[0] if made else None)
                made.append(dataclasses.replace(job, group_id=group.id, place=place))
            made[:] = [await self._with_earlier_result(job) for job in sorted(made, key=_what_is_loaded)]
            stored = await _to_the_end(self._add_group(group, made, principal))
        if stored.id != group.id:
            for job in made:
                await asyncio.to_thread(self._jobs.files.remove, job.id)
        else:
            for job in made:
                if job.reused_from:
                    await asyncio.to_thread(self._jobs.files.keep, job.id)
        return stored

    async def _add_group(self, group: Group, jobs: Sequence[Job], principal: Principal) -> Group:
        async with self._quotas.budgets(principal) as budgets:
            stored = await self._groups.add(
                group,
                jobs,
                max_pending=self._max_pending,
                max_pending_of_principal=self._allowances.of(principal).max_pending,
                budgets=budgets,
            )
        if stored.id == group.id:
            for job in jobs:
                self._jobs.running.changed(job, None)
            log.info("group accepted", group_id=group.id, jobs=len(jobs))
            await self._jobs.follow()
        return stored

    async def _job_of(self, submission: Submission, *, inputs_of: Job | None = None) -> Job:
        """The job that a submission becomes, its input pictures on disk; those of another job where it has the same.

        Raises:
            SdrestError: as :meth:`submit`.
        """
        principal = submission.principal
        _demand_permission(principal, submission.type)
        if submission.priority > 0 and not principal.may(Permission.MANAGE_QUEUE):
            raise Forbidden("a priority above 0 needs the permission 'manage_queue'")
        prepared = await self.check(submission)
        parameters, model = prepared.parameters, prepared.model
        enlarged = submission.pictures.get("image")
        allowance = self._allowances.of(principal)
        allowance.check(parameters, enlarged[0].size if enlarged else None)
        if isinstance(parameters, GenerationParameters) and parameters.inpaint.only_masked:
            allowance.check_size(*submission.pictures["init_image"][0].size, field="init_image")
        if isinstance(parameters, GenerationParameters) and parameters.seed == RANDOM_SEED:
            parameters = dataclasses.replace(parameters, seed=secrets.randbelow(SEED_BOUND))
        job_id = str(uuid.uuid4())
        sources: dict[str, str] = {}
        if submission.pictures:
            names = await self._store_inputs(job_id, submission.pictures, inputs_of)
            parameters = with_files(parameters, names)
            sources = sources_of(submission.pictures, names)
        return Job(
            id=job_id,
            type=submission.type,
            principal=principal.name,
            priority=submission.priority,
            parameters=to_json(parameters),
            model_id=model.id if model else "",
            model_name=model.name if model else "",
            memory_bytes=prepared.memory_bytes,
            created_at=self._jobs.clock(),
            idempotency_key=submission.idempotency_key,
            webhook_url=submission.webhook_url,
            origin=dict(submission.origin),
            warnings=(*submission.warnings, *prepared.warnings),
            result_key=prepared.result_key,
            sources=sources,
            waits_for=promising(submission.pictures),
            varied_from=submission.varied_from,
            charge=self._quotas.charge(parameters, principal, enlarged or submission.pictures.get("init_image")),
        )

    async def _store_inputs(
        self, job_id: str, pictures: Mapping[str, Sequence[Picture]], inputs_of: Job | None
    ) -> Mapping[str, tuple[str, ...]]:
        if inputs_of is None:
            return await asyncio.to_thread(self._jobs.files.store_inputs, job_id, pictures)
        await asyncio.to_thread(self._jobs.files.share_inputs, inputs_of.id, job_id)
        return input_names(pictures)

    async def submit_task(
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
            created_at=self._jobs.clock(),
            **fields,
        )
        return await self._add(job, principal)

    async def retry(self, job_id: str, principal: Principal) -> Job:
        """Queue an ended job again as a new job with the same parameters, seed and input pictures.

        Where it was to be made from the picture of a job that made none, that one is tried again as well.

        Raises:
            NotFound: as :meth:`sdrest.jobs.service.JobService.get`.
            Conflict: it has not ended, or was to be made from a picture that is not there any more.
            Forbidden, QueueFull, QuotaReached, InsufficientStorage: as :meth:`submit`.
        """
        old = await self._jobs.get(job_id, principal)
        if not old.is_finished:
            raise Conflict("only a job that has ended can be tried again", state=str(old.state))
        _demand_permission(principal, old.type)
        charge = None
        if (table := TABLES.get(old.type)) is not None:
            parameters = msgspec.convert(old.parameters, table)
            self._allowances.of(principal).check(parameters)
            charge = self._quotas.charge_again(old, parameters, principal)
        sources, waits_for = await self._sources_again(old, principal)
        new_id = str(uuid.uuid4())
        await asyncio.to_thread(self._jobs.files.share_inputs, old.id, new_id)
        job = dataclasses.replace(
            old,
            id=new_id,
            state=JobState.PENDING,
            # Somebody else may have raised it.
            priority=old.priority if principal.may(Permission.MANAGE_QUEUE) else min(0, old.priority),
            attempt=0,
            lease_id="",
            interruptions=0,
            created_at=self._jobs.clock(),
            started_at=None,
            finished_at=None,
            cancel_requested_at=None,
            seconds=None,
            outputs=(),
            failure=None,
            idempotency_key="",
            reused_from="",
            bin=(),
            charge=charge,
            sources=sources,
            waits_for=waits_for,
        )
        async with self._files_until_stored([new_id]):
            return await self._add(job, principal)

    async def _sources_again(self, old: Job, principal: Principal) -> tuple[dict[str, str], tuple[str, ...]]:
        """Where the pictures come from that an ended job was promised, now, and the jobs to wait for."""
        again: dict[str, Job] = {}
        sources: dict[str, str] = {}
        for file, source in old.sources.items():
            source_id, slash, index = source.partition("/")
            if await asyncio.to_thread(self._jobs.files.has_input, old.id, file):
                sources[file] = source
                continue
            if source_id not in again:
                made_by = await self._jobs.store.get(source_id)
                if made_by is None:
                    raise Conflict(f"the job {source_id}, whose picture it was to be made from, is not there any more")
                is_lost = made_by.state in {JobState.FAILED, JobState.CANCELLED}
                again[source_id] = await self.retry(source_id, principal) if is_lost else made_by
            sources[file] = again[source_id].id + slash + index
        return sources, tuple(job.id for job in again.values() if not job.is_finished)

    async def _with_earlier_result(self, job: Job) -> Job:
        """``job``, complete, with the outputs of an earlier one of its principal; as it is when there is none, or no file of it.

        :meth:`JobFiles.keep` must be called when it is stored.
        """
        old = await self._jobs.store.by_result(job.principal, job.result_key) if job.result_key else None
        if (
            old is None
            or not _is_whole(old)
            or not await asyncio.to_thread(self._jobs.files.share_outputs, old, job.id)
        ):
            return job
        now = self._jobs.clock()
        return dataclasses.replace(
            job,
            state=JobState.COMPLETED,
            started_at=now,
            finished_at=now,
            seconds=0.0,
            outputs=old.outputs,
            charge=None,
            reused_from=old.reused_from or old.id,
        )

    @asynccontextmanager
    async def _files_until_stored(self, jobs: Sequence[str | Job]) -> AsyncIterator[None]:
        """While jobs (or those of these ids) are being stored whose files are there already: an error takes them away again.

        Who is cancelled, or has lost the database while it wrote, cannot tell whether they were stored, and somebody else may be
        at work on them: then the files are left to the sweep of the next start.
        """
        try:
            yield
        except OutcomeUnknown:
            raise
        except Exception:
            for job in jobs:
                await asyncio.to_thread(self._jobs.files.remove, job if isinstance(job, str) else job.id)
            raise

    async def _add(self, job: Job, principal: Principal) -> Job:
        """Store a job within what the principal may ask for; the job that its idempotency key was used for before, where it was."""

        async def add() -> Job:
            allowance = self._allowances.of(principal)
            async with self._quotas.budgets(principal) as budgets:
                stored = await self._jobs.store.add(
                    job,
                    max_pending=self._max_pending,
                    max_pending_of_principal=allowance.max_pending,
                    budgets=budgets,
                )
            if stored.id == job.id:
                log.info("job accepted", job_id=job.id, type=job.type, model=job.model_name)
                self._jobs.running.changed(stored, None)
                if stored.waits_for:  # what it waits for may have ended meanwhile
                    await self._jobs.follow()
            return stored

        return await _to_the_end(add())


async def _to_the_end(storing: Coroutine[Any, Any, T]) -> T:
    """Store something and tell of it, even when the caller is cancelled meanwhile: no worker looks for what nobody was told of."""
    task = asyncio.create_task(storing)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to hear of it
    return await asyncio.shield(task)


def _is_whole(job: Job) -> bool:
    """Whether a completed job has all pictures that were asked for: some may have been skipped."""
    return job.type is JobType.VIDEO or len(job.outputs) >= int(job.parameters.get("batch_count", 1))


def _demand_permission(principal: Principal, job_type: JobType) -> None:
    needed = Permission.MANAGE_MODELS if job_type in _MANAGING else Permission.GENERATE
    if not principal.may(needed):
        raise Forbidden(f"{job_type} jobs need the permission '{needed}'", permission=str(needed))


def _what_is_loaded(job: Job) -> tuple[str, ...]:
    """The same for jobs that need the same model, parts and LoRAs in memory; near for those that share some."""
    parts = {field.name for field in dataclasses.fields(Components)}
    chosen = {name: value for name, value in sorted(job.parameters.items()) if name in parts}
    return job.model_id, str(chosen), str(job.parameters.get("loras") or ())


@contextmanager
def _at_place(group: Group, place: int) -> Iterator[None]:
    """Let problems say at which place of a group they are."""
    try:
        yield
    except InvalidInput as error:
        where = ", ".join(f"{axis.label} {value}" for axis, value in zip(group.axes, group.labels(place), strict=True))
        raise InvalidInput(
            dataclasses.replace(problem, message=f"{problem.message} (at {where})") for problem in error.problems
        ) from None
