"""Giving an equal request the result of an earlier one."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime

from sdrest.core.job import Job, JobState
from sdrest.jobs.files import JobFiles
from sdrest.jobs.store import JobStore


class EarlierResults:
    """Finds what was made before and gives it to new jobs."""

    def __init__(self, store: JobStore, files: JobFiles) -> None:
        self._store = store
        self._files = files

    async def given_to(self, job: Job, now: datetime) -> Job | None:
        """``job``, complete, with the outputs of an earlier job of its principal; None when there is none or its files are gone.

        :meth:`JobFiles.keep` must be called when it is stored.
        """
        old = await self._store.by_result(job.principal, job.result_key)
        if old is None or not await asyncio.to_thread(self._files.share_outputs, old, job.id):
            return None
        return dataclasses.replace(
            job,
            state=JobState.COMPLETED,
            started_at=now,
            finished_at=now,
            seconds=0.0,
            outputs=old.outputs,
            warnings=tuple(dict.fromkeys((*job.warnings, *old.warnings))),
            reused_from=old.reused_from or old.id,
        )
