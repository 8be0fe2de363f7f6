"""Carrying out video jobs: the engine makes frames, which become one file, or one picture each."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from sdrest.core.errors import GenerationFailed
from sdrest.core.job import Output, Phase
from sdrest.core.parameters import VideoFormat, VideoParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.outputs.pictures import is_flat, read_rgb
from sdrest.outputs.video import MEDIA_TYPES, write_video
from sdrest.work.following import Follower, PictureWriter, flat_picture, infotext_of
from sdrest.work.workshop import Workshop


class VideoExecutor:
    """Runs video jobs on the engine and writes what it makes."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job, workshop = attempt.job, self._workshop
        attempt.on_cancel(partial(workshop.engine.cancel, job.id))
        parameters = msgspec.convert(job.parameters, VideoParameters)
        prepare = partial(workshop.prepare, attempt, parameters)
        as_frames = parameters.video_format is VideoFormat.FRAMES
        output_folder = workshop.files.output_folder(job.id)
        async with workshop.attempt_folder(attempt, prepare) as (folder, (planned, pictures)):
            task = messages.GenerateVideo(
                task=job.id,
                context=planned.context.spec,
                parameters=dataclasses.replace(parameters, prompt=planned.adapters.prompt),
                folder=str(folder),
                pictures=pictures,
                loras=planned.adapters.loras,
                demand=planned.demand,
            )
            made: list[messages.PictureMade] = []
            follower = Follower(attempt, 1, PictureWriter(attempt, parameters, output_folder))

            def heard(report: messages.Report) -> None:
                if isinstance(report, messages.PictureMade) and not as_frames:
                    made.append(report)
                else:
                    follower.heard(report)

            done = await workshop.run_planned(planned, parameters, task, follower, heard)
            if not as_frames:
                follower.enter(Phase.SAVE)
                follower.write(partial(VideoWriter(attempt, parameters, output_folder), made))
            await follower.finish()
        return Result(done.seconds)


class VideoWriter:
    """Turns raw frames into one video file."""

    def __init__(self, attempt: Attempt, parameters: VideoParameters, folder: Path) -> None:
        self._attempt = attempt
        self._parameters = parameters
        self._folder = folder

    def __call__(self, made: list[messages.PictureMade]) -> Output:
        """Write the frames in order.

        Raises:
            GenerationFailed: there are none, or all are one flat colour.
            InsufficientStorage: the disk is full.
        """
        if not made:
            raise GenerationFailed("the library returned no frames")
        frames = [np.asarray(read_rgb(Path(item.path), item.width, item.height)) for item in made]
        if all(is_flat(frame) for frame in frames):
            raise GenerationFailed(flat_picture(0))
        video_format = self._parameters.video_format
        text = infotext_of(self._attempt, self._parameters, made[0])
        file = f"video_0.{video_format}"
        size = write_video(
            self._folder / file,
            frames,
            fps=self._parameters.fps,
            video_format=video_format,
            comment=text if self._parameters.embed_metadata else "",
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
