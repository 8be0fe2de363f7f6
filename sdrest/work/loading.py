"""Loading a model and keeping it."""

from __future__ import annotations

from pathlib import Path

from sdrest.core.errors import SdrestError
from sdrest.core.events import ModelChanged
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.work.engine_executor import EngineExecutor, Order
from sdrest.work.workshop import Workshop


class LoadExecutor(EngineExecutor):
    """Loads the model of a job as a plain text-to-picture job would, and tells where that fails."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__(workshop, _load_order)

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        try:
            return await super().execute(attempt)
        except SdrestError as error:
            job = attempt.job
            attempt.publish(ModelChanged(job.model_id, job.model_name, "failed", 0.0, error.message))
            raise


def _load_order(workshop: Workshop, attempt: Attempt, _folder: Path) -> Order:
    planned = workshop.plan(workshop.model(attempt.job), GenerationParameters())
    return Order(task=messages.Load(task=attempt.job.id, context=planned.context.spec, demand=planned.demand))
