"""Following one attempt: what the engine reports becomes progress, previews, model events and finished pictures."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from sdrest import __version__
from sdrest.core.errors import FlatPicture
from sdrest.core.events import JobPreviewed, ModelChanged
from sdrest.core.job import Output, Phase
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.jobs.running import Attempt
from sdrest.outputs.encoding import MEDIA_TYPES, Pixels
from sdrest.outputs.infotext import infotext
from sdrest.outputs.picture_files import PictureFiles
from sdrest.outputs.pictures import is_flat, jpeg_bytes, read_rgb
from sdrest.work.progress import ProgressTracker

#: A picture smaller than this may be flat by chance or on purpose.
_FLAT_CHECK_PIXELS: Final = 16 * 16
#: Progress of loading is published at most this often: in steps of a tenth.
_LOADING_STEPS: Final = 10

#: Turns a raw picture into an output, on a worker thread.
Write = Callable[[messages.PictureMade], Output]


class Follower:
    """Hears the reports of one attempt; ``write`` is called with each picture while the next one is made.

    Without it, the pictures are collected.
    """

    def __init__(self, attempt: Attempt, images: int, write: Write | None = None) -> None:
        self._attempt = attempt
        self._write = write
        self._tracker = ProgressTracker(images)
        self.collected: list[messages.PictureMade] = []
        self._writing: list[asyncio.Task[None]] = []
        self._preview: asyncio.Task[None] | None = None
        self._loading = -1

    def heard(self, report: messages.Report) -> None:
        """One report of the engine."""
        match report:
            case messages.Progressed():
                self._progressed(report)
            case messages.PictureMade():
                if self._write is None:
                    self.collected.append(report)
                else:
                    self.write(partial(self._write, report))
            case messages.Previewed() if self._preview is None or self._preview.done():
                # A preview that comes while the last one is still being encoded is dropped: the next one is newer.
                self._preview = asyncio.create_task(self._publish_preview(report))
            case _:
                pass

    def enter(self, phase: Phase) -> None:
        """Begin a phase that the engine knows nothing of."""
        self._attempt.reached(self._tracker.advance(phase, 0, 0, 0))

    def write(self, work: Callable[[], Output]) -> None:
        """Write an output on a worker thread, beside what else is going on."""
        self._writing.append(asyncio.create_task(self._keep(work)))

    async def finish(self) -> None:
        """Wait until all is written; after an exception nothing more appears either.

        Raises:
            FlatPicture: a picture is one flat colour.
            InsufficientStorage: the disk is full.
        """
        try:
            # Shielded: a thread cannot be stopped, so its file must be waited for and noted.
            await asyncio.gather(*map(asyncio.shield, self._writing))
        except BaseException:
            await self.abandon()
            raise

    async def abandon(self) -> None:
        """Wait for what is being written, so that nothing appears after the attempt has ended."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _keep(self, work: Callable[[], Output]) -> None:
        await self._attempt.made(await asyncio.to_thread(work))

    def _progressed(self, report: messages.Progressed) -> None:
        phase = Phase(report.phase)
        self._attempt.reached(self._tracker.advance(phase, report.step, report.steps, report.image))
        if phase is Phase.LOAD:
            fraction = min(1.0, report.step / report.steps) if report.steps > 0 else 0.0
            tenth = int(_LOADING_STEPS * fraction)
            # Each file of a model has a count of its own: what is told does not go back.
            if tenth > self._loading:
                self._loading = tenth
                job = self._attempt.job
                self._attempt.publish(ModelChanged(job.model_id, job.model_name, "loading", fraction))

    async def _publish_preview(self, preview: messages.Previewed) -> None:
        jpeg = await asyncio.to_thread(jpeg_bytes, preview.width, preview.height, preview.rgb)
        job = self._attempt.job
        self._attempt.publish(JobPreviewed(job.id, job.principal, preview.step, preview.width, preview.height, jpeg))


class PictureWriter:
    """Writes the pictures of a generation with their parameters.

    Args:
        files: How pictures are written.
        attempt: The attempt at the job.
        parameters: Its parameters.
        folder: Where the files go.
        finish: Makes the finished picture of what the library has made; None: that is the finished one.
    """

    def __init__(
        self,
        files: PictureFiles,
        attempt: Attempt,
        parameters: GenerationParameters,
        folder: Path,
        finish: Callable[[Pixels], Pixels] | None = None,
    ) -> None:
        self._files = files
        self._attempt = attempt
        self._parameters = parameters
        self._folder = folder
        self._finish = finish

    def __call__(self, made: messages.PictureMade) -> Output:
        """Write one picture.

        Raises:
            FlatPicture: it is one flat colour.
            InsufficientStorage: the disk is full.
        """
        pixels = read_rgb(Path(made.path), made.width, made.height)
        if made.width * made.height >= _FLAT_CHECK_PIXELS and is_flat(pixels):
            raise flat_picture(made.index, self._parameters)
        if self._finish is not None:
            pixels = self._finish(pixels)
        height, width = pixels.shape[:2]
        made = msgspec.structs.replace(made, width=width, height=height)
        text = infotext_of(self._attempt, self._parameters, made)
        file = f"image_{made.index}.{self._parameters.output_format}"
        size = self._files.write(self._folder / file, pixels, self._parameters, text)
        Path(made.path).unlink(missing_ok=True)
        return Output(
            file=file,
            media_type=MEDIA_TYPES[self._parameters.output_format],
            size_bytes=size,
            width=width,
            height=height,
            seed=made.seed,
            infotext=text,
        )


def infotext_of(attempt: Attempt, parameters: GenerationParameters, made: messages.PictureMade) -> str:
    """What was really used for a picture, as text."""
    return infotext(
        dataclasses.replace(parameters, width=made.width, height=made.height),
        seed=made.seed,
        width=made.width,
        height=made.height,
        model_name=attempt.job.model_name,
        version=__version__,
    )


def flat_picture(index: int, parameters: GenerationParameters) -> FlatPicture:
    """Why a flat picture is a failure."""
    return FlatPicture(
        f"picture {index} came out as one flat colour: the model's numbers overflowed (NaN); try another scheduler than "
        f"{parameters.scheduler}, another sampler than {parameters.sampler}, another VAE, or another quantization of the model"
    )
