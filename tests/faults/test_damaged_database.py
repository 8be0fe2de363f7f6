"""A damaged database is said to be one, and stays as it is for whoever wants to rescue it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from sdrest.app import build_app
from sdrest.storage.sqlite.database import DatabaseUnusable
from tests.faults.jobs import submitted
from tests.integration.conftest import SettingsFactory


async def _used_database(client_factory: Any, folder: Path) -> Path:
    client = await client_factory()
    await client.post("/api/queue/pause")
    for number in range(40):
        await submitted(client, prompt=f"{number} " * 300)
    await client.close()
    return folder / "data" / "sdrest.sqlite3"


async def _refuses_to_start(settings_factory: SettingsFactory) -> None:
    server = TestServer(build_app(settings_factory()))
    try:
        with pytest.raises(DatabaseUnusable, match=r"sdrest\.sqlite3 cannot be used"):
            await server.start_server()
    finally:
        await server.close()


@pytest.mark.parametrize("page", [0, 2, 7, 12])
async def test_a_page_of_noise_stops_the_start_with_the_name_of_the_file_and_changes_nothing(
    client_factory: Any, settings_factory: SettingsFactory, tmp_path: Path, page: int
) -> None:
    file = await _used_database(client_factory, tmp_path)
    content = bytearray(file.read_bytes())
    content[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
    file.write_bytes(content)
    await _refuses_to_start(settings_factory)
    assert file.read_bytes() == content
    file.unlink()
    await client_factory()


async def test_a_file_that_is_no_database_stops_the_start(settings_factory: SettingsFactory, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sdrest.sqlite3").write_bytes(b"<html>not found</html>" * 500)
    await _refuses_to_start(settings_factory)


async def test_a_truncated_database_stops_the_start(
    client_factory: Any, settings_factory: SettingsFactory, tmp_path: Path
) -> None:
    file = await _used_database(client_factory, tmp_path)
    file.write_bytes(file.read_bytes()[: 5 * 4096])
    await _refuses_to_start(settings_factory)
