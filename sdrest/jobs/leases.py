"""Keeping the leases of this server's attempts, and taking back jobs whose holder is gone.

The store is asked, not remembered: what another server did to a running job (cancelled it, or took it over after a lease ended) is
found here as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from sdrest.core.background import Background
from sdrest.jobs.service import JobService
from sdrest.jobs.store import LEASE_SECONDS


class Leases:
    """One loop for all workers of a server.

    Args:
        service: Whose running jobs they are.
        lease_seconds: How long a lease holds without a renewal; it is renewed three times as often.
        clock: The time; the queue's when not given.
    """

    def __init__(
        self,
        service: JobService,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._service = service
        self._lease_seconds = lease_seconds
        self._clock = clock or service.clock
        self.loop = Background("leases", self._run)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            await self.look()

    async def look(self) -> None:
        """Renew what is held, end attempts that are to end, and put jobs back whose lease is over.

        In this order: after a pause of the whole machine, the leases of attempts that go on are renewed before they count as over.
        """
        running, store = self._service.running, self._service.store
        attempts = running.attempts
        if attempts:
            until = self._clock() + timedelta(seconds=self._lease_seconds)
            leases = [item.job.lease_id for item in attempts]
            renewed = await store.renew(leases, until=until, server=self._service.server)
            held = {job.lease_id: job for job in renewed}
            for attempt in attempts:
                if running.of(attempt.job.id) is not attempt:  # its ending was stored meanwhile
                    continue
                job = held.get(attempt.job.lease_id)
                if job is None:
                    attempt.lose()
                elif job.cancel_requested_at is not None:
                    attempt.cancel()
        await self._service.recover()
