"""Why a job gave nothing, in the shape of each dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.integration.conftest import SMALL


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/sdapi/v1/txt2img", lambda body: (body["error"], body["code"])),
        ("/v1/images/generations", lambda body: ("FlatPicture", body["error"]["code"])),
        ("/api/v1/generate", lambda body: ("FlatPicture", body["code"])),
    ],
)
async def test_what_the_callers_own_parameters_caused_is_422_with_advice(
    client: TestClient[Any, Any], path: str, slug: Any
) -> None:
    reply = await client.post(path, json={**SMALL, "scheduler": "ays"})  # numbers overflow with it
    body = await reply.json()
    assert reply.status == 422, body
    assert slug(body) == ("FlatPicture", "flat_picture")
    assert "another scheduler than ays" in str(body)
