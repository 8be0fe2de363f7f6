"""One delivery: what counts as delivered, when it is tried again, when it is given up, and what is sent."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sdrest.core.job import Job, JobType
from sdrest.jobs.events import Broadcast
from sdrest.jobs.webhooks import MAX_ATTEMPTS, Delivery, Webhooks
from tests.memory.jobs import MemoryJobStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)
URL = "http://example.org/hook"


class Delivering:
    """A job's ending, and the outbox that notes what becomes of it; the receiver answers with ``answer``."""

    def __init__(self, *, answer: int | Exception = 200, secret: str = "", retry_seconds: float = 2.0) -> None:
        self.store = MemoryJobStore()
        self.over: list[int] = []
        self.postponed: list[tuple[int, datetime]] = []
        self.sent: list[tuple[str, bytes, Mapping[str, str]]] = []
        self._answer = answer
        self.webhooks = Webhooks(
            self,  # type: ignore[arg-type]
            self.store,
            Broadcast(),
            self.post,
            lambda job: f"told of {job.id}".encode(),
            secret=secret,
            retry_seconds=retry_seconds,
            clock=lambda: NOW,
        )

    async def done(self, number: int) -> None:
        self.over.append(number)

    async def postpone(self, number: int, until: datetime) -> None:
        self.postponed.append((number, until))

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.sent.append((url, body, headers))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def deliver(self, attempts: int = 0, job_id: str = "j") -> None:
        await self.store.add(Job(id="j", type=JobType.HASH, created_at=NOW), max_pending=9)
        await self.webhooks._deliver(Delivery(7, job_id, URL, attempts))


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_any_success_will_do(status: int) -> None:
    found = Delivering(answer=status)
    await found.deliver()
    assert (found.over, found.postponed) == ([7], [])


@pytest.mark.parametrize("answer", [199, 300, 404, 500, OSError("no route"), TimeoutError()])
async def test_all_else_is_tried_again(answer: int | Exception) -> None:
    found = Delivering(answer=answer)
    await found.deliver()
    assert (found.over, found.postponed) == ([], [(7, NOW + timedelta(seconds=2))])


@pytest.mark.parametrize(("attempts", "pause"), [(1, 6.0), (2, 18.0), (6, 1458.0), (7, 3600.0), (8, 3600.0)])
async def test_pauses_grow_to_an_hour(attempts: int, pause: float) -> None:
    found = Delivering(answer=500)
    await found.deliver(attempts)
    assert found.postponed == [(7, NOW + timedelta(seconds=pause))]


async def test_after_the_last_attempt_it_is_given_up() -> None:
    found = Delivering(answer=500)
    await found.deliver(MAX_ATTEMPTS - 1)
    assert (found.over, found.postponed) == ([7], [])


async def test_a_job_that_is_not_there_any_more_is_told_to_nobody() -> None:
    found = Delivering()
    await found.deliver(job_id="gone")
    assert (found.over, found.sent) == ([7], [])


@pytest.mark.parametrize("secret", ["", "a secret"])
async def test_what_is_sent_can_be_told_from_what_others_send(secret: str) -> None:
    found = Delivering(secret=secret)
    await found.deliver()
    timestamp, body = str(int(NOW.timestamp())), b"told of j"
    expected: dict[str, Any] = {
        "Content-Type": "application/json",
        "X-Sdrest-Delivery": "7",
        "X-Sdrest-Timestamp": timestamp,
    }
    if secret:
        code = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        expected["X-Sdrest-Signature"] = f"sha256={code}"
    assert found.sent == [(URL, body, expected)]
