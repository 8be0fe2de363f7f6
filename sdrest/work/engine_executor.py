"""Carrying out jobs on the engine: the task, the reports on the way, the files in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sdrest.core.errors import InsufficientMemory
from sdrest.core.job import Job, Output, Phase
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.work.following import Follower, Write
from sdrest.work.workshop import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the engine is to do for a job, and what becomes of what it makes."""

    task: messages.Task
    #: How many pictures are made one after another.
    images: int = 1
    #: Writes a raw picture, on a worker thread, while the next one is made; None: they are only collected.
    write: Write | None = None
    #: Writes the collected pictures as one file, on a worker thread.
    join: Callable[[list[messages.PictureMade]], Output] | None = None
    #: Told, on a worker thread, what the engine found out: the result of :class:`sdrest.engine.messages.Done`, or a part of it.
    learn: Callable[[Mapping[str, int]], None] | None = None


class EngineExecutor:
    """Carries out jobs of one kind; see :class:`sdrest.jobs.worker.Executor`.

    Args:
        workshop: The engine, and what is known of the jobs' files.
        order: Makes the order of an attempt; its files for the engine go into the folder. Called on a worker thread.
    """

    def __init__(self, workshop: Workshop, order: Callable[[Workshop, Attempt, Path], Order]) -> None:
        self._workshop = workshop
        self._order = order

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job_id = attempt.job.id
        attempt.on_cancel(partial(self._workshop.engine.cancel, job_id))
        attempt.on_watched(partial(self._workshop.engine.preview, job_id))
        attempt.on_skipped(partial(self._workshop.engine.skip, job_id))
        end = partial(self._workshop.files.end_attempt, attempt.job)
        try:
            order = await asyncio.to_thread(self._begin, attempt)
            follower = Follower(attempt, order.images, order.write)
            done = await self._run(order, follower)
            end = partial(self._end, attempt.job, order, done)
            attempt.free_worker()
            if order.join is not None:
                follower.enter(Phase.SAVE)
                follower.write(partial(order.join, follower.collected))
            await follower.finish()
        finally:
            await asyncio.to_thread(end)
        return Result(done.seconds, _told(done))

    def _begin(self, attempt: Attempt) -> Order:
        folder = self._workshop.files.begin_attempt(attempt.job)
        return self._order(self._workshop, attempt, folder)

    async def _run(self, order: Order, follower: Follower) -> messages.Done:
        """Run the task; when it fails, nothing more of it appears after this."""
        try:
            return await self._workshop.engine.run(order.task, follower.heard)
        except BaseException as error:
            await follower.abandon()
            if isinstance(error, InsufficientMemory):
                await asyncio.to_thread(_learn, order, error.details)
            raise

    def _end(self, job: Job, order: Order, done: messages.Done) -> None:
        """What is left to do of an attempt that the engine has done its part of."""
        _learn(order, done.result)
        self._workshop.files.end_attempt(job)


def _told(done: messages.Done) -> tuple[str, ...]:
    """What the job's owner should know of an attempt that succeeded."""
    skipped = done.result.get("skipped", 0)
    return (f"skipped while they were made: {skipped} of the pictures",) if skipped else ()


def _learn(order: Order, told: Mapping[str, object]) -> None:
    if order.learn is not None:
        order.learn({name: value for name, value in told.items() if isinstance(value, int)})
