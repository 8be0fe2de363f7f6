"""Carrying out upscaling jobs."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from sdrest import __version__
from sdrest.core.job import Output
from sdrest.core.parameters import UpscaleParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.outputs.pictures import read_rgb, write_png
from sdrest.planning.upscaler_models import find_upscaler
from sdrest.work.following import Follower
from sdrest.work.input_pictures import flattened
from sdrest.work.workshop import Workshop


class UpscalingExecutor:
    """Enlarges one picture on the engine. The model's context stays loaded: ESRGAN models have their own."""

    def __init__(self, workshop: Workshop, *, threads: int) -> None:
        self._workshop = workshop
        self._threads = threads

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job, workshop = attempt.job, self._workshop
        attempt.on_cancel(partial(workshop.engine.cancel, job.id))
        parameters = msgspec.convert(job.parameters, UpscaleParameters)
        model = find_upscaler(workshop.registry, job.model_id)
        source = workshop.files.input_folder(job.id) / parameters.image
        async with workshop.attempt_folder(attempt, partial(_as_array, source)) as (folder, picture):
            task = messages.Upscale(
                task=job.id,
                picture=str(picture),
                model=str(model.path),
                factor=parameters.upscale_factor,
                folder=str(folder),
                threads=self._threads,
                tile_size=parameters.tile_size,
            )
            follower = Follower(attempt, 1, _Writer(parameters, model.name, workshop.files.output_folder(job.id)))
            done = await workshop.run(task, follower)
            await follower.finish()
        return Result(done.seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class _Writer:
    parameters: UpscaleParameters
    model_name: str
    folder: Path

    def __call__(self, made: messages.PictureMade) -> Output:
        text = ", ".join(
            (
                f"Postprocess upscale by: {self.parameters.upscale_factor:g}",
                f"Postprocess upscaler: {self.model_name}",
                f"Size: {made.width}x{made.height}",
                f"Version: sdrest {__version__}",
            )
        )
        pixels = read_rgb(Path(made.path), made.width, made.height)
        size = write_png(self.folder / "image_0.png", pixels, text if self.parameters.embed_metadata else "")
        return Output(
            file="image_0.png",
            media_type="image/png",
            size_bytes=size,
            width=made.width,
            height=made.height,
            infotext=text,
        )


def _as_array(source: Path, folder: Path) -> Path:
    """The picture in ``source`` as the engine takes it, laid into ``folder``."""
    target = folder / "image.npy"
    with Image.open(source) as picture:
        np.save(target, np.asarray(flattened(picture)))
    return target
