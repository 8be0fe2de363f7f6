"""Telling other servers that a job has ended: from a durable outbox, signed, and again until it is heard."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import SdrestError
from sdrest.core.events import Event, JobChanged
from sdrest.core.job import Job
from sdrest.jobs.events import Broadcast, Listener
from sdrest.jobs.store import JobStore

log = structlog.get_logger(__name__)

#: Key under which the store keeps the address to which all endings are reported.
URL_KEY: Final = "webhooks.url"
MAX_ATTEMPTS: Final = 10
_GROWTH: Final = 3.0
_LONGEST_PAUSE_SECONDS: Final = 3600.0
#: Deliveries under way at once, to all and to one receiver: one that does not answer keeps nobody else waiting.
_AT_ONCE: Final = 64
_AT_ONCE_TO_ONE: Final = 4
#: How often a server that does not deliver asks whether it should.
_FOLLOWER_PAUSE_SECONDS: Final = 1.0
_HOST_END: Final = re.compile(r"[/?#]")

#: Posts a body with headers to a URL; the status of the answer. Raises OSError when there is none.
Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One ending that is to be reported to one address; ``attempts`` were made in vain."""

    id: int
    job_id: str
    url: str
    attempts: int

    @property
    def receiver(self) -> str:
        """Who gets it: scheme, host and port of the address."""
        scheme, slashes, rest = self.url.partition("://")
        return scheme + slashes + _HOST_END.split(rest, maxsplit=1)[0]


class Outbox(Protocol):
    """Deliveries that survive a restart; endings put them in by themselves."""

    async def due(self, now: datetime, limit: int, *, except_to: Collection[str] = ()) -> list[Delivery]:
        """Deliveries whose time has come, the oldest first, but for those to the receivers ``except_to``."""
        ...

    async def next_due(self, after: datetime) -> datetime | None:
        """When the first delivery after that moment is due; None when there is none."""
        ...

    async def done(self, delivery_id: int) -> None:
        """Forget a delivery."""
        ...

    async def postpone(self, delivery_id: int, until: datetime) -> None:
        """Try again later, and count the attempt."""
        ...


class Webhooks:
    """Delivers what is in the outbox.

    Each request carries ``X-Sdrest-Delivery`` (the same number in every attempt, for receivers to recognise repetitions),
    ``X-Sdrest-Timestamp`` and, with a secret, ``X-Sdrest-Signature``: ``sha256=`` and the HMAC-SHA256 in hexadecimal digits of the
    timestamp, a full stop and the body. Any 2xx answer ends the delivery; the pauses between attempts grow threefold up to an hour.
    """

    def __init__(
        self,
        outbox: Outbox,
        jobs: JobStore,
        broadcast: Broadcast,
        post: Post,
        render: Callable[[Job], bytes],
        *,
        secret: str,
        retry_seconds: float,
        leads: Callable[[], bool] = lambda: True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``leads``: whether this server is the one that delivers, of those that share the outbox."""
        self._leads = leads
        self._outbox = outbox
        self._jobs = jobs
        self._post = post
        self._render = render
        self._secret = secret.encode()
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._wake = asyncio.Event()
        waker = Listener("webhook-waker", broadcast, self._heard, lambda event: isinstance(event, JobChanged))
        self._under_way: dict[int, Delivery] = {}
        #: Stopped, they leave in the outbox what is not delivered.
        self.loops = (waker.loop, Background("webhooks", self._run))

    async def report_all_to(self, url: str) -> None:
        """From now on, report the endings of all jobs to ``url``; to nobody when it is empty."""
        await self._jobs.set_value(URL_KEY, url)

    async def _heard(self, event: Event) -> None:
        if isinstance(event, JobChanged) and event.job.is_finished:
            self._wake.set()

    async def _run(self) -> None:
        self._under_way.clear()
        async with asyncio.TaskGroup() as deliveries:
            while True:
                self._wake.clear()
                if not self._leads():
                    await asyncio.sleep(_FOLLOWER_PAUSE_SECONDS)
                    continue
                try:
                    now = self._clock()
                    while chosen := await self._choose(now):
                        for delivery in chosen:
                            self._under_way[delivery.id] = delivery
                            deliveries.create_task(self._see_to(delivery), name=f"webhook-{delivery.id}")
                    due = await self._outbox.next_due(now)
                    pause = max(0.0, (due - self._clock()).total_seconds()) if due else None
                except SdrestError as error:
                    log.error("the outbox of webhooks cannot be read at the moment", problem=error.message)
                    pause = self._retry_seconds
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()

    async def _choose(self, now: datetime) -> list[Delivery]:
        """Due deliveries that there is room for, the oldest first."""
        room = _AT_ONCE - len(self._under_way)
        to_each = Counter(delivery.receiver for delivery in self._under_way.values())
        if room <= 0:
            return []
        busy = [receiver for receiver, number in to_each.items() if number >= _AT_ONCE_TO_ONE]
        chosen: list[Delivery] = []
        # Those under way are due as well: with as many more, there are others among them if there are any.
        for delivery in await self._outbox.due(now, 2 * _AT_ONCE, except_to=busy):
            if len(chosen) == room:
                break
            if delivery.id not in self._under_way and to_each[delivery.receiver] < _AT_ONCE_TO_ONE:
                to_each[delivery.receiver] += 1
                chosen.append(delivery)
        return chosen

    async def _see_to(self, delivery: Delivery) -> None:
        """Deliver, whatever happens; what goes wrong on this side keeps its place among those under way for a while."""
        try:
            await self._deliver(delivery)
        except Exception:
            log.exception("a webhook cannot be delivered at the moment", job_id=delivery.job_id)
            await asyncio.sleep(self._retry_seconds)
        finally:
            del self._under_way[delivery.id]
            self._wake.set()

    async def _deliver(self, delivery: Delivery) -> None:
        job = await self._jobs.get(delivery.job_id)
        if job is None:
            await self._outbox.done(delivery.id)
            return
        body = self._render(job)
        problem = ""
        try:
            status = await self._post(delivery.url, body, self._headers(delivery, body))
            if not 200 <= status < 300:
                problem = f"answer {status}"
        except (OSError, TimeoutError) as error:
            problem = str(error) or type(error).__name__
        if not problem:
            await self._outbox.done(delivery.id)
        elif delivery.attempts + 1 >= MAX_ATTEMPTS:
            log.warning("webhook given up", job_id=delivery.job_id, problem=problem)
            await self._outbox.done(delivery.id)
        else:
            log.info("webhook not delivered", job_id=delivery.job_id, problem=problem, attempts=delivery.attempts + 1)
            pause = min(_LONGEST_PAUSE_SECONDS, self._retry_seconds * _GROWTH**delivery.attempts)
            await self._outbox.postpone(delivery.id, self._clock() + timedelta(seconds=pause))

    def _headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "X-Sdrest-Delivery": str(delivery.id),
            "X-Sdrest-Timestamp": timestamp,
        }
        if self._secret:
            headers["X-Sdrest-Signature"] = signature(self._secret, timestamp, body)
        return headers


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of ``X-Sdrest-Signature``."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
