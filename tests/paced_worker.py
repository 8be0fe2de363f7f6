"""``sdrest worker`` without an engine: a job takes the time that it is told, and its pictures say under which lease they were made.

``python -m tests.paced_worker URL… --name NAME --folder FOLDER [--seconds S]``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from sdrest.core.errors import Cancelled, InsufficientStorage
from sdrest.core.files import atomic_file, disk_is_full
from sdrest.core.job import JobType, Output, Phase, Progress
from sdrest.jobs.files import JobFiles
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.net.front import Front, checked_address
from sdrest.outputs.pictures import png_bytes
from sdrest.work import worker_frames as frames
from sdrest.work.agent import Agent

_STEPS: Final = 4
_SIZE: Final = (8, 4)


def picture_of(job_id: str, lease_id: str) -> bytes:
    """The pixels that are made of a job under a lease."""
    return hashlib.sha256(f"{job_id} {lease_id}".encode()).digest() * 3


def is_picture_of(file: Path, job_id: str, lease_id: str) -> bool:
    """Whether a file was made of that job under that lease."""
    with Image.open(file) as picture:
        return picture.tobytes() == picture_of(job_id, lease_id)


class NoModels:
    """The models of a worker that needs none."""

    fetched = 0

    async def inventory(self) -> dict[str, str]:
        """None."""
        return {}

    async def fetch(self, needed: Sequence[frames.Needed], reached: Callable[[Progress], None]) -> dict[str, str]:
        """Nothing to do."""
        del needed, reached
        return {}


class PacedExecutor:
    """Takes its time.

    Args:
        files: Where the pictures go.
        seconds: How long a job takes.
    """

    def __init__(self, files: JobFiles, seconds: float) -> None:
        self._files = files
        self._seconds = seconds
        #: When each job was begun and done, by ``time.monotonic``.
        self.times: list[tuple[float, float]] = []

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        began_at = time.monotonic()
        ended = asyncio.Event()
        attempt.on_cancel(ended.set)
        for step in range(1, _STEPS + 1):
            attempt.reached(Progress(phase=Phase.SAMPLE, step=step, steps=_STEPS, fraction=step / (_STEPS + 1)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._left(began_at, step)):
                    await ended.wait()
                    raise Cancelled
        job = attempt.job
        content = png_bytes(Image.frombytes("RGB", _SIZE, picture_of(job.id, job.lease_id)))
        for number in range(job.parameters.get("batch_count", 1)):
            name = f"image_{number}.png"
            try:
                with atomic_file(self._files.staging_folder(job) / name) as stream:
                    stream.write(content)
            except OSError as error:
                if disk_is_full(error):
                    raise InsufficientStorage("the disk is full") from error
                raise
            await attempt.made(Output(file=name, media_type="image/png", size_bytes=len(content), width=8, height=4))
        self.times.append((began_at, time.monotonic()))
        return Result(seconds=self._seconds)

    def _left(self, began_at: float, step: int) -> float:
        return max(0.0, began_at + self._seconds * step / _STEPS - time.monotonic())


def paced_agent(front: Front, name: str, folder: Path, seconds: float) -> tuple[Agent, PacedExecutor]:
    """A worker with one engine that is none."""
    files = JobFiles(folder / "output", folder / "spool")
    executor = PacedExecutor(files, seconds)
    slots: Mapping[str, Mapping[JobType, PacedExecutor]] = {"paced": {JobType.TXT2IMG: executor}}
    agent = Agent(name, front, files, NoModels(), slots, lambda: ([frames.Slot("paced")], "none"))  # type: ignore[arg-type]
    return agent, executor


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--name", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args()
    async with Front([checked_address(url, has_token=False) for url in given.urls], "") as front:
        agent, _ = paced_agent(front, given.name, given.folder, given.seconds)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.leave)
        await agent.run()


if __name__ == "__main__":
    asyncio.run(_main())
