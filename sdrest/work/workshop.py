"""What carrying out jobs on the engine takes: the engine, the folders, and the way from parameters to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdrest.core.errors import ModelNotFound
from sdrest.core.job import Job
from sdrest.core.model import Model
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.jobs.files import JobFiles
from sdrest.outputs.picture_files import PictureFiles
from sdrest.planning.context_specs import ContextBuilder, ContextPlan
from sdrest.planning.loras_and_embeddings import AdapterFinder, Adapters
from sdrest.planning.memory import MemoryPlanner
from sdrest.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Planned:
    """A job with its files found: its context, adapters, memory."""

    context: ContextPlan
    adapters: Adapters
    demand: messages.Demand


class Workshop:
    """The engine, and what is needed to find the files of its jobs."""

    def __init__(
        self,
        engine: Engine,
        files: JobFiles,
        registry: Registry,
        contexts: ContextBuilder,
        memory: MemoryPlanner,
        adapters: AdapterFinder,
        pictures: PictureFiles,
    ) -> None:
        self.engine = engine
        self.files = files
        self.registry = registry
        self.pictures = pictures
        self.memory = memory
        self._contexts = contexts
        self._adapters = adapters

    def model(self, job: Job) -> Model:
        """The main model of a job.

        Raises:
            ModelNotFound: it has gone.
        """
        model = self.registry.catalogue.get(job.model_id)
        if model is None:
            raise ModelNotFound(f"the model {job.model_name or job.model_id} is not here any more", name=job.model_id)
        return model

    def plan(self, model: Model, parameters: GenerationParameters) -> Planned:
        """Find the files of a job again; reads headers, so not on the event loop.

        Raises:
            ModelUnusable, InvalidInput: something has gone or changed since the job was submitted.
        """
        adapters = self._adapters.find(model, parameters)
        context = self._contexts.plan(model, parameters, adapters)
        return Planned(context, adapters, self.memory.demand(context, parameters))

    def learn(
        self,
        context: ContextPlan,
        parameters: GenerationParameters,
        told: Mapping[str, int],
        key: str = "compute_bytes",
    ) -> None:
        """Keep what the engine told of the memory of a generation, under ``key``; nothing where it told nothing."""
        self.memory.learn(context, parameters, told.get(key, 0))
