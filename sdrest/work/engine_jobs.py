"""Who carries out the jobs that need an engine."""

from __future__ import annotations

from functools import partial

from sdrest.core.job import JobType
from sdrest.jobs.worker import Executor
from sdrest.work.engine_executor import EngineExecutor
from sdrest.work.loading import LoadExecutor
from sdrest.work.pictures import picture_order
from sdrest.work.upscaling import upscaling_order
from sdrest.work.video import video_order
from sdrest.work.workshop import Workshop


def engine_executors(workshop: Workshop, threads: int) -> dict[JobType, Executor]:
    """The executors on the engine of a workshop, whose upscaling takes so many threads."""
    pictures = EngineExecutor(workshop, picture_order)
    return {
        JobType.TXT2IMG: pictures,
        JobType.IMG2IMG: pictures,
        JobType.INPAINT: pictures,
        JobType.CONTROLNET: pictures,
        JobType.UPSCALE: EngineExecutor(workshop, partial(upscaling_order, threads=threads)),
        JobType.VIDEO: EngineExecutor(workshop, video_order),
        JobType.LOAD: LoadExecutor(workshop),
    }
