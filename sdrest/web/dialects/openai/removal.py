"""Deleting what a client knows by another name: the job behind it, with its files."""

from __future__ import annotations

import contextlib

from aiohttp import web

from sdrest.core.errors import Conflict
from sdrest.core.job import Job
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS


async def remove(request: web.Request, job: Job) -> None:
    """Delete a job with its files; one that is not finished is cancelled first.

    Raises:
        Conflict: it did not end within ``sync_timeout_seconds``.
    """
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    if not job.is_finished:
        with contextlib.suppress(Conflict):  # it ended in between
            await jobs.cancel(job.id, principal)
        await jobs.wait(job.id, principal, request.app[SETTINGS].sync_timeout_seconds)
    await jobs.remove(job.id, principal)
