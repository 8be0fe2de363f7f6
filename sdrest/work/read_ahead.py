"""The model of the job after this one, read from the disk while this one is computed: its loading then finds it in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from pathlib import Path
from typing import Final

import psutil
import structlog

from sdrest.core.errors import SdrestError
from sdrest.core.events import Event, JobChanged, JobProgressed
from sdrest.core.job import Job, JobState, JobType, Phase, Progress
from sdrest.jobs.events import Broadcast, Listener
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import JobStore

log = structlog.get_logger(__name__)


#: A job that computes for less than that leaves nothing to win.
_LEAST_SECONDS: Final = 1.0


class ReadAhead:
    """Looks for the next model when the steps of a job take a while, and when jobs come meanwhile.

    Args:
        store: Where jobs wait.
        broadcast: Tells how far jobs are.
        types: Of jobs that an engine carries out.
        loaded: Ids of the models that are in the engines' memory.
        files_of: The files that a job needs; blocks.
        clock: Seconds from any origin.
    """

    def __init__(
        self,
        store: JobStore,
        broadcast: Broadcast,
        types: Collection[JobType],
        loaded: Callable[[], Collection[str]],
        files_of: Callable[[Job], Iterable[Path]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._types = types
        self._loaded = loaded
        self._files_of = files_of
        self._clock = clock
        #: When the steps of the running jobs began.
        self._begun: dict[str, float] = {}
        self._has_looked = False
        #: The model that was read last.
        self._model_id = ""
        self.listener = Listener(
            "read-ahead",
            broadcast,
            self._heard,
            lambda event: isinstance(event, JobProgressed | JobChanged),
            is_own=True,
        )

    async def _heard(self, event: Event) -> None:
        match event:
            case JobProgressed(job_id=job_id, progress=Progress(phase=Phase.SAMPLE)):
                now = self._clock()
                if job_id not in self._begun:
                    self._begun[job_id], self._has_looked = now, False
                elif not self._has_looked and now - self._begun[job_id] >= _LEAST_SECONDS:
                    self._has_looked = True
                    await self._look()
            case JobChanged(job=job, previous=None):
                self._has_looked = self._has_looked and job.model_id == self._model_id
            case JobChanged(job=job) if job.state is not JobState.RUNNING:
                self._begun.pop(job.id, None)
            case _:
                pass

    async def _look(self) -> None:
        loaded = {"", *self._loaded()}
        waiting = await self._store.waiting()
        others = [item for item in waiting if item.type in self._types and item.model_id not in loaded]
        model_id = min(others, key=attrgetter("oldest")).model_id if others else ""
        if model_id in {"", self._model_id}:
            return
        self._model_id = model_id
        wanted = JobFilter(
            states=(JobState.PENDING,), types=self._types, model_id=model_id, newest_first=False, limit=1
        )
        for job in await self._store.find(wanted):
            with contextlib.suppress(SdrestError, OSError):  # the job itself will tell
                await asyncio.to_thread(self._read_all, job)

    def _read_all(self, job: Job) -> None:
        files = {*self._files_of(job)}
        size = sum(file.stat().st_size for file in files)
        if size < psutil.virtual_memory().available // 2:  # else it would push out what is at work
            log.debug("the next model is read ahead", model=job.model_name, size=size)
            for file in sorted(files):
                into_page_cache(file)


def into_page_cache(file: Path) -> None:
    """Ask the kernel to read a file into memory that nothing else needs (``posix_fadvise``); nothing where it cannot be asked."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
