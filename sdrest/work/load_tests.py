"""Jobs that load a model for trial, beside the engine that serves."""

from __future__ import annotations

import asyncio
from typing import Final

import psutil

from sdrest.core.errors import InsufficientMemory
from sdrest.core.job import Phase, Progress
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.engine.trial import Loaded, try_loading
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.work.workshop import Workshop

_MIB: Final = 1 << 20


class LoadTestExecutor:
    """Loads the model of a job as a plain text-to-picture job would, in a process of its own, and lets it go."""

    def __init__(self, workshop: Workshop, *, timeout_seconds: float) -> None:
        self._workshop = workshop
        self._timeout_seconds = timeout_seconds

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`. What was found out is told as a warning of the job."""
        loaded = await self._load(attempt)
        told = f"loaded in {loaded.seconds:.1f} s, with {loaded.peak_bytes // _MIB} MiB of memory at the most"
        return Result(seconds=loaded.seconds, warnings=(told,))

    async def _load(self, attempt: Attempt) -> Loaded:
        job, workshop = attempt.job, self._workshop
        planned = await asyncio.to_thread(workshop.plan, workshop.model(job), GenerationParameters())
        needed = planned.demand.weights + messages.CONTEXT_OVERHEAD_BYTES
        allowed = min(planned.demand.budget, psutil.virtual_memory().available)
        if needed > allowed:
            raise InsufficientMemory(
                f"loading it takes about {needed // _MIB} MiB and {allowed // _MIB} MiB are free for it beside what is loaded; "
                "unload a model first",
                needed_bytes=needed,
                budget_bytes=allowed,
            )

        def heard(report: messages.Report) -> None:
            if isinstance(report, messages.Progressed) and report.steps:
                attempt.reached(
                    Progress(
                        phase=Phase.LOAD, step=report.step, steps=report.steps, fraction=report.step / report.steps
                    )
                )

        return await try_loading(
            planned.context.spec,
            timeout_seconds=self._timeout_seconds,
            memory_bytes=allowed,
            environment=workshop.engine.place.environment,
            heard=heard,
        )
