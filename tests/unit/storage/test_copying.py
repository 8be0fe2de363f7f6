"""Everything is moved from one database to another, and back."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sdrest.auth.accounts import Account, ApiKey
from sdrest.cli.database import database as command
from sdrest.core.errors import Conflict
from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.core.principal import Permission, Role
from sdrest.core.use import Charge, Limits, Use
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import Ending
from sdrest.jobs.timings import Timing
from sdrest.jobs.webhooks import URL_KEY
from sdrest.storage.opening import database_at
from sdrest.storage.sql.accounts import SqlAccountStore
from sdrest.storage.sql.copying import copy
from sdrest.storage.sql.database import Database
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sql.quotas import SqlQuotaStore
from sdrest.storage.sql.timings import SqlTimings
from sdrest.storage.sql.webhooks import SqlOutbox
from tests.needs import needs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


async def fill(database: Database) -> None:
    """Something of everything."""
    jobs = SqlJobStore(database)
    await jobs.set_value(URL_KEY, "http://example.org/hook")
    for number in range(3):
        job = Job(
            id=f"job-{number}",
            type=JobType.TXT2IMG,
            principal="änn",
            parameters={"prompt": 'a "quoted" é' + ("" if number else "\0"), "loras": [{"name": "ink"}]},
            varied_from="job-0/0" if number else "",
            created_at=NOW,
            idempotency_key=f"k{number}",
            charge=Charge(use=Use(images=1, pixel_steps=2, bytes=3), key="key:k"),
        )
        await jobs.add(job, max_pending=10)
    claimed = await jobs.claim([JobType.TXT2IMG], now=NOW, lease_seconds=60, worker="w")
    assert claimed is not None
    outputs = (Output(file="image_0.png", media_type="image/png", size_bytes=7, infotext="nul \0"),)
    await jobs.finish(claimed.id, claimed.lease_id, Ending(state=JobState.COMPLETED, finished_at=NOW, outputs=outputs))
    accounts = SqlAccountStore(database)
    await accounts.add_account(
        Account(name="ann", role=Role.ADMIN, password_hash="x", created_at=NOW, password_changed_at=NOW)
    )
    key = ApiKey(
        id="1", name="k", owner="ann", permissions=frozenset({Permission.VIEW}), digest="d", hint="h", created_at=NOW
    )
    await accounts.add_key(key)
    timing = Timing(model_id="m", width=8, height=8, guided=True, seconds_per_step=0.1, seconds_per_picture=0.2)
    await SqlTimings(database).record(timing)
    await SqlTimings(database).record(timing)
    await SqlQuotaStore(database).set_limits("ann", Limits(images=3))


async def all_of(database: Database) -> list[Any]:
    jobs, accounts = SqlJobStore(database), SqlAccountStore(database)
    return [
        await jobs.find(JobFilter(limit=100)),
        await jobs.find(JobFilter(search="quoted lora:ink", descended_from="job-0/0")),
        await jobs.counts(),
        await jobs.counts("änn"),
        await jobs.output_bytes(),
        await jobs.get_value(URL_KEY),
        await accounts.accounts(),
        await accounts.keys(),
        await SqlTimings(database).of_model("m"),
        await SqlOutbox(database).due(LATER, 10),
        await SqlQuotaStore(database).limits(),
        await SqlQuotaStore(database).used(NOW.date()),
    ]


@needs("postgres")
async def test_everything_goes_to_postgres_and_back(tmp_path: Path, postgres_url: str) -> None:
    async with AsyncExitStack() as stack:
        databases = [database_at(place) for place in (str(tmp_path / "a.db"), postgres_url, str(tmp_path / "b.db"))]
        for database in databases:
            await database.open(alone=True)
            stack.push_async_callback(database.close)
        first, second, third = databases
        await fill(first)
        counts = await copy(first, second)
        assert (counts["jobs"], counts["accounts"], counts["timings"], counts["webhooks"]) == (3, 1, 1, 1)
        assert (counts["day_use"], counts["limits"]) == (2, 1)
        assert await copy(second, third) == counts
        assert await all_of(second) == await all_of(first)
        assert await all_of(third) == await all_of(first)
        with pytest.raises(Conflict, match="something in the target"):
            await copy(first, second)
        for database in (second, third):  # numbers go on
            await SqlJobStore(database).add(Job(id="new", type=JobType.HASH, created_at=NOW), max_pending=10)
            found = await SqlJobStore(database).find(JobFilter(limit=1))
            assert [job.id for job in found] == ["new"]


@needs("postgres")
async def test_servers_share_a_database_each_with_an_id_of_its_own_and_nothing_is_copied_meanwhile(
    postgres_url: str,
) -> None:
    async with AsyncExitStack() as stack:

        def database() -> Any:
            made = database_at(postgres_url)
            stack.push_async_callback(made.close)
            return made

        first = database()
        await first.open(server="a")
        await database().open(server="b")
        await database().open()
        with pytest.raises(Conflict, match="copy of this data folder"):
            await database().open(server="a")
        with pytest.raises(Conflict, match="stop it first"):
            await database().open(alone=True)
        await first.close()
        await database().open(server="a")


@needs("postgres")
async def test_no_server_starts_while_a_database_is_copied(postgres_url: str) -> None:
    tool, server = database_at(postgres_url), database_at(postgres_url)
    try:
        await tool.open(alone=True)
        with pytest.raises(Conflict, match="being copied"):
            await server.open(server="a")
    finally:
        await tool.close()
        await server.close()


def test_the_command_copies_between_files_and_says_what_cannot_be_copied(tmp_path: Path) -> None:
    source, target = str(tmp_path / "a.db"), str(tmp_path / "b.db")
    run = partial(CliRunner().invoke, command)
    assert run(["migrate", source]).exit_code == 0
    done = run(["copy", source, target])
    assert (done.exit_code, done.output.splitlines()[0].split()) == (0, ["jobs", "0"])
    for wrong, said in (
        ([str(tmp_path / "none.db"), target], "there is no file"),
        ([source, "mysql://x"], "postgresql://"),
    ):
        done = run(["copy", *wrong])
        assert (done.exit_code, said in done.output) == (1, True)
