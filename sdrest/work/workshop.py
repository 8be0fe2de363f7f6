"""What every executor of engine jobs needs: from stored parameters to an engine task with its files found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sdrest.core.errors import InsufficientMemory
from sdrest.core.model import Model
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.jobs.files import JobFiles
from sdrest.jobs.running import Attempt
from sdrest.planning.context_specs import ContextBuilder, ContextPlan
from sdrest.planning.loras_and_embeddings import AdapterFinder, Adapters
from sdrest.planning.memory import MemoryPlanner
from sdrest.registry.registry import Registry
from sdrest.work.following import Follower
from sdrest.work.input_pictures import prepare_inputs

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Planned:
    """A job with its files found: the model, its context, adapters, memory."""

    model: Model
    context: ContextPlan
    adapters: Adapters
    demand: messages.Demand


class Workshop:
    """What every executor of engine jobs needs: the engine, the folders, and the way from parameters to files."""

    def __init__(
        self,
        engine: Engine,
        files: JobFiles,
        registry: Registry,
        contexts: ContextBuilder,
        memory: MemoryPlanner,
        adapters: AdapterFinder,
    ) -> None:
        self.engine = engine
        self.files = files
        self.registry = registry
        self.memory = memory
        self._contexts = contexts
        self._adapters = adapters

    def plan(self, model_id: str, parameters: GenerationParameters) -> Planned:
        """Find the files of a job again; reads headers, so not on the event loop.

        Raises:
            ModelNotFound, ModelUnusable, InvalidInput: something has gone or changed since the job was submitted.
        """
        model = self._contexts.resolve(model_id)
        adapters = self._adapters.find(model, parameters)
        context = self._contexts.plan(model, parameters, adapters)
        return Planned(model, context, adapters, self.memory.demand(context, parameters))

    @asynccontextmanager
    async def attempt_folder(self, attempt: Attempt, prepare: Callable[[Path], T]) -> AsyncIterator[tuple[Path, T]]:
        """A folder for the engine's files, removed at the end, and what ``prepare`` gave for it on a worker thread."""
        job = attempt.job

        def begin() -> tuple[Path, T]:
            folder = self.files.begin_attempt(job.id, job.attempt)
            return folder, prepare(folder)

        try:
            yield await asyncio.to_thread(begin)
        finally:
            await asyncio.to_thread(self.files.end_attempts, job.id)

    def prepare(
        self, attempt: Attempt, parameters: GenerationParameters, folder: Path
    ) -> tuple[Planned, dict[str, tuple[str, ...]]]:
        """The job with its files found, and its input pictures laid into ``folder``; raises as :meth:`plan`."""
        planned = self.plan(attempt.job.model_id, parameters)
        return planned, prepare_inputs(parameters, self.files.input_folder(attempt.job.id), folder)

    async def run(
        self, task: messages.Task, follower: Follower, heard: Callable[[messages.Report], None] | None = None
    ) -> messages.Done:
        """Run a task; when it fails, nothing more of it appears after this. ``heard`` may go before the follower."""
        try:
            return await self.engine.run(task, heard or follower.heard)
        except BaseException:
            await follower.abandon()
            raise

    async def run_planned(
        self,
        planned: Planned,
        parameters: GenerationParameters,
        task: messages.Task,
        follower: Follower,
        heard: Callable[[messages.Report], None] | None = None,
    ) -> messages.Done:
        """As :meth:`run`, and keep what the engine found out of the memory that such a job takes."""
        try:
            done = await self.run(task, follower, heard)
        except InsufficientMemory as error:
            await self._learn(planned, parameters, error.details.get("compute_bytes"))
            raise
        await self._learn(planned, parameters, done.result.get("compute_bytes"))
        return done

    async def _learn(self, planned: Planned, parameters: GenerationParameters, compute_bytes: object) -> None:
        if isinstance(compute_bytes, int) and compute_bytes != planned.demand.compute:
            await asyncio.to_thread(self.memory.learn, planned.context, parameters, compute_bytes)
