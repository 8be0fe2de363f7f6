"""Enlarging pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from sdrest import __version__
from sdrest.core.job import Output
from sdrest.core.parameters import UpscaleParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.outputs.encoding import MEDIA_TYPES
from sdrest.outputs.picture_files import PictureFiles
from sdrest.outputs.pictures import read_rgb
from sdrest.planning.upscaler_models import find_upscaler
from sdrest.work.engine_executor import Order
from sdrest.work.input_pictures import flattened
from sdrest.work.workshop import Workshop


def upscaling_order(workshop: Workshop, attempt: Attempt, folder: Path, *, threads: int) -> Order:
    """One picture enlarged. The model's context stays loaded: ESRGAN models have their own.

    Raises:
        InvalidInput: the model has gone.
    """
    job, files = attempt.job, workshop.files
    parameters = msgspec.convert(job.parameters, UpscaleParameters)
    model = find_upscaler(workshop.registry, job.model_id)
    task = messages.Upscale(
        task=job.id,
        picture=str(_as_array(files.input_folder(job.id) / parameters.image, folder)),
        model=str(model.path),
        factor=parameters.upscale_factor,
        folder=str(folder),
        threads=threads,
        tile_size=parameters.tile_size,
    )
    return Order(task=task, write=_Writer(workshop.pictures, parameters, model.name, files.staging_folder(job)))


@dataclasses.dataclass(frozen=True, slots=True)
class _Writer:
    files: PictureFiles
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
        file = f"image_0.{self.parameters.output_format}"
        size = self.files.write(self.folder / file, pixels, self.parameters, text)
        return Output(
            file=file,
            media_type=MEDIA_TYPES[self.parameters.output_format],
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
