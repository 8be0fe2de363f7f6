"""Each ending is told once to each receiver, and no receiver keeps another one waiting."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.events import JobChanged
from sdrest.core.job import Job, JobState, JobType
from sdrest.jobs.events import Broadcast
from sdrest.jobs.store import Ending
from sdrest.jobs.webhooks import Webhooks
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sql.webhooks import SqlOutbox
from sdrest.storage.sqlite.database import Database

Answer = Callable[[str], Awaitable[int]]


class Receivers:
    """What is posted where; ``answer`` gives each address's answer."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str]] = []
        self.open: Counter[str] = Counter()
        self.most_open: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self.answer: Answer = self.ok

    @staticmethod
    async def ok(_url: str) -> int:
        return 200

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.posts.append((url, headers["X-Sdrest-Delivery"]))
        self.open[url] += 1
        self.most_open[url] = max(self.most_open[url], self.open[url])
        self._changed.set()
        try:
            return await self.answer(url)
        finally:
            self.open[url] -= 1

    def number(self, url: str) -> int:
        """How many posts an address got."""
        return sum(to == url for to, _ in self.posts)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the posts make that true."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class Server:
    """Endings and the webhooks that tell of them."""

    def __init__(self, store: SqlJobStore, outbox: SqlOutbox) -> None:
        self._store = store
        self.outbox = outbox
        self.broadcast = Broadcast()
        self.receivers = Receivers()
        self.render: Callable[[Job], bytes] = lambda job: job.id.encode()
        self._numbers = itertools.count()
        self.webhooks = Webhooks(
            outbox,
            store,
            self.broadcast,
            self.receivers.post,
            self._rendered,
            secret="",
            retry_seconds=0.01,
        )

    def _rendered(self, job: Job) -> bytes:
        return self.render(job)

    async def end_a_job(self, url: str) -> str:
        """A job that has just ended and is to be reported to ``url``."""
        now = datetime.now(UTC)
        job = Job(id=f"job-{next(self._numbers)}", type=JobType.HASH, created_at=now, webhook_url=url)
        await self._store.add(job, max_pending=1000)
        claimed = await self._store.claim([JobType.HASH], now=now, lease_seconds=60, worker="test")
        assert claimed is not None
        ending = Ending(state=JobState.COMPLETED, finished_at=now)
        ended = await self._store.finish(claimed.id, claimed.lease_id, ending)
        assert ended is not None
        self.broadcast.publish(JobChanged(ended, JobState.RUNNING))
        return claimed.id

    def start(self) -> None:
        for loop in self.webhooks.loops:
            loop.start()

    async def stop(self) -> None:
        for loop in self.webhooks.loops:
            await loop.stop()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    database = Database(tmp_path / "queue.sqlite3")
    await database.open()
    server = Server(SqlJobStore(database), SqlOutbox(database))
    yield server
    await server.stop()
    await database.close()


DEAD, ALIVE = "http://dead.example/hook", "http://alive.example/hook"


async def never(url: str) -> int:
    if url.startswith("http://dead"):
        await asyncio.Event().wait()
    return 200


async def test_a_receiver_that_does_not_answer_keeps_nobody_waiting(server: Server) -> None:
    server.receivers.answer = never
    for _ in range(200):
        await server.end_a_job(DEAD)
    await server.end_a_job(ALIVE)
    server.start()
    await server.receivers.until(lambda: server.receivers.number(ALIVE) == 1)
    await server.end_a_job(ALIVE)
    await server.receivers.until(lambda: server.receivers.number(ALIVE) == 2)
    assert server.receivers.most_open[DEAD] <= 4
    while await server.outbox.due(datetime.now(UTC), 1, except_to=["http://dead.example"]):
        await asyncio.sleep(0)
    await server.stop()
    assert len(await server.outbox.due(datetime.now(UTC), 1000)) == 200


async def test_many_addresses_at_one_host_are_one_receiver(server: Server) -> None:
    server.receivers.answer = never
    for number in range(100):
        await server.end_a_job(f"http://dead.example/{number}")
    await server.end_a_job("http://dead.example:81/hook")
    server.start()
    await server.receivers.until(lambda: server.receivers.number("http://dead.example:81/hook") == 1)
    assert sum(server.receivers.open.values()) <= 5


async def test_an_error_in_one_delivery_sends_no_other_one_twice(server: Server) -> None:
    failures = 0
    answered = asyncio.Event()

    def render(job: Job) -> bytes:
        nonlocal failures
        if job.id == broken:
            failures += 1
            server.receivers._changed.set()
            raise ValueError("it cannot be put in words")
        return b"{}"

    async def slow(_url: str) -> int:
        await answered.wait()
        return 200

    broken = await server.end_a_job("http://broken.example/")
    await server.end_a_job(ALIVE)
    server.render, server.receivers.answer = render, slow
    server.start()
    await server.receivers.until(lambda: failures >= 3 and server.receivers.number(ALIVE) > 0)
    answered.set()
    await server.end_a_job("http://other.example/")
    await server.receivers.until(lambda: server.receivers.number("http://other.example/") == 1)
    assert server.receivers.number(ALIVE) == 1
    assert all(loop.restarts == 0 for loop in server.webhooks.loops)


async def test_what_is_refused_is_sent_again_with_the_same_number(server: Server) -> None:
    answers = iter((500, 503))

    async def at_last(_url: str) -> int:
        return next(answers, 200)

    server.receivers.answer = at_last
    await server.end_a_job(ALIVE)
    server.start()
    await server.receivers.until(lambda: server.receivers.number(ALIVE) == 3)
    assert len({number for _, number in server.receivers.posts}) == 1
    while await server.outbox.due(datetime.max.replace(tzinfo=UTC), 1):
        await asyncio.sleep(0)
    assert server.receivers.number(ALIVE) == 3


async def test_a_receiver_s_address_begins_with_nobody_else_s(server: Server) -> None:
    urls = (
        "http://a.example",
        "http://a.example/x",
        "http://a.example?x",
        "http://a.example.org/",
        "http://a.example:8/",
    )
    for url in urls:
        await server.end_a_job(url)
    now = datetime.now(UTC)
    due: list[Any] = await server.outbox.due(now, 10)
    assert [item.receiver for item in due] == ["http://a.example"] * 3 + ["http://a.example.org", "http://a.example:8"]
    others = await server.outbox.due(now, 10, except_to=["http://a.example"])
    assert [item.url for item in others] == ["http://a.example.org/", "http://a.example:8/"]
