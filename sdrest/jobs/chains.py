"""Pictures of one job for the next, before they are there: what is to be expected of them, and bringing them when they are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from PIL import Image

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.core.job import Job, numbered
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoFormat, VideoParameters
from sdrest.jobs.files import JobFiles
from sdrest.jobs.store import JobStore
from sdrest.jobs.submission import TABLES, Promised


class Chains:
    """What jobs hand on to each other."""

    def __init__(self, store: JobStore, files: JobFiles) -> None:
        self._store = store
        self._files = files

    async def promise(self, job: Job, index: int) -> Promised:
        """The picture number ``index`` of a job that has not ended, as large as it will be.

        Raises:
            InvalidInput: the job will make no such picture.
        """
        table = TABLES.get(job.type)
        if table is None:
            raise InvalidInput(f"a {job.type} job makes no pictures")
        parameters = msgspec.convert(job.parameters, table)
        number = _number_of_pictures(parameters)
        if index >= number:
            raise InvalidInput(
                f"the job makes {number} picture(s), counted from 0: it will have no picture {index}"
                if number
                else "the job makes a video, not a picture"
            )
        if isinstance(parameters, UpscaleParameters):
            size = await self._input_size(job, parameters.image)
            width, height = (round(side * parameters.upscale_factor) for side in size)
        elif parameters.inpaint.only_masked:
            width, height = await self._input_size(job, parameters.init_image)
        else:
            width, height = parameters.final_size
        return Promised(job.id, index, width, height)

    async def bring(self, job: Job) -> None:
        """Lay the pictures of other jobs that a job was promised where its input pictures are; those that are there stay.

        Raises:
            NotFound: one is not there any more.
            InsufficientStorage: the disk is full.
        """
        for file, source in job.sources.items():
            if await asyncio.to_thread(self._files.has_input, job.id, file):
                continue
            source_id, _, index = source.partition("/")
            made_by = await self._store.get(source_id)
            output = numbered(made_by.outputs, int(index)) if made_by else None
            try:
                if output is None:
                    raise FileNotFoundError
                await asyncio.to_thread(self._files.bring_input, job.id, file, source_id, output)
            except OSError:
                raise NotFound(f"the picture {index} of the job {source_id} is not there any more") from None

    async def _input_size(self, job: Job, file: str) -> tuple[int, int]:
        """Size of an input picture of a job, there or promised."""
        path = self._files.input_folder(job.id) / file
        if file in job.sources and not await asyncio.to_thread(path.is_file):
            source_id, _, index = job.sources[file].partition("/")
            source = await self._store.get(source_id)
            if source is None:
                raise InvalidInput(f"the picture of the job {source_id}, which it waits for, is not there any more")
            if (output := numbered(source.outputs, int(index))) is not None:
                return output.width, output.height
            return (await self.promise(source, int(index))).size
        return await asyncio.to_thread(_size_of, path)


def _number_of_pictures(parameters: GenerationParameters | UpscaleParameters) -> int:
    if isinstance(parameters, VideoParameters):
        return parameters.video_frames if parameters.video_format is VideoFormat.FRAMES else 0
    return parameters.batch_count if isinstance(parameters, GenerationParameters) else 1


def _size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size
