"""Submitting the jobs of this dialect's requests, each once, however often the SDK sends one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from sdrest.core.job import Job, JobState
from sdrest.jobs.listing import JobFilter
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.requests.submission import Mode, Pictures, submitted

#: How long after its submission a job is still taken for the same request sent again.
_RETRY_WINDOW: Final = timedelta(hours=1)
_RETRIES_LOOKED_AT: Final = 200


async def submitted_once(
    request: web.Request,
    mode: Mode,
    values: Mapping[str, Any],
    digest: str,
    *,
    pictures: Pictures,
    origin: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
) -> Job:
    """The job for a request; the one of its first sending when the client sends it again.

    Args:
        digest: The same for the same request.
        request, mode, values, pictures, origin, warnings: As for :func:`sdrest.web.requests.submission.submitted`.

    Raises:
        SdrestError: as :func:`sdrest.web.requests.submission.submitted`.
    """
    if (earlier := await _repeated(request, digest)) is not None:
        return earlier
    origin = {"request": digest, **(origin or {})}
    return await submitted(request, mode, values, pictures=pictures, origin=origin, warnings=warnings)


async def _repeated(request: web.Request, digest: str) -> Job | None:
    """The job of the same request sent before, when this one is a repetition.

    The SDK repeats a request by itself after a time-out or a dropped connection, says so in a header, and sends no
    idempotency key; without this the same picture would be made again while the first one is still being made.
    """
    if request.headers.get("X-Stainless-Retry-Count", "0") in {"", "0"}:
        return None
    wanted = JobFilter(
        states=(JobState.PENDING, JobState.RUNNING, JobState.COMPLETED),
        principal=request[PRINCIPAL].name,
        created_after=datetime.now(UTC) - _RETRY_WINDOW,
        limit=_RETRIES_LOOKED_AT,
    )
    jobs = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    return next((job for job in jobs if job.origin.get("request") == digest and not job.cancel_requested_at), None)
