"""A server loads the model that it had in memory last while it starts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from sdrest.cli.listening import listen
from sdrest.cli.serve import serving
from sdrest.registry.builtin import EMBEDDED_NAME as DEMO
from tests.integration.conftest import SMALL, SettingsFactory


async def _picture(url: str, **more: Any) -> bytes:
    async with aiohttp.ClientSession(url) as session:
        job = await (await session.post("api/v1/generate", json={**SMALL, **more})).json()
        assert job["status"] == "completed", job
        return await (await session.get(f"api/jobs/{job['job_id']}/output/image_0.png")).read()


async def _loaded(url: str) -> list[str]:
    async with aiohttp.ClientSession(url) as session:
        reply: dict[str, Any] = await (await session.get("api/status")).json()
        return list(reply["models"]["loaded"])


@pytest.mark.slow
async def test_the_last_model_is_there_before_anybody_asks_for_it(settings_factory: SettingsFactory) -> None:
    settings = settings_factory(reuse_results=False)
    with contextlib.closing(listen(settings.host, 0)) as listening:
        async with serving(settings, listening) as server:
            assert not await _loaded(server.url)
            first = await _picture(server.url)
            names = await _loaded(server.url)
        async with serving(settings, listening) as server:
            while await _loaded(server.url) != names:
                await asyncio.sleep(0.05)
            assert await _picture(server.url) == first
        async with serving(settings, listening) as server:
            assert await _picture(server.url, model=DEMO)  # whether or not the other one is there by now
