"""Servers that download models from a server of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.integration.conftest import ClientFactory
from tests.integration.models.test_model_uploads import left_behind
from tests.integration.pictures.test_generate import finished
from tests.integration.server.elsewhere import Elsewhere, serving
from tests.tiny.fixtures import cached

Client = TestClient[Any, Any]
Downloader = Callable[..., Awaitable[Client]]


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    async with serving(cached("ernie").read_bytes()) as server:
        yield server


@pytest.fixture
def start(client_factory: ClientFactory, elsewhere: Elsewhere) -> Downloader:
    """Starts servers that may download from :func:`elsewhere`."""

    async def make(**values: Any) -> Client:
        return await client_factory(
            **{
                "download_hosts": [elsewhere.host],
                "fetch_allowed_hosts": [elsewhere.host],
                "download_retry_seconds": 0.01,
                "hf_endpoint": elsewhere.url,
                "civitai_url": elsewhere.url,
                **values,
            }
        )

    return make


async def ask(client: Client, source: str = "", prefix: str = "/api", **fields: str) -> tuple[int, Any]:
    body = {"type": "checkpoint", **fields, **({"source": source} if source else {})}
    reply = await client.post(f"{prefix}/models/download", json=body)
    return reply.status, await reply.json()


async def download(client: Client, source: str = "", **fields: str) -> dict[str, Any]:
    """The job of a download once it has ended."""
    status, body = await ask(client, source, **fields)
    assert status == 202, body
    return await finished(client, body["job_id"])


def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "checkpoints"


async def nothing_left(tmp_path: Path) -> None:
    """Wait until all parts and notes are gone."""
    async with asyncio.timeout(20):
        while left_behind(tmp_path):
            await asyncio.sleep(0.01)
