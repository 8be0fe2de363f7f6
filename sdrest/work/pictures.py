"""Making pictures: from the stored parameters of a job to what the engine is to do."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.planning.loras_and_embeddings import cleaned
from sdrest.planning.speed import with_speed
from sdrest.planning.upscaler_models import find_upscaler
from sdrest.registry.registry import Registry
from sdrest.work.engine_executor import Order
from sdrest.work.following import PictureWriter
from sdrest.work.input_pictures import prepare_inputs, put_back
from sdrest.work.workshop import Workshop


def picture_order(workshop: Workshop, attempt: Attempt, folder: Path) -> Order:
    """The pictures of a job, each written when it is there; raises as :meth:`Workshop.plan`."""
    job, files = attempt.job, workshop.files
    parameters = msgspec.convert(job.parameters, GenerationParameters)
    model = workshop.model(job)
    planned = workshop.plan(model, parameters)
    hires_model = parameters.hires.upscale_model if parameters.hires.enabled else ""
    task = messages.Generate(
        task=job.id,
        context=planned.context.spec,
        parameters=cleaned(with_speed(parameters, model), planned.adapters),
        folder=str(folder),
        pictures=prepare_inputs(parameters, files.input_folder(job.id), folder),
        loras=planned.adapters.loras,
        hires_model=_upscaler(workshop.registry, hires_model),
        upscale_model=_upscaler(workshop.registry, parameters.upscale_model),
        demand=planned.demand,
    )
    return Order(
        task=task,
        images=parameters.batch_count,
        write=PictureWriter(
            workshop.pictures,
            attempt,
            parameters,
            files.staging_folder(job),
            partial(put_back, parameters, files.input_folder(job.id)),
        ),
        learn=partial(workshop.learn, planned.context, parameters),
    )


def _upscaler(registry: Registry, name: str) -> str:
    return str(find_upscaler(registry, name).path) if name else ""
