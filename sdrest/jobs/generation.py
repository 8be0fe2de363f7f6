"""Carrying out generation jobs: from stored parameters to an engine task, from raw pictures to finished files."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from sdrest import __version__
from sdrest.core.errors import GenerationFailed
from sdrest.core.events import JobPreviewed
from sdrest.core.job import Output, Phase
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.jobs.progress import ProgressTracker
from sdrest.jobs.spool import Spool
from sdrest.jobs.worker import Attempt, Result
from sdrest.outputs.infotext import infotext
from sdrest.outputs.pictures import is_flat, jpeg_bytes, read_rgb, write_png

#: A picture smaller than this may be flat by chance or on purpose.
_FLAT_CHECK_PIXELS: Final = 16 * 16

#: Makes the context for a job: which model files, how held.
ContextBuilder = Callable[[str, GenerationParameters], messages.ContextSpec]


class GenerationExecutor:
    """Runs picture jobs on the engine and writes what it makes."""

    def __init__(self, engine: Engine, spool: Spool, output_dir: Path, context: ContextBuilder) -> None:
        self._engine = engine
        self._spool = spool
        self._output_dir = output_dir
        self._context = context

    def cancel(self, job_id: str) -> None:
        """See :class:`sdrest.jobs.worker.Executor`."""
        self._engine.cancel(job_id)

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job = attempt.job
        parameters = msgspec.convert(job.parameters, GenerationParameters)
        context = self._context(job.model_id, parameters)
        folder = await asyncio.to_thread(self._spool.begin_attempt, job.id, job.attempt)
        task = messages.Generate(
            task=job.id,
            context=context,
            parameters=parameters,
            seeds=tuple(parameters.seed + index for index in range(parameters.batch_count)),
            folder=str(folder),
        )
        pictures = _Pictures(attempt, parameters, self._output_dir / job.id)
        try:
            done = await self._engine.run(task, pictures.heard)
            outputs = await pictures.finish()
        except BaseException:
            await pictures.abandon()
            raise
        finally:
            await asyncio.to_thread(self._spool.end_attempt, job.id, job.attempt)
        return Result(outputs, done.seconds)


class _Pictures:
    """Follows one attempt: progress and previews at once, each picture written while the next one is made."""

    def __init__(self, attempt: Attempt, parameters: GenerationParameters, folder: Path) -> None:
        self._attempt = attempt
        self._parameters = parameters
        self._folder = folder
        self._tracker = ProgressTracker(parameters.batch_count)
        self._writing: list[asyncio.Task[Output]] = []
        self._preview: asyncio.Task[None] | None = None

    def heard(self, report: messages.Report) -> None:
        """One report of the engine."""
        match report:
            case messages.Progressed():
                self._attempt.progress(
                    self._tracker.advance(Phase(report.phase), report.step, report.steps, report.image)
                )
            case messages.PictureMade():
                self._writing.append(asyncio.create_task(self._keep(report)))
            case messages.Previewed() if self._preview is None or self._preview.done():
                # A preview that comes while the last one is still being encoded is dropped: the next one is newer.
                self._preview = asyncio.create_task(self._publish_preview(report))
            case _:
                pass

    async def finish(self) -> tuple[Output, ...]:
        """All pictures, written, in order.

        Raises:
            GenerationFailed: a picture is one flat colour.
            InsufficientStorage: the disk is full.
        """
        outputs = await asyncio.gather(*self._writing)
        return tuple(sorted(outputs, key=lambda output: output.file))

    async def abandon(self) -> None:
        """Wait for what is being written, so that nothing appears after the attempt has ended."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _keep(self, made: messages.PictureMade) -> Output:
        output = await asyncio.to_thread(self._write, made)
        self._attempt.made(output)
        return output

    def _write(self, made: messages.PictureMade) -> Output:
        job, parameters = self._attempt.job, self._parameters
        pixels = read_rgb(Path(made.path), made.width, made.height)
        if made.width * made.height >= _FLAT_CHECK_PIXELS and is_flat(pixels):
            raise GenerationFailed(
                f"picture {made.index} came out as one flat colour: the model's numbers overflowed (NaN); "
                "try another sampler, scheduler or VAE, or another quantization of the model"
            )
        text = infotext(
            dataclasses.replace(parameters, width=made.width, height=made.height),
            seed=made.seed,
            width=made.width,
            height=made.height,
            model_name=job.model_name,
            version=__version__,
        )
        file = f"image_{made.index}.png"
        size = write_png(self._folder / file, pixels, text if parameters.embed_metadata else "")
        Path(made.path).unlink(missing_ok=True)
        return Output(
            file=file,
            media_type="image/png",
            size_bytes=size,
            width=made.width,
            height=made.height,
            seed=made.seed,
            infotext=text,
        )

    async def _publish_preview(self, preview: messages.Previewed) -> None:
        jpeg = await asyncio.to_thread(jpeg_bytes, preview.width, preview.height, preview.rgb)
        job = self._attempt.job
        self._attempt.publish(JobPreviewed(job.id, job.principal, preview.step, preview.width, preview.height, jpeg))
