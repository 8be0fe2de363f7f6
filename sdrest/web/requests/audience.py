"""Who waits for a job in an open request: a job that all of its clients have left is cancelled after a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import structlog
from aiohttp import web

from sdrest.core.errors import Conflict, NotFound
from sdrest.core.job import Job
from sdrest.core.principal import Principal
from sdrest.jobs.service import JobService
from sdrest.web.http.keys import PRINCIPAL

log = structlog.get_logger(__name__)

#: aiohttp tells a handler nothing of a connection that was lost, so it is looked at.
_LOOK_SECONDS: Final = 0.25


@dataclass(slots=True, weakref_slot=True)
class _Audience:
    """The clients of one job: how many have come in all, and how many of them are there."""

    came: int = 0
    present: int = 0


class Audiences:
    """The clients that wait for jobs which they have asked for.

    A client that hangs up may come back: the SDKs send the same request again after a time-out. Hence the grace. A job that has an
    idempotency key or reports its ending to an address goes on in any case: there is another way to its result.

    Args:
        jobs: Cancels.
        grace_seconds: How long a job goes on that nobody waits for any more.
        look_seconds: Time between two looks at a connection.
    """

    def __init__(self, jobs: JobService, grace_seconds: float, look_seconds: float = _LOOK_SECONDS) -> None:
        self._jobs = jobs
        self._grace_seconds = grace_seconds
        self._look_seconds = look_seconds
        self._of: WeakValueDictionary[str, _Audience] = WeakValueDictionary()
        #: Kept here because some outlive their requests.
        self._watches: set[asyncio.Task[None]] = set()

    def present(self, job_id: str) -> int:
        """How many clients wait for a job."""
        audience = self._of.get(job_id)
        return audience.present if audience else 0

    @asynccontextmanager
    async def one(self, is_there: Callable[[], bool], job: Job, principal: Principal) -> AsyncIterator[None]:
        """One client of ``job``, for the length of the block, which ends with the answer, or when none can be given any more."""
        watch = asyncio.create_task(self._watch(is_there, job, principal), name=f"client of {job.id}")
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        try:
            yield
        finally:
            if is_there():
                watch.cancel()

    async def close(self, _app: web.Application) -> None:
        """Forget everybody (an ``on_cleanup`` handler)."""
        for watch in tuple(self._watches):
            watch.cancel()

    async def _watch(self, is_there: Callable[[], bool], job: Job, principal: Principal) -> None:
        """Cancel ``job`` when this client has left, and nobody else is there or comes within the grace."""
        audience = self._of.setdefault(job.id, _Audience())
        audience.came += 1
        audience.present += 1
        try:
            while is_there():  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(self._look_seconds)
        finally:
            audience.present -= 1
        came = audience.came
        await asyncio.sleep(self._grace_seconds)
        if audience.present or audience.came != came or job.idempotency_key or job.webhook_url:
            return
        with contextlib.suppress(Conflict, NotFound):  # it has ended
            await self._jobs.cancel(job.id, principal)
            log.info("a job was cancelled because its client hung up", job_id=job.id)


AUDIENCES: Final = web.AppKey("audiences", Audiences)


@asynccontextmanager
async def in_audience(request: web.Request, job: Job) -> AsyncIterator[None]:
    """For the length of the block, the client of ``request`` waits for ``job``, which it has asked for."""

    def is_there() -> bool:
        return request.transport is not None and not request.transport.is_closing()

    async with request.app[AUDIENCES].one(is_there, job, request[PRINCIPAL]):
        yield
