"""Which model files a job needs, so that a worker elsewhere can have them before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from sdrest.core.errors import ModelNotFound
from sdrest.core.job import Job
from sdrest.core.model import Model
from sdrest.core.parameters import GenerationParameters, UpscaleParameters
from sdrest.jobs.submission import TABLES
from sdrest.planning.upscaler_models import find_upscaler
from sdrest.registry.contents import Contents
from sdrest.work.worker_frames import Needed
from sdrest.work.workshop import Workshop


class NeededModels:
    """Finds them with what this server knows of the job's model."""

    def __init__(self, workshop: Workshop, contents: Contents) -> None:
        self._workshop = workshop
        self._contents = contents

    def of(self, job: Job) -> tuple[Needed, ...]:
        """The files of a job; reads them where they are new, so not for the event loop.

        Raises:
            ModelNotFound, ModelUnusable, InvalidInput: something has gone or changed since the job was submitted.
        """
        registry = self._workshop.registry
        by_path = {model.path.resolve(): model for model in registry.catalogue.models}
        models = {by_path[path].id: by_path[path] for path in files_of(job, self._workshop) if path in by_path}
        return tuple(self.needed(model) for model in models.values())

    def needed(self, model: Model) -> Needed:
        """A model as a worker is told of it.

        Raises:
            ModelNotFound: its file has gone.
        """
        _, _, inner = model.relative_path.partition("/")
        try:
            content = self._contents.of(str(model.path))
        except OSError:
            raise ModelNotFound(f"the model {model.name} is not here any more", name=model.id) from None
        kind = self._workshop.registry.folders.for_type(model.type).key
        path = f"{kind}/{inner}" if ":" in model.relative_path else model.relative_path
        return Needed(model.id, content, kind, path, model.size)


def files_of(job: Job, workshop: Workshop) -> Iterator[Path]:
    """All files of models that a job needs; reads them where they are new, so not for the event loop.

    Raises:
        ModelNotFound, ModelUnusable, InvalidInput: something has gone or changed since the job was submitted.
    """
    table = TABLES.get(job.type)
    parameters = msgspec.convert(job.parameters, table) if table else GenerationParameters()
    if isinstance(parameters, UpscaleParameters):
        yield find_upscaler(workshop.registry, parameters.upscale_model).path.resolve()
        return
    model = workshop.model(job)
    yield model.path.resolve()
    planned = workshop.plan(model, parameters)
    for _, path in (*planned.context.spec.files, *planned.adapters.embeddings):
        yield Path(path).resolve()
    for lora in planned.adapters.loras:
        yield Path(lora.path).resolve()
    hires = parameters.hires.upscale_model if parameters.hires.enabled else ""
    for name in filter(None, (hires, parameters.upscale_model)):
        yield find_upscaler(workshop.registry, name).path.resolve()
