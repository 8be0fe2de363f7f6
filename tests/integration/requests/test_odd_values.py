"""Whatever stands in whichever field of whichever route, it is understood or refused: never a 5xx.

Jobs are checked against the models and not stored, so that nothing is painted.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient

from sdrest.core.errors import Conflict
from sdrest.jobs.submission import Submission
from sdrest.web.http.keys import INTAKE
from sdrest.web.http.openapi import document
from tests.integration.conftest import ClientFactory
from tests.integration.requests.odd_values import Odd, odd_requests

Client = TestClient[Any, Any]

#: How many of the odd requests `make test` makes; `make nightly` makes all.
SHARE = 1500
#: They wait for something, or end the server.
LEFT_OUT = {"/api/system/restart", "/api/models/download", "/api/models/upload", "/mcp"}


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture
async def client(client_factory: ClientFactory) -> Client:
    """A client of a server that refuses every job at the moment when it would be stored."""
    client = await client_factory(fetch_timeout_seconds=0.5, sync_timeout_seconds=0.1)
    assert client.app is not None
    intake = client.app[INTAKE]

    async def check_only(submission: Submission) -> None:
        await intake.check(submission)
        raise Conflict("understood")

    async def refuse(*_arguments: Any, **_more: Any) -> None:
        raise Conflict("understood")

    intake.submit, intake.submit_task = check_only, refuse
    return client


def requests_of(client: Client) -> list[Odd]:
    assert client.app is not None
    return [odd for odd in odd_requests(document(client.app)) if odd.path not in LEFT_OUT]


async def problems_of(client: Client, odd: list[Odd]) -> list[str]:
    """The requests that the server could not take."""
    found = []
    for item in odd:
        path = item.path.replace("{", "").replace("}", "")
        with structlog.testing.capture_logs() as logged:
            headers = {"Content-Type": item.content_type}
            reply = await client.request(item.method, path, data=item.body, headers=headers, allow_redirects=False)
            text = await reply.text()
        unthought = [entry for entry in logged if entry.get("exc_info")]
        if reply.status >= 500 or unthought:
            found.append(f"{reply.status} {item.method} {path}: {item.label}: {text[:200]} {unthought}")
    return found


async def test_no_odd_value_is_too_much(client: Client) -> None:
    everything = requests_of(client)
    chosen = random.Random(20).sample(everything, SHARE)
    assert await problems_of(client, chosen) == []


@pytest.mark.nightly
async def test_no_odd_value_of_any_is_too_much(client: Client) -> None:
    assert await problems_of(client, requests_of(client)) == []


async def test_every_dialect_is_among_them(client: Client) -> None:
    paths = {odd.path for odd in requests_of(client)}
    for beginning in (
        "/api/generate/",
        "/v1/images/",
        "/sdapi/v1/",
        "/sdcpp/v1/",
        "/controlnet/",
        "/internal/",
        "/ollama/api/",
        "/text-to-image",
    ):
        assert any(path.startswith(beginning) for path in paths), beginning

    def fields(path: str) -> set[str]:
        return {odd.label.partition(" = ")[0] for odd in requests_of(client) if odd.path == path}

    deep = {"eta", "alwayson_scripts.controlnet.args.0.weight", "override_settings.sd_vae", "body"}
    assert deep <= fields("/sdapi/v1/txt2img")
    assert {"batchSize", "channels", "strength", "mask"} <= fields("/inpaint-image")
