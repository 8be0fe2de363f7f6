"""Making videos: the engine makes frames, which become one file, or one picture each."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from sdrest.core.errors import GenerationFailed
from sdrest.core.job import Output
from sdrest.core.parameters import VideoFormat, VideoParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.outputs.picture_files import PictureFiles
from sdrest.outputs.pictures import is_flat, read_rgb
from sdrest.outputs.video import MEDIA_TYPES, write_video
from sdrest.planning.speed import with_speed
from sdrest.work.engine_executor import Order
from sdrest.work.following import PictureWriter, flat_picture, infotext_of
from sdrest.work.input_pictures import prepare_inputs
from sdrest.work.workshop import Workshop


def video_order(workshop: Workshop, attempt: Attempt, folder: Path) -> Order:
    """The frames of a job as one file, or each as a picture; raises as :meth:`Workshop.plan`."""
    job, files = attempt.job, workshop.files
    parameters = msgspec.convert(job.parameters, VideoParameters)
    model = workshop.model(job)
    planned = workshop.plan(model, parameters)
    task = messages.GenerateVideo(
        task=job.id,
        context=planned.context.spec,
        parameters=dataclasses.replace(with_speed(parameters, model), prompt=planned.adapters.prompt),
        folder=str(folder),
        pictures=prepare_inputs(parameters, files.input_folder(job.id), folder),
        loras=planned.adapters.loras,
        demand=planned.demand,
    )
    as_frames, output_folder = parameters.video_format is VideoFormat.FRAMES, files.staging_folder(job)
    return Order(
        task=task,
        write=PictureWriter(workshop.pictures, attempt, parameters, output_folder) if as_frames else None,
        join=None if as_frames else VideoWriter(workshop.pictures, attempt, parameters, output_folder),
        learn=partial(workshop.learn, planned.context, parameters),
    )


class VideoWriter:
    """Turns raw frames into one video file."""

    def __init__(self, files: PictureFiles, attempt: Attempt, parameters: VideoParameters, folder: Path) -> None:
        self._files = files
        self._attempt = attempt
        self._parameters = parameters
        self._folder = folder

    def __call__(self, made: list[messages.PictureMade]) -> Output:
        """Write the frames in order.

        Raises:
            GenerationFailed: there are none.
            FlatPicture: all are one flat colour.
            InsufficientStorage: the disk is full.
        """
        if not made:
            raise GenerationFailed("the library returned no frames")
        frames = [np.asarray(read_rgb(Path(item.path), item.width, item.height)) for item in made]
        if all(is_flat(frame) for frame in frames):
            raise flat_picture(0, self._parameters)
        video_format = self._parameters.video_format
        text = infotext_of(self._attempt, self._parameters, made[0])
        file = f"video_0.{video_format}"
        size = write_video(
            self._folder / file,
            frames,
            fps=self._parameters.fps,
            video_format=video_format,
            comment=text if self._parameters.embed_metadata else "",
            xmp=self._files.xmp(self._parameters),
            seal=lambda data: self._files.sealed(data, MEDIA_TYPES[video_format], self._parameters),
        )
        return Output(
            file=file,
            media_type=MEDIA_TYPES[video_format],
            size_bytes=size,
            width=made[0].width,
            height=made[0].height,
            seed=self._parameters.seed,
            infotext=text,
        )
