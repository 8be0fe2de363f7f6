"""Carrying out generation jobs: from stored parameters to an engine task, from raw pictures to finished files."""

from __future__ import annotations

from functools import partial

import msgspec

from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.planning.loras_and_embeddings import cleaned
from sdrest.planning.upscaler_models import find_upscaler
from sdrest.work.following import Follower, PictureWriter
from sdrest.work.workshop import Workshop


class GenerationExecutor:
    """Runs picture jobs on the engine and writes what it makes."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job, workshop = attempt.job, self._workshop
        attempt.on_cancel(partial(workshop.engine.cancel, job.id))
        parameters = msgspec.convert(job.parameters, GenerationParameters)
        prepare = partial(workshop.prepare, attempt, parameters)
        async with workshop.attempt_folder(attempt, prepare) as (folder, (planned, pictures)):
            task = messages.Generate(
                task=job.id,
                context=planned.context.spec,
                parameters=cleaned(parameters, planned.adapters),
                folder=str(folder),
                pictures=pictures,
                loras=planned.adapters.loras,
                hires_model=self._upscaler(parameters.hires.upscale_model if parameters.hires.enabled else ""),
                upscale_model=self._upscaler(parameters.upscale_model),
                demand=planned.demand,
            )
            follower = Follower(
                attempt,
                parameters.batch_count,
                PictureWriter(attempt, parameters, workshop.files.output_folder(job.id)),
            )
            done = await workshop.run_planned(planned, parameters, task, follower)
            await follower.finish()
        return Result(done.seconds)

    def _upscaler(self, name: str) -> str:
        return str(find_upscaler(self._workshop.registry, name).path) if name else ""
