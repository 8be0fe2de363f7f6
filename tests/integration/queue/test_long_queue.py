"""What is said of the running job, and of the first one, does not depend on how many others wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from aiohttp.test_utils import TestClient

from sdrest.core.job import Job, JobType
from sdrest.core.parameters import GenerationParameters, to_json
from sdrest.jobs.store import PAUSED_KEY
from sdrest.web.http.keys import JOBS

Client = TestClient[Any, Any]
NOW = datetime.now(UTC)
WAITING = 520


async def fill(client: Client, *more: Job) -> None:
    """Many jobs of one user that wait, on a paused queue, and then some more."""
    await client.post("/api/queue/pause")
    waiting = [job(f"waiting-{number}", principal="ann") for number in range(WAITING)]
    store = client.app[JOBS].store
    await asyncio.gather(*(store.add(item, max_pending=2 * WAITING) for item in (*waiting, *more)))


async def claim_next(client: Client) -> Job:
    """Take the next job from the paused queue, before any worker looks at it."""
    store = client.app[JOBS].store
    await store.set_value(PAUSED_KEY, False)
    claimed: Job | None = await store.claim([JobType.TXT2IMG], now=datetime.now(UTC), lease_seconds=60, worker="test")
    await store.set_value(PAUSED_KEY, True)
    assert claimed is not None
    return claimed


def job(name: str, **fields: Any) -> Job:
    return Job(
        id=name,
        type=JobType.TXT2IMG,
        created_at=NOW,
        parameters=to_json(GenerationParameters(prompt="a", seed=1)),
        **fields,
    )


async def test_the_running_job_is_told_behind_any_number_of_older_ones_that_wait(client: Client) -> None:
    await fill(client, job("bobs", principal="bob", priority=1, origin={"task_id": "task-7"}))
    assert (await claim_next(client)).id == "bobs"
    status = await (await client.get("/api/queue/status")).json()
    assert status["current"]["job_id"] == "bobs"
    assert status["jobs"][0]["job_id"] == "bobs"
    progress = await (await client.get("/sdapi/v1/progress")).json()
    assert progress["state"]["job"] == "task-7"
    task = await client.post("/internal/progress", json={"id_task": "task-7"})
    assert (await task.json())["active"]


async def test_first_is_before_all_that_wait(client: Client) -> None:
    await fill(client, job("last"))
    store = client.app[JOBS].store
    await store.prioritise("waiting-0", 50)
    reply = await client.post("/ui/jobs/last/move", data={"to": "first"}, allow_redirects=False)
    assert reply.status == 303
    assert (await claim_next(client)).id == "last"
