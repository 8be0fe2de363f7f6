"""The clock of the machine jumps: jobs end, in order, with times that make sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sdrest.web.http.keys import JOBS, WORKERS
from tests.faults.jobs import Client, ended, submitted, until_running


@pytest.mark.slow
async def test_jobs_end_when_the_clock_jumps_back_and_forth(client: Client) -> None:
    assert client.app is not None
    jobs, (worker, *_) = client.app[JOBS], client.app[WORKERS]
    ids = []
    for days in (0, -3, 400, -1):
        jumped = timedelta(days=days)
        jobs._clock = worker._clock = lambda jumped=jumped: datetime.now(UTC) + jumped
        ids.append(await submitted(client, width=128, height=128, steps=6 if days else 300))
        if days == 0:
            await until_running(client, ids[0])
    endings = [await ended(client, job_id) for job_id in ids]
    assert [item["status"] for item in endings] == ["completed"] * 4
    assert all(
        item["generation_time"] is None or item["generation_time"] >= 0 for item in endings if "generation_time" in item
    )
    listed = await (await client.get("/api/queue/status")).json()
    assert listed["completed_count"] == 4
