"""Deleting ended jobs and their files by age, number and size, the oldest first; and emptying the bin."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import NotFound, SdrestError
from sdrest.core.job import TERMINAL_STATES, Job
from sdrest.core.principal import ANYONE
from sdrest.jobs.bin import Bin
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.service import JobService

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 60.0
_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What is kept; 0 means without limit."""

    days: float = 0.0
    jobs: int = 0
    size_bytes: int = 0


class Retention:
    """Looks once a minute for what is to go: what has lain in the bin long enough, and of the jobs only what is beyond a limit."""

    def __init__(
        self,
        jobs: JobService,
        keep: Keep,
        bin_: Bin,
        *,
        leads: Callable[[], bool] = lambda: True,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """``leads``: whether this server is the one that does it, of those that share the queue."""
        self._jobs = jobs
        self._leads = leads
        self._keep = keep
        self._bin = bin_
        self._clock = clock or jobs.clock
        self.loop = Background("retention", self._run)

    async def _run(self) -> None:
        while True:
            try:
                removed = await self.sweep() if self._leads() else 0
                if removed:
                    log.info("old jobs deleted", jobs=removed)
            except SdrestError as error:
                log.warning("old jobs cannot be deleted at the moment", problem=error.message)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def sweep(self) -> int:
        """Delete what is to go now; how many jobs that were.

        Raises:
            SdrestError: the store refuses at the moment; what was not deleted keeps its files.
        """
        await self._bin.expire()
        if self._keep.size_bytes:
            await self._bin.shrink(await self._jobs.store.output_bytes() - self._keep.size_bytes)
        removed = 0
        while jobs := await self._to_go():
            for job in jobs:
                with contextlib.suppress(NotFound):  # deleted by somebody else in between
                    await self._jobs.remove(job.id, ANYONE)
                    removed += 1
        return removed

    async def _to_go(self) -> Sequence[Job]:
        """Some of the jobs that are to go, the oldest first."""
        store, keep = self._jobs.store, self._keep
        ended = JobFilter(states=TERMINAL_STATES, newest_first=False, limit=_BATCH)
        if keep.days:
            born_after = self._clock() - timedelta(days=keep.days)
            if too_old := await store.find(dataclasses.replace(ended, finished_before=born_after)):
                return too_old
        if keep.jobs:
            counts = await store.counts()
            too_many = sum(counts[state] for state in TERMINAL_STATES) - keep.jobs
            if too_many > 0:
                return await store.find(dataclasses.replace(ended, limit=min(too_many, _BATCH)))
        if keep.size_bytes:
            too_large = await store.output_bytes() - keep.size_bytes
            if too_large > 0:
                return _first(await store.find(dataclasses.replace(ended, with_outputs=True)), too_large)
        return ()


def _first(jobs: Iterable[Job], size_bytes: int) -> Sequence[Job]:
    """As many of the first jobs as have outputs of that size."""
    found: list[Job] = []
    for job in jobs:
        if size_bytes <= 0:
            break
        found.append(job)
        size_bytes -= sum(output.size_bytes for output in job.outputs)
    return found
