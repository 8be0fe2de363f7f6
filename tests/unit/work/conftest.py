"""A server and a worker of its, for the tests of workers elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.work.fleet_server import Elsewhere, Server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    await server.fleet.close()


@pytest.fixture
async def worker(server: Server, tmp_path: Path) -> AsyncIterator[Elsewhere]:
    worker = Elsewhere(server, tmp_path / "worker")
    yield worker
    await worker.end()
