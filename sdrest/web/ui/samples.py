"""Memory and queue length of the last hour, for the charts of the System page."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import psutil
from aiohttp import web

from sdrest.core.background import Background
from sdrest.core.errors import SdrestError
from sdrest.core.job import JobState
from sdrest.web.http.keys import BACKGROUNDS, ENGINES, JOBS

_PAUSE_SECONDS: Final = 5.0
_KEPT: Final = 720


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one moment; memory in bytes."""

    at: datetime
    engine_bytes: int
    server_bytes: int
    waiting: int


class Samples:
    """The last hour."""

    def __init__(self) -> None:
        self.kept: deque[Sample] = deque(maxlen=_KEPT)

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Take samples while the application runs (a ``cleanup_ctx``)."""
        async with app[BACKGROUNDS].running(Background("samples", partial(self._take, app))):
            yield

    async def _take(self, app: web.Application) -> None:
        process = psutil.Process()
        while True:
            with contextlib.suppress(SdrestError):
                counts = await app[JOBS].store.counts()
                memory = process.memory_info().rss
                engine = app[ENGINES].memory_bytes
                waiting = counts[JobState.PENDING] + counts[JobState.RUNNING]
                self.kept.append(Sample(datetime.now(UTC), engine, memory, waiting))
            await asyncio.sleep(_PAUSE_SECONDS)


SAMPLES: Final = web.AppKey("samples", Samples)
