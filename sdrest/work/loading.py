"""Loading a model and keeping it, and finding out what pictures of several sizes take beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sdrest.core.errors import SdrestError
from sdrest.core.events import ModelChanged
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.planning.size_memory import typical
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
    model, job = workshop.model(attempt.job), attempt.job
    planned = workshop.plan(model, GenerationParameters())
    sizes = job.parameters.get("sizes", ())
    measured = tuple(typical(width, height) for width, height in sizes)

    def learn(told: Mapping[str, int]) -> None:
        for index, parameters in enumerate(measured):
            workshop.learn(workshop.plan(model, parameters).context, parameters, told, f"compute_bytes_{index}")

    task = messages.Load(task=job.id, context=planned.context.spec, demand=planned.demand, measured=measured)
    return Order(task=task, learn=learn)
