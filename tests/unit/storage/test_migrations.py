"""Databases of earlier versions go on being used."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from sdrest.core.job import JobState
from sdrest.jobs.listing import JobFilter
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def database_of(version: int, file: Path) -> sqlite3.Connection:
    """A database as the version with so many migrations left it."""
    connection = sqlite3.connect(file)
    folder = resources.files("sdrest.storage.sqlite").joinpath("migrations")
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.name.endswith(".sql") and int(item.name.split("_")[0]) <= version:
            connection.executescript(item.read_text(encoding="utf-8"))
    connection.execute(f"PRAGMA user_version = {version}")
    return connection


@pytest.mark.parametrize("version", range(1, 18))
async def test_jobs_of_an_earlier_version_are_there_and_what_it_left_running_is_queued_again(
    version: int, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.sqlite3"
    old = database_of(version, file)
    columns = (
        "id, type, state, principal, priority, parameters, model_id, model_name, attempt, created_at, outputs, warnings"
    )
    for name, state in (("ran", "running"), ("waited", "pending"), ("ended", "completed")):
        values = (name, "txt2img", state, "ann", 0, "{}", "m", "Model", 1, NOW.isoformat(), "[]", "[]", "", "", "{}")
        old.execute(
            f"INSERT INTO jobs ({columns}, idempotency_key, webhook_url, origin) VALUES ({'?, ' * 14}?)", values
        )
    old.commit()
    old.close()
    database = Database(file)
    await database.open()
    store = SqlJobStore(database)
    assert len(await store.find(JobFilter(search="model:ode"))) == 3
    (ran,) = await store.recover(NOW, 10, server="")
    assert (ran.id, ran.state, ran.lease_id) == ("ran", JobState.PENDING, "")
    assert await store.counts("ann") == dict.fromkeys(JobState, 0) | {JobState.PENDING: 2, JobState.COMPLETED: 1}
    await database.close()


@pytest.mark.parametrize("package", ["sdrest.storage.sqlite", "sdrest.storage.postgres"])
def test_migrations_are_numbered_one_after_another(package: str) -> None:
    files = resources.files(package).joinpath("migrations").iterdir()
    numbers = sorted(int(item.name.split("_")[0]) for item in files if item.name.endswith(".sql"))
    assert numbers == [*range(1, len(numbers) + 1)]


async def test_what_came_of_what_is_told_of_jobs_of_earlier_versions(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    old = database_of(12, file)
    for name, sources, origin in (
        ("given", {"init_image_0.png": "a/0", "mask_image_0.png": "a/0"}, {}),
        ("varied", {}, {"varied_from": "a"}),
        ("other", {}, {"dialect": "native"}),
    ):
        old.execute(
            "INSERT INTO jobs (id, type, state, principal, priority, parameters, model_id, model_name, attempt, created_at, "
            "outputs, warnings, idempotency_key, webhook_url, origin, sources) "
            "VALUES (?, 'img2img', 'pending', '', 0, '{}', '', '', 0, ?, '[]', '[]', '', '', ?, ?)",
            (name, NOW.isoformat(), json.dumps(origin), json.dumps(sources)),
        )
    old.commit()
    old.close()
    database = Database(file)
    await database.open()
    found = await SqlJobStore(database).find(JobFilter(descended_from="a/0"))
    assert [job.id for job in found] == ["varied", "given"]
    await database.close()
