"""Deleting ended jobs and their files by age, number and size, the oldest first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import SdrestError
from sdrest.core.job import TERMINAL_STATES, Job
from sdrest.core.principal import ANYONE
from sdrest.jobs.service import JobService
from sdrest.jobs.store import JobFilter
from sdrest.outputs.files import remove_outputs

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 60.0
_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What is kept; 0 means without limit."""

    days: float = 0.0
    jobs: int = 0
    size_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.days or self.jobs or self.size_bytes)


class Retention:
    """Looks once a minute for what is to go; never without a limit."""

    def __init__(
        self,
        jobs: JobService,
        output_dir: Path,
        keep: Keep,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._jobs = jobs
        self._output_dir = output_dir
        self._keep = keep
        self._clock = clock
        self.loop = Background("retention", self._run)

    async def _run(self) -> None:
        while self._keep:
            try:
                removed = await self.sweep()
                if removed:
                    log.info("old jobs deleted", jobs=removed)
            except SdrestError as error:
                log.warning("old jobs cannot be deleted at the moment", problem=error.message)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def sweep(self) -> int:
        """Delete what is to go now; how many jobs that were."""
        removed = 0
        while jobs := await self._to_go():
            for job in jobs:
                with contextlib.suppress(SdrestError):  # deleted by somebody else in between
                    await self._jobs.remove(job.id, ANYONE)
                await asyncio.to_thread(remove_outputs, self._output_dir, job.id)
                removed += 1
        return removed

    async def _to_go(self) -> list[Job]:
        """Some of the jobs that are to go, the oldest first."""
        oldest = JobFilter(states=TERMINAL_STATES, newest_first=False, limit=_BATCH)
        jobs = list(await self._jobs.store.find(oldest))
        number = await self._jobs.store.count(oldest) if self._keep.jobs else 0
        size = await self._jobs.store.output_bytes() if self._keep.size_bytes else 0
        born_after = self._clock() - timedelta(days=self._keep.days)
        going: list[Job] = []
        for job in jobs:
            too_old = self._keep.days and job.finished_at is not None and job.finished_at < born_after
            too_many = self._keep.jobs and number - len(going) > self._keep.jobs
            too_large = self._keep.size_bytes and size > self._keep.size_bytes and job.outputs
            if too_old or too_many or too_large:
                going.append(job)
                size -= sum(output.size_bytes for output in job.outputs)
        return going
