"""Carrying out jobs that load a model and keep it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NoReturn

from sdrest.core.errors import SdrestError
from sdrest.core.events import ModelChanged
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.work.following import Follower
from sdrest.work.workshop import Workshop


class LoadExecutor:
    """Loads the model of a job as a plain text-to-picture job would, and keeps it."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job, workshop = attempt.job, self._workshop
        attempt.on_cancel(partial(workshop.engine.cancel, job.id))
        try:
            planned = await asyncio.to_thread(workshop.plan, job.model_id, GenerationParameters())
            task = messages.Load(task=job.id, context=planned.context.spec, demand=planned.demand)
            done = await workshop.run(task, Follower(attempt, 1, _no_pictures))
        except SdrestError as error:
            attempt.publish(ModelChanged(job.model_id, job.model_name, "failed", 0.0, error.message))
            raise
        return Result(seconds=done.seconds)


def _no_pictures(_made: messages.PictureMade) -> NoReturn:
    raise AssertionError("loading makes no pictures")
